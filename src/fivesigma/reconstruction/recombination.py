"""Sequential recombination of particles into jets, compiled: anti-kT, Cambridge/Aachen and kT.

The generalised kT family (arXiv:0802.1189) with the nearest-neighbour search of
arXiv:hep-ph/0512210: the closest pair always joins an object to its geometric neighbour, so that
one neighbour per object is enough. Two things make it quick. A pair is kept by its member with the
smaller pT^2p only; and a neighbour that has meanwhile been merged away is looked for again only
when its object comes up next: until then the old distance is a lower bound.

All is float64. FastJet finds the same jets: the tests compare them constituent by constituent.
"""

from __future__ import annotations

import math

import awkward as ak
import numpy as np
from numba import njit

__all__ = ["cartesian", "find_jets", "histories", "kernel"]

#: how the loops are compiled: sums may be reordered, which vector instructions need
kernel = njit(cache=True, error_model="numpy", fastmath={"nnan", "nsz", "reassoc", "contract"})

_FAR = 1e300  # beyond any distance; comparisons with an infinity would be optimised away
_BLOCK = 8
_RAPIDITY, _PHI, _SCALE, _GAP, _DISTANCE = range(5)  # rows of the table of live objects


def cartesian(particles: ak.Array) -> np.ndarray:
    """Flat records with `pt eta phi mass` as px, py, pz and energy [GeV], (N, 4) float64."""
    pt, eta, phi, mass = (
        np.asarray(particles[name], dtype=np.float64) for name in ("pt", "eta", "phi", "mass")
    )
    momenta = np.empty((len(pt), 4))
    momenta[:, 0], momenta[:, 1] = pt * np.cos(phi), pt * np.sin(phi)
    momenta[:, 2] = pt * np.sinh(eta)
    momenta[:, 3] = np.sqrt(pt * pt + momenta[:, 2] ** 2 + mass * mass)
    return momenta


@kernel
def _argmin(values: np.ndarray, n: int) -> int:
    """Place of the smallest of the first n values, by blocks that the processor can overlap."""
    best, at = _FAR, 0
    whole = n - n % _BLOCK
    for start in range(0, whole, _BLOCK):
        low = values[start]
        for m in range(start + 1, start + _BLOCK):
            low = values[m] if values[m] < low else low
        if low < best:
            best, at = low, start
    for m in range(whole, n):
        if values[m] < best:
            best, at = values[m], m
    while at < n - 1 and values[at] != best:
        at += 1
    return at


@kernel
def _separations(rapidity: np.ndarray, phi: np.ndarray, at: int, n: int, out: np.ndarray) -> None:
    """Squared distances of the first n objects to the one in slot `at`."""
    y, p = rapidity[at], phi[at]
    for m in range(n):
        dy, dphi = rapidity[m] - y, abs(phi[m] - p)
        dphi = min(dphi, 2 * math.pi - dphi)
        out[m] = dy * dy + dphi * dphi


@kernel
def _offer(gap: np.ndarray, neighbour: np.ndarray, free: np.ndarray, n: int, node: int) -> None:
    """Offer an object to the first n, none of which has a larger pT^2p, as their neighbour."""
    for m in range(n):
        if free[m] < gap[m]:
            gap[m], neighbour[m] = free[m], node


@kernel
def _connect(
    live: np.ndarray,
    node: np.ndarray,
    neighbour: np.ndarray,
    free: np.ndarray,
    at: int,
    n: int,
    radius2: float,
) -> None:
    """Find the neighbour of the object in slot `at`; offer it to those with a smaller pT^2p."""
    scale, gap, distance = live[_SCALE], live[_GAP], live[_DISTANCE]
    s, name = scale[at], node[at]
    _separations(live[_RAPIDITY], live[_PHI], at, n, free)
    for m in range(n):
        d, owner = free[m], scale[m] < s
        if owner & (d < gap[m]):  # one branch, rarely taken
            gap[m], neighbour[m], distance[m] = d, name, scale[m] * d
        free[m] = _FAR if owner else d
    free[at] = _FAR
    closest = _argmin(free, n)
    if free[closest] < radius2:
        gap[at], neighbour[at] = free[closest], node[closest]
    else:
        gap[at], neighbour[at] = radius2, -1
    distance[at] = s * gap[at]


