"""How well objects are reconstructed: efficiency, fake rate, response and resolution.

All functions compare lists of true and reconstructed objects per event; matched are the nearest
pairs in (eta, phi). Uncertainties: Clopper-Pearson intervals at 68.3 % for fractions, bootstrap
over objects for medians and widths.
"""

from __future__ import annotations

from typing import NamedTuple

import awkward as ak
import numpy as np
from scipy.stats import beta

__all__ = [
    "Fractions",
    "Spread",
    "efficiency",
    "fraction",
    "jet_ratios",
    "match",
    "mean_and_width",
    "missing_resolution",
]

_LEVEL = 0.6827


class Fractions(NamedTuple):
    """Fractions in bins (B,): value, lower and upper end of the 68.3 % interval, and trials."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    trials: np.ndarray


class Spread(NamedTuple):
    """Median and half of the central 68.3 % in bins (B,), with bootstrap errors, and entries."""

    median: np.ndarray
    median_error: np.ndarray
    width: np.ndarray
    width_error: np.ndarray
    entries: np.ndarray


def match(first: ak.Array, second: ak.Array, cone: float = 0.1) -> ak.Array:
    """For each of the first objects the index of the nearest of the second, -1: none.

    Args:
        first: lists per event with `eta phi`.
        second: likewise.
        cone: largest distance in (eta, phi).
    """
    pairs = ak.cartesian({"a": first[["eta", "phi"]], "b": second[["eta", "phi"]]}, nested=True)
    turned = (pairs.a.phi - pairs.b.phi + np.pi) % (2 * np.pi) - np.pi
    apart = np.sqrt((pairs.a.eta - pairs.b.eta) ** 2 + turned**2)
    nearest = ak.argmin(apart, axis=2)
    close = ak.fill_none(ak.min(apart, axis=2) < cone, False)
    return ak.fill_none(ak.where(close, nearest, -1), -1)


def fraction(passed: np.ndarray, value: np.ndarray, edges: np.ndarray) -> Fractions:
    """Share of entries that pass, in bins of a value.

    Args:
        passed: (N,) booleans.
        value: (N,) e.g. pT.
        edges: (B + 1,) of the bins.
    """
    trials = np.histogram(value, edges)[0]
    good = np.histogram(value[passed.astype(bool)], edges)[0]
    tail = (1 - _LEVEL) / 2
    low = np.where(good > 0, beta.ppf(tail, good, trials - good + 1), 0.0)
    high = np.where(good < trials, beta.ppf(1 - tail, good + 1, trials - good), 1.0)
    return Fractions(good / np.maximum(trials, 1), low, high, trials)


def efficiency(true: ak.Array, found: ak.Array, edges: np.ndarray, cone: float = 0.1) -> Fractions:
    """Share of true objects with a reconstructed one within a cone, in bins of true pT [GeV]."""
    matched = ak.to_numpy(ak.flatten(match(true, found, cone))) >= 0
    return fraction(matched, ak.to_numpy(ak.flatten(true.pt)), edges)


def mean_and_width(
    ratio: np.ndarray, value: np.ndarray, edges: np.ndarray, resamples: int = 200, seed: int = 1
) -> Spread:
    """Median and half of the central 68.3 % of a ratio, in bins of a value.

    Args:
        ratio: (N,) e.g. measured over true pT.
        value: (N,) e.g. true pT.
        edges: (B + 1,) of the bins.
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    rng, rows = np.random.default_rng(seed), []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        inside = ratio[(value >= low) & (value < high)]
        if inside.size < 3:
            rows.append((np.nan, np.nan, np.nan, np.nan, inside.size))
            continue
        drawn = inside[rng.integers(inside.size, size=(resamples, inside.size))]
        sample = np.concatenate([inside[None], drawn])
        a, middle, b = np.percentile(sample, [15.87, 50.0, 84.13], axis=1)
        width = 0.5 * (b - a)
        rows.append((middle[0], middle[1:].std(), width[0], width[1:].std(), inside.size))
    return Spread(*np.array(rows).T)


def jet_ratios(
    true: ak.Array, jets: ak.Array, *, field: str = "pt", cone: float = 0.2, alone: float = 0.8
) -> np.ndarray:
    """Measured pT, true pT and true eta of matched jets (3, N) [GeV].

    Args:
        true: true jets per event.
        jets: reconstructed ones.
        field: "pt", or "raw_pt" before calibration.
        cone: largest distance.
        alone: true jets with another one this close are left out.
    """
    pairs = ak.cartesian({"a": true[["eta", "phi"]], "b": true[["eta", "phi"]]}, nested=True)
    turned = (pairs.a.phi - pairs.b.phi + np.pi) % (2 * np.pi) - np.pi
    apart = np.sqrt((pairs.a.eta - pairs.b.eta) ** 2 + turned**2)
    lonely = true[ak.sum(apart < alone, axis=2) == 1]
    index = match(lonely, jets, cone)
    kept = index >= 0
    measured = jets[field][index[kept]]
    columns = (measured, lonely.pt[kept], lonely.eta[kept])
    return np.stack([ak.to_numpy(ak.flatten(column)).astype(np.float64) for column in columns])


def missing_resolution(
    truth: ak.Array, met: ak.Array, edges: np.ndarray, resamples: int = 200, seed: int = 1
) -> Spread:
    """Spread of the components of missing momentum about the neutrinos', in bins of sum ET.

    Args:
        truth: lists of particles per event.
        met: (E,) records with `pt phi sum_et`.
        edges: of the bins in sum ET [GeV].
        resamples: of the bootstrap.
        seed: of the bootstrap.
    """
    hidden = truth.status > 0
    neutrino = (abs(truth.pdg_id) == 12) | (abs(truth.pdg_id) == 14) | (abs(truth.pdg_id) == 16)
    missed = truth[hidden & neutrino]
    if "vertex" in truth.fields:
        missed = missed[missed.vertex == 0]
    differences = [
        ak.to_numpy(met.pt * turn(met.phi))
        - ak.to_numpy(ak.sum(missed.pt * turn(missed.phi), axis=1))
        for turn in (np.cos, np.sin)
    ]
    total = np.tile(ak.to_numpy(met.sum_et), 2)
    return mean_and_width(np.concatenate(differences), total, edges, resamples, seed)
