"""One jet an entry, its particles as lists: JetClass (arXiv:2202.03772), and trees like it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import awkward as ak
import numpy as np

from fivesigma.formats.fourvectors import object_fields
from fivesigma.formats.layout import Field, Group, Layout, Lists
from fivesigma.formats.tables import Table

__all__ = ["jetclass", "one_hot"]

_JET = ("jet_", "fj_", "fatjet_")
_PARTICLE = ("part_", "pfcand_", "pf_", "cpf_", "constituents_", "constituent_", "particle_")
_LABEL = re.compile(r"label_(\w+)$")
_NAMES = {
    "d0val": "d0",
    "dzval": "dz",
    "d0err": "d0_error",
    "dzerr": "dz_error",
    "sdmass": "softdrop_mass",
    "nparticles": "multiplicity",
}
#: flag of JetClass -> |PDG number| of the class's stand-in
_FLAGS = {
    "isChargedHadron": 211,
    "isNeutralHadron": 130,
    "isPhoton": 22,
    "isElectron": 11,
    "isMuon": 13,
}


def jetclass(table: Table) -> Layout | None:
    """The layout of `jet_pt ...`, `part_px ...` and one-hot labels `label_QCD ...`."""
    columns = table.columns
    single = [name for name, column in columns.items() if column.depth == 0]
    lists = [name for name, column in columns.items() if column.depth == 1 and not column.shape]
    jet, particle = _stripped(single, _JET), _stripped(lists, _PARTICLE)
    of_jet, of_particle = object_fields(jet), object_fields(particle)
    if not {"pt", "eta", "phi"} <= of_jet.keys() or "pt" not in of_particle:
        return None
    fields: dict[str, Field | Group] = dict(of_jet)
    classes = [found[1] for name in single if (found := _LABEL.match(name))]
    if classes:
        fields["label"] = one_hot([f"label_{name}" for name in classes])
    used = {*jet.values(), *(f"label_{name}" for name in classes)}
    fields |= {name: Field((name,)) for name in single if name not in used}
    fields["constituents"] = Group({**of_particle, **_pdg_id(particle)}, Lists())
    return Layout("jetclass", "jets", {"jets": Group(fields)}, classes=tuple(classes))


def _stripped(names: Iterable[str], prefixes: Iterable[str]) -> dict[str, str]:
    """Name without its prefix -> column, of the columns that have one of the prefixes."""
    found = {}
    for name in names:
        prefix = next((each for each in prefixes if name.startswith(each)), None)
        if prefix:
            short = name[len(prefix) :]
            found[_NAMES.get(short, short)] = name
    return found


def one_hot(columns: Sequence[str]) -> Field:
    """The index of the one column that is 1; -1 where none or several are."""
    return Field(tuple(columns), _hot)


def _hot(*columns: ak.Array) -> np.ndarray:
    table = np.stack([np.asarray(column) for column in columns], axis=1) > 0.5
    return np.where(table.sum(axis=1) == 1, table.argmax(axis=1), -1).astype(np.int16)


def _pdg_id(particle: Mapping[str, str]) -> dict[str, Field | Group]:
    """PDG numbers from the flags of the five classes and the charge."""
    flags = [name for name in _FLAGS if name in particle]
    if "pdg_id" in particle or len(flags) < len(_FLAGS) or "charge" not in particle:
        return {}
    needed = (particle["charge"], *(particle[name] for name in _FLAGS))
    return {"pdg_id": Field(needed, _number)}


def _number(charge: ak.Array, *flags: ak.Array) -> ak.Array:
    counts = ak.num(charge, axis=1)
    sign = np.asarray(ak.flatten(charge, axis=1))
    number = np.zeros(len(sign), np.int32)
    for flag, pdg_id in zip(flags, _FLAGS.values(), strict=True):
        is_set = np.asarray(ak.flatten(flag, axis=1)) > 0.5
        # a negative charge is the particle of a lepton, the antiparticle of a pion
        turned = -1 if pdg_id in (11, 13) else 1
        number[is_set] = np.where(sign[is_set] * turned < 0, -pdg_id, pdg_id)
    return ak.unflatten(number, counts)
