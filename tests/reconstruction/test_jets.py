"""Jets against FastJet, infrared and collinear safety, invariances, selection and bad input."""

import math
import re

import awkward as ak
import fastjet
import numpy as np
import pytest
from helpers.toy_jets import four_momenta, records, sprays

from fivesigma.reconstruction.jets import ALGORITHMS, ENGINES, JetOptions, cluster

FASTJET = {
    "antikt": fastjet.antikt_algorithm,
    "ca": fastjet.cambridge_algorithm,
    "kt": fastjet.kt_algorithm,
}


@pytest.fixture(scope="module")
def events():
    return sprays(np.random.default_rng(1), 12)


def classic(event, algorithm, radius, pt_min):
    """FastJet's PseudoJet interface: (pt, rapidity, phi, m, set of tags) by falling pT."""
    inputs = []
    for tag, *p in zip(event.tag.to_list(), *four_momenta(event), strict=True):
        particle = fastjet.PseudoJet(*p)
        particle.set_user_index(tag)
        inputs.append(particle)
    sequence = fastjet._swig.ClusterSequence(
        inputs, fastjet.JetDefinition(FASTJET[algorithm], radius)
    )
    return [
        (jet.pt(), jet.eta(), jet.phi_std(), jet.m(), {c.user_index() for c in jet.constituents()})
        for jet in fastjet.sorted_by_pt(sequence.inclusive_jets(pt_min))
    ]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(("radius", "pt_min"), [(0.4, 5.0), (1.0, 150.0)])
def test_jets_are_those_of_fastjet(events, engine, algorithm, radius, pt_min):
    options = JetOptions(algorithm, radius, pt_min, engine=engine)
    found = cluster(events, options)
    for event, jets in zip(events, found, strict=True):
        expected = classic(event, algorithm, radius, pt_min)
        assert [set(jet.to_list()) for jet in jets.constituents.tag] == [e[4] for e in expected]
        for k, name in enumerate(("pt", "eta", "phi", "mass")):
            values = np.array([e[k] for e in expected])
            np.testing.assert_allclose(jets[name], values, rtol=2e-6, atol=2e-6)


def test_a_jet_is_the_sum_of_its_constituents_by_falling_pt(events):
    jets = ak.flatten(cluster(events, JetOptions(pt_min=20.0)))
    assert len(jets) > 12
    for jet in jets:
        px, py, pz, energy = (component.sum() for component in four_momenta(jet.constituents))
        assert jet.pt == pytest.approx(np.hypot(px, py), rel=1e-6)
        assert jet.eta == pytest.approx(np.arcsinh(pz / np.hypot(px, py)), abs=1e-5)
        assert jet.mass == pytest.approx(math.sqrt(energy**2 - px**2 - py**2 - pz**2), rel=1e-5)
        assert np.all(np.diff(jet.constituents.pt) <= 0)


def test_every_particle_is_in_one_jet_when_nothing_is_cut(events):
    jets = cluster(events, JetOptions(pt_min=0.0, max_constituents=1000))
    tags = np.sort(ak.to_numpy(ak.flatten(jets.constituents.tag, axis=None)))
    np.testing.assert_array_equal(tags, np.arange(ak.count(events.pt)))


def test_all_fields_of_the_particles_come_along(events):
    jets = cluster(events, JetOptions(pt_min=20.0))
    assert jets.constituents.fields == events.fields
    flat = ak.flatten(ak.flatten(jets.constituents))
    back = ak.flatten(events)[flat.tag]
    for name in events.fields:
        assert ak.all(flat[name] == back[name])
    assert jets.constituents.charge.type.content.content.content.primitive == "int8"


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_hard_jets_do_not_feel_soft_particles(events, algorithm):
    options = JetOptions(algorithm, 0.6, pt_min=50.0)
    rng = np.random.default_rng(5)
    n = 40 * len(events)
    soft = records(
        np.full(n, 1e-9), rng.uniform(-3, 3, n), rng.uniform(-3, 3, n), charge=np.int8(0), tag=-1
    )
    more = ak.concatenate([events, ak.unflatten(soft, 40)], axis=1)
    before, after = cluster(events, options), cluster(more, options)
    assert ak.num(before).to_list() == ak.num(after).to_list()
    np.testing.assert_allclose(ak.flatten(before.pt), ak.flatten(after.pt), rtol=1e-6)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_hard_jets_do_not_feel_collinear_splittings(events, algorithm):
    options = JetOptions(algorithm, 0.6, pt_min=50.0, max_constituents=1000)
    massless = ak.with_field(events, events.pt * 0, "mass")
    half = ak.with_field(massless, massless.pt / 2, "pt")
    before, after = cluster(massless, options), cluster(ak.concatenate([half, half], 1), options)
    assert ak.num(before).to_list() == ak.num(after).to_list()
    np.testing.assert_allclose(ak.flatten(before.pt), ak.flatten(after.pt), rtol=1e-6)
    assert ak.all(ak.num(after.constituents, axis=2) == 2 * ak.num(before.constituents, axis=2))


def test_jets_turn_and_boost_with_the_event(events):
    massless = ak.with_field(events, events.pt * 0, "mass")
    moved = ak.with_field(massless, massless.eta + 0.7, "eta")
    moved = ak.with_field(moved, moved.phi + 2.0, "phi")
    here, there = (cluster(e, JetOptions(pt_min=30.0)) for e in (massless, moved))
    assert here.constituents.tag.to_list() == there.constituents.tag.to_list()
    turned = ak.flatten(there.phi - here.phi)
    np.testing.assert_allclose(np.cos(turned), math.cos(2.0), atol=1e-5)


