"""Whether a classifier learned its training events by heart: scores of training against test."""

from __future__ import annotations

from dataclasses import dataclass

import awkward as ak
import numpy as np
from scipy.special import kolmogorov

from fivesigma.batches import build_cache
from fivesigma.metrics import auc
from fivesigma.metrics.counting import effective_number
from fivesigma.results import Number
from fivesigma.search.classifiers.folds import Folded, shares_of
from fivesigma.search.classifiers.weights import CLASSES, SIGNAL, yields_of

__all__ = ["Overtraining", "kolmogorov_smirnov", "overtraining"]


@dataclass(frozen=True, eq=False)
class Overtraining:
    """Scores of the events that trainings learned from and of those they are tested on.

    Attributes:
        scores: "signal, train", "signal, test" and so on -> scores of all folds.
        weights: the same names -> absolute weights.
        numbers: `auc_gap`, and of each class `ks_signal` and `ks_p_signal`.
    """

    scores: dict[str, np.ndarray]
    weights: dict[str, np.ndarray]
    numbers: dict[str, Number]


def kolmogorov_smirnov(
    first: np.ndarray,
    second: np.ndarray,
    first_weight: np.ndarray | None = None,
    second_weight: np.ndarray | None = None,
) -> tuple[float, float]:
    """Largest distance of two weighted distribution functions, and its asymptotic p-value.

    Args:
        first: (N,) values.
        second: (M,) values.
        first_weight: (N,) weights >= 0, or None; samples count with their effective numbers.
        second_weight: (M,) likewise.

    Returns:
        Distance, and the probability of a larger one for samples of the same distribution.
    """
    samples = []
    for values, weight in ((first, first_weight), (second, second_weight)):
        order = np.argsort(values)
        w = np.ones(len(values)) if weight is None else np.asarray(weight, np.float64)
        steps = np.concatenate([[0.0], np.cumsum(w[order]) / w.sum()])
        samples.append((np.asarray(values)[order], steps, effective_number(w)))
    at = np.concatenate([samples[0][0], samples[1][0]])
    one, two = (steps[np.searchsorted(values, at, "right")] for values, steps, _ in samples)
    distance = float(np.abs(one - two).max())
    n, m = samples[0][2], samples[1][2]
    return distance, float(kolmogorov(np.sqrt(n * m / (n + m)) * distance))


def overtraining(trained: Folded, events: ak.Array) -> Overtraining:
    """Compare each member's scores of its training events with those of its test events.

    A small p-value says that the distributions differ, as they do for any network that learned
    something; the gap of the AUC says by how much. The p-value of several folds is the smallest of
    theirs times their number (Bonferroni), at most 1.

    Args:
        trained: the classifier.
        events: (N,) labelled events that it was trained in folds on.
    """
    cache, shares = build_cache(events, trained.run.inputs), shares_of(events, trained.folds)
    label, weight = ak.to_numpy(events["label"]), np.abs(yields_of(events))
    parts: dict[str, list[np.ndarray]] = {}
    gaps: list[tuple[float, float]] = []
    tests: dict[str, list[tuple[float, float]]] = {name: [] for name in CLASSES}
    for number, member in enumerate(trained.members):
        rows = {"train": shares.train(number), "test": shares.test(number)}
        score = {k: member.scores(cache.take(r))[:, SIGNAL] for k, r in rows.items()}
        areas = [auc(label[r] == SIGNAL, score[k], weight[r]) for k, r in rows.items()]
        error = float(np.hypot(areas[0].uncertainty, areas[1].uncertainty))
        gaps.append((areas[0].value - areas[1].value, error))
        for index, name in enumerate(CLASSES):
            of = {k: label[r] == index for k, r in rows.items()}
            for k, r in rows.items():
                parts.setdefault(f"{name}, {k}", []).append(
                    np.stack([score[k][of[k]], weight[r][of[k]]])
                )
            (s1, w1), (s2, w2) = (parts[f"{name}, {k}"][-1] for k in rows)
            tests[name].append(kolmogorov_smirnov(s1, s2, w1, w2))
    numbers = {"auc_gap": _mean(gaps)}
    for name, found in tests.items():
        distances, p_values = np.transpose(found)
        spread = distances.std(ddof=1) / np.sqrt(len(distances))
        numbers[f"ks_{name}"] = Number(float(distances.mean()), float(spread))
        numbers[f"ks_p_{name}"] = Number(float(min(1.0, p_values.min() * len(found))))
    joined = {name: np.concatenate(each, axis=1) for name, each in parts.items()}
    return Overtraining(
        {k: v[0] for k, v in joined.items()}, {k: v[1] for k, v in joined.items()}, numbers
    )


def _mean(values: list[tuple[float, float]]) -> Number:
    """The mean of values with errors; those of the folds' training events overlap, so no smaller
    error than the mean one over the root of their number is claimed."""
    centre, errors = np.transpose(values)
    return Number(float(centre.mean()), float(np.sqrt(np.square(errors).sum()) / len(values)))
