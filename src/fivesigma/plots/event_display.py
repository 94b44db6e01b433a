"""One event in its detector: across the beam and along it.

Tracker, calorimeters and muon system differ too much in size for one scale, so each has its own:
within a sub-detector distances are true, from one to the next the scale changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from fivesigma.geometry import Detector
from fivesigma.geometry.layers import Barrel, Disc
from fivesigma.plots.style import INK, PALETTE, experiment_label, panels, refuse_empty, styled
from fivesigma.units import CURVATURE

__all__ = ["event_display"]

_TRACK, _ECAL, _MUON, _HCAL, _HIT = PALETTE[1], PALETTE[4], PALETTE[2], PALETTE[0], PALETTE[6]
_JET, _MET = PALETTE[3], PALETTE[5]
#: share of the picture's radius where the tracker, ECAL, HCAL and muon system end
_ENDS = (0.42, 0.54, 0.70, 1.0)
#: where the ECAL ends, as a share of the calorimeters' depth
_ECAL_SHARE = 0.25
#: towers: width in eta; bins in phi
_TOWER, _SECTORS = 0.1, 36
#: cells below so many times their noise are not drawn
_SIGNIFICANCE = 3.0


class _Scale(NamedTuple):
    """Radii and |z| where the sub-detectors end [mm], 0 first."""

    r: np.ndarray
    z: np.ndarray

    def across(self, x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        """Points (x, y) [mm] in the transverse picture."""
        r = np.hypot(x, y)
        factor = np.interp(r, self.r, (0.0, *_ENDS)) / np.maximum(r, 1e-9)
        return x * factor, y * factor

    def along(self, z: Any, r: Any) -> tuple[np.ndarray, np.ndarray]:
        """Points (z, signed r) [mm] in the longitudinal picture."""
        ends = (0.0, *_ENDS)
        return (
            np.sign(z) * np.interp(np.abs(z), self.z, ends) * 1.6,
            np.sign(r) * np.interp(np.abs(r), self.r, ends),
        )


def _scale(detector: Detector) -> _Scale:
    inner = np.array([detector.radius, detector.half_length])
    system = detector.stations
    if system is None:
        back, outer = 2.0 * inner, 2.5 * inner
    else:
        back = np.array([system.absorber.back_radius, system.absorber.back_half_length])
        outer = np.array([system.barrel.positions[-1], system.endcaps.positions[-1]])
    edges = np.stack([0 * inner, inner, inner + _ECAL_SHARE * (back - inner), back, 1.05 * outer])
    return _Scale(edges[:, 0], edges[:, 1])


def _columns(records: Any, *names: str) -> list[np.ndarray]:
    return [np.asarray(records[name], dtype=np.float64) for name in names]


def _helices(tracks: Any, detector: Detector) -> np.ndarray:
    """Points (N, 60, 3) on each track up to the tracker's cylinder, NaN beyond [mm]."""
    pt, eta, phi, charge, d0, dz = _columns(tracks, "pt", "eta", "phi", "charge", "d0", "dz")
    curl = np.maximum(pt, 1e-3) / (CURVATURE * max(detector.field, 1e-6))
    steepest = detector.half_length / np.maximum(np.abs(np.sinh(eta)), 1e-6)
    way = np.minimum(np.minimum(steepest, 1.5 * detector.radius), np.pi * curl)
    arc = np.linspace(0, 1, 60) * way[:, None]  # (N, 60)
    turned = -charge[:, None] * arc / curl[:, None]
    chord = arc * np.sinc(turned / (2 * np.pi))
    middle = phi[:, None] + 0.5 * turned
    x = d0[:, None] * np.sin(phi)[:, None] + chord * np.cos(middle)
    y = -d0[:, None] * np.cos(phi)[:, None] + chord * np.sin(middle)
    z = dz[:, None] + arc * np.sinh(eta)[:, None]
    points = np.stack([x, y, z], axis=-1)
    outside = (np.hypot(x, y) > detector.radius) | (np.abs(z) > detector.half_length)
    points[outside] = np.nan
    return points


