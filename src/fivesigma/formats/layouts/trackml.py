"""TrackML's tables of hits, cells, truth, particles and modules (arXiv:1904.06778).

Each file is a plain table; `read_event` joins the files of one event.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from fivesigma.formats.containers.text import open_tables
from fivesigma.formats.fourvectors import object_fields
from fivesigma.formats.layout import Field, Group, Layout
from fivesigma.formats.remote import is_remote, open_remote
from fivesigma.formats.source import Source
from fivesigma.formats.tables import Table, reading
from fivesigma.units import mass

__all__ = ["cells", "detectors", "hits", "particles", "read_event", "truth"]

_HITS = ("hit_id", "x", "y", "z", "volume_id", "layer_id", "module_id")
_TRUTH = ("hit_id", "particle_id", "tx", "ty", "tz", "tpx", "tpy", "tpz", "weight")
_CELLS = ("hit_id", "ch0", "ch1", "value")
_PARTICLES = ("particle_id", "vx", "vy", "vz", "px", "py", "pz", "q")
_MODULES = ("volume_id", "layer_id", "module_id", "cx", "cy", "cz", "rot_xu", "module_t")
_PDG = "particle_type"
#: fields of the truth that become fields of the hits
_OF_HITS = ("particle_id", "tx", "ty", "tz", "weight")
_SUFFIXES = (".csv", ".csv.gz")


def hits(table: Table) -> Layout | None:
    """Hits: number, place [mm], and the module that was hit."""
    return _plain("trackml-hits", table, _HITS)


def cells(table: Table) -> Layout | None:
    """Cells of the detector that belong to hits: channels, and the signal."""
    return _plain("trackml-cells", table, _CELLS)


def truth(table: Table) -> Layout | None:
    """For each hit its particle (0: noise), true place [mm], momentum [GeV] and weight."""
    return _plain("trackml-truth", table, _TRUTH, energies=("tpx", "tpy", "tpz"))


def detectors(table: Table) -> Layout | None:
    """The modules: centre, rotation, thickness, half widths and pitches [mm]."""
    return _plain("trackml-detectors", table, _MODULES)


def particles(table: Table) -> Layout | None:
    """Particles: vertex [mm], momentum at it [GeV], charge and number of hits."""
    if not set(_PARTICLES) <= table.columns.keys():
        return None
    names = {"pdg_id" if name == _PDG else name: name for name in _named(table)}
    made = object_fields(names)
    if "pdg_id" in made:
        made["mass"] = Field((_PDG,), _masses)
    return Layout("trackml-particles", "hits", {"particles": Group(dict(made))})


def _masses(pdg_id: ak.Array) -> np.ndarray:
    """Masses [GeV]; 0 of numbers that the PDG does not know."""
    numbers, where = np.unique(np.asarray(pdg_id), return_inverse=True)
    return np.array([_mass(int(number)) for number in numbers], np.float64)[where]


def _mass(pdg_id: int) -> float:
    try:
        return mass(pdg_id)
    except (ValueError, RuntimeError):  # the latter of numbers that break the scheme
        return 0.0


def _plain(
    name: str, table: Table, needed: Collection[str], energies: Collection[str] = ()
) -> Layout | None:
    if not set(needed) <= table.columns.keys():
        return None
    fields: dict[str, Field | Group] = {
        each: Field((each,), energy=each in energies) for each in _named(table)
    }
    return Layout(name, "hits", {"rows": Group(fields)})


def _named(table: Table) -> list[str]:
    """Columns, without the rows' numbers that some programs write before them."""
    return [name for name in table.columns if name != "column_0"]


def read_event(prefix: str) -> ak.Array:
    """The files of one event as one event.

    Args:
        prefix: e.g. "train/event000001000", for `event000001000-hits.csv`, `-truth`, `-particles`
            and `-cells`, each plain or `.gz`. Only the hits must be there.

    Returns:
        (1,) event with `hits` {hit_id, x, y, z [mm], volume_id, layer_id, module_id} and what is
        there of: particle_id, tx, ty, tz [mm], weight (from the truth), `cells` {ch0, ch1, value};
        and `particles` {particle_id, pt, eta, phi, mass [GeV], charge, vx, vy, vz [mm] ...}.

    Raises:
        FileNotFoundError: no file of hits.
        ValueError: a damaged file, or hits without truth.
    """
    found = _read(prefix, "hits")
    if found is None:
        message = (
            f"no file {prefix}-hits.csv or {prefix}-hits.csv.gz; expected it, and beside it "
            "-truth, -particles and -cells where there are any"
        )
        raise FileNotFoundError(message)
    records = {name: found[name] for name in found.fields}
    numbers = np.asarray(found["hit_id"])
    if (of_hits := _read(prefix, "truth")) is not None:
        rows = _rows_of(prefix, np.asarray(of_hits["hit_id"]), numbers)
        records |= {name: of_hits[name][rows] for name in _OF_HITS}
    if (of_cells := _read(prefix, "cells")) is not None:
        records["cells"] = _cells_of(of_cells, numbers)
    event = {"hits": _one(ak.zip(records, depth_limit=1))}
    if (generated := _read(prefix, "particles")) is not None:
        event["particles"] = _one(generated)
    return ak.zip(event, depth_limit=1)


def _one(rows: ak.Array) -> ak.Array:
    return ak.unflatten(rows, [len(rows)])


_LAYOUTS = {"hits": hits, "truth": truth, "cells": cells, "particles": particles}


def _read(prefix: str, part: str) -> ak.Array | None:
    """One of the files, None where it is not there."""
    for suffix in _SUFFIXES:
        path = f"{prefix}-{part}{suffix}"
        try:
            file = _opened(path)
        except FileNotFoundError:
            continue
        with file, reading(path):
            table = open_tables(path, file)[0]
            layout = _LAYOUTS[part](table)
            if layout is None:
                message = f"{path}: has {', '.join(table.columns)}; expected TrackML's {part}"
                raise ValueError(message)
            return Source(table, layout).read()
    return None


def _opened(path: str) -> Any:
    return open_remote(path) if is_remote(path) else Path(path).open("rb")


def _rows_of(prefix: str, has: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """The row of the truth of each hit."""
    order = np.argsort(has, kind="stable")
    at = np.searchsorted(has[order], wanted)
    rows = order[np.minimum(at, len(order) - 1)] if len(order) else np.zeros(0, np.int64)
    if len(rows) != len(wanted) or (has[rows] != wanted).any():
        message = f"{prefix}-truth: lacks some of the hits; expected a row for each hit_id"
        raise ValueError(message)
    return rows


def _cells_of(found: ak.Array, hit_id: np.ndarray) -> ak.Array:
    """Lists of cells, one for each hit; cells of hits that are not there are left out."""
    owner = np.asarray(found["hit_id"])
    order = np.argsort(owner, kind="stable")
    first = np.searchsorted(owner[order], hit_id, side="left")
    counts = np.searchsorted(owner[order], hit_id, side="right") - first
    ends = np.cumsum(counts)
    index = np.repeat(first - (ends - counts), counts) + np.arange(counts.sum())
    kept = found[["ch0", "ch1", "value"]][order[index]]
    return ak.unflatten(kept, counts)
