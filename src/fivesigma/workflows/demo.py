"""`fivesigma demo`: collisions, jets, taggers and a report, in one command."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fivesigma.results import Result
from fivesigma.training import Training
from fivesigma.trees import Trees
from fivesigma.workflows.generate import generate
from fivesigma.workflows.recipes import Recipe
from fivesigma.workflows.report import report
from fivesigma.workflows.train import train

__all__ = ["Tagger", "demo"]


@dataclass(frozen=True)
class Tagger:
    """One tagger of the demo.

    Attributes:
        model: as for `train`.
        training: options of the training of a network.
        trees: options of the training of trees.
        inputs: what the model sees, where it differs from its default.
        options: of the architecture.
    """

    model: str
    training: Training = field(default_factory=Training)
    trees: Trees = field(default_factory=Trees)
    inputs: dict[str, Any] | None = None
    options: dict[str, Any] | None = None


_TAGGERS = {
    "cnn": Tagger("cnn", Training(epochs=8)),
    "pfn": Tagger("pfn", Training(epochs=15)),
    "efn": Tagger("efn", Training(epochs=15)),
    "trees": Tagger("trees"),
}


def demo(
    out: Path = Path("runs/demo"),
    *,
    recipe: str | Recipe = "top-tagging",
    jets: int = 6000,
    taggers: dict[str, Tagger] = _TAGGERS,  # noqa: B006 (never changed)
    seed: int = 1,
    workers: int = 0,
    shard_size: int = 1000,
    title: str = "Top quarks or QCD? A first run of fivesigma",
    overwrite: bool = False,
    quiet: bool = False,
) -> list[Result]:
    """Run the whole chain: collisions, detector, jets, taggers, report.

    Repeating the command resumes it where it was interrupted.

    Examples:
        fivesigma demo
        fivesigma demo --jets 20000 --out runs/larger
        fivesigma demo --config configs/top-tagging.yaml

    Args:
        out: folder for the data, the runs and the report.
        recipe: which jets to make.
        jets: of each class.
        taggers: name -> model and its options.
        seed: of all randomness.
        workers: processes for the generation; 0: one for each core.
        shard_size: jets in a shard.
        title: of the report.
        overwrite: begin anew where another demo is in the folder.
        quiet: show no progress.

    Returns:
        The sections of the report.

    Raises:
        ValueError: settings that cannot work, or a folder with a demo of other settings.
    """
    data = out / "data"
    generate(
        data, recipe=recipe, jets=jets, seed=seed, workers=workers, shard_size=shard_size,
        overwrite=overwrite, quiet=quiet,
    )  # fmt: skip
    for name, tagger in taggers.items():
        train(
            out / name, data=data, model=tagger.model, training=tagger.training,
            trees=tagger.trees, inputs=tagger.inputs, options=tagger.options,
            overwrite=overwrite, quiet=quiet,
        )  # fmt: skip
    return report(
        [out / name for name in taggers],
        data=data,
        out=out,
        title=title,
        commands=_commands(out, recipe, jets, seed, taggers),
        overwrite=True,
    )


def _commands(
    out: Path, recipe: str | Recipe, jets: int, seed: int, taggers: dict[str, Tagger]
) -> list[str]:
    """The steps as one would type them."""
    name = recipe if isinstance(recipe, str) else "RECIPE.yaml"
    data = out / "data"
    runs = [str(out / run) for run in taggers]
    return [
        f"fivesigma generate {data} --recipe {name} --jets {jets} --seed {seed}",
        *(f"fivesigma train {run} --config {run}/config.yaml" for run in runs),
        f"fivesigma report {' '.join(runs)} --data {data} --out {out}",
    ]
