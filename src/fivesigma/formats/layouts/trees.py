"""Trees without a standard: objects found by the names of their columns, or plain columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import awkward as ak
import numpy as np

from fivesigma.formats.fourvectors import momentum_fields, object_fields, standard_name
from fivesigma.formats.layout import Field, Group, Layout, Lists
from fivesigma.formats.tables import Column, Table

__all__ = ["objects", "plain"]

#: beginnings of names -> our collection; others keep their name
_COLLECTIONS = {
    "jet": "jets",
    "fatjet": "fatjets",
    "muon": "muons",
    "mu": "muons",
    "electron": "electrons",
    "el": "electrons",
    "ele": "electrons",
    "photon": "photons",
    "ph": "photons",
    "tau": "taus",
    "track": "tracks",
    "particle": "particles",
    "met": "met",
}
_EVENT = {"eventweight": "weight", "eventnumber": "event", "runnumber": "run"}
_VECTOR = re.compile(r"_?(p4|lv|vec|fourvector)$", re.IGNORECASE)
_NUMBERED = re.compile(r"([A-Za-z_]+?)_?([1-9])$")
_MASSLESS = "objects without mass or energy are taken as massless; a mapping can say otherwise"


def objects(table: Table) -> Layout | None:
    """Objects with momentum: `Muon_Px`, `muon.pt`, `muonp4` (a vector), or `pt1 eta1 ... pt2 ...`.

    Objects that are numbered, one column each, become one list, `objects`.
    """
    groups: dict[str, Group] = {}
    lists = {name: each for name, each in table.columns.items() if each.depth == 1}
    single = {name: each for name, each in table.columns.items() if each.depth == 0}
    for prefix, names in _by_prefix(lists).items():
        fields = object_fields(names, prefix)
        if {"pt", "eta"} <= fields.keys():
            groups[_collection(prefix)] = Group(_complete(fields), Lists())
    for prefix, names in _by_prefix(single).items():
        fields = object_fields(names, prefix)
        if {"pt", "phi"} <= fields.keys() and _collection(prefix) not in groups:
            groups[_collection(prefix)] = Group(dict(fields))
    notes: tuple[str, ...] = ()
    if not groups:
        numbered = _numbered(single)
        if numbered is None:
            return None
        groups["objects"], notes = numbered
    used = {column for group in groups.values() for column in group.columns()}
    rest = [name for name in (*single, *lists) if name not in used and not _counter(name, lists)]
    if rest:
        groups = {"event": Group(_event_fields(rest)), **groups}
    return Layout("objects", "events", groups, unit=None, notes=notes)


def plain(table: Table) -> Layout | None:
    """Any columns as they are: one record an entry."""
    if not table.columns:
        return None
    group = Group({standard_name(name): Field((name,)) for name in table.columns})
    return Layout("table", "table", {"rows": group}, unit="GeV")


def _collection(prefix: str) -> str:
    return _COLLECTIONS.get(prefix.lower().removesuffix("s"), prefix)


def _by_prefix(columns: Mapping[str, Column]) -> dict[str, dict[str, str]]:
    """Prefix -> {name within the object: column}, for `Jet_Px`, `jet.pt` and vectors `jetp4`."""
    found: dict[str, dict[str, str]] = {}
    for name in columns:
        prefix, rest = (*re.split(r"[_.]", name, maxsplit=1), "")[:2]
        if rest and not columns[name].shape:
            found.setdefault(_VECTOR.sub("", prefix), {})[rest] = name
    for name in columns:
        for prefix in found:
            if re.match(rf"{re.escape(prefix)}[a-z]\w*$", name) and "." not in name:
                found[prefix].setdefault(name[len(prefix) :], name)
    return found


def _complete(fields: dict[str, Field]) -> dict[str, Field | Group]:
    """With a mass, so that the objects are four-vectors."""
    if "mass" not in fields:
        fields["mass"] = Field((fields["pt"].columns[0],), _zeros)
    return dict(fields)


def _zeros(like: ak.Array) -> ak.Array:
    return ak.zeros_like(like)


def _counter(name: str, lists: Mapping[str, Column]) -> bool:
    """Whether a column only counts the objects: `NJet`, `nMuon`, `num_jets`."""
    found = re.match(r"(?:n|num_?)([A-Za-z]+?)s?$", name, re.IGNORECASE)
    if found is None:
        return False
    stem = found[1].lower()
    return any(each.lower().startswith((f"{stem}_", f"{stem}.")) for each in lists)


def _event_fields(names: Iterable[str]) -> dict[str, Field | Group]:
    fields: dict[str, Field | Group] = {}
    for name in names:
        standard = _EVENT.get(name.lower(), re.sub(r"\W+", "_", name))
        lower = name.lower() in ("run", "event", "weight")
        fields[name.lower() if lower else standard] = Field((name,))
    return fields


def _numbered(columns: Mapping[str, Column]) -> tuple[Group, tuple[str, ...]] | None:
    """One list of objects from `pt1 eta1 phi1 ... pt2 eta2 phi2 ...`, and what to know of it."""
    found: dict[int, dict[str, str]] = {}
    for name, column in columns.items():
        match = _NUMBERED.match(name)
        if match is not None and column.dtype != "str":
            found.setdefault(int(match[2]), {})[match[1]] = name
    count = next((n for n in range(1, 11) if n not in found), 1) - 1
    shared = (
        set.intersection(*(set(found[n]) for n in range(1, count + 1))) if count > 1 else set()
    )
    first = {standard_name(stem): found[1][stem] for stem in found.get(1, ()) if stem in shared}
    if "mass" not in momentum_fields(first, 0.0):
        return None
    made = _complete(object_fields({stem: found[1][stem] for stem in found[1] if stem in shared}))
    stem_of = {column: stem for stem, column in found[1].items()}
    fields: dict[str, Field | Group] = {}
    for name, field in made.items():
        if isinstance(field, Field):
            stems = [stem_of[column] for column in field.columns]
            every = tuple(found[n][stem] for n in range(1, count + 1) for stem in stems)
            formula = partial(_stacked, len(stems), field.formula)
            fields[name] = Field(every, formula, field.energy)
    notes = () if "mass" in momentum_fields(first) else (_MASSLESS,)
    return Group(fields, Lists()), notes


def _stacked(each: int, formula: Callable[..., Any] | None, *columns: ak.Array) -> ak.Array:
    """(N, number of objects) lists from the columns of one object after the other."""
    parts = [columns[at : at + each] for at in range(0, len(columns), each)]
    made = [part[0] if formula is None else formula(*part) for part in parts]
    table = np.stack([np.asarray(one) for one in made], axis=1)
    return ak.unflatten(table.reshape(-1), np.full(len(table), table.shape[1]))
