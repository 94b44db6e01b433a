"""Impacts, breakdown of the uncertainty, expected events and goodness of fit."""

import numpy as np
import pytest
import yaml
from helpers import workspaces

from fivesigma import statistics


@pytest.fixture(scope="module")
def result():
    workspace = workspaces.shape_model()
    background = workspace["channels"][0]["samples"][1]
    errors = [0.03 * value for value in background["data"]]
    background["modifiers"].append({"name": "stat", "type": "staterror", "data": errors})
    return statistics.fit(statistics.build(workspace))


def test_impacts_are_refits_with_the_parameter_held(result):
    found = statistics.impacts(result)
    assert not found.note
    sizes = [impact.size for impact in found.ranking]
    assert sizes == sorted(sizes, reverse=True)
    model = result.model
    by_name = {impact.name: impact for impact in found.ranking}
    for name in ("norm", "tilt", "stat[9]"):
        at = model.index(name).start
        width = result.uncertainty[at]
        held = statistics.fit(model, fixed={name: result.theta[at] + width})
        np.testing.assert_allclose(by_name[name].up, held.mu - result.mu, atol=1e-6)
        before = result.theta[at] - model.parameters.width[at]
        held = statistics.fit(model, fixed={name: before})
        np.testing.assert_allclose(by_name[name].prefit_down, held.mu - result.mu, atol=1e-6)


def test_impacts_of_a_quadratic_likelihood_are_its_covariance(result):
    """To first order, an impact is cov(mu, p) / sigma(p)."""
    for impact in statistics.impacts(result).ranking[:5]:
        at = result.model.index(impact.name).start
        expected = result.covariance[result.model.poi, at] / result.uncertainty[at]
        np.testing.assert_allclose(impact.up, expected, atol=0.02 * result.mu_uncertainty)


def test_uncertainty_is_the_sum_of_its_parts(result):
    parts = statistics.breakdown(result)
    assert set(parts) == {"total", "MC statistics", "systematics", "data statistics"}
    np.testing.assert_allclose(parts["total"], result.mu_uncertainty)
    both = np.hypot(parts["MC statistics"], parts["systematics"])
    rest = parts["total"] ** 2 - parts["data statistics"] ** 2
    np.testing.assert_allclose(both**2, rest, rtol=0.1)  # small correlations between them
    alone = statistics.fit(
        result.model,
        fixed={
            name: result.theta[result.model.index(name).start]
            for name in result.model.parameters.names
            if name != "mu"
        },
    )
    np.testing.assert_allclose(parts["data statistics"], alone.mu_uncertainty, rtol=1e-6)


def test_free_normalisations_are_no_data_statistics():
    """A background measured in a control region: sigma^2 = n / s^2 (data) + (b / s)^2 / m (it)."""
    s, b, m = 20.0, 100.0, 50.0
    workspace = workspaces.counting(s, b, s + b)
    workspace["channels"][0]["samples"][1]["modifiers"] = [workspaces.normfactor("k")]
    control = {"name": "background", "data": [m], "modifiers": [workspaces.normfactor("k")]}
    workspace["channels"].append({"name": "CR", "samples": [control]})
    workspace["observations"].append({"name": "CR", "data": [m]})
    parts = statistics.breakdown(statistics.fit(statistics.build(workspace)))
    assert set(parts) == {"total", "free normalisations", "data statistics"}
    assert parts["data statistics"] == pytest.approx(np.sqrt(s + b) / s, rel=1e-5)
    assert parts["free normalisations"] == pytest.approx(b / s / np.sqrt(m), rel=1e-5)


def test_impacts_that_a_bound_cuts_are_named():
    workspace = workspaces.shape_model()
    settings = workspace["measurements"][0]["config"]["parameters"]
    settings.append({"name": "norm", "bounds": [[-0.2, 0.2]]})
    found = statistics.impacts(statistics.fit(statistics.build(workspace)))
    assert found.note == "moved to a bound only: norm"


def test_groups_of_ones_own(result):
    parts = statistics.breakdown(result, {"theory": ["norm", "tilt"]})
    assert set(parts) == {"total", "theory", "data statistics"}
    with pytest.raises(ValueError, match="no parameter 'nrm'; did you mean 'norm'"):
        statistics.breakdown(result, {"theory": ["nrm"]})


