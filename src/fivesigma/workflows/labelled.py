"""Files of any format into labelled events: signal is 0, background 1."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import awkward as ak
import numpy as np

from fivesigma.expressions import define, parse, select
from fivesigma.formats import expand, open_file
from fivesigma.reconstruction.objects import event_objects
from fivesigma.search.classifiers import BACKGROUND, SIGNAL
from fivesigma.search.samples import expanded

__all__ = ["Columns", "quantities_of", "read_labelled", "varied_events", "with_objects"]

#: fields that are no quantities of an event
_OTHERS = ("label", "weight", "event", "process", "run")


@dataclass(frozen=True)
class Columns:
    """What is where in the events."""

    label: str = "label"
    """Column that tells the class, where files hold both."""
    signal: str = "signal"
    """The class in it that is signal: its name, or its number where classes have no names."""
    weight: str = ""
    """Column of event weights, which may be negative; none: `weight` if there is one, else 1."""
    event: str = ""
    """Column of event numbers; none: `event` if there is one, else the row's number."""
    define: dict[str, str] = field(default_factory=dict)
    """New quantities by expression, in this order, before the cut: name -> expression."""
    where: str = ""
    """Cut on events, an expression."""


def read_labelled(
    files: Sequence[str],
    signal_files: Sequence[str] = (),
    columns: Columns | None = None,
    mapping: Path | None = None,
    tree: str | None = None,
) -> ak.Array:
    """Read events with their classes.

    Args:
        files: of both classes; of background alone if there are `signal_files`;
            ${NAME:-default} is taken from the environment.
        signal_files: of signal alone.
        columns: what is where.
        mapping: YAML that names the columns of a table.
        tree: which tree or group, where a file has several.

    Returns:
        (N,) records with `label` (0 signal, 1 background), and `weight` and `event` where known.

    Raises:
        ValueError: an unknown column or class, or files that do not fit together.
        FileNotFoundError: a name or pattern that fits no file.
    """
    columns = columns or Columns()
    parts = []
    for names, label in ((files, BACKGROUND if signal_files else None), (signal_files, SIGNAL)):
        for name in expand([expanded(each) for each in names]) if names else []:
            with open_file(name, mapping=mapping, tree=tree) as source:
                events, classes = source.read(), source.classes
            parts.append(_prepared(name, events, classes, columns, label))
    if not parts:
        message = "no files to classify; name some"
        raise ValueError(message)
    kept = [name for name in parts[0].fields if all(name in part.fields for part in parts)]
    return parts[0] if len(parts) == 1 else ak.concatenate([part[kept] for part in parts])


def _prepared(
    path: str, events: ak.Array, classes: Sequence[str], columns: Columns, label: int | None
) -> ak.Array:
    try:
        events = define(events, columns.define)
        events = select(events, columns.where) if columns.where else events
        for name, wanted in (("weight", columns.weight), ("event", columns.event)):
            if wanted:
                events = ak.with_field(events, _column(events, wanted), name)
        events = _flattened(events)
        if label is not None:
            return ak.with_field(events, np.full(len(events), label, np.int64), "label")
        return _labelled(events, classes, columns)
    except ValueError as error:
        message = f"{path}: {error}"
        raise ValueError(message) from None


def _flattened(events: ak.Array) -> ak.Array:
    """Number and weight of each event beside its quantities, not in the collection `event`."""
    if "event" not in events.fields or not events["event"].fields:
        return events
    about = events["event"]
    rest = events[[name for name in events.fields if name != "event"]]
    for name in ("event", "weight"):
        if name in about.fields and name not in rest.fields:
            rest = ak.with_field(rest, about[name], name)
    return rest


def _labelled(events: ak.Array, classes: Sequence[str], columns: Columns) -> ak.Array:
    """Labels 0 and 1 from the file's own; events of no class are left out."""
    values = ak.to_numpy(_column(events, columns.label))
    if classes:
        if columns.signal not in classes:
            raise _unknown("class", columns.signal, classes)
        wanted: float = list(classes).index(columns.signal)
    else:
        # without names, 1 is signal as everywhere in the field
        text = "1" if columns.signal == "signal" else columns.signal
        found = sorted(map(float, np.unique(values)))
        if text not in {f"{value:g}" for value in found}:
            raise _unknown("label", text, [f"{value:g}" for value in found[:20]])
        wanted = float(text)
    label = np.where(values == wanted, SIGNAL, BACKGROUND)
    events = ak.with_field(events, label, "label")
    return events[values >= 0] if classes else events


def _column(events: ak.Array, name: str) -> ak.Array:
    """A column, or a field of a collection: `event.weight`."""
    if name in events.fields:
        return events[name]
    first, _, second = name.partition(".")
    if second and first in events.fields and second in events[first].fields:
        return events[first][second]
    raise _unknown("column", name, events.fields)


def _unknown(what: str, name: str, choices: Sequence[str]) -> ValueError:
    close = difflib.get_close_matches(name, choices, 3, 0.5)
    hint = f"did you mean {', '.join(close)}?" if close else f"there are {', '.join(choices)}"
    return ValueError(f"no {what} {name!r}; {hint}")


def quantities_of(events: ak.Array, features: Sequence[str], others: Sequence[str]) -> list[str]:
    """Names of the quantities of events that classifiers see by default.

    Args:
        events: labelled events.
        features: those that were asked for; none: all with one number an event.
        others: names that are not to be among these.

    Raises:
        ValueError: one that is not there.
    """
    for name in features:
        if name not in events.fields:
            raise _unknown("feature", name, events.fields)
    if features:
        return list(features)
    plain = [
        name
        for name in events.fields
        if name not in (*_OTHERS, *others) and events[name].ndim == 1 and not events[name].fields
    ]
    return [name for name in plain if ak.to_numpy(events[name][:1]).dtype.kind in "biuf"]


def with_objects(events: ak.Array) -> ak.Array:
    """Events whose objects stand where constituents do, beside their own quantities.

    Raises:
        ValueError: events without objects.
    """
    if "constituents" in events.fields:
        return events
    found = event_objects(events)
    for name in events.fields:
        if name not in found.fields and events[name].ndim == 1 and not events[name].fields:
            found = ak.with_field(found, events[name], name)
    return found


def varied_events(
    events: ak.Array, variations: Mapping[str, Mapping[str, str]]
) -> dict[str, ak.Array]:
    """The same events under systematic variations.

    Args:
        events: (N,) labelled events.
        variations: name -> column -> expression of its varied values, from nominal ones; `weight`
            is a column, too.

    Raises:
        ValueError: a column that is not there, or an expression that fails.
    """
    found = {}
    for name, changes in variations.items():
        moved = events
        for column, text in changes.items():
            try:
                if column not in events.fields:
                    raise _unknown("column", column, events.fields)
                moved = ak.with_field(moved, parse(text)(events), column)
            except ValueError as error:
                message = f"variation {name!r}: {column}: {error}"
                raise ValueError(message) from None
        found[name] = moved
    return found
