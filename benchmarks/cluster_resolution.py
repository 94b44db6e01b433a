"""Response and resolution of calibrated clusters over the published ones, single particles.

    python benchmarks/cluster_resolution.py [atlas|cms ...]

Electrons (largest cluster within 0.1) and pions (all clusters within 0.4), |eta| < 1.3. The width
is that of departures from the mean over the published sigma at each particle's |eta|. Seed 7.
"""

from __future__ import annotations

import sys

import awkward as ak
import numpy as np

from fivesigma.detector.calorimeter.deposit import deposit
from fivesigma.detector.calorimeter.guns import gun
from fivesigma.detector.calorimeter.readout import read_out
from fivesigma.geometry.calorimeters import ATLAS, CMS
from fivesigma.geometry.cells import Cells
from fivesigma.reconstruction.cluster_calibration import calibrate
from fivesigma.reconstruction.clusters import clusters

ENERGIES = (10.0, 20.0, 50.0, 100.0, 200.0)
PARTICLES = 800
#: kind -> PDG number, radius, number of clusters, calibration
KINDS = {"electrons": (11, 0.1, 1, "electromagnetic"), "pions": (-211, 0.4, None, "hadronic")}


def measure(cells: Cells, kind: str, energy: float, rng: np.random.Generator) -> tuple[float, ...]:
    """Mean over the true energy, width over the published one."""
    number, radius, most, table = KINDS[kind]
    eta = rng.uniform(-1.3, 1.3, PARTICLES)
    particles = gun(number, energy, eta, cells, rng)
    read = read_out(deposit(particles, cells, rng).contributions, PARTICLES, cells, rng)
    found = calibrate(clusters(read, cells), cells, table)
    turn = found.phi - np.arctan2(particles.y, particles.x)
    apart = np.hypot(found.eta - eta, (turn + np.pi) % (2 * np.pi) - np.pi)
    sums = ak.to_numpy(ak.sum(found[apart < radius][:, :most].calibrated, axis=1))
    section = cells.ecal if kind == "electrons" else cells.hcal
    pulls = (sums / sums.mean() - 1) * energy / section.sigma(energy, eta)
    return sums.mean() / energy, pulls.std()


def main() -> None:
    """Print a table per preset."""
    for cells in (ATLAS, CMS):
        if sys.argv[1:] and cells.name not in sys.argv[1:]:
            continue
        rng = np.random.default_rng(7)
        for kind in KINDS:
            for energy in ENERGIES:
                mean, width = measure(cells, kind, energy, rng)
                print(f"{cells.name} {kind} {energy:g}: {mean:.3f} {width:.3f}", flush=True)


if __name__ == "__main__":
    main()
