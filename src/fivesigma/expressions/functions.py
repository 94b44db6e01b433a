"""The functions and constants of expressions, as tables by name."""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import awkward as ak
import numpy as np

from fivesigma.expressions.operations import numeric
from fivesigma.expressions.values import (
    Compute,
    apply,
    depth,
    is_momentum,
    kind,
    lacks_lists,
    layouts,
    need,
    need_momenta,
    need_same_counts,
    wide,
)
from fivesigma.units import GEV, MEV

__all__ = [
    "CONSTANTS",
    "DERIVED",
    "FUNCTIONS",
    "METHODS",
    "Function",
    "chosen",
    "cut",
    "nth",
    "where",
]

CONSTANTS = {"pi": math.pi, "GeV": GEV, "MeV": MEV}
#: what `vector` computes from momenta, and needs the whole records for
DERIVED = frozenset(
    ("px", "py", "pz", "E", "energy", "p", "rapidity", "mt", "et", "theta", "mass2")
)
METHODS = ("deltaR", "deltaphi", "deltaeta")


def _axis(value: Any) -> int:
    """The axis of the innermost list of objects."""
    if depth(value) < 2:
        message = (
            "expected a list within each entry (jets.pt), got one value per entry; "
            "minimum(a, b), maximum(a, b), a + b, a or b combine such values"
        )
        raise ValueError(message)
    return depth(value) - 1


def _reduced(reduce: Compute) -> Compute:
    def function(values: Any) -> Any:
        need((values,), "biuf", "numbers")
        return reduce(values, axis=_axis(values))

    return function


def _sum(values: Any) -> Any:
    if not is_momentum(values):
        need((values,), "biuf", "numbers or momenta")
    return ak.sum(values, axis=_axis(values))


def _mean(values: Any) -> Any:
    need((values,), "biuf", "numbers")
    axis = _axis(values)
    return ak.mask(ak.mean(values, axis=axis), ak.num(values, axis=axis) > 0)


def _len(values: Any) -> Any:
    return ak.num(values, axis=_axis(values))


def _count(values: Any) -> Any:
    return ak.sum(values, axis=_axis(values)) if kind(values) == "b" else _len(values)


def nth(values: Any, index: int) -> Any:
    """One object per entry, None where the list is too short."""
    axis = _axis(values)
    return ak.firsts(cut(values, slice(index, index + 1 or None)), axis=axis)


def cut(values: Any, key: slice) -> Any:
    """A part of each list, as in `jets[:2]`."""
    return values[(*[slice(None)] * _axis(values), key)]


def chosen(values: Any, key: Any) -> Any:
    """Objects by a mask, or one by its index in each entry."""
    axis = _axis(values)
    if kind(key) == "b" and depth(key) == axis + 1:
        need_same_counts(values, key, "mask")
        return values[ak.fill_none(key, False, axis=-1)]
    if kind(key) in "iu" and depth(key) == axis:
        inside = (key >= 0) & (key < ak.num(values, axis=axis))
        return ak.firsts(values[ak.singletons(ak.mask(key, inside), axis=axis - 1)], axis=axis)
    message = "expected in [...] a truth for each object, a constant, or one index per entry"
    raise ValueError(message)


def _sort(objects: Any, key: Any = None) -> Any:
    """Objects in descending order of the key."""
    key = objects if key is None else key
    need((key,), "biuf", "numbers to sort by")
    need_same_counts(objects, key, "key")
    return objects[ak.argsort(key, axis=_axis(objects), ascending=False)]


def _joined(parts: list[Any]) -> Any:
    """`ak.where` with lists that are None, which it would take for lists of one None."""
    need(parts[1:], "biuf", "numbers where a whole list may be missing")
    parts = ak.broadcast_arrays(*parts)
    full = [ak.fill_none(part, [], axis=0) for part in parts]
    if any(map(lacks_lists, full)):
        message = "lists within lists are missing here; select the objects that have them first"
        raise ValueError(message)
    return ak.mask(ak.where(*full), ~ak.is_none(parts[0]))


