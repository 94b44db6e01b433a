"""What the prediction is before any fit: yields, and their uncertainty bin by bin."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fivesigma.search.description import Analysis
from fivesigma.search.effects import effect_of
from fivesigma.search.selected import NOMINAL, contents
from fivesigma.search.systematics import (
    Luminosity,
    Normalisation,
    ShapeSystematic,
    Systematic,
)
from fivesigma.search.templates import Templates

__all__ = ["prefit_covariance", "prefit_moves", "samples_in"]

Array = NDArray[np.float64]


def samples_in(analysis: Analysis, templates: Templates, region: str) -> list[str]:
    """The predicted samples that have a template in a region, signal last."""
    return [n for n in analysis.simulated if (region, n, NOMINAL) in templates.predicted]


def prefit_covariance(
    analysis: Analysis, templates: Templates, region: str, samples: list[str] | None = None
) -> Array:
    """(B, B) covariance of the expected events, before any fit.

    Parameters are independent; each moves all samples together, by half the difference of its two
    sides, as in the model: what is pruned there does not count. What the data alone decide (free
    normalisations) has no uncertainty here.

    Args:
        analysis: the description.
        templates: its templates.
        region: which.
        samples: that are added up; default: all that are there.
    """
    names = samples_in(analysis, templates, region) if samples is None else samples
    bins = len(templates.nominal(region, names[0]).axes["x"])
    covariance = np.zeros((bins, bins))
    for sample in names if analysis.templates.mc_statistics else ():
        covariance += np.diag(contents(templates.nominal(region, sample))[1])
    for moved in prefit_moves(analysis, templates, region, names).values():
        covariance += np.outer(moved, moved)
    return covariance


def prefit_moves(
    analysis: Analysis, templates: Templates, region: str, samples: list[str]
) -> dict[str, Array]:
    """(B,) change of the expected events of some samples together, at +1 sigma, by parameter.

    As in the model: what is pruned there does not count. Of what the data alone decide there is
    none.

    Args:
        analysis: the description.
        templates: its templates.
        region: which.
        samples: that are added up.
    """
    moves: dict[str, Array] = {}
    for sample in samples:
        for name, each in analysis.acting(sample, region):
            moved = _moved(analysis, templates, (region, sample, name), each)
            parameter = "lumi" if isinstance(each, Luminosity) else each.parameter or name
            moves[parameter] = moves.get(parameter, 0.0) + moved
    return moves


def _moved(
    analysis: Analysis, templates: Templates, key: tuple[str, str, str], systematic: Systematic
) -> Array:
    """(B,) change of the events at +1 sigma, averaged over both sides."""
    nominal, _ = contents(templates.nominal(*key[:2]))
    moved = np.zeros_like(nominal)
    if isinstance(systematic, Normalisation):
        up, down = systematic.factors
        moved = nominal * (up - down) / 2
    elif isinstance(systematic, Luminosity):
        moved = nominal * systematic.size
    elif isinstance(systematic, ShapeSystematic):
        shape, _ = effect_of(templates, key, systematic, analysis.templates.prune)
        if shape.factors is not None:
            moved = nominal * (shape.factors[0] - shape.factors[1]) / 2
        if shape.templates is not None:
            moved = moved + (shape.templates[0] - shape.templates[1]) / 2
    return moved
