"""Figures of the validation book: what was measured beside its reference, the ratio below."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fivesigma.plots.style import (
    INK,
    LINES,
    MARKERS,
    PALETTE,
    canvas,
    legend,
    panels,
    plain,
    refuse_empty,
    styled,
)

__all__ = ["Series", "compared", "curves", "measured", "shares", "spectra"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Series:
    """Measured points of one kind, and the reference at the same places.

    Attributes:
        name: in the legend.
        x: (N,) ascending.
        y, error: (N,) measured.
        reference: (N,).
    """

    name: str
    x: Array
    y: Array
    error: Array
    reference: Array


@styled
def compared(
    series: Sequence[Series],
    xlabel: str,
    ylabel: str,
    bar: float | None = None,
    *,
    xlog: bool = True,
    ylog: bool = True,
    reference: str = "reference",
    reach: float | None = None,
) -> Figure:
    """Points with errors on lines that are the references; measured over reference below.

    Args:
        series: at least one.
        xlabel: of the abscissa, with its unit.
        ylabel: of the ordinate, with its unit.
        bar: the band of ratios that is allowed, 1 +- this.
        xlog: logarithmic abscissa.
        ylog: logarithmic ordinate.
        reference: what the lines are, for the legend.
        reach: of the ratio's axis about 1; default: what the points and the band need.

    Raises:
        ValueError: nothing to draw.
    """
    refuse_empty("series", series)
    figure, (axes, below) = panels(2, 1, 4.8, 4.6, sharex=True, height_ratios=(2.6, 1))
    if bar is not None:
        below.axhspan(1 - bar, 1 + bar, color=PALETTE[0], alpha=0.12, lw=0)
    below.axhline(1, color=INK, linewidth=0.8)
    for index, each in enumerate(series):
        colour = PALETTE[index % len(PALETTE)]
        # thin: between the marks the reference need not be straight
        axes.plot(each.x, each.reference, color=colour, linestyle=LINES[index % len(LINES)],
                  linewidth=0.7, marker="_", markersize=13, markeredgewidth=1.6)  # fmt: skip
        points: dict[str, Any] = {
            "fmt": MARKERS[index % len(MARKERS)], "color": colour, "elinewidth": 1.0,
            "markersize": 4.5,
        }  # fmt: skip
        axes.errorbar(each.x, each.y, each.error, label=plain(each.name), **points)
        size = np.abs(each.reference)
        below.errorbar(each.x, each.y / each.reference, each.error / size, **points)
    axes.plot([], [], color=INK, linewidth=0.7, marker="_", markersize=13, label=plain(reference))
    axes.set_ylabel(ylabel)
    _ticks(axes, below, xlog, ylog)
    legend(axes)
    off = max(float(np.abs(each.y / each.reference - 1).max()) for each in series)
    far = reach or min(max(1.3 * off, 1.6 * (bar or 0.0), 0.02), 1.0)
    below.set_ylim(1 - far, 1 + far)
    below.set_ylabel("Ratio")
    below.set_xlabel(xlabel)
    return figure


def _ticks(axes: Axes, below: Axes, xlog: bool, ylog: bool) -> None:
    """Plain numbers on logarithmic axes, room around the points."""
    axes.margins(x=0.06, y=0.12 if ylog else 0.25)
    below.margins(x=0.06)
    if xlog:
        axes.set_xscale("log")
        below.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    if ylog:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(
            lambda value, _: f"{value:g}" if f"{value:e}"[0] in "25" else ""
        )


@styled
def spectra(
    edges: Array, samples: Mapping[str, Array], xlabel: str, ylabel: str, *, ylog: bool = False,
    xlog: bool = False,
) -> Figure:  # fmt: skip
    """Histograms as steps, the first one filled: it is the reference of the ratios below.

    Args:
        edges: (N + 1,) of the bins.
        samples: name -> contents (N,), normalised as is wanted; at least two.
        xlabel: of the abscissa, with its unit.
        ylabel: of the ordinate.
        ylog: logarithmic ordinate.
        xlog: logarithmic abscissa.

    Raises:
        ValueError: fewer than two samples.
    """
    if len(samples) < 2:
        message = f"nothing to compare: {len(samples)} samples, expected at least 2"
        raise ValueError(message)
    figure, (axes, below) = panels(2, 1, 4.8, 4.4, sharex=True, height_ratios=(2.6, 1))
    first = next(iter(samples.values()))
    below.axhline(1, color=INK, linewidth=0.8)
    for index, (name, values) in enumerate(samples.items()):
        colour = PALETTE[index % len(PALETTE)]
        if not index:
            axes.stairs(values, edges, fill=True, color=colour, alpha=0.25)
        axes.stairs(values, edges, color=colour, linestyle=LINES[index % len(LINES)],
                    linewidth=1.5, label=plain(name))  # fmt: skip
        if index:
            ratio = np.divide(values, first, np.full_like(first, np.nan), where=first > 0)
            below.stairs(ratio, edges, baseline=None, color=colour,
                         linestyle=LINES[index % len(LINES)])  # fmt: skip
    axes.set_ylabel(ylabel)
    if ylog:
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.25 * max(values.max() for values in samples.values()))
    if xlog:
        axes.set_xscale("log")
    axes.set_xlim(edges[0], edges[-1])
    legend(axes)
    below.set(ylim=(0.5, 1.5), ylabel="Ratio", xlabel=xlabel)
    return figure


@styled
def curves(x: Array, lines: Mapping[str, Array], xlabel: str, ylabel: str) -> Figure:
    """Lines from zero upwards.

    Args:
        x: (N,) abscissas, ascending.
        lines: name -> ordinates (N,).
        xlabel: of the abscissa, with its unit.
        ylabel: of the ordinate, with its unit.

    Raises:
        ValueError: no lines.
    """
    refuse_empty("lines", lines)
    figure, axes = canvas()
    for index, (name, values) in enumerate(lines.items()):
        axes.plot(x, values, color=PALETTE[index % len(PALETTE)],
                  linestyle=LINES[index % len(LINES)], label=plain(name))  # fmt: skip
    highest = max(float(values.max()) for values in lines.values())
    axes.set(xlabel=xlabel, ylabel=ylabel, xlim=(x[0], x[-1]), ylim=(0, 1.25 * highest))
    legend(axes)
    return figure


@styled
def measured(
    series: Mapping[str, tuple[Array, Array, Array]], xlabel: str, ylabel: str, *,
    line: float | None = None, xlog: bool = True, reach: float = 0.0,
) -> Figure:  # fmt: skip
    """Points with errors; those of the same place stand a little beside each other.

    Args:
        series: name -> x, y and error, (N,) each; NaN: no point.
        xlabel: of the abscissa, with its unit.
        ylabel: of the ordinate, with its unit.
        line: where it should be.
        xlog: logarithmic abscissa.
        reach: half the range of the ordinate about the line; 0: from zero upwards.

    Raises:
        ValueError: nothing to draw.
    """
    refuse_empty("series", series)
    figure, axes = canvas()
    if line is not None:
        axes.axhline(line, color=INK, linewidth=0.8)
    middle = (len(series) - 1) / 2
    for index, (name, (x, y, error)) in enumerate(series.items()):
        aside = x * 1.02 ** (index - middle)
        axes.errorbar(aside, y, error, label=plain(name), fmt=MARKERS[index % len(MARKERS)],
                      color=PALETTE[index % len(PALETTE)], elinewidth=1.0,
                      markersize=4.5)  # fmt: skip
    x = np.concatenate([x[np.isfinite(y)] for x, y, _ in series.values()])
    low, high = float(x.min()), float(x.max())
    if xlog:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(lambda value, _: f"{value:g}" if f"{value:g}"[0] in "235"
                                       else "")  # fmt: skip
        axes.set_xlim(low / 1.25, high * 1.25)
    else:
        axes.set_xlim(low - 0.1 * (high - low), high + 0.1 * (high - low))
    highest = max(float(np.nanmax(y + error, initial=0.0)) for _, y, error in series.values())
    bounds = (line - reach, line + reach) if line is not None and reach else (0, 1.4 * highest)
    axes.set(xlabel=xlabel, ylabel=ylabel, ylim=bounds)
    legend(axes)
    return figure


@styled
def shares(rows: Mapping[str, Array], parts: Sequence[str], xlabel: str) -> Figure:
    """Shares of a whole as bars, one for each row.

    Args:
        rows: name -> shares (P,), the sum of which is 1.
        parts: their names.
        xlabel: of the abscissa.

    Raises:
        ValueError: no rows.
    """
    refuse_empty("rows", rows)
    figure, axes = canvas(6.4, 0.9 + 0.36 * len(rows))
    left = np.zeros(len(rows))
    table = np.array(list(rows.values()))
    for index, part in enumerate(parts):
        axes.barh(np.arange(len(rows)), table[:, index], left=left, height=0.7,
                  color=PALETTE[index % len(PALETTE)], label=plain(part))  # fmt: skip
        left += table[:, index]
    axes.set_yticks(np.arange(len(rows)), [plain(name) for name in rows])
    axes.tick_params(axis="y", which="both", length=0)
    axes.minorticks_off()
    axes.invert_yaxis()
    axes.set(xlim=(0, 1), xlabel=xlabel)
    legend(axes, loc="upper left", bbox_to_anchor=(1.0, 1.02), fontsize=9.5)
    return figure
