"""Fits find what was put in, with the errors of closed forms, and explain what goes wrong."""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import kstest

from fivesigma.statistics.spectra import (
    SHAPES,
    Component,
    Fit,
    Model,
    fit_events,
    fit_histogram,
    fit_many,
)

LIMITS = (2.8, 3.4)
EDGES = np.linspace(*LIMITS, 61)


def peak_on_exponential(**options):
    return Model(
        (
            Component("jpsi", SHAPES["gaussian"], **options),
            Component("background", SHAPES["exponential"]),
        ),
        LIMITS,
    )


#: yield, mass, sigma, background, slope
TRUTH = np.array([1500.0, 3.09, 0.03, 1000.0, -1.5])


def sample(seed, model=None):
    """Events of a peak on an exponential, by inversion of their own histogram's bins."""
    model = model or peak_on_exponential()
    rng, fine = np.random.default_rng(seed), np.linspace(*LIMITS, 6001)
    counts = rng.poisson(model.expected(fine, TRUTH))
    low = np.repeat(fine[:-1], counts)
    return low + rng.uniform(0, fine[1] - fine[0], len(low))


def within(fit, name, truth, sigmas=3.5):
    index = fit.model.names.index(name)
    return abs(fit.values[index] - truth) < sigmas * fit.errors[index]


def test_one_component_is_a_counting_experiment():
    """Yield n +- sqrt(n); the profile likelihood of a Poisson mean solves its own equation."""
    model = Model((Component("all", SHAPES["exponential"], fixed={"slope": -1.0}),), (0.0, 1.0))
    counts = np.array([4.0, 3.0, 2.0])
    fit = fit_histogram(model, counts, np.linspace(0, 1, 4), minos=True)
    assert fit.values[0] == pytest.approx(9, rel=1e-4)
    assert fit.errors[0] == pytest.approx(3, rel=1e-3)

    def deviance(nu):
        return 2 * (nu - 9 + 9 * np.log(9 / nu)) - 1

    lower, upper = fit.minos["all/yield"]
    assert lower == pytest.approx(9 - brentq(deviance, 1, 9), rel=2e-3)
    assert upper == pytest.approx(brentq(deviance, 9, 20) - 9, rel=2e-3)


def test_unbinned_gaussian_has_the_sample_moments():
    x = np.random.default_rng(1).normal(3.1, 0.03, 400)
    model = Model((Component("jpsi", SHAPES["gaussian"]),), LIMITS)
    fit = fit_events(model, x)
    found = fit.numbers("GeV")
    assert found["jpsi/mass"].value == pytest.approx(x.mean(), abs=1e-6)
    assert found["jpsi/sigma"].value == pytest.approx(x.std(), rel=1e-3)
    assert found["jpsi/mass"].uncertainty == pytest.approx(x.std() / 20, rel=5e-3)
    assert found["jpsi/sigma"].uncertainty == pytest.approx(x.std() / np.sqrt(800), rel=5e-3)
    assert found["jpsi/yield"].value == pytest.approx(400, rel=1e-4)
    assert (found["jpsi/mass"].unit, found["jpsi/yield"].unit) == ("GeV", "events")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_what_was_put_in_is_found_from_the_data_alone(seed):
    x = sample(seed)
    binned = fit_histogram(peak_on_exponential(), np.histogram(x, EDGES)[0], EDGES)
    events = fit_events(peak_on_exponential(), x)
    for fit in (binned, events):
        assert fit.valid and not fit.problems
        for name, truth in zip(fit.model.names, TRUTH, strict=True):
            assert within(fit, name, truth), name
        assert 0.001 < fit.p_value <= 1
        assert fit.values[0] + fit.values[3] == pytest.approx(len(x), rel=1e-4)
    np.testing.assert_allclose(binned.values[1], events.values[1], atol=0.3 * events.errors[1])


def test_fine_bins_are_the_unbinned_fit():
    x, fine = sample(4), np.linspace(*LIMITS, 3001)
    binned = fit_histogram(peak_on_exponential(), np.histogram(x, fine)[0], fine)
    events = fit_events(peak_on_exponential(), x)
    np.testing.assert_allclose(binned.values, events.values, atol=0.02 * events.errors.min() + 0,
                               rtol=2e-3)  # fmt: skip
    np.testing.assert_allclose(binned.errors, events.errors, rtol=0.02)


