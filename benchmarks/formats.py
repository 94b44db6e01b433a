"""How fast ROOT files become batches, against uproot's bare reading of the same branches.

    python benchmarks/formats.py

- jetclass_read_ratio: 200 000 jets in the layout of JetClass, ZSTD, read into batches of 512 jets
  with seven features each, over uproot reading the same branches and doing nothing with them.
- nanoaod_read_ratio: likewise for the large jets of 110 000 events in the layout of PFNano, with
  candidates that jets point to; muons, small jets and other branches are there and not read.
- dataset_speedup_zstd, dataset_speedup_lzma: the JetClass file into batches, over the dataset that
  `fivesigma convert` makes of it, with the network's inputs kept in it as every training after
  the first finds them (`train --keep_inputs`).
- dataset_first_speedup_zstd, dataset_first_speedup_lzma: likewise without kept inputs: both sides
  compute features.
- convert_peak_over_limit: peak memory of `fivesigma convert --memory 500MB` on a file of five
  times that size, over the limit.

fivesigma may use two threads beside the one that reads ahead; uproot is called as it comes, with
one. Sides of a ratio alternate; values are medians with the extremes.
Files are written into a temporary folder (about 4 GB) that is removed afterwards.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
os.environ["NUMBA_NUM_THREADS"] = "2"

import awkward as ak
import numpy as np
import pyarrow
import torch
import uproot

from fivesigma.batches import Batches, Inputs, build_cache
from fivesigma.datasets import SPLITS, Dataset
from fivesigma.formats import open_file
from fivesigma.workflows.caches import split_caches
from fivesigma.workflows.convert import convert
from fivesigma.workflows.selection import flat_jets

JETS, EVENTS, CHUNK = 200_000, 110_000, 50_000
ROUNDS, SLOW_ROUNDS = 5, 3
LIMIT = 500_000_000
CLASSES = ["QCD", "Hbb", "Hcc", "Hgg", "H4q", "Hqql", "Zqq", "Wqq", "Tbqq", "Tbl"]
MOMENTUM = ("pt", "eta", "phi", "mass")
INPUTS = Inputs(kind="constituents")


def particles(counts: np.ndarray, rng: np.random.Generator) -> tuple[dict, dict]:
    """Constituents that fall steeply in pT around the axes of their jets; axes, constituents."""
    total, row = int(counts.sum()), np.repeat(np.arange(len(counts)), counts)
    axis = {"eta": rng.normal(0, 1, len(counts)), "phi": rng.uniform(-3.1, 3.1, len(counts))}
    pt = np.exp(rng.normal(1.2, 1.1, total))
    pt = pt[np.lexsort((-pt, row))]
    eta = axis["eta"][row] + rng.laplace(0, 0.15, total)
    phi = (axis["phi"][row] + rng.laplace(0, 0.15, total) + np.pi) % (2 * np.pi) - np.pi
    return axis, {"pt": pt, "eta": eta, "phi": phi, "mass": np.full(total, 0.13957)}


def rounded(values: np.ndarray, bits: int = 10) -> np.ndarray:
    """Mantissas cut to so many bits, as NanoAOD stores them."""
    whole = values.astype(np.float32).view(np.uint32)
    return (whole & np.uint32(0xFFFFFFFF << (23 - bits) & 0xFFFFFFFF)).view(np.float32)


def jetclass_chunk(n: int, rng: np.random.Generator) -> dict[str, Any]:
    """Branches of `n` jets in the layout of JetClass."""
    counts = rng.normal(45, 15, n).clip(5, 128).astype(int)
    axis, c = particles(counts, rng)
    row = np.repeat(np.arange(n), counts)
    px, py, pz = (
        c["pt"] * np.cos(c["phi"]),
        c["pt"] * np.sin(c["phi"]),
        c["pt"] * np.sinh(c["eta"]),
    )
    part = {
        "px": px,
        "py": py,
        "pz": pz,
        "energy": np.sqrt(px**2 + py**2 + pz**2 + c["mass"] ** 2),
    }
    total = {name: np.bincount(row, values) for name, values in part.items()}
    part |= {"deta": c["eta"] - axis["eta"][row], "dphi": c["phi"] - axis["phi"][row]}
    part |= {name: rng.normal(0, 0.1, len(row)) for name in ("d0val", "d0err", "dzval", "dzerr")}
    part["charge"] = rng.integers(-1, 2, len(row))
    pt = np.hypot(total["px"], total["py"])
    jet = {"pt": pt, "eta": np.arcsinh(total["pz"] / pt), "energy": total["energy"]}
    jet["phi"] = np.arctan2(total["py"], total["px"])
    jet |= {name: rng.random(n) for name in ("sdmass", "tau1", "tau2", "tau3", "tau4")}
    label = rng.integers(0, len(CLASSES), n)
    columns = {f"jet_{name}": values.astype(np.float32) for name, values in jet.items()}
    columns |= {f"label_{name}": label == i for i, name in enumerate(CLASSES)}
    flat = ak.zip({name: values.astype(np.float32) for name, values in part.items()})
    return {"part": ak.unflatten(flat, counts), **columns}


def nanoaod_chunk(n: int, rng: np.random.Generator) -> dict[str, Any]:
    """Branches of `n` events in the layout of PFNano."""

    def objects(mean: float, names: str) -> ak.Array:
        counts = rng.poisson(mean, n)
        columns = {name: rounded(rng.exponential(30, counts.sum())) for name in names.split()}
        return ak.unflatten(ak.zip(columns), counts)

    jets = 1 + rng.poisson(0.9, n)
    counts = rng.normal(45, 15, jets.sum()).clip(5, 128).astype(int)
    axis, c = particles(counts, rng)
    event_of_jet = np.repeat(np.arange(n), jets)
    per_event = np.bincount(event_of_jet, counts, minlength=n).astype(int)
    number = np.arange(jets.sum()) - np.repeat(np.cumsum(jets) - jets, jets)
    index = np.arange(counts.sum()) - np.repeat(np.cumsum(per_event) - per_event, per_event)
    fields = {name: rounded(values) for name, values in c.items()}
    fields |= {name: rounded(rng.normal(0, 0.1, len(index))) for name in ("d0", "dz", "d0Err")}
    fields["pdgId"] = rng.choice(np.array([211, -211, 22, 130], np.int32), len(index))
    fat = {name: rounded(values) for name, values in axis.items()}
    fat |= {"pt": rounded(rng.exponential(100, len(counts)) + 500)}
    fat |= {name: rounded(rng.random(len(counts))) for name in ("mass", "tau1", "tau2", "btag")}
    pairs = {
        "jetIdx": np.repeat(number, counts).astype(np.int32),
        "pFCandsIdx": index.astype("i4"),
    }
    return {
        "event": np.arange(n, dtype=np.uint64),
        "run": np.ones(n, np.uint32),
        "luminosityBlock": np.ones(n, np.uint32),
        "Muon": objects(1, "pt eta phi mass dxy dz"),
        "Jet": objects(6, "pt eta phi mass area btagDeepFlavB chEmEF chHEF neEmEF neHEF"),
        "FatJet": ak.unflatten(ak.zip(fat), jets),
        "PFCands": ak.unflatten(ak.zip(fields), per_event),
        "FatJetPFCands": ak.unflatten(ak.zip(pairs), per_event),
    }


def write(path: Path, tree: str, chunk: Callable, entries: int, compression: Any) -> None:
    """A file of so many entries, in chunks of different events."""
    rng = np.random.default_rng(1)
    with uproot.recreate(path, compression=compression) as file:
        for at in range(0, entries, CHUNK):
            branches = chunk(min(CHUNK, entries - at), rng)
            if at == 0:
                written = file.mktree(tree, branches)
            else:
                written.extend(branches)


def grow(path: Path, size: int) -> None:
    """A JetClass-like file of at least `size` bytes."""
    rng = np.random.default_rng(2)
    with uproot.recreate(path, compression=uproot.ZSTD(5)) as file:
        branches = jetclass_chunk(CHUNK, rng)
        written = file.mktree("tree", branches)
        while path.stat().st_size < size:
            written.extend(branches)


def columns_of(kind: str) -> list[str]:
    """Fields that the batches need."""
    jets = [*MOMENTUM, *(f"constituents.{name}" for name in MOMENTUM)]
    return [*jets, "label"] if kind == "jetclass" else [f"fatjets.{name}" for name in jets]


def into_batches(path: Path, kind: str) -> int:
    """All jets of a file or dataset as batches; how many."""
    inputs, count = INPUTS, 0
    with open_file(path) as source:
        for events in source.iterate(columns_of(kind), step="50 MB"):
            jets = events
            if kind == "nanoaod":
                jets = flat_jets(events, "fatjets", np.arange(len(events)))
            cache = build_cache(jets, inputs)
            inputs = cache.inputs
            count += sum(len(batch.y) for batch in Batches(cache, 512, shuffle=True).epoch())
    return count


def kept_into_batches(path: Path) -> int:
    """All jets of a dataset as batches, from the inputs kept in it; how many."""
    caches = split_caches(Dataset.open(path), INPUTS, *SPLITS, keep=True)
    epochs = (Batches(cache, 512, shuffle=True).epoch() for cache in caches)
    return sum(len(batch.y) for epoch in epochs for batch in epoch)


def bare(path: Path, branches: list[str]) -> int:
    """What uproot needs to read the branches."""
    with uproot.open(path, object_cache=None, array_cache=None) as file:
        tree = file[file.keys()[0]]
        return len(tree.arrays(branches, library="ak", how=dict))


def alternate(first: Callable, second: Callable, rounds: int) -> list[float]:
    """Ratios of the times of both, one after the other."""
    ratios = []
    for _ in range(rounds + 1):
        times = []
        for side in (first, second):
            begin = time.perf_counter()
            side()
            times.append(time.perf_counter() - begin)
        ratios.append(times[0] / times[1])
        print(f"  {times[0]:.2f} s / {times[1]:.2f} s = {ratios[-1]:.2f}", flush=True)
    return ratios[1:]  # the first round compiled and warmed up


def peak_over_limit(folder: Path) -> float:
    """Peak memory of a conversion over its limit."""
    grow(folder / "large.root", 5 * LIMIT)
    options = ["--out", str(folder / "large"), "--memory", f"{LIMIT / 1e6:.0f} MB", "--quiet"]
    # the peak since the program began: what the system counts for a child includes its parent's
    code = (
        "import sys; from fivesigma.cli import main; status = main(sys.argv[1:]); "
        "print([line.split()[1] for line in open('/proc/self/status') if 'VmHWM' in line][0]); "
        "sys.exit(status)"
    )
    command = [sys.executable, "-c", code, "convert", str(folder / "large.root"), *options]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    shutil.rmtree(folder / "large")
    (folder / "large.root").unlink()
    return int(done.stdout.split()[-1]) * 1024 / LIMIT


def figure(ratios: list[float], reference: str) -> dict[str, Any]:
    """Median and extremes."""
    return {
        "value": statistics.median(ratios),
        "low": min(ratios),
        "high": max(ratios),
        "unit": "",
        "reference": reference,
    }


def measure(folder: Path) -> dict[str, Any]:
    """All figures."""
    bare_read = f"uproot {uproot.__version__}, the same branches"
    figures: dict[str, Any] = {}
    files = {
        "jetclass": (folder / "jetclass.root", "tree", jetclass_chunk, JETS),
        "nanoaod": (folder / "nanoaod.root", "Events", nanoaod_chunk, EVENTS),
    }
    for kind, (path, tree, chunk, entries) in files.items():
        write(path, tree, chunk, entries, uproot.ZSTD(5))
        with open_file(path) as source:
            names = source.layout.only(columns_of(kind)).columns()
            branches = list(dict.fromkeys(names))
        print(f"{kind}: {into_batches(path, kind)} jets, {len(branches)} branches")
        ratios = alternate(
            partial(into_batches, path, kind), partial(bare, path, branches), ROUNDS
        )
        figures[f"{kind}_read_ratio"] = figure(ratios, bare_read)
    path = files["jetclass"][0]
    convert([str(path)], out=folder / "dataset", quiet=True)
    slow = folder / "lzma.root"
    write(slow, "tree", jetclass_chunk, JETS, uproot.LZMA(1))
    dataset = folder / "dataset"
    sides = {
        "": (partial(kept_into_batches, dataset), "the dataset converted from it, inputs kept"),
        "_first": (partial(into_batches, dataset, "jetclass"), "the dataset converted from it"),
    }
    for name, file, rounds in (("zstd", path, ROUNDS), ("lzma", slow, SLOW_ROUNDS)):
        for which, (side, reference) in sides.items():
            ratios = alternate(partial(into_batches, file, "jetclass"), side, rounds)
            figures[f"dataset{which}_speedup_{name}"] = figure(ratios, reference)
    figures["convert_peak_over_limit"] = figure([peak_over_limit(folder)], "--memory 500 MB")
    return figures


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    pyarrow.set_cpu_count(2)
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder))
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, two threads"
    print(json.dumps({"benchmark": "formats", "machine": machine, "figures": figures}))


if __name__ == "__main__":
    main()
