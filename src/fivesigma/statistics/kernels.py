"""The likelihood as compiled loops: rates, their Jacobian, and the Hessian of -ln L.

A *template* is one sample in one channel. Its rate in bin b is

    r_b = S * G_b * A_b,    S = product of factors, G_b = product of parameters of the bin,
                            A_b = nominal_b + sum of what variations add,

and the expected events of a bin are the sum over templates. Minimised is half the deviance,

    sum_b [lambda_b - n_b - n_b ln(lambda_b / n_b)] + constraint terms,

which is -ln L less its value at lambda = n: small numbers, so that differences of likelihoods keep
their digits however large the counts are.

What is compiled from `interpolation` is kept in numba's cache, which does not see changes there:
this file has to change with it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fivesigma.statistics.interpolation import added_weights, factor, kernel

__all__ = ["GAUSSIAN", "POISSON", "Templates", "deviance", "evaluate", "rates"]

#: kinds of constraint terms
GAUSSIAN, POISSON = 1, 2


class Templates(NamedTuple):
    """A model as flat arrays: T templates, their nominal bins one after the other."""

    first_bin: np.ndarray  # (T,) where the template's channel begins
    start: np.ndarray  # (T + 1,) where its bins begin in `nominal`
    nominal: np.ndarray  # (sum of bins,)
    factor_start: np.ndarray  # (T + 1,) its factors
    factor_parameter: np.ndarray  # (F,)
    factor_kind: np.ndarray  # (F,)
    factor_constants: np.ndarray  # (F, 8)
    added_start: np.ndarray  # (T + 1,) its added variations
    added_parameter: np.ndarray  # (V,)
    added_kind: np.ndarray  # (V,)
    added_bin: np.ndarray  # (V,) where their bins begin in `up` and `down`
    up: np.ndarray  # up - nominal
    down: np.ndarray  # nominal - down
    gamma_start: np.ndarray  # (T + 1,) its parameters of single bins
    gamma_parameter: np.ndarray  # (G,) the parameter of its first bin; the others follow
    aux_parameter: np.ndarray  # (A,) what the auxiliary measurements constrain
    aux_kind: np.ndarray  # (A,) GAUSSIAN or POISSON
    aux_scale: np.ndarray  # (A,) standard deviation, or events per unit of the parameter
    n_bins: int


@kernel
def _factors(m: Templates, theta: np.ndarray) -> np.ndarray:
    """(F, 3) value, slope, curvature of all factors."""
    found = np.empty((m.factor_parameter.size, 3))
    for k in range(m.factor_parameter.size):
        x = theta[m.factor_parameter[k]]
        value, slope, curvature = factor(m.factor_kind[k], x, m.factor_constants[k])
        found[k, 0], found[k, 1], found[k, 2] = value, slope, curvature
    return found


@kernel
def _added(m: Templates, theta: np.ndarray) -> np.ndarray:
    """(V, 6) weights of all added variations."""
    found = np.empty((m.added_parameter.size, 6))
    for k in range(m.added_parameter.size):
        u, d, u1, d1, u2, d2 = added_weights(m.added_kind[k], theta[m.added_parameter[k]])
        found[k, 0], found[k, 1], found[k, 2] = u, d, u1
        found[k, 3], found[k, 4], found[k, 5] = d1, u2, d2
    return found


@kernel
def _product_without(values: np.ndarray, skip: int, skip_too: int) -> float:
    """The product of factors (F, 3) without one or two of them, exact also where they are 0."""
    product = 1.0
    for k in range(values.shape[0]):
        if k != skip and k != skip_too:
            product *= values[k, 0]
    return product


@kernel
def _without(values: np.ndarray, whole: float, skip: int, already: int) -> float:
    """`whole`, the product without `already`, less one more factor: by division where one can."""
    if values[skip, 0] != 0.0:
        return whole / values[skip, 0]
    return _product_without(values, skip, already)


@kernel
def _gammas_without(m: Templates, t: int, b: int, theta: np.ndarray, skip: int, two: int) -> float:
    """The product of the parameters of bin b of a template without one or two of them."""
    product = 1.0
    for k in range(m.gamma_start[t], m.gamma_start[t + 1]):
        if k != skip and k != two:
            product *= theta[m.gamma_parameter[k] + b]
    return product


@kernel
def _shape(
    m: Templates, t: int, theta: np.ndarray, added: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """G_b and A_b of one template."""
    n = m.start[t + 1] - m.start[t]
    gammas, sums = np.empty(n), np.empty(n)
    for b in range(n):
        gammas[b] = _gammas_without(m, t, b, theta, -1, -1)
        sums[b] = m.nominal[m.start[t] + b]
    for k in range(m.added_start[t], m.added_start[t + 1]):
        at = m.added_bin[k]
        for b in range(n):
            sums[b] += added[k, 0] * m.up[at + b] + added[k, 1] * m.down[at + b]
    return gammas, sums


@kernel
def rates(m: Templates, theta: np.ndarray) -> np.ndarray:
    """Expected events of every template, (sum of bins,), at parameters (P,)."""
    factors, added = _factors(m, theta), _added(m, theta)
    found = np.empty(m.nominal.size)
    for t in range(m.first_bin.size):
        scale = _product_without(factors[m.factor_start[t] : m.factor_start[t + 1]], -1, -1)
        gammas, sums = _shape(m, t, theta, added)
        for b in range(gammas.size):
            found[m.start[t] + b] = scale * gammas[b] * sums[b]
    return found


@kernel
def _totals(m: Templates, theta: np.ndarray) -> np.ndarray:
    each = rates(m, theta)
    total = np.zeros(m.n_bins)
    for t in range(m.first_bin.size):
        for b in range(m.start[t + 1] - m.start[t]):
            total[m.first_bin[t] + b] += each[m.start[t] + b]
    return total


@kernel
def _poisson(n: float, expected: float) -> float:
    """Half the deviance of one count; infinite where it cannot be."""
    if expected < 0.0 or (expected == 0.0 and n > 0.0):
        return np.inf
    if n > 0.0:
        return expected - n - n * np.log(expected / n)
    return expected


@kernel
def _half(m: Templates, theta: np.ndarray, data: np.ndarray, total: np.ndarray) -> float:
    """Half the deviance of main and auxiliary data."""
    value = 0.0
    for b in range(m.n_bins):
        value += _poisson(data[b], total[b])
    for k in range(m.aux_parameter.size):
        x, measured = theta[m.aux_parameter[k]], data[m.n_bins + k]
        if m.aux_kind[k] == GAUSSIAN:
            value += 0.5 * ((measured - x) / m.aux_scale[k]) ** 2
        else:
            value += _poisson(measured, x * m.aux_scale[k])
    return value


@kernel
def deviance(m: Templates, theta: np.ndarray, data: np.ndarray) -> float:
    """Half the deviance at parameters (P,) of data (N,), main bins first."""
    return _half(m, theta, data, _totals(m, theta))


@kernel
def jacobian(m: Templates, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Expected events (D,) and their derivatives (D, P)."""
    factors, added = _factors(m, theta), _added(m, theta)
    slopes = np.zeros((m.n_bins, theta.size))
    total = np.zeros(m.n_bins)
    for t in range(m.first_bin.size):
        first, own = m.first_bin[t], factors[m.factor_start[t] : m.factor_start[t + 1]]
        scale = _product_without(own, -1, -1)
        gammas, sums = _shape(m, t, theta, added)
        for b in range(gammas.size):
            total[first + b] += scale * gammas[b] * sums[b]
        for k in range(own.shape[0]):
            slope = _without(own, scale, k, -1) * own[k, 1]
            p = m.factor_parameter[m.factor_start[t] + k]
            for b in range(gammas.size):
                slopes[first + b, p] += slope * gammas[b] * sums[b]
        for k in range(m.added_start[t], m.added_start[t + 1]):
            at, p = m.added_bin[k], m.added_parameter[k]
            for b in range(gammas.size):
                slope = added[k, 2] * m.up[at + b] + added[k, 3] * m.down[at + b]
                slopes[first + b, p] += scale * gammas[b] * slope
        for k in range(m.gamma_start[t], m.gamma_start[t + 1]):
            for b in range(gammas.size):
                slope = _gammas_without(m, t, b, theta, k, -1)
                slopes[first + b, m.gamma_parameter[k] + b] += scale * slope * sums[b]
    return total, slopes


