"""Make the tables of `reconstruction/calibrations` from single pions and photons.

    python benchmarks/cluster_calibration.py [atlas|cms [hadronic|electromagnetic]]

Pions and neutral kaons, 4 : 1 (1 GeV - 1 TeV, half of them 3 - 40 GeV), for hadrons, photons
(0.5 GeV - 500 GeV) for electromagnetic clusters, flat in ln E; half of them flat in |eta| < 1.5
and half in |eta| < 4.8; four to an event. Tables of other kinds stay in the file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import awkward as ak
import numpy as np

import fivesigma.reconstruction
from fivesigma.detector.calorimeter.deposit import deposit
from fivesigma.detector.calorimeter.guns import gun
from fivesigma.detector.calorimeter.readout import read_out
from fivesigma.geometry.calorimeters import ATLAS, CMS
from fivesigma.geometry.cells import Cells
from fivesigma.reconstruction.cluster_calibration import Calibration, derive, save
from fivesigma.reconstruction.clusters import clusters
from fivesigma.workflows.validate.calorimeters import near, packed

#: nodes in |eta| on both sides of each step of the cells and their noise
ETA = {
    "atlas": ((0.0, 1.4, 2.45, 2.55, 3.15, 3.25, 4.8),) * 2,
    "cms": (
        (0.0, 0.9, 1.7, 2.9, 3.05, 4.8),
        (0.0, 0.48, 0.52, 0.98, 1.02, 1.45, 2.0, 2.5, 2.95, 3.05, 4.8),
    ),
}
ENERGIES = ((0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0),
            (0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 500.0))  # fmt: skip
SHARES = ((0.0, 0.5, 1.0), (0.0, 1.0))
#: the two shares of electromagnetic clusters hold the weight of energy that leaked into the HCAL,
#: less than 1 as its error is large: little pull of one towards the other
SMOOTH = ((2.0, 2.0, 2.0), (2.0, 0.2, 2.0))
#: weight of the right mean, see `derive`
MEAN = (3e4, 1e3)
PRESETS = ("atlas", "cms")
#: share of the particles of 3 to 40 GeV, whose mean has the largest errors, besides the others
SOFT = (0.5, 3.0, 40.0)
PARTICLES = {"hadronic": 40000, "electromagnetic": 24000}
CHUNK = 1000


def sample(cells: Cells, hadronic: bool, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Particles and what is found of them.

    Returns:
        Energy and direction of the particles (CHUNK,); of their clusters (N,) the particle, the
        energy, the share of the ECAL and the direction.
    """
    low, high = (1.0, 1000.0) if hadronic else (0.5, 500.0)
    soft = hadronic & (rng.random(CHUNK) < SOFT[0])
    energy = rng.uniform(
        np.log(np.where(soft, SOFT[1], low)), np.log(np.where(soft, SOFT[2], high))
    )
    energy = np.exp(energy)
    eta = rng.uniform(-1, 1, CHUNK) * rng.choice((1.5, 4.8), CHUNK)
    numbers = (211, -211, 211, -211, 130) if hadronic else (22,)
    particles = packed(gun(rng.choice(numbers, CHUNK), energy, eta, cells, rng))
    n_events = int(particles.event[-1]) + 1
    read = read_out(deposit(particles, cells, rng).contributions, n_events, cells, rng)
    found = near(clusters(read, cells)[particles.event], particles, 0.4 if hadronic else 0.1)
    if not hadronic:
        found = found[:, :1]
    owner = np.repeat(np.arange(CHUNK), ak.to_numpy(ak.num(found)))
    columns = (found.energy, found.em_fraction, found.eta)
    flat = (ak.to_numpy(ak.flatten(column)).astype(np.float64) for column in columns)
    return energy, eta, owner, *flat


def table(cells: Cells, kind: str, rng: np.random.Generator) -> Calibration:
    """The factors for one kind of particle."""
    hadronic = kind == "hadronic"
    index = 0 if hadronic else 1
    nodes = Calibration(ENERGIES[index], SHARES[index], ETA[cells.name][index])
    chunks = [sample(cells, hadronic, rng) for _ in range(PARTICLES[kind] // CHUNK)]
    energy, eta, owner, *column = (np.concatenate(part) for part in zip(*chunks, strict=True))
    owner += np.repeat(np.arange(len(chunks)) * CHUNK, [len(chunk[2]) for chunk in chunks])
    # below a few GeV many particles leave no cluster: a factor cannot make them good
    linear_from = 5.0 if hadronic else 1.0
    seen = (np.bincount(owner, column[0], len(energy)) > 0.3 * energy) | (energy > linear_from)
    kept = seen[owner]
    place = np.cumsum(seen) - 1
    section = cells.hcal if hadronic else cells.ecal
    sigma = np.hypot(section.sigma(energy[seen], eta[seen]), 1.0 if hadronic else 0.1)
    return derive(
        nodes, place[owner[kept]], *(values[kept] for values in column), energy[seen], eta[seen],
        sigma, linear_from, SMOOTH[index], MEAN[index],
    )  # fmt: skip


def main() -> None:
    """Write one file per preset."""
    folder = Path(fivesigma.reconstruction.__file__).parent / "calibrations"
    chosen = [cells for cells in (ATLAS, CMS) if cells.name in (sys.argv[1:2] or PRESETS)]
    for cells in chosen:
        for kind in sys.argv[2:] or PARTICLES:
            made = table(cells, kind, np.random.default_rng([1, len(kind)]))
            save(folder / f"{cells.name}.json", {kind: made})
            print(f"{cells.name}, {kind}: {folder / cells.name}.json")


if __name__ == "__main__":
    main()
