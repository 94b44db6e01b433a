"""Hadronic showers: an electromagnetic and a hadronic component, both of which fluctuate.

The way into the shower is exponential in interaction lengths. The mean electromagnetic share is
that of Gabriel et al. (NIM A 338 (1994) 336), 1 - (E / E0)^(k - 1) with k = 0.82; along the axis
both components follow the parametrisation of Bock et al. (NIM 186 (1981) 533). Fluctuations of the
share, of the profiles' scale, and the lateral profile are our own choices: pion-like, not tuned to
one calorimeter. Energies in GeV.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from fivesigma.detector.calorimeter.ionisation import cross_until
from fivesigma.detector.calorimeter.tally import Tally, add, along, depth_at
from fivesigma.geometry.cells import Grid

__all__ = ["Matter", "cross_as_hadron", "electromagnetic_share", "hadron_shower"]

_EXPONENT = -0.18  # k - 1
#: E0 [GeV]
_PION, _BARYON = 1.0, 2.6
_MOST = 1000  # spots of a component


class Matter(NamedTuple):
    """What hadrons meet in each depth, arrays (D,).

    Attributes:
        stopping: energy loss of a minimum ionising particle [GeV/mm].
        narrow, wide: median radii of the electromagnetic and the hadronic component [mm].
        seen: visible over deposited energy of the hadronic component, h / e.
        variance: of the visible hadronic energy, over its mean [GeV].
    """

    stopping: np.ndarray
    narrow: np.ndarray
    wide: np.ndarray
    seen: np.ndarray
    variance: np.ndarray


@njit(cache=True)
def electromagnetic_share(energy: float, baryon: bool) -> float:
    """Mean share of electromagnetic energy in a shower of this energy [GeV]."""
    scale = _BARYON if baryon else _PION
    return max(1.0 - (energy / scale) ** _EXPONENT, 0.0) if energy > 0.0 else 0.0


@njit(cache=True)
def _draw_share(energy: float, baryon: bool, rng: np.random.Generator) -> float:
    """The share of one shower: beta distributed, relative width about 0.45 at 10 GeV."""
    mean = electromagnetic_share(energy, baryon)
    if mean <= 0.01:
        return 0.0
    strength = 9.0 * (energy / 10.0) ** 0.25
    first = rng.standard_gamma(mean * strength)
    second = rng.standard_gamma((1.0 - mean) * strength)
    return first / (first + second) if first > 0.0 else 0.0


@njit(cache=True)
def _spots(
    tally: Tally,
    grid: Grid,
    place: np.ndarray,
    begin: float,
    energy: float,
    edges: np.ndarray,
    alpha: float,
    scale: float,
    width: np.ndarray,
    growth: float,
    seen: np.ndarray,
    variance: np.ndarray,
    n: int,
    ledger: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Put one component into cells: gamma distributed along the axis in the units of `edges`.

    Args:
        tally: takes the energies.
        grid: of the calorimeters.
        place: the particle's `frame`.
        begin: where the shower begins, in the units of `edges`.
        energy: of the component [GeV].
        edges: (D + 1,) of the depths.
        alpha, scale: of the gamma distribution.
        width: (D,) median radius at the start [mm].
        growth: relative growth of the radius per unit.
        seen: (D,) visible over deposited energy.
        variance: (D,) of the visible energy over its mean, 0: none [GeV].
        n: number of spots.
        ledger: energy outside the cells is added to [1], that behind them to [2].
        rng: source of randomness.
    """
    spot, last = energy / n, edges.size - 1
    for _ in range(n):
        t = rng.standard_gamma(alpha) * scale
        depth = depth_at(edges, begin + t)
        if depth == last:
            ledger[2] += spot
            continue
        u = rng.random()
        radius = width[depth] * (1.0 + growth * t) * min(math.sqrt(u / (1.0 - u)), 8.0)
        path = along(edges, grid.mm, depth, begin + t)
        visible = spot * seen[depth]
        if variance[depth] > 0.0:
            visible = rng.standard_gamma(visible / variance[depth]) * variance[depth]
        azimuth = 2.0 * math.pi * rng.random()
        if not add(tally, grid, place, depth, path, radius, azimuth, spot, visible):
            ledger[1] += spot


