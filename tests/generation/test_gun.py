"""The particle gun."""

import awkward as ak
import numpy as np
import pytest

from fivesigma.generation.pythia import Generation, Generator, Gun


def shots(n: int, **options) -> ak.Array:
    return Generator(Generation("gun", gun=Gun(**options)), seed=7).next(n)


def energy(truth: ak.Array) -> np.ndarray:
    truth = ak.values_astype(truth, np.float64)
    return np.sqrt((truth.pt * np.cosh(truth.eta)) ** 2 + truth.mass**2)


def test_stable_particles_fly_alone():
    truth = shots(250, pdg_id=(13, -13), pt=(20.0, 40.0), eta=(-1.0, 2.0)).truth
    assert ak.all(ak.num(truth) == 1)
    assert ak.all((truth.pt >= 20) & (truth.pt <= 40) & (truth.eta >= -1) & (truth.eta <= 2))
    assert 80 < ak.sum(truth.pdg_id == 13) < 170
    assert ak.all(truth.charge == -truth.pdg_id / 13)


def test_energy_range():
    truth = shots(100, pdg_id=(22,), energy=(5.0, 6.0)).truth
    assert ak.all((energy(truth) > 4.999) & (energy(truth) < 6.001))


def test_decays_stay_in_their_event():
    truth = shots(150, pdg_id=(15, -15, 511, 111)).truth
    assert ak.all(truth.mother[:, 0] == -1)
    assert ak.all(truth.mother[:, 1:] >= 0)
    assert ak.all(truth.mother < ak.local_index(truth.mother))
    final = truth[truth.status > 0]
    assert np.allclose(ak.sum(energy(final), axis=1), energy(truth)[:, 0], rtol=1e-5)
    assert ak.all(np.abs(ak.sum(final.charge, axis=1) - truth.charge[:, 0]) < 1e-4)


def test_portions_do_not_matter():
    generator = Generator(Generation("gun", gun=Gun(pdg_id=(15,))), seed=7)
    portions = ak.concatenate([generator.next(n) for n in (30, 100, 20)])
    assert ak.array_equal(portions, shots(150, pdg_id=(15,)))
    assert generator.cross_section() == (0.0, 0.0)


@pytest.mark.parametrize("number", [310, 3122, 211])
def test_long_lived_particles_are_left_to_the_detector(number):
    assert ak.all(ak.num(shots(20, pdg_id=(number,)).truth) == 1)
