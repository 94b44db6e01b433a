"""Pile-up overlay."""

import awkward as ak
import numpy as np
import pytest

from fivesigma.generation.pileup import PileUp, minimum_bias, overlay
from fivesigma.generation.pythia import Generation, Generator, Gun

#: without perturbative diffraction PYTHIA starts in half a second instead of seven
FAST = ("Diffraction:mMinPert = 1e5",)


@pytest.fixture(scope="module")
def pool() -> ak.Array:
    return minimum_bias(Generation("minimum-bias", extra=FAST), n=60, seed=3)


@pytest.fixture(scope="module")
def muons() -> ak.Array:
    return Generator(Generation("gun", gun=Gun(pdg_id=(13, 15))), seed=7).next(400)


def test_pool_holds_final_particles_without_mothers(pool):
    assert len(pool) == 60
    assert ak.all(pool.truth.status > 0)
    assert ak.all(pool.truth.mother == -1)


def test_minimum_bias_cross_section_is_that_of_inelastic_scattering():
    generator = Generator(Generation("minimum-bias", extra=FAST), seed=3)
    generator.next(200)
    value, error = generator.cross_section()
    assert abs(value / 1e9 - 78.05) < max(0.5, 4 * error / 1e9)  # mb, PYTHIA at 13 TeV


def test_number_of_collisions_is_poisson(muons, pool):
    truth = overlay(muons, PileUp(mean=12.0), pool, np.random.default_rng(1)).truth
    # collisions without a particle are possible but rare: count the last vertex number
    number = ak.max(truth.vertex, axis=1).to_numpy()
    assert abs(number.mean() - 12) < 4 * np.sqrt(12 / 400)
    assert abs(number.var() / 12 - 1) < 4 * np.sqrt(2 / 400)


def test_own_particles_come_first_and_unchanged(muons, pool):
    truth = overlay(muons, PileUp(mean=3.0), pool, np.random.default_rng(1)).truth
    own = truth[truth.vertex == 0]
    assert ak.all(own.pt == muons.truth.pt)
    assert ak.all(own.phi == muons.truth.phi)
    assert ak.all(own.mother == muons.truth.mother)
    assert ak.all(truth.vertex[:, 0] == 0)
    assert ak.all(truth.vertex[:, 1:] >= truth.vertex[:, :-1])
    assert ak.all(truth.mother[truth.vertex > 0] == -1)
    assert truth.vertex.type.content.content.primitive == "int16"


def test_beam_spot(muons, pool):
    options = PileUp(mean=5.0, sigma_xy=0.02, sigma_z=40.0, sigma_t=0.2)
    truth = overlay(muons, options, pool, np.random.default_rng(1)).truth
    first = ak.firsts(truth)
    pile = truth[(truth.vertex == 1) & (np.hypot(truth.vx, truth.vy) < 0.2)]
    for vertices in (first, ak.drop_none(ak.firsts(pile))):
        n = len(vertices)
        for name, width in (("vx", 0.02), ("vy", 0.02), ("vz", 40.0), ("vt", 0.2)):
            spread = np.std(vertices[name].to_numpy())
            assert abs(spread / width - 1) < 5 / np.sqrt(2 * n), name


def test_collisions_are_rotated_but_keep_their_momenta(muons, pool):
    truth = overlay(muons, PileUp(mean=5.0), pool, np.random.default_rng(1)).truth
    pile = truth[truth.vertex > 0]
    assert set(np.unique(ak.flatten(pile.pt))) <= set(np.unique(ak.flatten(pool.truth.pt)))
    phi = ak.flatten(pile.phi).to_numpy()
    assert np.all(np.abs(phi) <= np.float32(np.pi))
    assert abs(np.cos(phi).mean()) < 0.05


def test_chance_comes_from_the_generator_given(muons, pool):
    once, again, other = (
        overlay(muons, PileUp(mean=4.0), pool, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert ak.array_equal(once, again)
    assert not ak.array_equal(once, other)


def test_no_pile_up_leaves_only_the_beam_spot(muons, pool):
    truth = overlay(muons, PileUp(mean=0.0), pool, np.random.default_rng(1)).truth
    assert ak.all(ak.num(truth) == ak.num(muons.truth))
    assert ak.all(truth.vertex == 0)
    assert np.std(truth.vz[:, 0]) > 10


def test_reuse_is_stated():
    assert PileUp(mean=50.0, pool=1000).reuse(200) == 10.0


@pytest.mark.parametrize("changes", [{"mean": -1.0}, {"sigma_z": float("nan")}, {"pool": 0}])
def test_refused(changes):
    with pytest.raises(ValueError, match="pile-up"):
        PileUp(**changes)


def test_empty_pool_is_refused(muons, pool):
    with pytest.raises(ValueError, match="empty"):
        overlay(muons, PileUp(), pool[:0], np.random.default_rng(1))
