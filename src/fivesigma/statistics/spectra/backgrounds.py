"""Backgrounds: smooth functions, in families of rising order for the F-test."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
from scipy.special import betainc, comb

from fivesigma.statistics.spectra.shapes import Array, Limits, Parameter, Shape

__all__ = ["POWER_LAW", "bernstein", "chebyshev", "dijet", "exponential"]


def _unit(x: Array, limits: Limits) -> Array:
    """The range as 0 to 1."""
    return np.clip((x - limits[0]) / (limits[1] - limits[0]), 0.0, 1.0)


def exponential(order: int) -> Shape:
    """exp of a polynomial of that order: of order 1 with its slope in units of the quantity."""
    if order == 1:
        return Shape(
            "exponential",
            "exp(slope x)",
            (Parameter("slope", "logarithmic slope", -1.0, -200.0, 200.0, "slope"),),
            lambda x, p, limits: np.exp(p[0] * (x - limits[0])),
            _under_exponential,
        )

    def density(x: Array, p: Sequence[Any], limits: Limits) -> Array:
        u = _unit(x, limits)
        return np.exp(sum(c * u**power for power, c in enumerate(p, 1)))

    return Shape(
        f"exponential{order}",
        f"exp of a polynomial of order {order} in u, the range as 0 to 1",
        tuple(
            Parameter(f"c{k}", f"coefficient of u^{k}", -1.0 if k == 1 else 0.0, -200.0, 200.0)
            for k in range(1, order + 1)
        ),
        density,
    )


def _under_exponential(x: Array, p: Sequence[Any], limits: Limits) -> Array:
    slope, distance = p[0], x - limits[0]
    # expm1(s d) / s tends to d where the slope vanishes
    flat = np.abs(slope) < 1e-12
    return np.where(flat, distance, np.expm1(slope * distance) / np.where(flat, 1.0, slope))


def _shares(p: Sequence[Any]) -> list[Any]:
    """Shares of basis functions 0 ... n, of parameters 1 ... n; they add up to one."""
    shares: list[Any] = []
    left: Any = 1.0
    for each in reversed(p):
        shares.append(left * each)
        left = left * (1 - each)
    return [left, *reversed(shares)]


def bernstein(order: int) -> Shape:
    """A polynomial in the Bernstein basis, by the share of each basis function in the integral.

    Parameters are the shares of what the functions above leave, each from 0 to 1: the shares add
    up to one and none is below 0, so that the polynomial is nowhere below 0.
    """

    def density(x: Array, p: Sequence[Any], limits: Limits) -> Array:
        u, shares = _unit(x, limits), _shares(p)
        terms = (
            share * (order + 1) * comb(order, k) * u**k * (1 - u) ** (order - k)
            for k, share in enumerate(shares)
        )
        return reduce(np.add, terms)

    def antiderivative(x: Array, p: Sequence[Any], limits: Limits) -> Array:
        u, shares = _unit(x, limits), _shares(p)
        terms = (share * betainc(k + 1, order - k + 1, u) for k, share in enumerate(shares))
        return (limits[1] - limits[0]) * reduce(np.add, terms)

    return Shape(
        f"bernstein{order}",
        f"Bernstein polynomial of order {order}",
        tuple(
            Parameter(f"b{k}", f"share of function {k} in 0 to {k}", 1 / (k + 1), 0.0, 1.0)
            for k in range(1, order + 1)
        ),
        density,
        antiderivative,
        reference="S. N. Bernstein (1912); R. T. Farouki, CAGD 29 (2012) 379",
    )


def _chebyshev(n: int, u: Array) -> Array:
    return np.asarray(np.polynomial.chebyshev.chebval(u, [0.0] * n + [1.0]), np.float64)


def _under_chebyshev(n: int, u: Array) -> Array:
    if n == 1:
        return np.square(u) / 2
    return (_chebyshev(n + 1, u) / (n + 1) - _chebyshev(n - 1, u) / (n - 1)) / 2


def chebyshev(order: int) -> Shape:
    """1 + a1 T1(u) + a2 T2(u) ..., the range as -1 to 1."""

    def density(x: Array, p: Sequence[Any], limits: Limits) -> Array:
        u = 2 * _unit(x, limits) - 1
        return 1 + reduce(np.add, (a * _chebyshev(n, u) for n, a in enumerate(p, 1)))

    def antiderivative(x: Array, p: Sequence[Any], limits: Limits) -> Array:
        u = 2 * _unit(x, limits) - 1
        terms = (a * _under_chebyshev(n, u) for n, a in enumerate(p, 1))
        return (limits[1] - limits[0]) / 2 * reduce(np.add, terms, u)

    return Shape(
        f"chebyshev{order}",
        f"Chebyshev polynomial of order {order}",
        tuple(
            Parameter(f"a{n}", f"coefficient of T{n}", 0.0, -3.0, 3.0) for n in range(1, order + 1)
        ),
        density,
        antiderivative,
        reference="Abramowitz and Stegun, chapter 22",
    )


def dijet(count: int) -> Shape:
    """p0 (1 - x)^p1 / x^(p2 + p3 ln x + p4 ln^2 x) of `count` parameters, x = mass / energy.

    p0 is the yield. Two parameters leave out p1 and all behind p2.
    """
    names = ("p2",) if count == 2 else tuple(f"p{k}" for k in range(1, count))
    start = {"p1": (10.0, -200.0, 500.0), "p2": (5.0, -200.0, 200.0)}

    def logarithm(x: Array, p: Sequence[Any]) -> Array:
        fraction, value = x / p[-1], dict(zip(names, p, strict=False))
        log = np.log(fraction)
        power = sum(value.get(f"p{k}", 0.0) * log ** (k - 2) for k in range(2, count + 1))
        return value.get("p1", 0.0) * np.log1p(-fraction) - power * log

    def density(x: Array, p: Sequence[Any], limits: Limits) -> Array:
        # relative to the low end, as powers of small numbers overflow
        return np.exp(logarithm(x, p) - logarithm(np.asarray(limits[0]), p))

    energy = Parameter("energy", "of the collision", 13000.0, 0.0, 1e6, fixed=True)
    return Shape(
        f"dijet{count}",
        f"dijet function of {count} parameters, the yield included",
        (
            *(
                Parameter(name, f"parameter {name}", *start.get(name, (0.0, -100.0, 100.0)))
                for name in names
            ),
            energy,
        ),
        density,
        positive=True,
        reference="CDF, arXiv:0812.4036, equation 1; CMS, arXiv:1911.03947, section 5",
    )


def _power_law(x: Array, p: Sequence[Any], limits: Limits) -> Array:
    return (x / limits[0]) ** p[0]


def _under_power_law(x: Array, p: Sequence[Any], limits: Limits) -> Array:
    log, power = np.log(x / limits[0]), p[0] + 1
    flat = np.abs(power) < 1e-12
    return limits[0] * np.where(flat, log, np.expm1(power * log) / np.where(flat, 1.0, power))


POWER_LAW = Shape(
    "power-law",
    "x^index",
    (Parameter("index", "power", -2.0, -100.0, 100.0),),
    _power_law,
    _under_power_law,
    positive=True,
)
