"""Delphes (arXiv:1307.6346): lists `Jet.PT`, `Muon.PT` beside their counts `Jet_size`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import partial

import awkward as ak
import numpy as np

from fivesigma.formats.fourvectors import object_fields
from fivesigma.formats.layout import Field, Group, Layout, Lists, Referenced
from fivesigma.formats.tables import Table
from fivesigma.units import mass

__all__ = ["delphes"]

#: our collection -> Delphes's branches, the first that is there; others keep their name
_COLLECTIONS = {
    "electrons": ("Electron", "ElectronTight", "ElectronMedium", "ElectronLoose", "ElectronCHS"),
    "muons": ("Muon", "MuonTight", "MuonMedium", "MuonLoose", "MuonTightCHS", "MuonLooseCHS"),
    "photons": ("Photon", "PhotonTight", "PhotonMedium", "PhotonLoose"),
    "jets": ("Jet", "JetPUPPI", "VLCjetR05N4"),
    "fatjets": ("FatJet", "JetAK8", "JetPUPPIAK8"),
    "truth": ("Particle",),
    "tracks": ("Track",),
    "towers": ("Tower",),
    "vertices": ("Vertex",),
    "met": ("MissingET",),
}
_EVENT = {"Number": "event", "Weight": "weight"}
#: particle-flow branches -> momentum, PDG number of what carries no other
_FLOW = {"EFlowTrack": "PT", "EFlowPhoton": "ET", "EFlowNeutralHadron": "ET"}
_NUMBERS = {"EFlowPhoton": 22, "EFlowNeutralHadron": 130}
_IMPACT = {
    "d0": ("D0", "Dxy"),
    "dz": ("DZ",),
    "d0_error": ("ErrorD0", "SDxy"),
    "dz_error": ("ErrorDZ",),
}
_RENAMED = {"M1": "mother", "Status": "status", "SDxy": "d0_error"}
#: place and time: names where there is a momentum, and where not
_PLACE = {"X": ("vx", "x"), "Y": ("vy", "y"), "Z": ("vz", "z"), "T": ("vt", "t")}
#: what object-orientation leaves in a file, and references
_LEFT_OUT = re.compile(r"fUniqueID|fBits|(\w+\.)(ref|refs|fName|fSize|@other\d)$")
_TIME = re.compile(r"T|TOuter|ErrorT|Time")
_NS_PER_S = 1e9
_VECTOR = ("px", "py", "pz", "energy")
#: how many events are looked at to learn what jets are made of
_LOOK_AT = 10
_NOTE = "references between objects are left out, but for the constituents of jets"

Names = Mapping[str, str]


def delphes(table: Table) -> Layout | None:
    """The layout of Delphes."""
    branches = _branches(table)
    if not any(f"{name}_size" in table.columns for name in branches):
        return None
    single = [name for name in ("Event", "ScalarHT", "Weight") if name in branches]
    groups = {"event": _event({name: branches[name] for name in single})} if single else {}
    flow = [name for name in _FLOW if _FLOW[name] in branches.get(name, ())]
    ours = {
        next(name for name in names if name in branches): collection
        for collection, names in _COLLECTIONS.items()
        if any(name in branches for name in names)
    }
    for name in [name for name in branches if name not in (*single, *flow)]:
        collection = ours.get(name, name)
        if "MET" in branches[name]:
            groups[collection] = _missing_momentum(branches[name])
        else:
            groups[collection] = Group(_object(collection, branches[name], table), Lists())
    if flow:
        groups["particles"] = Group(_particles({name: branches[name] for name in flow}), Lists())
    _add_constituents(groups, branches, ours, flow, table)
    order = dict.fromkeys(("event", *_COLLECTIONS, "particles", *groups))
    ordered = {name: groups[name] for name in order if name in groups}
    return Layout("delphes", "events", ordered, notes=(_NOTE,))


def _branches(table: Table) -> dict[str, dict[str, str]]:
    """Branch -> {what it has: column}, of the branches that ROOT's objects made."""
    found: dict[str, dict[str, str]] = {}
    for column in table.columns:
        name, _, inside = column.partition(".")
        if inside and f"{name}.fUniqueID" in table.columns:
            found.setdefault(name, {})[inside] = column
    return found


