"""Tables in text: numbers separated by commas, semicolons, tabs or blanks, plain or in gzip.

The file is read once when it is opened, in blocks of whole lines: this counts the rows, finds for
each column a type that holds all of its values, and damage anywhere is known before a long run
begins. Later reads parse only the blocks that they need.
"""

from __future__ import annotations

import gzip
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from fivesigma.formats.containers.headers import LONGEST_LINE, read_head
from fivesigma.formats.content import check_unpacked
from fivesigma.formats.tables import Column, Table, missing_columns

__all__ = ["TextTable", "open_tables"]

_BLOCK = 4 * 1024**2  # bytes of text that are parsed at once
_COMMENT = re.compile(rb"^[ \t]*#.*(?:\n|\Z)", re.MULTILINE)
_RAGGED = re.compile(r"(?:Row #(\d+): )?Expected (\d+) columns, got (\d+)")
#: what Arrow finds -> what we give; all else (dates, times) stays text
_DTYPES = {
    pa.null(): "float64",
    pa.int64(): "int64",
    pa.float64(): "float64",
    pa.bool_(): "bool",
}
_ARROW = {"int64": pa.int64(), "float64": pa.float64(), "bool": pa.bool_(), "str": pa.string()}


class _Block(NamedTuple):
    """Whole lines of the file: number of the first row, and where they are [bytes]."""

    row: int
    offset: int
    size: int


def open_tables(path: str, file: Any) -> list[Table]:
    """The one table of a text file.

    Args:
        path: for messages.
        file: opened for reading, seekable; plain or gzip.

    Raises:
        ValueError: no table: lines of different numbers of values, no numbers, or damaged.
        EOFError: truncated gzip data.
    """
    return [TextTable(path, file)]


class TextTable(Table):
    """A table in text, with a header or without: then the columns are `column_0`, `column_1` ...

    Lines that begin with # are comments; the last one above the numbers may hold the names.
    Missing values are NaN, and make integers floats.
    """

    def __init__(self, path: str, file: Any) -> None:
        super().__init__(path)
        self._file = file
        file.seek(0)
        compressed = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        self._stream: Any = gzip.GzipFile(fileobj=file, mode="rb") if compressed else file
        self._blocks: list[_Block] = []
        self._cached: tuple[Any, pa.Table | None] = (None, None)
        self._rows = 0
        self._scan()

    def _scan(self) -> None:
        """Count the rows and find the columns' types."""
        found: dict[str, str] = {}
        head = None
        for offset, lines in _line_blocks(self.path, self._stream):
            check_unpacked(offset + len(lines), self._file.tell())
            if head is None:
                head = self._head = read_head(self.path, lines)
                offset, lines = offset + head.offset, lines[head.offset :]
            table = self._parse(lines, self._rows)
            if table is None:
                continue
            self._blocks.append(_Block(self._rows, offset, len(lines)))
            self._rows += table.num_rows
            for name, column in zip(table.column_names, table.columns, strict=True):
                dtype = _dtype(column)
                found[name] = _common(found.get(name, dtype), dtype)
        if head is None:
            message = f"{self.path}: is empty"
            raise ValueError(message)
        self.columns = {name: Column(found.get(name, "float64")) for name in head.names}
        prose = self._rows == 0 and (head.delimiter == " " or len(head.names) < 2)
        if prose or all(column.dtype == "str" for column in self.columns.values()):
            message = f"{self.path}: a text without numbers; expected a table, one row a line"
            raise ValueError(message)

    @property
    def entries(self) -> int:
        """Number of rows."""
        return self._rows

    def read(self, names: Sequence[str], start: int, stop: int) -> dict[str, ak.Array]:
        """See `Table.read`."""
        absent = [name for name in names if name not in self.columns]
        if absent:
            raise missing_columns(self.path, absent, self.columns)
        parts: dict[str, list[ak.Array]] = {name: [] for name in names}
        at = max(bisect_right(self._blocks, start, key=lambda block: block.row) - 1, 0)
        for block in self._blocks[at:]:
            if block.row >= stop or not names:
                break
            table = self._of_block(block, tuple(names))
            first = max(start - block.row, 0)
            rows = table.slice(first, max(min(stop - block.row, table.num_rows) - first, 0))
            for name in names:
                parts[name].append(_values(rows[name], self.columns[name].dtype))
        return {name: self._joined(name, each) for name, each in parts.items()}

    def _joined(self, name: str, parts: list[ak.Array]) -> ak.Array:
        if not parts:
            dtype = self.columns[name].dtype
            return ak.Array([""])[:0] if dtype == "str" else ak.Array(np.empty(0, dtype))
        return parts[0] if len(parts) == 1 else ak.concatenate(parts)

    def _of_block(self, block: _Block, names: tuple[str, ...]) -> pa.Table:
        """The rows of a block; the last one is kept, for small steps."""
        if self._cached[0] == (block, names) and self._cached[1] is not None:
            return self._cached[1]
        self._cached = (None, None)
        self._stream.seek(block.offset)
        table = self._parse(_exactly(self.path, self._stream, block.size), block.row, names)
        if table is None:
            message = f"{self.path}: changed since it was opened; open it again"
            raise ValueError(message)
        self._cached = ((block, names), table)
        return table

    def _parse(
        self, lines: bytes, row: int | None, names: Sequence[str] | None = None
    ) -> pa.Table | None:
        """Rows of text as a table, of the types found before or, without names, of its own.

        None where nothing but comments is in it.
        """
        lines = _cleaned(lines, self._head.delimiter)
        if not lines.strip():
            return None
        row = self._rows if row is None else row
        types = {name: _ARROW[self.columns[name].dtype] for name in names or ()}
        try:
            return pa_csv.read_csv(
                pa.BufferReader(lines),
                pa_csv.ReadOptions(
                    use_threads=False, block_size=len(lines) + 1, column_names=self._head.names
                ),
                pa_csv.ParseOptions(delimiter=self._head.delimiter),
                pa_csv.ConvertOptions(column_types=types, include_columns=list(names or ())),
            )
        except pa.ArrowInvalid as error:
            raise _explained(self.path, row, str(error)) from None

    def close(self) -> None:
        """Close the file."""
        self._stream.close()
        self._file.close()


