"""HepMC 2 and 3 in text: one event from its lines.

Read here and not by a library: the readers of pyhepmc 2.16 end the whole process on some damaged
files. What they read of whole files is the same, which the tests check.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from fivesigma.formats.containers.eventtext import Block, CutOffError, EventText
from fivesigma.formats.tables import Column

__all__ = ["HepMCTable"]

_EVENT = {
    "event.event": Column("uint64"),
    "event.weight": Column("float64"),
    "event.weight_variations": Column("float64", 1),
    "event.process_id": Column("int32"),
    "event.scale": Column("float64"),
    "event.alpha_qcd": Column("float64"),
    "event.alpha_qed": Column("float64"),
}
#: of a particle, in the file's unit of energy; x y z t are of its production vertex [mm]
_NUMBERS = ("px", "py", "pz", "energy", "mass", "x", "y", "z", "t")
_INTEGERS = ("pdg_id", "status", "mother")
_MM = {"MM": 1.0, "CM": 10.0}
_GEV = {"GEV": 1.0, "MEV": 1e-3}
#: attributes of events in HepMC 3 -> our names
_ATTRIBUTES = {
    "signal_process_id": "process_id",
    "event_scale": "scale",
    "alphaQCD": "alpha_qcd",
    "alphaQED": "alpha_qed",
}
_ORIGIN = (0.0, 0.0, 0.0, 0.0)


class HepMCTable(EventText):
    """Events of HepMC.

    Attributes:
        unit: of energies in the first event, "GeV" or "MeV"; all are given in it.
        has_unit: whether the file says so.
    """

    def __init__(self, path: str, file: Any) -> None:
        super().__init__(path, file)
        self.columns = {
            **_EVENT,
            **{f"truth.{name}": Column("int32", 1) for name in _INTEGERS},
            **{f"truth.{name}": Column("float64", 1) for name in _NUMBERS},
        }
        self.unit, self.has_unit = "GeV", False
        self._gev = 1.0
        self._header: list[bytes] = []
        self._parse: Callable[[Block], dict[str, Any]] = _version(self.lines())
        self.ended = self.ends_with(b"END_EVENT_LISTING")
        first = self.first()
        if first is not None:
            self._look_at(first)

    def _look_at(self, first: Block) -> None:
        """Unit and names of weights, from the first event and what is before it."""
        found = self._parse(first)
        unit, names = found["unit"], found["names"] or _names(self._header)
        self.has_unit, self._gev = unit is not None, _GEV[unit or "GEV"]
        self.unit = "MeV" if unit == "MEV" else "GeV"
        count = len(found["event.weight_variations"])
        names = names[1:] if len(names) == count + 1 else [str(i + 1) for i in range(count)]
        self.weights = tuple(names)

    def event_blocks(self) -> Iterator[Block]:
        """See `EventText.event_blocks`."""
        block: Block | None = None
        header, line = Block(), b"\n"
        for line in self.lines():
            begins = line.startswith(b"E ")
            if begins or line.startswith(b"HepMC::"):
                if block is not None:
                    yield block
                elif begins and not self._header:
                    self._header = header
                block = Block() if begins else None
            (header if block is None else block).add(line)
        if block is None:
            return
        try:
            self._parse(block)
        except (ValueError, IndexError) as error:
            message = f"it is cut off within its last event ({error})"
            raise CutOffError(message) from None
        if not line.endswith(b"\n"):
            message = "it is cut off within its last line"
            raise CutOffError(message)
        yield block

    def event(self, block: Block, index: int) -> dict[str, Any]:
        """See `EventText.event`."""
        found = self._parse(block)
        if found["event.event"] < 0:  # generators that do not number
            found["event.event"] = index
        factor = _GEV[found["unit"] or "GEV"] / self._gev
        if factor != 1.0:
            for name in ("px", "py", "pz", "energy", "mass"):
                found[f"truth.{name}"] = np.asarray(found[f"truth.{name}"]) * factor
        return found


def _version(lines: Iterator[bytes]) -> Callable[[Block], dict[str, Any]]:
    """What reads the events of this version."""
    for line in lines:
        if line.startswith(b"HepMC::Asciiv3"):
            return _event3
        if line.startswith(b"HepMC::IO_GenEvent"):
            return _event2
        if not line.startswith(b"HepMC::Version") and line.strip():
            break
    message = "expected HepMC::Asciiv3 (HepMC 3) or HepMC::IO_GenEvent (HepMC 2) at its beginning"
    raise ValueError(message)


def _names(header: list[bytes]) -> list[str]:
    """Names of the weights in HepMC 3: one line before the events."""
    line = next((each for each in header if each.startswith(b"N ")), b"")
    return line[2:].decode("utf-8", "replace").rstrip("\n").split("\\|") if line else []


class _Event:
    """What is gathered of one event."""

    def __init__(self) -> None:
        self.numbers: list[list[str | float]] = []
        self.integers: list[tuple[int, int, int]] = []
        self.values: dict[str, Any] = {
            "event.process_id": -1,
            "event.scale": np.nan,
            "event.alpha_qcd": np.nan,
            "event.alpha_qed": np.nan,
            "unit": None,
            "names": [],
        }
        self.weights: list[float] = []
        self.mm = 1.0

    def set_unit(self, words: list[str]) -> None:
        """Of a line `U GEV MM`."""
        if words[1] not in _GEV or words[2] not in _MM:
            message = f"units {' '.join(words[1:])}; expected GEV or MEV, and MM or CM"
            raise ValueError(message)
        self.values["unit"], self.mm = words[1], _MM[words[2]]

    def add(self, four: list[str], integers: tuple[int, int, int], at: tuple[float, ...]) -> None:
        """A particle: px py pz E m; PDG number, status, mother; production vertex."""
        if len(four) != 5:
            message = f"a particle with {len(four)} of px py pz E m"
            raise ValueError(message)
        self.numbers.append([*four, *at])
        self.integers.append(integers)

    def columns(self, claimed: int) -> dict[str, Any]:
        """The event's columns.

        Raises:
            ValueError: fewer or more particles than it claims.
        """
        if claimed != len(self.integers):
            message = f"{len(self.integers)} particles, it claims {claimed}"
            raise ValueError(message)
        flat = [float(each) for particle in self.numbers for each in particle]
        numbers = np.array(flat).reshape(-1, len(_NUMBERS)).T
        numbers[5:] *= self.mm
        integers = np.array(self.integers, np.int64).reshape(-1, len(_INTEGERS)).T
        if np.any(np.abs(integers) >= 2**31):
            message = "a PDG number or status of more than 32 bits"
            raise ValueError(message)
        return self.values | {
            "event.weight": self.weights[0] if self.weights else 1.0,
            "event.weight_variations": self.weights[1:],
            **{f"truth.{name}": each for name, each in zip(_NUMBERS, numbers, strict=True)},
            **{f"truth.{name}": each for name, each in zip(_INTEGERS, integers, strict=True)},
        }


def _event3(block: Block) -> dict[str, Any]:
    """An event of HepMC 3: `P id parent pid px py pz E m status`, `V id status [in] @ x y z t`.

    A parent > 0 is a particle, < 0 a vertex; a vertex without place is where its parents began.
    """
    event = _Event()
    first = block[0].decode("utf-8", "replace").split()
    event.values["event.event"] = int(first[1])
    origin = _place(first) or _ORIGIN
    vertices: dict[int, tuple[int, tuple[float, ...]]] = {0: (-1, origin)}
    places: list[tuple[float, ...]] = []
    for line in block[1:]:
        words = line.decode("utf-8", "replace").split()
        kind = words[0] if words else ""
        if kind == "P":
            parent = int(words[2])
            known = parent in vertices if parent <= 0 else parent <= len(places)
            if int(words[1]) != len(places) + 1 or not known:
                message = f"particle {words[1]} of parent {parent} is out of order"
                raise ValueError(message)
            mother, place = (parent - 1, places[parent - 1]) if parent > 0 else vertices[parent]
            places.append(place)
            event.add(words[4:9], (int(words[3]), int(words[9]), mother), place)
        elif kind == "V":
            parents = [int(each) for each in words[3].strip("[]").split(",") if each]
            if any(not 0 < each <= len(places) for each in parents):
                message = f"vertex {words[1]} has parents that are not there"
                raise ValueError(message)
            before = places[parents[0] - 1] if parents else origin
            vertices[int(words[1])] = (min(parents, default=0) - 1, _place(words) or before)
        elif kind == "W":
            event.weights = [float(each) for each in words[1:]]
        elif kind == "U":
            event.set_unit(words)
        elif kind == "A" and words[1] == "0" and words[2] in _ATTRIBUTES:
            event.values[f"event.{_ATTRIBUTES[words[2]]}"] = float(words[3])
    event.values["event.process_id"] = int(event.values["event.process_id"])
    return event.columns(int(first[3]))


def _place(words: list[str]) -> tuple[float, ...] | None:
    """x y z t behind an `@`."""
    if "@" not in words:
        return None
    at = words.index("@")
    x, y, z, t = map(float, words[at + 1 : at + 5])
    return x, y, z, t


def _event2(block: Block) -> dict[str, Any]:
    """An event of HepMC 2: each vertex, then what ends there and has no other, then its own.

    `V barcode id x y z t orphans own ...`; `P barcode pid px py pz E m status theta phi end ...`.
    """
    event = _Event()
    vertices = _first_line2(event, block[0].decode("utf-8", "replace").split())
    claimed = orphans = vertex = 0
    place: tuple[float, ...] = _ORIGIN
    begins: list[int] = []  # the vertex where each particle begins, 0: none
    first_of: dict[int, int] = {}  # vertex -> the first particle that ends there
    for line in block[1:]:
        words = line.decode("utf-8", "replace").split()
        kind = words[0] if words else ""
        if kind == "P":
            first_of.setdefault(int(words[11]), len(begins))
            begins.append(0 if orphans > 0 else vertex)
            integers = (int(words[2]), int(words[8]), -1)
            event.add(words[3:8], integers, _ORIGIN if orphans > 0 else place)
            orphans -= 1
        elif kind == "V":
            vertex, orphans = int(words[1]), int(words[7])
            place = tuple(map(float, words[3:7]))
            claimed += orphans + int(words[8])
            vertices -= 1
        elif kind == "U":
            event.set_unit(words)
        elif kind == "N":
            event.values["names"] = shlex.split(line.decode("utf-8", "replace"))[2:]
    if vertices:
        message = f"{abs(vertices)} vertices {'are missing' if vertices > 0 else 'too many'}"
        raise ValueError(message)
    found = event.columns(claimed)
    found["truth.mother"] = [first_of.get(each, -1) if each else -1 for each in begins]
    return found


def _first_line2(event: _Event, words: list[str]) -> int:
    """The line of an event in HepMC 2; gives the number of vertices.

    `E event mpi scale alphaQCD alphaQED process signal-vertex vertices beam beam N random ... M
    weights ...`.
    """
    event.values |= {"event.event": int(words[1]), "event.process_id": int(words[6])}
    for name, word in zip(("scale", "alpha_qcd", "alpha_qed"), words[3:6], strict=True):
        event.values[f"event.{name}"] = float(word)
    randoms = int(words[11])
    claimed, weights = int(words[12 + randoms]), words[13 + randoms :]
    if randoms < 0 or len(weights) != claimed:
        message = f"{len(weights)} weights, it claims {claimed}"
        raise ValueError(message)
    event.weights = [float(each) for each in weights]
    return int(words[8])
