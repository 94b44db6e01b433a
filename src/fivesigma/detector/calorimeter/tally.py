"""Where a spot of energy lies, and the energy that one particle leaves in each cell."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from fivesigma.geometry.cells import CELLS, Grid
from fivesigma.geometry.kernels import kernel

__all__ = ["Tally", "add", "along", "cell_at", "depth_at", "empty_tally", "frame"]

_SIZE = 1 << 15  # slots; no particle has more than a quarter as many spots


class Tally(NamedTuple):
    """Energies by cell, for one particle at a time: a hash table with open addressing.

    Attributes:
        keys: (S,) depth and cell of a slot, -1: free.
        energy, visible: (S,) deposited energy; what of it the readout sees [GeV].
        used: (S,) slots in use, the first `count[0]` of them.
        count: (1,).
    """

    keys: np.ndarray
    energy: np.ndarray
    visible: np.ndarray
    used: np.ndarray
    count: np.ndarray  # type: ignore[assignment]  # hides the count of tuples


def empty_tally() -> Tally:
    """A tally in which nothing is."""
    return Tally(
        np.full(_SIZE, -1, np.int64),
        np.zeros(_SIZE),
        np.zeros(_SIZE),
        np.zeros(_SIZE, np.int64),
        np.zeros(1, np.int64),
    )


@njit(cache=True)
def frame(x: float, y: float, z: float, px: float, py: float, pz: float) -> np.ndarray:
    """Position, direction and two directions across it (12,) of a particle."""
    out = np.empty(12)
    p = math.sqrt(px * px + py * py + pz * pz)
    ux, uy, uz = px / p, py / p, pz / p
    out[0], out[1], out[2], out[3], out[4], out[5] = x, y, z, ux, uy, uz
    flat = math.hypot(ux, uy)
    ax, ay = (-uy / flat, ux / flat) if flat > 1e-9 else (1.0, 0.0)
    out[6], out[7], out[8] = ax, ay, 0.0
    out[9], out[10], out[11] = -uz * ay, uz * ax, ux * ay - uy * ax
    return out


@kernel
def depth_at(edges: np.ndarray, at: float) -> int:
    """The depth between whose edges a path length lies; the number of depths: behind them all."""
    depth = 0
    while depth < edges.size - 1 and at >= edges[depth + 1]:
        depth += 1
    return depth


@kernel
def along(edges: np.ndarray, others: np.ndarray, depth: int, at: float) -> float:
    """A path length within a depth in other units: from those of `edges` to those of `others`."""
    share = (at - edges[depth]) / (edges[depth + 1] - edges[depth])
    return others[depth] + share * (others[depth + 1] - others[depth])


@kernel
def cell_at(grid: Grid, depth: int, eta: float, phi: float) -> int:
    """The cell of a depth at a direction from the origin; -1: none there."""
    size = abs(eta)
    for region in range(grid.start[depth], grid.start[depth + 1]):
        if size < grid.high[region]:
            across = min(
                int((size - grid.low[region]) / grid.step[region]), grid.n_eta[region] - 1
            )
            n_phi = grid.n_phi[region]
            around = int((phi + math.pi) / (2 * math.pi) * n_phi) % n_phi
            number = grid.first[region] + across * n_phi + around
            return number if eta >= 0.0 else number + grid.half[depth]
    return -1


@kernel
def _cell(
    grid: Grid, place: np.ndarray, depth: int, path: float, radius: float, azimuth: float
) -> int:
    """The cell in which a spot lies: at a path length, at (radius, azimuth) about the axis."""
    a, b = radius * math.cos(azimuth), radius * math.sin(azimuth)
    if grid.ring > 0.0:
        ring = int(radius / grid.ring)
        if ring >= grid.n_eta[depth]:
            return -1
        n_alpha = grid.n_phi[depth]
        return ring * n_alpha + int(azimuth / (2 * math.pi) * n_alpha) % n_alpha
    x = place[0] + path * place[3] + a * place[6] + b * place[9]
    y = place[1] + path * place[4] + a * place[7] + b * place[10]
    z = place[2] + path * place[5] + a * place[8] + b * place[11]
    transverse = math.hypot(x, y)
    if transverse < 1e-6:
        return -1
    return cell_at(grid, depth, math.asinh(z / transverse), math.atan2(y, x))


@kernel
def add(
    tally: Tally,
    grid: Grid,
    place: np.ndarray,
    depth: int,
    path: float,
    radius: float,
    azimuth: float,
    energy: float,
    visible: float,
) -> bool:
    """Put a spot of energy into its cell; False where there is no cell.

    Args:
        tally: of the particle.
        grid: of the calorimeters.
        place: the particle's `frame`.
        depth: in which the spot lies.
        path: along the direction [mm].
        radius, azimuth: about it [mm, rad].
        energy, visible: deposited, and seen by the readout [GeV].
    """
    cell = _cell(grid, place, depth, path, radius, azimuth)
    if cell < 0:
        return False
    key = depth * CELLS + cell
    slot = (key * 2654435761 >> 7) & (_SIZE - 1)
    while tally.keys[slot] >= 0 and tally.keys[slot] != key:
        slot = (slot + 1) & (_SIZE - 1)
    if tally.keys[slot] < 0:
        tally.keys[slot] = key
        tally.energy[slot] = tally.visible[slot] = 0.0
        tally.used[tally.count[0]] = slot
        tally.count[0] += 1
    tally.energy[slot] += energy
    tally.visible[slot] += visible
    return True
