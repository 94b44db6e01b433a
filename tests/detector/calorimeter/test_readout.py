"""The readout: means, fluctuations, noise, zero suppression, truth, defects."""

import math

import awkward as ak
import numpy as np
import pytest

from fivesigma.detector.calorimeter.deposit import Contributions, deposit
from fivesigma.detector.calorimeter.guns import gun
from fivesigma.detector.calorimeter.readout import DeadRegion, ReadoutOptions, read_out
from fivesigma.events import FIELDS
from fivesigma.geometry.calorimeters import ATLAS

QUIET = ReadoutOptions(noise=(0.0,), zero_suppression=0.0)
MIDDLE = 1  # depth
CELL = 128 * 10 + 5


def one_cell(energies, truth=None, visible=None, cell=CELL):
    """One contribution per event."""
    n = len(energies)
    energies = np.asarray(energies, float)
    return Contributions(
        np.arange(n), np.full(n, MIDDLE), np.full(n, cell),
        np.zeros(n, int) if truth is None else np.asarray(truth),
        energies, energies if visible is None else np.asarray(visible),
    )  # fmt: skip


def test_fields_are_those_of_the_table():
    cells = read_out(one_cell([1.0]), 1, ATLAS, np.random.default_rng(1))
    assert set(cells.fields) == set(FIELDS["cells"])
    for name, field in FIELDS["cells"].items():
        values = ak.to_numpy(ak.flatten(cells[name], axis=None))
        assert values.dtype == np.dtype(field.dtype), name


@pytest.mark.parametrize("energy", [0.02, 1.0, 100.0])
def test_sampling_has_the_published_term(energy):
    n = 4000
    cells = read_out(one_cell(np.full(n, energy)), n, ATLAS, np.random.default_rng(2), QUIET)
    measured = ak.to_numpy(ak.sum(cells.energy, axis=1))
    constant, sampling = ATLAS.ecal.terms(np.array([0.0]))
    assert measured.mean() == pytest.approx(energy, abs=4 * sampling[0] * math.sqrt(energy / n))
    width = ATLAS.ecal.sampling * sampling[0] * math.sqrt(energy)
    assert measured.std() == pytest.approx(width, rel=0.06)


def test_empty_cells_exceed_zero_suppression_as_often_as_a_gaussian():
    n = 20
    empty = one_cell([])
    cells = read_out(empty, n, ATLAS, np.random.default_rng(3))
    depth = ak.to_numpy(ak.flatten(cells.depth))
    pull = ak.to_numpy(ak.flatten(cells.energy / cells.noise))
    for layer, number in enumerate(ATLAS.n_cells):
        cut = ATLAS.section(layer).zero_suppression
        here = pull[depth == layer]
        expected = number * n * math.erfc(cut / math.sqrt(2))
        assert len(here) == pytest.approx(expected, abs=5 * math.sqrt(expected))
        assert np.abs(here).min() >= cut
        assert here.mean() == pytest.approx(0, abs=5 * cut / math.sqrt(len(here)))
        beyond = expected * math.erfc(4 / math.sqrt(2)) / math.erfc(cut / math.sqrt(2))
        assert np.sum(np.abs(here) > 4) == pytest.approx(beyond, abs=5 * math.sqrt(beyond) + 1)
    assert ak.all(ak.num(cells.truth, axis=2) == 0)


def test_cells_are_sorted_and_unique():
    rng = np.random.default_rng(4)
    particles = gun(211, 50.0, rng.uniform(-4, 4, 30), ATLAS, rng)
    cells = read_out(deposit(particles, ATLAS, rng).contributions, 30, ATLAS, rng)
    for event in cells:
        key = ak.to_numpy(event.depth).astype(np.int64) << 32 | ak.to_numpy(event.cell)
        assert (np.diff(key) > 0).all()


def test_fractions_share_the_true_energy():
    contributions = Contributions(
        np.zeros(4, int), np.full(4, MIDDLE), np.full(4, CELL), np.array([7, 3, 7, 5]),
        np.array([1.0, 4.0, 2.0, 1.0]), np.array([1.0, 4.0, 2.0, 1.0]),
    )  # fmt: skip
    cells = read_out(contributions, 1, ATLAS, np.random.default_rng(5), QUIET)
    hit = cells[0][ak.to_numpy(ak.num(cells[0].truth)) > 0]
    assert hit.truth.to_list() == [[3, 7, 5]]
    np.testing.assert_allclose(hit.fraction[0], [0.5, 0.375, 0.125])


