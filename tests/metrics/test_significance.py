"""Significances: closed forms, limits, and cuts that are not chosen on what judges them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from fivesigma.metrics.significance import (
    ams,
    asimov_significance,
    best_cut,
    significance_curve,
    simple_significance,
)


def test_closed_forms():
    assert simple_significance(10, 100) == pytest.approx(1)
    # arXiv:1007.1727: s = b = 10
    assert asimov_significance(10, 10) == pytest.approx(np.sqrt(2 * (20 * np.log(2) - 10)))
    assert ams(691.99, 410_000 * 0.0008) == pytest.approx(
        np.sqrt(2 * ((691.99 + 338) * np.log(1 + 691.99 / 338) - 691.99))
    )
    assert asimov_significance(0, 5) == 0
    assert asimov_significance(-3, 5) == 0


def test_limits_of_the_expected_significance():
    s, b = 5.0, np.array([1e5, 1e6])
    np.testing.assert_allclose(asimov_significance(s, b), s / np.sqrt(b), rtol=1e-3)
    np.testing.assert_allclose(
        asimov_significance(s, b, 0.01 * b), s / np.sqrt(b + (0.01 * b) ** 2), rtol=1e-3
    )
    np.testing.assert_allclose(
        asimov_significance(20, 30, [0, 1e-5]), asimov_significance(20, 30), rtol=1e-6
    )
    grown = asimov_significance(20, 30, np.array([0, 3, 10, 30]))
    assert (np.diff(grown) < 0).all()


def test_without_background_the_limit_is_taken():
    """Any signal is infinitely significant, unless the nothing is uncertain."""
    with np.errstate(all="raise"):
        for function in (simple_significance, asimov_significance):
            np.testing.assert_array_equal(
                function([0.0, 3.0, 0.0], [0.0, 0.0, 5.0]), [0, np.inf, 0]
            )
        assert asimov_significance(3.0, 0.0, 1.0) == 0
        assert asimov_significance([3.0, 3.0], [0.0, 1.0])[1] == asimov_significance(3.0, 1.0)
    small = asimov_significance(3.0, [1e-6, 1e-12], 0.0), asimov_significance(3.0, 1e-9, 1.0)
    assert small[0][0] < small[0][1] and small[1] < 1e-3
    assert ams(0.0, 0.0) == 0 and np.isfinite(ams(3.0, 0.0))


def test_negative_background_has_no_significance():
    for function in (simple_significance, asimov_significance):
        with pytest.raises(ValueError, match="-0.5 background events have no significance"):
            function([1.0, 2.0], [3.0, -0.5])


def toy(n: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    y = np.repeat([1, 0], n)
    score = 1 / (1 + np.exp(-rng.normal(2.0 * y - 1, 1)))
    return y, score, np.repeat([20 / n, 100 / n], n), rng.random(2 * n) < 0.5


def test_curve_counts_what_passes():
    y, score, weight, _ = toy(1000)
    curve = significance_curve(y, score, weight, "simple", thresholds=[0.0, 0.5, 0.8])
    for k, cut in enumerate((0.0, 0.5, 0.8)):
        s, b = (weight[(score >= cut) & (y == c)].sum() for c in (1, 0))
        assert curve.value[k] == pytest.approx(s / np.sqrt(b))
        assert curve.entries[k] == ((score >= cut) & (y == 0)).sum()
        n_s, n_b = (np.count_nonzero((score >= cut) & (y == c)) for c in (1, 0))
        error = curve.value[k] * np.hypot(1 / np.sqrt(n_s), 0.5 / np.sqrt(n_b))
        assert curve.error[k] == pytest.approx(error, rel=1e-4)


def test_negative_weights_are_subtracted():
    y, score, weight, _ = toy(1000)
    y, score = np.append(y, [0, 0]), np.append(score, [0.99, 0.99])
    without = significance_curve(y[:-2], score[:-2], weight, thresholds=[0.5])
    both = significance_curve(y, score, np.append(weight, [0.1, -0.1]), thresholds=[0.5])
    assert both.background[0] == pytest.approx(without.background[0])
    assert both.background_error[0] > without.background_error[0]


def test_errors_are_the_spread_of_other_samples():
    curves = [significance_curve(*toy(400, seed)[:3], "asimov", 0.1, [0.7]) for seed in range(200)]
    values = np.array([curve.value[0] for curve in curves])
    assert values.std() == pytest.approx(np.mean([c.error[0] for c in curves]), rel=0.15)


def best_possible() -> float:
    """Cuts at t on Gaussians: s = 20 (1 - Phi(t - 1)), b = 100 (1 - Phi(t + 1))."""
    t = np.linspace(-2, 2.5, 200)
    return float(asimov_significance(20 * norm.sf(t - 1), 100 * norm.sf(t + 1)).max())


def test_the_best_cut_is_not_flattered_by_its_own_choice():
    """The highest point of a curve of few events is too high, what is quoted is not."""
    highest, quoted = [], []
    for seed in range(80):
        y, score, weight, half = toy(300, seed)
        curve = significance_curve(y, score, weight)
        highest.append(curve.value[curve.best(5)])
        quoted.append(best_cut(y, score, weight, half, least=5).value)
    error = np.std(quoted) / np.sqrt(80)
    assert np.mean(highest) > 1.05 * best_possible()
    assert np.mean(quoted) < best_possible() + 2 * error


def test_the_best_cut_of_a_good_score():
    found = best_cut(*toy(4000))
    assert abs(found.value - best_possible()) < 3 * found.uncertainty
    assert "found on the other half" in found.note


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda a: (a[0], a[1][:5], a[2]), "all must be"),
        (lambda a: (a[0], a[1], a[2] * np.nan), "NaN or infinite"),
        (lambda a: (a[0] * 0, a[1], a[2]), "0 signal events of 200"),
    ],
)
def test_bad_input(change, text):
    with pytest.raises(ValueError, match=text):
        significance_curve(*change(toy(100)[:3]))


def test_bad_options():
    y, score, weight, half = toy(100)
    with pytest.raises(ValueError, match="'azimov'; choose from simple, asimov, ams"):
        significance_curve(y, score, weight, "azimov")
    with pytest.raises(ValueError, match="no cut keeps 1000 background events of"):
        best_cut(y, score, weight, half, least=1000)
    with pytest.raises(ValueError, match="one half do not sum to a positive number"):
        best_cut(y, score, np.where(y == 1, weight, -1), half)
