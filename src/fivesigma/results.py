"""What every computation hands on: numbers with uncertainties, figures, tables: a `Result`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Number", "Result", "Table"]


@dataclass(frozen=True)
class Number:
    """A measured value.

    Attributes:
        value: the central value.
        uncertainty: its one-sigma uncertainty; 0 for exact values such as counts of parameters.
        unit: "" for pure numbers, else e.g. "GeV" or "1/s".
        note: what a reader must know, e.g. "rests on 43 background jets".
    """

    value: float
    uncertainty: float = 0.0
    unit: str = ""
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form: value, uncertainty, unit, and a note if there is one."""
        form: dict[str, Any] = {
            "value": self.value,
            "uncertainty": self.uncertainty,
            "unit": self.unit,
        }
        return form | ({"note": self.note} if self.note else {})


@dataclass(frozen=True)
class Table:
    """Rows of text or `Number` under column titles."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | Number, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Result:
    """One finding: what a section of a report shows and what `results.json` keeps.

    Attributes:
        title: heading of the section.
        numbers: name -> Number; the names are those of `results.json`, e.g. `cnn/auc`.
        figures: caption-like name -> matplotlib Figure.
        tables: name -> Table.
        note: one or two sentences of plain text that say what is seen.
    """

    title: str
    numbers: Mapping[str, Number] = field(default_factory=dict)
    figures: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    note: str = ""
