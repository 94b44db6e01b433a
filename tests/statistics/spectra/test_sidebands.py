"""Predictions of blinded windows close on toys; F-test, spurious and injected signals."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2, f

from fivesigma.statistics.spectra import (
    SHAPES,
    Component,
    Model,
    f_test,
    fit_many,
    fit_sidebands,
    injection_test,
    sideband_closure,
    sidebands,
    spurious_signal,
)

EDGES, LIMITS, WINDOW = np.linspace(100, 180, 41), (100.0, 180.0), (120.0, 130.0)
#: falling, 782 of 5000 events in the window
TRUTH = 5000 * SHAPES["exponential"].fractions(EDGES, [-0.03], LIMITS)
INSIDE = (EDGES[:-1] >= WINDOW[0]) & (EDGES[1:] <= WINDOW[1])
SIGNAL = Component("signal", SHAPES["gaussian"], fixed={"mass": 125.0, "sigma": 2.0})


def test_f_test_is_that_of_fishers_distribution():
    """30 bins, from 2 to 3 parameters: F = (50 - 40) / (40 / 27) = 6.75."""
    assert f_test((50.0, 2), (40.0, 3), 30) == pytest.approx(f.sf(6.75, 1, 27))
    assert f_test((50.0, 2), (50.0, 3), 30) == pytest.approx(1)


@pytest.mark.parametrize("parameters", [((50.0, 3), (40.0, 3), 30), ((50.0, 2), (40.0, 30), 30)])
def test_f_test_needs_more_parameters_and_bins_left(parameters):
    with pytest.raises(ValueError, match="must have more than the first"):
        f_test(*parameters)


@pytest.mark.parametrize("name", ["exponential", "exponential2", "bernstein4", "bernstein5"])
def test_pulls_of_the_window_are_standard_normal(name):
    """Shapes that can follow the truth: unbiased, with the right error (1000 toys)."""
    found = sideband_closure(SHAPES[name], TRUTH, EDGES, WINDOW, 1000, 1)
    assert found.truth == pytest.approx(TRUTH[INSIDE].sum())
    assert found.failed == 0 and len(found.values) == 1000
    assert abs(found.mean[0]) < 0.1, found.mean
    assert found.width[0] == pytest.approx(1, abs=0.08), found.width


def test_a_function_that_is_too_stiff_is_seen_by_closure():
    found = sideband_closure(SHAPES["bernstein2"], TRUTH, EDGES, WINDOW, 500, 2)
    assert found.mean[0] > 1


def test_dijet_function_closes_over_five_decades():
    """A dijet spectrum from 1.1 to 6.1 TeV at 13 TeV, 100 000 events, window at 2 to 2.5 TeV."""
    edges, limits = np.linspace(1100, 6100, 51), (1100.0, 6100.0)
    truth = 1e5 * SHAPES["dijet3"].fractions(edges, [10.0, 5.0, 13000.0], limits)
    assert truth[0] / truth[-1] > 1e5
    found = sideband_closure(SHAPES["dijet3"], truth, edges, (2000.0, 2500.0), 400, 3)
    assert found.failed == 0 and abs(found.mean[0]) < 0.15
    assert found.width[0] == pytest.approx(1, abs=0.12)


@pytest.mark.slow
def test_prediction_covers_the_truth_with_both_uncertainties():
    """Chosen function by F-test out of two families: 60 toys, window within one sigma in 68 %."""
    rng = np.random.default_rng(4)
    pulls = []
    for _ in range(60):
        found = fit_sidebands(rng.poisson(TRUTH), EDGES, WINDOW, ("exponential", "bernstein"))
        pulls.append((found.prediction - TRUTH[INSIDE].sum()) / found.uncertainty)
    # the choice is an envelope: more than 68 %, and no bias beyond it
    assert np.mean(np.abs(pulls) < 1) > 0.68
    assert np.mean(np.abs(pulls) < 2) > 0.95


def test_f_test_raises_the_order_by_chance_as_often_as_its_threshold():
    """Nested functions of which the smaller is true: deviance falls as chi-squared of 1."""
    rng, counts = np.random.default_rng(5), []
    counts = rng.poisson(TRUTH, (1000, 40))
    found = []
    for name, start in (("exponential", [5000, -0.03]), ("exponential2", [5000, -2.4, 0.0])):
        model = Model((Component("background", SHAPES[name]),), LIMITS)
        found.append(fit_many(model, counts, EDGES, np.array(start)).deviance)
    gain = found[0] - found[1]
    assert gain.min() > -1e-3
    for probability in (0.5, 0.1, 0.05):
        rate = np.mean(gain > chi2.isf(probability, 1))
        assert rate == pytest.approx(probability, abs=3.5 * np.sqrt(probability / 1000))


def test_f_test_chooses_the_order_that_is_needed():
    bent = 50_000 * SHAPES["exponential2"].fractions(EDGES, [-4.0, 2.0], LIMITS)
    counts = np.random.default_rng(6).poisson(bent)
    found = fit_sidebands(counts, EDGES, WINDOW, ("exponential",))
    assert [trial.shape for trial in found.trials if trial.chosen] == ["exponential2"]
    assert found.best.p_value > 0.01
    assert found.trials[1].f_probability < 1e-6 < found.trials[2].f_probability
    # of one family, the choice is the difference to the next order
    expected = abs(found.trials[2].prediction - found.prediction)
    assert found.choice == pytest.approx(expected)
    assert abs(found.prediction - bent[INSIDE].sum()) < 3 * found.uncertainty


def test_without_another_function_the_choice_is_not_known():
    """Three visible bins: of one family there is no next order to compare with."""
    edges = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    found = fit_sidebands([50, 40, 30, 20], edges, (1.0, 2.0), ("exponential",))
    assert np.isnan(found.choice) and found.uncertainty == found.best.statistical > 0
    assert "the choice of the function is not known: no other could be fitted" in found.note
    known = fit_sidebands(TRUTH.round(), EDGES, WINDOW, ("exponential",))
    assert known.choice > 0 and not known.note


def test_functions_without_a_minimum_do_not_count(monkeypatch):
    """Of two families one fails: the next order of the other tells of the choice."""
    real = sidebands._trial

    def failing(shape, *given):
        trial = real(shape, *given)
        stiff = replace(trial, converged=False, deviance=1e6, prediction=1e9)
        return stiff if shape.name.startswith("bernstein") else trial

    counts = np.random.default_rng(7).poisson(TRUTH)
    alone = fit_sidebands(counts, EDGES, WINDOW, ("exponential",))
    monkeypatch.setattr(sidebands, "_trial", failing)
    found = fit_sidebands(counts, EDGES, WINDOW, ("exponential", "bernstein"))
    assert (found.prediction, found.choice) == (alone.prediction, alone.choice)
    assert "no minimum was found for bernstein" in found.note


@pytest.mark.parametrize("threshold", [0.0, 1.0, -3.0, float("nan")])
def test_a_threshold_is_a_probability(threshold):
    with pytest.raises(ValueError, match="of the F-test; give a probability, e.g. 0.05"):
        fit_sidebands(TRUTH, EDGES, WINDOW, ("exponential",), threshold)


def test_nobody_looks_into_the_window():
    counts = np.random.default_rng(7).poisson(TRUTH)
    signal = counts.copy()
    signal[INSIDE] += 10_000
    first, second = (fit_sidebands(c, EDGES, WINDOW) for c in (counts, signal))
    assert first.prediction == second.prediction and first.choice == second.choice
    assert (second.counts[INSIDE] == 0).all()


@pytest.mark.parametrize("sigmas", [0, 1, 3, 5])
def test_injected_signal_is_found_without_bias(sigmas):
    """Injection of 0 to 5 times the uncertainty of the yield, 26 events; 1000 toys."""
    injected = 26.0 * sigmas
    found = injection_test(SIGNAL, SHAPES["exponential"], TRUTH, EDGES, injected, 1000, 8)
    assert found.failed == 0
    assert abs(found.values.mean() - injected) < 4 * found.values.std() / np.sqrt(1000)
    assert abs(found.mean[0]) < 0.12
    assert found.width[0] == pytest.approx(1, abs=0.08)


def test_spurious_signal_is_0_for_the_true_function_and_not_for_a_stiff_one():
    signals = [
        Component("signal", SHAPES["gaussian"], fixed={"mass": m, "sigma": 2.0})
        for m in (115.0, 125.0, 150.0)
    ]
    true, error = spurious_signal(signals, SHAPES["exponential"], TRUTH, EDGES)
    np.testing.assert_allclose(true, 0, atol=1e-3)
    stiff, _ = spurious_signal(signals, SHAPES["bernstein1"], TRUTH, EDGES)
    supple, _ = spurious_signal(signals, SHAPES["bernstein5"], TRUTH, EDGES)
    assert np.abs(stiff / error).max() > 1
    assert np.abs(supple / error).max() < 0.2


def test_injection_wants_a_signal_with_only_its_yield_free():
    with pytest.raises(ValueError, match="signal: yield, mass are free; fix all but the yield"):
        injection_test(
            Component("signal", SHAPES["gaussian"], fixed={"sigma": 2.0}),
            SHAPES["exponential"], TRUTH, EDGES, 10.0, 10, 1,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("counts", "window", "families", "message"),
    [
        (TRUTH, (121.0, 130.0), ("bernstein",), "121 is no edge of a bin; nearest: 1.., 1.."),
        (TRUTH, (100.0, 130.0), ("bernstein",), "one on each side"),
        (TRUTH, (130.0, 120.0), ("bernstein",), "expected at least one bin in it"),
        (TRUTH, WINDOW, ("berstein",), "did you mean bernstein"),
        (TRUTH, WINDOW, (), "name at least one family"),
        (-TRUTH, WINDOW, ("bernstein",), "not negative"),
        (np.where(INSIDE, 5.0, 0.0), WINDOW, ("bernstein",), "no events beside the window"),
    ],
)
def test_sidebands_that_cannot_be_fitted(counts, window, families, message):
    with pytest.raises(ValueError, match=message):
        fit_sidebands(counts, EDGES, window, families)


def test_too_few_bins_for_the_parameters():
    with pytest.raises(ValueError, match="2 bins beside the window cannot tell the 2 parameters"):
        fit_sidebands([5, 4, 3], [0.0, 1.0, 2.0, 3.0], (1.0, 2.0), ("exponential",))
