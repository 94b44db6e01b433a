"""Keys and values, as YAML gives them, into frozen dataclasses; mistakes name their place."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from types import UnionType
from typing import Any, Literal, get_args, get_origin, get_type_hints

__all__ = ["build", "nearest"]


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the closest one, or all there are."""
    choices = list(known)
    close = difflib.get_close_matches(str(name), choices, 1, 0.6)
    if close:
        return f"did you mean {close[0]}?"
    return f"choose from {', '.join(choices[:20]) or 'nothing: there are none'}"


def build(kind: Any, value: Any, place: str = "") -> Any:
    """A value of the given type.

    Args:
        kind: a dataclass, `str`, `bool`, `int`, `float`, `Literal`, `tuple[X, ...]`,
            `Mapping[str, X]` or `X | None`. A dataclass with the attribute `KINDS` (key `kind` ->
            dataclass) stands for one of several.
        value: what YAML gave; a single value may stand for a tuple of one.
        place: where it is, e.g. "regions.SR"; begins the messages.

    Raises:
        ValueError: an unknown or missing key, or a value of another type; says where.
    """
    origin, inner = get_origin(kind), get_args(kind)
    if origin is UnionType:
        return None if value is None else build(inner[0], value, place)
    if origin is Literal:
        return _chosen(value, inner, place)
    if origin is tuple:
        return _several(inner[0], value, place)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(inner[1], value, place)
    return _dataclass(kind, value, place) if is_dataclass(kind) else _simple(kind, value, place)


def _refused(place: str, got: Any, expected: str) -> ValueError:
    return ValueError(f"{place}: got {str(got)!r:.60}, expected {expected}")


def _chosen(value: Any, choices: Sequence[str], place: str) -> str:
    if value not in choices:
        message = f"{place}: {value!r} is unknown; {nearest(value, choices)}"
        raise ValueError(message)
    return value


def _several(kind: Any, value: Any, place: str) -> tuple[Any, ...]:
    if isinstance(value, Mapping) and not is_dataclass(kind):
        raise _refused(place, value, "a list")
    values = value if isinstance(value, list | tuple) else [value]
    return tuple(build(kind, each, f"{place}[{i}]") for i, each in enumerate(values))


def _mapping(kind: Any, value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise _refused(place, value, "names with values below")
    joined = f"{place}." if place else ""
    return {str(name): build(kind, each, f"{joined}{name}") for name, each in value.items()}


def _simple(kind: type, value: Any, place: str) -> Any:
    if kind is str and isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    if kind is bool and isinstance(value, bool):
        return value
    if kind in (int, float) and isinstance(value, int | float | str):
        try:  # YAML takes 1e-3, without a point, for text
            number = kind(value)
        except ValueError:
            raise _refused(place, value, "a number") from None
        if not isinstance(value, bool) and (isinstance(value, str) or number == value):
            return number
    names = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}
    raise _refused(place, value, names[kind])


def _dataclass(kind: Any, value: Any, place: str) -> Any:
    if isinstance(value, kind):
        return value
    if not isinstance(value, Mapping):
        raise _refused(place, value, f"keys of {_keys(kind)}")
    given, joined = dict(value), f"{place}." if place else ""
    if hasattr(kind, "KINDS"):
        if "kind" not in given:
            message = f"{joined}kind is missing; choose from {', '.join(kind.KINDS)}"
            raise ValueError(message)
        kind = kind.KINDS[_chosen(given.pop("kind"), list(kind.KINDS), f"{joined}kind")]
    hints = get_type_hints(kind)
    known = {each.name: each for each in fields(kind)}
    for name in given:
        if name not in known:
            message = f"{joined}{name}: unknown; {nearest(name, known)}"
            raise ValueError(message)
    for name, each in known.items():
        required = each.default is MISSING and each.default_factory is MISSING
        if required and name not in given:
            message = f"{joined}{name} is missing"
            raise ValueError(message)
    made = {name: build(hints[name], each, f"{joined}{name}") for name, each in given.items()}
    try:
        return kind(**made)
    except ValueError as error:
        message = f"{place}: {error}" if place else str(error)
        raise ValueError(message) from None


def _keys(kind: Any) -> str:
    return ", ".join(each.name for each in fields(kind))
