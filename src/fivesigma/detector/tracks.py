"""Track efficiency and resolutions: one formula each, compiled, read from the preset's tables."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fivesigma.geometry import Tracker

__all__ = ["efficiency", "lognormal", "momentum_resolution", "sigma_d0", "tables"]

#: class of particle (events.particle_class) -> row of the tables
_KINDS = {"hadron": 0, "electron": 1, "muon": 2}


def tables(tracker: Tracker) -> tuple[np.ndarray, np.ndarray]:
    """The preset's rows as arrays (n, 4), efficiency and resolution; the class number first."""
    efficiency_rows = [
        (_KINDS[kind], *row) for kind, rows in tracker.efficiency.items() for row in rows
    ]
    resolution_rows = [
        (_KINDS[kind], *row) for kind, rows in tracker.resolution.items() for row in rows
    ]
    return np.array(efficiency_rows, dtype=float), np.array(resolution_rows, dtype=float)


@njit(cache=True)
def _kind(number: int) -> int:
    return 1 if number == 11 else (2 if number == 13 else 0)


@njit(cache=True)
def efficiency(number: int, pt: float, eta: float, rows: np.ndarray) -> float:
    """Probability that a charged particle of class `number` (11, 13 or 211) leaves a track.

    Of the class's rows with the smallest |eta| bound that holds, the last whose pT threshold is
    passed counts.
    """
    kind, size = _kind(number), abs(eta)
    value, bound = 0.0, math.inf
    for k in range(rows.shape[0]):
        if rows[k, 0] == kind and size <= rows[k, 1] <= bound:
            if rows[k, 1] < bound:
                value, bound = 0.0, rows[k, 1]
            if pt > rows[k, 2]:
                value = rows[k, 3]
    return value


@njit(cache=True)
def momentum_resolution(number: int, pt: float, eta: float, rows: np.ndarray) -> float:
    """sigma(pT)/pT = a (+) b pT, at most 1; beyond the last |eta| bound the last row holds."""
    kind, size = _kind(number), abs(eta)
    a, b = 0.0, 0.0
    for k in range(rows.shape[0]):
        if rows[k, 0] == kind:
            a, b = rows[k, 2], rows[k, 3]
            if size <= rows[k, 1]:
                break
    return min(math.hypot(a, b * pt), 1.0)


@njit(cache=True)
def lognormal(mean: float, relative: float, noise: float) -> float:
    """A log-normal number of given mean and relative width from a standard normal one."""
    width = math.sqrt(math.log1p(relative * relative))
    return mean * math.exp(width * noise - 0.5 * width * width)


def sigma_d0(tracker: Tracker, pt: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """Resolution of the transverse impact parameter (arXiv:1405.6569).

    Log-log interpolation between the preset's points in pT, 1/pT below the first (multiple
    scattering), flat above the last; grows with the material as 1/sqrt(sin theta).

    Args:
        tracker: the preset's tracker.
        pt: (N,) transverse momenta [GeV].
        eta: (N,) pseudorapidities.

    Returns:
        (N,) resolutions [mm].
    """
    points = np.log(np.array(tracker.d0))
    log_pt = np.log(np.maximum(pt, 1e-3))
    sigma = np.exp(np.interp(log_pt, points[:, 0], points[:, 1]))
    below = np.exp(np.maximum(points[0, 0] - log_pt, 0.0))
    return sigma * below * np.sqrt(np.cosh(eta))
