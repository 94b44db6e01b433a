"""Numbers as people and as programs read them: formatting, tables, results.json."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from math import floor, isfinite, log10
from pathlib import Path

from fivesigma.metrics import LOWER_LIMIT
from fivesigma.results import Number, Result, Table

__all__ = [
    "collect",
    "format_number",
    "marked",
    "number_table",
    "tagger_table",
    "to_json",
    "write_results",
    "write_text",
]

#: last part of a number's name -> its column in the table of taggers
TAGGER_COLUMNS = {
    "auc": "AUC",
    "accuracy": "Accuracy",
    "rejection_at_30": "1/εB at εS\u00a0=\u00a030\u00a0%",
    "rejection_at_50": "at 50 %",
    "rejection_at_70": "at 70 %",
    "rejection_at_80": "at 80 %",
    "parameters": "Parameters",
    "jets_per_second": "Jets/s",
    "max_sic": "Max. εS/√εB",
    "ece": "Calibration error",
    "mass_jsd_at_50": "Mass sculpting",
}
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
#: groups digits by three and never breaks
_THIN_SPACE = "\u202f"


def _grouped(value: float, decimals: int) -> str:
    """Fixed-point text; negative decimals round to tens; five digits or more are grouped."""
    text = f"{round(value, decimals):,.{max(decimals, 0)}f}"
    separator = _THIN_SPACE if abs(value) >= 9999.5 else ""
    return text.replace(",", separator).replace("-", "−")


def _decimals(value: float, digits: int) -> int:
    """Decimals that show so many significant digits of a value that is not 0."""
    exponent = floor(log10(abs(value)))
    # 0.0996 to two digits is 0.10, not 0.100
    rounded = round(abs(value), digits - 1 - exponent)
    return digits - 1 - floor(log10(rounded))


def format_number(number: Number, unit: bool = True) -> str:
    """A number with two significant digits of its uncertainty, e.g. `0.9412 ± 0.0013`.

    Values of 0 uncertainty: whole numbers in full, others to four significant digits. Lower limits
    as `> 870`. Values of 10^6 and above with an uncertainty, and those below 10^-3, get a power of
    ten.

    Args:
        number: what to show.
        unit: whether to add the unit.

    Returns:
        Plain text.
    """
    value, error = number.value, number.uncertainty
    end = f" {number.unit}" if unit and number.unit else ""
    if not (isfinite(value) and isfinite(error)):
        return f"not defined{end}"
    if number.note.startswith(LOWER_LIMIT):
        return f"> {_grouped(value, _decimals(value, 2))}{end}"
    size = max(abs(value), abs(error))
    if size == 0 or (error == 0 and float(value).is_integer() and size < 1e12):
        return f"{_grouped(value, 0)}{end}"
    if size < 1e-3 or (size >= 1e6 and (error > 0 or size >= 1e12)):
        power = floor(log10(size))
        inner = format_number(Number(value / 10.0**power, error / 10.0**power))
        inner = f"({inner})" if error > 0 else inner
        return f"{inner} × 10{str(power).translate(_SUPERSCRIPTS)}{end}"
    if error == 0:
        return f"{_grouped(value, max(_decimals(value, 4), 0))}{end}"
    decimals = _decimals(error, 2)
    both = f"{_grouped(value, decimals)} ± {_grouped(error, decimals)}"
    return f"({both}){end}" if end else both


def marked(number: Number) -> bool:
    """Whether the number's note must be read with it: few jets, or only a limit."""
    return number.note.startswith((LOWER_LIMIT, "rests on"))


def collect(results: Iterable[Result]) -> dict[str, Number]:
    """All numbers of several Results by name.

    Raises:
        ValueError: a name stands for two different numbers, or a value is NaN, infinite, or has a
        negative error.
    """
    numbers: dict[str, Number] = {}
    for result in results:
        for name, number in result.numbers.items():
            if numbers.get(name, number) != number:
                message = (
                    f"two different numbers are called {name!r}: {numbers[name]} and {number}; "
                    "put the name of the run in front"
                )
                raise ValueError(message)
            numbers[name] = _checked(name, number)
    return numbers


def _checked(name: str, number: Number) -> Number:
    if not (isfinite(number.value) and isfinite(number.uncertainty)):
        message = (
            f"{name} is {number.value} ± {number.uncertainty}; JSON knows neither NaN nor "
            "infinity: leave the number out, or give a limit with a note"
        )
        raise ValueError(message)
    if number.uncertainty < 0:
        message = f"{name} has the uncertainty {number.uncertainty}; it must be >= 0"
        raise ValueError(message)
    return number


def to_json(numbers: Mapping[str, Number]) -> str:
    """The text of `results.json`: `{name: {"value": ..., "uncertainty": ..., "unit": ...}}`."""
    plain = {name: _checked(name, number).to_dict() for name, number in numbers.items()}
    return json.dumps(plain, indent=1, ensure_ascii=False, allow_nan=False, default=float) + "\n"


def write_text(path: Path, text: str, overwrite: bool) -> None:
    """Write a file under a temporary name, then rename it: what is there is whole.

    Raises:
        ValueError: the file exists and may not be overwritten.
    """
    if path.exists() and not overwrite:
        message = f"{path} exists; choose another name or allow to overwrite it"
        raise ValueError(message)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_results(
    path: str | Path, results: Sequence[Result] | Mapping[str, Number], overwrite: bool = False
) -> Path:
    """Write `results.json`, atomically.

    Args:
        path: of the file.
        results: Results, or numbers by name.
        overwrite: replace a file that exists.

    Returns:
        The path.

    Raises:
        ValueError: a NaN or infinite number (refused, never written as null), one name for two
        numbers, or a file
            that exists.
    """
    numbers = results if isinstance(results, Mapping) else collect(results)
    write_text(Path(path), to_json(numbers), overwrite)
    return Path(path)


def tagger_table(
    numbers: Mapping[str, Number], runs: Sequence[str] | None = None, note: str = ""
) -> Table:
    """The table of taggers, one row a run, with the columns that any of them has.

    Args:
        numbers: `<run>/auc` and the other names of `TAGGER_COLUMNS`; further names are passed
            over.
        runs: rows and their order; default: all runs with an AUC, the best first.
        note: a sentence below the table.

    Raises:
        ValueError: a run without any of these numbers.
    """
    if runs is None:
        found = {n.removesuffix("/auc"): v.value for n, v in numbers.items() if n.endswith("/auc")}
        runs = sorted(found, key=lambda run: -found[run])
    for run in runs:
        if not any(f"{run}/{key}" in numbers for key in TAGGER_COLUMNS):
            known = ", ".join(sorted({name.rpartition("/")[0] for name in numbers})) or "none"
            message = f"no numbers of run {run!r}; there are those of {known}"
            raise ValueError(message)
    keys = [k for k in TAGGER_COLUMNS if any(f"{run}/{k}" in numbers for run in runs)]
    # the columns' titles carry the units
    bare = {name: replace(number, unit="") for name, number in numbers.items()}
    rows = tuple((run, *(bare.get(f"{run}/{key}", "–") for key in keys)) for run in runs)
    return Table(("Tagger", *(TAGGER_COLUMNS[key] for key in keys)), rows, note)


def number_table(numbers: Mapping[str, Number]) -> Table:
    """Every number with its name and note."""
    rows = tuple((name, number, number.note) for name, number in numbers.items())
    return Table(("Number", "Value", "Note"), rows)
