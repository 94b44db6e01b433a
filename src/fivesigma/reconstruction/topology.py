"""Topological clusters, compiled: neighbours join, local maxima split (arXiv:1603.02934)."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fivesigma.geometry.cells import CELLS, Grid
from fivesigma.reconstruction.neighbours import Index, bounds, fill, find, index, neighbours

__all__ = ["entries"]

_MOST = 256  # neighbours of a cell
_DONE = -1


@njit(cache=True)
def _touching(grid: Grid, table: Index, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the neighbours that were read of each cell: list starts (N + 1,), rows (M,)."""
    n = keys.size
    starts, rows, count = np.zeros(n + 1, np.int64), np.empty(16 * n + 64, np.int64), 0
    around = np.empty(_MOST, np.int64)
    for i in range(n):
        for k in range(neighbours(grid, keys[i], around)):
            row = find(table, around[k])
            if row >= 0:
                if count == rows.size:
                    rows = np.concatenate((rows, np.empty_like(rows)))
                rows[count] = row
                count += 1
        starts[i + 1] = count
    return starts, rows[:count]


@njit(cache=True)
def _grow(
    significance: np.ndarray, starts: np.ndarray, rows: np.ndarray, seed: float, grow: float
) -> tuple[np.ndarray, int]:
    """The cluster of each cell (N,), -1: none, and their number."""
    n = significance.size
    owner, stack, number = np.full(n, -1, np.int64), np.empty(n, np.int64), 0
    for first in np.argsort(-significance):
        if significance[first] < seed:
            break
        if owner[first] >= 0:
            continue
        owner[first], stack[0], depth = number, first, 1
        while depth > 0:
            depth -= 1
            cell = stack[depth]
            for k in range(starts[cell], starts[cell + 1]):
                other = rows[k]
                if owner[other] < 0:
                    owner[other] = number
                    if significance[other] >= grow:
                        stack[depth] = other
                        depth += 1
        number += 1
    return owner, number


@njit(cache=True)
def _maxima(
    energy: np.ndarray,
    depth: np.ndarray,
    ecal: np.ndarray,
    owner: np.ndarray,
    starts: np.ndarray,
    rows: np.ndarray,
    least: float,
    around: int,
) -> np.ndarray:
    """Number of the part that each cell starts (N,), -1 where it is no local maximum.

    The first depth does not count: its narrow strips have too many maxima. Maxima in the HCAL
    count only in clusters without one in the ECAL. A cluster without maxima is one part, of its
    cell with the most energy.
    """
    n = energy.size
    clusters = owner.max() + 1 if n else 0
    part, kind = np.full(n, -1, np.int64), np.zeros(clusters, np.int64)
    top = np.full(clusters, -1, np.int64)
    best = np.zeros(n, np.bool_)
    for i in range(n):
        if owner[i] < 0:
            continue
        if top[owner[i]] < 0 or energy[i] > energy[top[owner[i]]]:
            top[owner[i]] = i
        if energy[i] < least or depth[i] == 0:
            continue
        count, highest = 0, True
        for k in range(starts[i], starts[i + 1]):
            if owner[rows[k]] == owner[i]:
                count += 1
                highest &= energy[rows[k]] < energy[i] or depth[rows[k]] == 0
        best[i] = highest and count >= around
        if best[i] and ecal[depth[i]]:
            kind[owner[i]] = 1
    number = 0
    for i in range(n):
        if owner[i] >= 0 and best[i] and (ecal[depth[i]] or kind[owner[i]] == 0):
            kind[owner[i]] = max(kind[owner[i]], 1 if ecal[depth[i]] else 0)
            part[i], top[owner[i]] = number, _DONE
            number += 1
    for cluster in range(clusters):
        if top[cluster] >= 0:
            part[top[cluster]] = number
            number += 1
    return part


