"""Fits find the minimum, with the right uncertainty, for one data set or thousands."""

import numpy as np
import pyhf
import pytest
from helpers import workspaces
from scipy.optimize import minimize

from fivesigma import statistics
from fivesigma.statistics.minimiser import CONVERGED, TOO_LONG


def test_counting_experiment_has_a_closed_form():
    """mu = (n - b) / s, its uncertainty sqrt(n) / s."""
    model = statistics.build(workspaces.counting(signal=10, background=50, observed=64))
    result = statistics.fit(model)
    assert result.converged
    assert not result.note
    np.testing.assert_allclose(result.mu, 1.4, rtol=1e-7)
    np.testing.assert_allclose(result.mu_uncertainty, 0.8, rtol=1e-6)


def test_sideband_is_as_good_as_a_second_bin():
    """A Poisson constraint is a control region: mu and its uncertainty in closed form."""
    workspace = workspaces.counting(signal=10, background=50, observed=64, uncertainty=0.1)
    result = statistics.fit(statistics.build(workspace))
    np.testing.assert_allclose(result.mu, 1.4, rtol=1e-6)
    np.testing.assert_allclose(result.mu_uncertainty, np.sqrt(64 + 25) / 10, rtol=1e-6)


@pytest.mark.parametrize("seed", range(12))
def test_minimum_is_as_low_as_that_of_others(seed):
    """No minimiser of SciPy gets below, from our minimum or from the start."""
    model = statistics.build(workspaces.random_workspace(seed))
    p = model.parameters
    result = statistics.fit(model)
    assert result.converged
    np.testing.assert_allclose(result.twice_nll, model.twice_nll(result.theta)[0], rtol=1e-12)
    bounds = [
        (start, start) if fixed else (low, high)
        for start, low, high, fixed in zip(p.init, p.lower, p.upper, p.fixed, strict=True)
    ]
    for begin in (p.init, result.theta):
        with np.errstate(all="ignore"):
            other = minimize(
                lambda theta: min(model.twice_nll(theta)[0], 1e10),
                begin,
                jac=lambda theta: model.gradient(theta)[0],
                bounds=bounds,
                method="L-BFGS-B",
            )
        assert result.twice_nll < other.fun + 1e-6


def test_real_fit_of_ttbar(real_data):
    """The reference of the AGC: 0.946 +- 0.080, there from MINUIT; the profile's width is that."""
    model = statistics.build(workspaces.agc_ttbar(real_data))
    assert len(model.parameters) == 12
    assert model.n_bins == 22
    result = statistics.fit(model)
    found = statistics.interval(model)
    assert abs(result.mu - 0.946) < 0.001
    assert abs((found.high - found.low) / 2 - 0.080) < 0.001
    assert abs(result.mu_uncertainty - 0.080) < 0.002


def test_fit_of_region_c_agrees_with_pyhf(real_data):
    archive = real_data / "likelihoods" / "pyhf-ins1748602-probability-models.tar.gz"
    path = archive / "RegionC" / "BkgOnly.json"
    patch = "patch.sbottom_1300_205_60.json"
    workspace = statistics.read_workspace(path, patch=patch)
    model = statistics.build(workspace)
    read = pyhf.Workspace(workspace)
    theirs = read.model()
    pyhf.set_backend("numpy", "minuit")
    start = statistics.fit(model).theta
    # MINUIT, started at our minimum, finds nothing lower
    best, value = pyhf.infer.mle.fit(
        read.data(theirs), theirs, init_pars=start.tolist(), return_fitted_val=True
    )
    assert statistics.fit(model).twice_nll < value + 1e-6
    np.testing.assert_allclose(start[model.poi], best[model.poi], atol=2e-3)


def test_held_parameters_stay_and_the_others_move():
    model = statistics.build(workspaces.shape_model())
    result = statistics.fit(model, fixed={"mu": 2.0, "tilt": 0.5})
    assert result.theta[model.index("mu")] == 2.0
    assert result.theta[model.index("tilt")] == 0.5
    assert result.uncertainty[model.poi] == 0
    free = statistics.fit(model)
    assert result.twice_nll > free.twice_nll
    assert result.theta[model.index("norm")] != free.theta[model.index("norm")]


