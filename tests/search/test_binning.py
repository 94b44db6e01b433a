"""The choice of bins against brute force."""

from itertools import combinations

import numpy as np
import pytest

from fivesigma.metrics.significance import asimov_significance
from fivesigma.search.binning import best_edges, equal_signal_edges

EDGES = np.linspace(0, 1, 13)
SIGNAL = np.array([0.1, 0.1, 0.2, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0, 2.5, 2.0, 1.0])
BACKGROUND = np.array([90, 70, 50, 30, 20, 12, 8, 5, 4, 3, 2, 1.5])
VARIANCE = BACKGROUND / 10


def total(edges, uncertainty=0.1):
    at = np.searchsorted(EDGES, edges)
    s, b, v = (np.add.reduceat(each, at[:-1]) for each in (SIGNAL, BACKGROUND, VARIANCE))
    return np.sqrt(np.sum(asimov_significance(s, b, np.sqrt(v + (uncertainty * b) ** 2)) ** 2))


def test_the_best_edges_are_those_of_all_there_are():
    found = best_edges(EDGES, SIGNAL, BACKGROUND, VARIANCE, 4, uncertainty=0.1)
    best = max(
        total(np.array([0, *inner, 1]))
        for count in range(4)
        for inner in combinations(EDGES[1:-1], count)
    )
    assert 0.99 * best <= total(found) <= best + 1e-12
    assert len(found) <= 5
    assert total(found) > total(np.array([0, 0.25, 0.5, 0.75, 1]))


def test_parameters_that_move_the_background_are_counted_bin_by_bin():
    """Against brute force; what goes up here and down there cancels within a bin."""
    moves = [0.5 * BACKGROUND, BACKGROUND * np.linspace(-1, 1, 12)]

    def squared(edges):
        at = np.searchsorted(EDGES, edges)[:-1]
        s, b, v = (np.add.reduceat(each, at) for each in (SIGNAL, BACKGROUND, VARIANCE))
        v = v + sum(np.add.reduceat(each, at) ** 2 for each in moves)
        return np.sum(asimov_significance(s, b, np.sqrt(v)) ** 2)

    found = best_edges(EDGES, SIGNAL, BACKGROUND, VARIANCE, 4, moves=moves)
    best = max(
        squared(np.array([0, *inner, 1]))
        for count in range(4)
        for inner in combinations(EDGES[1:-1], count)
    )
    assert 0.99**2 * best <= squared(found) <= best + 1e-12
    assert squared(best_edges(EDGES, SIGNAL, BACKGROUND, VARIANCE, 4)) < 0.98**2 * best


def test_every_bin_has_background():
    found = best_edges(EDGES, SIGNAL, BACKGROUND, VARIANCE, 6, least_background=6.0)
    at = np.searchsorted(EDGES, found)
    assert (np.add.reduceat(BACKGROUND, at[:-1]) >= 6).all()
    with pytest.raises(ValueError, match=r"296 background events .* at least 1000"):
        best_edges(EDGES, SIGNAL, BACKGROUND, VARIANCE, 3, least_background=1000)


def test_bins_of_equal_signal():
    signal = np.ones(100)
    edges = equal_signal_edges(np.linspace(0, 10, 101), signal, 4)
    assert edges == pytest.approx([0, 2.5, 5, 7.5, 10])
    with pytest.raises(ValueError, match="no signal in the range"):
        equal_signal_edges(EDGES, np.zeros(12), 3)
