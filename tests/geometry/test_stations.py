"""The muon system's presets, and the steps of a particle's way in closed form."""

import numpy as np
import pytest

from fivesigma.geometry.passage import (
    bending_power,
    cross_gap,
    effective_loss,
    expected_loss,
    highland,
    ionisation,
    path_in,
    path_to,
    radiation,
    scatter,
    swim,
    turn,
)
from fivesigma.geometry.stations import ATLAS, CMS

BOTH = pytest.mark.parametrize("system", [ATLAS, CMS], ids=["atlas", "cms"])


def along(eta, phi=0.3, start=(0.0, 0.0, 0.0), momentum=50.0):
    sine = 1 / np.cosh(eta)
    direction = sine * np.cos(phi), sine * np.sin(phi), np.tanh(eta)
    return np.array([*start, *direction, momentum])


def test_published_resolutions():
    assert ATLAS.resolution(100, 0.5) == pytest.approx(0.04, abs=5e-4)
    assert ATLAS.resolution(1000, 1.5) == pytest.approx(0.10, abs=1e-3)
    assert CMS.resolution(100, 0.5) == pytest.approx(0.09, abs=1e-3)
    assert CMS.resolution(1000, 0.5) == pytest.approx(0.15, abs=1e-3)
    assert CMS.resolution(1000, 2.3) == pytest.approx(0.40, abs=5e-3)
    assert CMS.resolution(100, 2.5) == np.inf


@BOTH
def test_every_muon_of_the_acceptance_meets_stations(system):
    """Three stations of the barrel or the end caps; two between both in CMS."""
    tables = system.tables
    for eta in np.linspace(0, system.eta_max, 60):
        ahead = [0, 0]
        for endcap in range(2):
            for k in range(system.stations):
                state = along(eta)
                path = path_to(state, endcap, tables.positions[endcap, k])
                point = state[:3] + path * state[3:6]
                place = np.hypot(*point[:2]) if endcap else point[2]
                low, high = tables.low[endcap, k], tables.high[endcap, k]
                ahead[endcap] += path > 0 and low <= place <= high
        assert max(ahead) >= (2 if system is CMS and 0.9 < eta < 1.11 else 3), eta


@BOTH
def test_shares_of_the_bending_power_add_up(system):
    assert system.tables.shares.sum(axis=1) == pytest.approx([1, 1])


def test_loss_in_the_calorimeters():
    """Rises slowly with the energy, then with radiation."""
    loss = expected_loss(ATLAS, np.array([10.0, 100.0, 1000.0]))
    assert loss[0] == pytest.approx(3.0, abs=0.1)
    assert (np.diff(loss) > 0).all()
    # radiation overtakes ionisation at the critical energy of iron, 347 GeV (PDG)
    assert radiation(1.0) * 347 == pytest.approx(ionisation(347.0, 1.0), rel=0.03)


def test_a_fit_corrects_for_less_than_the_mean_loss():
    """The tail counts little: at 100 GeV 7 % less than ionisation alone, no rise beyond."""
    iron = ATLAS.absorber.iron
    assert effective_loss(10.0, iron) == pytest.approx(ionisation(10.0, iron), rel=0.01)
    assert effective_loss(100.0, iron) == pytest.approx(0.93 * ionisation(100.0, iron), rel=0.01)
    assert effective_loss(1000.0, iron) == effective_loss(100.0, iron)


def test_highland():
    """The check value of the tracker's notes: 1.43 mrad for 1.57 % of X0 at 1 GeV."""
    assert highland(1.0, 0.0157) == pytest.approx(1.43e-3, rel=0.01)
    assert highland(1.0, 0.0) == 0


def test_scattering_correlates_angle_and_displacement():
    """PDG: <y theta> / sqrt(<y^2> <theta^2>) = sqrt(3)/2, y rms = L theta0 / sqrt(3)."""
    rng, length, theta0 = np.random.default_rng(1), 1000.0, 1e-3
    moved = []
    for _ in range(4000):
        state = along(0.0, phi=0.0)
        scatter(state, theta0, length, rng.standard_normal(4))
        moved.append([state[1], state[4], state[2], state[5]])
    y, angle, z, tilt = np.array(moved).T
    assert np.std(angle) == pytest.approx(theta0, rel=0.04)
    assert np.std(tilt) == pytest.approx(theta0, rel=0.04)
    assert np.std(y) == pytest.approx(length * theta0 / np.sqrt(3), rel=0.04)
    assert np.corrcoef(y, angle)[0, 1] == pytest.approx(np.sqrt(0.75), abs=0.02)
    assert abs(np.corrcoef(y, z)[0, 1]) < 0.06


@pytest.mark.parametrize("toroid", [True, False])
def test_the_field_bends_by_its_bending_power(toroid):
    """Delta theta = 0.3 q BL / p in the toroid, Delta phi = 0.3 q BL / pT in the yoke."""
    state, momentum = along(0.5, start=(0, 0, 0), momentum=20.0), 20.0
    state[:3] = 6000 * state[3:6]
    before = state.copy()
    length = cross_gap(state, momentum, 1.0, 2000.0, toroid, 0, 8000.0)
    bent = 0.299792458 * 2.0 / (momentum if toroid else momentum / np.cosh(0.5))
    polar = np.arccos(state[5]) - np.arccos(before[5])
    azimuth = np.arctan2(state[4], state[3]) - np.arctan2(before[4], before[3])
    assert (-polar if toroid else -azimuth) == pytest.approx(bent, rel=1e-6)
    assert (azimuth if toroid else polar) == pytest.approx(0, abs=1e-12)
    assert np.hypot(state[0], state[1]) == pytest.approx(8000)
    assert np.linalg.norm(state[3:6]) == pytest.approx(1)
    assert length > 8000 * np.cosh(0.5) - np.linalg.norm(before[:3])


def test_paths():
    state = along(0.0, phi=0.0)
    assert path_to(state, 0, 5000.0) == pytest.approx(5000)
    assert path_to(state, 1, 5000.0) == -1
    state[:3] = 5000, 300, 0
    assert path_in(state, 1000.0, 3000.0) == pytest.approx(5000 - np.sqrt(1000**2 - 300**2))
    state[:3] = 500, 0, 0
    assert path_in(state, 1000.0, 3000.0) == 0
    turn(state, np.pi / 2, False)
    assert state[3:6] == pytest.approx([0, 1, 0])


@BOTH
def test_stiff_muons_go_straight(system):
    for endcap, eta in enumerate((0.4, 1.6)):
        theta, out = 2 * np.arctan(np.exp(-eta)), np.empty((system.stations, 6))
        noise = np.zeros(4 * system.stations + 1)
        swim(np.array([theta, 1.0, 1e-9, 0.0]), endcap, system.tables, noise, out)
        r = np.hypot(out[:, 0], out[:, 1])
        where = np.abs(out[:, 2]) if endcap else r
        assert where == pytest.approx(system.tables.positions[endcap])
        assert np.arcsinh(out[:, 2] / r) == pytest.approx(eta)
        assert np.arctan2(out[:, 1], out[:, 0]) == pytest.approx(1.0)


def test_the_bending_power_follows_the_table():
    assert bending_power(np.array([5000.0, 0, 0, 1, 0, 0, 9]), ATLAS.tables.power) == 3350
    assert bending_power(np.array([1000.0, 0, 7400, 0, 0, 1, 9]), ATLAS.tables.power) == 5600
