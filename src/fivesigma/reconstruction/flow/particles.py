"""The list of particles, from muons, electrons, charged hadrons and what is neutral."""

from __future__ import annotations

import awkward as ak
import numpy as np

from fivesigma.events import FIELDS
from fivesigma.geometry.cells import Cells
from fivesigma.reconstruction.flow.neutrals import Neutrals, from_vertex
from fivesigma.reconstruction.flow.subtraction import Subtraction
from fivesigma.reconstruction.flow.table import Deposits, Tracks
from fivesigma.units import mass

__all__ = ["charged", "neutral", "particle_lists"]

Columns = dict[str, np.ndarray]
_PION = mass(211)


def charged(
    tracks: ak.Array,
    table: Tracks,
    muons: ak.Array,
    muon: np.ndarray,
    electrons: tuple[np.ndarray, np.ndarray],
    electron: np.ndarray,
    rest: Subtraction,
) -> Columns:
    """One particle for each track: muon, electron or charged hadron.

    Muons have the momenta of both systems, electrons those of `electron_energies`. Hadrons have
    the mean of track and calorimeter, weighted by precision, where the calorimeter is not much
    worse, the clusters were theirs alone and both agree within three standard deviations.
    """
    flat = ak.flatten(tracks)
    columns = {name: ak.to_numpy(flat[name]).astype(np.float64) for name in _OF_TRACKS}
    stretch = np.cosh(table.eta)
    error = np.hypot(table.error, rest.expected)
    both = (rest.linked > 0) & (np.abs(rest.linked - table.p) < 3 * error)
    both &= table.error > 0.5 * rest.expected
    weight = np.where(both, table.error**2 / np.maximum(error**2, 1e-12), 0.0)
    p = table.p + weight * (rest.linked - table.p)
    sigma = table.error * np.sqrt(1 - weight)
    p, sigma = np.where(electron, electrons, (p, sigma))
    is_muon = muon >= 0
    of_muons = ak.flatten(muons)
    pt, pt_error = p / stretch, sigma / stretch
    for name, column in (("pt", pt), ("pt_error", pt_error)):
        column[is_muon] = ak.to_numpy(of_muons[name])[muon[is_muon]]
    number = np.where(is_muon, -13, np.where(electron, -11, 211)) * columns["charge"]
    event = np.repeat(np.arange(len(tracks)), np.diff(table.event))
    return columns | {
        "event": event,
        "pt": pt,
        "pt_error": pt_error,
        "mass": np.select([is_muon, electron], [mass(13), mass(11)], _PION),
        "pdg_id": number,
        "track": np.arange(table.p.size) - table.event[event],
    }


def neutral(
    found: Neutrals, calo: Deposits, z: np.ndarray, expected: np.ndarray, geometry: Cells
) -> Columns:
    """Photons and neutral hadrons, massless, seen from the hard collision.

    Args:
        found: what is neutral.
        calo: the clusters.
        z: (E,) of the hard collision [mm].
        expected: (M,) errors of the energies [GeV].
        geometry: the calorimeters.
    """
    event = np.searchsorted(calo.event, found.cluster, side="right") - 1
    eta = from_vertex(found.eta, found.depth, z[event], geometry)
    zero = np.zeros(event.size)
    return {
        "event": event,
        "pt": found.energy / np.cosh(eta),
        "eta": eta,
        "phi": found.phi,
        "mass": zero,
        "pt_error": expected / np.cosh(eta),
        "pdg_id": np.where(found.photon, 22, 130),
        "track": zero - 1,
        "vertex": zero - 1,
    } | dict.fromkeys(("charge", "d0", "dz", "d0_error", "dz_error"), zero)


def particle_lists(parts: list[Columns], n_events: int) -> ak.Array:
    """One list per event by falling pT."""
    event = np.concatenate([part["event"] for part in parts])
    pt = np.concatenate([part["pt"] for part in parts])
    order = np.lexsort((-pt, event))
    records = {
        name: np.concatenate([part[name] for part in parts])[order].astype(field.dtype)
        for name, field in FIELDS["particles"].items()
    }
    return ak.unflatten(
        ak.zip(records, with_name="Momentum4D"), np.bincount(event, minlength=n_events)
    )


_OF_TRACKS = ("eta", "phi", "charge", "d0", "dz", "d0_error", "dz_error", "vertex")
