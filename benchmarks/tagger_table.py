"""All taggers on the same jets: trains them, ranks them, writes docs/taggers.md.

    fivesigma demo --config configs/top-tagging.yaml   # makes runs/top-tagging/data, 200 000 jets
    python benchmarks/tagger_table.py --data runs/top-tagging/data

Each network trains for the minutes that stand in `PLANS`: a short training tells how many jets it
takes in a second, and that sets the number of passes or, where they are fewer than one, the
number of jets. Repeating the command goes on where it stopped. `--only pfn,pelican` trains some of
them, `--scale 0.1` gives all a tenth of their minutes, `--device cuda` trains on a GPU. What is
found is kept in docs/results/taggers.json: the page shows all that was trained on the same jets,
today or before.

The published jets are those of $FIVESIGMA_REAL_DATA/jets/top_landscape_1000.npz: 1000 jets of the
test split of the Top Quark Tagging Reference Dataset (Zenodo 2603256, CC BY 4.0). Without them the
table has our own test jets alone.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from published_jets import CLASSES, REAL_DATA
from published_jets import published as published_jets

from fivesigma.batches import Cache
from fivesigma.datasets import Dataset, Shard, produce
from fivesigma.results import Number
from fivesigma.storage import write_json
from fivesigma.training import Training, fit
from fivesigma.trees import Trees
from fivesigma.workflows.caches import open_jets, split_caches
from fivesigma.workflows.rank import markdown, rank, table_of
from fivesigma.workflows.train import inputs_of, train

PUBLISHED = REAL_DATA / "jets" / "top_landscape_1000.npz"
DOCS = Path(__file__).parents[1] / "docs"
#: jets of the training that is timed, and the part of a training's time that is left for
#: validation, which it does not tell
TRIED, SHARE = 2000, 0.9
MOST_PASSES = 40


class Plan(NamedTuple):
    """How a network trains: for how long on a CPU, and with which options."""

    minutes: float
    training: Training


_SMALL = Training(epochs=1, batch_size=256, learning_rate=2e-3, schedule="one-cycle", ema=0.999)
_LARGE = replace(_SMALL, learning_rate=1e-3, batch_size=128)
PLANS: dict[str, Plan] = {
    "pfn": Plan(45, _SMALL),
    "particlenet-lite": Plan(45, replace(_SMALL, learning_rate=5e-3)),
    "pelican": Plan(45, replace(_SMALL, batch_size=128, learning_rate=3e-3)),
    "lgatr-slim-small": Plan(45, replace(_SMALL, batch_size=128)),
    "efn": Plan(20, _SMALL),
    "cnn": Plan(20, _SMALL),
    "deepsets-max": Plan(20, _SMALL),
    "p-cnn": Plan(20, _SMALL),
    "vit": Plan(20, _SMALL),
    "resnext": Plan(20, _LARGE),
    "transformer": Plan(20, _LARGE),
    "particlenet": Plan(20, replace(_LARGE, learning_rate=3e-3)),
    "part": Plan(20, _LARGE),
    "lorentznet": Plan(20, _LARGE),
    "lgatr-slim": Plan(20, replace(_LARGE, learning_rate=5e-4)),
}


def rate(model: str, train_jets: Cache, classes: list[str], options: Training) -> float:
    """Jets that a network learns from in a second: of the second of two passes over some."""
    few = train_jets.take(np.arange(min(TRIED, len(train_jets))))
    with tempfile.TemporaryDirectory() as folder:
        run = fit(model, few, few, classes, Path(folder) / "run", replace(options, epochs=2))
        return float(run.history()[-1]["jets_per_second"])


def planned(path: Path, model: str, caches: tuple[Cache, Cache], classes: list[str],
            options: Training, minutes: float) -> dict[str, Any]:  # fmt: skip
    """Passes and jets of a training, measured once and then kept."""
    if path.exists():
        return json.loads(path.read_text())
    speed = rate(model, caches[0], classes, options)
    affordable = speed * minutes * 60 * SHARE
    n = len(caches[0])
    form = {
        "minutes": minutes,
        "jets_per_second": speed,
        "passes": int(np.clip(affordable / n, 1, MOST_PASSES)),
        "jets": int(min(n, affordable)),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(form, indent=1) + "\n")
    return form


def trained(model: str, data: Path, out: Path, scale: float, device: str) -> None:
    """Train one network, or go on with it."""
    dataset, plan = open_jets(str(data)), PLANS[model]
    options = replace(plan.training, device=device)
    caches = split_caches(dataset, inputs_of(model), "train", "validation", keep=True)
    classes = dataset.classes
    form = planned(out / "plans" / f"{model}.json", model, caches, classes, options,
                   plan.minutes * scale)  # fmt: skip
    print(f"{model}: {form['passes']} passes over {form['jets']} jets", flush=True)
    learned = caches[0]
    if form["jets"] < len(learned):
        chosen = np.random.default_rng(0).permutation(len(learned))[: form["jets"]]
        learned = learned.take(np.sort(chosen))
    options = replace(options, epochs=form["passes"])
    fit(model, learned, caches[1], classes, out / model, options, progress=_told)


def _told(line: dict[str, Any]) -> None:
    if line["kind"] == "epoch":
        print(f"  pass {line['epoch']}: AUC {line.get('validation_auc', 0):.4f}, "
              f"{line['jets_per_second']:.0f} jets/s", flush=True)  # fmt: skip


def published(out: Path) -> list[Path]:
    """The published jets, with their substructure, as a dataset."""
    if not PUBLISHED.exists():
        return []
    folder = out / "published"

    def make(index: int) -> Shard:
        jets, label = published_jets(PUBLISHED)
        jets["label"] = label.astype(np.int16)
        jets["event"] = np.arange(len(jets), dtype=np.uint64)
        return Shard({"jets": jets})

    settings = {"source": "Zenodo 2603256", "jets": "test split"}
    produce(folder, make, 1, kind="jets", settings=settings, classes=CLASSES)
    return [folder]


def tracked(models: list[str]) -> bool:
    """Whether one of these reads charges or impact parameters: published jets have neither."""
    return any(
        name == "charge" or name.endswith(("d0", "dz"))
        for model in models
        if model != "trees"
        for name in inputs_of(model).features
    )


def machine(device: str) -> str:
    """What trains."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name()
    return f"CPU, {torch.get_num_threads()} of {os.cpu_count()} cores ({platform.machine()})"


