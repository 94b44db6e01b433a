"""`fivesigma convert`: files of any format into a dataset, or into files of another format."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import awkward as ak

from fivesigma.datasets import produce
from fivesigma.formats import expand
from fivesigma.formats.arrangements import momenta_if
from fivesigma.formats.source import parse_bytes
from fivesigma.formats.writers import WRITERS, open_writer
from fivesigma.progress import Progress
from fivesigma.workers import map_unordered
from fivesigma.workflows.pieces import Opening, Plan, close, cut, labels_of
from fivesigma.workflows.selection import Selection

__all__ = ["Converted", "convert"]

#: formats that take text beside numbers
_WITH_TEXT = ("parquet", "rntuple")
#: of formats that no suffix tells
_SUFFIXES = {"rntuple": ".root", "hdf5-padded": ".h5"}


@dataclass(frozen=True)
class Converted:
    """What `convert` wrote.

    Attributes:
        path: file or folder.
        kind: "events", "jets", "table" ...
        read: entries read.
        written: entries written.
        left_out: fields of text, where the format takes numbers only.
        classes: names of the classes that labels count.
        model: that could learn from it: trees do without constituents.
    """

    path: Path
    kind: str
    read: int
    written: int
    classes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    model: str = "pfn"


def convert(
    files: Sequence[str],
    *,
    out: Path,
    to: str | None = None,
    columns: Sequence[str] = (),
    define: dict[str, str] | None = None,
    where: str = "",
    objects: dict[str, str] | None = None,
    jets: str = "",
    labels: dict[str, str] | None = None,
    classes: dict[str, str] | None = None,
    format: str | None = None,
    tree: str | None = None,
    mapping: Path | None = None,
    unit: str | None = None,
    memory: str = "2 GB",
    workers: int = 1,
    overwrite: bool = False,
    quiet: bool = False,
) -> Converted:
    """Convert files of any format into a dataset, or into another format.

    Without `--to`, and where OUT has no suffix of a format, a dataset is made, ready for `train`.
    Repeating the command goes on where an interrupted one stopped.

    Examples:
        fivesigma convert nano_*.root --out data/nano
        fivesigma convert top.root qcd.root --out data/top
            --classes.top 'top*' --classes.qcd 'qcd*'
        fivesigma convert nano.root --out data/b --jets jets --where 'count(muons) > 0'
            --labels.b 'hadronFlavour == 5' --labels.light 'hadronFlavour == 0'
        fivesigma convert ttbar.root wjets.root --out data/events --jets event
            --classes.ttbar 'ttbar*' --classes.wjets 'wjets*'
        fivesigma convert nano.root --out small.root --columns muons,met --objects.muons 'pt > 20'
        fivesigma convert data/top --out top.h5

    Args:
        files: files, glob patterns, addresses, folders of datasets.
        out: folder of a dataset; or a file (.root .h5 .npz .parquet), one for all; or, with `to`,
            a folder of one file for each.
        to: format to write, where it is not told by the suffix of `out`.
        columns: fields or collections to keep, e.g. muons,jets.pt; none: all.
        define: new fields by expression, in this order, before the cuts: name -> expression.
        where: cut on events (or jets, rows), an expression.
        objects: cuts on objects: collection -> expression.
        jets: the collection whose objects become one jet an entry; "event": each event becomes an
            entry like a jet, with all its objects for constituents, as event-transformer takes
            them; none: entries stay events.
        labels: class -> expression that is true for its jets; jets of no class are dropped.
        classes: class -> pattern of the names of the files that hold its jets.
        format: of the files; recognised by content if none.
        tree: which tree or group, where a file has several.
        mapping: YAML that names the columns of each field.
        unit: "GeV" or "MeV" of energies in the files; known or guessed if none.
        memory: most memory to use, of all processes together.
        workers: processes; 0: one for each core.
        overwrite: replace what is in `out`.
        quiet: show no progress.

    Returns:
        What was written, and how many entries.

    Raises:
        FileNotFoundError: no such file.
        FileExistsError: `out` is there.
        ValueError: files that cannot be read, that differ in kind or classes; too little memory.
        RuntimeError: shards that failed; repeat the command to try them again.
    """
    names = expand(list(files))
    workers = workers or os.cpu_count() or 1
    opening = Opening(format, tree, mapping, unit)
    selection = Selection(tuple(columns), define or {}, where, objects or {}, jets, labels or {})
    label = labels_of(names, classes)
    by_suffix = {suffix: name for name, info in WRITERS.items() for suffix in info.suffixes}
    target = to or by_suffix.get(out.suffix.lower())
    if target is not None and target not in WRITERS:
        message = f"cannot write {target!r}; choose from {', '.join(WRITERS)}"
        raise ValueError(message)
    plan = cut(names, opening, selection, label, classes, parse_bytes(memory), workers)
    try:
        if target is None:
            return _to_dataset(out, plan, workers, overwrite, quiet)
        if out.suffix.lower() not in by_suffix:
            return _to_folder(out, target, plan, workers, overwrite, quiet)
        return _to_file(out, target, plan, overwrite, quiet)
    finally:
        close()


def _to_dataset(out: Path, plan: Plan, workers: int, overwrite: bool, quiet: bool) -> Converted:
    settings = {
        "files": [_identity(name) for name in plan.files],
        "pieces": [list(piece) for piece in plan.pieces],
        "opening": {key: value and str(value) for key, value in asdict(plan.opening).items()},
        "selection": asdict(plan.selection),
        "labels": list(plan.labels),
    }
    count = len(plan.pieces)
    with Progress(f"converting into {out}", count, "shards", quiet=quiet, step=1) as bar:
        made = produce(
            out,
            plan,
            count,
            kind=plan.kind,
            settings=settings,
            classes=plan.classes or None,
            workers=min(workers, count),
            overwrite=overwrite,
            progress=lambda done, _, record: bar(done, record.get("error", "")),
        )
    sample = made.read(plan.kind, shards=[]) if plan.kind != "events" else made.read("event")[:0]
    model = "pfn" if "constituents" in sample.fields else "trees"
    if plan.selection.jets == "event":
        model = "event-transformer"
    written = max(made.counts.values())
    return Converted(out, plan.kind, plan.entries, written, plan.classes, (), model)


def _identity(name: str) -> dict[str, Any]:
    """What tells a file from another of the same name."""
    path = Path(name)
    return {"path": name, "bytes": path.stat().st_size if path.is_file() else None}


def _to_file(out: Path, target: str, plan: Plan, overwrite: bool, quiet: bool) -> Converted:
    """All pieces into one file, one after the other."""
    written, text = 0, set[str]()
    options: dict[str, Any] = {"format": target, "kind": plan.kind, "classes": plan.classes}
    with (
        Progress(f"converting into {out}", plan.entries, "entries", quiet=quiet) as bar,
        open_writer(out, overwrite=overwrite, **options) as writer,
    ):
        for index in range(len(plan.pieces)):
            array = plan.read(index)
            if target not in _WITH_TEXT:
                array = _numbers_only(array, text)
            writer.extend(array)
            written += len(array)
            bar(sum(b - a for _, a, b in plan.pieces[: index + 1]))
    return Converted(out, plan.kind, plan.entries, written, plan.classes, tuple(sorted(text)))


def _numbers_only(records: ak.Array, left_out: set[str], prefix: str = "") -> ak.Array:
    """Records without their fields of text, whose names are added to `left_out`."""
    parts = {}
    for name in records.fields:
        full = f"{prefix}{name}"
        if ak.fields(records[name]):
            parts[name] = _numbers_only(records[name], left_out, f"{full}.")
        elif "string" in str(records[name].type):
            left_out.add(full)
        else:
            parts[name] = records[name]
    if len(parts) == len(records.fields) and not left_out:
        return records
    return momenta_if(ak.zip(parts, depth_limit=records.ndim))


def _to_folder(
    out: Path, target: str, plan: Plan, workers: int, overwrite: bool, quiet: bool
) -> Converted:
    """One file for each, several at a time; files that are there are kept."""
    suffix = next(iter(WRITERS[target].suffixes), _SUFFIXES.get(target, ""))
    stems = [Path(name).name.split(".")[0] for name in plan.files]
    if len(set(stems)) < len(stems):
        message = "two files of the same name; convert them into different folders"
        raise ValueError(message)
    missing = [
        index
        for index, stem in enumerate(stems)
        if overwrite or not (out / f"{stem}{suffix}").exists()
    ]
    done, written = len(stems) - len(missing), 0
    one = partial(_one_file, plan, target, out, suffix, stems, overwrite)
    with Progress(f"converting into {out}", len(stems), "files", quiet=quiet, step=1) as bar:
        for count in map_unordered(one, missing, min(workers, max(len(missing), 1))):
            done, written = done + 1, written + count
            bar(done)
    return Converted(out, plan.kind, plan.entries, written)


def _one_file(
    plan: Plan, target: str, out: Path, suffix: str, stems: list[str], overwrite: bool, file: int
) -> int:
    pieces = tuple(piece for piece in plan.pieces if piece[0] == file)
    path = out / f"{stems[file]}{suffix}"
    return _to_file(path, target, replace(plan, pieces=pieces), overwrite, quiet=True).written
