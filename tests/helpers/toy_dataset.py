"""A toy dataset for tests of production.

As a script it makes one with two workers: folder, seconds a shard, log of the workers' numbers.
"""

import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import awkward as ak
import numpy as np

from fivesigma.datasets import Dataset, Shard, produce

SHARDS = 8
SETTINGS = {"seed": 5, "pt": {"min": 500.0, "max": 700.0}, "classes": ["qcd", "top"]}


def jets(index: int, n: int = 40) -> ak.Array:
    """Jets with constituents; shard `index` depends on `index` alone."""
    rng = np.random.default_rng([5, index])
    counts = rng.poisson(6, n)
    total = counts.sum()
    constituents = ak.zip(
        {
            "pt": rng.exponential(10, total).astype(np.float32),
            "charge": rng.integers(-1, 2, total).astype(np.int8),
            "pdg_id": rng.choice([211, 130, 22], total).astype(np.int32),
        }
    )
    return ak.zip(
        {
            "pt": rng.uniform(500, 700, n).astype(np.float32),
            "event": np.arange(n, dtype=np.uint64) + np.uint64(index * 1_000_000),
            "label": np.full(n, index % 2, np.int16),
            "weight": rng.normal(1, 0.1, n),
            "matched": rng.random(n) < 0.5,
            "constituents": ak.unflatten(constituents, counts),
        },
        depth_limit=1,
    )


def make(
    index: int,
    seconds: float = 0.0,
    broken: Sequence[int] = (),
    deadly: Sequence[int] = (),
    log: str = "",
) -> Shard:
    """Make a shard, or fail, or kill the worker; writes the worker's process number to `log`."""
    if multiprocessing.parent_process() and os.environ["OMP_NUM_THREADS"] != "1":
        raise RuntimeError("workers must have one thread")
    if log:
        with Path(log).open("a") as file:
            file.write(f"{os.getpid()}\n")
    time.sleep(seconds)
    if index in broken:
        raise Unpicklable("boom", index)
    if index in deadly:
        os._exit(9)
    events = jets(index)[["event", "weight"]]
    info = {
        "seed": index,
        "versions": {"toy": "1.0"},
        "process": SETTINGS["classes"][index % 2],
        "n_generated": np.int64(100 + index),
        "sum_of_weights": float(ak.sum(events.weight)),
        "cross_section_pb": 10.0 + index,
        "cross_section_error_pb": 1.0,
    }
    return Shard({"jets": jets(index), "event": events}, info)


class Unpicklable(Exception):
    """Such an exception, sent back by a worker, breaks a process pool."""

    def __init__(self, text: str, index: int) -> None:
        super().__init__(f"{text} in shard {index}")


def toy(folder: str, workers: int = 1, overwrite: bool = False, **options) -> Dataset:
    """The whole toy dataset; `options` go to `make`."""
    return produce(
        folder,
        partial(make, **options),
        SHARDS,
        kind="toy",
        settings=SETTINGS,
        workers=workers,
        overwrite=overwrite,
    )


def small(folder: Path, arrays: Sequence[ak.Array], **options) -> Dataset:
    """A dataset with one collection, a shard for each array."""
    made = [Shard({"jets": array}) for array in arrays]
    return produce(folder, made.__getitem__, len(made), kind="test", settings={}, **options)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, but the lock, with its bytes."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(p.relative_to(folder)): p.read_bytes() for p in files if p.name != ".lock"}


def truncate(path: Path) -> None:
    """Take the last bytes of a file away."""
    path.write_bytes(path.read_bytes()[:-7])


if __name__ == "__main__":
    toy(sys.argv[1], workers=2, seconds=float(sys.argv[2]), log=sys.argv[3])
