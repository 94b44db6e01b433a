"""NumPy's files: one array (npy) or several with names (npz), read in slices of their first axis.

Lists are stored flat: a member `counts` has the length of each list, and the members with as many
rows as all lists together are lists. With names such as `jets.counts`, `jets.pt`,
`jets.constituents.counts`, `jets.constituents.pt`, lists of lists are stored in the same way.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

import awkward as ak
import numpy as np

from fivesigma.formats.containers.npy import Archive, Lengths, StoredArray
from fivesigma.formats.layouts.own import levels
from fivesigma.formats.tables import Column, Table, missing_columns

__all__ = ["GraphTable", "NpyTable", "NpzTable", "open_tables"]

#: the member of an npz file in which fivesigma notes what the others are
NOTE = "fivesigma"
_LARGEST_NOTE = 64e6  # bytes
_Path = tuple[str, ...]


def open_tables(path: str, file: Any) -> list[Table]:
    """The one table of an npy or npz file.

    Args:
        path: for messages.
        file: opened for reading, seekable.

    Raises:
        ValueError: damaged, or without arrays that can be read.
    """
    file.seek(0)
    if file.read(2) != b"PK":
        return [NpyTable(path, file)]
    members = Archive(path, file)
    if "edge_index" in members.arrays:
        return [GraphTable(path, members)]
    return [NpzTable(path, members)]


class NpyTable(Table):
    """One array of (N, ...) numbers, the column `values`; a column a field of structured ones."""

    def __init__(self, path: str, file: Any) -> None:
        super().__init__(path)
        self._file = file
        self._array = StoredArray(path, file, file.seek(0, 2))
        if not self._array.shape:
            message = f"{path}: a single number, expected an array of at least one axis"
            raise ValueError(message)
        columns: dict[str, Column] = {}
        self.skipped: dict[str, str] = {}
        self._paths: dict[str, _Path] = {}
        for path_in, dtype in _leaves(self._array.dtype):
            name = ".".join(path_in) or "values"
            self._paths[name] = path_in
            _add(columns, self.skipped, name, dtype, self._array.shape[1:])
        self.columns = columns

    @property
    def entries(self) -> int:
        """Length of the first axis."""
        return int(self._array.shape[0])

    def read(self, names: Sequence[str], start: int, stop: int) -> dict[str, ak.Array]:
        """See `Table.read`."""
        _check(self, names)
        rows = self._array.rows(start, stop) if names else np.empty(0)
        return {name: _array(_field(rows, self._paths[name])) for name in names}

    def entry_bytes(self, names: Sequence[str]) -> float:
        """See `Table.entry_bytes`."""
        return float(self._array.row_bytes)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class NpzTable(Table):
    """Arrays with a common first axis, and lists that are stored flat beside their lengths."""

    def __init__(self, path: str, members: Archive) -> None:
        super().__init__(path)
        self._members = members
        self.skipped: dict[str, str] = dict(members.skipped)
        self.metadata = _note(members.arrays)
        self._counts = {
            counted: Lengths(array)
            for name, array in members.arrays.items()
            if (counted := _counted(name, array)) is not None
        }
        self._entries = self._length()
        columns: dict[str, Column] = {}
        #: column -> (member, field of its records, what its lists are counted by, outermost first)
        self._where: dict[str, tuple[str, _Path, list[Lengths]]] = {}
        for name, array in members.arrays.items():
            self._add_member(columns, name, array)
        self.columns = columns
        if not columns:
            why = "; ".join(f"{name}: {text}" for name, text in self.skipped.items())
            message = f"{path}: no arrays of numbers ({why[:300] or 'it is empty'})"
            raise ValueError(message)

    def _length(self) -> int:
        """The number of entries: the most common length; where in doubt of the largest arrays."""
        arrays = self._members.arrays
        if "" in self._counts:
            return int(arrays["counts"].shape[0])
        lengths: Counter[int] = Counter()
        for name, array in arrays.items():
            if array.shape and not self._owners(name) and name != NOTE:
                lengths[array.shape[0]] += 10**15 + array.nbytes
        return lengths.most_common(1)[0][0] if lengths else 0

    def _owners(self, name: str) -> list[Lengths]:
        """The lengths of the lists that a member is in, by its name; the outermost first."""
        counted = _counted(name, self._members.arrays[name])
        inside = levels(name if counted is None else counted.rstrip("[]"), self._counts)
        return [self._counts[each] for each in takewhile(lambda each: each != counted, inside)]

    def _add_member(self, columns: dict[str, Column], name: str, array: StoredArray) -> None:
        if not array.shape:
            if name != NOTE:
                self.skipped[name] = "a single value"
            return
        owners, rows = self._owners(name), int(array.shape[0])
        flat = self._counts.get("")
        # as many rows as lists: only rows of several numbers are taken as the lists' content
        if flat and not owners and rows == flat.total:
            owners = [flat] if rows != self._entries or len(array.shape) > 1 else []
        expected = owners[-1].total if owners else self._entries
        if rows != expected:
            self.skipped[name] = f"has {rows} rows, expected {expected}"
            return
        for path, dtype in _leaves(array.dtype):
            full = ".".join((name, *path))
            if _add(columns, self.skipped, full, dtype, array.shape[1:], len(owners)):
                self._where[full] = (name, path, owners)

    @property
    def entries(self) -> int:
        """Length of the common first axis."""
        return self._entries

    def read(self, names: Sequence[str], start: int, stop: int) -> dict[str, ak.Array]:
        """See `Table.read`."""
        _check(self, names)
        read: dict[str, tuple[np.ndarray, list[np.ndarray]]] = {}
        made = {}
        for name in names:
            member, path, owners = self._where[name]
            if member not in read:
                read[member] = self._rows(member, owners, start, stop)
            rows, counts = read[member]
            array = _array(_field(rows, path))
            for each in reversed(counts):
                array = ak.unflatten(array, each)
            made[name] = array
        return made

    def _rows(
        self, member: str, owners: list[Lengths], start: int, stop: int
    ) -> tuple[np.ndarray, list[np.ndarray]]:
        """Rows of a member that belong to the entries, and lengths of the lists they are in."""
        lengths = []
        for owner in owners:
            start, counts = owner(start, stop)
            stop = start + int(counts.sum())
            lengths.append(counts)
        return self._members.arrays[member].rows(start, stop), lengths

    def entry_bytes(self, names: Sequence[str]) -> float:
        """See `Table.entry_bytes`."""
        members = {self._where[name][0] for name in names}
        return sum(self._members.arrays[name].nbytes for name in members) / max(self.entries, 1)

    def close(self) -> None:
        """Close the file."""
        self._members.close()


class GraphTable(Table):
    """One graph, as one entry: each member is a list of its rows."""

    def __init__(self, path: str, members: Archive) -> None:
        super().__init__(path)
        self._members = members
        columns: dict[str, Column] = {}
        self.skipped: dict[str, str] = dict(members.skipped)
        for name, array in members.arrays.items():
            if array.shape and array.dtype.names is None:
                _add(columns, self.skipped, name, array.dtype, array.shape[1:], depth=1)
            else:
                self.skipped[name] = "not an array of plain values"
        self.columns = columns

    @property
    def entries(self) -> int:
        """One."""
        return 1

    def read(self, names: Sequence[str], start: int, stop: int) -> dict[str, ak.Array]:
        """See `Table.read`."""
        _check(self, names)
        made = {}
        for name in names:
            array = _array(self._members.arrays[name].whole())
            made[name] = ak.unflatten(array, [len(array)])[start:stop]
        return made

    def entry_bytes(self, names: Sequence[str]) -> float:
        """See `Table.entry_bytes`."""
        return float(sum(self._members.arrays[name].nbytes for name in names))

    def close(self) -> None:
        """Close the file."""
        self._members.close()


def _counted(name: str, array: StoredArray) -> str | None:
    """The list whose lengths a member has, "jets" of `jets.counts`; None of other members."""
    numbers = len(array.shape) == 1 and array.dtype.kind in "iu"
    if not numbers or name.rsplit(".", 1)[-1] != "counts":
        return None
    return name.removesuffix("counts").removesuffix(".")


def _leaves(dtype: np.dtype, path: _Path = ()) -> Iterator[tuple[_Path, np.dtype]]:
    """Names from the outside in, and types, of the fields of records; () of plain values."""
    if dtype.names is None:
        yield path, dtype
        return
    for field in dtype.names:
        yield from _leaves(dtype[field], (*path, field))


def _add(
    columns: dict[str, Column],
    skipped: dict[str, str],
    name: str,
    dtype: np.dtype,
    shape: tuple[int, ...],
    depth: int = 0,
) -> bool:
    """Note a column, or why it cannot be read."""
    base, inner = (dtype.base, dtype.shape) if dtype.subdtype else (dtype, ())
    shape = (*shape, *inner)
    if base.kind in "US" and not shape:
        columns[name] = Column("str", depth)
    elif base.kind in "biuf":
        columns[name] = Column(_native(base).name, depth, shape)
    else:
        skipped[name] = f"values of type {base}, which are no numbers"
        return False
    return True


def _native(dtype: np.dtype) -> np.dtype:
    """Of this machine's byte order, and of a size that Awkward knows."""
    if dtype.kind == "f" and dtype.itemsize not in (4, 8):
        return np.dtype(np.float32 if dtype.itemsize < 4 else np.float64)
    return dtype.newbyteorder("=")


def _field(rows: np.ndarray, path: _Path) -> np.ndarray:
    for name in path:
        rows = rows[name]
    return rows


def _array(rows: np.ndarray) -> ak.Array:
    if rows.dtype.kind in "US":
        text = np.char.decode(rows, "utf-8", "replace") if rows.dtype.kind == "S" else rows
        return ak.Array(text.tolist()) if len(text) else ak.Array([""])[:0]
    dtype = _native(rows.dtype)
    # a field of a single record is contiguous for NumPy, and not for Awkward
    plain = (
        np.ascontiguousarray(rows, dtype) if len(rows) > 1 else np.array(rows, dtype, order="C")
    )
    return ak.Array(plain)


def _check(table: Table, names: Sequence[str]) -> None:
    absent = [name for name in names if name not in table.columns]
    if absent:
        raise missing_columns(table.path, absent, table.columns)


def _note(arrays: Mapping[str, StoredArray]) -> dict[str, Any]:
    """What fivesigma noted about the arrays when it wrote them."""
    array = arrays.get(NOTE)
    if array is None or array.shape or array.dtype.kind != "U" or array.nbytes > _LARGEST_NOTE:
        return {}
    try:
        found = json.loads(str(array.whole()))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
