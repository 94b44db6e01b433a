"""ROOT files: trees with flat branches like NanoAOD's or JetClass's, and RNTuples."""

from __future__ import annotations

import contextlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any, ClassVar

import awkward as ak
import numpy as np
import uproot

from fivesigma.formats.containers.root import NOTE
from fivesigma.formats.layouts.own import note_of
from fivesigma.formats.writers import Writer
from fivesigma.formats.writers.flat import Flat, Leaf, flatten, refuse_text, unique

__all__ = ["NTupleWriter", "TreeWriter"]

_METHODS = {"zstd": uproot.ZSTD, "lzma": uproot.LZMA, "lz4": uproot.LZ4, "zlib": uproot.ZLIB}
_LENGTHS = ak.types.ListType(ak.types.NumpyType("int32"))


class _RootWriter(Writer):
    compressions: ClassVar[dict[str, int]] = {"zstd": 5, "lzma": 6, "lz4": 4, "zlib": 4, "none": 0}
    _file: Any = None
    _tree: Any

    @property
    def tree(self) -> str:
        """Name of the tree: as in NanoAOD for events, as in JetClass otherwise."""
        return "Events" if self.options.kind == "events" else "tree"

    def _create(self) -> None:
        method = _METHODS.get(self.method)
        chosen = method(self.level) if method else None
        # opened here: uproot takes a colon in a name for the end of it
        self._file = uproot.recreate(self.temporary.open("w+b"), compression=chosen)

    def _write_note(self, note: dict[str, Any]) -> None:
        self._file[f"{self.tree}{NOTE}"] = json.dumps(note)

    def _finish(self) -> None:
        self._file.close()

    def _discard(self) -> None:
        if self._file is not None:
            with contextlib.suppress(Exception):  # e.g. the disk is still full
                self._file.close()


class TreeWriter(_RootWriter):
    """A TTree: `muons_pt` with the counter `nmuons`; of jets `jet_pt`, `part_pt`, `label_top`.

    ROOT's plain branches hold one list an entry. Lists of lists are joined, and their lengths
    written beside them: `jets_constituents_pt` with `jets_nconstituents`.
    """

    def _begin(self, structure: Flat, first: ak.Array) -> None:
        refuse_text(structure, "a tree")
        self._names(structure)
        types: dict[str, Any] = {}
        for name, leaf in structure.leaves.items():
            types[self._branches[name]] = _branch_type(leaf)
        types |= dict.fromkeys(self._nested.values(), _LENGTHS)
        types |= dict.fromkeys(self._hot.values(), np.dtype(np.int32))
        self._create()
        counters = self._counters
        self._tree = self._file.mktree(self.tree, types, counter_name=counters.__getitem__)
        kind, classes = self.options.kind, self.options.classes
        more: dict[str, Mapping[str, Any]] = {"nested": self._nested, "shapes": self._shapes}
        self._write_note(note_of(kind, self._branches, list(structure.levels), classes, **more))

    def _names(self, structure: Flat) -> None:
        """Names of branches, of their counters, of lengths of inner lists, of one-hot labels."""
        taken: set[str] = set()

        def free(name: str) -> str:
            taken.add(found := unique(re.sub(r"\W", "_", name), taken))
            return found

        stems = {name: self._stem(name) for name in structure.levels}
        counts = {name: free(f"n{stem}") for name, stem in stems.items()}
        self._branches = {name: free(self._stem(name)) for name in structure.leaves}
        self._nested: dict[str, str] = {}
        self._counters: dict[str, str] = {}
        for name, inside in structure.levels.items():
            if len(inside) > 1:
                outer, _, last = stems[name].rpartition("_")
                self._nested[name] = free(f"{outer}_n{last}")
                self._counters[self._nested[name]] = counts[inside[-2]]
        self._shapes: dict[str, tuple[int, ...]] = {}
        for name, leaf in structure.leaves.items():
            if leaf.lists:
                shape, branch = leaf.values.shape[1:], self._branches[name]
                self._counters[branch] = free(f"n{branch}") if shape else counts[leaf.lists[-1]]
                self._shapes |= {name: shape} if shape else {}
        label = structure.leaves.get("label")
        self._hot: dict[int, str] = {}
        if self.options.kind == "jets" and label is not None and not label.lists:
            self._hot = {i: free(f"label_{name}") for i, name in enumerate(self.options.classes)}

    def _stem(self, name: str) -> str:
        first, *rest = name.split(".")
        if self.options.kind == "events" and first == "event" and rest:
            return "_".join(rest)
        if self.options.kind == "jets":
            first = "part" if first == "constituents" else first if rest else f"jet_{first}"
        return "_".join([first, *rest])

    def _put(self, array: ak.Array) -> None:
        flat = flatten(array)
        data: dict[str, Any] = {}
        for name, leaf in flat.leaves.items():
            values: Any = leaf.values
            if leaf.lists:
                width = math.prod(leaf.values.shape[1:])
                counts = flat.per_entry(leaf.lists[-1]) * width
                values = ak.unflatten(leaf.values.reshape(-1), counts)
            data[self._branches[name]] = values
        for name, branch in self._nested.items():
            lengths = flat.counts[name].astype(np.int32)
            data[branch] = ak.unflatten(lengths, flat.per_entry(flat.levels[name][-2]))
        for index, branch in self._hot.items():
            data[branch] = (flat.leaves["label"].values == index).astype(np.int32)
        self._tree.extend(data)


def _branch_type(leaf: Leaf) -> Any:
    dtype, shape = leaf.values.dtype, leaf.values.shape[1:]
    if leaf.lists:  # of items of a fixed shape, the values one after the other
        return ak.types.ListType(ak.types.NumpyType(str(dtype)))
    return np.dtype((dtype, shape)) if shape else dtype


class NTupleWriter(_RootWriter):
    """An RNTuple with nested records."""

    def _begin(self, structure: Flat, first: ak.Array) -> None:
        self._create()
        self._tree = self._file.mkrntuple(self.tree, ak.to_layout(first).form)
        columns = {name: name for name in structure.leaves}
        lists = list(structure.levels)
        self._write_note(note_of(self.options.kind, columns, lists, self.options.classes))

    def _put(self, array: ak.Array) -> None:
        self._tree.extend(array)
