"""What is found, as lines for a terminal: a table with rules, or plain aligned lines."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from io import StringIO

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from fivesigma.workflows.doctor.order import collection_rank, is_main, sorted_fields
from fivesigma.workflows.doctor.records import CollectionFound, FieldFound, FileReport, Report
from fivesigma.workflows.doctor.tallies import SENTINELS

__all__ = ["lines"]

#: rows of a table that are shown without --all
_COLLECTIONS, _FIELDS, _EACH, _HISTOGRAMS = 24, 60, 8, 40
#: collections of fewer fields than this show all of them
_WHOLE = 30
#: a value that this fraction has is worth a word, and fields whose values are signs
_NEARLY_ALL, _SIGNS = 0.9, ("charge", "pdg_id", "label")
#: names in a row of names
_NAMES = 8


def lines(report: Report, *, terminal: bool = False, every: bool = False) -> Iterator[str]:
    """The text.

    Args:
        report: what was found.
        terminal: draw rules and colours, as wide as the terminal.
        every: show all fields of all collections.
    """
    for each in report.files:
        yield from _file(each, terminal, every)
    if len(report.files) > 1:
        yield ""
        total = sum(each.events for each in report.files)
        yield f"{len(report.files)} files, {total} entries in all"
    yield ""
    if report.warnings:
        yield f"{len(report.warnings)} warning{'s' * (len(report.warnings) > 1)}:"
        for text in report.warnings:
            yield from _wrapped(f"  ! {text}", "    ", terminal)
    else:
        yield "no warnings"
    commands = [each.convert for each in report.files if each.convert]
    if commands:
        yield f"next: {commands[0]}"


def _file(report: FileReport, terminal: bool, every: bool) -> Iterator[str]:
    counted = f"{len(report.histograms)} " if report.histograms else ""
    yield f"{report.path}: {counted}{report.format}, {report.meaning}"
    yield from _described(report, terminal)
    if report.histograms:
        yield from _histograms(report, terminal, every)
        return
    yield from _collections(report, terminal, every)
    yield from _fields(report, terminal, every)
    truth = report.truth
    if truth:
        yield from _wrapped(f"  named after the truth: {_some(truth, every)}", "    ", terminal)


def _described(report: FileReport, terminal: bool) -> Iterator[str]:
    if report.histograms:
        return
    noun = {"table": "rows"}.get(report.kind, report.kind)
    tree = f" in {report.tree}" if report.tree else ""
    tree += f" ({report.container})" if report.container else ""
    read = report.entries_read
    looked = "all" if read == report.events else f"the first {read}"
    why = f", {report.why_unit}" if report.why_unit else ""
    yield f"  {report.events} {noun}{tree}; {looked} looked at"
    unit = f"  energies in {report.unit}{why}"
    yield unit + ("; shown in GeV" if report.unit != "GeV" else "")
    if report.trees:
        yield from _wrapped(f"  other trees: {_some(report.trees)}", "    ", terminal)
    if report.classes:
        told = ", ".join(f"{count} {name}" for name, count in report.classes.items())
        yield from _wrapped(f"  classes: {told}", "    ", terminal)
    for name, found in report.weights.items():
        yield f"  {name}: {_weight(found)}"
    for name, told in list(report.padding.items())[:_NAMES]:
        yield f"  {name}: {told}"
    if report.skipped:
        yield from _wrapped(f"  left out: {_some(list(report.skipped))}", "    ", terminal)
    for note in report.notes:
        yield from _wrapped(f"  note: {note}", "    ", terminal)


def _weight(found: dict[str, float]) -> str:
    if "variations" in found:
        return f"{found['variations']:.0f} weight variations"
    return (
        f"sum {found['sum']:.4g}, worth {found['effective']:.0f} entries of equal weight, "
        f"{100 * found['negative']:.2g} % negative, spread {found['spread']:.2g}"
    )


def _collections(report: FileReport, terminal: bool, every: bool) -> Iterator[str]:
    """Lists with their lengths; what has one value an entry in a row of names."""
    found = report.collections
    order = sorted(found, key=collection_rank)
    lists = [name for name in order if found[name].lists]
    shown = lists if every else lists[:_COLLECTIONS]
    rows = [_counts(name, found[name]) for name in shown]
    head = ("collection", "objects", "mean", "min", "max", "pT falls", "fields")
    if rows:
        yield ""
        yield from _table(head, rows, "lrrrrrr", terminal)
        yield from _more(len(lists) - len(shown), "collections")
    single = [f"{name} ({len(found[name].fields)})" for name in order if not found[name].lists]
    if single:
        yield from _wrapped(
            f"  one value an entry (fields): {_some(single, every, 12)}", "    ", terminal
        )


def _counts(name: str, found: CollectionFound) -> tuple[str, ...]:
    order = "" if found.pt_ordered is None else f"{100 * found.pt_ordered:.3g} %"
    return (
        name,
        str(found.objects),
        f"{found.mean:.3g}",
        str(found.minimum),
        str(found.maximum),
        order,
        str(len(found.fields)),
    )


def _fields(report: FileReport, terminal: bool, every: bool) -> Iterator[str]:
    rows: list[tuple[str, ...]] = []
    left = 0
    for name in sorted(report.collections, key=collection_rank):
        fields = report.collections[name].fields
        order = sorted_fields(name, fields)
        shown = order if every else _chosen(name, order, _FIELDS - len(rows))
        rows += [_field(f"{name}.{field}", fields[field]) for field in shown]
        left += len(order) - len(shown)
    if rows:
        yield ""
        head = ("field", "type", "min", "mean", "max", "")
        yield from _table(head, rows, "llrrrl", terminal)
        yield from _more(left, "fields")


def _chosen(collection: str, order: Sequence[str], room: int) -> Sequence[str]:
    """The main fields of a collection, as many as there is room for."""
    if collection_rank(collection) < collection_rank("") and len(order) <= _WHOLE:
        return order[: max(room, 0)]
    main = [field for field in order if is_main(field)]
    return (main or order[:2])[: max(min(room, _EACH), 0)]


def _field(name: str, found: FieldFound) -> tuple[str, ...]:
    return (name, found.dtype, *map(_short, (found.minimum, found.mean, found.maximum)),
            _remarks(name.rpartition(".")[2], found))  # fmt: skip


def _remarks(name: str, found: FieldFound) -> str:
    told = []
    if found.minimum is not None and found.minimum == found.maximum:
        told.append("always the same")
    if found.nan:
        told.append(f"{_percent(found.nan)} NaN")
    if found.infinite:
        told.append(f"{_percent(found.infinite)} infinite")
    if found.missing:
        told.append(f"{found.missing} missing")
    # half of all charges are +1: only stand-ins, and what nearly all have, is worth a word
    if found.common is not None and (
        found.common_fraction > _NEARLY_ALL or (found.common in SENTINELS and name not in _SIGNS)
    ):
        told.append(f"{_percent(found.common_fraction)} are {_short(found.common)}")
    return ", ".join(told)


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.{2 if fraction < 0.1 else 3}g} %"


def _short(value: float | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, int) and abs(value) < 1e12:
        return str(value)
    return f"{value:.4g}"


def _histograms(report: FileReport, terminal: bool, every: bool) -> Iterator[str]:
    names = list(report.histograms)
    shown = names if every else names[:_HISTOGRAMS]
    rows = []
    for name in shown:
        found = report.histograms[name]
        axes = " x ".join(
            f"{bins} bins {axis['low']:.4g} to {axis['high']:.4g}"
            for bins, axis in zip(found["bins"], found["axes"], strict=True)
        )
        rows.append((name, axes, f"{found['sum']:.5g}", f"{found['entries']:.5g}"))
    yield ""
    yield from _table(("histogram", "axes", "sum", "entries"), rows, "llrr", terminal)
    yield from _more(len(names) - len(shown), "histograms")


def _more(left: int, what: str) -> Iterator[str]:
    if left > 0:
        yield f"  ... and {left} more {what} (--all)"


def _some(names: Sequence[str], every: bool = False, most: int = _NAMES) -> str:
    shown = names if every else names[:most]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _table(
    head: Sequence[str], rows: Iterable[Sequence[str]], align: str, terminal: bool
) -> Iterator[str]:
    table = Table(
        box=box.SIMPLE_HEAD if terminal else None, pad_edge=True, header_style="bold", expand=False
    )
    for title, side in zip(head, align, strict=True):
        table.add_column(title, justify="right" if side == "r" else "left", no_wrap=side == "r",
                         overflow="fold")  # fmt: skip
    for row in rows:
        table.add_row(*map(escape, row))
    text = StringIO()
    # piped text is never folded: programs and people search it line by line
    width = shutil.get_terminal_size().columns if terminal else 1000
    Console(file=text, width=width, force_terminal=terminal, highlight=False).print(table)
    for line in text.getvalue().splitlines():
        if line.strip():
            yield line.rstrip()


def _wrapped(text: str, indent: str, terminal: bool) -> Iterator[str]:
    """Long lines folded at blanks to the width of a terminal; whole where there is none."""
    width = shutil.get_terminal_size().columns if terminal else 10**6
    yield from textwrap.wrap(
        text, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False,
        drop_whitespace=True,
    )  # fmt: skip
