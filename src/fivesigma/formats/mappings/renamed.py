"""A table without names, under the names that a user gives."""

from __future__ import annotations

from collections.abc import Sequence

import awkward as ak

from fivesigma.formats.tables import Column, Table, missing_columns

__all__ = ["Renamed"]


class Renamed(Table):
    """A table under other names, in order; the numbers of one wide column count as columns."""

    def __init__(self, table: Table, names: Sequence[str]) -> None:
        super().__init__(table.path)
        self._table = table
        self.name, self.metadata, self.skipped = table.name, table.metadata, table.skipped
        parts: list[tuple[str, int | None]] = [(name, None) for name in table.columns]
        wide, column = next(iter(table.columns.items()))
        if len(parts) == 1 and column.depth == 0 and len(column.shape) == 1:
            parts = [(wide, i) for i in range(column.shape[0])]
        if len(names) != len(parts) or len(set(names)) != len(names):
            message = f"columns: {len(set(names))} different names for {len(parts)} columns"
            raise ValueError(message)
        self._parts = dict(zip(names, parts, strict=True))
        self.columns = {
            name: table.columns[each] if i is None else Column(column.dtype)
            for name, (each, i) in self._parts.items()
        }

    @property
    def entries(self) -> int:
        """Number of entries."""
        return self._table.entries

    def read(self, names: Sequence[str], start: int, stop: int) -> dict[str, ak.Array]:
        """See `Table.read`."""
        absent = [name for name in names if name not in self._parts]
        if absent:
            raise missing_columns(self.path, absent, self._parts)
        wanted = list(dict.fromkeys(self._parts[name][0] for name in names))
        arrays = self._table.read(wanted, start, stop)
        found = {}
        for name in names:
            each, i = self._parts[name]
            found[name] = arrays[each] if i is None else arrays[each][:, i]
        return found

    def close(self) -> None:
        """Close the file."""
        self._table.close()
