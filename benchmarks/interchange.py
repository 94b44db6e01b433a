"""Whether others read what fivesigma writes, and fivesigma what others hold in memory.

    python benchmarks/interchange.py

- weaver-core reads 2000 jets that fivesigma wrote as ROOT and as Parquet: jets, labels and every
  number are compared with what was written, and its command `weaver` trains an epoch on each.
- NanoEvents of coffea, "virtual" and "eager", are taken as Events: expressions, writers, network
  inputs and scores, compared with the same from the file by fivesigma alone. Reads
  $FIVESIGMA_REAL_DATA/root_files/{nano_tt_v15,pfnano}.root; left out where they are absent.

Both live in environments of their own, made with pip in a temporary folder (about 4 GB, removed
afterwards); `--weaver` and `--coffea` name a Python that has them already, coffea's with fivesigma
as well. Where pip would choose a torch with CUDA, PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
keeps it small.

How weaver reads the files of kind "jets":

- ROOT: branches `jet_pt ...`, `part_pt ...` and `label_<class>` (0 or 1) as in JetClass; they are
  named in the data configuration as they are, with `treename: tree`.
- Parquet: jets have the columns `pt`, `label`, `constituents` (lists of records). Weaver reads
  whole columns by name, so `new_variables` takes the fields out and makes the labels:
  `part_pt: ak.to_packed(constituents.pt)`, `label_top: label == 0`. Without `to_packed`, weaver
  0.5.3 stops with "could not broadcast input array" where it reads a part of a Parquet file (lists
  of numbers just as well), which it does by default.
- Both: an observer must not be unsigned 64-bit, of which torch makes no batches:
  `number: ak.values_astype(jet_event, "int64")`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
REAL_DATA = Path(os.environ.get("FIVESIGMA_REAL_DATA", ROOT.parent / "shared" / "data"))
JETS, LENGTH = 2000, 64
CLASSES = ("top", "qcd")
PARTICLE = ("pt", "eta", "phi", "mass", "charge", "pdg_id", "d0", "dz")
JET = ("pt", "eta", "phi", "mass")
REAL = ("nano_tt_v15", "pfnano")
PACKAGES = {
    "weaver": [["torch>=2.6,<2.14"], ["weaver-core"]],
    "coffea": [["torch>=2.6,<2.14"], ["coffea", "-e", str(ROOT)]],
}
NETWORK = '''
import torch


class Net(torch.nn.Module):
    """Weaver gives each group of inputs as (B, F, N)."""

    def __init__(self, features, classes):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.BatchNorm1d(features), torch.nn.Conv1d(features, 8, 1), torch.nn.ReLU()
        )
        self.out = torch.nn.Linear(8, classes)

    def forward(self, jet, particles, mask):
        return self.out((self.layers(particles) * mask).sum(2) / mask.sum(2).clamp(min=1))


def get_model(data_config, **options):
    names = list(data_config.input_names)
    info = {
        "input_names": names,
        "input_shapes": {k: ((1,) + s[1:]) for k, s in data_config.input_shapes.items()},
        "output_names": ["softmax"],
        "dynamic_axes": {},
    }
    features = len(data_config.input_dicts["particles"])
    return Net(features, len(data_config.label_value)), info


def get_loss(data_config, **options):
    return torch.nn.CrossEntropyLoss()
'''


# fivesigma writes, weaver reads


def jets() -> Any:
    """Two classes of jets whose constituents have known numbers; some jets have none."""
    import awkward as ak

    from fivesigma.events import momenta

    rng = np.random.default_rng(1)
    label = rng.integers(0, len(CLASSES), JETS).astype(np.int16)
    counts = rng.poisson(30 - 8 * label).clip(0, LENGTH)
    counts[:2] = 0, LENGTH
    total, row = int(counts.sum()), np.repeat(np.arange(JETS), counts)
    pt = np.exp(rng.normal(1.0 + 0.3 * label[row], 1.0))
    particle = {
        "pt": pt[np.lexsort((-pt, row))],
        "eta": rng.normal(0, 0.3, total),
        "phi": rng.normal(0, 0.3, total),
        "mass": np.full(total, 0.13957),
        "d0": rng.normal(0, 0.1, total),
        "dz": rng.normal(0, 0.1, total),
    }
    columns: dict[str, Any] = {name: v.astype(np.float32) for name, v in particle.items()}
    columns["charge"] = rng.integers(-1, 2, total).astype(np.int8)
    columns["pdg_id"] = rng.choice(np.array([211, -211, 22, 130, 11], np.int32), total)
    jet: dict[str, Any] = {name: rng.exponential(50, JETS).astype(np.float32) for name in JET}
    jet |= {"label": label, "event": np.arange(JETS, dtype=np.uint64)}
    jet["constituents"] = ak.unflatten(momenta(ak.zip(columns)), counts)
    return momenta(ak.zip(jet, depth_limit=1))


def configuration(kind: str) -> dict[str, Any]:
    """Weaver's data configuration for the files that fivesigma writes."""
    group = {"length": LENGTH, "pad_mode": "constant"}
    event = "jet_event" if kind == "root" else "event"
    made: dict[str, Any] = {
        "treename": "tree" if kind == "root" else None,
        "selection": None,
        "preprocess": {"method": "manual"},
        "new_variables": {
            "part_mask": "ak.ones_like(part_pt)",
            "number": f"ak.values_astype({event}, 'int64')",
        },
        "inputs": {
            "jet": {"length": 1, "vars": [[f"jet_{name}", None] for name in JET]},
            "particles": {**group, "vars": [[f"part_{name}", None] for name in PARTICLE]},
            "mask": {**group, "vars": [["part_mask", None]]},
        },
        "labels": {"type": "simple", "value": [f"label_{name}" for name in CLASSES]},
        "observers": ["number"],
    }
    if kind == "parquet":
        new = {f"part_{name}": f"ak.to_packed(constituents.{name})" for name in PARTICLE}
        new |= {f"jet_{name}": name for name in JET}
        new |= {f"label_{name}": f"label == {i}" for i, name in enumerate(CLASSES)}
        made["new_variables"] = new | made["new_variables"]
    return made


