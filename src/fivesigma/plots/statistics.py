"""Fits as papers show them: pulls, ranking, correlations, scans, limits, pseudo-experiments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from scipy.stats import chi2

from fivesigma.plots.style import INK, PALETTE, canvas, legend, panels, plain, refuse_empty, styled
from fivesigma.statistics import BANDS, CLs, Impact, Pull, Scan

__all__ = [
    "cls_scan",
    "correlation_matrix",
    "goodness_distribution",
    "likelihood_scan",
    "parameter_pulls",
    "parameter_ranking",
    "statistic_distribution",
]

#: the bands of one and two standard deviations, as limits are always shown
_ONE, _TWO = PALETTE[4], PALETTE[3]
#: height of a row of parameters [inch]
_ROW = 0.24
_LEGEND_ABOVE = {"loc": "lower left", "bbox_to_anchor": (0, 1.0), "ncols": 2}


@styled
def parameter_pulls(pulls: Sequence[Pull], top: int = 40) -> Figure:
    """Pulls of nuisance parameters with the bands of one and two standard deviations.

    Args:
        pulls: of the constrained parameters.
        top: how many to show, those furthest from 0 +- 1.

    Raises:
        ValueError: no pulls.
    """
    refuse_empty("pulls", pulls)
    oddest = sorted(pulls, key=lambda p: -abs(p.pull) - abs(p.uncertainty - 1))[:top]
    shown = [each for each in pulls if each in oddest]
    figure, axes = canvas(4.8, 1.0 + _ROW * len(shown))
    rows = np.arange(len(shown))
    axes.axvspan(-2, 2, color=_TWO, alpha=0.25, linewidth=0)
    axes.axvspan(-1, 1, color=_ONE, alpha=0.35, linewidth=0)
    axes.axvline(0, color=INK, linewidth=0.6, linestyle=":")
    axes.errorbar(
        [p.pull for p in shown], rows, xerr=[p.uncertainty for p in shown],
        fmt="o", color=INK, markersize=3.5, linewidth=1,
    )  # fmt: skip
    _rows(axes, [p.name for p in shown])
    reach = max(2.4, *(abs(p.pull) + p.uncertainty for p in shown)) + 0.1
    axes.set_xlim(-reach, reach)
    axes.set_xlabel("(fitted − measured) / width of the constraint")
    return figure


def _rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(np.arange(len(names)), [plain(name) for name in names], fontsize=9)
    axes.tick_params(axis="y", which="both", length=0)
    axes.yaxis.minorticks_off()
    axes.set_ylim(len(names) - 0.4, -0.6)


@styled
def parameter_ranking(impacts: Sequence[Impact], poi: str = "mu", top: int = 20) -> Figure:
    """Nuisance parameters by their impact on the parameter of interest, with their pulls.

    Args:
        impacts: the largest first.
        poi: name of the parameter of interest.
        top: how many to show.

    Raises:
        ValueError: no impacts.
    """
    refuse_empty("impacts", impacts)
    shown = list(impacts[:top])
    rows = np.arange(len(shown))
    figure, (left, right) = panels(
        1, 2, 6.6, 1.5 + _ROW * len(shown), sharey=True, width_ratios=(1.3, 1)
    )
    for values, colour, label in (
        ([i.prefit_up for i in shown], PALETTE[1], "+1σ before the fit"),
        ([i.prefit_down for i in shown], PALETTE[0], "−1σ before the fit"),
    ):
        left.barh(rows, values, height=0.82, facecolor="none", edgecolor=colour, label=label)
    for values, colour, label in (
        ([i.up for i in shown], PALETTE[1], "+1σ after it"),
        ([i.down for i in shown], PALETTE[0], "−1σ after it"),
    ):
        left.barh(rows, values, height=0.82, color=colour, alpha=0.75, label=label)
    left.axvline(0, color=INK, linewidth=0.6)
    _rows(left, [i.name for i in shown])
    every = [v for i in shown for v in (i.up, i.down, i.prefit_up, i.prefit_down)]
    reach = 1.15 * float(np.nanmax(np.abs([*every, 1e-12])))
    left.set_xlim(-reach, reach)
    left.set_xlabel(f"impact on {plain(poi)}")
    legend(left, **(_LEGEND_ABOVE | {"fontsize": 9, "columnspacing": 1.0}))
    right.axvspan(-1, 1, color=_ONE, alpha=0.35, linewidth=0)
    right.errorbar(
        [i.pull for i in shown], rows, xerr=[i.pull_uncertainty for i in shown],
        fmt="o", color=INK, markersize=3.5, linewidth=1,
    )  # fmt: skip
    reach = np.nanmax([1.4, *(abs(i.pull) + i.pull_uncertainty for i in shown)]) + 0.1
    right.set_xlim(-reach, reach)
    right.set_xlabel("pull")
    return figure


@styled
def correlation_matrix(
    names: Sequence[str], matrix: ArrayLike, least: float = 0.1, top: int = 20
) -> Figure:
    """Correlations of fitted parameters, those that correlate with any other.

    Args:
        names: (P,) of the parameters.
        matrix: (P, P).
        least: correlation with another parameter from which a parameter is shown.
        top: how many to show, those that correlate most.

    Raises:
        ValueError: no parameters.
    """
    refuse_empty("parameters", names)
    values = np.asarray(matrix, np.float64)
    strongest = np.abs(values - np.diag(np.diag(values))).max(axis=1)
    chosen = np.sort(np.argsort(-strongest, kind="stable")[:top])
    chosen = chosen[strongest[chosen] >= least] if (strongest >= least).any() else chosen
    part, n = values[np.ix_(chosen, chosen)], len(chosen)
    figure, axes = canvas(1.9 + 0.34 * max(n, 3), 1.5 + 0.34 * max(n, 3))
    axes.pcolormesh(part, cmap="RdBu_r", vmin=-1, vmax=1, edgecolors=INK, linewidth=0.3)
    for (i, j), value in np.ndenumerate(part):
        if abs(value) >= 0.005:
            colour = "white" if abs(value) > 0.6 else "black"
            text = f"{100 * value:.0f}"
            axes.text(j + 0.5, i + 0.5, text, ha="center", va="center", fontsize=8, color=colour)
    shown = [plain(names[index]) for index in chosen]
    axes.set_xticks(np.arange(n) + 0.5, shown, rotation=60, ha="right", fontsize=9)
    axes.set_yticks(np.arange(n) + 0.5, shown, fontsize=9)
    axes.tick_params(which="both", length=0)
    axes.minorticks_off()
    axes.invert_yaxis()
    axes.set_title("correlation [%]", loc="right", fontsize=10.5)
    return figure


@styled
def likelihood_scan(scans: Mapping[str, Scan], label: str = "") -> Figure:
    """Likelihood profiles with the levels of 68 % and 95 %.

    Args:
        scans: label of the curve -> profile.
        label: of the axis; default: the parameter.

    Raises:
        ValueError: no profiles.
    """
    refuse_empty("likelihood profiles", scans)
    figure, axes = canvas()
    for (name, each), colour in zip(scans.items(), PALETTE, strict=False):
        axes.plot(each.values, each.twice_delta_nll, color=colour, label=plain(name))
    highest = max(float(np.nanmax(each.twice_delta_nll)) for each in scans.values())
    for level, text in ((1.0, "68.3 %"), (3.84, "95 %")):
        if level < highest:
            axes.axhline(level, color=INK, linewidth=0.8, linestyle=":")
            axes.annotate(
                text, (1.0, level), xycoords=("axes fraction", "data"), ha="right",
                xytext=(-4, 2), textcoords="offset points", fontsize=9,
            )  # fmt: skip
    axes.set_ylim(0, min(highest, 12.0) * 1.05)
    axes.set_xlabel(plain(label or next(iter(scans.values())).name))
    axes.set_ylabel("−2 Δ ln L")
    if len(scans) > 1:
        legend(axes)
    return figure


@styled
def cls_scan(found: CLs, level: float = 0.95, label: str = "mu", observed: bool = True) -> Figure:
    """CLs against the signal strength, with the bands that are expected without a signal.

    Args:
        found: of increasing signal strengths.
        level: confidence level of the line.
        label: of the axis.
        observed: whether to draw what was observed.
    """
    refuse_empty("signal strengths", found.mu)
    figure, axes = canvas()
    band = dict(zip(BANDS, found.expected, strict=True))
    style: dict[str, Any] = {"linewidth": 0, "alpha": 0.55}
    axes.fill_between(found.mu, band[-2], band[2], color=_TWO, label="expected ±2σ", **style)
    axes.fill_between(found.mu, band[-1], band[1], color=_ONE, label="expected ±1σ", **style)
    axes.plot(found.mu, band[0], color=INK, linestyle="--", linewidth=1.2, label="expected")
    if observed:
        axes.plot(found.mu, found.observed, color=INK, linewidth=1.6, label="observed")
    axes.axhline(1 - level, color=PALETTE[1], linewidth=1)
    axes.annotate(
        f"{100 * level:g} % CL", (1.0, 1 - level), xycoords=("axes fraction", "data"), ha="right",
        xytext=(-4, 3), textcoords="offset points", fontsize=9,
    )  # fmt: skip
    axes.set_xlim(0, found.mu[-1])
    axes.set_ylim(0, 1.02)
    axes.set_xlabel(plain(label))
    axes.set_ylabel("CLs")
    legend(axes, loc="upper right")
    return figure


@styled
def statistic_distribution(q: ArrayLike, observed: float | None = None) -> Figure:
    """The discovery statistic of background pseudo-experiments, and what it tends to.

    That is half a chi-squared of one degree of freedom, and half of all at 0 (arXiv:1007.1727,
    eq. 49).

    Args:
        q: (n,) values; NaN are left out.
        observed: the value of the data.

    Raises:
        ValueError: no values.
    """
    values = np.asarray(q, np.float64)
    values = values[np.isfinite(values)]
    refuse_empty("pseudo-experiments", values)
    figure, axes = canvas()
    top = max(float(values.max()), observed or 0.0, 4.0) * 1.08
    edges = np.linspace(0, top, 41)
    # half of all lie at 0: they would stand above all else
    expected = 0.5 * values.size * np.diff(chi2.cdf(edges, 1))
    expected[0] += 0.5 * values.size
    axes.stairs(expected, edges, color=PALETTE[1], linewidth=1.4, label="½ δ(0) + ½ χ²(1)")
    highest = max(_toys(axes, values, edges, observed), expected.max())
    axes.set_yscale("log")
    axes.set_ylim(0.3, 3 * highest)
    axes.set_xlim(0, top)
    axes.set_xlabel("q₀")
    axes.set_ylabel("pseudo-experiments")
    legend(axes)
    return figure


def _toys(axes: Axes, values: np.ndarray, edges: np.ndarray, observed: float | None) -> float:
    """Pseudo-experiments in bins, and where the data are; the highest bin."""
    counts, _ = np.histogram(values, edges)
    centres = (edges[1:] + edges[:-1]) / 2
    axes.errorbar(
        centres[counts > 0], counts[counts > 0], np.sqrt(counts[counts > 0]),
        fmt="o", color=INK, markersize=3, linewidth=0.8, label=f"{values.size} pseudo-experiments",
    )  # fmt: skip
    if observed is not None:
        axes.axvline(observed, color=PALETTE[0], linewidth=1.6, label="observed")
    return float(counts.max())


@styled
def goodness_distribution(q: ArrayLike, observed: float, degrees_of_freedom: int) -> Figure:
    """Goodness of fit of pseudo-experiments, and the chi-squared that it tends to.

    Args:
        q: (n,) -2 ln of the likelihood ratio to the saturated model; NaN are left out.
        observed: that of the data.
        degrees_of_freedom: of the chi-squared.

    Raises:
        ValueError: no values.
    """
    values = np.asarray(q, np.float64)
    values = values[np.isfinite(values)]
    refuse_empty("pseudo-experiments", values)
    figure, axes = canvas()
    edges = np.linspace(0, max(float(values.max()), observed) * 1.08, 41)
    expected = values.size * np.diff(chi2.cdf(edges, degrees_of_freedom))
    label = f"χ²({degrees_of_freedom})"
    axes.stairs(expected, edges, color=PALETTE[1], linewidth=1.4, label=label)
    highest = max(_toys(axes, values, edges, observed), expected.max())
    axes.set_ylim(0, 1.35 * highest)
    axes.set_xlim(0, edges[-1])
    axes.set_xlabel("−2 ln L against the saturated model")
    axes.set_ylabel("pseudo-experiments")
    legend(axes)
    return figure
