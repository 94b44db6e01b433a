"""Significance, CLs and limits: closed forms, pyhf, and the published answers."""

import numpy as np
import pyhf
import pytest
from helpers import workspaces
from scipy.stats import norm

from fivesigma import statistics
from fivesigma.statistics import hypotests

SEEDS = (0, 1, 2, 5)


@pytest.fixture(autouse=True)
def minuit():
    """pyhf's other minimiser stops too early for comparisons of a few 1e-5."""
    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(tolerance=1e-3, strategy=1))
    yield
    pyhf.set_backend("numpy")


def plain_workspace(seed):
    """A random one without what pyhf's minimisers fail on: factors that replace each other."""
    if seed == 0:
        return workspaces.shape_model(bounds=(0.0, 10.0))
    made = workspaces.random_workspace(seed)
    for channel in made["channels"]:
        for sample in channel["samples"]:
            sample["modifiers"] = [
                each
                for each in sample["modifiers"]
                if each["name"] not in ("k", "free_shape") and each["type"] != "shapesys"
            ]
    return made


def q0_counting(n, s, b):
    return 2 * (n * np.log(n / b) - n + b)


def test_significance_of_a_counting_experiment():
    """Z = sqrt(2 (n ln(n / b) - n + b)); expected with n = s + b (arXiv:1007.1727, eq. 97)."""
    found = statistics.significance(statistics.build(workspaces.counting(10, 50, 67)))
    np.testing.assert_allclose(found.observed, np.sqrt(q0_counting(67, 10, 50)), rtol=1e-6)
    np.testing.assert_allclose(found.expected, np.sqrt(q0_counting(60, 10, 50)), rtol=1e-6)
    np.testing.assert_allclose(found.p_observed, norm.sf(found.observed))


def test_a_free_fit_in_a_wrong_minimum_goes_on_from_the_lower_one(monkeypatch):
    model = statistics.build(workspaces.shape_model())
    data = model.sample(model.parameters.init, 3, np.random.default_rng(1))
    want, real, poor = statistics.q0(model, data), hypotests.fit_many, []

    def fit_many(*arguments, **options):
        found = real(*arguments, **options)
        if poor:
            return found
        poor.append(found)
        return found._replace(half_deviance=found.half_deviance + [50.0, 0.0, 50.0])

    monkeypatch.setattr(hypotests, "fit_many", fit_many)
    np.testing.assert_allclose(statistics.q0(model, data), want, atol=1e-5)
    assert poor


def test_significance_with_an_uncertain_background():
    """The Asimov formula with background uncertainty is this model's, where data are closed."""
    s, b, sigma = 15.0, 50.0, 5.0
    model = statistics.build(workspaces.counting(s, b, 0, uncertainty=sigma / b))
    found = statistics.significance(model, model.asimov(1.0))
    left = (s + b) * np.log((s + b) * (b + sigma**2) / (b**2 + (s + b) * sigma**2))
    right = b**2 / sigma**2 * np.log(1 + sigma**2 * s / (b * (b + sigma**2)))
    np.testing.assert_allclose(found.expected, np.sqrt(2 * (left - right)), rtol=1e-6)


def test_a_deficit_is_no_signal():
    found = statistics.significance(statistics.build(workspaces.counting(10, 50, 40)))
    assert found.observed == 0
    assert found.p_observed == 0.5
    assert found.mu == 0


def test_cls_of_a_counting_experiment():
    """CLs by hand from the likelihood ratios of one Poisson count."""
    s, b, n = 20.0, 50.0, 55.0
    found = statistics.cls(statistics.build(workspaces.counting(s, b, n)), 1.0)

    def minus_two_ln(count, expected):
        return 2 * (expected - count * np.log(expected))

    q = minus_two_ln(n, s + b) - minus_two_ln(n, n)
    q_asimov = minus_two_ln(b, s + b) - minus_two_ln(b, b)
    p_sb, p_b = norm.sf(np.sqrt(q)), norm.sf(np.sqrt(q) - np.sqrt(q_asimov))
    np.testing.assert_allclose(found.observed[0], p_sb / p_b, rtol=1e-6)
    np.testing.assert_allclose(found.expected[2, 0], 2 * norm.sf(np.sqrt(q_asimov)), rtol=1e-6)


@pytest.mark.parametrize("seed", SEEDS)
def test_cls_is_that_of_pyhf(seed):
    workspace = plain_workspace(seed)
    read = pyhf.Workspace(workspace)
    theirs = read.model()
    for mu in (0.5, 1.0, 3.0):
        observed, expected = pyhf.infer.hypotest(
            mu, read.data(theirs), theirs, test_stat="qtilde", return_expected_set=True
        )
        found = statistics.cls(statistics.build(workspace), mu)
        np.testing.assert_allclose(found.observed[0], observed, atol=3e-5)
        np.testing.assert_allclose(found.expected[:, 0], expected, atol=3e-5)


@pytest.mark.parametrize("seed", SEEDS)
def test_statistics_are_those_of_pyhf(seed):
    workspace = plain_workspace(seed)
    read, model = pyhf.Workspace(workspace), statistics.build(workspace)
    theirs = read.model()
    data, config = read.data(theirs), theirs.config
    bounds, start = config.suggested_bounds(), config.suggested_init()
    common = (data, theirs, start, bounds, config.suggested_fixed())
    tests = pyhf.infer.test_statistics
    np.testing.assert_allclose(statistics.q0(model)[0], tests.q0(0.0, *common), atol=2e-4)
    tilde = tests.qmu_tilde(1.5, *common)
    np.testing.assert_allclose(statistics.q_mu_tilde(model, 1.5)[0], tilde, atol=2e-4)


