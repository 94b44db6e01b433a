"""Scores of runs on the jets of a dataset, and the figures of merit that follow from them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from fivesigma import metrics, plots
from fivesigma.datasets import Dataset
from fivesigma.metrics import Roc
from fivesigma.results import Number, Result
from fivesigma.runs import Run, load_run
from fivesigma.workflows.caches import jets_of, require_classes

__all__ = ["Scored", "figures_of_merit", "load_runs", "performance", "score_runs"]

_PT_BINS = 5
_ETA_BINS = 5


@dataclass(frozen=True)
class Scored:
    """Jets with the scores of some runs.

    Attributes:
        classes: names of the classes; of two the first is the signal.
        jets: (N,) the jets without their constituents.
        scores: run -> (N, C) probabilities.
        rates: run -> jets scored in a second, features included.
        parameters: run -> its number of parameters.
    """

    classes: list[str]
    jets: ak.Array
    scores: dict[str, np.ndarray]
    rates: dict[str, float]
    parameters: dict[str, int]

    @property
    def binary(self) -> bool:
        """Whether there is one signal and one background."""
        return len(self.classes) == 2

    @property
    def label(self) -> np.ndarray:
        """(N,) true classes."""
        return ak.to_numpy(self.jets.label).astype(np.int64)

    @property
    def signal(self) -> np.ndarray:
        """(N,) 1 for jets of the first class."""
        return (self.label == 0).astype(np.int64)

    def score(self, run: str) -> np.ndarray:
        """(N,) the run's probability of the first class."""
        return self.scores[run][:, 0]


def load_runs(paths: Sequence[str | Path], trust: bool = False) -> dict[str, Run]:
    """Runs by name.

    Raises:
        ValueError: two of the same name, or what `load_run` refuses.
    """
    runs: dict[str, Run] = {}
    for path in paths:
        run = load_run(path, trust=trust)
        if run.name in runs:
            message = f"two runs of the name {run.name!r}; rename one of the folders"
            raise ValueError(message)
        runs[run.name] = run
    return runs


def score_runs(runs: dict[str, Run], dataset: Dataset, split: str = "test") -> Scored:
    """Score the jets of one split with all runs, shard by shard.

    Raises:
        ValueError: a run of other classes than the dataset's, or no jets.
    """
    for run in runs.values():
        require_classes(run, dataset)
    kept: list[ak.Array] = []
    scores: dict[str, list[np.ndarray]] = {name: [] for name in runs}
    seconds = dict.fromkeys(runs, 0.0)
    for jets in jets_of(dataset, split):
        kept.append(jets[[name for name in jets.fields if name != "constituents"]])
        for name, run in runs.items():
            begin = time.perf_counter()
            scores[name].append(run.predict(jets))
            seconds[name] += time.perf_counter() - begin
    table = ak.concatenate(kept)
    if not len(table):
        message = (
            f"{dataset.path} has no {'' if split == 'all' else f'{split} '}jets; generate more"
        )
        raise ValueError(message)
    return Scored(
        dataset.classes,
        table,
        {name: np.concatenate(parts) for name, parts in scores.items()},
        {name: len(table) / max(seconds[name], 1e-9) for name in runs},
        {name: run.n_parameters for name, run in runs.items()},
    )


def figures_of_merit(scored: Scored, run: str) -> dict[str, Number]:
    """All numbers of one run, `<run>/auc` and so on."""
    if scored.binary:
        mass = ak.to_numpy(scored.jets.mass)
        numbers = metrics.binary_report(run, scored.signal, scored.score(run), mass=mass)
    else:
        numbers = metrics.multiclass_report(run, scored.label, scored.scores[run], scored.classes)
    return numbers | {
        f"{run}/parameters": Number(scored.parameters[run]),
        f"{run}/jets_per_second": Number(scored.rates[run], unit="1/s"),
    }


def performance(scored: Scored) -> list[Result]:
    """The sections of a report that compare all runs on the same jets."""
    return _binary(scored) if scored.binary else _several(scored)


def _binary(scored: Scored) -> list[Result]:
    y, runs = scored.signal, list(scored.scores)
    curves: dict[str, Roc] = {run: metrics.roc(y, scored.score(run)) for run in runs}
    numbers = {k: v for run in runs for k, v in figures_of_merit(scored, run).items()}
    best = max(runs, key=lambda run: numbers[f"{run}/auc"].value)
    mass = ak.to_numpy(scored.jets.mass)
    by_class = {
        name: scored.score(best)[scored.label == i] for i, name in enumerate(scored.classes)
    }
    calibrations = {run: metrics.calibration(y, scored.score(run)) for run in runs}
    return [
        Result(
            "Performance",
            numbers,
            {
                "Background rejection against signal efficiency": plots.roc_curves(curves),
                "Significance improvement": plots.significance_curves(curves),
                f"Scores of {best}": plots.score_distributions(by_class, "Score"),
            },
            note=f"{len(y)} test jets that no training has seen; uncertainties are statistical.",
        ),
        Result(
            "Calibration and dependence on kinematics",
            {},
            {
                "Calibration": plots.calibration_curves(calibrations),
                **_in_bins(scored, runs),
                f"Mass of background jets that pass {best}": plots.sculpting(
                    y, scored.score(best), mass
                ),
            },
            note="Rejections in bins are at the working point of 50 % signal efficiency over all "
            "jets. A tagger that shapes the background's mass after the signal's makes a bump "
            "where there is none.",
        ),
    ]


def _in_bins(scored: Scored, runs: list[str]) -> dict[str, Any]:
    figures = {}
    for field, label, unit, n in (
        ("pt", r"Jet $p_\mathrm{T}$", "GeV", _PT_BINS),
        ("eta", r"Jet $\eta$", "", _ETA_BINS),
    ):
        values = ak.to_numpy(scored.jets[field])
        edges = np.quantile(values, np.linspace(0, 1, n + 1))
        edges[-1] = np.nextafter(edges[-1], np.inf)
        binned = {
            run: metrics.rejection_in_bins(scored.signal, scored.score(run), values, edges)
            for run in runs
        }
        title = "Rejection in bins of " + ("pT" if field == "pt" else field)
        figures[title] = plots.rejection_bins(binned, label, unit)
    return figures


def _several(scored: Scored) -> list[Result]:
    numbers = {k: v for run in scored.scores for k, v in figures_of_merit(scored, run).items()}
    figures: dict[str, Any] = {}
    for run, probabilities in scored.scores.items():
        matrix = metrics.confusion(scored.label, probabilities, scored.classes)
        figures[f"Confusion matrix of {run}"] = plots.confusion_matrix(matrix)
    for index, name in enumerate(scored.classes):
        curves = {
            run: metrics.roc((scored.label == index).astype(int), probabilities[:, index])
            for run, probabilities in scored.scores.items()
        }
        figures[f"{name} against all others"] = plots.roc_curves(curves)
    note = f"{len(scored.label)} test jets that no training has seen."
    return [Result("Performance", numbers, figures, note=note)]
