"""How fast `fivesigma select` is on a selection like that of the Analysis Grand Challenge.

    python benchmarks/selection.py

- selection_khz_per_core: events per second of CPU time, of one process with one thread, from the
  ROOT file to the histograms that are kept. 500 000 events in the layout of NanoAOD (ZSTD, 52
  branches of which 22 are read): exactly one lepton with pT > 25 GeV, at least four jets with
  pT > 25 GeV, one b tag (control region: HT) or two (signal region: mass of the three leading
  jets), and all of it again with the jet energies scaled and smeared. Reference: 0.70 kHz per
  worker, the process time of the coffea implementation of the AGC ttbar task (stored run of
  iris-hep/analysis-grand-challenge), on another machine and with more systematics.
- selection_khz_wall: likewise per second on the clock, which other work on the machine slows.

Every round selects anew. Values are medians with the extremes.
The file is written into a temporary folder (about 250 MB) that is removed afterwards.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

for variable in (
    *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
    "NUMBA_NUM_THREADS",
):
    os.environ[variable] = "1"

import awkward as ak
import numpy as np
import uproot

from fivesigma.formats import open_file
from fivesigma.results import Result
from fivesigma.search import Analysis, Binning, Input, ObjectVariation, Region, Sample
from fivesigma.search.selection import selecting
from fivesigma.workflows.findings import cutflow
from fivesigma.workflows.selecting import select_all

EVENTS, CHUNK, ROUNDS = 500_000, 50_000, 5

#: AGC's selection (arXiv:2304.05214), with the mass of the three leading jets for that of the
#: three of the largest pT
ANALYSIS = Analysis(
    title="AGC-like selection",
    luminosity=3378.0,
    samples={
        "ttbar": Sample(
            kind="signal",
            inputs=(Input(files=("ttbar.root",), cross_section=729.84),),
            weight="event.weight",
        )
    },
    objects={
        "electrons": "pt > 25 and abs(eta) < 2.1 and cutBased == 4 and sip3d < 4",
        "muons": "pt > 25 and abs(eta) < 2.1 and tightId and sip3d < 4 and pfRelIso04_all < 0.15",
        "jets": "pt > 25 and abs(eta) < 2.4 and jetId == 6",
    },
    define={
        "bjets": "count(jets.btagCSVV2 > 0.5)",
        "lepton_pt": "muons[0].pt if len(muons) == 1 else electrons[0].pt",
        "lepton_phi": "muons[0].phi if len(muons) == 1 else electrons[0].phi",
        "mtw": "sqrt(2 * lepton_pt * met.pt * (1 - cos(lepton_phi - met.phi)))",
    },
    selection={
        "one lepton": "len(electrons) + len(muons) == 1",
        "four jets": "len(jets) >= 4",
        "transverse mass": "mtw > 10",
    },
    regions={
        "4j1b": Region(kind="control", selection="bjets == 1", discriminant="sum(jets.pt)"),
        "4j2b": Region(selection="bjets >= 2", discriminant="(jets[0] + jets[1] + jets[2]).mass"),
    },
    binning=Binning(bins=11, range=(110, 550)),
    systematics={
        "jet_scale": ObjectVariation(up={"jets.pt": "jets.pt * 1.03"}),
        "jet_resolution": ObjectVariation(smear={"jets.pt": "0.05"}),
    },
)


def lists(counts: np.ndarray, fields: dict[str, np.ndarray]) -> ak.Array:
    """Objects, a list an event."""
    return ak.unflatten(ak.zip(fields), counts)


def momenta(n: int, scale: float, mass: float, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Falling pT, central."""
    fields = {
        "pt": 15 + rng.exponential(scale, n),
        "eta": rng.normal(0, 1.3, n),
        "phi": rng.uniform(-np.pi, np.pi, n),
        "mass": np.abs(rng.normal(mass, mass / 5, n)),
    }
    return {name: each.astype("f4") for name, each in fields.items()}


