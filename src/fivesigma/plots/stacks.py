"""Stacks of predicted processes with data and the band of the prediction's uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2

from fivesigma.plots.style import (
    INK,
    PALETTE,
    canvas,
    experiment_label,
    panels,
    refuse_empty,
    styled,
)

__all__ = ["garwood_interval", "stack"]

Array = NDArray[np.float64]

#: central probability of one standard deviation
_ONE_SIGMA = 0.682689492137086
#: of processes in the order of their names; the signal has a colour of its own
_BACKGROUNDS = (PALETTE[4], PALETTE[6], PALETTE[3], PALETTE[0], PALETTE[2], PALETTE[7])
_SIGNAL = PALETTE[1]
#: height of the axis over that of the highest bin: room for the legend
_HEADROOM = 1.45


def garwood_interval(count: ArrayLike) -> tuple[Array, Array]:
    """Lower and upper end of the central 68 % interval of Poisson means (Garwood, 1936).

    Args:
        count: (B,) numbers of events.

    Returns:
        (B,) and (B,); the lower end of 0 events is 0, the upper one 1.84.
    """
    n = np.asarray(count, dtype=np.float64)
    tail = (1 - _ONE_SIGMA) / 2
    low = np.where(n > 0, chi2.ppf(tail, 2 * np.maximum(n, 1e-9)) / 2, 0.0)
    return low, chi2.ppf(1 - tail, 2 * (n + 1)) / 2


@styled
def stack(
    edges: ArrayLike,
    processes: Mapping[str, ArrayLike],
    data: ArrayLike | None = None,
    uncertainty: ArrayLike | None = None,
    *,
    signal: tuple[str, ...] = (),
    axis: str = "",
    region: str = "",
    experiment: str = "",
    collisions: str = "",
    points: str = "Data",
    ratio: bool = True,
    log: bool = False,
) -> Figure:
    """A region as a paper shows it: processes on each other, data as points, the total's band.

    Args:
        edges: (B + 1,) of the bins; where they differ in width, events per unit are drawn.
        processes: name -> (B,) expected events, from bottom to top.
        data: (B,) events; None: not shown.
        uncertainty: (B,) of the total prediction, or (2, B) down and up; None: no band.
        signal: which of the processes are signal; they are drawn without filling.
        axis: label of the quantity, with its unit in brackets at its end.
        region: what is shown.
        experiment: bold on the upper left, e.g. "CMS Open Data".
        collisions: on the upper right, e.g. "11.6 fb$^{-1}$ (8 TeV)".
        points: what the data are called, e.g. "Pseudo-data".
        ratio: a pane with data over prediction, where there are data.
        log: logarithmic number of events.

    Raises:
        ValueError: no processes.
    """
    refuse_empty("processes", processes)
    bins = np.asarray(edges, dtype=np.float64)
    width = np.diff(bins)
    even = bool(np.allclose(width, width[0]))
    scale = np.ones_like(width) if even else 1 / width
    heights = {name: np.asarray(each, np.float64) for name, each in processes.items()}
    total = np.sum(list(heights.values()), axis=0)
    band = _band(total, uncertainty)
    observed = None if data is None else np.asarray(data, np.float64)
    if observed is not None and ratio:
        figure, (axes, below) = panels(2, 1, 5.4, 5.2, sharex=True, height_ratios=(3.2, 1))
        _ratio(below, bins, observed, total, band)
    else:
        figure, axes = canvas(5.4, 4.4)
        below = axes
    _stacked(axes, bins, {name: each * scale for name, each in heights.items()}, signal)
    if band is not None:
        _hatched(axes, bins, band[0] * scale, band[1] * scale)
    tops = [total * scale if band is None else band[1] * scale]
    if observed is not None:
        _points(axes, bins, observed, scale, points)
        tops.append(garwood_interval(observed)[1] * scale)
    _finish(axes, np.concatenate(tops), log, points)
    axes.set_ylabel(_events_per(width, even, axis))
    below.set_xlabel(axis)
    axes.set_xlim(bins[0], bins[-1])
    _labels(axes, region, experiment, collisions)
    return figure


def _band(total: Array, uncertainty: ArrayLike | None) -> tuple[Array, Array] | None:
    if uncertainty is None:
        return None
    size = np.asarray(uncertainty, np.float64)
    down, up = (size, size) if size.ndim == 1 else size
    return np.maximum(total - down, 0.0), total + up


def _stacked(
    axes: Axes, edges: Array, heights: Mapping[str, Array], signal: tuple[str, ...]
) -> None:
    bottom = np.zeros(len(edges) - 1)
    backgrounds = [name for name in heights if name not in signal]
    for name, each in heights.items():
        top = bottom + each
        if name in signal:
            style: dict[str, Any] = {"facecolor": "none", "edgecolor": _SIGNAL, "linewidth": 1.6}
        else:
            colour = _BACKGROUNDS[backgrounds.index(name) % len(_BACKGROUNDS)]
            style = {"facecolor": colour, "edgecolor": INK, "linewidth": 0.5}
        axes.stairs(top, edges, baseline=bottom, fill=True, label=name, **style)
        bottom = top


def _hatched(axes: Axes, edges: Array, low: Array, high: Array) -> None:
    style: dict[str, Any] = {
        "facecolor": "none",
        "edgecolor": INK,
        "hatch": "////////",
        "linewidth": 0.0,
    }
    axes.stairs(high, edges, baseline=low, fill=True, label="Uncertainty", **style)


def _points(axes: Axes, edges: Array, data: Array, scale: Array, name: str) -> None:
    """Data with central 68 % intervals; bins without data have none."""
    low, high = garwood_interval(data)
    errors = np.stack([data - low, high - data]) * scale
    shown = data > 0
    centres = (edges[1:] + edges[:-1]) / 2
    axes.errorbar(
        centres[shown], (data * scale)[shown], errors[:, shown],
        fmt="o", color=INK, markersize=4, linewidth=1, capsize=0, label=name, zorder=5,
    )  # fmt: skip


def _ratio(
    axes: Axes,
    edges: Array,
    data: Array,
    total: Array,
    band: tuple[Array, Array] | None,
) -> None:
    """Data over prediction, with the relative band."""
    base = np.where(total > 0, total, np.nan)
    axes.axhline(1.0, color=INK, linewidth=0.8)
    if band is not None:
        _hatched(axes, edges, band[0] / base, band[1] / base)
    shown = data > 0
    low, high = garwood_interval(data)
    centres = (edges[1:] + edges[:-1]) / 2
    errors = np.stack([(data - low) / base, (high - data) / base])
    axes.errorbar(
        centres[shown], (data / base)[shown], errors[:, shown],
        fmt="o", color=INK, markersize=3.5, linewidth=1,
    )  # fmt: skip
    half = 0.0 if band is None else float(np.nanmedian((band[1] - band[0]) / base) / 2)
    axes.set_ylim(*_ratio_limits((data / base)[shown], errors[:, shown], half))
    axes.set_ylabel("Data / pred.")


def _ratio_limits(ratio: Array, errors: Array, band: float) -> tuple[float, float]:
    """From 0 to at least 2, or close around 1 where data and the band are close to it."""
    if not np.isfinite(ratio).any():
        return 0.0, 2.0
    farthest = max(band, float(np.nanmax(np.abs(ratio - 1) + errors.max(axis=0))))
    if farthest < 0.35:
        half = max(1.4 * farthest, 0.05)
        return 1 - half, 1 + half
    return 0.0, float(np.clip(1.6 * np.nanpercentile(ratio, 84), 2.0, 6.0))


def _finish(axes: Axes, tops: Array, log: bool, first: str) -> None:
    """Room above for the legend, and the legend in the order of the stack."""
    highest = float(tops.max()) if tops.size and tops.max() > 0 else 1.0
    if log:
        axes.set_yscale("log")
        positive = tops[tops > 0]
        low = max(positive.min() / 5, highest * 1e-6) if positive.size else highest / 10
        axes.set_ylim(low, highest * (highest / low) ** 0.5)
    else:
        axes.set_ylim(0, highest * _HEADROOM)
    handles, names = axes.get_legend_handles_labels()
    order = sorted(range(len(names)), key=lambda i: (names[i] != first, -i))
    chosen = [_swatch(handles[i]) for i in order]
    axes.legend(
        chosen, [names[i] for i in order], frameon=False, ncols=2 if len(names) > 3 else 1,
        loc="upper right", columnspacing=1.2,
    )  # fmt: skip


def _swatch(handle: Any) -> Any:
    """A filled box of its own, which looks the same in legends of all sizes."""
    if not hasattr(handle, "get_hatch"):
        return handle
    hatch = handle.get_hatch()
    return Patch(
        facecolor=handle.get_facecolor(),
        edgecolor=handle.get_edgecolor(),
        hatch=hatch,
        linewidth=0 if hatch else max(0.5, handle.get_linewidth()),
    )


def _events_per(width: Array, even: bool, axis: str) -> str:
    unit = axis.rpartition("[")[2].rstrip("]") if axis.endswith("]") else ""
    if not even:
        return f"Events / {unit or 'unit'}"
    return f"Events / {width[0]:.3g} {unit}".rstrip() if unit else "Events / bin"


def _labels(axes: Axes, region: str, experiment: str, collisions: str) -> None:
    """Experiment and collisions above the frame, the region inside it."""
    experiment_label(axes, experiment, collisions)
    if region:
        axes.annotate(
            region, (0, 1), (8, -8), xycoords="axes fraction", textcoords="offset points",
            fontsize=11, va="top",
        )  # fmt: skip
