"""Missing transverse momentum and its significance."""

from __future__ import annotations

import awkward as ak
import numpy as np

__all__ = ["missing_momentum"]

#: resolution of the azimuth of neutral particles and of jets [rad]
_ANGLE = 0.03
#: sigma of each component over sqrt(sum ET / GeV) of hadrons and photons outside jets [GeV]: what
#: is lost below thresholds, without a track or beside the acceptance; S^2 then has the median of
#: a chi2 distribution in Z -> ll of the atlas preset
_SOFT = 0.43
#: likewise over the square root of the number of further vertices, fitted to Z -> ee with 40
#: collisions of the atlas preset in the same way
_PILEUP = 3.5


def _xy(objects: ak.Array) -> tuple[np.ndarray, np.ndarray]:
    return tuple(
        ak.to_numpy(ak.sum(objects.pt * turn(objects.phi), axis=1)) for turn in (np.cos, np.sin)
    )


def _covariance(objects: ak.Array, angle: ak.Array) -> np.ndarray:
    """Sum over objects of the covariance of (px, py) (E, 3): xx, xy, yy [GeV^2]."""
    cos, sin = np.cos(objects.phi), np.sin(objects.phi)
    along, across = objects.pt_error**2, (objects.pt * angle) ** 2
    terms = (
        along * cos**2 + across * sin**2,
        (along - across) * cos * sin,
        along * sin**2 + across * cos**2,
    )
    return np.stack([ak.to_numpy(ak.sum(term, axis=1)) for term in terms], axis=1)


def missing_momentum(
    particles: ak.Array, jets: ak.Array, vertices: np.ndarray | None = None
) -> ak.Array:
    """Missing transverse momentum of each event.

    The negative sum of the jets, calibrated, and of all particles that are in none of them. With V
    the sum of the covariances of these, rotated to (x, y), and of s^2 sum ET for what is soft, the
    significance is that of
    arXiv:1106.5048, equation 3 in the Gaussian case,

        S = sqrt(m^T V^-1 m),

    so that S^2 has a chi2 distribution of two degrees of freedom where nothing is missing.

    Args:
        particles: lists per event of the hard collision, with `pt phi charge pdg_id pt_error` and
            `in_jet`.
        jets: lists per event with `pt phi pt_error`.
        vertices: (E,) number of further vertices, 0 for events without pile-up; None: none.

    Returns:
        (E,) records: `pt` [GeV], `phi`, `sum_et` [GeV], `significance`, `xx xy yy` of V [GeV^2].
    """
    loose = particles[~particles.in_jet]
    sums = [-a - b for a, b in zip(_xy(loose), _xy(jets), strict=True)]
    v = _covariance(loose, ak.where(loose.charge == 0, _ANGLE, 0.0))
    v += _covariance(jets, ak.full_like(jets.pt, _ANGLE)) + (1.0, 0.0, 1.0)
    soft = loose[(abs(loose.pdg_id) != 11) & (abs(loose.pdg_id) != 13)]
    v += _SOFT**2 * ak.to_numpy(ak.sum(soft.pt, axis=1))[:, None] * np.array([1.0, 0.0, 1.0])
    if vertices is not None:
        v += _PILEUP**2 * vertices[:, None] * np.array([1.0, 0.0, 1.0])
    xx, xy, yy = v.T
    x, y = (each.astype(np.float64) for each in sums)
    square = (yy * x**2 - 2 * xy * x * y + xx * y**2) / (xx * yy - xy**2)
    columns = {
        "pt": np.hypot(x, y),
        "phi": np.arctan2(y, x),
        "sum_et": ak.to_numpy(ak.sum(loose.pt, axis=1) + ak.sum(jets.pt, axis=1)),
        "significance": np.sqrt(np.maximum(square, 0.0)),
        "xx": xx,
        "xy": xy,
        "yy": yy,
    }
    return ak.zip({name: values.astype(np.float32) for name, values in columns.items()})
