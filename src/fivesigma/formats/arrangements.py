"""How the fields of a collection become records: one an entry, lists, or lists of lists."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import awkward as ak
import numpy as np
from numba import njit

from fivesigma.events import momenta

__all__ = [
    "Arrangement",
    "Arrays",
    "Indexed",
    "Lists",
    "Padded",
    "Records",
    "Referenced",
    "momenta_if",
]

_MOMENTUM = {"pt", "eta", "phi", "mass"}
Arrays = Mapping[str, ak.Array]


@dataclass(frozen=True)
class Records:
    """One record an entry: each field has one value (or list) for each entry."""

    columns: tuple[str, ...] = ()

    def __call__(self, fields: Arrays, arrays: Arrays) -> ak.Array:
        """The records, from the fields and the columns."""
        return ak.zip(dict(fields), depth_limit=1)


@dataclass(frozen=True)
class Lists:
    """A list of records an entry: each field has a list for each entry, all equally long."""

    columns: tuple[str, ...] = ()
    depth: int = 1

    def __call__(self, fields: Arrays, arrays: Arrays) -> ak.Array:
        """The records, from the fields and the columns."""
        if self.depth > 1:
            (first, counts), *_ = [(a, ak.num(a, axis=1)) for a in fields.values()]
            inner = {name: ak.flatten(a, axis=1) for name, a in fields.items()}
            return ak.unflatten(replace(self, depth=self.depth - 1)(inner, arrays), counts)
        counts = None
        flat = {}
        for name, values in fields.items():
            found = ak.num(values, axis=1)
            if counts is None:
                counts, first = found, name
            elif not np.array_equal(counts, found):
                message = f"{name!r} and {first!r} have lists of different lengths"
                raise ValueError(message)
            flat[name] = ak.flatten(values, axis=1)
        return ak.unflatten(momenta_if(ak.zip(flat, depth_limit=1)), counts)


@dataclass(frozen=True)
class Padded:
    """A list of records an entry, from fields of a fixed length that are padded.

    Attributes:
        columns: what `present` is computed of.
        present: gives (N, M) true where there is something.
    """

    columns: tuple[str, ...]
    present: Callable[..., np.ndarray]

    def __call__(self, fields: Arrays, arrays: Arrays) -> ak.Array:
        """The records, from the fields and the columns."""
        mask = np.asarray(self.present(*(arrays[name] for name in self.columns)))
        flat = {n: np.asarray(values).reshape(mask.shape)[mask] for n, values in fields.items()}
        return ak.unflatten(momenta_if(ak.zip(flat, depth_limit=1)), mask.sum(axis=1))


@dataclass(frozen=True)
class Indexed:
    """Lists of lists: for each object its parts, which a table of pairs (object, part) names.

    Attributes:
        owner: column, for each pair the index of the object.
        part: column, for each pair the index of the part; the fields are lists of the parts.
        like: a column of the objects, for their number.
    """

    owner: str
    part: str
    like: str

    @property
    def columns(self) -> tuple[str, ...]:
        """What it needs beside the fields."""
        return (self.owner, self.part, self.like)

    def __call__(self, fields: Arrays, arrays: Arrays) -> ak.Array:
        """The records, from the fields and the columns."""
        owner, part = arrays[self.owner], arrays[self.part]
        objects = ak.num(arrays[self.like], axis=1)
        parts = next(iter(fields.values()))
        counts, index = _resolved(
            ak.to_numpy(ak.flatten(owner, axis=1)),
            ak.to_numpy(ak.flatten(part, axis=1)),
            *(_begins(each) for each in (owner, arrays[self.like], parts)),
        )
        if not len(counts):
            message = f"{self.owner} or {self.part} points behind the end of its list"
            raise ValueError(message)
        flat = {name: ak.flatten(values, axis=1) for name, values in fields.items()}
        if len(index) != len(next(iter(flat.values()))) or np.any(np.diff(index) != 1):
            flat = {name: ak.to_numpy(values)[index] for name, values in flat.items()}
        records = ak.unflatten(momenta_if(ak.zip(flat, depth_limit=1)), counts[:-1])
        return ak.unflatten(records, objects)


def _begins(lists: ak.Array) -> np.ndarray:
    """(N + 1,) where each list begins among the entries of all."""
    return np.concatenate([[0], np.cumsum(ak.to_numpy(ak.num(lists, axis=1)))])


@njit(cache=True, nogil=True)
def _resolved(
    owner: np.ndarray,
    part: np.ndarray,
    pairs: np.ndarray,
    objects: np.ndarray,
    parts: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """How many parts each object has, and where they are, object after object.

    Pairs with a negative index are left out: a part that was not kept, or of no kept object. The
    counts have one entry more than there are objects; they are empty where an index is too large.
    """
    counts = np.zeros(objects[-1] + 1, np.int64)
    for event in range(len(pairs) - 1):
        n_objects = objects[event + 1] - objects[event]
        n_parts = parts[event + 1] - parts[event]
        for pair in range(pairs[event], pairs[event + 1]):
            if owner[pair] >= n_objects or part[pair] >= n_parts:
                return counts[:0], counts[:0]
            if owner[pair] >= 0 and part[pair] >= 0:
                counts[objects[event] + owner[pair]] += 1
    place = np.cumsum(counts) - counts
    index = np.empty(counts.sum(), np.int64)
    for event in range(len(pairs) - 1):
        for pair in range(pairs[event], pairs[event + 1]):
            if owner[pair] >= 0 and part[pair] >= 0:
                row = objects[event] + owner[pair]
                index[place[row]] = parts[event] + part[pair]
                place[row] += 1
    return counts, index


@dataclass(frozen=True)
class Referenced:
    """Lists of lists: for each object its parts, which it names by their unique numbers.

    Attributes:
        refs: column, for each object the numbers of its parts; those of other lists are ignored.
        numbers: columns of the parts' own numbers, joined like the fields.
    """

    refs: str
    numbers: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """What it needs beside the fields."""
        return (self.refs, *self.numbers)

    def __call__(self, fields: Arrays, arrays: Arrays) -> ak.Array:
        """The records, from the fields and the columns."""
        objects = ak.num(arrays[self.refs], axis=1)
        refs = ak.flatten(arrays[self.refs], axis=1)
        named = ak.to_numpy(ak.num(refs, axis=1))
        event = np.repeat(np.repeat(np.arange(len(objects)), objects), named)
        wanted = _in_event(event, ak.flatten(refs, axis=1))
        numbers = ak.concatenate([arrays[name] for name in self.numbers], axis=1)
        event = np.repeat(np.arange(len(numbers)), ak.num(numbers, axis=1))
        has = _in_event(event, ak.flatten(numbers, axis=1))
        order = np.argsort(has, kind="stable")
        place = np.searchsorted(has, wanted, sorter=order)
        found = np.append(has[order], -1)[place] == wanted
        owner = np.repeat(np.arange(len(named)), named)[found]
        index = order[place[found]]
        flat = {name: ak.flatten(values, axis=1)[index] for name, values in fields.items()}
        counts = np.bincount(owner, minlength=len(named))
        records = ak.unflatten(momenta_if(ak.zip(flat, depth_limit=1)), counts)
        return ak.unflatten(records, objects)


def _in_event(event: np.ndarray, number: ak.Array) -> np.ndarray:
    """One number for event and object; the lower 24 bits of ROOT's unique numbers count."""
    return (event << 32) | (ak.to_numpy(number).astype(np.int64) & 0xFFFFFF)


Arrangement = Records | Lists | Padded | Indexed | Referenced


def momenta_if(records: ak.Array) -> ak.Array:
    """The records, with vector behaviours where all four components are there."""
    return momenta(records) if set(records.fields) >= _MOMENTUM else records
