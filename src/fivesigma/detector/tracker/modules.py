"""Modules: which ones a particle crosses, and where they say it was."""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numba import njit

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
    rows, rings, first = [], [], [0]
    for layer in layout.layers:
        sensor = layer.sensor
        barrel = isinstance(layer, Barrel)
        rows.append(
            (
                0.2329 * sensor.thickness if sensor else 0.0,
                sensor.efficiency if sensor else 0.0,
                sensor.stagger if sensor else 0.0,
                sensor.half_u if sensor else 0.0,
                sensor.half_v if sensor else 0.0,
                layer.n_phi if barrel else 1,
                layer.n_z if barrel else 1,
                layer.half_length if barrel else 0.0,
            )
        )
        number = 0
        for ring in layer.rings if isinstance(layer, Disc) else ():
            half = (ring.half_inner, ring.half_outer, ring.half_v)
            rings.append((ring.radius, *half, ring.n_phi, number))
            number += ring.n_phi
        first.append(len(rings))
    table = np.array(rows, dtype=float).reshape(-1, 8)
    columns = [np.ascontiguousarray(column) for column in table.T]
    return Modules(
        *columns[:5],
        columns[5].astype(np.int64),
        columns[6].astype(np.int64),
        columns[7],
        np.array(first, np.int64),
        np.array(rings, dtype=float).reshape(-1, 6),
    )


@njit(cache=True)
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


@njit(cache=True)
def along_z(z: float, half_length: float, n: int, half: float) -> tuple[int, int]:
    """First and last module along the beam that holds a point; first > last: none."""
    pitch = 2.0 * half_length / n
    at = (z + half_length) / pitch
    if half <= 0.0:
        first = last = math.floor(at)
    else:
        first, last = math.ceil(at - 0.5 - half / pitch), math.floor(at - 0.5 + half / pitch)
    return max(first, 0), min(last, n - 1)


@njit(cache=True)
def half_width(ring: np.ndarray, r: float) -> float:
    """Half the width [mm] of a ring's trapezoids at a radius."""
    share = (r - ring[0]) / (2.0 * ring[3]) + 0.5
    return ring[1] + (ring[2] - ring[1]) * share
