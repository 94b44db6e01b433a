"""Les Houches event files (arXiv:hep-ph/0609017) and HepMC: containers and layouts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

import awkward as ak
import numpy as np

from fivesigma.formats.containers.eventtext import Block, CutOffError, EventText, lines_of
from fivesigma.formats.containers.hepmc import HepMCTable
from fivesigma.formats.fourvectors import from_cartesian, momentum_fields
from fivesigma.formats.layout import Field, Group, Layout, Lists
from fivesigma.formats.tables import Column, Table
from fivesigma.units import C_LIGHT, charge

__all__ = ["LHETable", "hepmc", "lhe", "open_tables"]

#: eta of what flies exactly along the beam, whose eta is infinite
_ALONG_BEAM = 100.0
_WGT = re.compile(rb"<wgt\s+id\s*=\s*['\"]([^'\"]*)['\"]\s*>\s*([^\s<]+)\s*</wgt>")
_WEIGHTS = re.compile(rb"<weights\s*>([^<]*)</weights>")
# within < and > no other <: the time would be quadratic in what has no end
_NAME = re.compile(rb"<weight\b[^<>]*?\bid\s*=\s*['\"]([^'\"<]+)['\"][^<>]*>([^<]*)</weight>")
_INIT = re.compile(rb"<init\b[^<>]*>([^<]*)", re.DOTALL)
_EVENT = {
    "event.event": Column("uint64"),
    "event.process_id": Column("int32"),
    "event.weight": Column("float64"),
    "event.scale": Column("float64"),
    "event.alpha_qed": Column("float64"),
    "event.alpha_qcd": Column("float64"),
    "event.weight_variations": Column("float64", 1),
}
#: numbers of a particle's line; mothers and colours count from 1, 0: none
_LINE = (
    *("pdg_id", "status", "mother", "mother2", "colour", "anticolour"),
    *("px", "py", "pz", "energy", "mass", "lifetime", "spin"),
)
_ALONG = (
    "truth: eta is +-100 where pT is exactly 0, as of incoming partons; "
    "their momenta are in given_pz and given_energy"
)


def open_tables(path: str, file: Any) -> list[Table]:
    """The events of a file of a generator; .gz is unzipped while it is read.

    Args:
        path: for messages.
        file: opened for reading.

    Raises:
        ValueError: a damaged file.
    """
    head = b"".join(islice(lines_of(file), 4))
    kind = HepMCTable if head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"HepMC::") else LHETable
    return [kind(path, file)]


class LHETable(EventText):
    """Events of a Les Houches file.

    Attributes:
        meanings: names of the weight variations -> what the header says of them.
        init: lines of the <init> block, as numbers.
    """

    def __init__(self, path: str, file: Any) -> None:
        super().__init__(path, file)
        integers = _LINE[:6]
        self.columns = {
            **_EVENT,
            **{f"truth.{n}": Column("int32" if n in integers else "float64", 1) for n in _LINE},
        }
        header = b"".join(self._header())
        if b"<!DOCTYPE" in header or b"<!ENTITY" in header:
            message = "it has a <!DOCTYPE> or <!ENTITY>, which no events need; refused"
            raise ValueError(message)
        found = _INIT.search(header)
        if found is None or b"</init>" not in header:
            message = "no <init> ... </init> before its events; it is damaged"
            raise ValueError(message)
        lines = found[1].decode("utf-8", "replace").strip().splitlines()
        self.init = [[float(word) for word in line.split()] for line in lines if line.strip()]
        self.meanings = _meanings(header)
        first = self.first()
        given = _variations(first, list(self.meanings)) if first is not None else {}
        self.meanings = {**self.meanings, **{n: "" for n in given if n not in self.meanings}}
        self.weights = tuple(self.meanings) if given else ()
        self.ended = self.ends_with(b"</LesHouchesEvents>")

    def _header(self) -> Block:
        """The lines to the end of <init>."""
        header = Block()
        for line in self.lines():
            header.add(line)
            if b"</init>" in line:
                break
        return header

    def event_blocks(self) -> Iterator[Block]:
        """See `EventText.event_blocks`."""
        block: Block | None = None
        started = False
        for line in self.lines():
            started = started or b"</init>" in line
            if started and block is None and b"<event" in line and b"<eventgroup" not in line:
                block = Block()
            if block is not None:
                block.add(line)
                if b"</event>" in line:
                    if b"<event" in line.partition(b"</event>")[2]:
                        message = "an event begins on the line where another ends"
                        raise ValueError(message)
                    yield block
                    block = None
        if block is not None:
            message = "it is cut off within its last event (no </event>)"
            raise CutOffError(message)

    def event(self, block: Block, index: int) -> dict[str, Any]:
        """See `EventText.event`."""
        lines = [line for line in _text(block) if not line.startswith(b"#")]
        about = [float(word) for word in lines[0].split()]
        count = int(about[0])
        if len(about) < 6 or len(lines) - 1 != count:
            message = f"{len(lines) - 1} particles, it claims {count}"
            raise ValueError(message)
        words = [line.split()[: len(_LINE)] for line in lines[1:]]
        numbers = np.array(words, float).reshape(count, len(_LINE)).T
        if not np.all(np.abs(numbers[:6]) < 2**31):
            message = "a PDG number, status or mother of more than 32 bits"
            raise ValueError(message)
        truth = {f"truth.{name}": each for name, each in zip(_LINE, numbers, strict=True)}
        truth["truth.mother"] = truth["truth.mother"] - 1
        if np.any(truth["truth.mother"] >= count):
            message = "a mother behind the end of its particles"
            raise ValueError(message)
        names = ("process_id", "weight", "scale", "alpha_qed", "alpha_qcd")
        event = {f"event.{name}": each for name, each in zip(names, about[1:6], strict=True)}
        given = _variations(block, list(self.weights))
        unknown = [name for name in given if name not in self.meanings]
        if unknown:
            message = f"weights {', '.join(unknown[:5])}, which the first event does not have"
            raise ValueError(message)
        listed = [given.get(name, np.nan) for name in self.weights]
        return {"event.event": index, "event.weight_variations": listed, **event, **truth}


def _meanings(header: bytes) -> dict[str, str]:
    """Names of weight variations, and what the header says of them."""
    found = ((n.decode("utf-8", "replace"), t) for n, t in _NAME.findall(header))
    return {name: text.decode("utf-8", "replace").strip() for name, text in found}


def _text(block: Block) -> list[bytes]:
    """The lines of numbers: behind <event>, before any other tag."""
    text = b"".join(block).split(b">", 1)[1].split(b"<", 1)[0]
    return [line for line in (each.strip() for each in text.splitlines()) if line]


def _variations(block: Block, names: list[str]) -> dict[str, float]:
    """The weights of an event by name, of <rwgt> or of <weights>, which has no names."""
    text = b"".join(block)
    named = {name.decode("utf-8", "replace"): float(w) for name, w in _WGT.findall(text)}
    found = _WEIGHTS.search(text)
    if named or found is None:
        return named
    values = found[1].split()
    names = names + [str(i + 1) for i in range(len(names), len(values))]
    return {name: float(value) for name, value in zip(names, values, strict=False)}


def lhe(table: Table) -> Layout | None:
    """The layout of Les Houches events: `event` and `truth`, all in GeV."""
    if not isinstance(table, LHETable):
        return None
    truth = _truth({name: f"truth.{name}" for name in _LINE}, ("lifetime", "spin"))
    notes = [_ALONG, "truth.mother is the first of two mothers", *_weights(table)]
    for line in table.init[1:]:
        if len(line) >= 4:
            notes.append(f"process {line[3]:.0f}: {line[0]:g} +- {line[1]:g} pb")
    if table.ended is False:
        notes.append("the file has no end, </LesHouchesEvents>: events may be missing")
    return Layout("lhe", "events", {"event": _event(table), "truth": truth}, notes=tuple(notes))


def hepmc(table: Table) -> Layout | None:
    """The layout of HepMC 2 and 3: `event` and `truth`, with production vertices."""
    if not isinstance(table, HepMCTable):
        return None
    names = ("pdg_id", "status", "mother", "px", "py", "pz", "energy", "mass")
    truth = _truth({name: f"truth.{name}" for name in names}, ())
    places = {f"v{axis}": Field((f"truth.{axis}",)) for axis in "xyz"}
    places["vt"] = Field(("truth.t",), _nanoseconds)
    truth = Group({**truth.fields, **places}, Lists())
    notes = [_ALONG, "truth.mother is the first mother", *_weights(table)]
    if not table.has_unit:
        notes.append("the file names no units: GeV and mm are assumed; unit='MeV' says otherwise")
    if table.ended is False:
        notes.append("the file has no line END_EVENT_LISTING: events may be missing")
    groups = {"event": _event(table), "truth": truth}
    return Layout("hepmc", "events", groups, unit=table.unit, notes=tuple(notes))


def _event(table: EventText) -> Group:
    """What is said of events; the weight variations where there are any."""
    names = [name for name in table.columns if name.startswith("event.")]
    if not table.weights:
        names.remove("event.weight_variations")
    return Group({n.removeprefix("event."): Field((n,), energy=n == "event.scale") for n in names})


def _truth(columns: dict[str, str], more: tuple[str, ...]) -> Group:
    momentum = {name: columns[name] for name in ("px", "py", "pz", "mass")}
    fields: dict[str, Field | Group] = dict(momentum_fields(momentum))
    three = (columns["px"], columns["py"], columns["pz"])
    fields["eta"] = Field(three, _finite_eta)
    for name in ("pdg_id", "status", "mother"):
        fields[name] = Field((columns[name],))
    fields["charge"] = Field((columns["pdg_id"],), _charge)
    fields["given_pz"] = Field((columns["pz"],), energy=True)
    fields["given_energy"] = Field((columns["energy"],), energy=True)
    return Group({**fields, **{name: Field((columns[name],)) for name in more}}, Lists())


def _weights(table: EventText) -> list[str]:
    """A note with the names of the weight variations."""
    if not table.weights:
        return []
    meanings = getattr(table, "meanings", {})
    said = [f"{n} ({meanings[n]})" if meanings.get(n) else n for n in table.weights]
    return [f"event.weight_variations: {', '.join(said)}"]


def _finite_eta(px: ak.Array, py: ak.Array, pz: ak.Array) -> ak.Array:
    eta = from_cartesian(px, py, pz)["eta"]
    return ak.where(abs(eta) == np.inf, np.sign(eta) * _ALONG_BEAM, eta)


def _nanoseconds(length: ak.Array) -> ak.Array:
    """HepMC gives times as c t [mm]."""
    return length / C_LIGHT


def _charge(pdg_id: ak.Array) -> ak.Array:
    flat = np.asarray(ak.flatten(pdg_id, axis=1))
    numbers, index = np.unique(flat, return_inverse=True)
    charges = np.array([_charge_of(int(number)) for number in numbers], np.float32)
    return ak.unflatten(charges[index], ak.num(pdg_id, axis=1))


def _charge_of(pdg_id: int) -> float:
    try:
        return charge(pdg_id)
    except ValueError:  # a number of the generator's own
        return 0.0
