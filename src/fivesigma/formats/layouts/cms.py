"""CMS NanoAOD, and PFNano, which adds particle-flow candidates and the jets they belong to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

import awkward as ak
import numpy as np

from fivesigma.formats.fourvectors import object_fields
from fivesigma.formats.layout import Field, Group, Indexed, Layout, Lists
from fivesigma.formats.tables import Column, Table

__all__ = ["nanoaod", "pfnano"]

#: NanoAOD's collection -> ours; others keep their name
_COLLECTIONS = {
    "Muon": "muons",
    "Electron": "electrons",
    "Photon": "photons",
    "Tau": "taus",
    "Jet": "jets",
    "FatJet": "fatjets",
    "GenPart": "truth",
    "PFCands": "particles",
    "PFCand": "particles",
}
_MISSING_MOMENTUM = ("MET", "PFMET", "PuppiMET")
_EVENT = {"genWeight": "weight"}
_FIELDS = {"genPartIdxMother": "mother"}
#: CMS measures lengths in cm
_LENGTHS = {"d0", "dz", "d0_error", "dz_error"}
_MM_PER_CM = 10.0
#: jets -> tables of (jet, candidate), by PFNano and by NanoAOD
_PAIRS = {"Jet": ("JetPFCands", "JetPFCand"), "FatJet": ("FatJetPFCands", "FatJetPFCand")}
_PAIR_INDEX = ("pFCandsIdx", "pfCandIdx", "pFCandIdx")


def nanoaod(table: Table) -> Layout | None:
    """The layout of NanoAOD: counters `nMuon` and lists `Muon_pt`, `Muon_eta` ..."""
    columns = table.columns
    lists = _grouped(name for name, column in columns.items() if column.depth == 1)
    if not any(f"n{prefix}" in columns and "pt" in names for prefix, names in lists.items()):
        return None
    event = _event(columns, lists)
    groups = {"event": event} if event.fields else {}
    for prefix, names in lists.items():
        if prefix:
            name = _COLLECTIONS.get(prefix, prefix)
            groups[name] = Group(_fields(prefix, names), Lists())
    single = _grouped(name for name, column in columns.items() if column.depth == 0)
    met = next((name for name in _MISSING_MOMENTUM if name in single), None)
    for prefix, names in single.items():
        if prefix and prefix not in lists:
            groups["met" if prefix == met else prefix] = Group(_fields(prefix, names))
    for prefix in _PAIRS:
        _add_constituents(groups, prefix, lists)
    return Layout("nanoaod", "events", groups)


def pfnano(table: Table) -> Layout | None:
    """NanoAOD whose jets have constituents."""
    layout = nanoaod(table)
    if layout is None or not any("constituents" in g.fields for g in layout.groups.values()):
        return None
    return replace(layout, name="pfnano")


def _grouped(names: Iterable[str]) -> dict[str, list[str]]:
    """Prefix -> what follows it; "" -> names without a prefix."""
    found: dict[str, list[str]] = {}
    for name in names:
        prefix, _, rest = name.partition("_")
        if rest:
            found.setdefault(prefix, []).append(rest)
        else:
            found.setdefault("", []).append(name)
    return found


def _event(columns: Mapping[str, Column], lists: Mapping[str, list[str]]) -> Group:
    """Numbers and weights of the event; counters are left out."""
    fields = {}
    for name, column in columns.items():
        counter = name.startswith("n") and (name[1:] in lists or name[1:] in columns)
        mixed = column.depth == 0 and name.partition("_")[0] in lists
        if column.depth < 2 and not counter and ("_" not in name or mixed):
            fields[_EVENT.get(name, name)] = Field((name,))
    return Group(fields)


def _fields(prefix: str, names: Iterable[str]) -> dict[str, Field | Group]:
    fields = object_fields({_FIELDS.get(name, name): f"{prefix}_{name}" for name in names}, prefix)
    made: dict[str, Field | Group] = {
        name: Field(field.columns, _to_mm) if name in _LENGTHS else field
        for name, field in fields.items()
    }
    if prefix.startswith("PFCand") and "charge" not in made and "pdg_id" in made:
        made["charge"] = Field((f"{prefix}_pdgId",), _charge)
    return made


def _to_mm(values: ak.Array) -> ak.Array:
    return ak.values_astype(values * _MM_PER_CM, np.float32)


def _charge(pdg_id: ak.Array) -> ak.Array:
    """Charge of a particle-flow candidate: of the classes 211, 11 and 13, others have none."""
    size = abs(pdg_id)
    sign = np.sign(pdg_id)
    lepton = (size == 11) | (size == 13)
    return ak.values_astype(ak.where(size == 211, sign, ak.where(lepton, -sign, 0)), np.int8)


def _add_constituents(
    groups: dict[str, Group], prefix: str, lists: Mapping[str, list[str]]
) -> None:
    """Give jets the candidates that the table of pairs names."""
    pairs = next((name for name in _PAIRS[prefix] if "jetIdx" in lists.get(name, ())), None)
    candidates = next((name for name in ("PFCands", "PFCand") if name in lists), None)
    if prefix not in lists or pairs is None or candidates is None:
        return
    index = next((name for name in _PAIR_INDEX if name in lists[pairs]), None)
    if index is None:
        return
    jets = _COLLECTIONS[prefix]
    arrange = Indexed(f"{pairs}_jetIdx", f"{pairs}_{index}", f"{prefix}_{lists[prefix][0]}")
    constituents = Group(_fields(candidates, lists[candidates]), arrange)
    fields = {**groups[jets].fields, "constituents": constituents}
    groups[jets] = Group(fields, Lists())