def test_equal_weights_scale_the_yield_and_its_error_only():
    x = sample(5)
    plain = fit_events(peak_on_exponential(), x)
    heavy = fit_events(peak_on_exponential(), x, weights=np.full(len(x), 0.1))
    scale = np.array([0.1, 1, 1, 0.1, 1])
    np.testing.assert_allclose(heavy.values, scale * plain.values, rtol=2e-3)
    # the corrected covariance sums squares over the events, where Hesse has their expectation
    np.testing.assert_allclose(heavy.errors, scale * plain.errors, rtol=0.06)
    assert heavy.weighted and not plain.weighted


def test_weighted_errors_cover():
    """Yields of events with weights 0.2 or 3: the pulls have a width of one, not more."""
    model, rng, pulls = (
        peak_on_exponential(fixed={"sigma": 0.03, "mass": 3.09}),
        np.random.default_rng(6),
        [],
    )
    truth = np.delete(TRUTH, [1, 2])
    for _ in range(60):
        light, heavy = rng.poisson(np.stack([model.expected(EDGES, truth)] * 2))
        fit = fit_histogram(
            model, 0.2 * light + 3 * heavy, EDGES, variances=0.04 * light + 9 * heavy
        )
        pulls.append((fit.values[0] - 3.2 * truth[0]) / fit.errors[0])
    assert abs(np.mean(pulls)) < 3 / np.sqrt(60)
    assert np.std(pulls) == pytest.approx(1, abs=0.27)


def test_negative_weights_subtract():
    """A tenth of the events with weight -1: yields fall by a fifth, the peak stays."""
    x = sample(11)
    weight = np.where(np.arange(len(x)) % 10, 1.0, -1.0)
    fit = fit_events(peak_on_exponential(), x, weights=weight)
    plain = fit_events(peak_on_exponential(), x)
    assert fit.values[0] + fit.values[3] == pytest.approx(weight.sum(), rel=1e-3)
    assert abs(fit.values[1] - plain.values[1]) < plain.errors[1]
    assert fit.errors[1] > plain.errors[1]


def test_pulls_of_many_toys_are_standard_normal():
    model, rng = peak_on_exponential(), np.random.default_rng(7)
    counts = rng.poisson(model.expected(EDGES, TRUTH), (500, 60))
    many = fit_many(model, counts, EDGES, TRUTH)
    assert many.converged.all()
    errors = np.sqrt(np.einsum("tpp->tp", many.covariance))
    pulls = (many.theta - TRUTH) / errors
    for index, name in enumerate(model.names):
        assert abs(pulls[:, index].mean()) < 0.2, name
        assert pulls[:, index].std() == pytest.approx(1, abs=0.12), name
    # deviance of 60 bins with 5 parameters
    assert many.deviance.mean() == pytest.approx(55, abs=4)


def test_minuit_and_fisher_scoring_find_the_same_minimum():
    counts = np.histogram(sample(8), EDGES)[0]
    fit = fit_histogram(peak_on_exponential(), counts, EDGES)
    many = fit_many(peak_on_exponential(), counts, EDGES, TRUTH)
    np.testing.assert_allclose(fit.values, many.theta[0], atol=0.02 * fit.errors.min(), rtol=1e-3)
    np.testing.assert_allclose(fit.errors, np.sqrt(np.diag(many.covariance[0])), rtol=0.05)
    assert fit.chi2 == pytest.approx(many.deviance[0], abs=1e-2)


def test_a_peak_anywhere_is_found_without_a_hint():
    for mass in (2.86, 3.02, 3.3):
        model = peak_on_exponential()
        truth = TRUTH.copy()
        truth[1] = mass
        counts = np.random.default_rng(9).poisson(model.expected(EDGES, truth))
        assert within(fit_histogram(model, counts, EDGES), "jpsi/mass", mass)


def test_tied_parameters_follow_and_fixed_ones_stay():
    ratio = 10.0234 / 9.4604
    peaks = (
        Component("one", SHAPES["gaussian"], start={"mass": 9.46}),
        Component(
            "two",
            SHAPES["gaussian"],
            fixed={"sigma": 0.1},
            tied={"mass": ("one/mass", ratio)},
        ),
        Component("background", SHAPES["chebyshev1"]),
    )
    model = Model(peaks, (8.5, 11.5))
    edges = np.linspace(8.5, 11.5, 61)
    truth = np.array([400.0, 9.45, 0.09, 150.0, 900.0, -0.1])
    assert model.names[3] == "two/yield"
    fit = fit_histogram(
        model, np.random.default_rng(2).poisson(model.expected(edges, truth)), edges
    )
    found = fit.numbers("GeV")
    assert found["two/mass"].value == pytest.approx(ratio * found["one/mass"].value)
    assert found["two/mass"].uncertainty == pytest.approx(ratio * found["one/mass"].uncertainty)
    assert found["two/sigma"].value == 0.1 and found["two/sigma"].note == "fixed"
    assert within(fit, "one/mass", 9.45) and within(fit, "two/yield", 150)


