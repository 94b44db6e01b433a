"""Where a fit begins, found from the histogram itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fivesigma.statistics.spectra.model import YIELD, Component, Model
from fivesigma.statistics.spectra.scoring import fit_many

__all__ = ["starting_values"]

Array = NDArray[np.float64]
#: half width of what belongs to a peak [sigma]
_REACH = 4.0
_FWHM = 2.3548


def starting_values(model: Model, counts: Array, edges: Array) -> Array:
    """Starting values of all free parameters.

    Peaks are put on the highest excess over a straight line, with the width at half of its
    height; the backgrounds are fitted outside of the peaks; then all is fitted by Fisher scoring.

    Args:
        model: what is to be fitted.
        counts: (B,) events.
        edges: (B + 1,).

    Returns:
        (P,), within the bounds.
    """
    values = {
        f"{each.name}/{name}": value
        for each in model.components
        for name, value in each.start.items()
    }
    excess = _excess(counts)
    for component in model.components:
        if component.shape.peak:
            values = _place(component, values, excess, edges)
    start = _filled(model, values, counts)
    lower, upper = model.bounds(float(counts.sum()))
    start = np.clip(start, lower, upper)
    near = _near(model, start, edges)
    start = _with_background(model, start, counts, edges, near)
    found = fit_many(model, counts, edges, start)
    return found.theta[0] if np.isfinite(found.theta).all() else start


def _excess(counts: Array) -> Array:
    """Above the line between the means of the outermost tenths."""
    part = max(1, len(counts) // 10)
    ends = [counts[:part].mean(), counts[-part:].mean()]
    return counts - np.interp(np.linspace(0, 1, len(counts)), [0, 1], ends)


def _place(
    component: Component, values: dict[str, float], excess: Array, edges: Array
) -> dict[str, float]:
    """Add mass and width of a peak, and take it out of the excess."""
    name, free = component.name, component.free()
    centres = 0.5 * (edges[:-1] + edges[1:])
    mass = values.get(f"{name}/mass", component.fixed.get("mass"))
    if mass is None and "mass" in component.tied:
        other, factor = component.tied["mass"]
        mass = factor * values[other] if other in values else None
    if mass is None:
        mass = float(centres[excess.argmax()])
    width = _full_width(excess, centres, mass)
    found = {"mass": mass, "sigma": width / _FWHM, "gamma": width}
    if {"sigma", "gamma"} <= set(free):  # either makes a part of the width
        found |= {"sigma": width / _FWHM / 2, "gamma": width / 2}
    at = np.abs(centres - mass) < width
    excess[at] = np.minimum(excess[at], 0.0)
    return {f"{name}/{key}": value for key, value in found.items() if key in free} | values


def _full_width(excess: Array, centres: Array, mass: float) -> float:
    """Full width at half maximum, at least two bins."""
    peak = int(np.abs(centres - mass).argmin())
    half = excess[max(peak - 1, 0) : peak + 2].max() / 2
    low = high = peak
    while low > 0 and excess[low - 1] > half:
        low -= 1
    while high < len(excess) - 1 and excess[high + 1] > half:
        high += 1
    step = float(centres[1] - centres[0]) if len(centres) > 1 else 1.0
    return max(high - low + 1, 2) * step


def _filled(model: Model, values: dict[str, float], counts: Array) -> Array:
    """Given values, defaults of the shapes, and for yields equal shares."""
    share = float(counts.sum()) / len(model.components)
    return np.array(
        [
            values.get(name, share if p is None else p.scaled(model.limits)[0])
            for name, p in zip(model.names, model.parameters, strict=True)
        ]
    )


def _near(model: Model, start: Array, edges: Array) -> dict[str, NDArray[np.bool_]]:
    """Peak -> its bins."""
    centres, found = 0.5 * (edges[:-1] + edges[1:]), {}
    parts = model.parts(start)
    for each in model.components:
        if each.shape.peak:
            of = parts[each.name]
            width = max(of[name].item() for name in ("sigma", "gamma") if name in of)
            found[each.name] = np.abs(centres - of["mass"].item()) < _REACH * width
    return found


def _with_background(
    model: Model, start: Array, counts: Array, edges: Array, near: dict[str, NDArray[np.bool_]]
) -> Array:
    """With backgrounds fitted beside the peaks, and the peaks' yields above them."""
    rest = tuple(c for c in model.components if not c.shape.peak and c.free() and not c.tied)
    beside = ~np.any([*near.values(), np.zeros(len(counts), bool)], axis=0)
    values = dict(zip(model.names, start, strict=True))
    base = np.zeros(len(counts))
    if rest and beside.sum() >= 2:
        part = Model(rest, model.limits)
        begin = np.array([values[name] for name in part.names])
        found = fit_many(part, counts, edges, begin, visible=beside).theta[0]
        if np.isfinite(found).all():
            values |= dict(zip(part.names, found, strict=True))
            base = part.expected(edges, found)
    for name, at in near.items():
        if f"{name}/{YIELD}" in values:
            shared = np.sum([other[at] for other in near.values()], axis=0)
            values[f"{name}/{YIELD}"] = max(float(((counts - base)[at] / shared).sum()), 1.0)
    return np.array([values[name] for name in model.names])
