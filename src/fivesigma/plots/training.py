"""How a training went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fivesigma.plots.style import (
    INK,
    LINES,
    PALETTE,
    canvas,
    legend,
    panels,
    plain,
    refuse_empty,
    styled,
)
from fivesigma.results import Number

__all__ = ["against_jets", "training_curves"]


def _lines(axes: Axes, history: Sequence[Mapping[str, float]], keys: Sequence[str]) -> None:
    """One line per key, over the epochs that have it."""
    for index, key in enumerate(keys):
        rows = [(row.get("epoch", n), row[key]) for n, row in enumerate(history) if key in row]
        axes.plot(
            [epoch for epoch, _ in rows],
            [value for _, value in rows],
            color=PALETTE[index % len(PALETTE)],
            linestyle=LINES[index % len(LINES)],
            marker="o" if len(rows) < 30 else None,
            markersize=3,
            label=plain(key.replace("_", " ").replace("auc", "AUC")),
        )


@styled
def training_curves(
    history: Sequence[Mapping[str, float]],
    best_epoch: float | None = None,
    losses: Sequence[str] | None = None,
    scores: Sequence[str] | None = None,
) -> Figure:
    """Losses, and below them accuracy and AUC, against the epoch.

    Args:
        history: one mapping per epoch, e.g. the rows of `metrics.jsonl`; `epoch` counts, if it is
            there.
        best_epoch: the epoch whose weights were kept; marked by a line.
        losses: keys to draw above; default: all keys that end in "loss".
        scores: keys to draw below; default: all keys that end in "accuracy" or "auc".

    Raises:
        ValueError: no epochs, or none of the keys.
    """
    refuse_empty("epochs in the history", history)
    keys = list(dict.fromkeys(key for row in history for key in row))
    if losses is None:
        losses = [key for key in keys if key.endswith("loss")]
    if scores is None:
        scores = [key for key in keys if key.endswith(("accuracy", "auc"))]
    panes = {"Loss": losses, "Accuracy, AUC": scores}
    shown = {name: part for name, part in panes.items() if set(part) & set(keys)}
    if not shown:
        message = f"no loss, accuracy or auc among the history's keys: {', '.join(keys) or 'none'}"
        raise ValueError(message)
    if len(shown) == 1:
        figure, single = canvas()
        axes = [single]
    else:
        figure, axes = panels(2, 1, 4.8, 5.4, sharex=True)
    for pane, (name, part) in zip(axes, shown.items(), strict=True):
        _lines(pane, history, [k for k in part if k in keys])
        pane.set_ylabel(name)
        pane.margins(x=0.03, y=0.1)
        if best_epoch is not None:
            pane.axvline(best_epoch, color=INK, alpha=0.5, linewidth=1, linestyle=":")
        legend(pane)
    if best_epoch is not None:
        axes[0].set_title(f"best epoch: {best_epoch:g}", loc="right", fontsize=10.5)
    axes[-1].set_xlabel("Epoch")
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[-1].minorticks_off()
    return figure


@styled
def against_jets(jets: Sequence[int], curves: Mapping[str, Sequence[Number]]) -> Figure:
    """Figures of merit against the number of training jets, one panel each.

    Args:
        jets: numbers of training jets.
        curves: axis title -> one number for each of them.

    Raises:
        ValueError: nothing to draw.
    """
    refuse_empty("numbers of training jets", jets)
    refuse_empty("figures of merit", curves)
    figure, panes = panels(len(curves), 1, 4.8, 2.6 * len(curves), sharex=True)
    for axes, (title, numbers), colour in zip(panes, curves.items(), PALETTE, strict=False):
        axes.errorbar(
            jets,
            [number.value for number in numbers],
            [number.uncertainty for number in numbers],
            color=colour,
            marker="o",
            markersize=4,
            capsize=2,
        )
        axes.set_ylabel(plain(title))
    panes[-1].set_xscale("log")
    panes[-1].set_xlabel("training jets")
    return figure
