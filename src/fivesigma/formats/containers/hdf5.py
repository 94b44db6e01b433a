"""HDF5 files, through h5py: datasets side by side, compound datasets, and frames of pandas.

All datasets with the same number of entries (their first axis) make one table. A column is called
by its dataset's path with dots ("jets/pt" -> "jets.pt"), without the groups that all of a table
share; members of compound datasets follow with a dot ("tracks" of {pt, d0} -> "tracks.pt").
A frame of pandas is a table of its own, with the frame's names and without its index.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import awkward as ak
import h5py
import numpy as np

from fivesigma.formats.containers.hdf5_contents import (
    Contents,
    is_hard,
    opened,
    refused,
    texts_of,
    texts_of_pickle,
)
from fivesigma.formats.tables import Column, Table, missing_columns, reading

__all__ = ["HdfTable", "open_tables"]

#: root attribute in which fivesigma notes what the columns are
NOTE = "fivesigma"
_NUMBERS = "fiub"


def open_tables(path: str, file: Any) -> list[Table]:
    """The tables of a file, the largest first.

    Links that lead out of the file, and datasets whose values are in other files, are skipped.

    Args:
        path: for messages.
        file: binary file object.

    Raises:
        ValueError: no HDF5 file, a damaged one, or one without a dataset that can be read.
    """
    hdf = h5py.File(file, "r")
    try:
        return _tables(path, hdf, file)
    except BaseException:
        hdf.close()
        raise


def _tables(path: str, hdf: h5py.File, file: Any) -> list[Table]:
    contents, note = Contents(hdf), _note(hdf)
    tables = [_frame(path, file, group) for group in contents.frames]
    lengths: dict[int, dict[str, h5py.Dataset]] = {}
    for name, dataset in contents.datasets.items():
        lengths.setdefault(dataset.shape[0], {})[name] = dataset
    for datasets in lengths.values():
        common = _common_group(datasets)
        table = HdfTable(path, file, _table_name(common, datasets, lengths), note)
        for full, dataset in datasets.items():
            table.add(full[len(common) :].strip("/").replace("/", "."), dataset)
        tables.append(table)
    for table in tables:
        table.texts, table.skipped = contents.texts, {**contents.skipped, **table.skipped}
    if not any(table.columns for table in tables):
        skipped = [each for table in tables for each in table.skipped.items()]
        why = "; ".join(
            f"{name}: {reason}" for name, reason in (skipped or contents.skipped.items())
        )
        message = f"{path}: no dataset in it that can be read ({why[:300] or 'it has none'})"
        raise ValueError(message)
    return [*sorted((each for each in tables if each.columns), key=lambda each: -each.nbytes)]


class _Place(NamedTuple):
    """Where a column is: in a dataset, in members of its records, at a position of an array."""

    dataset: str
    members: tuple[str, ...] = ()
    item: int | None = None


class HdfTable(Table):
    """Datasets of one length, or a frame of pandas.

    Attributes:
        blocks: arrays that have several columns side by side -> names of these; they can be read
            whole as well, though `columns` lists only what is in them.
        texts: short lists of text in the file, e.g. names of features: path of a dataset, or of an
            attribute as "dataset@attribute" -> texts.
    """

    def __init__(
        self, path: str, file: Any, name: str, note: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(path)
        self.name, self.metadata, self._file = name, dict(note or {}), file
        self.columns: dict[str, Column] = {}
        self.skipped: dict[str, str] = {}
        self.blocks: dict[str, tuple[str, ...]] = {}
        self.texts: Mapping[str, tuple[str, ...]] = {}
        self.nbytes = 0
        self._data: dict[str, h5py.Dataset] = {}
        self._where: dict[str, _Place] = {}
        self._bytes: dict[str, float] = {}

    def add(
        self, name: str, dataset: h5py.Dataset, blocks: Mapping[str, Sequence[str]] | None = None
    ) -> None:
        """Add the columns of a dataset.

        Args:
            name: what they are called; "": by the members of its records alone.
            dataset: (N, ...) values.
            blocks: names of what is side by side in some of its columns.
        """
        self._data[name] = dataset
        self.nbytes += dataset.nbytes
        for members, column, nbytes in _leaves(dataset.dtype, dataset.shape[1:]):
            full = ".".join(filter(None, (name, *members)))
            if isinstance(column, str):
                self.skipped[full] = column
                continue
            self._where[full] = _Place(name, members)
            self._bytes[full] = nbytes
            names = tuple((blocks or {}).get(full, ()))
            if names and column.shape == (len(names),):
                self.blocks[full] = names
                for at, each in enumerate(names):
                    self.columns[each] = Column(column.dtype)
                    self._where[each] = _Place(name, members, at)
                    self._bytes[each] = nbytes / len(names)
            else:
                self.columns[full] = column

    @property
    def entries(self) -> int:
        """Number of entries."""
        return int(next(iter(self._data.values())).shape[0])

    def read(self, names: Sequence[str], start: int, stop: int) -> dict[str, ak.Array]:
        """See `Table.read`."""
        absent = [name for name in names if name not in self._where]
        if absent:
            raise missing_columns(self.path, absent, self.columns)
        wanted: dict[str, dict[str, None]] = {}
        for name in names:
            place = self._where[name]
            wanted.setdefault(place.dataset, {}).update(dict.fromkeys(place.members[:1]))
        stored = {}
        with reading(self.path):
            for key, members in wanted.items():
                dataset = self._data[key]
                stored[key] = (dataset.fields(list(members)) if members else dataset)[start:stop]
        places = {name: self._where[name] for name in names}
        return {name: _values(stored[place.dataset], place) for name, place in places.items()}

    def entry_bytes(self, names: Sequence[str]) -> float:
        """See `Table.entry_bytes`; lists and text are looked at, the rest follows of its type."""
        loose = [n for n in names if (c := self.columns.get(n)) and (c.depth or c.dtype == "str")]
        fixed = sum(self._bytes.get(name, 0.0) for name in names if name not in loose)
        return fixed + (super().entry_bytes(loose) if loose else 0.0)

    def close(self) -> None:
        """Close the file, which all of its tables share."""
        for dataset in self._data.values():
            if dataset:
                dataset.file.close()
        self._file.close()


def _leaves(
    dtype: np.dtype, shape: tuple[int, ...], members: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Column | str, float]]:
    """Members, column (or why it is skipped) and bytes of an entry, of each leaf of a type."""
    if dtype.subdtype is not None:
        base, inner = dtype.subdtype
        yield from _leaves(base, (*shape, *inner), members)
    elif dtype.names is not None:
        for name in dtype.names:
            yield from _leaves(dtype[name], shape, (*members, name))
    elif dtype.kind in _NUMBERS:
        plain = _plain(dtype)
        yield members, Column(plain.name, 0, shape), plain.itemsize * float(math.prod(shape))
    elif shape or (members and dtype.kind == "O"):
        yield members, f"{dtype.kind!r} values in arrays or records", 0.0
    elif h5py.check_string_dtype(dtype) is not None:
        yield members, Column("str"), float(dtype.itemsize)
    elif (base := h5py.check_vlen_dtype(dtype)) is not None and base.kind in _NUMBERS:
        yield members, Column(_plain(base).name, 1), 0.0
    else:
        yield members, "neither numbers nor text", 0.0


def _plain(dtype: np.dtype) -> np.dtype:
    """A type that all arrays know: of this machine's byte order, no half or long floats."""
    if dtype.kind == "f":
        return np.dtype(np.float32 if dtype.itemsize <= 4 else np.float64)
    return np.dtype(dtype.newbyteorder("="))


