"""Inputs of the samples of an analysis, those of variations too, and what their events count."""

from __future__ import annotations

from dataclasses import dataclass

from fivesigma.search.description import Analysis
from fivesigma.search.samples import Input
from fivesigma.search.selected import NOMINAL, RESULT, Selected
from fivesigma.search.systematics import InputVariation

__all__ = ["Part", "normalisation", "parts_of"]


@dataclass(frozen=True)
class Part:
    """One input of a sample, or of a variation of it.

    Attributes:
        sample: its name.
        variation: "nominal", or that of the `InputVariation` that it is for, e.g. "parton/up".
        given: the input.
    """

    sample: str
    variation: str
    given: Input


def parts_of(analysis: Analysis) -> list[Part]:
    """All inputs of an analysis, those of variations too."""
    found = [
        Part(name, NOMINAL, each)
        for name, sample in analysis.samples.items()
        for each in sample.inputs
    ]
    for name, systematic in analysis.systematics.items():
        if isinstance(systematic, InputVariation):
            for side in systematic.sides:
                found += [
                    Part(systematic.samples[0], f"{name}/{side}", each)
                    for each in getattr(systematic, side)
                ]
    return found


def normalisation(analysis: Analysis, part: Part, selected: Selected) -> float:
    """What one unit of weight of a part counts.

    Raises:
        ValueError: weights that add up to nothing.
    """
    given, sums = part.given, selected.sum_of_weights
    place = f"sample {part.sample}, {given.files[0]}"
    if sums.any() and not min(sums.sum(), sums[RESULT]) > 0:
        message = f"{place}: the weights of its events add up to {sums.sum():g}, expected more"
        raise ValueError(message)
    if given.cross_section is None:
        return given.scale
    generated = given.generated or sums.sum()
    if not generated > 0:
        message = f"{place}: a cross-section but no events; give `generated`, events or weights"
        raise ValueError(message)
    luminosity = given.luminosity or analysis.luminosity or 0.0
    return given.scale * luminosity * given.cross_section * given.k_factor / generated
