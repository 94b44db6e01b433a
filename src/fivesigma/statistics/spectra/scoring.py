"""Binned Poisson fits of many histograms at once, by Fisher scoring.

One step solves (F + damping) step = gradient with the Fisher information F, for all toys in one
array (Levenberg and Marquardt's damping; J. Nelder and R. Wedderburn, J. R. Stat. Soc. A 135
(1972) 370 for the scoring of Poisson likelihoods).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from fivesigma.statistics.spectra.model import Model, jacobian

__all__ = ["TINY", "Many", "deviance", "fisher_inverse", "fit_many"]

Array = NDArray[np.float64]
#: expectations below are taken for this, so that no logarithm fails
TINY = 1e-9
_STEPS = 200
#: estimated distance to the minimum: where steps end, and what is near enough where they stall
_CLOSE, _NEAR, _STALLED = 1e-7, 1e-3, 1e12


@dataclass(frozen=True)
class Many:
    """Fits of T histograms.

    Attributes:
        theta: (T, P) best parameters.
        covariance: (T, P, P) inverse Fisher information.
        deviance: (T,) of the fit against the saturated model.
        converged: (T,) whether it got there; others are to be left out and counted.
    """

    theta: Array
    covariance: Array
    deviance: Array
    converged: NDArray[np.bool_]


def deviance(counts: Array, expected: Array) -> Array:
    """Twice the log-likelihood ratio to the saturated model, per bin.

    2 (nu - n + n ln(n / nu)), S. Baker and R. Cousins, NIM 221 (1984) 437, equation 11.
    """
    nu = np.maximum(expected, TINY)
    return 2 * (nu - counts + xlogy(counts, counts / nu))


def fit_many(
    model: Model,
    counts: Array,
    edges: Array,
    start: Array,
    *,
    visible: NDArray[np.bool_] | None = None,
) -> Many:
    """Fit a model to many histograms.

    Args:
        model: what is fitted.
        counts: (T, B) events.
        edges: (B + 1,) within the model's range.
        start: (P,) or (T, P) parameters to begin with.
        visible: (B,) bins that count; default: all.

    Returns:
        Parameters, covariances, deviances.
    """
    use = np.ones(len(edges) - 1, bool) if visible is None else visible
    counts = np.atleast_2d(np.asarray(counts, dtype=np.float64))[:, use]
    events = max(float(counts.sum(axis=1).max()) * use.size / max(use.sum(), 1), 1.0)
    lower, upper = model.bounds(events)

    def expected(theta: Array) -> Array:
        return model.expected(edges, theta)[..., use]

    theta = np.clip(np.broadcast_to(start, (len(counts), len(lower))), lower, upper)
    return _scored(expected, model.sizes, theta.copy(), counts, (lower, upper))


def _scored(
    expected: Callable[[Array], Array],
    sizes: Callable[[Array], Array],
    theta: Array,
    counts: Array,
    bounds: tuple[Array, Array],
) -> Many:
    with np.errstate(all="ignore"):  # trial steps may go where nothing is finite
        value = deviance(counts, expected(theta)).sum(axis=1)
        damping, distance = np.full(len(theta), 1e-3), np.full(len(theta), np.inf)
        left = np.arange(len(theta))
        for _ in range(_STEPS):
            step, gain = _step(expected, sizes, theta[left], counts[left], damping[left], bounds)
            # what damping takes from the gain does not make the minimum nearer
            distance[left] = gain * (1 + damping[left])
            trial = np.clip(theta[left] + step, *bounds)
            new = deviance(counts[left], expected(trial)).sum(axis=1)
            better = new <= value[left]
            theta[left[better]], value[left[better]] = trial[better], new[better]
            damping[left] *= np.where(better, 0.2, 8.0)
            left = left[(distance[left] > _CLOSE) & (damping[left] < _STALLED)]
            if not len(left):
                break
        information = _information(expected(theta), _slopes(expected, sizes, theta))
    return Many(theta, fisher_inverse(information), value, distance < _NEAR)


def _slopes(
    expected: Callable[[Array], Array], sizes: Callable[[Array], Array], theta: Array
) -> Array:
    return jacobian(expected, theta, sizes(theta))


def _information(nu: Array, slopes: Array) -> Array:
    return np.einsum("tbp,tb,tbq->tpq", slopes, 1 / np.maximum(nu, TINY), slopes)


def _step(
    expected: Callable[[Array], Array],
    sizes: Callable[[Array], Array],
    theta: Array,
    counts: Array,
    damping: Array,
    bounds: tuple[Array, Array],
) -> tuple[Array, Array]:
    """The step (T, P), and how much it should lower the deviance (T,)."""
    nu = np.maximum(expected(theta), TINY)
    slopes = _slopes(expected, sizes, theta)
    gradient = np.einsum("tbp,tb->tp", slopes, counts / nu - 1)
    # what is at a bound and would leave it stays
    stuck = ((theta <= bounds[0]) & (gradient < 0)) | ((theta >= bounds[1]) & (gradient > 0))
    gradient = np.where(stuck, 0.0, gradient)
    information = _information(nu, slopes)
    information *= ~stuck[:, :, None] & ~stuck[:, None, :]
    diagonal = np.einsum("tpp->tp", information)
    scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    unit = information * scale[:, :, None] * scale[:, None, :]
    unit += np.eye(theta.shape[1]) * (damping[:, None, None] + (diagonal <= 0)[:, :, None])
    unit = np.where(np.isfinite(unit), unit, np.eye(theta.shape[1]))
    gradient = np.nan_to_num(gradient * scale, posinf=0.0, neginf=0.0)
    solved = np.linalg.solve(unit, gradient[..., None])[..., 0]
    return solved * scale, np.einsum("tp,tp->t", solved, gradient)


def fisher_inverse(information: Array) -> Array:
    """Covariances (T, P, P); of what the data do not tell, by the pseudo-inverse."""
    diagonal = np.einsum("tpp->tp", information)
    scale = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    unit = np.nan_to_num(information * scale[:, :, None] * scale[:, None, :])
    return (
        np.linalg.pinv(unit, hermitian=True, rcond=1e-12) * scale[:, :, None] * scale[:, None, :]
    )
