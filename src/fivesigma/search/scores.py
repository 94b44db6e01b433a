"""Scores of trained runs as quantities of the event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import awkward as ak
import numpy as np

from fivesigma import expressions
from fivesigma.runs import Run, load_run
from fivesigma.search.samples import expanded
from fivesigma.search.typed import nearest

__all__ = ["Score"]


@dataclass(frozen=True, kw_only=True)
class Score:
    """The probability that a run gives for one of its classes.

    Events that trained the run are known to it: give it others, or histogram no result of them.

    Attributes:
        run: folder of a run that sees quantities of events, made by `fivesigma train classifier`.
        inputs: quantity that the run sees -> expression over the event.
        of: the class; none: the first.
    """

    run: str
    inputs: Mapping[str, str]
    of: str = ""

    def __post_init__(self) -> None:
        if not self.inputs:
            message = "inputs: none; name what the run sees, e.g. m_jj: mass(jets[0], jets[1])"
            raise ValueError(message)
        for text in self.inputs.values():
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

    def __call__(self, events: ak.Array) -> np.ndarray:
        """(N,) scores of (N,) events, float32.

        Raises:
            ValueError: the run sees what `inputs` does not name, or has no such class.
        """
        state = tuple(Path(name).stat().st_mtime_ns for name in self.files())
        run = _loaded(expanded(self.run), state)
        for name in run.inputs.features:
            if name not in self.inputs:
                message = f"{self.run} sees {name!r}, which inputs lacks; it has "
                raise ValueError(message + ", ".join(self.inputs))
        if self.of and self.of not in run.classes:
            message = f"{self.run} has no class {self.of!r}; {nearest(self.of, run.classes)}"
            raise ValueError(message)
        values = {
            name: ak.fill_none(expressions.parse(text)(events), np.nan)
            for name, text in self.inputs.items()
        }
        column = run.classes.index(self.of) if self.of else 0
        return run.predict(ak.zip(values, depth_limit=1))[:, column]


@lru_cache(maxsize=8)
def _loaded(path: str, state: tuple[int, ...]) -> Run:  # noqa: ARG001 (trained anew: another state)
    return load_run(path, device="cpu")