def _kept(names: Names) -> dict[str, str]:
    return {name: column for name, column in names.items() if not _LEFT_OUT.match(name)}


def _event(branches: Mapping[str, Names]) -> Group:
    """Numbers of the event, of lists that have one element each."""
    fields: dict[str, Field | Group] = {}
    for name, column in _kept(branches.get("Event", {})).items():
        fields[_EVENT.get(name, name)] = Field((column,), _first)
    if "Weight" in branches.get("Weight", {}):
        fields["weight_variations"] = Field((branches["Weight"]["Weight"],))
    if "HT" in branches.get("ScalarHT", {}):
        fields["ht"] = Field((branches["ScalarHT"]["HT"],), _first, energy=True)
    return Group(fields)


def _first(values: ak.Array) -> np.ndarray:
    made: np.ndarray = ak.to_numpy(ak.fill_none(ak.firsts(values), 0))
    return made.astype(ak.to_numpy(ak.flatten(values, axis=1)).dtype)


def _missing_momentum(names: Names) -> Group:
    ours = {"pt": "MET", "eta": "Eta", "phi": "Phi"}
    return Group(
        {
            field: Field((names[name],), _first, energy=field == "pt")
            for field, name in ours.items()
            if name in names
        }
    )


def _object(collection: str, names: Names, table: Table) -> dict[str, Field | Group]:
    """All fields of one branch: momentum first; arrays `Tau[5]` as tau1 ... tau5."""
    single, arrays, vectors = _sorted(_kept(names), table)
    made = object_fields(_momentum(collection, single), collection)
    if {"pt", "eta", "phi"} <= made.keys() and "mass" not in made:
        # Delphes gives no mass to what it takes as massless
        made["mass"] = Field(made["pt"].columns, _zeros)
    times = {single[name] for name in single if _TIME.fullmatch(name)}
    fields: dict[str, Field | Group] = {
        name: Field(field.columns, _to_ns) if field.columns[0] in times else field
        for name, field in made.items()
    }
    for name, column in arrays.items():
        stem = "tau" if name == "Tau" else name
        for i in range(table.columns[column].shape[0]):
            fields[f"{stem}{i + 1}"] = Field((column,), partial(_element, i))
    for name in vectors:
        four = {part: names[f"{name}.{part}"] for part in _VECTOR}
        fields[name] = Group(dict(object_fields(four)), Lists())
    if isinstance(groomed := fields.get("SoftDroppedJet"), Group):
        fields["softdrop_mass"] = groomed.fields["mass"]
    return fields


