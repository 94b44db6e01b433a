"""`fivesigma convert`: files of any format into a dataset, or into files of another format."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from fivesigma.datasets import Shard, produce
from fivesigma.formats import Source, expand, open_file
from fivesigma.formats.arrangements import momenta_if
from fivesigma.formats.source import parse_bytes
from fivesigma.formats.writers import WRITERS, open_writer
from fivesigma.progress import Progress
from fivesigma.workers import map_unordered
from fivesigma.workflows.selection import Selection

__all__ = ["Converted", "Opening", "convert"]

#: memory that a process takes before it has read anything [bytes]
_BASE = 330e6
#: times the columns of a step are in memory while it is read, cut and written
_COPIES = 10
#: memory of the columns in one shard, if so much may be used [bytes]
_SHARD = 200e6
#: formats that take text beside numbers
_WITH_TEXT = ("parquet", "rntuple")
#: of formats that no suffix tells
_SUFFIXES = {"rntuple": ".root", "hdf5-padded": ".h5"}
#: numbers of entries without their own: file * this + entry
_PER_FILE = 1 << 40


@dataclass(frozen=True)
class Opening:
    """How files are opened.

    Attributes:
        format: a name in `FORMATS`; recognised by content if none.
        tree: which tree or group, where a file has several.
        mapping: YAML that names the columns of each field.
        unit: "GeV" or "MeV" of energies in the file; known or guessed if none.
    """

    format: str | None = None
    tree: str | None = None
    mapping: Path | None = None
    unit: str | None = None

    def __call__(self, path: str) -> Source:
        """Open one file."""
        return open_file(path, **asdict(self))


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
    label = _labels_of(names, classes)
    by_suffix = {suffix: name for name, info in WRITERS.items() for suffix in info.suffixes}
    target = to or by_suffix.get(out.suffix.lower())
    if target is not None and target not in WRITERS:
        message = f"cannot write {target!r}; choose from {', '.join(WRITERS)}"
        raise ValueError(message)
    plan = _plan(names, opening, selection, label, classes, parse_bytes(memory), workers)
    try:
        if target is None:
            return _to_dataset(out, plan, workers, overwrite, quiet)
        if out.suffix.lower() not in by_suffix:
            return _to_folder(out, target, plan, workers, overwrite, quiet)
        return _to_file(out, target, plan, overwrite, quiet)
    finally:
        _close()


@dataclass(frozen=True)
class _Plan:
    """The pieces of all files, in order, and what becomes of them; picklable."""

    files: tuple[str, ...]
    pieces: tuple[tuple[int, int, int], ...]  # (file, start, stop)
    opening: Opening
    selection: Selection
    labels: tuple[int, ...]  # of the files; empty: none
    kind: str
    classes: tuple[str, ...]

    @property
    def entries(self) -> int:
        return sum(stop - start for _, start, stop in self.pieces)

    def __call__(self, index: int) -> Shard:
        """Shard `index` of a dataset: its collections."""
        file, start, stop = self.pieces[index]
        array = self.read(index)
        info: dict[str, Any] = {
            "process": Path(self.files[file]).name.split(".")[0],
            "n_generated": stop - start,
        }
        if self.kind != "events":
            return Shard({self.kind: array}, info)
        collections = {name: array[name] for name in array.fields}
        return Shard(collections, info | _weights(array))

    def read(self, index: int, few: int | None = None) -> ak.Array:
        """One piece, selected; or the `few` first entries of it."""
        file, start, stop = self.pieces[index]
        stop = stop if few is None else min(stop, start + few)
        source = _source(self.files[file], self.opening)
        events = source.read(self.selection.reads(source), start, stop)
        number = np.arange(start, stop, dtype=np.uint64) + np.uint64(file * _PER_FILE)
        try:
            events = self.selection(events, number)
        except ValueError as error:
            message = f"{source.path}: {error}"
            raise ValueError(message) from None
        if self.labels:
            label = np.full(len(events), self.labels[file], np.int16)
            events = ak.with_field(events, label, "label")
        return _storable(events, self.kind, number)


def _storable(events: ak.Array, kind: str, number: np.ndarray) -> ak.Array:
    """Events whose fields outside of collections are gathered in `event`; each has a number."""
    if kind != "events":
        return events
    parts = dict(zip(events.fields, ak.unzip(events), strict=True))
    loose = {name: array for name, array in parts.items() if not ak.fields(array)}
    inner = ak.Array([]) if "event" in loose else parts.get("event", ak.Array([]))
    event = {name: inner[name] for name in ak.fields(inner)}
    if "event" not in {**event, **loose}:
        event = {"event": number[: len(events)], **event}
    rest = {name: each for name, each in parts.items() if name not in {*loose, "event"}}
    return ak.zip({"event": ak.zip(event | loose, depth_limit=1), **rest}, depth_limit=1)


def _weights(array: ak.Array) -> dict[str, Any]:
    """The sum of weights, for cross-sections."""
    if "event" not in array.fields or "weight" not in array.event.fields:
        return {}
    return {"sum_of_weights": float(ak.sum(array.event.weight))}


#: the one file that this process reads: it stays open for the next piece
_OPEN: dict[tuple[str, Opening], Source] = {}


def _source(path: str, opening: Opening) -> Source:
    if (path, opening) not in _OPEN:
        _close()
        _OPEN[path, opening] = opening(path)
    return _OPEN[path, opening]


def _close() -> None:
    while _OPEN:
        _OPEN.popitem()[1].close()


def _labels_of(names: Sequence[str], classes: Mapping[str, str] | None) -> tuple[int, ...]:
    """The class of each file."""
    if not classes:
        return ()
    labels = []
    for name in names:
        fits = [
            index
            for index, pattern in enumerate(classes.values())
            if fnmatch(Path(name).name, pattern) or fnmatch(name, pattern)
        ]
        if len(fits) != 1:
            message = f"{name} fits {len(fits)} of the patterns of classes, expected one"
            raise ValueError(message)
        labels += fits
    return tuple(labels)


def _plan(
    names: Sequence[str],
    opening: Opening,
    selection: Selection,
    labels: tuple[int, ...],
    classes: Mapping[str, str] | None,
    memory: float,
    workers: int,
) -> _Plan:
    """Cut the files into pieces that fit into memory."""
    processes = 1 if workers == 1 else workers + 1
    free = (memory - processes * _BASE) / workers / _COPIES
    if free < 1e6:
        message = (
            f"memory {memory / 1e6:.0f} MB is too little for {workers} workers; give at least "
            f"{(processes * _BASE + workers * _COPIES * 1e7) / 1e6:.0f} MB, or fewer workers"
        )
        raise ValueError(message)
    pieces: list[tuple[int, int, int]] = []
    kinds: dict[tuple[str, tuple[str, ...]], str] = {}
    for number, name in enumerate(names):
        with opening(name) as source:
            steps = source.steps(selection.reads(source), f"{min(free, _SHARD) / 1e6} MB")
            pieces += [(number, start, stop) for start, stop in steps]
            kinds.setdefault((selection.kind(source), tuple(source.classes)), name)
    if len(kinds) > 1:
        told = "; ".join(f"{name}: {kind} {' '.join(has)}" for (kind, has), name in kinds.items())
        message = f"the files differ in kind or classes ({told}); convert them apart"
        raise ValueError(message)
    if not pieces:
        message = f"{', '.join(names[:3])}: no entries to convert"
        raise ValueError(message)
    ((kind, found),) = kinds
    chosen = tuple(selection.labels) or tuple(classes or ()) or found
    plan = _Plan(tuple(names), tuple(pieces), opening, selection, labels, kind, chosen)
    first = {file: at for at, (file, _, _) in reversed(list(enumerate(pieces)))}
    for at in first.values():
        plan.read(at, few=1)  # so that mistakes in cuts and labels are told before all else
    return plan


def _to_dataset(out: Path, plan: _Plan, workers: int, overwrite: bool, quiet: bool) -> Converted:
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


def _to_file(out: Path, target: str, plan: _Plan, overwrite: bool, quiet: bool) -> Converted:
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
    out: Path, target: str, plan: _Plan, workers: int, overwrite: bool, quiet: bool
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
    plan: _Plan, target: str, out: Path, suffix: str, stems: list[str], overwrite: bool, file: int
) -> int:
    pieces = tuple(piece for piece in plan.pieces if piece[0] == file)
    path = out / f"{stems[file]}{suffix}"
    return _to_file(path, target, replace(plan, pieces=pieces), overwrite, quiet=True).written
