"""Whole events as sets of their objects, in the form that taggers of jets take.

The event stands where a jet does and its objects where constituents do: then every network of sets
classifies events, with the same inputs, training and export.
"""

from __future__ import annotations

from collections.abc import Sequence

import awkward as ak
import numpy as np

from fivesigma.events import momenta

__all__ = ["OBJECTS", "event_objects"]

#: collection -> PDG number that tells what an object is; jets have PYTHIA's of a cluster, missing
#: momentum that of a neutrino
OBJECTS = {
    "jets": 91, "fatjets": 92, "electrons": 11, "muons": 13, "taus": 15, "photons": 22, "met": 12,
}  # fmt: skip
_PER_EVENT = ("event", "weight", "label", "process")


def event_objects(
    events: ak.Array, collections: Sequence[str] | None = None, *, label: int | None = None
) -> ak.Array:
    """Records like those of `jets`, one per event, whose constituents are the event's objects.

    Args:
        events: N events with some of the collections in `OBJECTS`; objects have `pt eta phi`
            [GeV, rad], and may have `mass` [GeV], `charge` and `btag`. `met` has `pt phi`.
        collections: those to take; None: all that are there.
        label: the class of all events; None: their own field `label`, if they have one.

    Returns:
        (N,) records with `pt eta phi mass` of the sum of all objects, `constituents` by falling pT
        with `pt eta phi mass charge pdg_id btag`, `event`, `weight` and `label`.

    Raises:
        ValueError: none of the collections, or one that is not there.
    """
    chosen = [name for name in OBJECTS if name in events.fields] if collections is None else None
    chosen = list(collections or ()) if chosen is None else chosen
    unknown = [name for name in chosen if name not in OBJECTS or name not in events.fields]
    if unknown or not chosen:
        has = ", ".join(name for name in OBJECTS if name in events.fields) or "none of them"
        message = (
            f"collections {', '.join(unknown) or 'of objects'}: expected some of "
            f"{', '.join(OBJECTS)}; these events have {has}"
        )
        raise ValueError(message)
    objects = ak.concatenate([_objects(events, name) for name in chosen], axis=1)
    objects = objects[ak.argsort(objects.pt, axis=1, ascending=False)]
    total = ak.sum(momenta(objects), axis=1)
    whole = {name: ak.values_astype(getattr(total, name), np.float32) for name in _SUMS}
    whole |= _of_events(events, label)
    return ak.with_field(ak.zip(whole), objects, "constituents")


_SUMS = ("pt", "eta", "phi", "mass")


def _objects(events: ak.Array, name: str) -> ak.Array:
    """One collection with the fields that all share."""
    found = events[name]
    if name == "met":
        found = ak.zip({"pt": found.pt, "eta": ak.zeros_like(found.pt), "phi": found.phi})
        found = ak.unflatten(found, np.ones(len(found), np.int64))
    zeros = ak.zeros_like(found.pt)
    fields = {each: found[each] if each in found.fields else zeros for each in _FIELDS}
    fields = {each: ak.values_astype(values, np.float32) for each, values in fields.items()}
    fields["pdg_id"] = ak.values_astype(zeros + OBJECTS[name], np.int32)
    return ak.zip(fields)


_FIELDS = ("pt", "eta", "phi", "mass", "charge", "btag")


def _of_events(events: ak.Array, label: int | None) -> dict[str, ak.Array]:
    """Number, weight, class and process of each event."""
    kept = {}
    where = events["event"] if "event" in events.fields else events
    for name in _PER_EVENT:
        source = where if name in where.fields else events
        if name in source.fields and source[name].ndim == 1 and not source[name].fields:
            kept[name] = source[name]
    return kept if label is None else kept | {"label": np.full(len(events), label, np.int16)}
