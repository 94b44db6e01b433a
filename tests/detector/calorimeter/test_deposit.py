"""Showers: the ledger, profiles, what comes out, and energies that depend on the kind."""

import numpy as np
import pytest

from fivesigma.detector.calorimeter.deposit import deposit, merge
from fivesigma.detector.calorimeter.gflash import longitudinal, medium
from fivesigma.detector.calorimeter.guns import gun
from fivesigma.detector.calorimeter.hadrons import electromagnetic_share
from fivesigma.detector.flow import available_energy
from fivesigma.geometry.calorimeters import ATLAS, CMS, WSI

KINDS = (11, -11, 22, 13, -13, 211, -211, 130, 310, 321, 2112, -2112, 2212, -2212, 3122, 12)


def depth_sums(contributions, n):
    return np.bincount(contributions.depth, contributions.energy, 6) / n


@pytest.mark.parametrize("cells", [ATLAS, CMS], ids=lambda cells: cells.name)
def test_deposited_leaked_lost_and_onward_add_up(cells):
    rng = np.random.default_rng(1)
    number = np.tile(KINDS, 40)
    energy = np.exp(rng.uniform(np.log(1.3), np.log(500), len(number)))
    particles = gun(number, energy, rng.uniform(-5.2, 5.2, len(number)), cells, rng)
    result = deposit(particles, cells, rng)
    available = available_energy(particles)
    np.testing.assert_allclose(sum(result.ledger), available, rtol=1e-9)
    assert all((part >= 0).all() for part in result.ledger)
    cell_sums = np.bincount(result.contributions.event, result.contributions.energy, len(number))
    np.testing.assert_allclose(cell_sums, result.ledger.deposited, rtol=1e-9)
    onward = np.bincount(result.behind.event, available_energy(result.behind), len(number))
    np.testing.assert_allclose(onward, result.ledger.onward, rtol=1e-9, atol=1e-9)
    neutrino = number == 12
    np.testing.assert_allclose(result.ledger.lost[neutrino], energy[neutrino])


def test_particles_at_rest_and_of_little_energy_close_too():
    rng = np.random.default_rng(2)
    number = np.tile(KINDS, 20)
    particles = gun(number, 1.0, rng.uniform(-2, 2, len(number)), ATLAS, rng)
    slow = particles._replace(
        **{name: getattr(particles, name) * 0.03 for name in ("px", "py", "pz")}
    )
    still = particles._replace(
        **{name: getattr(particles, name) * 0.0 for name in ("px", "py", "pz")}
    )
    for these in (slow, still):
        ledger = deposit(these, ATLAS, rng).ledger
        np.testing.assert_allclose(sum(ledger), available_energy(these), rtol=1e-9, atol=1e-12)


def test_the_same_seed_gives_the_same_deposits():
    def run():
        rng = np.random.default_rng(3)
        particles = gun(np.tile(KINDS, 3), 20.0, np.linspace(-2, 2, 48), ATLAS, rng)
        return deposit(particles, ATLAS, rng)

    for one, two in zip(run().contributions, run().contributions, strict=True):
        np.testing.assert_array_equal(one, two)


def test_electrons_shower_where_theory_says():
    # PDG: t_max = ln(E / Ec) - 0.5; the mean of a gamma distribution lies 1 / beta ~ 2 X0 deeper
    rng = np.random.default_rng(4)
    matter = medium(CMS)
    for energy in (10.0, 100.0):
        particles = gun(11, energy, np.zeros(200), CMS, rng)
        result = deposit(particles, CMS, rng)
        top = np.exp(longitudinal(matter, energy)[0])
        assert top == pytest.approx(np.log(energy / 0.00964) - 0.65, abs=0.35)
        within = np.cumsum(depth_sums(result.contributions, 200)) / energy
        assert 0.02 < within[0] < 0.35  # 4 X0
        assert within[1] > 0.9  # 20 X0
        assert result.ledger.deposited.mean() == pytest.approx(energy, rel=0.01)


def test_photons_start_9_sevenths_of_a_radiation_length_deeper():
    rng = np.random.default_rng(5)
    grid = WSI.grid
    middle = 0.5 * (grid.x0[1:] + grid.x0[:-1])

    def mean_depth(number):
        particles = gun(number, 5.0, np.zeros(400), WSI, rng)
        c = deposit(particles, WSI, rng).contributions
        return (middle[c.depth] * c.energy).sum() / c.energy.sum()

    # the part of the shower behind 36 X0 is negligible at 5 GeV
    assert mean_depth(22) - mean_depth(11) == pytest.approx(9 / 7, abs=0.25)


