"""Electrons and muons within energy flow: they are settled before hadrons."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from fivesigma.geometry.cells import Cells
from fivesigma.reconstruction.flow.subtraction import distance, take
from fivesigma.reconstruction.flow.table import Deposits, Tracks

__all__ = ["Matches", "electron_matches", "minimum_ionising", "take_minimum_ionising"]


class Matches(NamedTuple):
    """What lies where tracks meet the ECAL, each (T,).

    Attributes:
        energy: of the electromagnetic clusters of an electron with its bremsstrahlung, 0: none
            [GeV].
        behind: energy of other clusters close by in the HCAL [GeV].
        width: of the cluster that was hit.
        d_eta, d_phi: from the track to that cluster.
    """

    energy: np.ndarray
    behind: np.ndarray
    width: np.ndarray
    d_eta: np.ndarray
    d_phi: np.ndarray


@njit(cache=True)
def _turn(phi: float) -> float:
    return (phi + math.pi) % (2 * math.pi) - math.pi


@njit(cache=True)
def _radiated(tracks: Tracks, t: int, deposits: Deposits, c: int, cuts: tuple[float, ...]) -> bool:
    """Whether a cluster may be bremsstrahlung: between the track's direction at the beam line,
    where photons of early radiation go, and where it meets the calorimeter."""
    if abs(deposits.eta[c] - tracks.calo_eta[t]) > cuts[1]:
        return False
    bend = _turn(tracks.phi[t] - tracks.calo_phi[t])
    away = _turn(deposits.phi[c] - tracks.calo_phi[t])
    low, high = min(bend, 0.0) - cuts[2], max(bend, 0.0) + cuts[2]
    return low < away < high


@njit(cache=True)
def _matches(
    tracks: Tracks,
    deposits: Deposits,
    photon: np.ndarray,
    candidate: np.ndarray,
    cuts: tuple[float, ...],
) -> tuple[np.ndarray, np.ndarray]:
    """Features (5, T) and the track that takes each cluster (C,), -1: none."""
    n = tracks.p.size
    out, owner = np.zeros((5, n)), np.full(deposits.eta.size, -1, np.int64)
    for event in range(tracks.event.size - 1):
        first, last = tracks.event[event], tracks.event[event + 1]
        low, high = deposits.event[event], deposits.event[event + 1]
        for t in first + np.argsort(-tracks.pt[first:last]):
            if not candidate[t]:
                continue
            seed, nearest = -1, cuts[0]
            for c in range(low, high):
                apart = distance(
                    tracks.calo_eta[t], tracks.calo_phi[t], deposits.eta[c], deposits.phi[c]
                )
                if photon[c] and owner[c] < 0 and apart < nearest:
                    seed, nearest = c, apart
            if seed < 0:
                continue
            out[2, t] = deposits.width[seed]
            out[3, t] = deposits.eta[seed] - tracks.calo_eta[t]
            out[4, t] = _turn(deposits.phi[seed] - tracks.calo_phi[t])
            for c in range(low, high):
                if owner[c] >= 0:
                    continue
                apart = distance(
                    tracks.calo_eta[t], tracks.calo_phi[t], deposits.eta[c], deposits.phi[c]
                )
                if c == seed or (photon[c] and _radiated(tracks, t, deposits, c, cuts)):
                    out[0, t] += deposits.electromagnetic[c]
                    owner[c] = t
                elif apart < cuts[3]:
                    out[1, t] += deposits.energy[c] * (1.0 - deposits.em_fraction[c])
    return out, owner


def electron_matches(
    tracks: Tracks,
    deposits: Deposits,
    photon: np.ndarray,
    candidate: np.ndarray,
    *,
    seed: float = 0.05,
    d_eta: float = 0.02,
    d_phi: float = 0.08,
    around: float = 0.15,
) -> tuple[Matches, np.ndarray]:
    """Electromagnetic clusters that tracks point to, with those of their bremsstrahlung.

    Args:
        tracks: all tracks.
        deposits: all clusters.
        photon: (C,) clusters that look electromagnetic.
        candidate: (T,) tracks that may be electrons.
        seed: largest distance of the cluster that is hit.
        d_eta: further clusters up to this distance in eta belong to it,
        d_phi: and up to this distance in phi from the arc on which photons are radiated.
        around: radius about the track in which other energy is added up.

    Returns:
        What was found, and the track that each cluster belongs to (C,), -1: none.
    """
    found, owner = _matches(tracks, deposits, photon, candidate, (seed, d_eta, d_phi, around))
    return Matches(*found), owner


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
