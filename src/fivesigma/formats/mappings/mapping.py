"""Mappings: a short YAML file that names the columns of each field, for files without a standard.

    kind: jets
    fields:
      pt: jet_pt
      eta: jet_eta
      phi: jet_phi
      constituents: {px: part_px, py: part_py, pz: part_pz, energy: part_e}
    label: {top: is_top, qcd: is_qcd}

Names only: nothing in it is evaluated. The data configuration of weaver is read, too.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import awkward as ak
import numpy as np

from fivesigma.formats.fourvectors import standard_name
from fivesigma.formats.layout import Field, Group, Layout
from fivesigma.formats.layouts.jetclass import one_hot
from fivesigma.formats.mappings.mappedgroups import GroupMaker, padding_column
from fivesigma.formats.mappings.renamed import Renamed
from fivesigma.formats.mappings.weaver import WeaverConfig, is_weaver, read_weaver, weaver_layout
from fivesigma.formats.mappings.yamlfile import read_yaml
from fivesigma.formats.tables import Table, missing_columns

__all__ = ["WeaverConfig", "mapped", "read_weaver"]

_KEYS = (
    *("kind", "tree", "unit", "columns", "fields"),
    *("label", "classes", "padding", "weights", "notes"),
)
_KINDS = ("events", "jets", "showers", "hits", "table")


def mapped(tables: list[Table], path: str | os.PathLike[str]) -> tuple[Table, Layout]:
    """The table that a mapping means, and the layout it says.

    Args:
        tables: of one file, at least one.
        path: the YAML file: a mapping, or a data configuration of weaver.

    Raises:
        FileNotFoundError: no such YAML file.
        ValueError: a key or value that a mapping does not have, or columns that the table lacks.
    """
    name, data = os.fspath(path), tables[0].path
    try:
        content = read_yaml(name)
        if is_weaver(content):
            config = read_weaver(name)
            table = _table(tables, config.treename, config.columns())
            return table, weaver_layout(table, config)
        _check_keys(content)
        table = _table(tables, content.get("tree"), list(_named(content)))
        if "columns" in content:
            table = Renamed(table, _texts(content["columns"], "columns"))
        return table, _layout(table, content)
    except ValueError as error:
        message = f"{data}: mapping {name}: {str(error).removeprefix(f'{data}: ')}"
        raise ValueError(message) from None


def _table(tables: list[Table], tree: Any, columns: list[str]) -> Table:
    """The table of this name; else the first that has all columns."""
    if tree is None:
        return next((t for t in tables if t.columns.keys() >= set(columns)), tables[0])
    found = next((table for table in tables if table.name == tree), None)
    # a text or Parquet file has one table, which has no name
    if found is None and [table.name for table in tables] != [""]:
        message = f"no tree {tree!r}; it has {', '.join(table.name for table in tables)}"
        raise ValueError(message)
    return found or tables[0]


def _layout(table: Table, content: Mapping[str, Any]) -> Layout:
    """What the mapping says of a table."""
    named = list(dict.fromkeys(_named(content)))
    absent = [name for name in named if name not in table.columns]
    if absent:
        raise missing_columns(table.path, absent, table.columns)
    fields = content.get("fields")
    nested = any(isinstance(each, dict) for each in (fields or {}).values())
    kind = _choice(content, "kind", _KINDS, "events" if nested else "table")
    more, classes = _label(table, content)
    if "weights" in content:
        more["weight_variations"] = _variations(table, _texts(content["weights"], "weights"))
    maker = GroupMaker(table, content.get("padding"))
    if fields:
        groups = maker.groups(kind, fields, more)
    elif kind == "table":
        rest = {standard_name(n): Field((n,)) for n in table.columns if n not in named}
        groups = {"rows": Group({**rest, **more})}
    else:
        message = f"no fields; a mapping of kind {kind} needs them"
        raise ValueError(message)
    unit = _choice(content, "unit", ("GeV", "MeV"), "GeV")
    notes = [*_texts(content.get("notes") or [], "notes"), *maker.notes]
    return Layout("mapping", kind, groups, unit=unit, classes=classes, notes=tuple(notes))


def _check_keys(content: Mapping[str, Any]) -> None:
    for key in content:
        if key not in _KEYS:
            close = difflib.get_close_matches(str(key), _KEYS, 1)
            hint = f"did you mean {close[0]!r}?" if close else f"choose from {', '.join(_KEYS)}"
            message = f"unknown key {key!r}; {hint}"
            raise ValueError(message)


def _choice(content: Mapping[str, Any], key: str, choices: Sequence[str], default: str) -> str:
    found = content.get(key, default)
    if found not in choices:
        message = f"{key}: {found!r}; choose from {', '.join(choices)}"
        raise ValueError(message)
    return str(found)


def _texts(found: Any, key: str) -> list[str]:
    """A list of names, or one name."""
    given = found if isinstance(found, list) else [found]
    if not all(isinstance(each, str) for each in given):
        message = f"{key}: expected names, got {found!r}"
        raise ValueError(message)
    return given


def _named(content: Mapping[str, Any]) -> Iterator[str]:
    """All columns that a mapping names."""
    yield from _leaves(content.get("fields") or {}, "fields")
    label = content.get("label")
    if isinstance(label, dict):
        yield from _leaves(label, "label")
    elif label is not None:
        yield from _texts(label, "label")
    yield from _texts(content.get("weights", []), "weights")
    column = padding_column(content.get("padding"))
    if column is not None:
        yield column


def _leaves(fields: Any, key: str) -> Iterator[str]:
    """The columns behind names, behind names of names."""
    if not isinstance(fields, dict) or not all(isinstance(name, str) for name in fields):
        message = f"{key}: expected names and columns, got {fields!r}"
        raise ValueError(message)
    for name, each in fields.items():
        if isinstance(each, dict):
            yield from _leaves(each, f"{key}: {name}")
        elif isinstance(each, str):
            yield each
        else:
            message = f"{key}: {name}: expected the name of a column, got {each!r}"
            raise ValueError(message)


def _label(table: Table, content: Mapping[str, Any]) -> tuple[dict[str, Field], tuple[str, ...]]:
    """The field `label`, if any, and the classes it counts."""
    label, classes = content.get("label"), content.get("classes")
    if label is None:
        return {}, ()
    columns = list(label.values()) if isinstance(label, dict) else _texts(label, "label")
    several = [n for n in columns if (table.columns[n].depth, table.columns[n].shape) != (0, ())]
    if several or not columns:
        message = f"label: {', '.join(several) or 'no column'}; expected one value an entry"
        raise ValueError(message)
    if isinstance(label, dict):
        return {"label": one_hot(columns)}, tuple(label)
    if len(columns) > 1:
        return {"label": one_hot(columns)}, tuple(columns)
    text = table.columns[columns[0]].dtype == "str"
    if isinstance(classes, list):
        classes = {str(name): name if text else i for i, name in enumerate(classes)}
    kind = str if text else (int, float)
    if not isinstance(classes, dict) or not all(isinstance(v, kind) for v in classes.values()):
        wanted = "{b: bottom, c: charm}" if text else "{b: 5, c: 4} or [background, signal]"
        message = f"classes: {classes!r}; expected what the values of {columns[0]} mean: {wanted}"
        raise ValueError(message)
    field = Field((columns[0],), partial(_index, tuple(classes.values())))
    return {"label": field}, tuple(map(str, classes))


def _index(values: tuple[Any, ...], column: ak.Array) -> np.ndarray:
    """Which of the values each entry has, -1 for others."""
    found = np.asarray(ak.to_numpy(column))
    label = np.full(len(found), -1, np.int16)
    for i, value in enumerate(values):
        label[found == value] = i
    return label


def _variations(table: Table, names: list[str]) -> Field:
    """A list of weights an entry: of several columns, or one column of lists."""
    plain = [(table.columns[name].depth, table.columns[name].shape) == (0, ()) for name in names]
    if not names or len(names) > 1 and not all(plain):
        message = f"weights: {', '.join(names)}; expected columns of one value, or one of lists"
        raise ValueError(message)
    return Field(tuple(names), _stacked if all(plain) else None)


def _stacked(*columns: ak.Array) -> ak.Array:
    table = np.stack([np.asarray(each, np.float64) for each in columns], axis=1)
    return ak.from_regular(ak.Array(table), axis=1)
