"""Goodness of fit: p-values by toys are uniform, and the asymptotic ones where they should be."""

import numpy as np
import pytest
from helpers import workspaces
from scipy.stats import chi2, kstest, poisson

from fivesigma import statistics


def flat(events, bins=10):
    """So many events in each bin, and a signal in the first whose strength is fitted."""
    workspace = workspaces.counting(0.5 * events, events, events, bounds=(-10.0, 10.0))
    signal, background = workspace["channels"][0]["samples"]
    signal["data"] = [0.5 * events] + [0.0] * (bins - 1)
    background["data"] = [float(events)] * bins
    background["modifiers"] = [workspaces.normsys("norm", 1.1, 0.9)]
    workspace["observations"][0]["data"] = [float(events)] * bins
    return statistics.build(workspace)


def deviance(n, expected):
    n = np.asarray(n, float)
    return 2 * (expected - n + n * np.log(np.where(n > 0, n, 1) / expected))


def p_of(model, data, n=400, seed=1, fixed=None):
    result = statistics.fit(model, data, fixed=fixed)
    value = statistics.goodness_of_fit(result).chi2
    return statistics.p_value(statistics.goodness_by_toys(result, n, seed), value)


def test_p_values_of_pseudo_experiments_are_uniform():
    """Of 3 events a bin, where the chi-squared distribution does not hold."""
    model = flat(3.0)
    data = model.sample(model.parameters.init, 150, np.random.default_rng(1))
    found = [p_of(model, each, seed=k).value for k, each in enumerate(data)]
    assert kstest(found, "uniform").pvalue > 0.01


def test_agrees_with_the_chi_squared_distribution_where_events_are_many():
    model = flat(1000.0)
    result = statistics.fit(
        model, model.sample(model.parameters.init, 1, np.random.default_rng(5))
    )
    good = statistics.goodness_of_fit(result)
    drawn = statistics.goodness_by_toys(result, 4000, 2)
    assert drawn.failed == 0 and good.degrees_of_freedom == 9
    assert kstest(drawn.q, lambda q: chi2.cdf(q, 9)).pvalue > 0.01
    p = statistics.p_value(drawn, good.chi2)
    assert abs(p.value - good.p_value) < 4 * p.uncertainty
    assert p.uncertainty == pytest.approx(np.sqrt(p.value * (1 - p.value) / 4000))


def test_differs_from_it_where_events_are_few():
    """Of 0.1 events a bin most have none, whose deviance is 0.2 and not 1: nothing looks odd."""
    model = flat(0.1, bins=40)
    data = model.asimov(0.0)
    data[:40] = 0.0
    data[[7, 20, 21, 30]] = 1.0
    result = statistics.fit(model, data, fixed={"mu": 0.0, "norm": 0.0})
    good = statistics.goodness_of_fit(result)
    assert good.p_value > 0.99
    drawn = statistics.goodness_by_toys(result, 4000, 3)
    # 4 events of 4 expected: by hand, the deviance of independent bins
    counts = poisson(0.1).rvs((100_000, 40), random_state=4)
    exact = np.mean(deviance(counts, 0.1).sum(axis=1) >= good.chi2 - 1e-9)
    p = statistics.p_value(drawn, good.chi2)
    assert 0.2 < exact < 0.9
    assert abs(p.value - exact) < 4 * p.uncertainty


@pytest.mark.parametrize("observed", [0, 3, 5, 9, 12])
def test_one_bin_that_is_held_is_a_poisson_count(observed):
    """The p-value is the sum over all counts that are as unlikely: ties count."""
    model = statistics.build(workspaces.counting(0.0, 5.0, observed))
    counts = np.arange(60)
    odd = deviance(counts, 5.0) >= deviance(observed, 5.0) - 1e-9
    exact = poisson(5.0).pmf(counts)[odd].sum()
    p = p_of(model, model.data, 4000, fixed={"mu": 0.0})
    assert abs(p.value - exact) < 4 * p.uncertainty + 1e-3


def test_what_is_measured_of_a_held_parameter_tests_no_fit():
    model = flat(100.0)
    free = statistics.goodness_of_fit(statistics.fit(model, model.asimov(1.0)))
    held = statistics.fit(model, model.asimov(1.0), fixed={"norm": 3.0, "mu": 1.0})
    good = statistics.goodness_of_fit(held)
    assert free.chi2 < 1e-6 and good.degrees_of_freedom == 10
    expected = model.expected(held.theta)[0]
    assert good.chi2 == pytest.approx(deviance(model.asimov(1.0)[:10], expected).sum())
    assert statistics.goodness_by_toys(held, 500).q.mean() == pytest.approx(10, abs=1)


def test_without_degrees_of_freedom_it_is_not_defined():
    result = statistics.fit(statistics.build(workspaces.counting(10, 50, 60)))
    good = statistics.goodness_of_fit(result)
    assert good.degrees_of_freedom == 0 and np.isnan(good.p_value)
    with pytest.raises(ValueError, match="as many free parameters as bins"):
        statistics.goodness_by_toys(result)


def test_failed_toys_are_left_out_and_explained(monkeypatch):
    from fivesigma.statistics import goodness
    from fivesigma.statistics.minimiser import TOO_LONG

    real = goodness.run_each

    def failing(*arguments):
        found = real(*arguments)
        found.status[::4] = TOO_LONG
        return found

    result = statistics.fit(flat(20.0))
    monkeypatch.setattr(goodness, "run_each", failing)
    drawn = statistics.goodness_by_toys(result, 100)
    assert drawn.failed == 25 and np.isnan(drawn.q[::4]).all()
    assert drawn.note == "25 of 100 fits failed: no minimum within 200 steps (25)"
    assert "of 75 pseudo-experiments" in statistics.p_value(drawn, 1.0).note


def test_of_a_failed_fit_there_is_none():
    model = statistics.build(workspaces.counting(10, 0.0, observed=0))
    failed = statistics.fit(model, [3.0], fixed={"mu": 0.0})
    with pytest.raises(ValueError, match="of a fit that failed: .* expects 0 events and has 3"):
        statistics.goodness_by_toys(failed)
    with pytest.raises(ValueError, match="0 pseudo-experiments; draw at least one"):
        statistics.goodness_by_toys(statistics.fit(flat(20.0)), 0)