@kernel
def _direction(px: float, py: float, pz: float, energy: float) -> tuple[float, float, float]:
    """pT, rapidity and azimuth; the rapidity in a form that keeps its digits far forward."""
    pt2 = px * px + py * py
    mass2 = max(0.0, (energy + pz) * (energy - pz) - pt2)
    plus = energy + abs(pz)
    rapidity = 0.5 * math.log((pt2 + mass2) / (plus * plus))
    return math.sqrt(pt2), -rapidity if pz > 0 else rapidity, math.atan2(py, px)


@kernel
def _scale(pt: float, power: int) -> float:
    """pT^2p."""
    if power == 0:
        return 1.0
    return pt * pt if power > 0 else 1.0 / (pt * pt)


@kernel
def _place(
    live: np.ndarray,
    node: np.ndarray,
    slot_of: np.ndarray,
    axis: np.ndarray,
    row: int,
    at: int,
    power: int,
) -> None:
    """Put the object of a row of the tree into a slot of the table of live objects."""
    live[_SCALE, at] = _scale(axis[row, 0], power)
    live[_RAPIDITY, at], live[_PHI, at] = axis[row, 1], axis[row, 2]
    node[at], slot_of[row] = row, at


@kernel
def _remove(
    live: np.ndarray,
    node: np.ndarray,
    neighbour: np.ndarray,
    slot_of: np.ndarray,
    at: int,
    last: int,
) -> None:
    """Take the object in slot `at` out; the last one moves into its slot."""
    slot_of[node[last]] = at
    slot_of[node[at]] = -1
    for row in range(5):
        live[row, at] = live[row, last]
    node[at], neighbour[at] = node[last], neighbour[last]


@kernel
def _merge(
    momentum: np.ndarray,
    axis: np.ndarray,
    parents: np.ndarray,
    a: int,
    b: int,
    new: int,
    winner: bool,
) -> None:
    """Fill row `new` with a + b: E-scheme, or the direction of the harder (winner takes all)."""
    parents[new, 0], parents[new, 1] = a, b
    for q in range(4):
        momentum[new, q] = momentum[a, q] + momentum[b, q]
    if winner:
        harder = a if axis[a, 0] > axis[b, 0] else b
        axis[new, 0] = axis[a, 0] + axis[b, 0]
        axis[new, 1], axis[new, 2] = axis[harder, 1], axis[harder, 2]
    else:
        axis[new, 0], axis[new, 1], axis[new, 2] = _direction(
            momentum[new, 0], momentum[new, 1], momentum[new, 2], momentum[new, 3]
        )


@kernel
def _recombine(
    momentum: np.ndarray,
    axis: np.ndarray,
    parents: np.ndarray,
    n: int,
    power: int,
    radius2: float,
    winner: bool,
    enough: float,
) -> np.ndarray:
    """Cluster the n particles in the first rows of `momentum`; mergers fill the rows after them.

    Args:
        momentum: (2n, 4) px, py, pz, E. axis: (2n, 3) pT, rapidity, phi. parents: (2n, 2) rows,
            -1 for particles.
        enough: stop when the pT left in the event cannot add up to this any more.

    Returns:
        The rows that are jets, in the order in which they were found.
    """
    live, free = np.empty((5, n)), np.empty(n)
    node, neighbour = np.empty(n, np.int64), np.full(n, -1)
    slot_of, jets = np.full(2 * n, -1), np.empty(n, np.int64)
    left, n_jets, new = 0.0, 0, n
    for i in range(n):
        parents[i, 0] = parents[i, 1] = -1
        axis[i, 0], axis[i, 1], axis[i, 2] = _direction(
            momentum[i, 0], momentum[i, 1], momentum[i, 2], momentum[i, 3]
        )
        left += axis[i, 0]
    live[_GAP] = radius2
    for at, i in enumerate(np.argsort(axis[:n, 0])[:: -1 if power < 0 else 1]):
        _place(live, node, slot_of, axis, i, at, power)
        _separations(live[_RAPIDITY], live[_PHI], at, at, free)
        _offer(live[_GAP], neighbour, free, at, i)
    live[_DISTANCE] = live[_SCALE] * live[_GAP]
    while n > 0 and left >= enough:
        at = _argmin(live[_DISTANCE], n)
        a, b = node[at], neighbour[at]
        if b >= 0 and slot_of[b] < 0:  # its neighbour has been merged away
            _connect(live, node, neighbour, free, at, n, radius2)
            continue
        n -= 1
        _remove(live, node, neighbour, slot_of, at, n)
        left -= axis[a, 0]
        if b < 0:
            jets[n_jets] = a
            n_jets += 1
            continue
        _merge(momentum, axis, parents, a, b, new, winner)
        left += axis[new, 0] - axis[b, 0]
        at = slot_of[b]
        slot_of[b] = -1
        _place(live, node, slot_of, axis, new, at, power)
        _connect(live, node, neighbour, free, at, n, radius2)
        new += 1
    return jets[:n_jets]