def test_a_high_threshold_finds_the_same_hard_jets_as_a_low_one(events):
    low = cluster(events, JetOptions(pt_min=1.0))
    for pt_min in (20.0, 100.0, 250.0):
        high = cluster(events, JetOptions(pt_min=pt_min))
        expected = low[low.pt >= pt_min]
        assert high.constituents.tag.to_list() == expected.constituents.tag.to_list()


def test_an_event_alone_gives_what_it_gives_in_a_batch(events):
    together = cluster(events, JetOptions(pt_min=20.0))
    for k in (0, 5, 11):
        alone = cluster(events[k : k + 1], JetOptions(pt_min=20.0))
        assert alone.to_list() == together[k : k + 1].to_list()


def test_selection_looks_at_the_leading_jets_first(events):
    every = cluster(events, JetOptions(radius=0.4, pt_min=20.0))
    two = cluster(events, JetOptions(radius=0.4, pt_min=20.0, leading=2))
    assert two.pt.to_list() == every.pt[:, :2].to_list()
    # a leading jet that fails a cut is not replaced by the next
    cut = JetOptions(radius=0.4, pt_min=20.0, pt_max=280.0, eta_max=1.0, leading=2)
    kept = two[(two.pt <= 280) & (abs(two.eta) <= 1)]
    assert 0 < ak.count(kept.pt) < ak.count(two.pt)
    assert cluster(events, cut).pt.to_list() == kept.pt.to_list()


def test_constituents_are_cut_but_the_momentum_is_of_all(events):
    every = cluster(events, JetOptions(pt_min=20.0))
    few = cluster(events, JetOptions(pt_min=20.0, max_constituents=5))
    assert few.pt.to_list() == every.pt.to_list()
    assert few.constituents.tag.to_list() == every.constituents.tag[:, :, :5].to_list()


def test_soft_particles_can_be_left_out(events):
    jets = cluster(events, JetOptions(pt_min=20.0, particle_pt_min=2.0))
    direct = cluster(events[events.pt > 2.0], JetOptions(pt_min=20.0))
    assert jets.to_list() == direct.to_list()
    assert ak.min(jets.constituents.pt, axis=None) > 2.0


def test_events_without_particles_or_jets_keep_their_place_and_the_fields(events):
    some = ak.concatenate([events[:0], events[:1][:, :0], events[:1], events[:1][:, :0]])
    full, none = cluster(some, JetOptions(pt_min=20.0)), cluster(some, JetOptions(pt_min=5000.0))
    assert ak.num(full)[0] == ak.num(full)[2] == 0 < ak.num(full)[1]
    assert ak.num(none).to_list() == [0, 0, 0]
    for nothing in (none, cluster(events[:0], JetOptions())):
        assert nothing.type.content == full.type.content


def test_jets_of_one_particle_and_particles_of_no_pt():
    lone = records([30.0, 0.0], [0.5, 1.0], [3.0, 0.0], [0.14, 1.0])
    jets = cluster(ak.unflatten(lone, [2]), JetOptions(pt_min=1.0))
    assert ak.num(jets.constituents, axis=2).to_list() == [[1]]
    assert jets.mass[0, 0] == pytest.approx(0.14, rel=1e-3)


def test_particles_along_the_beam_do_no_harm():
    forward = records([1e-6, 1e-6, 50.0], [15.0, -15.0, 0.0], [0.0, 0.0, 1.0])
    jets = cluster(ak.unflatten(forward, [3]), JetOptions(pt_min=1.0))
    assert jets.pt.to_list() == [[50.0]]


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("name", ["pt", "eta", "phi", "mass"])
def test_momenta_that_are_not_finite_are_refused(name, value):
    columns = {"pt": [5.0], "eta": [0.0], "phi": [0.0], "mass": [0.0]} | {name: [value]}
    with pytest.raises(ValueError, match=f"particles.{name}: 1 of 1 values are NaN or infinite"):
        cluster(ak.unflatten(records(**columns), [1]), JetOptions())


def test_particles_must_come_in_events_with_momenta(events):
    with pytest.raises(ValueError, match="one list of records per event"):
        cluster(events[0], JetOptions())
    with pytest.raises(ValueError, match="missing phi"):
        cluster(events[["pt", "eta", "mass"]], JetOptions())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"algorithm": "cone"}, "unknown jet algorithm 'cone'; choose from antikt, ca, kt"),
        ({"engine": "root"}, "unknown jet engine 'root'; choose from fivesigma, fastjet"),
        ({"radius": 0.0}, "radius must be a positive number, got 0"),
        ({"radius": math.nan}, "radius must be a positive number"),
        ({"pt_min": 650.0, "pt_max": 550.0}, "jet pT range [650, 550] GeV is empty"),
        ({"pt_min": -1.0}, "pt_min must be >= 0"),
        ({"eta_max": -2.0}, "eta_max must be positive, got -2.0"),
        ({"leading": 0}, "leading must be positive, got 0"),
        ({"max_constituents": 0}, "max_constituents must be positive, got 0"),
        ({"particle_pt_min": -0.1}, "particle_pt_min must be >= 0 GeV"),
    ],
)
def test_options_that_make_no_sense_are_refused(wrong, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        JetOptions(**wrong)
