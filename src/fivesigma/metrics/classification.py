"""Accuracy, confusion matrix, and two-class problems out of many classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fivesigma.metrics.counting import event_weights, fraction
from fivesigma.results import Number

__all__ = [
    "Confusion",
    "accuracy",
    "confusion",
    "discriminant",
    "one_vs_rest",
    "pairwise",
    "top_label",
]


@dataclass(frozen=True)
class Confusion:
    """A confusion matrix, normalised per true class.

    Attributes:
        classes: C class names.
        fraction: (C, C) fraction of true class (row) that is taken for a class (column); rows add
            up to 1.
        uncertainty: (C, C) binomial uncertainties.
        jets: (C,) number of jets of each true class, not weighted.
    """

    classes: tuple[str, ...]
    fraction: NDArray[np.float64]
    uncertainty: NDArray[np.float64]
    jets: NDArray[np.int64]

    def numbers(self) -> dict[str, Number]:
        """The entries by the name "true -> predicted"."""
        return {
            f"{true} -> {taken}": Number(float(self.fraction[i, j]), float(self.uncertainty[i, j]))
            for i, true in enumerate(self.classes)
            for j, taken in enumerate(self.classes)
        }


def _several(
    y: ArrayLike, probabilities: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    labels, scores = np.asarray(y), np.asarray(probabilities, dtype=np.float64)
    if scores.ndim != 2 or labels.shape != scores.shape[:1]:
        message = (
            f"labels {labels.shape} and probabilities {scores.shape}; expected (N,) and (N, C)"
        )
        raise ValueError(message)
    if not labels.size:
        message = "no jets to classify; check the selection and the split"
        raise ValueError(message)
    if not np.isfinite(scores).all():
        bad = np.count_nonzero(~np.isfinite(scores))
        message = f"{bad} of {scores.size} probabilities are NaN or infinite"
        raise ValueError(message)
    if labels.min() < 0 or labels.max() >= scores.shape[1]:
        message = (
            f"labels from {labels.min()} to {labels.max()} for {scores.shape[1]} classes; "
            "leave out jets without a label"
        )
        raise ValueError(message)
    return labels.astype(np.int64), scores


def accuracy(
    y: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None, threshold: float = 0.5
) -> Number:
    """The fraction of jets put in their own class; it depends on the class mixture of the sample.

    Args:
        y: (N,) labels: 0 or 1, or class indices.
        score: (N,) signal probabilities, cut at `threshold`, or (N, C) probabilities, of which the
            largest wins.
        weight: (N,) weights >= 0, or None.
        threshold: the cut for two classes.
    """
    scores = np.asarray(score, dtype=np.float64)
    if scores.ndim == 1:
        scores = np.stack([np.full_like(scores, threshold), scores], axis=1)
        # equal to the threshold counts as signal, as everywhere in this package
        taken = (scores[:, 1] >= threshold).astype(np.int64)
        labels, _ = _several(y, scores)
        return fraction(taken == labels, weight)
    labels, scores = _several(y, scores)
    return fraction(scores.argmax(axis=1) == labels, weight)


def confusion(
    y: ArrayLike,
    probabilities: ArrayLike,
    classes: Sequence[str],
    weight: ArrayLike | None = None,
) -> Confusion:
    """The confusion matrix of the most probable class.

    Args:
        y: (N,) class indices.
        probabilities: (N, C).
        classes: C names.
        weight: (N,) weights >= 0, or None.

    Raises:
        ValueError: shapes or labels do not fit, or a class has no jets.
    """
    labels, scores = _several(y, probabilities)
    if len(classes) != scores.shape[1]:
        message = f"{len(classes)} class names for {scores.shape[1]} columns of probabilities"
        raise ValueError(message)
    weights = event_weights(weight, labels.size)
    empty = [n for c, n in enumerate(classes) if not weights[labels == c].sum() > 0]
    if empty:
        message = f"no jets of class {', '.join(empty)}; the matrix is normalised per true class"
        raise ValueError(message)
    taken = scores.argmax(axis=1)
    rows = [
        [fraction(taken[labels == i] == j, weights[labels == i]) for j in range(len(classes))]
        for i in range(len(classes))
    ]
    return Confusion(
        tuple(classes),
        np.array([[entry.value for entry in row] for row in rows]),
        np.array([[entry.uncertainty for entry in row] for row in rows]),
        np.bincount(labels, minlength=len(classes)),
    )


def discriminant(probabilities: ArrayLike, signal: int, background: int) -> NDArray[np.float64]:
    """p_s / (p_s + p_b): the two-class score of two out of many classes; 0.5 where both vanish.

    Args:
        probabilities: (N, C).
        signal: column of the signal class.
        background: column of the background class.

    Returns:
        (N,) scores in [0, 1].
    """
    scores = np.asarray(probabilities, dtype=np.float64)
    total = scores[:, signal] + scores[:, background]
    return np.divide(scores[:, signal], total, out=np.full_like(total, 0.5), where=total > 0)


def pairwise(
    y: ArrayLike, probabilities: ArrayLike, signal: int, background: int
) -> tuple[NDArray[np.bool_], NDArray[np.int64], NDArray[np.float64]]:
    """The two-class problem of one class against another.

    Returns:
        Flags (N,) of the jets that belong to either class, their labels (M,) and discriminants
        (M,).
    """
    labels, scores = _several(y, probabilities)
    chosen = (labels == signal) | (labels == background)
    score = discriminant(scores[chosen], signal, background)
    return chosen, (labels[chosen] == signal).astype(np.int64), score


def one_vs_rest(
    y: ArrayLike, probabilities: ArrayLike, signal: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The two-class problem of one class against all others: labels (N,) and scores (N,)."""
    labels, scores = _several(y, probabilities)
    return (labels == signal).astype(np.int64), scores[:, signal]


def top_label(
    y: ArrayLike, probabilities: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Whether the most probable class is right (N,) and its probability (N,), for calibration."""
    labels, scores = _several(y, probabilities)
    return (scores.argmax(axis=1) == labels).astype(np.int64), scores.max(axis=1)
