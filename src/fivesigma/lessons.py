"""Jets and what a network is to learn from them: labels, weights, a teacher, an objective."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch

from fivesigma.batches import Cache, jet_weights
from fivesigma.optimisation import Training
from fivesigma.pruning import Masks
from fivesigma.runs import Run

__all__ = [
    "Answers",
    "Lessons",
    "Objective",
    "Objectives",
    "Pair",
    "check_jets",
    "data_settings",
    "fingerprint",
    "hash_of",
    "hashes",
    "loss_weights",
    "make_lessons",
]

#: one array for the training jets, one for the validation jets
Pair = tuple[np.ndarray, np.ndarray]


class Answers(NamedTuple):
    """What a network says of some jets, for an `Objective`.

    Attributes:
        loss: the usual one, the weighted mean of the jets' own.
        logits: (B, C).
        y: (B,) int64 labels.
        w: (B,) weights in the loss.
        rows: (B,) int64 numbers of the jets among all that the objective knows.
        elsewhere: gives (B, C) logits for the same jets in another cache, e.g. a varied one.
    """

    loss: torch.Tensor
    logits: torch.Tensor
    y: torch.Tensor
    w: torch.Tensor
    rows: torch.Tensor
    elsewhere: Callable[[Cache], torch.Tensor]


class Objective(Protocol):
    """What is minimised over a batch in the place of the usual loss."""

    @property
    def frozen(self) -> bool:
        """Whether dropout is off and normalisations keep their statistics in training."""

    def settings(self) -> Mapping[str, Any]:
        """What makes it, in plain types, for `model.yaml`: arrays by their hash."""

    def __call__(self, answers: Answers) -> torch.Tensor:
        """A number with a gradient, in training of a batch, in validation of all jets."""


#: one for the training jets, one for the validation jets
Objectives = tuple[Objective, Objective]


@dataclass(frozen=True, eq=False)
class Lessons:
    """Jets, and what is to be learned from them.

    Attributes:
        cache: N jets with labels.
        weights: (N,) float32 weights in the loss, mean 1.
        teacher: (N, C) float32 logits of a teacher, or None.
        objective: what is minimised in the place of the usual loss, or None.
    """

    cache: Cache
    weights: np.ndarray
    teacher: np.ndarray | None = None
    objective: Objective | None = None


def check_jets(train: Cache, validation: Cache, classes: Sequence[str]) -> None:
    """Check that jets can be trained on.

    Raises:
        ValueError: no or wrong labels, a class without training jets, no validation jets, or other
            inputs in validation.
    """
    present = _labels("training", train, classes)
    _labels("validation", validation, classes)
    absent = [name for i, name in enumerate(classes) if i not in present]
    if absent or len(classes) < 2:
        names = ", ".join(absent) or "a second class"
        message = f"no training jets of {names}; each of at least two classes needs some"
        raise ValueError(message)
    if train.inputs != validation.inputs:
        message = "build the validation jets' cache with the inputs of the training jets' cache"
        raise ValueError(message)


def _labels(name: str, cache: Cache, classes: Sequence[str]) -> set[int]:
    """The labels that occur."""
    if cache.label is None or not len(cache):
        what = "jets without the field 'label'" if len(cache) else "no jets"
        message = f"{what} for {name}; give jets with labels from 0 to {len(classes) - 1}"
        raise ValueError(message)
    present = set(np.unique(cache.label).tolist())
    strange = sorted(present - set(range(len(classes))))
    if strange:
        message = (
            f"{name} jets have labels {', '.join(map(str, strange))}, but there are "
            f"{len(classes)} classes ({', '.join(classes)}); leave these jets out"
        )
        raise ValueError(message)
    return present


def fingerprint(cache: Cache) -> str:
    """A hash of all arrays of a cache."""
    parts = {part.name: getattr(cache, part.name) for part in fields(cache)}
    return hash_of({name: part for name, part in parts.items() if isinstance(part, np.ndarray)})


def hash_of(arrays: Mapping[str, np.ndarray]) -> str:
    """A hash of named arrays."""
    digest = hashlib.sha256()
    for name, array in arrays.items():
        digest.update(f"{name} {array.dtype} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()[:16]


def data_settings(train: Cache, validation: Cache) -> dict[str, Any]:
    """What a run's settings say of its data, so that a repeated training is known as such."""
    return {
        name: {"jets": len(cache), "hash": fingerprint(cache)}
        for name, cache in (("train", train), ("validation", validation))
    }