def test_hadrons_interact_after_an_interaction_length():
    # neutral hadrons leave nothing in the ECAL unless they interact before its end or shortly so
    rng = np.random.default_rng(6)
    n = 1500
    result = deposit(gun(130, 20.0, np.zeros(n), ATLAS, rng), ATLAS, rng)
    in_ecal = result.contributions.depth < 3
    touched = np.unique(result.contributions.event[in_ecal]).size / n
    expected = 1 - np.exp(-ATLAS.grid.lengths[3])
    assert touched == pytest.approx(expected, abs=4 * np.sqrt(expected * (1 - expected) / n))


def test_muons_go_on_with_what_is_left():
    rng = np.random.default_rng(7)
    n = 400
    result = deposit(gun(13, 100.0, np.zeros(n), ATLAS, rng), ATLAS, rng)
    assert len(result.behind.event) == n
    loss = 100.0 - result.behind.energy
    # about 2 m of calorimeter; the most probable loss of ATLAS muons is near 3 GeV
    assert 2.2 < np.median(loss) < 3.6
    assert loss.mean() > np.median(loss)  # the tail
    radius = np.hypot(result.behind.x, result.behind.y)
    np.testing.assert_allclose(radius, ATLAS.radius + ATLAS.grid.mm[-1], rtol=1e-6)


def test_muons_lose_energy_with_landaus_width():
    # widths of Landau add linearly over a passage: xi is 5 % of what is lost at the minimum, and
    # 68 % of a Moyal distribution lie within 1.94 xi to either side; statistical error 3 %
    rng = np.random.default_rng(12)
    result = deposit(gun(13, 10.0, np.zeros(2000), ATLAS, rng), ATLAS, rng)
    low, high = np.quantile(10.0 - result.behind.energy, [0.1587, 0.8413])
    grid = ATLAS.grid
    stopping = [ATLAS.section(depth).material.stopping for depth in range(len(ATLAS.depths))]
    minimum = (stopping * np.diff(grid.mm)).sum()
    assert (high - low) / 2 == pytest.approx(1.94 * 0.05 * minimum, rel=0.10)


def test_slow_muons_stop_and_their_mass_is_lost():
    rng = np.random.default_rng(8)
    result = deposit(gun(13, 1.0, np.zeros(100), ATLAS, rng), ATLAS, rng)
    assert len(result.behind.event) == 0
    np.testing.assert_allclose(result.ledger.lost, 0.105658, rtol=0.02)


def test_few_pions_punch_through():
    rng = np.random.default_rng(9)
    n = 600
    result = deposit(gun(211, 100.0, np.zeros(n), ATLAS, rng), ATLAS, rng)
    share = len(result.behind.event) / n
    assert 0.005 < share < 0.15
    assert set(np.abs(result.behind.pdg_id)) <= {211}


def test_hadronic_energy_is_seen_less_by_h_over_e():
    # <visible> / E = f + (1 - f) h / e; what ionises before the interaction is seen whole
    rng = np.random.default_rng(10)
    energy, n = 50.0, 1200
    result = deposit(gun(130, energy, np.zeros(n), ATLAS, rng), ATLAS, rng)
    c = result.contributions
    in_hcal = c.depth >= 3
    only = np.setdiff1d(np.arange(n), c.event[~in_hcal])  # all of it in the HCAL
    rows = np.isin(c.event, only)
    seen = c.visible[rows].sum() / c.energy[rows].sum()
    share = electromagnetic_share(energy, False)
    assert seen == pytest.approx(share + (1 - share) / ATLAS.hcal.e_over_h, abs=0.02)


def test_merged_contributions_hold_all_energy():
    rng = np.random.default_rng(11)
    parts = [
        deposit(gun(22, 5.0, np.zeros(4), ATLAS, rng), ATLAS, rng).contributions for _ in range(3)
    ]
    assert merge(parts).energy.sum() == pytest.approx(60.0, rel=1e-3)


def test_what_flies_down_the_beam_pipe_leaves_nothing():
    rng = np.random.default_rng(12)
    number = np.array([11, 22, 211, 2112, 12, 22])
    particles = gun(number, 500.0, np.array([5.5, -6.0, 7.0, 8.0, 6.0, 4.5]), ATLAS, rng)
    result = deposit(particles, ATLAS, rng)
    assert set(result.contributions.event) == {5}
    np.testing.assert_allclose(result.ledger.outside[:4], available_energy(particles)[:4])
    assert result.ledger.lost[4] == pytest.approx(500.0)
