"""Superclusters of electrons, their energies, and photons put together from their pieces."""

import awkward as ak
import numpy as np
import pytest

from fivesigma.geometry.calorimeters import ATLAS
from fivesigma.reconstruction.cluster_calibration import Calibration
from fivesigma.reconstruction.flow.leptons import Superclusters, electron_energies, superclusters
from fivesigma.reconstruction.flow.neutrals import from_vertex
from fivesigma.reconstruction.flow.table import Deposits, Tracks, track_table
from fivesigma.reconstruction.leptons import merged_photons, photons


def flat(value):
    return Calibration((1.0, 100.0), (0.0, 1.0), (0.0, 5.0), (value,) * 8)


def track(p, *, phi=0.0, calo_phi=0.0, error=0.01):
    zero, one = np.zeros(1), np.ones(1)
    return Tracks(
        np.array([0, 1]), p * one, error * p * one, p * one, zero, phi * one, -one, zero, zero,
        calo_phi * one, zero,
    )  # fmt: skip


def clusters(*rows):
    """Of (energy, eta, phi, share of the ECAL), one cell each."""
    energy, eta, phi, share = np.array(rows).T
    n = len(rows)
    return Deposits(
        np.array([0, n]), np.arange(n + 1), eta, phi, np.full(n, 0.02), np.full(n, 150.0), energy,
        energy, share, eta, phi, np.ones(n, np.int64), energy,
    )  # fmt: skip


def made(tracks, calo, photon=None):
    photon = np.ones(calo.eta.size, bool) if photon is None else np.array(photon)
    return superclusters(tracks, calo, photon, np.ones(1, bool))


def test_bremsstrahlung_lies_between_the_first_direction_and_the_hit():
    calo = clusters(
        (20.0, 0.0, 0.30, 1.0),  # where the electron arrives
        (10.0, 0.01, 0.05, 1.0),  # a photon radiated early, along the first tangent
        (5.0, 0.0, 0.50, 1.0),  # beyond the arc
        (5.0, 0.1, 0.20, 1.0),  # beside it in eta
    )
    found, owner = made(track(28.0, phi=0.0, calo_phi=0.3), calo)
    assert found.energy == pytest.approx([30.0])
    assert found.share == pytest.approx([2 / 3])
    assert owner.tolist() == [0, 0, -1, -1]


def test_the_seed_may_be_the_photon_when_the_track_bends_away():
    # the electron kept a twentieth of its momentum: its track meets the calorimeter far off
    calo = clusters((38.0, 0.0, 0.0, 1.0), (2.0, 0.0, 0.4, 1.0))
    found, _ = made(track(2.0, phi=0.0, calo_phi=0.4), calo)
    assert found.energy == pytest.approx([40.0])
    assert found.share == pytest.approx([0.95])


def test_an_electron_that_winds_up_arrives_far_off_in_eta_too():
    # between the tangent at eta 1.2 and the hit at 1.6 clusters lie on the way in both
    calo = clusters((40.0, 1.2, 0.0, 1.0), (5.0, 1.4, 0.5, 1.0), (9.0, 1.6, 0.0, 1.0))
    wound = track(2.0, phi=0.0, calo_phi=1.0)
    wound = wound._replace(calo_eta=np.array([1.6]), line_eta=np.array([1.2]))
    found, owner = made(wound, calo)
    assert found.energy == pytest.approx([45.0])
    assert owner.tolist() == [0, 0, -1]


@pytest.mark.parametrize(("eta", "dz"), [(0.3, 40.0), (-1.1, -60.0), (1.9, 50.0), (-2.4, 30.0)])
def test_photons_meet_the_calorimeter_where_the_vertex_sees_it(eta, dz):
    lists = {"pt": 20.0, "eta": eta, "phi": 0.1, "charge": 1.0, "dz": dz}
    lists |= {"calo_eta": eta, "calo_phi": 0.2}
    record = {name: np.array([value]) for name, value in lists.items()}
    covariance = ak.unflatten(np.ones(15), [15])
    tracks = ak.unflatten(ak.zip(record | {"covariance": covariance}, depth_limit=1), [1])
    table = track_table(tracks, ATLAS)
    seen = from_vertex(table.line_eta, np.zeros(1), np.array([dz]), ATLAS)
    assert seen == pytest.approx([eta], abs=1e-9)


def test_hadronic_energy_behind_is_added_up_and_no_seed_is_no_electron():
    calo = clusters((20.0, 0.0, 0.0, 1.0), (8.0, 0.05, 0.05, 0.25))
    found, _ = made(track(20.0), calo, [True, False])
    assert found.behind == pytest.approx([6.0])
    none, owner = made(track(20.0), calo, [False, False])
    assert none.energy == pytest.approx([0.0]) and (owner < 0).all()


def test_electrons_have_the_calibrated_energy_of_their_clusters():
    one = np.ones(1)
    found = Superclusters(50.0 * one, one, 0 * one, 0 * one)
    value, error = (each[0] for each in electron_energies(found, ATLAS, flat(1.1)))
    assert value == pytest.approx(55.0)
    assert error == pytest.approx(float(ATLAS.ecal.sigma(55.0, 0.0)))


def test_pieces_of_a_conversion_are_one_photon():
    columns = {
        "pt": [30.0, 10.0, 8.0, 5.0], "eta": [0.5, 0.51, 0.5, 0.9], "phi": [3.1, -3.1, 2.9, 0.0],
        "pt_error": [3.0, 4.0, 0.0, 1.0], "pdg_id": [22, 22, 130, 22], "charge": [0, 0, 0, 0],
        "vertex": [-1, -1, -1, -1], "mass": [0.0, 0.0, 0.0, 0.0],
    }  # fmt: skip
    particles = ak.unflatten(ak.zip(columns, with_name="Momentum4D"), [4])
    event, pt, _, phi, variance, behind, share = merged_photons(particles, 10.0).T
    assert event.tolist() == [0] and pt == pytest.approx([40.0])
    assert share == pytest.approx([0.75]) and variance == pytest.approx([25.0])
    assert behind == pytest.approx([0.0])  # the hadron is further than 0.1
    turned = (2 * np.pi - 6.2) * 0.25
    assert phi == pytest.approx([3.1 + turned], abs=1e-6)
    found = photons(particles, np.zeros((1, 2)), flat(1.02))
    assert found.pt[0].to_list() == pytest.approx([40.8])
