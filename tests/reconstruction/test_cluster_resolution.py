"""Calibrated clusters of single particles against the presets' published formulae."""

import awkward as ak
import numpy as np
import pytest

from fivesigma.detector.calorimeter.deposit import deposit
from fivesigma.detector.calorimeter.guns import gun
from fivesigma.detector.calorimeter.readout import ReadoutOptions, read_out
from fivesigma.geometry.calorimeters import ATLAS
from fivesigma.reconstruction.cluster_calibration import calibrate
from fivesigma.reconstruction.clusters import clusters

PARTICLES = 400


def near(objects, particles, radius):
    """Those of each event within so much of its particle."""
    eta = np.arcsinh(particles.z / np.hypot(particles.x, particles.y))
    phi = np.arctan2(particles.y, particles.x)
    apart = np.hypot(objects.eta - eta, (objects.phi - phi + np.pi) % (2 * np.pi) - np.pi)
    return objects[apart < radius]


def cells_of(number, energy, seed, options=None):
    """Particles in the barrel and their cells."""
    rng = np.random.default_rng(seed)
    particles = gun(number, energy, rng.uniform(-1.3, 1.3, PARTICLES), ATLAS, rng)
    contributions = deposit(particles, ATLAS, rng).contributions
    return particles, read_out(contributions, PARTICLES, ATLAS, rng, options)


def published(section, energy):
    _, c, s, n, *_ = section.resolution[0]
    return np.sqrt(c**2 + s**2 / energy + (n / energy) ** 2)


@pytest.mark.slow
@pytest.mark.parametrize("energy", [10.0, 20.0, 50.0, 100.0, 200.0])
def test_electrons(energy):
    particles, cells = cells_of(11, energy, 1)
    found = calibrate(clusters(cells, ATLAS), ATLAS, "electromagnetic")
    measured = ak.to_numpy(ak.sum(near(found, particles, 0.1)[:, :1].calibrated, axis=1))
    width = measured.std() / measured.mean()
    assert measured.mean() / energy == pytest.approx(1, abs=0.02)
    # 10 % and two standard deviations of a width from 400 particles
    assert width == pytest.approx(published(ATLAS.ecal, energy), rel=0.10 + 2 * 0.035)


@pytest.mark.slow
@pytest.mark.parametrize("energy", [20.0, 50.0, 100.0, 200.0])
def test_pions_are_linear_and_resolved_no_worse_than_published(energy):
    particles, cells = cells_of(-211, energy, 2)
    found = calibrate(clusters(cells, ATLAS), ATLAS)
    measured = ak.to_numpy(ak.sum(near(found, particles, 0.4).calibrated, axis=1))
    width = measured.std() / measured.mean()
    error = width / np.sqrt(PARTICLES)
    assert measured.mean() / energy == pytest.approx(1, abs=0.02 + 2 * error)
    assert width < 1.17 * published(ATLAS.hcal, energy)
    assert width > 0.75 * published(ATLAS.hcal, energy)


def test_all_cells_about_a_pion_hold_the_published_noise():
    # without zero suppression only cells with signal are written: noise from the table of cells
    variance = 0.0
    for depth, number in enumerate(ATLAS.n_cells):
        every = np.arange(number)
        eta, phi = ATLAS.centres(np.full(number, depth), every)
        inside = np.hypot(eta - 0.3, phi) < 0.4
        variance += (ATLAS.noise(np.full(inside.sum(), depth), every[inside]) ** 2).sum()
    published_noise = ATLAS.hcal.resolution[0][3]
    assert np.sqrt(variance) == pytest.approx(published_noise, rel=0.10)


def test_noise_alone_makes_few_clusters():
    quiet = ReadoutOptions()
    _, cells = cells_of(12, 5.0, 3, quiet)  # neutrinos
    found = clusters(cells[:60], ATLAS)
    per_event = ak.mean(ak.num(found))
    # one-sided tail beyond 4 sigma and the two-sided seeds of 195 000 cells
    assert 5 < ATLAS.n_cells.sum() * 3.17e-5 < 7
    assert 2 < per_event < 8
