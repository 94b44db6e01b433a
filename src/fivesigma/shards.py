"""The shards of a dataset: collections in Parquet, and a record in JSON that says what is whole.

The record `shards/<index>.json` is written after the collections `<collection>/<index>.parquet`
and holds their counts, sizes and checksums: a shard with a record that fits its files is complete.

Every file is flat. A field that is a list of records is a column with the numbers of its records,
which follow one another in a file of their own, a part: `jets.constituents` of `jets`. Where the
entries of a collection are lists themselves, the part is `particles.each`. Parquet's nested lists
take longer to decode than the values in them; only lists of plain numbers are left to Parquet.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import awkward as ak
import pyarrow.parquet as pq

import fivesigma.events  # noqa: F401 (momenta that are read have their vector behaviours)
from fivesigma.flattening import (
    COUNT,
    Part,
    as_written,
    column_names,
    flattened,
    inner_parts,
    leaves_of,
    list_of,
    note_of,
    storable,
    to_parquet,
    with_contents,
)
from fivesigma.storage import check_file, read_json, write_file, write_json

__all__ = [
    "Record",
    "Shard",
    "collection_path",
    "collections_of",
    "column_sizes",
    "read_record",
    "read_shard",
    "write_derived",
    "write_record",
    "write_shard",
]

#: index, info; parts: collection -> its parts; and by collection and part: counts, bytes,
#: checksums, derived (name of the base or None)
Record = dict[str, Any]


@dataclass(frozen=True)
class Shard:
    """What makes one shard.

    Attributes:
        collections: name -> records, e.g. {"jets": array of (N,) jets}.
        info: what the manifest keeps of it, in JSON's types: `seed`, `versions` of packages by
            name, and for the cross-section `process`, `n_generated`, `sum_of_weights`,
            `cross_section_pb`, `cross_section_error_pb`.
    """

    collections: Mapping[str, ak.Array]
    info: Mapping[str, Any] = field(default_factory=dict)


def collection_path(folder: Path, collection: str, index: int) -> Path:
    """The file of one collection, or part, of one shard.

    Raises:
        ValueError: a name that could leave the folder, or that the dataset uses itself.
    """
    own = collection in ("shards", "prepared")
    if own or not re.fullmatch(r"\w[\w.-]*", collection, re.ASCII):
        message = (
            f"collection name {collection!r}: expected letters, digits and _ . - only, "
            "and not 'shards' or 'prepared'"
        )
        raise ValueError(message)
    return folder / collection / f"{index:05d}.parquet"


def _record_path(folder: Path, index: int) -> Path:
    return folder / "shards" / f"{index:05d}.json"


def write_shard(folder: Path, index: int, shard: Shard) -> Record:
    """Write a shard's collections, then its record.

    What later stages added to an earlier making of this shard stays valid, and recorded: the same
    settings give the same shard.

    Raises:
        ValueError: no collection, or one that cannot be stored.
    """
    if not shard.collections:
        message = f"shard {index} has no collections; expected at least one"
        raise ValueError(message)
    old = read_record(folder, index)
    record: Record = {"index": index, "info": dict(shard.info)}
    for key in ("counts", "bytes", "checksums", "derived"):
        record[key] = {name: old[key][name] for name in old.get("derived", ())}
    parts = old.get("parts", {})
    record["parts"] = {name: parts[name] for name in parts if name in record["derived"]}
    record |= {"stages": old["stages"]} if "stages" in old else {}
    for collection, array in shard.collections.items():
        _write_collection(folder, record, collection, array)
    write_record(folder, record)
    return record


def write_record(folder: Path, record: Record) -> None:
    """Write a shard's record."""
    write_json(_record_path(folder, record["index"]), record)


def write_derived(
    folder: Path, record: Record, collection: str, array: ak.Array, base: str | None
) -> None:
    """Add a collection to a shard, or replace one; also in its record on disk and in memory."""
    before = _files_of(record, collection)
    _write_collection(folder, record, collection, array)
    after = _files_of(record, collection)
    record["derived"] |= dict.fromkeys(after, base)
    write_record(folder, record)
    for name in before:
        if name not in after:
            collection_path(folder, name, record["index"]).unlink(missing_ok=True)


def collections_of(record: Record) -> dict[str, int]:
    """Number of entries by collection, without the parts that some are stored in."""
    parts = {part for names in record["parts"].values() for part in names}
    return {name: count for name, count in record["counts"].items() if name not in parts}


def _files_of(record: Record, collection: str) -> list[str]:
    """A collection and its parts, if it is there."""
    if collection not in record["counts"]:
        return []
    return [collection, *record["parts"].get(collection, ())]


