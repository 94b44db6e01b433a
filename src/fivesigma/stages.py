"""Later stages: collections that are added to a dataset, shard by shard, as it was made.

A stage has a name and settings. Each shard's record says with which settings it has been there,
so that an interrupted stage goes on, and changed settings are noticed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import awkward as ak

from fivesigma.datasets import Dataset
from fivesigma.manifests import MANIFEST, header, manifest, read_header, require_same
from fivesigma.production import Progress, complete, guarded
from fivesigma.shards import Record, collection_path, read_record, write_derived, write_record
from fivesigma.storage import check_file, locked, write_json

__all__ = ["extend"]


def extend(
    dataset: Dataset,
    stage: str,
    make: Callable[[int], Mapping[str, ak.Array]],
    settings: Mapping[str, Any],
    *,
    base: str | None = "event",
    workers: int = 1,
    overwrite: bool = False,
    progress: Progress | None = None,
    cluster: str | None = None,
) -> Dataset:
    """Add what a stage makes of each shard, or what is missing of it.

    Args:
        dataset: grows by the collections; what is there stays as it is.
        stage: its name, e.g. "simulate".
        make: the collections of shard i, from i alone; picklable where other processes work.
        settings: all that decides what the shards get, in JSON's types.
        base: the collection that the new ones go with entry by entry; None: with none.
        workers: local processes; 1 works in this one.
        overwrite: replace what the stage made with other settings.
        progress: called as progress(whole, shards, record) after each shard.
        cluster: address of a Dask scheduler to use instead of local processes.

    Returns:
        The dataset with the new collections.

    Raises:
        ValueError: the stage was there with other settings, or its collections do not fit.
        RuntimeError: shards failed (the others are made first), or a worker died.
        OSError: the disk is full; what is whole stays.
    """
    count = len(dataset.shards)
    head = header(stage, settings, count)
    folder = dataset.path
    with locked(folder):
        content = read_header(folder / MANIFEST)
        before = content.get("stages", {}).get(stage)
        if before and not overwrite:
            require_same(folder, before, head)
        head["shards"] = count
        content["stages"] = content.get("stages", {}) | {stage: head}
        write_json(folder / MANIFEST, content)
        found = {
            index: record
            for index in range(count)
            if (record := _done(folder, index, stage, head["settings_hash"]))
        }
        task = partial(_add, folder.absolute(), stage, head["settings_hash"], make, base)
        records = complete(task, found, count, folder, workers, cluster, progress)
        content = manifest(content, records)
        write_json(folder / MANIFEST, content)
    return Dataset(folder, content)


def _done(folder: Path, index: int, stage: str, settings: str) -> Record | None:
    """The record of a shard where the stage has been with these settings and all is unchanged."""
    record = read_record(folder, index)
    mark = record.get("stages", {}).get(stage, {})
    try:
        for name in mark.get("files", ()):
            path = collection_path(folder, name, index)
            check_file(path, record["bytes"][name], record["checksums"][name])
    except (KeyError, ValueError):
        return None
    return record if mark.get("settings_hash") == settings else None


def _add(
    folder: Path,
    stage: str,
    settings: str,
    make: Callable[[int], Mapping[str, ak.Array]],
    base: str | None,
    index: int,
) -> Record:
    return guarded(index, lambda: _write(folder, stage, settings, make(index), base, index))


def _write(
    folder: Path,
    stage: str,
    settings: str,
    collections: Mapping[str, ak.Array],
    base: str | None,
    index: int,
) -> Record:
    record = read_record(folder, index)
    for name, array in collections.items():
        expected = len(array) if base is None else record["counts"][base]
        if len(array) != expected:
            message = (
                f"{name} has {len(array)} entries, expected one for each of {expected} {base}"
            )
            raise ValueError(message)
        if name in record["counts"] and name not in record["derived"]:
            message = f"collection {name!r} is what the dataset was made of; it is not replaced"
            raise ValueError(message)
    for name, array in collections.items():
        write_derived(folder, record, name, array, base)
    files = [
        name
        for collection in collections
        for name in (collection, *record["parts"].get(collection, ()))
    ]
    mark = {"settings_hash": settings, "files": files}
    record["stages"] = record.get("stages", {}) | {stage: mark}
    write_record(folder, record)
    return record
