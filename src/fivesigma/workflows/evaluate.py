"""`fivesigma evaluate` and `compare`: how good trained runs are on a dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fivesigma import metrics
from fivesigma.report import write_results
from fivesigma.report.figures import write_figures
from fivesigma.results import Number, Result
from fivesigma.workflows.caches import open_jets
from fivesigma.workflows.scoring import load_runs, performance, score_runs

__all__ = ["compare", "evaluate"]


def evaluate(
    run: Path, *, data: Path, split: str = "test", trust: bool = False, overwrite: bool = False
) -> Result:
    """Evaluate a tagger: figures of merit with uncertainties, and figures.

    Writes `results.json` and `figures/*.svg` into the run's folder.

    Examples:
        fivesigma evaluate runs/cnn --data data/top

    Args:
        run: folder of the run.
        data: dataset of labelled jets.
        split: "test", "validation" or "train".
        trust: let a run import the Python module that it names.
        overwrite: replace the results of an earlier evaluation.

    Returns:
        Numbers and figures.

    Raises:
        ValueError: no run, no dataset, classes that differ, or results that exist.
    """
    runs = load_runs([run], trust)
    sections = performance(score_runs(runs, open_jets(str(data)), split))
    result = Result(
        f"{run.name} on the {split} jets of {data}",
        {key: value for section in sections for key, value in section.numbers.items()},
        {name: figure for section in sections for name, figure in section.figures.items()},
    )
    write_results(run / "results.json", [result], overwrite)
    write_figures(run / "figures", result.figures)
    return result


def compare(
    first: Path, second: Path, *, data: Path, split: str = "test", trust: bool = False
) -> Result:
    """Compare two taggers on the same jets: differences with paired uncertainties.

    Examples:
        fivesigma compare runs/cnn runs/pfn --data data/top

    Args:
        first: folder of a run.
        second: folder of the run to compare it with.
        data: dataset of labelled jets.
        split: "test", "validation" or "train".
        trust: let a run import the Python module that it names.

    Returns:
        Differences of the AUC and ratios of the rejections, first against second; with several
        classes of each class against the others.

    Raises:
        ValueError: no run, no dataset, or classes that differ.
    """
    runs = load_runs([first, second], trust)
    scored = score_runs(runs, open_jets(str(data)), split)
    a, b = scored.scores.values()
    classes = scored.classes[:1] if scored.binary else scored.classes
    numbers: dict[str, Number] = {}
    for index, name in enumerate(classes):
        y = (scored.label == index).astype(np.int64)
        found = metrics.compare(y, a[:, index], b[:, index])
        prefix = f"{first.name}-vs-{second.name}/" + ("" if scored.binary else f"{name}/")
        numbers |= {prefix + key: value for key, value in found.items()}
    return Result(f"{first.name} against {second.name}", numbers)