def _line_blocks(path: str, stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Where they begin, and bytes, of blocks of whole lines; the last may have no end of line."""
    stream.seek(0)
    offset, rest = 0, b""
    while read := stream.read(_BLOCK):
        lines = rest + read
        end = lines.rfind(b"\n") + 1
        rest = lines[end:]
        if len(rest) > LONGEST_LINE:
            message = f"{path}: a line of more than 16 MB; expected a table, one row a line"
            raise ValueError(message)
        if end:
            yield offset, lines[:end]
            offset += end
    if rest:
        yield offset, rest


def _exactly(path: str, stream: BinaryIO, size: int) -> bytes:
    parts = []
    while size > 0:
        read = stream.read(size)
        if not read:
            message = f"{path}: is shorter than when it was opened; open it again"
            raise ValueError(message)
        parts.append(read)
        size -= len(read)
    return b"".join(parts)


def _cleaned(lines: bytes, delimiter: str) -> bytes:
    """Without comments; blanks that separate are single ones."""
    if b"#" in lines:
        lines = _COMMENT.sub(b"", lines)
    if delimiter == " ":
        lines = lines.replace(b"\t", b" ").replace(b"\r\n", b"\n")
        while b"  " in lines:  # ten times as fast as a regular expression
            lines = lines.replace(b"  ", b" ")
        lines = lines.replace(b"\n ", b"\n").replace(b" \n", b"\n").strip(b" ")
    return lines


def _dtype(column: pa.ChunkedArray) -> str:
    dtype = _DTYPES.get(column.type, "str")
    if column.null_count and dtype != "float64":
        return "float64" if dtype == "int64" else "str"
    return dtype


def _common(one: str, other: str) -> str:
    """The type that holds the values of both."""
    if one == other:
        return one
    return "float64" if {one, other} == {"int64", "float64"} else "str"


def _values(column: pa.ChunkedArray, dtype: str) -> ak.Array:
    if dtype == "str":
        return ak.Array(column.to_pylist()) if len(column) else ak.Array([""])[:0]
    return ak.Array(np.asarray(column.to_numpy()).astype(dtype, copy=False))


def _explained(path: str, row: int, text: str) -> ValueError:
    """What is wrong with a row, in one line."""
    found = _RAGGED.search(text)
    if found is None:
        return ValueError(f"{path}: behind row {row}: {text.splitlines()[0][:200]}")
    number = f"row {row + int(found[1])}" if found[1] else f"a row behind row {row}"
    return ValueError(
        f"{path}: {number} has {found[3]} values, expected {found[2]} as in the first; "
        "the file is damaged, or no table"
    )
