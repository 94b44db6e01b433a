"""Calorimeter towers and the energy-flow combination of tracks and towers."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from fivesigma.detector.tracks import lognormal
from fivesigma.geometry import Calorimeter

__all__ = ["Neutrals", "Towers", "combine", "merge", "tower_numbers"]


class Neutrals(NamedTuple):
    """Energy beyond the tracks: arrays (M,), ordered by event."""

    event: np.ndarray
    tower: np.ndarray
    energy: np.ndarray
    eta: np.ndarray
    phi: np.ndarray


class Towers(NamedTuple):
    """What falls on a calorimeter: arrays (N,), one entry per particle, ordered by event.

    Attributes:
        number: of the tower that is hit, -1: outside the acceptance.
        energy: left in this calorimeter [GeV].
        track_energy: of the particle's track, as far as it explains energy here [GeV]; 0 without a
            track.
        track_sigma: its uncertainty [GeV].
    """

    number: np.ndarray
    energy: np.ndarray
    track_energy: np.ndarray
    track_sigma: np.ndarray


@njit(cache=True)
def _numbers(
    eta: np.ndarray, phi: np.ndarray, edges: np.ndarray, bins: np.ndarray, first: np.ndarray
) -> np.ndarray:
    out = np.full(eta.size, -1, np.int64)
    for i in range(eta.size):
        if edges[0] < eta[i] < edges[-1]:
            ring = np.searchsorted(edges, eta[i], side="right") - 1
            turn = (phi[i] + math.pi) / (2.0 * math.pi)
            out[i] = first[ring] + min(int(turn * bins[ring]), bins[ring] - 1)
    return out


def tower_numbers(calorimeter: Calorimeter, eta: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """Numbers (N,) of the towers that points (eta, phi) lie in, -1 outside the acceptance."""
    return _numbers(eta, phi, *calorimeter.towers)


@njit(cache=True)
def _sigma(energy: float, eta: float, table: np.ndarray) -> float:
    for k in range(table.shape[0]):
        if abs(eta) <= table[k, 0]:
            c, s, n = table[k, 1], table[k, 2], table[k, 3]
            scale = table[k, 4] + table[k, 5] * abs(eta) + table[k, 6] * eta * eta
            return scale * math.sqrt((c * energy) ** 2 + s * s * energy + n * n)
    return 0.0


@njit(cache=True)
def _combine(
    starts: np.ndarray,
    towers: tuple[np.ndarray, ...],
    grid: tuple[np.ndarray, ...],
    table: np.ndarray,
    cuts: tuple[float, float],
    gaussian: bool,
    rescale: bool,
    scale: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, ...]:
    number, deposit, track_energy, track_sigma = towers
    edges, bins, first = grid
    energy_min, significance_min = cuts
    slot_of = np.full(first[-1], -1, np.int64)
    n = number.size
    event_out, tower_out, energy_out = np.empty(n, np.int64), np.empty(n, np.int64), np.empty(n)
    eta_out, phi_out = np.empty(n), np.empty(n)
    tower = np.empty(n, np.int64)
    total, tracks, variance = np.empty(n), np.empty(n), np.empty(n)
    made = 0
    for event in range(starts.size - 1):
        used = 0
        for i in range(starts[event], starts[event + 1]):
            if number[i] < 0 or (deposit[i] <= 0.0 and track_energy[i] <= 0.0):
                continue
            slot = slot_of[number[i]]
            if slot < 0:
                slot = used
                slot_of[number[i]] = slot
                tower[slot] = number[i]
                total[slot], tracks[slot], variance[slot] = 0.0, 0.0, 0.0
                used += 1
            total[slot] += deposit[i]
            tracks[slot] += track_energy[i]
            variance[slot] += track_sigma[i] ** 2
        factor = np.ones(used)
        for slot in range(used):
            ring = np.searchsorted(first, tower[slot], side="right") - 1
            centre = 0.5 * (edges[ring] + edges[ring + 1])
            energy, sigma = 0.0, _sigma(total[slot], centre, table)
            if total[slot] > 0.0:
                noise = rng.standard_normal()
                if gaussian:
                    energy = max(0.0, total[slot] + sigma * noise)
                else:
                    energy = lognormal(total[slot], sigma / total[slot], noise)
                sigma = _sigma(energy, centre, table)
            if energy < energy_min or energy < significance_min * sigma:
                energy = 0.0
            excess = max(energy - tracks[slot], 0.0)
            spread = math.sqrt(variance[slot] + sigma * sigma)
            if excess > energy_min and excess > significance_min * spread:
                width = 2.0 * math.pi / bins[ring]
                event_out[made], tower_out[made], energy_out[made] = event, tower[slot], excess
                eta_out[made] = edges[ring] + rng.random() * (edges[ring + 1] - edges[ring])
                phi_out[made] = -math.pi + (tower[slot] - first[ring] + rng.random()) * width
                made += 1
            elif rescale and tracks[slot] > 0.0 and sigma > 0.0 and variance[slot] > 0.0:
                w_track, w_tower = 1.0 / variance[slot], 1.0 / (sigma * sigma)
                best = (w_track * tracks[slot] + w_tower * energy) / (w_track + w_tower)
                factor[slot] = best / tracks[slot]
        for i in range(starts[event], starts[event + 1]):
            if number[i] >= 0 and slot_of[number[i]] >= 0 and track_energy[i] > 0.0:
                scale[i] *= factor[slot_of[number[i]]]
        for slot in range(used):
            slot_of[tower[slot]] = -1
    return event_out[:made], tower_out[:made], energy_out[:made], eta_out[:made], phi_out[:made]


def combine(
    starts: np.ndarray,
    towers: Towers,
    calorimeter: Calorimeter,
    scale: np.ndarray,
    rng: np.random.Generator,
    *,
    rescale: bool = True,
) -> Neutrals:
    """Smear the towers' energies and settle with the tracks, tower by tower.

    With E the smeared energy of a tower and E_trk +- sigma_trk that of its tracks, the excess
    max(E - E_trk, 0) is a neutral particle if it passes the thresholds, its significance being
    excess / sqrt(sigma_trk^2 + sigma^2); otherwise the tracks move to the inverse-variance mean of
    E and E_trk.

    Args:
        starts: (events + 1,) first entry of each event.
        towers: what falls on the calorimeter.
        calorimeter: its grid, resolution and thresholds.
        scale: (N,) factors on the momenta of the tracks, multiplied in place.
        rng: source of randomness.
        rescale: False leaves the tracks as they are.

    Returns:
        The neutral particles, placed uniformly within their towers.
    """
    return Neutrals(
        *_combine(
            starts,
            towers,
            calorimeter.towers,
            calorimeter.resolution_table,
            (calorimeter.energy_min, calorimeter.significance_min),
            calorimeter.smearing == "gaussian",
            rescale,
            scale,
            rng,
        )
    )


def merge(ecal: Neutrals, hcal: Neutrals) -> tuple[Neutrals, np.ndarray]:
    """One neutral per tower from the two calorimeters' excesses, for presets whose towers are
    common to both.

    Args:
        ecal: excesses in the ECAL.
        hcal: excesses in the HCAL, on the same grid.

    Returns:
        The neutrals, and for each (M,) whether most of its energy is in the HCAL.
    """
    both = [np.concatenate(pair) for pair in zip(ecal, hcal, strict=True)]
    order = np.lexsort((both[1], both[0]))
    event, tower, energy, eta, phi = (column[order] for column in both)
    hadronic = np.where(order >= ecal.event.size, energy, 0.0)
    first = np.ones(event.size, dtype=bool)
    first[1:] = (event[1:] != event[:-1]) | (tower[1:] != tower[:-1])
    start = np.flatnonzero(first)
    if not start.size:
        return Neutrals(event, tower, energy, eta, phi), np.zeros(0, dtype=bool)
    total = np.add.reduceat(energy, start)
    merged = Neutrals(event[start], tower[start], total, eta[start], phi[start])
    return merged, np.add.reduceat(hadronic, start) > 0.5 * total
