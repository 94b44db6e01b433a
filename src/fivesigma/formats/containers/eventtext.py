"""Files of text with one block of lines an event, as generators write them; read forward."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from typing import Any

import awkward as ak
import numpy as np

from fivesigma.formats.content import check_unpacked
from fivesigma.formats.tables import Column, Table, missing_columns

__all__ = ["Block", "CutOffError", "EventText", "lines_of"]

#: a line, an event or a header of more bytes than these is no physics
_LINE_BYTES, _BLOCK_BYTES = 16_000_000, 64_000_000
_BUFFER = 1 << 20
_SAMPLE, _TAIL = 200, 4096


class Block(list[bytes]):
    """Lines of one event, or of the header; not more than fit into memory."""

    size = 0

    def add(self, line: bytes) -> None:
        """Append a line.

        Raises:
            ValueError: too many bytes.
        """
        self.size += len(line)
        if self.size > _BLOCK_BYTES:
            message = f"an event or header of more than {_BLOCK_BYTES} bytes; it is damaged"
            raise ValueError(message)
        self.append(line)


class CutOffError(ValueError):
    """The file ends within an event."""


class EventText(Table):
    """Events as blocks of lines; a sub-class says what is a block and what is in it.

    Attributes:
        weights: names of the weight variations.
        ended: whether the file has the line that ends it; None: not known.
    """

    columns: Mapping[str, Column]
    weights: tuple[str, ...] = ()
    ended: bool | None = None

    def __init__(self, path: str, file: Any) -> None:
        super().__init__(path)
        self._file = file
        self._at, self._ahead = 0, self._walk()

    def event_blocks(self) -> Iterator[Block]:
        """The lines of each event, from the first on.

        Raises:
            CutOffError: behind the last whole event, where the file is cut off.
        """
        raise NotImplementedError

    def event(self, block: Block, index: int) -> Mapping[str, Any]:
        """The values of all columns in one event; lists of numbers for columns of depth 1.

        Raises:
            ValueError: not as the format wants it.
        """
        raise NotImplementedError

    def first(self) -> Block | None:
        """The first event, None where there is none.

        Raises:
            ValueError: not even that is whole.
        """
        try:
            return next(self.event_blocks(), None)
        except CutOffError as error:
            message = f"{self.path}: {error}; no event before it"
            raise ValueError(message) from None
        finally:
            self._at, self._ahead = 0, self._walk()

    def ends_with(self, mark: bytes) -> bool | None:
        """Whether this is near the end of the file; None where it is zipped."""
        self._file.seek(0)
        if self._file.read(2) == b"\x1f\x8b":
            return None
        size = self._file.seek(0, io.SEEK_END)
        self._file.seek(max(size - _TAIL, 0))
        return mark in self._file.read(_TAIL)

    def lines(self) -> Iterator[bytes]:
        """All lines of the file."""
        return lines_of(self._file)

    def _walk(self) -> Iterator[Block]:
        """The blocks; other errors than that of the end name the file."""
        try:
            yield from self.event_blocks()
        except CutOffError:
            raise
        except ValueError as error:
            message = f"{self.path}: {error}"
            raise ValueError(message) from None

    @cached_property
    def _counts(self) -> tuple[int, int]:
        """Number of whole events, and of all: one more where the last is cut off."""
        whole = 0
        try:
            for _ in self._walk():
                whole += 1
        except CutOffError:
            return whole, whole + 1
        finally:
            self._at, self._ahead = 0, self._walk()  # it was read by the same file object
        return whole, whole

    @property
    def entries(self) -> int:
        """Number of events; one that is cut off at the end counts, and raises when it is read."""
        return self._counts[1]

    def entry_bytes(self, names: Sequence[str]) -> float:
        """See `Table.entry_bytes`."""
        few = min(self._counts[0], _SAMPLE)
        arrays = self.read(names, 0, few)
        return sum(float(each.nbytes) for each in arrays.values()) / max(few, 1)

    def read(self, names: Sequence[str], start: int, stop: int) -> dict[str, ak.Array]:
        """See `Table.read`; going back reads the file anew."""
        absent = [name for name in names if name not in self.columns]
        if absent:
            raise missing_columns(self.path, absent, self.columns)
        found: dict[str, list[Any]] = {name: [] for name in names}
        for index, block in enumerate(self._take(start, stop), start):
            try:
                values = self.event(block, index)
            except (ValueError, IndexError, KeyError, OverflowError) as error:
                message = (
                    f"{self.path}: event {index} is damaged ({error}); "
                    f"read(stop={index}) and read(start={index + 1}) leave it out"
                )
                raise ValueError(message) from None
            for name in names:
                dtype = self.columns[name].dtype
                found[name].append(np.asarray(values[name], dtype))
        return {name: _joined(self.columns[name], each) for name, each in found.items()}

    def _take(self, start: int, stop: int) -> Iterator[Block]:
        """The blocks from `start` to `stop`, going on where the last call stopped."""
        if start < self._at:
            self._at, self._ahead = 0, self._walk()
        skip = start - self._at
        try:
            for block in islice(self._ahead, skip, stop - self._at):
                self._at = start = start + 1
                yield block
        except CutOffError as error:
            self._at, self._ahead = 0, self._walk()
            whole = self._counts[0]
            message = (
                f"{self.path}: {error}; the {whole} events before are whole: read(stop={whole})"
            )
            raise ValueError(message) from None

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _joined(column: Column, values: list[np.ndarray]) -> ak.Array:
    """One array of the values of each event."""
    if column.depth == 0:
        return ak.Array(np.array(values, column.dtype))
    counts = np.array([len(each) for each in values], np.int64)
    return ak.unflatten(np.concatenate([np.empty(0, column.dtype), *values]), counts)


def lines_of(file: Any) -> Iterator[bytes]:
    """The lines of a text from its beginning, unzipped where it is gzip.

    Raises:
        CutOffError: gzip data end too early, or are damaged.
        ValueError: a line that is too long.
    """
    raw = _Unzipped(file)
    text = io.BufferedReader(raw, _BUFFER)
    while line := text.readline(_LINE_BYTES):
        if len(line) == _LINE_BYTES:
            message = f"a line of more than {_LINE_BYTES} bytes; no text of a generator"
            raise ValueError(message)
        yield line
    if raw.error is not None:
        message = f"its gzip data are cut off or damaged ({raw.error})"
        raise CutOffError(message)


class _Unzipped(io.RawIOBase):
    """A file as it is or unzipped; left open when the buffer over it is gone.

    Attributes:
        error: what ended the data too early; what is before it is read first.
    """

    def __init__(self, file: Any) -> None:
        file.seek(0)
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        # read1: what is unzipped already is not lost with an error behind it
        self._read = gzip.GzipFile(fileobj=file).read1 if zipped else file.read
        self._file, self._unpacked = file, 0
        self.error: Exception | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._read(len(buffer))
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            self.error, data = error, b""
        buffer[: len(data)] = data
        self._unpacked += len(data)
        check_unpacked(self._unpacked, self._file.tell())
        return len(data)
