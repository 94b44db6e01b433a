"""PYTHIA's event record -> the collection `truth`: what to keep, and whose child it is.

Kept are all final particles, the hard process, the last copies of t, W, Z, H, Z', W', tau, J/psi
and Upsilon with their direct decay products, and the weakly decaying charm and bottom hadrons. The
rest (beams, shower copies, strings, decayed light hadrons) is left out, and `mother` points to the
nearest ancestor that is kept, along PYTHIA's first mothers. A hadron made in a string has several
partons as mothers: its link is to one of them, as PYTHIA lists it.
"""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
from numba import njit

from fivesigma.units import C_LIGHT

__all__ = ["Charges", "charges_of", "events_of", "no_events", "truth_of"]

#: resonances, taus and the quarkonia of the catalogue
_HEAVY = (6, 15, 23, 24, 25, 32, 34, 443, 553)
#: charm and bottom hadrons that decay weakly
_WEAK = (
    *(411, 421, 431, 4122, 4132, 4232, 4332, 4412, 4422, 4432),
    *(511, 521, 531, 541, 5122, 5132, 5232, 5332, 5142, 5242, 5342),
)
_KINDS = np.zeros(6000, dtype=np.int8)
_KINDS[list(_HEAVY)] = 2
_KINDS[list(_WEAK)] = 1
#: a floor of pT [GeV] keeps the pseudorapidity of particles along the beam finite
_FLOOR = 1e-6
_DENSE = 10_000

_FIELDS = {
    **dict.fromkeys(("pt", "eta", "phi", "mass"), np.float32),
    "pdg_id": np.int32,
    "status": np.int16,
    "mother": np.int32,
    **dict.fromkeys(("charge", "vx", "vy", "vz", "vt"), np.float32),
}

#: charges of |PDG number| < 10 000, other numbers in rising order, their charges
Charges = tuple[np.ndarray, np.ndarray, np.ndarray]


def charges_of(particle_data: Any) -> Charges:
    """Electric charges [e] of all particles that a PYTHIA knows, as tables for `truth_of`."""
    dense, large = np.zeros(_DENSE, dtype=np.float32), {}
    number = 1  # the d quark opens PYTHIA's table
    while number:
        charge = particle_data.charge(number)
        if number < _DENSE:
            dense[number] = charge
        else:
            large[number] = charge
        number = particle_data.nextId(number)
    keys = np.array(sorted(large), dtype=np.int64)
    return dense, keys, np.array([large[key] for key in keys], dtype=np.float32)


def events_of(truth: dict[str, np.ndarray], offsets: np.ndarray, weight: np.ndarray) -> ak.Array:
    """Events from flat columns: a record of `weight` and the list `truth`.

    Args:
        truth: field -> (P,) values of all particles.
        offsets: (E + 1,) where each event's particles begin.
        weight: (E,) event weights.
    """
    content = ak.contents.RecordArray(
        [ak.contents.NumpyArray(column) for column in truth.values()], list(truth)
    )
    lists = ak.contents.ListOffsetArray(ak.index.Index64(offsets), content)
    return ak.Array(
        ak.contents.RecordArray([ak.contents.NumpyArray(weight), lists], ["weight", "truth"])
    )


def no_events() -> ak.Array:
    """Zero events, of the type that `truth_of` gives."""
    truth = {name: np.empty(0, dtype=kind) for name, kind in _FIELDS.items()}
    return events_of(truth, np.zeros(1, dtype=np.int64), np.empty(0))


def truth_of(batch: ak.Array, charges: Charges) -> ak.Array:
    """Convert what `Pythia.nextBatch` returns.

    Args:
        batch: (E,) PYTHIA events, none missing.
        charges: from `charges_of`.

    Returns:
        (E,) events with `weight` and `truth`.
    """
    events = batch.layout.project() if batch.layout.is_indexed else batch.layout
    prt, weights = events.content("prt"), events.content("info").content("weights")
    starts, stops = np.asarray(prt.starts.data), np.asarray(prt.stops.data)
    record = prt.content
    column = {name: _column(record.content(name)) for name in ("id", "status", "mother1", "m")}
    p = record.content("p")
    vertex = record.content("vProd").to_IndexedOptionArray64()
    keep, mother, offsets = _select(
        starts, stops, column["id"], column["status"], column["mother1"], _KINDS
    )
    px, py, pz = (_column(p.content(name))[keep] for name in ("px", "py", "pz"))
    pdg_id = column["id"][keep]
    pt, eta, phi = _directions(px, py, pz)
    truth = {
        "pt": pt,
        "eta": eta,
        "phi": phi,
        "mass": column["m"][keep].astype(np.float32),
        "pdg_id": pdg_id,
        "status": column["status"][keep].astype(np.int16),
        "mother": mother,
        "charge": _charge(pdg_id, *charges),
        **_vertices(vertex, keep),
    }
    first = np.asarray(weights.starts.data)
    return events_of(truth, offsets, _column(weights.content)[first].astype(np.float64))


