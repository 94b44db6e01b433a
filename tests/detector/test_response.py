"""The detector response against the published formulae, energy conservation and geometry."""

import awkward as ak
import numpy as np
import pytest

from fivesigma.detector.energy_flow import Towers, combine, tower_numbers
from fivesigma.detector.propagation import propagate
from fivesigma.detector.response import respond
from fivesigma.detector.tracks import efficiency, momentum_resolution, sigma_d0, tables
from fivesigma.geometry import DETECTORS, detector
from fivesigma.units import CURVATURE

ATLAS, CMS = DETECTORS["atlas"], DETECTORS["cms"]
WITH_RESPONSE = [preset for preset in DETECTORS.values() if preset.response]


def particles(pdg_id, pt, eta, phi=0.3, charge=0.0, mass=0.0, n=4000, per_event=1):
    """n events of one particle each (or `per_event` copies)."""
    columns = {
        "pt": np.full(n * per_event, pt), "eta": np.full(n * per_event, eta),
        "phi": np.full(n * per_event, phi), "mass": np.full(n * per_event, mass),
        "pdg_id": np.full(n * per_event, pdg_id, np.int32),
        "status": np.ones(n * per_event, np.int16), "charge": np.full(n * per_event, charge),
    }  # fmt: skip
    columns |= {name: np.zeros(n * per_event) for name in ("vx", "vy", "vz")}
    return ak.unflatten(ak.zip(columns), per_event)


@pytest.mark.parametrize(
    ("number", "pt", "eta", "expected"),
    [
        (211, 10.0, 0.0, 0.0614),
        (211, 10.0, 1.0, 0.1014),
        (211, 10.0, 2.0, 0.2519),
        (13, 100.0, 0.0, 0.0141),
        (13, 100.0, 1.0, 0.0212),
        (13, 100.0, 2.0, 0.0430),
        (13, 1000.0, 0.0, 0.1005),
        (13, 1000.0, 1.0, 0.1507),
        (13, 1000.0, 2.0, 0.3509),
    ],
)
def test_momentum_resolution_has_the_published_values(number, pt, eta, expected):
    _, resolution = tables(ATLAS.response.tracker)
    assert momentum_resolution(number, pt, eta, resolution) == pytest.approx(expected, abs=6e-5)


@pytest.mark.parametrize(
    ("calorimeter", "energy", "expected"),
    [
        (CMS.response.ecal, 10.0, 0.0536),
        (CMS.response.ecal, 50.0, 0.0192),
        (CMS.response.ecal, 100.0, 0.0142),
        (CMS.response.hcal, 10.0, 0.477),
        (CMS.response.hcal, 50.0, 0.218),
        (CMS.response.hcal, 100.0, 0.158),
        (ATLAS.response.hcal, 10.0, 0.231),
        (ATLAS.response.hcal, 50.0, 0.0857),
        (ATLAS.response.hcal, 100.0, 0.0622),
    ],
)
def test_energy_resolution_has_the_published_values(calorimeter, energy, expected):
    assert calorimeter.sigma(energy, 0.0) / energy == pytest.approx(expected, rel=6e-3)


@pytest.mark.parametrize(
    ("number", "pt", "eta", "expected"),
    [
        (211, 0.05, 0.0, 0.0),
        (211, 0.5, 0.0, 0.70),
        (211, 5.0, -1.4, 0.95),
        (211, 5.0, 2.0, 0.85),
        (211, 0.5, -2.0, 0.60),
        (211, 5.0, 2.6, 0.0),
        (11, 50.0, 0.1, 0.95),
        (11, 150.0, 0.1, 0.99),
        (11, 150.0, 2.0, 0.90),
        (13, 0.5, 0.1, 0.75),
        (13, 20.0, 2.4, 0.98),
    ],
)
def test_track_efficiency_has_the_published_values(number, pt, eta, expected):
    rows, _ = tables(CMS.response.tracker)
    assert efficiency(number, pt, eta, rows) == pytest.approx(expected)


def test_cms_ecal_resolution_is_continuous_where_its_formula_says():
    # (1 + 0.64 eta^2) S at 1.5 and 2.16 + 5.6 (eta - 2)^2 beyond
    inside, outside = CMS.response.ecal.sigma(50.0, 1.5), CMS.response.ecal.sigma(50.0, 1.5001)
    assert inside / CMS.response.ecal.sigma(50.0, 0.0) == pytest.approx(
        1 + 0.64 * 1.5**2, rel=1e-6
    )
    assert outside / CMS.response.ecal.sigma(50.0, 0.0) == pytest.approx(
        2.16 + 5.6 * 0.4999**2, rel=1e-6
    )