def test_a_background_that_is_known_stays_as_it_is():
    known = {"yield": 1000.0, "slope": -1.5}
    model = Model(
        (
            Component("jpsi", SHAPES["gaussian"]),
            Component("background", SHAPES["exponential"], fixed=known),
        ),
        LIMITS,
    )
    fit = fit_histogram(model, np.histogram(sample(12), EDGES)[0], EDGES)
    assert fit.valid and within(fit, "jpsi/yield", 1500) and within(fit, "jpsi/mass", 3.09)
    assert fit.numbers()["background/yield"].value == 1000


def test_goodness_of_fit_is_uniform_for_the_right_model_and_0_for_a_wrong_one():
    model = peak_on_exponential(fixed={"mass": 3.09, "sigma": 0.03})
    truth = np.delete(TRUTH, [1, 2])
    rng = np.random.default_rng(10)
    found = [
        fit_histogram(model, rng.poisson(model.expected(EDGES, truth)), EDGES).p_value
        for _ in range(40)
    ]
    assert kstest(found, "uniform").pvalue > 0.01
    wrong = Model((Component("background", SHAPES["exponential"]),), LIMITS)
    fit = fit_histogram(wrong, np.histogram(sample(1), EDGES)[0], EDGES)
    assert fit.p_value < 1e-6 and np.abs(fit.pulls).max() > 5


def test_a_parameter_at_its_bound_is_told():
    flat = np.full(60, 50.0)
    flat[28:32] += 30
    model = Model(
        (
            Component("peak", SHAPES["double-gaussian"], fixed={"mass": 3.1, "sigma": 0.01}),
            Component("background", SHAPES["exponential"]),
        ),
        LIMITS,
    )
    fit = fit_histogram(model, flat, EDGES)
    assert any("bound" in problem and "peak/" in problem for problem in fit.problems)


def test_a_few_events_among_many_are_not_at_a_bound():
    """14 events beside 300 000: near to 0 on the scale of the bound, but far in errors."""
    edges = np.linspace(0, 10, 41)
    exponential = SHAPES["exponential"]
    parts = (
        Component("few", exponential, fixed={"slope": 0.5}),
        Component("many", exponential, fixed={"slope": -2.0}),
    )
    model = Model(parts, (0.0, 10.0))
    fit = fit_histogram(model, model.expected(edges, np.array([14.0, 3e5])), edges)
    assert fit.values[0] == pytest.approx(14, rel=0.02) and fit.errors[0] < 6
    assert not fit.problems


def test_small_weights_are_weights():
    """Events of weight 1e-4: errors are those of the events, not of their sum of weights."""
    counts = np.histogram(sample(3), EDGES)[0]
    plain = fit_histogram(peak_on_exponential(), counts, EDGES)
    light = fit_histogram(peak_on_exponential(), 1e-4 * counts, EDGES, variances=1e-8 * counts)
    assert light.weighted and not plain.weighted
    assert light.values[1] == pytest.approx(plain.values[1], abs=0.2 * plain.errors[1])
    assert light.errors[1] == pytest.approx(plain.errors[1], rel=0.1)
    assert light.chi2 == pytest.approx(plain.chi2, rel=0.3)


def test_weights_too_small_for_a_fit_are_refused():
    with pytest.raises(ValueError, match="sum of weights of 1e-09; multiply all weights"):
        fit_histogram(
            peak_on_exponential(), np.full(60, 1e-9), EDGES, variances=np.full(60, 1e-19)
        )


def test_small_ranges_are_compared_on_their_own_scale():
    """Lifetimes of picoseconds in seconds: an edge that is 10 % off is no rounding."""
    model = Model((Component("decay", SHAPES["exponential"]),), (0.0, 1e-11))
    with pytest.raises(ValueError, match="but the model's range is 0 to 1e-11"):
        fit_histogram(model, np.ones(10), np.linspace(0, 1.1e-11, 11))


def test_a_fit_without_degrees_of_freedom_has_no_p_value():
    model = Model((Component("all", SHAPES["exponential"], fixed={"slope": -1.0}),), (0.0, 1.0))
    one = np.array([9.0])
    assert np.isnan(Fit(model, one, np.eye(1), one, np.array([0.0, 1.0]), one).p_value)


