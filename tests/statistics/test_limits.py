"""Limits, scans and intervals say what they could not find."""

import numpy as np
import pytest
from helpers import workspaces

from fivesigma import statistics
from fivesigma.statistics import limits
from fivesigma.statistics.minimiser import STUCK


@pytest.fixture(scope="module")
def model():
    return statistics.build(workspaces.counting(10, 50, 55, uncertainty=0.1))


def spoilt(found, where):
    """CLs whose observed fits failed at some signal strengths."""
    lost = where(found.mu)
    values = np.where(lost, np.nan, found.observed)
    told = f"{lost.sum()} of {lost.size} fits failed: why" if lost.any() else ""
    return limits.CLs(found.mu, values, *_rest(found), note=told)


def _rest(found):
    return found.expected, found.p_sb, found.p_b, found.q, found.q_asimov


def spoil(monkeypatch, where):
    real = limits.cls
    monkeypatch.setattr(limits, "cls", lambda *given: spoilt(real(*given), where))


def test_points_that_failed_are_stepped_over_and_told(model, monkeypatch):
    """Two points beside the limit: the next ones bracket it."""
    right = statistics.limit(model).observed
    spoil(monkeypatch, lambda mu: (np.abs(mu - right) > 0.01) & (np.abs(mu - right) < 0.1))
    found = statistics.limit(model)
    np.testing.assert_allclose(found.observed, right, atol=1e-3)
    assert "fits failed: why" in found.note


def test_a_limit_that_is_not_found_is_told(model, monkeypatch):
    """Where fits of strong signals fail, CLs never falls to 5 %."""
    right = statistics.limit(model)
    top = right.scan.mu[-1]
    spoil(monkeypatch, lambda mu: (mu > 0.5 * right.observed) & (mu < top))
    monkeypatch.setattr(limits, "_reach", lambda *given: 0.999 * top)
    found = statistics.limit(model)
    assert np.isnan(found.observed) and np.isfinite(found.expected).all()
    assert (
        "no observed limit: where its fits converged, CLs falls below 0.05 nowhere" in found.note
    )


def test_a_limit_with_a_parameter_at_its_bound_says_so():
    workspace = workspaces.counting(10, 50, 55)
    background = workspace["channels"][0]["samples"][1]
    background["modifiers"].append(workspaces.normfactor("k"))
    control = {"name": "CR", "samples": [{"name": "background", "data": [100.0]}]}
    control["samples"][0]["modifiers"] = [workspaces.normfactor("k")]
    workspace["channels"].append(control)
    workspace["observations"].append({"name": "CR", "data": [300.0]})
    settings = workspace["measurements"][0]["config"]["parameters"]
    settings.append({"name": "k", "bounds": [[0.0, 1.5]], "inits": [1.0]})
    found = statistics.limit(statistics.build(workspace))
    assert "where the observed limit is, k is at its bound 1.5" in found.note


def test_scans_leave_out_what_failed(model, monkeypatch):
    real = limits.fit_many

    def failing(*given, **options):
        found = real(*given, **options)
        found.status[3] = STUCK
        return found

    monkeypatch.setattr(limits, "fit_many", failing)
    found = statistics.scan(model)
    assert np.flatnonzero(np.isnan(found.twice_delta_nll)).tolist() == [3]
    assert "1 of 41 fits failed" in found.note


def test_scans_tell_of_a_lower_minimum(model, monkeypatch):
    real = limits.fit_many

    def lower(*given, **options):
        found = real(*given, **options)
        found.half_deviance[5] = -1.0
        return found

    monkeypatch.setattr(limits, "fit_many", lower)
    assert "below the minimum of the fit, which is not the lowest" in statistics.scan(model).note


def test_an_interval_tells_which_end_is_a_bound():
    """No event seen: the best strength is 0, and the interval of the Poisson mean ends at 1/2."""
    found = statistics.interval(statistics.build(workspaces.counting(1, 1.0, 0)))
    assert (found.best, found.low) == (0.0, 0.0)
    np.testing.assert_allclose(found.high, 0.5, rtol=1e-4)
    assert found.note == "its lower end is the bound 0"
    assert not statistics.interval(statistics.build(workspaces.counting(10, 50, 60))).note
