"""Jets as flat arrays that batches are cut from, in memory or mapped from files."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fivesigma.inputs import Inputs
from fivesigma.storage import check_file, read_json, temporary_of, write_json

__all__ = ["Cache", "join_caches", "open_cache", "write_cache"]

_DTYPES = {
    "values": np.float32, "pixel": np.int32, "begin": np.int64, "count": np.int64,
    "label": np.int64, "weight": np.float32, "event": np.uint64,
}  # fmt: skip
#: of what each array holds one entry per jet; the others have one per constituent or pixel
_PER_JET = ("begin", "count", "label", "weight", "event")
_ABOUT = "inputs.json"


@dataclass(frozen=True, eq=False)
class Cache:
    """Jets as flat arrays, ready to be cut into batches.

    Attributes:
        inputs: what the values are, complete with mean and scale.
        values: float32; constituents (T, F) or pixels (T, C) of all jets, those of a jet one
            after the other, or observables (N, F).
        begin: (N,) where each jet begins in `values`; None for observables.
        count: (N,) constituents or pixels of each jet; None for observables.
        pixel: (T,) pixel numbers of images, else None.
        label: (N,) index of the class, -1 for none; None where the jets have no label.
        weight: (N,) weights, or None.
        event: (N,) event numbers, or None.
    """

    inputs: Inputs
    values: np.ndarray
    begin: np.ndarray | None = None
    count: np.ndarray | None = None
    pixel: np.ndarray | None = None
    label: np.ndarray | None = None
    weight: np.ndarray | None = None
    event: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values) if self.begin is None else len(self.begin)

    def take(self, rows: np.ndarray) -> Cache:
        """Some of the jets, in the order asked for; constituents and pixels are not copied.

        Args:
            rows: (M,) indices, or (N,) booleans.
        """
        per_jet = _PER_JET if self.begin is not None else (*_PER_JET, "values")
        arrays = {name: getattr(self, name) for name in per_jet}
        return replace(self, **{k: v[rows] for k, v in arrays.items() if v is not None})


def join_caches(caches: Sequence[Cache]) -> Cache:
    """Several caches of the same inputs as one, e.g. those of a dataset's shards.

    Raises:
        ValueError: nothing to join, or inputs that differ.
    """
    if not caches or any(cache.inputs != caches[0].inputs for cache in caches):
        message = (
            f"got {len(caches)} caches, of differing inputs; build all of them with the "
            "`inputs` of the first one's cache"
            if caches
            else "no caches to join; give at least one"
        )
        raise ValueError(message)
    ends = np.cumsum([0, *(len(cache.values) for cache in caches)])
    parts = {name: [getattr(cache, name) for cache in caches] for name in _DTYPES}
    if caches[0].begin is not None:
        parts["begin"] = [begin + end for begin, end in zip(parts["begin"], ends, strict=False)]
    joined: dict[str, Any] = {
        name: None if any(part is None for part in each) else np.concatenate(each)
        for name, each in parts.items()
    }
    return Cache(caches[0].inputs, **joined)


def write_cache(folder: Path, caches: Iterable[Cache]) -> None:
    """Write caches of the same inputs, one after the other, into a folder of plain arrays.

    It is there whole or not at all; one that is there already stays.

    Args:
        folder: to be made.
        caches: as `build_cache` makes them, e.g. one per shard.
    """
    new = temporary_of(folder)
    new.mkdir(parents=True)
    try:
        total, inputs = 0, {}
        for cache in caches:
            moved = cache if cache.begin is None else replace(cache, begin=cache.begin + total)
            total += len(cache.values)
            for name, dtype in _DTYPES.items():
                if (array := getattr(moved, name)) is not None:
                    with (new / name).open("ab") as file:
                        array.astype(dtype, copy=False).tofile(file)
            inputs = cache.inputs.to_dict()
        sizes = {path.name: path.stat().st_size for path in new.iterdir()}
        write_json(new / _ABOUT, {"inputs": inputs, "sizes": sizes})
        if not folder.exists():
            new.rename(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def open_cache(folder: Path) -> Cache:
    """A cache whose arrays stay in their files, mapped into memory.

    Raises:
        FileNotFoundError: no such cache.
        ValueError: a damaged one.
    """
    about = read_json(folder / _ABOUT)
    try:
        inputs, sizes = Inputs.from_dict(about["inputs"]), about["sizes"]
        arrays = {name: _mapped(folder / name, sizes[name]) for name in _DTYPES if name in sizes}
        columns = len(inputs.channels if inputs.kind == "image" else inputs.features)
        cache = Cache(inputs, **arrays | {"values": arrays["values"].reshape(-1, columns)})
    except (KeyError, TypeError, ValueError) as error:
        message = f"{folder} is damaged ({error!r}); remove this folder, it is made anew"
        raise ValueError(message) from None
    if not _fits(cache):
        message = f"{folder} is damaged (its arrays do not fit); remove it, it is made anew"
        raise ValueError(message)
    return cache


def _mapped(path: Path, size: int) -> np.ndarray:
    check_file(path, size)
    dtype = _DTYPES[path.name]
    return np.asarray(np.memmap(path, dtype, "r")) if size else np.empty(0, dtype)


def _fits(cache: Cache) -> bool:
    """Whether all arrays have entries for all jets, and no jet reaches beyond the values."""
    n, t = len(cache), len(cache.values)
    arrays = {name: getattr(cache, name) for name in _DTYPES}
    if (cache.inputs.kind == "observables") != (cache.begin is None is cache.count):
        return False
    if (cache.inputs.kind == "image") != (cache.pixel is not None):
        return False
    if any(len(v) != (n if k in _PER_JET else t) for k, v in arrays.items() if v is not None):
        return False
    if cache.pixel is not None and not _within(cache.pixel, cache.inputs.pixels**2 - 1):
        return False
    if cache.begin is None or cache.count is None:
        return True
    spans = (cache.begin, cache.count, cache.begin + cache.count)
    return all(_within(numbers, t) for numbers in spans)


def _within(numbers: np.ndarray, most: int) -> bool:
    return bool(((numbers >= 0) & (numbers <= most)).all())
