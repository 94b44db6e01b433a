"""One particle at one layer: the hits it leaves and what the material does to it, compiled."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fivesigma.detector.tracker.effects import (
    ELECTRON_MASS,
    converts,
    highland,
    ionise,
    radiate,
    scatter,
)
from fivesigma.detector.tracker.modules import Modules, along_phi, along_z, half_width
from fivesigma.detector.tracker.secondaries import available, interact, pair, push
from fivesigma.geometry.kernels import kernel
from fivesigma.geometry.surfaces import Surfaces

__all__ = ["cross", "leave_hits"]

_STEEPEST = 0.05  # cosine of the incidence angle; flatter ones count as this
_MESON = 0.787  # mesons fly further: 137.7 against 108.4 g/cm^2 in silicon (PDG)
_KINETIC_MIN = 1e-3  # GeV: what is slower stops
_PHOTON_MIN = 1e-2  # GeV: softer bremsstrahlung stays in the layer


@kernel
def leave_hits(
    track: np.ndarray, layer: int, barrel: bool, surfaces: Surfaces, modules: Modules,
    floats: np.ndarray, integers: np.ndarray, n: int, rng: np.random.Generator,
) -> int:  # fmt: skip
    """Hits in all modules of a layer that hold the crossing; returns the new number of hits.

    Args:
        track: (9,) position, momentum, mass, charge, PDG number.
        layer: crossed.
        barrel: it is one, not a disc.
        surfaces: layers.
        modules: their modules.
        floats: (., 9) x, y, z, tx, ty, tz, u_error, v_error, energy of the hits, filled.
        integers: (., 2) layer, module of the hits, filled.
        n: hits so far.
        rng: source of randomness.
    """
    x, y, z = track[0], track[1], track[2]
    r = math.hypot(x, y)
    phi = math.atan2(y, x) % (2.0 * math.pi)
    if barrel:
        around = modules.n_phi[layer]
        first, last = along_phi(phi, r, around, modules.half_u[layer])
        low, high = along_z(
            z, modules.half_length[layer], modules.n_z[layer], modules.half_v[layer]
        )
        for k in range(first, last + 1):
            for j in range(low, high + 1):
                number = j * around + k % around
                n = _hit(
                    track, layer, number, k, barrel, surfaces, modules, floats, integers, n, rng
                )
        return n
    for j in range(modules.first_ring[layer], modules.first_ring[layer + 1]):
        ring = modules.ring[j]
        if abs(r - ring[0]) > ring[3]:
            continue
        around = int(ring[4])
        half = half_width(ring, r) if ring[2] > 0.0 else 0.0
        first, last = along_phi(phi, r, around, half)
        for k in range(first, last + 1):
            number = int(ring[5]) + k % around
            n = _hit(track, layer, number, k, barrel, surfaces, modules, floats, integers, n, rng)
    return n


@kernel
def _hit(
    track: np.ndarray, layer: int, number: int, parity: int, barrel: bool, surfaces: Surfaces,
    modules: Modules, floats: np.ndarray, integers: np.ndarray, n: int, rng: np.random.Generator,
) -> int:  # fmt: skip
    """One module's hit; neighbours stand half a stagger to either side of the layer."""
    if rng.random() > modules.efficiency[layer]:
        return n
    r = math.hypot(track[0], track[1])
    ex, ey = track[0] / r, track[1] / r
    size = math.sqrt(track[3] ** 2 + track[4] ** 2 + track[5] ** 2)
    normal = (track[3] * ex + track[4] * ey) / size if barrel else track[5] / size
    normal = math.copysign(max(abs(normal), _STEEPEST), normal)
    step = (0.5 - parity % 2) * modules.stagger[layer] / normal
    tx = track[0] + step * track[3] / size
    ty = track[1] + step * track[4] / size
    tz = track[2] + step * track[5] / size
    r = math.hypot(tx, ty)
    ex, ey = tx / r, ty / r
    su, sv = surfaces.sigma_u[layer], surfaces.sigma_v[layer]
    du, dv = su * rng.standard_normal(), sv * rng.standard_normal()
    row = floats[n]
    row[3], row[4], row[5] = tx, ty, tz
    if barrel:
        row[0], row[1], row[2] = tx - du * ey, ty + du * ex, tz + dv
    else:
        row[0], row[1], row[2] = tx - du * ey + dv * ex, ty + du * ex + dv * ey, tz
    row[6], row[7] = su, sv
    areal = modules.thickness[layer] / abs(normal)
    row[8] = ionise(size, track[6], abs(track[8]) == 11.0, areal, rng)
    row[8] = min(row[8], math.sqrt(size * size + track[6] ** 2) - track[6])
    integers[n, 0], integers[n, 1] = layer, number
    return n + 1


