"""Histograms of jet observables, class against class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from fivesigma.metrics import roc
from fivesigma.plots.style import (
    LINES,
    axis_label,
    canvas,
    colours,
    finite,
    legend,
    panels,
    plain,
    refuse_empty,
    styled,
)

__all__ = [
    "OBSERVABLES",
    "Observable",
    "histogram",
    "observable",
    "observable_grid",
    "sculpting",
]


class Observable(NamedTuple):
    """How to show a jet observable: label, unit, and range (None: 0.5 to 99.5 % of the jets)."""

    label: str
    unit: str = ""
    limits: tuple[float, float] | None = None


#: the fields of `jets` that have a label of their own; others are shown under their name
OBSERVABLES: dict[str, Observable] = {
    "pt": Observable(r"Jet $p_\mathrm{T}$", "GeV"),
    "eta": Observable(r"Jet $\eta$"),
    "phi": Observable(r"Jet $\varphi$", "rad", (-np.pi, np.pi)),
    "mass": Observable("Jet mass", "GeV"),
    "softdrop_mass": Observable("Soft-drop mass", "GeV"),
    "tau21": Observable(r"$\tau_\mathrm{21}$", "", (0.0, 1.0)),
    "tau32": Observable(r"$\tau_\mathrm{32}$", "", (0.0, 1.0)),
    "tau43": Observable(r"$\tau_\mathrm{43}$", "", (0.0, 1.0)),
    "c2": Observable(r"$C_\mathrm{2}$"),
    "d2": Observable(r"$D_\mathrm{2}$"),
    "n2": Observable(r"$N_\mathrm{2}$"),
    "ptd": Observable(r"$p_\mathrm{T}^D$"),
    "width": Observable("Jet width"),
    "multiplicity": Observable("Number of constituents"),
}
#: fewer jets show no shape
_LEAST_JETS = 25
#: heights and their errors, per bin
_Shape = tuple[NDArray[np.float64], NDArray[np.float64]]


def _edges(
    samples: Sequence[NDArray[np.float64]], bins: ArrayLike, limits: tuple[float, float] | None
) -> NDArray[np.float64]:
    """Bin edges: given, or of equal width over the range; counts get bins of whole numbers."""
    given = np.asarray(bins, dtype=np.float64)
    if given.ndim:
        return given
    pooled = np.concatenate(samples)
    low, high = limits or tuple(np.quantile(pooled, [0.005, 0.995]))
    if limits is None and np.array_equal(pooled, np.rint(pooled)):
        step = max(1.0, np.ceil((high - low) / int(given)))
        return np.arange(np.floor(low) - 0.5, high + step + 0.5, step)
    if not high > low:
        low, high = low - 0.5, high + 0.5
    if limits is not None:
        return np.linspace(low, high, int(given) + 1)
    step = _round_step((high - low) / int(given))
    return step * np.arange(np.floor(low / step), np.ceil(high / step) + 1)


def _round_step(step: float) -> float:
    """The nearest of 1, 2, 2.5, 5, 10 times a power of ten, by ratio."""
    power = 10.0 ** np.floor(np.log10(step))
    return power * min((1, 2, 2.5, 5, 10), key=lambda factor: abs(np.log(step / power / factor)))


def _density(values: ArrayLike, weight: ArrayLike | None, edges: NDArray[np.float64]) -> _Shape:
    """Fraction of all jets per bin, and its statistical error."""
    array = np.asarray(values, dtype=np.float64).ravel()
    weights = np.ones(array.size) if weight is None else np.asarray(weight, dtype=np.float64)
    height, _ = np.histogram(array, edges, weights=weights)
    square, _ = np.histogram(array, edges, weights=weights**2)
    return height / weights.sum(), np.sqrt(square) / weights.sum()


def _draw(
    axes: Axes,
    edges: NDArray[np.float64],
    shapes: Mapping[str, _Shape],
    fill_first: bool = True,
) -> None:
    """Outlines with a band for the statistical error; the first one is filled."""
    palette = colours(shapes)
    for index, (name, (height, error)) in enumerate(shapes.items()):
        colour = palette[name]
        if fill_first and index == 0:
            axes.stairs(height, edges, fill=True, color=colour, alpha=0.12)
        axes.stairs(
            height + error, edges, baseline=height - error, fill=True, color=colour, alpha=0.25
        )
        # the filled one and the next need no dashes to be told apart
        line = LINES[max(index - 1, 0) % len(LINES)]
        outline = {"color": colour, "linewidth": 1.6, "linestyle": line}
        axes.stairs(height, edges, baseline=None, label=plain(name), **outline)


def _ratio(
    axes: Axes,
    edges: NDArray[np.float64],
    shapes: Mapping[str, _Shape],
) -> None:
    """Every shape over the first one, with its own relative errors."""
    first = next(iter(shapes.values()))[0]
    ratios = {
        name: tuple(
            np.divide(part, first, out=np.full_like(part, np.nan), where=first > 0)
            for part in shape
        )
        for name, shape in shapes.items()
    }
    _draw(axes, edges, ratios, fill_first=False)  # type: ignore[arg-type]
    axes.set_ylim(0, 2.5)
    axes.set_ylabel(f"/ {plain(next(iter(shapes)))}")


@styled
def histogram(
    values: Mapping[str, ArrayLike],
    label: str,
    unit: str = "",
    bins: ArrayLike = 40,
    limits: tuple[float, float] | None = None,
    weights: Mapping[str, ArrayLike] | None = None,
    ratio: bool = False,
    log: bool = False,
) -> Figure:
    """One quantity for several classes, as fractions of all jets, with statistical errors.

    Args:
        values: class name -> (N,) values; NaN and values out of range count among all jets only.
        label: of the quantity.
        unit: of the quantity.
        bins: number of bins, or their edges.
        limits: range; default: what holds 99 % of the jets.
        weights: class name -> (N,) weights.
        ratio: add a pane with every class over the first one.
        log: logarithmic scale of the fractions.

    Raises:
        ValueError: no classes, or a class without a finite value.
    """
    if ratio:
        figure, (axes, below) = panels(2, 1, 4.8, 4.8, sharex=True, height_ratios=(3, 1))
    else:
        figure, axes = canvas()
    edges, shapes = _shapes(values, bins, limits, weights)
    _panel(axes, edges, shapes, unit, log)
    if ratio:
        _ratio(below, edges, shapes)
    (below if ratio else axes).set_xlabel(axis_label(label, unit))
    return figure


def _shapes(
    values: Mapping[str, ArrayLike],
    bins: ArrayLike,
    limits: tuple[float, float] | None,
    weights: Mapping[str, ArrayLike] | None,
) -> tuple[NDArray[np.float64], dict[str, _Shape]]:
    refuse_empty("classes", values)
    samples = [finite(value) for value in values.values()]
    for name, sample in zip(values, samples, strict=True):
        refuse_empty(f"finite values of class {name}", sample)
    edges = _edges(samples, bins, limits)
    weights = weights or {}
    return edges, {n: _density(v, weights.get(n), edges) for n, v in values.items()}


def _panel(
    axes: Axes,
    edges: NDArray[np.float64],
    shapes: Mapping[str, _Shape],
    unit: str,
    log: bool = False,
) -> None:
    _draw(axes, edges, shapes)
    axes.set_xlim(edges[0], edges[-1])
    width = edges[1] - edges[0]
    even = np.allclose(np.diff(edges), width)
    share = f"{width:.3g} {unit}".rstrip() if even else "bin"
    axes.set_ylabel(f"Fraction of jets / {share}")
    if log:
        axes.set_yscale("log")
    heights = np.concatenate([height + error for height, error in shapes.values()])
    if log and (heights > 0).any():
        axes.set_ylim(heights[heights > 0].min() / 2, heights.max() * 6)
    elif not log:
        # head-room for the legend
        axes.set_ylim(0, heights.max() * 1.3 or 1)
    legend(axes, ncols=2 if len(shapes) > 3 else 1)


def _by_class(jets: Mapping[str, Any], name: str) -> dict[str, NDArray]:
    return {label: np.asarray(sample[name]) for label, sample in jets.items()}


def observable(jets: Mapping[str, Any], name: str, **options: Any) -> Figure:
    """One jet observable for several classes, with the label and unit of `OBSERVABLES`.

    Args:
        jets: class name -> jets: anything with `sample[name]`, such as an Awkward array or a dict.
        name: field of the jets.
        **options: further options of `histogram`.
    """
    style = OBSERVABLES.get(name, Observable(plain(name)))
    return histogram(
        _by_class(jets, name), style.label, style.unit, **{"limits": style.limits, **options}
    )


@styled
def observable_grid(jets: Mapping[str, Any], names: Sequence[str], columns: int = 2) -> Figure:
    """Several observables in one figure; for pages that phones read, draw them one by one instead.

    Args:
        jets: class name -> jets, as in `observable`.
        names: fields of the jets.
        columns: panels side by side.

    Raises:
        ValueError: no names, or a class without jets.
    """
    refuse_empty("observables", names)
    columns = min(columns, len(names))
    rows = -(-len(names) // columns)
    figure, axes = panels(rows, columns, 4.4 * columns, 3.5 * rows)
    for name, pane in zip(names, axes, strict=False):
        style = OBSERVABLES.get(name, Observable(plain(name)))
        edges, shapes = _shapes(_by_class(jets, name), 40, style.limits, None)
        _panel(pane, edges, shapes, style.unit)
        pane.set_xlabel(axis_label(style.label, style.unit))
    for pane in axes[len(names) :]:
        pane.remove()
    return figure


@styled
def sculpting(
    y: ArrayLike,
    score: ArrayLike,
    mass: ArrayLike,
    efficiencies: Sequence[float] = (0.8, 0.5, 0.3),
    weight: ArrayLike | None = None,
    label: str = "Jet mass",
    unit: str = "GeV",
) -> Figure:
    """The background's mass before and after cuts on the score, each normalised to its own jets.

    Args:
        y: (N,) 1 for signal, 0 for background.
        score: (N,) higher means more signal-like.
        mass: (N,) jet mass [GeV].
        efficiencies: signal efficiencies of the cuts; those that leave fewer than 25
            background jets are not drawn.
        weight: (N,) weights >= 0, or None.
        label: of the quantity.
        unit: of the quantity.
    """
    curve = roc(y, score, weight)
    background, scores, masses = np.asarray(y) == 0, np.asarray(score), np.asarray(mass)
    weights = np.ones(scores.size) if weight is None else np.asarray(weight, dtype=np.float64)
    chosen = {"all background": background} | {
        f"{100 * e:.0f} % of the signal kept": background & (scores >= curve.threshold_at(e))
        for e in efficiencies
    }
    edges = _edges([finite(masses[background])], 30, None)
    kept = {
        name: flag
        for name, flag in chosen.items()
        if flag is background or np.count_nonzero(flag) >= _LEAST_JETS
    }
    shapes = {name: _density(masses[flag], weights[flag], edges) for name, flag in kept.items()}
    figure, axes = canvas()
    _panel(axes, edges, shapes, unit)
    axes.set_xlabel(axis_label(label, unit))
    return figure
