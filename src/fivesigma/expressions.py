"""The safe expression language of cuts and new quantities over events.

`pt > 30 and abs(eta) < 2.4`, `(muons[0] + muons[1]).mass > 60`, `count(jets.pt > 25) >= 4`: the
text is read by Python's parser, every node is checked against a list of what is allowed, and
Awkward Array computes the rest, entry by entry; nothing of the text is ever run by Python.

What is absent is None: `muons[0]` of an entry without muons, `max` of an empty list, and what is
computed from them. `and`, `or` and `not` follow the logic of three values (true or None = true,
false and None = false, else None), and a cut takes None for false.
"""

from __future__ import annotations

import ast
import difflib
import functools
import math
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from keyword import iskeyword
from typing import Any, NamedTuple, NoReturn

import awkward as ak
import numpy as np

from fivesigma.events import momenta
from fivesigma.units import GEV, MEV

__all__ = ["Expression", "define", "parse", "select"]

MAX_CHARACTERS, MAX_NESTING, MAX_NODES = 10_000, 50, 2000
MAX_EXPONENT, MAX_INTEGER, MAX_INDEX = 64, 2**63, 2**31
MAX_PAIRS = 50_000_000

_CONSTANTS = {"pi": math.pi, "GeV": GEV, "MeV": MEV}
#: what `vector` computes from momenta, and needs the whole records for
_DERIVED = frozenset(
    ("px", "py", "pz", "E", "energy", "p", "rapidity", "mt", "et", "theta", "mass2")
)
_QUANTITIES = _DERIVED | {"pt", "eta", "phi", "mass"}
_METHODS = ("deltaR", "deltaphi", "deltaeta")

Compute = Callable[..., Any]
#: what Awkward Array and vector raise for arrays that do not fit
_FAILURES = (
    *(ValueError, TypeError, ArithmeticError, LookupError),
    *(AttributeError, AssertionError, RuntimeError),
)


class _Located(ValueError):
    """An error whose message says the place in the text."""


def _located(text: str, node: ast.expr | int, problem: str, hint: str = "") -> _Located:
    """One line: the problem, the column (from 1), the text around it and how to mend it."""
    at = node
    if not isinstance(at, int):  # the parser counts in bytes of UTF-8
        at = len(text.encode()[: at.col_offset].decode(errors="ignore")) + 1
    start = max(0, at - 41) if len(text) > 80 else 0
    shown = "..." * (start > 0) + text[start : start + 80] + "..." * (len(text) > start + 80)
    return _Located(f"{problem} at column {at} of {shown!r}{'; ' if hint else ''}{hint}")


def _choices(name: str, known: Iterable[str]) -> str:
    """Names to choose from, the closest first."""
    names = list(known)
    ordered = dict.fromkeys([*difflib.get_close_matches(name, names), *names])
    shown = ", ".join(list(ordered)[:12]) or "nothing: there are no fields"
    return f"choose from {shown}{', ...' if len(ordered) > 12 else ''}"


# ---- values: Awkward arrays, or Python's numbers for constants ----------------------------------


def _layouts(value: Any) -> Iterator[Any]:
    """The layers of an array from the outside to its numbers or records."""
    layout = value.layout
    while layout is not None:
        yield layout
        text = layout.parameter("__array__") in ("string", "bytestring")
        layout = None if layout.is_record or text else getattr(layout, "content", None)


def _depth(value: Any) -> int:
    """0 constant, 1 one value or record per entry, 2 a list per entry, ..."""
    return value.layout.purelist_depth if isinstance(value, ak.Array) else 0


def _dtype(value: Any) -> np.dtype | None:
    """The dtype of numbers; None for records, text and mixtures."""
    if not isinstance(value, ak.Array):
        return np.dtype(type(value))
    *_, last = _layouts(value)
    if last.is_unknown:
        return np.dtype(float)
    return last.dtype if last.is_numpy and last.dtype.kind in "biuf" else None


def _kind(value: Any) -> str:
    """b, i, u or f (truths, integers, unsigned, floats), r (records) or ? (anything else)."""
    dtype = _dtype(value)
    if dtype is not None:
        return dtype.kind
    *_, last = _layouts(value)
    return "r" if last.is_record else "?"


def _is_momentum(value: Any) -> bool:
    record = value.layout.purelist_parameter("__record__") if _depth(value) else None
    return str(record).startswith("Momentum")


