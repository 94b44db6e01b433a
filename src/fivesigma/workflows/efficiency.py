"""`fivesigma efficiency`: how good a tagger gets with how many training jets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from fivesigma import metrics, plots
from fivesigma.batches import Cache
from fivesigma.progress import Progress
from fivesigma.report import write_results
from fivesigma.report.figures import write_figures
from fivesigma.results import Number, Result
from fivesigma.training import Training, fit
from fivesigma.workflows.caches import open_jets, split_caches
from fivesigma.workflows.scoring import score_runs
from fivesigma.workflows.train import inputs_of

__all__ = ["efficiency"]

#: no training has more than so many times the epochs that were asked for
_MOST_EPOCHS = 10


def efficiency(
    out: Path,
    *,
    data: Path,
    model: str = "pfn",
    fractions: Sequence[float] = (0.01, 0.05, 0.2, 1.0),
    repeats: int = 1,
    training: Training = Training(),  # noqa: B008 (frozen)
    seed: int = 0,
    overwrite: bool = False,
    quiet: bool = False,
) -> Result:
    """Train on ever more jets and see how AUC and background rejection grow.

    A smaller sample is part of the larger ones. It is passed more often, up to ten times as often,
    so that trainings have about the same number of steps; the epoch with the smallest validation
    loss counts. Repeating the command goes on where it stopped.

    Examples:
        fivesigma efficiency runs/efficiency --data data/top --model pfn --repeats 3

    Args:
        out: folder of the runs, of `results.json` and of the figures.
        data: dataset of labelled jets.
        model: as for `train`.
        fractions: of the training jets, greater than 0 and at most 1.
        repeats: trainings at each fraction, on other jets where there are, from other weights.
        training: options of the training on all jets.
        seed: of the choice of jets; weights begin with `training.seed`.
        overwrite: discard runs in this folder.
        quiet: show no progress.

    Returns:
        `<model>-<percent>/auc` and so on, means over the repeats; the uncertainty is that of the
        test sample and the spread of the repeats, added in quadrature.

    Raises:
        ValueError: fractions out of range, or unfit data.
    """
    if not fractions or min(fractions) <= 0 or max(fractions) > 1 or repeats < 1:
        message = f"got fractions {list(fractions)} and {repeats} repeats; need 0 < fraction <= 1"
        raise ValueError(message)
    dataset = open_jets(str(data))
    train, validation = split_caches(dataset, inputs_of(model), "train", "validation")
    numbers: dict[str, Number] = {}
    sizes: list[int] = []
    with Progress(f"training {model}", len(fractions) * repeats, "runs", quiet=quiet) as bar:
        for fraction in sorted(fractions):
            name = f"{model}-{100 * fraction:g}"
            runs = {}
            for repeat in range(repeats):
                part = _part(train, fraction, seed + repeat)
                run = fit(
                    *(model, part, validation, dataset.classes, out / f"{name}-{repeat}"),
                    _scaled(training, fraction, repeat),
                    config={"fraction": fraction, "repeat": repeat, "training": asdict(training)},
                    overwrite=overwrite,
                )
                runs[f"{name}-{repeat}"] = run
                bar(len(sizes) * repeats + repeat + 1, f"{len(part)} jets")
            sizes.append(len(part))
            scored = score_runs(runs, dataset)
            numbers |= _means(name, scored.signal, [scored.score(run) for run in runs])
            numbers[f"{name}/training_jets"] = Number(len(part))
    result = Result(
        f"{model}: how good with how many training jets",
        numbers,
        {"efficiency": plots.against_jets(sizes, _curves(numbers, model, sorted(fractions)))},
    )
    write_results(out / "results.json", [result], overwrite=True)
    write_figures(out / "figures", result.figures)
    return result


def _part(train: Cache, fraction: float, seed: int) -> Cache:
    """So many of the jets of each class; smaller parts are within larger ones."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(train))
    label = train.label[order] if train.label is not None else np.zeros(len(train), np.int64)
    kept = [
        order[label == each][: max(1, round(fraction * (label == each).sum()))]
        for each in np.unique(label)
    ]
    return train.take(np.sort(np.concatenate(kept)))


def _scaled(training: Training, fraction: float, repeat: int) -> Training:
    epochs = min(round(training.epochs / fraction), _MOST_EPOCHS * training.epochs)
    return replace(training, epochs=epochs, seed=training.seed + repeat)


def _means(name: str, signal: np.ndarray, scores: list[np.ndarray]) -> dict[str, Number]:
    """Means over the repeats."""
    reports = [metrics.binary_report("run", signal, score) for score in scores]
    numbers = {}
    for figure in ("auc", "rejection_at_50", "rejection_at_30"):
        found = [report[f"run/{figure}"] for report in reports]
        values = np.array([number.value for number in found])
        spread = values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.0
        error = float(np.hypot(np.mean([number.uncertainty for number in found]), spread))
        numbers[f"{name}/{figure}"] = Number(float(values.mean()), error, note=found[0].note)
    return numbers


def _curves(
    numbers: dict[str, Number], model: str, fractions: Sequence[float]
) -> dict[str, list[Number]]:
    titles = {"AUC": "auc", "background rejection at 50 %": "rejection_at_50"}
    return {
        title: [numbers[f"{model}-{100 * fraction:g}/{key}"] for fraction in fractions]
        for title, key in titles.items()
    }