def test_events_after_a_fit_are_known_as_well_as_they_were_counted(result):
    """Norms float: the total is known to about sqrt(n), much better than before the fit."""
    before, after = statistics.yields(result, prefit=True)[0], statistics.yields(result)[0]
    assert after.sum[1] < before.sum[1]
    np.testing.assert_allclose(after.sum[0], after.data.sum(), rtol=0.01)
    assert after.sum[1] < 1.1 * np.sqrt(after.sum[0])
    # correlated bins: the sum's uncertainty is not that of independent bins
    assert before.sum[1] > 1.5 * np.sqrt(np.square(before.uncertainty).sum())


def test_band_is_the_spread_of_parameters_drawn_from_the_fit(result):
    rng = np.random.default_rng(1)
    drawn = rng.multivariate_normal(result.theta, result.covariance, 4000)
    spread = result.model.expected(drawn).std(axis=0)
    np.testing.assert_allclose(statistics.yields(result)[0].uncertainty, spread, rtol=0.08)
    before = statistics.yields(result, prefit=True)[0]
    totals = sum(before.samples.values())
    np.testing.assert_allclose(before.total, totals)


def test_tables(result):
    found = statistics.yields(result)
    table = statistics.yield_table(found)
    assert table.columns == ("Sample", "SR")
    assert [row[0] for row in table.rows] == ["background", "signal", "total", "data"]
    stored = yaml.safe_load(yaml.safe_dump(statistics.hepdata(found[0], np.arange(21))))
    assert stored["independent_variables"][0]["values"][3] == {"low": 3.0, "high": 4.0}
    names = [each["header"]["name"] for each in stored["dependent_variables"]]
    assert names == ["data events", "total events", "background events", "signal events"]
    assert len(stored["dependent_variables"][1]["values"]) == 20


def test_goodness_of_fit_is_uniform_for_the_true_model():
    model = statistics.build(workspaces.shape_model())
    data = model.sample(model.parameters.init, 300, np.random.default_rng(1))
    fits = [statistics.goodness_of_fit(statistics.fit(model, each)) for each in data]
    assert {found.degrees_of_freedom for found in fits} == {19}
    p = np.array([found.p_value for found in fits])
    assert abs(p.mean() - 0.5) < 0.06
    assert 0.02 < (p < 0.1).mean() < 0.2


def test_wrong_models_fit_badly():
    model = statistics.build(workspaces.shape_model())
    data = model.asimov(1.0)
    data[:20:2] *= 1.6
    assert statistics.goodness_of_fit(statistics.fit(model, data)).p_value < 1e-4


def test_breakdown_where_a_parameter_is_less_known_than_the_signal():
    """cov(mu, k) above var(mu): the uncertainty of mu is still that of mu."""
    workspace = workspaces.shape_model()
    signal = workspace["channels"][0]["samples"][0]
    signal["data"] = [100 * value for value in signal["data"]]  # mu known to 2 %
    signal["modifiers"].append(workspaces.normsys("theory", 1.05, 1 / 1.05))
    signal["modifiers"][1] = workspaces.normsys("eff", 0.9, 1 / 0.9)  # falls: cov(mu, eff) > 0
    model = statistics.build(workspace)
    result = statistics.fit(model, model.asimov(1.0))
    at, poi = result.model.index("eff").start, result.model.poi
    assert result.covariance[poi, at] > result.covariance[poi, poi]
    parts = statistics.breakdown(result, {"theory": ["theory"]})
    held = statistics.fit(result.model, result.data, fixed={"theory": 0.0})
    left = np.sqrt(parts["total"] ** 2 - parts["theory"] ** 2)
    np.testing.assert_allclose(left, held.mu_uncertainty, rtol=1e-6)


def test_breakdown_of_parameters_that_cannot_be_told_apart():
    workspace = workspaces.counting(10, 50, 60)
    workspace["channels"][0]["samples"][0]["modifiers"].append(workspaces.normfactor("k"))
    parts = statistics.breakdown(statistics.fit(statistics.build(workspace)))
    assert all(np.isfinite(value) for value in parts.values())
