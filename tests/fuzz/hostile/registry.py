"""Files that are hostile on purpose: bombs, pickles, links, names that lead elsewhere."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from fuzz.worker import SECRET


class Hostile(NamedTuple):
    """A file: its kind, and the function (path, outside) that makes it.

    The function may give changes of the request, see `worker`. What is slow takes more than a
    second, of which bombs take most to be made.
    """

    kind: str
    make: Callable[[Path, Path], dict[str, Any] | None]
    slow: bool = False


HOSTILE: list[Hostile] = []


def hostile(kind, slow=False):
    def add(make):
        HOSTILE.append(Hostile(kind, make, slow))
        return make

    return add


def set_trap(outside):
    """Files that nobody may change, and with values that nobody may read."""
    outside.mkdir(parents=True)
    (outside / "victim.txt").write_text("nobody changes this\n")
    values = np.full(50, SECRET)
    values.tofile(outside / "secret.bin")
    np.save(outside / "secret.npy", values)
    (outside / "folder").mkdir()
    (outside / "folder" / "00000.parquet").write_bytes(b"nobody removes this")
    with h5py.File(outside / "secret.h5", "w") as file:
        file["values"] = values


class Trap:
    """Who unpickles this writes a file outside."""

    def __init__(self, outside):
        self.outside = outside

    def __reduce__(self):
        return os.system, (f"touch {self.outside}/pickled",)
