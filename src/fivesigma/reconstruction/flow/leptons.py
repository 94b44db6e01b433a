"""Electrons and muons within energy flow: they are settled before hadrons."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from fivesigma.geometry.cells import Cells
from fivesigma.reconstruction.cluster_calibration import Calibration
from fivesigma.reconstruction.flow.subtraction import distance, take
from fivesigma.reconstruction.flow.table import Deposits, Tracks

__all__ = [
    "Superclusters",
    "electron_energies",
    "minimum_ionising",
    "superclusters",
    "take_minimum_ionising",
]


class Superclusters(NamedTuple):
    """Electromagnetic clusters of an electron and of its bremsstrahlung, each (T,).

    Attributes:
        energy: their sum, 0: none [GeV].
        share: of the largest in it.
        eta: of the largest.
        behind: energy of clusters close by in the HCAL [GeV].
    """

    energy: np.ndarray
    share: np.ndarray
    eta: np.ndarray
    behind: np.ndarray


@njit(cache=True)
def _turn(phi: float) -> float:
    return (phi + math.pi) % (2 * math.pi) - math.pi


@njit(cache=True)
def _on_road(tracks: Tracks, t: int, deposits: Deposits, c: int, road: tuple[float, ...]) -> bool:
    """Whether a cluster lies where an electron and its photons go: between where the track's
    direction at the beam line points, as photons fly on along tangents, and where the track meets
    the calorimeter. In eta the one goes over into the other as in phi: an electron that kept
    little of its momentum winds up and arrives far off in both."""
    bend = _turn(tracks.phi[t] - tracks.calo_phi[t])
    away = _turn(deposits.phi[c] - tracks.calo_phi[t])
    if not min(bend, 0.0) - road[1] < away < max(bend, 0.0) + road[1]:
        return False
    share = min(max(away / bend, 0.0), 1.0) if bend != 0.0 else 0.0
    eta = tracks.calo_eta[t] + share * (tracks.line_eta[t] - tracks.calo_eta[t])
    return abs(deposits.eta[c] - eta) < road[0]


@njit(cache=True)
def _seed(
    tracks: Tracks, t: int, deposits: Deposits, free: np.ndarray, low: int, high: int,
    road: tuple[float, ...],
) -> int:  # fmt: skip
    """The free cluster on the road with the most energy, -1: none."""
    seed, most = -1, 0.0
    for c in range(low, high):
        if (
            free[c]
            and deposits.electromagnetic[c] > most
            and _on_road(tracks, t, deposits, c, road)
        ):
            seed, most = c, deposits.electromagnetic[c]
    return seed


@njit(cache=True)
def _superclusters(
    tracks: Tracks,
    deposits: Deposits,
    photon: np.ndarray,
    candidate: np.ndarray,
    seeds: tuple[float, ...],
    road: tuple[float, ...],
    around: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Columns (4, T) and the track that takes each cluster (C,), -1: none."""
    out = np.zeros((4, tracks.p.size))
    owner, free = np.full(deposits.eta.size, -1, np.int64), photon.copy()
    for event in range(tracks.event.size - 1):
        first, last = tracks.event[event], tracks.event[event + 1]
        low, high = deposits.event[event], deposits.event[event + 1]
        for t in first + np.argsort(-tracks.pt[first:last]):
            seed = _seed(tracks, t, deposits, free, low, high, seeds) if candidate[t] else -1
            if seed < 0:
                continue
            for c in range(low, high):
                if free[c] and (c == seed or _on_road(tracks, t, deposits, c, road)):
                    out[0, t] += deposits.electromagnetic[c]
                    owner[c], free[c] = t, False
            out[1, t] = deposits.electromagnetic[seed] / out[0, t]
            out[2, t] = deposits.eta[seed]
            for c in range(low, high):
                apart = distance(
                    deposits.eta[seed], deposits.phi[seed], deposits.eta[c], deposits.phi[c]
                )
                if apart < around:
                    out[3, t] += deposits.energy[c] * (1.0 - deposits.em_fraction[c])
    return out, owner


def superclusters(
    tracks: Tracks,
    deposits: Deposits,
    photon: np.ndarray,
    candidate: np.ndarray,
    *,
    seed: tuple[float, float] = (0.02, 0.03),
    road: tuple[float, float] = (0.03, 0.15),
    around: float = 0.15,
) -> tuple[Superclusters, np.ndarray]:
    """Electromagnetic clusters that tracks point to, with those of their bremsstrahlung.

    Args:
        tracks: all tracks.
        deposits: all clusters.
        photon: (C,) clusters that look electromagnetic.
        candidate: (T,) tracks that may be electrons.
        seed: how far in eta and phi the largest cluster may be beside the arc on which photons
            are radiated,
        road: and how far all others, as in photons' strips; conversions of radiated photons spread
            in phi.
        around: radius about the largest cluster in which energy in the HCAL is added up.

    Returns:
        What was found, and the track that each cluster belongs to (C,), -1: none.
    """
    found, owner = _superclusters(tracks, deposits, photon, candidate, seed, road, around)
    return Superclusters(*found), owner


def electron_energies(
    found: Superclusters, cells: Cells, table: Calibration
) -> tuple[np.ndarray, np.ndarray]:
    """Energies of electrons (T,) and their errors [GeV], from the clusters alone.

    What electrons lose on their way and leave outside clusters is made good on average. The track
    does not count: it is fitted as that of a particle that does not radiate, and its mean with the
    energy, where both agree, is no better and up to 0.6 % lower.

    Args:
        found: the clusters of each track.
        cells: the calorimeters.
        table: factors in the energy, the share of the largest cluster and |eta|.
    """
    energy = found.energy * table.factor(found.energy, found.share, found.eta)
    return energy, cells.ecal.sigma(energy, found.eta)


def minimum_ionising(cells: Cells) -> np.ndarray:
    """Energy that a muon leaves in ECAL and HCAL at normal incidence (2,) [GeV]."""
    grid, total = cells.grid, np.zeros(2)
    for depth, thickness in enumerate(np.diff(grid.mm)):
        section = cells.section(depth)
        total[0 if grid.ecal[depth] else 1] += section.material.stopping * thickness
    return total


@njit(cache=True)
def take_minimum_ionising(
    tracks: Tracks,
    deposits: Deposits,
    muons: np.ndarray,
    left: np.ndarray,
    amount: float,
    hcal: int,
    cone: float,
) -> None:
    """Take what a muon leaves on average out of the cells close to its track, in place."""
    chosen = np.empty(deposits.eta.size, np.int64)
    for event in range(tracks.event.size - 1):
        for t in range(tracks.event[event], tracks.event[event + 1]):
            if not muons[t]:
                continue
            n = 0
            for c in range(deposits.event[event], deposits.event[event + 1]):
                apart = distance(
                    tracks.calo_eta[t], tracks.calo_phi[t], deposits.eta[c], deposits.phi[c]
                )
                if apart < cone:
                    chosen[n] = c
                    n += 1
            take(amount, tracks, t, deposits, chosen[:n], left, hcal, (0.03, 0.1), 1.5)
