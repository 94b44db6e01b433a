"""The values of expressions: Awkward arrays, or Python's numbers for constants."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import awkward as ak
import numpy as np

from fivesigma.events import momenta

__all__ = [
    "Compute",
    "apply",
    "depth",
    "is_momentum",
    "kind",
    "lacks_lists",
    "layouts",
    "need",
    "need_momenta",
    "need_same_counts",
    "read",
    "same_counts",
    "wide",
]

Compute = Callable[..., Any]


def layouts(value: Any) -> Iterator[Any]:
    """The layers of an array from the outside to its numbers or records."""
    layout = value.layout
    while layout is not None:
        yield layout
        text = layout.parameter("__array__") in ("string", "bytestring")
        layout = None if layout.is_record or text else getattr(layout, "content", None)


def depth(value: Any) -> int:
    """0 constant, 1 one value or record per entry, 2 a list per entry, ..."""
    return value.layout.purelist_depth if isinstance(value, ak.Array) else 0


def _dtype(value: Any) -> np.dtype | None:
    """The dtype of numbers; None for records, text and mixtures."""
    if not isinstance(value, ak.Array):
        return np.dtype(type(value))
    *_, last = layouts(value)
    if last.is_unknown:
        return np.dtype(float)
    return last.dtype if last.is_numpy and last.dtype.kind in "biuf" else None


def kind(value: Any) -> str:
    """b, i, u or f (truths, integers, unsigned, floats), r (records) or ? (anything else)."""
    dtype = _dtype(value)
    if dtype is not None:
        return dtype.kind
    *_, last = layouts(value)
    return "r" if last.is_record else "?"


def is_momentum(value: Any) -> bool:
    """Whether these are four-vectors: records with the behaviours of `vector`."""
    record = value.layout.purelist_parameter("__record__") if depth(value) else None
    return str(record).startswith("Momentum")


def read(array: ak.Array, name: str) -> Any:
    """A field, with lists of one length as lists of any: NumPy would align those at the end."""
    value = ak.from_regular(array[name], axis=None)
    # records of other packages have names of their own, e.g. "Muon"
    four = {"pt", "eta", "phi", "mass"} <= {*value.fields}
    return momenta(value) if four and not is_momentum(value) else value


def lacks_lists(value: Any) -> bool:
    """Whether whole lists may be None, as in what was computed with `muons[0]` for each jet."""
    return depth(value) > 1 and any(
        layout.is_option and layout.purelist_depth > 1 for layout in layouts(value)
    )


def same_counts(a: Any, b: Any) -> bool:
    """Whether lists of the same depth have the same lengths."""
    return all(
        ak.all(ak.num(a, axis=axis) == ak.num(b, axis=axis), axis=None)
        for axis in range(1, depth(a))
    )


_KINDS = {"b": "truths", "i": "integers", "u": "integers", "f": "floats"}


def need(values: Iterable[Any], kinds: str, what: str) -> None:
    """Refuse values of other kinds than these; `what` says them in words."""
    for value in values:
        if kind(value) in kinds:
            continue
        message = f"expected {what}, got {_KINDS.get(kind(value), 'text or a mixture')}"
        if kind(value) == "r":
            message = f"expected {what}, got whole records; name a field of them"
            if value.fields:
                message += f" ({', '.join(value.fields[:8])})"
        raise ValueError(message)


def need_momenta(values: Iterable[Any]) -> None:
    """Refuse what is no four-vector."""
    if not all(map(is_momentum, values)):
        message = "expected objects with pt, eta, phi and mass, got something else"
        raise ValueError(message)


def need_same_counts(objects: Any, other: Any, name: str) -> None:
    """Refuse lists that do not match the objects one by one."""
    if depth(objects) != depth(other) or not same_counts(objects, other):
        message = f"the objects and the {name} have different numbers of objects per entry"
        raise ValueError(message)


def wide(value: Any, *, signed: bool = False) -> Any:
    """Integers of 8 bytes: the file's small or unsigned ones would overflow (nMuon - 2)."""
    dtype = _dtype(value)
    small = dtype is not None and (dtype.kind == "b" or dtype.kind in "iu" and dtype.itemsize < 8)
    if small or (signed and dtype == np.uint64):
        return ak.values_astype(value, np.int64) if isinstance(value, ak.Array) else int(value)
    return value


def apply(ufunc: np.ufunc, *values: Any) -> Any:
    """A ufunc on numbers; on constants alone it gives Python's number, which widens no float32."""
    if any(isinstance(value, ak.Array) for value in values):
        return ufunc(*values)
    # floats, because Python's integers have no bound
    return ufunc(*(np.float64(value) for value in values)).item()
