"""What every figure of merit starts from: checked inputs, fractions and their uncertainties."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fivesigma.results import Number

__all__ = [
    "CONFIDENCE",
    "LOWER_LIMIT",
    "LOW_STATISTICS",
    "binary_inputs",
    "bound",
    "effective_number",
    "event_weights",
    "fraction",
    "inverse",
]

#: confidence level of the one-sided bounds that stand where no jet, or every jet, passes
CONFIDENCE = 0.6827
#: a rejection that rests on fewer background jets than this carries a note
LOW_STATISTICS = 100
#: how the note of a rejection begins that is only bounded from below
LOWER_LIMIT = "lower limit"


def event_weights(weight: ArrayLike | None, size: int) -> NDArray[np.float64]:
    """The weights as (N,) floats, ones where none are given.

    Raises:
        ValueError: wrong length, NaN, infinite or negative weights.
    """
    if weight is None:
        return np.ones(size)
    values = np.asarray(weight, dtype=np.float64)
    if values.shape != (size,):
        message = f"weights of shape {values.shape} for {size} jets; give one weight per jet"
        raise ValueError(message)
    if not np.isfinite(values).all() or (values < 0).any():
        bad = int(np.count_nonzero(~np.isfinite(values) | (values < 0)))
        message = (
            f"{bad} of {size} weights are negative, NaN or infinite; efficiencies need "
            "weights >= 0: leave these jets out or use their absolute weights"
        )
        raise ValueError(message)
    return values


def binary_inputs(
    y: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    """Check labels, scores and weights of a two-class problem.

    Args:
        y: (N,) 1 or True for signal, 0 or False for background.
        score: (N,) higher means more signal-like.
        weight: (N,) weights >= 0, or None.

    Returns:
        Signal flags (N,), scores (N,), weights (N,).

    Raises:
        ValueError: lengths differ, labels other than 0 and 1, a class without (weighted) jets, NaN
        scores.
    """
    labels, scores = np.asarray(y), np.asarray(score, dtype=np.float64)
    if labels.ndim != 1 or labels.shape != scores.shape:
        message = (
            f"labels of shape {labels.shape} and scores of shape {scores.shape}; both must be (N,)"
        )
        raise ValueError(message)
    unknown = np.setdiff1d(labels, [0, 1])
    if unknown.size:
        message = f"labels must be 1 (signal) or 0 (background), got also {unknown[:5].tolist()}"
        raise ValueError(message)
    if not np.isfinite(scores).all():
        bad = int(np.count_nonzero(~np.isfinite(scores)))
        message = f"{bad} of {scores.size} scores are NaN or infinite; score these jets again"
        raise ValueError(message)
    signal, weights = labels.astype(bool), event_weights(weight, scores.size)
    for flag, name in ((signal, "signal"), (~signal, "background")):
        if not weights[flag].sum() > 0:
            message = f"no {name} jets among {scores.size}; both classes are needed"
            raise ValueError(message)
    return signal, scores, weights


def effective_number(weight: NDArray[np.float64]) -> float:
    """(sum w)^2 / sum w^2: how many unweighted jets know as much as these weighted ones."""
    return float(weight.sum() ** 2 / np.square(weight).sum())


def bound(n: float) -> float:
    """Upper limit on a fraction at `CONFIDENCE` when none of n jets passes: about 1.15 / n."""
    return float(-np.expm1(np.log1p(-CONFIDENCE) / n))


def fraction(passing: ArrayLike, weight: ArrayLike | None = None) -> Number:
    """The (weighted) fraction of jets that pass, with its binomial uncertainty.

    The variance is `sum w^2 (pass - f)^2 / (sum w)^2`, which is `f (1 - f) / n` without weights.
    Where none or all pass, this would be zero; the one-sided 68 % bound on the fraction stands in
    its place.

    Args:
        passing: (N,) flags.
        weight: (N,) weights >= 0, or None.

    Raises:
        ValueError: no jets, or bad weights.
    """
    flags = np.asarray(passing, dtype=bool)
    weights = event_weights(weight, flags.size)
    total = weights.sum()
    if not total > 0:
        message = "a fraction of no jets is undefined; give at least one jet with a weight above 0"
        raise ValueError(message)
    value = float(weights[flags].sum() / total)
    if flags[weights > 0].all() or not flags[weights > 0].any():
        return Number(value, bound(effective_number(weights)))
    error = np.sqrt(np.square(weights * (flags - value)).sum()) / total
    return Number(value, float(error))


def inverse(efficiency: Number, jets: float, n: float) -> Number:
    """Background rejection from a background efficiency: 1 / eps with error sigma / eps^2.

    Where less than one jet survives, the value is the rejection that is exceeded at 68 %
    confidence, n / 1.15; its uncertainty is set to the value itself, as it would be for one
    surviving jet.

    Args:
        efficiency: background efficiency.
        jets: number of background jets that survive.
        n: (effective) number of background jets in all.
    """
    if jets < 1 or efficiency.value <= 0:
        limit = 1 / bound(n)
        note = f"{LOWER_LIMIT} at 68 % confidence: none of {n:.0f} background jets survives"
        return Number(limit, limit, note=note)
    count = int(np.rint(jets))
    plural = "jet" if count == 1 else "jets"
    note = f"rests on {count} background {plural}" if count < LOW_STATISTICS else ""
    return Number(1 / efficiency.value, efficiency.uncertainty / efficiency.value**2, note=note)
