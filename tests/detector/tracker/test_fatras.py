"""The same particles through the TrackML geometry by ACTS' Fatras: hits, scattering, energy loss.

Needs `pyacts`, here or in another environment that wrote the folder $FIVESIGMA_FATRAS with
`python tests/helpers/fatras.py FOLDER`.
"""

import importlib.util
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fivesigma.detector.flow import Particles
from fivesigma.detector.tracker import track_through
from fivesigma.geometry.helix import advance, curvature
from fivesigma.geometry.layers import Barrel
from fivesigma.geometry.trackers import TRACKML

pytestmark = pytest.mark.slow


def without_interactions(layout):
    """Fatras, as ACTS sets it up, has no nuclear interactions."""
    layers = tuple(
        replace(layer, material=replace(layer.material, interaction=0.0))
        for layer in layout.layers
    )
    return replace(layout, layers=layers)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    if "FIVESIGMA_FATRAS" in os.environ:
        return Path(os.environ["FIVESIGMA_FATRAS"])
    if importlib.util.find_spec("acts") is None:
        pytest.skip("no pyacts and no folder $FIVESIGMA_FATRAS")
    out = tmp_path_factory.mktemp("fatras")
    subprocess.run(
        [sys.executable, Path(__file__).parents[2] / "helpers" / "fatras.py", out], check=True
    )
    return out


def read(folder, name):
    """Their particles as ours, their hits, and the row of each hit's particle."""
    table = [
        np.genfromtxt(folder / name / f"event000000000-{part}.csv", delimiter=",", names=True)
        for part in ("particles", "hits")
    ]
    particles, hits = table
    number = {int(k): i for i, k in enumerate(particles["particle_id_part"])}
    hits = hits[hits["particle_id_gen"] + hits["particle_id_subpart"] == 0]
    rows = np.array([number[int(k)] for k in hits["particle_id_part"]])
    n = len(particles)
    ours = Particles(
        np.arange(n), np.zeros(n, int), particles["particle_type"].astype(int), particles["q"],
        particles["m"], *(particles[k] for k in ("px", "py", "pz", "vx", "vy", "vz")),
    )  # fmt: skip
    return ours, hits, rows


@pytest.fixture(scope="module")
def samples(folder):
    layout = without_interactions(TRACKML)
    out = {}
    for name in ("pions", "muons_1", "muons_10"):
        particles, hits, rows = read(folder, name)
        signals = track_through(particles, layout, np.random.default_rng(3), noise=0)
        out[name] = particles, hits, rows, signals
    return out


def _map(x, y, z):
    """Layers of hits by their place, as counts for each layer."""
    r, counts = np.hypot(x, y), {}
    for layer in TRACKML.layers:
        if layer.sensor is None:
            continue
        if isinstance(layer, Barrel):
            here = (np.abs(r - layer.radius) < 5) & (np.abs(z) < layer.half_length + 10)
        else:
            here = (np.abs(z - layer.z) < 8) & (r > layer.r_min - 5) & (r < layer.r_max + 5)
        counts[layer.name.rstrip("0123456789")] = (
            counts.get(layer.name.rstrip("0123456789"), 0) + here.sum()
        )
    return counts


def test_hits_per_pion_and_their_map(samples):
    particles, theirs, _, signals = samples["pions"]
    own = ~signals.hits["secondary"]
    n = particles.event.size
    assert own.sum() / n == pytest.approx(len(theirs) / n, rel=0.03)
    ours = _map(*(signals.hits[k][own] for k in ("tx", "ty", "tz")))
    reference = _map(theirs["tx"], theirs["ty"], theirs["tz"])
    for name, count in reference.items():
        assert ours[name] == pytest.approx(count, rel=0.10, abs=3 * count**0.5), name


def _away(particles, rows, x, y, z):
    """Distance of hits on a barrel from the helix of the start, along phi and z [mm]."""
    out = np.empty((2, x.size))
    for k, i in enumerate(rows):
        pt = np.hypot(particles.px[i], particles.py[i])
        ux, uy = particles.px[i] / pt, particles.py[i] / pt
        kappa = curvature(particles.charge[i], TRACKML.field, pt)
        chord = np.hypot(x[k], y[k])
        path = 2 / kappa * np.arcsin(kappa * chord / 2)
        px, py, _, _ = advance(0.0, 0.0, ux, uy, kappa, path)
        out[0, k] = (px * y[k] - py * x[k]) / chord
        out[1, k] = z[k] - path * particles.pz[i] / pt
    return out


@pytest.mark.parametrize("name", ["muons_1", "muons_10"])
@pytest.mark.parametrize("radius", [172.0, 500.0, 1020.0])
def test_scattering(samples, name, radius):
    """68 % width of the distance from the unscattered helix, at three radii."""
    particles, theirs, rows, signals = samples[name]
    hits = signals.hits
    width = []
    for who, x, y, z in (
        (rows, theirs["tx"], theirs["ty"], theirs["tz"]),
        (hits["event"], hits["tx"], hits["ty"], hits["tz"]),
    ):
        eta = np.arcsinh(particles.pz / np.hypot(particles.px, particles.py))
        here = (np.abs(np.hypot(x, y) - radius) < 5) & (np.abs(eta[who]) < 0.9)
        away = _away(particles, who[here], x[here], y[here], z[here])
        low, high = np.quantile(away, (0.159, 0.841), axis=1)
        width.append((high - low) / 2)
    assert width[1] == pytest.approx(width[0], rel=0.10)


def _lost(particles, theirs, rows, low, high):
    """Mean energy lost before central hits at these radii, without the 5 % that lose most."""
    radius = np.hypot(theirs["tx"], theirs["ty"])
    eta = np.arcsinh(particles.pz / np.hypot(particles.px, particles.py))
    here = (radius > low) & (radius < high) & (np.abs(eta[rows]) < 0.9)
    lost = (particles.energy[rows] - theirs["te"])[here]
    return lost[lost < np.quantile(lost, 0.95)].mean()


def test_energy_loss_in_passive_material(samples):
    """Beam pipe, and beam pipe with support tube; the silicon of that ACTS release takes none."""
    particles, theirs, rows, _ = samples["muons_1"]
    eta = np.arcsinh(particles.pz / np.hypot(particles.px, particles.py))
    central = particles.take(np.abs(eta) < 0.9)
    both = TRACKML.layers[0], TRACKML.layers[TRACKML.number("support tube")]
    for layers, reach in ((both[:1], (25, 40)), (both, (250, 270))):
        alone = replace(TRACKML, layers=layers)
        ours = track_through(central, alone, np.random.default_rng(4)).ledger.deposited
        ours = ours[ours < np.quantile(ours, 0.95)].mean()
        assert ours == pytest.approx(_lost(particles, theirs, rows, *reach), rel=0.10)
