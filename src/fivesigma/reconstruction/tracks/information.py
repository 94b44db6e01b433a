"""What the hits of a track tell about its parameters: the information matrix at the perigee.

The track is followed outwards along its helix, then information is carried inwards from the last
hit: each layer first blurs it by multiple scattering, then adds its measurement (Billoir, NIM 225
(1984) 352; the covariance of a Kalman filter's smoothed state). Compiled, about 10 us a track.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fivesigma.geometry.helix import advance, curvature, next_surface
from fivesigma.geometry.surfaces import OUTSIDE, Surfaces

__all__ = ["information"]

_MOST = 160  # crossings of a track; half a turn meets each surface twice at most
_STEEPEST = 0.05
#: of no measurement: 100 m, 100 rad, 10 in cot(theta), 0.1 / mm
_PRIOR = (1e-10, 1e-10, 1e-4, 1e-2, 1e2)


@njit(cache=True)
def information(
    perigee: np.ndarray, charge: np.ndarray, mass: np.ndarray, seen: np.ndarray, surfaces: Surfaces
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Information matrices of tracks, and what they crossed.

    Args:
        perigee: (N, 6) position [mm] and momentum [GeV] closest to the beam.
        charge: (N,) [e].
        mass: (N,) [GeV].
        seen: (N, L) whether the track has a hit in each layer.
        surfaces: layers.

    Returns:
        Inverse covariances (N, 5, 5) of (d, z, phi, cot(theta), kappa), d to the left of the track
        and kappa the curvature [1/mm]; the number of layers measured (N,); the radiation lengths
        crossed (N,) up to the last of them.
    """
    n = perigee.shape[0]
    matrices, layers, radiation = np.zeros((n, 5, 5)), np.zeros(n, np.int64), np.zeros(n)
    steps = np.empty((_MOST, 8))
    for i in range(n):
        count = _walk(perigee[i], charge[i], seen[i], surfaces, steps)
        layers[i], radiation[i] = _inwards(perigee[i], charge[i], mass[i], count, surfaces, steps,
                                           matrices[i])  # fmt: skip
    return matrices, layers, radiation


@njit(cache=True)
def _walk(
    start: np.ndarray, charge: float, seen: np.ndarray, surfaces: Surfaces, steps: np.ndarray
) -> int:
    """Layers crossed up to the last one seen, as rows of `steps`, and their number.

    A row is the path from the crossing before [mm], the layer, whether it is seen, whether it is a
    barrel, the cosine of the incidence angle, the products of radial direction with the track's
    direction and with the normal to its left, and the whole path.
    """
    x, y, z = start[0], start[1], start[2]
    pt = max(math.hypot(start[3], start[4]), 1e-9)
    ux, uy, slope = start[3] / pt, start[4] / pt, start[5] / pt
    kappa = curvature(charge, surfaces.field, pt)
    barrel = int(np.searchsorted(surfaces.radius, math.hypot(x, y), side="right"))
    disc = int(np.searchsorted(surfaces.z, z, side="right"))
    count, last, total, since = 0, 0, 0.0, 0.0
    if barrel == surfaces.radius.size or disc == 0 or disc == surfaces.z.size:
        return 0
    while count < _MOST:
        path, kind = next_surface(x, y, z, ux, uy, slope, kappa, barrel, disc, surfaces)
        total += path
        if total * abs(kappa) > math.pi or math.isinf(path):
            break
        since += path
        x, y, ux, uy = advance(x, y, ux, uy, kappa, path)
        z += slope * path
        r = math.hypot(x, y)
        if kind < 2:
            k = barrel - kind
            barrel += 1 - 2 * kind
            layer, inside = surfaces.barrel_layer[k], abs(z) <= surfaces.half_length[k]
        else:
            k = disc if kind == 2 else disc - 1
            disc += 1 if kind == 2 else -1
            layer = surfaces.disc_layer[k]
            inside = surfaces.r_min[k] <= r <= surfaces.r_max[k]
        if layer == OUTSIDE:
            break
        if not inside:
            continue
        along, across = (x * ux + y * uy) / r, (y * ux - x * uy) / r
        size = math.sqrt(1.0 + slope * slope)
        normal = abs(along) / size if kind < 2 else abs(slope) / size
        row = steps[count]
        row[0], row[1], row[2], row[3] = since, layer, seen[layer], kind < 2
        row[4], row[5], row[6], row[7] = normal, along, across, total
        count, since = count + 1, 0.0
        if seen[layer]:
            last = count
    return last


