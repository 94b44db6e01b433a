"""Fields from arrays of a fixed size: numbers at places of the last axis, and padded lists.

All formulas take columns of one table, (N,) or (N, M) or (N, M, F), and can be pickled.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import awkward as ak
import numpy as np

from fivesigma.formats.fourvectors import from_cartesian, object_fields
from fivesigma.formats.layout import Field
from fivesigma.formats.tables import Table

__all__ = [
    "CARTESIAN",
    "Place",
    "at_places",
    "index_of",
    "moved",
    "nonzero",
    "padded_fields",
    "picked",
    "places",
    "shape_of",
    "side_by_side",
    "some",
    "summed_fields",
    "zeros",
]

#: where in the last axis of an array
Place = int | slice | list[int]
CARTESIAN = ("px", "py", "pz", "energy")
Formula = Callable[..., Any]


def shape_of(table: Table, name: str) -> tuple[int, ...] | None:
    """Fixed inner lengths of a column; None where it is not there, or is of lists."""
    column = table.columns.get(name)
    return None if column is None or column.depth else column.shape


def places(indices: Sequence[int]) -> Place:
    """The same indices, as a slice where they are evenly spaced."""
    step = indices[1] - indices[0] if len(indices) > 1 else 1
    even = step > 0 and list(indices) == list(range(indices[0], indices[-1] + 1, step))
    return slice(indices[0], indices[-1] + 1, step) if even else list(indices)


def at_places(columns: Sequence[str], at: Mapping[str, Place]) -> dict[str, Field]:
    """Fields of objects whose numbers are at places of one array.

    Args:
        columns: the array, or several columns of which the array is made.
        at: name in the object ("px", "btag") -> place.
    """
    return moved(columns, at, object_fields({name: name for name in at}))


def moved(
    columns: Sequence[str], at: Mapping[str, Place], fields: Mapping[str, Field]
) -> dict[str, Field]:
    """The fields of columns with the names in `at`, made of what is at these places instead."""
    return {
        name: Field(
            tuple(columns),
            partial(picked, field.formula, [at[column] for column in field.columns]),
            field.energy,
        )
        for name, field in fields.items()
    }


def picked(formula: Formula | None, at: Sequence[Place], *arrays: ak.Array) -> ak.Array:
    """A formula of what is at places of an array; without a formula the first of it."""
    table = _table(arrays)
    return _each(formula, [table[..., place] for place in at])


def side_by_side(each: int, formula: Formula | None, *columns: ak.Array) -> ak.Array:
    """(N, number of objects) from `each` columns of one object after the other."""
    arrays = [np.asarray(column) for column in columns]
    return _each(formula, [np.stack(arrays[at::each], axis=-1) for at in range(each)])


def padded_fields(columns: Mapping[str, str], collection: str = "") -> dict[str, Field]:
    """Fields of objects from (N, M) columns; what has pt, eta and phi gets a mass, 0 if unknown.

    Args:
        columns: name in the object -> column.
        collection: tells the mass of muons, electrons, tracks.
    """
    made = object_fields(columns, collection)
    if {"pt", "eta", "phi"} <= made.keys() and "mass" not in made:
        made["mass"] = Field(made["pt"].columns[:1], zeros)
    return {
        name: Field(field.columns, partial(_one_by_one, field.formula), field.energy)
        if field.formula
        else field
        for name, field in made.items()
    }


def _one_by_one(formula: Formula, *columns: ak.Array) -> ak.Array:
    """A formula of single numbers, for each place of (N, M) columns."""
    return _each(formula, [np.asarray(column) for column in columns])


def _table(arrays: Sequence[ak.Array]) -> np.ndarray:
    if len(arrays) == 1:
        return np.asarray(arrays[0])
    return np.stack([np.asarray(each) for each in arrays], axis=-1)


def _each(formula: Formula | None, parts: Sequence[np.ndarray]) -> ak.Array:
    """The formula of numbers one by one, in the parts' shape (also where that is (0, M))."""
    if formula is None:
        return ak.Array(np.ascontiguousarray(parts[0]))
    made = formula(*(ak.Array(np.ascontiguousarray(part).reshape(-1)) for part in parts))
    return ak.Array(np.asarray(made).reshape(parts[0].shape))


def summed_fields(columns: Sequence[str], at: Mapping[str, Place]) -> dict[str, Field]:
    """Fields `pt eta phi mass` of the sum of all particles of an entry.

    Args:
        columns: the array, or columns of which it is made.
        at: places of px, py, pz and energy.
    """
    where = [at[name] for name in CARTESIAN]
    return {
        name: Field(tuple(columns), partial(_summed, name, where), name in ("pt", "mass"))
        for name in ("pt", "eta", "phi", "mass")
    }


def _summed(name: str, at: Sequence[Place], *arrays: ak.Array) -> ak.Array:
    table = _table(arrays)
    # single precision would lose the mass: a small difference of large sums
    sums = [ak.Array(table[..., place].sum(axis=-1, dtype=np.float64)) for place in at]
    return ak.values_astype(from_cartesian(*sums)[name], np.float32)


def some(at: Sequence[Place], *arrays: ak.Array) -> np.ndarray:
    """(N, M) true where any of the numbers at these places is not zero."""
    table = _table(arrays)
    return nonzero(*(table[..., place] for place in at))


def nonzero(*columns: ak.Array) -> np.ndarray:
    """True where any of the columns is neither zero nor NaN."""
    arrays = [np.asarray(column) for column in columns]
    return np.logical_or.reduce([(each != 0) & ~np.isnan(each) for each in arrays])


def index_of(values: Sequence[int], column: ak.Array) -> np.ndarray:
    """(N,) the index of each number in `values`, -1 where it is none of them."""
    given = np.asarray(column)
    made = np.full(given.shape, -1, np.int16)
    for index, value in enumerate(values):
        made[given == value] = index
    return made


def zeros(like: ak.Array) -> ak.Array:
    """Zeros of the same kind and number."""
    return ak.zeros_like(like)
