"""Which cells touch which: over the sides and corners within a depth, over faces across depths."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from fivesigma.geometry.cells import CELLS, Grid

__all__ = ["Index", "bounds", "find", "fill", "index", "neighbours"]

#: how far boxes are widened within a depth, and shrunk across depths
_MARGIN = 1e-4


class Index(NamedTuple):
    """Places of cells by key: a hash table with open addressing of S slots, S a power of 2."""

    keys: np.ndarray
    rows: np.ndarray


@njit(cache=True)
def index(cells: int) -> Index:
    """An index for so many cells."""
    size = 64
    while size < 3 * cells:
        size *= 2
    return Index(np.full(size, -1, np.int64), np.zeros(size, np.int64))


@njit(cache=True)
def _slot(table: Index, key: int) -> int:
    mask = table.keys.size - 1
    slot = (key * 2654435761 >> 7) & mask
    while table.keys[slot] >= 0 and table.keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@njit(cache=True)
def fill(table: Index, keys: np.ndarray) -> None:
    """Enter the keys (N,) of an event's cells."""
    for row in range(keys.size):
        slot = _slot(table, keys[row])
        table.keys[slot], table.rows[slot] = keys[row], row


@njit(cache=True)
def find(table: Index, key: int) -> int:
    """Place of a cell, -1: not there."""
    slot = _slot(table, key)
    return table.rows[slot] if table.keys[slot] == key else -1


@njit(cache=True)
def bounds(grid: Grid, depth: int, cell: int) -> tuple[float, float, float, float]:
    """The box of a cell: eta from and to, phi from and to."""
    number = cell - grid.half[depth] if cell >= grid.half[depth] else cell
    region = grid.start[depth]
    while region + 1 < grid.start[depth + 1] and number >= grid.first[region + 1]:
        region += 1
    across, around = divmod(number - grid.first[region], grid.n_phi[region])
    low = grid.low[region] + across * grid.step[region]
    width = 2 * math.pi / grid.n_phi[region]
    phi = -math.pi + around * width
    if cell >= grid.half[depth]:
        return -low - grid.step[region], -low, phi, phi + width
    return low, low + grid.step[region], phi, phi + width


@njit(cache=True)
def _overlapping(
    grid: Grid, depth: int, box: tuple[float, float, float, float], out: np.ndarray, n: int
) -> int:
    """Write the keys of a depth's cells that overlap a box behind the first n; the new number."""
    for side in range(2):
        low = max(box[0], 0.0) if side == 0 else max(-box[1], 0.0)
        high = box[1] if side == 0 else -box[0]
        for region in range(grid.start[depth], grid.start[depth + 1]):
            a, b = max(low, grid.low[region]), min(high, grid.high[region])
            if a >= b:
                continue
            first = int((a - grid.low[region]) / grid.step[region])
            last = min(int((b - grid.low[region]) / grid.step[region]), grid.n_eta[region] - 1)
            n_phi = grid.n_phi[region]
            begin = math.floor((box[2] + math.pi) / (2 * math.pi) * n_phi)
            end = math.floor((box[3] + math.pi) / (2 * math.pi) * n_phi)
            for across in range(first, last + 1):
                start = grid.first[region] + across * n_phi + side * grid.half[depth]
                for around in range(begin, min(end, begin + n_phi - 1) + 1):
                    if n < out.size:
                        out[n] = depth * CELLS + start + around % n_phi
                        n += 1
    return n


@njit(cache=True)
def neighbours(grid: Grid, key: int, out: np.ndarray) -> int:
    """Write the keys of the cells that touch a cell to `out`; their number."""
    depth, cell = key // CELLS, key % CELLS
    box = bounds(grid, depth, cell)
    n = 0
    for other in range(max(depth - 1, 0), min(depth + 2, grid.half.size)):
        margin = _MARGIN if other == depth else -_MARGIN
        wide = (box[0] - margin, box[1] + margin, box[2] - margin, box[3] + margin)
        n = _overlapping(grid, other, wide, out, n)
    for k in range(n):
        if out[k] == key:
            out[k] = out[n - 1]
            return n - 1
    return n
