"""Make the jet calibration of `reconstruction/calibrations` from QCD jets at all pT.

    python benchmarks/jet_calibration.py FOLDER [atlas|cms] [events of each slice] [pile-up]

With a mean number of collisions as pile-up (the shipped ones: 40) it makes the table with pile-up.
The samples stay in FOLDER and are taken again. Jets of energy flow within 0.2 of a true jet, both
without another jet within 0.8.
"""

from __future__ import annotations

import sys
from pathlib import Path

import awkward as ak
import numpy as np

import fivesigma.reconstruction
from fivesigma.generation.options import Generation
from fivesigma.metrics.objects import jet_ratios
from fivesigma.reconstruction.classical import ReconstructionOptions
from fivesigma.reconstruction.jet_calibration import derive, save
from fivesigma.reconstruction.true_objects import true_jets
from fivesigma.workflows.generate import generate
from fivesigma.workflows.reconstruct import reconstruct
from fivesigma.workflows.simulate import Mixing, simulate

SLICES = ((10.0, 30.0), (30.0, 80.0), (80.0, 250.0), (250.0, 1000.0))
PT = (15.0, 22.0, 32.0, 50.0, 80.0, 150.0, 300.0, 600.0)
COLLISIONS = 1000
ETA = (0.0, 1.3, 2.4, 3.2, 4.7)


def crowd(folder: Path, detector: str, mean: float) -> Mixing | None:
    """A library of minimum-bias collisions for pile-up."""
    if not mean:
        return None
    path = folder / f"library-{detector}"
    simulate(path, process="minimum-bias", events=COLLISIONS, detector=detector, library=True,
             seed=3, quiet=True)  # fmt: skip
    return Mixing(path, mean)


def sample(
    folder: Path, detector: str, events: int, pt_hat: tuple[float, float], pileup: Mixing | None
) -> tuple[np.ndarray, float]:
    """(3, N): measured pT before calibration, true pT and eta of matched jets; further vertices
    that were found in an event."""
    path = folder / f"qcd-{detector}-{pt_hat[0]:g}{'-crowded' if pileup else ''}"
    generate(path, process="qcd", events=events, generation=Generation("qcd", pt_hat=pt_hat),
             shard_size=50, quiet=True)  # fmt: skip
    simulate(path, detector=detector, pileup=pileup, quiet=True)
    options = ReconstructionOptions(calibrate_jets=False, jet_pt_min=7.0, vertex_fraction_min=0.0)
    data = reconstruct(path, options=options, quiet=True)
    further = float(ak.mean(ak.max(data.read("particles").vertex, axis=1)))
    return jet_ratios(true_jets(data.read("truth")), data.read("jets")), further


def main() -> None:
    """Write the table of one preset."""
    folder = Path(sys.argv[1])
    detector = sys.argv[2] if len(sys.argv) > 2 else "atlas"
    events = int(sys.argv[3]) if len(sys.argv) > 3 else 300
    mean = float(sys.argv[4]) if len(sys.argv) > 4 else 0.0
    pileup = crowd(folder, detector, mean)
    parts = [sample(folder, detector, events, pt_hat, pileup) for pt_hat in SLICES]
    measured, true, eta = np.concatenate([part for part, _ in parts], axis=1)
    further = round(float(np.mean([number for _, number in parts])), 2) if mean else 0.0
    table = derive(measured, true, eta, PT, ETA, further)
    out = Path(fivesigma.reconstruction.__file__).parent / "calibrations"
    save(out / f"{'crowded-jets' if mean else 'jets'}-{detector}.json", table)
    for k, response in enumerate(table.response):
        print(ETA[k], response, table.resolution[k])


if __name__ == "__main__":
    main()