def _sorted(names: Names, table: Table) -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Names of single numbers, of arrays of fixed length, and of four-vectors."""
    shapes = {name: table.columns[column].shape for name, column in names.items()}
    single = {n: c for n, c in names.items() if not shapes[n] and "." not in n}
    arrays = {
        name.partition("[")[0]: column
        for name, column in names.items()
        if len(shapes[name]) == 1 and "." not in name
    }
    stems = dict.fromkeys(name.rpartition(".")[0] for name in names if not shapes[name])
    vectors = [s for s in stems if s and all(f"{s}.{part}" in names for part in _VECTOR)]
    return single, arrays, vectors


def _momentum(collection: str, names: Names) -> dict[str, str]:
    """Without what repeats the momentum; transverse energy is pT of what is massless."""
    found = {_RENAMED.get(name, name): column for name, column in names.items()}
    for name in [name for name in _PLACE if name in found]:
        place = _PLACE[name]["PT" not in found and "ET" not in found] if "X" in names else "time"
        found[place] = found.pop(name)
    if "PT" not in found and "ET" in found:
        found["PT"] = found.pop("ET")
        found.pop("E", None)
    if "PT" in found and ("Mass" in found or collection == "photons"):
        found = {n: c for n, c in found.items() if n not in ("E", "P", "Px", "Py", "Pz")}
    return found


def _zeros(like: ak.Array) -> ak.Array:
    return ak.zeros_like(like)


def _to_ns(seconds: ak.Array) -> ak.Array:
    return ak.values_astype(ak.values_astype(seconds, np.float64) * _NS_PER_S, np.float32)


def _element(which: int, values: ak.Array) -> ak.Array:
    return values[:, :, which]


def _particles(branches: Mapping[str, Names]) -> dict[str, Field | Group]:
    """Charged tracks, photons and neutral hadrons as one list, in this order."""
    track = branches.get("EFlowTrack", {})
    pt = [names[_FLOW[name]] for name, names in branches.items()]
    fields: dict[str, Field | Group] = {"pt": Field(tuple(pt), _joined, energy=True)}
    for field in ("Eta", "Phi"):
        columns = tuple(names[field] for names in branches.values())
        fields[field.lower()] = Field(columns, _joined)
    # of tracks, two columns or none are used; of the others, one each, for their number
    others = tuple(names["ET"] for name, names in branches.items() if name != "EFlowTrack")
    numbers = [_NUMBERS[name] for name in branches if name != "EFlowTrack"]
    tracks = (track["PID"], track["Charge"]) if track else ()
    for field, formula in (("mass", _mass), ("charge", _charge), ("pdg_id", _pdg_id)):
        fields[field] = Field((*tracks, *others), partial(formula, numbers))
    for field, names in _IMPACT.items():
        column = next((track[name] for name in names if name in track), None)
        if column:
            fields[field] = Field((column, *others), _padded)
    return fields


def _joined(*parts: ak.Array) -> ak.Array:
    return ak.concatenate(parts, axis=1)


def _padded(values: ak.Array, *others: ak.Array) -> ak.Array:
    """Values of the tracks; 0 for what is neutral."""
    return _joined(values, *(ak.values_astype(ak.zeros_like(each), np.float32) for each in others))


def _pdg_id(numbers: Iterable[int], *columns: ak.Array) -> ak.Array:
    """Electrons and muons as they are, other tracks +-211; 22 and 130."""
    numbers = list(numbers)
    tracks, others = columns[: -len(numbers) or None], columns[len(columns) - len(numbers) :]
    parts = []
    if tracks:
        pid, charge = tracks
        lepton = (abs(pid) == 11) | (abs(pid) == 13)
        parts.append(ak.where(lepton, pid, 211 * np.sign(charge)))
    for number, each in zip(numbers, others, strict=True):
        parts.append(ak.full_like(each, number))
    return ak.values_astype(_joined(*parts), np.int32)


def _mass(numbers: Iterable[int], *columns: ak.Array) -> ak.Array:
    number = abs(_pdg_id(numbers, *columns))
    made = sum((number == each) * mass(each) for each in (11, 13, 211))
    return ak.values_astype(made, np.float32)


def _charge(numbers: Iterable[int], *columns: ak.Array) -> ak.Array:
    number = _pdg_id(numbers, *columns)
    lepton = (abs(number) == 11) | (abs(number) == 13)
    charged = (abs(number) == 211) * np.sign(number) - lepton * np.sign(number)
    return ak.values_astype(charged, np.int8)


def _add_constituents(
    groups: dict[str, Group],
    branches: Mapping[str, Names],
    ours: Mapping[str, str],
    flow: Iterable[str],
    table: Table,
) -> None:
    """Give jets what their references name: particle flow, else towers, tracks or truth."""
    sources = {"particles": tuple(f"{name}.fUniqueID" for name in flow)}
    sources |= {
        ours[name]: (f"{name}.fUniqueID",)
        for name in ("Tower", "Track", "Particle")
        if name in ours
    }
    sources = {name: numbers for name, numbers in sources.items() if numbers}
    for name, names in branches.items():
        if refs := names.get("Constituents.refs"):
            matched = {part: _matches(refs, sources[part], table) for part in sources}
            best = max(matched, key=lambda part: matched[part], default=None)
            if best is not None and matched[best]:
                collection = ours.get(name, name)
                parts = Group(groups[best].fields, Referenced(refs, sources[best]))
                fields = {**groups[collection].fields, "constituents": parts}
                groups[collection] = Group(fields, Lists())


def _matches(refs: str, numbers: tuple[str, ...], table: Table) -> int:
    """How many references of the first events name one of these objects."""
    arrays = table.read([refs, *numbers], 0, min(_LOOK_AT, table.entries))
    arrange = Referenced(refs, numbers)
    parts = {"number": _joined(*(arrays[name] for name in numbers))}
    return int(ak.sum(ak.num(arrange(parts, arrays), axis=2)))
