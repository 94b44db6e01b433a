"""Muons: tracks of the muon system, combined with those of the tracker.

A muon of the muon system takes the track whose (dz, phi, theta, q/p) is nearest in chi2, and both
are averaged with their covariances if they agree; if not, the track alone counts. A muon from a
decay in flight, one that radiated in the calorimeters, or a hadron that punched through shows in
`match_chi2` and `balance`: its momenta in tracker and muon system differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import awkward as ak
import numpy as np

from fivesigma.events import momenta
from fivesigma.geometry.stations import MuonSystem
from fivesigma.reconstruction.standalone import Standalone, standalone_muons
from fivesigma.units import mass

__all__ = ["MuonFinding", "dimuon_masses", "reconstruct_muons"]

_DTYPES = {"charge": np.int8, "track": np.int32, "segments": np.int8, "truth": np.int32}
#: entries of a symmetric 5 x 5 matrix in a list of its lower triangle
_LOWER = np.array(
    [[max(i, j) * (max(i, j) + 1) // 2 + min(i, j) for j in range(5)] for i in range(5)]
)


@dataclass(frozen=True)
class MuonFinding:
    """How muons are found.

    Attributes:
        combine_chi2_max: both momenta are averaged up to here, for four degrees of freedom.
        match_chi2_max: tracks that match worse are not taken.
        cone: nor are those further away in azimuth or pseudorapidity.
        track_pt_min: nor are softer ones [GeV].
        fit_chi2_max: chi2 per degree of freedom of the segments' fit.
        beam_spot: standard deviation of the collisions' z [mm].
    """

    combine_chi2_max: float = 25.0
    match_chi2_max: float = 250.0
    cone: float = 0.4
    track_pt_min: float = 1.5
    fit_chi2_max: float = 20.0
    beam_spot: float = 50.0


def _tracks(tracks: ak.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First row of each event (E + 1,), parameters (N, 5) and covariances (N, 5, 5)."""
    starts = np.concatenate([[0], np.cumsum(ak.num(tracks).to_numpy())])
    flat = ak.flatten(tracks, axis=1)
    columns = {
        name: flat[name].to_numpy().astype(np.float64)
        for name in ("d0", "dz", "phi", "eta", "pt", "charge")
    }
    theta = 2.0 * np.arctan(np.exp(-columns["eta"]))
    qoverp = columns["charge"] / np.maximum(columns["pt"], 1e-6) * np.sin(theta)
    parameters = np.stack([columns["d0"], columns["dz"], columns["phi"], theta, qoverp], axis=1)
    lower = ak.flatten(flat.covariance).to_numpy().astype(np.float64).reshape(-1, 15)
    return starts, parameters, lower[:, _LOWER]


def _pairs(
    alone: Standalone, starts: np.ndarray, parameters: np.ndarray, options: MuonFinding
) -> tuple[np.ndarray, np.ndarray]:
    """Muons and tracks of the same event close to each other: rows of both (P,)."""
    counts = np.diff(starts)[alone.event]
    muon = np.repeat(np.arange(counts.size), counts)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    track = starts[alone.event][muon] + np.arange(muon.size) - first
    phi, theta, qoverp = parameters[track, 2], parameters[track, 3], parameters[track, 4]
    turned = np.abs(np.angle(np.exp(1j * (phi - alone.phi[muon]))))
    tilted = np.abs(np.log(np.tan(theta / 2) / np.tan(alone.theta[muon] / 2)))
    pt = np.sin(theta) / np.maximum(np.abs(qoverp), 1e-9)
    near = (turned < options.cone) & (tilted < options.cone) & (pt > options.track_pt_min)
    return muon[near], track[near]


