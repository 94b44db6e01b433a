"""What a report says of classifiers that were trained in folds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import awkward as ak
import numpy as np

from fivesigma import metrics, plots
from fivesigma.metrics.significance import best_cut, significance_curve
from fivesigma.plots.classifiers import (
    correlation_matrix,
    number_pairs,
    significance_cuts,
    train_test_scores,
)
from fivesigma.results import Number, Result
from fivesigma.search.classifiers import (
    CLASSES,
    SIGNAL,
    Folded,
    Shares,
    Spectrum,
    correlations,
    hypotheses,
    overtraining,
    pairs_of,
    permutation_importance,
    shares_of,
    stability,
    strength_gain,
    strength_uncertainty,
    with_parameter,
    yields_of,
)

__all__ = ["Sample", "sections"]

_LABELS = {
    "asimov": "Expected significance",
    "simple": r"$s\,/\,\sqrt{b}$",
    "ams": r"AMS ($b_r$ = 10)",
}


@dataclass(frozen=True)
class Sample:
    """Labelled events and the classifiers that were trained on them.

    Attributes:
        events: (N,) labelled events.
        varied: variation -> the same events under it.
        quantities: names of the events' own quantities.
        mass: quantity that should not be shaped, or "".
        expected: events of signal and background, or empty.
        background_uncertainty: relative.
        trained: name -> classifier.
        aimed: name -> classifier that it started from, of those with an aim beyond the classes.
    """

    events: ak.Array
    varied: Mapping[str, ak.Array]
    quantities: tuple[str, ...]
    mass: str
    expected: tuple[float, ...]
    background_uncertainty: float
    trained: Mapping[str, Folded]
    aimed: Mapping[str, str]

    @cached_property
    def y(self) -> np.ndarray:
        """(N,) 1 for signal, 0 for background, as metrics have it."""
        return (ak.to_numpy(self.events["label"]) == SIGNAL).astype(np.int64)

    @cached_property
    def scores(self) -> dict[str, np.ndarray]:
        """Classifier -> (N,) scores by trainings that did not see the events."""
        return {name: each.held_out(self.events) for name, each in self.trained.items()}

    @cached_property
    def shares(self) -> Shares:
        """How the events were shared."""
        return shares_of(self.events, next(iter(self.trained.values())).folds)

    @cached_property
    def absolute(self) -> np.ndarray:
        """(N,) weights >= 0 of which both classes have as much, for efficiencies."""
        weight = np.abs(yields_of(self.events))
        return weight / np.bincount(self.y, weight)[self.y]

    def expectation(self, events: ak.Array) -> np.ndarray:
        """(N,) signed number of events that each one stands for, nominal or varied."""
        weight, nominal = yields_of(events), yields_of(self.events)
        if not self.expected:
            return weight
        scale = np.ones(len(weight))
        for total, own in zip(self.expected, (self.y == 1, self.y == 0), strict=True):
            scale[own] = total / nominal[own].sum()
        return weight * scale

    def scores_under(self, name: str) -> dict[str, np.ndarray]:
        """Variation -> (N,) scores of a classifier."""
        return {key: self.trained[name].held_out(each) for key, each in self.varied.items()}


def sections(sample: Sample) -> list[Result]:
    """The sections of a report, each with its numbers.

    Args:
        sample: events and classifiers.
    """
    found = [_performance(sample), _significance(sample), _training(sample), _inputs(sample)]
    if sample.mass:
        found.append(_decorrelation(sample))
    if sample.varied:
        found.append(_stability(sample))
    if sample.varied or sample.background_uncertainty:
        found.append(_strength(sample))
    parametrised = {k: v for k, v in sample.trained.items() if v.parameter}
    if parametrised:
        found.append(_parametrised(sample, parametrised))
    return found


def _performance(sample: Sample) -> Result:
    numbers: dict[str, Number] = {}
    curves = {}
    for name, score in sample.scores.items():
        numbers |= metrics.binary_report(name, sample.y, score, sample.absolute)
        curves[name] = metrics.roc(sample.y, score, sample.absolute)
    negative = int(np.count_nonzero(yields_of(sample.events) < 0))
    note = f"{len(sample.y)} events, each scored by a training that never saw it."
    if negative:
        note += f" {negative} have negative weights, whose size counts in efficiencies."
    figures = {
        "Background rejection against signal efficiency": plots.roc_curves(curves),
        "Significance improvement": plots.significance_curves(curves),
    }
    return Result("Performance", numbers, figures, note=note)


def _significance(sample: Sample) -> Result:
    weight = sample.expectation(sample.events)
    numbers: dict[str, Number] = {}
    figures: dict[str, Any] = {}
    failed: list[str] = []
    for kind, label in _LABELS.items():
        options = (kind, sample.background_uncertainty)
        curves = {}
        for name, score in sample.scores.items():
            curves[name] = significance_curve(sample.y, score, weight, *options)
            try:
                found = best_cut(sample.y, score, weight, sample.shares.half, *options)
                numbers[f"{name}/{kind}"] = found
            except (
                ValueError
            ) as error:  # too few events for a cut: the curve is shown all the same
                failed.append(f"{name}: {error}")
        title = {"asimov": "Expected significance", "simple": "s over root b", "ams": "AMS"}[kind]
        figures[f"{title} against the cut"] = significance_cuts(curves, label)
    s, b = (weight[sample.y == k].sum() for k in (1, 0))
    note = (
        f"For {s:.4g} signal and {b:.4g} background events, the background known to "
        f"{100 * sample.background_uncertainty:.3g} % in the expected significance. Bands and "
        "errors are those of the simulation's size. Numbers are of cuts found on one half of the "
        "events and applied to the other."
    )
    note += "".join(f" {each}." for each in dict.fromkeys(failed))
    return Result("Significance", numbers, figures, note=note)


def _training(sample: Sample) -> Result:
    numbers: dict[str, Number] = {}
    figures = {}
    for name, trained in sample.trained.items():
        found = overtraining(trained, sample.events)
        numbers |= {f"{name}/{key}": value for key, value in found.numbers.items()}
        sides = [
            {c: (found.scores[f"{c}, {k}"], found.weights[f"{c}, {k}"]) for c in CLASSES}
            for k in ("train", "test")
        ]
        figures[f"Scores of {name}, training and test"] = train_test_scores(*sides)
    note = (
        "The gap is that of the AUC, training less test. The p-value is that of a "
        "Kolmogorov-Smirnov test of both, the smallest of the folds times their number. All other "
        "figures are of held-out events: a gap costs performance, not honesty."
    )
    return Result("Training against test", numbers, figures, note=note)


def _inputs(sample: Sample) -> Result:
    numbers: dict[str, Number] = {}
    figures = {}
    for name, trained in sample.trained.items():
        ranking = permutation_importance(trained, sample.events)
        numbers |= {f"{name}/importance/{key}": value for key, value in ranking.items()}
        title = f"What {name} lives on"
        figures[title] = plots.feature_importance(ranking, "Loss of AUC when shuffled")
    if sample.quantities:
        for index, name in enumerate(CLASSES):
            matrix = correlations(sample.events, sample.quantities, index)
            figures[f"Correlations in {name}"] = correlation_matrix(matrix, sample.quantities)
    return Result("Inputs", numbers, figures)


def _decorrelation(sample: Sample) -> Result:
    mass = ak.to_numpy(sample.events[sample.mass])
    numbers: dict[str, Number] = {}
    points = {}
    for name, score in sample.scores.items():
        distance = metrics.mass_sculpting(sample.y, score, mass, 0.5, sample.absolute)
        # the literature's JSD is the divergence, the distance squared
        inverse = distance.value**-2
        numbers[f"{name}/mass_jsd_at_50"] = distance
        numbers[f"{name}/inverse_jsd"] = Number(
            inverse, 2 * inverse * distance.uncertainty / distance.value, note=distance.note
        )
        rejection = metrics.rejection(sample.y, score, 0.5, sample.absolute)
        points[name] = (numbers[f"{name}/inverse_jsd"], rejection)
    background = sample.y == 0
    figures = {
        "Rejection against decorrelation": number_pairs(
            points, "1/JSD at 50 % signal efficiency", r"1/$\varepsilon_B$ at 50 %"
        )
    }
    for name, score in sample.scores.items():
        figures[f"{sample.mass} of background that passes {name}"] = plots.sculpting(
            sample.y, score, mass, label=sample.mass, unit=""
        )
    note = f"{np.count_nonzero(background)} background events; JSD is that of {sample.mass}."
    return Result("Independence of the mass", numbers, figures, note=note)


def _stability(sample: Sample) -> Result:
    numbers: dict[str, Number] = {}
    points = {}
    for name, score in sample.scores.items():
        found = stability(sample.y, score, sample.scores_under(name), sample.absolute)
        numbers |= {
            f"{name}/{k}": v for k, v in found.items() if k not in ("auc", "rejection_at_50")
        }
        points[name] = (found["rejection_spread"], found["rejection_at_50"])
    figure = number_pairs(
        points, r"Relative spread of 1/$\varepsilon_B$", r"1/$\varepsilon_B$ at 50 %"
    )
    names = ", ".join(pairs_of(list(sample.varied)))
    note = f"Trained on nominal events, tested on varied ones: {names}."
    return Result("Accuracy against stability", numbers, {"Accuracy against stability": figure},
                  note=note)  # fmt: skip


def _strength(sample: Sample) -> Result:
    weight = sample.expectation(sample.events)
    spectra = {}
    for name, score in sample.scores.items():
        moved = sample.scores_under(name)
        varied = {
            key: [(moved[side], sample.expectation(sample.varied[side])) for side in sides]
            for key, sides in pairs_of(list(sample.varied)).items()
        }
        spectra[name] = Spectrum(sample.y, (score, weight), varied, sample.background_uncertainty)
    numbers = {f"{name}/mu_uncertainty": strength_uncertainty(s) for name, s in spectra.items()}
    for name, start in sample.aimed.items():
        if start:
            gain = strength_gain(spectra[start], spectra[name])
            numbers[f"{name}/mu_uncertainty_gain_over_{start}"] = gain
    note = (
        "Expected uncertainty of the signal strength in a fit of the score's histogram with all "
        "variations as nuisance parameters, on held-out events; the gain is paired on the events."
    )
    return Result("Uncertainty of the signal strength", numbers, note=note)


def _parametrised(sample: Sample, parametrised: Mapping[str, Folded]) -> Result:
    numbers: dict[str, Number] = {}
    for name, trained in parametrised.items():
        true = ak.to_numpy(sample.events[trained.parameter])
        for value in hypotheses(sample.events, trained.parameter):
            asked = with_parameter(sample.events, trained.parameter, value)
            own = (sample.y == 0) | (true == value)
            score = trained.held_out(asked)
            key = f"{name}/auc_at_{value:g}"
            numbers[key] = metrics.auc(sample.y[own], score[own], sample.absolute[own])
    note = "Signal of each value of the parameter against all background, asked for this value."
    return Result("Parametrised classifiers", numbers, note=note)
