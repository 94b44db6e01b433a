"""Material effects against their closed forms."""

import numpy as np
import pytest
from numba import njit

from fivesigma.detector.tracker.effects import (
    ELECTRON_MASS,
    highland,
    ionise,
    pair_share,
    radiate,
    scatter,
    turn,
)
from fivesigma.units import mass

N = 200_000


@njit
def _many_losses(n, momentum, mass, areal, rng):
    out = np.empty(n)
    for i in range(n):
        out[i] = ionise(momentum, mass, False, areal, rng)
    return out


@njit
def _many(function, n, argument, rng):
    out = np.empty(n)
    for i in range(n):
        out[i] = function(argument, rng)
    return out


@njit
def _many_shares(n, rng):
    out = np.empty(n)
    for i in range(n):
        out[i] = pair_share(rng)
    return out


@njit
def _many_angles(n, width, rng):
    out = np.empty((n, 3))
    for i in range(n):
        out[i] = scatter(1.0, 2.0, -3.0, width, rng)
    return out


def bethe(momentum, mass_):
    """Mean loss in silicon [GeV cm^2/g] (PDG, eq. 34.5), written out once more."""
    beta_gamma = momentum / mass_
    beta2 = beta_gamma**2 / (1 + beta_gamma**2)
    ratio = ELECTRON_MASS / mass_
    largest = 2 * ELECTRON_MASS * beta_gamma**2
    largest /= 1 + 2 * ratio * np.sqrt(1 + beta_gamma**2) + ratio**2
    x = np.log10(beta_gamma)
    delta = 0.0
    if x > 0.2015:
        delta = 2 * np.log(10) * x - 4.4355 + 0.14921 * max(2.8716 - x, 0) ** 3.2546
    logarithm = np.log(2 * ELECTRON_MASS * beta_gamma**2 * largest / 173e-9**2)
    return 0.307075e-3 * 0.49848 / beta2 * (0.5 * logarithm - beta2 - delta / 2)


@pytest.mark.parametrize("momentum", [0.3, 1.0, 10.0])
@pytest.mark.parametrize("particle", [211, 2212])
@pytest.mark.parametrize("areal", [0.035, 0.35])
def test_mean_energy_loss_is_that_of_bethe(momentum, particle, areal):
    """1 % beyond four standard errors; the variance of the loss is xi times the largest loss."""
    loss = _many_losses(N, momentum, mass(particle), areal, np.random.default_rng(1))
    expected = areal * bethe(momentum, mass(particle))
    beta_gamma = momentum / mass(particle)
    xi = 0.5 * 0.307075e-3 * 0.49848 * areal * (1 + 1 / beta_gamma**2)
    error = (xi * 2 * ELECTRON_MASS * beta_gamma**2 / N) ** 0.5
    assert loss.mean() == pytest.approx(expected, abs=4 * error + 0.01 * expected)


def test_most_probable_loss_is_that_of_landau():
    """Pion of 1 GeV, 0.3 mm silicon: xi (ln(2 m b2 g2 / I) + ln(xi / I) + 0.2 - b2 - delta)."""
    areal = 0.2329 * 0.3
    loss = _many_losses(N, 1.0, mass(211), areal, np.random.default_rng(2))
    beta_gamma = 1.0 / mass(211)
    beta2 = beta_gamma**2 / (1 + beta_gamma**2)
    xi = 0.5 * 0.307075e-3 * 0.49848 * areal / beta2
    x = np.log10(beta_gamma)
    delta = 2 * np.log(10) * x - 4.4355 + 0.14921 * (2.8716 - x) ** 3.2546
    inner = np.log(2 * ELECTRON_MASS * beta_gamma**2 / 173e-9) + np.log(xi / 173e-9)
    expected = xi * (inner + 0.2 - beta2 - delta)
    counts, edges = np.histogram(loss, bins=60, range=(0.5 * expected, 2 * expected))
    assert edges[counts.argmax()] == pytest.approx(expected, rel=0.08)


def test_scattering_angles():
    """1.43 mrad for a layer of 1.57 % of a radiation length at 1 GeV."""
    width = highland(1.0, 1.0, 0.0157)
    assert width == pytest.approx(1.43e-3, rel=0.01)
    out = _many_angles(N, width, np.random.default_rng(3))
    before = np.array([1.0, 2.0, -3.0])
    assert np.allclose(np.linalg.norm(out, axis=1), np.linalg.norm(before))
    across = np.array([2.0, -1.0, 0.0]) / np.sqrt(5)
    projected = out @ across / np.linalg.norm(before)
    assert projected.mean() == pytest.approx(0, abs=5 * width / N**0.5)
    assert projected.std() == pytest.approx(width, rel=0.01)


def test_turn_by_a_right_angle():
    assert np.allclose(np.dot(turn(0.0, 0.0, 2.0, np.pi / 2, 0.3), (0, 0, 1)), 0, atol=1e-12)
    assert np.allclose(turn(1.0, 2.0, 3.0, 0.0, 0.3), (1, 2, 3))


@pytest.mark.parametrize("thickness", [0.02, 0.5])
def test_electrons_keep_exp_of_minus_t(thickness):
    kept = _many(radiate, N, thickness, np.random.default_rng(4))
    assert kept.mean() == pytest.approx(np.exp(-thickness), abs=5 * kept.std() / N**0.5)


def test_pairs_share_their_energy_evenly_about_one_half():
    """Bethe and Heitler: <x> = 1/2, <x^2> = (1/3 - 4/3 (1/4 - 1/5)) / (7/9) = 12/35."""
    share = _many_shares(N, np.random.default_rng(5))
    assert share.mean() == pytest.approx(0.5, abs=0.005)
    assert (share**2).mean() == pytest.approx(12 / 35, abs=0.005)
