"""Showers in the W/Si calorimeter of CaloChallenge data set 2, in the layout of its files."""

from __future__ import annotations

import awkward as ak
import numpy as np

from fivesigma.detector.calorimeter.deposit import deposit
from fivesigma.detector.calorimeter.readout import read_out
from fivesigma.detector.flow import Particles
from fivesigma.geometry.calorimeters import WSI
from fivesigma.geometry.cells import Cells

__all__ = ["wsi_showers"]

#: cells below are set to zero: 0.5 keV in silicon, divided by 0.033 [GeV]
THRESHOLD = 15.15e-6


def wsi_showers(
    energies: np.ndarray,
    cells: Cells = WSI,
    rng: np.random.Generator | None = None,
    photons: bool = False,
) -> np.ndarray:
    """Electrons or photons at normal incidence.

    Args:
        energies: (N,) [GeV].
        cells: the preset or one with other parameters.
        rng: source of all randomness.
        photons: instead of electrons.

    Returns:
        Energies (N, layers, alpha, r) [GeV], float32, as the files of arXiv:2410.21611 hold them.
    """
    rng = rng or np.random.default_rng()
    n, zeros = len(energies), np.zeros(len(energies))
    front = Particles(
        np.arange(n), zeros.astype(np.int32), np.full(n, 22 if photons else 11),
        np.full(n, 0 if photons else -1), zeros, energies, zeros, zeros, zeros + cells.radius,
        zeros, zeros,
    )  # fmt: skip
    read = read_out(deposit(front, cells, rng).contributions, n, cells, rng)
    layers, (rings, _, alphas, _) = len(cells.depths), cells.depths[0].rows[0]
    out = np.zeros((n, layers, int(rings), alphas), np.float32)
    event = np.repeat(np.arange(n), ak.to_numpy(ak.num(read)))
    depth, cell, energy = (
        ak.to_numpy(ak.flatten(read[name])) for name in ("depth", "cell", "energy")
    )
    out[event, depth, cell // alphas, cell % alphas] = np.where(energy < THRESHOLD, 0.0, energy)
    return out.swapaxes(2, 3)
