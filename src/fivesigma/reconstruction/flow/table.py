"""Clusters and tracks as flat arrays, as the compiled loops of energy flow take them."""

from __future__ import annotations

from typing import NamedTuple

import awkward as ak
import numpy as np

from fivesigma.geometry.cells import Cells
from fivesigma.reconstruction.cluster_calibration import load

__all__ = ["EM_FRACTION", "Deposits", "Tracks", "deposits", "track_table"]

#: share of the energy in the ECAL up from which clusters may be photons or electrons
EM_FRACTION = 0.9


class Deposits(NamedTuple):
    """Clusters (C,) of all events and the shares of cells (S,) that they are made of.

    Attributes:
        event: (E + 1,) first cluster of each event.
        starts: (C + 1,) first share of each cluster.
        eta, phi: (C,) directions from the origin.
        width: (C,) root mean square distance of the cells.
        depth: (C,) distance behind the front [mm].
        energy: (C,) calibrated for hadrons [GeV].
        electromagnetic: (C,) calibrated for electrons and photons, those with less than
            `EM_FRACTION` in the ECAL as if they had it [GeV].
        em_fraction: (C,) share of the energy in the ECAL.
        cell_eta, cell_phi: (S,) centres of the cells.
        cell_depth: (S,) their depths.
        cell_energy: (S,) shares of energy, calibrated for hadrons [GeV].
    """

    event: np.ndarray
    starts: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    width: np.ndarray
    depth: np.ndarray
    energy: np.ndarray
    electromagnetic: np.ndarray
    em_fraction: np.ndarray
    cell_eta: np.ndarray
    cell_phi: np.ndarray
    cell_depth: np.ndarray
    cell_energy: np.ndarray


class Tracks(NamedTuple):
    """Tracks (T,) of all events.

    Attributes:
        event: (E + 1,) first track of each event.
        p: momenta [GeV].
        error: of the momenta [GeV].
        pt, eta, phi, charge, dz: of the tracks at the beam line.
        calo_eta, calo_phi: where they meet the calorimeter.
        line_eta: where a photon along their first direction meets it.
    """

    event: np.ndarray
    p: np.ndarray
    error: np.ndarray
    pt: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    charge: np.ndarray
    dz: np.ndarray
    calo_eta: np.ndarray
    calo_phi: np.ndarray
    line_eta: np.ndarray


def _flat(lists: ak.Array, name: str) -> np.ndarray:
    return ak.to_numpy(ak.flatten(lists[name])).astype(np.float64)


def _offsets(lists: ak.Array) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(ak.to_numpy(ak.num(lists)))]).astype(np.int64)


def deposits(clusters: ak.Array, cells: ak.Array, geometry: Cells) -> Deposits:
    """Flat clusters, calibrated both ways, and their shares of cells.

    Args:
        clusters: lists per event with the fields of `clusters`, of which `calibrated` is for
            hadrons.
        cells: the cells that they refer to.
        geometry: the calorimeters, for the calibration of electrons and photons.
    """
    event = _offsets(clusters)
    energy, calibrated, share, eta = (
        _flat(clusters, name) for name in ("energy", "calibrated", "em_fraction", "eta")
    )
    table = load(geometry.name, "electromagnetic")
    electromagnetic = energy * table.factor(energy, np.maximum(share, EM_FRACTION), eta)
    flat = ak.flatten(clusters)
    counts = ak.to_numpy(ak.num(flat["cells"]))
    owner = np.repeat(np.arange(len(counts)), counts)
    of_event = np.repeat(np.arange(len(clusters)), np.diff(event))
    first = _offsets(cells)[of_event]
    row = ak.to_numpy(ak.flatten(flat["cells"])).astype(np.int64) + first[owner]
    weight = ak.to_numpy(ak.flatten(flat["weights"])).astype(np.float64)
    scale = calibrated / np.maximum(energy, 1e-9)
    return Deposits(
        event,
        np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        eta,
        _flat(clusters, "phi"),
        _flat(clusters, "width"),
        _flat(clusters, "depth"),
        calibrated,
        electromagnetic,
        share,
        _flat(cells, "eta")[row],
        _flat(cells, "phi")[row],
        _flat(cells, "depth")[row].astype(np.int64),
        weight * _flat(cells, "energy")[row] * scale[owner],
    )


def track_table(tracks: ak.Array, geometry: Cells) -> Tracks:
    """Flat tracks with the errors of their momenta.

    Args:
        tracks: lists per event with the fields of `events.FIELDS["tracks"]`.
        geometry: the calorimeters, for where photons meet them.
    """
    pt, eta, dz = (_flat(tracks, name) for name in ("pt", "eta", "dz"))
    p = pt * np.cosh(eta)
    lower = ak.to_numpy(ak.flatten(tracks.covariance)).astype(np.float64).reshape(-1, 15)
    names = ("phi", "charge", "dz", "calo_eta", "calo_phi")
    columns = [*(_flat(tracks, name) for name in names), _line(eta, dz, geometry)]
    return Tracks(_offsets(tracks), p, p**2 * np.sqrt(lower[:, 14]), pt, eta, *columns)


def _line(eta: np.ndarray, dz: np.ndarray, geometry: Cells) -> np.ndarray:
    """Pseudorapidities (T,), from the origin, where straight lines from z = dz on the beam line
    meet the calorimeters: the barrel, or an end cap if that comes first."""
    slope = np.sinh(eta)
    end = np.copysign(geometry.half_length, slope)
    across = np.abs(end - dz) / np.maximum(np.abs(slope), 1e-9)
    barrel = (dz + geometry.radius * slope) / geometry.radius
    return np.arcsinh(np.where(across > geometry.radius, barrel, end / np.maximum(across, 1e-9)))
