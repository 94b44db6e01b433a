"""Double tags: rates per jet, and spectra that are smooth."""

import numpy as np
import pytest
from helpers.tagged_pairs import EDGES, SURE, WINDOW, pairs, processes

from fivesigma.search.doubletag import Process, smooth, tagging_rates
from fivesigma.search.resonance import workspace


def test_rates_are_the_shares_with_their_errors():
    rng = np.random.default_rng(0)
    true = np.array([0.002, 0.3, 0.9])
    pt = np.repeat([550.0, 650.0, 800.0], 4000)
    pulls = []
    for _ in range(200):
        found = tagging_rates(pt, rng.random(len(pt)) < np.repeat(true, 4000), EDGES)
        pulls.append((found.value - true) / found.error)
    assert np.abs(np.mean(pulls, axis=0)).max() < 0.3
    assert np.abs(np.std(pulls, axis=0) - 1).max() < 0.2
    with pytest.raises(ValueError, match=r"no jet in bin 0 of pT.*use wider ones"):
        tagging_rates(np.array([650.0, 900.0]), np.ones(2, bool), EDGES)


def test_products_of_rates_are_counted_pairs_where_tags_are_independent():
    both = pairs(200_000, 1.0, 5)
    rates = tagging_rates(both.pt.ravel(), both.tagged.ravel(), np.array([650.0]))
    counted = both.tagged.all(axis=1).sum()
    assert rates.weights(both.pt).sum() == pytest.approx(counted, abs=4 * np.sqrt(counted))


def test_backgrounds_are_smooth_and_the_signal_is_counted():
    content = workspace(processes(tag=False), WINDOW, SURE)
    found = {each["name"]: np.array(each["data"]) for each in content["channels"][0]["samples"]}
    made = processes(tag=False)
    inside = np.histogram(made["signal"].pairs.mass, WINDOW.edges)[0]
    taken = made["signal"].pairs.pt.min(axis=1) > WINDOW.pt_min
    assert found["signal"].sum() <= inside.sum() * 0.05 + 1e-6
    assert found["signal"].sum() == pytest.approx(
        0.05 * np.histogram(made["signal"].pairs.mass[taken], WINDOW.edges)[0].sum()
    )
    qcd = made["qcd"].pairs
    counted = 10.0 * np.histogram(qcd.mass[qcd.pt.min(axis=1) > 500], WINDOW.edges)[0]
    pulls = (found["qcd"] - counted) / np.sqrt(10.0 * counted)
    assert np.abs(pulls).max() < 4
    assert found["qcd"].sum() == pytest.approx(counted.sum(), rel=0.02)


def test_a_function_finds_the_spectrum_that_follows_it():
    x = WINDOW.centres / WINDOW.energy
    shapes = {
        "polynomial": 1e4 * np.exp(-3 * WINDOW.coordinate - WINDOW.coordinate**3),
        "dijet": 5.0 * (1 - x) ** 9 * x ** -(4 + 0.3 * np.log(x)),
    }
    rng = np.random.default_rng(4)
    for name, truth in shapes.items():
        exact, moves = smooth("qcd", truth, truth, WINDOW, name)
        assert exact == pytest.approx(truth, rel=1e-9)
        drawn = rng.poisson(truth, (400, len(truth))).astype(float)
        found = np.array([smooth("qcd", each, each, WINDOW, name)[0] for each in drawn])
        spread = np.sqrt(np.square(moves).sum(axis=0))  # of the logarithm
        assert np.std(np.log(found), axis=0) == pytest.approx(spread, rel=0.15)


def test_a_bin_without_pairs_is_named():
    made = processes(tag=False)
    few = made | {"ttbar": Process(pairs(30, 1.0, 9))}
    with pytest.raises(ValueError, match=r"ttbar has no pairs between \d+ and \d+ GeV; generate"):
        workspace(few, WINDOW, SURE)
