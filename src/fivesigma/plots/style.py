"""The look of all figures: mplhep's axes, colours for every eye, light and dark pages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sized
from functools import wraps
from typing import Any, Literal, ParamSpec, TypeVar

import mplhep
import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = [
    "CLASS_COLOURS",
    "INK",
    "LINES",
    "MARKERS",
    "PALETTE",
    "STYLE",
    "axis_label",
    "canvas",
    "colours",
    "experiment_label",
    "finite",
    "legend",
    "panels",
    "plain",
    "refuse_empty",
    "styled",
]

_P = ParamSpec("_P")
_R = TypeVar("_R")

#: colour of text, ticks and frames; a page's own text colour stands in its place in SVG
INK = "#010203"
#: eight colours of contrast >= 2.3 on white and >= 3 on dark, told apart with any colour vision
PALETTE = (
    "#3b8fdb",
    "#e4572e",
    "#7d4deb",
    "#d0a215",
    "#2aa876",
    "#ad3a73",
    "#7fa6b0",
    "#99623f",
)
#: colour alone never tells two lines apart
LINES: tuple[Any, ...] = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
#: the classes of particle physics always look the same
CLASS_COLOURS = {
    "qcd": PALETTE[0],
    "background": PALETTE[0],
    "gluon": PALETTE[0],
    "g": PALETTE[0],
    "top": PALETTE[1],
    "signal": PALETTE[1],
    "t": PALETTE[1],
    "w": PALETTE[2],
    "z": PALETTE[3],
    "light": PALETTE[4],
    "quark": PALETTE[4],
    "q": PALETTE[4],
    "bottom": PALETTE[5],
    "b": PALETTE[5],
    "higgs": PALETTE[6],
    "h": PALETTE[6],
    "charm": PALETTE[7],
    "c": PALETTE[7],
}

#: sizes for a figure 4.8 inches wide, which a phone shows at about that scale
STYLE: Any = {
    **mplhep.style.ATLAS,
    "font.size": 11,
    # TeX Gyre Heros comes with mplhep; DejaVu has what it lacks (Greek, arrows)
    "font.family": ["TeX Gyre Heros", "DejaVu Sans"],
    "mathtext.fontset": "custom",
    "mathtext.fallback": "stixsans",
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.facecolor": "none",
    "axes.autolimit_mode": "data",
    "axes.labelsize": 12,
    "axes.titlesize": 12,
    "axes.labelpad": 4,
    "axes.linewidth": 0.9,
    "axes.unicode_minus": True,
    "axes.formatter.limits": (-3, 5),
    # a formula costs 20 ms each, and ticks are many
    "axes.formatter.use_mathtext": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 10.5,
    "ytick.labelsize": 10.5,
    "xtick.major.size": 5,
    "ytick.major.size": 5,
    "xtick.minor.size": 2.5,
    "ytick.minor.size": 2.5,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "legend.fontsize": 10.5,
    "legend.borderpad": 0.3,
    "legend.handlelength": 1.8,
    "legend.labelcolor": INK,
    "hatch.linewidth": 0.6,
    "figure.facecolor": "white",
    # a fixed salt keeps the same figure the same file
    "svg.hashsalt": "fivesigma",
    "svg.fonttype": "path",
}


def styled(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Run a plotting function in the house style without touching anyone's settings."""

    @wraps(function)
    def inside(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with rc_context(STYLE):
            return function(*args, **kwargs)

    return inside


def canvas(width: float = 4.8, height: float = 3.9) -> tuple[Figure, Axes]:
    """A figure of one panel [inch]."""
    figure, axes = panels(1, 1, width, height)
    return figure, axes[0]


def panels(
    rows: int,
    columns: int,
    width: float,
    height: float,
    layout: Literal["constrained", "compressed"] = "constrained",
    **options: Any,
) -> tuple[Figure, list[Axes]]:
    """A figure of several panels, row by row, [inch] in all."""
    figure = Figure(figsize=(width, height), layout=layout)
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, list(axes.ravel())


def plain(text: str) -> str:
    """Text that matplotlib draws as it stands: no formulas, no names hidden from legends."""
    text = str(text).replace("$", r"\$")
    return f" {text}" if text.startswith("_") else text


def axis_label(label: str, unit: str = "") -> str:
    """The label with its unit in brackets."""
    return f"{label} [{unit}]" if unit else label


def colours(names: Iterable[str]) -> dict[str, str]:
    """A colour for each name: classes keep theirs, others take what is left, in order."""
    chosen: dict[str, str] = {}
    names = list(dict.fromkeys(names))
    for name in names:
        colour = CLASS_COLOURS.get(name.lower(), "")
        if colour and colour not in chosen.values():
            chosen[name] = colour
    for name in names:
        free = [c for c in PALETTE if c not in chosen.values()]
        chosen.setdefault(name, free[0] if free else PALETTE[len(chosen) % len(PALETTE)])
    return {name: chosen[name] for name in names}


def legend(axes: Axes, **options: Any) -> None:
    """A legend without a frame, above the data where it would hide them."""
    axes.legend(**{"frameon": False, "loc": "best", **options})


def refuse_empty(what: str, values: Sized) -> None:
    """Raise a ValueError where there is nothing to draw."""
    if not len(values):
        message = f"nothing to draw: no {what}"
        raise ValueError(message)


def finite(values: Any) -> np.ndarray:
    """Values as a flat float array without NaN and infinities."""
    array = np.asarray(values, dtype=np.float64).ravel()
    return array[np.isfinite(array)]


def experiment_label(axes: Axes, experiment: str, right: str = "") -> None:
    """Above the frame: the experiment in bold, what it is in italics, and on the right e.g. 8 TeV.

    Args:
        axes: the uppermost of the figure.
        experiment: e.g. "CMS Open Data"; the first word becomes bold.
        right: luminosity and energy, as text of matplotlib.
    """
    name, _, rest = experiment.partition(" ")
    at: dict[str, Any] = {
        "xycoords": "axes fraction",
        "textcoords": "offset points",
        "va": "bottom",
    }
    if name:
        bold = axes.annotate(plain(name), (0, 1), (0, 3), weight="bold", fontsize=13, **at)
        behind = {**at, "xycoords": bold}
        axes.annotate(plain(rest), (1, 0), (4, 0), style="italic", fontsize=11, **behind)
    axes.annotate(right, (1, 1), (0, 3), ha="right", fontsize=10.5, **at)
