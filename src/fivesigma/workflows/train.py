"""`fivesigma train`: a tagger from a dataset of labelled jets."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from fivesigma.batches import Cache, Inputs
from fivesigma.datasets import Dataset
from fivesigma.finetuning import check_start
from fivesigma.lessons import Pair
from fivesigma.models import find
from fivesigma.progress import Progress
from fivesigma.runs import Run, load_run
from fivesigma.spectra import flat_factors
from fivesigma.training import Training, fit, fit_members
from fivesigma.trees import Trees, fit_trees, tree_inputs
from fivesigma.workflows.caches import jets_of, open_jets, split_caches
from fivesigma.workflows.distil import teacher_logits

__all__ = ["Shown", "inputs_of", "spectra_factors", "train"]


def inputs_of(model: str, changes: dict[str, Any] | None = None) -> Inputs:
    """What a model sees by default, with changes.

    Args:
        model: a name in `MODELS`, `trees`, or `my_module:MyNet`.
        changes: attributes of `Inputs` to set, e.g. {"pixels": 64}.

    Raises:
        ValueError: unknown model or attribute.
    """
    if model == "trees":
        return Inputs.from_dict(tree_inputs().to_dict() | (changes or {}))
    network: Any = find(model)
    form: dict[str, Any] = {"kind": network.kind}
    for name in ("features", "max_constituents"):
        if hasattr(network, name):
            form[name] = getattr(network, name)
    return Inputs.from_dict(form | (changes or {}))


class Shown:
    """Shows the progress of a training on a bar of epochs, of all `member` trainings in a row."""

    def __init__(self, bar: Progress, epochs: int) -> None:
        self._bar, self._epochs = bar, epochs

    def __call__(self, line: dict[str, Any]) -> None:
        """Show a line of a training's progress."""
        before = line.get("member", 0) * self._epochs
        if line["kind"] == "batch":
            note = f"loss {line['loss']:.4f}, {line['jets_per_second']:.0f} jets/s"
            self._bar(before + line["epoch"] - 1, note)
        else:
            note = f"validation loss {line['validation_loss']:.4f}"
            self._bar(before + line["epoch"], note)


