"""Arrow's types as columns of numbers and text, and its arrays as Awkward arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fivesigma.formats.tables import Column

__all__ = ["MissingError", "columns_of", "to_awkward"]


def columns_of(
    name: str, kind: pa.DataType, names: tuple[str, ...] = (), lists: tuple[int, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Column | str]]:
    """Names within records, and the column or why it cannot be read, of each leaf of a type.

    Args:
        name: of the record's field; "" of what is in a list.
        kind: its type.
        names: of the records it is in.
        lists: it is in lists of these lengths, 0 where they vary.
    """
    names = (*names, name) if name else names
    kind = _stored(kind)
    if pa.types.is_struct(kind):
        for i in range(kind.num_fields):
            yield from columns_of(kind.field(i).name, kind.field(i).type, names, lists)
    elif pa.types.is_fixed_size_list(kind):
        yield from columns_of("", kind.value_type, names, (*lists, kind.list_size))
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from columns_of("", kind.value_type, names, (*lists, 0))
    elif pa.types.is_map(kind):
        for part, inside in (("key", kind.key_type), ("value", kind.item_type)):
            for inner, _ in columns_of(part, inside, names):
                yield inner, f"in a map, {kind}"
    else:
        yield names, _column(kind, lists)


def _column(kind: pa.DataType, lists: tuple[int, ...]) -> Column | str:
    """A leaf; what is fixed around lists that vary counts as a list that varies."""
    fixed = next((i for i in range(len(lists), 0, -1) if not lists[i - 1]), 0)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return Column("str", fixed, lists[fixed:])
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return Column(np.dtype(kind.to_pandas_dtype()).name, fixed, lists[fixed:])
    return f"of type {kind}, neither numbers nor text"


def _stored(kind: pa.DataType) -> pa.DataType:
    """The type as it is stored, without extensions and dictionaries."""
    if isinstance(kind, pa.BaseExtensionType):
        return _stored(kind.storage_type)
    return _stored(kind.value_type) if pa.types.is_dictionary(kind) else kind


class MissingError(Exception):
    """Values that are missing and have no stand-in."""


def to_awkward(array: pa.Array, names: Sequence[str]) -> ak.Array:
    """One leaf of an array: missing numbers are NaN, missing lists empty."""
    if isinstance(array, pa.ExtensionArray):
        return to_awkward(array.storage, names)
    if isinstance(array, pa.DictionaryArray):
        return to_awkward(array.dictionary_decode(), names)
    if isinstance(array, pa.StructArray):
        return to_awkward(pc.struct_field(array, [names[0]]), names[1:])
    if isinstance(array, pa.FixedSizeListArray):
        if array.null_count:
            message = f"{array.null_count} of {len(array)} lists of fixed length are missing"
            raise MissingError(message)
        return _regular(to_awkward(array.flatten(), names), len(array), array.type.list_size)
    if isinstance(array, pa.ListArray | pa.LargeListArray):
        counts = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
        return ak.unflatten(to_awkward(array.flatten(), names), counts)
    return _leaf(array)


def _regular(inner: ak.Array, length: int, size: int) -> ak.Array:
    if isinstance(inner.layout, ak.contents.NumpyArray):
        values = np.asarray(inner)
        return ak.Array(values.reshape(length, size, *values.shape[1:]))
    return ak.to_regular(ak.unflatten(inner, np.full(length, size)), axis=1)


def _leaf(array: pa.Array) -> ak.Array:
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        return ak.fill_none(ak.from_arrow(array), "")
    if array.null_count and not pa.types.is_floating(array.type):
        message = f"{array.null_count} of {len(array)} values are missing"
        raise MissingError(message)
    filled = pc.fill_null(array, np.nan) if array.null_count else array
    return ak.Array(filled.to_numpy(zero_copy_only=False))