def test_many_fits_are_single_fits():
    model = statistics.build(workspaces.shape_model())
    data = model.sample(model.parameters.init, 100, np.random.default_rng(1))
    together = statistics.fit_many(model, data)
    assert (together.status == CONVERGED).all()
    for index in (0, 57, 99):
        alone = statistics.fit(model, data[index])
        np.testing.assert_allclose(together.theta[index], alone.theta, atol=1e-10)


def test_values_of_a_scan_are_fitted_at_once():
    model = statistics.build(workspaces.shape_model())
    values = np.linspace(-1, 3, 9)
    found = statistics.scan(model, values=values)
    best = statistics.fit(model)
    for value, rise in zip(values, found.twice_delta_nll, strict=True):
        held = statistics.fit(model, fixed={"mu": value})
        np.testing.assert_allclose(rise, held.twice_nll - best.twice_nll, atol=1e-6)
    assert found.best == best.mu


def test_interval_of_a_counting_experiment():
    """Where 2 (lambda - n - n ln(lambda / n)) = 1."""
    model = statistics.build(workspaces.counting(10, 50, 64, bounds=(-10, 10)))
    found = statistics.interval(model)
    for end in (found.low, found.high):
        expected = 50 + 10 * end
        assert abs(2 * (expected - 64 - 64 * np.log(expected / 64)) - 1) < 1e-5
    assert found.low < 1.4 < found.high


def test_fit_at_a_boundary_says_so():
    model = statistics.build(workspaces.counting(10, 50, observed=30))
    result = statistics.fit(model)
    assert result.converged
    assert result.mu == 0
    assert "mu is at its bound 0" in result.note
    assert "widen the bounds" in result.note


def test_failed_fits_are_counted_not_fatal():
    """Toys of which some have events where none can come from."""
    workspace = workspaces.counting(10, 0.0, observed=0, bounds=(0, 10))
    model = statistics.build(workspace)
    found = statistics.fit_many(model, np.array([[0.0], [3.0]]), fixed={"mu": 0.0})
    assert found.status[0] == CONVERGED
    assert found.status[1] != CONVERGED
    alone = statistics.fit(model, [3.0], fixed={"mu": 0.0})
    assert not alone.converged
    assert "bin 0 of region SR expects 0 events and has 3" in alone.note


def test_parameters_that_cannot_be_told_apart_are_named():
    workspace = workspaces.counting(10, 50, 60)
    workspace["channels"][0]["samples"][0]["modifiers"].append(workspaces.normfactor("k"))
    result = statistics.fit(statistics.build(workspace))
    assert result.converged
    assert "cannot tell" in result.note
    assert "k" in result.note
    assert "mu" in result.note


def test_hard_fits_go_to_minuit(monkeypatch):
    """Where the Newton method gives up, MINUIT finds the same minimum."""
    from fivesigma.statistics import fits

    model = statistics.build(workspaces.shape_model())
    expected = statistics.fit(model)
    run = fits._run

    def giving_up(*arguments):
        return run(*arguments)._replace(status=np.array([TOO_LONG]))

    monkeypatch.setattr(fits, "_run", giving_up)
    result = statistics.fit(model)
    assert result.converged
    np.testing.assert_allclose(result.theta, expected.theta, atol=2e-3)
    np.testing.assert_allclose(result.twice_nll, expected.twice_nll, atol=1e-5)


@pytest.mark.parametrize("kind", ["counting", "shape"])
def test_coverage_of_the_signal_strength(kind):
    """10 000 pseudo-experiments: 68.3 +- 1.5 % of the intervals hold the truth."""
    if kind == "counting":
        workspace = workspaces.counting(20, 50, 70, uncertainty=0.1, bounds=(-10, 10))
    else:
        workspace = workspaces.shape_model()
    model = statistics.build(workspace)
    data = model.sample(model.parameters.init, 10_000, np.random.default_rng(1))
    free = statistics.fit_many(model, data)
    held = statistics.fit_many(model, data, fixed={"mu": 1.0})
    good = (free.status == CONVERGED) & (held.status == CONVERGED)
    assert good.mean() > 0.999
    inside = 2 * (held.half_deviance - free.half_deviance)[good] <= 1
    assert abs(inside.mean() - 0.683) < 0.015


