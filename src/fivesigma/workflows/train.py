"""`fivesigma train`: a tagger from a dataset of labelled jets."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from fivesigma.batches import Inputs
from fivesigma.models import find
from fivesigma.progress import Progress
from fivesigma.runs import Run
from fivesigma.training import Training, fit
from fivesigma.trees import Trees, fit_trees, tree_inputs
from fivesigma.workflows.caches import open_jets, split_caches

__all__ = ["inputs_of", "train"]


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


class _Shown:
    """Shows the progress of a training on a bar of epochs."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar

    def __call__(self, line: dict[str, Any]) -> None:
        if line["kind"] == "batch":
            note = f"loss {line['loss']:.4f}, {line['jets_per_second']:.0f} jets/s"
            self._bar(line["epoch"] - 1, note)
        else:
            self._bar(line["epoch"], f"validation loss {line['validation_loss']:.4f}")


def train(
    out: Path,
    *,
    data: Path,
    model: str = "pfn",
    training: Training = Training(),  # noqa: B008 (frozen)
    trees: Trees = Trees(),  # noqa: B008 (frozen)
    inputs: dict[str, Any] | None = None,
    options: dict[str, Any] | None = None,
    keep_inputs: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
) -> Run:
    """Train a tagger.

    Repeating the command resumes an interrupted training, to the very same weights.

    Examples:
        fivesigma train runs/cnn --data data/top --model cnn --training.epochs 10
        fivesigma train runs/trees --data data/top --model trees
        fivesigma train runs/mine --data data/top --model my_module:MyNet

    Args:
        out: folder of the run.
        data: dataset of labelled jets.
        model: cnn, pfn, efn, deepsets-max, trees, or your own network as my_module:MyNet.
        training: options of the training of a network.
        trees: options of the training of trees.
        inputs: what the model sees, where it differs from its default, e.g. {"pixels": 64}.
        options: of the architecture, e.g. {"phi": [64, 64]}.
        keep_inputs: keep what the model sees in the dataset's folder `prepared`: the next
            training on it begins at once, and larger datasets than memory can be trained on.
        overwrite: discard a run in this folder.
        quiet: show no progress.

    Returns:
        The run.

    Raises:
        ValueError: unknown model or option, unfit data, or a folder with another run.
    """
    dataset = open_jets(str(data))
    wanted = inputs_of(model, inputs)
    training_jets, validation_jets = split_caches(
        dataset, wanted, "train", "validation", keep=keep_inputs
    )
    common: dict[str, Any] = {
        "config": {
            "out": str(out), "data": str(data), "model": model, "training": asdict(training),
            "trees": asdict(trees), "inputs": inputs, "options": options,
        },
        "provenance": {
            "dataset": str(data),
            "settings_hash": dataset.manifest["settings_hash"],
            "jets": dataset.manifest["settings"].get("recipe", {}).get("jets"),
            "training_jets": len(training_jets),
            "validation_jets": len(validation_jets),
        },
        "overwrite": overwrite,
    }  # fmt: skip
    steps = trees.rounds if model == "trees" else training.epochs
    with Progress(f"training {model}", steps, "epochs", quiet=quiet) as bar:
        common["progress"] = _Shown(bar)
        if model == "trees":
            return fit_trees(training_jets, validation_jets, dataset.classes, out, trees, **common)
        return fit(
            model, training_jets, validation_jets, dataset.classes, out, training,
            model_options=options, **common,
        )  # fmt: skip
