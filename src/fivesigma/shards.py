"""The shards of a dataset: collections in Parquet, and a record in JSON that says what is whole.

The record `shards/<index>.json` is written after the collections `<collection>/<index>.parquet`
and holds their counts, sizes and checksums: a shard with a record that fits its files is complete.

Every file is flat. A field that is a list of records is a column with the numbers of its records,
which follow one another in a file of their own, a part: `jets.constituents` of `jets`. Where the
entries of a collection are lists themselves, the part is `particles.each`. Parquet's nested lists
take longer to decode than the values in them; only lists of plain numbers are left to Parquet.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import pyarrow.parquet as pq

import fivesigma.events  # noqa: F401 (momenta that are read have their vector behaviours)
from fivesigma.flattening import (
    COUNT,
    EACH,
    NOTE,
    flattened,
    storable,
    to_parquet,
    with_contents,
    without_options,
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

_MOMENTUM = {"pt", "eta", "phi", "mass"}
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


class _Part(NamedTuple):
    """What to read of a file: its columns, and what their names begin with for the user."""

    name: str
    columns: Sequence[str] | None
    prefix: str = ""


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
    array = ak.Array(_read(folder, record, _Part(collection, columns), entries))
    return array if entries else array[:0]  # without columns there are entries even so


def _read(folder: Path, record: Record, part: _Part, entries: bool) -> Any:
    """The layout of a collection or part, its lists of records filled from their own parts."""
    with _opened(folder, record, part.name) as (file, lists, top):
        inner = _inner(part, lists, top)
        leaves = _leaves(file, part, lists, top)
        table = file.read(leaves) if entries else file.read_row_groups([], leaves)
    layout = ak.transform(_as_written, ak.from_arrow(table, highlevel=False), highlevel=False)
    made = {}
    for column, each in inner.items():
        content = _read(folder, record, each, entries)
        try:
            made[column] = _list(layout[column], content)
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
            yield file, *_note(file)
    except (OSError, ValueError) as error:  # Arrow's own errors are ValueErrors
        message = f"{path}: {error}"
        raise ValueError(message) from None


def _note(file: pq.ParquetFile) -> tuple[list[str], bool]:
    names = file.schema_arrow.names
    match json.loads((file.schema_arrow.metadata or {}).get(NOTE, b"{}")):
        case {"lists": [*lists], "top": bool(top)} if all(name in names for name in lists):
            if not top or lists == [COUNT]:
                return lists, top
    message = "does not say which columns are lists; it is damaged"
    raise ValueError(message)


def _inner(part: _Part, lists: Sequence[str], top: bool) -> dict[str, _Part]:
    """Column of numbers of records -> the part of these records, and what is wanted of it."""
    if top:
        return {COUNT: part._replace(name=f"{part.name}.{EACH}")}
    inner = {}
    for name in lists:
        columns = None
        if part.columns is not None:
            columns = [c[len(name) + 1 :] for c in part.columns if f"{c}.".startswith(f"{name}.")]
            if not columns:
                continue
        whole = columns is None or "" in columns
        prefix = f"{part.prefix}{name}."
        inner[name] = _Part(f"{part.name}.{name}", None if whole else columns, prefix)
    return inner


def _leaves(
    file: pq.ParquetFile, part: _Part, lists: Sequence[str], top: bool
) -> list[str] | None:
    """Parquet's names of the columns of a file itself that are wanted."""
    if top or part.columns is None:
        return None
    names = _names(file)
    chosen = []
    for column in part.columns:
        first = column.partition(".")[0]
        own = first if first in lists else column
        found = [path for path, name in names.items() if f"{name}.".startswith(f"{own}.")]
        if not found:
            choices = [part.prefix + name for name in names.values()]
            wrong = part.prefix + column
            close = difflib.get_close_matches(wrong, choices)
            message = f"no column {wrong!r}; choose from {', '.join(close or choices)}"
            raise ValueError(message)
        chosen += found
    if part.prefix:  # as in the file; the fields of entries are in the order asked for
        return [path for path in names if path in chosen]
    return list(dict.fromkeys(chosen))


def _names(file: pq.ParquetFile) -> dict[str, str]:
    """Parquet's name of each column, e.g. "scores.list.element" -> "scores"."""
    paths = [file.schema.column(i).path for i in range(len(file.schema))]
    return {path: path.replace(".list.element", "").lstrip(".") for path in paths}


def _list(counts: Any, content: Any) -> Any:
    """Lists of so many records, one after the other."""
    if not counts.is_numpy or counts.data.dtype != np.uint32:
        message = f"got {counts.form.type}, expected numbers of records as uint32; it is damaged"
        raise ValueError(message)
    offsets = np.zeros(len(counts) + 1, np.int64)
    np.cumsum(counts.data, out=offsets[1:])
    if offsets[-1] != len(content):
        message = f"counts {offsets[-1]} records, expected {len(content)}; it is damaged"
        raise ValueError(message)
    return ak.contents.ListOffsetArray(ak.index.Index64(offsets), content)


def column_sizes(folder: Path, record: Record, collection: str) -> dict[str, tuple[int, int]]:
    """Number of values, and bytes when unpacked, of each column; reads no data.

    Raises:
        ValueError: a file that is missing, truncated or damaged.
    """
    sizes: dict[str, tuple[int, int]] = {}
    with _opened(folder, record, collection) as (file, lists, top):
        about = file.metadata
        for i, name in enumerate(_names(file).values()):
            chunks = [about.row_group(group).column(i) for group in range(about.num_row_groups)]
            values = sum(chunk.num_values for chunk in chunks)
            sizes[name] = (values, sum(chunk.total_uncompressed_size for chunk in chunks))
        inner = _inner(_Part(collection, None), lists, top)
    for column, part in inner.items():
        sizes.pop(column, None)
        found = column_sizes(folder, record, part.name)
        sizes |= {name if top else f"{column}.{name}": each for name, each in found.items()}
    return sizes


def _as_written(layout: Any, **_: Any) -> Any:
    """As `without_options`; records are momenta if, and only if, all four components are read."""
    if layout.is_record:
        contents = [ak.transform(_as_written, each, highlevel=False) for each in layout.contents]
        name = {"__record__": "Momentum4D"} if set(layout.fields) >= _MOMENTUM else None
        return ak.contents.RecordArray(
            contents, layout.fields, length=len(layout), parameters=name
        )
    return without_options(layout)