def test_parameters_that_cannot_be_told_apart_are_named():
    model = Model(
        (
            Component("one", SHAPES["gaussian"], fixed={"mass": 3.1, "sigma": 0.03}),
            Component("two", SHAPES["gaussian"], fixed={"mass": 3.1, "sigma": 0.0305}),
            Component("background", SHAPES["exponential"]),
        ),
        LIMITS,
    )
    fit = fit_histogram(model, np.histogram(sample(2), EDGES)[0], EDGES)
    told = " ".join(fit.problems)
    assert "one/yield and two/yield are not told apart" in told


def test_minos_of_few_events_is_not_symmetric():
    counts = np.zeros(60)
    counts[[3, 17, 28, 29, 29, 30, 40, 52]] += 1
    counts[29] += 2
    model = peak_on_exponential(fixed={"mass": 3.1, "sigma": 0.02})
    fit = fit_histogram(model, counts, EDGES, minos=["jpsi/yield"])
    lower, upper = fit.minos["jpsi/yield"]
    assert 0 < lower < upper


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        ([3.1, np.nan, np.inf], {}, "2 of 3 values or weights are NaN or infinite"),
        ([3092.0, 3101.0], {}, "no events in the range 2.8 to 3.4; they lie in 3092 to 3101"),
        ([], {}, "there are none at all"),
        ([3.1, 3.05, 3.0, 3.2], {}, "4 events in 4 filled bins cannot tell 5 parameters"),
        ([3.1, 3.2], {"weights": [1.0]}, "1 weights for 2 values"),
        ([3.1, 3.2], {"weights": [1.0, np.nan]}, "1 of 2 values or weights"),
    ],
)
def test_events_that_cannot_be_fitted(values, options, message):
    with pytest.raises(ValueError, match=message):
        fit_events(peak_on_exponential(), values, **options)


@pytest.mark.parametrize(
    ("counts", "edges", "options", "message"),
    [
        (np.zeros(60), EDGES, {}, "no events in the range"),
        (np.ones(60), EDGES + 1, {}, "bins from 3.8 to 4.4, but the model's range is 2.8 to 3.4"),
        (np.ones(59), EDGES, {}, r"expected \(B,\), \(B,\) and \(B \+ 1,\)"),
        (np.ones(60), EDGES[::-1], {}, "edges of bins must be finite and rise"),
        (np.full(60, np.nan), EDGES, {}, "must be finite"),
        (
            np.where(EDGES[1:] < 2.815, -1, 9),
            EDGES,
            {},
            "1 bins are below 0, the first is bin 0 with -1",
        ),
        (np.ones(60), EDGES, {"start": {"jpsi/mas": 1}}, "no free parameter 'jpsi/mas'"),
        (np.ones(60), EDGES, {"minos": ["mass"]}, "no free parameter 'mass'"),
    ],
)
def test_histograms_that_cannot_be_fitted(counts, edges, options, message):
    with pytest.raises(ValueError, match=message):
        fit_histogram(peak_on_exponential(), counts, edges, **options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: peak_on_exponential(start={"masss": 3.1}), "did you mean mass"),
        (lambda: Model((), LIMITS), "expected one or more"),
        (
            lambda: Model(
                (Component("a", SHAPES["gaussian"], fixed={"yield": 1, "mass": 3, "sigma": 1}),),
                LIMITS,
            ),
            "nothing to fit",
        ),
        (lambda: Model((Component("a", SHAPES["gaussian"]),), (3.4, 2.8)), "the lower first"),
        (
            lambda: Model((Component("a", SHAPES["power-law"]),), (-1.0, 2.0)),
            "needs a quantity above 0",
        ),
        (
            lambda: Model((Component("a", SHAPES["dijet3"], fixed={"energy": 13}),), (1e3, 5e3)),
            "give energy in the unit of the quantity",
        ),
        (lambda: peak_on_exponential(tied={"mass": ("z/mass", 1.0)}), "is no free parameter"),
    ],
)
def test_models_that_are_none(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("shape", ["breit-wigner-gaussian", "breit-wigner-crystal-ball"])
def test_a_line_too_narrow_for_the_convolution_is_told(shape):
    """The J/psi is 0.09 MeV wide: nodes of the convolution 0.2 sigma apart miss it."""
    model = Model(
        (
            Component("jpsi", SHAPES[shape], fixed={"gamma": 9.3e-5, "sigma": 0.03, "mass": 3.09}),
            Component("background", SHAPES["exponential"]),
        ),
        LIMITS,
    )
    fit = fit_histogram(model, np.histogram(sample(2), EDGES)[0], EDGES)
    assert "too narrow for" in " ".join(fit.problems)
