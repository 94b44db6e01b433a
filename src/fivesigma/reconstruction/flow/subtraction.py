"""What charged hadrons leave in the calorimeters is taken out of the clusters, cell by cell.

The idea is that of ATLAS (arXiv:1703.10485): tracks in falling pT take the clusters nearest to
them; if these hold not more than expected within the fluctuations, all of it belongs to the track;
if they hold more, the expected energy is taken from the cells nearest to the track, and what is
left belongs to neutral particles. Links, order of cells and thresholds are our own choice.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from fivesigma.reconstruction.flow.table import Deposits, Tracks

__all__ = ["Subtraction", "distance", "subtract", "take"]

_MOST = 64  # clusters that are looked at for a track


class Subtraction(NamedTuple):
    """What is left, and what tracks were linked to.

    Attributes:
        left: (S,) energies of the shares of cells that no track explains [GeV].
        touched: (C,) whether a track took energy from a cluster.
        linked: (T,) energy of the clusters that a track was linked to, before it took its own; 0
            where other tracks have taken part of it [GeV].
        expected: (T,) error of the energy expected in the calorimeters [GeV].
    """

    left: np.ndarray
    touched: np.ndarray
    linked: np.ndarray
    expected: np.ndarray


@njit(cache=True)
def distance(eta: float, phi: float, other_eta: float, other_phi: float) -> float:
    """Distance in (eta, phi)."""
    turned = abs(phi - other_phi)
    if turned > math.pi:
        turned = 2 * math.pi - turned
    return math.hypot(eta - other_eta, turned)


@njit(cache=True)
def _near(
    tracks: Tracks,
    t: int,
    deposits: Deposits,
    low: int,
    high: int,
    photon: np.ndarray,
    cone: float,
    core: float,
) -> np.ndarray:
    """Clusters that may be the track's, nearest first in units of their widths."""
    found, score = np.empty(_MOST, np.int64), np.empty(_MOST)
    n = 0
    for c in range(low, high):
        apart = distance(tracks.calo_eta[t], tracks.calo_phi[t], deposits.eta[c], deposits.phi[c])
        if apart > cone or (photon[c] and apart > core) or n == _MOST:
            continue
        found[n], score[n] = c, apart / max(deposits.width[c], 0.05)
        n += 1
    return found[:n][np.argsort(score[:n])]


@njit(cache=True)
def take(
    amount: float,
    tracks: Tracks,
    t: int,
    deposits: Deposits,
    chosen: np.ndarray,
    left: np.ndarray,
    hcal: int,
    spread: tuple[float, float],
    far: float,
) -> None:
    """Take an energy from the cells nearest to the track; negative cells go with their cluster."""
    total = 0
    for c in chosen:
        total += deposits.starts[c + 1] - deposits.starts[c]
    rows, apart = np.empty(total, np.int64), np.empty(total)
    n = 0
    for c in chosen:
        for s in range(deposits.starts[c], deposits.starts[c + 1]):
            if left[s] <= 0.0:
                continue
            rows[n] = s
            wide = spread[1] if deposits.cell_depth[s] >= hcal else spread[0]
            apart[n] = (
                distance(
                    tracks.calo_eta[t],
                    tracks.calo_phi[t],
                    deposits.cell_eta[s],
                    deposits.cell_phi[s],
                )
                / wide
            )
            n += 1
    for k in np.argsort(apart[:n]):
        if amount <= 0.0 or apart[k] > far:
            break
        taken = min(left[rows[k]], amount)
        left[rows[k]] -= taken
        amount -= taken


@njit(cache=True)
def _subtract(
    tracks: Tracks,
    deposits: Deposits,
    skip: np.ndarray,
    photon: np.ndarray,
    expected: np.ndarray,
    left: np.ndarray,
    hcal: int,
    cuts: tuple[float, float, float],
    spread: tuple[float, float],
) -> tuple[np.ndarray, np.ndarray]:
    excess, cone, core = cuts
    touched = np.zeros(deposits.eta.size, np.bool_)
    variance, linked = np.zeros(deposits.eta.size), np.zeros(tracks.p.size)
    held = np.empty(deposits.eta.size)
    for c in range(held.size):
        held[c] = left[deposits.starts[c] : deposits.starts[c + 1]].sum()
    for event in range(tracks.event.size - 1):
        first, last = tracks.event[event], tracks.event[event + 1]
        low, high = deposits.event[event], deposits.event[event + 1]
        for t in first + np.argsort(-tracks.pt[first:last]):
            if skip[t]:
                continue
            near = _near(tracks, t, deposits, low, high, photon, cone, core)
            energy, spare, n, fresh = 0.0, expected[t] ** 2, 0, True
            for c in near:
                if held[c] <= 0.0:
                    continue
                if n > 0 and energy > tracks.p[t] - expected[t]:
                    break
                near[n] = c
                n += 1
                energy += held[c]
                spare += variance[c]
                fresh = fresh and not touched[c]
            chosen = near[:n]
            if fresh:
                linked[t] = energy
            whole = energy <= tracks.p[t] + excess * math.sqrt(spare)
            if not whole:
                take(tracks.p[t], tracks, t, deposits, chosen, left, hcal, spread, math.inf)
            for c in chosen:
                a, b = deposits.starts[c], deposits.starts[c + 1]
                if whole:
                    left[a:b] = 0.0
                held[c] = left[a:b].sum()
                touched[c] = True
                variance[c] += expected[t] ** 2 / n
    return touched, linked


def subtract(
    tracks: Tracks,
    deposits: Deposits,
    skip: np.ndarray,
    photon: np.ndarray,
    expected: np.ndarray,
    left: np.ndarray,
    hcal: int,
    *,
    excess: float = 1.0,
    cone: float = 0.2,
    core: float = 0.03,
    spread: tuple[float, float] = (0.03, 0.1),
) -> Subtraction:
    """Take out of the clusters what tracks of charged hadrons explain.

    Args:
        tracks: all tracks.
        deposits: all clusters.
        skip: (T,) tracks of muons and electrons, and those that are left out.
        photon: (C,) clusters that look like photons: only tracks that hit them take them.
        expected: (T,) resolution of the calorimeters at the track's momentum [GeV].
        left: (S,) energies to start from [GeV]; not changed.
        hcal: first depth of the HCAL.
        excess: neutral energy counts beyond so many standard deviations.
        cone: clusters up to this distance in (eta, phi) may be the track's.
        core: clusters that look like photons up to this one.
        spread: distances in ECAL and HCAL that count the same when cells are taken.
    """
    rest = left.copy()
    touched, linked = _subtract(
        tracks, deposits, skip, photon, expected, rest, hcal, (excess, cone, core), spread
    )
    return Subtraction(rest, touched, linked, expected)
