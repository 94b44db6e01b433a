"""HDF5 files: structured datasets as ATLAS's taggers read them, and plain arrays for trainers."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, NamedTuple

import awkward as ak
import h5py
import numpy as np

from fivesigma.formats.layouts.own import note_of
from fivesigma.formats.writers import Writer
from fivesigma.formats.writers.flat import Flat, flatten, refuse_text, unique

__all__ = ["PaddedWriter", "StructuredWriter"]

#: how much padding is made at once, and how much of a dataset is compressed together
_PADDED_BYTES, _CHUNK_BYTES = 60e6, 500e3
#: what the reader takes for a damaged file: large, and so many times what is stored
_LARGE_BYTES, _MOST_RATIO = 1e8, 5000
#: HDF5 keeps the type of a structured dataset in at most 64 kB: names, and so much of each member
_TYPE_BYTES, _MEMBER_BYTES = 50e3, 120


class _Hdf5Writer(Writer):
    compressions: ClassVar[dict[str, int]] = {"gzip": 4, "lzf": 0, "none": 0}
    _file: h5py.File | None = None

    def _create(self, note: Mapping[str, Any], empty: ak.Array) -> None:
        self._file = h5py.File(self.temporary, "w")
        self._file.attrs["fivesigma"] = json.dumps(note)
        self._data: dict[str, h5py.Dataset] = {}
        self._empty = empty

    def _append(self, name: str, values: np.ndarray) -> None:
        """Append (n, *inner) values to a dataset, which grows along all axes."""
        # made with the first values, so that its chunks are as large as they are
        if name not in self._data:
            self._make(name, values.dtype, values.shape[1:])
        dataset = self._data[name]
        start = dataset.shape[0]
        dataset.resize((start + len(values), *map(max, dataset.shape[1:], values.shape[1:])))
        if values.size:
            dataset[(slice(start, None), *(slice(0, each) for each in values.shape[1:]))] = values

    def _make(self, name: str, dtype: np.dtype, inner: tuple[int, ...]) -> None:
        if self._file is None:
            return
        self._data[name] = self._file.create_dataset(
            name,
            shape=(0, *inner),
            maxshape=(None,) * (len(inner) + 1),
            chunks=_chunk(dtype.itemsize, inner),
            dtype=dtype,
            compression=None if self.method == "none" else self.method,
            compression_opts=self.level if self.method == "gzip" else None,
            shuffle=self.method != "none",
        )

    def _finish(self) -> None:
        if self._file is None:
            return
        if not self._data:
            self._put(self._empty)
        self._file.flush()
        for name, dataset in self._data.items():
            stored = dataset.id.get_storage_size()
            if dataset.nbytes > max(_LARGE_BYTES, _MOST_RATIO * stored):
                message = f"{name}: lists are too uneven to be padded; write ROOT or Parquet"
                raise ValueError(message)
        self._file.close()

    def _discard(self) -> None:
        if self._file is not None:
            with contextlib.suppress(Exception):  # e.g. the disk is still full
                self._file.close()


def _chunk(itemsize: int, inner: tuple[int, ...]) -> tuple[int, ...]:
    """A shape of chunks of some 500 kB: whole entries, but of very large ones parts."""
    chunk = [max(each, 1) for each in inner]
    for axis in range(len(chunk)):
        excess = itemsize * math.prod(chunk) / _CHUNK_BYTES
        chunk[axis] = max(int(chunk[axis] / max(excess, 1.0)), 1)
    rows = max(int(_CHUNK_BYTES / (itemsize * math.prod(chunk))), 1)
    return rows, *chunk


class _Part(NamedTuple):
    """One structured dataset: the lists that it is of, member -> field, member of the mask."""

    lists: tuple[str, ...]
    members: dict[str, str]
    mask: str = ""


class StructuredWriter(_Hdf5Writer):
    """One structured dataset a collection: `jets` (N,), `constituents` (N, M) with `valid`.

    M is the longest list, and grows with what comes. Lists of lists are (N, M, K).
    """

    def _begin(self, structure: Flat, first: ak.Array) -> None:
        refuse_text(structure, "HDF5")
        kind, classes = self.options.kind, self.options.classes
        self._parts = _parts(structure, kind)
        columns: dict[str, str] = {}
        valid: dict[str, str] = {}
        for dataset, part in self._parts.items():
            columns |= {name: f"{dataset}.{member}" for member, name in part.members.items()}
            if part.mask:
                valid[part.lists[-1]] = f"{dataset}.{part.mask}"
        in_order = {name: columns[name] for name in structure.leaves}
        self._create(note_of(kind, in_order, list(structure.levels), classes, valid=valid), first)

    def _put(self, array: ak.Array) -> None:
        flat = flatten(array)
        if len(array) > 1 and self._padded_bytes(flat) > _PADDED_BYTES:
            half = len(array) // 2
            self._put(ak.to_packed(array[:half]))
            self._put(ak.to_packed(array[half:]))
            return
        masks = {name: _mask(flat, name) for name in flat.levels}
        for dataset, part in self._parts.items():
            self._append(dataset, _structured(part, flat, masks))

    def _padded_bytes(self, flat: Flat) -> int:
        """Of the largest dataset."""
        return max(
            _dtype(part, flat).itemsize
            * flat.entries
            * math.prod(_longest(flat, name) for name in part.lists)
            for part in self._parts.values()
        )


def _parts(structure: Flat, kind: str) -> dict[str, _Part]:
    """Dataset -> what is in it."""
    groups: dict[tuple[tuple[str, ...], str], dict[str, str]] = {
        (lists, name.rstrip("[]")): {} for name, lists in structure.levels.items()
    }
    for name, leaf in structure.leaves.items():
        first, _, rest = name.partition(".")
        group = first if kind == "events" else kind
        member = rest if kind == "events" else name
        if leaf.lists:
            group = leaf.lists[-1].rstrip("[]")
            member = "value" if group == name else name.removeprefix(f"{group}.")
        members = groups.setdefault((leaf.lists, group), {})
        members[unique(member.replace(".", "_"), members)] = name
    parts: dict[str, _Part] = {}
    for (lists, group), members in groups.items():
        mask = unique("valid", members) if lists else ""
        for few in _split(members):
            parts[unique(group.replace(".", "_"), parts)] = _Part(lists, few, mask)
            mask = ""
    return parts


def _split(members: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Members that fit into one structured dataset."""
    few: dict[str, str] = {}
    size = 0
    for member, name in members.items():
        size += _MEMBER_BYTES + len(member.encode())
        if size > _TYPE_BYTES:
            yield few
            few, size = {}, 0
        few[member] = name
    yield few


