"""The formats that files of others have: recognised by their content, read as Events, written.

    with open_file("nano.root") as source:
        for events in source.iterate(["muons", "met"], step="100 MB"): ...

`CONTAINERS` opens a file as a table of columns; `FORMATS` names the layouts, which say what the
columns are. The first whose names fit is taken.
"""

from __future__ import annotations

import glob as globbing
import os
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import awkward as ak

from fivesigma.formats.content import container_of
from fivesigma.formats.layout import Layout
from fivesigma.formats.remote import is_remote, open_remote
from fivesigma.formats.source import UNITS, Source
from fivesigma.formats.tables import Table, reading
from fivesigma.manifests import is_dataset

__all__ = ["CONTAINERS", "FORMATS", "Format", "Source", "expand", "open_file", "read"]

#: container -> module with `open_tables(path, file)`
CONTAINERS = {
    "root": "fivesigma.formats.containers.root",
    "hdf5": "fivesigma.formats.containers.hdf5",
    "npz": "fivesigma.formats.containers.arrays",
    "npy": "fivesigma.formats.containers.arrays",
    "parquet": "fivesigma.formats.containers.parquet",
    "feather": "fivesigma.formats.containers.parquet",
    "csv": "fivesigma.formats.containers.text",
    "lhe": "fivesigma.formats.containers.generators",
    "hepmc": "fivesigma.formats.containers.generators",
}


class Format(NamedTuple):
    """One layout of columns.

    Attributes:
        layout: "module:function"; the function takes a `Table` and gives its `Layout`, or None
            where the columns are not of this format.
        kind: what is read: "events", "jets", "showers", "hits" or "table".
        meaning: what it is, for people.
    """

    layout: str
    kind: str
    meaning: str


#: name -> format, in the order in which they are tried
FORMATS: dict[str, Format] = {
    "dataset": Format("containers.folders:dataset", "any", "a dataset of fivesigma, a folder"),
    "fivesigma": Format("layouts.own:fivesigma", "any", "written by fivesigma, in any container"),
    "pfnano": Format(
        "layouts.cms:pfnano", "events", "CMS PFNano: NanoAOD with candidates in jets"
    ),
    "nanoaod": Format("layouts.cms:nanoaod", "events", "CMS NanoAOD, and trees built like it"),
    "physlite": Format("layouts.atlas:physlite", "events", "ATLAS PHYSLITE"),
    "delphes": Format("layouts.delphes:delphes", "events", "Delphes"),
    "top-tagging": Format(
        "layouts.hdf5_jets:top_tagging", "jets", "Top Quark Tagging Reference Dataset (HDF5)"
    ),
    "lhco-features": Format(
        "layouts.hdf5_jets:lhco_features", "events", "LHC Olympics: two jets (HDF5)"
    ),
    "lhco": Format(
        "layouts.hdf5_jets:lhco", "events", "LHC Olympics R&D: 700 particles an event (HDF5)"
    ),
    "jetnet": Format("layouts.hdf5_jets:jetnet", "jets", "JetNet (HDF5)"),
    "hls4ml-jets": Format("layouts.hdf5_jets:hls4ml_jets", "jets", "hls4ml LHC jets (HDF5)"),
    "atlas-top": Format(
        "layouts.hdf5_jets:atlas_top", "jets", "ATLAS top-tagging open data (HDF5)"
    ),
    "calochallenge": Format(
        "layouts.hdf5_jets:calochallenge", "showers", "CaloChallenge showers (HDF5)"
    ),
    "structured": Format(
        "layouts.hdf5_structured:structured",
        "jets",
        "structured arrays of jets and tracks: salt, umami",
    ),
    "energyflow": Format(
        "layouts.numpy_jets:energyflow", "jets", "EnergyFlow quark and gluon jets (npz)"
    ),
    "flat-jets": Format("layouts.numpy_jets:flat_jets", "jets", "four-vectors with counts (npz)"),
    "weaver-npz": Format("layouts.numpy_jets:weaver_npz", "jets", "features, vectors, mask (npz)"),
    "trackml-graph": Format(
        "layouts.numpy_jets:trackml_graph", "hits", "graph of TrackML hits (npz)"
    ),
    "lhco-windows": Format(
        "layouts.numpy_jets:lhco_windows", "table", "LHC Olympics, 5 features (npy)"
    ),
    "trackml-hits": Format("layouts.trackml:hits", "hits", "TrackML hits (CSV)"),
    "trackml-cells": Format("layouts.trackml:cells", "hits", "TrackML cells (CSV)"),
    "trackml-truth": Format("layouts.trackml:truth", "hits", "TrackML truth (CSV)"),
    "trackml-particles": Format("layouts.trackml:particles", "hits", "TrackML particles (CSV)"),
    "trackml-detectors": Format("layouts.trackml:detectors", "hits", "TrackML modules (CSV)"),
    "lhe": Format("containers.generators:lhe", "events", "Les Houches events"),
    "hepmc": Format("containers.generators:hepmc", "events", "HepMC 2 and 3"),
    "jets": Format(
        "containers.parquet:shards", "jets", "jets with constituents as nested columns"
    ),
    "jetclass": Format(
        "layouts.jetclass:jetclass", "jets", "JetClass: part_px ..., jet_pt, label_QCD"
    ),
    "objects": Format(
        "layouts.trees:objects", "events", "trees of objects: Muon_Px, jetp4, pt1 pt2 ..."
    ),
    "table": Format("layouts.trees:plain", "table", "any other columns of numbers"),
}


