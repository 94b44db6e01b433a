"""The tracker presets: the open TrackML geometry module by module, helices against surfaces."""

import csv
import gzip
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from fivesigma.geometry.helix import advance, curvature, perigee, to_cylinder
from fivesigma.geometry.layers import Barrel, Disc, Layout, Sensor, Thickness
from fivesigma.geometry.surfaces import surfaces
from fivesigma.geometry.trackers import TRACKML

REAL_DATA = Path(os.environ.get("FIVESIGMA_REAL_DATA", "../shared/data"))


@pytest.fixture(scope="module")
def modules():
    path = REAL_DATA / "trackml" / "detectors.csv.gz"
    if not path.exists():
        pytest.skip(f"no {path}")
    with gzip.open(path, "rt") as file:
        rows = list(csv.DictReader(file))
    names = ("volume_id", "layer_id", "cx", "cy", "cz", "module_t", "module_hv")
    return {name: np.array([float(row[name]) for row in rows]) for name in names}


def test_trackml_has_the_modules_of_the_challenge(modules):
    assert TRACKML.modules == modules["cx"].size == 18_728
    ours = Counter(layer.modules for layer in TRACKML.layers if layer.sensor)
    pairs = zip(modules["volume_id"], modules["layer_id"], strict=True)
    assert ours == Counter(Counter(pairs).values())


def test_trackml_layers_stand_where_the_modules_are(modules):
    radius = np.hypot(modules["cx"], modules["cy"])
    for layer in TRACKML.layers:
        if layer.sensor is None:
            continue
        if isinstance(layer, Barrel):
            near = np.isin(modules["volume_id"], (8, 13, 17))
            near &= np.abs(radius - layer.radius) < 2
            assert abs(np.abs(modules["cz"][near]).max() - layer.half_length) < 60
        else:
            near = np.abs(modules["cz"] - layer.z) < 6
            near &= (radius > layer.r_min) & (radius < layer.r_max)
            radii = np.unique(radius[near].round(0))
            assert np.allclose(radii, [ring.radius for ring in layer.rings], atol=1)
        assert near.sum() == layer.modules
        assert np.allclose(modules["module_t"][near], layer.sensor.thickness)


def test_thickness_in_radiation_lengths():
    """The check values of the notes: 1.57 % a pixel layer, 0.23 % the beam pipe."""
    assert Thickness.silicon(1.5).radiation == pytest.approx(0.0157, abs=5e-5)
    assert Thickness.beryllium(0.8).radiation == pytest.approx(0.0023, abs=5e-5)


@pytest.mark.parametrize("pt", [0.2, 1.0, 100.0])
@pytest.mark.parametrize("charge", [-1.0, 0.0, 1.0])
def test_helix_meets_the_cylinder(pt, charge):
    kappa = curvature(charge, 2.0, pt)
    x, y, ux, uy = 3.0, -5.0, np.cos(0.7), np.sin(0.7)
    path = to_cylinder(x, y, ux, uy, kappa, 150.0, False)
    px, py, vx, vy = advance(x, y, ux, uy, kappa, path)
    assert np.hypot(px, py) == pytest.approx(150.0, rel=1e-9)
    assert np.hypot(vx, vy) == pytest.approx(1.0, rel=1e-12)
    # a positive charge turns clockwise
    assert np.sign(ux * vy - uy * vx) == -np.sign(charge)


def test_helix_too_tight_for_the_cylinder():
    kappa = curvature(1.0, 2.0, 0.1)  # radius 167 mm
    assert np.isinf(to_cylinder(0.0, 0.0, 1.0, 0.0, kappa, 400.0, False))
    assert np.isfinite(to_cylinder(0.0, 0.0, 1.0, 0.0, kappa, 330.0, False))


def test_perigee_of_a_circle():
    """d0 is the distance of the circle from the axis, negative where the origin lies right."""
    kappa = curvature(-1.0, 2.0, 1.0)
    x, y, ux, uy = advance(0.0, 2.0, 1.0, 0.0, kappa, 40.0)
    d0, path, vx, vy = perigee(x, y, ux, uy, kappa)
    assert (d0, path, vx, vy) == pytest.approx((-2.0, -40.0, 1.0, 0.0), abs=1e-9)


def test_layers_outside_their_cylinder_are_refused():
    far = Barrel("far", 900.0, 100.0, Thickness.silicon(1.0), Sensor(0.01, 0.1))
    with pytest.raises(ValueError, match="far outside the cylinder of radius 800"):
        surfaces(Layout("small", 800.0, 1000.0, 2.0, (far,)))
    disc = Disc("deep", -1200.0, 10.0, 50.0, Thickness.silicon(1.0))
    with pytest.raises(ValueError, match="deep outside"):
        surfaces(Layout("short", 800.0, 1000.0, 2.0, (disc,)))


def test_unknown_layer_is_named():
    assert TRACKML.number("beam pipe") == 0
    with pytest.raises(ValueError, match="no layer 'pixel'"):
        TRACKML.number("pixel")
