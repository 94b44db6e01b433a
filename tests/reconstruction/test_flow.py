"""Energy flow on hand-made clusters: what tracks explain is taken, what is left is neutral."""

import awkward as ak
import numpy as np
import pytest

from fivesigma.geometry.calorimeters import ATLAS
from fivesigma.reconstruction.flow.neutrals import from_vertex, neutrals
from fivesigma.reconstruction.flow.subtraction import subtract
from fivesigma.reconstruction.flow.table import Deposits, Tracks
from fivesigma.reconstruction.surroundings import density, isolation
from fivesigma.reconstruction.vertices import find_vertices


def one_track(p):
    zero, one = np.zeros(1), np.ones(1)
    return Tracks(np.array([0, 1]), p * one, 0.01 * p * one, p * one, *(zero,) * 7)


def one_cluster(energies, etas, depths):
    energies, n = np.array(energies), len(energies)
    one = np.ones(1)
    return Deposits(
        np.array([0, 1]), np.array([0, n]), 0 * one, 0 * one, 0.05 * one, 300 * one,
        energies.sum() * one, energies.sum() * one, 0.5 * one,
        np.array(etas), np.zeros(n), np.array(depths), energies,
    )  # fmt: skip


def left(track, cluster, sigma):
    none = np.zeros(1, bool)
    return subtract(track, cluster, none, none, np.array([sigma]), cluster.cell_energy, 3)


def test_energy_within_the_fluctuations_belongs_to_the_track():
    found = left(one_track(10.0), one_cluster([6.0, 5.5], [0.0, 0.05], [1, 3]), 2.0)
    assert found.left == pytest.approx([0.0, 0.0])
    assert found.linked == pytest.approx([11.5])
    assert found.touched[0]


def test_an_excess_stays_in_the_cells_far_from_the_track():
    found = left(one_track(10.0), one_cluster([4.0, 6.0, 8.0], [0.0, 0.01, 0.1], [1, 3, 1]), 2.0)
    assert found.left == pytest.approx([0.0, 0.0, 8.0])


def test_clusters_far_away_are_not_taken():
    found = left(
        one_track(10.0), one_cluster([5.0], [0.0], [1])._replace(eta=np.array([0.5])), 2.0
    )
    assert found.left == pytest.approx([5.0])
    assert not found.touched[0]


def test_directions_from_a_displaced_vertex():
    eta = from_vertex(np.array([0.0, 1.0]), np.zeros(2), np.array([115.0, 0.0]), ATLAS)
    assert eta == pytest.approx([-np.arcsinh(0.1), 1.0])


def test_photons_have_their_direction_from_the_finest_cells_and_hadrons_from_all():
    calo = one_cluster([3.0, 7.0], [0.1, 0.2], [0, 1])  # strips are eight times finer
    none = np.zeros(1, bool)
    of = {
        photon: neutrals(calo, calo.cell_energy, none, np.array([photon]), ATLAS, (0.3, 0.5)).eta[
            0
        ]
        for photon in (True, False)
    }
    assert of[True] == pytest.approx(0.1, abs=0.005)
    assert of[False] == pytest.approx(0.17)


def test_vertices_come_by_falling_sum_of_squares_and_own_their_tracks():
    z = np.array([0.0, 0.1, -0.1, 40.0, 40.1, 39.9, -70.0])
    pt = np.array([1.0, 1.0, 1.0, 20.0, 5.0, 5.0, 3.0])
    tracks = ak.Array(
        [[{"pt": p, "dz": at, "dz_error": 0.1} for p, at in zip(pt, z, strict=True)]]
    )
    found, owner = find_vertices(tracks)
    assert found[0].to_list() == pytest.approx([40.0, 0.0], abs=0.05)
    assert owner[0].to_list() == [1, 1, 1, 0, 0, 0, -1]


def test_isolation_leaves_out_the_object_and_other_collisions():
    names = ("pt", "eta", "phi", "charge", "vertex")
    rows = [
        (50, 0, 0, 1, 0),
        (5, 0.1, 0, 1, 0),
        (9, 0.1, 0, 1, 2),
        (4, 0, 0.2, 0, -1),
        (7, 1, 0, 0, -1),
    ]
    particles = ak.Array([[dict(zip(names, map(float, row), strict=True)) for row in rows]])
    found = isolation(particles[:, :1], particles, np.zeros((1, 2)))
    assert found[0, 0] == pytest.approx((5 + 4) / 50)
    # most patches are empty
    assert density(particles).tolist() == [[0.0, 0.0]]
