"""How well taggers do: ROC, significance, confusion, calibration, rejection in bins."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from fivesigma.metrics import LOWER_LIMIT, BinnedRejection, Calibration, Confusion, Roc
from fivesigma.plots.observables import histogram
from fivesigma.plots.style import (
    INK,
    LINES,
    MARKERS,
    PALETTE,
    axis_label,
    canvas,
    colours,
    legend,
    plain,
    refuse_empty,
    styled,
)
from fivesigma.results import Number

__all__ = [
    "calibration_curves",
    "confusion_matrix",
    "feature_importance",
    "rejection_bins",
    "roc_curves",
    "score_distributions",
    "significance_curves",
]

#: signal efficiencies at which curves are drawn
_EFFICIENCIES = np.concatenate([np.linspace(0.005, 0.1, 39), np.linspace(0.105, 1, 180)])


@styled
def roc_curves(curves: Mapping[str, Roc], minimum_background: int = 10) -> Figure:
    """ROC curves in the field's form: 1 / background efficiency against signal efficiency.

    The band is the statistical error of 1 / eps_B at fixed eps_S. Where fewer than
    `minimum_background` background jets survive, there is no band and the line is dotted.

    Args:
        curves: name of the tagger -> its ROC curve.
        minimum_background: least number of background jets for a band.

    Raises:
        ValueError: no curves.
    """
    refuse_empty("taggers", curves)
    figure, axes = canvas(4.8, 4.4)
    palette = colours(curves)
    highest = 10.0
    for index, (name, curve) in enumerate(curves.items()):
        background, jets = curve.background_at(_EFFICIENCIES), curve.jets_at(_EFFICIENCIES)
        error = curve.error_at(_EFFICIENCIES)
        some, enough = jets >= 1, jets >= minimum_background
        colour, line = palette[name], LINES[index % len(LINES)]
        axes.plot(_EFFICIENCIES[some], 1 / background[some], color=colour, lw=0.9, ls=":")
        at, rejection = _EFFICIENCIES[enough], 1 / background[enough]
        axes.plot(at, rejection, color=colour, linestyle=line, label=plain(name))
        # on a log scale eps_B and its inverse have the same relative error
        spread = np.exp(error[enough] * rejection)
        axes.fill_between(
            at, rejection / spread, rejection * spread, color=colour, alpha=0.2, lw=0
        )
        highest = max(highest, float((1 / background[some]).max(initial=0)))
    random = 1 / _EFFICIENCIES
    axes.plot(_EFFICIENCIES, random, color=INK, alpha=0.5, lw=1, ls="--", label="random")
    axes.set_yscale("log")
    axes.set(xlim=(0, 1), ylim=(1, highest * 2))
    axes.set_xlabel(r"Signal efficiency $\varepsilon_S$")
    axes.set_ylabel(r"Background rejection 1/$\varepsilon_B$")
    axes.grid(color=INK, alpha=0.12, lw=0.6)
    legend(axes, loc="upper right")
    return figure


@styled
def significance_curves(curves: Mapping[str, Roc], minimum_background: int = 25) -> Figure:
    """Significance improvement eps_S / sqrt(eps_B) against signal efficiency.

    Args:
        curves: name of the tagger -> its ROC curve.
        minimum_background: least number of surviving background jets that a point needs.

    Raises:
        ValueError: no curves.
    """
    refuse_empty("taggers", curves)
    figure, axes = canvas()
    palette = colours(curves)
    for index, (name, curve) in enumerate(curves.items()):
        enough = curve.jets_at(_EFFICIENCIES) >= minimum_background
        at = _EFFICIENCIES[enough]
        background, error = curve.background_at(at), curve.error_at(at)
        gain = at / np.sqrt(background)
        band = gain * error / background / 2
        axes.plot(at, gain, color=palette[name], ls=LINES[index % len(LINES)], label=plain(name))
        axes.fill_between(at, gain - band, gain + band, color=palette[name], alpha=0.2, lw=0)
    random = np.sqrt(_EFFICIENCIES)
    axes.plot(_EFFICIENCIES, random, color=INK, alpha=0.5, lw=1, ls="--", label="random")
    axes.set(xlim=(0, 1), ylim=(0, None))
    axes.set_xlabel(r"Signal efficiency $\varepsilon_S$")
    axes.set_ylabel(r"$\varepsilon_S\,/\,\sqrt{\varepsilon_B}$")
    legend(axes)
    return figure


def score_distributions(
    scores: Mapping[str, ArrayLike],
    label: str = "Score",
    weights: Mapping[str, ArrayLike] | None = None,
) -> Figure:
    """The distribution of a tagger's score for each true class, on a logarithmic scale.

    Args:
        scores: class name -> (N,) scores in [0, 1].
        label: of the score.
        weights: class name -> (N,) weights.
    """
    return histogram(scores, label, bins=50, limits=(0.0, 1.0), weights=weights, log=True)


@styled
def confusion_matrix(matrix: Confusion) -> Figure:
    """The confusion matrix in per cent of each true class.

    Args:
        matrix: as `metrics.confusion` gives it.
    """
    n = len(matrix.classes)
    refuse_empty("classes", matrix.classes)
    figure, axes = canvas(1.4 + 0.75 * max(n, 3), 1.0 + 0.7 * max(n, 3))
    # cells bring their own background: the palest blue would vanish on a white page
    axes.pcolormesh(
        matrix.fraction, cmap="Blues", vmin=0, vmax=1.15, edgecolors=INK, linewidth=0.4
    )
    size = 10.5 if n < 6 else 8
    for (i, j), value in np.ndenumerate(matrix.fraction):
        error = 100 * matrix.uncertainty[i, j]
        digits = 1 if error >= 0.095 else 2
        text = f"{100 * value:.{digits}f}\n±{error:.{digits}f}"
        axes.text(
            j + 0.5,
            i + 0.5,
            text,
            ha="center",
            va="center",
            fontsize=size,
            linespacing=1.1,
            color="white" if value > 0.5 else "black",
        )
    names = [plain(name) for name in matrix.classes]
    axes.set_xticks(np.arange(n) + 0.5, names, rotation=45 if n > 5 else 0)
    axes.set_yticks(np.arange(n) + 0.5, names)
    axes.tick_params(which="both", length=0)
    axes.minorticks_off()
    axes.invert_yaxis()
    axes.set_xlabel("Predicted class")
    axes.set_ylabel("True class")
    axes.set_title("% of the true class", loc="right", fontsize=10.5)
    return figure


@styled
def calibration_curves(curves: Mapping[str, Calibration]) -> Figure:
    """Signal fraction against mean score; calibrated scores lie on the diagonal.

    Args:
        curves: name of the tagger -> its calibration curve.

    Raises:
        ValueError: no curves.
    """
    refuse_empty("taggers", curves)
    figure, axes = canvas(4.8, 4.4)
    palette = colours(curves)
    axes.plot([0, 1], [0, 1], color=INK, alpha=0.5, lw=1, ls="--", label="calibrated")
    for index, (name, curve) in enumerate(curves.items()):
        axes.errorbar(
            curve.predicted,
            curve.observed,
            curve.uncertainty,
            color=palette[name],
            marker=MARKERS[index % len(MARKERS)],
            linewidth=1,
            linestyle=LINES[index % len(LINES)],
            label=plain(name),
        )
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.set_xlabel("Mean score")
    axes.set_ylabel("Fraction of signal")
    legend(axes, loc="upper left")
    return figure


@styled
def rejection_bins(
    binned: Mapping[str, BinnedRejection], label: str, unit: str = "", efficiency: float = 0.5
) -> Figure:
    """Background rejection in bins of another quantity; arrows point up from lower limits.

    Args:
        binned: name of the tagger -> its rejections, as `metrics.rejection_in_bins` gives them.
        label: of the binned quantity.
        unit: of the binned quantity.
        efficiency: signal efficiency, for the axis label.

    Raises:
        ValueError: no taggers, or no bin with jets.
    """
    refuse_empty("taggers", binned)
    if not any(number for one in binned.values() for number in one.rejection):
        message = "nothing to draw: no bin has background jets"
        raise ValueError(message)
    figure, axes = canvas()
    palette = colours(binned)
    for index, (name, one) in enumerate(binned.items()):
        pairs = zip(one.edges[:-1], one.edges[1:], one.rejection, strict=True)
        filled = [(low, high, number) for low, high, number in pairs if number is not None]
        low, high = (np.array([part[k] for part in filled]) for k in (0, 1))
        value = np.array([number.value for *_, number in filled])
        limit = np.array([number.note.startswith(LOWER_LIMIT) for *_, number in filled])
        error = np.array([number.uncertainty for *_, number in filled])
        # markers of several taggers side by side
        shift = (index - (len(binned) - 1) / 2) * 0.12 * (high - low)
        axes.errorbar(
            (low + high) / 2 + shift,
            value,
            np.where(limit, 0.25 * value, error),
            [(high - low) / 2 + shift, (high - low) / 2 - shift],
            linestyle="none",
            marker=MARKERS[index % len(MARKERS)],
            color=palette[name],
            lolims=limit,
            label=plain(name),
        )
    # the error bar of a bin with a single jet must not squeeze all others
    values = [number.value for one in binned.values() for number in one.rejection if number]
    axes.set_ylim(0, 1.5 * max(values))
    axes.set_xlabel(axis_label(label, unit))
    axes.set_ylabel(rf"1/$\varepsilon_B$ at $\varepsilon_S$ = {100 * efficiency:.0f} %")
    legend(axes)
    return figure


@styled
def feature_importance(
    importance: Mapping[str, float | Number], label: str, top: int = 20
) -> Figure:
    """Bars of feature importance, the most important on top.

    Args:
        importance: feature -> importance, with an error bar where it is a `Number`.
        label: what the importance measures, e.g. "gain" or "loss of AUC when shuffled".
        top: how many features to show.

    Raises:
        ValueError: no features.
    """
    refuse_empty("features", importance)
    numbers = {k: v if isinstance(v, Number) else Number(v) for k, v in importance.items()}
    shown = sorted(numbers.items(), key=lambda item: item[1].value)[-top:]
    figure, axes = canvas(4.8, 1.0 + 0.26 * len(shown))
    axes.barh(
        [plain(name) for name, _ in shown],
        [number.value for _, number in shown],
        xerr=[number.uncertainty for _, number in shown],
        color=PALETTE[0],
        ecolor=INK,
        height=0.7,
    )
    axes.tick_params(axis="y", which="both", length=0)
    axes.yaxis.minorticks_off()
    axes.set_xlabel(label)
    return figure