def where(condition: Any, a: Any, b: Any) -> Any:
    """`a if condition else b`, entry by entry."""
    need((condition,), "b", "a condition that is true or false")
    if depth(condition) == 0:
        return a if condition else b
    if not kind(a) == kind(b) == "b":  # a truth beside a number is 0 or 1
        a, b = wide(a), wide(b)
    parts = [condition, a, b]
    result = _joined(parts) if any(map(lacks_lists, parts)) else ak.where(*parts)
    if any(layout.is_union for layout in layouts(result)):
        message = "expected two choices of the same kind, got different ones"
        raise ValueError(message)
    return result


def _clip(values: Any, low: Any, high: Any) -> Any:
    return numeric(np.minimum)(numeric(np.maximum)(values, low), high)


def _deltaphi(a: Any, b: Any) -> Any:
    """Difference of azimuths in [-pi, pi), of objects (those without eta, too) or of angles."""
    phi = [
        x.phi if is_momentum(x) else x["phi"] if "phi" in getattr(x, "fields", ()) else x
        for x in (a, b)
    ]
    need(phi, "biuf", "objects or angles")
    return apply(np.remainder, phi[0] - phi[1] + math.pi, 2 * math.pi) - math.pi


def _separation(name: str) -> Compute:
    def function(a: Any, b: Any) -> Any:
        need_momenta((a, b))
        return getattr(a, name)(b)

    return function


def _mass(*objects: Any) -> Any:
    """Invariant mass of the sum [GeV]."""
    need_momenta(objects)
    return functools.reduce(np.add, objects).mass


def _pairs(a: Any, b: Any = None, *, limit: int) -> Any:
    """All pairs within an entry: of two different objects of a list, or of one from each list."""
    axis = _axis(a)
    n = ak.num(a, axis=axis)
    number = n * (n - 1) // 2
    if b is not None:
        if depth(b) != depth(a):
            message = "expected two lists of objects per entry, got lists of different depths"
            raise ValueError(message)
        number = n * ak.num(b, axis=axis)
    if (total := ak.sum(number, axis=None)) > limit:
        message = f"{total} pairs are too many, the limit is {limit}; select objects first"
        raise ValueError(message)
    if b is None:
        return ak.combinations(a, 2, axis=axis, fields=["first", "second"])
    return ak.cartesian({"first": a, "second": b}, axis=axis)


class Function(NamedTuple):
    """What is called, and with how many arguments."""

    call: Compute
    least: int
    most: float


_UNARY_FUNCTIONS = (
    *("sqrt", "exp", "log", "log10", "log2", "sin", "cos", "tan", "arcsin", "arccos", "arctan"),
    *("sinh", "cosh", "tanh", "floor", "ceil", "isnan", "isfinite"),
)
_UFUNCS = {
    "abs": (np.abs, 1),
    "round": (np.rint, 1),
    **{name: (getattr(np, name), 1) for name in _UNARY_FUNCTIONS},
    **{name: (getattr(np, name), 2) for name in ("arctan2", "minimum", "maximum", "hypot")},
}
FUNCTIONS = {
    **{name: Function(numeric(ufunc), n, n) for name, (ufunc, n) in _UFUNCS.items()},
    **{
        name: Function(_reduced(getattr(ak, name)), 1, 1)
        for name in ("min", "max", "any", "all", "argmin", "argmax")
    },
    "sum": Function(_sum, 1, 1),
    "mean": Function(_mean, 1, 1),
    "count": Function(_count, 1, 1),
    "len": Function(_len, 1, 1),
    "first": Function(lambda objects: nth(objects, 0), 1, 1),
    "sort": Function(_sort, 1, 2),
    "where": Function(where, 3, 3),
    "clip": Function(_clip, 3, 3),
    **{name: Function(_separation(name), 2, 2) for name in ("deltaR", "deltaeta")},
    "deltaphi": Function(_deltaphi, 2, 2),
    "mass": Function(_mass, 1, math.inf),
    "pairs": Function(_pairs, 1, 2),
}
