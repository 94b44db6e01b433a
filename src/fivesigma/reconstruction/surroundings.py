"""What lies around objects: isolation, and the density of energy from pile-up."""

from __future__ import annotations

import math

import awkward as ak
import numpy as np
from numba import njit

__all__ = ["density", "density_at", "isolation", "vertex_fraction"]

#: |eta| up to which tracks are found, and up to which the forward density is taken
_TRACKED, _FORWARD = 2.5, 4.5


def density(particles: ak.Array) -> np.ndarray:
    """Median transverse energy per area of each event (E, 2): for |eta| < 2.5 and beyond [GeV].

    The median over patches of a grid, after FastJet's grid-median estimator (arXiv:1111.6097);
    charged particles of other collisions do not count.
    """
    event = np.repeat(np.arange(len(particles)), ak.to_numpy(ak.num(particles)))
    pt, eta, phi, vertex = (
        ak.to_numpy(ak.flatten(particles[name])) for name in ("pt", "eta", "phi", "vertex")
    )
    out = np.zeros((len(particles), 2))
    for k, (low, high, n_eta, n_phi) in enumerate(((0.0, _TRACKED, 9, 12),
                                                   (_TRACKED, _FORWARD, 8, 10))):  # fmt: skip
        here = (vertex <= 0) & (np.abs(eta) >= low) & (np.abs(eta) < high)
        signed = eta[here] if k == 0 else eta[here] - np.sign(eta[here]) * low
        width = high - low
        row = np.clip(((signed + width) / (2 * width) * n_eta).astype(int), 0, n_eta - 1)
        column = np.clip(((phi[here] + np.pi) / (2 * np.pi) * n_phi).astype(int), 0, n_phi - 1)
        place = (event[here] * n_eta + row) * n_phi + column
        sums = np.bincount(place, pt[here], len(particles) * n_eta * n_phi)
        area = 2 * width / n_eta * 2 * np.pi / n_phi
        out[:, k] = np.median(sums.reshape(len(particles), n_eta * n_phi), axis=1) / area
    return out


def density_at(rho: np.ndarray, event: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """The density (N,) of objects of these events in these directions."""
    return rho[event, (np.abs(eta) > _TRACKED).astype(int)]


@njit(cache=True)
def _sums(
    objects: tuple[np.ndarray, np.ndarray, np.ndarray],
    starts: np.ndarray,
    particles: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
    cone: float,
    own: tuple[float, float],
) -> tuple[np.ndarray, np.ndarray]:
    event, eta, phi = objects
    pt, other_eta, other_phi, charge = particles
    charged, neutral = np.zeros(event.size), np.zeros(event.size)
    for i in range(event.size):
        for k in range(starts[event[i]], starts[event[i] + 1]):
            across = abs((other_phi[k] - phi[i] + math.pi) % (2 * math.pi) - math.pi)
            along = abs(other_eta[k] - eta[i])
            if math.hypot(along, across) > cone or (along < own[0] and across < own[1]):
                continue
            if charge[k] != 0:
                charged[i] += pt[k]
            else:
                neutral[i] += pt[k]
    return charged, neutral


def isolation(
    objects: ak.Array,
    particles: ak.Array,
    rho: np.ndarray,
    *,
    cone: float = 0.3,
    own: tuple[float, float] = (0.02, 0.02),
) -> ak.Array:
    """Transverse momentum about each object over its own, pile-up taken off.

    (charged + max(0, neutral - rho pi R^2)) / pT; charged particles of other collisions do not
    count.

    Args:
        objects: lists per event with `pt eta phi`.
        particles: lists per event.
        rho: from `density`.
        cone: radius R.
        own: half widths in eta and phi of what belongs to the object itself.
    """
    event = np.repeat(np.arange(len(objects)), ak.to_numpy(ak.num(objects)))
    place = [ak.to_numpy(ak.flatten(objects[name])).astype(np.float64) for name in ("eta", "phi")]
    near = particles[particles.vertex <= 0]
    starts = np.concatenate([[0], np.cumsum(ak.to_numpy(ak.num(near)))])
    columns = tuple(
        ak.to_numpy(ak.flatten(near[name])).astype(np.float64)
        for name in ("pt", "eta", "phi", "charge")
    )
    charged, neutral = _sums((event, place[0], place[1]), starts, columns, cone, own)
    expected = density_at(rho, event, place[0]) * math.pi * cone**2
    pt = ak.to_numpy(ak.flatten(objects.pt)).astype(np.float64)
    value = (charged + np.maximum(neutral - expected, 0.0)) / np.maximum(pt, 1e-6)
    return ak.unflatten(value.astype(np.float32), ak.num(objects))


def vertex_fraction(jets: ak.Array, particles: ak.Array, radius: float = 0.4) -> ak.Array:
    """Share of the hard collision in the transverse momentum of charged particles within jets.

    The jet-vertex fraction of arXiv:1510.03823; -1 for jets without any.

    Args:
        jets: lists per event with `eta phi`.
        particles: lists per event of all collisions, with `vertex`; 0 is the hard one.
        radius: of the jets.
    """
    event = np.repeat(np.arange(len(jets)), ak.to_numpy(ak.num(jets)))
    place = [ak.to_numpy(ak.flatten(jets[name])).astype(np.float64) for name in ("eta", "phi")]
    near = particles[particles.charge != 0]
    starts = np.concatenate([[0], np.cumsum(ak.to_numpy(ak.num(near)))])
    pt, eta, phi, vertex = (
        ak.to_numpy(ak.flatten(near[name])).astype(np.float64)
        for name in ("pt", "eta", "phi", "vertex")
    )
    own, other = _sums(
        (event, place[0], place[1]), starts, (pt, eta, phi, np.where(vertex <= 0, 1.0, 0.0)),
        radius, (0.0, 0.0),
    )  # fmt: skip
    total = own + other
    value = np.where(total > 0, own / np.maximum(total, 1e-6), -1.0)
    return ak.unflatten(value.astype(np.float32), ak.num(jets))
