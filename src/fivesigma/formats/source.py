"""One file, opened and understood: read it as Events, whole, in part or in steps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

import awkward as ak
import numpy as np
from numba import get_num_threads

from fivesigma.formats.fourvectors import guess_unit
from fivesigma.formats.layout import Group, Layout
from fivesigma.formats.tables import Table, one_line, reading

__all__ = ["UNITS", "Source", "parse_bytes"]

#: how many entries are looked at to guess the unit of energies
_LOOK_AT = 200
#: a damaged file may claim any number of entries
_MOST_STEPS = 10_000_000
UNITS = {"GeV": 1.0, "MeV": 1e-3}


class Source:
    """One file, opened and understood.

    Attributes:
        path: the file.
        format: a name in `FORMATS`.
        kind: "events", "jets", "showers", "hits" or "table".
        table: its columns.
        layout: which columns make which fields.
        unit: of energies in the file, "GeV" or "MeV"; what is read is always in GeV.
        why: how the unit is known.

    Example:
        >>> with open_file("nano.root") as source:                         # doctest: +SKIP
        ...     events = source.read(["muons.pt", "muons.charge"], stop=1000)
    """

    def __init__(
        self, table: Table, layout: Layout, unit: str | None = None, file: Any = None
    ) -> None:
        self.path, self.table, self.layout, self._file = table.path, table, layout, file
        self.format, self.kind = layout.name, layout.kind
        if unit:
            self.unit, self.why = unit, "as given"
        elif layout.unit:
            self.unit, self.why = layout.unit, f"as {layout.name} files have"
        else:
            self.unit, self.why = "GeV", ""
            sample = self.read(stop=min(_LOOK_AT, self.entries))
            self.unit, self.why = guess_unit(sample, self.kind)

    @property
    def entries(self) -> int:
        """Number of events, jets, showers or rows."""
        with reading(self.path):
            return self.table.entries

    @property
    def fields(self) -> list[str]:
        """Names of all fields that can be read, e.g. "muons.pt"."""
        return self.layout.names()

    @property
    def classes(self) -> list[str]:
        """Names of the classes that labels count."""
        return list(self.layout.classes)

    @property
    def notes(self) -> list[str]:
        """What a reader should know, e.g. columns left out."""
        return list(self.layout.notes)

    def __repr__(self) -> str:
        return f"<Source {self.path}: {self.format}, {self.entries} {self.kind}>"

    def read(
        self, columns: Sequence[str] | None = None, start: int = 0, stop: int | None = None
    ) -> ak.Array:
        """Events (or jets, showers, rows) from `start` to `stop`; energies in GeV.

        Args:
            columns: fields or collections to read, e.g. ["muons.pt", "met"]; None reads all.
            start: first entry.
            stop: behind the last entry; None: to the end.

        Raises:
            ValueError: a field that is not there, or a damaged file.
        """
        stop = self.entries if stop is None else min(stop, self.entries)
        return self._build(self._group(columns), start, max(start, stop))

    def iterate(
        self,
        columns: Sequence[str] | None = None,
        step: int | str = "50 MB",
        start: int = 0,
        stop: int | None = None,
    ) -> Iterator[ak.Array]:
        """The same in steps, for files larger than memory.

        Where Numba may use more than one thread, the next step is read meanwhile; the file must
        not be read otherwise until the iteration ends.

        Args:
            columns: as in `read`.
            step: entries, or memory ("50 MB") of one step.
            start: first entry.
            stop: behind the last entry; None: to the end.
        """
        group = self._group(columns)
        steps = self.steps(columns, step, start, stop, slack=4)
        if get_num_threads() == 1 or len(steps) < 2:
            for begin, end in steps:
                yield self._build(group, begin, end)
            return
        self.table.threads = get_num_threads()
        with ThreadPoolExecutor(1) as pool:  # reads one step ahead
            ahead = pool.submit(self._columns, group, *steps[0])
            for begin, end in steps[1:]:
                arrays = ahead.result()
                ahead = pool.submit(self._columns, group, begin, end)
                yield self._arranged(group, arrays)
            yield self._arranged(group, ahead.result())

    def steps(
        self,
        columns: Sequence[str] | None,
        step: int | str,
        start: int = 0,
        stop: int | None = None,
        slack: int = 2,
    ) -> list[tuple[int, int]]:
        """First entry, and the one behind the last, of each step of `iterate`.

        They begin where the file's own pieces do, if that makes no step larger.
        """
        stop = self.entries if stop is None else min(stop, self.entries)
        names = list(dict.fromkeys(self._group(columns).columns()))
        size = self.step_entries(columns, step)
        if stop - start > size * _MOST_STEPS:
            message = (
                f"{self.path}: {stop} entries in steps of {size}; damaged, or too small steps"
            )
            raise ValueError(message)
        with reading(self.path):
            natural = np.asarray(self.table.boundaries(names), np.int64)
        found = []
        while start < stop:
            end = min(start + size, stop)
            if end < stop and not isinstance(step, int):
                end = _natural_end(start, size, slack, natural[natural > start])
            found.append((start, end))
            start = end
        return found

    def step_entries(self, columns: Sequence[str] | None, step: int | str) -> int:
        """How many entries a step of so much memory has."""
        if isinstance(step, int):
            return max(step, 1)
        names = list(dict.fromkeys(self._group(columns).columns()))
        with reading(self.path):
            size = self.table.entry_bytes(names)
        return max(int(parse_bytes(step) / max(size, 1.0)), 1)

    def close(self) -> None:
        """Close the file."""
        self.table.close()
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _group(self, columns: Sequence[str] | None) -> Group:
        if columns is None:
            return self.layout.whole
        try:
            return self.layout.only(columns)
        except ValueError as error:
            message = f"{self.path}: {error}"
            raise ValueError(message) from None

    def _build(self, group: Group, start: int, stop: int) -> ak.Array:
        return self._arranged(group, self._columns(group, start, stop))

    def _columns(self, group: Group, start: int, stop: int) -> dict[str, ak.Array]:
        with reading(self.path):
            return self.table.read(list(dict.fromkeys(group.columns())), start, stop)

    def _arranged(self, group: Group, arrays: dict[str, ak.Array]) -> ak.Array:
        with reading(self.path):
            try:
                return group.build(arrays, UNITS[self.unit])
            except ValueError as error:
                message = f"{self.path}: {one_line(error)}"
                raise ValueError(message) from None


def _natural_end(start: int, size: int, slack: int, ahead: np.ndarray) -> int:
    """Where a step of at most `size` entries ends best, given the boundaries ahead of it."""
    inside = ahead[ahead <= start + size]
    if len(inside):
        return int(inside[-1])
    if not len(ahead):
        return start + size
    piece = int(ahead[0]) - start
    # a piece is unpacked whole for any part of it: take it at once, if it is not too large
    parts = 1 if piece <= slack * size else -(-piece // size)
    return start + -(-piece // parts)


def parse_bytes(text: str) -> float:
    """Bytes of "100 MB", "2GB", "512 kB".

    Raises:
        ValueError: text of another form.
    """
    found = re.fullmatch(r"\s*([0-9.]+)\s*([kMGT]?)B\s*", text)
    if not found:
        message = f"memory {text!r}: expected a number and kB, MB, GB or TB, e.g. '500 MB'"
        raise ValueError(message)
    return float(found[1]) * 1000.0 ** " kMGT".index(found[2] or " ")
