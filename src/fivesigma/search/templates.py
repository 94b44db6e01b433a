"""Templates: what was selected, normalised and in its bins, with both sides of every variation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import hist
import numpy as np
from numpy.typing import NDArray

from fivesigma.search.description import Analysis
from fivesigma.search.parts import Part, normalisation
from fivesigma.search.selected import NOMINAL, RESULT, Selected, contents
from fivesigma.search.shapes import smoothed, two_sided
from fivesigma.search.systematics import (
    HistogramVariation,
    InputVariation,
    ObjectVariation,
    ShapeSystematic,
    WeightVariation,
)

__all__ = ["Templates", "templates_of"]

Array = NDArray[np.float64]
_Key = TypeVar("_Key")


@dataclass(frozen=True)
class Templates:
    """A mergeable set of histograms.

    Attributes:
        predicted: (region, sample, variation) -> histogram with the axis `x`; the variations are
            "nominal", and "<systematic>/up" and "/down" of each that changes the shape.
        observed: region -> histogram of the data, where they are open.
        raised: (region, sample) -> events that were added where bins below zero were taken for
            empty ones.
    """

    predicted: Mapping[tuple[str, str, str], hist.Hist]
    observed: Mapping[str, hist.Hist] = field(default_factory=dict)
    raised: Mapping[tuple[str, str], float] = field(default_factory=dict)

    def __add__(self, other: Templates) -> Templates:
        """Of both, e.g. of two running periods; what only one of them has is kept."""
        return Templates(
            _summed(self.predicted, other.predicted),
            _summed(self.observed, other.observed),
            _summed(self.raised, other.raised),
        )

    def nominal(self, region: str, sample: str) -> hist.Hist:
        """The nominal template."""
        return self.predicted[region, sample, NOMINAL]


def _summed(one: Mapping[_Key, Any], other: Mapping[_Key, Any]) -> dict[_Key, Any]:
    both = {name: one[name] + other[name] for name in one if name in other}
    return {**one, **other, **both}


def templates_of(
    analysis: Analysis,
    region: str,
    selected: Sequence[tuple[Part, Selected]],
    half: int,
    edges: Array | None,
) -> Templates:
    """Templates of a region, as many events as if there were no halves.

    Args:
        analysis: the description.
        region: which.
        selected: what is left of each part.
        half: of the simulated events, that is looked at.
        edges: of the bins; None: those of the histograms.

    Raises:
        ValueError: a variation that is missing, edges that a histogram lacks, or weights that add
            up to nothing.
    """
    predicted: dict[tuple[str, str, str], hist.Hist] = {}
    observed: dict[str, hist.Hist] = {}
    overflow = analysis.region(region).binning.overflow
    for part, each in selected:
        factor = normalisation(analysis, part, each)
        _check_variations(analysis, region, part, each)
        for (place, variation), filled in each.histograms.items():
            if place != region:
                continue
            what = f"region {region}, {part.sample}"
            if analysis.samples[part.sample].kind == "data":
                _add(observed, region, _rebinned(filled, RESULT, edges, overflow, what) * factor)
            elif variation == NOMINAL or part.variation == NOMINAL:
                made = _rebinned(filled, half, edges, overflow, what)
                whole = factor * _whole(part, each, half, variation)
                name = part.variation if variation == NOMINAL else variation
                _add(predicted, (region, part.sample, name), made * whole)
    return Templates(_completed(analysis, predicted), observed)


def _add(total: dict[_Key, Any], key: _Key, made: hist.Hist) -> None:
    total[key] = total[key] + made if key in total else made


def _whole(part: Part, selected: Selected, half: int, variation: str) -> float:
    """What makes up for the other half of the events, and for a sum of weights that is kept."""
    sums = selected.sum_of_weights
    if not sums.any():
        return 1.0
    varied = selected.varied_sums.get(variation)
    if varied is None:
        return float(sums.sum() / sums[half]) if sums[half] > 0 else 0.0
    if not varied[half] > 0:
        name, _, side = variation.partition("/")
        message = (
            f"systematic {name}: the weights of all events of sample {part.sample}, "
            f"{part.given.files[0]}, times the factors {side} add up to {varied[half]:g}, "
            "expected more than 0 (normalise)"
        )
        raise ValueError(message)
    return float(sums.sum() / varied[half])


def _rebinned(
    filled: hist.Hist, half: int, edges: Array | None, overflow: bool, place: str
) -> hist.Hist:
    """One half of the events, in other bins."""
    fine = filled.axes["x"].edges
    edges = fine if edges is None else edges
    at = np.searchsorted(fine, edges - 1e-9 * (fine[-1] - fine[0]))
    if at[-1] > len(fine) - 1 or not np.allclose(fine[at], edges):
        missing = [f"{e:g}" for e in edges if not np.isclose(fine, e).any()]
        message = f"{place}: the histogram has no edge {', '.join(missing)}; choose from its own"
        raise ValueError(message)
    view = filled.view(flow=True)[half]
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