def _read(array: ak.Array, name: str) -> Any:
    """A field, with lists of one length as lists of any: NumPy would align those at the end."""
    value = ak.from_regular(array[name], axis=None)
    unnamed = value.layout.purelist_parameter("__record__") is None
    return momenta(value) if unnamed and {"pt", "eta", "phi", "mass"} <= {*value.fields} else value


def _lacks_lists(value: Any) -> bool:
    """Whether whole lists may be None, as in what was computed with `muons[0]` for each jet."""
    return _depth(value) > 1 and any(
        layout.is_option and layout.purelist_depth > 1 for layout in _layouts(value)
    )


def _same_counts(a: Any, b: Any) -> bool:
    """Whether lists of the same depth have the same lengths."""
    return all(
        ak.all(ak.num(a, axis=axis) == ak.num(b, axis=axis), axis=None)
        for axis in range(1, _depth(a))
    )


_KINDS = {"b": "truths", "i": "integers", "u": "integers", "f": "floats"}


def _need(values: Iterable[Any], kinds: str, what: str) -> None:
    for value in values:
        if _kind(value) in kinds:
            continue
        message = f"expected {what}, got {_KINDS.get(_kind(value), 'text or a mixture')}"
        if _kind(value) == "r":
            message = f"expected {what}, got whole records; name a field of them"
            if value.fields:
                message += f" ({', '.join(value.fields[:8])})"
        raise ValueError(message)


def _need_momenta(values: Iterable[Any]) -> None:
    if not all(map(_is_momentum, values)):
        message = "expected objects with pt, eta, phi and mass, got something else"
        raise ValueError(message)


def _wide(value: Any, *, signed: bool = False) -> Any:
    """Integers of 8 bytes: the file's small or unsigned ones would overflow (nMuon - 2)."""
    dtype = _dtype(value)
    small = dtype is not None and (dtype.kind == "b" or dtype.kind in "iu" and dtype.itemsize < 8)
    if small or (signed and dtype == np.uint64):
        return ak.values_astype(value, np.int64) if isinstance(value, ak.Array) else int(value)
    return value


def _apply(ufunc: np.ufunc, *values: Any) -> Any:
    """A ufunc on numbers; on constants alone it gives Python's number, which widens no float32."""
    if any(isinstance(value, ak.Array) for value in values):
        return ufunc(*values)
    # floats, because Python's integers have no bound
    return ufunc(*(np.float64(value) for value in values)).item()


# ---- operators ----------------------------------------------------------------------------------


def _numeric(ufunc: np.ufunc) -> Compute:
    def function(*values: Any) -> Any:
        _need(values, "biuf", "numbers")
        return _apply(ufunc, *map(_wide, values))

    return function


def _linear(ufunc: np.ufunc) -> Compute:
    """+ - * / of numbers or of four-vectors."""

    def function(*values: Any) -> Any:
        if not any(map(_is_momentum, values)):
            _need(values, "biuf", "numbers or momenta")
        return _apply(ufunc, *(_wide(value, signed=True) for value in values))

    return function


def _floating(value: Any) -> Any:
    integers = isinstance(value, ak.Array) and _kind(value) in "biu"
    return ak.values_astype(value, np.float64) if integers else value


def _power(base: Any, exponent: Any) -> Any:
    _need((base, exponent), "biuf", "numbers")
    return _apply(np.power, _floating(base), _floating(exponent))


def _has_zero(value: Any) -> bool:
    return bool(ak.any(value == 0, axis=None)) if _depth(value) else value == 0


def _whole(ufunc: np.ufunc) -> Compute:
    """// and %; integers divided by zero become infinite or NaN like floats, not NumPy's 0."""

    def function(a: Any, b: Any) -> Any:
        _need((a, b), "biuf", "numbers")
        if _kind(b) in "biu" and _has_zero(b):
            a, b = _floating(a), float(b) if _depth(b) == 0 else _floating(b)
        return _apply(ufunc, _wide(a), _wide(b))

    return function


def _compared(ufunc: np.ufunc) -> Compute:
    def function(a: Any, b: Any) -> Any:
        _need((a, b), "biuf", "numbers")
        if not (_depth(a) or _depth(b)):
            return bool(ufunc(a, b))
        return ufunc(_wide(a), _wide(b))  # int8 could not be compared with 300

    return function


def _not(value: Any) -> Any:
    _need((value,), "biuf", "truths")
    return np.logical_not(value) if _depth(value) else not value


