"""The tracker as a whole: hits, energy, conversions, interactions, digitisation."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.tracker_gun import gun

from fivesigma.detector.flow import available_energy
from fivesigma.detector.tracker import noise_hits, track_through
from fivesigma.geometry.layers import Barrel, Layout, Sensor, Thickness
from fivesigma.geometry.trackers import ATLAS, CMS, LAYOUTS, TRACKML


def shell(material, sensor=None):
    """One layer around the origin."""
    return Layout("shell", 200.0, 1000.0, 2.0, (Barrel("shell", 100.0, 900.0, material, sensor),))


@pytest.fixture(scope="module")
def pions():
    particles = gun(10_000, 211, (0.5, 10.0))
    return particles, track_through(particles, TRACKML, np.random.default_rng(2), noise=0)


def test_hits_of_pions(pions):
    """12.1 +- 0.4 a pion (ACTS: 12.12 without, we about 3 % less with nuclear interactions)."""
    particles, signals = pions
    own = np.count_nonzero(~signals.hits["secondary"])
    assert own / particles.event.size == pytest.approx(12.1, abs=0.4)
    quiet = tuple(
        replace(layer, material=replace(layer.material, interaction=0.0))
        for layer in TRACKML.layers
    )
    without = track_through(
        particles, replace(TRACKML, layers=quiet), np.random.default_rng(3), noise=0
    )
    own = np.count_nonzero(~without.hits["secondary"])
    assert own / particles.event.size == pytest.approx(12.1, abs=0.4)


def test_residuals(pions):
    """RMS of TrackML's own events: 7.7 x 12 um, 15 um x 0.26 mm, 20 um x 3.06 mm; discs 11 um."""
    hits = pions[1].hits
    expected = {
        "pixel barrel 1": (0.0077, 0.012),
        "pixel disc +1": (0.011, 0.012),
        "short strip barrel 2": (0.015, 0.26),
        "long strip barrel 1": (0.020, 3.06),
    }
    for name, sigma in expected.items():
        layer = TRACKML.layers[TRACKML.number(name)]
        here = hits["layer"] == TRACKML.number(name)
        dx, dy, dz = (hits[k][here] - hits[f"t{k}"][here] for k in "xyz")
        phi = np.arctan2(hits["ty"][here], hits["tx"][here])
        radial = dx * np.cos(phi) + dy * np.sin(phi)
        v = dz if isinstance(layer, Barrel) else radial
        u = dy * np.cos(phi) - dx * np.sin(phi)
        error = 4 / (2 * here.sum()) ** 0.5
        assert np.std(u) == pytest.approx(sigma[0], rel=error)
        assert np.std(v) == pytest.approx(sigma[1], rel=error)
        other = radial if isinstance(layer, Barrel) else dz
        assert np.abs(other).max() < 1e-9


@pytest.mark.parametrize("pdg_id", [11, 13, 22, 211, 321, 2212, -2212, 2112, 130, 12])
@pytest.mark.parametrize("layout", [ATLAS, TRACKML], ids=lambda layout: layout.name)
def test_energy_is_conserved(pdg_id, layout):
    particles = gun(300, pdg_id, (0.2, 50.0), eta=3.0, seed=5)
    ledger = track_through(particles, layout, np.random.default_rng(6), noise=0).ledger
    total = ledger.deposited + ledger.lost + ledger.passed
    assert np.allclose(total, available_energy(particles), rtol=1e-6)


def test_photons_convert_with_seven_ninths_of_a_radiation_length():
    """1 - exp(-7/9 t) at normal incidence; the pair carries the photon's energy."""
    thickness = Thickness(0.3, 0.0, 1e-9)
    particles = gun(20_000, 22, (1.0, 5.0), eta=0.0)
    signals = track_through(particles, shell(thickness), np.random.default_rng(7))
    out = signals.particles
    converted = np.bincount(out.event[out.pdg_id != 22], minlength=20_000) > 0
    expected = -np.expm1(-7 / 9 * 0.3)
    assert converted.mean() == pytest.approx(expected, abs=4 * (expected / 20_000) ** 0.5)
    # slow electrons spiral until they stop
    assert np.allclose(signals.ledger.passed + signals.ledger.deposited, particles.energy)
    assert signals.ledger.deposited.sum() < 0.05 * particles.energy.sum()


@pytest.mark.parametrize(("pdg_id", "length"), [(2112, 1.0), (130, 0.787)])
def test_hadrons_interact_by_interaction_length(pdg_id, length):
    """1 - exp(-l); mesons 0.787 of that: 137.7 against 108.4 g/cm^2 in silicon."""
    particles = gun(20_000, pdg_id, (5.0, 5.0), eta=0.0)
    layout = shell(Thickness(0.0, 0.2, 0.0))
    out = track_through(particles, layout, np.random.default_rng(8)).particles
    untouched = np.bincount(out.event[np.isclose(out.energy, particles.energy[0])],
                            minlength=20_000) > 0  # fmt: skip
    expected = -np.expm1(-0.2 * length)
    assert 1 - untouched.mean() == pytest.approx(expected, abs=4 * (expected / 20_000) ** 0.5)