@njit(cache=True)
def _inwards(
    start: np.ndarray, charge: float, mass: float, count: int, surfaces: Surfaces,
    steps: np.ndarray, w: np.ndarray,
) -> tuple[int, float]:  # fmt: skip
    """Fill the information matrix w (5, 5); returns layers measured and radiation lengths."""
    pt = max(math.hypot(start[3], start[4]), 1e-9)
    slope = start[5] / pt
    kappa = curvature(charge, surfaces.field, pt)
    momentum = pt * math.sqrt(1.0 + slope * slope)
    beta = momentum / math.sqrt(momentum * momentum + mass * mass)
    for k in range(5):
        w[k, k] = _PRIOR[k]
    jacobian, work, vector = np.eye(5), np.empty((5, 5)), np.empty(5)
    measured, crossed = 0, 0.0
    for k in range(count - 1, -1, -1):
        row = steps[k]
        layer = int(row[1])
        thickness = surfaces.radiation[layer] / max(row[4], _STEEPEST)
        crossed += thickness
        if thickness > 0.0:
            _scatter(w, vector, slope, kappa, momentum, beta, thickness)
        if row[2] != 0.0:
            measured += 1
            _measure(w, vector, slope, row, surfaces.sigma_u[layer], surfaces.sigma_v[layer])
        _jacobian(jacobian, slope, kappa, row[0])
        _carry(w, jacobian, work)
    return measured, crossed


@njit(cache=True)
def _scatter(
    w: np.ndarray, vector: np.ndarray, slope: float, kappa: float, momentum: float, beta: float,
    thickness: float,
) -> None:  # fmt: skip
    """Highland's angle in both planes: W - W g g' W / (1 / theta0^2 + g' W g) each."""
    factor = max(1.0 + 0.038 * math.log(thickness / (beta * beta)), 0.1)
    variance = (13.6e-3 / (beta * momentum) * factor) ** 2 * thickness
    stretch = 1.0 + slope * slope  # 1 / sin^2(theta)
    for plane in range(2):
        g2 = math.sqrt(stretch) if plane == 0 else 0.0
        g3 = -stretch if plane == 1 else 0.0
        g4 = -kappa * slope if plane == 1 else 0.0
        for i in range(5):
            vector[i] = w[i, 2] * g2 + w[i, 3] * g3 + w[i, 4] * g4
        scale = 1.0 / (1.0 / variance + vector[2] * g2 + vector[3] * g3 + vector[4] * g4)
        for i in range(5):
            for j in range(5):
                w[i, j] -= scale * vector[i] * vector[j]


@njit(cache=True)
def _measure(
    w: np.ndarray,
    vector: np.ndarray,
    slope: float,
    row: np.ndarray,
    sigma_u: float,
    sigma_v: float,
) -> None:
    """Add the measurement of u and v, both linear in the shifts d and z of the track."""
    along, across = row[5], row[6]
    if row[3] != 0.0:  # a cylinder: the track is met later where it leans over
        along = math.copysign(max(abs(along), _STEEPEST), along)
        ud, uz = 1.0 / along, 0.0
        # radial shift of d is across * d, made up by a path of -across * d / along
        vd, vz = -slope * across / along, 1.0
    else:  # a disc: a shift in z is made up by a path of -z / slope
        ud, uz = along, across / slope
        vd, vz = across, -along / slope
    wu, wv = 1.0 / (sigma_u * sigma_u), 1.0 / (sigma_v * sigma_v)
    w[0, 0] += wu * ud * ud + wv * vd * vd
    w[0, 1] += wu * ud * uz + wv * vd * vz
    w[1, 0] = w[0, 1]
    w[1, 1] += wu * uz * uz + wv * vz * vz


@njit(cache=True)
def _jacobian(f: np.ndarray, slope: float, kappa: float, path: float) -> None:
    """Derivatives of (d, z, phi, cot(theta), kappa) after a path by those before."""
    angle = kappa * path
    if abs(angle) > 1e-3:
        sine, cosine = math.sin(angle), math.cos(angle)
        s1, c1 = sine / kappa, (1.0 - cosine) / kappa
        c2, s2 = c1 / kappa, (path - s1) / kappa
    else:
        sine, cosine = angle, 1.0 - 0.5 * angle * angle
        s1, c1 = path, 0.5 * path * angle
        c2, s2 = 0.5 * path * path, path * path * angle / 6.0
    # shift along the track: sine d + c1 phi + s2 kappa
    f[0, 0], f[0, 2], f[0, 4] = cosine, s1, c2
    f[1, 0], f[1, 2], f[1, 3], f[1, 4] = -slope * sine, -slope * c1, path, -slope * s2
    f[2, 0], f[2, 2], f[2, 4] = -kappa * sine, cosine, path - kappa * s2


@njit(cache=True)
def _carry(w: np.ndarray, f: np.ndarray, work: np.ndarray) -> None:
    """W <- F' W F."""
    for i in range(5):
        for j in range(5):
            total = 0.0
            for k in range(5):
                total += w[i, k] * f[k, j]
            work[i, j] = total
    for i in range(5):
        for j in range(5):
            total = 0.0
            for k in range(5):
                total += f[k, i] * work[k, j]
            w[i, j] = total
