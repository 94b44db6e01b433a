"""NanoEvents of coffea as Events: the same names, units and constituents as from the file itself.

Nothing of coffea is imported: an array of collections named as in NanoAOD is enough. Virtual
arrays are read only as far as the fields asked for need.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import awkward as ak

from fivesigma.formats.layout import Layout
from fivesigma.formats.layouts.cms import nanoaod
from fivesigma.formats.tables import Column, Table
from fivesigma.formats.writers.flat import plain

__all__ = ["NanoEventsTable", "from_nanoevents"]

#: cross references that coffea computes, of no use beside its own arrays
_GLOBAL_INDEX = re.compile(r"Idx\w*G$")


def from_nanoevents(events: ak.Array, columns: Sequence[str] | None = None) -> ak.Array:
    """Events of NanoEvents: `muons` of `Muon`, jets with `constituents`, lengths in mm.

    Cut on events before or after, but on jets and candidates only after: it is by their place in
    the event that jets name their candidates.

    Args:
        events: (N,) records as coffea's NanoAODSchema makes them, read ("eager") or "virtual".
        columns: fields or collections, e.g. ["fatjets.constituents", "muons.pt", "event.event"];
            None takes all.

    Returns:
        (N,) records, as `open_file` reads them from the NanoAOD file [GeV, rad, mm].

    Raises:
        ValueError: no collections named as in NanoAOD, an unknown field, or missing values.
    """
    table = NanoEventsTable(events)
    layout = nanoaod(table)
    if layout is None:
        has = ", ".join(ak.fields(events)[:20]) or "no fields"
        message = (
            f"NanoEvents: expected lists of objects such as Muon or Jet with pt, got {has}; "
            "give the events of coffea's NanoEventsFactory with schemaclass=NanoAODSchema"
        )
        raise ValueError(message)
    return _read(table, layout, columns)


def _read(table: Table, layout: Layout, columns: Sequence[str] | None) -> ak.Array:
    group = layout.whole if columns is None else layout.only(columns)
    names = list(dict.fromkeys(group.columns()))
    return group.build(table.read(names, 0, table.entries))


class NanoEventsTable(Table):
    """NanoEvents as the flat branches that they were made of: `nMuon`, `Muon_pt` ..."""

    def __init__(self, events: ak.Array) -> None:
        super().__init__("NanoEvents")
        if not isinstance(events, ak.Array) or events.ndim != 1:
            got = events.type if isinstance(events, ak.Array) else type(events).__name__
            message = f"NanoEvents: got {got!s:.80}, expected an array of events"
            raise ValueError(message)
        self._events = events
        self._places: dict[str, tuple[str, ...]] = {}
        found: dict[str, Column] = {}
        for name in events.fields:
            for place, column in _columns(name, events[name].layout.form.type):
                full = "_".join(place)
                found[full], self._places[full] = column, place
                if column.depth == 1 and len(place) == 2:
                    found[f"n{name}"], self._places[f"n{name}"] = Column("int64"), (name,)
        self.columns = found

    @property
    def entries(self) -> int:
        """Number of events."""
        return len(self._events)

    def read(self, names: Sequence[str], start: int, stop: int) -> dict[str, ak.Array]:
        """Columns of the events from `start` to `stop`; what is virtual becomes real."""
        wanted = dict.fromkeys(self._places[name][0] for name in names)
        collections = {first: self._events[first][start:stop] for first in wanted}
        return {name: self._column(name, collections) for name in names}

    def _column(self, name: str, collections: Mapping[str, ak.Array]) -> ak.Array:
        first, *inner = self._places[name]
        made = collections[first][inner[0]] if inner else collections[first]
        if self.columns[name].depth == 0 and made.ndim > 1:
            made = ak.num(made, axis=1)
        # in a record, so that an error names the column
        return plain(ak.Array({name: ak.materialize(made)}))[name]


def _columns(name: str, type: Any) -> Iterator[tuple[tuple[str, ...], Column]]:
    """Fields of one collection, or one number an event, and what they are."""
    inner, depth = _inside(type)
    if not isinstance(inner, ak.types.RecordType):
        if isinstance(inner, ak.types.NumpyType):
            yield (name,), Column(inner.primitive, depth)
        return
    for field in inner.fields or []:
        leaf, more = _inside(inner.content(field))
        known = isinstance(leaf, ak.types.NumpyType) and not _GLOBAL_INDEX.search(field)
        if known and depth + more < 2:
            yield (name, field), Column(leaf.primitive, depth + more)


def _inside(type: Any) -> tuple[Any, int]:
    """What is inside all lists, and how many there are; whether values may be missing aside."""
    depth = 0
    while isinstance(type, ak.types.ListType | ak.types.RegularType | ak.types.OptionType):
        depth += not isinstance(type, ak.types.OptionType)
        type = type.content
    return type, depth