def test_fractions_in_the_whole_tracker_follow_its_material():
    """Photons straight out: the budget of all layers at eta = 0.3."""
    eta = 0.3
    budget = sum(
        layer.material.radiation for layer in ATLAS.layers if isinstance(layer, Barrel)
    ) * np.cosh(eta)
    particles = gun(10_000, 22, (2.0, 2.0), eta=(eta,))
    out = track_through(particles, ATLAS, np.random.default_rng(9), noise=0).particles
    survived = np.isclose(out.energy, particles.energy[0]) & (out.pdg_id == 22)
    expected = np.exp(-7 / 9 * budget)
    assert survived.sum() / 10_000 == pytest.approx(expected, abs=4 * (expected / 10_000) ** 0.5)


def test_pions_decay_in_flight():
    """1 - exp(-L m / (c tau p)) over 200 mm at 0.2 GeV, nothing in the way."""
    particles = gun(50_000, 211, 0.2, eta=0.0)
    layout = replace(shell(Thickness(0.0, 0.0, 0.0)), field=0.01)
    out = track_through(particles, layout, np.random.default_rng(10))
    muons = np.abs(out.particles.pdg_id) == 13
    expected = -np.expm1(-200.0 * 0.13957 / (7804.5 * 0.2))
    assert muons.sum() / 50_000 == pytest.approx(expected, abs=4 * (expected / 50_000) ** 0.5)
    decayed = out.ledger.lost > 0
    assert decayed.sum() == muons.sum()


def test_inefficiency_and_overlaps():
    sensor = Sensor(0.01, 0.01, efficiency=0.9)
    material = Thickness(0.0, 0.0, 0.0)
    particles = gun(20_000, 13, 10.0, eta=1.0)
    one = track_through(particles, shell(material, sensor), np.random.default_rng(11))
    assert one.hits["x"].size / 20_000 == pytest.approx(0.9, abs=0.01)
    circumference = 2 * np.pi * 100.0
    wide = Barrel(
        "shell", 100.0, 900.0, material,
        replace(sensor, efficiency=1.0, half_u=1.2 * circumference / 40, half_v=950.0), 20, 1,
    )  # fmt: skip
    two = track_through(
        particles, replace(shell(material), layers=(wide,)), np.random.default_rng(12)
    )
    assert two.hits["x"].size / 20_000 == pytest.approx(1.2, abs=0.015)
    assert two.hits["module"].max() == 19


def test_same_seed_same_signals(pions):
    particles = pions[0]
    again = track_through(particles, TRACKML, np.random.default_rng(2), noise=0)
    for name, column in pions[1].hits.items():
        assert np.array_equal(column, again.hits[name])


def test_loopers_leave_through_an_end_cap():
    particles = gun(500, 13, 0.15, eta=(0.5,))
    layout = shell(Thickness(0.0, 0.0, 0.0))
    out = track_through(particles, replace(layout, radius=1000.0), np.random.default_rng(13))
    assert np.allclose(np.abs(out.particles.z), 1000.0)
    assert out.particles.event.size == 500


def test_what_is_born_outside_is_handed_on():
    particles = gun(10, 211, 5.0)._replace(x=np.full(10, 5000.0))
    out = track_through(particles, TRACKML, np.random.default_rng(14), noise=0).particles
    assert np.array_equal(out.px, particles.px)
    assert out.x[0] == 5000.0


def test_noise_is_as_frequent_as_said():
    noise = noise_hits(TRACKML, 3, np.random.default_rng(15))
    assert noise["x"].size == pytest.approx(3 * TRACKML.modules, rel=0.02)
    assert set(np.unique(noise["truth"])) == {-1}
    for number in np.unique(noise["layer"]):
        layer = TRACKML.layers[number]
        here = noise["layer"] == number
        assert noise["module"][here].max() < layer.modules
        r = np.hypot(noise["x"][here], noise["y"][here])
        if isinstance(layer, Barrel):
            assert np.allclose(r, layer.radius)
        else:
            assert r.min() > layer.r_min - 10 and r.max() < layer.r_max + 10


@pytest.mark.parametrize("name", LAYOUTS)
def test_presets_measure_central_and_forward_muons(name):
    layout = LAYOUTS[name]
    for eta in (0.1, 1.0, 1.5, 2.0, 2.4):
        hits = track_through(
            gun(50, 13, 5.0, eta=(eta,)), layout, np.random.default_rng(16), noise=0
        ).hits
        layers = len(set(zip(hits["event"], hits["layer"], strict=True)))
        assert layers / 50 > 7, eta


def test_bad_input_is_refused():
    particles = gun(3, 211, 5.0)
    with pytest.raises(ValueError, match="1 particles have a px that is NaN"):
        track_through(
            particles._replace(px=np.array([1.0, np.nan, 2.0])), CMS, np.random.default_rng(1)
        )
    with pytest.raises(ValueError, match="sort them by event"):
        track_through(particles._replace(event=np.array([1, 0, 2])), CMS, np.random.default_rng(1))