def _write_collection(folder: Path, record: Record, collection: str, array: ak.Array) -> None:
    try:
        flat = flattened(collection, storable(array))
        files = {name: to_parquet(layout, note) for name, (layout, note) in flat.items()}
    except ValueError as error:
        message = f"collection {collection}: {error}"
        raise ValueError(message) from None
    replaced = [name for name in _files_of(record, collection) if name in record["derived"]]
    for name in files:
        if name in record["counts"] and name not in replaced:
            message = f"collection {name!r} is there twice, once as lists of records; rename one"
            raise ValueError(message)
    for name, data in files.items():
        write_file(collection_path(folder, name, record["index"]), data)
    for key in ("counts", "bytes", "checksums", "derived", "parts"):
        for name in replaced:
            record[key].pop(name, None)
    for name, data in files.items():
        record["counts"][name] = len(flat[name][0])
        record["bytes"][name] = len(data)
        record["checksums"][name] = hashlib.sha256(data).hexdigest()
    if len(files) > 1:
        record["parts"][collection] = list(files)[1:]


def read_record(folder: Path, index: int) -> Record:
    """The record of a shard, empty where there is none that can be read."""
    try:
        return read_json(_record_path(folder, index))
    except (FileNotFoundError, ValueError):
        return {}


def read_shard(
    folder: Path,
    record: Record,
    collection: str,
    columns: Sequence[str] | None = None,
    *,
    entries: bool = True,
) -> ak.Array:
    """Read a collection of one shard: the array that was written, without option types.

    Args:
        folder: of the dataset.
        record: of the shard.
        collection: its name.
        columns: fields to read ("pt", "constituents.pt"); None reads all.
        entries: False reads no data, and gives an empty array of the same type.

    Raises:
        ValueError: unknown column; a file that is missing, truncated or damaged.
    """
    array = ak.Array(_read(folder, record, Part(collection, columns), entries))
    return array if entries else array[:0]  # without columns there are entries even so


def _read(folder: Path, record: Record, part: Part, entries: bool) -> Any:
    """The layout of a collection or part, its lists of records filled from their own parts."""
    with _opened(folder, record, part.name) as (file, lists, top):
        inner = inner_parts(part, lists, top)
        leaves = leaves_of(file, part, lists, top)
        table = file.read(leaves) if entries else file.read_row_groups([], leaves)
    layout = ak.transform(as_written, ak.from_arrow(table, highlevel=False), highlevel=False)
    made = {}
    for column, each in inner.items():
        content = _read(folder, record, each, entries)
        try:
            made[column] = list_of(layout[column], content)
        except ValueError as error:
            message = f"{collection_path(folder, part.name, record['index'])}: {column}: {error}"
            raise ValueError(message) from None
    if top:
        return made[COUNT]
    return with_contents(layout, made) if made else layout


@contextmanager
def _opened(
    folder: Path, record: Record, name: str
) -> Iterator[tuple[pq.ParquetFile, list[str], bool]]:
    """The file of a collection or part, and what its note says; errors name the file."""
    path = collection_path(folder, name, record["index"])
    if name not in record["counts"]:
        message = f"{path} is not in the record of shard {record['index']}, which is damaged"
        raise ValueError(message)
    check_file(path, record["bytes"][name])
    try:
        with pq.ParquetFile(path) as file:
            if file.metadata.num_rows != (count := record["counts"][name]):
                message = f"has {file.metadata.num_rows} entries, expected {count}; it is damaged"
                raise ValueError(message)
            yield file, *note_of(file)
    except (OSError, ValueError) as error:  # Arrow's own errors are ValueErrors
        message = f"{path}: {error}"
        raise ValueError(message) from None


def column_sizes(folder: Path, record: Record, collection: str) -> dict[str, tuple[int, int]]:
    """Number of values, and bytes when unpacked, of each column; reads no data.

    Raises:
        ValueError: a file that is missing, truncated or damaged.
    """
    sizes: dict[str, tuple[int, int]] = {}
    with _opened(folder, record, collection) as (file, lists, top):
        about = file.metadata
        for i, name in enumerate(column_names(file).values()):
            chunks = [about.row_group(group).column(i) for group in range(about.num_row_groups)]
            values = sum(chunk.num_values for chunk in chunks)
            sizes[name] = (values, sum(chunk.total_uncompressed_size for chunk in chunks))
        inner = inner_parts(Part(collection, None), lists, top)
    for column, part in inner.items():
        sizes.pop(column, None)
        found = column_sizes(folder, record, part.name)
        sizes |= {name if top else f"{column}.{name}": each for name, each in found.items()}
    return sizes
