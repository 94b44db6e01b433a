"""Datasets: a folder with a manifest and one sub-folder of Parquet shards per collection.

    data/jets/settings.json           what was asked for; there from the beginning
              jets/00000.parquet      a collection of a shard
              jets.constituents/00000.parquet   a part of it: the records of all its lists
              shards/00000.json       the shard's record, written last: this shard is whole
              manifest.json           all records and their totals, written at the end

A shard is the unit of work and of restart: shard i depends on the settings and on i alone, so that
any number of workers, interrupted at any time, makes the same dataset.

Example:
    >>> data = Dataset.open("data/jets")                                  # doctest: +SKIP
    >>> jets = data.read("jets", columns=["label", "constituents.pt"])    # doctest: +SKIP
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from fivesigma.manifests import (
    MANIFEST,
    SCHEMA,
    SETTINGS,
    header,
    is_dataset,
    manifest,
    read_header,
)
from fivesigma.production import begin, check_free, make_missing
from fivesigma.shards import (
    Record,
    Shard,
    collection_path,
    collections_of,
    read_shard,
    write_derived,
)
from fivesigma.storage import check_file, locked, write_json

__all__ = ["SCHEMA", "SPLITS", "Dataset", "Shard", "produce", "split_of", "uniform_hash"]

SPLITS = ("train", "validation", "test")


def split_of(
    event: np.ndarray, fractions: tuple[float, float, float] = (0.7, 0.1, 0.2)
) -> np.ndarray:
    """The split that an event, and so each of its jets, belongs to.

    It depends on the event's number alone: not on order, selection or number of events. The number
    is hashed by the SplitMix64 generator (Steele, Lea and Flood, OOPSLA 2014,
    doi:10.1145/2660193.2660195).

    Args:
        event: (N,) event numbers, integers.
        fractions: of train, validation and test; they add up to 1.

    Returns:
        (N,) int8, index into `SPLITS`.

    Raises:
        ValueError: numbers that are no integers, or fractions that do not add up to 1.

    Example:
        >>> split_of(np.arange(8))
        array([2, 0, 0, 0, 0, 0, 1, 0], dtype=int8)
    """
    if min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-9:
        message = f"fractions: got {fractions}, expected three that add up to 1"
        raise ValueError(message)
    uniform = uniform_hash(event)
    return np.searchsorted(np.cumsum(fractions[:2]), uniform, side="right").astype(np.int8)


def uniform_hash(event: np.ndarray) -> np.ndarray:
    """Numbers in [0, 1) that depend on event numbers alone, by SplitMix64 as in `split_of`.

    Args:
        event: (N,) event numbers, integers.

    Raises:
        ValueError: numbers that are no integers.
    """
    number = np.asarray(event)
    if number.dtype.kind not in "iu":
        message = f"event numbers: got {number.dtype}, expected integers"
        raise ValueError(message)
    with np.errstate(over="ignore"):  # arithmetic modulo 2^64
        z = number.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return ((z ^ (z >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53


class Dataset:
    """A complete dataset on disk.

    Attributes:
        path: its folder.
        manifest: the content of `manifest.json`: kind, settings and their hash, classes, versions,
            processes with cross-sections [pb], counts, shards with seeds and checksums.
    """

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path = path
        self.manifest = manifest

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Dataset:
        """Open a folder.

        Raises:
            FileNotFoundError: no such folder.
            ValueError: no dataset, an incomplete one, or one of another schema version.
        """
        folder = Path(path)
        if not folder.is_dir():
            message = f"no dataset at {folder}; make one with `fivesigma generate`"
            raise FileNotFoundError(message)
        if not (folder / MANIFEST).is_file():
            raise ValueError(_why_unreadable(folder))
        return cls(folder, read_header(folder / MANIFEST))

    @property
    def classes(self) -> list[str]:
        """Names of the classes that labels count."""
        return self.manifest["classes"]

    @property
    def shards(self) -> list[Record]:
        """Records of the shards: index, info; counts, bytes, checksums by collection and part."""
        return self.manifest["shards"]

    def checksums(self, collection: str) -> list[dict[str, str]]:
        """Checksums of a collection's files by part, shard after shard."""
        return [
            {name: each for name, each in shard["checksums"].items()
             if name == collection or name.startswith(f"{collection}.")}
            for shard in self.shards
        ]  # fmt: skip

    @property
    def counts(self) -> dict[str, int]:
        """Number of entries by collection."""
        return self.manifest["counts"]

    def __repr__(self) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in self.counts.items())
        return f"<Dataset {self.path}: {counts} in {len(self.shards)} shards>"

    def read(
        self,
        collection: str = "jets",
        columns: Sequence[str] | None = None,
        shards: Iterable[int] | None = None,
    ) -> ak.Array:
        """Read a collection into memory.

        Args:
            collection: its name.
            columns: fields to read, e.g. ["label", "constituents.pt"]; None reads all.
            shards: indices of the shards to read; None reads all.

        Raises:
            ValueError: unknown collection, column or shard; a file missing, truncated or changed.
        """
        chosen = self._chosen(collection, shards)
        if not chosen:  # none asked for: an empty array of the right type
            first = next(shard for shard in self.shards if collection in shard["counts"])
            return read_shard(self.path, first, collection, columns, entries=False)
        arrays = [read_shard(self.path, each, collection, columns) for each in chosen]
        kinds = dict.fromkeys(str(array.type.content) for array in arrays)
        if len(kinds) > 1:
            message = f"shards of {collection} differ in their fields: {' and '.join(kinds)}"
            raise ValueError(f"{self.path}: {message}")
        return arrays[0] if len(arrays) == 1 else ak.concatenate(arrays)

    def iterate(
        self,
        collection: str = "jets",
        columns: Sequence[str] | None = None,
        shards: Iterable[int] | None = None,
    ) -> Iterator[ak.Array]:
        """Read a collection shard by shard, for datasets larger than memory; as `read`."""
        for shard in self._chosen(collection, shards):
            yield read_shard(self.path, shard, collection, columns)

    def write(
        self,
        collection: str,
        shard_index: int,
        array: ak.Array,
        overwrite: bool = False,
        *,
        base: str | None = "jets",
    ) -> None:
        """Add a collection to a shard, leaving what is there as it is.

        Args:
            collection: name of the new collection.
            shard_index: the shard.
            array: records, one for each entry of `base`.
            overwrite: replace what an earlier `write` added.
            base: the collection it goes with entry by entry; None: with none.

        Raises:
            ValueError: another number of entries than `base`, or a collection that is there.
        """
        with locked(self.path, wait=10.0):
            self.manifest = read_header(self.path / MANIFEST)
            (shard,) = self._chosen(None, [shard_index])
            _check_addition(shard, collection, len(array), overwrite, base)
            write_derived(self.path, shard, collection, array, base)
            self.manifest = manifest(self.manifest, self.shards)
            write_json(self.path / MANIFEST, self.manifest)

    def verify(self) -> None:
        """Compare every file with its checksum.

        Raises:
            ValueError: names each file that is missing, truncated or changed.
        """
        damaged = []
        for shard in self.shards:
            for collection, checksum in shard["checksums"].items():
                path = collection_path(self.path, collection, shard["index"])
                try:
                    check_file(path, shard["bytes"][collection], checksum)
                except ValueError as error:
                    damaged.append(str(error))
        if damaged:
            raise ValueError("\n".join(damaged))

    def _chosen(self, collection: str | None, indices: Iterable[int] | None) -> list[Record]:
        """Records of the shards asked for, each of which has the collection."""
        if collection is not None and collection not in self.counts:
            message = f"no collection {collection!r}; choose from {', '.join(self.counts)}"
            raise ValueError(f"{self.path}: {message}")
        known = {shard["index"]: shard for shard in self.shards}
        chosen = list(known if indices is None else indices)
        for index in chosen:
            if index not in known:
                message = f"no shard {index}; it has {len(known)}, from 0 to {max(known)}"
                raise ValueError(f"{self.path}: {message}")
            if collection is not None and collection not in known[index]["counts"]:
                message = f"shard {index} has no {collection} yet; finish what writes them"
                raise ValueError(f"{self.path}: {message}")
        return [known[index] for index in chosen]