@njit(cache=True)
def cross(
    track: np.ndarray, layer: int, barrel: bool, surfaces: Surfaces, stack: np.ndarray, top: int,
    ledger: np.ndarray, rng: np.random.Generator,
) -> tuple[bool, int]:  # fmt: skip
    """What the material of a layer does to a particle.

    Args:
        track: (9,) position, momentum, mass, charge, PDG number; changed.
        layer: crossed.
        barrel: it is one, not a disc.
        surfaces: layers.
        stack: of particles still to follow; secondaries are put on it.
        top: its height.
        ledger: (2,) energy deposited and lost [GeV], added to.
        rng: source of randomness.

    Returns:
        Whether the particle goes on, and the height of the stack.
    """
    p = (track[3], track[4], track[5])
    size = math.sqrt(p[0] ** 2 + p[1] ** 2 + p[2] ** 2)
    if barrel:
        normal = (track[0] * p[0] + track[1] * p[1]) / (math.hypot(track[0], track[1]) * size)
    else:
        normal = p[2] / size
    longer = 1.0 / max(abs(normal), _STEEPEST)
    pdg = int(track[8])
    radiation = longer * surfaces.radiation[layer]
    if pdg == 22:
        if converts(size, radiation, rng):
            return False, pair(stack, top, track[:3], p, rng)
        return True, top
    lepton = 11 <= abs(pdg) <= 16
    meson = abs(pdg) < 1000
    depth = longer * surfaces.interaction[layer] * (_MESON if meson else 1.0)
    if not lepton and rng.random() < -math.expm1(-depth):
        top, stays = interact(stack, top, track[:3], p, track[6], track[7], pdg, rng)
        ledger[0] += stays
        return False, top
    if track[7] == 0.0:
        return True, top
    return _electromagnetic(
        track, size, radiation, longer * surfaces.areal[layer], stack, top, ledger, rng
    )


@kernel
def _electromagnetic(
    track: np.ndarray, size: float, radiation: float, areal: float, stack: np.ndarray, top: int,
    ledger: np.ndarray, rng: np.random.Generator,
) -> tuple[bool, int]:  # fmt: skip
    """Ionisation, bremsstrahlung of electrons and multiple scattering of a charged particle."""
    mass, pdg = track[6], int(track[8])
    energy = math.sqrt(size * size + mass * mass)
    electron = abs(pdg) == 11
    loss = ionise(size, mass, electron, areal, rng)
    if energy - mass - loss < _KINETIC_MIN:
        ledger[0] += available(energy, mass, pdg)
        return False, top
    ledger[0] += loss
    energy -= loss
    if electron:
        photon = (1.0 - radiate(radiation, rng)) * (energy - ELECTRON_MASS)
        energy -= photon
        if photon > _PHOTON_MIN:
            k = photon / size
            p = (track[3] * k, track[4] * k, track[5] * k)
            top = push(stack, top, track[:3], p, 0.0, 0.0, 22)
        else:
            ledger[0] += photon
        if energy - mass < _KINETIC_MIN:
            ledger[0] += energy
            return False, top
    scale = math.sqrt(energy * energy - mass * mass) / size
    width = highland(size, size / math.sqrt(size * size + mass * mass), radiation)
    p = scatter(track[3] * scale, track[4] * scale, track[5] * scale, width, rng)
    track[3], track[4], track[5] = p
    return True, top
