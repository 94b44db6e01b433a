"""The choice of bins: of equal signal, or for the largest expected significance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fivesigma.metrics.significance import asimov_significance

__all__ = ["best_edges", "equal_signal_edges"]

Array = NDArray[np.float64]

#: largest relative statistical error of the background in a bin: the other half of the events,
#: which makes the templates, then has some there too
_LARGEST_ERROR = 0.3
#: fewer bins are taken where they reach this part of the best significance
_ENOUGH = 0.99


def equal_signal_edges(edges: Array, signal: Array, bins: int) -> Array:
    """Edges of `bins` bins with the same expected signal, out of fine ones.

    Args:
        edges: (F + 1,) fine edges.
        signal: (F,) expected signal.
        bins: how many; fewer come out where one fine bin holds more than its part.

    Raises:
        ValueError: no signal.
    """
    total = np.cumsum(np.maximum(signal, 0.0))
    if not total[-1] > 0:
        message = "no signal in the range of the bins; widen the range, or look at the selection"
        raise ValueError(message)
    parts = total[-1] * np.arange(1, bins) / bins
    inner = np.searchsorted(total, parts * (1 - 1e-12)) + 1
    return edges[np.unique(np.concatenate([[0], inner, [len(signal)]]))]


def best_edges(
    edges: Array,
    signal: Array,
    background: Array,
    variance: Array,
    bins: int,
    *,
    uncertainty: float = 0.0,
    moves: Sequence[Array] = (),
    least_background: float = 1.0,
) -> Array:
    """Edges of at most `bins` bins with the largest expected significance, out of fine ones.

    The sum of the squares of the bins' Asimov significances is maximised exactly, by dynamic
    programming over the fine edges. Fewer bins are taken where they reach 99 % of it. Each bin has
    its uncertainty for itself: what the others would tell a fit about a parameter does not count.

    Args:
        edges: (F + 1,) fine edges.
        signal: (F,) expected signal.
        background: (F,) expected background.
        variance: (F,) its statistical variance.
        bins: the most that there may be.
        uncertainty: relative systematic uncertainty of the background in a bin, besides
        moves: (F,) change of the background at +1 sigma, of each independent parameter.
        least_background: that a bin must have, with a statistical error below 30 %.

    Raises:
        ValueError: not even one bin has so much background.
    """
    gain = _gains(signal, background, variance, uncertainty, moves, least_background)
    n = len(signal)
    if not np.isfinite(gain[0, n]):
        message = (
            f"{background.sum():.3g} background events in the range of the bins, expected at "
            f"least {least_background:g} with a statistical error below 30 %; widen the range"
        )
        raise ValueError(message)
    best, come_from = [gain[0]], [np.zeros(n + 1, np.int64)]
    for _ in range(1, bins):
        options = best[-1][:, None] + gain  # (begin, end) of the last bin
        come_from.append(options.argmax(axis=0))
        best.append(options.max(axis=0))
    reached = np.sqrt(np.maximum([each[n] for each in best], 0.0))
    count = int(np.argmax(reached >= _ENOUGH * np.max(reached)))
    cuts, at = [n], n
    for k in range(count, -1, -1):
        at = int(come_from[k][at])
        cuts.append(at)
    return edges[cuts[::-1]]


def _gains(
    s: Array,
    b: Array,
    variance: Array,
    uncertainty: float,
    moves: Sequence[Array],
    least: float,
) -> Array:
    """(F + 1, F + 1) squared significance of the bin from each edge to each later one."""
    signal, background, spread = (_between(each) for each in (s, b, variance))
    allowed = background >= least
    allowed &= np.sqrt(np.maximum(spread, 0.0)) <= _LARGEST_ERROR * background
    allowed &= np.arange(len(s) + 1)[:, None] < np.arange(len(s) + 1)[None, :]
    full = np.where(allowed, background, 1.0)
    squared = np.maximum(spread, 0.0) + (uncertainty * full) ** 2
    squared = squared + sum(_between(each) ** 2 for each in moves)
    error = np.sqrt(squared)
    z = asimov_significance(signal, full, error)
    return np.where(allowed, z**2, -np.inf)


def _between(values: Array) -> Array:
    """(F + 1, F + 1) sum of the values from each edge to each later one."""
    cumulated = np.concatenate([[0.0], np.cumsum(values)])
    return cumulated[None, :] - cumulated[:, None]
