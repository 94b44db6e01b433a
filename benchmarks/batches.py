"""How fast cached jets reach a network as ready batches, on one core.

    python benchmarks/batches.py

- jets_per_second: batches of 512 jets with the seven inputs of the PFN, shuffled, in buckets of
  like length, as torch tensors with their masks.
- jets_per_second_padded: the same jets one by one in NumPy, padded to 128; what one would write
  without this package. Both sides in the same run, in alternation.
- speed_up: the first over the second.
- image_jets_per_second: batches of 512 images of 40 x 40 pixels.
- cache_jets_per_second, image_cache_jets_per_second: from an Awkward array to the cache.

The toy jets have as many constituents as jets of 600 GeV: about 50, at most 120.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"

import awkward as ak
import numpy as np
import torch

from fivesigma.batches import Batches, Cache, Inputs, build_cache
from fivesigma.models import MODELS

ROUNDS = 9
JETS = 20_000
BATCH = 512
PADDED = 128


def toy_jets(n: int, seed: int = 1) -> ak.Array:
    """Jets whose constituents fall steeply in pT around an axis."""
    rng = np.random.default_rng(seed)
    counts = rng.normal(50, 16, n).clip(5, 120).astype(int)
    row = np.repeat(np.arange(n), counts)
    axis = {"pt": rng.uniform(550, 650, n), "eta": rng.uniform(-2, 2, n)}
    axis |= {"phi": rng.uniform(-3, 3, n), "mass": rng.uniform(50, 200, n)}
    columns = {
        "pt": (rng.exponential(12, len(row)) + 0.5),
        "eta": axis["eta"][row] + rng.laplace(0, 0.15, len(row)),
        "phi": axis["phi"][row] + rng.laplace(0, 0.15, len(row)),
        "mass": np.full(len(row), 0.14),
        "charge": rng.integers(-1, 2, len(row)),
    }
    order = np.lexsort((-columns["pt"], row))
    flat = ak.zip({k: np.asarray(v[order], np.float32) for k, v in columns.items()})
    jets = ak.Array(
        {k: v.astype(np.float32) for k, v in axis.items()} | {"label": np.arange(n) % 2}
    )
    return ak.with_field(jets, ak.unflatten(flat, counts), "constituents")


def ready(cache: Cache, epoch: int) -> None:
    """All batches of one epoch."""
    seen = sum(len(batch.x) for batch in Batches(cache, BATCH, shuffle=True).epoch(epoch))
    if seen != len(cache):
        message = f"{seen} of {len(cache)} jets"
        raise RuntimeError(message)


def padded(cache: Cache, epoch: int) -> None:
    """The plain way: one jet after the other into arrays of full length."""
    rows = np.random.default_rng(epoch).permutation(len(cache))
    for begin in range(0, len(rows), BATCH):
        part = rows[begin : begin + BATCH]
        x = np.zeros((len(part), PADDED, cache.values.shape[1]), np.float32)
        mask = np.zeros((len(part), PADDED), bool)
        for i, row in enumerate(part):
            jet = cache.values[cache.begin[row] :][: cache.count[row]]
            x[i, : len(jet)] = jet
            mask[i, : len(jet)] = True
        torch.from_numpy(x), torch.from_numpy(mask)


def rates(sides: dict[str, Callable[[int], object]]) -> dict[str, list[float]]:
    """Jets/s of each side, in alternation; the first round, which compiles, does not count."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for k in range(ROUNDS + 1):
        for name, side in sides.items():
            started = time.perf_counter()
            side(k)
            if k:
                found[name].append(JETS / (time.perf_counter() - started))
    return found


def processor() -> str:
    """The processor's name, as the system tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    jets = toy_jets(JETS)
    sets = Inputs(features=MODELS["pfn"].features, max_constituents=PADDED)
    image = Inputs(kind="image", features=(), max_constituents=200)
    constituents, images = build_cache(jets, sets), build_cache(jets, image)
    found = rates(
        {
            "jets_per_second": lambda k: ready(constituents, k),
            "jets_per_second_padded": lambda k: padded(constituents, k),
            "image_jets_per_second": lambda k: ready(images, k),
            "cache_jets_per_second": lambda k: build_cache(jets, sets),
            "image_cache_jets_per_second": lambda k: build_cache(jets, image),
        }
    )
    pairs = zip(found["jets_per_second"], found["jets_per_second_padded"], strict=True)
    found["speed_up"] = [ours / plain for ours, plain in pairs]
    counts = constituents.count
    print(f"{processor()}, 1 thread, {JETS} jets of {counts.mean():.1f} constituents on average,")
    print(f"{counts.max()} at most, batches of {BATCH}, median of {ROUNDS} rounds (extremes)")
    figures = {}
    for name, values in found.items():
        middle, low, high = statistics.median(values), min(values), max(values)
        unit = "" if name == "speed_up" else "jets/s"
        reference = "padded to 128 in NumPy" if name.startswith(("jets", "speed")) else "none"
        print(f"{name:30s}{middle:12.4g} ({low:.4g} to {high:.4g}) {unit}")
        figures[name] = {
            "value": middle, "low": low, "high": high, "unit": unit, "reference": reference,
        }  # fmt: skip
    print(json.dumps({"benchmark": "batches", "figures": figures}))


if __name__ == "__main__":
    main()
