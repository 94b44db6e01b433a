"""`fivesigma inspect`: what a file holds, and what is wrong with it, before training."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fivesigma.formats import FORMATS, Source, expand, open_file
from fivesigma.formats.tables import reading
from fivesigma.progress import Progress
from fivesigma.workflows.doctor import checks
from fivesigma.workflows.doctor.contents import container, other_trees
from fivesigma.workflows.doctor.examine import Sample, examine
from fivesigma.workflows.doctor.histograms import examine_histograms
from fivesigma.workflows.doctor.identity import Fingerprints, overlaps
from fivesigma.workflows.doctor.padding import padding
from fivesigma.workflows.doctor.page import Chosen, choose, draw, write_page
from fivesigma.workflows.doctor.records import FileReport, Report

__all__ = ["inspect"]

#: format of the folders that need no conversion
_DATASET = "dataset"


def inspect(
    files: Sequence[str],
    *,
    format: str | None = None,
    tree: str | None = None,
    mapping: str | None = None,
    unit: str | None = None,
    entries: int = 20000,
    json: bool = False,
    all: bool = False,
    html: Path | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> Report:
    """Tell what files hold, and what is wrong with them: the dataset doctor.

    It recognises the format, looks at the first entries and warns of NaN, wrong units, lists that
    are not ordered, entries that are there twice or in two files, classes out of balance, fields
    that give the class away.

    Examples:
        fivesigma inspect nano.root
        fivesigma inspect train.h5 test.h5 --html inspect.html
        fivesigma inspect data/top --json

    Args:
        files: files, patterns, addresses, or folders of datasets.
        format: name of the format; recognised by content if none is given.
        tree: which tree or group, where a file has several.
        mapping: YAML that names the columns of each field.
        unit: "GeV" or "MeV" of energies in the file; known or guessed if none is given.
        entries: how many entries to look at, from the first on.
        json: print one JSON object instead of text.
        all: print every field of every collection.
        html: a page to write, with a histogram of every field.
        overwrite: replace a page that is there.
        quiet: print nothing.

    Returns:
        What was found; `to_dict()` gives the JSON form.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a file that cannot be read, or a page that exists.
    """
    if entries < 1:
        message = f"entries: got {entries}, expected at least 1"
        raise ValueError(message)
    if html is not None and html.exists() and not overwrite:
        message = f"{html} exists; choose another name or allow to replace it with --overwrite"
        raise ValueError(message)
    options = {"format": format, "tree": tree, "mapping": mapping, "unit": unit}
    reports, prints, figures = [], {}, {}
    if not files:
        message = "name at least one file or dataset"
        raise ValueError(message)
    for path in expand(files):
        report, sample, chosen = _examined(path, options, entries, html is not None, quiet)
        reports.append(report)
        if sample is not None:
            prints[path] = sample.prints
            if html is not None:
                figures[path] = draw(sample, chosen, report)
    found = _together(reports, prints)
    if html is not None:
        write_page(html, found, figures, _command(files, options), overwrite)
    return found


def _examined(
    path: str, options: dict[str, Any], entries: int, pictured: bool, quiet: bool
) -> tuple[FileReport, Sample | None, Chosen]:
    try:
        with open_file(path, **options) as source:
            chosen = choose(source) if pictured else Chosen()
            stop = min(entries, source.entries)
            with Progress(path, stop, "entries", quiet=quiet) as progress:
                sample = examine(source, entries, keep=chosen.fields.__contains__,
                                 progress=progress)  # fmt: skip
            return _report(path, source, sample, options), sample, chosen
    except ValueError as error:
        # a file without trees may hold histograms
        found = examine_histograms(path) if "no tree and no table" in str(error) else None
        if found is None:
            raise
        return found, None, Chosen()


def _report(path: str, source: Source, sample: Sample, options: dict[str, Any]) -> FileReport:
    collections = {name: tally.found() for name, tally in sample.collections.items()}
    counts = checks.class_counts(sample, source.classes)
    weights = checks.weight_numbers(sample)
    repeated = sample.prints.repeated()
    leaks = checks.leaking_fields(sample, counts)
    warnings = [
        *checks.event_warnings(sample, source.unit, source.why, repeated),
        *checks.physics_warnings(collections),
        *checks.class_warnings(sample, counts, source.entries, shuffled=source.format == _DATASET),
        *(f"{name} alone tells the class {of}; leave it out" for name, of in leaks.items()),
        *checks.weight_warnings(weights, sample.entries),
    ]
    with reading(path):
        trees, padded = other_trees(path, source.table.name), padding(source.table)
    if not source.entries:
        warnings = ["it has no entries"]
    return FileReport(
        path,
        source.format,
        source.kind,
        meaning=FORMATS[source.format].meaning if source.format in FORMATS else "by a mapping",
        container=container(path),
        tree=source.table.name,
        trees=trees,
        events=source.entries,
        entries_read=sample.entries,
        unit=source.unit,
        why_unit=source.why,
        classes=counts,
        collections=collections,
        weights=weights,
        padding=padded,
        duplicates=repeated,
        leaks=leaks,
        truth=checks.truth_fields(collections, sample.label),
        skipped=dict(source.table.skipped),
        warnings=warnings,
        notes=source.notes,
        convert="" if source.format == _DATASET else _convert(path, source, options),
    )


def _convert(path: str, source: Source, options: dict[str, Any]) -> str:
    """The command that makes a dataset of it; a unit that was guessed is written out."""
    given = {name: value for name, value in options.items() if value}
    if not source.why.startswith(("by convention", "as ")):
        given["unit"] = source.unit
    name = Path(path.split("?")[0]).name.split(".")[0] or "data"
    words = ["fivesigma", "convert", path, "--out", f"data/{name}"]
    opening = (word for k, v in given.items() for word in (f"--{k}", str(v)))
    return shlex.join([*words, *opening])


def _command(files: Sequence[str], options: dict[str, Any]) -> str:
    given = [word for k, v in options.items() if v for word in (f"--{k}", str(v))]
    return shlex.join(["fivesigma", "inspect", *files, *given])


def _together(reports: list[FileReport], prints: dict[str, Fingerprints]) -> Report:
    """All files, and what they have in common."""
    several = len(reports) > 1
    warnings = [
        f"{each.path}: {text}" if several else text for each in reports for text in each.warnings
    ]
    shared = overlaps(prints) if several else []
    warnings += [
        f"{each['first']} and {each['second']} share {each['entries']} entries; "
        "a test sample must not hold what was trained on"
        for each in shared
    ]
    formats = dict.fromkeys(each.format for each in reports)
    if len(formats) > 1:
        warnings.append(f"the files are of different formats: {', '.join(formats)}")
    return Report(reports, shared, warnings)