def _or(a: Any, b: Any) -> Any:
    _need((a, b), "biuf", "truths")
    if not (_depth(a) or _depth(b)):
        return bool(a or b)
    result = np.logical_or(a, b)
    if not any(layout.is_option for layout in _layouts(result)) or _lacks_lists(result):
        return result
    known = [ak.fill_none(x, False, axis=-1) if _depth(x) else x for x in (a, b)]
    return ak.where(np.logical_or(*known), True, result)


def _and(a: Any, b: Any) -> Any:
    return _not(_or(_not(a), _not(b)))


def _folded(function: Compute) -> Compute:
    return lambda *values: functools.reduce(function, values)


def _bitwise(ufunc: np.ufunc, logical: Compute) -> Compute:
    """& | ^ ~ of integers; of truths they are and, or, not."""

    def function(*values: Any) -> Any:
        truths = [_kind(value) == "b" for value in values]
        if all(truths):
            return logical(*values)
        if any(truths):  # a > 1 & b is a > (1 & b)
            message = "expected truths alone or integers alone; put brackets around comparisons"
            raise ValueError(message)
        _need(values, "iu", "truths or integers (put brackets around comparisons)")
        result = ufunc(*map(_wide, values))
        return result if any(map(_depth, values)) else int(result)

    return function


_UNARY: dict[type[ast.unaryop], Compute] = {
    ast.UAdd: _linear(np.positive),
    ast.USub: _linear(np.negative),
    ast.Not: _not,
    ast.Invert: _bitwise(np.invert, _not),
}
_BINARY: dict[type[ast.operator], Compute] = {
    ast.Add: _linear(np.add),
    ast.Sub: _linear(np.subtract),
    ast.Mult: _linear(np.multiply),
    ast.Div: _linear(np.true_divide),
    ast.Pow: _power,
    ast.Mod: _whole(np.remainder),
    ast.FloorDiv: _whole(np.floor_divide),
    ast.BitAnd: _bitwise(np.bitwise_and, _and),
    ast.BitOr: _bitwise(np.bitwise_or, _or),
    ast.BitXor: _bitwise(np.bitwise_xor, _compared(np.not_equal)),
}
_COMPARED: dict[type[ast.cmpop], Compute] = {
    ast.Lt: _compared(np.less),
    ast.LtE: _compared(np.less_equal),
    ast.Gt: _compared(np.greater),
    ast.GtE: _compared(np.greater_equal),
    ast.Eq: _compared(np.equal),
    ast.NotEq: _compared(np.not_equal),
}


# ---- functions ----------------------------------------------------------------------------------


def _axis(value: Any) -> int:
    """The axis of the innermost list of objects."""
    if _depth(value) < 2:
        message = (
            "expected a list within each entry (jets.pt), got one value per entry; "
            "minimum(a, b), maximum(a, b), a + b, a or b combine such values"
        )
        raise ValueError(message)
    return _depth(value) - 1


def _reduced(reduce: Compute) -> Compute:
    def function(values: Any) -> Any:
        _need((values,), "biuf", "numbers")
        return reduce(values, axis=_axis(values))

    return function


def _sum(values: Any) -> Any:
    if not _is_momentum(values):
        _need((values,), "biuf", "numbers or momenta")
    return ak.sum(values, axis=_axis(values))


def _mean(values: Any) -> Any:
    _need((values,), "biuf", "numbers")
    axis = _axis(values)
    return ak.mask(ak.mean(values, axis=axis), ak.num(values, axis=axis) > 0)


def _len(values: Any) -> Any:
    return ak.num(values, axis=_axis(values))


def _count(values: Any) -> Any:
    return ak.sum(values, axis=_axis(values)) if _kind(values) == "b" else _len(values)


def _nth(values: Any, index: int) -> Any:
    """One object per entry, None where the list is too short."""
    axis = _axis(values)
    return ak.firsts(_cut(values, slice(index, index + 1 or None)), axis=axis)


def _cut(values: Any, key: slice) -> Any:
    return values[(*[slice(None)] * _axis(values), key)]


def _chosen(values: Any, key: Any) -> Any:
    """Objects by a mask, or one by its index in each entry."""
    axis = _axis(values)
    if _kind(key) == "b" and _depth(key) == axis + 1:
        if not _same_counts(values, key):
            message = "the mask and the objects have different numbers of objects per entry"
            raise ValueError(message)
        return values[ak.fill_none(key, False, axis=-1)]
    if _kind(key) in "iu" and _depth(key) == axis:
        inside = (key >= 0) & (key < ak.num(values, axis=axis))
        return ak.firsts(values[ak.singletons(ak.mask(key, inside), axis=axis - 1)], axis=axis)
    message = "expected in [...] a truth for each object, a constant, or one index per entry"
    raise ValueError(message)


