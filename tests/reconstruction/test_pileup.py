"""The chain's objects in an event with and without pile-up, made by hand."""

import awkward as ak
import numpy as np
import pytest

from fivesigma.geometry import detector
from fivesigma.reconstruction.classical import ReconstructionOptions, physics_objects

KINDS = {"pt": "f4", "eta": "f4", "phi": "f4", "mass": "f4", "charge": "i1", "pdg_id": "i4",
         "pt_error": "f4", "vertex": "i2", "track": "i4", "d0": "f4", "dz": "f4"}  # fmt: skip


def particle(pt, eta, phi, *, charge=0, vertex=-1, number=None):
    number = number or (211 * charge if charge else 130)
    return (pt, eta, phi, 0.0, charge, number, 0.1 * pt, vertex, -1, 0.0, 0.0)


def jet(pt, eta, phi, share, vertex):
    """Neutral and charged hadrons in one direction."""
    return [particle((1 - share) * pt, eta, phi),
            particle(share * pt, eta + 0.01, phi, charge=1, vertex=vertex)]  # fmt: skip


def made(rows, **options):
    columns = np.array(sorted(rows, key=lambda row: -row[0])).T
    record = {k: c.astype(d) for (k, d), c in zip(KINDS.items(), columns, strict=True)}
    particles = ak.unflatten(ak.zip(record, with_name="Momentum4D"), [len(rows)])
    none = ak.Array([[{"pt": 1.0, "eta": 0.0, "phi": 0.0}]])[:, 1:]
    return physics_objects(
        particles, none, none, detector("atlas"),
        ReconstructionOptions(calibrate_jets=False, **options),
    )  # fmt: skip


HARD = jet(40.0, 0.5, 0.0, 0.6, 0)
OTHER = jet(40.0, -0.5, 2.0, 0.6, 3)
#: tracks of other collisions, far from both
CROWD = [particle(0.5, 2.3, 0.1 * k, charge=1, vertex=1 + k) for k in range(30)]
SOFT = [particle(5.0, -2.0, 1.0), particle(3.0, -1.8, -2.0, charge=1, vertex=0)]


def test_jets_of_other_collisions_are_dropped_by_their_tracks():
    found = made(HARD + OTHER + CROWD)["jets"][0]
    assert found.eta.to_list() == pytest.approx([0.5], abs=0.01)
    assert found.vertex_fraction.to_list() == pytest.approx([1.0])
    kept = made(HARD + OTHER + CROWD, vertex_fraction_min=0.0)["jets"][0]
    assert kept.vertex_fraction.to_list() == pytest.approx([1.0, 0.0])
    assert len(made(HARD + OTHER)["jets"][0]) == 2  # no pile-up: no cut


def test_hard_jets_need_no_tracks():
    neutral = [particle(60.0, 1.5, -1.0)]
    assert len(made(HARD + neutral + CROWD)["jets"][0]) == 2


def test_missing_momentum_with_pile_up_is_that_of_jets_and_tracks():
    expected = -np.array([40.0, 0.0]) - 3.0 * np.array([np.cos(-2.0), np.sin(-2.0)])
    forward = [particle(25.0, 3.5, 1.0)]
    met = made(HARD + OTHER + CROWD + SOFT + forward)["met"][0]
    found = met.pt * np.array([np.cos(met.phi), np.sin(met.phi)])
    np.testing.assert_allclose(found, expected, atol=0.05)
    quiet = made(HARD + SOFT + forward)["met"][0]
    assert quiet.sum_et == pytest.approx(40.0 + 5.0 + 3.0 + 25.0, rel=1e-3)
