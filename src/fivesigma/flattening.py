"""Awkward arrays as flat Parquet files: lists of records are parts with files of their own.

See `shards` for the files of a dataset.
"""

from __future__ import annotations

import difflib
import inspect
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

__all__ = [
    "COUNT",
    "EACH",
    "NOTE",
    "Part",
    "as_written",
    "column_names",
    "inner_parts",
    "leaves_of",
    "list_of",
    "note_of",
    "flattened",
    "storable",
    "to_parquet",
    "with_contents",
    "without_options",
]

#: note in the schema of a Parquet file, {"lists": columns that are numbers of records in parts,
#: "top": whether the only column is `COUNT`, whose part is `EACH`}
NOTE = b"fivesigma"
COUNT, EACH = "count", "each"
_MOMENTUM = {"pt", "eta", "phi", "mass"}
#: newer versions of Arrow end a page after 20 000 rows, too early for zstd to do its best
_PAGES_END_BY_ROWS = "max_rows_per_page" in inspect.signature(pq.write_table).parameters
#: fields that can name a part; lists of records in others stay nested in Parquet
_FIELD = re.compile(r"\w[\w-]*", re.ASCII)


def storable(array: ak.Array) -> Any:
    """The layout of an array without what no entry reaches, and without option types."""
    array = ak.to_packed(ak.transform(without_options, ak.to_packed(array)))
    if not array.fields or "unknown" in str(array.type):
        message = f"got {array.type}, expected records whose fields have known types"
        raise ValueError(message)
    return ak.to_layout(array)


def flattened(name: str, layout: Any) -> dict[str, tuple[Any, dict[str, Any]]]:
    """Name of a collection and of each of its parts -> its flat layout, and its note."""
    if _lists_records(layout):
        counts = ak.contents.RecordArray([_counts(layout)], [COUNT])
        own = {name: (counts, {"lists": [COUNT], "top": True})}
        return own | flattened(f"{name}.{EACH}", layout.content)
    if not layout.is_record:  # lists of fixed length
        return {name: (layout, {"lists": [], "top": False})}
    named = [column for column in layout.fields if _FIELD.fullmatch(column)]
    lists = {column: layout[column] for column in named if _lists_records(layout[column])}
    own = with_contents(layout, {column: _counts(each) for column, each in lists.items()})
    flat = {name: (own, {"lists": list(lists), "top": False})}
    for column, each in lists.items():
        flat |= flattened(f"{name}.{column}", each.content)
    return flat


def _lists_records(layout: Any) -> bool:
    """Whether these are lists, or lists of lists, of records; not of a fixed length."""
    if layout.is_record or not layout.is_list or layout.is_regular:
        return False
    return bool(layout.content.is_record) or _lists_records(layout.content)


def _counts(lists: Any) -> Any:
    return ak.contents.NumpyArray(np.diff(lists.offsets.data).astype(np.uint32))


def to_parquet(layout: Any, note: Mapping[str, Any]) -> memoryview:
    """The bytes of a Parquet file; equal layouts give equal bytes."""
    if not layout.fields:
        message = "got records without fields, which cannot be stored; expected one field or more"
        raise ValueError(message)
    form = layout.form
    leaves = zip(form.columns(list_indicator="list.element"), form.column_types(), strict=True)
    table = ak.to_arrow_table(layout, extensionarray=False)
    sink = pa.BufferOutputStream()
    rows = max(len(table), 1)  # all in one group, so that columns are read in one piece
    # level 1 with the bytes of numbers split into streams: the fastest to write and to read of
    # what compresses as well as level 3 without; Parquet has no such streams for booleans, text
    pq.write_table(
        table.replace_schema_metadata({NOTE: json.dumps(note)}),
        sink,
        row_group_size=rows,
        compression="zstd",
        compression_level=1,
        use_dictionary=False,
        use_byte_stream_split=[
            name for name, dtype in leaves if dtype not in (np.bool_, "string", "bytestring")
        ],
        **({"max_rows_per_page": rows} if _PAGES_END_BY_ROWS else {}),
    )
    return memoryview(sink.getvalue())


def with_contents(layout: Any, made: Mapping[str, Any]) -> Any:
    """The layout of records with some of its contents replaced."""
    contents = [made.get(name, layout[name]) for name in layout.fields]
    return ak.contents.RecordArray(
        contents, layout.fields, length=len(layout), parameters=layout.parameters
    )


def without_options(layout: Any, **_: Any) -> Any:
    """Awkward transformation that drops option types, which must not hide missing values."""
    if not layout.is_option:
        return None
    content = layout.project()
    if len(content) != len(layout):
        message = f"{len(layout) - len(content)} of {len(layout)} values are missing (None)"
        raise ValueError(message)
    return ak.transform(without_options, content, highlevel=False)


class Part(NamedTuple):
    """What to read of a file: its columns, and what their names begin with for the user."""

    name: str
    columns: Sequence[str] | None
    prefix: str = ""


def note_of(file: pq.ParquetFile) -> tuple[list[str], bool]:
    """Columns that are numbers of records in parts, and whether there are only such."""
    names = file.schema_arrow.names
    match json.loads((file.schema_arrow.metadata or {}).get(NOTE, b"{}")):
        case {"lists": [*lists], "top": bool(top)} if all(name in names for name in lists):
            if not top or lists == [COUNT]:
                return lists, top
    message = "does not say which columns are lists; it is damaged"
    raise ValueError(message)


def inner_parts(part: Part, lists: Sequence[str], top: bool) -> dict[str, Part]:
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
        inner[name] = Part(f"{part.name}.{name}", None if whole else columns, prefix)
    return inner


def leaves_of(
    file: pq.ParquetFile, part: Part, lists: Sequence[str], top: bool
) -> list[str] | None:
    """Parquet's names of the columns of a file itself that are wanted."""
    if top or part.columns is None:
        return None
    names = column_names(file)
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


def column_names(file: pq.ParquetFile) -> dict[str, str]:
    """Parquet's name of each column, e.g. "scores.list.element" -> "scores"."""
    paths = [file.schema.column(i).path for i in range(len(file.schema))]
    return {path: path.replace(".list.element", "").lstrip(".") for path in paths}


def list_of(counts: Any, content: Any) -> Any:
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


def as_written(layout: Any, **_: Any) -> Any:
    """As `without_options`; records are momenta if, and only if, all four components are read."""
    if layout.is_record:
        contents = [ak.transform(as_written, each, highlevel=False) for each in layout.contents]
        name = {"__record__": "Momentum4D"} if set(layout.fields) >= _MOMENTUM else None
        return ak.contents.RecordArray(
            contents, layout.fields, length=len(layout), parameters=name
        )
    return without_options(layout)
