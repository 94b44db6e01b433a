"""Electrons, muons and photons: particles of energy flow with their isolation."""

from __future__ import annotations

import math

import awkward as ak
import numpy as np
from numba import njit

from fivesigma.reconstruction.cluster_calibration import Calibration
from fivesigma.reconstruction.surroundings import isolation

__all__ = ["electrons", "isolated_muons", "merged_photons", "photons"]

_OF_ELECTRONS = ("pt", "eta", "phi", "mass", "charge", "d0", "dz", "pt_error", "track")
#: half widths in eta and phi of the strip in which a photon's conversion spreads
_STRIP = (0.03, 0.15)


def electrons(
    particles: ak.Array, tracks: ak.Array, rho: np.ndarray, pt_min: float = 5.0
) -> ak.Array:
    """Electrons of energy flow, by falling pT.

    Args:
        particles: lists per event.
        tracks: that `track` refers to, for the ratio of energy and momentum.
        rho: from `surroundings.density`.
        pt_min: least transverse momentum [GeV].
    """
    found = particles[(abs(particles.pdg_id) == 11) & (particles.pt > pt_min)]
    ratio = found.pt / tracks[found.track].pt
    kept = {name: found[name] for name in _OF_ELECTRONS}
    around = isolation(found, particles, rho)
    return ak.zip({**kept, "energy_ratio": ratio, "isolation": around}, with_name="Momentum4D")


def isolated_muons(muons: ak.Array, particles: ak.Array, rho: np.ndarray) -> ak.Array:
    """Muons with their isolation.

    Args:
        muons: from `muons.reconstruct_muons`.
        particles: lists per event.
        rho: from `surroundings.density`.
    """
    return ak.with_field(muons, isolation(muons, particles, rho), "isolation")


@njit(cache=True)
def _merge(
    starts: np.ndarray, values: np.ndarray, hadrons: np.ndarray, pt_min: float,
    strip: tuple[float, float],
) -> np.ndarray:  # fmt: skip
    """Photons (M, 7): event, pt, eta, phi, variance, hadronic energy nearby over their own, share
    of the largest piece."""
    out, n = np.empty((len(values), 7)), 0
    used = np.zeros(len(values), np.bool_)
    for event in range(starts.size - 1):
        first, last = starts[event], starts[event + 1]
        for seed in range(first, last):
            if used[seed] or hadrons[seed] or values[seed, 0] < 0.5 * pt_min:
                continue
            pt = along = across = variance = behind = 0.0
            for k in range(first, last):
                d_eta = values[k, 1] - values[seed, 1]
                d_phi = values[k, 2] - values[seed, 2]
                d_phi = (d_phi + math.pi) % (2 * math.pi) - math.pi
                if hadrons[k] and math.hypot(d_eta, d_phi) < 0.1:
                    behind += values[k, 0]
                if used[k] or hadrons[k] or abs(d_eta) > strip[0] or abs(d_phi) > strip[1]:
                    continue
                used[k] = True
                pt += values[k, 0]
                along += values[k, 0] * d_eta
                across += values[k, 0] * d_phi
                variance += values[k, 3] ** 2
            if pt < pt_min:
                continue
            phi = values[seed, 2] + across / pt
            out[n, 0], out[n, 1], out[n, 2] = event, pt, values[seed, 1] + along / pt
            out[n, 3] = (phi + math.pi) % (2 * math.pi) - math.pi
            out[n, 4], out[n, 5], out[n, 6] = variance, behind / pt, values[seed, 0] / pt
            n += 1
    return out[:n]


def merged_photons(particles: ak.Array, pt_min: float) -> np.ndarray:
    """Photons with the pieces of their conversions put together, before calibration.

    Args:
        particles: lists per event, by falling pT.
        pt_min: least transverse momentum [GeV].

    Returns:
        (M, 7) event, pt [GeV], eta, phi, variance of pt, transverse momentum of neutral hadrons
        nearby over its own, share of the largest piece.
    """
    near = particles[(particles.charge == 0)]
    values = np.stack(
        [ak.to_numpy(ak.flatten(near[name])).astype(float) for name in _OF_PHOTONS], axis=1
    )
    starts = np.concatenate([[0], np.cumsum(ak.to_numpy(ak.num(near)))])
    hadrons = ak.to_numpy(ak.flatten(near.pdg_id)) != 22
    return _merge(starts, values, hadrons, pt_min, _STRIP)


def photons(
    particles: ak.Array, rho: np.ndarray, table: Calibration | None = None, pt_min: float = 10.0
) -> ak.Array:
    """Photons, with the pieces of their conversions put together, by falling pT.

    Args:
        particles: lists per event, by falling pT.
        rho: from `surroundings.density`.
        table: factors in the energy, the share of the largest piece and |eta|, which make good
            what conversions leave outside; None: none.
        pt_min: least transverse momentum before that [GeV].
    """
    found = merged_photons(particles, pt_min)
    if table is not None:
        found[:, 1] *= table.factor(found[:, 1] * np.cosh(found[:, 2]), found[:, 6], found[:, 2])
    found = found[np.lexsort((-found[:, 1], found[:, 0]))]
    event, pt, eta, phi, variance, behind, _ = found.T
    columns = {"pt": pt, "eta": eta, "phi": phi, "mass": np.zeros(pt.size),
               "pt_error": np.sqrt(variance), "leakage": behind}  # fmt: skip
    records = ak.zip({k: v.astype(np.float32) for k, v in columns.items()}, with_name="Momentum4D")
    lists = ak.unflatten(records, np.bincount(event.astype(int), minlength=len(particles)))
    return ak.with_field(lists, isolation(lists, particles, rho, own=_STRIP), "isolation")


_OF_PHOTONS = ("pt", "eta", "phi", "pt_error")
