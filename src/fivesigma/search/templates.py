"""From what was selected to templates: normalised, in the final bins, with every variation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import hist
import numpy as np
from numpy.typing import NDArray

from fivesigma.search.binning import best_edges, equal_signal_edges
from fivesigma.search.description import Analysis, Binning
from fivesigma.search.samples import Input
from fivesigma.search.selected import CHOOSING, NOMINAL, RESULT, Selected, contents
from fivesigma.search.shapes import smoothed, two_sided
from fivesigma.search.systematics import (
    HistogramVariation,
    InputVariation,
    ObjectVariation,
    ShapeSystematic,
    WeightVariation,
)

__all__ = ["Part", "Templates", "make_templates", "normalisation", "parts_of"]

Array = NDArray[np.float64]
_Key = TypeVar("_Key")


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


@dataclass(frozen=True)
class Templates:
    """A mergeable set of histograms.

    Attributes:
        predicted: (region, sample, variation) -> histogram with the axis `x`; the variations are
            "nominal", and "<systematic>/up" and "/down" of each that changes the shape.
        observed: region -> histogram of the data, where they are open.
    """

    predicted: Mapping[tuple[str, str, str], hist.Hist]
    observed: Mapping[str, hist.Hist] = field(default_factory=dict)

    def __add__(self, other: Templates) -> Templates:
        """Of both, e.g. of two running periods; what only one of them has is kept."""
        return Templates(
            _summed(self.predicted, other.predicted), _summed(self.observed, other.observed)
        )

    def nominal(self, region: str, sample: str) -> hist.Hist:
        """The nominal template."""
        return self.predicted[region, sample, NOMINAL]


def _summed(one: Mapping[_Key, hist.Hist], other: Mapping[_Key, hist.Hist]) -> dict:
    both = {name: one[name] + other[name] for name in one if name in other}
    return {**one, **other, **both}


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


def make_templates(analysis: Analysis, selected: Sequence[tuple[Part, Selected]]) -> Templates:
    """Templates of all regions, samples and variations.

    Args:
        analysis: the description.
        selected: what is left of each part.

    Raises:
        ValueError: a variation that is missing, bins that cannot be chosen, or weights that add
            up to nothing.
    """
    scaled = [(part, normalisation(analysis, part, each), each) for part, each in selected]
    predicted: dict[tuple[str, str, str], hist.Hist] = {}
    observed: dict[str, hist.Hist] = {}
    for region in analysis.regions:
        edges = _final_edges(analysis, region, scaled)
        overflow = analysis.region(region).binning.overflow
        for part, factor, each in scaled:
            _check_variations(analysis, region, part, each)
            for (place, variation), filled in each.histograms.items():
                if place != region:
                    continue
                name = part.variation if variation == NOMINAL else variation
                made = _rebinned(filled, edges, overflow, f"region {region}, {part.sample}")
                if analysis.samples[part.sample].kind == "data":
                    _add(observed, region, made * factor)
                elif variation == NOMINAL or part.variation == NOMINAL:
                    whole = factor * _of_half(each.sum_of_weights, RESULT)
                    _add(predicted, (region, part.sample, name), made * whole)
    return Templates(_completed(analysis, predicted), observed)


def _add(total: dict, key: object, made: hist.Hist) -> None:
    total[key] = total[key] + made if key in total else made


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


def _of_half(sums: Array, half: int) -> float:
    """What makes up for the other half of the events."""
    if not sums.any():
        return 1.0
    return float(sums.sum() / sums[half]) if sums[half] > 0 else 0.0


def _final_edges(
    analysis: Analysis, region: str, scaled: Sequence[tuple[Part, float, Selected]]
) -> Array | None:
    """Edges of the final bins; None keeps those of the histograms."""
    binning = analysis.region(region).binning
    if not binning.chosen:
        return np.array(binning.edges) if binning.edges else None
    signal, background, variance = (np.zeros(binning.fine) for _ in range(3))
    for part, factor, each in scaled:
        filled = each.histograms.get((region, NOMINAL))
        if filled is None or part.variation != NOMINAL or part.sample in analysis.data:
            continue
        factor *= _of_half(each.sum_of_weights, CHOOSING)
        view = filled.view()[CHOOSING]
        if part.sample in analysis.signal:
            signal += factor * view["value"]
        else:
            background += factor * view["value"]
            variance += factor**2 * view["variance"]
    fine = np.linspace(binning.range[0], binning.range[1], binning.fine + 1)
    try:
        return _chosen_edges(binning, fine, signal, background, variance)
    except ValueError as error:
        message = f"region {region}: {error}"
        raise ValueError(message) from None


def _chosen_edges(
    binning: Binning, fine: Array, signal: Array, background: Array, variance: Array
) -> Array:
    if binning.method == "equal-signal":
        return equal_signal_edges(fine, signal, binning.bins)
    return best_edges(
        *(fine, signal, background, variance, binning.bins),
        binning.background_uncertainty,
        binning.least_background,
    )


def _rebinned(filled: hist.Hist, edges: Array | None, overflow: bool, place: str) -> hist.Hist:
    """The half for the result, in the final bins."""
    fine = filled.axes["x"].edges
    edges = fine if edges is None else edges
    at = np.searchsorted(fine, edges - 1e-9 * (fine[-1] - fine[0]))
    if at[-1] > len(fine) - 1 or not np.allclose(fine[at], edges):
        missing = [f"{e:g}" for e in edges if not np.isclose(fine, e).any()]
        message = f"{place}: the histogram has no edge {', '.join(missing)}; choose from its own"
        raise ValueError(message)
    view = filled.view(flow=True)[RESULT]
    made = hist.Hist(hist.axis.Variable(edges, name="x"), storage=hist.storage.Weight())
    inside = made.view()
    for name in ("value", "variance"):
        bins = view[name].copy()  # underflow, bins, overflow
        if overflow:
            bins[at[0] + 1] += bins[: at[0] + 1].sum()
            bins[at[-1]] += bins[at[-1] + 1 :].sum()
        inside[name] = np.add.reduceat(bins[1:], at)[:-1]
    return made


def _completed(
    analysis: Analysis, found: Mapping[tuple[str, str, str], hist.Hist]
) -> dict[tuple[str, str, str], hist.Hist]:
    """Nominal templates, and both sides of each variation, smoothed where wanted."""
    made: dict[tuple[str, str, str], hist.Hist] = {}
    for (region, sample, variation), nominal in found.items():
        if variation != NOMINAL:
            continue
        made[region, sample, NOMINAL] = nominal
        for name, systematic in analysis.shapes(sample, region):
            sides = {
                side: _side(found, (region, sample, f"{name}/{side}"), systematic)
                for side in systematic.sides
            }
            values = {side: contents(each)[0] for side, each in sides.items()}
            base, variance = contents(nominal)
            if systematic.smooth:
                values = {s: smoothed(base, each, variance) for s, each in values.items()}
            both = two_sided(base, values, systematic.symmetrise)
            for side, each in zip(("up", "down"), both, strict=True):
                copy = sides.get(side, nominal).copy()
                changed: Any = copy.view()
                changed["value"] = each
                made[region, sample, f"{name}/{side}"] = copy
    return made


_WHERE = {
    WeightVariation: "the events' weights",
    ObjectVariation: "the events, selected again",
    HistogramVariation: "the histograms in the sample's files",
    InputVariation: "inputs of its own: none of them is for this region",
}


def _check_variations(analysis: Analysis, region: str, part: Part, selected: Selected) -> None:
    """A part has every variation of its sample: else its share of the template would be lost."""
    if part.variation != NOMINAL or (region, NOMINAL) not in selected.histograms:
        return
    if analysis.samples[part.sample].kind == "data":
        return
    for name, systematic in analysis.shapes(part.sample, region):
        for side in systematic.sides if not isinstance(systematic, InputVariation) else ():
            if (region, f"{name}/{side}") not in selected.histograms:
                raise _missing((region, part.sample, f"{name}/{side}"), systematic)


def _side(
    found: Mapping[tuple[str, str, str], hist.Hist],
    key: tuple[str, str, str],
    systematic: ShapeSystematic,
) -> hist.Hist:
    if key not in found:
        raise _missing(key, systematic)
    return found[key]


def _missing(key: tuple[str, str, str], systematic: ShapeSystematic) -> ValueError:
    region, sample, variation = key
    name, _, side = variation.partition("/")
    return ValueError(
        f"systematic {name}: its variation {side} is missing for sample {sample} in region "
        f"{region}, expected from {_WHERE[type(systematic)]}; add it, or name in its "
        "`samples` and `regions` what it acts on"
    )
