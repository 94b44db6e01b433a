"""The particle gun: single particles, with PYTHIA for their decays."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np

from fivesigma.generation.options import Gun
from fivesigma.generation.truth import Charges, events_of, truth_of

__all__ = ["BLOCK", "check", "shoot"]

#: particles shot in one PYTHIA record, which is then cut into as many events
BLOCK = 100
#: status of an outgoing particle of the hard process, which `truth` always keeps
_OUTGOING = 23


def check(gun: Gun, particle_data: Any) -> None:
    """Refuse what cannot fly alone.

    Raises:
        ValueError: a PDG number that PYTHIA does not know, or of a quark, gluon or resonance.
    """
    for number in gun.pdg_id:
        known = particle_data.isParticle(number)
        if not known or particle_data.colType(number) or particle_data.isResonance(number):
            what = "needs a collision to be made in" if known else "is no particle to PYTHIA"
            message = f"gun.pdg_id {number} {what}; choose leptons, photons or hadrons"
            raise ValueError(message)


def shoot(pythia: Any, gun: Gun, rng: np.random.Generator, charges: Charges) -> ak.Array:
    """`BLOCK` events of one particle each, with its decay products."""
    _fill(pythia, gun, rng)
    return _split(truth_of(pythia.nextBatch(1, "fail"), charges))


def _fill(pythia: Any, gun: Gun, rng: np.random.Generator) -> None:
    numbers = rng.choice(gun.pdg_id, BLOCK)
    size = rng.uniform(*(gun.energy or gun.pt), BLOCK)
    eta, phi = rng.uniform(*gun.eta, BLOCK), rng.uniform(-np.pi, np.pi, BLOCK)
    pythia.event.reset()
    for i, number in enumerate(map(int, numbers)):
        mass = pythia.particleData.mSel(number)
        if gun.energy:
            momentum = np.sqrt(max(size[i] ** 2 - mass**2, 0.0))
            pt = momentum / np.cosh(eta[i])
        else:
            pt = size[i]
        px, py, pz = pt * np.cos(phi[i]), pt * np.sin(phi[i]), pt * np.sinh(eta[i])
        energy = np.sqrt(px**2 + py**2 + pz**2 + mass**2)
        at = pythia.event.append(number, _OUTGOING, 0, 0, px, py, pz, energy, mass, 0.0, 9.0)
        lifetime = pythia.particleData.tau0(number) * pythia.rndm.exp()
        pythia.event[at].tau(lifetime)


def _split(block: ak.Array) -> ak.Array:
    """One event per particle shot: its descendants follow it, in the order of the record."""
    flat = ak.flatten(block.truth)
    columns = {name: flat[name].to_numpy() for name in flat.fields}
    rows = np.arange(len(flat))
    root = np.where(columns["mother"] < 0, rows, columns["mother"])
    while np.any(root != root[root]):
        root = root[root]
    shot = np.flatnonzero(columns["mother"] < 0)
    event = np.searchsorted(shot, root)
    order = np.argsort(event, kind="stable")
    offsets = np.searchsorted(event[order], np.arange(BLOCK + 1))
    place = np.empty_like(rows)
    place[order] = rows - offsets[event[order]]
    mother = columns["mother"]
    columns["mother"] = np.where(mother < 0, -1, place[mother]).astype(np.int32)
    truth = {name: np.ascontiguousarray(column[order]) for name, column in columns.items()}
    return events_of(truth, offsets, np.ones(BLOCK))