def _sort(objects: Any, key: Any = None) -> Any:
    """Objects in descending order of the key."""
    key = objects if key is None else key
    _need((key,), "biuf", "numbers to sort by")
    if _depth(objects) != _depth(key) or not _same_counts(objects, key):
        message = "the objects and the key have different numbers of objects per entry"
        raise ValueError(message)
    return objects[ak.argsort(key, axis=_axis(objects), ascending=False)]


def _joined(parts: list[Any]) -> Any:
    """`ak.where` with lists that are None, which it would take for lists of one None."""
    _need(parts[1:], "biuf", "numbers where a whole list may be missing")
    parts = ak.broadcast_arrays(*parts)
    full = [ak.fill_none(part, [], axis=0) for part in parts]
    if any(map(_lacks_lists, full)):
        message = "lists within lists are missing here; select the objects that have them first"
        raise ValueError(message)
    return ak.mask(ak.where(*full), ~ak.is_none(parts[0]))


def _where(condition: Any, a: Any, b: Any) -> Any:
    _need((condition,), "b", "a condition that is true or false")
    if _depth(condition) == 0:
        return a if condition else b
    if not _kind(a) == _kind(b) == "b":  # a truth beside a number is 0 or 1
        a, b = _wide(a), _wide(b)
    parts = [condition, a, b]
    result = _joined(parts) if any(map(_lacks_lists, parts)) else ak.where(*parts)
    if any(layout.is_union for layout in _layouts(result)):
        message = "expected two choices of the same kind, got different ones"
        raise ValueError(message)
    return result


def _clip(values: Any, low: Any, high: Any) -> Any:
    return _numeric(np.minimum)(_numeric(np.maximum)(values, low), high)


def _deltaphi(a: Any, b: Any) -> Any:
    """Difference of azimuths in [-pi, pi), of objects (those without eta, too) or of angles."""
    phi = [
        x.phi if _is_momentum(x) else x["phi"] if "phi" in getattr(x, "fields", ()) else x
        for x in (a, b)
    ]
    _need(phi, "biuf", "objects or angles")
    return _apply(np.remainder, phi[0] - phi[1] + math.pi, 2 * math.pi) - math.pi


def _separation(name: str) -> Compute:
    def function(a: Any, b: Any) -> Any:
        _need_momenta((a, b))
        return getattr(a, name)(b)

    return function


def _mass(*objects: Any) -> Any:
    """Invariant mass of the sum [GeV]."""
    _need_momenta(objects)
    return functools.reduce(np.add, objects).mass


def _pairs(a: Any, b: Any = None) -> Any:
    """All pairs within an entry: of two different objects of a list, or of one from each list."""
    axis = _axis(a)
    n = ak.num(a, axis=axis)
    number = n * (n - 1) // 2
    if b is not None:
        if _depth(b) != _depth(a):
            message = "expected two lists of objects per entry, got lists of different depths"
            raise ValueError(message)
        number = n * ak.num(b, axis=axis)
    if (total := ak.sum(number, axis=None)) > MAX_PAIRS:
        message = f"{total} pairs are too many, the limit is {MAX_PAIRS}; select objects first"
        raise ValueError(message)
    if b is None:
        return ak.combinations(a, 2, axis=axis, fields=["first", "second"])
    return ak.cartesian({"first": a, "second": b}, axis=axis)


class _Function(NamedTuple):
    """What is called, and with how many arguments."""

    call: Compute
    least: int
    most: int


def _truth(ufunc: np.ufunc) -> Compute:
    def function(value: Any) -> Any:
        _need((value,), "biuf", "numbers")
        return ufunc(value) if _depth(value) else bool(ufunc(value))

    return function


