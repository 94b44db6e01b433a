"""NumPy archives and Parquet files."""

from __future__ import annotations

import contextlib
import json
import shutil
import zipfile
from pathlib import Path
from typing import Any, ClassVar

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from fivesigma.formats.layouts.own import note_of
from fivesigma.formats.writers import Writer
from fivesigma.formats.writers.flat import Flat, flatten, refuse_text, unique

__all__ = ["NpzWriter", "ParquetWriter"]


class NpzWriter(Writer):
    """Flat arrays `jets.pt` and lengths of lists `jets.counts`, all entries joined.

    The header of an array holds its length, which is known at the end only: until then each array
    is in a file of its own.
    """

    compressions: ClassVar[dict[str, int]] = {"none": 0, "zlib": 6}

    def _begin(self, structure: Flat, first: ak.Array) -> None:
        refuse_text(structure, "npz")
        self._columns: dict[str, str] = {}
        for name in structure.leaves:
            taken = {*structure.leaves, *self._columns.values()} - {name}
            self._columns[name] = unique(_key(name), taken)
        self._leaves = {self._columns[n]: leaf.values for n, leaf in structure.leaves.items()}
        self._counts: dict[str, str] = {}
        for name in structure.levels:
            stem = name.rstrip("[]")
            self._counts[name] = f"{self._columns.get(stem, stem)}{name[len(stem) :]}.counts"
        self._lengths = dict.fromkeys([*self._leaves, *self._counts.values()], 0)
        self._parts.mkdir()

    def _put(self, array: ak.Array) -> None:
        flat = flatten(array)
        for name, leaf in flat.leaves.items():
            self._append(self._columns[name], leaf.values)
        for name, key in self._counts.items():
            self._append(key, flat.counts[name].astype(np.int64))

    def _append(self, key: str, values: np.ndarray) -> None:
        # opened each time: there may be more columns than a process may have files open
        with self._part(key).open("ab") as file:
            file.write(np.ascontiguousarray(values).data)
        self._lengths[key] += len(values)

    @property
    def _parts(self) -> Path:
        return self.temporary.with_suffix(".parts.tmp")

    def _part(self, key: str) -> Path:
        return self._parts / str(list(self._lengths).index(key))

    def _finish(self) -> None:
        method = zipfile.ZIP_DEFLATED if self.method == "zlib" else zipfile.ZIP_STORED
        level = self.level if self.method == "zlib" else None
        with zipfile.ZipFile(self.temporary, "w", method, compresslevel=level) as archive:
            self._archive(archive, "fivesigma", np.array(json.dumps(self._note())))
            for key, length in self._lengths.items():
                like = self._leaves.get(key, np.empty(0, np.int64))
                self._archive(archive, key, like, length)
        shutil.rmtree(self._parts)

    def _archive(
        self, archive: zipfile.ZipFile, key: str, like: np.ndarray, length: int | None = None
    ) -> None:
        """One array: itself, or if it has a length, what is in its file."""
        with archive.open(f"{key}.npy", "w", force_zip64=True) as out:
            if length is None:
                np.lib.format.write_array(out, like, allow_pickle=False)
                return
            shape = (length, *like.shape[1:])
            header = {"descr": like.dtype.str, "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(out, header)
            if length:
                with self._part(key).open("rb") as file:
                    shutil.copyfileobj(file, out, 1 << 20)

    def _note(self) -> dict[str, Any]:
        kind, classes = self.options.kind, self.options.classes
        return note_of(kind, self._columns, list(self._counts), classes)

    def _discard(self) -> None:
        shutil.rmtree(self._parts, ignore_errors=True)


def _key(name: str) -> str:
    """The name, changed where it means something else in these files."""
    reserved = name in ("fivesigma", "edge_index") or name.rpartition(".")[2] == "counts"
    return f"{name}_" if reserved else name


class ParquetWriter(Writer):
    """Nested records, a row group a step."""

    compressions: ClassVar[dict[str, int]] = {
        "zstd": 1,
        "gzip": 4,
        "brotli": 4,
        "snappy": 0,
        "none": 0,
    }
    _writer: pq.ParquetWriter | None = None

    def _begin(self, structure: Flat, first: ak.Array) -> None:
        columns = {name: name for name in structure.leaves}
        lists = list(structure.levels)
        note = note_of(self.options.kind, columns, lists, self.options.classes)
        schema = _to_arrow(first).schema.with_metadata({b"fivesigma": json.dumps(note).encode()})
        form = ak.to_layout(first).form
        leaves = form.columns(list_indicator="list.element")
        types = form.column_types()
        # as the shards of datasets: Parquet has streams for the bytes of numbers only
        numbers = [
            name
            for name, dtype in zip(leaves, types, strict=True)
            if dtype not in ("string", bool)
        ]
        self._writer = pq.ParquetWriter(
            self.temporary,
            schema,
            compression=self.method,
            compression_level=self.level or None,
            use_dictionary=False,
            use_byte_stream_split=numbers,
        )

    def _put(self, array: ak.Array) -> None:
        if self._writer is not None:
            self._writer.write_table(
                _to_arrow(array).replace_schema_metadata(self._writer.schema.metadata)
            )

    def _finish(self) -> None:
        if self._writer is not None:
            self._writer.close()

    def _discard(self) -> None:
        if self._writer is not None:
            with contextlib.suppress(Exception):  # e.g. the disk is still full
                self._writer.close()


def _to_arrow(array: ak.Array) -> pa.Table:
    return ak.to_arrow_table(array, extensionarray=False)
