"""The shards of a dataset: collections in Parquet, and a record in JSON that says what is whole.

The record `shards/<index>.json` is written after the collections `<collection>/<index>.parquet`
and holds their counts, sizes and checksums: a shard with a record that fits its files is complete.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import fivesigma.events  # noqa: F401 (momenta that are read have their vector behaviours)
from fivesigma.storage import check_file, read_json, write_file, write_json

__all__ = [
    "Record",
    "Shard",
    "collection_path",
    "read_table",
    "remove_shards",
    "to_awkward",
    "whole_record",
    "write_derived",
    "write_shard",
]

_MOMENTUM = {"pt", "eta", "phi", "mass"}
#: index, info, and by collection: counts, bytes, checksums, derived (name of the base or None)
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
    """The file of one collection of one shard.

    Raises:
        ValueError: a name that could leave the folder, or that the dataset uses itself.
    """
    if collection == "shards" or not re.fullmatch(r"\w[\w.-]*", collection, re.ASCII):
        message = (
            f"collection name {collection!r}: expected letters, digits and _ . - only, "
            "and not 'shards'"
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
    old = _read_record(folder, index)
    record: Record = {"index": index, "info": dict(shard.info)}
    for key in ("counts", "bytes", "checksums", "derived"):
        record[key] = {name: old[key][name] for name in old.get("derived", ())}
    for collection, array in shard.collections.items():
        _write_collection(folder, record, collection, array)
    write_json(_record_path(folder, index), record)
    return record


def write_derived(
    folder: Path, record: Record, collection: str, array: ak.Array, base: str | None
) -> None:
    """Add a collection to a shard, and to its record on disk and in memory."""
    _write_collection(folder, record, collection, array)
    record["derived"][collection] = base
    write_json(_record_path(folder, record["index"]), record)


def _write_collection(folder: Path, record: Record, collection: str, array: ak.Array) -> None:
    path = collection_path(folder, collection, record["index"])
    try:
        data = _to_parquet(array)
    except ValueError as error:
        message = f"collection {collection}: {error}"
        raise ValueError(message) from None
    write_file(path, data)
    record["counts"][collection] = len(array)
    record["bytes"][collection] = len(data)
    record["checksums"][collection] = hashlib.sha256(data).hexdigest()


def _read_record(folder: Path, index: int) -> Record:
    """The record of a shard, empty where there is none that can be read."""
    try:
        return read_json(_record_path(folder, index))
    except (FileNotFoundError, ValueError):
        return {}


def whole_record(folder: Path, index: int) -> Record | None:
    """The record of a shard, None unless all that `produce` made of it is there and unchanged."""
    record = _read_record(folder, index)
    try:
        for collection in record["counts"].keys() - record["derived"].keys():
            path = collection_path(folder, collection, index)
            check_file(path, record["bytes"][collection], record["checksums"][collection])
    except (KeyError, ValueError):
        return None
    return record


def remove_shards(folder: Path) -> None:
    """Remove all shards and their records, and nothing that a user has put beside them."""
    for path in folder.glob("*/*"):
        if re.fullmatch(r"\d{5,}\.(parquet|json)", path.name):
            path.unlink()
    for path in folder.iterdir():
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def read_table(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a collection of one shard, whole or some columns ("pt", "constituents.pt").

    Raises:
        ValueError: unknown column, or no Parquet file that can be read.
    """
    try:
        with pq.ParquetFile(path) as file:
            return file.read(None if columns is None else _leaves(file, columns))
    except (OSError, ValueError) as error:  # Arrow's own errors are ValueErrors
        message = f"{path}: {error}"
        raise ValueError(message) from None


def _leaves(file: pq.ParquetFile, columns: Sequence[str]) -> list[str]:
    """Parquet's names of columns: "constituents.pt" is "constituents.list.element.pt" there."""
    paths = [file.schema.column(i).path for i in range(len(file.schema))]
    names = {path: path.replace(".list.element", "") for path in paths}
    chosen = []
    for column in columns:
        found = [path for path, name in names.items() if f"{name}.".startswith(f"{column}.")]
        if not found:
            close = difflib.get_close_matches(column, names.values())
            message = f"no column {column!r}; choose from {', '.join(close or names.values())}"
            raise ValueError(message)
        chosen += found
    return list(dict.fromkeys(chosen))


def to_awkward(tables: Sequence[pa.Table]) -> ak.Array:
    """Join tables and give the array that was written, without option types."""
    layout = ak.from_arrow(pa.concat_tables(tables), highlevel=False)
    return ak.Array(ak.transform(_as_written, layout, highlevel=False))


def _to_parquet(array: ak.Array) -> memoryview:
    """The bytes of a Parquet file; equal arrays give equal bytes."""
    array = ak.transform(_without_options, ak.to_packed(array))
    if not array.fields or "unknown" in str(array.type):
        message = f"got {array.type}, expected records whose fields have known types"
        raise ValueError(message)
    form = ak.to_layout(array).form
    leaves = zip(form.columns(list_indicator="list.element"), form.column_types(), strict=True)
    sink = pa.BufferOutputStream()
    # level 1 with the bytes of numbers split into streams: the fastest to write and to read of
    # what compresses as well as level 3 without; Parquet has no such streams for booleans
    pq.write_table(
        ak.to_arrow_table(array, extensionarray=False),
        sink,
        compression="zstd",
        compression_level=1,
        use_dictionary=False,
        use_byte_stream_split=[name for name, dtype in leaves if dtype != np.bool_],
    )
    return memoryview(sink.getvalue())


def _as_written(layout: Any, **_: Any) -> Any:
    """As `_without_options`; records are momenta if, and only if, all four components are read."""
    if layout.is_record:
        contents = [ak.transform(_as_written, each, highlevel=False) for each in layout.contents]
        name = {"__record__": "Momentum4D"} if set(layout.fields) >= _MOMENTUM else None
        return ak.contents.RecordArray(
            contents, layout.fields, length=len(layout), parameters=name
        )
    return _without_options(layout)


def _without_options(layout: Any, **_: Any) -> Any:
    """Awkward transformation that drops option types, which must not hide missing values."""
    if not layout.is_option:
        return None
    content = layout.project()
    if len(content) != len(layout):
        message = f"{len(layout) - len(content)} of {len(layout)} values are missing (None)"
        raise ValueError(message)
    return ak.transform(_without_options, content, highlevel=False)