@kernel
def _pair(hessian: np.ndarray, p: int, q: int, value: float) -> None:
    """Add a mixed derivative; where both are one parameter it counts twice, as it must."""
    hessian[p, q] += value
    hessian[q, p] += value


@kernel
def _curve_template(
    m: Templates, t: int, theta: np.ndarray, factors: np.ndarray, added: np.ndarray,
    pull: np.ndarray, hessian: np.ndarray,
) -> None:  # fmt: skip
    """Add sum_b pull_b d2 r_b / dp dq of one template, pull_b = 1 - n_b / lambda_b."""
    first, f0 = m.first_bin[t], m.factor_start[t]
    own = factors[f0 : m.factor_start[t + 1]]
    scale = _product_without(own, -1, -1)
    gammas, sums = _shape(m, t, theta, added)
    n = gammas.size
    whole = 0.0
    for b in range(n):
        whole += pull[first + b] * gammas[b] * sums[b]
    slope = np.empty(own.shape[0])
    for k in range(own.shape[0]):
        rest = _without(own, scale, k, -1)
        slope[k] = rest * own[k, 1]
        p = m.factor_parameter[f0 + k]
        hessian[p, p] += rest * own[k, 2] * whole
        for j in range(k):
            both = _without(own, rest, j, k) * own[k, 1] * own[j, 1]
            _pair(hessian, p, m.factor_parameter[f0 + j], both * whole)
    for a in range(m.added_start[t], m.added_start[t + 1]):
        at, p = m.added_bin[a], m.added_parameter[a]
        moved, bent = 0.0, 0.0
        for b in range(n):
            weight = pull[first + b] * gammas[b]
            moved += weight * (added[a, 2] * m.up[at + b] + added[a, 3] * m.down[at + b])
            bent += weight * (added[a, 4] * m.up[at + b] + added[a, 5] * m.down[at + b])
        hessian[p, p] += scale * bent
        for k in range(own.shape[0]):
            _pair(hessian, p, m.factor_parameter[f0 + k], slope[k] * moved)
    _curve_gammas(m, t, theta, added, pull, hessian, scale, slope, sums)


