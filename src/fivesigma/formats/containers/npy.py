"""NumPy's arrays as they are stored: the header, then slices of the rows, never all at once.

Headers are not believed before they are compared with the size of the file, and nothing pickled
is read.
"""

from __future__ import annotations

import math
import zipfile
from typing import Any

import numpy as np

__all__ = ["Archive", "Lengths", "PickledError", "StoredArray"]

_LARGEST_WHOLE = 2e8  # bytes that are read at once, where an array cannot be cut
_LONGEST_HEADER = 65536
_MOST_PACKED = 1032  # bytes that deflate packs into one, at most
_PIECE = 16 * 1024**2  # bytes
_COUNTED = 65536  # lists, between two of which the sums of their lengths are remembered
_LONGEST_LIST = 2**40


class PickledError(ValueError):
    """An array of Python objects, which can run any code when it is read."""


class StoredArray:
    """One array in a file: its header, and its rows in slices.

    Attributes:
        path: for messages.
        shape: of the array.
        dtype: of its elements.
    """

    shape: tuple[int, ...]
    dtype: np.dtype

    def __init__(self, path: str, stream: Any, size: int) -> None:
        self.path, self._stream = path, stream
        stream.seek(0)
        version = np.lib.format.read_magic(stream)
        readers = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        if version not in readers:
            message = f"{path}: npy version {version}, expected 1.0 or 2.0; save with ASCII names"
            raise ValueError(message)
        header = readers[version](stream, max_header_size=_LONGEST_HEADER)
        self.shape, self._by_column, self.dtype = header
        self._offset = stream.tell()
        self._check(size)

    def _check(self, size: int) -> None:
        if self.dtype.hasobject:
            message = (
                f"{self.path}: holds pickled Python objects, which can run any code when read; "
                "save it again as arrays of numbers"
            )
            raise PickledError(message)
        if self.dtype.subdtype or any(length < 0 for length in self.shape):
            message = f"{self.path}: an array of shape {self.shape}, {self.dtype}; it is damaged"
            raise ValueError(message)
        if self.row_bytes > _LARGEST_WHOLE and self.shape:
            message = f"{self.path}: {self.row_bytes} bytes in one entry, expected at most 200 MB"
            raise ValueError(message)
        if len(self) and not self.row_bytes:
            message = f"{self.path}: claims {len(self)} rows without values; it is damaged"
            raise ValueError(message)
        if self._offset + self.nbytes > size:
            has = size - self._offset
            message = f"{self.path}: claims {self.nbytes} bytes and has {has}; it is truncated"
            raise ValueError(message)

    def __len__(self) -> int:
        """Length of the first axis; 1 of a single value."""
        return self.shape[0] if self.shape else 1

    @property
    def row_bytes(self) -> int:
        """Size of one element of the first axis."""
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Size of all."""
        return self.row_bytes * len(self)

    def rows(self, start: int, stop: int) -> np.ndarray:
        """The slice from `start` to `stop` of the first axis; only this is in memory.

        Raises:
            ValueError: the file ends before.
        """
        inner, rows = self.shape[1:], stop - start
        size = math.prod(inner)
        if not self._by_column or not inner:
            return self._values(start * size, rows * size).reshape((rows, *inner))
        # stored with the first axis running fastest: a piece of every column
        made = np.empty((size, rows), self.dtype)
        for column in range(size):
            made[column] = self._values(column * len(self) + start, rows)
        return made.T.reshape((rows, *inner), order="F")

    def whole(self) -> np.ndarray:
        """All of it.

        Raises:
            ValueError: more than 200 MB, or the file ends before.
        """
        if self.nbytes > _LARGEST_WHOLE:
            message = f"{self.path}: {self.nbytes} bytes in one entry, expected at most 200 MB"
            raise ValueError(message)
        values = self._values(0, math.prod(self.shape))
        return values.reshape(self.shape, order="F" if self._by_column else "C")

    def _values(self, first: int, count: int) -> np.ndarray:
        """`count` values behind the `first` ones; packed streams are read forward to them."""
        made = np.empty(count, self.dtype)
        if not count:
            return made
        self._stream.seek(self._offset + first * self.dtype.itemsize)
        view = memoryview(made.view(np.uint8))  # type: ignore[arg-type]
        at = 0
        while at < len(view):
            got = self._stream.readinto(view[at : at + _PIECE])
            if not got:
                message = f"{self.path}: ends in the middle of its values; it is truncated"
                raise ValueError(message)
            at += got
        return made


class Lengths:
    """Lengths of lists: where the lists of some entries begin; never all lengths in memory."""

    def __init__(self, array: StoredArray) -> None:
        self._array = array
        self._before = [0]
        for start in range(0, array.shape[0], _COUNTED):
            lengths = self._lengths(start, min(start + _COUNTED, array.shape[0]))
            self._before.append(self._before[-1] + int(lengths.sum()))

    @property
    def total(self) -> int:
        """Sum of all."""
        return self._before[-1]

    def __call__(self, start: int, stop: int) -> tuple[int, np.ndarray]:
        """Where the list `start` begins, and the lengths from `start` to `stop`."""
        mark = min(start // _COUNTED, len(self._before) - 1)
        lengths = self._lengths(mark * _COUNTED, stop)
        skipped = start - mark * _COUNTED
        return self._before[mark] + int(lengths[:skipped].sum()), lengths[skipped:]

    def _lengths(self, start: int, stop: int) -> np.ndarray:
        lengths = self._array.rows(start, stop).astype(np.int64)
        if lengths.size and (lengths.min() < 0 or lengths.max() > _LONGEST_LIST):
            message = f"{self._array.path}: {lengths.min()} to {lengths.max()}; expected lengths"
            raise ValueError(message)
        return lengths


class Archive:
    """The arrays in an npz file, opened and not read.

    Attributes:
        arrays: name -> array.
        skipped: name -> why it is not among them.
    """

    def __init__(self, path: str, file: Any) -> None:
        self._file = file
        self._zip = zipfile.ZipFile(file)
        self._streams: list[Any] = []
        self.arrays: dict[str, StoredArray] = {}
        self.skipped: dict[str, str] = {}
        end = file.seek(0, 2)
        for info in self._zip.infolist():
            name = info.filename.removesuffix(".npy")
            problem = _problem(info, end)
            if problem:
                message = f"{path}: {name!r} {problem}"
                raise ValueError(message)
            stream = self._zip.open(info)
            self._streams.append(stream)
            try:
                self.arrays[name] = StoredArray(f"{path}: {name}", stream, info.file_size)
            except PickledError:
                self.skipped[name] = "pickled Python objects, which can run any code when read"

    def close(self) -> None:
        """Close all."""
        for each in (*self._streams, self._zip, self._file):
            each.close()


def _problem(info: zipfile.ZipInfo, end: int) -> str | None:
    """Why a member of an archive is not to be trusted."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"is compressed by method {info.compress_type}; expected stored or deflated"
    if info.compress_size > end or info.file_size > _MOST_PACKED * info.compress_size:
        return f"claims {info.file_size} bytes, more than the file can hold; it is damaged"
    return None
