"""`fivesigma evaluate` and `compare`: how good trained runs are on a dataset."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fivesigma import metrics
from fivesigma.report import write_results
from fivesigma.report.figures import write_figures
from fivesigma.results import Number, Result
from fivesigma.workflows.caches import open_jets
from fivesigma.workflows.scoring import Scored, load_runs, performance, score_runs

__all__ = ["compare", "evaluate", "paired"]


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
        split: "test", "validation" or "train"; "all" for jets of another simulation or of data.
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
        split: "test", "validation" or "train"; "all" for jets of another simulation or of data.
        trust: let a run import the Python module that it names.

    Returns:
        Differences of the AUC and ratios of the rejections, first against second; with several
        classes of each class against the others.

    Raises:
        ValueError: no run, no dataset, or classes that differ.
    """
    runs = load_runs([first, second], trust)
    scored = score_runs(runs, open_jets(str(data)), split)
    one, other = scored.scores
    numbers = {f"{one}-vs-{other}/{key}": value for key, value in paired(scored).items()}
    return Result(f"{one} against {other}", numbers)


def paired(scored: Scored) -> dict[str, Number]:
    """Differences of two runs on the same jets, the first against the second.

    Args:
        scored: jets with the scores of two runs.

    Returns:
        `auc_difference`, `rejection_ratio_at_50` and so on; with several classes of each against
        the others, `<class>/auc_difference`.
    """
    a, b = scored.scores.values()
    numbers: dict[str, Number] = {}
    for index, name in enumerate(scored.classes[: 1 if scored.binary else None]):
        y = (scored.label == index).astype(np.int64)
        found = metrics.compare(y, a[:, index], b[:, index])
        prefix = "" if scored.binary else f"{name}/"
        numbers |= {prefix + key: value for key, value in found.items()}
    return numbers
