"""Muons: resolution of the muon system alone, and with the tracker."""

from __future__ import annotations

from collections.abc import Callable

import awkward as ak
import numpy as np

from fivesigma.detector.signals import lists, stable, transport
from fivesigma.geometry import Detector
from fivesigma.geometry.layers import Layout, Published
from fivesigma.geometry.stations import MuonSystem
from fivesigma.plots.validation import Series, compared
from fivesigma.reconstruction.muons import reconstruct_muons
from fivesigma.reconstruction.tracks import reconstruct_tracks
from fivesigma.results import Number, Result
from fivesigma.workflows.validate.checks import Check, section, width
from fivesigma.workflows.validate.guns import as_truth, shoot
from fivesigma.workflows.validate.setting import Setting

__all__ = ["muon_resolutions", "muons_of"]

_MUONS = 3000
_MOMENTA = (10.0, 100.0, 1000.0)
#: |eta| range -> its name
_REGIONS = {"barrel": (0.0, 0.5), "endcap": (1.1, 1.8)}


def muons_of(truth: ak.Array, detector: Detector, rng: np.random.Generator) -> ak.Array:
    """Muons of some events: all sub-detectors, tracks, segments, both combined.

    Args:
        truth: lists of particles per event.
        detector: a preset with tracker, calorimeters and muon system.
        rng: source of all randomness.
    """
    n = len(truth)
    layers, stations = _parts(detector)
    left = transport(stable(truth), n, detector, rng)
    # cells take no part, and noise hits belong to no track: nothing is read out
    tracks = reconstruct_tracks(truth, lists("hits", left.hits, n), layers, rng)
    return reconstruct_muons(left.segments, tracks, stations)


def _parts(detector: Detector) -> tuple[Layout, MuonSystem]:
    if detector.layers is None or detector.stations is None:
        message = f"the detector {detector.name!r} has no tracker and muon system"
        raise ValueError(message)
    return detector.layers, detector.stations


def muon_resolutions(setting: Setting) -> Result:
    """Standalone and combined sigma(pT)/pT at 10, 100 and 1000 GeV."""
    preset, rng = setting.detector, setting.rng(7)
    layers, stations = _parts(preset)
    checks, series = [], []
    for region, (low, high) in _REGIONS.items():
        middle = (low + high) / 2
        rows = [_widths(preset, pt, low, high, setting.count(_MUONS), rng) for pt in _MOMENTA]
        tracker = _published(layers.published, middle)
        for kind in ("standalone", "combined"):
            expected = []
            for pt, row in zip(_MOMENTA, rows, strict=True):
                sigma = stations.resolution(pt, middle)
                if kind == "combined":
                    sigma = _combined(stations, pt, middle, tracker(pt))
                expected.append(sigma)
                checks.append(Check(f"muons/{kind}/{region}/pt_{pt:g}", row[kind], sigma, 0.15))
            numbers = [(row[kind].value, row[kind].uncertainty) for row in rows]
            values, errors = np.array(numbers).T
            series.append(
                Series(f"{kind}, {low:g} < |η| < {high:g}", np.array(_MOMENTA), values, errors,
                       np.array(expected))
            )  # fmt: skip
    return section(
        f"Muons of {preset.name}", checks,
        {"Momentum resolution of muons, muon system": compared(
            series, "Muon pT [GeV]", "σ(pT)/pT", 0.15, reference="published")},
        "Muons from the origin through tracker, calorimeters and muon system, in q/pT. Combined: "
        "reference is the published figure, or else the weighted mean of the two published "
        "formulae, that of the tracker as fitted to the preset's published points at the nearest "
        "|eta|. In a yoke a track's direction helps the muon system, too, so that the mean is too "
        "wide as soon as the muon system counts.",
    )  # fmt: skip


def _combined(stations: MuonSystem, pt: float, eta: float, tracker: float) -> float:
    """What sigma(pT)/pT of both together is compared with: the published figure, if there is one.

    Else the weighted mean of both momenta, which is what they give where they know of nothing in
    common.
    """
    for eta_max, momentum, sigma in stations.combined:
        if eta <= eta_max and pt == momentum:
            return sigma
    return float((stations.resolution(pt, eta) ** -2 + tracker**-2) ** -0.5)


def _published(rows: tuple[Published, ...], eta: float) -> Callable[[float], float]:
    """sigma(pT)/pT of the tracker as a function of pT, from the published points."""
    nearest = min(rows, key=lambda row: abs((row.low + row.high) / 2 - eta))
    pt, sigma = np.array(nearest.momentum).T
    # sigma^2 = a^2 + (b pT)^2, relative errors alike
    terms = np.stack([np.ones(len(pt)), pt**2], axis=1) / sigma[:, None] ** 2
    constant, slope = np.linalg.lstsq(terms, np.ones(len(pt)), rcond=None)[0]
    return lambda momentum: float(np.sqrt(constant + slope * momentum**2))


def _widths(
    preset: Detector, pt: float, low: float, high: float, n: int, rng: np.random.Generator
) -> dict[str, Number]:
    """Widths of q/pT over the true one, of all that are found."""
    eta = rng.uniform(low, high, n) * rng.choice((-1, 1), n)
    particles = shoot(13, pt, eta, rng)
    muons = muons_of(as_truth(particles), preset, rng)
    charge = particles.charge[ak.to_numpy(ak.num(muons) > 0)]
    first = ak.flatten(muons[:, :1])
    sign = ak.to_numpy(first.charge) * charge
    return {
        "standalone": width(sign * pt / ak.to_numpy(first.standalone_pt)),
        "combined": width(sign * pt / ak.to_numpy(first.pt)),
    }
