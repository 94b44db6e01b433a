"""All figures of one tagger under the names that `results.json` keeps."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import numpy as np
from numpy.typing import ArrayLike

from fivesigma.metrics.calibration import expected_calibration_error
from fivesigma.metrics.classification import accuracy, one_vs_rest, pairwise, top_label
from fivesigma.metrics.counting import event_weights
from fivesigma.metrics.curves import auc, macro_auc, roc
from fivesigma.metrics.sculpting import mass_sculpting
from fivesigma.metrics.working_points import EFFICIENCIES, max_significance_of
from fivesigma.results import Number

__all__ = ["binary_report", "multiclass_report"]


def binary_report(
    name: str,
    y: ArrayLike,
    score: ArrayLike,
    weight: ArrayLike | None = None,
    mass: ArrayLike | None = None,
    efficiencies: Sequence[float] = EFFICIENCIES,
    seed: int = 0,
) -> dict[str, Number]:
    """The figures of merit of a two-class tagger.

    Args:
        name: name of the run, the first part of every key.
        y: (N,) 1 for signal, 0 for background.
        score: (N,) signal probabilities.
        weight: (N,) weights >= 0, or None.
        mass: (N,) jet masses [GeV], for the mass sculpting, or None.
        efficiencies: signal efficiencies of the rejections.
        seed: of the bootstrap.

    Returns:
        `<run>/auc`, `accuracy`, `rejection_at_30` (50, 70, 80), `max_sic`, `ece` where all scores
        lie in [0, 1], and `mass_jsd_at_50` where masses are given and background survives.
    """
    curve = roc(y, score, weight)
    numbers = {"auc": auc(y, score, weight), "accuracy": accuracy(y, score, weight)}
    for efficiency in efficiencies:
        numbers[f"rejection_at_{100 * efficiency:.0f}"] = curve.rejection(efficiency)
    numbers["max_sic"] = max_significance_of(curve)
    scores = np.asarray(score)
    if scores.min() >= 0 and scores.max() <= 1:
        numbers["ece"] = expected_calibration_error(y, score, weight)
    survivors = (scores >= curve.threshold_at(0.5)) & (np.asarray(y) == 0)
    if mass is not None and event_weights(weight, scores.size)[survivors].sum() > 0:
        numbers["mass_jsd_at_50"] = mass_sculpting(y, score, mass, 0.5, weight, seed=seed)
    return {f"{name}/{key}": number for key, number in numbers.items()}


def multiclass_report(
    name: str,
    y: ArrayLike,
    probabilities: ArrayLike,
    classes: Sequence[str],
    weight: ArrayLike | None = None,
    efficiency: float = 0.5,
) -> dict[str, Number]:
    """The figures of merit of a tagger of several classes.

    Args:
        name: name of the run, the first part of every key.
        y: (N,) class indices.
        probabilities: (N, C).
        classes: C names.
        weight: (N,) weights >= 0, or None.
        efficiency: signal efficiency of the pairwise rejections.

    Returns:
        `<run>/accuracy`, `auc_macro`, `ece` (of the top label), `auc_<class>` against all others,
        and for every ordered pair `auc_<signal>_vs_<background>` and
        `rejection_at_50_<signal>_vs_<background>`.
    """
    labels, scores = np.asarray(y), np.asarray(probabilities, dtype=np.float64)
    weights = event_weights(weight, labels.size)
    right, confidence = top_label(labels, scores)
    numbers = {
        "accuracy": accuracy(labels, scores, weights),
        "auc_macro": macro_auc(labels, scores, weights),
        "ece": expected_calibration_error(right, confidence, weights),
    }
    for index, label in enumerate(classes):
        numbers[f"auc_{label}"] = auc(*one_vs_rest(labels, scores, index), weights)
    for s, b in permutations(range(len(classes)), 2):
        chosen, pair, score = pairwise(labels, scores, s, b)
        names = f"{classes[s]}_vs_{classes[b]}"
        curve = roc(pair, score, weights[chosen])
        if s < b:  # the AUC is the same from either side
            numbers[f"auc_{names}"] = auc(pair, score, weights[chosen])
        numbers[f"rejection_at_{100 * efficiency:.0f}_{names}"] = curve.rejection(efficiency)
    return {f"{name}/{key}": number for key, number in numbers.items()}
