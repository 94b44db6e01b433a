"""Particles made in the tracker: decays in flight, pairs, nuclear interactions.

Compiled functions that put particles on a stack, rows of (x, y, z, px, py, pz, mass, charge, PDG
number), and return its new height. No energy is made or lost: what is not handed on is returned.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fivesigma.detector.tracker.effects import ELECTRON_MASS, pair_share, turn
from fivesigma.units import mass

__all__ = ["LARGEST_MULTIPLICITY", "available", "decay", "interact", "lifetime", "pair", "push"]

_PION, _NEUTRAL_PION, _KAON = mass(211), mass(111), mass(321)
_MUON, _PROTON, _NEUTRON = mass(13), mass(2212), mass(2112)
#: c tau [mm] (PDG)
_PION_LIFE, _KAON_LIFE = 7804.5, 3711.0
#: share of K -> mu nu of all decays with the muon or a pion and neutral pion
_KAON_TO_MUON = 0.7546
_KINETIC_MIN = 0.02  # GeV, of a hadron from a nucleus
LARGEST_MULTIPLICITY = 12


@njit(cache=True)
def available(energy: float, mass: float, pdg: int) -> float:
    """`flow.available_energy` of one particle [GeV]."""
    number = abs(pdg)
    if number // 1000 % 10 > 0 and number < 1_000_000:
        return energy - mass if pdg > 0 else energy + mass
    return energy


@njit(cache=True)
def push(
    stack: np.ndarray, top: int, at: np.ndarray, p: tuple[float, float, float],
    mass: float, charge: float, pdg: int,
) -> int:  # fmt: skip
    """One more particle, at the position (3,) `at`; returns the new height."""
    row = stack[top]
    row[0], row[1], row[2] = at[0], at[1], at[2]
    row[3], row[4], row[5] = p
    row[6], row[7], row[8] = mass, charge, pdg
    return top + 1


@njit(cache=True)
def lifetime(pdg: int) -> float:
    """c tau of what decays in flight here, charged pions and kaons [mm]; infinite for the rest."""
    number = abs(pdg)
    if number == 211:
        return _PION_LIFE
    return _KAON_LIFE if number == 321 else math.inf


@njit(cache=True)
def _two_body(
    p: tuple[float, float, float], mass: float, first: float, second: float,
    rng: np.random.Generator,
) -> tuple[tuple[float, float, float], tuple[float, float, float]]:  # fmt: skip
    """Momenta of two daughters, isotropic in the rest frame."""
    energy = math.sqrt(p[0] ** 2 + p[1] ** 2 + p[2] ** 2 + mass * mass)
    e = (mass * mass + first * first - second * second) / (2.0 * mass)
    k = math.sqrt(max(e * e - first * first, 0.0))
    cosine, phi = 2.0 * rng.random() - 1.0, 2.0 * math.pi * rng.random()
    sine = math.sqrt(1.0 - cosine * cosine)
    qx, qy, qz = k * sine * math.cos(phi), k * sine * math.sin(phi), k * cosine
    along = (p[0] * qx + p[1] * qy + p[2] * qz) / (mass * (energy + mass)) + e / mass
    a = (qx + along * p[0], qy + along * p[1], qz + along * p[2])
    return a, (p[0] - a[0], p[1] - a[1], p[2] - a[2])


@njit(cache=True)
def _photons(
    stack: np.ndarray, top: int, at: np.ndarray, p: tuple[float, float, float],
    rng: np.random.Generator,
) -> int:  # fmt: skip
    """A neutral pion is its two photons."""
    a, b = _two_body(p, _NEUTRAL_PION, 0.0, 0.0, rng)
    return push(stack, push(stack, top, at, a, 0.0, 0.0, 22), at, b, 0.0, 0.0, 22)


@njit(cache=True)
def decay(
    stack: np.ndarray, top: int, at: np.ndarray, p: tuple[float, float, float],
    parent: float, charge: float, pdg: int, rng: np.random.Generator,
) -> tuple[int, float]:  # fmt: skip
    """pi -> mu nu, K -> mu nu or pi pi0 (three-body decays counted as that).

    Returns:
        The height of the stack, and the energy of the neutrino [GeV].
    """
    if abs(pdg) == 321 and rng.random() > _KAON_TO_MUON:
        a, b = _two_body(p, parent, _PION, _NEUTRAL_PION, rng)
        top = push(stack, top, at, a, _PION, charge, 211 if charge > 0 else -211)
        return _photons(stack, top, at, b, rng), 0.0
    a, b = _two_body(p, parent, _MUON, 0.0, rng)
    top = push(stack, top, at, a, _MUON, charge, -13 if charge > 0 else 13)
    return top, math.sqrt(b[0] ** 2 + b[1] ** 2 + b[2] ** 2)


@njit(cache=True)
def pair(
    stack: np.ndarray, top: int, at: np.ndarray, p: tuple[float, float, float],
    rng: np.random.Generator,
) -> int:  # fmt: skip
    """Electron and positron of a photon, in its direction but for an angle of m / E."""
    energy = math.sqrt(p[0] ** 2 + p[1] ** 2 + p[2] ** 2)
    share = pair_share(rng)
    first = ELECTRON_MASS + share * (energy - 2.0 * ELECTRON_MASS)
    phi = 2.0 * math.pi * rng.random()
    for k in range(2):
        e = first if k == 0 else energy - first
        size = math.sqrt(max(e * e - ELECTRON_MASS**2, 0.0)) / energy
        q = turn(p[0] * size, p[1] * size, p[2] * size, ELECTRON_MASS / energy, phi + k * math.pi)
        top = push(stack, top, at, q, ELECTRON_MASS, 2.0 * k - 1.0, 11 - 22 * k)
    return top


@njit(cache=True)
def _species(
    leading: bool, pdg: int, mass: float, charge: float, rng: np.random.Generator
) -> tuple[int, float, float]:
    """PDG number, mass and charge of a hadron from a nucleus."""
    if leading:
        return pdg, mass, charge
    u = rng.random()
    if u < 0.3:
        return 211, _PION, 1.0
    if u < 0.6:
        return -211, _PION, -1.0
    if u < 0.9:
        return 111, _NEUTRAL_PION, 0.0
    return (2212, _PROTON, 1.0) if u < 0.95 else (2112, _NEUTRON, 0.0)


@njit(cache=True)
def interact(
    stack: np.ndarray, top: int, at: np.ndarray, p: tuple[float, float, float],
    mass: float, charge: float, pdg: int, rng: np.random.Generator,
) -> tuple[int, float]:  # fmt: skip
    """A hadron meets a nucleus: what it can leave in matter is shared out.

    Our own model, for hits and calorimeter showers behind thin layers: a tenth on average (an
    exponential) stays with the nucleus; 2 + Poisson(1.1 ln(1 + E)) hadrons share the rest, the
    first of the projectile's kind with 30 to 80 %, the others by exponential weights: 90 % pions
    in equal parts, else nucleons; transverse momenta exponential with a mean of 0.35 GeV. Hadrons
    below 20 MeV stay.

    Returns:
        The height of the stack, and the energy that stays [GeV].
    """
    energy = math.sqrt(p[0] ** 2 + p[1] ** 2 + p[2] ** 2 + mass * mass)
    total = available(energy, mass, pdg)
    stays = min(0.1 * rng.standard_exponential(), 1.0) * total
    n = min(2 + rng.poisson(1.1 * math.log1p(total)), LARGEST_MULTIPLICITY)
    first = 0.3 + 0.5 * rng.random()
    rest = (1.0 - first) * (total - stays)
    weights = np.empty(n - 1)
    for k in range(n - 1):
        weights[k] = rng.standard_exponential()
    scale = rest / weights.sum()
    for k in range(n):
        share = first * (total - stays) if k == 0 else weights[k - 1] * scale
        number, m, q = _species(k == 0, pdg, mass, charge, rng)
        total_energy = share + energy_offset(m, number)
        if total_energy - m < _KINETIC_MIN:
            stays += share
            continue
        top = _emit(stack, top, at, p, total_energy, m, q, number, rng)
    return top, stays


@njit(cache=True)
def energy_offset(mass: float, pdg: int) -> float:
    """Total minus available energy [GeV]."""
    return -available(0.0, mass, pdg)


@njit(cache=True)
def _emit(
    stack: np.ndarray, top: int, at: np.ndarray, p: tuple[float, float, float],
    energy: float, mass: float, charge: float, pdg: int, rng: np.random.Generator,
) -> int:  # fmt: skip
    momentum = math.sqrt(energy * energy - mass * mass)
    sine = min(0.35 * rng.standard_exponential() / momentum, 1.0)
    size = momentum / math.sqrt(p[0] ** 2 + p[1] ** 2 + p[2] ** 2)
    phi = 2.0 * math.pi * rng.random()
    q = turn(p[0] * size, p[1] * size, p[2] * size, math.asin(sine), phi)
    if pdg == 111:
        return _photons(stack, top, at, q, rng)
    return push(stack, top, at, q, mass, charge, pdg)
