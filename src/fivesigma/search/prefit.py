"""What the prediction is before any fit: yields, and their uncertainty bin by bin."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fivesigma.search.description import Analysis
from fivesigma.search.selected import NOMINAL, contents
from fivesigma.search.systematics import (
    FreeNormalisation,
    Luminosity,
    Normalisation,
    ShapeSystematic,
    Systematic,
)
from fivesigma.search.templates import Templates

__all__ = ["prefit_covariance", "samples_in"]

Array = NDArray[np.float64]
_SIDES = ("up", "down")


def samples_in(analysis: Analysis, templates: Templates, region: str) -> list[str]:
    """The predicted samples that have a template in a region, signal last."""
    return [n for n in analysis.simulated if (region, n, NOMINAL) in templates.predicted]


def prefit_covariance(
    analysis: Analysis, templates: Templates, region: str, samples: list[str] | None = None
) -> Array:
    """(B, B) covariance of the expected events, before any fit.

    Parameters are independent; each moves all samples together, by half the difference of its two
    sides. What the data alone decide (free normalisations) has no uncertainty here.

    Args:
        analysis: the description.
        templates: its templates.
        region: which.
        samples: that are added up; default: all that are there.
    """
    names = samples_in(analysis, templates, region) if samples is None else samples
    moves: dict[str, Array] = {}
    bins = len(templates.nominal(region, names[0]).axes["x"])
    covariance = np.zeros((bins, bins))
    for sample in names:
        nominal, variance = contents(templates.nominal(region, sample))
        if analysis.templates.mc_statistics:
            covariance += np.diag(variance)
        for name, each in analysis.acting(sample, region):
            parameter = "lumi" if isinstance(each, Luminosity) else each.parameter or name
            moved = _moved(templates, (region, sample, name), each, nominal)
            moves[parameter] = moves.get(parameter, np.zeros(bins)) + moved
    for moved in moves.values():
        covariance += np.outer(moved, moved)
    return covariance


def _moved(
    templates: Templates, key: tuple[str, str, str], systematic: Systematic, nominal: Array
) -> Array:
    """(B,) change of the events at +1 sigma, averaged over both sides."""
    if isinstance(systematic, FreeNormalisation):
        return np.zeros_like(nominal)
    if isinstance(systematic, Normalisation):
        up, down = systematic.factors
        return nominal * (up - down) / 2
    if isinstance(systematic, Luminosity):
        return nominal * systematic.size
    region, sample, name = key
    high, low = (contents(templates.predicted[region, sample, f"{name}/{s}"])[0] for s in _SIDES)
    if isinstance(systematic, ShapeSystematic) and systematic.use != "both" and nominal.any():
        first, second = float(high.sum() / nominal.sum()), float(low.sum() / nominal.sum())
        if systematic.use == "normalisation":
            return nominal * (first - second) / 2
        high, low = high / first, low / second
    moved: Array = (high - low) / 2
    return moved
