"""Make the shards that a dataset lacks: begin or resume a folder, and report what failed."""

from __future__ import annotations

import errno
import re
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from fivesigma.manifests import MANIFEST, SETTINGS, is_dataset, read_header, require_same
from fivesigma.shards import Record, Shard, collection_path, read_record, write_shard
from fivesigma.storage import check_file, remove_temporaries, write_json
from fivesigma.workers import map_unordered

__all__ = ["begin", "check_free", "complete", "guarded", "make_missing"]

Progress = Callable[[int, int, Record], None]

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def check_free(folder: Path) -> None:
    """Check that a folder is new, empty or a dataset: nothing else is written into or removed.

    Raises:
        ValueError: it is something else.
    """
    if not folder.exists():
        return
    taken = not folder.is_dir() or any(path.name[0] != "." for path in folder.iterdir())
    if taken and not is_dataset(folder):
        message = f"{folder} exists and is no dataset; choose another folder"
        raise ValueError(message)


def begin(folder: Path, head: Mapping[str, Any], overwrite: bool) -> None:
    """Clear a folder, or check that it was begun with the same settings; write `settings.json`.

    Raises:
        ValueError: there are shards of other settings.
    """
    remove_temporaries(folder)
    marks = [path for name in (SETTINGS, MANIFEST) if (path := folder / name).is_file()]
    begun = folder / MANIFEST in marks or any(folder.glob("shards/*.json"))
    if begun and not overwrite:
        require_same(folder, read_header(marks[0]), head)
    else:
        (folder / MANIFEST).unlink(missing_ok=True)
        _remove_shards(folder)
    write_json(folder / SETTINGS, head)


def _remove_shards(folder: Path) -> None:
    """Remove all shards and their records, and nothing that a user has put beside them."""
    for path in folder.glob("*/*"):
        if re.fullmatch(r"\d{5,}\.(parquet|json)", path.name):
            path.unlink()
    for path in folder.iterdir():
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _whole_record(folder: Path, index: int) -> Record | None:
    """The record of a shard, None unless all that `produce` made of it is there and unchanged."""
    record = read_record(folder, index)
    try:
        for collection in record["counts"].keys() - record["derived"].keys():
            path = collection_path(folder, collection, index)
            check_file(path, record["bytes"][collection], record["checksums"][collection])
    except (KeyError, ValueError):
        return None
    return record


def make_missing(
    folder: Path,
    make: Callable[[int], Shard],
    shards: int,
    *,
    workers: int,
    cluster: str | None,
    progress: Progress | None,
) -> list[Record]:
    """Make each shard that is not there whole and unchanged; returns the records of all.

    Raises:
        RuntimeError: shards failed (the others are made first), or a worker died.
        OSError: the disk is full; the others would fail too.
    """
    found = {index: _whole_record(folder, index) for index in range(shards)}
    whole = {index: record for index, record in found.items() if record is not None}
    task = partial(_make_shard, folder.absolute(), make)
    return complete(task, whole, shards, folder, workers, cluster, progress)


def complete(
    task: Callable[[int], Record],
    whole: Mapping[int, Record],
    shards: int,
    folder: Path,
    workers: int,
    cluster: str | None,
    progress: Progress | None,
) -> list[Record]:
    """The records of all shards: those that are whole, and what a task gives for the others.

    Args:
        task: makes the shard of a number; its record has the key "error" where that failed.
        whole: the records that are there.
        shards: how many in all.
        folder: named in errors.
        workers: local processes.
        cluster: address of a Dask scheduler, or None.
        progress: called as progress(whole, shards, record).

    Raises:
        RuntimeError: shards failed (the others are made first), or a worker died.
        OSError: the disk is full; the others would fail too.
    """
    records = dict(whole)
    missing = [index for index in range(shards) if index not in records]
    try:
        with closing(map_unordered(task, missing, workers, cluster)) as results:
            failed = _collect(results, records, shards, progress)
    except BrokenProcessPool as error:
        message = (
            "a worker process died (out of memory, killed, or started by a script without "
            f"`if __name__ == '__main__':`); {len(records)} of {shards} shards are whole: "
            "repeat the command to go on"
        )
        raise RuntimeError(message) from error
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        message = (
            f"no space left on the disk; {len(records)} of {shards} shards are whole: "
            "make room and repeat the command to go on"
        )
        raise OSError(error.errno, message, str(folder)) from error
    if failed:
        raise _failure(failed, shards)
    return [records[index] for index in range(shards)]


def _make_shard(folder: Path, make: Callable[[int], Shard], index: int) -> Record:
    return guarded(index, lambda: write_shard(folder, index, make(index)))


def guarded(index: int, write: Callable[[], Record]) -> Record:
    """In the worker: only the record goes back, and an error as text, which always pickles."""
    try:
        return write()
    except Exception as error:
        if isinstance(error, OSError) and error.errno in _NO_SPACE:
            raise
        text = f"{type(error).__name__}: {error}"
        return {"index": index, "error": text, "traceback": traceback.format_exc()}


def _collect(
    results: Iterable[Record], records: dict[int, Record], shards: int, progress: Progress | None
) -> list[Record]:
    """Put the shards that are made into `records`; returns those that failed."""
    failed = []
    for record in results:
        if "error" in record:
            failed.append(record)
        else:
            records[record["index"]] = record
        if progress is not None:
            progress(len(records), shards, record)
    return failed


def _failure(failed: Sequence[Record], shards: int) -> RuntimeError:
    by_error: dict[str, list[int]] = {}
    for record in failed:
        by_error.setdefault(record["error"], []).append(record["index"])
    named = "; ".join(
        f"shard {', '.join(map(str, sorted(indices)))}: {text}"
        for text, indices in by_error.items()
    )
    message = (
        f"{len(failed)} of {shards} shards failed ({named}); "
        "the others are whole: repeat the command to try these again"
    )
    error = RuntimeError(message)
    error.add_note(failed[0]["traceback"])
    return error
