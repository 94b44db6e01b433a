"""What a layer does to a particle: scattering, ionisation, bremsstrahlung, conversions.

Compiled functions of one crossing each. Energies in GeV, thicknesses along the path.
"""

from __future__ import annotations

import math

import numpy as np

from fivesigma.geometry.kernels import kernel
from fivesigma.units import mass

__all__ = [
    "ELECTRON_MASS",
    "converts",
    "highland",
    "ionise",
    "pair_share",
    "radiate",
    "scatter",
    "turn",
]

ELECTRON_MASS = mass(11)
# silicon stands for all material (PDG): Z/A, mean excitation energy, density effect
_K = 0.307075e-3  # GeV cm^2/mol
_Z_OVER_A = 0.49848
_EXCITATION = 173e-9  # GeV
_X0, _X1, _C, _A, _M = 0.2015, 2.8716, 4.4355, 0.14921, 3.2546
_EULER = 0.5772156649


@kernel
def highland(momentum: float, beta: float, radiation: float) -> float:
    """Width of the multiple-scattering angle in a plane [rad] (PDG, eq. 34.16; Highland).

    theta0 = 13.6 MeV / (beta p) sqrt(t) (1 + 0.038 ln t), t in radiation lengths, charge 1.
    """
    if radiation <= 0.0:
        return 0.0
    factor = 1.0 + 0.038 * math.log(radiation / (beta * beta))
    return 13.6e-3 / (beta * momentum) * math.sqrt(radiation) * max(factor, 0.1)


@kernel
def turn(px: float, py: float, pz: float, theta: float, phi: float) -> tuple[float, float, float]:
    """A vector turned by theta, the azimuth phi counted around it."""
    size = math.sqrt(px * px + py * py + pz * pz)
    pt = math.hypot(px, py)
    if pt > 1e-12 * size:
        vx, vy = -py / pt, px / pt
    else:
        vx, vy = 1.0, 0.0
    # v is across and horizontal, w completes the frame
    wx, wy, wz = -pz * vy / size, pz * vx / size, (px * vy - py * vx) / size
    along, a = math.cos(theta), math.sin(theta) * math.cos(phi) * size
    b = math.sin(theta) * math.sin(phi) * size
    return (
        px * along + vx * a + wx * b,
        py * along + vy * a + wy * b,
        pz * along + wz * b,
    )


@kernel
def scatter(
    px: float, py: float, pz: float, width: float, rng: np.random.Generator
) -> tuple[float, float, float]:
    """A momentum after scattering by a Gaussian angle of this width in either plane."""
    theta = width * math.sqrt(2.0 * rng.standard_exponential())
    return turn(px, py, pz, theta, 2.0 * math.pi * rng.random())


@kernel
def _density_effect(beta_gamma: float) -> float:
    x = math.log10(beta_gamma)
    if x < _X0:
        return 0.0
    delta = 2.0 * math.log(10.0) * x - _C
    return delta + _A * (_X1 - x) ** _M if x < _X1 else delta


@kernel
def _landau(rng: np.random.Generator) -> float:
    """A Landau variate, the stable law of index 1 (Chambers, Mallows and Stuck 1976)."""
    u = math.pi * (rng.random() - 0.5)
    w = rng.standard_exponential()
    half = 0.5 * math.pi
    return (half + u) * math.tan(u) - math.log(w * math.cos(u) / (half + u))


@kernel
def _landau_cut(mean: float) -> float:
    """Where to cut Landau's distribution to give it this mean.

    Below 2 the fit of GEANT 3; it fails above, where the mean tends to ln(cut) + gamma - 1 and the
    correction is our own fit to numerical integrals (1 %).
    """
    if mean < 2.0:
        factor = 0.67794 + 0.052382 * mean
        return 0.60715 + 1.1934 * mean + factor * math.exp(0.94753 + 0.74442 * mean)
    return math.exp(mean + 1.0 - _EULER) * (1.0 + 1.23 * math.exp(-0.79 * mean))


@kernel
def ionise(
    momentum: float, mass: float, electron: bool, areal: float, rng: np.random.Generator
) -> float:
    """Energy lost by ionisation in a thin layer [GeV], charge 1.

    The mean is Bethe's (PDG, eq. 34.5); fluctuations follow Landau, cut so that the mean is kept
    (as in GEANT 3, PHYS332), or a Gaussian where many collisions reach the largest transfer.

    Args:
        momentum: [GeV].
        mass: [GeV].
        electron: it is one: the largest transfer is half the kinetic energy.
        areal: mass per area along the path [g/cm^2].
        rng: source of randomness.
    """
    if areal <= 0.0:
        return 0.0
    energy = math.sqrt(momentum * momentum + mass * mass)
    beta2 = (momentum / energy) ** 2
    beta_gamma = momentum / mass
    if electron:
        largest = 0.5 * (energy - mass)
    else:
        ratio = ELECTRON_MASS / mass
        largest = 2.0 * ELECTRON_MASS * beta_gamma**2
        largest /= 1.0 + 2.0 * ratio * energy / mass + ratio * ratio
    xi = 0.5 * _K * _Z_OVER_A * areal / beta2
    logarithm = math.log(2.0 * ELECTRON_MASS * beta_gamma**2 * largest / _EXCITATION**2)
    mean = xi * max(logarithm - 2.0 * beta2 - _density_effect(beta_gamma), 0.1)
    kappa = xi / largest
    if kappa > 1.0:
        width = math.sqrt(xi * largest * (1.0 - 0.5 * beta2))
        return max(mean + width * rng.standard_normal(), 0.0)
    shift = _EULER - 1.0 - beta2 - math.log(kappa)  # mean of lambda
    cut = _landau_cut(shift)
    value = _landau(rng)
    while value > cut:
        value = _landau(rng)
    return max(mean + xi * (value - shift), 0.0)


@kernel
def radiate(radiation: float, rng: np.random.Generator) -> float:
    """Share of its energy that an electron keeps in a layer (Bethe and Heitler 1934).

    The share z has the density (-ln z)^(c - 1) / Gamma(c), c = t / ln 2, of mean exp(-t).
    """
    if radiation <= 0.0:
        return 1.0
    return math.exp(-rng.standard_gamma(radiation / math.log(2.0)))


@kernel
def converts(energy: float, radiation: float, rng: np.random.Generator) -> bool:
    """Whether a photon makes a pair: 1 - exp(-7/9 t) above threshold."""
    if energy <= 2.0 * ELECTRON_MASS:
        return False
    return rng.random() < -math.expm1(-7.0 / 9.0 * radiation)


@kernel
def pair_share(rng: np.random.Generator) -> float:
    """Share of a photon's energy that the electron of a pair takes: 1 - 4/3 x (1 - x)."""
    while True:
        x = rng.random()
        if rng.random() < 1.0 - 4.0 / 3.0 * x * (1.0 - x):
            return x
