"""How fast events leave signals in a whole detector: hits, cells and segments, one thread.

    python benchmarks/detector.py [--rounds 5] [--events 20] [--detector atlas]

- particles_per_second: charged stable particles of ttbar events through tracker, calorimeters and
  muon system, with everything that electronics add; the neutral ones go with them. Bar: 5000.
- pileup40_event_seconds: a ttbar event with 40 collisions of pile-up out of a library. Bar: 2 s.
- pileup40_full_event_seconds: the same, the 40 collisions carried through the detector anew.
- transport_seconds, measure_seconds: both steps of a ttbar event without pile-up.
- peak_memory: of the process.

CPU time, which other work on the machine disturbs less than wall time; wall time is printed beside
it. Median of the rounds, extremes as low and high; the first round, which compiles or loads
compiled code, does not count. Events are generated before.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"

import awkward as ak
import numpy as np

from fivesigma.detector.mixing import library, mix, spread
from fivesigma.detector.signals import measure, stable, transport
from fivesigma.generation.options import Generation
from fivesigma.generation.pythia import Generator
from fivesigma.geometry import Detector, detector

COLLISIONS, POOL = 40, 80


def processor() -> str:
    """The processor's name, as the system tells it."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """CPU and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def signals(truth: ak.Array, preset: Detector, rng: np.random.Generator) -> None:
    """Hits, cells and segments."""
    measure(transport(stable(truth), len(truth), preset, rng), len(truth), preset, rng)


def mixed(truth: ak.Array, pool: dict, preset: Detector, rng: np.random.Generator) -> None:
    """The same with pile-up out of a library."""
    n = len(truth)
    left = transport(stable(truth), n, preset, rng)
    left, _ = mix(left, truth, pool, np.full(n, COLLISIONS), rng)
    measure(left, n, preset, rng, pileup=COLLISIONS)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--events", type=int, default=20)
    parser.add_argument("--detector", default="atlas")
    options = parser.parse_args()
    preset, rng = detector(options.detector), np.random.default_rng(1)
    truth = Generator(Generation("ttbar"), seed=1).next(options.events).truth
    bias = Generator(Generation("minimum-bias"), seed=2).next(POOL).truth
    bias = spread(bias, rng)
    pool = library(transport(stable(bias), POOL, preset, rng), bias)
    # one event of the hard process and forty others
    crowd = ak.flatten(ak.concatenate([truth[:1], bias[:COLLISIONS]]), axis=1)[None]
    few = truth[: max(1, options.events // 4)]
    charged = int(ak.sum((truth.status > 0) & (truth.charge != 0)))
    kept: dict[str, object] = {}

    def first() -> None:
        kept["left"] = transport(stable(truth), len(truth), preset, rng)

    def second() -> None:
        measure(kept["left"], len(truth), preset, rng)  # type: ignore[arg-type]

    sides: dict[str, tuple[Callable[[], object], int]] = {
        "transport_seconds": (first, len(truth)),
        "measure_seconds": (second, len(truth)),
        "pileup40_event_seconds": (lambda: mixed(few, pool, preset, rng), len(few)),
        "pileup40_full_event_seconds": (lambda: signals(crowd, preset, rng), 1),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for number in range(options.rounds + 1):
        for name, (work, events) in sides.items():
            cpu, wall = timed(work)
            if number:
                found[name].append((cpu / events, wall / events))
    cpu = {name: [each[0] for each in values] for name, values in found.items()}
    both = zip(cpu["transport_seconds"], cpu["measure_seconds"], strict=True)
    cpu["particles_per_second"] = [charged / len(truth) / (one + two) for one, two in both]
    report(cpu, found, options.detector, charged / len(truth))


def report(
    cpu: dict[str, list[float]], found: dict[str, list[tuple[float, float]]], name: str,
    charged: float,
) -> None:  # fmt: skip
    """Lines for people and the JSON line."""
    bars = {"particles_per_second": "5000", "pileup40_event_seconds": "2",
            "pileup40_full_event_seconds": "2"}  # fmt: skip
    print(f"{processor()}, 1 thread, {name}, {charged:.0f} charged particles a ttbar event,")
    print("CPU time, median of the rounds (extremes), wall time")
    figures = {}
    for key, values in sorted(cpu.items()):
        unit = "particles/s" if key == "particles_per_second" else "s"
        middle, low, high = statistics.median(values), min(values), max(values)
        wall = f"{statistics.median(each[1] for each in found[key]):.3g} s" if key in found else ""
        print(f"{key:30s}{middle:10.4g} ({low:.4g} to {high:.4g}) {unit:12s} {wall}")
        figures[key] = {
            "value": middle, "low": low, "high": high, "unit": unit,
            "reference": bars.get(key, ""),
        }  # fmt: skip
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{'peak_memory':30s}{memory:10.0f} MiB")
    figures["peak_memory"] = {
        "value": memory, "low": memory, "high": memory, "unit": "MiB", "reference": "",
    }  # fmt: skip
    print(json.dumps({"benchmark": "detector", "figures": figures}))


if __name__ == "__main__":
    main()
