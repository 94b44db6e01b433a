"""Events on their way through the cuts of an analysis."""

from __future__ import annotations

from collections.abc import Mapping

import awkward as ak
import numpy as np

from fivesigma import expressions
from fivesigma.expressions.values import depth, kind
from fivesigma.search.scores import Score

__all__ = ["State", "with_objects"]


class State:
    """Events that are left; new quantities are computed when they are needed.

    Attributes:
        events: (N,) records.
        half: (N,) which half of the events each belongs to.
        define: new quantity -> expression.
        scores: new quantity -> score of a run.
        row: (N,) their numbers among the events that there were.
    """

    def __init__(
        self,
        events: ak.Array,
        half: np.ndarray,
        define: Mapping[str, str],
        scores: Mapping[str, Score],
        row: np.ndarray | None = None,
    ) -> None:
        self.events, self.half, self.define, self.scores = events, half, define, scores
        self.row = np.arange(len(half)) if row is None else row

    def _need(self, text: str) -> None:
        """Compute the definitions that an expression uses, and those that they use."""
        for name in sorted(expressions.parse(text).names):
            name = name.split(".")[0]
            if name in self.events.fields:
                continue
            if name in self.define:
                self._need(self.define[name])
                self.events = expressions.define(self.events, {name: self.define[name]})
            elif name in self.scores:
                score = self.scores[name]
                for each in score.texts():
                    self._need(each)
                self.events = ak.with_field(self.events, score(self.events), name)

    def passing(self, text: str, what: str) -> State:
        """Those that pass a cut.

        Raises:
            ValueError: an expression that fails; says of what.
        """
        if not text:
            return self
        try:
            self._need(text)
            kept = expressions.passing(self.events, text)
        except ValueError as error:
            message = f"{what}: {error}"
            raise ValueError(message) from None
        return State(self.events[kept], self.half[kept], self.define, self.scores, self.row[kept])

    def numbers(self, text: str, what: str) -> np.ndarray:
        """(N,) finite numbers of an expression; ones without.

        Raises:
            ValueError: an expression that fails, or gives something else.
        """
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


def with_objects(events: ak.Array, collection: str, text: str) -> ak.Array:
    """Events with those objects that pass a cut.

    Raises:
        ValueError: no such collection, or an expression that fails.
    """
    if collection not in events.fields:
        has = ", ".join(events.fields[:20])
        message = f"objects.{collection}: no such collection; choose from {has}"
        raise ValueError(message)
    objects = events[collection]
    kept = objects[ak.fill_none(expressions.parse(text)(objects), False)]
    return ak.with_field(events, kept, collection)
