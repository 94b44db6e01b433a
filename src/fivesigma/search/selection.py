"""From events to histograms: objects, new quantities, cuts, regions, and all of it again for
each variation of the objects."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import awkward as ak
import hist
import numpy as np

from fivesigma import expressions
from fivesigma.datasets import split_of
from fivesigma.search.description import Analysis, Binning
from fivesigma.search.samples import Input
from fivesigma.search.scores import Score
from fivesigma.search.selected import NOMINAL, RESULT, Selected, empty_histogram
from fivesigma.search.state import State, with_objects
from fivesigma.search.systematics import ObjectVariation, WeightVariation
from fivesigma.search.variations import Variation

__all__ = ["Filling", "Selecting", "selecting"]

_MOMENTUM = ("pt", "eta", "phi", "mass")


@dataclass(frozen=True)
class Filling:
    """How a region is filled: its cut, what is histogrammed, the edges of the bins, and whether
    it is fitted, so that its events may be in no other region that is."""

    selection: str
    discriminant: str
    edges: tuple[float, ...]
    fitted: bool = True


@dataclass(frozen=True)
class Selecting:
    """All that is done with the events of one input; picklable, and its own cache key.

    Attributes:
        where: which events belong to the input.
        objects: collection -> cut on its objects.
        define: new quantity -> expression.
        scores: new quantity -> score of a run.
        cuts: name -> cut on events, in order.
        regions: name -> how it is filled.
        weight: expression; none: 1.
        generator_weight: expression of what is summed over all events.
        factors: weight variation -> expression of the factor on the weight.
        normalised: those of these that leave the sum of the weights of all events as it is.
        variations: object variation -> what is changed.
        halves: whether the events are parted into two halves.
        closed: whether a region is left closed: the common cuts are then not counted, since
            their counts less those of the open regions are that of the closed one.
    """

    where: str = ""
    objects: Mapping[str, str] = field(default_factory=dict)
    define: Mapping[str, str] = field(default_factory=dict)
    scores: Mapping[str, Score] = field(default_factory=dict)
    cuts: Mapping[str, str] = field(default_factory=dict)
    regions: Mapping[str, Filling] = field(default_factory=dict)
    weight: str = ""
    generator_weight: str = ""
    factors: Mapping[str, str] = field(default_factory=dict)
    normalised: tuple[str, ...] = ()
    variations: Mapping[str, Variation] = field(default_factory=dict)
    halves: bool = False
    closed: bool = False

    def _texts(self) -> Iterator[str]:
        yield from (self.where, self.weight, self.generator_weight, *self.cuts.values())
        yield from (*self.define.values(), *self.factors.values())
        for region in self.regions.values():
            yield from (region.selection, region.discriminant)
        for variation in self.variations.values():
            yield from variation.change.values()
        for score in self.scores.values():
            yield from score.texts()

    def reads(self, fields: list[str]) -> list[str] | None:
        """Which fields of the events have to be read.

        Where an expression uses whole objects, those of their fields are read that any expression
        names, and their momenta.
        """
        texts = [text for text in self._texts() if text]
        names = {name for text in texts for name in expressions.parse(text).names}
        names |= {name for each in self.variations.values() for name in each.reads()}
        for collection, text in self.objects.items():
            names |= {f"{collection}.{name}" for name in expressions.parse(text).names}
        words = set(re.findall(r"\w+", " ".join([*texts, *self.objects.values()])))
        wanted = set()
        for name in names:
            if name.split(".")[0] in {**self.define, **self.scores}:
                continue
            inner = [each for each in fields if each.startswith(f"{name}.")]
            ends = words.union(_MOMENTUM)
            used = {each for each in inner if each.rsplit(".", 1)[1] in ends}
            wanted |= used or set(inner[:1]) or {name}
        return sorted(wanted) or fields[:1]

    def __call__(self, events: ak.Array, number: np.ndarray) -> Selected:
        """Select.

        Args:
            events: (N,) records of `reads`.
            number: (N,) that tell the events apart; decide the half.

        Raises:
            ValueError: an expression that fails, weights or discriminants that are not finite.
        """
        if self.where:
            kept = expressions.passing(events, self.where)
            events, number = events[kept], number[kept]
        half = np.full(len(events), RESULT)
        if self.halves:
            half = np.where(split_of(number, (0.5, 0.0, 0.5)) == 0, 1 - RESULT, RESULT)
        start = self._start(events, half)
        total = start.numbers(self.generator_weight or self.weight, "generator weight")
        sums = {
            name: total * start.numbers(self.factors[name], f"systematic {name}: factor")
            for name in self.normalised
        }
        flow, filled = self._filled(start, {NOMINAL: "", **self.factors})
        for name, variation in self.variations.items():
            try:
                other = variation(events, number, zlib.crc32(name.encode()))
                other = self._start(other, half)
                filled |= self._filled(other, {name: ""})[1]
            except ValueError as error:
                message = f"systematic {name}: {error}"
                raise ValueError(message) from None
        by_half = {name: np.bincount(half, each, minlength=2) for name, each in sums.items()}
        return Selected(flow, np.bincount(half, total, minlength=2), filled, by_half)

    def _start(self, events: ak.Array, half: np.ndarray) -> State:
        """All events, with the objects that are left."""
        for collection, text in self.objects.items():
            events = with_objects(events, collection, text)
        return State(events, half, self.define, self.scores)

    def _filled(
        self, state: State, factors: Mapping[str, str]
    ) -> tuple[dict[str, np.ndarray], dict[tuple[str, str], hist.Hist]]:
        """Cut-flow and histograms, with the weights times each factor."""
        hidden = self.closed and not self.cuts  # all events are those of the regions
        flow = {} if hidden else {"all events": state.count(self.weight)}
        for name, text in self.cuts.items():
            state = state.passing(text, f"cut {name!r}")
            if not self.closed:
                flow[name] = state.count(self.weight)
        filled = {}
        taken: dict[str, np.ndarray] = {}
        for name, region in self.regions.items():
            inside = state.passing(region.selection, f"region {name}")
            if region.fitted:
                _refuse_overlap(taken, name, inside.row)
            flow[f"region {name}"] = inside.count(self.weight)
            weight = inside.numbers(self.weight, "weight")
            x = inside.numbers(region.discriminant, f"region {name}: discriminant")
            end = region.edges[-1]  # belongs to the last bin: a score may be just 1
            x = np.where(x == end, np.nextafter(end, -np.inf), x)
            for variation, text in factors.items():
                factor = inside.numbers(text, f"systematic {variation}: factor") if text else 1.0
                made = empty_histogram(np.asarray(region.edges))
                made.fill(inside.half, x, weight=weight * factor)
                filled[name, variation] = made
        return flow, filled


def _refuse_overlap(taken: dict[str, np.ndarray], name: str, rows: np.ndarray) -> None:
    """Regions that are fitted together are independent: no event is in two of them."""
    for other, theirs in taken.items():
        both = np.intersect1d(rows, theirs, assume_unique=True).size
        if both:
            message = (
                f"regions {other} and {name} have {both} events in common, which the fit would "
                "count twice; part them by their selections, or make one kind: validation"
            )
            raise ValueError(message)
    taken[name] = rows


def selecting(
    analysis: Analysis, sample: str, given: Input, *, unblind: bool, nominal: bool = False
) -> Selecting:
    """What is done with the events of one input.

    Args:
        analysis: the description.
        sample: whose input it is.
        given: the input.
        unblind: whether data in signal regions are looked at; else they are not even filled.
        nominal: leave out all variations.
    """
    info = analysis.samples[sample]
    data = info.kind == "data"
    names = [
        name
        for name, region in analysis.regions.items()
        if name in (given.regions or analysis.regions)
        and (unblind or not data or region.kind != "signal")
    ]
    factors: dict[str, str] = {}
    normalised: dict[str, None] = {}  # in order, once
    variations: dict[str, Variation] = {}
    acting = (
        [] if data or nominal else [pair for n in names for pair in analysis.shapes(sample, n)]
    )
    for name, each in acting:
        if isinstance(each, WeightVariation):
            sides = {f"{name}/{side}": getattr(each, side) for side in each.sides}
            factors |= sides
            normalised |= dict.fromkeys(sides) if each.normalise else {}
        elif isinstance(each, ObjectVariation):
            for side in each.sides:
                variations[f"{name}/{side}"] = Variation(
                    each.change(side), bool(each.smear), each.sort, each.propagate
                )
    filled = {name: analysis.region(name) for name in names}
    regions = {
        name: Filling(
            each.selection, each.discriminant, _edges(each.binning), each.kind != "validation"
        )
        for name, each in filled.items()
    }
    return Selecting(
        where=given.where,
        objects=analysis.objects,
        define=analysis.define,
        scores=analysis.scores,
        cuts=analysis.selection,
        regions=regions,
        weight=info.weight,
        generator_weight=info.generator_weight,
        factors=factors,
        normalised=tuple(normalised),
        variations=variations,
        halves=not data and any(each.binning.chosen for each in filled.values()),
        closed=len(names) < len(given.regions or analysis.regions),
    )


def _edges(binning: Binning) -> tuple[float, ...]:
    """Edges that are filled: those given, or fine ones to choose from."""
    if binning.edges:
        return binning.edges
    bins = binning.fine if binning.chosen else binning.bins
    return tuple(np.linspace(binning.range[0], binning.range[1], bins + 1).tolist())
