"""Charged particles before they shower, and muons: ionisation with its tail, hard radiation."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fivesigma.detector.calorimeter.gflash import Medium, shower
from fivesigma.detector.calorimeter.tally import Tally, add
from fivesigma.geometry.cells import Grid
from fivesigma.geometry.kernels import kernel

__all__ = ["cross_as_muon", "cross_until"]

#: mean of -ln z^2 for a standard normal z: the Moyal distribution
_MOYAL_MEAN = 1.2703628454614782
#: (m_mu / m_e)^2: radiation lengths count so much less for a muon's bremsstrahlung
_MUON = 42753.0
#: share of the energy from which bremsstrahlung and pairs are drawn one by one
_SOFTEST = 1e-3
#: mean energy lost to pairs and nuclei over that to bremsstrahlung (PDG, iron: b_tot / b_brems)
_PAIRS = 1.3
#: slowest kinetic energy that is followed [GeV]
_SLOWEST = 1e-3


@kernel
def _straggling(rng: np.random.Generator) -> float:
    """By how much a passage exceeds its mean ionisation, over what is lost at the minimum.

    The Moyal distribution (1955) with Landau's width, xi = 0.154 MeV Z / A per g/cm^2, which is
    5 % of minimum ionisation. Such widths add linearly over steps; those of independent draws
    would not: a passage has one draw that all of its steps share.
    """
    normal = rng.standard_normal()
    return 0.05 * (-math.log(max(normal * normal, 1e-12)) - _MOYAL_MEAN)


@kernel
def _loss(stopping: float, mm: float, kinetic: float, mass: float, straggling: float) -> float:
    """Energy lost in so many mm by ionisation [GeV].

    Minimum ionisation times 1 / beta^(5/3), the usual approximation below the minimum, and 0.1
    more for each factor e above it up to 1.4.
    """
    gamma = 1.0 + kinetic / mass
    beta2 = 1.0 - 1.0 / (gamma * gamma)
    rise = min(1.0 + 0.1 * max(math.log(gamma / 3.5), 0.0), 1.4)
    loss = stopping * mm * (rise + straggling) / max(beta2, 1e-3) ** 0.8333
    return min(max(loss, 0.0), kinetic)


@njit(cache=True)
def cross_until(
    tally: Tally,
    grid: Grid,
    stopping: np.ndarray,
    place: np.ndarray,
    kinetic: float,
    mass: float,
    end: float,
    ledger: np.ndarray,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Ionise from the front to a path length; what lies outside the cells is added to ledger[1].

    Args:
        tally: takes the energies.
        grid: of the calorimeters.
        stopping: (D,) energy loss at the minimum [GeV/mm].
        place: the particle's `frame`.
        kinetic: its kinetic energy [GeV].
        mass: its mass [GeV].
        end: path length at which to end [mm].
        ledger: of the particle, see `deposit`.
        rng: source of randomness.

    Returns:
        Kinetic energy left [GeV] and path length reached [mm].
    """
    path, straggling = 0.0, _straggling(rng)
    for depth in range(grid.mm.size - 1):
        low, high = grid.mm[depth], min(grid.mm[depth + 1], end)
        if high <= low:
            break
        steps = 2 if kinetic > 3.0 else 6
        step = (high - low) / steps
        for k in range(steps):
            loss = _loss(stopping[depth], step, kinetic, mass, straggling)
            path = low + (k + 1) * step
            if not add(tally, grid, place, depth, path - 0.5 * step, 0.0, 0.0, loss, loss):
                ledger[1] += loss
            kinetic -= loss
            if kinetic < _SLOWEST:
                return kinetic, path
    return kinetic, path


@kernel
def _share(kind: int, rng: np.random.Generator) -> float:
    """Share v of a muon's energy that it radiates.

    Bremsstrahlung dN/dv ~ (4/3 (1 - v) + v^2) / v (PDG, passage of particles through matter);
    pairs are softer, dN/dv ~ 1 / v^2: our own choice.
    """
    if kind == 1:
        return _SOFTEST / (1.0 - rng.random() * (1.0 - _SOFTEST))
    while True:
        v = _SOFTEST ** rng.random()
        if rng.random() * 4.0 / 3.0 < 4.0 / 3.0 * (1.0 - v) + v * v:
            return v


@njit(cache=True)
def cross_as_muon(
    tally: Tally,
    grid: Grid,
    matter: Medium,
    stopping: np.ndarray,
    place: np.ndarray,
    kinetic: float,
    mass: float,
    ledger: np.ndarray,
    rng: np.random.Generator,
) -> float:
    """A muon through all depths; returns the kinetic energy that it has left [GeV]."""
    kinetic, _ = cross_until(tally, grid, stopping, place, kinetic, mass, grid.mm[-1], ledger, rng)
    if kinetic < 1.0:
        return kinetic
    lengths = grid.x0[-1] / _MUON
    hard = 4.0 / 3.0 * math.log(1.0 / _SOFTEST) - 5.0 / 6.0
    soft = _PAIRS / math.log(1.0 / _SOFTEST) / _SOFTEST
    n_hard = rng.poisson(lengths * hard)
    for k in range(n_hard + rng.poisson(lengths * soft)):
        radiated = _share(int(k >= n_hard), rng) * kinetic
        kinetic -= radiated
        begin = rng.random() * grid.x0[-1]
        ledger[1] += shower(tally, grid, matter, place, radiated, begin, rng)
    return kinetic
