"""A dataset of fivesigma, read like any file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from fivesigma.datasets import Dataset
from fivesigma.formats.containers.root import leaves_of
from fivesigma.formats.layout import Layout
from fivesigma.formats.layouts.own import grouped
from fivesigma.formats.tables import Column, Table, missing_columns
from fivesigma.shards import column_sizes

__all__ = ["DatasetTable", "dataset"]


class DatasetTable(Table):
    """The collections of a dataset, entry by entry.

    Of a dataset of events all collections, of others the one that they are made of.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._data = Dataset.open(Path(path))
        shards = self._data.shards
        made = [name for name in self._data.counts if name not in shards[0]["derived"]]
        self.kind = str(self._data.manifest["kind"])
        self._collections = made if self.kind == "events" else made[:1]
        self._begin = np.cumsum([0, *(shard["counts"][made[0]] for shard in shards)])
        self.lists: list[str] = []
        columns: dict[str, Column] = {}
        for name in self._collections:
            sample = self._data.read(name, shards=[])
            prefix = self._prefix(name)
            form = ak.to_layout(sample).form
            self.lists += _lists(form, prefix.rstrip("."))
            columns |= {prefix + ".".join(path): column for path, column in leaves_of(form)}
        self.columns = columns
        self._kept: tuple[Any, Any] = (None, None)

    @property
    def classes(self) -> list[str]:
        """Names of the classes that labels count."""
        return self._data.classes

    @property
    def entries(self) -> int:
        """Number of entries."""
        return int(self._begin[-1])

    def read(self, names: Sequence[str], start: int, stop: int) -> dict[str, ak.Array]:
        """See `Table.read`."""
        absent = [name for name in names if name not in self.columns]
        if absent:
            raise missing_columns(self.path, absent, self.columns)
        if stop <= start:  # nothing to unpack
            return self._columns_of([], names)
        first = max(int(np.searchsorted(self._begin, start, "right")) - 1, 0)
        last = max(int(np.searchsorted(self._begin, stop, "left")), first + 1)
        parts = []
        for index in range(first, min(last, len(self._begin) - 1)):
            begin = int(self._begin[index])
            found = self._shard(index, tuple(names))
            cut = slice(max(start - begin, 0), max(stop - begin, 0))
            parts.append({name: array[cut] for name, array in found.items()})
        if len(parts) == 1:
            return parts[0]
        return {name: ak.concatenate([part[name] for part in parts]) for name in names}

    def boundaries(self, names: Sequence[str]) -> Sequence[int]:
        """See `Table.boundaries`: where shards begin."""
        return self._begin.tolist()

    def entry_bytes(self, names: Sequence[str]) -> float:
        """See `Table.entry_bytes`; of the numbers of values that the largest shard notes."""
        shard = max(self._data.shards, key=lambda each: int(each["counts"][self._collections[0]]))
        sizes: dict[str, tuple[int, int]] = {}
        for collection in self._collections:
            found = column_sizes(self._data.path, shard, collection)
            sizes |= {f"{self._prefix(collection)}{name}": each for name, each in found.items()}
        total = 0.0
        for name in names:
            column, (values, unpacked) = self.columns[name], sizes[name]
            text = column.dtype == "str"
            total += 8 * values + unpacked if text else values * np.dtype(column.dtype).itemsize
        entries = max(shard["counts"][self._collections[0]], 1)
        lists = 8.0 * sum(self.columns[name].depth for name in names)
        return 2 * (total / entries + lists)  # twice: shards are joined

    def _prefix(self, collection: str) -> str:
        return f"{collection}." if self.kind == "events" else ""

    def _shard(self, index: int, names: tuple[str, ...]) -> dict[str, ak.Array]:
        """Columns of one shard; the latest is kept, for steps smaller than a shard."""
        if self._kept[0] != (index, names):
            shard = [self._data.shards[index]["index"]]
            self._kept = ((index, names), self._columns_of(shard, names))
        kept: dict[str, ak.Array] = self._kept[1]
        return kept

    def _columns_of(self, shards: list[int], names: Sequence[str]) -> dict[str, ak.Array]:
        out: dict[str, ak.Array] = {}
        for collection in self._collections:
            prefix = self._prefix(collection)
            wanted = [name for name in names if name.startswith(prefix)]
            if not wanted:
                continue
            inside = [name[len(prefix) :] for name in wanted]
            records = self._data.read(collection, inside, shards=shards)
            for name, path in zip(wanted, inside, strict=True):
                array = records
                for part in path.split("."):
                    array = array[part]
                out[name] = array
        return out


def _lists(form: Any, path: str) -> list[str]:
    """Paths of the groups of a form that are lists of records."""
    found = []
    if form.is_list and form.content.is_record:
        found.append(path)
        form = form.content
    if form.is_record:
        for name, content in zip(form.fields, form.contents, strict=True):
            found += _lists(content, f"{path}.{name}" if path else name)
    return found


def dataset(table: Table) -> Layout | None:
    """The layout of a dataset: its collections are the groups."""
    if not isinstance(table, DatasetTable):
        return None
    fields = {name: name for name in table.columns}
    kind = table.kind if table.kind in ("events", "jets") else "table"
    groups = grouped(kind, fields, table.lists)
    return Layout("dataset", kind, groups, classes=tuple(table.classes))
