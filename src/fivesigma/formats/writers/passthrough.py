"""A copy of a flat ROOT tree with more branches, so that what read the tree before still does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import awkward as ak
import numpy as np
import uproot

from fivesigma.formats.containers.root import RootTable
from fivesigma.storage import temporary_of

__all__ = ["COPIED", "Copy"]

#: formats whose trees are of plain branches, as uproot writes them
COPIED = frozenset(("nanoaod", "pfnano", "jetclass", "objects", "table"))
_COMPRESSION = uproot.ZSTD(5)


class Copy:
    """Copies a tree step by step, adding branches; whole under its name only when it is closed.

    Args:
        path: file to write.
        table: the tree.

    Attributes:
        left_out: branches that are neither numbers nor lists of numbers.
    """

    def __init__(self, path: Path, table: RootTable) -> None:
        self._path, self._table = path, table
        columns = table.columns
        counters = {f"n{name}" for name in columns}
        counters |= {f"n{name.partition('_')[0]}" for name in columns if columns[name].depth}
        kept = {
            name: column
            for name, column in columns.items()
            if column.dtype != "str"
            and column.depth + bool(column.shape) < 2
            and "." not in name
            and name not in counters
        }
        self.left_out = tuple(name for name in columns if name not in {*kept, *counters})
        self._names = list(kept)
        self._lists = [name for name, column in kept.items() if column.depth]
        self._tree: Any = None

    def __enter__(self) -> Copy:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._temporary = temporary_of(self._path)
        self._file = uproot.recreate(self._temporary, compression=_COMPRESSION)
        return self

    def extend(
        self,
        start: int,
        stop: int,
        values: Mapping[str, np.ndarray],
        lists: Mapping[str, Mapping[str, ak.Array]],
    ) -> None:
        """Copy some entries.

        Args:
            start: first entry.
            stop: behind the last one.
            values: new branches with one value an entry.
            lists: prefix -> name -> lists; those of a prefix that is there are put beside it.
        """
        arrays = self._table.read(self._names, start, stop)
        branches: dict[str, Any] = {
            name: np.asarray(arrays[name]) for name in self._names if name not in self._lists
        }
        branches |= values
        grouped: dict[str, dict[str, ak.Array]] = {}
        for name in self._lists:
            prefix, _, rest = name.partition("_")
            grouped.setdefault(prefix, {})[rest] = arrays[name]
        for prefix, fields in lists.items():
            grouped[prefix] = grouped.get(prefix, {}) | dict(fields)
        for prefix, fields in grouped.items():
            branches |= _branches(prefix, fields)
        if self._tree is None:
            self._tree = self._file.mktree(self._table.name, branches, title=self._table.name)
        else:
            self._tree.extend(branches)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        if error is None:
            self._temporary.replace(self._path)
        else:
            self._temporary.unlink(missing_ok=True)


def _branches(prefix: str, fields: Mapping[str, ak.Array]) -> dict[str, ak.Array]:
    """Lists of equal lengths as records, which share a counter; others apart."""
    if list(fields) == [""]:
        return {prefix: fields[""]}
    counts = ak.num(next(iter(fields.values())), axis=1)
    alike = {name: each for name, each in fields.items() if ak.all(ak.num(each, axis=1) == counts)}
    apart = {f"{prefix}_{name}": each for name, each in fields.items() if name not in alike}
    return {prefix: ak.zip(alike), **apart}
