"""What every file is first of all: a table of named columns, read in pieces.

A container (a ROOT tree, an HDF5 file, Parquet, text ...) is opened as a `Table`. Which columns
make which collection is said by a `Layout`, whatever the container.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, NamedTuple

import awkward as ak

__all__ = ["Column", "Table", "missing_columns", "one_line", "reading"]

#: entries that are looked at to learn how much memory one takes
_SAMPLE = 200
_LONGEST_MESSAGE = 1000


class Column(NamedTuple):
    """What a file holds under one name.

    Attributes:
        dtype: NumPy's name of the numbers, or "str".
        depth: 0: one value an entry, 1: a list an entry, 2: lists of lists ...
        shape: fixed lengths of inner axes, e.g. (200,) of padded particles.
    """

    dtype: str
    depth: int = 0
    shape: tuple[int, ...] = ()


class Table:
    """Named columns of one file, read in pieces; the base class of all containers.

    Attributes:
        path: where it is from, for messages.
        columns: name -> what it is.
        names: name of the tree or group, where a file has several; else "".
        metadata: what fivesigma noted when it wrote the file; empty for files of others.
        skipped: columns that cannot be read as numbers or text, and why.
        threads: columns that may be unpacked at a time; more take more memory.
    """

    path: str
    name: str = ""
    threads: int = 1
    columns: Mapping[str, Column]
    metadata: Mapping[str, Any]
    skipped: Mapping[str, str]

    def __init__(self, path: str) -> None:
        self.path, self.columns, self.metadata, self.skipped = path, {}, {}, {}

    @property
    def entries(self) -> int:
        """Number of entries."""
        raise NotImplementedError

    def read(self, names: Sequence[str], start: int, stop: int) -> dict[str, ak.Array]:
        """Columns of the entries from `start` to `stop`, each an array of stop - start entries.

        Raises:
            ValueError: a damaged file.
            OSError: a file that cannot be read.
        """
        raise NotImplementedError

    def entry_bytes(self, names: Sequence[str]) -> float:
        """About how many bytes of memory one entry of these columns takes."""
        few = min(self.entries, _SAMPLE)
        arrays = self.read(names, 0, few) if few else {}
        return sum(float(ak.to_packed(each).nbytes) for each in arrays.values()) / max(few, 1)

    def boundaries(self, names: Sequence[str]) -> Sequence[int]:
        """Entries where pieces of these columns begin that are stored, and unpacked, as a whole.

        Steps that begin there unpack nothing twice. Empty: anywhere is as good.
        """
        return ()

    def close(self) -> None:
        """Close the file."""

    def __enter__(self) -> Table:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


@contextmanager
def reading(path: str) -> Iterator[None]:
    """Turn what libraries raise on damaged files into one clear line.

    Raises:
        ValueError: whatever went wrong inside, unless it is about the file's place or the network.
    """
    try:
        yield
    except (FileNotFoundError, PermissionError, ConnectionError, IsADirectoryError, ImportError):
        raise
    except MemoryError:
        message = f"{path}: claims more than fits into memory; it is damaged, or read it in steps"
        raise ValueError(message) from None
    except Exception as error:
        said = one_line(error)
        if isinstance(error, ValueError) and said.startswith(path):
            raise ValueError(said) from None
        message = f"{path}: cannot be read, it is damaged or incomplete ({said[:200]})"
        raise ValueError(message) from None


def one_line(error: Exception) -> str:
    """What an error says in one line, without what a hostile file could do to a terminal."""
    words = " ".join(re.sub(r"<_io\.[^>]*>", "the file", str(error)).split())
    words = words or type(error).__name__
    return "".join(each if each.isprintable() else "?" for each in words)[:_LONGEST_MESSAGE]


def missing_columns(path: str, wanted: Sequence[str], has: Iterable[str]) -> ValueError:
    """The error that says which columns a file lacks, with the closest names it has."""
    has = list(has)
    close = {c: None for name in wanted for c in difflib.get_close_matches(name, has, 4, 0.5)}
    listed = ", ".join(close or has[:12]) + (" ..." if not close and len(has) > 12 else "")
    return ValueError(
        f"{path}: no column {', '.join(map(repr, wanted))}; "
        f"{'close to it' if close else 'it has'}: {listed or 'nothing'}"
    )
