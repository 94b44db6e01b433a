"""Energy flow: tracks, clusters and muons combined into one list of particles.

Muons come first, with the energy that they leave in the calorimeters, then electrons with their
bremsstrahlung; charged hadrons take what they explain of the clusters (`subtraction`), and what is
left is photons and neutral hadrons (`neutrals`).
"""

from __future__ import annotations

from dataclasses import dataclass

import awkward as ak
import numpy as np

from fivesigma.geometry.cells import Cells, Section
from fivesigma.reconstruction.cluster_calibration import load
from fivesigma.reconstruction.flow.leptons import (
    Superclusters,
    electron_energies,
    minimum_ionising,
    superclusters,
    take_minimum_ionising,
)
from fivesigma.reconstruction.flow.neutrals import neutrals, photon_like
from fivesigma.reconstruction.flow.particles import charged, neutral, particle_lists
from fivesigma.reconstruction.flow.subtraction import subtract
from fivesigma.reconstruction.flow.table import Tracks, deposits, track_table

__all__ = ["FlowOptions", "energy_flow"]

#: energy taken from the cells about a muon over what is minimum ionising
_MUON_ENERGY = 1.2
#: of a hadron's clusters [GeV]
_NOISE = 0.5


@dataclass(frozen=True)
class FlowOptions:
    """Cuts of `energy_flow`.

    Attributes:
        excess: neutral energy counts beyond so many standard deviations of what tracks explain.
        cone: clusters up to this distance in (eta, phi) may be a track's.
        core: clusters that look like photons up to this one.
        photon_min: photons with less transverse energy are dropped [GeV].
        hadron_min: so are neutral hadrons [GeV].
        electron_pt_min: softer tracks are no electrons [GeV].
        electron_ratio: smallest and largest energy of the clusters over momentum of electrons;
            what has more is a photon that a soft track points to.
        electron_leakage: largest energy in the HCAL over that of the clusters.
        muon_chi2: tracks that match the muon system worse are no muons.
    """

    excess: float = 1.0
    cone: float = 0.2
    core: float = 0.03
    photon_min: float = 0.3
    hadron_min: float = 0.5
    electron_pt_min: float = 2.0
    electron_ratio: tuple[float, float] = (0.75, 10.0)
    electron_leakage: float = 0.05
    muon_chi2: float = 50.0


def energy_flow(
    tracks: ak.Array,
    clusters: ak.Array,
    cells: ak.Array,
    muons: ak.Array,
    geometry: Cells,
    vertices: ak.Array,
    options: FlowOptions = FlowOptions(),  # noqa: B008
) -> ak.Array:
    """The particles of each event.

    Args:
        tracks: lists per event, with `vertex`, the index of their collision.
        clusters: lists per event, `calibrated` for hadrons.
        cells: lists per event that the clusters refer to.
        muons: lists per event, from `reconstruct_muons`.
        geometry: the calorimeters.
        vertices: lists of z of collisions per event, that of the hard one first [mm].
        options: cuts.

    Returns:
        One list per event with the fields of `events.FIELDS["particles"]`, by falling pT.
    """
    table, calo = track_table(tracks, geometry), deposits(clusters, cells, geometry)
    photon = photon_like(calo, geometry)
    hcal = int(np.count_nonzero(geometry.grid.ecal))
    left = calo.cell_energy.copy()
    muon = _muon_of_tracks(muons, table, options)
    amount = _MUON_ENERGY * float(minimum_ionising(geometry).sum())
    take_minimum_ionising(table, calo, muon >= 0, left, amount, hcal, 0.3)
    candidate = (muon < 0) & (table.pt > options.electron_pt_min)
    found, owner = superclusters(table, calo, photon, candidate)
    electron = _electrons(found, table, options)
    gone = owner >= 0
    gone[gone] = electron[owner[gone]]
    left[np.repeat(gone, np.diff(calo.starts))] = 0.0
    expected = _resolution(geometry.hcal, table.p, table.eta, _NOISE)
    rest = subtract(
        table, calo, (muon >= 0) | electron, photon, expected, left, hcal,
        excess=options.excess, cone=options.cone, core=options.core,
    )  # fmt: skip
    minimum = (options.photon_min, options.hadron_min)
    beside = neutrals(calo, rest.left, rest.touched, photon, geometry, minimum)
    sigma = np.where(
        beside.photon,
        _resolution(geometry.ecal, beside.energy, beside.eta, 0.0),
        _resolution(geometry.hcal, beside.energy, beside.eta, _NOISE),
    )
    z = ak.to_numpy(ak.fill_none(ak.firsts(vertices), 0.0))
    electrons = electron_energies(found, geometry, load(geometry.name, "electrons"))
    parts = [
        charged(tracks, table, muons, muon, electrons, electron, rest),
        neutral(beside, calo, z, sigma, geometry),
    ]
    return particle_lists(parts, len(tracks))


def _muon_of_tracks(muons: ak.Array, table: Tracks, options: FlowOptions) -> np.ndarray:
    """The row of the muon that each track belongs to (T,), -1: none."""
    event = np.repeat(np.arange(len(muons)), ak.to_numpy(ak.num(muons)))
    track, chi2 = (ak.to_numpy(ak.flatten(muons[name])) for name in ("track", "match_chi2"))
    good = (track >= 0) & (chi2 < options.muon_chi2)
    out = np.full(table.p.size, -1)
    out[table.event[event[good]] + track[good]] = np.flatnonzero(good)
    return out


def _electrons(found: Superclusters, table: Tracks, options: FlowOptions) -> np.ndarray:
    """Tracks that are electrons (T,)."""
    low, high = options.electron_ratio
    enough = (found.energy > low * table.p) & (found.energy < high * table.p)
    return enough & (found.behind < options.electron_leakage * found.energy)


def _resolution(section: Section, energy: np.ndarray, eta: np.ndarray, noise: float) -> np.ndarray:
    """Resolution of clusters (N,) [GeV]."""
    constant, sampling = section.terms(np.abs(eta))
    return np.sqrt((constant * energy) ** 2 + sampling**2 * energy + noise**2)
