"""Ours against weaver's ParticleNet-Lite and energyflow's PFN, trained on the same jets.

    fivesigma demo --config configs/top-tagging.yaml   # makes runs/top-tagging/data, 200 000 jets
    python benchmarks/rivals.py --data runs/top-tagging/data

Both networks of a pair see the same training and validation jets as often: `--jets` training jets
(for weaver's half as many, because it takes long on a CPU), `--passes` passes. Each is trained as
its own program would: weaver-core by its command `weaver` (Ranger, learning rate 5e-3, flat, then
decaying), energyflow by `PFN.fit` (Adam, learning rate 1e-3, batches of 500), ours by the recipes
of `tagger_table.py`. weaver's network sees the same 7 standardised features as ours; energyflow's
the share of pT and the distances to the jet's axis, as its authors have it. Of weaver the best
pass on the validation jets is taken, as of ours; energyflow's is the last.

The test jets are those of the dataset. Weaver's weights are imported (`fivesigma import weaver`),
so that all are scored alike; energyflow writes its scores. Figures: AUC and rejection at 50 % of
each, and the paired differences, ours against theirs, with their errors.

Both live in environments of their own, made with pip in a temporary folder; `--weaver` and
`--energyflow` name a Python that has them already. `--only` measures one of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from interchange import environment

PACKAGES = {
    "weaver": [["torch>=2.6,<2.14"], ["weaver-core"]],
    # energyflow 1.4 asks for what came before NumPy 2 and Keras 3
    "energyflow": [
        ["tensorflow-cpu<2.16", "tf_keras<2.16", "scikit-learn", "numpy<2", "energyflow"]
    ],
}
#: ours, and the factor of `--jets`
PAIRS = {"energyflow": ("pfn", 1.0), "weaver": ("particlenet-lite", 0.5)}
NETWORK = '''
import torch
from weaver.nn.model.ParticleNet import ParticleNet


class Lite(torch.nn.Module):
    """The small network of the article, in a module of the name that its weights have."""

    def __init__(self, features, classes):
        super().__init__()
        layers = [(7, (32, 32, 32)), (7, (64, 64, 64))]
        self.mod = ParticleNet(features, classes, layers, [(128, 0.1)], use_fusion=False,
                               use_fts_bn=True)

    def forward(self, points, features, mask):
        return self.mod(points, features, mask)


def get_model(data_config, **options):
    features = len(data_config.input_dicts["features"])
    network = Lite(features, len(data_config.label_value))
    names = list(data_config.input_names)
    return network, {
        "input_names": names,
        "input_shapes": {k: ((1,) + s[1:]) for k, s in data_config.input_shapes.items()},
        "output_names": ["softmax"],
        "dynamic_axes": {},
    }


def get_loss(data_config, **options):
    return torch.nn.CrossEntropyLoss()
'''


# weaver


def write_for_weaver(caches: dict[str, Any], classes: list[str], folder: Path) -> None:
    """Standardised features as ROOT files, weaver's description of them, and the network."""
    import awkward as ak
    import uproot
    import yaml

    names = next(iter(caches.values())).inputs.features
    for split, cache in caches.items():
        rows = np.concatenate(
            [np.arange(b, b + n) for b, n in zip(cache.begin, cache.count, strict=True)]
        )
        flat = ak.zip({name: cache.values[rows, i] for i, name in enumerate(names)})
        tree = {"part": ak.unflatten(flat, cache.count)}
        tree |= {f"label_{c}": (cache.label == i).astype(np.int32) for i, c in enumerate(classes)}
        with uproot.recreate(folder / f"{split}.root") as file:
            file.mktree("tree", tree)  # uproot makes an RNTuple of what is assigned
    group = {"length": 128, "pad_mode": "wrap"}
    description = {
        "treename": "tree",
        "preprocess": {"method": "manual"},
        "new_variables": {"part_mask": f"ak.ones_like(part_{names[0]})"},
        "inputs": {
            "points": {**group, "vars": [["part_deta", None], ["part_dphi", None]]},
            "features": {**group, "vars": [[f"part_{name}", None] for name in names]},
            "mask": {"length": 128, "pad_mode": "constant", "vars": [["part_mask", None]]},
        },
        "labels": {"type": "simple", "value": [f"label_{name}" for name in classes]},
    }
    (folder / "data.yaml").write_text(yaml.safe_dump(description, sort_keys=False))
    (folder / "network.py").write_text(NETWORK)