_UNARY_FUNCTIONS = (
    *("sqrt", "exp", "log", "log10", "log2", "sin", "cos", "tan", "arcsin", "arccos", "arctan"),
    *("sinh", "cosh", "tanh", "floor", "ceil"),
)
_UFUNCS = {
    "abs": (np.abs, 1),
    "round": (np.rint, 1),
    **{name: (getattr(np, name), 1) for name in _UNARY_FUNCTIONS},
    **{name: (getattr(np, name), 2) for name in ("arctan2", "minimum", "maximum", "hypot")},
}
_FUNCTIONS = {
    **{name: _Function(_numeric(ufunc), n, n) for name, (ufunc, n) in _UFUNCS.items()},
    **{
        name: _Function(_reduced(getattr(ak, name)), 1, 1)
        for name in ("min", "max", "any", "all", "argmin", "argmax")
    },
    **{name: _Function(_truth(getattr(np, name)), 1, 1) for name in ("isnan", "isfinite")},
    "sum": _Function(_sum, 1, 1),
    "mean": _Function(_mean, 1, 1),
    "count": _Function(_count, 1, 1),
    "len": _Function(_len, 1, 1),
    "first": _Function(lambda objects: _nth(objects, 0), 1, 1),
    "sort": _Function(_sort, 1, 2),
    "where": _Function(_where, 3, 3),
    "clip": _Function(_clip, 3, 3),
    "deltaR": _Function(_separation("deltaR"), 2, 2),
    "deltaeta": _Function(_separation("deltaeta"), 2, 2),
    "deltaphi": _Function(_deltaphi, 2, 2),
    "mass": _Function(_mass, 1, MAX_NODES),
    "pairs": _Function(_pairs, 1, 2),
}


# ---- reading the text ---------------------------------------------------------------------------


def _integer(node: ast.expr | None) -> int | None:
    """The value of an integer literal with or without minus, None for anything else."""
    sign = 1
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        sign, node = -1, node.operand
    value = node.value if isinstance(node, ast.Constant) else None
    return sign * value if type(value) is int else None


def _members(node: ast.expr) -> list[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple | ast.List | ast.Set) else []


