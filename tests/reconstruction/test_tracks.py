"""Tracks from truth and hits: resolutions, pulls, efficiency, charges, electrons."""

from dataclasses import replace

import awkward as ak
import numpy as np
import pytest
from helpers.tracker_gun import gun
from scipy.optimize import brentq
from scipy.stats import norm

from fivesigma.detector.tracker import track_through
from fivesigma.events import FIELDS
from fivesigma.geometry import response
from fivesigma.geometry.layers import Barrel, Layout, Sensor, Thickness
from fivesigma.geometry.trackers import ATLAS, CMS, TRACKML
from fivesigma.reconstruction.tracks import (
    TrackFinding,
    expected_resolution,
    reconstruct_tracks,
)


def width_of_all(sigmas):
    """Half the central 68 % of Gaussians of these widths, mixed evenly."""
    return brentq(lambda x: np.mean(2 * norm.cdf(x / sigmas) - 1) - 0.6827, 0, 5 * sigmas.max())


def collections(particles, layout, seed=1):
    """Truth and hits as lists per event of one particle each."""
    hits = track_through(particles, layout, np.random.default_rng(seed), noise=0).hits
    n = particles.event.size
    pt = np.hypot(particles.px, particles.py)
    truth = ak.zip(
        {
            "pt": pt,
            "eta": np.arcsinh(particles.pz / pt),
            "phi": np.arctan2(particles.py, particles.px),
            "mass": particles.mass,
            "charge": particles.charge,
            "pdg_id": particles.pdg_id,
            "status": np.ones(n, int),
            "vx": particles.x,
            "vy": particles.y,
            "vz": particles.z,
        }
    )
    counts = np.bincount(hits.pop("event"), minlength=n)
    return ak.unflatten(truth, np.ones(n, int)), ak.unflatten(ak.zip(hits), counts)


@pytest.mark.parametrize("layout", [ATLAS, CMS], ids=lambda layout: layout.name)
def test_resolutions_of_presets_are_the_published_ones(layout):
    """Within 10 %, at five momenta in three ranges of |eta|."""
    assert len(layout.published) == 3
    for published in layout.published:
        eta = published.low + (published.high - published.low) * (np.arange(20) + 0.5) / 20
        for quantity, rows in (("pt", published.momentum), ("d0", published.d0)):
            assert len(rows) == 5
            for pt, sigma in rows:
                expected = expected_resolution(layout, np.full(eta.size, pt), eta)
                ours = width_of_all(getattr(expected, quantity))
                assert ours == pytest.approx(sigma, rel=0.10), (published.low, quantity, pt)


def test_resolution_of_equal_layers_is_that_of_gluckstern():
    """sigma(1/pT) = sigma / (0.3 B L^2) sqrt(720 / (N + 4)) [for N + 1 >> 1 equal layers]."""
    n, first, last, sigma = 40, 20.0, 1020.0, 0.1
    layers = tuple(
        Barrel(f"{k}", first + k * (last - first) / n, 2000.0, Thickness(0.0, 0.0, 0.0),
               Sensor(sigma, 1.0))
        for k in range(n + 1)
    )  # fmt: skip
    layout = Layout("equal", 1100.0, 2500.0, 2.0, layers)
    ours = expected_resolution(layout, np.array([100.0]), np.array([0.0])).pt[0] / 100.0
    # the exact form of Gluckstern (NIM 24 (1963) 381): 720 N^3 / ((N - 1)(N + 1)(N + 2)(N + 3))
    number = 720 * n**3 / ((n - 1) * (n + 1) * (n + 2) * (n + 3))
    expected = sigma / (0.299792458e-3 * 2.0 * (last - first) ** 2) * number**0.5
    assert ours == pytest.approx(expected, rel=0.005)


def test_impact_parameter_behind_a_scatterer():
    """The direction behind the first layer is known, before it only to theta0: d0 to r theta0."""
    layers = tuple(
        Barrel(f"{r:g}", r, 900.0, Thickness(t, 0.0, 0.0), Sensor(sigma, 0.1))
        for r, t, sigma in (
            (50.0, 0.04, 0.01),
            (100.0, 0.0, 0.01),
            (500.0, 0.0, 0.01),
            (900.0, 0.0, 0.01),
        )
    )
    layout = Layout("scatterer", 1000.0, 1000.0, 2.0, layers)
    theta = 13.6e-3 * 0.04**0.5 * (1 + 0.038 * np.log(0.04))
    ours = expected_resolution(layout, np.array([1.0]), np.array([0.0]), particle=11).d0[0]
    assert ours == pytest.approx(np.hypot(0.01, 50.0 * theta), rel=0.02)


@pytest.fixture(scope="module")
def muons():
    particles = gun(4000, 13, (1.0, 50.0))
    truth, hits = collections(particles, TRACKML)
    return truth, reconstruct_tracks(truth, hits, TRACKML, np.random.default_rng(2))


def test_fields_are_those_of_tracks(muons):
    tracks = ak.flatten(muons[1])
    assert set(tracks.fields) == set(FIELDS["tracks"])
    assert ak.to_numpy(tracks.covariance[:5]).shape == (5, 15)
    assert tracks.hits.to_numpy().min() >= 6


