"""Single particles at the calorimeters' front, for calibrations and tests."""

from __future__ import annotations

import numpy as np

from fivesigma.detector.flow import Particles
from fivesigma.geometry.cells import Cells
from fivesigma.units import charge, mass

__all__ = ["gun"]


def gun(
    pdg_id: np.ndarray | int,
    energy: np.ndarray | float,
    eta: np.ndarray,
    cells: Cells,
    rng: np.random.Generator,
) -> Particles:
    """One particle per event, from the origin straight to the front, flat in azimuth.

    Args:
        pdg_id: (N,) PDG numbers or one for all.
        energy: (N,) total energies or one for all [GeV].
        eta: (N,) directions.
        cells: the calorimeters.
        rng: source of the azimuths.
    """
    n = len(eta)
    number = np.broadcast_to(np.asarray(pdg_id, np.int32), n)
    masses, charges = np.zeros(n), np.zeros(n)
    for one in np.unique(number):
        masses[number == one], charges[number == one] = mass(int(one)), charge(int(one))
    p = np.sqrt(np.maximum(np.broadcast_to(np.asarray(energy, float), n) ** 2 - masses**2, 0.0))
    phi, slope = rng.uniform(-np.pi, np.pi, n), np.tanh(eta)
    unit = np.stack([np.cos(phi) / np.cosh(eta), np.sin(phi) / np.cosh(eta), slope])
    path = np.minimum(
        cells.radius * np.cosh(eta), cells.half_length / np.maximum(abs(slope), 1e-9)
    )
    truth = np.zeros(n, np.int32)
    return Particles(np.arange(n), truth, number, charges, masses, *(p * unit), *(path * unit))
