"""A figure beside its reference: how far apart they are, and whether that is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fivesigma.report import format_number
from fivesigma.results import Number, Result, Table

__all__ = ["Check", "section", "spread", "width"]

_COLUMNS = ("figure", "measured", "reference", "deviation", "bar", "")
#: standard error of `width` over width / sqrt(N), for a Gaussian
_QUANTILES = 0.962


@dataclass(frozen=True)
class Check:
    """A measured figure, what it should be, and how far from it it may be.

    Attributes:
        name: in `results.json`, e.g. `tracker/d0/eta_0.375/pt_10`.
        measured: with its statistical uncertainty.
        reference: what it should be.
        bar: the largest deviation allowed; infinite: shown, not judged.
        relative: whether bar and deviation are fractions of the reference.
    """

    name: str
    measured: Number
    reference: float
    bar: float
    relative: bool = True

    @property
    def _size(self) -> float:
        return abs(self.reference) if self.relative else 1.0

    @property
    def deviation(self) -> float:
        """Measured less reference, over the reference where the bar is relative."""
        return (self.measured.value - self.reference) / self._size

    @property
    def verdict(self) -> str:
        """Met; missed; or open: missed by less than two standard errors of the measurement."""
        if np.isinf(self.bar):
            return "shown"
        beyond = abs(self.deviation) - self.bar
        if beyond <= 0:
            return "met"
        return "open" if beyond < 2 * self.measured.uncertainty / self._size else "missed"

    def _text(self, value: float, sign: str = "+") -> str:
        if self.relative:
            return f"{100 * value:{sign}.1f} %"
        unit = f" {self.measured.unit}" if self.measured.unit else ""
        return f"{value:{sign}.2g}{unit}"

    def row(self) -> tuple[str | Number, ...]:
        """A row of the section's table."""
        bar = "–" if np.isinf(self.bar) else self._text(self.bar, "")
        return (
            self.name.partition("/")[2], self.measured,
            Number(self.reference, unit=self.measured.unit), self._text(self.deviation), bar,
            self.verdict,
        )  # fmt: skip

    def number(self) -> Number:
        """For `results.json`: the value, with reference and verdict in the note."""
        measured = self.measured
        reference = format_number(Number(self.reference, unit=measured.unit))
        note = f"reference {reference}, deviation {self._text(self.deviation)}: {self.verdict}"
        return Number(measured.value, measured.uncertainty, measured.unit, note)


def section(
    title: str, checks: Sequence[Check], figures: Mapping[str, Any], note: str = ""
) -> Result:
    """A section of the book: all checks in a table, and as numbers with their verdicts.

    Args:
        title: heading.
        checks: at least one, all of one part: the text before the first slash of their names.
        figures: caption -> Figure.
        note: one or two sentences.
    """
    part = checks[0].name.partition("/")[0]
    numbers = {check.name: check.number() for check in checks}
    for verdict in ("met", "open", "missed"):
        count = sum(check.verdict == verdict for check in checks)
        numbers[f"{part}/{verdict}"] = Number(count, note="figures within their bars, missed by "
            "less than two standard errors, or missed")  # fmt: skip
    table = Table(_COLUMNS, tuple(check.row() for check in checks))
    return Result(title, numbers, figures, {"": table}, note)


def width(values: np.ndarray, unit: str = "", scale: float = 1.0) -> Number:
    """Half the central interval that holds 68.27 % of the values, over `scale`."""
    low, high = np.quantile(values, [0.15866, 0.84134])
    sigma = float(high - low) / 2 / scale
    return Number(sigma, _QUANTILES * sigma / len(values) ** 0.5, unit)


def spread(values: np.ndarray) -> tuple[Number, Number]:
    """Mean of the values, and standard deviation over mean."""
    mean, sigma = float(values.mean()), float(values.std(ddof=1))
    n = len(values)
    relative = sigma / mean
    return Number(mean, sigma / n**0.5), Number(relative, relative / (2 * n - 2) ** 0.5)