@njit(cache=True)
def hadron_shower(
    tally: Tally,
    grid: Grid,
    matter: Matter,
    place: np.ndarray,
    energy: float,
    baryon: bool,
    path: float,
    ledger: np.ndarray,
    rng: np.random.Generator,
) -> None:
    """Put the shower of a hadron into the cells.

    Args:
        tally: takes the energies.
        grid: of the calorimeters.
        matter: they are made of.
        place: the particle's `frame`.
        energy: that it sets free [GeV].
        baryon: whether it is one.
        path: at which it interacts [mm].
        ledger: of the particle, see `deposit`.
        rng: source of randomness.
    """
    share = _draw_share(energy, baryon, rng)
    ln_e = math.log(max(energy, 1.0))
    depth = min(depth_at(grid.mm, path), grid.mm.size - 2)
    alpha = 0.6165 + 0.3183 * ln_e
    if share > 0.0:
        n = int(min(_MOST, 8 + 25 * (share * energy) ** 0.8))
        scale = math.exp(0.2 * rng.standard_normal()) / 0.2198
        begin = along(grid.mm, grid.x0, depth, path)
        full = np.ones(matter.seen.size)
        _spots(
            tally, grid, place, begin, share * energy, grid.x0, alpha, scale, matter.narrow, 0.02,
            full, 0.0 * full, n, ledger, rng,
        )  # fmt: skip
    n = int(min(_MOST, 6 + 12 * ((1.0 - share) * energy) ** 0.8))
    scale = math.exp(0.2 * rng.standard_normal()) / (0.9099 - 0.0237 * ln_e)
    begin = along(grid.mm, grid.lengths, depth, path)
    _spots(
        tally, grid, place, begin, (1.0 - share) * energy, grid.lengths, alpha, scale, matter.wide,
        0.3, matter.seen, matter.variance, n, ledger, rng,
    )  # fmt: skip


@njit(cache=True)
def cross_as_hadron(
    tally: Tally,
    grid: Grid,
    matter: Matter,
    place: np.ndarray,
    kinetic: float,
    rest: float,
    mass: float,
    charge: float,
    baryon: bool,
    ledger: np.ndarray,
    rng: np.random.Generator,
) -> float:
    """A hadron ionises, then interacts, stops or comes out.

    Args:
        tally: takes the energies.
        grid: of the calorimeters.
        matter: they are made of.
        place: the particle's `frame`.
        kinetic: its kinetic energy [GeV].
        rest: the energy besides that it sets free when it interacts [GeV].
        mass: its mass [GeV].
        charge: its charge [e].
        baryon: whether it is a baryon.
        ledger: of the particle, see `deposit`.
        rng: source of randomness.

    Returns:
        The kinetic energy with which it comes out; -1 where it does not [GeV].
    """
    length = rng.standard_exponential()
    depth = depth_at(grid.lengths, length)
    through = depth == grid.lengths.size - 1
    end = grid.mm[-1] if through else along(grid.lengths, grid.mm, depth, length)
    path = end
    if charge != 0.0:
        kinetic, path = cross_until(
            tally, grid, matter.stopping, place, kinetic, mass, end, ledger, rng
        )
        if path < end and charge > 0.0 and not baryon:
            ledger[3] += rest  # at rest a positive meson decays, mostly into neutrinos
            rest = 0.0
    if through and path >= end:
        return kinetic
    if kinetic + rest > 0.0:
        hadron_shower(tally, grid, matter, place, kinetic + rest, baryon, path, ledger, rng)
    return -1.0
