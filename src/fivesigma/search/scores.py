"""Scores of trained runs as quantities of the event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import awkward as ak
import numpy as np

from fivesigma import expressions
from fivesigma.expressions.values import depth, kind
from fivesigma.runs import Run, load_run
from fivesigma.search.classifiers.folds import Folded, load_folds
from fivesigma.search.classifiers.weights import SIGNAL
from fivesigma.search.samples import expanded
from fivesigma.search.typed import nearest

__all__ = ["Score"]


@dataclass(frozen=True, kw_only=True)
class Score:
    """The probability that a run gives for one of its classes.

    Of a run in folds, each event is scored by the one member that saw no event of its number, and
    data by the member that their number gives likewise: data and simulation have the same mixture
    of members, so that their distributions may be compared, and all simulated events can be used.
    The mean of the members would be unbiased for data too, but sharper than any single one, which
    scores the simulation. To other runs the events that trained them are known: give them others.

    Attributes:
        run: folder of a run that sees quantities of events, made by `fivesigma train classifier`.
        inputs: quantity that the run sees -> expression over the event.
        of: the class; none: the first.
        event: expression of the number by which a run in folds was trained; it decides the fold.
        folds: "held-out", or "mean" of all members, where none of the events trained the run.
    """

    run: str
    inputs: Mapping[str, str]
    of: str = ""
    event: str = "event.event"
    folds: Literal["held-out", "mean"] = "held-out"

    def __post_init__(self) -> None:
        if not self.inputs:
            message = "inputs: none; name what the run sees, e.g. m_jj: mass(jets[0], jets[1])"
            raise ValueError(message)
        for text in (*self.inputs.values(), self.event):
            expressions.parse(text)

    def files(self) -> list[str]:
        """The files that decide the score.

        Raises:
            FileNotFoundError: no run there.
        """
        folder = Path(expanded(self.run))
        found = sorted([*folder.glob("**/model.yaml"), *folder.glob("**/weights.*")])
        if not found:
            message = f"no run in {folder}; `fivesigma train classifier` makes some"
            raise FileNotFoundError(message)
        return [str(path) for path in found]

    def texts(self) -> list[str]:
        """The expressions that are needed: those of the inputs, and of the number for folds.

        Raises:
            FileNotFoundError: no run there.
            ValueError: as for scores.
        """
        number = [self.event] if isinstance(self._trained(), Folded) else []
        return [*self.inputs.values(), *number]

    def __call__(self, events: ak.Array) -> np.ndarray:
        """(N,) scores of (N,) events, float32.

        Raises:
            ValueError: the run sees what `inputs` does not name, has no such class, or was trained
                in folds that are not told by event numbers.
        """
        trained = self._trained()
        run = trained.run if isinstance(trained, Folded) else trained
        for name in run.inputs.features:
            if name not in self.inputs:
                message = f"{self.run} sees {name!r}, which inputs lacks; it has "
                raise ValueError(message + ", ".join(self.inputs))
        if self.of and self.of not in run.classes:
            message = f"{self.run} has no class {self.of!r}; {nearest(self.of, run.classes)}"
            raise ValueError(message)
        column = run.classes.index(self.of) if self.of else 0
        if not len(events):
            return np.empty(0, np.float32)
        values = {
            name: ak.fill_none(expressions.parse(text)(events), np.nan)
            for name, text in self.inputs.items()
        }
        if not isinstance(trained, Folded):
            return run.predict(ak.zip(values, depth_limit=1))[:, column]
        values["event"] = self._numbers(events)
        score = trained.held_out(ak.zip(values, depth_limit=1))
        return score if column == SIGNAL else 1 - score

    def _trained(self) -> Run | Folded:
        """The run, or its members where each scores what it did not see."""
        state = tuple(Path(name).stat().st_mtime_ns for name in self.files())
        trained = _loaded(expanded(self.run), state, self.folds == "held-out")
        if isinstance(trained, Folded) and not trained.numbered:
            message = (
                f"{self.run} was trained in folds of rows, so that its events cannot be known "
                "again; train it with event numbers (columns.event), or take folds: mean where "
                "none of the events trained it"
            )
            raise ValueError(message)
        return trained

    def _numbers(self, events: ak.Array) -> np.ndarray:
        """(N,) numbers that tell the fold."""
        found = expressions.parse(self.event)(events)
        whole = depth(found) == 1 and kind(found) in "iuf"
        values = ak.to_numpy(ak.fill_none(found, np.nan, axis=0)) if whole else np.empty(0)
        if not whole or (values != np.floor(values)).any():
            message = f"event {self.event!r}: expected a whole number an event, got "
            raise ValueError(f"{message}{str(found.type):.80}")
        return values


@lru_cache(maxsize=8)
def _loaded(path: str, state: tuple[int, ...], held_out: bool) -> Run | Folded:  # noqa: ARG001 (trained anew: another state)
    run = load_run(path, device="cpu")
    folded = held_out and "folds" in run.model_yaml["settings"]
    return load_folds(path, device="cpu") if folded else run
