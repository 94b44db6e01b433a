"""All sub-detectors in a row: energy is accounted for, pile-up adds up, seeds decide."""

import awkward as ak
import numpy as np
import pytest

from fivesigma.detector.mixing import library, mix, spread
from fivesigma.detector.signals import SignalOptions, measure, stable, transport
from fivesigma.events import FIELDS, with_pileup
from fivesigma.geometry import detector

KINDS = {211: (0.13957, 1), -321: (0.49368, -1), 2212: (0.93827, 1), -2112: (0.93957, 0),
         22: (0.0, 0), 11: (0.000511, -1), 13: (0.10566, -1), 130: (0.49761, 0),
         12: (0.0, 0)}  # fmt: skip


def truth(n_events=20, per_event=40, seed=3):
    """Particles of all kinds; every fifth is not final."""
    rng = np.random.default_rng(seed)
    n = n_events * per_event
    number = rng.choice(list(KINDS), n)
    mass, charge = np.array([KINDS[each] for each in number]).T
    columns = {
        "pt": rng.exponential(5.0, n) + 0.3,
        "eta": rng.uniform(-3.5, 3.5, n),
        "phi": rng.uniform(-np.pi, np.pi, n),
        "mass": mass,
        "charge": charge,
        "pdg_id": number,
        "status": np.where(np.arange(n) % 5, 1, -23),
        **{name: rng.normal(0, 0.01, n) for name in ("vx", "vy", "vz", "vt")},
        "mother": np.full(n, -1),
    }
    return ak.unflatten(ak.zip(columns), per_event)


@pytest.mark.parametrize("name", ["atlas", "cms"])
def test_deposited_leaked_and_lost_is_what_was_there(name):
    particles = stable(truth())
    left = transport(particles, 20, detector(name), np.random.default_rng(1))
    total = np.sum(left.balance[1:], axis=0)
    np.testing.assert_allclose(total, left.balance.available, rtol=1e-6)
    contributions = left.contributions.energy.sum()
    assert contributions == pytest.approx(left.balance.calorimeters.sum(), rel=1e-6)
    neutrino = particles.pdg_id == 12
    np.testing.assert_allclose(left.balance.lost[neutrino], particles.energy[neutrino])


def test_signals_have_the_fields_of_the_table_and_know_their_particle():
    events = truth()
    left = transport(stable(events), 20, detector("atlas"), np.random.default_rng(1))
    out = measure(left, 20, detector("atlas"), np.random.default_rng(2))
    for name, collection in out.items():
        assert collection.fields == list(FIELDS[name]), name
        assert len(collection) == 20
    charged = events.charge[out["hits"].truth[out["hits"].truth >= 0]]
    assert ak.mean(charged != 0) > 0.7  # the others convert or meet nuclei
    final = events.status[out["hits"].truth[out["hits"].truth >= 0]]
    assert ak.all(final > 0)
    muons = events.pdg_id[out["segments"].truth]
    assert ak.mean(abs(muons) == 13) > 0.8
    shares = ak.sum(out["cells"].fraction, axis=-1)
    assert ak.all((abs(shares - 1) < 1e-5) | (shares == 0))


def test_the_seed_decides():
    particles, preset = stable(truth(4)), detector("cms")

    def run(seed):
        rng = np.random.default_rng(seed)
        return measure(transport(particles, 4, preset, rng), 4, preset, rng)

    one, same, other = run(1), run(1), run(2)
    for name in one:
        assert ak.array_equal(one[name], same[name])
    assert not ak.array_equal(one["hits"], other["hits"])


@pytest.fixture(scope="module")
def mixed():
    """Events with 0, 1 and 6 collisions of a library: what was and what came of it."""
    preset, bias = detector("atlas"), spread(truth(8, seed=5), np.random.default_rng(7))
    pool = library(transport(stable(bias), 8, preset, np.random.default_rng(4)), bias)
    events = truth(3)
    left = transport(stable(events), 3, preset, np.random.default_rng(1))
    collisions = np.array([0, 1, 6])
    total, further = mix(left, events, pool, collisions, np.random.default_rng(9))
    picks = np.split(np.random.default_rng(9).integers(8, size=7), [0, 1])
    return events, pool, left, total, further, picks


def test_pile_up_of_a_library_adds_up(mixed):
    events, pool, left, total, further, picks = mixed
    expected = ak.sum(ak.values_astype(pool["deposits"].energy, np.float64), axis=1)
    for event, chosen in enumerate(picks):
        own = left.contributions.energy[left.contributions.event == event].sum()
        energy = total.contributions.energy[total.contributions.event == event].sum()
        assert energy == pytest.approx(own + sum(expected[k] for k in chosen), rel=1e-6)
        hits = np.count_nonzero(total.hits["event"] == event)
        own_hits = np.count_nonzero(left.hits["event"] == event)
        assert hits == own_hits + sum(len(pool["hits"][k]) for k in chosen)
        segments = len(left.segments[event]) + sum(len(pool["segments"][k]) for k in chosen)
        assert len(total.segments[event]) == segments
        assert len(further[event]) == sum(len(pool["pileup"][k]) for k in chosen)
        assert sorted(set(further[event].vertex)) == list(range(1, len(chosen) + 1))
    assert total.segments.fields == left.segments.fields
    assert total.balance is left.balance
    quiet = SignalOptions(hit_noise=0.0)
    out = measure(total, 3, detector("atlas"), np.random.default_rng(2), quiet)
    assert ak.all(out["hits"][0].truth >= 0)
    assert ak.any(out["hits"][2].truth == -1)


def test_signals_of_pile_up_know_their_particles(mixed):
    events, pool, left, total, further, _ = mixed
    every = with_pileup(events, further)
    assert ak.num(every).to_list() == (ak.num(events) + ak.num(further)).to_list()
    assert ak.all(every.vertex[:, :40] == 0) and ak.all(every.vertex[:, 40:] > 0)
    out = measure(total, 3, detector("atlas"), np.random.default_rng(2))
    hits = out["hits"]
    strange = hits[(hits.truth >= 40) & ~hits.secondary]
    assert len(strange[2]) > 100
    owner = every[strange.truth]
    assert ak.all(abs(owner.charge) == 1)
    # hits lie in the direction of their particle, seen from its own vertex
    slope = (strange.tz - owner.vz) / np.hypot(strange.tx, strange.ty)
    assert ak.mean(abs(slope - np.sinh(owner.eta)) < 0.1) > 0.97
    assert ak.max(out["cells"].truth, axis=None) >= 40
    shares = ak.sum(out["cells"].fraction, axis=-1)
    assert ak.all((abs(shares - 1) < 1e-5) | (shares == 0))


def test_what_cannot_work_is_said():
    with pytest.raises(ValueError, match="'trackml' has no layers, cells and stations"):
        transport(stable(truth(1)), 1, detector("trackml"), np.random.default_rng(1))
    with pytest.raises(ValueError, match="hit_noise must be a number >= 0, got -1"):
        SignalOptions(hit_noise=-1)
    left = transport(stable(truth(1)), 1, detector("atlas"), np.random.default_rng(1))
    with pytest.raises(ValueError, match="library of pile-up has no events"):
        mix(left, truth(1), {name: each[:0] for name, each in library(left, truth(1)).items()},
            np.array([3]), np.random.default_rng(1))  # fmt: skip
