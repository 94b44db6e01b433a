"""Nested arrays as flat columns and the lengths of their lists, which is what files can hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import awkward as ak
import numpy as np

if TYPE_CHECKING:
    import pandas

__all__ = ["Flat", "Leaf", "flatten", "plain", "refuse_text", "to_pandas", "unique"]

_TYPES = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
_DTYPES = (*_TYPES, "float32", "float64")


class Leaf(NamedTuple):
    """The values of one field, all lists joined.

    Attributes:
        values: (n, *inner) one after the other; text is an array of strings.
        lists: names of the lists that it is in, the outermost first.
    """

    values: np.ndarray
    lists: tuple[str, ...]


@dataclass
class Flat:
    """An array as flat columns.

    The list of a field's own numbers has the field's name; a list directly in a list `x` is `x[]`.

    Attributes:
        entries: length of the array.
        leaves: field with dots, e.g. "jets.constituents.pt" -> its values.
        counts: list, e.g. "jets.constituents" -> lengths of all these lists.
        levels: list -> the lists that it is in, and itself, the outermost first.
    """

    entries: int
    leaves: dict[str, Leaf] = field(default_factory=dict)
    counts: dict[str, np.ndarray] = field(default_factory=dict)
    levels: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def per_entry(self, name: str) -> np.ndarray:
        """(entries,) how many items of this list each entry has, over all its lists."""
        first, *inner = self.levels[name]
        counts = self.counts[first]
        for each in inner:
            ends = np.append(0, np.cumsum(self.counts[each]))
            bounds = np.append(0, np.cumsum(counts))
            counts = np.diff(ends[bounds])
        return counts


def plain(array: ak.Array) -> ak.Array:
    """The same values in the simplest layout: records, lists and numbers, without their names.

    Lists of a fixed length stay so for numbers only.

    Raises:
        ValueError: values that are missing, have no known type, or one that files cannot hold.
    """
    layout = ak.to_layout(ak.to_packed(array))
    return ak.Array(_plain(layout, ""))


def _plain(layout: Any, name: str) -> Any:
    if layout.is_option or layout.is_indexed:
        content = layout.project()
        missing = len(layout) - len(content)
        if missing:
            message = (
                f"{name or 'entries'}: {missing} of {len(layout)} values are missing (None); "
                "expected none, fill them with ak.fill_none"
            )
            raise ValueError(message)
        return _plain(content, name)
    if layout.is_record:
        return _plain_record(layout, name)
    if layout.parameter("__array__") == "string":
        return layout.to_ListOffsetArray64(True)
    if layout.is_list:
        return _plain_list(layout, name)
    dtype = str(layout.dtype) if layout.is_numpy else str(layout.form.type)
    if dtype not in _DTYPES:
        message = f"{name}: type {dtype}, expected one of {', '.join(_DTYPES)}; convert it first"
        raise ValueError(message)
    return ak.contents.NumpyArray(np.ascontiguousarray(layout.data))


def _plain_record(layout: Any, name: str) -> Any:
    if not layout.fields:
        message = f"{name or 'entries'}: records without fields; leave them out"
        raise ValueError(message)
    contents = []
    for each in layout.fields:
        if not each or set(each) & set(".[]"):
            message = f"field name {each!r}: expected no dots and brackets in it; rename the field"
            raise ValueError(message)
        inner = layout.content(each)[: len(layout)]
        contents.append(_plain(inner, f"{name}.{each}" if name else each))
    return ak.contents.RecordArray(contents, layout.fields, length=len(layout))


def _plain_list(layout: Any, name: str) -> Any:
    if layout.is_regular:
        content = _plain(layout.content[: len(layout) * layout.size], name)
        if content.is_numpy:
            shape = (len(layout), layout.size, *content.data.shape[1:])
            return ak.contents.NumpyArray(content.data.reshape(shape))
    joined = layout.to_ListOffsetArray64(True)
    content = _plain(joined.content[: joined.offsets[-1]], name)
    return ak.contents.ListOffsetArray(joined.offsets, content)


def flatten(array: ak.Array) -> Flat:
    """Take a plain array apart.

    Args:
        array: records, as `plain` gives them.

    Raises:
        ValueError: no records.
    """
    layout = ak.to_layout(array)
    if not layout.is_record:
        message = f"got {ak.type(array)}, expected records with named fields"
        raise ValueError(message)
    flat = Flat(len(array))
    _collect(layout, "", (), flat)
    return flat


def _collect(layout: Any, name: str, lists: tuple[str, ...], flat: Flat) -> None:
    if layout.is_record:
        for each in layout.fields:
            inner = layout.content(each)[: len(layout)]
            _collect(inner, f"{name}.{each}" if name else each, lists, flat)
    elif layout.is_list and not layout.is_regular and not layout.parameter("__array__"):
        own = name
        while own in lists:
            own += "[]"
        offsets = np.asarray(layout.offsets)
        flat.counts[own], flat.levels[own] = np.diff(offsets), (*lists, own)
        content = layout.content[offsets[0] : offsets[-1]]
        _collect(content, name, (*lists, own), flat)
    else:
        flat.leaves[name] = Leaf(np.asarray(ak.to_numpy(layout)), lists)


def refuse_text(structure: Flat, format: str) -> None:
    """Raise where there is text in a format of numbers.

    Raises:
        ValueError: a field of text.
    """
    text = [name for name, leaf in structure.leaves.items() if leaf.values.dtype.kind == "U"]
    if text:
        message = f"{', '.join(text)}: text, {format} takes numbers; leave it out or write Parquet"
        raise ValueError(message)


def unique(name: str, taken: Iterable[str]) -> str:
    """The name, with underscores behind it until nothing else has it."""
    taken = set(taken)
    while name in taken:
        name += "_"
    return name


def to_pandas(array: ak.Array) -> pandas.DataFrame:
    """A frame of flat records, or of one collection of lists; needs the extra `pandas`.

    Flat records become one row an entry. Where there is a list, there is one row an item, with
    the index (entry, subentry), and with a further level for lists within it; what belongs to the
    entry is repeated. Fields of inner records have names with dots, those of a fixed length get
    one column an item: `p.0`, `p.1`.

    Args:
        array: records, e.g. `jets`; or lists of records, e.g. `events.muons`.

    Raises:
        ValueError: lists that are not within each other: which one shall be the rows?
        ImportError: pandas is not installed.
    """
    import pandas

    layout = ak.to_layout(array)
    prefix = "items." if layout.is_list else ""
    flat = flatten(plain(ak.Array({"items": array}) if prefix else array))
    deepest = max(flat.levels.values(), key=len, default=())
    aside = [name for name in flat.levels if name not in deepest]
    if aside:
        message = f"lists {', '.join([deepest[0], *aside])}; choose one, e.g. array[[field, ...]]"
        raise ValueError(message)
    columns: dict[str, np.ndarray] = {}
    for name, leaf in flat.leaves.items():
        columns |= _frame_columns(name.removeprefix(prefix), _repeated(flat, leaf, deepest))
    if not deepest:
        return pandas.DataFrame(columns)
    return pandas.DataFrame(columns, index=_index(flat, deepest))


def _repeated(flat: Flat, leaf: Leaf, lists: Sequence[str]) -> np.ndarray:
    """The values for each item of the innermost list."""
    values = leaf.values
    for name in lists[len(leaf.lists) :]:
        values = np.repeat(values, flat.counts[name], axis=0)
    return values


def _frame_columns(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    if values.ndim == 1:
        return {name: values}
    inner = values.reshape(len(values), -1)
    return {f"{name}.{i}": inner[:, i] for i in range(inner.shape[1])}


def _index(flat: Flat, lists: Sequence[str]) -> Any:
    import pandas

    columns = [np.arange(flat.entries)]
    for name in lists:
        counts = flat.counts[name]
        columns = [np.repeat(each, counts) for each in columns]
        first = np.repeat(np.cumsum(counts) - counts, counts)
        columns.append(np.arange(len(first)) - first)
    names = ["entry", *("sub" * depth + "entry" for depth in range(1, len(columns)))]
    return pandas.MultiIndex.from_arrays(columns, names=names)
