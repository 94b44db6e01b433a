"""What is in an HDF5 file: its datasets, frames of pandas and texts, and what is not read.

Files of others may claim any size, point into other files and hold groups within themselves.
"""

from __future__ import annotations

import math
import pickletools
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import h5py

__all__ = ["Contents", "is_hard", "opened", "refused", "texts_of", "texts_of_pickle"]

#: a damaged file may claim any size: of one entry and of one chunk [bytes]
_MOST_ENTRY_BYTES, _MOST_CHUNK_BYTES = 2e8, 1e9
#: above so many bytes, a dataset that claims so many times what is stored of it is refused
_LARGE_BYTES, _MOST_RATIO = 1e8, 5000
_MOST_OBJECTS, _MOST_DEPTH = 100_000, 50
#: longer lists of text are no names of features
_MOST_NAMES = 2000
#: at most so much of a dataset's chunks is kept unpacked from one step to the next
_MOST_CACHE_BYTES = 64_000_000


class Contents:
    """All that can be read in a file; links are not followed.

    Attributes:
        datasets: path -> (N, ...) values.
        frames: groups that hold a frame of pandas.
        texts: path of a short list of texts, or "dataset@attribute" -> the texts.
        skipped: path -> why it is not read.

    Raises:
        ValueError: far more groups and datasets than a table has.
    """

    def __init__(self, file: h5py.File) -> None:
        self.datasets: dict[str, h5py.Dataset] = {}
        self.frames: list[h5py.Group] = []
        self.texts: dict[str, tuple[str, ...]] = {}
        self.skipped: dict[str, str] = {}
        root = h5py.h5o.get_info(file.id)
        self._seen = {(root.fileno, root.addr)}
        self._enter(file, "", 0)

    def _enter(self, group: h5py.Group, path: str, depth: int) -> None:
        if depth > _MOST_DEPTH:
            self.skipped[path] = f"more than {_MOST_DEPTH} groups within each other"
            return
        for name in group:
            full = f"{path}/{name}" if path else name
            if not is_hard(group, name):
                self.skipped[full] = "a link, which is not followed"
                continue
            found = opened(group, name)
            where = h5py.h5o.get_info(found.id)
            if name.startswith("_i_") or (where.fileno, where.addr) in self._seen:
                continue  # an index of PyTables; or a group within itself
            self._seen.add((where.fileno, where.addr))
            if len(self._seen) > _MOST_OBJECTS:
                message = f"more than {_MOST_OBJECTS} groups and datasets; expected a table"
                raise ValueError(message)
            if isinstance(found, h5py.Dataset):
                self._look_at(found, full)
            elif isinstance(found, h5py.Group) and _frame_kind(found):
                self.frames.append(found)
            elif isinstance(found, h5py.Group):
                self._enter(found, full, depth + 1)

    def _look_at(self, dataset: h5py.Dataset, path: str) -> None:
        try:
            reason = refused(dataset)
        except TypeError as error:
            reason = f"a type that NumPy has not ({error})"
        if reason:
            self.skipped[path] = reason
            return
        self.datasets[path] = dataset
        is_text = h5py.check_string_dtype(dataset.dtype) is not None
        if is_text and dataset.ndim == 1 and len(dataset) <= _MOST_NAMES:
            self.texts[path] = texts_of(dataset[:])
        for name in dataset.attrs:
            about = dataset.attrs.get_id(name)
            if len(about.shape) == 1 and h5py.check_string_dtype(about.dtype) is not None:
                self.texts[f"{path}@{name}"] = texts_of(dataset.attrs[name])


def is_hard(group: h5py.Group, name: str) -> bool:
    """Whether a name in a group is the thing itself, not a link to elsewhere."""
    return bool(group.id.links.get_info(name.encode()).type == h5py.h5l.TYPE_HARD)


def opened(group: h5py.Group, name: str) -> Any:
    """What a group has under a name; chunks of datasets that two steps share are unpacked once."""
    found = group[name]
    if not isinstance(found, h5py.Dataset) or not found.chunks:
        return found
    row = found.chunks[0] * math.prod(found.shape[1:]) * found.id.get_type().get_size()
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_chunk_cache(10007, min(2 * row, _MOST_CACHE_BYTES), 1.0)
    del found  # what is open already keeps its cache
    return h5py.Dataset(h5py.h5d.open(group.id, name.encode(), access))


def refused(dataset: h5py.Dataset) -> str | None:
    """Why a dataset is not read: nothing in it, values elsewhere, or a size that cannot be."""
    if not dataset.shape:
        return "a single value, not one an entry"
    settings = dataset.id.get_create_plist()
    if dataset.is_virtual or settings.get_external_count():
        return "its values are in other files, which are not followed"
    entry = dataset.dtype.itemsize * math.prod(dataset.shape[1:])
    chunk = dataset.dtype.itemsize * math.prod(dataset.chunks or ())
    if entry > _MOST_ENTRY_BYTES or (dataset.chunks and chunk > _MOST_CHUNK_BYTES):
        return f"claims {entry:.3g} bytes an entry and {chunk:.3g} a chunk; it is damaged"
    claimed, stored = entry * dataset.shape[0], dataset.id.get_storage_size()
    if claimed > _LARGE_BYTES and claimed > _MOST_RATIO * stored:
        return f"claims {claimed:.3g} bytes of which {stored} are stored; damaged or never filled"
    for at in range(settings.get_nfilters()):
        code, _, _, name = settings.get_filter(at)
        if not _has_filter(code):
            shown = name.decode("ascii", "replace").strip("\0") or "an unknown filter"
            return f"packed with {shown} ({code}), which needs: pip install hdf5plugin"
    return None


def _has_filter(code: int) -> bool:
    """Whether HDF5 can unpack it; hdf5plugin, where it is installed, adds Blosc, Zstandard, ..."""
    if h5py.h5z.filter_avail(code):
        return True
    try:
        import_module("hdf5plugin")
    except ImportError:
        return False
    return bool(h5py.h5z.filter_avail(code))


def _frame_kind(group: h5py.Group) -> str:
    """How pandas stored a frame in a group: "frame" (fixed), "frame_table", or "": it did not."""
    found = group.attrs.get("pandas_type", b"")
    text = found.decode("ascii", "replace") if isinstance(found, bytes) else str(found)
    return text if text in ("frame", "frame_table") else ""


def texts_of_pickle(pickled: bytes) -> tuple[str, ...]:
    """The texts that a pickle mentions, without running it."""
    try:
        return tuple(
            str(argument)
            for code, argument, _ in pickletools.genops(pickled)
            if "UNICODE" in code.name or "STRING" in code.name
        )
    except ValueError:
        return ()


def texts_of(stored: Iterable[Any]) -> tuple[str, ...]:
    """Text of what h5py gives for it, bytes or text."""
    return tuple(
        each.decode("utf-8", "replace") if isinstance(each, bytes) else str(each)
        for each in stored
    )
