"""Helices in a solenoid, and where they meet cylinders and discs: compiled, for any stage.

Along a helix the transverse direction (ux, uy) turns by kappa a mm of transverse path,
kappa = -0.3 q B / pT: a positive charge in a field along +z turns clockwise. The formulae hold for
kappa = 0, straight lines, too.
"""

from __future__ import annotations

import math

from fivesigma.geometry.kernels import kernel
from fivesigma.geometry.surfaces import Surfaces
from fivesigma.units import CURVATURE

__all__ = ["advance", "curvature", "next_surface", "perigee", "to_cylinder"]


@kernel
def curvature(charge: float, field: float, pt: float) -> float:
    """kappa [1/mm] of a charge [e] in a field along z [T] with transverse momentum pt [GeV]."""
    return -CURVATURE * charge * field / pt


@kernel
def advance(
    x: float, y: float, ux: float, uy: float, kappa: float, path: float
) -> tuple[float, float, float, float]:
    """Transverse position [mm] and direction after a transverse path [mm]."""
    angle = kappa * path
    sine, cosine = math.sin(angle), math.cos(angle)
    if abs(angle) > 1e-4:
        along, across = sine / kappa, (1.0 - cosine) / kappa
    else:
        along, across = path * (1.0 - angle * angle / 6.0), 0.5 * angle * path
    return (
        x + along * ux - across * uy,
        y + along * uy + across * ux,
        ux * cosine - uy * sine,
        uy * cosine + ux * sine,
    )


@kernel
def to_cylinder(
    x: float, y: float, ux: float, uy: float, kappa: float, radius: float, inward: bool
) -> float:
    """Transverse path to a cylinder around the origin within half a turn; infinite: none.

    With w = (2 / kappa) tan(kappa path / 2) the distance from the axis is `radius` where
    A w^2 + 2 a w - D = 0, D = radius^2 - r^2, a = r . u, A = 1 + kappa n . r - D kappa^2 / 4.

    Args:
        x: transverse position [mm]; y likewise.
        y: see x.
        ux: unit transverse direction; uy likewise.
        uy: see ux.
        kappa: curvature [1/mm].
        radius: of the cylinder [mm].
        inward: the cylinder is entered from outside; otherwise it is left from inside.
    """
    gap = radius * radius - x * x - y * y
    along = x * ux + y * uy
    square = 1.0 + kappa * (y * ux - x * uy) - 0.25 * gap * kappa * kappa
    root = along * along + square * gap
    if root < 0.0:
        return math.inf
    root = math.sqrt(root)
    if inward:
        if along >= 0.0:
            return math.inf
        w = gap / (along - root)
    elif along >= 0.0:
        if along + root <= 0.0:
            return math.inf
        w = gap / (along + root)
    else:
        if square <= 0.0:
            return math.inf
        w = (root - along) / square
    if w < 0.0:
        return 0.0
    half = 0.5 * kappa * w
    if abs(half) < 1e-4:
        return w * (1.0 - half * half / 3.0)
    return w * math.atan(half) / half


@kernel
def next_surface(
    x: float,
    y: float,
    z: float,
    ux: float,
    uy: float,
    slope: float,
    kappa: float,
    barrel: int,
    disc: int,
    surfaces: Surfaces,
) -> tuple[float, int]:
    """Transverse path to the next surface and which it is.

    Args:
        x: position [mm]; y, z likewise.
        y: see x.
        z: see x.
        ux: unit transverse direction; uy likewise.
        uy: see ux.
        slope: pz / pT.
        kappa: curvature [1/mm].
        barrel: number of barrels inside the position.
        disc: number of discs at smaller z.
        surfaces: of `surfaces.surfaces`.

    Returns:
        The path [mm], infinite for none within half a turn, and 0: the outer barrel, 1: the inner
        barrel, 2: the disc at larger, 3: at smaller z.
    """
    path, kind = math.inf, 0
    if barrel < surfaces.radius.size:
        path = to_cylinder(x, y, ux, uy, kappa, surfaces.radius[barrel], False)
    if barrel > 0 and x * ux + y * uy < 0.0:
        inner = to_cylinder(x, y, ux, uy, kappa, surfaces.radius[barrel - 1], True)
        if inner < path:
            path, kind = inner, 1
    if slope > 0.0 and disc < surfaces.z.size:
        along = max((surfaces.z[disc] - z) / slope, 0.0)
        if along < path:
            path, kind = along, 2
    elif slope < 0.0 and disc > 0:
        along = max((surfaces.z[disc - 1] - z) / slope, 0.0)
        if along < path:
            path, kind = along, 3
    return path, kind


@kernel
def perigee(
    x: float, y: float, ux: float, uy: float, kappa: float
) -> tuple[float, float, float, float]:
    """The point closest to the beam line.

    Returns:
        Transverse impact parameter [mm], positive where the origin lies to the left (the sign of
        the object-level response), the transverse path to it (negative: backwards) [mm], and the
        direction there.
    """
    along, across = x * ux + y * uy, y * ux - x * uy
    if abs(kappa) < 1e-12:
        return -across, -along, ux, uy
    # the centre of the circle lies at n (across + 1 / kappa) from the axis, along its own axis
    angle = math.atan2(-kappa * along, 1.0 + kappa * across)
    path = angle / kappa
    px, py, vx, vy = advance(x, y, ux, uy, kappa, path)
    return px * vy - py * vx, path, vx, vy
