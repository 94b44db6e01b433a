"""Layouts of NumPy files that groups of the field share: jets, graphs of hits, dijet windows."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import awkward as ak
import numpy as np

from fivesigma.formats.fourvectors import momentum_fields, object_fields, standard_name
from fivesigma.formats.layout import Field, Group, Layout, Lists, Padded
from fivesigma.formats.tables import Column, Table
from fivesigma.units import charge, mass

__all__ = ["energyflow", "flat_jets", "lhco_windows", "trackml_graph", "weaver_npz"]

#: entries that are looked at to tell a format by its values
_LOOK_AT = 200
_GEV_PER_TEV = 1000.0
#: units of the graphs of arXiv:2103.16701: lengths in metres, angles in pi
_MM_PER_M = 1000.0
_UNNAMED = ("the file does not name its classes: signal is what it labels 1",)
#: field -> its formula from px, py, pz, E
_FORMULAS: dict[str, Callable[..., Any]] = {
    name: field.formula
    for name, field in momentum_fields({n: n for n in ("px", "py", "pz", "energy")}).items()
    if field.formula
}


def energyflow(table: Table) -> Layout | None:
    """EnergyFlow's quark and gluon jets (Zenodo 3164691).

    `X` (N, M, 4) has pT, rapidity, azimuth and PDG number, padded with zeros; `y` is 1 for quarks.
    """
    particles, label = table.columns.get("X"), table.columns.get("y")
    if particles is None or label != Column(label.dtype if label else ""):
        return None
    if particles.depth or len(particles.shape) != 2 or particles.shape[1] != 4:
        return None
    sample = table.read(["X", "y"], 0, min(_LOOK_AT, table.entries))
    values, labels = np.asarray(sample["X"]), np.asarray(sample["y"])
    pdg_id = values[..., 3]
    if (values[..., 0] < 0).any() or (pdg_id != np.round(pdg_id)).any() or _unknown(pdg_id):
        return None
    if not set(np.unique(labels)) <= {0, 1}:
        return None
    constituents: dict[str, Field | Group] = {
        name: Field(("X",), partial(_energyflow_particle, name), name in ("pt", "mass"))
        for name in ("pt", "eta", "phi", "mass", "charge", "pdg_id")
    }
    fields: dict[str, Field | Group] = {
        name: Field(("X",), partial(_energyflow_jet, name), name in ("pt", "mass"))
        for name in _FORMULAS
    }
    fields["label"] = Field(("y",), _zero_for_one)
    fields |= _others(table, {"X", "y"})
    fields["constituents"] = Group(constituents, Padded(("X",), _has_pt))
    return Layout("energyflow", "jets", {"jets": Group(fields)}, classes=("quark", "gluon"))


def _unknown(pdg_id: np.ndarray) -> bool:
    """Whether some numbers name no particle: then the column means something else."""
    try:
        for number in np.unique(pdg_id[pdg_id != 0]):
            mass(int(number))
    except (ValueError, RuntimeError):
        return True
    return False


def _has_pt(particles: ak.Array) -> np.ndarray:
    return np.asarray(particles)[..., 0] > 0


def _zero_for_one(label: ak.Array) -> np.ndarray:
    """Class 0 of what the file calls 1, class 1 of what it calls 0."""
    values = np.asarray(label)
    if not np.isin(values, (0, 1)).all():
        message = f"labels from {values.min()} to {values.max()}, expected 0 and 1"
        raise ValueError(message)
    return (values == 0).astype(np.int16)


def _by_pdg_id(function: Callable[[int], float], pdg_id: np.ndarray) -> np.ndarray:
    """A property of each particle; 0 of padding."""
    numbers, where = np.unique(pdg_id, return_inverse=True)
    values = [function(int(number)) if number else 0.0 for number in numbers]
    return np.asarray(values, np.float64)[where].reshape(pdg_id.shape)


def _energyflow_particle(name: str, particles: ak.Array) -> np.ndarray:
    values = np.asarray(particles)
    pt, rapidity, phi, pdg_id = np.moveaxis(values, -1, 0)
    if name == "pdg_id":
        return pdg_id.astype(np.int32)
    if name == "charge":
        return _by_pdg_id(charge, pdg_id).astype(np.int8)
    if name == "pt":
        return pt
    if name == "phi":
        return _wrapped(phi)
    mass_of = _by_pdg_id(mass, pdg_id)
    if name == "mass":
        return mass_of.astype(values.dtype)
    # pz = mT sinh y = pT sinh eta
    ratio = np.hypot(1.0, mass_of / np.where(pt > 0, pt, np.inf))
    return np.arcsinh(ratio * np.sinh(rapidity)).astype(values.dtype)


def _wrapped(phi: np.ndarray) -> np.ndarray:
    """In (-pi, pi]; angles that are there already are not touched."""
    turned = np.pi - np.mod(np.pi - phi, 2 * np.pi)
    return np.where(np.abs(phi) <= np.pi, phi, turned).astype(phi.dtype)


def _energyflow_jet(name: str, particles: ak.Array) -> ak.Array:
    values = np.asarray(particles, np.float64)
    pt, rapidity, phi, pdg_id = np.moveaxis(values, -1, 0)
    transverse = np.where(pt > 0, np.hypot(pt, _by_pdg_id(mass, pdg_id)), 0.0)
    parts = (
        pt * np.cos(phi),
        pt * np.sin(phi),
        transverse * np.sinh(rapidity),
        transverse * np.cosh(rapidity),
    )
    return _component_of_sum(name, *(part.sum(axis=1) for part in parts))


def _component_of_sum(name: str, *sums: np.ndarray) -> ak.Array:
    return ak.values_astype(_FORMULAS[name](*map(ak.Array, sums)), np.float32)


def flat_jets(table: Table) -> Layout | None:
    """Jets with `pxpypzE` (sum n, 4) [GeV], `counts` (N,) and `label` (N,), 1 for the signal."""
    column = table.columns.get("pxpypzE")
    if column is None or (column.depth, column.shape) != (1, (4,)):
        return None
    fields: dict[str, Field | Group] = {
        name: Field(("pxpypzE",), partial(_flat_jet, name), name in ("pt", "mass"))
        for name in _FORMULAS
    }
    labelled = "label" in table.columns
    if labelled:
        fields["label"] = Field(("label",), _zero_for_one)
    if "counts" in table.columns:
        fields["multiplicity"] = Field(("counts",))
    fields |= _others(table, {"pxpypzE", "label", "counts"})
    fields["constituents"] = Group(
        {
            name: Field(("pxpypzE",), partial(_flat_particle, name), name in ("pt", "mass"))
            for name in _FORMULAS
        },
        Lists(),
    )
    return Layout(
        "flat-jets",
        "jets",
        {"jets": Group(fields)},
        classes=("signal", "background") if labelled else (),
        notes=_UNNAMED if labelled else (),
    )


def _flat_particle(name: str, vectors: ak.Array) -> ak.Array:
    return _FORMULAS[name](*(vectors[..., k] for k in range(4)))


def _flat_jet(name: str, vectors: ak.Array) -> ak.Array:
    sums = (ak.sum(ak.values_astype(vectors[..., k], np.float64), axis=1) for k in range(4))
    return _component_of_sum(name, *map(np.asarray, sums))


def weaver_npz(table: Table) -> Layout | None:
    """Jets as ParticleNet and ParT read them (arXiv:1902.08570, arXiv:2202.03772).

    `features` (N, F, M), `vectors` (N, 4, M) with px, py, pz, E [GeV], `mask` (N, 1, M), and
    `points` (N, 2, M) with distances from the jet's axis.
    """
    shapes = {
        name: table.columns[name].shape
        for name in ("features", "vectors", "mask", "points")
        if name in table.columns and not table.columns[name].depth
    }
    mask = shapes.get("mask", ())
    if len(mask) != 2 or mask[0] != 1 or shapes.get("vectors") != (4, mask[1]):
        return None
    fields: dict[str, Field | Group] = {
        name: Field(("vectors", "mask"), partial(_weaver_jet, name), name in ("pt", "mass"))
        for name in _FORMULAS
    }
    fields |= _others(table, shapes.keys())
    inner: dict[str, Field | Group] = {
        name: Field(("vectors",), partial(_weaver_particle, name), name in ("pt", "mass"))
        for name in _FORMULAS
    }
    if shapes.get("points") == (2, mask[1]):
        inner |= {name: _row("points", k) for k, name in enumerate(("deta", "dphi"))}
    features = shapes.get("features", ())
    if features[1:] == mask[1:]:
        inner |= {f"feature_{k:02}": _row("features", k) for k in range(features[0])}
    fields["constituents"] = Group(inner, Padded(("mask",), _unmasked))
    notes = ("features are inputs of a network, scaled, in the order of its configuration",)
    return Layout("weaver-npz", "jets", {"jets": Group(fields)}, notes=notes)


def _row(column: str, k: int) -> Field:
    return Field((column,), partial(_of_row, k))


def _of_row(k: int, values: ak.Array) -> np.ndarray:
    return np.asarray(values)[:, k]


def _unmasked(mask: ak.Array) -> np.ndarray:
    return np.asarray(mask)[:, 0] != 0


def _weaver_particle(name: str, vectors: ak.Array) -> ak.Array:
    return _FORMULAS[name](*(ak.Array(_of_row(k, vectors)) for k in range(4)))


def _weaver_jet(name: str, vectors: ak.Array, mask: ak.Array) -> ak.Array:
    kept = np.where(_unmasked(mask)[:, np.newaxis], np.asarray(vectors, np.float64), 0.0)
    return _component_of_sum(name, *kept.sum(axis=2).T)


def _others(table: Table, used: Collection[str]) -> dict[str, Field | Group]:
    """What else a jet has, under names that are none of a four-vector's coordinates."""
    rest = {
        name: name
        for name, column in table.columns.items()
        if name not in used and not column.depth and standard_name(name) not in _FORMULAS
    }
    made = object_fields({**{name: "" for name in ("pt", "eta", "phi")}, **rest})
    return {name: field for name, field in made.items() if field.columns[0] in rest}


