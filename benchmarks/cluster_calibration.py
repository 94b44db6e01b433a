"""Make the tables of `reconstruction/calibrations` from single pions and photons.

    python benchmarks/cluster_calibration.py [atlas|cms ...]

Charged pions and neutral kaons (1 GeV - 1 TeV) for hadrons, photons (0.5 GeV - 500 GeV) for
electromagnetic clusters, flat in ln E, half of them flat in |eta| < 1.5 and half in |eta| < 4.8.
Seed 1.
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

ETA = (0.0, 1.4, 2.45, 2.55, 3.15, 3.25, 4.8)
HADRONIC = Calibration((0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0), (0.0, 0.5, 1.0), ETA)
PHOTONS = Calibration((0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 500.0), (0.0, 1.0), ETA)
PARTICLES = {"atlas": 16000, "cms": 10000}
CHUNK = 1000


def sample(cells: Cells, hadronic: bool, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Particles and what is found of them.

    Returns:
        Energy and direction of the particles (CHUNK,); of their clusters (N,) the particle, the
        energy, the share of the ECAL and the direction.
    """
    high = 1000.0 if hadronic else 500.0
    energy = np.exp(rng.uniform(np.log(1.0 if hadronic else 0.5), np.log(high), CHUNK))
    eta = rng.uniform(-1, 1, CHUNK) * rng.choice((1.5, 4.8), CHUNK)
    numbers = (211, -211, 130) if hadronic else (22,)
    particles = gun(rng.choice(numbers, CHUNK), energy, eta, cells, rng)
    read = read_out(deposit(particles, cells, rng).contributions, CHUNK, cells, rng)
    found = clusters(read, cells)
    phi = np.arctan2(particles.y, particles.x)
    apart = np.hypot(found.eta - eta, (found.phi - phi + np.pi) % (2 * np.pi) - np.pi)
    near = found[apart < (0.4 if hadronic else 0.1)]
    if not hadronic:
        near = near[:, :1]
    owner = np.repeat(np.arange(CHUNK), ak.to_numpy(ak.num(near)))
    columns = (near.energy, near.em_fraction, near.eta)
    flat = (ak.to_numpy(ak.flatten(column)).astype(np.float64) for column in columns)
    return energy, eta, owner, *flat


def table(
    cells: Cells, nodes: Calibration, hadronic: bool, rng: np.random.Generator
) -> Calibration:
    """The factors for one kind of particle."""
    chunks = [sample(cells, hadronic, rng) for _ in range(PARTICLES[cells.name] // CHUNK)]
    energy, eta, owner, *column = (np.concatenate(part) for part in zip(*chunks, strict=True))
    owner += np.repeat(np.arange(len(chunks)) * CHUNK, [len(chunk[2]) for chunk in chunks])
    # below a few GeV many particles leave no cluster: a factor cannot make them good
    linear_from = 5.0 if hadronic else 1.0
    seen = (np.bincount(owner, column[0], len(energy)) > 0.3 * energy) | (energy > linear_from)
    kept = seen[owner]
    place = np.cumsum(seen) - 1
    row = (cells.hcal if hadronic else cells.ecal).resolution[0]
    return derive(
        nodes, place[owner[kept]], *(values[kept] for values in column), energy[seen], eta[seen],
        (row[1], row[2], 1.0 if hadronic else 0.1), linear_from,
    )  # fmt: skip


def main() -> None:
    """Write one file per preset."""
    folder = Path(fivesigma.reconstruction.__file__).parent / "calibrations"
    folder.mkdir(exist_ok=True)
    for cells in (ATLAS, CMS):
        if sys.argv[1:] and cells.name not in sys.argv[1:]:
            continue
        rng = np.random.default_rng(1)
        tables = {
            "hadronic": table(cells, HADRONIC, True, rng),
            "electromagnetic": table(cells, PHOTONS, False, rng),
        }
        save(folder / f"{cells.name}.json", tables)
        print(f"{cells.name}: {folder / cells.name}.json")


if __name__ == "__main__":
    main()
