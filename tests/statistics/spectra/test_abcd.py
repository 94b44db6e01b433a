"""ABCD: closed forms, coverage on toys, closure and correlation."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import poisson

from fivesigma.statistics.spectra import (
    Counts,
    abcd_counts,
    abcd_interval,
    abcd_prediction,
    closure,
    correlation,
)


def test_prediction_and_its_error_in_closed_form():
    """100 * 200 / 400 = 50, relative error sqrt(1/100 + 1/200 + 1/400)."""
    found = abcd_prediction(Counts(100, 200, 400))
    assert found.value == pytest.approx(50)
    assert found.uncertainty == pytest.approx(50 * np.sqrt(1 / 100 + 1 / 200 + 1 / 400))
    wider = abcd_prediction(Counts(100, 200, 400), closure_uncertainty=0.2)
    assert wider.uncertainty == pytest.approx(np.hypot(found.uncertainty, 10))


def test_interval_is_that_of_the_numeric_profile_likelihood():
    counts = Counts(12, 25, 40)
    n = np.array([12, 25, 40])

    def profiled(a):
        def cost(logs):
            b, c = np.exp(logs)
            return -2 * poisson.logpmf(n, [b, c, b * c / a]).sum()

        return minimize(cost, np.log([12, 25]), method="Nelder-Mead", tol=1e-10).fun

    best = -2 * poisson.logpmf(n, n).sum()
    low, high = abcd_interval(counts)
    assert profiled(low) - best == pytest.approx(1, abs=1e-3)
    assert profiled(high) - best == pytest.approx(1, abs=1e-3)
    assert low < 7.5 < high and high - 7.5 > 7.5 - low


def test_many_events_make_both_errors_the_same():
    counts = Counts(10_000, 20_000, 40_000)
    low, high = abcd_interval(counts)
    assert (high - low) / 2 == pytest.approx(abcd_prediction(counts).uncertainty, rel=2e-3)


@pytest.mark.parametrize("level", [0.6827, 0.95])
def test_interval_covers(level):
    """2000 toys with means 15, 30, 60: coverage within three binomial errors and 1 %."""
    b, c, d = np.random.default_rng(1).poisson([15, 30, 60], (2000, 3)).T
    inside = []
    for counts in zip(b, c, d, strict=True):
        low, high = abcd_interval(Counts(*counts), level)
        inside.append(low <= 7.5 <= high)
    error = np.sqrt(level * (1 - level) / 2000)
    assert np.mean(inside) == pytest.approx(level, abs=3 * error + 0.01)


def test_pulls_of_the_propagated_error():
    """10 000 toys with means of hundreds: mean 0, width 1."""
    b, c, d = np.random.default_rng(2).poisson([300, 500, 900], (10_000, 3)).T
    value = b * c / d
    error = value * np.sqrt(1 / b + 1 / c + 1 / d)
    pulls = (value - 300 * 500 / 900) / error
    one = abcd_prediction(Counts(b[0], c[0], d[0]))
    assert (one.value, one.uncertainty) == pytest.approx((value[0], error[0]))
    assert abs(pulls.mean()) < 0.08 and pulls.std() == pytest.approx(1, abs=0.03)


def test_empty_region_gives_an_upper_end():
    """B = 0: twice the log-likelihood ratio is 2 b, so b < 1/2 and A < C / 2 D."""
    found = abcd_prediction(Counts(0, 10_000, 30_000))
    assert found.value == 0 and "region B has no events" in found.note
    low, high = abcd_interval(Counts(0, 10_000, 30_000))
    assert low == 0 and high == pytest.approx(0.5 / 3, rel=1e-2)


def test_closure_of_independent_variables():
    rng = np.random.default_rng(3)
    regions = []
    for _ in range(20):
        a, b, c, d = rng.poisson([50, 100, 200, 400])
        regions.append(Counts(b, c, d, a))
    found = closure(regions)
    assert abs(found.mean.value - 1) < 3 * found.mean.uncertainty
    assert found.p_value > 0.01
    expected = np.sqrt(1 / 50 + 1 / 100 + 1 / 200 + 1 / 400) / np.sqrt(20)
    assert found.mean.uncertainty == pytest.approx(expected, rel=0.1)
    larger = max(abs(found.mean.value - 1), found.mean.uncertainty)
    assert found.uncertainty == pytest.approx(larger)


def test_non_closure_becomes_the_uncertainty():
    found = closure([Counts(1000, 2000, 4000, 650), Counts(1200, 2000, 4000, 790)])
    assert found.mean.value == pytest.approx(1.31, abs=0.03)
    assert found.uncertainty == pytest.approx(found.mean.value - 1)
    assert found.p_value < 1e-6


def test_regions_of_variables_and_their_correlation():
    rng = np.random.default_rng(4)
    x, y = rng.normal(size=(2, 20_000))
    counts = abcd_counts(x, y, 1.0, 0.5)
    assert counts.a + counts.b + counts.c + counts.d == 20_000
    assert counts.b == np.count_nonzero((x <= 1) & (y > 0.5))
    assert abs(counts.a - abcd_prediction(counts).value) < 3 * np.hypot(
        np.sqrt(counts.a), abcd_prediction(counts).uncertainty
    )
    independent = correlation(x, y)
    assert all(abs(v.value) < 3 * v.uncertainty and not v.note for v in independent.values())
    dependent = correlation(x, y + 0.2 * x)
    assert dependent["pearson"].value == pytest.approx(0.2 / np.sqrt(1.04), abs=0.02)
    assert all("biased" in v.note for v in dependent.values())


def test_correlated_variables_do_not_close():
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(2, 50_000))
    found = closure([abcd_counts(x, y + 0.3 * x, cut, 0.5) for cut in (0.5, 1.0, 1.5)])
    assert found.mean.value > 1.1 and found.p_value < 1e-6


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Counts(1, 2, 0), "region D has no events"),
        (lambda: Counts(-1, 2, 3), "region B has -1 events"),
        (lambda: Counts(1, np.nan, 3), "region C has nan events"),
        (lambda: abcd_interval(Counts(1, 2, 3), 95), "between 0 and 1"),
        (lambda: closure([]), "at least one validation region"),
        (lambda: closure([Counts(1, 2, 3)]), "validation region 0: A = None"),
        (lambda: abcd_counts([1.0, np.nan], [1.0, 2.0], 0, 0), "NaN or infinite"),
        (lambda: abcd_counts([1.0], [1.0, 2.0], 0, 0), r"expected \(N,\) both"),
        (lambda: correlation([1.0, 2.0], [1.0, 2.0]), "expected at least 4"),
        (lambda: correlation([1.0] * 5, [1.0, 2.0, 3.0, 4.0, 5.0]), "needs it to vary"),
    ],
)
def test_bad_input(make, message):
    with pytest.raises(ValueError, match=message):
        make()
