"""Every shape integrates to one, bin by bin, and has the closed forms of its definition."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import erf
from scipy.stats import norm

from fivesigma.statistics.spectra import FAMILIES, SHAPES, Component, Model, shape_named
from fivesigma.statistics.spectra.model import jacobian

LIMITS = (60.0, 120.0)
EDGES = np.linspace(*LIMITS, 25)


def drawn(shape, seed):
    """Parameters within the bounds, near enough to the start for a density that is not 0."""
    rng, values = np.random.default_rng(seed), []
    for parameter in shape.parameters:
        start, lower, upper = parameter.scaled(LIMITS)
        if parameter.fixed:
            values.append(start)
        elif parameter.kind == "position":
            values.append(rng.uniform(75, 105))
        else:
            reach = 0.4 * abs(start) + (0.1 if start == 0 else 0)
            values.append(np.clip(start + rng.uniform(-reach, reach), lower, upper))
    return values


@pytest.fixture(params=SHAPES.values(), ids=SHAPES)
def shape(request):
    return request.param


@pytest.mark.parametrize("seed", [1, 2])
def test_bins_hold_the_numeric_integral_of_the_density(shape, seed):
    values = drawn(shape, seed)

    def density(x):
        return shape.pdf(np.array([x]), values, LIMITS)[0]

    found = shape.fractions(EDGES, values, LIMITS)
    expected = [
        quad(density, low, high, epsabs=1e-12, epsrel=1e-10, limit=200)[0]
        for low, high in zip(EDGES[:-1], EDGES[1:], strict=True)
    ]
    assert found.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("order", [1, 3, 6])
def test_bernstein_polynomials_are_nowhere_below_0_within_their_bounds(order):
    shape, x = SHAPES[f"bernstein{order}"], np.linspace(*LIMITS, 201)
    points = np.random.default_rng(order).uniform(0, 1, (200, order)).T[..., None]
    assert (shape.pdf(x, list(points), LIMITS) >= 0).all()
    start = [parameter.start for parameter in shape.parameters]
    np.testing.assert_allclose(shape.pdf(x, start, LIMITS), 1 / 60)  # equal shares are flat


def test_density_is_nowhere_below_0(shape):
    assert (shape.pdf(np.linspace(*LIMITS, 501), drawn(shape, 3), LIMITS) >= 0).all()


def test_many_parameter_points_at_once_are_those_one_by_one(shape):
    points = np.array([drawn(shape, seed) for seed in range(5)])
    together = [column[:, None] for column in points.T]
    for function, x in ((shape.fractions, EDGES), (shape.pdf, EDGES)):
        one_by_one = [function(x, values, LIMITS) for values in points]
        np.testing.assert_allclose(function(x, together, LIMITS), one_by_one, rtol=1e-12)


def test_parameters_have_names_meanings_and_room(shape):
    names = [parameter.name for parameter in shape.parameters]
    assert len(set(names)) == len(names)
    assert SHAPES[shape.name] is shape and shape.meaning
    for parameter in shape.parameters:
        start, lower, upper = parameter.scaled(LIMITS)
        assert parameter.meaning and lower <= start <= upper and lower < upper
        assert parameter.unit("GeV") == {"number": "", "slope": "1/GeV"}.get(parameter.kind, "GeV")


def test_peaks_have_a_mass_and_backgrounds_none(shape):
    assert shape.peak == any(parameter.name == "mass" for parameter in shape.parameters)


def test_families_rise_by_one_parameter():
    for names in FAMILIES.values():
        counts = [sum(not p.fixed for p in SHAPES[name].parameters) for name in names]
        assert counts == list(range(counts[0], counts[0] + len(names)))


def test_gaussian_is_that_of_the_normal_distribution():
    found = SHAPES["gaussian"].fractions(EDGES, [91.0, 2.0], LIMITS)
    np.testing.assert_allclose(found, np.diff(norm.cdf(EDGES, 91.0, 2.0)), atol=1e-12)


def test_crystal_ball_has_the_published_normalisation():
    """N = sigma (C + D), J. Gaiser: with the mass far above the low end of the range."""
    sigma, alpha, n = 1.5, 1.2, 8.0
    limits = (-20000.0, 20000.0)
    c = n / alpha / (n - 1) * np.exp(-(alpha**2) / 2)
    d = np.sqrt(np.pi / 2) * (1 + erf(alpha / np.sqrt(2)))
    shape = SHAPES["crystal-ball"]
    whole = shape.integrals(np.array(limits), [90.0, sigma, alpha, n], limits)
    assert whole[0] == pytest.approx(sigma * (c + d), rel=1e-9)


@pytest.mark.parametrize("name", ["crystal-ball", "double-crystal-ball"])
def test_crystal_balls_join_smoothly(name):
    shape, values = SHAPES[name], [90.0, 2.0, 1.3, 4.0, 1.7, 2.5]
    values = values[: len(shape.parameters)]
    for joint in (90 - 1.3 * 2, 90 + 1.7 * 2):
        x = joint + 1e-6 * np.array([-2, -1, 1, 2])
        y = shape.density(x, values, LIMITS)
        assert y[2] == pytest.approx(y[1], rel=1e-5)
        assert y[1] - y[0] == pytest.approx(y[3] - y[2], rel=1e-3)


def test_tails_far_away_leave_a_gaussian():
    gaussian = SHAPES["gaussian"].fractions(EDGES, [90.0, 2.0], LIMITS)
    ball = SHAPES["double-crystal-ball"].fractions(EDGES, [90.0, 2.0, 8.0, 3.0, 8.0, 3.0], LIMITS)
    np.testing.assert_allclose(ball, gaussian, atol=1e-9)


def test_breit_wigner_falls_to_half_at_half_the_width():
    """|1 / (m^2 - M^2 + i M Gamma)|^2: half of the top at m^2 = M^2 +- M Gamma."""
    mass, gamma = 91.1876, 2.4955
    x = np.sqrt([mass**2, mass**2 - mass * gamma, mass**2 + mass * gamma])
    top, low, high = SHAPES["breit-wigner"].density(x, [mass, gamma], LIMITS)
    assert low == pytest.approx(top / 2) and high == pytest.approx(top / 2)


@pytest.mark.parametrize(("sigma", "near"), [(0.8, 2e-4), (1.5, 2e-4), (2.4, 2e-4), (4.9, 1e-3)])
def test_convolution_is_the_convolution_integral(sigma, near):
    mass, gamma = 91.1876, 2.4955
    line = SHAPES["breit-wigner"]

    def smeared(x):
        def integrand(t):
            height = line.density(np.array([x - t]), [mass, gamma], LIMITS)[0]
            return height * norm.pdf(t, scale=sigma)

        return quad(integrand, -8 * sigma, 8 * sigma, epsabs=1e-12, limit=300)[0]

    x = np.array([75.0, 88.0, 91.0, 92.5, 100.0])
    found = SHAPES["breit-wigner-gaussian"].density(x, [mass, gamma, sigma], LIMITS)
    assert gamma / sigma > SHAPES["breit-wigner-gaussian"].narrowest
    np.testing.assert_allclose(found, [smeared(each) for each in x], rtol=near)


def test_radiation_moves_the_peak_down():
    values = [91.19, 2.5, 1.5]
    x = np.linspace(80, 100, 2001)
    plain = SHAPES["breit-wigner-gaussian"].density(x, values, LIMITS)
    radiating = SHAPES["breit-wigner-crystal-ball"].density(x, [*values, 1.0, 2.0], LIMITS)
    assert x[radiating.argmax()] < x[plain.argmax()] - 0.03
    ratio = radiating / plain
    assert ratio[0] > 2 * ratio[x.searchsorted(91)]


def test_voigtian_is_the_narrow_limit_of_the_relativistic_form():
    x, values = np.linspace(3.0, 3.2, 41), [3.1, 0.02, 0.01]
    voigt = SHAPES["voigtian"].pdf(x, values, (2.9, 3.3))
    relativistic = SHAPES["breit-wigner-gaussian"].pdf(x, values, (2.9, 3.3))
    # the relativistic form leans up by (m - M) / M
    np.testing.assert_allclose(voigt, relativistic, rtol=0.07)


def test_polynomials_of_both_bases_are_the_same_functions():
    x = np.linspace(*LIMITS, 7)
    bernstein = SHAPES["bernstein3"].pdf(x, [0.3, 0.2, 0.1], LIMITS)
    u = 2 * (x - 60) / 60 - 1
    coefficients = np.polynomial.chebyshev.chebfit(u, bernstein, 3)
    found = SHAPES["chebyshev3"].pdf(x, coefficients[1:] / coefficients[0], LIMITS)
    np.testing.assert_allclose(found, bernstein, rtol=1e-9)


def test_dijet_function_is_as_published():
    p1, p2, p3, energy = 9.0, 5.0, 0.2, 13000.0
    x = np.array([1500.0, 4000.0]) / energy
    expected = (1 - x) ** p1 / x ** (p2 + p3 * np.log(x))
    found = SHAPES["dijet4"].density(x * energy, [p1, p2, p3, energy], (1000.0, 6000.0))
    assert found[1] / found[0] == pytest.approx(expected[1] / expected[0])


def test_power_law_with_index_minus_one_is_a_logarithm():
    edges = np.array([60.0, 80.0, 120.0])
    found = SHAPES["power-law"].fractions(edges, [-1.0], LIMITS)
    assert found[0] == pytest.approx(np.log(80 / 60) / np.log(2))


def test_derivatives_are_those_in_closed_form():
    """Of a Gaussian in a range far wider than it: dnu / dmass = N (phi(low) - phi(high))."""
    limits, edges = (0.0, 200.0), np.linspace(80, 100, 21)
    model = Model((Component("peak", SHAPES["gaussian"]),), limits)
    theta = np.array([1000.0, 91.0, 2.0])
    found = jacobian(lambda t: model.expected(edges, t), theta, model.sizes(theta))
    z = (edges - 91) / 2
    np.testing.assert_allclose(found[:, 0], np.diff(norm.cdf(z)), atol=1e-9)
    np.testing.assert_allclose(found[:, 1], -500 * np.diff(norm.pdf(z)), atol=1e-5)
    np.testing.assert_allclose(found[:, 2], -500 * np.diff(z * norm.pdf(z)), atol=1e-5)


def test_unknown_shape_is_answered_with_the_closest():
    with pytest.raises(ValueError, match="did you mean crystal-ball or double-crystal-ball"):
        shape_named("crystalball")
