"""Collections from the names that a mapping gives: records, lists, and padded columns."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import awkward as ak
import numpy as np

from fivesigma.formats.fourvectors import object_fields, standard_name
from fivesigma.formats.layout import Arrangement, Field, Group, Lists, Padded, Records
from fivesigma.formats.tables import Table

__all__ = ["GroupMaker", "padding_column"]

_MOMENTUM = {"pt", "eta", "phi", "mass", "energy", "px", "py", "pz"}


def padding_column(padding: Any) -> str | None:
    """The column that tells what is padding, where no value does.

    Raises:
        ValueError: neither a value, nor a name.
    """
    if padding is None or padding in ("zeros", "nan") or _is_number(padding):
        return None
    if not isinstance(padding, str):
        message = f"padding: {padding!r}; expected zeros, nan, a number or the name of a column"
        raise ValueError(message)
    return padding


def _is_number(found: Any) -> bool:
    return isinstance(found, int | float) and not isinstance(found, bool)


class GroupMaker:
    """Makes groups of the fields in a mapping.

    Attributes:
        notes: what was assumed.
    """

    def __init__(self, table: Table, padding: Any) -> None:
        self._table, self._padding = table, padding
        self.notes: list[str] = []

    def groups(
        self, kind: str, given: Mapping[str, Any], more: Mapping[str, Field]
    ) -> dict[str, Group]:
        """The collections of events; or one group of an entry's own fields.

        Args:
            kind: of the file.
            given: field -> column, collection -> {field: column}.
            more: further fields of an entry.
        """
        if kind != "events":
            group = self._group(kind, given)
            return {kind: replace(group, fields={**group.fields, **more})}
        inner = {name: each for name, each in given.items() if isinstance(each, dict)}
        single = {name: each for name, each in given.items() if not isinstance(each, dict)}
        event = self._group("event", {**single, **inner.pop("event", {})})
        fields = {**event.fields, **more}
        groups = {"event": replace(event, fields=fields)} if fields else {}
        return groups | {
            name: self._group(name, each, entry=False) for name, each in inner.items()
        }

    def _group(
        self, name: str, given: Mapping[str, Any], outside: int = 0, entry: bool = True
    ) -> Group:
        """One collection.

        Args:
            name: of it; tells a mass.
            given: its fields and collections.
            outside: lists that it is in.
            entry: whether its fields are the entry's own, not those of objects in it.
        """
        own = {n: each for n, each in given.items() if isinstance(each, str)}
        depth = outside if entry else self._depth(name, own, outside)
        fields: dict[str, Field | Group] = dict(self._complete(name, object_fields(own, name)))
        arrange: Arrangement = Records()
        if depth > outside:
            arrange = Lists(depth=depth)
        elif own and not entry and all(self._table.columns[n].shape for n in own.values()):
            arrange = self._padded(name, own)
        for inner, each in given.items():
            if isinstance(each, dict):
                fields[inner] = self._group(inner, each, depth, entry=False)
        return Group(fields, arrange)

    def _depth(self, name: str, own: Mapping[str, str], outside: int) -> int:
        """How many lists the objects are in, which must be the same for all their fields."""
        columns = {n: self._table.columns[column] for n, column in own.items()}
        depth = min((each.depth for each in columns.values()), default=outside)
        alone = [n for n, c in columns.items() if c.depth == depth and not c.shape]
        lists = [n for n, c in columns.items() if c.depth > depth or c.shape]
        if depth < outside or (depth == outside and alone and lists):
            message = f"{name}: {', '.join(alone or own)} has one value where others have lists"
            raise ValueError(message)
        return depth

    def _complete(self, name: str, fields: dict[str, Field]) -> dict[str, Field]:
        """With a mass, so that the objects are four-vectors."""
        if {"pt", "eta", "phi"} <= fields.keys() and "mass" not in fields:
            fields["mass"] = Field(fields["pt"].columns[:1], ak.zeros_like)
            self.notes.append(f"{name}: taken as massless, as neither mass nor energy is named")
        return fields

    def _padded(self, name: str, own: Mapping[str, str]) -> Padded:
        """Lists from columns of a fixed length."""
        columns = {n: self._table.columns[column] for n, column in own.items()}
        shapes = {each.shape for each in columns.values()}
        if len(shapes) > 1 or len(next(iter(shapes))) != 1:
            message = f"{name}: shapes {', '.join(map(str, shapes))}; expected one fixed length"
            raise ValueError(message)
        if self._padding is None:
            message = (
                f"{name}: its columns have a fixed length; "
                "add padding: zeros, nan, a number or the name of a mask"
            )
            raise ValueError(message)
        mask = padding_column(self._padding)
        if mask is not None:
            return Padded((mask,), _is_set)
        momentum = [column for n, column in own.items() if standard_name(n) in _MOMENTUM]
        return Padded(tuple(momentum or own.values()), _present(self._padding))


def _present(padding: Any) -> Callable[..., np.ndarray]:
    """Where there is something; padding has the padding's value in all components."""
    value = {"zeros": 0.0, "nan": math.nan}.get(padding, padding)
    return partial(_differs, float(value))


def _differs(value: float, *columns: ak.Array) -> np.ndarray:
    arrays = [np.asarray(each) for each in columns]
    different = [~np.isnan(each) if math.isnan(value) else each != value for each in arrays]
    return np.any(different, axis=0)


def _is_set(mask: ak.Array) -> np.ndarray:
    return np.asarray(mask) > 0.5