def trackml_graph(table: Table) -> Layout | None:
    """One graph of hits of a TrackML event: the files of DeZoort et al. (arXiv:2103.16701)."""
    hits, edges = table.columns.get("hits_r_phi_z"), table.columns.get("edge_index")
    if hits is None or edges is None or hits.shape != (3,) or (hits.depth, edges.depth) != (1, 1):
        return None
    scales = {"r": _MM_PER_M, "phi": np.pi, "z": _MM_PER_M}
    of_hits: dict[str, Field | Group] = {
        name: Field(("hits_r_phi_z",), partial(_coordinate, k, scale))
        for k, (name, scale) in enumerate(scales.items())
    }
    of_edges: dict[str, Field | Group] = {
        name: Field(("edge_index",), partial(_end, k)) for k, name in enumerate(("inner", "outer"))
    }
    if "particle_id" in table.columns:
        of_hits["particle_id"] = Field(("particle_id",))
    if "edge_label" in table.columns:
        of_edges["label"] = Field(("edge_label",))
    groups: dict[str, Field | Group] = {
        "hits": Group(of_hits, Lists()),
        "edges": Group(of_edges, Lists()),
    }
    return Layout("trackml-graph", "hits", {"graph": Group(groups)})


def _coordinate(k: int, scale: float, hits: ak.Array) -> ak.Array:
    return ak.values_astype(hits[..., k] * scale, np.float32)