def kept(path: Path, data: Dataset) -> dict[str, Any]:
    """What was found before on the same jets: tagger -> its entry."""
    found = json.loads(path.read_text()) if path.exists() else {}
    return found["taggers"] if found.get("data") == data.manifest["settings_hash"] else {}


def entry(name: str, numbers: dict[str, Number], out: Path, device: str) -> dict[str, Any]:
    """What is kept of one tagger: its plan and its figures."""
    plan = out / "plans" / f"{name}.json"
    figures = {
        key.removeprefix(f"{name}/"): number.to_dict()
        for key, number in numbers.items()
        if key.startswith(f"{name}/")
    }
    form = json.loads(plan.read_text()) if plan.exists() else {}
    return form | {"machine": machine(device), "numbers": figures}


def page(data: Dataset, taggers: dict[str, Any], command: str) -> str:
    """What docs/taggers.md says."""
    numbers = {
        f"{name}/{key}": Number(**form)
        for name, each in taggers.items()
        for key, form in each["numbers"].items()
    }
    order = sorted(taggers, key=lambda name: -numbers[f"{name}/auc"].value)
    places = ["data", *(["published"] if any("/published/" in key for key in numbers) else [])]
    return "\n".join([
        "# Taggers", "",
        f"All trained on the same {data.counts['jets']} jets of the recipe `top-tagging` "
        "(docs/top-tagging.md). Rejections are 1 / (efficiency for QCD jets) at the efficiency "
        "for top-quark jets; errors are statistical. `published` are 1000 jets of the Top Quark "
        "Tagging Reference Dataset (Zenodo 2603256), which nobody trained on; taggers that read "
        "charges or impact parameters have no figure there, as these jets have neither. Made by",
        "",
        "```", "fivesigma demo --config configs/top-tagging.yaml", command, "```", "",
        markdown(table_of(numbers, order, places)).rstrip(), "",
        "Jets/s are those of this training and scoring, on machines that may have had other work "
        "beside it; `benchmarks/taggers.py` compares speeds.", "",
        "Networks train for the minutes that `benchmarks/tagger_table.py` gives them; where these "
        "do not suffice for all jets, for one pass over a part of them:", "",
        "| tagger | minutes | passes | training jets | on |", "|---|---|---|---|---|",
        *(_plan_row(name, taggers[name]) for name in order if "passes" in taggers[name]), "",
    ])  # fmt: skip


def _plan_row(name: str, form: dict[str, Any]) -> str:
    cells = (name, f"{form['minutes']:.3g}", form["passes"], form["jets"], form["machine"])
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Train, rank, write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path("runs/top-tagging/data"))
    parser.add_argument("--out", type=Path, default=Path("runs/taggers"))
    parser.add_argument("--only", default=",".join([*PLANS, "trees"]))
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--docs", type=Path, default=DOCS, help="folder of the page")
    options = parser.parse_args()
    chosen = options.only.split(",")
    for model in chosen:
        if model == "trees":
            train(options.out / model, data=options.data, model=model, trees=Trees(), quiet=True)
        else:
            trained(model, options.data, options.out, options.scale, options.device)
    result = rank(
        [options.out / model for model in chosen],
        data=[options.data, *([] if tracked(chosen) else published(options.out))],
        out=options.out / "rank",
        overwrite=True,
    )
    data, results = Dataset.open(options.data), options.docs / "results" / "taggers.json"
    taggers = kept(results, data)
    for name in chosen:
        taggers[name] = entry(name, dict(result.numbers), options.out, options.device)
    command = f"python benchmarks/tagger_table.py --data {options.data}"
    write_json(results, {"data": data.manifest["settings_hash"], "taggers": taggers})
    (options.docs / "taggers.md").write_text(page(data, taggers, command))
    figures = {
        name: {
            "value": number.value,
            "low": number.value - number.uncertainty,
            "high": number.value + number.uncertainty,
            "unit": number.unit,
            "reference": number.note,
        }
        for name, number in result.numbers.items()
    }
    print(json.dumps({"benchmark": "tagger_table", "figures": figures}))


if __name__ == "__main__":
    main()
