"""Files that others read: ROOT, HDF5, NumPy and Parquet, written in steps.

    with open_writer("muons.root", kind="events") as writer:
        for events in source.iterate(["muons"]):
            writer.extend(events)

Every file has a note of names and nesting, by which `open_file` gives back what was written: the
same fields, types and values, bit for bit.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, NamedTuple

import awkward as ak

from fivesigma.formats.writers.flat import Flat, flatten, plain, to_pandas
from fivesigma.storage import temporary_of

__all__ = ["WRITERS", "Options", "Writer", "WriterInfo", "open_writer", "to_pandas", "write"]

#: what is collected before it is written, and the most that is written at once
_STEP_BYTES = 30e6
_KINDS = ("events", "jets", "showers", "hits", "table")


class WriterInfo(NamedTuple):
    """One format that is written.

    Attributes:
        writer: "module:class".
        meaning: what it is, for people.
        suffixes: of files that are written so without being told; the usual one first.
    """

    writer: str
    meaning: str
    suffixes: tuple[str, ...] = ()


#: name -> format
WRITERS: dict[str, WriterInfo] = {
    "root": WriterInfo("writers.root:TreeWriter", "ROOT TTree with flat branches", (".root",)),
    "rntuple": WriterInfo("writers.root:NTupleWriter", "ROOT RNTuple with nested records"),
    "hdf5": WriterInfo(
        "writers.hdf5:StructuredWriter",
        "HDF5, one structured dataset a collection, padded, with `valid`",
        (".h5", ".hdf5"),
    ),
    "hdf5-padded": WriterInfo(
        "writers.hdf5:PaddedWriter",
        "HDF5 for other trainers: features (N, M, F), mask, labels, jets; float32",
    ),
    "npz": WriterInfo("writers.arrays:NpzWriter", "NumPy arrays, flat, with counts", (".npz",)),
    "parquet": WriterInfo(
        "writers.arrays:ParquetWriter", "Parquet with nested records", (".parquet", ".pq")
    ),
}


@dataclass(frozen=True)
class Options:
    """How a file is written; see `open_writer`."""

    kind: str
    classes: tuple[str, ...] = ()
    overwrite: bool = False
    compression: str | None = None
    max_constituents: int = 128


def open_writer(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,
    kind: str,
    classes: Sequence[str] = (),
    overwrite: bool = False,
    compression: str | None = None,
    max_constituents: int = 128,
) -> Writer:
    """Begin a file; it has its name once it is closed, whole.

    Args:
        path: the file; folders that are not there are made.
        format: a name in `WRITERS`; from the suffix if None.
        kind: "events" (records of collections), "jets", "showers", "hits" or "table".
        classes: names of the classes that labels count.
        overwrite: replace a file that is there.
        compression: method and level, e.g. "zstd:5", "lzma:9", "none"; None: the format's usual.
        max_constituents: how many constituents a jet has in "hdf5-padded"; others are left out.

    Raises:
        FileExistsError: the file is there, and `overwrite` is not set.
        ValueError: an unknown format, kind or compression; a symbolic link.
    """
    target = Path(path)
    name = _format_of(target) if format is None else format
    if name not in WRITERS:
        message = f"unknown format {name!r}; choose from {', '.join(WRITERS)}"
        raise ValueError(message)
    module, found = WRITERS[name].writer.split(":")
    writer: type[Writer] = getattr(import_module(f"fivesigma.formats.{module}"), found)
    return writer(target, Options(kind, tuple(classes), overwrite, compression, max_constituents))


def _format_of(path: Path) -> str:
    for name, info in WRITERS.items():
        if path.suffix.lower() in info.suffixes:
            return name
    known = ", ".join(suffix for info in WRITERS.values() for suffix in info.suffixes)
    message = f"{path}: the suffix tells no format; expected one of {known}, or give format="
    raise ValueError(message)


def write(array: ak.Array, path: str | os.PathLike[str], **options: Any) -> None:
    """Write an array that is in memory.

    Args:
        array: events, jets or rows.
        path: the file.
        options: as in `open_writer`; `kind` is needed.

    Raises:
        FileExistsError: the file is there, and `overwrite` is not set.
        ValueError: as in `open_writer`; or an array that the format cannot hold.
    """
    with open_writer(path, **options) as writer:
        writer.extend(array)


class Writer:
    """A file that is being written; the base class of all formats.

    It is written under another name beside its place, and renamed when it is closed. After an
    error nothing is left of it.

    Attributes:
        path: where the file will be.
        entries: how many were given so far.
    """

    #: method -> usual level; the first is taken if none is given
    compressions: ClassVar[Mapping[str, int]] = {"none": 0}

    def __init__(self, path: Path, options: Options) -> None:
        self.path, self.options, self.entries = path, options, 0
        if options.kind not in _KINDS:
            message = f"unknown kind {options.kind!r}; choose from {', '.join(_KINDS)}"
            raise ValueError(message)
        if options.max_constituents < 1:
            message = f"max_constituents {options.max_constituents}; expected at least 1"
            raise ValueError(message)
        self.method, self.level = self._compression(options.compression)
        self.temporary = temporary_of(path)
        self._check_place()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._type: str | None = None
        self._waiting: list[ak.Array] = []
        self._waiting_bytes = 0
        self._open = True

    def extend(self, array: ak.Array) -> None:
        """Add entries; they all have the fields and types of the first.

        Raises:
            ValueError: values that are missing or cannot be stored, or fields that differ.
            OSError: a full disk.
        """
        if not self._open:
            message = f"{self.path}: closed already; open another writer"
            raise ValueError(message)
        try:
            self._extend(plain(array))
        except BaseException:
            self.abort()
            raise

    def close(self) -> None:
        """Finish the file and give it its name; a second call does nothing.

        Raises:
            FileExistsError: another file took the name meanwhile.
            ValueError: nothing was given, not even an empty array.
            OSError: a full disk.
        """
        if not self._open:
            return
        try:
            if self._type is None:
                message = f"{self.path}: nothing to write; extend it with an array, even empty"
                raise ValueError(message)
            self._flush()
            self._finish()
            with self.temporary.open("rb+") as file:
                os.fsync(file.fileno())
            self._check_place()
            self.temporary.replace(self.path)
        except BaseException:
            self.abort()
            raise
        self._open = False

    def abort(self) -> None:
        """Leave nothing behind."""
        if self._open:
            self._open = False
            self._waiting.clear()
            try:
                self._discard()
            finally:
                self.temporary.unlink(missing_ok=True)

    def __enter__(self) -> Writer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        else:
            self.abort()

    def _begin(self, structure: Flat, first: ak.Array) -> None:
        """Open the temporary file; `structure` and `first` have no entries."""
        raise NotImplementedError

    def _put(self, array: ak.Array) -> None:
        """Write some entries."""
        raise NotImplementedError

    def _finish(self) -> None:
        """Write what is left and close the temporary file."""
        raise NotImplementedError

    def _discard(self) -> None:
        """Close the temporary file after an error, quietly."""
        raise NotImplementedError

    def _extend(self, array: ak.Array) -> None:
        type = str(ak.type(array).content)
        if self._type is None:
            structure = flatten(array[:0])
            self._check_fields(structure)
            self._type = type
            self._begin(structure, plain(array[:0]))
        elif type != self._type:
            message = f"{self.path}: got {type}, expected {self._type} as before"
            raise ValueError(message)
        self._waiting.append(array)
        self._waiting_bytes += array.nbytes
        self.entries += len(array)
        if self._waiting_bytes >= _STEP_BYTES:
            self._flush()

    def _flush(self) -> None:
        waiting, size = self._waiting, self._waiting_bytes
        self._waiting, self._waiting_bytes = [], 0
        if not waiting:
            return
        array = waiting[0] if len(waiting) == 1 else ak.concatenate(waiting)
        step = max(int(len(array) * _STEP_BYTES / max(size, 1)), 1)
        for begin in range(0, len(array), step):
            self._put(ak.to_packed(array[begin : begin + step]))

    def _check_place(self) -> None:
        if self.path.is_dir():
            message = f"{self.path} is a folder; expected the name of a file"
            raise IsADirectoryError(message)
        if self.path.exists() and not self.options.overwrite:
            message = f"{self.path} exists; overwrite=True (--overwrite) replaces it"
            raise FileExistsError(message)

    def _check_fields(self, structure: Flat) -> None:
        if self.options.kind == "events":
            single = [name for name in structure.leaves if "." not in name]
            if single:
                message = (
                    f"{', '.join(single)}: expected collections of kind 'events', e.g. "
                    f"event.{single[0]}; put fields into one, or give kind='table'"
                )
                raise ValueError(message)

    def _compression(self, given: str | None) -> tuple[str, int]:
        method, _, level = (given or next(iter(self.compressions))).partition(":")
        if method not in self.compressions or (level and not level.isdecimal()):
            choices = ", ".join(f"{name}:{usual}" for name, usual in self.compressions.items())
            message = f"compression {given!r}; choose from {choices}, with or without level"
            raise ValueError(message)
        return method, int(level) if level else self.compressions[method]
