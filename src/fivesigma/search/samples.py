"""Samples of an analysis: where their events or histograms are, and how they are normalised."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fivesigma import expressions
from fivesigma.formats import expand
from fivesigma.formats.remote import is_remote

__all__ = ["Input", "Sample", "expanded"]

_VARIABLE = re.compile(r"\$\{(\w+)(?::-([^}]*))?\}")


def expanded(path: str) -> str:
    """A path with `${NAME}` and `${NAME:-default}` of the environment put in.

    Raises:
        ValueError: a variable that is not set and has no default.
    """

    def value(found: re.Match[str]) -> str:
        got = os.environ.get(found[1]) or found[2]
        if got is None:
            message = (
                f"{path}: the variable {found[1]} is not set; set it, or write ${{NAME:-...}}"
            )
            raise ValueError(message)
        return got

    return _VARIABLE.sub(value, path)


@dataclass(frozen=True, kw_only=True)
class Input:
    """Files of one kind, with one normalisation.

    A simulated event counts `cross_section` * `k_factor` * luminosity / `generated` * `scale`;
    where no cross-section is given, `scale`.

    Attributes:
        files: of events (any format that is read, or our datasets), names or patterns within the
            analysis' folder; or ROOT files with histograms.
        histogram: names of histograms in the files, which are added; none: those of the region,
            or events.
        regions: that it is for; none: all.
        where: cut, before anything is counted, on the events that belong to it.
        cross_section: [pb]; None: the histograms or weights are normalised already.
        k_factor: of the cross-section.
        luminosity: [1/pb]; None: the analysis' luminosity.
        generated: number of generated events, or their sum of weights; None: the sum of the
            weights in the files.
        scale: any further factor.
        tree: which tree, where files have several.
        format: of the files; recognised if none.
    """

    files: tuple[str, ...]
    histogram: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    where: str = ""
    cross_section: float | None = None
    k_factor: float = 1.0
    luminosity: float | None = None
    generated: float | None = None
    scale: float = 1.0
    tree: str | None = None
    format: str | None = None

    def __post_init__(self) -> None:
        if not self.files:
            message = "files: none given"
            raise ValueError(message)
        if self.where:
            expressions.parse(self.where)
        for name in ("cross_section", "k_factor", "luminosity", "generated", "scale"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                message = f"{name}: got {value}, expected a number above 0"
                raise ValueError(message)
        if self.cross_section is None and (self.k_factor != 1 or self.generated is not None):
            message = "k_factor and generated belong to a cross_section; give it, or use scale"
            raise ValueError(message)

    def paths(self, folder: str) -> list[str]:
        """The files that there are.

        Raises:
            FileNotFoundError: a name or pattern that fits none.
        """
        names = [expanded(name) for name in self.files]
        base = Path(expanded(folder))
        return expand(
            [n if is_remote(n) or Path(n).is_absolute() else str(base / n) for n in names]
        )


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Data, or one process.

    Attributes:
        inputs: its files; one input's keys may stand in the place of `inputs`.
        kind: "data", "signal" or "background".
        label: on figures; its name if none.
        weight: expression of the event weight; none: 1.
        generator_weight: expression of what is summed over all events of the files where
            `generated` is not given; none: `weight`.
    """

    inputs: tuple[Input, ...]
    kind: Literal["data", "signal", "background"] = "background"
    label: str = ""
    weight: str = ""
    generator_weight: str = ""

    def __post_init__(self) -> None:
        for text in (self.weight, self.generator_weight):
            if text:
                expressions.parse(text)
        if self.kind == "data" and (self.weight or self.generator_weight):
            message = "data have no weights; leave them out"
            raise ValueError(message)
        if self.kind == "data" and any(e.cross_section or e.scale != 1 for e in self.inputs):
            message = "data are counted as they are; leave out cross_section and scale"
            raise ValueError(message)
