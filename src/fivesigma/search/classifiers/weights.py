"""Events that can be learned from: checked labels and weights, and their weights in a training."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import awkward as ak
import numpy as np

from fivesigma.search.classifiers.options import Classifier

__all__ = ["BACKGROUND", "CLASSES", "SIGNAL", "check_events", "training_weights", "yields_of"]

#: labels, in the order of a classifier's outputs
CLASSES = ("signal", "background")
SIGNAL, BACKGROUND = 0, 1


def check_events(events: ak.Array, quantities: Iterable[str] = ()) -> None:
    """Check that events can be classified.

    Args:
        events: (N,) records with `label`, 0 for signal and 1 for background, and perhaps `weight`
            and `event`.
        quantities: names of fields that must be there, with one finite number an event.

    Raises:
        ValueError: fewer than two classes, labels of other values, weights that are not finite or
            do not sum to a positive number in either class, or quantities that are not there or
            not finite.
    """
    for name in ("label", *quantities):
        if name not in events.fields:
            close = difflib.get_close_matches(name, events.fields, 3, 0.5)
            has = ", ".join(close or events.fields[:12])
            hint = f"did you mean {has}?" if close else f"they have {has or 'nothing'}"
            message = f"the events have no {name!r}; {hint}"
            raise ValueError(message)
    label = ak.to_numpy(events["label"])
    strange = np.setdiff1d(label, (SIGNAL, BACKGROUND))
    if strange.size:
        message = (
            f"labels {', '.join(map(str, strange[:5]))}; expected {SIGNAL} for signal and "
            f"{BACKGROUND} for background: leave other events out"
        )
        raise ValueError(message)
    yields = yields_of(events)
    for number, name in enumerate(CLASSES):
        if not (label == number).any():
            message = f"no {name} events among {len(events)}; both classes are needed"
            raise ValueError(message)
        total = yields[label == number].sum()
        if not total > 0:
            message = (
                f"the weights of the {name} events sum to {total:g}, expected a positive number; "
                "check the column of weights and the cuts"
            )
            raise ValueError(message)
    _check_finite(events, quantities)


def _check_finite(events: ak.Array, quantities: Iterable[str]) -> None:
    for name in quantities:
        values = ak.to_numpy(events[name])
        if values.dtype.kind not in "biuf" or values.ndim != 1:
            message = f"{name!r} is not one number an event; choose other features"
            raise ValueError(message)
        bad = np.count_nonzero(~np.isfinite(values))
        if bad:
            message = (
                f"{name!r}: {bad} of {len(values)} values are NaN or infinite; "
                "cut these events away, or leave it out"
            )
            raise ValueError(message)


def yields_of(events: ak.Array) -> np.ndarray:
    """(N,) float64 signed event weights; 1 each where the events have none.

    Raises:
        ValueError: weights that are NaN or infinite.
    """
    if "weight" not in events.fields:
        return np.ones(len(events))
    weight = ak.to_numpy(events["weight"]).astype(np.float64)
    bad = np.count_nonzero(~np.isfinite(weight))
    if bad:
        message = (
            f"{bad} of {len(weight)} event weights are NaN or infinite; "
            "mend the column of weights, or cut these events away"
        )
        raise ValueError(message)
    return weight


def training_weights(label: np.ndarray, weight: np.ndarray, classifier: Classifier) -> np.ndarray:
    """Weights of events in a training, by choice signed, with both classes equal.

    Args:
        label: (N,) 0 for signal, 1 for background.
        weight: (N,) signed event weights.
        classifier: whose `weighting` and `balance` are wanted. With weights, the sums of both
            classes are equal; with oversampling, their means are, since events are repeated until
            classes are equally many; trees take weights in its place.

    Returns:
        (N,) float64.

    Raises:
        ValueError: a class whose weights do not sum to a positive number.
    """
    used = {"absolute": np.abs(weight), "signed": weight, "none": np.ones(len(weight))}
    found = used[classifier.weighting].astype(np.float64)
    oversampled = classifier.balance == "oversampling" and classifier.model != "trees"
    for number, name in enumerate(CLASSES):
        own = label == number
        total = found[own].sum()
        if not total > 0:
            message = (
                f"{int(own.sum())} {name} events of a training have weights that sum to "
                f"{total:g}; use weighting absolute, fewer folds, or more events"
            )
            raise ValueError(message)
        if classifier.balance != "none":
            found[own] *= (own.sum() if oversampled else 1.0) / total
    return found
