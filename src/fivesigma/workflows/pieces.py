"""Pieces of files that fit into memory, read one after the other, and what is made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from fivesigma.datasets import Shard
from fivesigma.formats import Source, open_file
from fivesigma.workflows.selection import Selection

__all__ = ["PER_FILE", "Opening", "Plan", "close", "cut", "labels_of"]

#: memory that a process takes before it has read anything [bytes]
_BASE = 330e6
#: times the columns of a step are in memory while it is read, cut and written
_COPIES = 10
#: memory of the columns in one shard, if so much may be used [bytes]
_SHARD = 200e6
#: numbers of entries without their own: file * this + entry
PER_FILE = 1 << 40


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
class Plan:
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
        """Number of entries before any selection."""
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
        number = np.arange(start, stop, dtype=np.uint64) + np.uint64(file * PER_FILE)
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
        close()
        _OPEN[path, opening] = opening(path)
    return _OPEN[path, opening]


def close() -> None:
    """Close the file that is open."""
    while _OPEN:
        _OPEN.popitem()[1].close()


def labels_of(names: Sequence[str], classes: Mapping[str, str] | None) -> tuple[int, ...]:
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


def cut(
    names: Sequence[str],
    opening: Opening,
    selection: Selection,
    labels: tuple[int, ...],
    classes: Mapping[str, str] | None,
    memory: float,
    workers: int,
) -> Plan:
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
    plan = Plan(tuple(names), tuple(pieces), opening, selection, labels, kind, chosen)
    first = {file: at for at, (file, _, _) in reversed(list(enumerate(pieces)))}
    for at in first.values():
        plan.read(at, few=1)  # so that mistakes in cuts and labels are told before all else
    return plan
