"""Published samples of jets, collisions and showers as they are kept in HDF5.

Each function says which columns of its sample make which fields. What counts are the names and
shapes of columns: the same sample in another container is recognised as well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial

import awkward as ak
import numpy as np

from fivesigma.formats.fourvectors import object_fields
from fivesigma.formats.layout import Field, Group, Layout, Padded
from fivesigma.formats.layouts.jetclass import one_hot
from fivesigma.formats.layouts.places import (
    CARTESIAN,
    Place,
    at_places,
    index_of,
    moved,
    nonzero,
    padded_fields,
    picked,
    places,
    shape_of,
    side_by_side,
    some,
    summed_fields,
    zeros,
)
from fivesigma.formats.tables import Column, Table

__all__ = [
    "atlas_top",
    "calochallenge",
    "hls4ml_jets",
    "jetnet",
    "lhco",
    "lhco_features",
    "top_tagging",
]

#: number of particles that the LHC Olympics keep of a collision
_LHCO_PARTICLES = 700
_JETNET_CLASSES = ("g", "q", "t", "w", "z")
_HLS4ML_CLASSES = ("g", "q", "w", "z", "t")
_MASSLESS = "particles have no mass in the file and are taken as massless"
_UNNAMED = "its columns have no readable names; they are taken in the published order"


def top_tagging(table: Table) -> Layout | None:
    """Top Quark Tagging Reference Dataset (Zenodo 2603256): `E_0 PX_0 PY_0 PZ_0 E_1 ...` in GeV.

    The jet is the sum of its constituents; `truth_...` is the top quark, `split` 0 train, 1 test,
    2 validation as in column `ttv`.
    """
    columns, order, notes = _top_columns(table)
    count = next(i for i in range(len(order) + 1) if f"E_{i}" not in order)
    parts = dict(zip(CARTESIAN, ("PX", "PY", "PZ", "E"), strict=True))
    wanted = [f"{name}_{i}" for i in range(count) for name in parts.values()]
    if count < 2 or not order.keys() >= set(wanted):
        return None
    at = {
        part: places([order[f"{name}_{i}"] for i in range(count)]) for part, name in parts.items()
    }
    fields: dict[str, Field | Group] = dict(summed_fields(columns, at))
    truth = {part: f"truth{name}" for part, name in parts.items()}
    if order.keys() >= set(truth.values()):
        named = all(name in table.columns for name in truth.values())
        of_truth = at_places(columns, {part: order[name] for part, name in truth.items()})
        of_truth = object_fields(truth) if named else of_truth
        fields |= {f"truth_{name}": field for name, field in of_truth.items()}
    fields |= _top_label(table)
    fields["constituents"] = Group(
        dict(at_places(columns, at)), Padded(columns, partial(some, [*at.values()]))
    )
    return Layout("top-tagging", "jets", {"jets": Group(fields)}, "GeV", ("top", "qcd"), notes)


def _top_columns(table: Table) -> tuple[tuple[str, ...], dict[str, int], tuple[str, ...]]:
    """The columns that hold the four-vectors, where in them each number is, and notes."""
    for block, names in getattr(table, "blocks", {}).items():
        if "E_0" in names:
            return (block,), {name: at for at, name in enumerate(names)}, ()
    if "E_0" in table.columns:
        columns = [
            name for name in table.columns if re.match(r"(E|P[XYZ])_\d+$|truth(E|P[XYZ])$", name)
        ]
        return tuple(columns), {name: at for at, name in enumerate(columns)}, ()
    if shape_of(table, "values_block_0") == (804,):
        names = [f"{part}_{i}" for i in range(200) for part in ("E", "PX", "PY", "PZ")]
        names += ["truthE", "truthPX", "truthPY", "truthPZ"]
        return ("values_block_0",), {name: at for at, name in enumerate(names)}, (_UNNAMED,)
    return (), {}, ()


def _top_label(table: Table) -> dict[str, Field | Group]:
    index = partial(index_of, (1, 0))
    if shape_of(table, "values_block_1") == (2,):
        columns = ("values_block_1",)
        split = Field(columns, partial(picked, None, [0]))
        return {"label": Field(columns, partial(picked, index, [1])), "split": split}
    fields: dict[str, Field | Group] = {}
    if "is_signal_new" in table.columns:
        fields["label"] = Field(("is_signal_new",), index)
    if "ttv" in table.columns:
        fields["split"] = Field(("ttv",))
    return fields


def lhco(table: Table) -> Layout | None:
    """LHC Olympics 2020: 700 particles (pt, eta, phi) a collision in GeV, and a label or none."""
    size = 3 * _LHCO_PARTICLES
    shapes = ((size,), (size + 1,))
    name = next((n for n, column in table.columns.items() if column.shape in shapes), None)
    if name is None:
        return None
    at: dict[str, Place] = {part: slice(i, size, 3) for i, part in enumerate(("pt", "eta", "phi"))}
    fields = {**at_places((name,), at), "mass": Field((name,), partial(picked, zeros, [at["pt"]]))}
    groups = {"particles": Group(fields, Padded((name,), partial(some, [at["pt"]])))}
    if shape_of(table, name) == (size + 1,):
        label = Field((name,), partial(picked, partial(index_of, (0, 1)), [size]))
        groups = {"event": Group({"label": label}), **groups}
    return Layout("lhco", "events", groups, "GeV", ("background", "signal"), (_MASSLESS,))


def lhco_features(table: Table) -> Layout | None:
    """LHC Olympics 2020, two jets: `pxj1 pyj1 pzj1 mj1 tau1j1 tau2j1 tau3j1 pxj2 ...` in GeV."""
    stems = ("px", "py", "pz", "m", "tau1", "tau2", "tau3")
    if not table.columns.keys() >= {f"{stem}j{n}" for stem in stems[:4] for n in (1, 2)}:
        return None
    of_first = object_fields({s: f"{s}j1" for s in stems if f"{s}j1" in table.columns}, "jets")
    if {"tau1", "tau2"} <= of_first.keys():
        of_first["tau21"] = Field(("tau2j1", "tau1j1"), _ratio)
    fields: dict[str, Field | Group] = {}
    for name, field in of_first.items():
        both = tuple(f"{column[:-1]}{n}" for n in (1, 2) for column in field.columns)
        formula = partial(side_by_side, len(field.columns), field.formula)
        fields[name] = Field(both, formula, field.energy)
    there = Padded(("pxj1", "pyj1", "pxj2", "pyj2"), partial(side_by_side, 2, nonzero))
    groups = {"jets": Group(fields, there)}
    if "label" in table.columns:
        label = Field(("label",), partial(index_of, (0, 1)))
        groups = {"event": Group({"label": label}), **groups}
    return Layout("lhco-features", "events", groups, "GeV", ("background", "signal"))


def jetnet(table: Table) -> Layout | None:
    """JetNet (Zenodo 6975118): particles relative to the jet, which has pt, eta, mass in GeV.

    Five numbers of a jet begin with its type, as the library JetNet gives them.
    """
    jet, particle = shape_of(table, "jet_features"), shape_of(table, "particle_features")
    if jet not in ((4,), (5,)) or particle is None or len(particle) != 2 or particle[1] < 3:
        return None
    first = jet[0] - 4
    at: dict[str, Place] = {name: first + i for i, name in enumerate(("pt", "eta", "mass"))}
    fields: dict[str, Field | Group] = dict(at_places(("jet_features",), at))
    fields["phi"] = Field(("jet_features",), partial(picked, zeros, [first]))
    fields["multiplicity"] = Field(("jet_features",), partial(picked, _count, [first + 3]))
    if first:
        label = partial(picked, partial(index_of, (0, 1, 2, 3, 4)), [0])
        fields["label"] = Field(("jet_features",), label)
    both = ("particle_features", "jet_features")
    constituents = {
        "pt": Field(both, partial(_with_jet, np.multiply, 2, first), energy=True),
        "eta": Field(both, partial(_with_jet, np.add, 0, first + 1)),
        "phi": Field(both[:1], partial(picked, None, [1])),
        "mass": Field(both[:1], partial(picked, zeros, [2])),
    }
    there = Padded(both[:1], partial(_positive, 3 if particle[1] > 3 else 2))
    fields["constituents"] = Group(dict(constituents), there)
    notes = ("the azimuth of jets is not in the file and taken as 0", _MASSLESS)
    classes = _JETNET_CLASSES if first else ()
    return Layout("jetnet", "jets", {"jets": Group(fields)}, "GeV", classes, notes)


def hls4ml_jets(table: Table) -> Layout | None:
    """hls4ml LHC jets (Zenodo 3602260): `jets`, `jetConstituentList` and names of both, in GeV."""
    texts: Mapping[str, Sequence[str]] = getattr(table, "texts", {})
    size, shape = shape_of(table, "jets"), shape_of(table, "jetConstituentList")
    if size is None or shape is None or len(size) != 1 or len(shape) != 2:
        return None
    jet = _named(texts.get("jetFeatureNames", ()), "j_", size[0])
    part = _named(texts.get("particleFeatureNames", ()), "j1_", shape[1])
    part = {{"e": "energy"}.get(name, name): at for name, at in part.items()}
    if not {"pt", "eta", "mass"} <= jet.keys() or not part.keys() >= {
        *CARTESIAN,
        "pt",
        "eta",
        "phi",
    }:
        return None
    particles = ("jetConstituentList",)
    flags = [name for name in _HLS4ML_CLASSES if name in jet]
    classes = _HLS4ML_CLASSES if len(flags) == len(_HLS4ML_CLASSES) else ()
    rest = {name: at for name, at in jet.items() if name not in (*flags, "undef")}
    fields: dict[str, Field | Group] = dict(at_places(("jets",), rest))
    fields["phi"] = summed_fields(particles, {name: part[name] for name in CARTESIAN})["phi"]
    if classes:
        fields |= moved(("jets",), jet, {"label": one_hot(classes)})
    polar = {name: at for name, at in part.items() if name not in ("px", "py", "pz")}
    there = Padded(particles, partial(some, [part["energy"]]))
    fields["constituents"] = Group(dict(at_places(particles, polar)), there)
    notes = ("the azimuth of jets is that of the sum of the listed constituents",)
    return Layout("hls4ml-jets", "jets", {"jets": Group(fields)}, "GeV", classes, notes)


def atlas_top(table: Table) -> Layout | None:
    """ATLAS top tagging open data (CERN Open Data 15013): `fjet_...`, `fjet_clus_...` in MeV."""
    columns = table.columns
    clusters = {
        n[10:]: n for n, c in columns.items() if n.startswith("fjet_clus_") and len(c.shape) == 1
    }
    jet = {n[5:]: n for n, c in columns.items() if n.startswith("fjet_") and c == Column(c.dtype)}
    if not clusters.keys() >= {"pt", "eta", "phi"} or not jet.keys() >= {"pt", "eta", "phi"}:
        return None
    fields: dict[str, Field | Group] = dict(object_fields(jet, "jets"))
    if "labels" in columns:
        fields["label"] = Field(("labels",), partial(index_of, (1, 0)))
    weight = next((name for name in ("weights", "training_weights") if name in columns), None)
    if weight:
        fields["weight"] = Field((weight,))
    there = Padded((clusters["pt"],), nonzero)
    fields["constituents"] = Group(padded_fields(clusters, "clusters"), there)
    notes = ("observables other than momentum and mass are as in the file, energies in MeV",)
    return Layout("atlas-top", "jets", {"jets": Group(fields)}, "MeV", ("top", "qcd"), notes)


def calochallenge(table: Table) -> Layout | None:
    """CaloChallenge (arXiv:2410.21611): `incident_energies` and the cells `showers`, in MeV."""
    energies, cells = shape_of(table, "incident_energies"), shape_of(table, "showers")
    if energies not in ((), (1,)) or cells is None or len(cells) != 1:
        return None
    formula = partial(picked, None, [0]) if energies else None
    fields = {
        "incident_energy": Field(("incident_energies",), formula, energy=True),
        "showers": Field(("showers",), energy=True),
    }
    return Layout("calochallenge", "showers", {"showers": Group(dict(fields))}, "MeV")


def _named(names: Sequence[str], prefix: str, size: int) -> dict[str, Place]:
    """Name without its prefix -> place; the file may name more than there is."""
    return {name.removeprefix(prefix): at for at, name in enumerate(names[:size])}


def _ratio(above: ak.Array, below: ak.Array) -> ak.Array:
    """The quotient, 0 where the denominator is 0."""
    top, bottom = np.asarray(above), np.asarray(below)
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom != 0)


def _count(numbers: ak.Array) -> np.ndarray:
    return np.nan_to_num(np.asarray(numbers)).astype(np.int32)


def _with_jet(
    combine: np.ufunc, of_particle: int, of_jet: int, particles: ak.Array, jets: ak.Array
) -> ak.Array:
    """A number of each particle (N, M, F) combined with one of its jet (N, J)."""
    own, common = np.asarray(particles)[..., of_particle], np.asarray(jets)[:, of_jet]
    return ak.Array(combine(own, common[:, np.newaxis]))


def _positive(at: int, particles: ak.Array) -> np.ndarray:
    return np.asarray(particles)[..., at] > 0
