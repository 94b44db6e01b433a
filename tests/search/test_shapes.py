"""Mirroring, smoothing, parting and pruning of variations."""

import numpy as np
import pytest

from fivesigma.search.description import Pruning
from fivesigma.search.shapes import prune, shape_of, smoothed, two_sided
from fivesigma.search.systematics import WeightVariation

NOMINAL = np.array([10.0, 20.0, 30.0, 0.0])


def systematic(**options):
    return WeightVariation(up="1.1", **options)


def test_a_missing_side_is_mirrored_and_not_negative():
    up = np.array([12.0, 18.0, 75.0, 0.0])
    both = two_sided(NOMINAL, {"up": up}, symmetrise=False)
    assert both.tolist() == [up.tolist(), [8, 22, 0, 0]]
    assert two_sided(NOMINAL, {"down": up}, symmetrise=False)[0].tolist() == [8, 22, 0, 0]


def test_what_moves_into_an_empty_bin_has_no_negative_mirror():
    both = two_sided(NOMINAL, {"up": np.array([10.0, 20, 29, 1])}, symmetrise=False)
    assert both[:, 3].tolist() == [1, 0]
    refused = two_sided(np.array([-1.0, 5]), {"up": np.array([-1.0, 5])}, symmetrise=False)
    assert refused[1, 0] == -1  # a negative nominal bin is not hidden


def test_symmetrised_sides_keep_their_difference():
    up, down = np.array([12.0, 22, 31, 0]), np.array([11.0, 17, 30, 0])
    both = two_sided(NOMINAL, {"up": up, "down": down}, symmetrise=True)
    assert both[0] - both[1] == pytest.approx(up - down)
    assert both.mean(axis=0) == pytest.approx(NOMINAL)
    kept = two_sided(NOMINAL, {"up": up, "down": down}, symmetrise=False)
    assert kept.tolist() == [up.tolist(), down.tolist()]


def test_smoothing_comes_closer_to_the_truth_and_keeps_the_yield():
    rng = np.random.default_rng(2)
    x = np.linspace(0, 1, 20)
    truth = 1 + 0.1 * (x - 0.5)
    nominal = 1000 * np.exp(-2 * x)
    rough, smooth = [], []
    for _ in range(20):
        varied = nominal * truth + rng.normal(0, np.sqrt(nominal))
        made = smoothed(nominal, varied, nominal)
        assert made.sum() == pytest.approx(varied.sum())
        rough.append(np.std(varied / nominal - truth))
        smooth.append(np.std(made / nominal - truth))
    assert np.mean(smooth) < 0.4 * np.mean(rough)


def test_smoothing_keeps_a_sharp_change_beside_its_two_bins():
    nominal = np.full(20, 1e6)
    varied = nominal * np.where(np.arange(20) < 10, 0.9, 1.1)
    made = smoothed(nominal, varied, nominal)
    beside = np.delete(np.arange(20), [9, 10])
    assert made[beside] == pytest.approx(varied[beside], rel=0.01)
    assert made[[9, 10]] == pytest.approx(varied[[9, 10]], rel=0.06)


def test_a_variation_is_parted_into_yield_and_shape():
    both = np.array([[22.0, 22.0, 22.0, 0.0], [9.0, 18.0, 27.0, 0.0]])
    parted = shape_of(NOMINAL, both, systematic(split=True))
    assert parted.factors == pytest.approx((1.1, 0.9))
    assert parted.templates.sum(axis=1) == pytest.approx([60, 60])
    assert parted.templates * np.array([[1.1], [0.9]]) == pytest.approx(both)
    assert shape_of(NOMINAL, both, systematic(use="normalisation")).templates is None
    assert shape_of(NOMINAL, both, systematic(use="shape")).factors is None
    assert shape_of(NOMINAL, both, systematic()).whole


@pytest.mark.parametrize(
    ("up", "gone", "factors", "shape"),
    [
        ([10.01, 20.02, 30.03, 0], "normalisation and shape", False, False),
        ([12.0, 24.0, 36.0, 0], "shape", True, False),
        ([12.0, 20.0, 28.0, 0], "normalisation", False, True),
        ([12.0, 22.0, 30.0, 0], "", False, True),
    ],
)
def test_what_is_small_is_left_out(up, gone, factors, shape):
    both = two_sided(NOMINAL, {"up": np.array(up, float)}, symmetrise=False)
    kept, named = prune(
        NOMINAL, shape_of(NOMINAL, both, systematic()), Pruning(normalisation=0.005, shape=0.01)
    )
    assert named == gone
    assert (kept.factors is not None, kept.templates is not None) == (factors, shape)
