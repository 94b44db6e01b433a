"""The page: what was found, and a histogram of every field, by class where there are labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fivesigma.formats.source import Source
from fivesigma.plots import colours
from fivesigma.plots.style import plain, styled
from fivesigma.report import write_report
from fivesigma.results import Number, Result, Table
from fivesigma.workflows.doctor.examine import Sample, own_name
from fivesigma.workflows.doctor.order import by_importance, collection_rank, sorted_fields
from fivesigma.workflows.doctor.records import CollectionFound, FieldFound, FileReport, Report
from fivesigma.workflows.doctor.tallies import FieldTally

__all__ = ["Chosen", "choose", "draw", "write_page"]

#: histograms on a page; those of one figure; those beside each other
_DRAWN, _IN_FIGURE, _COLUMNS = 200, 40, 4
#: size of one histogram [inch]
_WIDTH, _HEIGHT = 2.45, 1.75
_BINS = 40
#: classes drawn in one histogram; rows of tables, and of tables of fields
_CLASSES, _ROWS, _FIELDS = 8, 100, 24


@dataclass(frozen=True)
class Chosen:
    """Fields that are drawn, by their full names, and how many are not."""

    fields: frozenset[str] = frozenset()
    left: int = 0


@dataclass(frozen=True)
class Drawn:
    """Figures of one file by caption."""

    figures: dict[str, Figure] = field(default_factory=dict)
    left: int = 0


def choose(source: Source) -> Chosen:
    """The fields that are drawn: main fields of main collections first."""
    own = own_name(source.kind)
    names = [
        name if source.kind == "events" or "." in name else f"{own}.{name}"
        for name in source.fields
    ]
    order = sorted(names, key=by_importance)
    return Chosen(frozenset(order[:_DRAWN]), max(len(order) - _DRAWN, 0))


def draw(sample: Sample, chosen: Chosen, report: FileReport) -> Drawn:
    """Small histograms of the chosen fields, one figure a collection.

    Args:
        sample: with the values that were kept.
        chosen: the fields.
        report: for the names of classes.
    """
    classes = [name for name in report.classes if name != "none (-1)"][:_CLASSES]
    figures: dict[str, Figure] = {}
    for name in sorted(report.collections, key=collection_rank):
        tallies = {
            f"{name}.{one}": tally
            for one, tally in sample.collections[name].fields.items()
            if tally.kept and any(part.size for part in tally.kept)
        }
        order = sorted(tallies, key=by_importance)
        for first in range(0, len(order), _IN_FIGURE):
            part = order[first : first + _IN_FIGURE]
            caption = name if not first else f"{name}, further fields ({first // _IN_FIGURE + 1})"
            figures[caption] = _grid({one: tallies[one] for one in part}, classes)
    return Drawn(figures, chosen.left)


@styled
def _grid(tallies: Mapping[str, FieldTally], classes: Sequence[str]) -> Figure:
    """One small histogram a field; without the automatic layout, which is slow for many."""
    rows = -(-len(tallies) // _COLUMNS)
    height = _HEIGHT * rows + 0.5
    figure = Figure(figsize=(_WIDTH * _COLUMNS, height))
    grid = figure.add_gridspec(
        rows, _COLUMNS, left=0.02, right=0.98, bottom=0.3 / height, top=1 - 0.5 / height,
        wspace=0.14, hspace=0.75,
    )  # fmt: skip
    shown: dict[str, Any] = {}
    for place, (name, tally) in enumerate(tallies.items()):
        axes = figure.add_subplot(grid[divmod(place, _COLUMNS)])
        _panel(axes, name.rpartition(".")[2], _by_class(tally, classes), shown)
    if len(shown) > 1:
        figure.legend(
            shown.values(), shown, loc="upper center", ncols=len(shown), frameon=False,
            bbox_to_anchor=(0.5, 1.0), borderaxespad=0.1,
        )  # fmt: skip
    return figure


def _by_class(tally: FieldTally, classes: Sequence[str]) -> dict[str, NDArray]:
    values = np.concatenate(tally.kept)
    if not tally.kept_labels or len(classes) < 2:
        return {"": values}
    labels = np.concatenate(tally.kept_labels)
    parts = {name: values[labels == index] for index, name in enumerate(classes)}
    return {name: part for name, part in parts.items() if part.size} or {"": values}


def _panel(axes: Axes, title: str, parts: Mapping[str, NDArray], shown: dict[str, Any]) -> None:
    every = np.concatenate(list(parts.values()))
    axes.set_title(plain(title if len(title) < 30 else f"{title[:28]}..."), fontsize=9.5, pad=3)
    axes.set_yticks([])
    if every.min() == every.max():
        axes.set_xticks([])
        axes.text(0.5, 0.5, f"always {every[0]:.6g}", ha="center", va="center", fontsize=9.5)
        return
    edges = _edges(every)
    palette = colours(parts)
    for name, values in parts.items():
        heights = np.histogram(values, edges)[0] / max(values.size, 1)
        if len(parts) == 1:
            axes.stairs(heights, edges, fill=True, color=palette[name], alpha=0.2)
        shown[plain(name)] = axes.stairs(heights, edges, color=palette[name], linewidth=1.2)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylim(bottom=0)
    axes.locator_params(axis="x", nbins=4)
    axes.tick_params(labelsize=8, which="both", top=False, right=False)
    axes.minorticks_off()
    axes.xaxis.get_offset_text().set_fontsize(8)


def _edges(values: NDArray) -> NDArray[np.float64]:
    """Bins over what 99 % of the values span; whole numbers get bins of their own."""
    low, high = np.quantile(values, [0.005, 0.995])
    if np.array_equal(values, np.rint(values)) and high - low < 4 * _BINS:
        step = max(1.0, np.ceil((high - low + 1) / _BINS))
        return np.arange(low - 0.5, high + step, step)
    if not high > low:
        size = max(abs(low) * 1e-3, 0.5)
        low, high = low - size, high + size
    bins = int(np.clip(np.sqrt(values.size), 10, _BINS))  # few values show no fine bins
    return np.linspace(low, high, bins + 1)


def write_page(
    path: Path,
    report: Report,
    drawn: Mapping[str, Drawn],
    command: str,
    overwrite: bool,
) -> None:
    """Write the page.

    Args:
        path: of the page.
        report: what was found.
        drawn: file -> its figures.
        command: what was typed.
        overwrite: replace a page that is there.

    Raises:
        ValueError: a page that exists.
    """
    sections = [_warnings(report)]
    for each in report.files:
        sections += _sections(each, drawn.get(each.path, Drawn()), len(report.files) > 1)
    first = report.files[0]
    title = Path(first.path).name if len(report.files) == 1 else f"{len(report.files)} files"
    total = sum(each.events for each in report.files)
    headline = {
        "Entries": Number(total),
        "Looked at": Number(sum(each.entries_read for each in report.files)),
        "Warnings": Number(len(report.warnings)),
    }
    write_report(
        path,
        title,
        sections,
        _facts(first),
        [command],
        headline=headline,
        beside=False,
        overwrite=overwrite,
    )


def _warnings(report: Report) -> Result:
    rows = tuple((str(index), text) for index, text in enumerate(report.warnings, 1))
    if not rows:
        return Result("Warnings", note="None: nothing conspicuous in the entries looked at.")
    return Result("Warnings", tables={"": Table(("", "What to look at"), rows)})


def _facts(report: FileReport) -> dict[str, str]:
    facts = {"File": report.path, "Format": f"{report.format}: {report.meaning}"}
    if report.tree:
        facts["Tree"] = report.tree
    if report.why_unit:
        facts["Energies"] = f"{report.unit} ({report.why_unit}); shown in GeV"
    if report.classes:
        facts["Classes"] = ", ".join(f"{n} {name}" for name, n in report.classes.items())
    for name, told in list(report.padding.items())[:8]:
        facts[name] = told
    if report.notes:
        facts["Notes"] = "; ".join(report.notes)
    if report.convert:
        facts["Convert it"] = report.convert
    return facts


def _sections(report: FileReport, drawn: Drawn, several: bool) -> list[Result]:
    prefix = f"{Path(report.path).name}: " if several else ""
    sections = []
    if report.collections:
        sections.append(Result(f"{prefix}Collections", tables={"": _collections(report)}))
    for caption, figure in drawn.figures.items():
        tables = {}
        name = caption.split(",")[0]
        if caption in report.collections:
            tables = {"": _fields(name, report.collections[name])}
        note = "Each histogram is normalised to one and shows 99 % of the values."
        sections.append(Result(f"{prefix}{caption}", figures={caption: figure}, tables=tables,
                               note=note))  # fmt: skip
    if drawn.left:
        text = f"{drawn.left} further fields are not drawn; --all lists them in the terminal."
        sections.append(Result(f"{prefix}Not shown", note=text))
    if report.histograms:
        sections.append(Result(f"{prefix}Histograms", tables={"": _histograms(report)}))
    return sections


def _collections(report: FileReport) -> Table:
    order = sorted(report.collections, key=collection_rank)
    # what has one value an entry has sections of its own, and a length of one
    names = [name for name in order if report.collections[name].lists] or order
    rows = tuple(
        (
            name,
            Number(found.objects),
            Number(found.mean),
            Number(found.minimum),
            Number(found.maximum),
            "–" if found.pt_ordered is None else f"{100 * found.pt_ordered:.3g} %",
            Number(len(found.fields)),
        )
        for name in names[:_ROWS]
        for found in [report.collections[name]]
    )
    head = ("Collection", "Objects", "Mean", "Fewest", "Most", "pT falls", "Fields")
    return Table(head, rows, note="Objects, and how many of them a list has.")


def _fields(collection: str, found: CollectionFound) -> Table:
    order = sorted_fields(collection, found.fields)
    rows = tuple((name, *_row(found.fields[name])) for name in order[:_FIELDS])
    left = len(order) - len(rows)
    note = f"and {left} more fields; fivesigma inspect --all lists them" if left else ""
    return Table(("Field", "Type", "Min", "Mean", "Max", "NaN, inf", "Most common"), rows, note)


def _row(found: FieldFound) -> tuple[str | Number, ...]:
    bad = found.nan + found.infinite
    common = "–" if found.common is None else f"{found.common:g} ({found.common_fraction:.0%})"
    numbers = (found.minimum, found.mean, found.maximum)
    told = tuple("–" if value is None else Number(float(value)) for value in numbers)
    return (found.dtype, *told, f"{bad:.2%}" if bad else "–", common)


def _histograms(report: FileReport) -> Table:
    rows = tuple(
        (name, " x ".join(map(str, each["bins"])), Number(each["sum"]), Number(each["entries"]))
        for name, each in list(report.histograms.items())[:_ROWS]
    )
    return Table(("Histogram", "Bins", "Sum", "Effective entries"), rows)
