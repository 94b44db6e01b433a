"""The selection of all samples of an analysis: piece by piece, several at a time, kept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from fivesigma.formats import Source, open_file
from fivesigma.formats.source import parse_bytes
from fivesigma.progress import Progress
from fivesigma.search.description import Analysis
from fivesigma.search.histograms import histogram_names, select_histograms
from fivesigma.search.parts import Part, parts_of
from fivesigma.search.selected import NOMINAL, Selected
from fivesigma.search.selection import Selecting, selecting
from fivesigma.storage import remove_temporaries, write_file
from fivesigma.workers import map_unordered
from fivesigma.workflows.pieces import PER_FILE
from fivesigma.workflows.steps import Checksums, key_of

__all__ = ["Chosen", "select_all"]

#: changes where the same settings would give other histograms
_VERSION = 4
#: times the columns of a piece are in memory while it is read and selected
_COPIES = 12
#: memory that a process takes before it has read anything [bytes]
_BASE = 350e6
#: most memory of the columns of one piece: more makes nothing faster [bytes]
_PIECE = 100e6


@dataclass(frozen=True)
class Chosen:
    """A part, what is left of it, and the key that it is kept under."""

    part: Part
    selected: Selected
    key: str


@dataclass(frozen=True)
class _Task:
    """What is to be done for one part; picklable."""

    part: Part
    paths: tuple[str, ...]
    selecting: Selecting | None  # of events
    names: dict[tuple[str, str], tuple[str, ...]]  # of histograms
    key: str
    folder: Path

    @property
    def result(self) -> Path:
        name = f"{self.part.sample}-{self.part.variation}".replace("/", "-")
        return self.folder / f"{name}-{self.key}.npz"

    def piece(self, file: int, start: int, stop: int) -> Path:
        return self.folder / f"pieces-{self.key}" / f"{file}-{start}-{stop}.npz"

    def open(self, file: int) -> Source:
        given = self.part.given
        return open_file(self.paths[file], tree=given.tree, format=given.format)


def select_all(
    analysis: Analysis,
    out: Path,
    *,
    unblind: bool,
    memory: str = "2 GB",
    workers: int = 1,
    quiet: bool = False,
) -> list[Chosen]:
    """Select all parts of an analysis; what was selected before in the same way is read.

    Args:
        analysis: the description.
        out: folder of what is kept.
        unblind: whether data in signal regions are looked at.
        memory: most memory to use, of all processes together.
        workers: processes; 0: one for each core.
        quiet: show no progress.

    Raises:
        FileNotFoundError: no such file.
        ValueError: whatever is wrong with files, expressions or weights; says where.
    """
    workers = workers or os.cpu_count() or 1
    step = _step(memory, workers)
    checksums = Checksums(out / "checksums.json")
    tasks = [_task(analysis, part, out, checksums, unblind) for part in parts_of(analysis)]
    remove_temporaries(out)
    missing = [task for task in tasks if not task.result.is_file()]
    pieces = [piece for task in missing for piece in _pieces(task, step)]
    waiting = [piece for piece in pieces if not piece[0].piece(*piece[1:]).is_file()]
    done = sum(stop - start for _, _, start, stop in pieces) if pieces else 0
    left = sum(stop - start for _, _, start, stop in waiting)
    done -= left
    with Progress("selecting", done + left, "events", quiet=quiet, step=left) as bar:
        for count in map_unordered(_one_piece, waiting, min(workers, max(len(waiting), 1))):
            done += count
            bar(done)
    _source.cache_clear()
    for task in missing:
        _join(task, [piece for piece in pieces if piece[0] is task], analysis.data)
    _forget(out, {task.result.name for task in tasks})
    return [
        Chosen(task.part, Selected.from_bytes(task.result.read_bytes()), task.key)
        for task in tasks
    ]


def _step(memory: str, workers: int) -> str:
    """Memory of the columns of one piece."""
    processes = 1 if workers == 1 else workers + 1
    free = (parse_bytes(memory) - processes * _BASE) / workers / _COPIES
    if free < 1e6:
        message = (
            f"memory {memory} is too little for {workers} workers; give more, or fewer workers"
        )
        raise ValueError(message)
    return f"{min(free, _PIECE) / 1e6} MB"


def _task(analysis: Analysis, part: Part, out: Path, checksums: Checksums, unblind: bool) -> _Task:
    options = {"unblind": unblind or analysis.unblinded, "nominal": part.variation != NOMINAL}
    paths = tuple(part.given.paths(analysis.folder))
    names = histogram_names(analysis, part.sample, part.given, **options)
    of_histograms = bool(names) or _is_closed(analysis, part)
    events = None if of_histograms else selecting(analysis, part.sample, part.given, **options)
    content = {
        "version": _VERSION,
        "events": None if events is None else asdict(events),
        "order": [] if events is None else [*events.cuts, *events.regions],  # that of the cut-flow
        "histograms": [[*key, *value] for key, value in names.items()],
        "files": [checksums(path) for path in paths],
        "runs": [
            checksums(f)
            for each in (events.scores if events else {}).values()
            for f in each.files()
        ],
        "opened": [part.given.tree, part.given.format],
    }
    return _Task(part, paths, events, names, key_of(content), out)


def _is_closed(analysis: Analysis, part: Part) -> bool:
    """Whether a part is of histograms alone, all in regions that are closed."""
    regions = part.given.regions or tuple(analysis.regions)
    return bool(part.given.histogram) or all(analysis.regions[r].histogram for r in regions)


def _pieces(task: _Task, step: str) -> Iterator[tuple[_Task, int, int, int]]:
    if task.selecting is None:
        return
    for file in range(len(task.paths)):
        try:
            with task.open(file) as source:
                steps = source.steps(task.selecting.reads(source.fields), step)
        except ValueError as error:
            message = f"sample {task.part.sample}, {error}"
            raise ValueError(message) from None
        for start, stop in steps:
            yield task, file, start, stop


@lru_cache(maxsize=1)
def _source(path: str, tree: str | None, format: str | None) -> Source:
    """One file stays open from piece to piece."""
    return open_file(path, tree=tree, format=format)


def _one_piece(piece: tuple[_Task, int, int, int]) -> int:
    """Select a piece and keep it; returns the number of its events."""
    task, file, start, stop = piece
    given, do = task.part.given, task.selecting
    if do is None:
        return 0
    source = _source(task.paths[file], given.tree, given.format)
    number = np.arange(start, stop, dtype=np.uint64) + np.uint64(file * PER_FILE)
    try:
        selected = do(source.read(do.reads(source.fields), start, stop), number)
    except ValueError as error:
        place = f"sample {task.part.sample}, {source.path}, events {start} to {stop}"
        message = f"{place}: {str(error).removeprefix(f'{source.path}: ')}"
        raise ValueError(message) from None
    write_file(task.piece(file, start, stop), selected.to_bytes())
    return stop - start


def _join(task: _Task, pieces: list[tuple[_Task, int, int, int]], data: list[str]) -> None:
    """What is left of all pieces becomes one file; data may be without events."""
    if task.selecting is None:
        total = select_histograms(task.names, task.paths)
    elif not pieces and task.part.sample in data:
        total = _of_none(task, task.selecting)
    else:
        if not pieces:
            message = f"sample {task.part.sample}: {', '.join(task.paths[:3])} hold no events"
            raise ValueError(message)
        kept = [task.piece(*each[1:]) for each in pieces]
        total = Selected.from_bytes(kept[0].read_bytes())
        for path in kept[1:]:
            total = total + Selected.from_bytes(path.read_bytes())
    write_file(task.result, total.to_bytes())
    _remove_pieces(task.folder / f"pieces-{task.key}")


def _of_none(task: _Task, do: Selecting) -> Selected:
    """What is left of files without events."""
    with task.open(0) as source:
        nothing = source.read(do.reads(source.fields), 0, 0)
    return do(nothing, np.empty(0, np.uint64))


def _forget(out: Path, kept: set[str]) -> None:
    """Remove what earlier descriptions selected, also with data open that are closed now."""
    for path in out.glob("*.npz"):
        if path.name not in kept:
            path.unlink()
    for folder in out.glob("pieces-*"):
        _remove_pieces(folder)


def _remove_pieces(folder: Path) -> None:
    for path in folder.glob("*.npz"):
        path.unlink()
    if folder.is_dir():
        folder.rmdir()