def test_cross_talk_moves_energy_to_the_neighbours_in_eta():
    cells = read_out(one_cell([1000.0]), 1, ATLAS, np.random.default_rng(6), QUIET)[0]
    assert len(cells) == 3
    share = ak.to_numpy(cells.energy) / ak.sum(cells.energy)
    np.testing.assert_allclose(np.sort(share), [0.005, 0.005, 0.99], rtol=1e-3)
    step = np.diff(ak.to_numpy(cells.eta))
    np.testing.assert_allclose(step, 0.025, rtol=1e-3)
    assert ak.num(cells.truth).to_list() == [0, 1, 0]


def test_dead_regions_are_not_read():
    rng = np.random.default_rng(7)
    particles = gun(11, 50.0, rng.uniform(-2, 2, 300), ATLAS, rng)
    contributions = deposit(particles, ATLAS, rng).contributions
    dead = DeadRegion(-0.5, 0.5, 3.0, -3.0, (0, 1))  # over phi = pi
    cells = ak.flatten(read_out(contributions, 300, ATLAS, rng, ReadoutOptions(dead=(dead,))))
    inside = (np.abs(cells.eta) < 0.5) & (np.abs(cells.phi) > 3.0)
    assert ak.sum(inside & (cells.depth >= 2)) > 0
    assert ak.sum(inside & (cells.depth < 2)) == 0
    assert ak.sum((np.abs(cells.eta) < 0.5) & (cells.depth == 1)) > 0


def test_gains_belong_to_cells_not_to_events():
    n = 200
    options = ReadoutOptions(noise=(0.0,), zero_suppression=0.0, miscalibration=0.05, seed=3)
    means = []
    for cell in range(60):
        made = read_out(
            one_cell(np.full(n, 400.0), cell=cell * 256 + 3), n, ATLAS,
            np.random.default_rng(8), options,
        )  # fmt: skip
        sums = ak.to_numpy(ak.max(made.energy, axis=1)) / 400.0 / 0.99
        assert sums.std() < 0.01  # sampling only: the gain is the same in all events
        means.append(sums.mean())
    assert np.std(means) == pytest.approx(0.05, rel=0.35)


def test_noise_maps_differ_between_seeds():
    rng = np.random.default_rng
    spread = [
        read_out(one_cell([1.0]), 1, ATLAS, rng(9), ReadoutOptions(noise_spread=0.2, seed=seed))
        for seed in (0, 0, 1)
    ]
    noise = [ak.to_numpy(cells[0].noise[cells[0].cell == CELL]) for cells in spread]
    assert (noise[0] == noise[1]).all()
    assert not (noise[0] == noise[2]).all()


def test_pile_up_adds_to_the_expected_noise_and_its_mean_is_taken_off():
    quiet, few, many = (
        read_out(one_cell([1.0]), 1, ATLAS, np.random.default_rng(3), pileup=mean)[0]
        for mean in (0.0, 10.0, 40.0)
    )
    for name in ("depth", "cell"):
        assert (quiet[name] == many[name]).to_list() == [True] * len(quiet)
    off = [ak.to_numpy(quiet.energy - each.energy).astype(float) for each in (few, many)]
    assert (off[1] > 0).any()
    np.testing.assert_allclose(off[1], 4 * off[0], atol=1e-5)
    own = ATLAS.noise(ak.to_numpy(quiet.depth), ak.to_numpy(quiet.cell))
    np.testing.assert_allclose(quiet.noise, own, rtol=1e-6)
    added = [ak.to_numpy(each.noise).astype(float) ** 2 - own**2 for each in (few, many)]
    assert (added[0] > 0).all()
    np.testing.assert_allclose(added[1], 4 * added[0], rtol=0.02, atol=1e-6)


@pytest.mark.parametrize("name", ["miscalibration", "noise_spread", "zero_suppression"])
def test_negative_options_are_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be a number >= 0, got -1"):
        ReadoutOptions(**{name: -1.0})


def test_a_wrong_number_of_noise_factors_is_refused():
    with pytest.raises(ValueError, match="one factor or 6"):
        read_out(one_cell([1.0]), 1, ATLAS, np.random.default_rng(), ReadoutOptions(noise=(1, 2)))