def loss_weights(cache: Cache, options: Training, factors: np.ndarray | None = None) -> np.ndarray:
    """(N,) float32 weights in the loss, mean 1.

    Args:
        cache: N jets.
        options: of the training.
        factors: (N,) to be multiplied with.

    Raises:
        ValueError: factors of another length, or weights that do not sum to a positive number.
    """
    chosen = options.class_weights
    weights = jet_weights(cache, classes=chosen is True, events=options.use_event_weights)
    if not isinstance(chosen, bool):
        weights = weights * np.asarray(chosen)[cache.label]
    if factors is not None:
        if len(factors) != len(cache):
            message = f"{len(factors)} factors on the weights of {len(cache)} jets; give one each"
            raise ValueError(message)
        weights = weights * factors
    if not (np.isfinite(weights).all() and weights.mean() > 0):
        message = "the jets' weights do not sum to a positive number"
        raise ValueError(message)
    return (weights / weights.mean()).astype(np.float32)


def make_lessons(
    train: Cache,
    validation: Cache,
    options: Training,
    weights: Pair | None,
    teacher: Pair | None,
    n_classes: int,
    objectives: Objectives | None = None,
) -> tuple[Lessons, Lessons]:
    """Training and validation jets with what is to be learned from them; see `training.fit`.

    Raises:
        ValueError: arrays that do not fit the jets, or flat spectra without weights.
    """
    if options.flat_spectra and weights is None:
        message = (
            "training.flat_spectra: these jets' inputs do not tell the quantities; "
            "use fivesigma.train, or give `weights`"
        )
        raise ValueError(message)
    factors, taught = weights or (None, None), teacher or (None, None)
    aims = objectives or (None, None)
    return (
        _lessons(train, options, factors[0], taught[0], n_classes, aims[0]),
        _lessons(validation, options, factors[1], taught[1], n_classes, aims[1]),
    )


def _lessons(
    cache: Cache,
    options: Training,
    factors: np.ndarray | None,
    teacher: np.ndarray | None,
    n_classes: int,
    objective: Objective | None,
) -> Lessons:
    weights = loss_weights(cache, options, factors)
    if teacher is None:
        return Lessons(cache, weights, objective=objective)
    teacher = np.asarray(teacher, np.float32)
    if teacher.shape != (len(cache), n_classes) or not np.isfinite(teacher).all():
        message = (
            f"the teacher's logits have shape {teacher.shape}; need {(len(cache), n_classes)}, "
            "and finite numbers only"
        )
        raise ValueError(message)
    return Lessons(cache, weights, teacher, objective)


def hashes(
    init: Run | None,
    weights: Pair | None,
    teacher: Pair | None,
    masks: Masks | None = None,
    objectives: Objectives | None = None,
) -> dict[str, Any]:
    """What a run's settings say of its start, its weights of jets, teacher and so on, if any."""
    found: dict[str, Any] = {}
    if init:
        state = init.model.state_dict()
        found["init"] = hash_of(
            {name: state[name].detach().cpu().numpy() for name in sorted(state)}
        )
    for name, pair in (("weights", weights), ("teacher", teacher)):
        if pair is not None:
            found[name] = hash_of(dict(zip(("train", "validation"), pair, strict=True)))
    if masks:
        found["masks"] = hash_of({name: masks[name].cpu().numpy() for name in sorted(masks)})
    if objectives:
        names = ("train", "validation")
        found["objective"] = {
            k: dict(v.settings()) for k, v in zip(names, objectives, strict=True)
        }
    return found
