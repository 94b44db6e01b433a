"""Calibrated clusters of single particles against the presets' published formulae."""

import awkward as ak
import numpy as np
import pytest

from fivesigma.detector.calorimeter.deposit import deposit
from fivesigma.detector.calorimeter.guns import gun
from fivesigma.detector.calorimeter.readout import read_out
from fivesigma.geometry.calorimeters import ATLAS, CMS
from fivesigma.reconstruction.cluster_calibration import calibrate
from fivesigma.reconstruction.clusters import clusters

PARTICLES = 400
#: statistical error of a width from so many particles
WIDTH_ERROR = 1 / np.sqrt(2 * PARTICLES)
ENERGIES = (10.0, 20.0, 50.0, 100.0, 200.0)
PRESETS = [pytest.param(ATLAS, id="atlas"), pytest.param(CMS, id="cms")]


def near(objects, particles, radius):
    """Those of each event within so much of its particle."""
    eta = np.arcsinh(particles.z / np.hypot(particles.x, particles.y))
    phi = np.arctan2(particles.y, particles.x)
    apart = np.hypot(objects.eta - eta, (objects.phi - phi + np.pi) % (2 * np.pi) - np.pi)
    return objects[apart < radius]


def cells_of(number, energy, seed, geometry=ATLAS):
    """Particles in the barrel, their |eta| and their cells."""
    rng = np.random.default_rng(seed)
    eta = rng.uniform(-1.3, 1.3, PARTICLES)
    particles = gun(number, energy, eta, geometry, rng)
    contributions = deposit(particles, geometry, rng).contributions
    return particles, np.abs(eta), read_out(contributions, PARTICLES, geometry, rng)


def width(measured, energy, eta, section):
    """Standard deviation of departures from the mean over the published resolution."""
    return ((measured / measured.mean() - 1) * energy / section.sigma(energy, eta)).std()


@pytest.mark.slow
@pytest.mark.parametrize("energy", ENERGIES)
@pytest.mark.parametrize("geometry", PRESETS)
def test_electrons_are_linear_and_resolved_as_published(geometry, energy):
    particles, eta, cells = cells_of(11, energy, 1, geometry)
    found = calibrate(clusters(cells, geometry), geometry, "electromagnetic")
    measured = ak.to_numpy(ak.sum(near(found, particles, 0.1)[:, :1].calibrated, axis=1))
    error = measured.std() / measured.mean() / np.sqrt(PARTICLES)
    assert measured.mean() / energy == pytest.approx(1, abs=0.02 + 2 * error)
    assert width(measured, energy, eta, geometry.ecal) == pytest.approx(
        1, abs=0.10 + 2 * WIDTH_ERROR
    )


@pytest.mark.slow
@pytest.mark.parametrize("energy", ENERGIES)
@pytest.mark.parametrize("geometry", PRESETS)
def test_pions_are_linear_and_resolved_as_published(geometry, energy):
    particles, eta, cells = cells_of(-211, energy, 2, geometry)
    found = calibrate(clusters(cells, geometry), geometry)
    measured = ak.to_numpy(ak.sum(near(found, particles, 0.4).calibrated, axis=1))
    error = measured.std() / measured.mean() / np.sqrt(PARTICLES)
    assert measured.mean() / energy == pytest.approx(1, abs=0.02 + 2 * error)
    assert width(measured, energy, eta, geometry.hcal) == pytest.approx(
        1, abs=0.10 + 2 * WIDTH_ERROR
    )


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
    _, _, cells = cells_of(12, 5.0, 3)  # neutrinos
    found = clusters(cells[:60], ATLAS)
    per_event = ak.mean(ak.num(found))
    # one-sided tail beyond 4 sigma and the two-sided seeds of 195 000 cells
    assert 5 < ATLAS.n_cells.sum() * 3.17e-5 < 7
    assert 2 < per_event < 8
