"""Make the jet calibration of `reconstruction/calibrations` from QCD jets at all pT.

    python benchmarks/jet_calibration.py FOLDER [atlas|cms] [events of each slice]

The samples stay in FOLDER and are taken again. Jets of energy flow within 0.2 of a true jet, both
without another jet within 0.8.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import fivesigma.reconstruction
from fivesigma.generation.options import Generation
from fivesigma.metrics.objects import jet_ratios
from fivesigma.reconstruction.classical import ReconstructionOptions
from fivesigma.reconstruction.jet_calibration import derive, save
from fivesigma.reconstruction.true_objects import true_jets
from fivesigma.workflows.generate import generate
from fivesigma.workflows.reconstruct import reconstruct
from fivesigma.workflows.simulate import simulate

SLICES = ((10.0, 30.0), (30.0, 80.0), (80.0, 250.0), (250.0, 1000.0))
PT = (15.0, 22.0, 32.0, 50.0, 80.0, 150.0, 300.0, 600.0)
ETA = (0.0, 1.3, 2.4, 3.2, 4.7)


def sample(folder: Path, detector: str, events: int, pt_hat: tuple[float, float]) -> np.ndarray:
    """(3, N): measured pT before calibration, true pT and eta of matched jets."""
    path = folder / f"qcd-{detector}-{pt_hat[0]:g}"
    generate(path, process="qcd", events=events, generation=Generation("qcd", pt_hat=pt_hat),
             shard_size=50, quiet=True)  # fmt: skip
    simulate(path, detector=detector, quiet=True)
    options = ReconstructionOptions(calibrate_jets=False, jet_pt_min=7.0)
    data = reconstruct(path, options=options, quiet=True)
    return jet_ratios(true_jets(data.read("truth")), data.read("jets"))


def main() -> None:
    """Write the table of one preset."""
    folder = Path(sys.argv[1])
    detector = sys.argv[2] if len(sys.argv) > 2 else "atlas"
    events = int(sys.argv[3]) if len(sys.argv) > 3 else 300
    parts = [sample(folder, detector, events, pt_hat) for pt_hat in SLICES]
    measured, true, eta = np.concatenate(parts, axis=1)
    table = derive(measured, true, eta, PT, ETA)
    out = Path(fivesigma.reconstruction.__file__).parent / "calibrations"
    save(out / f"jets-{detector}.json", table)
    for k, response in enumerate(table.response):
        print(ETA[k], response, table.resolution[k])


if __name__ == "__main__":
    main()