@kernel
def _leaves(parents: np.ndarray, root: int, out: np.ndarray, stack: np.ndarray) -> int:
    """Write the particles below a row to `out`; returns how many there are."""
    found, top = 0, 1
    stack[0] = root
    while top > 0:
        top -= 1
        row = stack[top]
        if parents[row, 0] < 0:
            out[found] = row
            found += 1
        else:
            stack[top], stack[top + 1] = parents[row, 0], parents[row, 1]
            top += 2
    return found


@kernel
def find_jets(
    momenta: np.ndarray, offsets: np.ndarray, power: int, radius: float, pt_min: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inclusive jets above a pT in each event, with the E-scheme.

    Args:
        momenta: (N, 4) float64 px, py, pz, E of all events' particles [GeV]; every pT > 0.
        offsets: (E + 1,) int64, where each event begins.
        power: -1 anti-kT, 0 Cambridge/Aachen, 1 kT.
        radius: the jet radius R.
        pt_min: jets below this are not returned [GeV].

    Returns:
        event (J,) of each jet, number of constituents (J,), and the constituents' flat indices.
    """
    total = len(momenta)
    event, size = np.empty(total, np.int64), np.empty(total, np.int64)
    index = np.empty(total, np.int64)
    n_jets, filled = 0, 0
    enough = pt_min * (1 - 1e-9)  # no jet has more pT than the sum of all; allow for rounding
    for k in range(len(offsets) - 1):
        start, n = offsets[k], offsets[k + 1] - offsets[k]
        momentum, axis = np.empty((2 * n, 4)), np.empty((2 * n, 3))
        parents, stack = np.empty((2 * n, 2), np.int64), np.empty(2 * n, np.int64)
        momentum[:n] = momenta[start : start + n]
        for jet in _recombine(momentum, axis, parents, n, power, radius * radius, False, enough):
            if axis[jet, 0] < pt_min:
                continue
            found = _leaves(parents, jet, index[filled:], stack)
            index[filled : filled + found] += start
            event[n_jets], size[n_jets] = k, found
            n_jets += 1
            filled += found
    return event[:n_jets], size[:n_jets], index[:filled]


@kernel
def histories(
    momenta: np.ndarray, offsets: np.ndarray, power: int, winner: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Recluster each jet's constituents into one tree, without a radius.

    Args:
        momenta, offsets, power: as for `find_jets`, a jet in place of an event.
        winner: recombine by winner-takes-all (pT adds up, the direction is the harder one's)
            rather than by E-scheme.

    Returns:
        momentum (2N, 4), axis (2N, 3) = pT, rapidity, phi, and parents (2N, 2). A jet of n
        constituents that begin at offset o has the rows 2o to 2o + 2n: its constituents, then the
        n - 1 mergers in their order, of which the last is the whole jet; one row is not used.
        Parents count from the jet's first row, -1 for constituents.
    """
    total = 2 * len(momenta)
    momentum, axis = np.empty((total, 4)), np.empty((total, 3))
    parents = np.empty((total, 2), np.int64)
    for k in range(len(offsets) - 1):
        start, n = offsets[k], offsets[k + 1] - offsets[k]
        rows = slice(2 * start, 2 * start + 2 * n)
        tree = momentum[rows]
        tree[:n] = momenta[start : start + n]
        # a radius of 1000 lets no object become a jet before all are one
        _recombine(tree, axis[rows], parents[rows], n, power, 1e6, winner, 0.0)
    return momentum, axis, parents
