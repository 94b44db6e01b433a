"""What a classifier lives on: permutation importance of its inputs, and their correlations."""

from __future__ import annotations

import awkward as ak
import numpy as np

from fivesigma.batches import Cache, build_cache
from fivesigma.metrics.curves import auc_influence
from fivesigma.results import Number
from fivesigma.search.classifiers.folds import Folded, shares_of
from fivesigma.search.classifiers.weights import SIGNAL, yields_of

__all__ = ["correlations", "permutation_importance"]

#: events that a ranking looks at, at most
_MOST_EVENTS = 20_000


def permutation_importance(
    trained: Folded, events: ak.Array, repeats: int = 3, seed: int = 0
) -> dict[str, Number]:
    """How much AUC is lost when one input is shuffled among the events, the largest loss first.

    Source: Breiman, Machine Learning 45 (2001) 5. Every event is scored by the member that did not
    train on it, before and after. Inputs that tell the same stand in for each other: each may look
    idle while the other is there.

    Args:
        trained: the classifier.
        events: (N,) labelled events that it was trained in folds on.
        repeats: shuffles of each input, at least 2.
        seed: of the shuffles.

    Returns:
        Input -> loss of AUC. Errors are those of the events, of which both AUCs share the
        fluctuations, and of the shuffles.

    Raises:
        ValueError: fewer than 2 repeats.
    """
    if repeats < 2:
        message = f"got {repeats} repeats; the error of an importance needs at least 2"
        raise ValueError(message)
    cache, shares = build_cache(events, trained.run.inputs), shares_of(events, trained.folds)
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(cache))[:_MOST_EVENTS])
    cache = _alone(cache, chosen)
    shares = shares.take(chosen)
    y = ak.to_numpy(events["label"])[chosen] == SIGNAL
    weight = np.abs(yields_of(events)[chosen])
    whole, own = auc_influence(y, trained.held_out_of(cache, shares), weight)
    found = {}
    for column, name in enumerate(cache.inputs.features):
        losses, spreads = [], []
        for _ in range(repeats):
            kept = cache.values[:, column].copy()
            cache.values[:, column] = rng.permutation(kept)
            area, share = auc_influence(y, trained.held_out_of(cache, shares), weight)
            cache.values[:, column] = kept
            losses.append(whole - area)
            spreads.append(np.square(own - share).sum())
        error = np.sqrt(np.mean(spreads) + np.var(losses, ddof=1) / repeats)
        found[name] = Number(float(np.mean(losses)), float(error))
    return dict(sorted(found.items(), key=lambda item: -item[1].value))


def _alone(cache: Cache, rows: np.ndarray) -> Cache:
    """Some events with values of their own, so that shuffles stay among them."""
    part = cache.take(rows)
    if part.begin is None or part.count is None:
        return part
    places = np.repeat(part.begin - np.cumsum(part.count) + part.count, part.count)
    values = part.values[places + np.arange(part.count.sum())]
    begin = np.cumsum(part.count) - part.count
    return Cache(part.inputs, values, begin, part.count, None, part.label, part.weight, part.event)


def correlations(events: ak.Array, names: tuple[str, ...], label: int) -> np.ndarray:
    """Linear correlation coefficients of quantities of one class, by its signed weights.

    Args:
        events: (N,) labelled events.
        names: F quantities.
        label: of the class.

    Returns:
        (F, F) coefficients; NaN where a quantity does not vary.
    """
    own = ak.to_numpy(events["label"]) == label
    values = np.stack([ak.to_numpy(events[name])[own] for name in names]).astype(np.float64)
    weight = yields_of(events)[own]
    mean = values @ weight / weight.sum()
    centred = values - mean[:, None]
    covariance = (centred * weight) @ centred.T / weight.sum()
    spread = np.sqrt(np.where(np.diag(covariance) > 0, np.diag(covariance), np.nan))
    return covariance / spread[:, None] / spread[None, :]