def write_files(folder: Path) -> Any:
    """Jets as ROOT and Parquet, the configurations and the network."""
    import yaml

    from fivesigma.formats.writers import write

    array = jets()
    for kind in ("root", "parquet"):
        write(array, folder / f"jets.{kind}", format=kind, kind="jets", classes=CLASSES)
        (folder / f"{kind}.yaml").write_text(yaml.safe_dump(configuration(kind), sort_keys=False))
    (folder / "network.py").write_text(NETWORK)
    return array


def weaver_side(folder: Path) -> None:
    """In weaver's environment: what its loader gives, into an archive."""
    import torch
    from weaver.utils.dataset import SimpleIterDataset

    for kind in ("root", "parquet"):
        data = SimpleIterDataset(
            {"jets": [str(folder / f"jets.{kind}")]},
            str(folder / f"{kind}.yaml"),
            for_training=False,
            fetch_step=0.25,  # in parts, as weaver does by default
            async_load=False,
            name="test",
        )
        parts: dict[str, list[Any]] = {}
        for x, y, z in torch.utils.data.DataLoader(data, batch_size=256):
            for name, values in (x | y | z).items():
                parts.setdefault(name.strip("_"), []).append(np.asarray(values))
        np.savez(folder / f"read_{kind}.npz", **{k: np.concatenate(v) for k, v in parts.items()})


def compare_weaver(array: Any, read: Any) -> dict[str, float]:
    """Jets that weaver read, labels that agree, and the largest relative difference of sums."""
    import awkward as ak

    label = "label" if "label" in read else "_label_"
    same = np.array_equal(read["number"], ak.to_numpy(array.event))
    worst, different = 0.0, 0
    mask = read["mask"][:, 0] > 0
    same &= np.array_equal(mask.sum(axis=1), ak.num(array.constituents))
    pairs = [(read["jet"][:, i].ravel(), ak.to_numpy(array[n])) for i, n in enumerate(JET)]
    for i, name in enumerate(PARTICLE):
        flat = ak.to_numpy(ak.flatten(array.constituents[name]))
        pairs.append((read["particles"][:, i][mask], flat))
    for theirs, ours in pairs:
        ours = ours.astype(np.float32)
        different += int(np.count_nonzero(theirs != ours)) if theirs.shape == ours.shape else JETS
        size = np.abs(ours).sum(dtype=np.float64)
        worst = max(worst, abs(theirs.sum(dtype=np.float64) - ours.sum(dtype=np.float64)) / size)
    return {
        "jets": len(read[label]) if same else 0,
        "labels": int(np.count_nonzero(read[label] == ak.to_numpy(array.label))),
        "values_that_differ": different,
        "largest_difference_of_sums": worst,
    }


