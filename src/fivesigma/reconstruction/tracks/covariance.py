"""Covariances of track parameters from the layers that a track crosses."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fivesigma.geometry.layers import Layout
from fivesigma.geometry.surfaces import Surfaces, surfaces
from fivesigma.reconstruction.tracks.information import information
from fivesigma.units import CURVATURE, mass

__all__ = ["Fit", "Resolution", "expected_resolution", "fit_covariance"]


class Fit(NamedTuple):
    """What a fit of tracks (N,) knows.

    Attributes:
        covariance: (N, 5, 5) of (d0, dz, phi, theta, q/p) [mm, rad, 1/GeV].
        layers: measured.
        radiation: radiation lengths up to the last of them.
    """

    covariance: np.ndarray
    layers: np.ndarray
    radiation: np.ndarray


class Resolution(NamedTuple):
    """Standard deviations (N,): of pT over pT, of d0 and dz [mm]."""

    pt: np.ndarray
    d0: np.ndarray
    dz: np.ndarray


def fit_covariance(
    perigee: np.ndarray, charge: np.ndarray, mass: np.ndarray, seen: np.ndarray, layers: Surfaces
) -> Fit:
    """The covariance of the best fit of each track.

    Args:
        perigee: (N, 6) position [mm] and momentum [GeV] closest to the beam.
        charge: (N,) [e].
        mass: (N,) [GeV].
        seen: (N, L) whether the track has a hit in each layer.
        layers: of `geometry.surfaces.surfaces`.
    """
    matrix, measured, radiation = information(perigee, charge, mass, seen, layers)
    scale = 1 / np.sqrt(np.einsum("nii->ni", matrix))
    inverse = np.linalg.inv(matrix * scale[:, :, None] * scale[:, None, :])
    inside = inverse * scale[:, :, None] * scale[:, None, :]
    jacobian = _to_track(perigee, charge, layers.field)
    covariance = jacobian @ inside @ jacobian.transpose(0, 2, 1)
    return Fit((covariance + covariance.transpose(0, 2, 1)) / 2, measured, radiation)


def _to_track(perigee: np.ndarray, charge: np.ndarray, field: float) -> np.ndarray:
    """Derivatives of (d0, dz, phi, theta, q/p) by (d, z, phi, cot(theta), kappa), (N, 5, 5)."""
    pt = np.hypot(perigee[:, 3], perigee[:, 4])
    slope = perigee[:, 5] / pt
    sine2 = 1 / (1 + slope**2)
    jacobian = np.zeros((len(perigee), 5, 5))
    jacobian[:, 0, 0], jacobian[:, 1, 1], jacobian[:, 2, 2] = -1, 1, 1
    jacobian[:, 3, 3] = -sine2
    # q/p = -kappa sin(theta) / (0.3 B)
    jacobian[:, 4, 3] = -charge / pt * slope * sine2**1.5
    jacobian[:, 4, 4] = -np.sqrt(sine2) / (CURVATURE * field)
    return jacobian


def expected_resolution(
    layout: Layout, pt: np.ndarray, eta: np.ndarray, particle: int = 13
) -> Resolution:
    """Resolutions of particles from the origin that have a hit in every layer they cross.

    Args:
        layout: the tracker.
        pt: (N,) transverse momenta [GeV].
        eta: (N,) pseudorapidities.
        particle: PDG number, for the mass.

    Example:
        >>> import numpy as np
        >>> from fivesigma.geometry.trackers import ATLAS
        >>> expected_resolution(ATLAS, np.array([10.0]), np.array([0.3])).pt.round(3)
        array([0.018])
    """
    pt, eta = np.broadcast_arrays(np.asarray(pt, float), np.asarray(eta, float))
    zero = np.zeros(pt.size)
    perigee = np.stack([zero, zero, zero, pt, zero, pt * np.sinh(eta)], axis=1)
    layers = surfaces(layout)
    seen = np.broadcast_to(layers.sigma_u > 0, (pt.size, layers.sigma_u.size)).copy()
    fit = fit_covariance(perigee, np.ones(pt.size), np.full(pt.size, mass(particle)), seen, layers)
    slope = np.sinh(eta)
    # 1/pT = (q/p) / sin(theta): its relative error has the polar angle's part too
    size = 1 / (pt * np.cosh(eta))
    gradient = np.stack([-slope, 1 / size], axis=1)
    relative = np.einsum("ni,nij,nj->n", gradient, fit.covariance[:, 3:, 3:], gradient)
    return Resolution(
        np.sqrt(relative),
        np.sqrt(fit.covariance[:, 0, 0]),
        np.sqrt(fit.covariance[:, 1, 1]),
    )
