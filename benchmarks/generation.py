"""What comes after PYTHIA costs how much, how well workers scale, and how much memory it takes.

Recipe `top-tagging`, one thread a worker. Run it on an otherwise idle machine:

    python benchmarks/generation.py

- overhead_after_pythia: CPU time of making and writing shards over that of PYTHIA alone for the
  same events (same seeds, `nextBatch` and nothing else), minus 1; alternating, median over rounds.
- two_worker_scaling: jets/s of two workers over one, wall time, start of the workers included, for
  12 000 jets; two workers before and after one.
- peak_memory_gb: parent and two workers together, an upper bound from their largest sizes; taken
  for 4000 and 12 000 jets.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"

import pythia8mc

from fivesigma.datasets import produce
from fivesigma.generation.pythia import seed_of, settings_lines
from fivesigma.shards import write_shard
from fivesigma.workflows.chain import Jets
from fivesigma.workflows.recipes import RECIPES

RECIPE = RECIPES["top-tagging"]
ROUNDS = 5
SHARD = 500
#: for scaling and memory: jets in a shard, and two numbers of shards
LARGE_SHARD = 1000
FEW, MANY = 4, 12


def task(seed: int, size: int = SHARD) -> Jets:
    """What makes the shards."""
    return Jets(RECIPE, pileup=None, seed=seed, shard_size=size)


def pythia_alone(seed: int, index: int, events: int) -> float:
    """CPU seconds of PYTHIA for the events of one shard, its start included."""
    sample = RECIPE.samples[index % len(RECIPE.samples)]
    generation = replace(RECIPE.generation, process=sample.process)
    begin = time.process_time()
    pythia = pythia8mc.Pythia("", False)
    for line in settings_lines(generation, seed_of(seed, index)):
        pythia.readString(line)
    pythia.init()
    for _ in range(0, events, 100):
        pythia.nextBatch(100, "none")
    return time.process_time() - begin


def overhead(folder: Path) -> list[float]:
    """Overheads of `ROUNDS` rounds, both classes together in each."""
    (folder / "warm").mkdir()
    write_shard(folder / "warm", 0, task(0, 20)(0))  # compiled code is loaded
    ratios = []
    for seed in range(1, ROUNDS + 1):
        place = folder / str(seed)
        place.mkdir()
        whole = pythia = 0.0
        for index in range(len(RECIPE.samples)):
            begin = time.process_time()
            record = write_shard(place, index, task(seed)(index))
            whole += time.process_time() - begin
            # whole batches of 100, as the shard took them
            events = -(-record["info"]["n_generated"] // 200) * 200
            pythia += pythia_alone(seed, index, events)
        ratios.append(whole / pythia - 1)
        print(f"overhead, round {seed}: {whole:.2f} s against {pythia:.2f} s: {ratios[-1]:.3f}")
    return ratios


def rate(folder: Path, workers: int, shards: int, seed: int) -> float:
    """Jets per second of wall time."""
    begin = time.perf_counter()
    made = produce(
        folder, task(seed, LARGE_SHARD), shards, kind="jets", settings={"seed": seed},
        classes=["top", "qcd"], workers=workers,
    )  # fmt: skip
    jets_per_second = made.counts["jets"] / (time.perf_counter() - begin)
    print(f"{workers} workers, {shards} shards: {jets_per_second:.1f} jets/s")
    return jets_per_second


def memory_gb() -> float:
    """Parent and two workers; ru_maxrss is in kB on Linux, and of children that of the largest."""
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return (own + 2 * child) / 1e6


def figure(values: list[float], unit: str, reference: str) -> dict[str, object]:
    """Median and extremes."""
    return {
        "value": round(statistics.median(values), 4),
        "low": round(min(values), 4),
        "high": round(max(values), 4),
        "unit": unit,
        "reference": reference,
    }


def main() -> None:
    """Measure all three figures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ratios = overhead(folder)
        rate(folder / "few", 2, FEW, seed=10)
        memories = [memory_gb()]
        first = rate(folder / "first", 2, MANY, seed=11)
        memories.append(memory_gb())
        one = rate(folder / "one", 1, MANY, seed=11)
        second = rate(folder / "second", 2, MANY, seed=11)
        scalings = [first / one, second / one]
    print(f"machine: {platform.processor() or platform.machine()}, {os.cpu_count()} cores")
    print(
        json.dumps(
            {
                "benchmark": "generation",
                "figures": {
                    "overhead_after_pythia": figure(
                        ratios, "", "CPU time of PYTHIA alone, same events"
                    ),
                    "two_worker_scaling": figure(scalings, "", "one worker, wall time"),
                    "peak_memory_gb": {
                        **figure(memories, "GB", "parent and two workers, two sizes"),
                        "value": round(max(memories), 4),
                    },
                },
            }
        )
    )


if __name__ == "__main__":
    main()