def _signed(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The radius, negative below the beam."""
    return np.where(y < 0, -1.0, 1.0) * np.hypot(x, y)


def _lines(axes: list[Axes], scale: _Scale, points: np.ndarray, **style: Any) -> None:
    """Lines through points (N, P, 3) in both pictures."""
    x, y, z = np.moveaxis(points, -1, 0)
    # a line that crosses the beam keeps the side where it ends: most of it
    last = np.nanmax(np.where(np.isfinite(y), np.arange(y.shape[1]), 0), axis=1)
    side = np.where(y[np.arange(len(y)), last] < 0, -1.0, 1.0)[:, None]
    pictures = (scale.across(x, y), scale.along(z, side * np.hypot(x, y)))
    for pane, picture in zip(axes, pictures, strict=True):
        pane.add_collection(LineCollection(list(np.stack(picture, axis=-1)), **style))


def _parts(
    detector: Detector,
) -> tuple[list[tuple[float, float]], list[tuple[float, float, float]]]:
    """Radius and half length of layers and stations; z, inner and outer radius of their discs."""
    layers = detector.layers.layers if detector.layers else ()
    cylinders = [
        (layer.radius, layer.half_length) for layer in layers if isinstance(layer, Barrel)
    ]
    discs = [(d.z, d.r_min, d.r_max) for d in layers if isinstance(d, Disc)]
    if detector.stations:
        barrel, endcaps = detector.stations.barrel, detector.stations.endcaps
        cylinders += zip(barrel.positions, barrel.high, strict=True)
        rows = list(zip(endcaps.positions, endcaps.low, endcaps.high, strict=True))
        discs += [(side * z, low, high) for z, low, high in rows for side in (-1, 1)]
    return cylinders, discs


def _outline(axes: list[Axes], scale: _Scale, detector: Detector) -> None:
    """Where sub-detectors end, and faintly their layers and stations."""
    turn = np.linspace(0, 2 * np.pi, 200)
    faint: dict[str, Any] = {"color": INK, "alpha": 0.15, "lw": 0.5}
    clear = {**faint, "alpha": 0.4, "lw": 0.8}
    for r, z in zip(scale.r[1:4], scale.z[1:4], strict=True):
        axes[0].plot(*scale.across(r * np.cos(turn), r * np.sin(turn)), **clear)
        box = np.array([(-z, -r), (-z, r), (z, r), (z, -r), (-z, -r)]).T
        axes[1].plot(*scale.along(*box), **clear)
    cylinders, discs = _parts(detector)
    for r, _ in cylinders:
        axes[0].plot(*scale.across(r * np.cos(turn), r * np.sin(turn)), **faint)
    walls = [(-z, z, r, r) for r, z in cylinders] + [(z, z, low, high) for z, low, high in discs]
    for side in (-1, 1):
        for z0, z1, r0, r1 in walls:
            axes[1].plot(*scale.along(np.array([z0, z1]), side * np.array([r0, r1])), **faint)


def _bars(low: np.ndarray, high: np.ndarray, start: float, length: np.ndarray) -> list[np.ndarray]:
    """Wedges between two angles from a radius outwards, in the picture's own scale."""
    out = []
    for a, b, size in zip(low, high, length, strict=True):
        angle = np.linspace(a, b, 5)
        r = np.concatenate([np.full(5, start), np.full(5, start + size)])
        angle = np.concatenate([angle, angle[::-1]])
        out.append(np.stack([r * np.cos(angle), r * np.sin(angle)], axis=-1))
    return out


def _boxes(
    eta: np.ndarray, side: np.ndarray, depth: int, length: np.ndarray, scale: _Scale
) -> list[np.ndarray]:
    """Towers of the longitudinal picture: outwards in the barrel, along the beam in end caps."""
    r0, z0 = scale.r[1], scale.z[1]
    out = []
    for centre, up, size in zip(eta, side, length, strict=True):
        edges = np.sinh(np.array([centre - 0.5 * _TOWER, centre + 0.5 * _TOWER]))
        if abs(np.sinh(centre)) < z0 / r0:
            z, _ = scale.along(np.clip(r0 * edges, -z0, z0), np.zeros(2))
            y = np.array([_ENDS[depth], _ENDS[depth], _ENDS[depth] + size, _ENDS[depth] + size])
            out.append(np.stack([[z[0], z[1], z[1], z[0]], up * y], axis=-1))
        else:
            _, r = scale.along(np.zeros(2), np.abs(z0 / edges))
            end = 1.6 * np.sign(centre)
            z = end * np.array(
                [_ENDS[depth], _ENDS[depth], _ENDS[depth] + size, _ENDS[depth] + size]
            )
            out.append(np.stack([z, up * np.array([r[0], r[1], r[1], r[0]])], axis=-1))
    return out


def _towers(axes: list[Axes], scale: _Scale, cells: Any, threshold: float) -> None:
    """Transverse energies summed into towers; the longest fills its calorimeter."""
    depth, eta, phi, energy, noise = _columns(cells, "depth", "eta", "phi", "energy", "noise")
    transverse = energy / np.cosh(eta)
    for section, colour in ((0, _ECAL), (1, _HCAL)):
        own = (depth // 3 == section) & (energy > np.maximum(_SIGNIFICANCE * noise, threshold))
        room = _ENDS[section + 1] - _ENDS[section]
        sector = np.floor((phi[own] / (2 * np.pi) + 0.5) * _SECTORS).astype(int) % _SECTORS
        sums = np.bincount(sector, transverse[own], minlength=_SECTORS)
        ring = np.round(eta[own] / _TOWER).astype(int)
        rings, place = np.unique(
            np.stack([ring, np.where(phi[own] < 0, -1, 1)]), axis=1, return_inverse=True
        )
        totals = np.bincount(place.ravel(), transverse[own], minlength=rings.shape[1])
        low = (np.arange(_SECTORS) / _SECTORS - 0.5) * 2 * np.pi
        across = room * sums / max(sums.max(), 1e-9)
        along = room * totals / max(totals.max(initial=0), 1e-9)
        shapes = (
            _bars(low, low + 2 * np.pi / _SECTORS, _ENDS[section], across),
            _boxes(rings[0] * _TOWER, rings[1], section, along, scale),
        )
        for pane, shape in zip(axes, shapes, strict=True):
            pane.add_collection(
                PolyCollection(shape, facecolor=colour, edgecolor="none", alpha=0.9)
            )


def _jets(axes: list[Axes], scale: _Scale, jets: Any, radius: float) -> None:
    """Cones from the centre to the end of the calorimeters."""
    eta, phi = _columns(jets, "eta", "phi")
    wedges = _bars(phi - radius, phi + radius, 0.0, np.full(phi.size, _ENDS[2]))
    cones = []
    for centre, up in zip(eta, np.where(phi < 0, -1, 1), strict=True):
        slope = 1 / np.sinh(np.linspace(centre - radius, centre + radius, 9) + 1e-9)  # r / z
        z = np.minimum(scale.z[3], scale.r[3] / np.abs(slope)) * np.sign(slope)
        edge = np.stack(scale.along(z, up * np.abs(z * slope)), axis=-1)
        cones.append(np.concatenate([[[0.0, 0.0]], edge]))
    for pane, shape in zip(axes, (wedges, cones), strict=True):
        pane.add_collection(PolyCollection(shape, facecolor=_JET, edgecolor=_JET, alpha=0.22))


def _segments(axes: list[Axes], scale: _Scale, segments: Any) -> None:
    """Strokes of 0.6 m along each segment."""
    place = np.stack(_columns(segments, "x", "y", "z"), axis=-1)
    along = np.stack(_columns(segments, "ux", "uy", "uz"), axis=-1)
    points = np.stack([place - 300 * along, place + 300 * along], axis=1)
    _lines(axes, scale, points, color=_MUON, lw=2.2)


def _missing(pane: Axes, met: Any) -> None:
    """An arrow in the transverse picture."""
    tip = 0.95 * np.cos(float(met["phi"])), 0.95 * np.sin(float(met["phi"]))
    arrow = {"arrowstyle": "-|>", "color": _MET, "lw": 1.8, "ls": "--", "shrinkA": 0, "shrinkB": 0}
    pane.annotate("", tip, (0.0, 0.0), arrowprops=arrow)


def _legend(figure: Figure, event: Mapping[str, Any], shown: set[str]) -> None:
    """What is in the picture."""
    marks: dict[str, tuple[str, Any]] = {
        "tracks": ("track", Line2D([], [], color=_TRACK, lw=1.2)),
        "hits": ("hit", Line2D([], [], color=_HIT, marker=".", ls="none")),
        "ecal": ("ECAL", Patch(color=_ECAL)),
        "hcal": ("HCAL", Patch(color=_HCAL)),
        "muons": ("muon, segment", Line2D([], [], color=_MUON, lw=2.2)),
        "jets": ("jet", Patch(color=_JET, alpha=0.3)),
    }
    if "met" in shown:
        text = f"missing {float(event['met']['pt']):.0f} GeV"
        marks["met"] = (text, Line2D([], [], color=_MET, ls="--", lw=1.8))
    drawn = [mark for name, mark in marks.items() if name in shown]
    names, handles = [name for name, _ in drawn], [handle for _, handle in drawn]
    figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False)


def _chosen(tracks: Any, muons: Any | None, pt_min: float) -> tuple[np.ndarray, np.ndarray]:
    """Which tracks are drawn (N,), and which of all belong to a muon (N,)."""
    pt = np.asarray(tracks["pt"], dtype=np.float64)
    of_muon = np.zeros(pt.size, np.bool_)
    if muons is not None:
        rows = np.asarray(muons["track"], dtype=np.int64)
        of_muon[rows[rows >= 0]] = True
    return (pt > pt_min) & ~of_muon, of_muon


def _shown(event: Mapping[str, Any]) -> set[str]:
    """Names for the legend of what the event has."""
    names = {name for name, records in event.items() if name == "met" or len(records)}
    if "cells" in names:
        names |= {"ecal", "hcal"}
    return names | {"muons"} if "segments" in names else names


@styled
def event_display(
    event: Mapping[str, Any],
    detector: Detector,
    title: str = "",
    track_pt_min: float = 1.0,
    cell_energy_min: float = 0.3,
    jet_radius: float = 0.4,
) -> Figure:
    """One event across the beam (left) and along it (right, above the beam: phi > 0).

    Args:
        event: collection -> the records of this event, with the fields of `events.FIELDS`: any of
            `tracks`, `hits`, `cells`, `segments`, `muons` (whose `track` says which tracks are
            muons), `jets`, and `met`, one record with `pt` and `phi`. Others are not drawn.
        detector: whose outline is drawn.
        title: above the picture, e.g. "fivesigma simulation".
        track_pt_min: softer tracks are left out [GeV].
        cell_energy_min: so are cells with less energy [GeV], or with less than three times their
            noise; towers show
            transverse energy, the largest of ECAL and HCAL fills its calorimeter.
        jet_radius: half the opening of the cones.

    Raises:
        ValueError: nothing to draw.
    """
    shown = _shown(event)
    refuse_empty("tracks, hits, cells, segments, jets or missing momentum", shown)
    scale = _scale(detector)
    figure, axes = panels(1, 2, 9.6, 4.6, gridspec_kw={"width_ratios": (1, 1.6)})
    _outline(axes, scale, detector)
    if "jets" in shown:
        _jets(axes, scale, event["jets"], jet_radius)
    if "cells" in shown:
        _towers(axes, scale, event["cells"], cell_energy_min)
    if "hits" in shown:
        x, y, z = _columns(event["hits"], "x", "y", "z")
        dots: dict[str, Any] = {"color": _HIT, "marker": ".", "ls": "none", "ms": 1.0}
        axes[0].plot(*scale.across(x, y), **dots)
        axes[1].plot(*scale.along(z, _signed(x, y)), **dots)
    if "tracks" in shown:
        plain, muons = _chosen(event["tracks"], event.get("muons"), track_pt_min)
        points = _helices(event["tracks"], detector)
        _lines(axes, scale, points[plain], color=_TRACK, lw=0.7, alpha=0.8)
        _lines(axes, scale, points[muons], color=_MUON, lw=1.6)
    if "segments" in shown:
        _segments(axes, scale, event["segments"])
    if "met" in shown:
        _missing(axes[0], event["met"])
    for pane, width in zip(axes, (1.0, 1.6), strict=True):
        pane.set(xlim=(-width, width), ylim=(-1.0, 1.0))
        pane.set_aspect("equal")
        pane.set_axis_off()
    if title:
        experiment_label(axes[0], title)
    _legend(figure, event, shown)
    return figure
