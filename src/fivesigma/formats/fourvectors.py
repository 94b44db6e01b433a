"""Four-vectors from whatever a file has of them, and the unit of its energies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import awkward as ak
import numpy as np
from awkward.contents import ListOffsetArray, NumpyArray
from awkward.index import Index64

from fivesigma.formats.components import component
from fivesigma.formats.layout import Field
from fivesigma.units import mass

__all__ = ["from_cartesian", "guess_unit", "momentum_fields", "object_fields", "standard_name"]

#: field -> names it goes by, in lower case
_NAMES = {
    "pt": ("pt",),
    "eta": ("eta",),
    "phi": ("phi",),
    "mass": ("mass", "m"),
    "energy": ("energy", "e"),
    "px": ("px",),
    "py": ("py",),
    "pz": ("pz",),
    "charge": ("charge", "q"),
    "pdg_id": ("pdgid", "pdg_id", "pid", "pdg"),
    "d0": ("d0", "dxy"),
    "dz": ("dz", "z0"),
    "d0_error": ("d0err", "dxyerr", "errord0", "d0_error"),
    "dz_error": ("dzerr", "errordz", "dz_error"),
    "event": ("event", "eventnumber", "event_number"),
}
_STANDARD = {name: field for field, names in _NAMES.items() for name in names}
_ENERGIES = {"pt", "mass", "energy", "px", "py", "pz", "et", "ht", "sumet", "p"}
#: names that a four-vector would take for its own coordinates -> what they are called beside it
_COORDINATES = {
    **{"x": "vx", "y": "vy", "z": "vz", "t": "vt", "tau": "tau_", "theta": "polar_angle"},
    **{"X": "vx", "Y": "vy", "Z": "vz", "T": "vt"},
    **{name: f"given_{name}" for name in ("rho", "px", "py", "pz", "energy", "E", "M", "m", "e")},
}
_POLAR = ("pt", "eta", "phi")
_CARTESIAN = ("px", "py", "pz")
#: (part of a collection's name, mass of its objects [GeV]) where a file gives none
_HYPOTHESES = (
    ("muon", mass(13)),
    ("electron", mass(11)),
    ("photon", 0.0),
    ("track", mass(211)),
    ("tau", mass(15)),
)
#: above these medians of pT no GeV are meant: collection -> [GeV]
_JETS_AT_MOST, _OTHERS_AT_MOST = 4000.0, 700.0


def standard_name(name: str) -> str:
    """The schema's name of a field, e.g. "pdg_id" of "pdgId"; else the name as it is."""
    return _STANDARD.get(name.lower(), re.sub(r"\W+", "_", name).strip("_") or "value")


def momentum_fields(
    columns: Mapping[str, str], hypothesis: float | None = None
) -> dict[str, Field]:
    """Fields `pt eta phi mass` from the columns of one kind of object.

    Args:
        columns: of `pt eta phi mass energy px py pz` those that are there -> column.
        hypothesis: mass where neither mass nor energy is there [GeV]; None: no mass.

    Returns:
        The fields that can be made; empty without a momentum.
    """
    has = columns.keys()
    whole = has >= {*_CARTESIAN, "energy"}
    if has >= set(_POLAR) and ("mass" in has or not whole):
        made = {name: Field((columns[name],), energy=name == "pt") for name in _POLAR}
        return made | _mass_of_polar(columns, hypothesis)
    if whole:
        four = tuple(columns[name] for name in (*_CARTESIAN, "energy"))
        return {
            name: Field(four, partial(_component, name), name in ("pt", "mass"))
            for name in ("pt", "eta", "phi", "mass")
        }
    if has >= set(_CARTESIAN):
        three = tuple(columns[name] for name in _CARTESIAN)
        made = {name: Field(three, partial(_component, name), name == "pt") for name in _POLAR}
        return made | _given_mass(columns, three[0], hypothesis)
    if has >= {"pt", "phi"} or has >= {"px", "py"}:
        return _transverse(columns)
    return {}


def _mass_of_polar(columns: Mapping[str, str], hypothesis: float | None) -> dict[str, Field]:
    if "mass" not in columns and "energy" in columns:
        needed = (columns["pt"], columns["eta"], columns["energy"])
        return {"mass": Field(needed, _mass_from_energy, energy=True)}
    return _given_mass(columns, columns["pt"], hypothesis)


def _given_mass(
    columns: Mapping[str, str], like: str, hypothesis: float | None
) -> dict[str, Field]:
    if "mass" in columns:
        return {"mass": Field((columns["mass"],), energy=True)}
    if hypothesis is None:
        return {}
    return {"mass": Field((like,), partial(_constant, hypothesis))}


def _transverse(columns: Mapping[str, str]) -> dict[str, Field]:
    """pT and azimuth, of missing momentum."""
    if "pt" in columns:
        return {"pt": Field((columns["pt"],), energy=True), "phi": Field((columns["phi"],))}
    two = (columns["px"], columns["py"])
    return {"pt": Field(two, np.hypot, energy=True), "phi": Field(two, _azimuth)}


