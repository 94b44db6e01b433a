"""Arrays of any structure as flat numbers, and which entry each number belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray

__all__ = ["Group", "Values", "groups", "is_text", "texts_in", "values_of"]

#: values of fixed number in each entry up to here are looked at one by one
_FEW = 32


class Group(NamedTuple):
    """One collection in some entries.

    Attributes:
        name: "muons", "jets.constituents".
        depth: 1: one record an entry, 2: a list of records an entry ...
        lists: (L,) lengths of the innermost lists of records; None: no lists.
        records: all records in one row.
        fields: name -> numbers or text, with all lists.
    """

    name: str
    depth: int
    lists: NDArray[np.int64] | None
    records: int
    fields: dict[str, ak.Array]


class Values(NamedTuple):
    """The numbers of one field.

    Attributes:
        flat: (n,) numbers; NaN where one is missing.
        counts: (N,) numbers of each entry; None: one each.
        lists: (L,) lengths of the innermost lists; None: no lists.
        dtype: of the file; flags and missing values make another one of `flat`.
        missing: how many are missing.
    """

    flat: NDArray
    counts: NDArray[np.int64] | None
    lists: NDArray[np.int64] | None
    dtype: str
    missing: int = 0

    def entries(self) -> NDArray[np.int64]:
        """(n,) the entry of each number."""
        if self.counts is None:
            return np.arange(len(self.flat))
        return np.repeat(np.arange(len(self.counts)), self.counts)

    def per_entry(self) -> NDArray[np.float64]:
        """(N,) the number of each entry, the mean where it has a list, NaN where that is empty."""
        values = self.flat.astype(np.float64)
        if self.counts is None:
            return values
        total = np.bincount(self.entries(), weights=values, minlength=len(self.counts))
        empty = np.full(len(self.counts), np.nan)
        return np.divide(total, self.counts, out=empty, where=self.counts > 0)


def groups(chunk: ak.Array, kind: str, own: str = "") -> Iterator[Group]:
    """All collections of some entries, with their fields.

    Args:
        chunk: what a Source reads.
        kind: "events" (records of collections), or one whose fields are the entry's own.
        own: name of the collection of these fields; default: the kind.
    """
    if kind == "events":
        for name in chunk.fields:
            yield from _groups(name, chunk[name], f"{name}.")
    else:
        yield from _groups(own or kind, chunk, "")


def _groups(name: str, records: ak.Array, prefix: str) -> Iterator[Group]:
    depth = records.layout.purelist_depth
    inner = {one: records[one] for one in records.fields}
    fields: dict[str, ak.Array] = {}
    for one, array in inner.items():
        if not array.fields:
            fields |= _columns(one, array)
    lists = _lengths(records, depth) if depth > 1 else None
    count = len(records) if lists is None else int(lists.sum())
    if fields:
        yield Group(name, depth, lists, count, fields)
    for one, array in inner.items():
        if array.fields:
            yield from _groups(f"{prefix}{one}", array, f"{prefix}{one}.")


def _lengths(records: ak.Array, depth: int) -> NDArray[np.int64]:
    for _ in range(depth - 2):
        records = ak.flatten(_without_missing_lists(records), axis=1)
    return ak.to_numpy(ak.num(_without_missing_lists(records), axis=1)).astype(np.int64)


def _columns(name: str, array: ak.Array) -> dict[str, ak.Array]:
    """A few values of fixed number in each entry are columns of their own, as those of an npy."""
    layout = array.layout
    size = 0
    if layout.purelist_depth == 2 and (layout.is_regular or layout.is_numpy):
        size = layout.size if layout.is_regular else layout.shape[1]
    if not 1 < size <= _FEW or is_text(array):
        return {name: array}
    return {f"{name}[{k}]": array[:, k] for k in range(size)}


def is_text(array: ak.Array) -> bool:
    """Whether it holds text instead of numbers."""
    kind = str(array.type)
    return "string" in kind or "bytes" in kind


def texts_in(array: ak.Array) -> int:
    """How many texts there are."""
    while array.ndim > 1:
        array = ak.flatten(array, axis=1)
    return len(array)


def values_of(array: ak.Array) -> Values:
    """The numbers of one field, flat.

    Args:
        array: numbers in lists of any depth, of fixed or own lengths; no records, no text.
    """
    counts: NDArray[np.int64] | None = None
    lists: NDArray[np.int64] | None = None
    while array.ndim > 1:
        array = _without_missing_lists(array)
        lists = ak.to_numpy(ak.num(array, axis=1)).astype(np.int64)
        counts = lists if counts is None else _summed(lists, counts)
        array = ak.flatten(array, axis=1)
    dtype = str(array.type).rsplit(" ", 1)[-1].lstrip("?")
    missing = int(ak.sum(ak.is_none(array))) if array.layout.is_option else 0
    if array.layout.is_option:
        array = ak.fill_none(ak.values_astype(array, np.float64), np.nan)
    return Values(_plain(ak.to_numpy(array)), counts, lists, dtype, missing)


def _without_missing_lists(array: ak.Array) -> ak.Array:
    return ak.fill_none(array, [], axis=0) if array.layout.is_option else array


def _summed(lengths: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Lengths of inner lists, added up for each entry."""
    ends = np.concatenate([[0], np.cumsum(lengths)])
    last = np.cumsum(counts)
    return ends[last] - ends[last - counts]


def _plain(flat: NDArray) -> NDArray:
    return flat.astype(np.int8) if flat.dtype == np.bool_ else flat