def train(python: str, folder: Path, kind: str) -> float:
    """One epoch of the command `weaver` on the CPU; 1 if it wrote its network."""
    weights = folder / f"net_{kind}"
    options = {
        "--data-train": f"{folder}/jets.{kind}",
        "--data-config": f"{folder}/{kind}.yaml",
        "--network-config": f"{folder}/network.py",
        "--model-prefix": str(weights),
        "--gpus": "",
        "--num-workers": "0",
        "--fetch-step": "0.25",
        "--batch-size": "128",
        "--num-epochs": "1",
    }
    command = [str(Path(python).with_name("weaver")), *(t for o in options.items() for t in o)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stderr[-3000:])
    return float(done.returncode == 0 and Path(f"{weights}_epoch-0_state.pt").is_file())


# coffea holds, fivesigma takes


def nano_events(name: str, mode: str) -> Any:
    """The events of a real file as coffea gives them."""
    import warnings

    from coffea.nanoevents import NanoAODSchema, NanoEventsFactory

    warnings.simplefilter("ignore")  # coffea's, about the cross references it does not find
    path = str(REAL_DATA / "root_files" / f"{name}.root")
    return NanoEventsFactory.from_root(
        {path: "Events"}, schemaclass=NanoAODSchema, mode=mode
    ).events()


def untrained() -> Any:
    """A particle-flow network with random weights, as a run."""
    import torch

    from fivesigma.inputs import Inputs
    from fivesigma.models import build
    from fivesigma.runs import Run

    features = len(Inputs().features)
    inputs = Inputs(mean=(0.0,) * features, scale=(1.0,) * features)
    torch.manual_seed(1)
    form = {"inputs": inputs.to_dict(), "classes": list(CLASSES), "model": "pfn", "summary": {}}
    network = build("pfn", 2, inputs, {}).eval()
    return Run(Path("untrained"), form, network, torch.device("cpu"))


def coffea_checks(name: str, mode: str, folder: Path) -> Iterator[tuple[str, Callable[[], bool]]]:
    """Names and checks, each on events that nothing was read of yet."""
    import awkward as ak

    from fivesigma.expressions import parse, select
    from fivesigma.formats import open_file
    from fivesigma.formats.nanoevents import from_nanoevents
    from fivesigma.formats.writers import write
    from fivesigma.preparation import build_cache

    path, collections = REAL_DATA / "root_files" / f"{name}.root", ["fatjets", "muons", "event"]
    cut = "count(Jet.pt > 30) >= 4"

    whole = nano_events(name, mode)

    def events() -> Any:
        return whole if mode == "eager" else nano_events(name, mode)

    def file(columns: list[str]) -> Any:
        with open_file(path) as source:
            return source.read(columns)

    def expression() -> bool:
        found = ak.to_numpy(parse(cut)(events()))
        return bool(
            (found == ak.to_numpy(parse(cut.lower().replace("jet", "jets"))(file(["jets"])))).all()
        )

    def taken() -> bool:
        ours, theirs = file(collections), from_nanoevents(events(), collections)
        names = [f for f in ours.fatjets.fields if f in theirs.fatjets.fields]
        return bool(
            ak.array_equal(ours.muons, theirs.muons)
            and ak.array_equal(ours.fatjets[names], theirs.fatjets[names])
            and ak.array_equal(ours.event.event, theirs.event.event)
        )

    def selected() -> bool:
        kept = from_nanoevents(select(events(), cut), ["fatjets.constituents.pt", "event.event"])
        mask = parse("count(jets.pt > 30) >= 4")(file(["jets"]))
        ours = file(["fatjets.constituents.pt", "event.event"])[mask]
        return bool(ak.array_equal(ak.to_packed(ours), kept))

    def cached() -> bool:
        inputs = untrained().inputs
        caches = [
            build_cache(ak.flatten(each.fatjets), inputs)
            for each in (file(["fatjets"]), from_nanoevents(events(), ["fatjets"]))
        ]
        return len(caches[0]) > 0 and np.array_equal(caches[0].values, caches[1].values)

    def scored() -> bool:
        run = untrained()
        jets = from_nanoevents(events(), ["fatjets"]).fatjets
        return np.array_equal(
            run.predict(ak.flatten(jets)), run.predict(ak.flatten(file(["fatjets"]).fatjets))
        )

    yield "expression", expression
    yield "from_nanoevents", taken
    yield "selection", selected
    yield "build_cache", cached
    yield "predict", scored

    for kind in ("root", "rntuple", "hdf5", "npz", "parquet"):

        def written(kind: str = kind) -> bool:
            few = select(events(), cut)[["Muon", "Jet"]]
            target = folder / f"{name}_{mode}.{kind}"
            write(few, target, format=kind, kind="events")
            with open_file(target) as source:
                back = source.read(["Muon.pt", "Jet.eta"])
            return all(
                np.array_equal(
                    ak.to_numpy(ak.flatten(back[c][f])), ak.to_numpy(ak.flatten(few[c][f]))
                )
                and bool(ak.all(ak.num(back[c]) == ak.num(few[c])))
                for c, f in (("Muon", "pt"), ("Jet", "eta"))
            )

        yield f"write_{kind}", written