def train(
    out: Path,
    *,
    data: Path,
    model: str = "pfn",
    training: Training = Training(),  # noqa: B008 (frozen)
    trees: Trees = Trees(),  # noqa: B008 (frozen)
    inputs: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
    init: Path | None = None,
    teacher: Path | None = None,
    members: int = 1,
    keep_inputs: bool = False,
    trust: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
) -> Run:
    """Train a tagger.

    Repeating the command resumes an interrupted training, to the very same weights.

    Examples:
        fivesigma train runs/cnn --data data/top --model cnn --training.epochs 10
        fivesigma train runs/trees --data data/top --model trees
        fivesigma train runs/mine --data data/top --model my_module:MyNet
        fivesigma train runs/tuned --data data/top --model pfn --init runs/big \\
            --training.learning_rate 1e-4 --training.head_learning_rate_factor 50
        fivesigma train runs/small --data data/top --model pfn --teacher runs/ensemble \\
            --options '{phi: [32, 32]}' --training.temperature 4
        fivesigma train runs/ensemble --data data/top --model pfn --members 5

    Args:
        out: folder of the run.
        data: dataset of labelled jets.
        model: pfn, particlenet-lite, part ... (`fivesigma info` lists them), trees, or your own
            network as my_module:MyNet.
        training: options of the training of a network.
        trees: options of the training of trees.
        inputs: what the model sees, where it differs from its default, e.g. {"pixels": 64}.
        options: of the architecture, e.g. {"phi": [64, 64]}.
        init: run whose weights the training starts from (fine-tuning); model, options and inputs
            are the same as there. Where the classes are others, the layer that gives them starts
            afresh.
        teacher: run with the same classes, of any kind, whose probabilities are learned instead of
            the labels (distillation).
        members: networks that are trained, with the seed of the training and those after it; more
            than one make an ensemble, a run whose probabilities are their mean.
        keep_inputs: keep what the model sees in the dataset's folder `prepared`: the next
            training on it begins at once, and larger datasets than memory can be trained on.
        trust: allow runs in `init` and `teacher` whose model is a user's own module, and run its
            code.
        overwrite: discard a run in this folder.
        quiet: show no progress.

    Returns:
        The run.

    Raises:
        ValueError: unknown model or option, unfit data, a start or a teacher that does not fit, or
            a folder with another run.
    """
    _check_network_options(model, init, teacher, members)
    dataset = open_jets(str(data))
    start = load_run(init, device="cpu", trust=trust) if init else None
    if start and options is None:
        options = start.model_yaml["options"]
    wanted = _wanted(model, inputs, start)
    if start:
        check_start(start, model, wanted, options)
    taught = None
    if teacher:
        asked = load_run(teacher, device=training.device, trust=trust)
        first = os.environ.get("RANK", "0") == "0"  # of the processes of torchrun
        taught = teacher_logits(asked, dataset, out, write=first, quiet=quiet)
    learned, judged = split_caches(dataset, wanted, "train", "validation", keep=keep_inputs)
    common: dict[str, Any] = {
        "config": {
            "out": str(out), "data": str(data), "model": model, "training": asdict(training),
            "trees": asdict(trees), "inputs": inputs, "options": options,
            "init": init and str(init), "teacher": teacher and str(teacher), "members": members,
        },
        "provenance": {
            "dataset": str(data),
            "settings_hash": dataset.manifest["settings_hash"],
            "jets": dataset.manifest["settings"].get("recipe", {}).get("jets"),
            "training_jets": len(learned),
            "validation_jets": len(judged),
        } | {name: str(run) for name, run in (("init", init), ("teacher", teacher)) if run},
        "overwrite": overwrite,
    }  # fmt: skip
    steps = trees.rounds if model == "trees" else training.epochs
    with Progress(f"training {model}", steps * members, "epochs", quiet=quiet) as bar:
        common["progress"] = Shown(bar, steps)
        if model == "trees":
            return fit_trees(learned, judged, dataset.classes, out, trees, **common)
        common |= {"model_options": options, "init": start, "teacher": taught}
        common["weights"] = spectra_factors(dataset, training, (learned, judged))
        if members == 1:
            return fit(model, learned, judged, dataset.classes, out, training, **common)
        return fit_members(
            members, model, learned, judged, dataset.classes, out, training, **common
        )


def _check_network_options(
    model: str, init: Path | None, teacher: Path | None, members: int
) -> None:
    if members < 1:
        message = f"members: got {members}, need >= 1"
        raise ValueError(message)
    given = [
        name
        for name, value in (("init", init), ("teacher", teacher), ("members", members > 1))
        if value
    ]
    if model == "trees" and given:
        message = f"--{given[0]} is for networks; trees are trained from labels, one at a time"
        raise ValueError(message)


def _wanted(model: str, changes: dict[str, Any] | None, start: Run | None) -> Inputs:
    """What the network sees: what the run saw that it starts from, with its very constants."""
    if start is None:
        return inputs_of(model, changes)
    return Inputs.from_dict(start.inputs.to_dict() | (changes or {}))


def spectra_factors(dataset: Dataset, training: Training, caches: Sequence[Cache]) -> Pair | None:
    """Factors on the jets' weights that make their spectra flat, if that is wanted.

    Args:
        dataset: of labelled jets.
        training: options of the training; None comes back if it has no `flat_spectra`.
        caches: of the training and validation jets.

    Raises:
        ValueError: the caches' jets are in another order, or lack the quantities.
    """
    edges = training.flat_spectra
    if not edges:
        return None
    names = ["label", *edges, *(["weight"] if training.use_event_weights else [])]
    columns = []
    for split, cache in zip(("train", "validation"), caches, strict=True):
        parts = list(jets_of(dataset, split, names))
        found = {k: np.concatenate([ak.to_numpy(part[k]) for part in parts]) for k in names}
        event = np.concatenate([ak.to_numpy(part.event) for part in parts])
        if cache.event is None or not np.array_equal(event, cache.event):
            message = f"{dataset.path}: its {split} jets and their inputs are in another order"
            raise ValueError(message)
        columns.append(found)
    return flat_factors(columns[0], columns[1], edges)