def weaver(python: str, folder: Path, passes: int) -> Path:
    """Train with weaver's command; the weights of its best pass."""
    options = {
        "--data-train": f"{folder}/train.root",
        "--data-val": f"{folder}/validation.root",
        "--data-config": f"{folder}/data.yaml",
        "--network-config": f"{folder}/network.py",
        "--model-prefix": f"{folder}/lite",
        "--gpus": "",
        "--num-workers": "1",
        "--fetch-step": "1",
        "--batch-size": "256",
        "--num-epochs": str(passes),
        "--optimizer": "ranger",
        "--start-lr": "5e-3",
    }
    command = [str(Path(python).with_name("weaver")), *(t for o in options.items() for t in o)]
    with (folder / "weaver.log").open("w") as log:
        done = subprocess.run(command, cwd=folder, stdout=log, stderr=log, check=False)
    found = folder / "lite_best_epoch_state.pt"
    if done.returncode or not found.exists():
        raise SystemExit((folder / "weaver.log").read_text()[-3000:])
    return found


# energyflow


def write_for_energyflow(caches: dict[str, Any], folder: Path) -> None:
    """Padded arrays (N, 128, 3) of pT share and distances to the axis, and labels."""
    for split, cache in caches.items():
        x = np.zeros((len(cache), 128, cache.values.shape[1]), np.float32)
        for row, (begin, count) in enumerate(zip(cache.begin, cache.count, strict=True)):
            x[row, :count] = cache.values[begin : begin + count]
        np.savez(folder / f"{split}.npz", x=x, y=cache.label)


def energyflow_side(folder: Path, passes: int) -> None:
    """In energyflow's environment: train, and write the scores of the test jets."""
    from energyflow.archs import PFN

    arrays = {split: np.load(folder / f"{split}.npz") for split in ("train", "validation", "test")}
    data = {split: (np.asarray(a["x"]), np.eye(2)[a["y"]]) for split, a in arrays.items()}
    network = PFN(input_dim=3, Phi_sizes=(100, 100, 256), F_sizes=(100, 100, 100), summary=False)
    network.fit(
        *data["train"],
        epochs=passes,
        batch_size=500,
        validation_data=data["validation"],
        verbose=2,
    )
    np.save(folder / "scores.npy", network.predict(data["test"][0], batch_size=1000))


# both


def take(cache: Any, n: int) -> Any:
    """Some jets of a cache, the same ones for every network."""
    chosen = np.random.default_rng(0).permutation(len(cache))[: min(n, len(cache))]
    return cache.take(np.sort(chosen))