def test_tower_counts_cover_the_sphere_without_overlap():
    for preset in WITH_RESPONSE:
        for calorimeter in (preset.response.ecal, preset.response.hcal):
            edges, bins, first = calorimeter.towers
            assert np.all(np.diff(edges) > 0)
            assert first[-1] == bins.sum()
            np.testing.assert_allclose(edges, -edges[::-1], atol=1e-12)
            eta = 0.5 * (edges[1:] + edges[:-1])
            numbers = tower_numbers(calorimeter, eta, np.full(eta.shape, -np.pi + 1e-9))
            np.testing.assert_array_equal(numbers, first[:-1])


def test_a_neutral_particle_flies_straight():
    at = propagate(*(np.array([v]) for v in (5.0, 0.7, 1.1, 0.0, 0.0, 0.0, 0.0)), 1150, 3510, 2.0)
    assert at.eta[0] == pytest.approx(0.7)
    assert at.phi[0] == pytest.approx(1.1)


@pytest.mark.parametrize("charge", [1.0, -1.0])
def test_a_charged_particle_bends_by_the_closed_form(charge):
    pt, radius, field = 2.0, 1150.0, 2.0
    at = propagate(
        *(np.array([v]) for v in (pt, 0.2, 0.0, charge, 0.0, 0.0, 0.0)), radius, 3510, field
    )
    curl = pt / (CURVATURE * field)
    # the chord of length `radius` leans by half of the angle turned
    assert at.phi[0] == pytest.approx(-charge * np.arcsin(radius / (2 * curl)))
    turned = 2 * np.arcsin(radius / (2 * curl))
    assert np.sinh(at.eta[0]) == pytest.approx(np.sinh(0.2) * curl * turned / radius)


def test_a_looper_ends_in_the_end_cap():
    at = propagate(
        *(np.array([v]) for v in (0.2, 0.5, 0.0, 1.0, 0.0, 0.0, 0.0)), 1150.0, 3510.0, 3.8
    )
    curl = 0.2 / (CURVATURE * 3.8)
    assert 2 * curl < 1150.0
    assert at.reached[0]
    assert 3510.0 / np.sinh(at.eta[0]) <= 2 * curl * (1 + 1e-9)


def test_impact_parameter_of_a_displaced_straight_track():
    # at high momentum d0 = x sin(phi) - y cos(phi), and dz = z - (x cos phi + y sin phi) sinh eta
    x, y, z, phi, eta = 3.0, -2.0, 7.0, 0.4, 0.3
    values = (1e5, eta, phi, 1.0, x, y, z)
    at = propagate(*(np.array([v]) for v in values), 1150.0, 3510.0, 2.0)
    assert at.d0[0] == pytest.approx(x * np.sin(phi) - y * np.cos(phi), abs=1e-3)
    along = x * np.cos(phi) + y * np.sin(phi)
    assert at.dz[0] == pytest.approx(z - along * np.sinh(eta), abs=1e-2)


def test_what_is_born_outside_is_lost():
    at = propagate(
        *(np.array([v]) for v in (5.0, 0.0, 0.0, 0.0, 1200.0, 0.0, 0.0)), 1150.0, 3510.0, 2.0
    )
    assert not at.reached[0]


def test_photon_energies_follow_the_ecal_resolution():
    truth = particles(22, pt=50.0, eta=0.4)
    found = respond(truth, ATLAS, np.random.default_rng(1))
    assert ak.all(ak.num(found) == 1)
    energy = ak.to_numpy(ak.flatten(found.pt * np.cosh(found.eta)))
    true = 50.0 * np.cosh(0.4)
    sigma = ATLAS.response.ecal.sigma(true, 0.4)
    assert energy.mean() == pytest.approx(true, abs=4 * sigma / np.sqrt(len(energy)))
    assert energy.std() == pytest.approx(sigma, rel=0.05)
    assert set(ak.to_numpy(ak.flatten(found.pdg_id))) == {22}


def test_muons_pass_with_efficiency_and_resolution_of_the_tracker():
    truth = particles(13, pt=100.0, eta=1.0, charge=-1.0, mass=0.10566, n=20000)
    found = respond(truth, ATLAS, np.random.default_rng(2))
    n = ak.to_numpy(ak.num(found))
    assert n.mean() == pytest.approx(0.99, abs=4 * np.sqrt(0.99 * 0.01 / len(n)))
    pt = ak.to_numpy(ak.flatten(found.pt))
    assert pt.std() / 100.0 == pytest.approx(0.0212, rel=0.04)
    assert set(ak.to_numpy(ak.flatten(found.pdg_id))) == {13}
    pull = ak.to_numpy(ak.flatten(found.d0 / found.d0_error))
    assert abs(pull.mean()) < 0.04
    assert pull.std() == pytest.approx(1.0, abs=0.03)