def _azimuth(px: ak.Array, py: ak.Array) -> ak.Array:
    return np.arctan2(py, px)


def _constant(value: float, like: ak.Array) -> ak.Array:
    return ak.full_like(like, value)


def object_fields(columns: Mapping[str, str], collection: str = "") -> dict[str, Field]:
    """All fields of one kind of object: its momentum first, others under standard names.

    Args:
        columns: the name a column has in its object ("Px", "btag") -> column.
        collection: name of the collection; tells the mass of muons, electrons, photons.
    """
    known = {standard_name(name): column for name, column in columns.items()}
    fields = momentum_fields(known, mass_hypothesis(collection))
    used = {column for each in fields.values() for column in each.columns}
    has_momentum = bool(fields)
    for name, column in columns.items():
        standard = standard_name(name)
        if has_momentum and standard in _COORDINATES:
            standard = _COORDINATES[standard]
        if column not in used and standard not in fields:
            fields[standard] = Field((column,), energy=standard in _ENERGIES)
    return fields


def mass_hypothesis(collection: str) -> float | None:
    """The mass that a collection's name tells [GeV], None for jets and others."""
    lower = collection.lower()
    return next((value for part, value in _HYPOTHESES if part in lower), None)


def from_cartesian(
    px: ak.Array, py: ak.Array, pz: ak.Array, energy: ak.Array | None = None
) -> dict[str, ak.Array]:
    """pt, eta, phi and, with the energy, mass; each of the arrays' own structure and precision.

    Rounding may make E^2 < p^2: such masses are 0. Eta of what has no pT is infinite.
    """
    names = ("pt", "eta", "phi") if energy is None else ("pt", "eta", "phi", "mass")
    given = (px, py, pz) if energy is None else (px, py, pz, energy)
    return {name: _component(name, *given) for name in names}


def _component(name: str, *given: ak.Array) -> ak.Array:
    """One of pt, eta, phi, mass from (px, py, pz) or (px, py, pz, E) of any structure."""
    flat, offsets = zip(*(_unwrapped(each) for each in given), strict=True)
    made: Any = NumpyArray(component(name, *flat))
    for each in reversed(offsets[0]):
        made = ListOffsetArray(each, made)
    return ak.Array(made)


def _unwrapped(array: ak.Array) -> tuple[np.ndarray, list[Index64]]:
    """The values in an array's lists, and the offsets of the lists, outermost first.

    Awkward's own functions do this, too, with thirty times the overhead.
    """
    layout, offsets = ak.to_layout(array), []
    if layout.is_numpy:
        layout = layout.to_RegularArray()  # lists of what has more than one axis
    while layout.is_list:
        layout = layout.to_ListOffsetArray64(True)
        offsets.append(layout.offsets)
        layout = layout.content[: layout.offsets[-1]]
    return np.asarray(ak.Array(layout)), offsets


def _mass_from_energy(pt: ak.Array, eta: ak.Array, energy: ak.Array) -> ak.Array:
    p = ak.values_astype(pt, np.float64) * np.cosh(ak.values_astype(eta, np.float64))
    m2 = ak.values_astype(energy, np.float64) ** 2 - p**2
    mass = np.sqrt(ak.where(m2 > 0, m2, 0.0))
    return ak.values_astype(mass, np.float32 if "float32" in str(ak.type(pt)) else np.float64)


def guess_unit(sample: ak.Array, kind: str) -> tuple[str, str]:
    """Whether energies are in GeV or MeV, and why.

    The masses of muons and electrons decide; else how large pT is.

    Args:
        sample: some events or jets, their energies as in the file.
        kind: of the sample.
    """
    groups = {name: sample[name] for name in sample.fields} if kind == "events" else {kind: sample}
    medians = {}
    for name, group in groups.items():
        for part, expected in _HYPOTHESES[:2]:
            found = _median(group, "mass") if part in name.lower() else None
            for unit, factor in (("MeV", 1000), ("GeV", 1)):
                if found is not None and abs(found / (factor * expected) - 1) < 0.05:
                    return unit, f"{name} have a mass of {found:.4g}"
        if (median := _median(group, "pt")) is not None:
            medians[name] = median
    for name, median in medians.items():
        if median > (_JETS_AT_MOST if "jet" in name else _OTHERS_AT_MOST):
            return "MeV", f"the median pT of {name} is {median:.4g}, too large for GeV"
    if medians:
        name, median = next(iter(medians.items()))
        return "GeV", f"the median pT of {name} is {median:.4g}"
    return "GeV", "assumed: nothing in it tells"


def _median(group: ak.Array, name: str) -> float | None:
    if name not in group.fields:
        return None
    values = np.asarray(ak.drop_none(ak.flatten(group[name], axis=None)), float)
    values = values[np.isfinite(values) & (values > 0)]
    return float(np.median(values)) if values.size else None