@kernel
def _curve_gammas(
    m: Templates, t: int, theta: np.ndarray, added: np.ndarray, pull: np.ndarray,
    hessian: np.ndarray, scale: float, slope: np.ndarray, sums: np.ndarray,
) -> None:  # fmt: skip
    """The part of `_curve_template` that belongs to the parameters of single bins."""
    first, f0 = m.first_bin[t], m.factor_start[t]
    for g in range(m.gamma_start[t], m.gamma_start[t + 1]):
        for b in range(sums.size):
            p = m.gamma_parameter[g] + b
            weight = pull[first + b] * _gammas_without(m, t, b, theta, g, -1)
            for k in range(slope.size):
                _pair(hessian, p, m.factor_parameter[f0 + k], slope[k] * weight * sums[b])
            for a in range(m.added_start[t], m.added_start[t + 1]):
                at = m.added_bin[a] + b
                moved = added[a, 2] * m.up[at] + added[a, 3] * m.down[at]
                _pair(hessian, p, m.added_parameter[a], scale * weight * moved)
            for h in range(m.gamma_start[t], g):
                both = pull[first + b] * _gammas_without(m, t, b, theta, g, h)
                _pair(hessian, p, m.gamma_parameter[h] + b, scale * both * sums[b])


@kernel
def _outer(slopes: np.ndarray, weight: np.ndarray, matrix: np.ndarray) -> None:
    """Add sum_b weight_b J_b J_b^T; most entries of J are 0 in models of many parameters."""
    touched = np.empty(slopes.shape[1], np.int64)
    for b in range(slopes.shape[0]):
        n = 0
        for p in range(slopes.shape[1]):
            if slopes[b, p] != 0.0:
                touched[n] = p
                n += 1
        for i in range(n):
            left = weight[b] * slopes[b, touched[i]]
            for j in range(n):
                matrix[touched[i], touched[j]] += left * slopes[b, touched[j]]


@kernel
def evaluate(
    m: Templates, theta: np.ndarray, data: np.ndarray, expected: bool
) -> tuple[float, np.ndarray, np.ndarray]:
    """Half the deviance, its gradient (P,) and Hessian (P, P).

    Args:
        m: the model.
        theta: (P,) parameters.
        data: (N,) main and auxiliary data.
        expected: the expected (Fisher) Hessian, which is never negative, instead of the exact one.
    """
    total, slopes = jacobian(m, theta)
    gradient, hessian = np.zeros(theta.size), np.zeros((theta.size, theta.size))
    pull, weight = np.ones(m.n_bins), np.zeros(m.n_bins)
    for b in range(m.n_bins):
        if total[b] > 0.0:
            pull[b] = 1.0 - data[b] / total[b]
            weight[b] = 1.0 / total[b] if expected else data[b] / total[b] ** 2
    for b in range(m.n_bins):
        for p in range(theta.size):
            gradient[p] += pull[b] * slopes[b, p]
    _outer(slopes, weight, hessian)
    if not expected:
        factors, added = _factors(m, theta), _added(m, theta)
        for t in range(m.first_bin.size):
            _curve_template(m, t, theta, factors, added, pull, hessian)
    for k in range(m.aux_parameter.size):
        p, scale, measured = m.aux_parameter[k], m.aux_scale[k], data[m.n_bins + k]
        if m.aux_kind[k] == GAUSSIAN:
            gradient[p] += (theta[p] - measured) / scale**2
            hessian[p, p] += 1.0 / scale**2
        else:
            gradient[p] += scale - measured / theta[p]
            hessian[p, p] += scale / theta[p] if expected else measured / theta[p] ** 2
    return _half(m, theta, data, total), gradient, hessian
