"""`fivesigma rank`: many taggers in one table, on one or more datasets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fivesigma import metrics
from fivesigma.report import format_number, write_results
from fivesigma.report.numbers import marked, write_text
from fivesigma.results import Number, Result, Table
from fivesigma.runs import Run
from fivesigma.workflows.caches import open_jets
from fivesigma.workflows.scoring import Scored, load_runs, score_runs

__all__ = ["markdown", "rank", "table_of"]

_FIGURES = {"auc": "AUC", "rejection_at_50": "rejection at 50 %", "rejection_at_30": "at 30 %"}


def rank(
    runs: Sequence[Path],
    *,
    data: Sequence[Path],
    out: Path,
    trust: bool = False,
    overwrite: bool = False,
) -> Result:
    """Put taggers into one table: size, speed, and how good they are where.

    Of the first dataset the test jets are scored, of the others, which nobody trained on, all
    jets. Writes `table.md` and `results.json`.

    Examples:
        fivesigma rank runs/top/* --data data/top,data/published --out runs/rank

    Args:
        runs: folders of runs; others among them are passed over.
        data: datasets of labelled jets with the runs' classes.
        out: folder to write into.
        trust: let a run import the Python module that it names.
        overwrite: replace the table that is there.

    Returns:
        `<run>/auc` and so on of the first dataset, `<run>/<dataset>/auc` of the others, and the
        table, the best AUC first.

    Raises:
        ValueError: no runs, two runs or datasets of the same name, classes that differ, or a
            table that is there.
    """
    found = load_runs([path for path in runs if (path / "model.yaml").exists()], trust)
    if not found or not data:
        message = f"{len(found)} runs and {len(data)} datasets; give at least one of each"
        raise ValueError(message)
    scored = {
        name: score_runs(found, open_jets(str(path)), "all" if i else "test")
        for i, (name, path) in enumerate(_names(data).items())
    }
    numbers: dict[str, Number] = {}
    for i, (name, each) in enumerate(scored.items()):
        for run in found:
            prefix = f"{run}/{name}/" if i else f"{run}/"
            numbers |= {prefix + key: value for key, value in _merits(each, run).items()}
    first = next(iter(scored.values()))
    for name, one in found.items():
        numbers |= {f"{name}/{key}": value for key, value in _cost(one, first).items()}
    order = sorted(found, key=lambda run: -numbers[f"{run}/auc"].value)
    table = table_of(numbers, order, list(scored))
    result = Result(f"{len(found)} taggers", numbers, tables={"taggers": table}, note=table.note)
    write_text(out / "table.md", markdown(table), overwrite)
    write_results(out / "results.json", [result], overwrite)
    return result


def _names(data: Sequence[Path]) -> dict[str, Path]:
    """Datasets by the names that were given: a link has its own."""
    named: dict[str, Path] = {}
    for path in data:
        name = path.absolute().name
        if name in named:
            message = f"two datasets of the name {name!r}; rename one of the folders"
            raise ValueError(message)
        named[name] = path
    return named


def _merits(scored: Scored, run: str) -> dict[str, Number]:
    """AUC and rejections; of several classes the mean AUC of each against the others."""
    if not scored.binary:
        report = metrics.multiclass_report(run, scored.label, scored.scores[run], scored.classes)
        return {"auc": report[f"{run}/auc_macro"]}
    report = metrics.binary_report(run, scored.signal, scored.score(run))
    return {key: report[f"{run}/{key}"] for key in _FIGURES}


def _cost(run: Run, scored: Scored) -> dict[str, Number]:
    """Parameters, speed and length of the training."""
    history = run.history()
    cost = {
        "parameters": Number(run.n_parameters),
        "inference_rate": Number(scored.rates[run.name], unit="jets/s"),
    }
    if history and "jets_per_second" in history[0]:
        seconds = sum(line["seconds"] for line in history)
        rate = float(np.median([line["jets_per_second"] for line in history]))
        cost |= {
            "training_rate": Number(rate, unit="jets/s"),
            "passes": Number(len(history)),
            "training_minutes": Number(seconds / 60, unit="min"),
        }
    return cost


def table_of(numbers: dict[str, Number], runs: Sequence[str], datasets: Sequence[str]) -> Table:
    """The table of some runs.

    Args:
        numbers: what `rank` returns.
        runs: names, in the order of the rows.
        datasets: names; figures of the first have no prefix.
    """
    costs = {
        "parameters": "parameters",
        "passes": "passes",
        "training_minutes": "minutes",
        "training_rate": "training, jets/s",
        "inference_rate": "inference, jets/s",
    }
    columns = dict(costs)
    for i, dataset in enumerate(datasets):
        for key, title in _FIGURES.items():
            name = f"{dataset}/{key}" if i else key
            if any(f"{run}/{name}" in numbers for run in runs):
                columns[name] = f"{title}, {dataset}" if i else title
    rows = tuple((run, *(_cell(numbers, f"{run}/{name}") for name in columns)) for run in runs)
    return Table(("tagger", *columns.values()), rows, "* rests on fewer than 100 background jets")


def _cell(numbers: dict[str, Number], name: str) -> str:
    if name not in numbers:
        return "–"
    number = numbers[name]
    if name.endswith(("_rate", "_minutes")):
        return format_number(Number(float(f"{number.value:.3g}")), unit=False)
    return format_number(number, unit=False) + (" *" if marked(number) else "")


def markdown(table: Table) -> str:
    """A table in Markdown, its note below it."""
    lines = [table.columns, ("---",) * len(table.columns), *table.rows]
    text = "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
    return f"{text}\n\n{table.note}\n" if table.note else f"{text}\n"