def coffea_side(folder: Path) -> None:
    """In coffea's environment: all checks."""
    found: dict[str, Any] = {}
    for name in REAL:
        for mode in ("virtual", "eager"):
            for check, passes in coffea_checks(name, mode, folder):
                try:
                    good = passes()
                except Exception as error:  # all others are still wanted
                    good = False
                    sys.stderr.write(f"{name} {mode} {check}: {type(error).__name__}: {error}\n")
                found[f"coffea/{name}/{mode}/{check}"] = float(good)
    (folder / "coffea.json").write_text(json.dumps(found))


# both


def environment(folder: Path, name: str, steps: list[list[str]]) -> str:
    """A new environment, its packages installed in steps; its Python."""
    subprocess.run([sys.executable, "-m", "venv", str(folder / name)], check=True)
    python = str(folder / name / "bin" / "python")
    for packages in steps:
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    return python


def other_side(python: str, side: str, folder: Path) -> None:
    """This script in another environment."""
    command = [python, str(Path(__file__).resolve()), "--side", side, "--folder", str(folder)]
    subprocess.run(command, cwd=folder, check=True)


def figure(value: float, unit: str, reference: str) -> dict[str, Any]:
    """A number that is exact."""
    return {"value": value, "low": value, "high": value, "unit": unit, "reference": reference}


def measure(folder: Path, weaver: str | None, coffea: str | None) -> dict[str, Any]:
    """All figures."""
    figures: dict[str, Any] = {}
    array = write_files(folder)
    python = weaver or environment(folder, "weaver", PACKAGES["weaver"])
    other_side(python, "weaver", folder)
    for kind in ("root", "parquet"):
        with np.load(folder / f"read_{kind}.npz") as read:
            numbers = compare_weaver(array, read)
        numbers["epoch_trained"] = train(python, folder, kind)
        for key, value in numbers.items():
            print(f"weaver {kind:8s} {key:28s} {value:g}", flush=True)
            figures[f"weaver/{kind}/{key}"] = figure(value, "", f"{JETS} jets as written")
    if not (REAL_DATA / "root_files").is_dir():
        print(f"coffea: left out, no real data in {REAL_DATA}")
        return figures
    other_side(coffea or environment(folder, "coffea", PACKAGES["coffea"]), "coffea", folder)
    for key, value in json.loads((folder / "coffea.json").read_text()).items():
        print(f"{key:44s} {value:g}", flush=True)
        figures[key] = figure(value, "", "the same by fivesigma from the file; 1: equal")
    return figures


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weaver", help="a Python that has weaver-core")
    parser.add_argument("--coffea", help="a Python that has coffea and fivesigma")
    parser.add_argument("--side", choices=("weaver", "coffea"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        {"weaver": weaver_side, "coffea": coffea_side}[given.side](given.folder)
        return
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder), given.weaver, given.coffea)
    print(json.dumps({"benchmark": "interchange", "figures": figures}))


if __name__ == "__main__":
    main()