class _Check(ast.NodeVisitor):
    """The list of what is allowed: a node without a method here is refused."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.names: set[str] = set()

    def refuse(self, node: ast.expr, problem: str, hint: str = "") -> NoReturn:
        raise _located(self.text, node, problem, hint)

    def generic_visit(self, node: ast.AST) -> NoReturn:
        if not isinstance(node, ast.expr):
            message = f"{type(node).__name__} is not allowed in {self.text[:80]!r}"
            raise _Located(message)
        hint = "use numbers, names, fields, operators and functions"
        self.refuse(node, f"{type(node).__name__} is not allowed", hint)

    def _all(self, nodes: Iterable[ast.expr]) -> None:
        for node in nodes:
            self.visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if not isinstance(value, int | float):
            self.refuse(node, f"{value!r:.40} is not allowed", "use numbers, True or False")
        if isinstance(value, int) and value > MAX_INTEGER:
            self.refuse(node, "this integer is too large", f"the limit is {MAX_INTEGER}")

    def _public(self, node: ast.expr, name: str) -> None:
        if name.startswith("_"):
            self.refuse(node, f"the name {name!r:.60} is not allowed", "names start with a letter")

    def _data(self, node: ast.expr) -> str | None:
        """The dotted name of fields and subscripts; None where it starts with something else."""
        if isinstance(node, ast.Name):
            self._public(node, node.id)
            return node.id
        if isinstance(node, ast.Subscript):
            self._key(node)
            return self._data(node.value)
        if isinstance(node, ast.Attribute):
            self._public(node, node.attr)
            name = self._data(node.value)
            return name if name is None or node.attr in _DERIVED else f"{name}.{node.attr}"
        self.visit(node)
        return None

    def _read(self, node: ast.expr) -> None:
        name = self._data(node)
        if name is not None and name not in _CONSTANTS:
            self.names.add(name)

    visit_Name = visit_Attribute = visit_Subscript = _read

    def _key(self, node: ast.Subscript) -> None:
        key = node.slice
        if not isinstance(key, ast.Slice) and _integer(key) is None:
            if isinstance(key, ast.Constant):
                self.refuse(key, "expected an integer in [...]", "write muons[0] or jets[:2]")
            return self.visit(key)
        parts = (key.lower, key.upper, key.step) if isinstance(key, ast.Slice) else (key,)
        for part in parts:
            number = _integer(part)
            if part is not None and (number is None or abs(number) > MAX_INDEX):
                self.refuse(part, "expected a small integer in [...]", "write jets[:2]")
            if part is not None and number == 0 and part is parts[-1] and len(parts) == 3:
                self.refuse(part, "a slice cannot have step 0", "leave the step out")
        return None

    def visit_Expression(self, node: ast.Expression) -> None:
        self.visit(node.body)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        self.visit(node.operand)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        if type(node.op) not in _BINARY:
            self.refuse(node, f"the operator {type(node.op).__name__} is not allowed")
        self._all((node.left, node.right))
        if isinstance(node.op, ast.Pow) and not any(
            isinstance(part, ast.Name) for part in ast.walk(node.right)
        ):
            with np.errstate(all="ignore"):
                exponent = _Evaluate(self.text, ak.Array([{}])).visit(node.right)
            if not abs(exponent) <= MAX_EXPONENT:
                self.refuse(node.right, "the exponent is too large", f"up to {MAX_EXPONENT}")

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        self._all(node.values)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._all((node.test, node.body, node.orelse))

    def visit_Compare(self, node: ast.Compare) -> None:
        self.visit(node.left)
        for operator, other in zip(node.ops, node.comparators, strict=True):
            if type(operator) in _COMPARED:
                self.visit(other)
            elif isinstance(operator, ast.In | ast.NotIn) and other is node.comparators[-1]:
                self._set(other)
            else:
                hint = "use ==, != and 'in' at the end of a chain"
                self.refuse(node, f"{type(operator).__name__} is not allowed here", hint)

    def _set(self, node: ast.expr) -> None:
        literals = [
            part.operand if isinstance(part, ast.UnaryOp) else part for part in _members(node)
        ]
        if not literals or not all(isinstance(part, ast.Constant) for part in literals):
            self.refuse(node, "expected a list of numbers after 'in'", "write x in (1, 2, 3)")
        self._all(_members(node))

    def visit_Call(self, node: ast.Call) -> None:
        function, given = node.func, len(node.args)
        if node.keywords:
            self.refuse(node, "arguments with names are not allowed", "give values alone")
        if isinstance(function, ast.Attribute) and function.attr in _METHODS:
            self.visit(function.value)
            name, given = function.attr, given + 1
        elif isinstance(function, ast.Name) and function.id in _FUNCTIONS:
            name = function.id
        else:
            self._unknown(function)
        known = _FUNCTIONS[name]
        if not known.least <= given <= known.most:
            expected = f"{known.least}" + " or more" * (known.least != known.most)
            self.refuse(node, f"wrong number of values for {name}", f"{expected}, not {given}")
        self._all(node.args)

    def _unknown(self, function: ast.expr) -> NoReturn:
        if isinstance(function, ast.Attribute):
            known = _choices(function.attr, _METHODS)
            self.refuse(function, f"unknown method {function.attr!r:.60}", known)
        if isinstance(function, ast.Name):
            known = _choices(function.id, _FUNCTIONS)
            self.refuse(function, f"unknown function {function.id!r:.60}", known)
        self.refuse(function, "only functions known by name can be called")


class _Evaluate(ast.NodeVisitor):
    """Compute a checked expression over one array of events."""

    def __init__(self, text: str, events: ak.Array) -> None:
        self.text, self.events = text, events

    def visit_Expression(self, node: ast.Expression) -> Any:
        return self.visit(node.body)

    def visit_Constant(self, node: ast.Constant) -> Any:
        return node.value if node.value != MAX_INTEGER else float(MAX_INTEGER)

    def visit_Name(self, node: ast.Name) -> Any:
        if node.id in _CONSTANTS and node.id not in self.events.fields:
            return _CONSTANTS[node.id]
        return self._field(node, self.events, node.id, "name")

    def visit_Attribute(self, node: ast.Attribute) -> Any:
        return self._field(node, self.visit(node.value), node.attr, "field")

    def _field(self, node: ast.expr, value: Any, name: str, what: str) -> Any:
        if name in getattr(value, "fields", ()):
            return _read(value, name)
        if name in _QUANTITIES and _is_momentum(value):
            return self._called(node, lambda: getattr(value, name), (), ())
        problem = f"unknown {what} {name!r:.60}"
        if name in _FUNCTIONS and what == "name":
            raise _located(self.text, node, problem, f"call the function: {name}(...)")
        if not getattr(value, "fields", ()):
            raise _located(self.text, node, problem, "only records have fields")
        raise _located(self.text, node, problem, _choices(name, value.fields))

    def _compute(self, node: ast.expr, function: Compute, parts: Sequence[ast.expr]) -> Any:
        values = [self.visit(part) for part in parts]
        return self._called(node, function, parts, values)

    def _called(
        self,
        node: ast.expr,
        function: Compute,
        parts: Sequence[ast.expr],
        values: Sequence[Any],
    ) -> Any:
        try:
            return function(*values)
        except _Located:
            raise
        except _FAILURES as error:
            raise _located(self.text, node, self._reason(error, parts, values)) from None

    def _reason(self, error: Exception, parts: Sequence[ast.expr], values: Sequence[Any]) -> str:
        """What went wrong, in words about the text; Awkward's errors are about its layouts."""
        counts = "broadcast" in str(error) or "different numbers" in str(error)
        lists = [(p, v) for p, v in zip(parts, values, strict=True) if counts and _depth(v) >= 2]
        for (part, value), (other, second) in zip(lists, lists[1:], strict=False):
            if _depth(value) == _depth(second) and not _same_counts(value, second):
                names = [ast.get_source_segment(self.text, x) or "?" for x in (part, other)]
                names = [name if len(name) <= 60 else f"{name[:57]}..." for name in names]
                return " and ".join(names) + " have different numbers of objects per entry,"
        if "overload" in str(error):
            return "this cannot be done with whole records (name a field, like .pt),"
        return (str(error) or type(error).__name__).strip().splitlines()[0][:300]

    def visit_UnaryOp(self, node: ast.UnaryOp) -> Any:
        return self._compute(node, _UNARY[type(node.op)], [node.operand])

    def visit_BinOp(self, node: ast.BinOp) -> Any:
        return self._compute(node, _BINARY[type(node.op)], [node.left, node.right])

    def visit_BoolOp(self, node: ast.BoolOp) -> Any:
        function = _and if isinstance(node.op, ast.And) else _or
        return self._compute(node, _folded(function), node.values)

    def visit_IfExp(self, node: ast.IfExp) -> Any:
        return self._compute(node, _where, [node.test, node.body, node.orelse])

    def visit_Compare(self, node: ast.Compare) -> Any:
        """Links of a chain, 80 < m < 100, joined by and."""
        parts = [node.left, *node.comparators]
        values = [[] if _members(part) else self.visit(part) for part in parts]
        links = []
        for i, operator in enumerate(node.ops):
            if isinstance(operator, ast.In | ast.NotIn):
                links.append(self._in(node, operator, parts[i : i + 2], values[i]))
            else:
                function = _COMPARED[type(operator)]
                links.append(self._called(node, function, parts[i : i + 2], values[i : i + 2]))
        return self._called(node, _folded(_and), parts[: len(links)], links)

    def _in(
        self, node: ast.expr, operator: ast.cmpop, parts: Sequence[ast.expr], value: Any
    ) -> Any:
        members = [self.visit(member) for member in _members(parts[1])]

        def function(value: Any) -> Any:
            equal = [_COMPARED[ast.Eq](value, member) for member in members]
            found = functools.reduce(_or, equal)
            return _not(found) if isinstance(operator, ast.NotIn) else found

        return self._called(node, function, parts[:1], [value])

    def visit_Subscript(self, node: ast.Subscript) -> Any:
        key = node.slice
        index = _integer(key)
        if index is not None:
            return self._compute(node, lambda objects: _nth(objects, index), [node.value])
        if isinstance(key, ast.Slice):
            section = slice(_integer(key.lower), _integer(key.upper), _integer(key.step))
            return self._compute(node, lambda objects: _cut(objects, section), [node.value])
        return self._compute(node, _chosen, [node.value, key])

    def visit_Call(self, node: ast.Call) -> Any:
        if isinstance(node.func, ast.Attribute):
            function = _FUNCTIONS[node.func.attr].call
            return self._compute(node, function, [node.func.value, *node.args])
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        return self._compute(node, _FUNCTIONS[name].call, node.args)