def open_file(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    tree: str | None = None,
    mapping: str | os.PathLike[str] | None = None,
    unit: str | None = None,
) -> Source:
    """Open a file and say what it is.

    Args:
        path: a local file, or an address (`https://...`, `root://...`).
        format: a name in `FORMATS`; recognised by content if None.
        tree: which tree or group, where a file has several; the most likely if None.
        mapping: YAML that names the columns of each field, for unknown trees and for tables
            without names; see `fivesigma.formats.mappings.mapping`.
        unit: "GeV" or "MeV" of energies in the file; known or guessed if None.

    Raises:
        FileNotFoundError: no such file.
        ValueError: empty, damaged or unknown; or columns that the format needs are missing.
        ConnectionError: a host that does not answer.
    """
    if format is not None and format not in FORMATS:
        message = f"unknown format {format!r}; choose from {', '.join(FORMATS)}"
        raise ValueError(message)
    if unit not in (None, *UNITS):
        message = f"unknown unit {unit!r}; choose from {', '.join(UNITS)}"
        raise ValueError(message)
    name = os.fspath(path)
    file = _opened(name)
    try:
        with reading(name):
            tables = _open_tables(name, file)
            table, layout = _choose(name, tables, format, tree, mapping)
            return Source(table, layout, unit, file)
    except BaseException:
        if file is not None:
            file.close()
        raise


def _opened(path: str) -> Any:
    """The file as an object; None for the folder of a dataset."""
    if is_remote(path):
        return open_remote(path)
    if is_dataset(Path(path)):
        return None
    if Path(path).is_dir():
        message = f"{path} is a folder; give its files, e.g. {path}/*.root"
        raise IsADirectoryError(message)
    if not Path(path).is_file():
        message = f"no file {path}"
        raise FileNotFoundError(message)
    return Path(path).open("rb")


def _open_tables(path: str, file: Any) -> list[Table]:
    if file is None:
        from fivesigma.formats.containers.folders import DatasetTable

        return [DatasetTable(path)]
    module = import_module(CONTAINERS[container_of(path, file)])
    tables: list[Table] = module.open_tables(path, file)
    return tables


def _choose(
    path: str,
    tables: list[Table],
    format: str | None,
    tree: str | None,
    mapping: str | os.PathLike[str] | None,
) -> tuple[Table, Layout]:
    """The table that fits best, and its layout."""
    if tree is not None:
        named = [table for table in tables if table.name == tree]
        if not named:
            has = ", ".join(table.name for table in tables)
            message = f"{path}: no tree {tree!r}; it has {has or 'none'}"
            raise ValueError(message)
        tables = named
    if not tables:
        message = f"{path}: no tree and no table in it; `fivesigma inspect` tells what there is"
        raise ValueError(message)
    if mapping is not None:
        from fivesigma.formats.mappings.mapping import mapped

        return mapped(tables, mapping)
    for name in FORMATS if format is None else [format]:
        for table in tables:
            layout = _layout(name)(table)
            if layout is not None:
                return table, layout
    message = f"{path}: its columns are not those of {format or 'any known format'}"
    raise ValueError(message)


def _layout(name: str) -> Callable[[Table], Layout | None]:
    module, function = FORMATS[name].layout.split(":")
    found: Callable[[Table], Layout | None] = getattr(
        import_module(f"fivesigma.formats.{module}"), function
    )
    return found


def expand(paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> list[str]:
    """Names of files from names, glob patterns, folders and addresses, sorted within a pattern.

    Raises:
        FileNotFoundError: a name or pattern that fits no file.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else paths
    found: list[str] = []
    for each in [os.fspath(path) for path in given]:
        if is_remote(each) or Path(each).is_file() or is_dataset(Path(each)):
            found.append(each)
            continue
        pattern = f"{each}/*" if Path(each).is_dir() else each
        files = sorted(n for n in globbing.glob(pattern) if Path(n).is_file())  # noqa: PTH207
        if not files:
            message = f"no file {each}"
            raise FileNotFoundError(message)
        found += files
    return list(dict.fromkeys(found))


def read(
    paths: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    columns: Sequence[str] | None = None,
    **options: Any,
) -> ak.Array:
    """Read files into memory, one after the other.

    Args:
        paths: files, glob patterns, addresses.
        columns: fields or collections, e.g. ["muons.pt", "met"]; None reads all.
        options: as in `open_file`.

    Raises:
        ValueError: as `open_file`; or files of different formats.
    """
    parts = []
    for path in expand(paths):
        with open_file(path, **options) as source:
            parts.append(source.read(columns))
    return parts[0] if len(parts) == 1 else ak.concatenate(parts)
