"""Modules: which ones a particle crosses, and where they say it was."""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np

from fivesigma.geometry.kernels import kernel
from fivesigma.geometry.layers import Barrel, Disc, Layout

__all__ = ["Modules", "along_phi", "along_z", "half_width", "modules"]


class Modules(NamedTuple):
    """The modules of all layers (L,) and the rings of all discs (R,).

    Attributes:
        thickness: of the active silicon [g/cm^2].
        efficiency, stagger: of `Sensor`.
        half_u, half_v: half the size of modules in barrels [mm].
        n_phi, n_z: modules of barrels.
        half_length: of barrels [mm].
        first_ring: rings of layer k are first_ring[k] to first_ring[k + 1] (L + 1,).
        ring: (R, 6): radius, half width inside and outside, half length, n_phi, first module.
    """

    thickness: np.ndarray
    efficiency: np.ndarray
    stagger: np.ndarray
    half_u: np.ndarray
    half_v: np.ndarray
    n_phi: np.ndarray
    n_z: np.ndarray
    half_length: np.ndarray
    first_ring: np.ndarray
    ring: np.ndarray


@cache
def modules(layout: Layout) -> Modules:
    """The arrays of a tracker."""
    rings, first = [], [0]
    for layer in layout.layers:
        number = 0
        for ring in layer.rings if isinstance(layer, Disc) else ():
            half = (ring.half_inner, ring.half_outer, ring.half_v)
            rings.append((ring.radius, *half, ring.n_phi, number))
            number += ring.n_phi
        first.append(len(rings))
    sensors = [layer.sensor for layer in layout.layers]
    barrels = [layer if isinstance(layer, Barrel) else None for layer in layout.layers]
    return Modules(
        thickness=np.array([0.2329 * each.thickness if each else 0.0 for each in sensors]),
        efficiency=np.array([each.efficiency if each else 0.0 for each in sensors]),
        stagger=np.array([each.stagger if each else 0.0 for each in sensors]),
        half_u=np.array([each.half_u if each else 0.0 for each in sensors]),
        half_v=np.array([each.half_v if each else 0.0 for each in sensors]),
        n_phi=np.array([each.n_phi if each else 1 for each in barrels], np.int64),
        n_z=np.array([each.n_z if each else 1 for each in barrels], np.int64),
        half_length=np.array([each.half_length if each else 0.0 for each in barrels]),
        first_ring=np.array(first, np.int64),
        ring=np.array(rings, dtype=float).reshape(-1, 6),
    )


@kernel
def along_phi(phi: float, radius: float, n: int, half: float) -> tuple[int, int]:
    """First and last module around the beam that holds a point; first > last: a gap.

    Module k covers `half` [mm] either side of (k + 0.5) 2 pi / n; without a size they touch.
    """
    at = (phi / (2.0 * math.pi)) * n
    if half <= 0.0:
        k = math.floor(at)
        return k, k
    reach = half / (2.0 * math.pi * radius / n)
    return math.ceil(at - 0.5 - reach), math.floor(at - 0.5 + reach)


@kernel
def along_z(z: float, half_length: float, n: int, half: float) -> tuple[int, int]:
    """First and last module along the beam that holds a point; first > last: none."""
    pitch = 2.0 * half_length / n
    at = (z + half_length) / pitch
    if half <= 0.0:
        first = last = math.floor(at)
    else:
        first, last = math.ceil(at - 0.5 - half / pitch), math.floor(at - 0.5 + half / pitch)
    return max(first, 0), min(last, n - 1)


@kernel
def half_width(ring: np.ndarray, r: float) -> float:
    """Half the width [mm] of a ring's trapezoids at a radius."""
    share = (r - ring[0]) / (2.0 * ring[3]) + 0.5
    return ring[1] + (ring[2] - ring[1]) * share
