"""What jets look like: images and single jets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from fivesigma.plots.style import (
    INK,
    PALETTE,
    axis_label,
    panels,
    plain,
    refuse_empty,
    styled,
)

__all__ = ["jet_images", "single_jets"]

#: stand-in |PDG number| -> name and colour in displays of single jets
_PARTICLES = {
    211: ("charged hadron", PALETTE[1]),
    130: ("neutral hadron", PALETTE[0]),
    22: ("photon", PALETTE[3]),
    11: ("electron", PALETTE[4]),
    13: ("muon", PALETTE[2]),
}


def _image_panes(n: int, columns: int, mark: str) -> tuple[Figure, list[Axes]]:
    """Panes of Δη and Δφ; the mark tells that they are of the jet's own frame."""
    columns = min(columns, n)
    rows = -(-n // columns)
    size = (0.8 + 2.3 * columns, 0.6 + 2.3 * rows)
    figure, axes = panels(rows, columns, *size, "compressed", sharex=True, sharey=True)
    for index, pane in enumerate(axes):
        if index >= n:
            pane.remove()
            continue
        if index >= n - columns:
            pane.set_xlabel(f"Δη{mark}")
            pane.tick_params(labelbottom=True)
        if index % columns == 0:
            pane.set_ylabel(f"Δφ{mark}")
    return figure, axes[:n]


@styled
def jet_images(
    images: Mapping[str, ArrayLike],
    half_width: float,
    label: str = r"mean share of $p_\mathrm{T}$",
    unit: str = "",
    decades: float = 4.0,
    columns: int = 2,
) -> Figure:
    """Jet images side by side on one logarithmic colour scale.

    Args:
        images: title -> (H, W) pixels, row 0 the lowest phi', columns along eta', as
            `batches.jet_images` gives them.
        half_width: of the image in eta' and phi'.
        label: of the colour scale.
        unit: of the colour scale.
        decades: span of the colour scale below the brightest pixel; darker pixels look empty.
        columns: images side by side.

    Raises:
        ValueError: no images, not two-dimensional, or nothing above 0.
    """
    refuse_empty("images", images)
    arrays = {title: np.asarray(image, dtype=np.float64) for title, image in images.items()}
    bad = [f"{title}: {image.shape}" for title, image in arrays.items() if image.ndim != 2]
    if bad:
        message = f"images must have shape (H, W), got {'; '.join(bad)}"
        raise ValueError(message)
    top = max(float(np.nanmax(image)) for image in arrays.values())
    if not top > 0:
        message = "nothing to draw: no pixel above 0"
        raise ValueError(message)
    figure, axes = _image_panes(len(arrays), columns, "′")
    colormap = colormaps["inferno"].with_extremes(bad="black", under="black")
    for pane, (title, image) in zip(axes, arrays.items(), strict=True):
        shown = pane.imshow(
            image,
            norm=LogNorm(top * 10**-decades, top),
            cmap=colormap,
            origin="lower",
            extent=(-half_width, half_width, -half_width, half_width),
            interpolation="none",
        )
        pane.set_title(plain(title))
        pane.minorticks_off()
    bar = figure.colorbar(shown, ax=axes, shrink=0.9, aspect=30, pad=0.02)
    bar.set_label(axis_label(label, unit))
    return figure


@styled
def single_jets(jets: Mapping[str, Any], radius: float = 0.8, columns: int = 2) -> Figure:
    """Single jets: one circle per constituent around the jet axis, its area proportional to pT.

    Args:
        jets: title -> one jet with `eta`, `phi` and `constituents` with `pt`, `eta`, `phi` and
            `pdg_id`: a record of an Awkward array, or dicts.
        radius: of the jet; drawn as a circle.
        columns: jets side by side.

    Raises:
        ValueError: no jets, or a jet without constituents.
    """
    refuse_empty("jets", jets)
    figure, axes = _image_panes(len(jets), columns, "")
    seen: dict[str, Any] = {}
    for pane, (title, jet) in zip(axes, jets.items(), strict=True):
        parts = {k: np.asarray(jet["constituents"][k]) for k in ("pt", "eta", "phi", "pdg_id")}
        refuse_empty(f"constituents in {title}", parts["pt"])
        x = parts["eta"] - jet["eta"]
        y = np.angle(np.exp(1j * (parts["phi"] - jet["phi"])))
        area = 600 * parts["pt"] / parts["pt"].sum()
        kind = np.abs(parts["pdg_id"])
        for number, (name, colour) in _PARTICLES.items():
            own = kind == number
            pane.scatter(x[own], y[own], area[own], color=colour, alpha=0.55, linewidth=0)
            if own.any():  # an empty scatter gives the legend its circle of a fixed size
                seen[name] = pane.scatter([], [], 45, color=colour, alpha=0.55, linewidth=0)
        circle = np.linspace(0, 2 * np.pi, 100)
        pane.plot(radius * np.cos(circle), radius * np.sin(circle), color=INK, alpha=0.4, lw=0.8)
        pane.set(xlim=(-1.15 * radius, 1.15 * radius), ylim=(-1.15 * radius, 1.15 * radius))
        pane.set_aspect("equal")
        pane.set_title(plain(title))
    figure.legend(
        list(seen.values()), list(seen), loc="outside lower center", ncols=3, frameon=False
    )
    return figure
