"""Particles from their production vertex to the calorimeter surface; impact parameters."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from fivesigma.units import CURVATURE

__all__ = ["Surface", "propagate"]


class Surface(NamedTuple):
    """Where particles meet the calorimeter: all arrays (N,).

    Attributes:
        reached: False for those born outside the tracker's cylinder.
        eta, phi: of the point of impact seen from the origin.
        d0, dz: signed impact parameters at the point closest to the beam line [mm].
    """

    reached: np.ndarray
    eta: np.ndarray
    phi: np.ndarray
    d0: np.ndarray
    dz: np.ndarray


@njit(cache=True)
def _straight(
    x: float, y: float, z: float, phi: float, slope: float, radius: float, half_length: float
) -> tuple[float, float, float]:
    """Impact point of a straight line; slope = pz / pT."""
    ux, uy = math.cos(phi), math.sin(phi)
    along = x * ux + y * uy
    path = -along + math.sqrt(along * along + radius * radius - x * x - y * y)
    if slope != 0.0:
        path = min(path, (math.copysign(half_length, slope) - z) / slope)
    return x + path * ux, y + path * uy, z + path * slope


@njit(cache=True)
def _helix(
    x: float,
    y: float,
    z: float,
    phi: float,
    slope: float,
    curl: float,
    sign: float,
    radius: float,
    half_length: float,
) -> tuple[float, float, float, float, float]:
    """Impact point and (d0, dz) of a helix of radius `curl`; a positive charge turns clockwise."""
    cx, cy = x + sign * curl * math.sin(phi), y - sign * curl * math.cos(phi)
    centre = math.hypot(cx, cy)
    start = math.atan2(y - cy, x - cx)
    direction = math.atan2(cy, cx)
    two_pi = 2.0 * math.pi
    turn = math.inf
    if centre > 0.0 and abs(centre - curl) < radius < centre + curl:
        cosine = (radius**2 - centre**2 - curl**2) / (2.0 * centre * curl)
        opening = math.acos(min(1.0, max(-1.0, cosine)))
        turn = min(
            (sign * (start - direction - opening)) % two_pi,
            (sign * (start - direction + opening)) % two_pi,
        )
    if slope != 0.0:
        turn = min(turn, (math.copysign(half_length, slope) - z) / (slope * curl))
    if turn == math.inf:  # curls for ever at pz = 0: absorbed where it was born
        turn = 0.0
    angle = start - sign * turn
    closest = (sign * (start - direction - math.pi) + math.pi) % two_pi - math.pi
    return (
        cx + curl * math.cos(angle),
        cy + curl * math.sin(angle),
        z + curl * slope * turn,
        sign * (centre - curl),
        z + curl * slope * closest,
    )


@njit(cache=True)
def _propagate(
    pt: np.ndarray,
    eta: np.ndarray,
    phi: np.ndarray,
    charge: np.ndarray,
    vx: np.ndarray,
    vy: np.ndarray,
    vz: np.ndarray,
    radius: float,
    half_length: float,
    field: float,
) -> tuple[np.ndarray, np.ndarray]:
    n = pt.size
    reached = np.zeros(n, np.bool_)
    out = np.zeros((4, n))
    for i in range(n):
        x, y, z = vx[i], vy[i], vz[i]
        if x * x + y * y >= radius * radius or abs(z) >= half_length or pt[i] <= 0.0:
            continue
        reached[i] = True
        slope = math.sinh(eta[i])
        if charge[i] == 0.0:
            px, py, pz = _straight(x, y, z, phi[i], slope, radius, half_length)
        else:
            curl = pt[i] / (CURVATURE * abs(charge[i]) * field)
            sign = math.copysign(1.0, charge[i])
            px, py, pz, out[2, i], out[3, i] = _helix(
                x, y, z, phi[i], slope, curl, sign, radius, half_length
            )
        out[0, i] = math.asinh(pz / max(math.hypot(px, py), 1e-6))
        out[1, i] = math.atan2(py, px)
    return reached, out


def propagate(
    pt: np.ndarray,
    eta: np.ndarray,
    phi: np.ndarray,
    charge: np.ndarray,
    vx: np.ndarray,
    vy: np.ndarray,
    vz: np.ndarray,
    radius: float,
    half_length: float,
    field: float,
) -> Surface:
    """Carry particles through a solenoid along z to the surface of its cylinder.

    A helix of radius R = pT / (0.3 |q| B) meets the barrel where its distance from the axis is
    `radius`, the end caps at |z| = `half_length`, whichever comes first; loopers run on to the end
    cap.

    Args:
        pt: (N,) transverse momenta [GeV].
        eta: (N,) pseudorapidities of the momenta.
        phi: (N,) azimuths of the momenta [rad].
        charge: (N,) charges [e].
        vx: (N,) x of the production vertices [mm]; vy, vz likewise.
        vy: see vx.
        vz: see vx.
        radius: of the cylinder [mm].
        half_length: of the cylinder [mm].
        field: along z [T].

    Returns:
        Impact points and impact parameters; zeros where the cylinder was not reached from inside.
    """
    reached, out = _propagate(pt, eta, phi, charge, vx, vy, vz, radius, half_length, field)
    return Surface(reached, *out)
