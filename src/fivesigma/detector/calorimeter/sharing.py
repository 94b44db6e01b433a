"""Contributions summed by cell: the energy of each cell, and whose it is."""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["collect", "pick", "places"]


@njit(cache=True)
def collect(
    order: np.ndarray,
    key: np.ndarray,
    truth: np.ndarray,
    energy: np.ndarray,
    visible: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Sum contributions (C,) by cell, in the order of their keys.

    Returns:
        Key and visible energy of each cell (N,); start of its list (N + 1,), and in the lists who
        deposited energy and the share (M,), largest first.
    """
    n = order.size
    cells, seen, starts = np.empty(n, np.int64), np.zeros(n), np.zeros(n + 1, np.int64)
    who, share = np.empty(n, np.int32), np.empty(n)
    count = entries = i = 0
    while i < n:
        cells[count], total, first = key[order[i]], 0.0, entries
        while i < n and key[order[i]] == cells[count]:
            j = order[i]
            place = first
            while place < entries and who[place] != truth[j]:
                place += 1
            if place == entries:
                who[place], share[place] = truth[j], 0.0
                entries += 1
            share[place] += energy[j]
            total += energy[j]
            seen[count] += visible[j]
            i += 1
        for last in range(first + 1, entries):  # few: insertion
            at = last
            while at > first and share[at] > share[at - 1]:
                share[at], share[at - 1] = share[at - 1], share[at]
                who[at], who[at - 1] = who[at - 1], who[at]
                at -= 1
        for place in range(first, entries):
            share[place] /= max(total, 1e-30)
        count += 1
        starts[count] = entries
    return cells[:count], seen[:count], starts[: count + 1], who[:entries], share[:entries]


@njit(cache=True)
def pick(
    rows: np.ndarray, starts: np.ndarray, who: np.ndarray, share: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The lists of these rows (N,), -1: an empty one: lengths (N,), who and share (M,)."""
    counts = np.zeros(rows.size, np.int64)
    for k in range(rows.size):
        if rows[k] >= 0:
            counts[k] = starts[rows[k] + 1] - starts[rows[k]]
    n = counts.sum()
    names, shares, at = np.empty(n, np.int32), np.empty(n, np.float32), 0
    for k in range(rows.size):
        for entry in range(counts[k]):
            names[at] = who[starts[rows[k]] + entry]
            shares[at] = share[starts[rows[k]] + entry]
            at += 1
    return counts, names, shares


def places(sorted_keys: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Where keys (N,) are among sorted ones, -1: nowhere."""
    if not len(sorted_keys):
        return np.full(len(keys), -1)
    place = np.minimum(np.searchsorted(sorted_keys, keys), len(sorted_keys) - 1)
    return np.where(sorted_keys[place] == keys, place, -1)