def test_pulls(muons):
    truth, tracks = muons
    found = ak.num(tracks) == 1
    assert ak.mean(found) > 0.99
    truth, tracks = ak.flatten(truth[found]), ak.flatten(tracks[found])
    covariance = ak.to_numpy(tracks.covariance)
    theta = 2 * np.arctan(np.exp(-tracks.eta.to_numpy()))
    true_theta = 2 * np.arctan(np.exp(-truth.eta.to_numpy()))
    curvature = tracks.charge / (tracks.pt * np.cosh(tracks.eta))
    true_curvature = truth.charge / (truth.pt * np.cosh(truth.eta))
    turn = (tracks.phi - truth.phi).to_numpy()
    differences = (
        tracks.d0.to_numpy(), tracks.dz.to_numpy(), (turn + np.pi) % (2 * np.pi) - np.pi,
        theta - true_theta, (curvature - true_curvature).to_numpy(),
    )  # fmt: skip
    for k, difference in enumerate(differences):
        pull = difference / np.sqrt(covariance[:, k * (k + 3) // 2])
        assert pull.mean() == pytest.approx(0, abs=0.08)
        assert pull.std() == pytest.approx(1, abs=0.05)


def test_displaced_tracks_keep_their_impact_parameter():
    particles = gun(500, 13, 20.0, eta=0.5)
    shifted = particles._replace(x=particles.x + 3.0, z=particles.z + 20.0)
    truth, hits = collections(shifted, TRACKML)
    tracks = ak.flatten(reconstruct_tracks(truth, hits, TRACKML, np.random.default_rng(3)))
    # positive where the origin lies to the left: 3 mm sin(phi) in the object-level sign
    expected = 3.0 * np.sin(tracks.phi.to_numpy())
    assert np.allclose(tracks.d0.to_numpy(), expected, atol=0.1)
    assert np.median(tracks.dz.to_numpy()) == pytest.approx(20.0, abs=2.0)


def test_tracks_point_to_the_calorimeter():
    particles = gun(300, 13, (20.0, 50.0), eta=2.0, seed=4)
    signals = track_through(particles, TRACKML, np.random.default_rng(5), noise=0)
    truth, hits = collections(particles, TRACKML)
    tracks = reconstruct_tracks(truth, hits, TRACKML, np.random.default_rng(6))
    out = signals.particles
    there = {int(e): k for k, e in enumerate(out.event)}
    for event, track in enumerate(tracks):
        if not len(track) or event not in there:
            continue
        k = there[event]
        turn = track.calo_phi[0] - np.arctan2(out.y[k], out.x[k])
        assert abs((turn + np.pi) % (2 * np.pi) - np.pi) < 0.02
        eta = np.arcsinh(out.z[k] / np.hypot(out.x[k], out.y[k]))
        assert track.calo_eta[0] == pytest.approx(eta, abs=0.03)


def test_electrons_have_a_tail_to_low_momenta():
    ratio = {}
    for pdg_id in (11, 13):
        particles = gun(2000, pdg_id, 20.0, eta=1.0)
        truth, hits = collections(particles, ATLAS)
        tracks = ak.flatten(reconstruct_tracks(truth, hits, ATLAS, np.random.default_rng(7)))
        ratio[pdg_id] = tracks.pt.to_numpy() / 20.0
    assert np.mean(ratio[11] < 0.9) > 10 * np.mean(ratio[13] < 0.9) + 0.05
    assert np.mean(ratio[11] > 1.1) < 0.01


def test_charge_of_very_stiff_tracks_can_be_wrong():
    particles = gun(2000, 13, 10_000.0, eta=0.5)
    truth, hits = collections(particles, TRACKML)
    tracks = reconstruct_tracks(truth, hits, TRACKML, np.random.default_rng(8))
    sigma = expected_resolution(TRACKML, np.array([10_000.0]), np.array([0.25])).pt[0]
    wrong = ak.flatten(tracks.charge * truth.charge[ak.num(tracks) == 1] < 0)
    assert ak.mean(wrong) == pytest.approx(norm.sf(1 / sigma), abs=0.05)


@pytest.mark.parametrize(
    ("layout", "tracker", "forward"),
    [(ATLAS, response.ATLAS.tracker, (0.70, 0.86)), (CMS, response.CMS.tracker, (0.82, 0.88))],
)
def test_efficiency_of_muons_is_published_that_of_hadrons_below_it(layout, tracker, forward):
    """Muons 0.99 in the centre; pions lose to nuclear interactions, published 0.95 and 0.85."""
    rng = np.random.default_rng(9)

    def efficiency(pdg_id, eta):
        truth, hits = collections(gun(4000, pdg_id, 5.0, eta=(eta,)), layout)
        return ak.sum(ak.num(reconstruct_tracks(truth, hits, layout, rng, tracker))) / 4000

    assert efficiency(13, 0.7) == pytest.approx(0.99, abs=0.007)
    assert 0.85 < efficiency(211, 0.7) < 0.95
    assert forward[0] < efficiency(211, 2.0) < forward[1]


def test_fakes():
    particles = gun(2000, 13, 5.0)
    truth, hits = collections(particles, TRACKML)
    options = TrackFinding(fake_rate=0.1)
    tracks = reconstruct_tracks(truth, hits, TRACKML, np.random.default_rng(10), options=options)
    fakes = ak.sum(ak.flatten(tracks.truth) == -1)
    assert fakes / ak.sum(ak.num(tracks)) == pytest.approx(0.1 / 1.1, abs=0.02)


def test_bad_input_is_refused():
    particles = gun(3, 13, 5.0)
    truth, hits = collections(particles, TRACKML)
    rng = np.random.default_rng(1)
    with pytest.raises(ValueError, match="hits of 2"):
        reconstruct_tracks(truth, hits[:2], TRACKML, rng)
    small = replace(TRACKML, layers=TRACKML.layers[:3])
    with pytest.raises(ValueError, match="has 3 layers"):
        reconstruct_tracks(truth, hits, small, rng)
    with pytest.raises(ValueError, match="layers_min 1"):
        TrackFinding(layers_min=1)
