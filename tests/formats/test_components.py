"""Momenta from Cartesian components: compiled loops against NumPy in double precision."""

import numpy as np
import pytest

from fivesigma.formats.components import component

RNG = np.random.default_rng(11)


def exact(name, px, py, pz, energy):
    with np.errstate(divide="ignore", invalid="ignore"):
        pt = np.hypot(px, py)
        return {
            "pt": lambda: pt,
            "eta": lambda: np.arcsinh(pz / pt),
            "phi": lambda: np.arctan2(py, px),
            "mass": lambda: np.sqrt(np.maximum(energy**2 - pt**2 - pz**2, 0)),
        }[name]()


@pytest.mark.parametrize("name", ["pt", "eta", "phi"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_number_is_rounded_once(name, dtype):
    size = 40_001  # not a multiple of what is computed at a time
    px, py = RNG.normal(0, 20, (2, size)).astype(dtype)
    pz = (RNG.normal(0, 50, size) * 10.0 ** RNG.uniform(-3, 3, size)).astype(dtype)
    found = component(name, px, py, pz)
    assert found.dtype == dtype
    want = exact(name, *(each.astype(np.float64) for each in (px, py, pz)), None)
    np.testing.assert_allclose(found, want, rtol=4 * np.finfo(dtype).eps)


def test_masses():
    px, py, pz = RNG.normal(0, 20, (3, 1000)).astype(np.float32)
    mass = RNG.exponential(5, 1000)
    energy = np.sqrt(px.astype(float) ** 2 + py**2 + pz**2 + mass**2).astype(np.float32)
    found = component("mass", px, py, pz, energy)
    want = exact("mass", *(each.astype(float) for each in (px, py, pz, energy)))
    np.testing.assert_allclose(found, want, rtol=1e-6)
    below = component("mass", np.float32([3]), np.float32([4]), np.float32([0]), np.float32([1]))
    assert below == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_directions_without_transverse_momentum(dtype):
    zero = np.zeros(4, dtype)
    found = component("eta", zero, zero, np.array([5, -5, 0, np.nan], dtype))
    np.testing.assert_array_equal(found, [np.inf, -np.inf, 0, np.nan])


@pytest.mark.parametrize("name", ["eta", "phi"])
def test_quadrants_axes_and_what_is_not_finite(name):
    x = np.array([1, 1, -1, -1, 1, -1, 0, 0, 1e-30, 3e38, np.nan, 1, 1], np.float32)
    y = np.array([1, -1, 1, -1, 0, 0, 1, -1, 1e-30, 3e38, 1, np.nan, 1], np.float32)
    z = np.array([1, -1, 1, -1, 0, 2, 0, 1e9, 3e38, 1e-30, 1, 1, np.nan], np.float32)
    found = component(name, x, y, z)
    want = exact(name, *(each.astype(np.float64) for each in (x, y, z)), None)
    np.testing.assert_allclose(found, want.astype(np.float32), rtol=3e-7)
