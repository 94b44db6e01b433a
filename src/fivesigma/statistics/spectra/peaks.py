"""Peaks: resolution functions, natural line shapes, and both convolved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import erf, voigt_profile

from fivesigma.statistics.spectra.shapes import Array, Function, Limits, Parameter, Shape

__all__ = [
    "BREIT_WIGNER",
    "BREIT_WIGNER_CRYSTAL_BALL",
    "BREIT_WIGNER_GAUSSIAN",
    "CRYSTAL_BALL",
    "DOUBLE_CRYSTAL_BALL",
    "DOUBLE_GAUSSIAN",
    "GAUSSIAN",
    "VOIGTIAN",
]

_MASS = Parameter("mass", "position of the peak", 0.5, 0.0, 1.0, "position")
_SIGMA = Parameter("sigma", "resolution", 0.05, 1e-4, 1.0, "width")
_GAMMA = Parameter("gamma", "natural width", 0.05, 1e-4, 1.0, "width")
_ALPHA = Parameter("alpha", "where the low tail begins, in sigma", 1.5, 0.1, 8.0)
_N = Parameter("n", "power of the low tail", 3.0, 1.05, 50.0)
_ROOT_HALF_PI = np.sqrt(np.pi / 2)
#: nodes of convolutions [sigma]: the trapezium rule converges faster than any power of the step
#: for smooth integrands, here as 2 exp(-5 pi gamma / sigma): to 1e-6 where gamma = sigma
_STEP, _TAIL, _CORE = 0.2, 40.0, 6.0
#: least gamma / sigma of convolutions, where that is 1e-3
_NARROWEST = 0.5
#: nodes at a time: many events fit into memory
_BLOCK = 32


def _bell(t: Array) -> Array:
    return np.exp(-0.5 * np.square(t))


def _under_bell(t: Array) -> Array:
    return _ROOT_HALF_PI * erf(t / np.sqrt(2))


def _gaussian(x: Array, p: Sequence[Any], limits: Limits) -> Array:
    mass, sigma = p
    return _bell((x - mass) / sigma)


def _under_gaussian(x: Array, p: Sequence[Any], limits: Limits) -> Array:
    mass, sigma = p
    return sigma * _under_bell((x - mass) / sigma)


def _double_gaussian(x: Array, p: Sequence[Any], limits: Limits) -> Array:
    mass, sigma, wide, ratio = p
    t = (x - mass) / sigma
    return (1 - wide) * _bell(t) + wide / ratio * _bell(t / ratio)


def _under_double_gaussian(x: Array, p: Sequence[Any], limits: Limits) -> Array:
    mass, sigma, wide, ratio = p
    t = (x - mass) / sigma
    return sigma * ((1 - wide) * _under_bell(t) + wide * _under_bell(t / ratio))


def _power_tail(t: Array, alpha: Any, n: Any) -> tuple[Array, Array]:
    """The tail below t = -alpha and its integral from minus infinity, both continued flat above.

    A (B - t)^-n with A = (n / alpha)^n exp(-alpha^2 / 2) and B = n / alpha - alpha joins the bell
    smoothly; by logarithms, as (n / alpha)^n overflows.
    """
    distance = n / alpha - alpha - np.minimum(t, -alpha)
    height = np.exp(n * np.log(n / alpha / distance) - 0.5 * np.square(alpha))
    return height, height * distance / (n - 1)


def _crystal_ball(x: Array, p: Sequence[Any], limits: Limits) -> Array:
    mass, sigma, alpha, n = p
    t = (x - mass) / sigma
    return np.where(t > -alpha, _bell(t), _power_tail(t, alpha, n)[0])


def _under_crystal_ball(x: Array, p: Sequence[Any], limits: Limits) -> Array:
    mass, sigma, alpha, n = p
    t = (x - mass) / sigma
    core = _under_bell(np.maximum(t, -alpha)) - _under_bell(-alpha)
    return sigma * (_power_tail(t, alpha, n)[1] + core)


def _double_crystal_ball(x: Array, p: Sequence[Any], limits: Limits) -> Array:
    mass, sigma, alpha, n, high_alpha, high_n = p
    t = (x - mass) / sigma
    left = np.where(t > -alpha, _bell(t), _power_tail(t, alpha, n)[0])
    return np.where(t < high_alpha, left, _power_tail(-t, high_alpha, high_n)[0])


def _under_double_crystal_ball(x: Array, p: Sequence[Any], limits: Limits) -> Array:
    mass, sigma, alpha, n, high_alpha, high_n = p
    t = (x - mass) / sigma
    core = _under_bell(np.clip(t, -alpha, high_alpha))
    # above the core the high tail takes away what is left of it
    return sigma * (_power_tail(t, alpha, n)[1] + core - _power_tail(-t, high_alpha, high_n)[1])


def _breit_wigner(x: Array, p: Sequence[Any], limits: Limits) -> Array:
    # the mass of a fixed width: that of a width that grows with s is larger by 0.037 % for the Z
    mass, gamma = p
    pole = np.square(mass * gamma)
    return 2 / np.pi * mass**2 * gamma / (np.square(np.square(x) - np.square(mass)) + pole)


def _under_breit_wigner(x: Array, p: Sequence[Any], limits: Limits) -> Array:
    """Im ln((x - z) / (x + z)) / 2z, z^2 = M^2 + i M Gamma: no logarithm meets its cut."""
    mass, gamma = p
    z = np.sqrt(np.square(mass) + 1j * mass * gamma)
    return mass / np.pi * np.imag((np.log(x - z) - np.log(x + z)) / z)


def _voigtian(x: Array, p: Sequence[Any], limits: Limits) -> Array:
    mass, gamma, sigma = p
    return voigt_profile(x - mass, sigma, gamma / 2)


def _convolved(line: Function, resolution: Function, tail: float) -> Function:
    """A line shape with parameters (mass, gamma) smeared by a resolution of width sigma.

    Also of the antiderivative of a line shape, which makes that of the convolution.
    """
    nodes = np.arange(-tail, _CORE + _STEP / 2, _STEP)  # (K,)

    def function(x: Array, p: Sequence[Any], limits: Limits) -> Array:
        mass, gamma, sigma, *form = (np.asarray(value)[..., None] for value in p)
        weight = resolution(nodes, (0.0, 1.0, *form), limits)  # (..., K)
        weight = weight / weight.sum(-1, keepdims=True)
        total = np.zeros(1)
        for at in range(0, len(nodes), _BLOCK):
            part = slice(at, at + _BLOCK)
            values = line(np.asarray(x)[..., None] - sigma * nodes[part], (mass, gamma), limits)
            total = total + (values * weight[..., part]).sum(-1)
        return total

    return function


GAUSSIAN = Shape(
    "gaussian",
    "normal distribution",
    (_MASS, _SIGMA),
    _gaussian,
    _under_gaussian,
    peak=True,
)
DOUBLE_GAUSSIAN = Shape(
    "double-gaussian",
    "two normal distributions of one mean",
    (
        _MASS,
        _SIGMA,
        Parameter("wide", "share of the wider one", 0.2, 0.0, 1.0),
        Parameter("ratio", "its sigma over that of the narrower one", 2.0, 1.05, 10.0),
    ),
    _double_gaussian,
    _under_double_gaussian,
    peak=True,
)
CRYSTAL_BALL = Shape(
    "crystal-ball",
    "normal distribution with a power law below: energy lost by radiation",
    (_MASS, _SIGMA, _ALPHA, _N),
    _crystal_ball,
    _under_crystal_ball,
    peak=True,
    reference="J. Gaiser, SLAC-R-255 (1982), appendix F",
)
DOUBLE_CRYSTAL_BALL = Shape(
    "double-crystal-ball",
    "normal distribution with power laws on both sides",
    (
        _MASS,
        _SIGMA,
        _ALPHA,
        _N,
        Parameter("high_alpha", "where the high tail begins, in sigma", 1.5, 0.1, 8.0),
        Parameter("high_n", "power of the high tail", 3.0, 1.05, 50.0),
    ),
    _double_crystal_ball,
    _under_double_crystal_ball,
    peak=True,
    reference="ATLAS, arXiv:1407.6583, equation 1",
)
BREIT_WIGNER = Shape(
    "breit-wigner",
    "relativistic Breit-Wigner of fixed width",
    (_MASS, _GAMMA),
    _breit_wigner,
    _under_breit_wigner,
    peak=True,
    positive=True,
    reference="Particle Data Group, review of resonances, relativistic Breit-Wigner",
)
VOIGTIAN = Shape(
    "voigtian",
    "non-relativistic Breit-Wigner, smeared by a normal distribution",
    (_MASS, _GAMMA, _SIGMA),
    _voigtian,
    peak=True,
    reference="scipy.special.voigt_profile",
)
BREIT_WIGNER_GAUSSIAN = Shape(
    "breit-wigner-gaussian",
    "relativistic Breit-Wigner, smeared by a normal distribution",
    (_MASS, _GAMMA, _SIGMA),
    _convolved(_breit_wigner, _gaussian, _CORE),
    _convolved(_under_breit_wigner, _gaussian, _CORE),
    peak=True,
    positive=True,
    narrowest=_NARROWEST,
    reference=BREIT_WIGNER.reference,
)
BREIT_WIGNER_CRYSTAL_BALL = Shape(
    "breit-wigner-crystal-ball",
    "relativistic Breit-Wigner, smeared by a Crystal Ball: with final-state radiation",
    (_MASS, _GAMMA, _SIGMA, _ALPHA, _N),
    _convolved(_breit_wigner, _crystal_ball, _TAIL),
    _convolved(_under_breit_wigner, _crystal_ball, _TAIL),
    peak=True,
    positive=True,
    narrowest=_NARROWEST,
    reference=f"{BREIT_WIGNER.reference}; {CRYSTAL_BALL.reference}",
)
