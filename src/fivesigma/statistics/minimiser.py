"""Many fits at once: a bounded Newton method with the exact Hessian, compiled.

Each step minimises the quadratic model of -ln L inside the bounds: parameters that would leave
their range stop at its edge, the others move on given that. Where the Hessian is not positive the
expected (Fisher) Hessian takes its place, where a step does not lower -ln L it is shortened, then
damped (Levenberg-Marquardt). A fit has converged when the model promises less than `TOLERANCE`.

What is compiled from `kernels` is kept in numba's cache, which does not see changes there: this
file has to change with it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numba import get_num_threads

from fivesigma.statistics.interpolation import kernel
from fivesigma.statistics.kernels import Templates, deviance, evaluate

__all__ = ["CONVERGED", "REASONS", "TOLERANCE", "Minima", "minimise"]

#: half the deviance that another step may still gain in a converged fit
TOLERANCE = 1e-8
MAX_STEPS = 200
CONVERGED, NO_START, TOO_LONG, STUCK = 0, 1, 2, 3
REASONS = {
    NO_START: "the likelihood is not finite where the fit starts",
    TOO_LONG: f"no minimum within {MAX_STEPS} steps",
    STUCK: "no step lowers -ln L any more, yet its gradient is not 0",
}
#: fits below which threads cost more than they save
_FEW = 32
#: what a pivot of the scaled Hessian must exceed
_SMALLEST_PIVOT = 1e-11


class Minima(NamedTuple):
    """The ends of B fits of P parameters."""

    theta: np.ndarray  # (B, P)
    half_deviance: np.ndarray  # (B,)
    status: np.ndarray  # (B,) CONVERGED or a key of REASONS
    distance: np.ndarray  # (B,) what the last step promised to gain


@kernel
def _solve(
    matrix: np.ndarray, right: np.ndarray, free: np.ndarray, damping: float, step: np.ndarray
) -> bool:
    """Solve for the free entries of `step` by Cholesky; False if the matrix is not positive."""
    index, n = np.empty(free.size, np.int64), 0
    for p in range(free.size):
        if free[p]:
            index[n] = p
            n += 1
    low, scale, solution = np.zeros((n, n)), np.empty(n), np.empty(n)
    for i in range(n):
        diagonal = matrix[index[i], index[i]]
        scale[i] = 1.0 / np.sqrt(diagonal) if diagonal > 0.0 else 1.0
    for i in range(n):
        for j in range(i + 1):
            value = matrix[index[i], index[j]] * scale[i] * scale[j]
            if i == j:
                value += damping
            for k in range(j):
                value -= low[i, k] * low[j, k]
            if i == j:
                if not value > _SMALLEST_PIVOT:
                    return False
                low[i, i] = np.sqrt(value)
            else:
                low[i, j] = value / low[j, j]
    for i in range(n):
        value = right[index[i]] * scale[i]
        for k in range(i):
            value -= low[i, k] * solution[k]
        solution[i] = value / low[i, i]
    for i in range(n - 1, -1, -1):
        value = solution[i]
        for k in range(i + 1, n):
            value -= low[k, i] * solution[k]
        solution[i] = value / low[i, i]
    for i in range(n):
        step[index[i]] = solution[i] * scale[i]
    return True


@kernel
def _bounded_step(
    hessian: np.ndarray, gradient: np.ndarray, theta: np.ndarray, lower: np.ndarray,
    upper: np.ndarray, fixed: np.ndarray, damping: float, step: np.ndarray,
) -> bool:  # fmt: skip
    """The step to the minimum of the quadratic model inside the bounds; False if there is none."""
    free = np.empty(theta.size, np.bool_)
    for p in range(theta.size):
        outwards = (theta[p] <= lower[p] and gradient[p] > 0.0) or (
            theta[p] >= upper[p] and gradient[p] < 0.0
        )
        free[p] = not (fixed[p] or outwards)
        step[p] = 0.0
    right = np.empty(theta.size)
    for p in range(theta.size):
        right[p] = -gradient[p]
    while True:
        if not _solve(hessian, right, free, damping, step):
            return False
        inside = True
        for p in range(theta.size):
            if not free[p]:
                continue
            target = min(max(theta[p] + step[p], lower[p]), upper[p])
            if target != theta[p] + step[p]:
                inside, free[p] = False, False
                step[p] = target - theta[p]
                for q in range(theta.size):
                    right[q] -= hessian[q, p] * step[p]
        if inside:
            return True


@kernel
def _slope_and_promise(
    hessian: np.ndarray, gradient: np.ndarray, step: np.ndarray
) -> tuple[float, float]:
    """The slope along a step, and by how much the quadratic model falls with it."""
    slope, bend = 0.0, 0.0
    for p in range(step.size):
        slope += gradient[p] * step[p]
        for q in range(step.size):
            bend += step[p] * hessian[p, q] * step[q]
    return slope, -slope - 0.5 * bend


@kernel
def _walk(
    m: Templates, theta: np.ndarray, data: np.ndarray, value: float, step: np.ndarray, slope: float
) -> float:
    """Move `theta` along a step or a part of it; the new value, the old one if none is lower."""
    length = 1.0
    trial = np.empty(theta.size)
    for _ in range(14):
        for p in range(theta.size):
            trial[p] = theta[p] + length * step[p]
        new = deviance(m, trial, data)
        if new <= value + 1e-4 * length * min(slope, 0.0):
            for p in range(theta.size):
                theta[p] = trial[p]
            return new
        length *= 0.5
    return value


@kernel
def _minimise_one(
    m: Templates, theta: np.ndarray, data: np.ndarray, fixed: np.ndarray, lower: np.ndarray,
    upper: np.ndarray,
) -> tuple[float, int, float]:  # fmt: skip
    """One fit; `theta` (P,) is moved to the minimum."""
    value = deviance(m, theta, data)
    if not np.isfinite(value):
        return value, NO_START, np.inf
    step = np.empty(theta.size)
    distance, damping = np.inf, 0.0
    for _ in range(MAX_STEPS):
        # damping 0: Newton's method; above it: scoring with the expected Hessian
        value, gradient, hessian = evaluate(m, theta, data, damping > 0.0)
        if not _bounded_step(hessian, gradient, theta, lower, upper, fixed, damping, step):
            damping = max(10.0 * damping, 1e-6)
            continue
        slope, distance = _slope_and_promise(hessian, gradient, step)
        # what damping takes from the gain does not make the minimum nearer
        distance *= 1.0 + damping
        new = _walk(m, theta, data, value, step, slope)
        if 0.0 <= distance < TOLERANCE:
            return min(new, value), CONVERGED, distance
        if new < value:
            damping = 0.0 if damping < 1e-5 else damping / 30.0
        elif damping > 1e8:
            return value, STUCK, distance
        else:
            damping = max(10.0 * damping, 1e-4)
    return value, TOO_LONG, distance


@kernel
def _minimise_several(
    m: Templates, theta: np.ndarray, data: np.ndarray, fixed: np.ndarray, lower: np.ndarray,
    upper: np.ndarray, first: int, last: int, value: np.ndarray, status: np.ndarray,
    distance: np.ndarray,
) -> None:  # fmt: skip
    """Fits first ... last - 1 of a batch."""
    for i in range(first, last):
        d, f = data[i % data.shape[0]], fixed[i % fixed.shape[0]]
        value[i], status[i], distance[i] = _minimise_one(m, theta[i], d, f, lower, upper)


def minimise(
    m: Templates,
    start: np.ndarray,
    data: np.ndarray,
    fixed: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
) -> Minima:
    """Minimise -ln L for a batch.

    Args:
        m: the model.
        start: (B, P) where the fits start; fixed parameters stay there, others are moved inside
            their bounds.
        data: (B, N) or (1, N) main and auxiliary data.
        fixed: (B, P) or (1, P) flags.
        lower: (P,) lower bounds.
        upper: (P,) upper bounds.

    Returns:
        Where the fits ended; those that did not converge say why in their status.
    """
    theta = np.ascontiguousarray(np.where(fixed, start, np.clip(start, lower, upper)))
    n = len(theta)
    value, distance = np.empty(n), np.empty(n)
    status = np.empty(n, np.int64)
    arguments = (m, theta, np.ascontiguousarray(data), fixed, lower, upper)
    threads = min(get_num_threads(), max(n // _FEW, 1))
    edges = np.linspace(0, n, 8 * threads + 1 if threads > 1 else 2).astype(int)
    with ThreadPoolExecutor(threads) as pool:
        jobs = [
            pool.submit(_minimise_several, *arguments, first, last, value, status, distance)
            for first, last in zip(edges[:-1], edges[1:], strict=True)
        ]
        for job in jobs:
            job.result()
    return Minima(theta, value, status, distance)
