"""One self-contained HTML page from a list of Results."""

from __future__ import annotations

import base64
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from fivesigma.plots import to_svg
from fivesigma.references import Reference
from fivesigma.report.numbers import (
    collect,
    format_number,
    marked,
    number_table,
    to_json,
    write_text,
)
from fivesigma.results import Number, Result, Table

__all__ = ["versions", "write_report"]

#: the packages whose versions decide the numbers
_PACKAGES = (
    "fivesigma",
    "pythia8mc",
    "fastjet",
    "numpy",
    "awkward",
    "torch",
    "lightgbm",
    "scikit-learn",
    "matplotlib",
)
#: figures wider than this [inch] take a row of their own
_WIDE = 6.0
#: rem per inch: letters have the same size in all figures
_SCALE = 7.4


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide the numbers; absent ones are left out."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _figures(result: Result, section: int) -> list[dict[str, Any]]:
    """Caption, SVG and size of each figure."""
    figures = []
    for number, (caption, figure) in enumerate(result.figures.items()):
        svg = to_svg(figure, description=caption, prefix=f"s{section}f{number}-")
        width = figure.get_size_inches()[0]
        size = {"shape": "wide" if width > _WIDE else "", "width": f"{_SCALE * width:.1f}rem"}
        figures.append({"caption": caption, "svg": Markup(svg), **size})
    return figures


def _cell(value: str | Number, notes: list[str]) -> dict[str, Any]:
    """What a table shows for a value; notes that must be read with it go below the table."""
    if not isinstance(value, Number):
        return {"text": str(value), "number": value == "–", "note": "", "mark": 0}
    cell = {"text": format_number(value), "number": True, "note": value.note, "mark": 0}
    if marked(value):
        if value.note not in notes:
            notes.append(value.note)
        cell["mark"] = notes.index(value.note) + 1
    return cell


def _table(title: str, table: Table) -> dict[str, Any]:
    notes: list[str] = []
    bad = [row for row in table.rows if len(row) != len(table.columns)]
    if bad:
        message = f"table {title!r}: {len(table.columns)} columns, but a row {bad[0]}"
        raise ValueError(message)
    rows = [[_cell(value, notes) for value in row] for row in table.rows]
    numeric = [
        bool(rows) and all(row[k]["number"] for row in rows) for k in range(len(table.columns))
    ]
    columns = list(zip(table.columns, numeric, strict=True))
    return {"title": title, "columns": columns, "rows": rows, "notes": notes, "note": table.note}


def _section(result: Result, index: int) -> dict[str, Any]:
    return {
        "id": f"section-{index}",
        "title": result.title,
        "note": result.note,
        "figures": _figures(result, index),
        "tables": [_table(title, table) for title, table in result.tables.items()],
        "numbers": _table("", number_table(result.numbers)) if result.numbers else None,
    }


def _headline(numbers: Mapping[str, Number]) -> dict[str, Number]:
    """Where none is chosen: the tagger of the highest AUC."""
    areas = {name: number.value for name, number in numbers.items() if name.endswith("/auc")}
    if not areas:
        return {}
    best = max(areas, key=lambda name: areas[name]).removesuffix("/auc")
    wanted = {
        "auc": "AUC",
        "accuracy": "accuracy",
        "rejection_at_50": "background rejection at 50 % signal efficiency",
        "rejection_at_30": "background rejection at 30 % signal efficiency",
    }
    shown = {key: text for key, text in wanted.items() if f"{best}/{key}" in numbers}
    return {f"{best}: {text}": numbers[f"{best}/{key}"] for key, text in shown.items()}


def write_report(
    path: str | Path,
    title: str,
    results: Sequence[Result],
    facts: Mapping[str, str],
    commands: Sequence[str],
    *,
    summary: str = "",
    headline: Mapping[str, Number] | None = None,
    references: Sequence[Reference] = (),
    software: Mapping[str, str] | None = None,
    date: str | None = None,
    beside: bool = True,
    overwrite: bool = False,
) -> Path:
    """Write the page: no script runs in it, and it fetches nothing.

    Args:
        path: of the page; it holds the text of `results.json`.
        title: of the page.
        results: one section each: note, tables, figures, numbers.
        facts: what was done, in a few words each, e.g. {"Process": "...", "Jets": "..."}.
        commands: exactly what was typed.
        summary: a few sentences below the title.
        headline: label -> the numbers on top; default: those of the tagger of the highest AUC.
        references: works to cite.
        software: package -> version; default: `versions()`.
        date: default: now, UTC, to the minute.
        beside: link to a `results.json` in the same folder.
        overwrite: replace a page that exists.

    Returns:
        The path.

    Raises:
        ValueError: NaN or infinite numbers, one name for two numbers, a figure that is none, or a
        page that exists.
    """
    numbers = collect(results)
    text = to_json(numbers)
    chosen = _headline(numbers) if headline is None else headline
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = files("fivesigma.report").joinpath("report.html.j2").read_text(encoding="utf-8")
    page = environment.from_string(template).render(
        title=title,
        summary=summary,
        headline=[(label, format_number(number), number.note) for label, number in chosen.items()],
        facts=facts,
        sections=[_section(result, index) for index, result in enumerate(results, 1)],
        commands=list(commands),
        references=list(references),
        software=versions() if software is None else software,
        beside=beside,
        date=date or datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        # inside <script> only "<" could end the block early
        json_text=Markup(text.replace("<", "\\u003c")),
        json_link=Markup(
            "data:application/json;base64," + base64.b64encode(text.encode()).decode()
        ),
    )
    write_text(Path(path), page, overwrite)
    return Path(path)
