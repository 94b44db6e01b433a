"""The layers of a tracker as arrays, for compiled loops."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from fivesigma.geometry.layers import Barrel, Disc, Layout

__all__ = ["OUTSIDE", "Surfaces", "surfaces"]

#: layer number of the cylinder that holds the tracker
OUTSIDE = -1


class Surfaces(NamedTuple):
    """Cylinders by radius, discs by z, and what the layers (L,) are made of.

    The last cylinder and the first and last disc, of layer `OUTSIDE`, bound the tracker.

    Attributes:
        radius, half_length: of the cylinders (n_b,) [mm].
        barrel_layer: their layers (n_b,).
        z, r_min, r_max: of the discs (n_d,) [mm].
        disc_layer: their layers (n_d,).
        radiation, interaction, areal: thickness of each layer in radiation lengths, interaction
            lengths, g/cm^2.
        sigma_u, sigma_v: resolutions of each layer [mm]; 0: passive.
        field: along z [T].
    """

    radius: np.ndarray
    half_length: np.ndarray
    barrel_layer: np.ndarray
    z: np.ndarray
    r_min: np.ndarray
    r_max: np.ndarray
    disc_layer: np.ndarray
    radiation: np.ndarray
    interaction: np.ndarray
    areal: np.ndarray
    sigma_u: np.ndarray
    sigma_v: np.ndarray
    field: float


@cache
def surfaces(layout: Layout) -> Surfaces:
    """The arrays of a tracker.

    Raises:
        ValueError: layers that stick out of the tracker's cylinder, or cylinders of one radius.
    """
    barrels = [(b.radius, b.half_length, k) for k, b in _of(layout, Barrel)]
    discs = [(d.z, d.r_min, d.r_max, k) for k, d in _of(layout, Disc)]
    _check(layout, barrels, discs)
    end = layout.half_length
    cylinder = np.array([*sorted(barrels), (layout.radius, end, OUTSIDE)]).T.copy()
    plane = np.array(
        [(-end, 0.0, layout.radius, OUTSIDE), *sorted(discs), (end, 0.0, layout.radius, OUTSIDE)]
    ).T.copy()
    thickness = [layer.material for layer in layout.layers]
    sensors = [layer.sensor for layer in layout.layers]
    return Surfaces(
        radius=cylinder[0],
        half_length=cylinder[1],
        barrel_layer=cylinder[2].astype(np.int64),
        z=plane[0],
        r_min=plane[1],
        r_max=plane[2],
        disc_layer=plane[3].astype(np.int64),
        radiation=np.array([each.radiation for each in thickness]),
        interaction=np.array([each.interaction for each in thickness]),
        areal=np.array([each.areal for each in thickness]),
        sigma_u=np.array([each.sigma_u if each else 0.0 for each in sensors]),
        sigma_v=np.array([each.sigma_v if each else 0.0 for each in sensors]),
        field=layout.field,
    )


def _of(layout: Layout, kind: type) -> list:
    return [(k, layer) for k, layer in enumerate(layout.layers) if isinstance(layer, kind)]


def _check(layout: Layout, barrels: list, discs: list) -> None:
    out = [layout.layers[b[2]].name for b in barrels if b[0] >= layout.radius]
    out += [layout.layers[d[3]].name for d in discs if abs(d[0]) >= layout.half_length]
    if out:
        message = (
            f"{layout.name}: {', '.join(out)} outside the cylinder of radius {layout.radius:g} mm "
            f"and half length {layout.half_length:g} mm; move the layers or enlarge it"
        )
        raise ValueError(message)
    radii = [b[0] for b in barrels]
    if len(set(radii)) < len(radii):
        message = f"{layout.name}: two barrels of the same radius; move one by a fraction of a mm"
        raise ValueError(message)
