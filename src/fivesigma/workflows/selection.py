"""What is kept of a file's events: fields, cuts, new quantities, and jets with labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import awkward as ak
import numpy as np

from fivesigma import expressions
from fivesigma.formats import Source
from fivesigma.formats.arrangements import momenta_if
from fivesigma.reconstruction.objects import event_objects

__all__ = ["Selection", "flat_jets"]

#: kept whatever is asked for: they tell events apart, and what they count for
_NUMBERS = ("event.event", "event.run", "event.luminosityBlock", "event.weight")
_OF_JETS = ("event", "label", "weight")
#: in the place of a collection of jets: the whole event
_WHOLE = "event"


@dataclass(frozen=True)
class Selection:
    """What is kept of a file's events; all expressions are of `fivesigma.expressions`.

    Attributes:
        columns: fields or collections to keep; none: all.
        define: new fields by expression, in this order, before the cuts.
        where: cut on events (or jets, rows).
        objects: collection -> cut on its objects.
        jets: the collection whose objects become one jet an entry; "event": each event becomes an
            entry like a jet, with all its objects for constituents; none: entries stay events.
        labels: class -> expression that is true for its jets; jets of no class are dropped.
    """

    columns: tuple[str, ...] = ()
    define: Mapping[str, str] = field(default_factory=dict)
    where: str = ""
    objects: Mapping[str, str] = field(default_factory=dict)
    jets: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for text in (self.where, *self._inner(), *self.define.values()):
            if text:
                expressions.parse(text)
        if self.labels and len(self.labels) < 2:
            message = f"labels: got only the class {next(iter(self.labels))!r}; give two or more"
            raise ValueError(message)

    def _inner(self) -> list[str]:
        return [*self.objects.values(), *self.labels.values()]

    def kind(self, source: Source) -> str:
        """Kind of what is kept.

        Raises:
            ValueError: jets are asked for of what has no collections.
        """
        if not self.jets:
            return source.kind
        if source.kind != "events":
            message = f"{source.path} holds {source.kind}, not events; leave out --jets"
            raise ValueError(message)
        return "jets"

    def reads(self, source: Source) -> list[str] | None:
        """The fields to read: those kept, and those that expressions use; None: all."""
        if not self.columns:
            return None
        wanted = set(self.columns)
        for text in filter(None, (self.where, *self.define.values())):
            wanted |= expressions.parse(text).names - self.define.keys()
        for collection, text in self.objects.items():
            wanted |= {f"{collection}.{name}" for name in expressions.parse(text).names}
        for text in self.labels.values():
            prefix = f"{self.jets}." if self.jets not in ("", _WHOLE) else ""
            wanted |= {f"{prefix}{name}" for name in expressions.parse(text).names}
        numbers = _NUMBERS if source.kind == "events" else _OF_JETS
        return sorted(wanted | {name for name in numbers if name in source.fields})

    def __call__(self, events: ak.Array, number: np.ndarray) -> ak.Array:
        """Apply it.

        Args:
            events: entries of a file.
            number: (N,) numbers for entries whose file has none; decide the split.
        """
        events = expressions.define(events, self.define) if self.define else events
        for collection, text in self.objects.items():
            events = _with(events, collection, _objects(events, collection, text))
        if self.where:
            kept = expressions.passing(events, self.where)
            events, number = events[kept], number[kept]
        if self.jets == _WHOLE:
            return _whole(events, number, self.labels)
        if self.jets:
            events = flat_jets(events, self.jets, number)
        elif "constituents" in events.fields and "event" not in events.fields:
            events = _with(events, "event", number)
        events = labelled(events, self.labels) if self.labels else events
        return self._kept(events) if self.columns else events

    def _kept(self, events: ak.Array) -> ak.Array:
        """What was asked for or made, and numbers; not what only cuts and labels read."""
        prefix = f"{self.jets}." if self.jets else ""
        asked = [name.removeprefix(prefix) for name in self.columns]
        return _only(events, {*asked, *self.define, *_NUMBERS, *_OF_JETS})


def _only(records: ak.Array, wanted: set[str]) -> ak.Array:
    """Records with some of their fields, those of inner records with a dot."""
    parts = {}
    for name in records.fields:
        inner = {each[len(name) + 1 :] for each in wanted if each.startswith(f"{name}.")}
        if name in wanted:
            parts[name] = records[name]
        elif inner & set(_leaves(records[name])) and ak.fields(records[name]):
            parts[name] = _only(records[name], inner)
    return momenta_if(ak.zip(parts, depth_limit=records.ndim))


def _leaves(records: ak.Array, prefix: str = "") -> Iterator[str]:
    """Names of all fields and of the collections that they are in."""
    for name in ak.fields(records):
        yield f"{prefix}{name}"
        yield from _leaves(records[name], f"{prefix}{name}.")


def _objects(events: ak.Array, collection: str, text: str) -> ak.Array:
    if collection not in events.fields:
        message = (
            f"no collection {collection!r} to cut on; choose from {', '.join(events.fields[:20])}"
        )
        raise ValueError(message)
    objects = events[collection]
    return objects[ak.fill_none(expressions.parse(text)(objects), False)]


def flat_jets(events: ak.Array, collection: str, number: np.ndarray) -> ak.Array:
    """One record a jet, with the number and weight of its event.

    Args:
        events: N events.
        collection: the jets in them.
        number: (N,) numbers of events that have none.

    Raises:
        ValueError: no such collection.
    """
    if collection not in events.fields or events[collection].ndim != 2:
        lists = [name for name in events.fields if events[name].ndim == 2]
        message = f"no collection of jets {collection!r}; choose from {', '.join(lists) or 'none'}"
        raise ValueError(message)
    jets = events[collection]
    counts = ak.to_numpy(ak.num(jets, axis=1))
    flat = ak.flatten(jets, axis=1)
    event = events["event"] if "event" in events.fields else None
    if event is not None and "event" in event.fields:
        number = ak.to_numpy(event["event"])
    columns = {"event": np.repeat(number.astype(np.uint64), counts)}
    if event is not None and "weight" in event.fields:
        columns["weight"] = np.repeat(ak.to_numpy(event["weight"]), counts).astype(np.float32)
    return _with_all(flat, columns)


def _whole(events: ak.Array, number: np.ndarray, labels: Mapping[str, str]) -> ak.Array:
    """One record an event, like that of a jet, with its objects for constituents."""
    if "event" not in events.fields:
        events = _with(events, "event", ak.zip({"event": number}))
    return event_objects(labelled(events, labels) if labels else events)


def labelled(jets: ak.Array, labels: Mapping[str, str]) -> ak.Array:
    """Jets of the classes only, with their label.

    Raises:
        ValueError: a jet that belongs to two classes.
    """
    found = [expressions.passing(jets, text) for text in labels.values()]
    table = np.stack(found, axis=1)  # (N, C)
    several = np.count_nonzero(table.sum(axis=1) > 1)
    if several:
        message = f"{several} jets belong to two classes; make the labels exclude each other"
        raise ValueError(message)
    kept = table.any(axis=1)
    label = table[kept].argmax(axis=1).astype(np.int16)
    return _with_all(jets[kept], {"label": label})


def _with(records: ak.Array, name: str, values: ak.Array | np.ndarray) -> ak.Array:
    return _with_all(records, {name: values})


def _with_all(records: ak.Array, columns: Mapping[str, ak.Array | np.ndarray]) -> ak.Array:
    """Records with more fields; momenta stay momenta."""
    parts = dict(zip(ak.fields(records), ak.unzip(records), strict=True)) | dict(columns)
    return momenta_if(ak.zip(parts, depth_limit=1))
