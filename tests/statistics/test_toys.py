"""Pseudo-experiments agree with the asymptotic formulas where these hold."""

import numpy as np
import pytest
from helpers import workspaces
from scipy.stats import kstest, norm, poisson

from fivesigma import statistics
from fivesigma.statistics.toys import Toys


@pytest.fixture(scope="module")
def model():
    """Hundreds of events in three bins: asymptotics hold."""
    workspace = workspaces.counting(30, 400, 440, uncertainty=0.02)
    return statistics.build(workspace)


def test_p_value_agrees_with_the_asymptotic_one(model):
    found = statistics.significance(model)
    drawn = statistics.toys(model, mu=0, n=20_000, seed=1)
    assert drawn.failed == 0
    p = statistics.p_value(drawn, found.q0)
    assert abs(p.value - found.p_observed) < 4 * p.uncertainty + 0.002
    assert abs(statistics.z_value(p).value - found.observed) < 0.1


def test_half_of_the_background_shows_no_signal(model):
    q = statistics.toys(model, mu=0, n=10_000, seed=2).q
    assert abs((q == 0).mean() - 0.5) < 0.03
    # the other half: sqrt(q0) is half a normal distribution
    assert kstest(np.sqrt(q[q > 0]), lambda x: 2 * norm.cdf(x) - 1).statistic < 0.03


def test_cls_by_pseudo_experiments(model):
    expected = statistics.cls(model, 2.0).observed[0]
    found = statistics.cls_by_toys(model, 2.0, n=10_000, seed=3)
    assert abs(found.value - expected) < 4 * found.uncertainty + 0.01


def test_signal_is_found_where_it_was_drawn(model):
    drawn = statistics.toys(model, mu=2.0, n=4000, seed=4)
    assert abs(np.mean(drawn.mu_hat) - 2.0) < 4 * np.std(drawn.mu_hat) / np.sqrt(4000) + 0.02
    z = statistics.significance(model, model.asimov(2.0)).observed
    assert abs(np.median(np.sqrt(drawn.q)) - z) < 0.1


def test_same_seed_same_pseudo_experiments(model):
    first, again, other = (statistics.toys(model, n=200, seed=s).q for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_higgs_to_four_leptons(real_data):
    """Few events a bin: p-values of pseudo-experiments within a factor of 2 of the formula."""
    model = statistics.build(workspaces.higgs_4l(real_data))
    found = statistics.significance(model)
    p = statistics.p_value(statistics.toys(model, n=20_000, seed=1), found.q0)
    assert found.p_observed / 2 < p.value < 2 * found.p_observed


def test_failed_pseudo_experiments_are_left_out_and_told():
    drawn = Toys(0.0, 0.0, np.array([1.0, np.nan, 3.0]), np.zeros(3), 1, "1 of 3 fits failed")
    p = statistics.p_value(drawn, 2.0)
    assert p.value == 0.5
    assert p.note == "1 of 2 pseudo-experiments"
    with pytest.raises(ValueError, match="none of 1 .* could be fitted: why"):
        statistics.p_value(Toys(0.0, 0.0, np.array([np.nan]), np.zeros(1), 1, "why"), 2.0)


def test_no_pseudo_experiment_as_extreme_is_a_limit():
    drawn = Toys(0.0, 0.0, np.zeros(1000), np.zeros(1000), 0)
    z = statistics.z_value(statistics.p_value(drawn, 20.0))
    assert z.note.startswith("lower limit")
    assert 3 < z.value < 3.2


def test_a_deficit_has_no_significance():
    """q0 = 0: all are as extreme, which is no excess rather than minus infinity."""
    drawn = Toys(0.0, 0.0, np.array([0.0, 0.0, 2.0]), np.zeros(3), 0)
    z = statistics.z_value(statistics.p_value(drawn, 0.0))
    assert (z.value, z.uncertainty) == (0.0, 0.0)
    assert z.note.startswith("no excess")


def test_toys_of_nothing(model):
    with pytest.raises(ValueError, match="-5 pseudo-experiments; draw at least one"):
        statistics.toys(model, n=-5)
    drawn = Toys(0.0, 0.0, np.zeros(3), np.zeros(3), 0)
    with pytest.raises(ValueError, match="a fit to the data failed"):
        statistics.p_value(drawn, float("nan"))


def test_ties_of_discrete_counts_are_as_extreme():
    """One bin without uncertainty: P(n >= observed), the observed count included."""
    model = statistics.build(workspaces.counting(3.0, 4.0, 9))
    p = statistics.p_value(statistics.toys(model, n=20_000, seed=5), statistics.q0(model)[0])
    assert abs(p.value - poisson(4.0).sf(8)) < 4 * p.uncertainty


def test_toys_say_which_bin_makes_them_fail():
    model = statistics.build(workspaces.counting(5.0, 0.0, 5))
    drawn = statistics.toys(model, mu=1.0, n=50, seed=6, tested=None, theta=[1.0])
    assert drawn.failed > 40
    assert "bin 0 of region SR expects 0 events" in drawn.note
    assert "it has no background" in drawn.note
