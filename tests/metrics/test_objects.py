"""Figures of objects: matching, intervals, spreads in closed form."""

import awkward as ak
import numpy as np
import pytest

from fivesigma.metrics.objects import (
    efficiency,
    fraction,
    jet_ratios,
    match,
    mean_and_width,
    missing_resolution,
)


def objects(*events):
    names = ("pt", "eta", "phi")
    return ak.Array([[dict(zip(names, each, strict=True)) for each in event] for event in events])


def test_the_nearest_is_matched_across_the_seam_of_azimuth():
    true = objects([(20.0, 0.0, 3.14), (30.0, 1.0, 0.0)], [(10.0, 0.0, 0.0)])
    found = objects([(21.0, 0.0, -3.14), (5.0, 0.05, 3.1)], [])
    assert match(true, found).to_list() == [[0, -1], [-1]]


def test_efficiency_counts_what_is_matched():
    true = objects([(20.0, 0.0, 0.0), (30.0, 1.0, 0.0)])
    found = objects([(21.0, 0.0, 0.0), (25.0, -2.0, 0.0), (26.0, -1.0, 0.0)])
    assert efficiency(true, found, np.array([0.0, 100.0])).value[0] == 0.5


def test_intervals_are_those_of_clopper_and_pearson():
    # all of 10 pass: the lower end solves p^10 = (1 - 0.6827) / 2
    found = fraction(np.ones(10, bool), np.full(10, 1.0), np.array([0.0, 2.0]))
    assert found.high[0] == 1.0
    assert found.low[0] == pytest.approx(((1 - 0.6827) / 2) ** 0.1, rel=1e-6)


def test_spread_of_a_gaussian():
    rng = np.random.default_rng(1)
    found = mean_and_width(rng.normal(1.0, 0.1, 4000), np.ones(4000), np.array([0.0, 2.0]))
    assert found.median[0] == pytest.approx(1.0, abs=0.006)
    assert found.width[0] == pytest.approx(0.1, rel=0.05)
    # error of a median: sqrt(pi / 2) sigma / sqrt(N)
    assert found.median_error[0] == pytest.approx(1.2533 * 0.1 / 4000**0.5, rel=0.25)


def test_jets_with_neighbours_are_left_out():
    true = objects([(50.0, 0.0, 0.0), (40.0, 0.5, 0.0)], [(60.0, 1.0, 1.0)])
    found = objects([(55.0, 0.0, 0.0)], [(54.0, 1.05, 1.0)])
    assert jet_ratios(true, found) == pytest.approx(np.array([[54.0], [60.0], [1.0]]))


def test_missing_momentum_is_compared_with_neutrinos():
    truth = ak.Array([[{"pt": 30.0, "phi": 0.5, "pdg_id": 14, "status": 1}]] * 20)
    rng = np.random.default_rng(1)
    x, y = 30 * np.cos(0.5) + rng.normal(0, 5, 20), 30 * np.sin(0.5) + rng.normal(0, 5, 20)
    met = ak.zip({"pt": np.hypot(x, y), "phi": np.arctan2(y, x), "sum_et": np.full(20, 300.0)})
    found = missing_resolution(truth, met, np.array([0.0, 1000.0]))
    assert found.entries[0] == 40
    assert found.width[0] == pytest.approx(5.0, rel=0.4)