def _syntax_tree(text: str) -> ast.Expression:
    """Python's parser with limits before and after it, so that no text costs much."""
    if "#" in text:
        raise _located(text, text.index("#") + 1, "comments are not allowed", "leave it out")
    depth = 0
    for at, character in enumerate(text, 1):
        depth += (character in "([{") - (character in ")]}")
        if depth > MAX_NESTING:
            raise _located(text, at, f"brackets nested deeper than {MAX_NESTING}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "1and 2": Python's, about Python
            tree = ast.parse(text, mode="eval")
    except SyntaxError as error:
        at = error.offset if error.lineno == 1 and error.offset else len(text) + 1
        raise _located(text, at, f"not an expression ({error.msg:.100})") from None
    except (ValueError, RecursionError, MemoryError) as error:
        reason = str(error).splitlines()[:1] or ["too deep"]
        raise _located(text, 1, f"not an expression ({reason[0]:.100})") from None
    _measure(text, tree)
    return tree


def _measure(text: str, tree: ast.Expression) -> None:
    nodes, todo = 0, [(tree.body, 1)]
    while todo:
        node, depth = todo.pop()
        nodes += 1
        if depth > MAX_NESTING:
            hint = "define parts of it first"
            raise _located(text, node, f"nested deeper than {MAX_NESTING}", hint)
        if nodes > MAX_NODES:
            raise _located(text, node, f"more than {MAX_NODES} parts", "define parts of it first")
        children = ast.iter_child_nodes(node)
        todo += [(child, depth + 1) for child in children if isinstance(child, ast.expr)]


class Expression:
    """A checked expression, evaluated as often as wanted; made by `parse`.

    Attributes:
        text: what it was made from, without line breaks.
        names: the dotted names read from the data, e.g. {"muons", "jets.pt"}: "muons" alone where
            the whole records are used, also for what is derived from them (`muons.px`). The
            constants pi, GeV and MeV are not among them.
    """

    def __init__(self, text: str, tree: ast.Expression, names: frozenset[str]) -> None:
        self.text, self.names, self._tree = text, names, tree

    def __repr__(self) -> str:
        return f"Expression({self.text!r})"

    def __call__(self, events: ak.Array) -> ak.Array:
        """Evaluate on records.

        Args:
            events: (N,) records or a collection of them, flat (N,) or in lists (N, var); momenta
                in GeV with the fields pt eta phi mass.

        Returns:
            (N,) or (N, var): numbers, truths or records; a constant is repeated for each entry.

        Raises:
            ValueError: unknown name or field, or values that do not fit together; says where.
        """
        if not isinstance(events, ak.Array) or not events.fields:
            got = events.type if isinstance(events, ak.Array) else type(events).__name__
            message = f"got {str(got):.200}, expected an Awkward array of records; use ak.zip"
            raise ValueError(message)
        with np.errstate(all="ignore"):  # x / 0 is infinite, as in every array language
            result = _Evaluate(self.text, events).visit(self._tree)
        return result if isinstance(result, ak.Array) else ak.Array(np.full(len(events), result))


def parse(text: str) -> Expression:
    """Read and check an expression.

    Args:
        text: e.g. "count(jets.pt > 25) >= 4 and any(jets.btag > 0.7)"; quantities in GeV.

    Returns:
        The expression, to be called with events.

    Raises:
        ValueError: no expression, or something in it that is not allowed; says where.
    """
    if not isinstance(text, str) or not text.strip():
        message = f"got {text!r:.60}, expected the text of an expression, e.g. 'pt > 30'"
        raise ValueError(message)
    if len(text) > MAX_CHARACTERS:
        message = f"expression of {len(text)} characters; the limit is {MAX_CHARACTERS}"
        raise ValueError(message)
    text = re.sub(r"\s", " ", text).strip()
    tree = _syntax_tree(text)
    check = _Check(text)
    check.visit(tree)
    return Expression(text, tree, frozenset(check.names))


def select(events: ak.Array, expression: str | Expression) -> ak.Array:
    """Keep the entries where an expression is true; None counts as false.

    Args:
        events: (N,) records.
        expression: a cut with one truth per entry.

    Returns:
        (n,) records, n <= N.

    Raises:
        ValueError: not an expression, or not one truth per entry.
    """
    cut = parse(expression) if isinstance(expression, str) else expression
    mask = cut(events)
    if _depth(mask) != 1:
        message = (
            f"the cut {cut.text[:80]!r} gives a list per entry, expected one truth; "
            "use any(...), all(...) or count(...) > 0"
        )
        raise ValueError(message)
    if _kind(mask) != "b":
        message = (
            f"the cut {cut.text[:80]!r} gives {str(mask.type):.80}, expected truths; "
            "compare it with a number"
        )
        raise ValueError(message)
    return events[ak.fill_none(mask, False, axis=0)]


def define(events: ak.Array, definitions: Mapping[str, str]) -> ak.Array:
    """Add new fields, in order; later ones may use earlier ones.

    Args:
        events: (N,) records or a collection of them.
        definitions: name of the new field -> expression.

    Returns:
        The same records with the new fields.

    Raises:
        ValueError: a name that is taken or cannot be one, or an expression that fails.
    """
    for name, text in definitions.items():
        if (
            not isinstance(name, str)
            or not name.isidentifier()
            or name[0] == "_"
            or iskeyword(name)
        ):
            message = f"new field {name!r:.60}: expected letters, digits and _, a letter first"
            raise ValueError(message)
        if name in getattr(events, "fields", ()):
            message = f"new field {name!r:.60}: the events have it already; choose another name"
            raise ValueError(message)
        try:
            events = ak.with_field(events, parse(text)(events), name)
        except ValueError as error:
            message = f"new field {name!r:.60}: {error}"
            raise ValueError(message) from None
    return events
