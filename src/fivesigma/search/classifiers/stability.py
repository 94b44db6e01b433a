"""Accuracy against stability: how good a classifier is, and how much variations move that.

Figures as for taggers under systematic variations (arXiv:2407.20127): trained on nominal events,
tested on varied ones; the spreads of all variations are added in quadrature.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from fivesigma import metrics
from fivesigma.results import Number

__all__ = ["pairs_of", "stability"]

_SIDE = re.compile(r"[_ ](up|down)$", re.IGNORECASE)


def pairs_of(names: list[str]) -> dict[str, list[str]]:
    """Nuisance parameter -> names of its variations, up before down: `jes_up`, `jes_down`.

    A variation without such an ending stands alone, for both sides.

    Example:
        >>> pairs_of(["jes_down", "jes_up", "generator"])
        {'jes': ['jes_up', 'jes_down'], 'generator': ['generator']}
    """
    found: dict[str, list[str]] = {}
    for name in names:
        found.setdefault(_SIDE.sub("", name), []).append(name)
    return {k: sorted(v, key=lambda name: name.lower().endswith("down")) for k, v in found.items()}


def stability(
    y: np.ndarray,
    nominal: np.ndarray,
    varied: Mapping[str, np.ndarray],
    weight: np.ndarray | None = None,
    seed: int = 0,
) -> dict[str, Number]:
    """What variations do to AUC and to the background rejection at 50 % signal efficiency.

    Args:
        y: (N,) 1 for signal, 0 for background.
        nominal: (N,) scores.
        varied: variation -> (N,) scores of the same events.
        weight: (N,) weights >= 0, or None.
        seed: of the paired bootstrap.

    Returns:
        `auc`, `rejection_at_50`; of each variation `<variation>/auc_shift` and
        `<variation>/rejection_shift` (relative), paired on the events; `auc_spread` and
        `rejection_spread`, the larger side of each pair added in quadrature.
    """
    numbers = {
        "auc": metrics.auc(y, nominal, weight),
        "rejection_at_50": metrics.rejection(y, nominal, 0.5, weight),
    }
    shifts: dict[str, dict[str, Number]] = {"auc": {}, "rejection": {}}
    for name, score in varied.items():
        found = metrics.compare(y, score, nominal, (0.5,), weight, seed=seed)
        ratio = found["rejection_ratio_at_50"]
        shifts["auc"][name] = found["auc_difference"]
        shifts["rejection"][name] = Number(ratio.value - 1, ratio.uncertainty, note=ratio.note)
        numbers |= {f"{name}/{key}_shift": each[name] for key, each in shifts.items()}
    for key, each in shifts.items():
        if each:
            numbers[f"{key}_spread"] = _quadrature(each)
    return numbers


def _quadrature(shifts: Mapping[str, Number]) -> Number:
    """Quadrature sum of the larger side of each pair, its error propagated."""
    larger = [
        max((shifts[name] for name in names), key=lambda number: abs(number.value))
        for names in pairs_of(list(shifts)).values()
    ]
    values = np.array([number.value for number in larger])
    errors = np.array([number.uncertainty for number in larger])
    total = float(np.sqrt(np.square(values).sum()))
    if total == 0:
        return Number(0.0, float(np.sqrt(np.square(errors).sum())))
    return Number(total, float(np.sqrt(np.square(values * errors).sum()) / total))
