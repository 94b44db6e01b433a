"""Collisions along the beam, from the tracks that start there."""

from __future__ import annotations

import awkward as ak
import numpy as np
from numba import njit

__all__ = ["find_vertices"]


@njit(cache=True)
def _find(
    starts: np.ndarray, pt: np.ndarray, z: np.ndarray, error: np.ndarray, near: float, least: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices of all events: z (V,), their numbers (E,), vertex of each track (T,)."""
    owner = np.full(pt.size, -1, np.int64)
    found, numbers = np.empty(pt.size), np.zeros(starts.size - 1, np.int64)
    total = 0
    for event in range(starts.size - 1):
        rows = np.arange(starts[event], starts[event + 1])
        order = rows[np.argsort(-pt[rows])]
        first = total
        for seed in order:
            if owner[seed] >= 0:
                continue
            members, weight, mean = 0, 0.0, 0.0
            for t in rows:
                if owner[t] < 0 and abs(z[t] - z[seed]) < near + 3.0 * error[t]:
                    members += 1
                    weight += 1.0 / (error[t] ** 2 + 1e-4)
                    mean += z[t] / (error[t] ** 2 + 1e-4)
            if members < least:
                continue
            for t in rows:
                if owner[t] < 0 and abs(z[t] - z[seed]) < near + 3.0 * error[t]:
                    owner[t] = total - first
            found[total] = mean / weight
            total += 1
        numbers[event] = total - first
    return found[:total], numbers, owner


def find_vertices(
    tracks: ak.Array, *, near: float = 0.5, least: int = 3
) -> tuple[ak.Array, ak.Array]:
    """Vertices by falling sum of pT^2, and the vertex of each track.

    Tracks in falling pT collect those that start close to them; a simple stand-in for a fit.

    Args:
        tracks: lists per event with `pt dz dz_error`.
        near: tracks up to this distance and 3 standard deviations belong together [mm].
        least: tracks that make a vertex.

    Returns:
        Lists of z of the vertices per event [mm]; lists of the index of each track's vertex, -1:
        none.
    """
    counts = ak.to_numpy(ak.num(tracks))
    starts = np.concatenate([[0], np.cumsum(counts)])
    pt, z, error = (
        ak.to_numpy(ak.flatten(tracks[name])).astype(np.float64)
        for name in ("pt", "dz", "dz_error")
    )
    found, numbers, owner = _find(starts, pt, z, error, near, least)
    first = np.cumsum(numbers) - numbers
    event = np.repeat(np.arange(counts.size), counts)
    row = np.where(owner >= 0, first[event] + owner, -1)
    strength = np.bincount(row[row >= 0], pt[row >= 0] ** 2, found.size)
    of_vertex = np.repeat(np.arange(counts.size), numbers)
    order = np.lexsort((-strength, of_vertex))
    rank = np.empty(found.size + 1, np.int64)
    rank[order] = np.arange(found.size) - first[of_vertex]
    rank[-1] = -1
    return ak.unflatten(found[order], numbers), ak.unflatten(rank[row].astype(np.int16), counts)