@pytest.mark.parametrize("z", [0, 1, 3, 5])
def test_injected_signals_are_recovered_without_bias(z):
    """The mean of 2000 fits is the truth; their pulls have the width 1."""
    model = statistics.build(workspaces.shape_model())
    strength = z / statistics.significance(model, model.asimov(1)).expected
    truth = model.parameters.init.copy()
    truth[model.poi] = strength
    data = model.sample(truth, 2000, np.random.default_rng(z))
    found = statistics.fit_many(model, data)
    assert (found.status == CONVERGED).all()
    hats = found.theta[:, model.poi]
    assert abs(hats.mean() - strength) < 4 * hats.std() / np.sqrt(2000)
    width = statistics.fit(model, model.asimov(strength)).mu_uncertainty
    assert abs(hats.std() / width - 1) < 0.08


def test_pulls_of_moved_auxiliary_data():
    """A global observable moved by one width pulls its parameter; the pull is against it."""
    model = statistics.build(workspaces.shape_model())
    data = model.asimov(1.0)
    data[model.n_bins :] += 1.0
    found = {pull.name: pull for pull in statistics.pulls(statistics.fit(model, data))}
    assert set(found) == {"eff", "tilt", "norm"}
    assert -1 < found["norm"].pull < -0.2  # the data know better than the moved measurement
    assert abs(found["eff"].pull) < 0.1  # no data tell it from mu
    assert 0 < found["norm"].uncertainty < 1


def test_correlations():
    result = statistics.fit(statistics.build(workspaces.shape_model()))
    matrix = result.correlation
    np.testing.assert_allclose(np.diag(matrix), 1)
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    assert (np.abs(matrix) <= 1 + 1e-12).all()


def test_names_that_are_not_there():
    model = statistics.build(workspaces.shape_model())
    with pytest.raises(ValueError, match="no parameter 'tillt'; did you mean 'tilt'") as told:
        statistics.fit(model, fixed={"tillt": 0.0})
    names = str(told.value).partition("there is ")[2].split(", ")
    assert len(names) == len(set(names))


@pytest.mark.parametrize("seed", [13, 33, 36])
def test_no_fit_ends_on_a_slope(seed):
    """Codes 1 and 0 have a kink at 0, where steps fail: damped ones promise little, and lie."""
    model = statistics.build(
        workspaces.random_workspace(seed), normsys_code="1", histosys_code="0"
    )
    p = model.parameters
    data = model.sample(p.init, 25, np.random.default_rng(seed))
    found = statistics.fit_many(model, data, fixed={model.poi_name: 3.0})
    good = found.status == CONVERGED
    assert good.any()
    slopes, bends = (
        half(found.theta[good], data[good]) / 2
        for half in (model.gradient, lambda t, d: model.hessian(t, d, expected=True))
    )
    for theta, slope, bend in zip(found.theta[good], slopes, bends, strict=True):
        bound = ((theta <= p.lower) & (slope > 0)) | ((theta >= p.upper) & (slope < 0))
        free = ~(p.fixed | bound)
        free[model.poi] = False
        distance = 0.5 * slope[free] @ np.linalg.pinv(bend[np.ix_(free, free)]) @ slope[free]
        assert distance < 1e-3


def test_interval_beyond_six_standard_deviations():
    """No event seen: the curvature at the bound tells nothing, the likelihood rises by s mu."""
    model = statistics.build(workspaces.counting(0.1, 1e-3, 0, bounds=(0, 100)))
    found = statistics.interval(model, rise=4.0)
    np.testing.assert_allclose(found.high, 4.0 / (2 * 0.1), rtol=1e-4)
    assert found.low == 0
