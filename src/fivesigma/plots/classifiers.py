"""Classifiers of events: training against test, correlations, significance, stability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from fivesigma.metrics.significance import SignificanceCurve
from fivesigma.plots.style import (
    INK,
    LINES,
    MARKERS,
    PALETTE,
    canvas,
    colours,
    legend,
    plain,
    refuse_empty,
    styled,
)
from fivesigma.results import Number

__all__ = ["correlation_matrix", "number_pairs", "significance_cuts", "train_test_scores"]

_SCORE_BINS = 30


@styled
def train_test_scores(
    train: Mapping[str, tuple[ArrayLike, ArrayLike]],
    test: Mapping[str, tuple[ArrayLike, ArrayLike]],
) -> Figure:
    """Scores of the events that were learned from, filled, and of those that were not, points.

    Args:
        train: class -> scores (N,) in [0, 1] and weights (N,).
        test: the same classes.

    Raises:
        ValueError: no classes.
    """
    refuse_empty("classes", train)
    figure, axes = canvas()
    palette, edges = colours(train), np.linspace(0, 1, _SCORE_BINS + 1)
    for name in train:
        height, _ = _shape(*train[name], edges)
        axes.stairs(height, edges, fill=True, color=palette[name], alpha=0.35)
        axes.stairs(height, edges, color=palette[name], label=plain(f"{name}, training"))
        height, error = _shape(*test[name], edges)
        axes.errorbar(
            *((edges[1:] + edges[:-1]) / 2, height, error),
            color=palette[name],
            marker=MARKERS[list(train).index(name) % len(MARKERS)],
            linestyle="none",
            label=plain(f"{name}, test"),
        )
    axes.set(xlim=(0, 1), ylim=(0, None))
    axes.set_xlabel("Score")
    axes.set_ylabel("Density")
    legend(axes, ncols=2)
    axes.set_ylim(0, 1.3 * axes.get_ylim()[1])
    return figure


def _shape(
    score: ArrayLike, weight: ArrayLike, edges: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Density of each bin and its error."""
    scores, weights = np.asarray(score, np.float64), np.asarray(weight, np.float64)
    norm = weights.sum() * np.diff(edges)
    height = np.histogram(scores, edges, weights=weights)[0]
    square = np.histogram(scores, edges, weights=weights**2)[0]
    return height / norm, np.sqrt(square) / norm


@styled
def correlation_matrix(matrix: ArrayLike, names: Sequence[str]) -> Figure:
    """Linear correlation coefficients in per cent; cells that are nearly 0 have no number.

    Args:
        matrix: (F, F) coefficients; NaN stays blank.
        names: of the F quantities.

    Raises:
        ValueError: no quantities.
    """
    refuse_empty("quantities", names)
    values, n = np.asarray(matrix, np.float64), len(names)
    side = 2.2 + 0.22 * max(n, 6)
    figure, axes = canvas(side + 0.6, side)
    mesh = axes.pcolormesh(values, cmap="RdBu_r", vmin=-1, vmax=1, edgecolors=INK, linewidth=0.1)
    for (i, j), value in np.ndenumerate(values):
        if np.isfinite(value) and abs(value) >= 0.1 and i != j:
            colour = "white" if abs(value) > 0.6 else "black"
            text = f"{100 * value:.0f}"
            axes.text(
                *(j + 0.5, i + 0.5, text),
                ha="center", va="center", fontsize=5.5 if n > 15 else 8, color=colour,
            )  # fmt: skip
    ticks, size = np.arange(n) + 0.5, 7 if n > 15 else 9
    labels = [plain(name) for name in names]
    axes.set_xticks(ticks, labels, rotation=90, fontsize=size)
    axes.set_yticks(ticks, labels, fontsize=size)
    axes.tick_params(which="both", length=0)
    axes.minorticks_off()
    axes.invert_yaxis()
    figure.colorbar(mesh, ax=axes, shrink=0.7, label="Correlation coefficient")
    return figure


@styled
def significance_cuts(
    curves: Mapping[str, SignificanceCurve], label: str, least: int = 10
) -> Figure:
    """Significance against the cut on the score, with the statistical error of simulation.

    Where fewer than `least` simulated background events pass, the line is dotted, without band.

    Args:
        curves: name of the classifier -> its curve.
        label: of the significance.
        least: fewest simulated background events for a band.

    Raises:
        ValueError: no curves.
    """
    refuse_empty("classifiers", curves)
    figure, axes = canvas()
    palette, highest = colours(curves), 0.0
    for index, (name, curve) in enumerate(curves.items()):
        some = np.isfinite(curve.value)
        enough = some & (curve.entries >= least)
        colour = palette[name]
        axes.plot(curve.threshold[some], curve.value[some], color=colour, lw=0.9, ls=":")
        at, value, error = (each[enough] for each in (curve.threshold, curve.value, curve.error))
        axes.plot(at, value, color=colour, ls=LINES[index % len(LINES)], label=plain(name))
        axes.fill_between(at, value - error, value + error, color=colour, alpha=0.2, lw=0)
        highest = max(highest, float((value + error).max(initial=0)))
    axes.set(xlim=(0, 1), ylim=(0, 1.25 * highest if highest > 0 else None))
    axes.set_xlabel("Cut on the score")
    axes.set_ylabel(label)
    legend(axes)
    return figure


@styled
def number_pairs(
    points: Mapping[str, tuple[Number, Number]], x_label: str, y_label: str
) -> Figure:
    """One figure of merit against another, a point with its errors for each classifier.

    Args:
        points: name of the classifier -> x and y.
        x_label: of the horizontal axis.
        y_label: of the vertical axis.

    Raises:
        ValueError: no points.
    """
    refuse_empty("classifiers", points)
    figure, axes = canvas()
    for index, (name, (x, y)) in enumerate(points.items()):
        axes.errorbar(
            *(x.value, y.value, y.uncertainty, x.uncertainty),
            color=PALETTE[index % len(PALETTE)],
            marker=MARKERS[index % len(MARKERS)],
            linestyle="none",
            label=plain(name),
        )
    axes.margins(0.25)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    legend(axes)
    return figure
