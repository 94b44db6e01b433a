"""The W/Si preset against Geant4 (electrons that the fit of its parameters has not seen)."""

import h5py
import numpy as np
import pytest

from fivesigma.detector.calorimeter.showers import wsi_showers
from fivesigma.geometry.calorimeters import WSI

RANGES = ((1, 2), (4, 7), (10, 20))  # GeV
DEPTH = (np.arange(45) + 0.5) * 3.4 / 4.22  # X0


@pytest.fixture(scope="module")
def samples(real_data):
    """Energies [GeV], showers of Geant4 and ours."""
    path = real_data / "geant4_showers" / "electrons_1-20GeV.h5"
    with h5py.File(path) as file:
        energies = file["incident_energies"][1:2400:2, 0].astype(np.float64) / 1e3
        showers = file["showers"][1:2400:2].reshape(-1, 45, 16, 9) / 1e3
    return energies, showers, wsi_showers(energies, WSI, np.random.default_rng(1))


def figures(energies, showers):
    """Mean depth [X0], r50, r90 [mm], response, its relative width, share of cells hit."""
    rings = np.cumsum(showers.sum((0, 1, 2), dtype=np.float64))
    edges = (np.arange(10) * 4.65) ** 2
    r50, r90 = np.sqrt(np.interp([0.5, 0.9], np.append(0, rings / rings[-1]), edges))
    layers = showers.sum((0, 2, 3), dtype=np.float64)
    response = showers.sum((1, 2, 3)) / energies
    return {
        "depth": layers @ DEPTH / layers.sum(),
        "r50": r50,
        "r90": r90,
        "response": response.mean(),
        "width": np.sqrt(np.mean((response / response.mean() - 1) ** 2 * energies)),
        "hit": (showers > 0).mean(),
    }


@pytest.mark.parametrize(("low", "high"), RANGES)
def test_depth_radius_response_and_occupancy(samples, low, high):
    energies, reference, ours = samples
    here = (energies > low) & (energies < high)
    theirs, made = figures(energies[here], reference[here]), figures(energies[here], ours[here])
    assert made["depth"] == pytest.approx(theirs["depth"], abs=0.5)
    assert made["r50"] == pytest.approx(theirs["r50"], rel=0.15)
    assert made["r90"] == pytest.approx(theirs["r90"], rel=0.15)
    # 250 showers of 1-2 GeV: each mean is known to 0.6 %
    assert made["response"] == pytest.approx(theirs["response"], rel=0.03)
    assert made["width"] == pytest.approx(theirs["width"], rel=0.15)
    assert made["hit"] == pytest.approx(theirs["hit"], rel=0.15)


def test_layer_profile(samples):
    energies, reference, ours = samples
    profile = [one.sum((0, 2, 3)) / one.sum() for one in (reference, ours)]
    assert np.abs(np.cumsum(profile[0]) - np.cumsum(profile[1])).max() < 0.03


def test_cell_spectrum(samples):
    energies, reference, ours = samples
    for share in (0.1, 0.5, 0.9, 0.99):
        one, two = (np.quantile(showers[showers > 0], share) for showers in (reference, ours))
        assert two == pytest.approx(one, rel=0.25), share


def test_showers_are_the_same_for_the_same_seed():
    one, two = (wsi_showers(np.full(3, 5.0), WSI, np.random.default_rng(4)) for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert one.shape == (3, 45, 16, 9)
