"""Particles through the tracker, one after the other, with all that they make: compiled."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fivesigma.detector.tracker.crossing import cross, leave_hits
from fivesigma.detector.tracker.modules import Modules
from fivesigma.detector.tracker.secondaries import (
    LARGEST_MULTIPLICITY,
    available,
    decay,
    lifetime,
)
from fivesigma.geometry.helix import advance, curvature, next_surface, to_cylinder
from fivesigma.geometry.surfaces import OUTSIDE, Surfaces

__all__ = ["transport"]

_MARGIN = 2048  # more hits than one particle can leave
_DEPTH = 4096  # secondaries waiting at a time
_TURNS = 10.0  # loopers that need more to leave through an end cap stop in the tracker


@njit(cache=True)
def transport(
    particles: np.ndarray, surfaces: Surfaces, modules: Modules, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Follow particles until they stop, end in others or leave.

    Args:
        particles: (N, 9) x, y, z, px, py, pz, mass, charge, PDG number.
        surfaces: layers.
        modules: their modules.
        rng: source of randomness.

    Returns:
        Hits (H, 9) and (H, 4): see `crossing.leave_hits`, the integers followed by the row of the
        particle and whether a secondary made the hit; particles that leave (M, 9) and (M,): row of
        the particle they stem from; energies deposited and lost (N, 2) [GeV].
    """
    n = particles.shape[0]
    floats, integers = np.empty((16 * n + _MARGIN, 9)), np.empty((16 * n + _MARGIN, 4), np.int64)
    out, parent = np.empty((2 * n + _MARGIN, 9)), np.empty(2 * n + _MARGIN, np.int64)
    ledger, stack = np.zeros((n, 2)), np.empty((_DEPTH, 9))
    track, hits, left = np.empty(9), 0, 0
    for i in range(n):
        stack[0] = particles[i]
        top, secondary = 1, 0
        while top > 0:
            if hits + _MARGIN > floats.shape[0]:
                floats, integers = _grow(floats), _grow(integers)
            if left + 1 >= out.shape[0]:
                out, parent = _grow(out), _grow_row(parent)
            top -= 1
            track[:] = stack[top]
            before = hits
            leaves, top, hits = _follow(
                track, stack, top, surfaces, modules, floats, integers, hits, ledger[i], rng
            )
            integers[before:hits, 2], integers[before:hits, 3] = i, secondary
            secondary = 1
            if leaves:
                out[left], parent[left] = track, i
                left += 1
    return floats[:hits], integers[:hits], out[:left], parent[:left], ledger


@njit(cache=True)
def _grow(array: np.ndarray) -> np.ndarray:
    larger = np.empty((2 * array.shape[0], array.shape[1]), array.dtype)
    for k in range(array.shape[0]):  # compiles in a tenth of the time of a slice
        for j in range(array.shape[1]):
            larger[k, j] = array[k, j]
    return larger


@njit(cache=True)
def _grow_row(array: np.ndarray) -> np.ndarray:
    larger = np.empty(2 * array.size, array.dtype)
    for k in range(array.size):
        larger[k] = array[k]
    return larger


@njit(cache=True)
def _energy(track: np.ndarray) -> float:
    return math.sqrt(track[3] ** 2 + track[4] ** 2 + track[5] ** 2 + track[6] ** 2)


