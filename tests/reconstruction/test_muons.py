"""Muons: resolutions against the published ones, pulls, fakes."""

import awkward as ak
import numpy as np
import pytest
from helpers.muon_gun import behind_calorimeters, measured_tracks

from fivesigma.detector.muon_system import MuonOptions, muon_signals
from fivesigma.geometry.stations import ATLAS, CMS
from fivesigma.reconstruction.muons import dimuon_masses, reconstruct_muons
from fivesigma.reconstruction.standalone import standalone_muons

SYSTEMS = {"atlas": ATLAS, "cms": CMS}
N = 700


def width(values):
    low, high = np.quantile(values, [0.1587, 0.8413])
    return (high - low) / 2


def shot(system, pt, eta, n=N, seed=1, options=None):
    """Muons, their segments and tracks."""
    rng = np.random.default_rng(seed)
    eta = rng.uniform(*eta, n) * rng.choice((-1, 1), n)
    particles, phi, charge, z = behind_calorimeters(pt, eta, system, rng)
    segments = muon_signals(particles, system, n, rng, options).segments
    tracks, relative = measured_tracks(pt, eta, phi, charge, z, rng)
    return segments, tracks, charge, relative


@pytest.mark.parametrize(
    ("name", "eta"),
    [("atlas", (0, 0.5)), ("atlas", (1.1, 1.9)), ("cms", (0, 0.5)), ("cms", (2.0, 2.35))],
)
@pytest.mark.parametrize("pt", [10.0, 100.0, 1000.0])
def test_the_resolution_is_the_published_one(name, eta, pt):
    """Muon system alone within 15 %; combined as good as both published resolutions averaged."""
    system = SYSTEMS[name]
    segments, tracks, charge, relative = shot(system, pt, eta)
    muons = reconstruct_muons(segments, tracks, system)
    found = ak.num(muons).to_numpy() > 0
    assert found.mean() > 0.98
    muons, true = ak.flatten(muons[:, :1]), charge[found] / pt
    # in q/pT, which is Gaussian
    alone = width(muons.charge.to_numpy() / muons.standalone_pt.to_numpy() / true)
    published = system.resolution(pt, np.mean(eta))
    assert alone == pytest.approx(published, rel=0.15)
    combined = width(muons.charge.to_numpy() / muons.pt.to_numpy() / true)
    tracker = np.mean(relative)
    both = (alone**-2 + tracker**-2) ** -0.5
    # the tracker's directions help the muon system of CMS, where phi and q/p are correlated: the
    # average does better than both momenta apart
    assert combined < 1.15 * both
    if name == "atlas" and max(eta) <= 0.5:
        assert combined == pytest.approx(both, rel=0.15)
    if name == "cms" and max(eta) <= 0.5:  # published: 1-2 % at low momenta, 5-10 % at 1 TeV
        low, high = (0.05, 0.10) if pt == 1000 else (0.009, 0.02)
        assert low < combined < high
    assert (muons.track == 0).to_numpy().mean() > 0.98
    pull = (pt - muons.pt.to_numpy()) / muons.pt_error.to_numpy()
    assert width(pull) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("name", SYSTEMS)
def test_parameters_at_the_beam_line_have_unit_pulls(name):
    system, pt = SYSTEMS[name], 30.0
    segments, tracks, charge, _ = shot(system, pt, (0, 0.8), seed=2)
    alone = standalone_muons(segments, system)
    true = (charge / pt / np.cosh(ak.flatten(tracks.eta).to_numpy()))[alone.event]
    pull = (alone.qoverp - true) / np.sqrt(alone.covariance[:, 2, 2])
    assert width(pull) == pytest.approx(1, abs=0.2)
    assert abs(np.median(pull)) < 0.2
    freedom = 3 * (alone.segments >= 0).sum(axis=1) - 3
    assert np.median(alone.chi2 / freedom) == pytest.approx(1, abs=0.15)
    assert (np.sign(alone.qoverp) == np.sign(true)).mean() > 0.99
    assert (alone.truth == 0).all()


def test_decays_in_flight_show_as_imbalance():
    """The track has the pion's momentum, the muon system sees a muon of two thirds of it."""
    segments, tracks, _, _ = shot(ATLAS, 20.0, (0, 0.8), seed=3)
    good = ak.flatten(reconstruct_muons(segments, tracks, ATLAS))
    faster = ak.with_field(tracks, tracks.pt * 1.5, "pt")
    kinked = ak.flatten(reconstruct_muons(segments, faster, ATLAS))
    assert (good.balance > 4).to_numpy().mean() < 0.02
    assert ((kinked.track < 0) | (kinked.balance > 4)).to_numpy().mean() > 0.95
    assert np.median(good.match_chi2) == pytest.approx(3.36, abs=0.5)  # median of chi2 of 4


def test_noise_makes_few_muons_and_spoils_none():
    segments, tracks, *_ = shot(CMS, 40.0, (0, 2.3), seed=4, options=MuonOptions(noise=0.2))
    muons = reconstruct_muons(segments, tracks, CMS)
    true = ak.any(muons.truth == 0, axis=1)
    assert ak.mean(true) > 0.97
    assert ak.mean(ak.num(muons[muons.truth < 0])) < 0.02


def test_two_muons_of_one_event_stay_apart():
    segments, tracks, charge, _ = shot(ATLAS, 45.6, (0, 2.4), n=400, seed=5)
    joined = ak.concatenate([segments[::2], ak.with_field(segments[1::2], 1, "truth")], axis=1)
    both = ak.concatenate([tracks[::2], tracks[1::2]], axis=1)
    muons = reconstruct_muons(joined, both, ATLAS)
    assert ak.mean(ak.num(muons) == 2) > 0.97
    assert ak.mean(muons.truth == muons.track) > 0.98
    assert ak.all(muons.pt[:, 1:] <= muons.pt[:, :-1])
    masses = dimuon_masses(muons)
    opposite = (charge[::2] * charge[1::2] < 0) & (ak.num(muons) == 2).to_numpy()
    assert (ak.num(masses).to_numpy() == 1)[opposite].mean() > 0.98


def test_the_mass_of_two_muons():
    """m^2 = 2 pT1 pT2 (cosh(deta) - cos(dphi)) without masses."""
    muons = ak.zip({
        "pt": [[40.0, 30.0, 5.0], [3.0]], "eta": [[0.5, -0.7, 0.0], [0.0]],
        "phi": [[0.1, 2.9, 1.0], [0.0]], "mass": [[0.0, 0.0, 0.0], [0.0]],
        "charge": [[1, -1, 1], [1]],
    })  # fmt: skip
    masses = dimuon_masses(muons)
    expected = np.sqrt(2 * 40 * 30 * (np.cosh(1.2) - np.cos(2.8)))
    assert ak.num(masses).tolist() == [2, 0]
    assert masses[0, 0] == pytest.approx(expected)


def test_nothing_gives_nothing():
    segments, tracks, *_ = shot(ATLAS, 40.0, (0, 0.5), n=3, seed=6)
    assert ak.num(reconstruct_muons(segments[:, :0], tracks, ATLAS)).tolist() == [0, 0, 0]
    alone = reconstruct_muons(segments, tracks[:, :0], ATLAS)
    assert ak.flatten(alone.track).tolist() == [-1, -1, -1]
    assert ak.all(alone.pt == alone.standalone_pt)
    with pytest.raises(ValueError, match="segments of 3 events but tracks of 2"):
        reconstruct_muons(segments, tracks[:2], ATLAS)