def _longest(flat: Flat, name: str) -> int:
    return int(flat.counts[name].max(initial=0))


def _mask(flat: Flat, name: str) -> np.ndarray:
    """(N, M, ...) true where the list has an item."""
    first, *inner = flat.levels[name]
    mask = np.arange(_longest(flat, first)) < flat.counts[first][:, None]
    for each in inner:
        lengths = np.zeros(mask.shape, np.int64)
        lengths[mask] = flat.counts[each]
        mask = np.arange(_longest(flat, each)) < lengths[..., None]
    return mask


def _dtype(part: _Part, flat: Flat) -> np.dtype:
    members: list[Any] = []
    for member, name in part.members.items():
        values = flat.leaves[name].values
        members.append((member, values.dtype, values.shape[1:]))
    return np.dtype([*members, (part.mask, np.bool_)] if part.mask else members)


def _structured(part: _Part, flat: Flat, masks: Mapping[str, np.ndarray]) -> np.ndarray:
    """(N,) or padded (N, M, ...) records."""
    mask = masks[part.lists[-1]] if part.lists else np.ones(flat.entries, np.bool_)
    made = np.zeros(mask.shape, _dtype(part, flat))
    for member, name in part.members.items():
        made[member][mask] = flat.leaves[name].values
    if part.mask:
        made[part.mask] = mask
    return made


class PaddedWriter(_Hdf5Writer):
    """`features` (N, M, F) and `jets` (N, J) float32, `mask` (N, M) bool, `labels` (N,) int64.

    The attribute `names` has the names of the F features of constituents and of the J of jets.
    Constituents behind the first M = `max_constituents` are left out, and so are unsigned numbers
    of 64 bits, which are numbers of events, and values of a fixed shape. All else becomes float32.
    """

    def _begin(self, structure: Flat, first: ak.Array) -> None:
        refuse_text(structure, "HDF5")
        leaves = {
            name: leaf
            for name, leaf in structure.leaves.items()
            if leaf.values.ndim == 1 and str(leaf.values.dtype) != "uint64"
        }
        parts = [name for name in leaves if name.startswith("constituents.")]
        self._features = [name for name in parts if leaves[name].lists == ("constituents",)]
        self._jets = [n for n, leaf in leaves.items() if not leaf.lists and n != "label"]
        self._has_label = "label" in structure.leaves and not structure.leaves["label"].lists
        if self.options.kind != "jets" or not self._features:
            message = f"{self.path}: expected kind 'jets' with constituents; choose another format"
            raise ValueError(message)
        self._create(self._note(), first)

    def _note(self) -> dict[str, Any]:
        columns = dict.fromkeys(self._jets, "jets")
        columns |= {"label": "labels"} if self._has_label else {}
        columns |= dict.fromkeys(self._features, "features")
        slots = {name: i for names in (self._jets, self._features) for i, name in enumerate(names)}
        valid = {"constituents": "mask"}
        classes = self.options.classes
        return note_of("jets", columns, ["constituents"], classes, valid=valid, slots=slots)

    def _make(self, name: str, dtype: np.dtype, inner: tuple[int, ...]) -> None:
        super()._make(name, dtype, inner)
        if name == "features":
            self._data[name].attrs["names"] = [n.partition(".")[2] for n in self._features]
        elif name == "jets":
            self._data[name].attrs["names"] = self._jets

    def _put(self, array: ak.Array) -> None:
        flat, most = flatten(array), self.options.max_constituents
        row = 4 * most * len(self._features)
        if len(array) > 1 and row * len(array) > _PADDED_BYTES:
            half = len(array) // 2
            self._put(ak.to_packed(array[:half]))
            self._put(ak.to_packed(array[half:]))
            return
        counts = flat.counts["constituents"]
        mask = np.arange(most) < counts[:, None]
        kept = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) < most
        features = np.zeros((*mask.shape, len(self._features)), np.float32)
        for index, name in enumerate(self._features):
            features[mask, index] = flat.leaves[name].values[kept]
        self._append("features", features)
        self._append("mask", mask)
        if self._has_label:
            self._append("labels", flat.leaves["label"].values.astype(np.int64))
        if self._jets:
            jets = [flat.leaves[name].values.astype(np.float32) for name in self._jets]
            self._append("jets", np.stack(jets, axis=1))
