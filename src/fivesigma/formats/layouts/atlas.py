"""ATLAS PHYSLITE (and PHYS): one vector a variable, `AnalysisMuonsAuxDyn.pt`, energies in MeV."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial

import awkward as ak
import numpy as np

from fivesigma.formats.fourvectors import mass_hypothesis, object_fields
from fivesigma.formats.layout import Field, Group, Layout, Lists
from fivesigma.formats.tables import Table
from fivesigma.units import mass

__all__ = ["physlite"]

_VARIABLE = re.compile(r"(.+?)Aux(?:Dyn)?\.(.+)")
#: ATLAS's container -> our collection; others keep their name
_COLLECTIONS = {
    "AnalysisElectrons": "electrons",
    "AnalysisMuons": "muons",
    "AnalysisPhotons": "photons",
    "AnalysisTauJets": "taus",
    "AnalysisJets": "jets",
    "AnalysisLargeRJets": "fatjets",
    "InDetTrackParticles": "tracks",
    "PrimaryVertices": "vertices",
}
_EVENT = {"runNumber": "run", "eventNumber": "event", "lumiBlock": "lumi_block"}
_WEIGHTS = "mcEventWeights"
#: beginnings of containers that are no collections: their vectors have lengths of their own
_LEFT_OUT = ("AnalysisTrigMatch", "xTrigDecision", "METAssoc")
_LINK = {".m_persIndex": "_index", ".m_persKey": "_key"}
#: variables whose names mean something else to `object_fields`
_RENAMED = {"mpx": "px", "mpy": "py", "Q": "scale"}
#: variables beside the momentum that are energies
_ENERGY = re.compile(
    r"(topoetcone|etcone|ptcone|ptvarcone|neflowisol)\d|(pt|e|m)_(vis|invis|dressed)|SumPt"
    r"|GenFilt(HT|MET|PTZ|FatJ)|(pt1|pt2|ptFinalCalib|ptTauEnergyScale|EnergyLoss|e_sampl|calE"
    r"|EnergyPerSampling|calM|ECF1|Split\d\d|Qw|Density|JetConstitScaleMomentum_(pt|m)"
    r"|InnerDetectorPt|MuonSpectrometerPt)$"
)
#: scores of the b-taggers, which the jets point to
_TAGS, _TAG_LINK = "BTagging_AntiKt4EMPFlow", "btaggingLink.m_persIndex"
_TERMS, _FINAL, _SOFT = "MET_Core_AnalysisMET", ("Final", "RefFinal", "FinalTrk"), "PVSoftTrkCore"
_TRACK = {"theta", "phi", "qOverP"}
_UNITS_NOTE = "beside momenta, energies and isolations, numbers keep ATLAS's units (MeV, mm, ns)"
_SOFT_NOTE = (
    f"the file has no final missing momentum, only its soft terms: {_SOFT} is in 'met_soft'; "
    "add minus the sum of the calibrated objects"
)

Variables = Mapping[str, str]


def physlite(table: Table) -> Layout | None:
    """The layout of PHYSLITE: containers `AnalysisMuonsAuxDyn.pt`, and `EventInfoAuxDyn.*`."""
    containers = _containers(table)
    if "EventInfo" not in containers and not containers.keys() & _COLLECTIONS.keys():
        return None
    groups, notes = {}, [_UNITS_NOTE]
    left_out = [name for name in containers if name.startswith(_LEFT_OUT)]
    if left_out:
        kinds = [kind for kind in _LEFT_OUT if any(name.startswith(kind) for name in left_out)]
        notes.append(f"left out: {', '.join(f'{kind}...' for kind in kinds)}")
    if "EventInfo" in containers:
        groups["event"] = _event(containers["EventInfo"], table)
    for container in containers.keys() - {"EventInfo"} - set(left_out):
        name = _COLLECTIONS.get(container, container)
        groups[name] = _collection(name, containers[container], table)
    _add_tags(groups, containers, table)
    if _TERMS in containers:
        notes += _add_missing_momentum(groups, containers[_TERMS], table)
    order = ["event", *_COLLECTIONS.values(), "met", "met_soft", *containers]
    ordered = {name: groups[name] for name in order if name in groups}
    return Layout("physlite", "events", ordered, unit="MeV", notes=tuple(notes))


def _containers(table: Table) -> dict[str, dict[str, str]]:
    """Container -> {variable: column}."""
    found: dict[str, dict[str, str]] = {}
    for column in table.columns:
        if match := _VARIABLE.match(column):
            found.setdefault(match[1], {})[match[2]] = column
    return found


def _event(variables: Variables, table: Table) -> Group:
    fields: dict[str, Field | Group] = {}
    for name, column in variables.items():
        if table.columns[column].depth == 0 or table.columns[column].dtype != "str":
            short = _EVENT.get(name, re.sub(r"\W+", "_", name))
            fields[short] = Field((column,), energy=_is_energy(name))
    if _WEIGHTS in variables:
        column = variables[_WEIGHTS]
        del fields[_WEIGHTS]
        fields |= {"weight": Field((column,), _first), "weight_variations": Field((column,))}
    return Group(fields)


def _first(values: ak.Array) -> ak.Array:
    return ak.to_numpy(ak.fill_none(ak.firsts(values), 1.0)).astype(np.float64)


def _is_energy(name: str) -> bool:
    return _ENERGY.match(name) is not None


def _collection(name: str, variables: Variables, table: Table) -> Group:
    """Lists of objects; a container of single numbers is one record an event."""
    depths = {column: table.columns[column].depth for column in variables.values()}
    lists = {_short(n): column for n, column in variables.items() if depths[column]}
    if not lists:
        return Group({n: Field((c,), energy=_is_energy(n)) for n, c in variables.items()})
    fields: dict[str, Field | Group] = {}
    if lists.keys() >= _TRACK:
        fields |= _track(name, lists)
        lists = {n: c for n, c in lists.items() if n not in (*_TRACK, "d0", "z0")}
    if lists.keys() >= {"e", "m", "px"}:
        lists.pop("e")  # the mass that E^2 - p^2 gives in float32 is worth nothing
    made = object_fields(lists, "track" if "Track" in name else name)
    if "phi" not in made and "phi" not in fields:  # without a momentum x, y, z keep their names
        made = {short: Field((column,)) for short, column in lists.items()}
    for short, field in made.items():
        fields[short] = Field(field.columns, field.formula, field.energy or _is_energy(short))
    return Group(fields, Lists())


def _short(name: str) -> str:
    for ending, short in _LINK.items():
        name = name.replace(ending, short)
    return re.sub(r"\W+", "_", _RENAMED.get(name, name))


def _track(name: str, variables: Variables) -> dict[str, Field | Group]:
    """Momentum, charge and impact parameters of tracks, which have theta and q / p."""
    theta, momentum = variables["theta"], variables["qOverP"]
    fields: dict[str, Field | Group] = {
        "pt": Field((theta, momentum), _transverse, energy=True),
        "eta": Field((theta,), _eta),
        "phi": Field((variables["phi"],)),
        "mass": Field((theta,), partial(_constant, _mass_of(name))),
        "charge": Field((momentum,), _charge),
    }
    fields |= {
        ours: Field((variables[theirs],))
        for ours, theirs in {"d0": "d0", "dz": "z0"}.items()
        if theirs in variables
    }
    if covariance := variables.get("definingParametersCovMatrixDiag"):
        fields["d0_error"] = Field((covariance,), partial(_error, 0))
        fields["dz_error"] = Field((covariance,), partial(_error, 1))
    return fields


def _mass_of(name: str) -> float:
    if name.startswith("GSF"):
        return mass(11)  # refitted as electrons
    return (mass_hypothesis(name) if "Muon" in name else None) or mass(211)


def _constant(value: float, like: ak.Array) -> ak.Array:
    return ak.full_like(like, value)


def _transverse(theta: ak.Array, q_over_p: ak.Array) -> ak.Array:
    with np.errstate(divide="ignore"):
        return np.sin(theta) / abs(q_over_p)


def _eta(theta: ak.Array) -> ak.Array:
    with np.errstate(divide="ignore"):
        return -np.log(np.tan(theta / 2))


def _charge(q_over_p: ak.Array) -> ak.Array:
    return ak.values_astype(np.sign(q_over_p), np.int8)


def _error(which: int, variances: ak.Array) -> ak.Array:
    """Square root of one of the diagonal elements; NaN where the file has none."""
    padded = ak.pad_none(variances, which + 1, axis=2)[:, :, which]
    return np.sqrt(ak.fill_none(padded, np.float32(np.nan)))


def _add_tags(groups: dict[str, Group], containers: Mapping[str, Variables], table: Table) -> None:
    """Give jets the scores of the b-taggers."""
    link = containers.get("AnalysisJets", {}).get(_TAG_LINK)
    if link is None or _TAGS not in containers:
        return
    scores = {
        name: Field((link, column), _linked)
        for name, column in containers[_TAGS].items()
        if table.columns[column].dtype.startswith("float") and table.columns[column].depth == 1
    }
    groups["jets"] = Group({**groups["jets"].fields, **scores}, Lists())


def _linked(index: ak.Array, values: ak.Array) -> ak.Array:
    """For each object the value that its link points to; NaN for a link to nothing."""
    has = ak.to_numpy(ak.num(values, axis=1))
    counts = ak.to_numpy(ak.num(index, axis=1))
    flat = ak.to_numpy(ak.flatten(index, axis=1)).astype(np.int64)
    valid = (flat >= 0) & (flat < np.repeat(has, counts))
    row = (np.repeat(np.cumsum(has) - has, counts) + flat)[valid]
    found = np.full(len(flat), np.nan, np.float32)
    found[valid] = ak.to_numpy(ak.flatten(values, axis=1))[row]
    return ak.unflatten(found, counts)


def _add_missing_momentum(
    groups: dict[str, Group], variables: Variables, table: Table
) -> list[str]:
    """One record an event of the final missing momentum, or of its soft term alone; a note."""
    if not {"name", "mpx", "mpy"} <= variables.keys():
        return []
    first = table.read([variables["name"]], 0, min(1, table.entries))[variables["name"]]
    terms = set(ak.flatten(first).tolist())
    term = next((name for name in (*_FINAL, _SOFT) if name in terms), None)
    if term is None:
        return [f"no missing momentum: its terms are {', '.join(sorted(terms)) or 'none'}"]
    name, px, py = (variables[each] for each in ("name", "mpx", "mpy"))
    fields: dict[str, Field | Group] = {
        "pt": Field((name, px, py), partial(_of_term, term, np.hypot), energy=True),
        "phi": Field((name, py, px), partial(_of_term, term, np.arctan2)),
    }
    if total := variables.get("sumet"):
        fields["sumet"] = Field((name, total), partial(_of_term, term, np.abs), energy=True)
    groups["met_soft" if term == _SOFT else "met"] = Group(fields)
    return [_SOFT_NOTE] if term == _SOFT else []


def _of_term(
    term: str, formula: Callable[..., np.ndarray], names: ak.Array, *values: ak.Array
) -> np.ndarray:
    """A formula of the components that belong to one term; NaN where an event lacks it."""
    here = names == term
    return formula(*(ak.to_numpy(ak.fill_none(ak.firsts(v[here]), np.nan)) for v in values))
