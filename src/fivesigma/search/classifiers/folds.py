"""Trainings on parts of the events, so that every event is scored by one that never saw it.

The run of a classifier is an ensemble: `members/0`, `members/1`, ... are the trainings, and new
events get the mean of their scores (in analyses, that of one: `search.scores`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from fivesigma.batches import Cache, build_cache
from fivesigma.datasets import uniform_hash
from fivesigma.lessons import Objectives, fingerprint
from fivesigma.loop import Progress
from fivesigma.runfolder import (
    MODEL,
    describe,
    finished,
    member_folders,
    open_folder,
    write_yaml,
    writing,
)
from fivesigma.runs import Run, load_run
from fivesigma.search.classifiers.options import (
    Classifier,
    Folds,
    inputs_of,
    training_of,
    trees_of,
)
from fivesigma.search.classifiers.weights import (
    CLASSES,
    SIGNAL,
    check_events,
    training_weights,
    yields_of,
)
from fivesigma.training import fit, members_summary
from fivesigma.trees import fit_trees

__all__ = ["Folded", "Rows", "Shares", "fit_folds", "load_folds", "shares_of"]


@dataclass(frozen=True, eq=False)
class Shares:
    """Who learns from which event.

    Attributes:
        folds: how they are shared.
        fold: (N,) number of the training that does not see an event and is tested on it.
        judging: (N,) whether an event decides when trainings stop, where it is not tested on.
        half: (N,) which half an event is in, of which one chooses a cut that the other judges.
    """

    folds: Folds
    fold: np.ndarray
    judging: np.ndarray
    half: np.ndarray

    def train(self, number: int) -> np.ndarray:
        """Rows of the events that a training learns from."""
        return np.flatnonzero((self.fold != number) & ~self.judging)

    def validation(self, number: int) -> np.ndarray:
        """Rows of the events that decide when it stops."""
        return np.flatnonzero((self.fold != number) & self.judging)

    def take(self, rows: np.ndarray) -> Shares:
        """The shares of some of the events."""
        return Shares(self.folds, self.fold[rows], self.judging[rows], self.half[rows])

    def test(self, number: int) -> np.ndarray:
        """Rows of the events that it is tested on."""
        return np.flatnonzero(self.fold == number)


def shares_of(events: ak.Array, folds: Folds) -> Shares:
    """Share events by a hash of their number, or of their row where they have none.

    Args:
        events: (N,) records, perhaps with `event`.
        folds: how many parts.
    """
    number = np.arange(len(events), dtype=np.uint64)
    if "event" in events.fields:
        number = ak.to_numpy(events["event"]).astype(np.uint64)
    # other draws than those of a dataset's splits, and than each other
    salts = (2.0**62 * uniform_hash(3 * folds.seed + np.arange(3))).astype(np.uint64)
    drawn, judged, halved = (uniform_hash(number ^ salt) for salt in salts)
    fold = np.floor(drawn * folds.number).astype(np.int64)
    return Shares(folds, fold, judged < folds.validation, halved < 0.5)


@dataclass(frozen=True, eq=False)
class Folded:
    """A classifier trained in folds.

    Attributes:
        run: all members as one, for new events.
        members: the training of each fold.
        folds: how its events are shared.
        parameter: the quantity that it is told, or "".
        numbered: whether by event numbers, by which they are known again anywhere; else by rows.
    """

    run: Run
    members: list[Run]
    folds: Folds
    parameter: str = ""
    numbered: bool = False

    def held_out(self, events: ak.Array) -> np.ndarray:
        """(N,) probability of signal of each event, by the member that did not train on it.

        Args:
            events: (N,) records with the inputs' fields, and `event` if those had it that the
                members were trained on; else the same rows.

        Raises:
            ValueError: missing fields.
        """
        return self.held_out_of(
            build_cache(events, self.run.inputs), shares_of(events, self.folds)
        )

    def held_out_of(self, cache: Cache, shares: Shares) -> np.ndarray:
        """The same where the inputs are computed already."""
        score = np.empty(len(cache), np.float32)
        for number, member in enumerate(self.members):
            rows = shares.test(number)
            if len(rows):
                score[rows] = member.scores(cache.take(rows))[:, SIGNAL]
        return score


#: rows of the training and of the validation events -> what is minimised on them
Rows = Callable[[Cache, np.ndarray, np.ndarray], Objectives | None]


def fit_folds(
    classifier: Classifier,
    events: ak.Array,
    quantities: tuple[str, ...],
    out: str | Path,
    folds: Folds | None = None,
    *,
    aims: Rows | None = None,
    start: Folded | None = None,
    config: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Folded:
    """Train a classifier once for every fold, or go on with an interrupted training.

    Scales of inputs are learned from all events, without their labels.

    Args:
        classifier: which one.
        events: (N,) records with `label` (0 signal, 1 background), the quantities or the
            `constituents` of `event_objects`, and perhaps `weight` and `event`.
        quantities: names of the events' own quantities, the default of a classifier's features.
        out: folder of the run.
        folds: how events are shared; `Folds()` if None.
        aims: gives what is minimised, where it is not the usual loss.
        start: trainings of the same architecture and folds whose weights are started from.
        config: the caller's complete settings, for `config.yaml`.
        provenance: what else `model.yaml` should tell.
        overwrite: discard a run in this folder.
        progress: see `loop.Progress`; its lines tell the `member`.

    Returns:
        The trained classifier.

    Raises:
        ValueError: events that cannot be learned from, a fold without events of a class, or a
            folder with another run.
    """
    out, folds = Path(out), folds or Folds()
    inputs = inputs_of(classifier, quantities)
    # of features of objects, the making of inputs says what is missing
    check_events(events, inputs.features if inputs.kind == "observables" else ())
    cache = build_cache(events, inputs if start is None else start.run.inputs)
    shares = shares_of(events, folds)
    weight = yields_of(events)
    settings = {
        "members": folds.number,
        "folds": asdict(folds),
        "numbered": "event" in events.fields,
        "classifier": asdict(classifier),
        "data": {"events": len(cache), "hash": fingerprint(cache)},
    }
    form = describe(
        *("ensemble", classifier.model, classifier.options or {}, cache.inputs, CLASSES),
        *(settings, provenance or {}),
        packages=("lightgbm",) if classifier.model == "trees" else ("torch", "safetensors"),
    )
    with writing(out):
        form = open_folder(out, form, config, overwrite)
        if not finished(out, form):
            runs = []
            for number, folder in enumerate(member_folders(out, form)):
                rows = shares.train(number), shares.validation(number)
                parts = [_weighted(cache, each, weight, classifier) for each in rows]
                more = {
                    "config": config,
                    "overwrite": overwrite,
                    "progress": _of_member(progress, number),
                }
                begun = start.members[number] if start else None
                objectives = aims and aims(cache, *rows)
                runs.append(
                    _fit_member(classifier, number, parts, folder, begun, objectives, more)
                )
            write_yaml(out / MODEL, form | {"summary": members_summary(runs)})
    return load_folds(out, trust=True)


def _weighted(cache: Cache, rows: np.ndarray, weight: np.ndarray, classifier: Classifier) -> Cache:
    """Some events with their weights in the training."""
    part = cache.take(rows)
    label = np.empty(0, np.int64) if part.label is None else part.label
    found = training_weights(label, weight[rows], classifier)
    return replace(part, weight=(found / found.mean()).astype(np.float32))


def _fit_member(
    classifier: Classifier,
    number: int,
    parts: list[Cache],
    folder: Path,
    start: Run | None,
    objectives: Objectives | None,
    more: dict[str, Any],
) -> Run:
    train, validation = parts
    if classifier.model == "trees":
        options = trees_of(classifier)
        return fit_trees(train, validation, CLASSES, folder, options, **more)
    return fit(
        classifier.model,
        train,
        validation,
        CLASSES,
        folder,
        training_of(classifier, number),
        model_options=classifier.options,
        init=start,
        objectives=objectives,
        **more,
    )


def load_folds(path: str | Path, *, device: str = "auto", trust: bool = False) -> Folded:
    """Load a classifier that was trained in folds.

    Args:
        path: folder of its run.
        device: where to put networks.
        trust: allow a network from a user's own module, and run its code.

    Raises:
        ValueError: no such run, or one that was not trained in folds.
    """
    run = load_run(path, device=device, trust=trust)
    settings = run.model_yaml["settings"]
    if "folds" not in settings:
        message = f"{path} was not trained in folds; `fivesigma train classifier` makes such runs"
        raise ValueError(message)
    members = [
        load_run(each, device=device, trust=trust)
        for each in member_folders(Path(path), run.model_yaml)
    ]
    return Folded(
        run,
        members,
        Folds(**settings["folds"]),
        settings["classifier"].get("parameter", ""),
        settings.get("numbered", False),
    )


def _of_member(progress: Progress | None, number: int) -> Progress | None:
    return progress and (lambda line: progress(line | {"member": number}))
