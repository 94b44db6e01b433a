"""Are the scores probabilities? The calibration curve and the expected calibration error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fivesigma.metrics.counting import event_weights, fraction
from fivesigma.results import Number

__all__ = ["Calibration", "calibration", "expected_calibration_error"]


@dataclass(frozen=True)
class Calibration:
    """A calibration curve; bins without jets are left out.

    Attributes:
        predicted: (K,) mean score of the jets in the bin.
        observed: (K,) fraction of signal in the bin.
        uncertainty: (K,) binomial uncertainty of the fraction.
        jets: (K,) number of jets.
    """

    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    uncertainty: NDArray[np.float64]
    jets: NDArray[np.int64]


def _binned(
    y: ArrayLike, score: ArrayLike, weight: ArrayLike | None, bins: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
    labels, scores = np.asarray(y, dtype=np.float64), np.asarray(score, dtype=np.float64)
    if labels.shape != scores.shape or labels.ndim != 1 or not labels.size or bins < 1:
        message = (
            f"labels of shape {labels.shape}, scores of shape {scores.shape}, {bins} bins; "
            "expected equal lengths (N,), N > 0 and at least one bin"
        )
        raise ValueError(message)
    if not np.isin(labels, [0, 1]).all():
        message = "labels must be 0 or 1; for several classes use top_label or one_vs_rest first"
        raise ValueError(message)
    if not ((scores >= 0) & (scores <= 1)).all():
        low, high = scores.min(), scores.max()
        message = (
            f"scores from {low:g} to {high:g}; only probabilities in [0, 1] can be calibrated"
        )
        raise ValueError(message)
    weights = event_weights(weight, scores.size)
    if not weights.sum() > 0:
        message = "all weights are 0; nothing to calibrate"
        raise ValueError(message)
    index = np.minimum((scores * bins).astype(np.intp), bins - 1)
    return labels, scores, weights, index


def calibration(
    y: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None, bins: int = 15
) -> Calibration:
    """Signal fraction against mean score in bins of equal width.

    Scores are calibrated for one mixture of classes only: judge them on the mixture they were
    trained on.

    Args:
        y: (N,) 0 or 1.
        score: (N,) probabilities of 1.
        weight: (N,) weights >= 0, or None.
        bins: number of bins in [0, 1].

    Raises:
        ValueError: shapes differ, labels other than 0 and 1, scores outside [0, 1].
    """
    labels, scores, weights, index = _binned(y, score, weight, bins)
    filled = [k for k in range(bins) if weights[index == k].sum() > 0]
    parts = [fraction(labels[index == k] == 1, weights[index == k]) for k in filled]
    return Calibration(
        np.array([np.average(scores[index == k], weights=weights[index == k]) for k in filled]),
        np.array([part.value for part in parts]),
        np.array([part.uncertainty for part in parts]),
        np.bincount(index, minlength=bins)[filled],
    )


def expected_calibration_error(
    y: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None, bins: int = 15
) -> Number:
    """Mean over the jets of |signal fraction - mean score| of their bin (arXiv:1706.04599).

    The absolute value makes it positive even for perfect probabilities; the note gives that floor,
    sum_k (W_k / W) sqrt(2/pi) sigma_k with sigma_k the binomial error that the scores imply. The
    uncertainty is that of the mean of s_k (y - p), with s_k the sign of the bin's deviation.

    Args:
        y: (N,) 0 or 1.
        score: (N,) probabilities of 1.
        weight: (N,) weights >= 0, or None.
        bins: number of bins of equal width in [0, 1].
    """
    labels, scores, weights, index = _binned(y, score, weight, bins)
    total = weights.sum()
    gaps = np.bincount(index, weights * (labels - scores), bins)
    value = float(np.abs(gaps).sum() / total)
    signed = np.sign(gaps)[index] * (labels - scores)
    error = float(np.sqrt(np.square(weights * (signed - value)).sum()) / total)
    implied = np.bincount(index, np.square(weights) * scores * (1 - scores), bins)
    floor = float(np.sqrt(2 / np.pi) * np.sqrt(implied).sum() / total)
    return Number(value, error, note=f"perfect probabilities would show {floor:.1g}")
