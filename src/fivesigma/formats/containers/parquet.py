"""Parquet, and Feather (Arrow's own files), through pyarrow; and the shards of our datasets."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fivesigma.formats.containers.arrow import MissingError, columns_of, to_awkward
from fivesigma.formats.fourvectors import object_fields
from fivesigma.formats.layout import Field, Group, Layout, Lists
from fivesigma.formats.tables import Column, Table, missing_columns, reading

__all__ = ["ArrowTable", "FeatherTable", "ParquetTable", "open_tables", "shards"]

#: what one batch should take in memory, and how many entries it has at most
_BATCH_BYTES, _BATCH_ENTRIES = 32e6, 65536
_PAGE_BYTES = 1 << 20
_TEXT_BYTES = 16.0
_MOST_ENTRY_BYTES = 2e8


class _Leaf(NamedTuple):
    """Where a column is: names of the records it is in, and its number among all leaves."""

    names: tuple[str, ...]
    number: int


def open_tables(path: str, file: Any) -> list[Table]:
    """The one table of a Parquet or Feather file.

    Args:
        path: for messages.
        file: opened for reading.

    Raises:
        ValueError: a damaged file, or Feather of version 1.
    """
    magic = file.read(6)
    file.seek(0)
    if magic.startswith(b"FEA1"):
        message = f"{path}: Feather of version 1; write it as version 2 or Parquet, e.g. by pandas"
        raise ValueError(message)
    return [FeatherTable(path, file) if magic == b"ARROW1" else ParquetTable(path, file)]


def shards(table: Table) -> Layout | None:
    """The layout of one shard of a dataset of jets: `pt eta phi mass ...` and `constituents`."""
    columns = table.columns
    own = {name: name for name, each in columns.items() if each.depth == 0 and "." not in name}
    inner = {
        name.removeprefix("constituents."): name
        for name, each in columns.items()
        if name.startswith("constituents.") and each.depth
    }
    if not {"pt", "eta", "phi", "mass"} <= own.keys() or "pt" not in inner:
        return None
    fields: dict[str, Field | Group] = dict(object_fields(own))
    fields["constituents"] = Group(dict(object_fields(inner)), Lists())
    notes = ("names of the classes are in the dataset's manifest.json",) if "label" in own else ()
    return Layout("jets", "jets", {"jets": Group(fields)}, notes=notes)


class ArrowTable(Table):
    """What Parquet and Feather share: a schema of Arrow, and batches read one after the other."""

    def __init__(self, path: str, file: Any, schema: pa.Schema) -> None:
        super().__init__(path)
        self._file = file
        self._leaves: dict[str, _Leaf] = {}
        columns: dict[str, Column] = {}
        skipped: dict[str, str] = {}
        self._types = dict(zip(schema.names, schema.types, strict=True))
        number = 0
        for field in schema:
            for names, found in columns_of(field.name, field.type):
                name = ".".join(names)
                if isinstance(found, Column) and name not in columns:
                    columns[name], self._leaves[name] = found, _Leaf(names, number)
                else:
                    skipped[name] = found if isinstance(found, str) else "a name that is twice"
                number += 1
        self._leaf_count = number
        self.columns, self.skipped = columns, skipped
        self.metadata = _note(schema.metadata or {})
        self._ahead: _Ahead | None = None

    def _batches(self, names: Sequence[str], start: int) -> Iterator[pa.RecordBatch]:
        """Batches with at least these columns, from an entry on."""
        raise NotImplementedError

    def read(self, names: Sequence[str], start: int, stop: int) -> dict[str, ak.Array]:
        """See `Table.read`; going on where the last call stopped reads nothing twice."""
        absent = [name for name in names if name not in self._leaves]
        if absent:
            raise missing_columns(self.path, absent, self._leaves)
        ahead, self._ahead = self._ahead, None
        if ahead is None or (ahead.names, ahead.at) != (tuple(names), start):
            ahead = _Ahead(tuple(names), start, self._batches(names, start))
        with reading(self.path):
            batches = ahead.take(stop - start)
        got = sum(batch.num_rows for batch in batches)
        if got < stop - start:
            message = f"{self.path}: ends after {start + got} of {self.entries} entries; damaged"
            raise ValueError(message)
        self._ahead = ahead
        return {name: self._array(name, batches) for name in names}

    def _array(self, name: str, batches: list[pa.RecordBatch]) -> ak.Array:
        first, *inner = self._leaves[name].names
        arrays = [batch.column(first) for batch in batches]
        try:
            parts = [to_awkward(a, inner) for a in arrays or [pa.nulls(0, self._types[first])]]
        except MissingError as error:
            message = f"{self.path}: column {name!r}: {error}; fill them, or leave it out"
            raise ValueError(message) from None
        return parts[0] if len(parts) == 1 else ak.concatenate(parts)

    def _batch_entries(self, names: Sequence[str]) -> int:
        size = self.entry_bytes(names)
        if size > _MOST_ENTRY_BYTES:
            message = f"{self.path}: claims {size:.3g} bytes an entry; damaged, or no events"
            raise ValueError(message)
        fitting = int(_BATCH_BYTES / max(size, 1.0))
        return max(min(fitting, _BATCH_ENTRIES), 1)

    def close(self) -> None:
        """Close the file."""
        self._ahead = None
        self._file.close()


class ParquetTable(ArrowTable):
    """A Parquet file: of nested columns the leaves that are asked for are read, page by page."""

    def __init__(self, path: str, file: Any) -> None:
        self._parquet = pq.ParquetFile(file, buffer_size=_PAGE_BYTES, pre_buffer=False)
        super().__init__(path, file, self._parquet.schema_arrow)
        about = self._parquet.metadata
        counts = [about.row_group(i).num_rows for i in range(about.num_row_groups)]
        if sum(counts) != about.num_rows or min(counts, default=0) < 0:
            message = f"{path}: claims {about.num_rows} entries, its parts {sum(counts)}; damaged"
            raise ValueError(message)
        if self._leaf_count != len(self._parquet.schema):
            message = f"{path}: its two schemas do not fit; damaged, or of names that are twice"
            raise ValueError(message)
        self._ends = np.cumsum(counts, dtype=np.int64)

    @property
    def entries(self) -> int:
        """Number of entries."""
        return int(self._parquet.metadata.num_rows)

    def entry_bytes(self, names: Sequence[str]) -> float:
        """See `Table.entry_bytes`; of the numbers of values that the file notes."""
        about = self._parquet.metadata
        total = 0.0
        for name in names:
            column, number = self.columns[name], self._leaves[name].number
            text = column.dtype == "str"
            size = _TEXT_BYTES if text else np.dtype(column.dtype).itemsize
            chunks = (about.row_group(i).column(number) for i in range(about.num_row_groups))
            for chunk in chunks:
                total += chunk.num_values * size + (chunk.total_uncompressed_size if text else 0)
        return total / max(self.entries, 1) + 8.0 * sum(self.columns[n].depth for n in names)

    def _batches(self, names: Sequence[str], start: int) -> Iterator[pa.RecordBatch]:
        group = int(np.searchsorted(self._ends, start, side="right"))
        skip = start - (int(self._ends[group - 1]) if group else 0)
        leaves = [self._parquet.schema.column(self._leaves[name].number).path for name in names]
        for batch in self._parquet.iter_batches(
            self._batch_entries(names),
            row_groups=list(range(group, len(self._ends))),
            columns=leaves,
            use_threads=False,
        ):
            if batch.num_rows > skip:
                yield batch.slice(skip)
            skip = max(skip - batch.num_rows, 0)


class FeatherTable(ArrowTable):
    """A Feather file of version 2, which is an Arrow file; read by its batches."""

    def __init__(self, path: str, file: Any) -> None:
        schema = pa.ipc.open_file(file).schema
        super().__init__(path, file, schema)
        self._top = {name: i for i, name in enumerate(schema.names)}

    @cached_property
    def _ends(self) -> np.ndarray:
        """Number of entries up to the end of each batch; a plain column is read for it."""
        single = [name for name, each in self.columns.items() if each.depth == 0]
        cheap = self._leaves[single[0]].names[0] if single else None
        with reading(self.path):
            opened = self._open(self._top[cheap] if cheap else 0)
            counts = [opened.get_batch(i).num_rows for i in range(opened.num_record_batches)]
        # or the next batch stands beside what the pool keeps of these
        pa.default_memory_pool().release_unused()
        return np.cumsum(counts, dtype=np.int64)

    def _open(self, *fields: int) -> Any:
        options = pa.ipc.IpcReadOptions(included_fields=sorted(set(fields)), use_threads=False)
        return pa.ipc.open_file(self._file, options=options)

    @property
    def entries(self) -> int:
        """Number of entries."""
        return int(self._ends[-1]) if len(self._ends) else 0

    def _batches(self, names: Sequence[str], start: int) -> Iterator[pa.RecordBatch]:
        opened = self._open(*(self._top[self._leaves[name].names[0]] for name in names))
        first = int(np.searchsorted(self._ends, start, side="right"))
        skip = start - (int(self._ends[first - 1]) if first else 0)
        for i in range(first, len(self._ends)):
            batch = opened.get_batch(i)
            batch.validate(full=True)  # Arrow trusts the offsets of a file's lists otherwise
            yield batch.slice(skip)
            skip = 0


class _Ahead:
    """Batches that are read one after the other, and what is left of the last."""

    def __init__(self, names: tuple[str, ...], at: int, batches: Iterator[pa.RecordBatch]) -> None:
        self.names, self.at = names, at
        self._batches, self._rest = batches, None

    def take(self, count: int) -> list[pa.RecordBatch]:
        """Batches with the next entries, fewer at the end."""
        taken: list[pa.RecordBatch] = []
        while count > 0:
            batch = self._rest if self._rest is not None else next(self._batches, None)
            if batch is None:
                break
            taken.append(batch.slice(0, count))
            self._rest = batch.slice(count) if batch.num_rows > count else None
            count -= taken[-1].num_rows
            self.at += taken[-1].num_rows
        return taken


def _note(metadata: dict[bytes, bytes]) -> dict[str, Any]:
    """What fivesigma noted when it wrote the file."""
    try:
        found = json.loads(metadata.get(b"fivesigma", b"{}"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
