"""What fivesigma wrote itself, in any container: names and structure are in the file's note.

    {"fivesigma": 1, "kind": "events", "classes": [],
     "fields": {"muons.pt": "muons_pt", ...},   field -> column of the file
     "lists": ["muons", ...],                   groups and fields that are lists
     "nested": {"jets.constituents": "jets_nconstituents"},
     "valid": {"muons": "muons.valid"},
     "slots": {"constituents.pt": 0}, "shapes": {"muons.covariance": [3, 3]}}

Four things are only in the files that need them: `nested`, for lists within lists that a column
has joined, the column of their lengths; `valid`, for lists that are padded, the column that is
true where there is something; `slots`, where several fields share a column, which one it is;
`shapes`, for items of a fixed shape that a column has joined, the shape.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

import awkward as ak
import numpy as np

from fivesigma.formats.layout import Field, Group, Layout, Lists, Records
from fivesigma.formats.tables import Column, Table

__all__ = ["VERSION", "fivesigma", "grouped", "levels", "note_of"]

#: of the note
VERSION = 1


def note_of(
    kind: str,
    columns: Mapping[str, str],
    lists: Collection[str],
    classes: Collection[str],
    **structure: Mapping[str, Any],
) -> dict[str, Any]:
    """The note that a writer leaves in its file.

    Args:
        kind: "events", "jets", "showers", "hits" or "table".
        columns: field, with dots ("jets.constituents.pt") -> column of the file.
        lists: the groups and fields that are lists, e.g. ["jets", "jets.constituents"].
        classes: names of the classes that labels count.
        structure: `nested`, `valid`, `slots` and `shapes`; see the module.
    """
    return {
        "fivesigma": VERSION,
        "kind": kind,
        "fields": dict(columns),
        "lists": list(lists),
        "classes": list(classes),
        **{key: dict(value) for key, value in structure.items() if value},
    }


def fivesigma(table: Table) -> Layout | None:
    """The layout that the note tells; None without a note, or where columns are gone."""
    note = table.metadata
    fields, lists, classes = (note.get(key) for key in ("fields", "lists", "classes"))
    if note.get("fivesigma") != VERSION or not isinstance(fields, dict):
        return None
    if not isinstance(lists, list) or not isinstance(classes, list):
        return None
    made = {name: _field(table.columns, note, name) for name in fields}
    kind = str(note.get("kind"))
    if not made or None in made.values() or (kind == "events" and not all("." in n for n in made)):
        return None
    groups = grouped(kind, made, lists)
    return Layout("fivesigma", kind, groups, classes=tuple(map(str, classes)))


def levels(name: str, lists: Collection[str]) -> list[str]:
    """The lists that a field or group is in, and itself where it is one, the outermost first."""
    found, parts = [], name.split(".")
    for stop in range(1, len(parts) + 1):
        each = ".".join(parts[:stop])
        while each in lists:
            found.append(each)
            each += "[]"
    return found


def _field(columns: Mapping[str, Column], note: Mapping[str, Any], name: str) -> Field | None:
    """The field as nested as its lists; None where the note does not fit the columns."""
    keys = ("nested", "valid", "slots", "shapes")
    nested, valid, slots, shapes = (note.get(key) or {} for key in keys)
    inside = levels(name, note["lists"])
    lengths = tuple(nested[each] for each in inside if each in nested)
    masks = tuple(valid[each] for each in inside if each in valid)
    needed = (note["fields"][name], *lengths, *masks)
    if any(not isinstance(each, str) or each not in columns for each in needed):
        return None
    column = columns[needed[0]]
    axes = len(column.shape) if masks else column.depth + len(lengths)
    if axes < len(inside) or (masks and len(masks) < len(inside)):
        return None
    if masks or name in slots:
        slot = int(slots[name]) if name in slots else None
        return Field(needed, partial(_unpadded, slot))
    shape = tuple(map(int, shapes.get(name, ())))
    return Field(needed, partial(_regrouped, shape) if lengths or shape else None)


def _regrouped(shape: tuple[int, ...], values: ak.Array, *lengths: ak.Array) -> ak.Array:
    """Lists of lists from one list an entry and the lengths of the inner ones, outermost first."""
    joined = np.asarray(ak.flatten(values, axis=1)).reshape(-1, *shape)
    made = ak.Array(joined)
    for each in reversed(lengths):
        made = ak.unflatten(made, np.asarray(ak.flatten(each, axis=1)))
    if lengths:
        return ak.unflatten(made, np.asarray(ak.num(lengths[0], axis=1)))
    return ak.unflatten(made, np.asarray(ak.num(values, axis=1)) // math.prod(shape))


def _unpadded(slot: int | None, values: ak.Array, *masks: ak.Array) -> ak.Array:
    """Lists from fixed lengths and masks, outermost first; `slot` is an index of the last axis."""
    flat = np.asarray(values)
    if slot is not None:
        if not 0 <= slot < flat.shape[-1]:
            message = f"the file's note names column {slot}, expected 0 ... {flat.shape[-1] - 1}"
            raise ValueError(message)
        flat = flat[..., slot]
    kept = [np.asarray(each).astype(bool) for each in masks]
    if not kept:
        return ak.Array(flat)
    if any(each.shape != flat.shape[: each.ndim] for each in kept):
        message = f"masks of shapes {[each.shape for each in kept]} do not fit {flat.shape}"
        raise ValueError(message)
    made = ak.Array(flat[kept[-1]])
    for depth in reversed(range(len(kept))):
        lengths = kept[depth].sum(axis=-1)
        made = ak.unflatten(made, lengths[kept[depth - 1]] if depth else lengths)
    return made


def grouped(kind: str, fields: Mapping[str, Any], lists: Collection[str]) -> dict[str, Group]:
    """Groups from names with dots.

    Args:
        kind: "events": the first part of a name is its collection; else all is one group.
        fields: name -> column, or how it is made of columns.
        lists: the groups that are lists.
    """
    nested: dict[str, Any] = {}
    for name, made in fields.items():
        *path, last = str(name).split(".")
        inner = nested
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = made if isinstance(made, Field) else Field((made,))
    if kind == "events":
        return {name: _group(each, name, lists) for name, each in nested.items()}
    return {kind: _group(nested, "", lists)}


def _group(content: Mapping[str, Any], path: str, lists: Collection[str]) -> Group:
    depth = len(levels(path, lists))
    fields: dict[str, Field | Group] = {}
    for name, each in content.items():
        full = f"{path}.{name}" if path else name
        fields[name] = each if isinstance(each, Field) else _group(each, full, lists)
    return Group(fields, Lists(depth=depth) if depth else Records())
