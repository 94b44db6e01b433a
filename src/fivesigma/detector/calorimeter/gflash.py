"""Electromagnetic showers after Grindhammer and Peters (hep-ex/0001020).

Along the axis a shower is a gamma distribution, (1/E) dE/dt = (beta t)^(alpha - 1) beta
exp(-beta t) / Gamma(alpha), whose (ln T, ln alpha), T = (alpha - 1) / beta, fluctuate with
correlation; across it a core and a tail, each f(r) = 2 r R^2 / (r^2 + R^2)^2, that widen with
depth. Energy is put down in spots of equal energy, whose sum is exact. Lengths in radiation
lengths and Moliere radii, energies in GeV.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from fivesigma.detector.calorimeter.tally import Tally, add, along, depth_at
from fivesigma.geometry.cells import Cells, Grid

__all__ = ["Medium", "longitudinal", "medium", "radial", "shower"]

_MOST = 30  # spots of a shower over those at 1 GeV
_TAUS, _PER_TAU = 33, 8  # places at which the radial profile is computed for a shower


class Medium(NamedTuple):
    """What showers need to know of matter, as plain numbers.

    Attributes:
        critical: critical energy [GeV].
        z: effective atomic number.
        rate: F_S of a sampling calorimeter; 0: homogeneous.
        soft: 1 - e-hat; 0: homogeneous.
        spots: at 1 GeV.
        tuning: (10,) see `geometry.cells.Tuning`.
        moliere: (D,) Moliere radius in each depth [mm].
    """

    critical: float
    z: float
    rate: float
    soft: float
    spots: float
    tuning: np.ndarray
    moliere: np.ndarray


def medium(cells: Cells) -> Medium:
    """The ECAL of a preset as showers see it; what leaves it goes on in the HCAL."""
    section = cells.ecal
    rate, e_hat = section.sampling_fraction or (0.0, 1.0)
    t = section.tuning
    return Medium(
        section.material.critical,
        section.material.z,
        rate,
        1.0 - e_hat,
        section.spots,
        np.array([*t.maximum, *t.shape, *t.spread, t.correlation, t.core, t.tail, t.share]),
        np.array([cells.section(d).material.moliere for d in range(len(cells.depths))]),
    )


@njit(cache=True)
def longitudinal(matter: Medium, energy: float) -> tuple[float, float, float, float, float]:
    """Means of ln T and ln alpha, their standard deviations and their correlation.

    Equations (4)-(9) and (24)-(28) of hep-ex/0001020, with the departures of the preset. Guards
    keep energies near the critical energy sensible.
    """
    ln_y = max(math.log(energy / matter.critical), 0.0)
    depth = max(ln_y - 0.812, 0.1)
    alpha = 0.81 + (0.458 + 2.26 / matter.z) * ln_y
    if matter.rate > 0.0:
        depth -= 0.55 / matter.rate + 0.69 * matter.soft
        alpha -= 0.476 / matter.rate
        spread_t, spread_a = 1.25 * ln_y - 2.5, 0.79 * ln_y - 0.82
        rho = 0.784 - 0.023 * ln_y
    else:
        spread_t, spread_a = 1.26 * ln_y - 1.4, 0.86 * ln_y - 0.58
        rho = 0.705 - 0.023 * ln_y
    tuning = matter.tuning
    return (
        math.log(max(depth, 0.3)) + tuning[0] + tuning[1] * ln_y,
        math.log(max(alpha, 1.1)) + tuning[2] + tuning[3] * ln_y,
        min(1.0 / max(spread_t, 2.0), 0.5) * tuning[4],
        min(1.0 / max(spread_a, 2.0), 0.5) * tuning[5],
        min(max(rho + tuning[6], -0.99), 0.99),
    )


@njit(cache=True)
def radial(matter: Medium, energy: float, tau: float) -> tuple[float, float, float]:
    """Radii of core and tail in Moliere radii and the core's share at a depth tau.

    Equations (11)-(14) and (30)-(32) of hep-ex/0001020.
    """
    ln_e, z = math.log(energy), matter.z
    core = 0.0251 + 0.00319 * ln_e + (0.1162 - 0.000381 * z) * tau
    tail = (0.659 - 0.00309 * z) * (
        math.exp(-2.59 * (tau - 0.645)) + math.exp((0.3585 + 0.0412 * ln_e) * (tau - 0.645))
    )
    u = (0.401 + 0.00187 * z - tau) / (1.313 - 0.0686 * ln_e)
    share = (2.632 - 0.00094 * z) * math.exp(u - math.exp(u))
    if matter.rate > 0.0:
        drop = math.exp(-tau) / matter.rate
        core += -0.0203 * matter.soft + 0.0397 * drop
        tail += -0.14 * matter.soft - 0.495 * drop
        share += matter.soft * (0.348 - 0.642 * math.exp(-((tau - 1.0) ** 2)) / matter.rate)
    tuning = matter.tuning
    return (
        max(core + tuning[7], 0.005),
        max(tail + tuning[8], 0.02),
        min(max(share * tuning[9], 0.0), 1.0),
    )


@njit(cache=True)
def _profile(matter: Medium, energy: float) -> np.ndarray:
    """`radial` at tau = 0, 1/8 ... 4 (33, 3)."""
    out = np.empty((_TAUS, 3))
    for k in range(_TAUS):
        out[k] = radial(matter, energy, k / _PER_TAU)
    return out


@njit(cache=True)
def shower(
    tally: Tally,
    grid: Grid,
    matter: Medium,
    place: np.ndarray,
    energy: float,
    begin: float,
    rng: np.random.Generator,
) -> float:
    """Put a shower into the cells and return the energy that no cell took [GeV].

    Args:
        tally: takes the energies.
        grid: of the calorimeters.
        matter: they are made of.
        place: the particle's `frame`.
        energy: of the particle [GeV].
        begin: where the shower begins, from the front [X0].
        rng: source of randomness.
    """
    mean_t, mean_a, spread_t, spread_a, rho = longitudinal(matter, energy)
    plus, minus = math.sqrt((1 + rho) / 2), math.sqrt((1 - rho) / 2)
    one, two = plus * rng.standard_normal(), minus * rng.standard_normal()
    alpha = max(math.exp(mean_a + spread_a * (one - two)), 1.05)
    top = math.exp(mean_t + spread_t * (one + two))
    per_beta = top / (alpha - 1)  # 1 / beta
    mean_alpha = max(math.exp(mean_a), 1.1)
    # equation (10): depth over the shower's mean depth, scaled to 1 at the mean shower's maximum
    to_tau = mean_alpha / (mean_alpha - 1) / (alpha * per_beta)
    n = int(1 + matter.spots * min(_MOST, energy / (1 + 0.02 * energy)))
    lost, spot, last = 0.0, energy / n, grid.x0.size - 1
    profile = _profile(matter, energy)
    for _ in range(n):
        t = rng.standard_gamma(alpha) * per_beta
        depth = depth_at(grid.x0, begin + t)
        if depth == last:
            lost += spot
            continue
        at = min(t * to_tau * _PER_TAU, _TAUS - 1.001)
        low = int(at)
        share = profile[low, 2] + (at - low) * (profile[low + 1, 2] - profile[low, 2])
        part = 0 if rng.random() < share else 1
        width = profile[low, part] + (at - low) * (profile[low + 1, part] - profile[low, part])
        u = rng.random()
        radius = min(width * math.sqrt(u / (1 - u)), 20.0) * matter.moliere[depth]
        path = along(grid.x0, grid.mm, depth, begin + t)
        azimuth = 2 * math.pi * rng.random()
        if not add(tally, grid, place, depth, path, radius, azimuth, spot, spot):
            lost += spot
    return lost
