"""Measured track parameters: drawn from the covariance of the fit."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fivesigma.geometry.helix import advance, curvature, to_cylinder
from fivesigma.geometry.layers import Layout
from fivesigma.reconstruction.tracks.finding import Candidates
from fivesigma.units import mass

__all__ = ["fakes", "measure", "track_columns"]

_PION_MASS = mass(211)
_TRIANGLE = np.tril_indices(5)


def measure(
    found: Candidates, covariance: np.ndarray, radiation: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Parameters (N, 5) of (d0, dz, phi, theta, q/p), drawn around the truth.

    Args:
        found: what is measured.
        covariance: (N, 5, 5).
        radiation: (N,) radiation lengths crossed, for the bremsstrahlung of electrons.
        rng: source of randomness.
    """
    x, y, z, px, py, pz = found.perigee.T
    momentum = np.sqrt(px**2 + py**2 + pz**2)
    kept = np.exp(-rng.standard_gamma(np.maximum(radiation, 1e-9) / (2 * math.log(2))))
    momentum = np.where(np.abs(found.pdg_id) == 11, momentum * np.maximum(kept, 1e-3), momentum)
    theta = np.arctan2(np.hypot(px, py), pz)
    true = np.stack([found.d0, z, np.arctan2(py, px), theta, found.charge / momentum], axis=1)
    scale = np.sqrt(np.einsum("nii->ni", covariance))
    correlation = covariance / (scale[:, :, None] * scale[:, None, :])
    root = np.linalg.cholesky(correlation + 1e-12 * np.eye(5))
    shift = np.einsum("nij,nj->ni", root, rng.standard_normal((len(true), 5)))
    return true + scale * shift


def fakes(
    found: Candidates,
    parameters: np.ndarray,
    covariance: np.ndarray,
    rate: float,
    rng: np.random.Generator,
) -> tuple[Candidates, np.ndarray, np.ndarray]:
    """Tracks that belong to no particle: wrong combinations of hits, our own simple model.

    Their number is Poisson with mean `rate` a track; their polar angles and momenta are those of
    tracks of the event, blurred; azimuth and charge are even; impact parameters are wider by 1 mm
    and covariances by a factor of 4.
    """
    rows = np.repeat(np.arange(len(parameters)), rng.poisson(rate, len(parameters)))
    fake, n = parameters[rows], rows.size
    fake[:, :2] += rng.standard_normal((n, 2))
    fake[:, 2] = rng.uniform(-np.pi, np.pi, n)
    fake[:, 3] = np.clip(fake[:, 3] + 0.1 * rng.standard_normal(n), 0.1, np.pi - 0.1)
    fake[:, 4] *= rng.choice([-1.0, 1.0], n) * np.exp(0.5 * rng.standard_normal(n))
    return found.take(rows), fake, 4 * covariance[rows]


def track_columns(
    found: Candidates, parameters: np.ndarray, covariance: np.ndarray, layout: Layout
) -> dict[str, np.ndarray]:
    """The columns of `tracks`, and `event`."""
    d0, dz, phi, theta, q_over_p = parameters.T
    theta = np.clip(theta, 1e-4, np.pi - 1e-4)
    phi = (phi + np.pi) % (2 * np.pi) - np.pi
    charge = np.where(q_over_p < 0, -1, 1)
    pt = np.sin(theta) / np.maximum(np.abs(q_over_p), 1e-6)
    slope = 1 / np.tan(theta)
    at = _at_calorimeter(
        d0, dz, phi, slope, pt, charge, layout.field, layout.radius, layout.half_length
    )  # fmt: skip
    return {
        "event": found.event,
        "pt": pt,
        "eta": np.arcsinh(slope),
        "phi": phi,
        "mass": np.full(pt.shape, _PION_MASS),
        "charge": charge,
        "d0": d0,
        "dz": dz,
        "d0_error": np.sqrt(covariance[:, 0, 0]),
        "dz_error": np.sqrt(covariance[:, 1, 1]),
        "covariance": covariance[:, _TRIANGLE[0], _TRIANGLE[1]],
        "hits": found.hits.copy(),
        "calo_eta": np.arcsinh(at[:, 2] / np.maximum(np.hypot(at[:, 0], at[:, 1]), 1e-6)),
        "calo_phi": np.arctan2(at[:, 1], at[:, 0]),
        "truth": found.truth.copy(),
    }


@njit(cache=True)
def _at_calorimeter(
    d0: np.ndarray, dz: np.ndarray, phi: np.ndarray, slope: np.ndarray, pt: np.ndarray,
    charge: np.ndarray, field: float, radius: float, half_length: float,
) -> np.ndarray:  # fmt: skip
    """Where tracks leave the tracker's cylinder (N, 3) [mm]; loopers through an end cap."""
    out = np.empty((d0.size, 3))
    for i in range(d0.size):
        ux, uy = math.cos(phi[i]), math.sin(phi[i])
        x, y = d0[i] * uy, -d0[i] * ux
        kappa = curvature(charge[i], field, pt[i])
        path = to_cylinder(x, y, ux, uy, kappa, radius, False)
        if slope[i] != 0.0:
            path = min(path, max((math.copysign(half_length, slope[i]) - dz[i]) / slope[i], 0.0))
        if math.isinf(path):
            path = 0.0
        out[i, 0], out[i, 1], _, _ = advance(x, y, ux, uy, kappa, path)
        out[i, 2] = dz[i] + slope[i] * path
    return out
