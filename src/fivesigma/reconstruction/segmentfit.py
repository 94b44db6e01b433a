"""The fit of one muon to its segments: a least-squares fit from the beam line outwards, compiled.

Parameters are (theta, phi, q/p, z) on the beam line. Measurements are for each station position
and angle in the bending plane and the position across, and z against the beam spot. Scattering and
straggling correlate them: V = R + sum_k J_k J_k^T, J_k being the change of the measurements with
the k-th standard normal number of `passage.swim`, so that fit and simulation share one model.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fivesigma.geometry.passage import noises, swim
from fivesigma.geometry.stations import Tables

__all__ = ["fit_segments"]

#: transverse momenta tried at the start, for both charges [GeV]
_STARTS = (3.5, 5.0, 8.0, 15.0, 40.0, 200.0)
_ITERATIONS = 5
#: steps for derivatives: theta, phi [rad], q/p [1/GeV], z [mm]
_STEPS = (1e-5, 1e-5, 1e-5, 1.0)
#: largest |q/p| that reaches the muon system [1/GeV]
_LARGEST = 0.4


@njit(cache=True)
def _angle(segment: np.ndarray, x: float, y: float, toroid: bool) -> float:
    """Angle of the direction in the bending plane at (x, y) [rad]."""
    if toroid:
        return math.atan2((segment[3] * x + segment[4] * y) / math.hypot(x, y), segment[5])
    return math.atan2(segment[4], segment[3])


@njit(cache=True)
def _residuals(
    expected: np.ndarray,
    measured: np.ndarray,
    rows: np.ndarray,
    endcap: int,
    toroid: bool,
    z: float,
    out: np.ndarray,
) -> None:
    """Measured minus expected (3 n + 1,): position, angle, position across; z on the beam line."""
    for i in range(rows.size):
        m, e = measured[i], expected[rows[i]]
        r = math.hypot(m[0], m[1])
        dx, dy = m[0] - e[0], m[1] - e[1]
        azimuthal = (dy * m[0] - dx * m[1]) / r
        surface = (dx * m[0] + dy * m[1]) / r if endcap else m[2] - e[2]
        turned = _angle(m, m[0], m[1], toroid) - _angle(e, m[0], m[1], toroid)
        out[3 * i] = surface if toroid else azimuthal
        out[3 * i + 1] = (turned + math.pi) % (2.0 * math.pi) - math.pi
        out[3 * i + 2] = azimuthal if toroid else surface
    out[3 * rows.size] = -z


@njit(cache=True)
def _noise_derivatives(
    parameters: np.ndarray,
    measured: np.ndarray,
    rows: np.ndarray,
    endcap: int,
    tables: Tables,
    nominal: np.ndarray,
) -> np.ndarray:
    """Change of the residuals with each noise of `swim` (3 n + 1, K)."""
    stations = tables.positions.shape[1]
    noise, expected = np.zeros(noises(stations)), np.empty((stations, 6))
    shifted = np.empty(nominal.size)
    out = np.zeros((nominal.size, noise.size))
    for k in range(noise.size):
        noise[k] = 0.1
        swim(parameters, endcap, tables, noise, expected)
        noise[k] = 0.0
        _residuals(expected, measured, rows, endcap, tables.toroid, parameters[3], shifted)
        out[:, k] = (shifted - nominal) / 0.1
    return out


@njit(cache=True)
def _start(
    measured: np.ndarray,
    rows: np.ndarray,
    endcap: int,
    tables: Tables,
    variance: np.ndarray,
    parameters: np.ndarray,
) -> bool:
    """The best of a few momenta, pointing to the first segment, into `parameters`."""
    stations = tables.positions.shape[1]
    noise, expected = np.zeros(noises(stations)), np.empty((stations, 6))
    residual, trial = np.empty(variance.size), np.zeros(4)
    first = measured[0]
    trial[0] = math.atan2(math.hypot(first[0], first[1]), first[2])
    best = math.inf
    scattered = np.zeros((variance.size, noise.size))
    for step in range(2 * len(_STARTS)):
        # from the straightest on: the first that arrives gives the scattering, which goes as 1/p
        pt = _STARTS[len(_STARTS) - 1 - step // 2]
        trial[1], trial[2] = 0.0, (1.0 if step % 2 else -1.0) * math.sin(trial[0]) / pt
        swim(trial, endcap, tables, noise, expected)
        there = expected[rows[0]]
        trial[1] = math.atan2(first[1], first[0]) - math.atan2(there[1], there[0])
        swim(trial, endcap, tables, noise, expected)
        _residuals(expected, measured, rows, endcap, tables.toroid, 0.0, residual)
        if not np.all(np.isfinite(residual)):
            continue
        if step == 0:
            scattered = _noise_derivatives(trial, measured, rows, endcap, tables, residual)
            scattered /= abs(trial[2])
        spread = scattered * abs(trial[2])
        weight = np.linalg.inv(np.diag(variance) + spread @ spread.T)
        chi2 = float(residual @ weight @ residual)
        if chi2 < best:
            best = chi2
            parameters[:] = trial
    return best < math.inf


@njit(cache=True)
def _fit_one(
    measured: np.ndarray,
    rows: np.ndarray,
    endcap: int,
    tables: Tables,
    variance: np.ndarray,
    parameters: np.ndarray,
    covariance: np.ndarray,
) -> float:
    """Gauss-Newton steps from `_start`; fills parameters and covariance, returns chi2."""
    if not _start(measured, rows, endcap, tables, variance, parameters):
        return math.nan
    stations = tables.positions.shape[1]
    noise, expected = np.zeros(noises(stations)), np.empty((stations, 6))
    residual, shifted = np.empty(variance.size), np.empty(variance.size)
    slopes = np.empty((variance.size, 4))
    chi2 = math.nan
    for iteration in range(_ITERATIONS + 1):
        swim(parameters, endcap, tables, noise, expected)
        _residuals(expected, measured, rows, endcap, tables.toroid, parameters[3], residual)
        for k in range(4):
            trial = parameters.copy()
            trial[k] += _STEPS[k]
            swim(trial, endcap, tables, noise, expected)
            _residuals(expected, measured, rows, endcap, tables.toroid, trial[3], shifted)
            slopes[:, k] = (residual - shifted) / _STEPS[k]
        if not (np.all(np.isfinite(residual)) and np.all(np.isfinite(slopes))):
            return math.nan
        spread = _noise_derivatives(parameters, measured, rows, endcap, tables, residual)
        if not np.all(np.isfinite(spread)):
            return math.nan
        weight = np.linalg.inv(np.diag(variance) + spread @ spread.T)
        covariance[:] = np.linalg.inv(slopes.T @ weight @ slopes)
        chi2 = float(residual @ weight @ residual)
        if iteration < _ITERATIONS:
            parameters += covariance @ (slopes.T @ (weight @ residual))
            parameters[2] = min(max(parameters[2], -_LARGEST), _LARGEST)
    return chi2


@njit(cache=True)
def fit_segments(
    values: np.ndarray,
    errors: np.ndarray,
    chains: np.ndarray,
    endcap: np.ndarray,
    tables: Tables,
    beam_spot: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fit each chain of segments.

    Args:
        values: (N, 6) positions [mm] and directions of all segments.
        errors: (N, 2) their errors of position [mm] and angle [rad] in the bending plane.
        chains: (M, S) index of the segment in each station, -1: none.
        endcap: (M,) 0 for chains in the barrel, 1 in the end caps.
        tables: of the muon system.
        beam_spot: standard deviation of the collisions' z [mm].

    Returns:
        (M, 4) parameters, (M, 4, 4) covariances, (M,) chi2; chi2 is NaN where the fit failed.
    """
    m, stations = chains.shape
    parameters, covariances = np.zeros((m, 4)), np.zeros((m, 4, 4))
    chi2 = np.zeros(m)
    for i in range(m):
        rows = np.flatnonzero(chains[i] >= 0)
        measured = np.empty((rows.size, 6))
        variance = np.full(3 * rows.size + 1, beam_spot * beam_spot)
        for j in range(rows.size):
            index = chains[i, rows[j]]
            measured[j] = values[index]
            variance[3 * j] = errors[index, 0] ** 2
            variance[3 * j + 1] = errors[index, 1] ** 2
            variance[3 * j + 2] = tables.errors[endcap[i], 2] ** 2
        chi2[i] = _fit_one(
            measured, rows, endcap[i], tables, variance, parameters[i], covariances[i]
        )
    return parameters, covariances, chi2
