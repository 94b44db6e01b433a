"""Mass spectra: resonances over many decades, fits with their pulls, predicted windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from fivesigma.plots.stacks import garwood_interval
from fivesigma.plots.style import (
    INK,
    LINES,
    PALETTE,
    axis_label,
    canvas,
    experiment_label,
    finite,
    legend,
    panels,
    plain,
    refuse_empty,
    styled,
)
from fivesigma.statistics.spectra import Fit, Sideband

__all__ = ["mass_spectrum", "sideband_fit", "spectrum_fit"]

Array = NDArray[np.float64]
#: points of a smooth curve for each bin
_FINE = 10
#: of the name of a resonance, in units of the frame
_NAME_WIDTH = 0.055


def _points(axes: Axes, edges: Array, counts: Array) -> None:
    """Data with Poisson errors; empty bins are not drawn."""
    low, high = garwood_interval(counts)
    filled = counts > 0
    errors = np.stack([counts - low, high - counts])[:, filled]
    axes.errorbar(
        (0.5 * (edges[:-1] + edges[1:]))[filled],
        counts[filled],
        errors,
        fmt="o",
        color=INK,
        markersize=3.2,
        elinewidth=0.8,
        label="Data",
        zorder=5,
    )


def _per_bin(edges: Array, unit: str) -> str:
    """What a bin of equal width is, e.g. "10 MeV"."""
    width = float(edges[1] - edges[0])
    if unit == "GeV" and width < 0.1:
        return f"{1000 * width:.3g} MeV"
    return f"{width:.3g} {unit}".rstrip()


@styled
def mass_spectrum(
    values: ArrayLike,
    marks: Mapping[str, float],
    label: str,
    unit: str = "GeV",
    limits: tuple[float, float] | None = None,
    bins: int = 300,
    experiment: str = "",
    right: str = "",
) -> Figure:
    """A spectrum over many decades, both axes logarithmic, with the names of resonances.

    Args:
        values: (N,) masses above 0; others are left out.
        marks: name of a resonance, as text of matplotlib -> its mass.
        label: of the quantity.
        unit: of the quantity.
        limits: range; default: that of the values.
        bins: number of bins, of equal width in the logarithm.
        experiment: label of the experiment.
        right: luminosity and energy.

    Raises:
        ValueError: no value within the range.
    """
    masses = finite(values)
    masses = masses[masses > 0]
    refuse_empty("masses above 0", masses)
    low, high = limits or (masses.min(), masses.max() * 1.001)
    edges = np.geomspace(low, high, bins + 1)
    counts = np.histogram(masses, edges)[0].astype(np.float64)
    refuse_empty(f"masses from {low:g} to {high:g}", counts[counts > 0])
    density = counts / np.diff(edges)
    figure, axes = canvas(7.2, 4.6)
    axes.stairs(density, edges, fill=True, color=PALETTE[0], alpha=0.2)
    axes.stairs(density, edges, color=PALETTE[0], linewidth=1.2)
    axes.set(xscale="log", yscale="log", xlim=(low, high))
    axes.set_ylim(density[density > 0].min() / 2, density.max() * 12)
    _name_resonances(axes, edges, density, marks)
    axes.set_xlabel(axis_label(label, unit))
    axes.set_ylabel(f"Events / {unit}" if unit else "Events / unit")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    experiment_label(axes, experiment, right)
    return figure


def _name_resonances(axes: Axes, edges: Array, density: Array, marks: Mapping[str, float]) -> None:
    """A name above each peak; one that would cover another stands higher, or beside a peak."""
    span = np.log(edges[-1] / edges[0])
    placed: list[tuple[float, float]] = []
    for name, mass in sorted(marks.items(), key=lambda item: item[1]):
        if not edges[0] < mass < edges[-1]:
            continue
        near = np.abs(np.log(edges[1:] / mass)) < max(0.005 * span, np.log(edges[1] / edges[0]))
        at, top = np.log(mass / edges[0]) / span, density[near].max() * 1.35
        close = [height for where, height in placed if at - where < _NAME_WIDTH]
        beside = bool(close) and top < min(close) / 2
        while any(top / 1.65 < height < top * 1.65 for height in close):
            top *= 1.1
        axes.annotate(
            name, (mass, top), ha="left" if beside else "center", va="bottom", fontsize=11
        )
        placed.append((at, top))


@styled
def spectrum_fit(
    fit: Fit,
    label: str,
    unit: str = "GeV",
    names: Mapping[str, str] | None = None,
    text: Sequence[str] = (),
    experiment: str = "",
    right: str = "",
) -> Figure:
    """Data and fit, the components below it, and the pulls.

    Args:
        fit: what was found.
        label: of the quantity.
        unit: of the quantity.
        names: component -> its name in the legend.
        text: lines that stand in the figure, as text of matplotlib.
        experiment: label of the experiment.
        right: luminosity and energy.
    """
    figure, (axes, below) = panels(2, 1, 4.8, 4.9, sharex=True, height_ratios=(3.4, 1))
    edges, names = fit.edges, names or {}
    _points(axes, edges, fit.counts)
    fine = np.linspace(edges[0], edges[-1], _FINE * len(fit.counts) + 1)
    centres = 0.5 * (fine[:-1] + fine[1:])
    parts = {k: v * _FINE for k, v in fit.model.of_components(fine, fit.values).items()}
    axes.plot(centres, np.sum(list(parts.values()), axis=0), color=PALETTE[1], label="Fit")
    base = [each.name for each in fit.model.components if not each.shape.peak]
    lines = [name for name in parts if name not in base]
    behind = np.sum([parts[name] for name in base], axis=0) if base else np.zeros(len(centres))
    if base:
        axes.plot(centres, behind, color=PALETTE[0], linestyle=LINES[1], label="Background")
    for index, name in enumerate(lines):
        colour = PALETTE[2 + index % 6]
        shown = names.get(name, plain(name))
        axes.fill_between(
            centres, behind, behind + parts[name], color=colour, alpha=0.25, lw=0, label=shown
        )
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(0, 1.42 * float((fit.counts + np.sqrt(fit.counts)).max()))
    axes.set_ylabel(f"Events / {_per_bin(edges, unit)}")
    axes.text(0.04, 0.95, "\n".join(text), transform=axes.transAxes, va="top", fontsize=9.5)
    handles, shown_names = axes.get_legend_handles_labels()
    legend(axes, loc="upper right", handles=[handles[-1], *handles[:-1]],
           labels=[shown_names[-1], *shown_names[:-1]])  # fmt: skip
    experiment_label(axes, experiment, right)
    _pulls(below, edges, fit.pulls)
    below.set_xlabel(axis_label(label, unit))
    return figure


def _pulls(axes: Axes, edges: Array, pulls: Array) -> None:
    axes.axhspan(-1, 1, color=PALETTE[0], alpha=0.12, lw=0)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.stairs(pulls, edges, fill=True, baseline=0, color=PALETTE[0], alpha=0.6)
    reach = max(3.5, 1.15 * float(np.abs(pulls).max()))
    axes.set_ylim(-reach, reach)
    axes.set_ylabel("Pull")


@styled
def sideband_fit(
    found: Sideband,
    label: str,
    unit: str = "GeV",
    observed: ArrayLike | None = None,
    experiment: str = "",
    right: str = "",
) -> Figure:
    """A window predicted from its sidebands by each function that was chosen.

    Args:
        found: the prediction.
        label: of the quantity.
        unit: of the quantity.
        observed: (B,) counts with those in the window; None keeps it closed.
        experiment: label of the experiment.
        right: luminosity and energy.
    """
    figure, axes = canvas(4.8, 4.2)
    edges = found.edges
    counts = found.counts if observed is None else np.asarray(observed, dtype=np.float64)
    axes.axvspan(*found.window, color=PALETTE[3], alpha=0.15, lw=0, label="Window")
    _points(axes, edges, counts)
    chosen = [trial for trial in found.trials if trial.chosen]
    for index, trial in enumerate(chosen):
        name = trial.shape + (" (predicts)" if trial.shape == found.best.shape else "")
        colour, line = PALETTE[(1, 0, 2, 4)[index % 4]], LINES[index % len(LINES)]
        axes.stairs(
            trial.expected, edges, baseline=None, color=colour, linestyle=line, label=name, lw=1.5
        )
    inside = ~found.visible
    spread = found.best.expected * found.uncertainty / found.prediction if found.prediction else 0
    band = np.stack([found.best.expected - spread, found.best.expected + spread])[:, inside]
    within = edges[np.flatnonzero(inside)[0] : np.flatnonzero(inside)[-1] + 2]
    axes.stairs(band[1], within, baseline=band[0], fill=True, color=PALETTE[1], alpha=0.3, lw=0)
    axes.set_xlim(edges[0], edges[-1])
    top = max(counts.max(), max(float(trial.expected.max()) for trial in chosen))
    axes.set_ylim(0, 1.45 * float(top + np.sqrt(top)))
    axes.set_ylabel(f"Events / {_per_bin(edges, unit)}")
    axes.set_xlabel(axis_label(label, unit))
    legend(axes)
    experiment_label(axes, experiment, right)
    return figure
