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
from fivesigma.expressions.values import depth, kind
from fivesigma.search.description import Analysis, Binning
from fivesigma.search.samples import Input
from fivesigma.search.scores import Score
from fivesigma.search.selected import NOMINAL, RESULT, Selected, empty_histogram
from fivesigma.search.systematics import ObjectVariation, WeightVariation
from fivesigma.search.variations import changed, smeared

__all__ = ["Filling", "Selecting", "Variation", "selecting"]

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
class Variation:
    """One side of an object variation: what is changed, and whether it is smeared."""

    change: Mapping[str, str]
    smear: bool = False


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
            yield from score.inputs.values()

    def reads(self, fields: list[str]) -> list[str] | None:
        """Which fields of the events have to be read.

        Where an expression uses whole objects, those of their fields are read that any expression
        names, and their momenta.
        """
        texts = [text for text in self._texts() if text]
        names = {name for text in texts for name in expressions.parse(text).names}
        names |= {name for each in self.variations.values() for name in each.change}
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
        flow, filled = self._filled(start, {NOMINAL: "", **self.factors})
        for name, variation in self.variations.items():
            try:
                other = self._start(_varied(events, variation, number, name), half)
                filled |= self._filled(other, {name: ""})[1]
            except ValueError as error:
                message = f"systematic {name}: {error}"
                raise ValueError(message) from None
        return Selected(flow, np.bincount(half, total, minlength=2), filled)

    def _start(self, events: ak.Array, half: np.ndarray) -> _State:
        """All events, with the objects that are left."""
        for collection, text in self.objects.items():
            events = _with_objects(events, collection, text)
        return _State(events, half, self)

    def _filled(
        self, state: _State, factors: Mapping[str, str]
    ) -> tuple[dict[str, np.ndarray], dict[tuple[str, str], hist.Hist]]:
        """Cut-flow and histograms, with the weights times each factor."""
        flow = {"all events": state.count(self.weight)}
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


def _with_objects(events: ak.Array, collection: str, text: str) -> ak.Array:
    """Events with those objects that pass a cut."""
    if collection not in events.fields:
        has = ", ".join(events.fields[:20])
        message = f"objects.{collection}: no such collection; choose from {has}"
        raise ValueError(message)
    objects = events[collection]
    kept = objects[ak.fill_none(expressions.parse(text)(objects), False)]
    return ak.with_field(events, kept, collection)


class _State:
    """Events on their way through the cuts; new quantities are computed when they are needed."""

    def __init__(
        self,
        events: ak.Array,
        half: np.ndarray,
        how: Selecting,
        row: np.ndarray | None = None,
    ) -> None:
        self.events, self.half, self.how = events, half, how
        self.row = np.arange(len(half)) if row is None else row

    def _need(self, text: str) -> None:
        """Compute the definitions that an expression uses, and those that they use."""
        for name in sorted(expressions.parse(text).names):
            name = name.split(".")[0]
            if name in self.events.fields:
                continue
            if name in self.how.define:
                self._need(self.how.define[name])
                self.events = expressions.define(self.events, {name: self.how.define[name]})
            elif name in self.how.scores:
                score = self.how.scores[name]
                for each in score.inputs.values():
                    self._need(each)
                self.events = ak.with_field(self.events, score(self.events), name)

    def passing(self, text: str, what: str) -> _State:
        """Those that pass a cut."""
        if not text:
            return self
        try:
            self._need(text)
            kept = expressions.passing(self.events, text)
        except ValueError as error:
            message = f"{what}: {error}"
            raise ValueError(message) from None
        return _State(self.events[kept], self.half[kept], self.how, self.row[kept])

    def numbers(self, text: str, what: str) -> np.ndarray:
        """(N,) finite numbers of an expression."""
        if text:
            self._need(text)
        return _numbers(self.events, text, what)

    def count(self, weight: str) -> np.ndarray:
        """Number, sum of weights, and sum of squared weights."""
        weights = self.numbers(weight, "weight")
        return np.array([len(weights), weights.sum(), np.square(weights).sum()])


def _numbers(events: ak.Array, text: str, what: str) -> np.ndarray:
    """(N,) numbers; without text, ones."""
    if not text:
        return np.ones(len(events))
    found = expressions.parse(text)(events)
    if depth(found) != 1 or kind(found) not in "biuf":
        message = f"{what} {text!r}: expected one number an event, got {str(found.type):.80}"
        raise ValueError(message)
    values = np.asarray(ak.fill_none(found, np.nan, axis=0), np.float64)
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        message = (
            f"{what} {text!r}: absent, NaN or infinite for {bad.size} of {values.size} events, "
            f"first for number {bad[0]}; leave these out by the selection, or mend the expression"
        )
        raise ValueError(message)
    return values


def _varied(events: ak.Array, variation: Variation, number: np.ndarray, name: str) -> ak.Array:
    if variation.smear:
        return smeared(events, variation.change, number, zlib.crc32(name.encode()))
    return changed(events, variation.change)


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
    variations: dict[str, Variation] = {}
    acting = (
        [] if data or nominal else [pair for n in names for pair in analysis.shapes(sample, n)]
    )
    for name, each in acting:
        if isinstance(each, WeightVariation):
            factors |= {f"{name}/{side}": getattr(each, side) for side in each.sides}
        elif isinstance(each, ObjectVariation):
            for side in each.sides:
                variations[f"{name}/{side}"] = Variation(each.change(side), bool(each.smear))
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