@njit(cache=True)
def _follow(
    track: np.ndarray, stack: np.ndarray, top: int, surfaces: Surfaces, modules: Modules,
    floats: np.ndarray, integers: np.ndarray, hits: int, ledger: np.ndarray,
    rng: np.random.Generator,
) -> tuple[bool, int, int]:  # fmt: skip
    """One particle: whether it leaves, the height of the stack, the number of hits."""
    pdg, charge = int(track[8]), track[7]
    if 12 <= abs(pdg) <= 16 and abs(pdg) % 2 == 0:
        ledger[1] += _energy(track)
        return False, top, hits
    if top + LARGEST_MULTIPLICITY * 2 > stack.shape[0]:  # a cascade beyond all measure
        ledger[0] += available(_energy(track), track[6], pdg)
        return False, top, hits
    barrel = int(np.searchsorted(surfaces.radius, math.hypot(track[0], track[1]), side="right"))
    disc = int(np.searchsorted(surfaces.z, track[2], side="right"))
    if barrel == surfaces.radius.size or disc == 0 or disc == surfaces.z.size:
        return True, top, hits
    turned = 0.0
    flight = lifetime(pdg) * rng.standard_exponential() if charge != 0.0 else math.inf
    while True:
        pt = max(math.hypot(track[3], track[4]), 1e-9)
        ux, uy, slope = track[3] / pt, track[4] / pt, track[5] / pt
        kappa = curvature(charge, surfaces.field, pt)
        path, kind = next_surface(
            track[0], track[1], track[2], ux, uy, slope, kappa, barrel, disc, surfaces
        )
        turned += abs(kappa) * path
        if turned > math.pi:
            return _spiral(track, ux, uy, slope, kappa, pt, surfaces, ledger), top, hits
        # c tau gamma beta = length m / p: proper length used up
        flight -= path * track[6] / pt
        if flight < 0.0:
            _move(track, ux, uy, slope, kappa, pt, path + flight * pt / track[6])
            p = (track[3], track[4], track[5])
            top, lost = decay(stack, top, track[:3], p, track[6], charge, pdg, rng)
            ledger[1] += lost
            return False, top, hits
        _move(track, ux, uy, slope, kappa, pt, path)
        layer, inside, barrel, disc = _reached(track, kind, barrel, disc, surfaces)
        if layer == OUTSIDE:
            return True, top, hits
        if not inside:
            continue
        if charge != 0.0 and surfaces.sigma_u[layer] > 0.0:
            hits = leave_hits(
                track, layer, kind < 2, surfaces, modules, floats, integers, hits, rng
            )
        goes_on, top = cross(track, layer, kind < 2, surfaces, stack, top, ledger, rng)
        if not goes_on:
            return False, top, hits


@njit(cache=True)
def _move(
    track: np.ndarray, ux: float, uy: float, slope: float, kappa: float, pt: float, path: float
) -> None:
    track[0], track[1], vx, vy = advance(track[0], track[1], ux, uy, kappa, path)
    track[2] += slope * path
    track[3], track[4] = pt * vx, pt * vy


@njit(cache=True)
def _reached(
    track: np.ndarray, kind: int, barrel: int, disc: int, surfaces: Surfaces
) -> tuple[int, bool, int, int]:
    """Layer at hand, whether the particle is within it, and the numbers of surfaces behind it."""
    if kind < 2:
        k = barrel - kind
        inside = abs(track[2]) <= surfaces.half_length[k]
        return surfaces.barrel_layer[k], inside, barrel + 1 - 2 * kind, disc
    k = disc if kind == 2 else disc - 1
    r = math.hypot(track[0], track[1])
    inside = surfaces.r_min[k] <= r <= surfaces.r_max[k]
    return surfaces.disc_layer[k], inside, barrel, (disc + 1 if kind == 2 else disc - 1)


@njit(cache=True)
def _spiral(
    track: np.ndarray, ux: float, uy: float, slope: float, kappa: float, pt: float,
    surfaces: Surfaces, ledger: np.ndarray,
) -> bool:  # fmt: skip
    """Behind half a turn layers count no more: out through an end cap, or absorbed."""
    end = surfaces.z[-1]
    path = math.inf if slope == 0.0 else (math.copysign(end, slope) - track[2]) / slope
    outer = surfaces.radius[-1]
    path = min(path, to_cylinder(track[0], track[1], ux, uy, kappa, outer, False))
    if path * abs(kappa) > 2.0 * math.pi * _TURNS:
        ledger[0] += available(_energy(track), track[6], int(track[8]))
        return False
    _move(track, ux, uy, slope, kappa, pt, path)
    return True