def _end(k: int, edges: ak.Array) -> ak.Array:
    """One row of (2, E), as the list of each graph."""
    return ak.from_regular(edges[:, k], axis=1)


def lhco_windows(table: Table) -> Layout | None:
    """Dijet events of the LHC Olympics in a window of the mass (arXiv:2109.00546).

    (N, 6) `mJJ mJ1 dmJ` [TeV], `tau21` of both jets, and the label, 1 for the signal: told by the
    values, as the file has no names.
    """
    column = table.columns.get("values")
    if len(table.columns) > 1 or column is None or column.shape != (6,) or column.dtype[0] != "f":
        return None
    sample = np.asarray(table.read(["values"], 0, min(_LOOK_AT, table.entries))["values"])
    mjj, mj1, dmj, tau1, tau2, label = sample.T
    mass_range = ((mjj > 1) & (mjj < 10)).all() and (np.minimum(mj1, dmj) > -0.01).all()
    ratios = ((np.minimum(tau1, tau2) >= 0) & (np.maximum(tau1, tau2) <= 1.5)).all()
    if not (len(sample) and mass_range and ratios and (mj1 < mjj).all()):
        return None
    if not np.isin(label, (0, 1)).all():
        return None
    fields: dict[str, Field | Group] = {
        name: Field(("values",), partial(_window, k, _GEV_PER_TEV), energy=True)
        for k, name in enumerate(("mjj", "mj1", "dmj"))
    }
    for k, name in ((3, "tau21_j1"), (4, "tau21_j2")):
        fields[name] = Field(("values",), partial(_window, k, 1.0))
    fields["label"] = Field(("values",), _window_label)
    notes = ("masses are TeV in the file, GeV here; told by its values, it has no names",)
    return Layout(
        "lhco-windows", "table", {"rows": Group(fields)}, "GeV", ("background", "signal"), notes
    )


def _window(k: int, scale: float, values: ak.Array) -> np.ndarray:
    return np.asarray(values)[:, k] * scale


def _window_label(values: ak.Array) -> np.ndarray:
    return np.asarray(values)[:, 5].astype(np.int16)
