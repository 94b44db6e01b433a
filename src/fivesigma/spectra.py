"""Weights with which the jets of every class have flat spectra, e.g. of pT and mass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

__all__ = ["flat_factors"]

#: of the factors of a class's populated bins: rarer bins get no larger ones, so that a few jets
#: never carry a training
_CAP = 95.0

#: one array per quantity of the jets, beside `label` and perhaps `weight`
Columns = Mapping[str, np.ndarray]


def flat_factors(
    train: Columns, validation: Columns, edges: Mapping[str, Sequence[float]]
) -> tuple[np.ndarray, np.ndarray]:
    """Factors on the jets' weights that spread each class evenly over all bins.

    A class's factors are 1 / (sum of weights in the bin), learned from the training jets, capped
    at the 95th percentile over its populated bins, and scaled to leave the class's sum of weights
    as it is. Jets outside the bins get 0.

    Args:
        train: (N,) `label`, every quantity in `edges`, and `weight` if jets are weighted.
        validation: likewise, (M,).
        edges: quantity -> rising edges of its bins; together they make a joint histogram.

    Returns:
        (N,) and (M,) float64 factors.

    Raises:
        ValueError: a quantity without values, or a class without training jets in any bin.
    """
    for name in edges:
        for jets in (train, validation):
            if not np.isfinite(np.asarray(jets[name], np.float64)).all():
                message = f"flat spectra: {name} of some jets is not a finite number"
                raise ValueError(message)
    cells, judged = _cells(train, edges), _cells(validation, edges)
    factors, other = np.zeros(len(cells)), np.zeros(len(judged))
    weight = np.asarray(train.get("weight", np.ones(len(cells))), np.float64)
    total = int(np.prod([len(each) - 1 for each in edges.values()]))
    for label in np.unique(train["label"]):
        mine, theirs = train["label"] == label, validation["label"] == label
        table = _table(cells[mine], weight[mine], total, int(label))
        factors[mine], other[theirs] = table[cells[mine]], table[judged[theirs]]
    return factors, other


def _cells(jets: Columns, edges: Mapping[str, Sequence[float]]) -> np.ndarray:
    """(N,) number of each jet's bin; -1 outside."""
    cell = np.zeros(len(jets["label"]), np.int64)
    inside = np.ones(len(cell), bool)
    for name, each in edges.items():
        values = np.asarray(jets[name], np.float64)
        number = np.searchsorted(each, values, side="right") - 1
        number[values == each[-1]] = len(each) - 2  # the last bin has both its edges
        inside &= (number >= 0) & (number < len(each) - 1)
        cell = cell * (len(each) - 1) + number
    return np.where(inside, cell, -1)


def _table(cells: np.ndarray, weight: np.ndarray, total: int, label: int) -> np.ndarray:
    """(total + 1,) factor of each bin of one class; the last one, of all jets outside, is 0."""
    inside = cells >= 0
    content = np.bincount(cells[inside], weight[inside], minlength=total)
    populated = content > 0
    if not populated.any():
        message = (
            f"flat spectra: no training jets of class {label} in any of the bins; "
            "choose edges around the jets"
        )
        raise ValueError(message)
    factors = 1 / np.where(populated, content, 1.0)
    cap = np.percentile(factors[populated], _CAP)
    factors = np.append(np.where(populated, np.minimum(factors, cap), cap), 0.0)
    return factors * weight.sum() / (weight * factors[cells]).sum()