def _why_unreadable(folder: Path) -> str:
    if not is_dataset(folder):
        return f"{folder} holds no dataset; make one with `fivesigma generate`"
    asked = read_header(folder / SETTINGS)["shards"]
    whole = len(list(folder.glob("shards/*.json")))
    return (
        f"{folder} is incomplete: {whole} of {asked} shards; "
        "repeat the generate command to finish it"
    )


def _check_addition(
    shard: Record, collection: str, count: int, overwrite: bool, base: str | None
) -> None:
    there = collection in shard["counts"]
    bases = collections_of(shard)
    wrong = None
    if there and collection not in bases:
        wrong = "is a part that another is stored in; choose another name"
    elif there and collection not in shard["derived"]:
        wrong = "is what the dataset was made of; choose another name"
    elif there and not overwrite:
        wrong = "is there; replace it with --overwrite, or choose another name"
    elif base is not None and base not in bases:
        wrong = f"has no base {base!r}; choose from {', '.join(bases)}"
    elif base is not None and count != bases[base]:
        wrong = f"has {count} entries, expected one for each of {bases[base]} {base}"
    if wrong:
        message = f"collection {collection!r} of shard {shard['index']} {wrong}"
        raise ValueError(message)


def produce(
    path: str | os.PathLike[str],
    make: Callable[[int], Shard],
    shards: int,
    *,
    kind: str,
    settings: Mapping[str, Any],
    classes: Sequence[str] | None = None,
    derived_from: Dataset | None = None,
    workers: int = 1,
    overwrite: bool = False,
    progress: Callable[[int, int, Record], None] | None = None,
    cluster: str | None = None,
) -> Dataset:
    """Make a dataset, or what is missing of it.

    Shards that are whole and unchanged are kept; a complete dataset is returned at once. More
    shards than before extend it.

    Args:
        path: its folder.
        make: makes shard i from i alone; picklable (a module-level function or a partial of one)
            where more than this process works.
        shards: how many.
        kind: what it is, e.g. "tagging".
        settings: all that decides what the shards hold, in JSON's types.
        classes: names of the classes that labels count; may stand in `settings` instead.
        derived_from: the dataset that `make` reads.
        workers: local processes; 1 works in this one.
        overwrite: remove a dataset that is in the folder, whatever its settings.
        progress: called as progress(whole, shards, record) after each shard; the record of a shard
            that failed has the key "error".
        cluster: address of a Dask scheduler to use instead of local processes; needs a file system
            that its workers share.

    Raises:
        ValueError: another dataset, other files or another process in the folder; bad arguments.
        RuntimeError: shards failed (the others are made first), or a worker died.
        OSError: the disk is full; what is whole stays.
    """
    folder = Path(path)
    origin = None if derived_from is None else _origin(folder, derived_from)
    head = header(kind, settings, shards, classes, origin)
    check_free(folder)
    with locked(folder):
        begin(folder, head, overwrite)
        records = make_missing(
            folder, make, shards, workers=workers, cluster=cluster, progress=progress
        )
        content = manifest(head, records)
        write_json(folder / MANIFEST, content)
    return Dataset(folder, content)


def _origin(folder: Path, dataset: Dataset) -> dict[str, str]:
    relative = os.path.relpath(dataset.path, folder)
    return {"path": relative, "settings_hash": dataset.manifest["settings_hash"]}
