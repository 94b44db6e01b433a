"""The operators of expressions, as tables by the nodes of Python's syntax tree."""

from __future__ import annotations

import ast
import functools
from typing import Any

import awkward as ak
import numpy as np

from fivesigma.expressions.values import (
    Compute,
    apply,
    depth,
    is_momentum,
    kind,
    lacks_lists,
    layouts,
    need,
    wide,
)

__all__ = [
    "BINARY",
    "COMPARED",
    "UNARY",
    "logical_and",
    "logical_or",
    "folded",
    "numeric",
    "logical_not",
]


def numeric(ufunc: np.ufunc) -> Compute:
    """A ufunc that takes numbers only."""

    def function(*values: Any) -> Any:
        need(values, "biuf", "numbers")
        return apply(ufunc, *map(wide, values))

    return function


def _linear(ufunc: np.ufunc) -> Compute:
    """+ - * / of numbers or of four-vectors."""

    def function(*values: Any) -> Any:
        if not any(map(is_momentum, values)):
            need(values, "biuf", "numbers or momenta")
        return apply(ufunc, *(wide(value, signed=True) for value in values))

    return function


def _floating(value: Any) -> Any:
    integers = isinstance(value, ak.Array) and kind(value) in "biu"
    return ak.values_astype(value, np.float64) if integers else value


def _power(base: Any, exponent: Any) -> Any:
    need((base, exponent), "biuf", "numbers")
    return apply(np.power, _floating(base), _floating(exponent))


def _has_zero(value: Any) -> bool:
    return bool(ak.any(value == 0, axis=None)) if depth(value) else value == 0


def _whole(ufunc: np.ufunc) -> Compute:
    """// and %; integers divided by zero become infinite or NaN like floats, not NumPy's 0."""

    def function(a: Any, b: Any) -> Any:
        need((a, b), "biuf", "numbers")
        if kind(b) in "biu" and _has_zero(b):
            a, b = _floating(a), float(b) if depth(b) == 0 else _floating(b)
        return apply(ufunc, wide(a), wide(b))

    return function


def _compared(ufunc: np.ufunc) -> Compute:
    def function(a: Any, b: Any) -> Any:
        need((a, b), "biuf", "numbers")
        if not (depth(a) or depth(b)):
            return bool(ufunc(a, b))
        return ufunc(wide(a), wide(b))  # int8 could not be compared with 300

    return function


def logical_not(value: Any) -> Any:
    """True for false, None for None."""
    need((value,), "biuf", "truths")
    return np.logical_not(value) if depth(value) else not value


def logical_or(a: Any, b: Any) -> Any:
    """True where one is true, also beside None; else None where one is None."""
    need((a, b), "biuf", "truths")
    if not (depth(a) or depth(b)):
        return bool(a or b)
    result = np.logical_or(a, b)
    if not any(layout.is_option for layout in layouts(result)) or lacks_lists(result):
        return result
    known = [ak.fill_none(x, False, axis=-1) if depth(x) else x for x in (a, b)]
    return ak.where(np.logical_or(*known), True, result)


def logical_and(a: Any, b: Any) -> Any:
    """False where one is false, also beside None; else None where one is None."""
    return logical_not(logical_or(logical_not(a), logical_not(b)))


def folded(function: Compute) -> Compute:
    """A function of two values, applied to many from the left."""
    return lambda *values: functools.reduce(function, values)


def _bitwise(ufunc: np.ufunc, logical: Compute) -> Compute:
    """& | ^ ~ of integers; of truths they are and, or, not."""

    def function(*values: Any) -> Any:
        truths = [kind(value) == "b" for value in values]
        if all(truths):
            return logical(*values)
        if any(truths):  # a > 1 & b is a > (1 & b)
            message = "expected truths alone or integers alone; put brackets around comparisons"
            raise ValueError(message)
        need(values, "iu", "truths or integers (put brackets around comparisons)")
        result = ufunc(*map(wide, values))
        return result if any(map(depth, values)) else int(result)

    return function


UNARY: dict[type[ast.unaryop], Compute] = {
    ast.UAdd: _linear(np.positive),
    ast.USub: _linear(np.negative),
    ast.Not: logical_not,
    ast.Invert: _bitwise(np.invert, logical_not),
}
BINARY: dict[type[ast.operator], Compute] = {
    ast.Add: _linear(np.add),
    ast.Sub: _linear(np.subtract),
    ast.Mult: _linear(np.multiply),
    ast.Div: _linear(np.true_divide),
    ast.Pow: _power,
    ast.Mod: _whole(np.remainder),
    ast.FloorDiv: _whole(np.floor_divide),
    ast.BitAnd: _bitwise(np.bitwise_and, logical_and),
    ast.BitOr: _bitwise(np.bitwise_or, logical_or),
    ast.BitXor: _bitwise(np.bitwise_xor, _compared(np.not_equal)),
}
COMPARED: dict[type[ast.cmpop], Compute] = {
    ast.Lt: _compared(np.less),
    ast.LtE: _compared(np.less_equal),
    ast.Gt: _compared(np.greater),
    ast.GtE: _compared(np.greater_equal),
    ast.Eq: _compared(np.equal),
    ast.NotEq: _compared(np.not_equal),
}
