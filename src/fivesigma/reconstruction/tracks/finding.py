"""Which particles could be found: their hits and the published efficiency."""

from __future__ import annotations

from typing import NamedTuple

import awkward as ak
import numpy as np
from numba import njit

from fivesigma.geometry import Tracker
from fivesigma.geometry.helix import advance, curvature, perigee
from fivesigma.geometry.layers import Layout

__all__ = ["Candidates", "candidates", "efficiency"]

_COLUMNS = ("pt", "eta", "phi", "mass", "charge", "vx", "vy", "vz")


class Candidates(NamedTuple):
    """Charged stable particles from inside the tracker (N,).

    Attributes:
        event: index of the event.
        truth: index into its `truth` list.
        pdg_id, charge, mass, pt, eta: of the particle.
        perigee: (N, 6) position [mm] and momentum [GeV] closest to the beam.
        d0: transverse impact parameter [mm].
        seen: (N, L) whether it left a hit in each layer.
        hits: how many it left.
    """

    event: np.ndarray
    truth: np.ndarray
    pdg_id: np.ndarray
    charge: np.ndarray
    mass: np.ndarray
    pt: np.ndarray
    eta: np.ndarray
    perigee: np.ndarray
    d0: np.ndarray
    seen: np.ndarray
    hits: np.ndarray

    def take(self, rows: np.ndarray) -> Candidates:
        """Some of them, by index or mask."""
        return Candidates(*(column[rows] for column in self))


def candidates(truth: ak.Array, hits: ak.Array, layout: Layout) -> Candidates:
    """The particles that could leave a track, with what they left.

    Raises:
        ValueError: hits of layers that this tracker has not, or of other events.
    """
    _check(truth, hits, layout)
    flat, counts = ak.flatten(truth), ak.to_numpy(ak.num(truth))
    column = {name: ak.to_numpy(flat[name]).astype(np.float64) for name in _COLUMNS}
    inside = np.hypot(column["vx"], column["vy"]) < layout.radius
    inside &= np.abs(column["vz"]) < layout.half_length
    stable = (ak.to_numpy(flat.status) > 0) & (column["charge"] != 0) & (column["pt"] > 0)
    rows = np.flatnonzero(stable & inside)
    event = np.repeat(np.arange(counts.size), counts)
    first = np.cumsum(counts) - counts
    column = {name: values[rows] for name, values in column.items()}
    closest, d0 = _perigees(
        column["pt"], column["eta"], column["phi"], column["charge"],
        column["vx"], column["vy"], column["vz"], layout.field,
    )  # fmt: skip
    seen, number = _seen(hits, rows, first, event.size, len(layout.layers))
    return Candidates(
        event[rows], rows - first[event[rows]], ak.to_numpy(flat.pdg_id)[rows],
        column["charge"], column["mass"], column["pt"], column["eta"], closest, d0, seen, number,
    )  # fmt: skip


def _check(truth: ak.Array, hits: ak.Array, layout: Layout) -> None:
    if len(truth) != len(hits):
        message = f"truth of {len(truth)} events but hits of {len(hits)}; give those of the same"
        raise ValueError(message)
    highest = ak.max(hits.layer, axis=None)
    if highest is not None and highest >= len(layout.layers):
        message = (
            f"hits of layer {highest}, but {layout.name} has {len(layout.layers)} layers; "
            "were they made with another tracker?"
        )
        raise ValueError(message)


def _seen(
    hits: ak.Array, rows: np.ndarray, first: np.ndarray, n_truth: int, n_layers: int
) -> tuple[np.ndarray, np.ndarray]:
    """Layers with hits (N, L) and numbers of hits (N,) of the particles in these rows of truth."""
    event = np.repeat(np.arange(len(hits)), ak.to_numpy(ak.num(hits)))
    flat = ak.flatten(hits)
    own = ak.to_numpy(flat.truth) >= 0
    if "secondary" in flat.fields:
        own &= ~ak.to_numpy(flat.secondary).astype(bool)
    place = np.full(n_truth, -1)
    place[rows] = np.arange(rows.size)
    row = place[first[event[own]] + ak.to_numpy(flat.truth)[own]]
    layer = ak.to_numpy(flat.layer)[own]
    seen = np.zeros((rows.size, n_layers), bool)
    seen[row[row >= 0], layer[row >= 0]] = True
    return seen, np.bincount(row[row >= 0], minlength=rows.size)


@njit(cache=True)
def _perigees(
    pt: np.ndarray, eta: np.ndarray, phi: np.ndarray, charge: np.ndarray,
    vx: np.ndarray, vy: np.ndarray, vz: np.ndarray, field: float,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Position and momentum closest to the beam line (N, 6), and d0 (N,)."""
    out, d0 = np.empty((pt.size, 6)), np.empty(pt.size)
    for i in range(pt.size):
        ux, uy, slope = np.cos(phi[i]), np.sin(phi[i]), np.sinh(eta[i])
        kappa = curvature(charge[i], field, pt[i])
        d0[i], path, wx, wy = perigee(vx[i], vy[i], ux, uy, kappa)
        out[i, 0], out[i, 1], _, _ = advance(vx[i], vy[i], ux, uy, kappa, path)
        out[i, 2] = vz[i] + slope * path
        out[i, 3], out[i, 4], out[i, 5] = pt[i] * wx, pt[i] * wy, pt[i] * slope
    return out, d0


def efficiency(
    tracker: Tracker | None, kind: np.ndarray, pt: np.ndarray, eta: np.ndarray
) -> np.ndarray:
    """The published track efficiency (N,): of the rows with the smallest |eta| bound that holds,
    the last whose pT threshold is passed.

    Args:
        tracker: of the object-level response; None: efficiency 1.
        kind: (N,) class of particle: 11, 13 or 211.
        pt: (N,) transverse momenta [GeV].
        eta: (N,) pseudorapidities.
    """
    if tracker is None:
        return np.ones(pt.shape)
    value, size = np.zeros(pt.shape), np.abs(eta)
    for name, rows in tracker.efficiency.items():
        wanted = kind == {"electron": 11, "muon": 13}.get(name, 211)
        low = -1.0
        for bound in sorted({row[0] for row in rows}):
            here = wanted & (size > low) & (size <= bound)
            for _, threshold, probability in (row for row in rows if row[0] == bound):
                value[here & (pt > threshold)] = probability
            low = bound
    return value