def _difference(
    alone: Standalone, muon: np.ndarray, parameters: np.ndarray, covariance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Muon system minus tracker in (dz, phi, theta, q/p) (P, 4), and its covariance (P, 4, 4)."""
    order = [3, 1, 0, 2]  # of (theta, phi, q/p, z)
    measured = np.stack([alone.z, alone.phi, alone.theta, alone.qoverp], axis=1)[muon]
    difference = measured - parameters[:, 1:]
    difference[:, 1] = np.angle(np.exp(1j * difference[:, 1]))
    spread = alone.covariance[muon][:, order][:, :, order]
    return difference, spread + covariance[:, 1:, 1:]


def _best(muon: np.ndarray, track: np.ndarray, chi2: np.ndarray) -> np.ndarray:
    """Rows of pairs, the best first, in which every muon and every track stands once."""
    order = np.argsort(chi2, kind="stable")
    for column in (muon, track):
        _, first = np.unique(column[order], return_index=True)
        order = order[np.sort(first)]
    return order


def _combine(
    difference: np.ndarray, spread: np.ndarray, parameters: np.ndarray, covariance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The precision-weighted mean (P, 5) of tracks and muon system, and its covariance (P, 5, 5).

    x = x_t + K (m - H x_t), K = C_t H^T (H C_t H^T + C_m)^-1, the Kalman filter's update.
    """
    gain = covariance[:, :, 1:] @ np.linalg.inv(spread)
    mean = parameters + np.einsum("pij,pj->pi", gain, difference)
    reduced = covariance - gain @ covariance[:, 1:, :]
    return mean, 0.5 * (reduced + reduced.transpose(0, 2, 1))


def _pt_error(theta: np.ndarray, qoverp: np.ndarray, covariance: np.ndarray) -> np.ndarray:
    """Standard deviation of pT = sin(theta) / |q/p| from that of (theta, q/p) (N, 2, 2) [GeV]."""
    slopes = np.stack([np.cos(theta), -np.sin(theta) / qoverp], axis=1) / np.abs(qoverp)[:, None]
    return np.sqrt(np.einsum("ni,nij,nj->n", slopes, covariance, slopes))


def _columns(alone: Standalone) -> dict[str, np.ndarray]:
    """All fields of muons that have no track."""
    n = alone.event.size
    pt = np.sin(alone.theta) / np.abs(alone.qoverp)
    error = _pt_error(alone.theta, alone.qoverp, alone.covariance[:, [0, 2]][:, :, [0, 2]])
    found = (alone.segments >= 0).sum(axis=1)
    return {
        "pt": pt,
        "eta": -np.log(np.tan(alone.theta / 2)),
        "phi": alone.phi,
        "mass": np.full(n, mass(13)),
        "charge": np.sign(alone.qoverp),
        "d0": np.zeros(n),
        "dz": alone.z,
        "pt_error": error,
        "standalone_pt": pt.copy(),
        "standalone_error": error.copy(),
        "track": np.full(n, -1),
        "segments": found,
        "fit_chi2": alone.chi2 / (3 * found - 3),
        "match_chi2": np.full(n, -1.0),
        "balance": np.zeros(n),
        "truth": alone.truth,
    }


def reconstruct_muons(
    segments: ak.Array,
    tracks: ak.Array,
    system: MuonSystem,
    options: MuonFinding | None = None,
) -> ak.Array:
    """Muons of the muon system, with the tracker's track where one matches.

    Args:
        segments: one list per event, fields of `events.FIELDS["segments"]`.
        tracks: one list per event, with `covariance`.
        system: the muon system that the segments are from.
        options: of the matching.

    Returns:
        One list per event, sorted by descending pT: `pt eta phi mass charge d0 dz`, combined where
        there is a track; `pt_error` [GeV]; `standalone_pt`, `standalone_error` of the muon system
        alone [GeV]; `track`, index into `tracks` or -1; `segments`, their number; `fit_chi2` per
        degree of freedom of the segments; `match_chi2` (4 degrees of freedom, -1: no track);
        `balance`, (|q/p| of the muon system - |q/p| of the tracker) over its error; `truth`.

    Raises:
        ValueError: different numbers of events.
    """
    options = options or MuonFinding()
    if len(segments) != len(tracks):
        message = f"segments of {len(segments)} events but tracks of {len(tracks)}"
        raise ValueError(message)
    alone = standalone_muons(segments, system, options.beam_spot)
    good = alone.chi2 < options.fit_chi2_max * (3 * (alone.segments >= 0).sum(axis=1) - 3)
    alone = Standalone(*(column[good] for column in alone))
    columns = _columns(alone)
    starts, parameters, covariance = _tracks(tracks)
    muon, track = _pairs(alone, starts, parameters, options)
    difference, spread = _difference(alone, muon, parameters[track], covariance[track])
    chi2 = np.einsum("pi,pij,pj->p", difference, np.linalg.inv(spread), difference)
    best = _best(muon, track, chi2)
    best = best[chi2[best] < options.match_chi2_max]
    muon, track = muon[best], track[best]
    agree = chi2[best] < options.combine_chi2_max
    mean, reduced = parameters[track], covariance[track]
    mean[agree], reduced[agree] = _combine(
        difference[best][agree], spread[best][agree], mean[agree], reduced[agree]
    )
    theta, qoverp = mean[:, 3], mean[:, 4]
    side = np.sign(parameters[track, 4])
    matched = {
        "pt": np.sin(theta) / np.abs(qoverp),
        "eta": -np.log(np.tan(theta / 2)),
        "phi": np.angle(np.exp(1j * mean[:, 2])),
        "charge": np.sign(qoverp),
        "d0": mean[:, 0],
        "dz": mean[:, 1],
        "pt_error": _pt_error(theta, qoverp, reduced[:, 3:, 3:]),
        "track": track - starts[alone.event[muon]],
        "match_chi2": chi2[best],
        "balance": side * difference[best, 3] / np.sqrt(spread[best, 3, 3]),
    }
    for name, values in matched.items():
        columns[name][muon] = values
    order = np.lexsort((-columns["pt"], alone.event))
    records = {
        name: column[order].astype(_DTYPES.get(name, np.float32))
        for name, column in columns.items()
    }
    return ak.unflatten(ak.zip(records), np.bincount(alone.event, minlength=len(segments)))


def dimuon_masses(muons: ak.Array) -> ak.Array:
    """Invariant masses of all pairs of opposite charge, one list per event [GeV].

    Args:
        muons: one list per event with `pt eta phi mass charge`.
    """
    first, second = ak.unzip(ak.combinations(momenta(muons), 2))
    return (first + second).mass[first.charge * second.charge < 0]
