"""Figures at a working point: rejection, significance improvement, rejection in bins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fivesigma.metrics.counting import binary_inputs, effective_number, fraction, inverse
from fivesigma.metrics.curves import Roc, roc
from fivesigma.results import Number

__all__ = [
    "EFFICIENCIES",
    "BinnedRejection",
    "max_significance_improvement",
    "max_significance_of",
    "rejection",
    "rejection_in_bins",
    "significance_improvement",
]

#: the signal efficiencies that reports quote
EFFICIENCIES = (0.3, 0.5, 0.7, 0.8)
#: the maximal significance improvement is sought where at least this many background jets survive
#: (10 % error)
MINIMUM_BACKGROUND = 25


@dataclass(frozen=True)
class BinnedRejection:
    """Rejection in bins of another quantity; None in a bin that has no jets to say anything.

    Attributes:
        edges: (K + 1,) bin edges.
        rejection: K background rejections.
        signal_efficiency: K signal efficiencies.
    """

    edges: NDArray[np.float64]
    rejection: tuple[Number | None, ...]
    signal_efficiency: tuple[Number | None, ...]


def rejection(
    y: ArrayLike, score: ArrayLike, efficiency: float = 0.5, weight: ArrayLike | None = None
) -> Number:
    """Background rejection 1 / eps_B at a fixed signal efficiency eps_S.

    With s = eps_S, b = eps_B and unweighted samples the uncertainty is
    sigma^2(b) = b (1 - b) / n_B + (db/ds)^2 s (1 - s) / n_S, sigma(1/b) = sigma(b) / b^2.
    The first term is the background's binomial error, the second the error of the threshold.

    Args:
        y: (N,) 1 for signal, 0 for background.
        score: (N,) higher means more signal-like.
        efficiency: signal efficiency, 0 < eps_S < 1.
        weight: (N,) weights >= 0, or None.

    Returns:
        The rejection, with the note "rests on N background jets" for N < 100. Where none survives
        the value is a 68 % lower limit, the uncertainty equals it, and the note begins with "lower
        limit".

    Raises:
        ValueError: bad inputs, or an efficiency outside (0, 1).
    """
    return roc(y, score, weight).rejection(efficiency)


def significance_improvement(
    y: ArrayLike, score: ArrayLike, efficiency: float = 0.5, weight: ArrayLike | None = None
) -> Number:
    """eps_S / sqrt(eps_B) at a signal efficiency: the factor by which a counting search gains.

    Its error is half the relative error of the rejection; notes and limits are the rejection's.
    """
    value = rejection(y, score, efficiency, weight)
    gain = efficiency * float(np.sqrt(value.value))
    return Number(gain, gain * value.uncertainty / value.value / 2, note=value.note)


def max_significance_improvement(
    y: ArrayLike,
    score: ArrayLike,
    weight: ArrayLike | None = None,
    minimum_background: int = MINIMUM_BACKGROUND,
) -> Number:
    """The largest eps_S / sqrt(eps_B) over all cuts that leave enough background jets.

    sigma^2 / SIC^2 = (sigma_S / eps_S)^2 + (sigma_B / eps_B)^2 / 4 at the best cut. As a maximum
    of a noisy curve it lies high by a fraction of this error. No cut at all gives 1, which is the
    least it can be.

    Returns:
        The maximum; the note says at which signal efficiency and on how many background jets it
        rests.
    """
    return max_significance_of(roc(y, score, weight), minimum_background)


def max_significance_of(curve: Roc, minimum_background: int = MINIMUM_BACKGROUND) -> Number:
    """`max_significance_improvement` of a ROC curve that is there already."""
    allowed = np.flatnonzero(curve.background_jets >= minimum_background)
    if not allowed.size:
        return Number(1.0, 0.0, note=f"fewer than {minimum_background} background jets: no cut")
    gains = curve.signal_efficiency[allowed] / np.sqrt(curve.background_efficiency[allowed])
    best = allowed[np.argmax(gains)]
    signal, background = curve.signal_efficiency[best], curve.background_efficiency[best]
    relative = np.hypot(
        curve.signal_error[best] / signal, curve.background_error[best] / background / 2
    )
    jets = int(curve.background_jets[best])
    note = f"at signal efficiency {signal:.2f}, on {jets} background jets"
    return Number(float(gains.max()), float(gains.max() * relative), note=note)


def _in_one_bin(
    signal: NDArray[np.bool_],
    passing: NDArray[np.bool_],
    weight: NDArray[np.float64],
) -> tuple[Number | None, Number | None]:
    """Rejection and signal efficiency in one bin at a fixed cut."""
    kept, background = (
        fraction(passing[flag], weight[flag]) if weight[flag].sum() > 0 else None
        for flag in (signal, ~signal)
    )
    if background is None:
        return None, kept
    jets = int(np.count_nonzero(passing & ~signal & (weight > 0)))
    return inverse(background, jets, effective_number(weight[~signal])), kept


def rejection_in_bins(
    y: ArrayLike,
    score: ArrayLike,
    variable: ArrayLike,
    edges: ArrayLike,
    efficiency: float = 0.5,
    weight: ArrayLike | None = None,
    working_point: Literal["global", "bin"] = "global",
) -> BinnedRejection:
    """Background rejection in bins of, say, jet pT or eta.

    Args:
        y: (N,) 1 for signal, 0 for background.
        score: (N,) higher means more signal-like.
        variable: (N,) what to bin in, e.g. jet pT [GeV].
        edges: (K + 1,) rising bin edges; a bin holds its lower edge.
        efficiency: signal efficiency of the working point.
        weight: (N,) weights >= 0, or None.
        working_point: "global": one cut, which gives the signal efficiency over all jets, so a
            bin's signal efficiency may differ and the errors are those of the bin alone; "bin": a
            cut for each bin.

    Raises:
        ValueError: bad inputs, edges that do not rise, unknown working point.
    """
    signal, scores, weights = binary_inputs(y, score, weight)
    values, limits = np.asarray(variable, dtype=np.float64), np.asarray(edges, dtype=np.float64)
    if working_point not in ("global", "bin"):
        message = f"unknown working point {working_point!r}; choose from global, bin"
        raise ValueError(message)
    if values.shape != scores.shape or limits.ndim != 1 or not (np.diff(limits) > 0).all():
        message = (
            f"variable of shape {values.shape} for {scores.size} jets, edges {limits.tolist()}; "
            "give one value per jet and rising edges"
        )
        raise ValueError(message)
    passing = scores >= roc(y, score, weight).threshold_at(efficiency)
    rows = []
    for low, high in zip(limits[:-1], limits[1:], strict=True):
        inside = (values >= low) & (values < high)
        sums = [weights[inside & flag].sum() for flag in (signal, ~signal)]
        if working_point == "global":
            rows.append(_in_one_bin(signal[inside], passing[inside], weights[inside]))
        elif min(sums) > 0:
            curve = roc(signal[inside], scores[inside], weights[inside])
            rows.append((curve.rejection(efficiency), Number(efficiency)))
        else:
            rows.append((None, None))
    return BinnedRejection(limits, tuple(r for r, _ in rows), tuple(s for _, s in rows))
