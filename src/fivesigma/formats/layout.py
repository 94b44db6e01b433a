"""Which columns of a table make which collections of Events.

A `Layout` is data: groups of fields, each field with the columns that it needs. Only the columns
of the fields that are asked for are read.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import awkward as ak
import numpy as np

from fivesigma.formats.arrangements import (
    Arrangement,
    Arrays,
    Indexed,
    Lists,
    Padded,
    Records,
    Referenced,
    momenta_if,
)

__all__ = ["Field", "Group", "Indexed", "Layout", "Lists", "Padded", "Records", "Referenced"]


@dataclass(frozen=True)
class Field:
    """One field of a collection.

    Attributes:
        columns: the columns that it is made of.
        formula: makes it of them; None: it is the one column itself.
        energy: whether it is an energy, momentum or mass, so that MeV must become GeV.
    """

    columns: tuple[str, ...]
    formula: Callable[..., Any] | None = None
    energy: bool = False

    def __call__(self, arrays: Arrays, factor: float = 1.0) -> ak.Array:
        """The field from the columns, energies times `factor`."""
        values = [arrays[name] for name in self.columns]
        made = values[0] if self.formula is None else self.formula(*values)
        if self.energy and factor != 1.0:
            made = ak.values_astype(made * factor, _float_of(made))
        return made


def _float_of(array: ak.Array) -> type:
    return np.float64 if "float64" in str(ak.type(array)) else np.float32


@dataclass(frozen=True)
class Group:
    """One collection: its fields, which may be groups themselves, and how they are arranged."""

    fields: Mapping[str, Field | Group]
    arrange: Arrangement = field(default_factory=Records)

    def names(self, prefix: str = "") -> Iterator[str]:
        """Names of all fields, those of inner groups with a dot."""
        for name, each in self.fields.items():
            if isinstance(each, Group):
                yield from each.names(f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}"

    def columns(self) -> Iterator[str]:
        """Columns of the file that it needs."""
        yield from self.arrange.columns
        for each in self.fields.values():
            yield from each.columns() if isinstance(each, Group) else each.columns

    def only(self, wanted: Sequence[str]) -> Group:
        """The group with fewer fields; an inner group's name takes all of it."""
        kept: dict[str, Field | Group] = {}
        inner: dict[str, list[str]] = {}
        for full in wanted:
            first, dot, rest = full.partition(".")
            inner.setdefault(first if dot else full, []).extend([rest] if dot else [])
        taken = set(wanted)
        for name, each in self.fields.items():
            if name in taken:
                kept[name] = each
            elif inner.get(name) and isinstance(each, Group):
                kept[name] = each.only(inner[name])
        return replace(self, fields=kept)

    def build(self, arrays: Arrays, factor: float = 1.0) -> ak.Array:
        """The collection, from the columns."""
        outer = {
            name: each(arrays, factor)
            for name, each in self.fields.items()
            if isinstance(each, Field)
        }
        inner = {
            name: each.build(arrays, factor)
            for name, each in self.fields.items()
            if isinstance(each, Group)
        }
        if not outer:
            return momenta_if(ak.zip(inner, depth_limit=self._depth()))
        made = self.arrange(outer, arrays)
        for name, records in inner.items():
            made = ak.with_field(made, records, name)
        fields = dict.fromkeys(made.fields)
        ordered = [name for name in self.fields if name in fields]
        return momenta_if(made if ordered == list(fields) else made[ordered])

    def _depth(self) -> int:
        """Lists around the records of this group, and one."""
        depth = getattr(self.arrange, "depth", 0 if isinstance(self.arrange, Records) else 1)
        return 1 + int(depth)


@dataclass(frozen=True)
class Layout:
    """How a table is read as Events.

    Attributes:
        name: of the format.
        kind: "events", "jets", "showers", "hits" or "table".
        groups: collections of an event; for the other kinds one group, whose fields are the
            entry's own.
        unit: of energies in the file, "GeV" or "MeV"; None: to be guessed from the values.
        classes: names of the classes that labels count.
        notes: what a reader should know.
    """

    name: str
    kind: str
    groups: Mapping[str, Group]
    unit: str | None = "GeV"
    classes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def whole(self) -> Group:
        """All of it as one group: of collections, or of an entry's own fields."""
        if self.kind == "events":
            return Group(dict(self.groups))
        (group,) = self.groups.values()
        return group

    def names(self) -> list[str]:
        """Names of all fields: "muons.pt" of events, "constituents.pt" of jets."""
        return list(self.whole.names())

    def only(self, wanted: Sequence[str]) -> Group:
        """What is left with these fields or collections.

        Raises:
            ValueError: a name that is not there; the closest ones are listed.
        """
        names = self.names()
        known = {*names, *(has[: dot.start()] for has in names for dot in re.finditer(r"\.", has))}
        for name in wanted:
            if name not in known:
                collections = [n.rsplit(".", 1)[0] for n in names if "." in n]
                choices = list(dict.fromkeys([*names, *collections]))
                close = difflib.get_close_matches(name, choices, 4, 0.5)
                message = f"no field {name!r}; choose from {', '.join(close or choices[:20])}"
                raise ValueError(message)
        return self.whole.only(wanted)
