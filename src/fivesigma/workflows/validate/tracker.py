"""Tracker: resolutions of muons, material and what it does, hits in the TrackML geometry."""

from __future__ import annotations

from collections.abc import Sequence

import awkward as ak
import numpy as np
from matplotlib.figure import Figure

from fivesigma.detector.flow import Particles
from fivesigma.detector.signals import lists
from fivesigma.detector.tracker import track_through
from fivesigma.geometry.layers import Barrel, Layout, Published
from fivesigma.geometry.trackers import TRACKML
from fivesigma.plots.validation import Series, compared, curves
from fivesigma.reconstruction.tracks import reconstruct_tracks
from fivesigma.results import Number, Result
from fivesigma.workflows.validate.checks import Check, section, width
from fivesigma.workflows.validate.guns import as_truth, shoot
from fivesigma.workflows.validate.setting import Setting

__all__ = ["material", "resolutions", "straight_through", "trackml"]

_MUONS, _PROBES, _PIONS = 8000, 8000, 10_000
_ETAS = (0.3, 1.0, 2.0)
#: root mean square of measured minus true positions in TrackML's own events (u, v) [mm]
_TRACKML = {
    "pixel barrel 1": (0.0077, 0.012),
    "pixel disc +1": (0.011, 0.012),
    "short strip barrel 2": (0.015, 0.26),
    "long strip barrel 1": (0.020, 3.06),
}
#: hits of a pion of 0.5-10 GeV, |eta| < 2.5: ACTS finds 12.1-12.2
_HITS, _HITS_BAR = 12.1, 0.4


def resolutions(setting: Setting) -> Result:
    """sigma(pT)/pT and sigma(d0) of muons against the preset's published formulae."""
    layout, rng, n = _layout(setting), setting.rng(1), setting.count(_MUONS)
    checks: list[Check] = []
    series: dict[str, list[Series]] = {"pt": [], "d0": []}
    for published in layout.published:
        expected = {"pt": dict(published.momentum), "d0": dict(published.d0)}
        found = {pt: _resolution(layout, pt, published, n, rng) for pt in expected["pt"]}
        low, high = published.low, published.high
        for quantity, sigmas in expected.items():
            numbers = [found[pt][quantity] for pt in sigmas]
            name = f"{low:g} < |η| < {high:g}"
            series[quantity].append(_series(name, list(sigmas), numbers, list(sigmas.values())))
            checks += [
                Check(f"tracker/{quantity}/eta_{low:g}-{high:g}/pt_{pt:g}", number, sigma, 0.10)
                for (pt, sigma), number in zip(sigmas.items(), numbers, strict=True)
            ]
    axis = "Muon pT [GeV]"
    figures = {
        "Momentum resolution of muons": compared(
            series["pt"], axis, "σ(pT)/pT", 0.10, reference="published"
        ),
        "Impact parameter resolution of muons": compared(
            series["d0"], axis, "σ(d0) [mm]", 0.10, reference="published"
        ),
    }
    return section(
        f"Tracker of {layout.name}: resolutions", checks, figures,
        "Muons through all layers, tracks from their hits; the published formulae and their "
        "sources stand at the presets in `geometry/trackers.py`, with what is known to differ.",
    )  # fmt: skip


def _series(
    name: str, x: Sequence[float], found: Sequence[Number], expected: Sequence[float]
) -> Series:
    values = np.array([(each.value, each.uncertainty) for each in found])
    return Series(name, np.asarray(x), values[:, 0], values[:, 1], np.asarray(expected))


def _layout(setting: Setting) -> Layout:
    layout = setting.detector.layers
    if layout is None:
        message = f"the detector {setting.detector.name!r} has no tracker with layers"
        raise ValueError(message)
    return layout


def _resolution(
    layout: Layout, pt: float, published: Published, n: int, rng: np.random.Generator
) -> dict[str, Number]:
    """Width of pT over pT, in q/pT, which is Gaussian; and of d0 [mm]."""
    eta = rng.uniform(published.low, published.high, n) * rng.choice((-1.0, 1.0), n)
    particles = shoot(13, pt, eta, rng)
    signals = track_through(particles, layout, rng, noise=0)
    tracks = reconstruct_tracks(as_truth(particles), lists("hits", signals.hits, n), layout, rng)
    found = ak.flatten(tracks[:, :1])
    charges = particles.charge[ak.to_numpy(ak.num(tracks) > 0)]
    return {
        "pt": width(ak.to_numpy(found.charge) * charges / ak.to_numpy(found.pt) * pt),
        "d0": width(ak.to_numpy(found.d0), "mm"),
    }