def _values(stored: np.ndarray, place: _Place) -> ak.Array:
    for member in place.members:
        stored = stored[member]
    if place.item is not None:
        stored = stored[:, place.item]
    if stored.dtype.kind in _NUMBERS:
        # a copy: a member of a single record is contiguous for NumPy, and not for Awkward
        return ak.Array(np.array(stored, _plain(stored.dtype), order="C"))
    if h5py.check_string_dtype(stored.dtype) is not None:
        return ak.Array([*texts_of(stored), ""])[:-1]
    base = _plain(h5py.check_vlen_dtype(stored.dtype))
    flat = np.concatenate([np.empty(0, base), *stored], dtype=base)
    return ak.unflatten(flat, np.array([len(each) for each in stored], np.int64))


def _common_group(paths: Iterable[str]) -> str:
    """The groups that all of the datasets are in."""
    first, *others = [path.split("/")[:-1] for path in paths]
    shared = []
    for at, name in enumerate(first):
        if any(other[at : at + 1] != [name] for other in others):
            break
        shared.append(name)
    return "/".join(shared)


def _table_name(
    common: str, datasets: Mapping[str, h5py.Dataset], lengths: Mapping[int, Iterable[str]]
) -> str:
    """What a table is called: "" if it is the only one, else its group or largest dataset."""
    if len(lengths) == 1:
        return ""
    others = [_common_group(each) for each in lengths.values()]
    if common and others.count(common) == 1:
        return common
    return max(datasets, key=lambda name: float(datasets[name].nbytes))


def _frame(path: str, file: Any, group: h5py.Group) -> HdfTable:
    table = HdfTable(path, file, group.name.strip("/"))
    for name in filter(re.compile(r"table$|block\d+_values$").match, group):
        dataset = opened(group, name) if is_hard(group, name) else None
        if not isinstance(dataset, h5py.Dataset):
            continue
        reason = refused(dataset)
        if reason or (name != "table" and dataset.ndim != 2):
            table.skipped[name] = reason or "objects of Python, which are not read"
        elif name == "table":
            table.add("", dataset, _table_names(dataset))
        else:
            table.add(name, dataset, {name: _item_names(group, name)})
    table.columns.pop("index", None)
    return table


def _item_names(group: h5py.Group, values: str) -> tuple[str, ...]:
    """Names of the columns in a block; none where they are numbers."""
    name = values.replace("_values", "_items")
    items = group[name] if name in group and is_hard(group, name) else None
    if not isinstance(items, h5py.Dataset) or refused(items) or items.dtype.kind != "S":
        return ()
    return texts_of(items[:])


def _table_names(dataset: h5py.Dataset) -> dict[str, tuple[str, ...]]:
    """Names of the columns in the blocks of a table; pandas keeps pickled lists of them."""
    found = {}
    for block in dataset.dtype.names or ():
        pickled = dataset.attrs.get(f"{block}_kind")
        if block.startswith("values_block_") and isinstance(pickled, bytes):
            found[block] = texts_of_pickle(pickled)
    return found


def _note(file: h5py.File) -> dict[str, Any]:
    """What fivesigma noted when it wrote the file."""
    try:
        found = json.loads(file.attrs.get(NOTE, "{}"))
    except (ValueError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}