def test_negative_signals_are_allowed_for_q_mu():
    """With n < b, q_mu is measured from the best fit below 0, q-tilde from 0."""
    s, b, n = 10.0, 50.0, 40.0
    model = statistics.build(workspaces.counting(s, b, n))
    free = 2 * ((s + b) - n * np.log(s + b)) - 2 * (n - n * np.log(n))
    bounded = 2 * ((s + b) - n * np.log(s + b)) - 2 * (b - n * np.log(b))
    np.testing.assert_allclose(statistics.q_mu(model, 1.0)[0], free, rtol=1e-6)
    np.testing.assert_allclose(statistics.q_mu_tilde(model, 1.0)[0], bounded, rtol=1e-6)


def test_limit_is_where_cls_is_five_per_cent():
    model = statistics.build(workspaces.random_workspace(4))
    found = statistics.limit(model)
    np.testing.assert_allclose(statistics.cls(model, found.observed).observed[0], 0.05, atol=1e-6)
    for index, value in enumerate(found.expected):
        cls = statistics.cls(model, value).expected[index, 0]
        np.testing.assert_allclose(cls, 0.05, atol=1e-6)
    assert (np.diff(found.expected) > 0).all()


def test_limits_of_tiny_and_of_strong_signals():
    """The limit scales with the signal over six orders of magnitude."""
    limits = []
    for size in (1e-3, 1.0, 1e3):
        model = statistics.build(workspaces.counting(10 * size, 50, 52))
        limits.append(statistics.limit(model).observed * size)
    np.testing.assert_allclose(limits, limits[1], rtol=1e-5)


def test_limit_on_nothing():
    with pytest.raises(ValueError, match="does the signal have events in any region"):
        statistics.limit(statistics.build(workspaces.counting(0.0, 50, 52)))


def test_published_higgs_to_four_leptons(real_data):
    """The reference answers: 3.08 and 3.27 sigma, mu 0.89, limits 1.70 and 0.66 [0.31, 1.58]."""
    model = statistics.build(workspaces.higgs_4l(real_data))
    found, upper = statistics.significance(model), statistics.limit(model)
    np.testing.assert_allclose(found.observed, 3.08, atol=0.03)
    np.testing.assert_allclose(found.expected, 3.27, atol=0.03)
    np.testing.assert_allclose(statistics.fit(model).mu, 0.89, rtol=0.02)
    np.testing.assert_allclose(upper.observed, 1.70, rtol=0.02)
    np.testing.assert_allclose(upper.expected[[0, 2, 4]], [0.31, 0.66, 1.58], rtol=0.02)


def test_published_higgs_in_three_channels(real_data):
    found = statistics.significance(statistics.build(workspaces.higgs_4l(real_data, apart=True)))
    np.testing.assert_allclose([found.observed, found.expected], [2.94, 3.32], atol=0.03)


def test_published_susy_search(real_data):
    """SUSY-2018-31: CLs 0.2444 and 0.3841 to 1e-3."""
    archive = real_data / "likelihoods" / "pyhf-ins1748602-probability-models.tar.gz"
    path = archive / "RegionA" / "BkgOnly.json"
    model = statistics.load(path, patch="patch.sbottom_1300_205_60.json")
    assert len(model.parameters) == 64
    assert model.n_bins == 6
    found = statistics.cls(model, 1.0)
    assert abs(found.observed[0] - 0.2444) < 1e-3
    assert abs(found.expected[2, 0] - 0.3841) < 1e-3


def test_what_cannot_be_fitted_has_no_answer(monkeypatch):
    """Fits of Asimov data that fail are no number, and are told."""
    from fivesigma.statistics import hypotests

    run = hypotests.fit_many

    def failing(*arguments, **options):
        found = run(*arguments, **options)
        return found._replace(status=np.ones_like(found.status)) if calls.pop() else found

    monkeypatch.setattr(hypotests, "fit_many", failing)
    model = statistics.build(workspaces.counting(10, 50, 60))
    calls = [True, False, False, False]  # the last is that of the Asimov data
    found = statistics.significance(model)
    assert np.isnan(found.expected) and np.isfinite(found.observed)
    assert "1 of 3 fits failed" in found.note
    calls = [True, False, False, False]
    assert np.isnan(statistics.cls(model, 1.0).expected).all()


def test_signal_strengths_below_0_are_not_tested():
    with pytest.raises(ValueError, match="signal strength -1; eq. 16 tests none below 0"):
        statistics.cls(statistics.build(workspaces.counting(10, 50, 60)), -1.0)


def test_a_bin_without_background_is_named():
    """Events where none can come from without signal: q0 is infinite, which is told."""
    found = statistics.significance(statistics.build(workspaces.counting(10, 0.0, 3)))
    assert np.isnan(found.observed)
    assert "bin 0 of region SR expects 0 events and has 3: it has no background" in found.note


def test_a_nuisance_parameter_at_its_bound_is_told():
    workspace = workspaces.counting(10, 50, 90)
    workspace["channels"][0]["samples"][1]["modifiers"] = [workspaces.normsys("norm", 1.05, 0.95)]
    settings = workspace["measurements"][0]["config"]["parameters"]
    settings.append({"name": "norm", "bounds": [[-1.0, 1.0]]})
    found = statistics.significance(statistics.build(workspace))
    assert "norm is at its bound 1" in found.note and "mu is at" not in found.note