def pair(name: str, python: str, given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Train both networks of a pair; all figures."""
    from tagger_table import PLANS

    from fivesigma import metrics
    from fivesigma.features import FEATURE_SETS
    from fivesigma.inputs import Inputs
    from fivesigma.runs import load_run, logits_of
    from fivesigma.training import fit
    from fivesigma.workflows.caches import open_jets, split_caches
    from fivesigma.workflows.imported import import_
    from fivesigma.workflows.train import inputs_of

    dataset, (model, factor) = open_jets(str(given.data)), PAIRS[name]
    splits, n = ("train", "validation", "test"), int(given.jets * factor)

    def caches(inputs: Inputs) -> dict[str, Any]:
        found = dict(zip(splits, split_caches(dataset, inputs, *splits), strict=True))
        return {"train": take(found["train"], n), "validation": take(found["validation"], n // 4),
                "test": found["test"]}  # fmt: skip

    def scores(run: Any, cache: Any) -> np.ndarray:
        logits = logits_of(run.model, cache, 2, 512, run.device)
        return (logits[:, 0] - logits[:, 1]).numpy()

    ours = caches(inputs_of(model))
    signal = (ours["test"].label == 0).astype(np.int64)
    begin = time.perf_counter()
    options = PLANS[model].training
    run = fit(model, ours["train"], ours["validation"], dataset.classes, folder / "ours",
              type(options)(**{**vars(options), "epochs": given.passes}))  # fmt: skip
    seconds = {"ours": time.perf_counter() - begin}
    found = {"ours": scores(run, ours["test"])}
    begin = time.perf_counter()
    if name == "weaver":
        write_for_weaver({s: ours[s] for s in splits[:2]}, dataset.classes, folder)
        begin = time.perf_counter()
        weights = weaver(python, folder, given.passes)
        theirs = import_("weaver", weights, folder / "theirs", classes=dataset.classes,
                         options={"k": 7})  # fmt: skip
        found["theirs"] = scores(load_run(folder / "theirs"), ours["test"])
        assert theirs.n_parameters == run.n_parameters
    else:
        features = FEATURE_SETS["energy-flow"]
        plain = (0.0,) * len(features), (1.0,) * len(features)
        inputs = Inputs(features=features, mean=plain[0], scale=plain[1], max_constituents=128)
        write_for_energyflow(caches(inputs), folder)
        begin = time.perf_counter()
        command = [python, __file__, "--side", str(folder), "--passes", str(given.passes)]
        with (folder / "energyflow.log").open("w") as log:
            subprocess.run(command, check=True, stdout=log, stderr=log)
        found["theirs"] = np.load(folder / "scores.npy")[:, 0]
    seconds["theirs"] = time.perf_counter() - begin
    took = ", ".join(f"{side} {value:.0f} s" for side, value in seconds.items())
    jets = f"{len(ours['train'])} jets, {given.passes} passes, {len(signal)} test jets"
    print(f"{name}: {jets}, {took}", flush=True)
    numbers = {
        f"{name}/{key}": number
        for side in found
        for key, number in metrics.binary_report(side, signal, found[side]).items()
        if key.rsplit("/", 1)[1] in ("auc", "rejection_at_50", "rejection_at_30")
    }
    numbers |= {
        f"{name}/ours-vs-theirs/{key}": number
        for key, number in metrics.compare(signal, found["ours"], found["theirs"]).items()
        if key in ("auc_difference", "rejection_ratio_at_50", "rejection_ratio_at_30")
    }
    for key, number in numbers.items():
        print(f"{key:46s} {number.value:.5g} +- {number.uncertainty:.2g}", flush=True)
    return {
        key: {
            "value": number.value,
            "low": number.value - number.uncertainty,
            "high": number.value + number.uncertainty,
            "unit": number.unit,
            "reference": f"{len(ours['train'])} jets, {given.passes} passes",
        }
        for key, number in numbers.items()
    }


def main() -> None:
    """Train and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("runs/top-tagging/data"))
    parser.add_argument("--jets", type=int, default=100_000, help="for training")
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--only", default=",".join(PAIRS))
    for name in PAIRS:
        parser.add_argument(f"--{name}", help=f"a Python that has {name}")
    parser.add_argument("--side", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        energyflow_side(given.side, given.passes)
        return
    figures: dict[str, Any] = {}
    for name in given.only.split(","):
        with tempfile.TemporaryDirectory() as folder:
            python = getattr(given, name) or environment(Path(folder), name, PACKAGES[name])
            figures |= pair(name, python, given, Path(folder))
    machine = f"{platform.machine()}, {os.cpu_count()} cores"
    print(json.dumps({"benchmark": "rivals", "machine": machine, "figures": figures}))


if __name__ == "__main__":
    main()