@njit(cache=True)
def _split(
    energy: np.ndarray,
    owner: np.ndarray,
    starts: np.ndarray,
    rows: np.ndarray,
    part: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """First and second part that each cell belongs to (N,), -1: none.

    Parts grow from their maxima over the cells of the cluster, cells with more energy first. A
    cell that two parts reach at once is shared, and nothing grows through it.
    """
    n = energy.size
    second = np.full(n, -1, np.int64)
    order = np.argsort(-energy)
    changed = True
    while changed:
        changed = False
        for i in order:
            if owner[i] < 0 or part[i] >= 0:
                continue
            first, other = -1, -1
            for k in range(starts[i], starts[i + 1]):
                j = rows[k]
                if owner[j] != owner[i] or part[j] < 0 or second[j] >= 0:
                    continue
                if first < 0:
                    first = part[j]
                elif part[j] != first and other < 0:
                    other = part[j]
            if first >= 0:
                part[i], second[i], changed = first, other, True
    # what lies behind shared cells only joins the part of one of them
    changed = True
    while changed:
        changed = False
        for i in order:
            if owner[i] >= 0 and part[i] < 0:
                for k in range(starts[i], starts[i + 1]):
                    if owner[rows[k]] == owner[i] and part[rows[k]] >= 0 and part[i] < 0:
                        part[i], changed = part[rows[k]], True
    return part, second


@njit(cache=True)
def _weights(
    energy: np.ndarray,
    points: np.ndarray,
    part: np.ndarray,
    second: np.ndarray,
    scale: float,
) -> np.ndarray:
    """Share of each cell that belongs to its first part (N,).

    w1 = E1 / (E1 + r E2), r = exp(d1 - d2) with the distances to both centres (section 4.3).
    """
    number = part.max() + 1 if part.size else 0
    sums = np.zeros((number, 4))
    for i in range(part.size):
        if part[i] >= 0 and second[i] < 0 and energy[i] > 0.0:
            sums[part[i], 0] += energy[i]
            for k in range(3):
                sums[part[i], k + 1] += energy[i] * points[i, k]
    weight = np.ones(part.size)
    for i in range(part.size):
        if second[i] < 0 or part[i] < 0:
            continue
        one, two = sums[part[i]], sums[second[i]]
        d1 = d2 = 0.0
        for k in range(3):
            d1 += (points[i, k] - one[k + 1] / max(one[0], 1e-9)) ** 2
            d2 += (points[i, k] - two[k + 1] / max(two[0], 1e-9)) ** 2
        r = math.exp(min(max((math.sqrt(d1) - math.sqrt(d2)) / scale, -30.0), 30.0))
        weight[i] = one[0] / max(one[0] + r * two[0], 1e-9)
    return weight


@njit(cache=True)
def _points(grid: Grid, keys: np.ndarray, radius: float, half_length: float) -> np.ndarray:
    """Centres of cells (N, 3) [mm]."""
    points = np.empty((keys.size, 3))
    for i in range(keys.size):
        depth = keys[i] // CELLS
        low, high, left, right = bounds(grid, depth, keys[i] % CELLS)
        eta, phi = 0.5 * (low + high), 0.5 * (left + right)
        front = min(radius * math.cosh(eta), half_length / max(abs(math.tanh(eta)), 1e-9))
        path = front + 0.5 * (grid.mm[depth] + grid.mm[depth + 1])
        flat = path / math.cosh(eta)
        points[i, 0], points[i, 1] = flat * math.cos(phi), flat * math.sin(phi)
        points[i, 2] = path * math.tanh(eta)
    return points


@njit(cache=True)
def _event(
    grid: Grid,
    keys: np.ndarray,
    energy: np.ndarray,
    noise: np.ndarray,
    radius: float,
    half_length: float,
    thresholds: np.ndarray,
    around: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Parts (N,), second parts (N,) and weights (N,) of an event's cells."""
    table = index(keys.size)
    fill(table, keys)
    starts, rows = _touching(grid, table, keys)
    significance = np.abs(energy) / np.maximum(noise, 1e-12)
    owner, _ = _grow(significance, starts, rows, thresholds[0], thresholds[1])
    depth = keys // CELLS
    part = _maxima(energy, depth, grid.ecal, owner, starts, rows, thresholds[2], around)
    part, second = _split(energy, owner, starts, rows, part)
    points = _points(grid, keys, radius, half_length)
    return part, second, _weights(energy, points, part, second, thresholds[3])


@njit(cache=True)
def entries(
    grid: Grid,
    starts: np.ndarray,
    keys: np.ndarray,
    energy: np.ndarray,
    noise: np.ndarray,
    radius: float,
    half_length: float,
    thresholds: np.ndarray,
    around: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Shares of cells, event by event: cluster (M,), cell (M,), weight (M,), clusters (E,)."""
    cluster, cell = np.empty(2 * keys.size, np.int64), np.empty(2 * keys.size, np.int64)
    weight, numbers = np.empty(2 * keys.size), np.zeros(starts.size - 1, np.int64)
    count, before = 0, 0
    for event in range(starts.size - 1):
        a, b = starts[event], starts[event + 1]
        part, second, share = _event(
            grid, keys[a:b], energy[a:b], noise[a:b], radius, half_length, thresholds, around
        )
        for i in range(b - a):
            if part[i] < 0:
                continue
            cluster[count], cell[count], weight[count] = before + part[i], a + i, share[i]
            count += 1
            numbers[event] = max(numbers[event], part[i] + 1)
            if second[i] >= 0:
                cluster[count], cell[count] = before + second[i], a + i
                weight[count] = 1.0 - share[i]
                count += 1
        before += numbers[event]
    return cluster[:count], cell[:count], weight[:count], numbers