def straight_through(layout: Layout, eta: float) -> tuple[float, float]:
    """Radiation and interaction lengths on a straight line from the origin at |eta| > 0."""
    radiation = interaction = 0.0
    slope = np.sinh(abs(eta))
    for layer in layout.layers:
        if isinstance(layer, Barrel):
            inside, stretch = layer.radius * slope <= layer.half_length, np.cosh(eta)
        else:
            inside = layer.z > 0 and layer.r_min <= layer.z / slope <= layer.r_max
            stretch = 1 / np.tanh(abs(eta))
        if inside:
            radiation += stretch * layer.material.radiation
            interaction += stretch * layer.material.interaction
    return radiation, interaction


def material(setting: Setting) -> Result:
    """Conversions and nuclear interactions against the material on the way."""
    layout, rng, n = _layout(setting), setting.rng(2), setting.count(_PROBES)
    kinds = {"photons convert": (22, 7 / 9, 0), "neutrons interact": (2112, 1.0, 1)}
    checks, series = [], []
    for name, (pdg_id, factor, which) in kinds.items():
        found, expected = [], []
        for eta in _ETAS:
            share = -np.expm1(-factor * straight_through(layout, eta)[which])
            particles = shoot(pdg_id, 5.0, np.full(n, eta), rng)
            touched = 1 - _untouched(particles, layout, rng)
            found.append(Number(touched, (touched * (1 - touched) / n) ** 0.5))
            expected.append(share)
            key = "conversions" if pdg_id == 22 else "interactions"
            checks.append(Check(f"material/{key}/eta_{eta:g}", found[-1], share, 0.05))
        series.append(_series(name, _ETAS, found, expected))
    return section(
        f"Tracker of {layout.name}: material", checks,
        {
            "Photons that convert, neutrons that interact": compared(
                series, "|η|", "Fraction", 0.05, xlog=False, ylog=False,
                reference="1 - exp(-material)",
            ),
            "Material on straight lines from the origin": _budget(layout),
        },
        "1 - exp(-7/9 t) of photons convert and 1 - exp(-l) of neutrons interact on t radiation "
        "and l interaction lengths; bar: 5 %, our own.",
    )  # fmt: skip


def _untouched(particles: Particles, layout: Layout, rng: np.random.Generator) -> float:
    out = track_through(particles, layout, rng, noise=0).particles
    energy = particles.energy[out.event]
    same = (out.pdg_id == particles.pdg_id[out.event]) & np.isclose(out.energy, energy)
    return np.count_nonzero(same) / len(particles.event)


def _budget(layout: Layout) -> Figure:
    etas = np.linspace(0.02, 2.6, 200)
    table = np.array([straight_through(layout, eta) for eta in etas])
    lines = {"radiation lengths": table[:, 0], "interaction lengths": table[:, 1]}
    return curves(etas, lines, "|η|", "Material")


def trackml(setting: Setting) -> Result:
    """Pions in the TrackML geometry: hits of each, and residuals by kind of layer."""
    rng, n = setting.rng(3), setting.count(_PIONS)
    particles = shoot(211, rng.uniform(0.5, 10.0, n), rng.uniform(-2.5, 2.5, n), rng)
    hits = track_through(particles, TRACKML, rng, noise=0).hits
    own = np.bincount(hits["event"][~hits["secondary"]], minlength=n)
    mean = Number(float(own.mean()), float(own.std()) / n**0.5)
    checks = [Check("trackml/hits", mean, _HITS, _HITS_BAR, relative=False)]
    for layer, sigmas in _TRACKML.items():
        for axis, sigma, number in zip("uv", sigmas, _residuals(hits, layer), strict=True):
            key = f"trackml/residual/{layer.replace(' ', '_')}_{axis}"
            checks.append(Check(key, number, sigma, 0.10))
    return section(
        "Pions in the TrackML geometry", checks, {},
        "Pions of 0.5-10 GeV, |eta| < 2.5; hits of the pion itself, not of what it makes. "
        "Residuals: standard deviation of measured minus true positions, as in TrackML's own "
        "events; bar 10 %, our own.",
    )  # fmt: skip


def _residuals(hits: dict[str, np.ndarray], name: str) -> tuple[Number, Number]:
    """Standard deviations along the precise direction and the other one [mm]."""
    number = TRACKML.number(name)
    here = hits["layer"] == number
    dx, dy, dz = (hits[axis][here] - hits[f"t{axis}"][here] for axis in "xyz")
    phi = np.arctan2(hits["ty"][here], hits["tx"][here])
    radial = dx * np.cos(phi) + dy * np.sin(phi)
    along = dz if isinstance(TRACKML.layers[number], Barrel) else radial
    around = dy * np.cos(phi) - dx * np.sin(phi)
    error = (2 * max(int(here.sum()) - 1, 1)) ** -0.5
    one, two = (
        Number(float(np.std(values)), float(np.std(values)) * error, "mm")
        for values in (around, along)
    )
    return one, two
