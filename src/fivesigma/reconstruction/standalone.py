"""Muons of the muon system alone: segments joined from station to station, and fitted."""

from __future__ import annotations

import math
from typing import NamedTuple

import awkward as ak
import numpy as np
from numba import njit

from fivesigma.geometry.passage import X0, advance, highland, path_to
from fivesigma.geometry.stations import MuonSystem, Tables
from fivesigma.reconstruction.segmentfit import fit_segments
from fivesigma.units import CURVATURE

__all__ = ["Standalone", "standalone_muons"]

#: segments are joined down to this transverse momentum in the muon system [GeV]
_SOFTEST = 2.0


class Standalone(NamedTuple):
    """Muons seen by the muon system, parameters at the beam line; all arrays (M, ...).

    Attributes:
        event: index of the event.
        theta, phi: direction [rad].
        qoverp: [1/GeV], energy loss in the calorimeters added.
        z: on the beam line [mm].
        covariance: (M, 4, 4) of (theta, phi, q/p, z).
        chi2: of the fit.
        segments: (M, S) index of the segment of each station in the event's list, -1: none.
        truth: that of most of its segments, -1: noise.
    """

    event: np.ndarray
    theta: np.ndarray
    phi: np.ndarray
    qoverp: np.ndarray
    z: np.ndarray
    covariance: np.ndarray
    chi2: np.ndarray
    segments: np.ndarray
    truth: np.ndarray


@njit(cache=True)
def _distance(
    here: np.ndarray, there: np.ndarray, endcap: int, stations: tuple[int, int], tables: Tables
) -> float:
    """Distance of a segment from where another points to, in units of what is allowed."""
    state = np.zeros(7)
    state[:6] = here
    first, last = stations
    path = path_to(state, endcap, tables.positions[endcap, last])
    if path < 0.0:
        return math.inf
    advance(state, path)
    share = tables.shares[endcap, first:last].sum() * np.abs(tables.power[:, 1]).max()
    iron = tables.iron[endcap, first:last].sum()
    bent = 0.5 * CURVATURE * share / _SOFTEST
    spread = 4.0 * highland(_SOFTEST, iron / X0)
    errors = tables.errors[endcap]
    along = path * (bent + spread + 5.0 * errors[1]) + 10.0 * errors[0]
    across = path * (spread + 5.0 * errors[3]) + 10.0 * errors[2]
    r = math.hypot(there[0], there[1])
    dx, dy = there[0] - state[0], there[1] - state[1]
    azimuthal = (dy * there[0] - dx * there[1]) / r
    surface = (dx * there[0] + dy * there[1]) / r if endcap else there[2] - state[2]
    if not tables.toroid:
        along, across = across, along
    return max(abs(surface) / along, abs(azimuthal) / across)


@njit(cache=True)
def _join(
    starts: np.ndarray,
    station: np.ndarray,
    endcap: np.ndarray,
    values: np.ndarray,
    tables: Tables,
) -> tuple[np.ndarray, np.ndarray]:
    """Chains of at least two segments (M, S) and the event of each (M,).

    From the inside outwards, each segment takes the nearest free one that it points to.
    """
    stations = tables.positions.shape[1]
    chains = np.full((station.size, stations), -1)
    event = np.zeros(station.size, np.int64)
    free = np.ones(station.size, np.bool_)
    m = 0
    for e in range(starts.size - 1):
        for first in range(stations - 1):
            for seed in range(starts[e], starts[e + 1]):
                if station[seed] != first or not free[seed]:
                    continue
                chains[m, first] = last = seed
                for k in range(first + 1, stations):
                    best, nearest = -1, 1.0
                    for other in range(starts[e], starts[e + 1]):
                        if station[other] != k or not free[other] or endcap[other] != endcap[seed]:
                            continue
                        pair = (station[last], k)
                        away = _distance(values[last], values[other], endcap[seed], pair, tables)
                        if away < nearest:
                            best, nearest = other, away
                    if best >= 0:
                        chains[m, k] = last = best
                if last == seed:
                    chains[m, first] = -1
                    continue
                for k in range(first, stations):
                    if chains[m, k] >= 0:
                        free[chains[m, k]] = False
                event[m] = e
                m += 1
    return chains[:m], event[:m]


def _majority(truth: np.ndarray, chains: np.ndarray) -> np.ndarray:
    """The truth index that most segments of each chain have (M,)."""
    if not len(chains):
        return np.zeros(0, np.int64)
    linked = np.where(chains >= 0, truth[chains], -2)
    votes = (linked[:, :, None] == linked[:, None, :]).sum(axis=2) * (linked != -2)
    return linked[np.arange(len(chains)), votes.argmax(axis=1)]


def standalone_muons(
    segments: ak.Array, system: MuonSystem, beam_spot: float = 50.0
) -> Standalone:
    """Find and fit muons in the muon system.

    Args:
        segments: one list per event, with the fields of `events.FIELDS["segments"]`.
        system: the muon system that they are from.
        beam_spot: standard deviation of the collisions' z, which the fit uses [mm].

    Returns:
        The muons, in the order of events.
    """
    flat = ak.flatten(segments, axis=1)
    column = {name: flat[name].to_numpy() for name in flat.fields}
    names = ("x", "y", "z", "ux", "uy", "uz")
    values = np.stack([column[name].astype(np.float64) for name in names], axis=1)
    errors = np.stack([column["position_error"], column["angle_error"]], 1).astype(np.float64)
    starts = np.concatenate([[0], np.cumsum(ak.num(segments).to_numpy())])
    station, tables = column["station"].astype(np.int64), system.tables
    radial = np.abs(np.hypot(values[:, 0], values[:, 1]) - tables.positions[0, station])
    axial = np.abs(np.abs(values[:, 2]) - tables.positions[1, station])
    endcap = (radial > axial).astype(np.int64)
    chains, event = _join(starts, station, endcap, values, tables)
    region = endcap[chains.max(axis=1)] if len(chains) else np.zeros(0, np.int64)
    parameters, covariance, chi2 = fit_segments(
        values, errors, chains, region, tables, float(beam_spot)
    )
    good = np.isfinite(chi2) & (np.abs(parameters[:, 0] - np.pi / 2) < np.pi / 2)
    theta, phi, qoverp, z = parameters[good].T
    local = np.where(chains >= 0, chains - starts[event][:, None], -1)[good]
    return Standalone(
        event[good], theta, (phi + np.pi) % (2 * np.pi) - np.pi, qoverp, z, covariance[good],
        chi2[good], local, _majority(column["truth"], chains[good]),
    )  # fmt: skip