def _column(layout: Any) -> np.ndarray:
    return np.asarray(layout.data)


def _vertices(vertex: Any, keep: np.ndarray) -> dict[str, np.ndarray]:
    """Production vertices [mm] and times [ns]; PYTHIA leaves out those at the collision itself."""
    index = np.asarray(vertex.index.data)[keep]
    there = index >= 0
    columns = {}
    for name, component in (("vx", "px"), ("vy", "py"), ("vz", "pz"), ("vt", "e")):
        values = np.zeros(len(keep), dtype=np.float32)
        values[there] = _column(vertex.content.content(component))[index[there]]
        columns[name] = values
    columns["vt"] /= np.float32(C_LIGHT)
    return columns


@njit(cache=True)
def _select(
    starts: np.ndarray,
    stops: np.ndarray,
    pdg_id: np.ndarray,
    status: np.ndarray,
    mother: np.ndarray,
    kinds: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows to keep (K,), their mothers within the event's kept list (K,), offsets (E + 1,)."""
    n_events = len(starts)
    total = stops[-1] if n_events else 0
    place = np.full(total, -1, dtype=np.int32)  # position in the kept list, -1: dropped
    kind = np.zeros(total, dtype=np.int8)  # that of last copies; 0 for all else
    keep = np.empty(total, dtype=np.int64)
    link = np.empty(total, dtype=np.int32)
    offsets = np.zeros(n_events + 1, dtype=np.int64)
    kept = 0
    for event in range(n_events):
        start, stop = starts[event], stops[event]
        for i in range(start, stop):
            number = abs(pdg_id[i])
            kind[i] = kinds[number] if number < len(kinds) else 0
        for i in range(start + 1, stop):
            parent = start + mother[i]
            if abs(pdg_id[parent]) == abs(pdg_id[i]):
                kind[parent] = 0
        first = kept
        for i in range(start + 1, stop):
            hard = 21 <= abs(status[i]) <= 29
            if status[i] > 0 or hard or kind[i] > 0 or kind[start + mother[i]] == 2:
                place[i] = kept - first
                keep[kept] = i
                kept += 1
        offsets[event + 1] = kept
        for k in range(first, kept):
            # incoming partons have their mothers further down the record, but no loops exist
            i = start + mother[keep[k]]
            while i > start and place[i] < 0:
                i = start + mother[i]
            link[k] = place[i]
    return keep[:kept].copy(), link[:kept].copy(), offsets


@njit(cache=True)
def _directions(
    px: np.ndarray, py: np.ndarray, pz: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(pT, eta, phi) in single precision from momenta in double."""
    pt = np.empty(len(px), dtype=np.float32)
    eta = np.empty(len(px), dtype=np.float32)
    phi = np.empty(len(px), dtype=np.float32)
    for i in range(len(px)):
        transverse = max(np.sqrt(px[i] * px[i] + py[i] * py[i]), _FLOOR)
        pt[i] = transverse
        eta[i] = np.arcsinh(pz[i] / transverse)
        phi[i] = np.arctan2(py[i], px[i])
    return pt, eta, phi


@njit(cache=True)
def _charge(
    pdg_id: np.ndarray, dense: np.ndarray, keys: np.ndarray, values: np.ndarray
) -> np.ndarray:
    charge = np.zeros(len(pdg_id), dtype=np.float32)
    for i in range(len(pdg_id)):
        number = abs(pdg_id[i])
        if number < len(dense):
            charge[i] = dense[number]
        else:
            slot = np.searchsorted(keys, number)
            if slot < len(keys) and keys[slot] == number:
                charge[i] = values[slot]
        if pdg_id[i] < 0:
            charge[i] = -charge[i]
    return charge
