"""What a fit refuses to begin with, and what is wrong with what it found."""

from __future__ import annotations

from typing import Any

import numpy as np
from iminuit import Minuit
from numpy.typing import ArrayLike, NDArray

from fivesigma.statistics.spectra.model import Model

__all__ = ["check_histogram", "check_positive", "inside", "problems"]

Array = NDArray[np.float64]
#: parameters this near to a bound, in units of its distance from the other and of their error, are
#: at it: a few events among many lie near to 0 and yet are measured
_AT_BOUND, _OF_ERROR = 1e-4, 0.1
#: sums of weights below are lost beside the least expectation that a logarithm takes
_LEAST = 1e-6
#: two parameters correlated like this are not told apart
_DEGENERATE = 0.999


def inside(model: Model, values: ArrayLike, weights: ArrayLike | None) -> tuple[Array, Array]:
    """Values and weights of the events in the model's range.

    Raises:
        ValueError: different lengths, NaN or infinite ones, or no event in the range.
    """
    x = np.asarray(values, dtype=np.float64).ravel()
    w = np.ones(len(x)) if weights is None else np.asarray(weights, dtype=np.float64).ravel()
    if w.shape != x.shape:
        message = f"{len(w)} weights for {len(x)} values; give one weight per value"
        raise ValueError(message)
    bad = int(np.count_nonzero(~np.isfinite(x) | ~np.isfinite(w)))
    if bad:
        message = (
            f"{bad} of {len(x)} values or weights are NaN or infinite; leave these events out "
            "by the selection"
        )
        raise ValueError(message)
    within = (x >= model.limits[0]) & (x <= model.limits[1])
    if not within.any():
        where = f"they lie in {x.min():g} to {x.max():g}" if len(x) else "there are none at all"
        message = (
            f"no events in the range {model.limits[0]:g} to {model.limits[1]:g}; {where}: "
            "choose another range, or check the unit"
        )
        raise ValueError(message)
    return x[within], w[within]


def check_histogram(model: Model, counts: Array, edges: Array, variances: Array) -> None:
    """Refuse a histogram that does not fit to the model, or that cannot tell its parameters.

    Raises:
        ValueError: says what was expected.
    """
    if counts.shape != variances.shape or edges.shape != (counts.size + 1,) or counts.ndim != 1:
        message = (
            f"counts {counts.shape}, variances {variances.shape}, edges {edges.shape}; expected "
            "(B,), (B,) and (B + 1,)"
        )
        raise ValueError(message)
    if not (np.isfinite(counts).all() and np.isfinite(variances).all() and (variances >= 0).all()):
        message = "counts and variances must be finite, and variances not below 0"
        raise ValueError(message)
    if not (np.isfinite(edges).all() and (np.diff(edges) > 0).all()):
        message = "edges of bins must be finite and rise"
        raise ValueError(message)
    low, high = model.limits
    if not np.allclose([edges[0], edges[-1]], model.limits, rtol=0, atol=1e-6 * (high - low)):
        message = (
            f"bins from {edges[0]:g} to {edges[-1]:g}, but the model's range is "
            f"{model.limits[0]:g} to {model.limits[1]:g}; make them the same"
        )
        raise ValueError(message)
    free, filled = len(model.names), int(np.count_nonzero(counts))
    known = counts.sum() ** 2 / variances.sum() if variances.sum() > 0 else 0.0
    if counts.sum() <= 0:
        message = (
            f"no events in the range {edges[0]:g} to {edges[-1]:g}; choose another range, or "
            "loosen the selection"
        )
        raise ValueError(message)
    if counts.max() < _LEAST:
        message = (
            f"the highest bin has a sum of weights of {counts.max():.3g}; multiply all weights, "
            "so that one stands for an event"
        )
        raise ValueError(message)
    if min(known, filled) <= free:
        message = (
            f"{known:.0f} events in {filled} filled bins cannot tell {free} parameters "
            f"({', '.join(model.names)}); fix some, choose simpler shapes, or widen the range"
        )
        raise ValueError(message)


def check_positive(counts: Array) -> None:
    """Refuse bins below 0, which no Poisson likelihood has.

    Raises:
        ValueError: says which.
    """
    bad = np.flatnonzero(counts < 0)
    if len(bad):
        at = int(bad[0])
        message = (
            f"{len(bad)} bins are below 0, the first is bin {at} with {counts[at]:g}; "
            "make the bins wider, or fit the events one by one"
        )
        raise ValueError(message)


def problems(model: Model, minuit: Minuit, theta: Array, events: float) -> list[str]:
    """What a user must know of a fit, and what to do, one sentence each."""
    found = []
    if not minuit.valid:
        found.append(
            f"no minimum was found (estimated distance {minuit.fmin.edm:.2g}); "
            "give starting values, fix parameters, or choose simpler shapes"
        )
    lower, upper = model.bounds(events)
    errors = np.full(len(theta), np.inf) if minuit.covariance is None else np.array(minuit.errors)
    rows = zip(model.names, theta, lower, upper, errors, strict=True)
    for name, value, low, high, error in rows:
        if min(value - low, high - value) <= min(_AT_BOUND * (high - low), _OF_ERROR * error):
            which = "lower" if value - low < high - value else "upper"
            bound = low if which == "lower" else high
            found.append(
                f"{name} is at its {which} bound {bound:.4g}, its error is not reliable; "
                "fix it, or choose another shape"
            )
    found += _too_narrow(model, theta)
    if minuit.covariance is None:
        found.append("the parameters have no covariance; fix those that the data do not tell")
        return found
    return found + _degenerate(model, minuit.covariance)


def _too_narrow(model: Model, theta: Array) -> list[str]:
    parts = model.parts(theta)
    return [
        f"{each.name}: a natural width of {of['gamma'].item():.3g} is too narrow for "
        f"{each.shape.name} with a resolution of {of['sigma'].item():.3g}; choose voigtian, "
        "gaussian or crystal-ball"
        for each in model.components
        if each.shape.narrowest and (of := parts[each.name])
        if of["gamma"].item() < each.shape.narrowest * of["sigma"].item()
    ]


def _degenerate(model: Model, covariance: Any) -> list[str]:
    matrix = np.abs(np.asarray(covariance.correlation()))
    pairs = np.argwhere(np.triu(matrix, 1) > _DEGENERATE)
    return [
        f"{model.names[i]} and {model.names[j]} are not told apart (correlation "
        f"{matrix[i, j]:.4f}); fix one of them"
        for i, j in pairs
    ]
