"""Gradient-boosted trees on the observables of jets (LightGBM): the classical baseline.

Source: Ke et al., LightGBM, Advances in Neural Information Processing Systems 30 (2017).
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fivesigma.batches import Cache, jet_weights
from fivesigma.inputs import Inputs
from fivesigma.loop import BEAT, Progress
from fivesigma.runfolder import (
    MODEL,
    TREE_WEIGHTS,
    describe,
    finished,
    open_folder,
    write_history,
    write_yaml,
    writing,
)
from fivesigma.runs import Run, load_run
from fivesigma.storage import write_file
from fivesigma.training import check_jets, data_settings

__all__ = ["TREE_OBSERVABLES", "Trees", "fit_trees", "tree_inputs"]

#: the default observables; neither pT nor direction, which are an artefact of the samples
TREE_OBSERVABLES = (
    *("mass", "softdrop_mass", "tau1", "tau2", "tau3", "tau4", "tau21", "tau32", "tau43"),
    *("c2", "d2", "n2", "ptd", "width", "multiplicity"),
)


@dataclass(frozen=True)
class Trees:
    """Options of the training of trees."""

    rounds: int = 500
    """Most boosting rounds; with several classes each round makes one tree per class."""
    learning_rate: float = 0.05
    """Weight of each round."""
    leaves: int = 31
    """Most leaves of a tree."""
    least_jets: int = 20
    """Fewest jets in a leaf."""
    feature_fraction: float = 0.8
    """Share of the observables that each tree may use, drawn anew for each."""
    l2: float = 1.0
    """Regularisation of the leaf values."""
    early_stopping: int = 30
    """Stop after so many rounds without a smaller validation loss; 0: never."""
    class_weights: bool = False
    """Let every class weigh the same."""
    use_event_weights: bool = False
    """Weight the jets by their event weights."""
    threads: int = 0
    """Threads; 0: as many as there are cores. The trees do not depend on it."""
    seed: int = 0
    """Of the draws of observables."""

    def __post_init__(self) -> None:
        rules = {
            "rounds": (self.rounds >= 1, ">= 1"),
            "learning_rate": (0 < self.learning_rate <= 1, "> 0 and <= 1"),
            "leaves": (self.leaves >= 2, ">= 2"),
            "least_jets": (self.least_jets >= 1, ">= 1"),
            "feature_fraction": (0 < self.feature_fraction <= 1, "> 0 and <= 1"),
            "l2": (0 <= self.l2 < math.inf, ">= 0"),
            "early_stopping": (self.early_stopping >= 0, ">= 0 rounds"),
            "threads": (self.threads >= 0, ">= 0"),
            "seed": (0 <= self.seed < 2**31, ">= 0 and < 2^31"),
        }
        for name, (valid, want) in rules.items():
            if not valid:
                message = f"trees.{name}: got {getattr(self, name)!r}, need {want}"
                raise ValueError(message)


def tree_inputs(observables: Sequence[str] = TREE_OBSERVABLES) -> Inputs:
    """Inputs of trees, for `build_cache`."""
    return Inputs(kind="observables", features=tuple(observables))


def fit_trees(
    train: Cache,
    validation: Cache,
    classes: Sequence[str],
    out: str | Path,
    options: Trees | None = None,
    *,
    config: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Train trees, or return finished ones. An interrupted training begins anew: it takes seconds.

    Args:
        train: observables of the training jets, with labels.
        validation: of the validation jets, made with the training jets' `inputs`.
        classes: names of the classes, in the order of the labels.
        out: folder of the run.
        options: of the training; `Trees()` if None.
        config: the caller's complete settings, for `config.yaml`.
        provenance: what else `model.yaml` should tell, e.g. path and hash of the dataset.
        overwrite: discard a run in this folder.
        progress: see `loop.Progress`; a boosting round counts as an epoch.

    Returns:
        The run, with the rounds up to the smallest validation loss if stopping early is on.

    Raises:
        ValueError: jets without labels, an empty class, inputs that are no observables, or a
            folder that holds something else or a run with other settings.
    """
    options = options or Trees()
    if train.inputs.kind != "observables":
        message = f"trees need inputs of kind 'observables', got {train.inputs.kind!r}"
        raise ValueError(message)
    check_jets(train, validation, classes)
    out = Path(out)
    settings = {"trees": asdict(options), "data": data_settings(train, validation)}
    form = describe(
        *("trees", "trees", {}, train.inputs, classes, settings, provenance or {}),
        packages=("lightgbm",),
    )
    with writing(out):
        form = open_folder(out, form, config, overwrite)
        if not finished(out, form):
            text, history, best = _boost(train, validation, len(classes), options, progress)
            write_history(out, history)
            write_file(out / TREE_WEIGHTS, text.encode())
            seconds = sum(line["seconds"] for line in history)
            summary = {"finished": True, "epochs": len(history), "seconds": seconds}
            write_yaml(out / MODEL, form | {"summary": summary | {"best": history[best - 1]}})
    return load_run(out)


def _boost(
    train: Cache,
    validation: Cache,
    n_classes: int,
    options: Trees,
    progress: Progress | None,
) -> tuple[str, list[dict[str, Any]], int]:
    """The model as text, the history, and the number of rounds that the model has."""
    import lightgbm

    tables = [_table(cache, options) for cache in (train, validation)]
    history: list[dict[str, Any]] = []
    callbacks = [_recorder(history, options, progress)]
    if options.early_stopping:
        callbacks.append(lightgbm.early_stopping(options.early_stopping, verbose=False))
    booster = lightgbm.train(
        _parameters(options, n_classes),
        tables[0],
        options.rounds,
        valid_sets=tables,
        valid_names=["train", "validation"],
        callbacks=callbacks,
    )
    best = booster.best_iteration if options.early_stopping else len(history)
    return booster.model_to_string(num_iteration=best), history, best


def _table(cache: Cache, options: Trees) -> Any:
    import lightgbm

    weights = jet_weights(cache, classes=options.class_weights, events=options.use_event_weights)
    if weights.min() < 0:
        message = f"trees take no negative weights, got {weights.min():g}; leave event weights out"
        raise ValueError(message)
    # LightGBM's text format does not bear every character in a name
    names = [re.sub(r"\W", "_", name) for name in cache.inputs.features]
    return lightgbm.Dataset(cache.values, cache.label, weight=weights, feature_name=names)


def _parameters(options: Trees, n_classes: int) -> dict[str, Any]:
    kind = (
        {"objective": "binary", "metric": "binary_logloss"}
        if n_classes == 2
        else {"objective": "multiclass", "metric": "multi_logloss", "num_class": n_classes}
    )
    return kind | {
        "learning_rate": options.learning_rate,
        "num_leaves": options.leaves,
        "min_data_in_leaf": options.least_jets,
        "feature_fraction": options.feature_fraction,
        "lambda_l2": options.l2,
        "seed": options.seed,
        "num_threads": options.threads,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }


def _recorder(history: list[dict[str, Any]], options: Trees, progress: Progress | None) -> Any:
    """A callback of LightGBM that notes the losses of each round."""
    mark = beat = time.perf_counter()

    def record(state: Any) -> None:
        nonlocal mark, beat
        now = time.perf_counter()
        losses = {
            f"{name}_loss": float(value) for name, _, value, _ in state.evaluation_result_list
        }
        line = {"epoch": state.iteration + 1, **losses, "seconds": now - mark}
        history.append(line)
        mark = now
        last = line["epoch"] == options.rounds
        if progress and (now - beat > BEAT or last):
            progress({"kind": "epoch", "epochs": options.rounds} | line)
            beat = now

    return record