def extra(n: int, count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Branches that nobody reads."""
    return {f"extra{i}": rng.normal(0, 1, n).astype("f4") for i in range(count)}


def chunk(n: int, rng: np.random.Generator) -> dict[str, Any]:
    """Branches of `n` events."""
    electrons, muons, jets = (rng.poisson(mean, n) for mean in (0.6, 0.7, 6.0))
    e, m, j = electrons.sum(), muons.sum(), jets.sum()
    return {
        "Electron": lists(
            electrons,
            momenta(e, 25, 0.0005, rng)
            | {"cutBased": rng.choice([1, 2, 3, 4], e, p=[0.1, 0.1, 0.1, 0.7]).astype("i4")}
            | {"sip3d": rng.exponential(1.2, e).astype("f4")}
            | extra(e, 8, rng),
        ),
        "Muon": lists(
            muons,
            momenta(m, 25, 0.1057, rng)
            | {"tightId": rng.random(m) < 0.9, "sip3d": rng.exponential(1.2, m).astype("f4")}
            | {"pfRelIso04_all": rng.exponential(0.08, m).astype("f4")}
            | extra(m, 8, rng),
        ),
        "Jet": lists(
            jets,
            momenta(j, 40, 9.0, rng)
            | {"btagCSVV2": rng.beta(0.6, 1.0, j).astype("f4")}
            | {"jetId": rng.choice([2, 6], j, p=[0.05, 0.95]).astype("i4")}
            | extra(j, 10, rng),
        ),
        "MET_pt": rng.exponential(40, n).astype("f4"),
        "MET_phi": rng.uniform(-np.pi, np.pi, n).astype("f4"),
        "genWeight": rng.normal(1, 0.05, n).astype("f4"),
        "event": np.arange(n, dtype="u8"),
    }


def write(path: Path) -> None:
    """The file."""
    rng = np.random.default_rng(1)
    with uproot.recreate(path, compression=uproot.ZSTD(5)) as file:
        for at in range(0, EVENTS, CHUNK):
            part = chunk(min(CHUNK, EVENTS - at), rng)
            if at:
                file["Events"].extend(part)
            else:
                file.mktree("Events", part)


def selected(folder: Path, out: Path) -> tuple[Result, float, float]:
    """The cut-flow, CPU time and time on the clock."""
    analysis = replace(ANALYSIS, folder=str(folder))
    begin = time.process_time(), time.perf_counter()
    found = select_all(analysis, out, unblind=False, quiet=True)
    end = time.process_time(), time.perf_counter()
    return cutflow(analysis, found), end[0] - begin[0], end[1] - begin[1]


def figure(rates: list[float], reference: str) -> dict[str, Any]:
    """Median and extremes."""
    return {
        "value": statistics.median(rates),
        "low": min(rates),
        "high": max(rates),
        "unit": "kHz",
        "reference": reference,
    }


def measure(folder: Path) -> dict[str, Any]:
    """All figures."""
    write(folder / "ttbar.root")
    size = (folder / "ttbar.root").stat().st_size
    with open_file(folder / "ttbar.root") as source:
        given = ANALYSIS.samples["ttbar"].inputs[0]
        names = selecting(ANALYSIS, "ttbar", given, unblind=False).reads(source.fields)
        read = {column for name in names for column in source.layout.only([name]).columns()}
        print(f"{size / 1e6:.0f} MB, {len(source.table.columns)} branches, {len(read)} are read")
    cpu, wall = [], []
    for index in range(ROUNDS + 1):
        result, used, passed = selected(folder, folder / f"round-{index}")
        print(f"  {used:.2f} s of CPU time, {passed:.2f} s", flush=True)
        cpu.append(EVENTS / used / 1000)
        wall.append(EVENTS / passed / 1000)
    for name, number in result.numbers.items():
        print(f"  {name}: {number.value:.5g} +- {number.uncertainty:.2g}")
    return {  # the first round compiled and warmed up
        "selection_khz_per_core": figure(cpu[1:], "AGC ttbar in coffea: 0.70 kHz per worker"),
        "selection_khz_wall": figure(wall[1:], "one process beside whatever else runs"),
    }


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(Path(folder))
    machine = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, one thread"
    print(json.dumps({"benchmark": "selection", "machine": machine, "figures": figures}))


if __name__ == "__main__":
    main()
