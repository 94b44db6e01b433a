"""Pseudo-experiments and CLs of the compiled likelihood against plain pyhf.

CMS H -> ZZ -> 4l (37 bins, 3 parameters) and ATLAS SUSY-2018-31 (64 parameters, 6 bins) from the
real data ($FIVESIGMA_REAL_DATA, default ../shared/data). Run it on an otherwise idle machine:

    python benchmarks/inference.py

- toys_per_second: discovery pseudo-experiments of the 4l model, drawn and fitted twice each, with
  and without signal, on 2 threads; median over rounds.
- toys_speedup_over_pyhf: that over the rate of pyhf (NumPy, SciPy's SLSQP) fitting those of the
  same model, in the same rounds, in alternation.
- susy_cls_seconds: observed and expected CLs of RegionA, sbottom_1300_205_60, from the files in
  the archive to the answer, once all is compiled. `--pyhf` times pyhf for it once.

`selection.py` measures selection_khz_per_core.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import statistics
import sys
import time
from pathlib import Path

THREADS = 2
os.environ["NUMBA_NUM_THREADS"] = str(THREADS)
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[name] = "1"
ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import numpy as np
import pyhf
from helpers.workspaces import higgs_4l

from fivesigma import statistics as fs

REAL_DATA = Path(os.environ.get("FIVESIGMA_REAL_DATA", ROOT.parent / "shared" / "data"))
ARCHIVE = REAL_DATA / "likelihoods" / "pyhf-ins1748602-probability-models.tar.gz"
REGION, PATCH = ARCHIVE / "RegionA" / "BkgOnly.json", "patch.sbottom_1300_205_60.json"
#: published answers and how near ours must be
OBSERVED, EXPECTED, NEAR = 0.2444, 0.3841, 1e-3
ROUNDS, TOYS, TOYS_PYHF = 5, 20_000, 20


def ours(model: fs.Model, seed: int) -> float:
    """Discovery pseudo-experiments a second."""
    begin = time.perf_counter()
    drawn = fs.toys(model, mu=0.0, n=TOYS, seed=seed)
    rate = TOYS / (time.perf_counter() - begin)
    if drawn.failed:
        print(f"round {seed}: {drawn.note}")
    return rate


def theirs(workspace: dict, seed: int) -> float:
    """The same with pyhf: data drawn from the model, q0 of each."""
    read = pyhf.Workspace(workspace)
    model = read.model()
    config = model.config
    point = np.array(config.suggested_init())
    point[config.poi_index] = 0.0
    np.random.seed(seed)  # noqa: NPY002 (pyhf draws from the global generator)
    begin = time.perf_counter()
    for data in model.make_pdf(point).sample((TOYS_PYHF,)):
        pyhf.infer.test_statistics.q0(
            0.0, data, model, config.suggested_init(), config.suggested_bounds(),
            config.suggested_fixed(),
        )  # fmt: skip
    return TOYS_PYHF / (time.perf_counter() - begin)


def susy() -> float:
    """Seconds for the published CLs; refuses wrong answers."""
    begin = time.perf_counter()
    found = fs.cls(fs.load(REGION, patch=PATCH), 1.0)
    seconds = time.perf_counter() - begin
    answers = found.observed[0], found.expected[fs.BANDS.index(0), 0]
    print(f"SUSY-2018-31: CLs {answers[0]:.5f}, expected {answers[1]:.5f} in {seconds:.3f} s")
    if abs(answers[0] - OBSERVED) > NEAR or abs(answers[1] - EXPECTED) > NEAR:
        message = f"CLs differ from the published {OBSERVED} and {EXPECTED} by more than {NEAR}"
        raise SystemExit(message)
    return seconds


def susy_with_pyhf() -> float:
    """Seconds of pyhf for the same."""
    begin = time.perf_counter()
    read = pyhf.Workspace(fs.read_workspace(REGION, patch=PATCH))
    model = read.model()
    found = pyhf.infer.hypotest(1.0, read.data(model), model, test_stat="qtilde")
    seconds = time.perf_counter() - begin
    print(f"SUSY-2018-31 with pyhf: CLs {float(found):.5f} in {seconds:.1f} s")
    return seconds


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
    """Measure all figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pyhf", action="store_true", help="also time pyhf's CLs, half a minute")
    options = parser.parse_args()
    logging.getLogger("pyhf").setLevel(logging.ERROR)
    workspace = higgs_4l(REAL_DATA)
    model = fs.build(workspace)
    fs.toys(model, n=100)  # compiled code is loaded, or made once
    rates, speedups = [], []
    for seed in range(1, ROUNDS + 1):
        rates.append(ours(model, seed))
        plain = theirs(workspace, seed)
        speedups.append(rates[-1] / plain)
        print(f"round {seed}: {rates[-1]:.0f} toys/s against {plain:.1f}")
    susy()
    seconds = [susy() for _ in range(ROUNDS)]
    reference = f"pyhf {susy_with_pyhf():.1f} s" if options.pyhf else "pyhf 22.7 s (README)"
    print(
        f"machine: {platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"{THREADS} threads"
    )
    print(
        json.dumps(
            {
                "benchmark": "inference",
                "figures": {
                    "toys_per_second": figure(rates, "1/s", "2 threads; target 3000"),
                    "toys_speedup_over_pyhf": figure(speedups, "", "pyhf, NumPy and SLSQP"),
                    "susy_cls_seconds": figure(seconds, "s", reference),
                },
            }
        )
    )


if __name__ == "__main__":
    main()
