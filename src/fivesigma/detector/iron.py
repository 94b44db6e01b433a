"""What muons lose in iron, and which other particles cross it."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fivesigma.geometry.materials import IRON
from fivesigma.geometry.passage import X0, ionisation, radiation

__all__ = ["lost_energy", "survives"]

#: mean of -ln z^2 for a standard normal z: the Moyal distribution of ionisation
_MOYAL_MEAN = 1.2703628454614782
#: smallest share of its energy that a muon radiates at once
_SOFTEST = 1e-3
#: Landau's width [GeV/mm] and interaction length [mm] of iron
_XI = 0.1535e-3 * (IRON.z / IRON.a) * 0.1 * IRON.density
_LAMBDA = 10 * IRON.interaction / IRON.density


@njit(cache=True)
def lost_energy(energy: float, iron: float, rng: np.random.Generator) -> float:
    """Energy that a muon of this energy loses in so many mm of iron [GeV].

    Ionisation after Moyal (1955), the closed form close to Landau's, about the mean loss, with
    Landau's width xi = 0.1535 MeV cm^2/g Z/A x; hard radiation as a Poisson number of emissions of
    the shares v of the energy, dN/dv ~ 1/v from 0.001 to 1, whose mean is b E x.
    """
    xi = _XI * iron
    normal = rng.standard_normal()
    moyal = -math.log(max(normal * normal, 1e-12))
    loss = max(ionisation(energy, iron) + xi * (moyal - _MOYAL_MEAN), 0.0)
    for _ in range(rng.poisson(-radiation(iron) * math.log(_SOFTEST) / (1.0 - _SOFTEST))):
        loss += max(energy - loss, 0.0) * _SOFTEST ** rng.random()
    return min(loss, energy)


@njit(cache=True)
def survives(number: int, mass: float, iron: float, rng: np.random.Generator) -> bool:
    """Whether a particle that is no muon crosses so many mm of iron without a shower."""
    length = X0 if number == 11 or number == 22 else _LAMBDA
    return number in (12, 14, 16) or mass > 100.0 or rng.random() < math.exp(-iron / length)