def test_d0_resolution_has_the_published_points():
    pt = np.array([0.55, 1.22, 9.0, 60.0, 500.0])
    expected = [0.143, 0.067, 0.021, 0.011, 0.011]
    np.testing.assert_allclose(
        sigma_d0(CMS.response.tracker, pt, np.zeros(5)), expected, rtol=1e-6
    )


def test_energy_flow_does_not_count_charged_energy_twice():
    """A hadron gives its energy once: track plus neutral excess is nearly the truth."""
    truth = particles(211, pt=40.0, eta=0.3, charge=1.0, mass=0.1396, n=4000)
    for preset in WITH_RESPONSE:
        found = respond(truth, preset, np.random.default_rng(3))
        total = ak.to_numpy(ak.sum(found.pt * np.cosh(found.eta), axis=1))
        assert total.mean() == pytest.approx(40.0 * np.cosh(0.3), rel=0.06)


def test_tracks_improve_on_the_calorimeter_at_low_momentum():
    truth = particles(211, pt=5.0, eta=0.3, charge=1.0, mass=0.1396, n=6000)
    found = respond(truth, ATLAS, np.random.default_rng(4))
    tracked = found[ak.any(found.charge != 0, axis=1)]
    energy = ak.to_numpy(ak.sum(tracked.pt, axis=1)) * np.cosh(0.3)
    true = 5.0 * np.cosh(0.3)
    # the core: now and then the tower fluctuates up and adds a neutral
    low, high = np.quantile(energy, [0.16, 0.84])
    assert 0.5 * (high - low) < 0.3 * ATLAS.response.hcal.sigma(true, 0.3)


def test_rescaling_is_the_inverse_variance_mean():
    towers = Towers(np.array([5]), np.array([8.0]), np.array([10.0]), np.array([1.0]))
    scale = np.ones(1)
    rng = np.random.default_rng(7)
    expected_rng = np.random.default_rng(7)
    neutrals = combine(np.array([0, 1]), towers, ATLAS.response.ecal, scale, rng)
    edges, bins, first = ATLAS.response.ecal.towers
    eta = 0.5 * (edges[0] + edges[1])
    relative = ATLAS.response.ecal.sigma(8.0, eta) / 8.0
    width = np.sqrt(np.log1p(relative**2))
    energy = 8.0 * np.exp(width * expected_rng.standard_normal() - width**2 / 2)
    sigma = ATLAS.response.ecal.sigma(energy, eta)
    best = (10.0 + energy / sigma**2) / (1 + 1 / sigma**2)
    assert len(neutrals.energy) == 0
    assert scale[0] == pytest.approx(best / 10.0)


def test_neutrinos_leave_nothing():
    found = respond(particles(14, 50.0, 0.0, n=50), ATLAS, np.random.default_rng(1))
    assert len(found) == 50
    assert ak.sum(ak.num(found)) == 0


def test_below_threshold_nothing_is_seen():
    found = respond(particles(22, 0.2, 0.0, n=500), ATLAS, np.random.default_rng(1))
    assert ak.sum(ak.num(found)) < 5


def test_events_do_not_mix_and_order_does_not_matter_for_the_mean():
    one = particles(22, 30.0, 0.4, n=200)
    empty = one[:, :0]
    mixed = ak.concatenate([one, empty, one])
    found = respond(mixed, CMS, np.random.default_rng(5))
    assert len(found) == 600
    assert ak.sum(ak.num(found[200:400])) == 0


def test_the_same_seed_gives_the_same_particles():
    truth = particles(211, 20.0, 1.0, charge=1.0, mass=0.14, n=300)
    first, second = (respond(truth, ATLAS, np.random.default_rng(9)) for _ in range(2))
    assert ak.array_equal(first, second)


def test_bad_input_is_refused():
    truth = particles(22, np.nan, 0.0, n=3)
    with pytest.raises(ValueError, match="NaN or infinite"):
        respond(truth, ATLAS, np.random.default_rng(1))
    with pytest.raises(ValueError, match="unknown detector 'alice'; choose from atlas, cms"):
        detector("alice")


def test_a_preset_without_response_is_refused():
    truth = particles(211, pt=40.0, eta=0.3, charge=1.0, n=1)
    with pytest.raises(ValueError, match="'trackml' has no object-level response"):
        respond(truth, detector("trackml"), np.random.default_rng(3))
