"""Particles at the calorimeters' front into energy in cells, with a ledger that adds up."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from fivesigma.detector.calorimeter.gflash import Medium, medium, shower
from fivesigma.detector.calorimeter.hadrons import Matter, cross_as_hadron
from fivesigma.detector.calorimeter.ionisation import cross_as_muon
from fivesigma.detector.calorimeter.tally import Tally, empty_tally, frame
from fivesigma.detector.flow import Particles, available_energy
from fivesigma.geometry.cells import CELLS, Cells, Grid

__all__ = ["Contributions", "Deposits", "Ledger", "deposit", "merge"]

#: kinds of particles to the compiled loop
_NOTHING, _ELECTRON, _PHOTON, _MUON, _MESON, _BARYON, _BEAM_PIPE = range(7)
_PION_MASS = 0.13957039
#: a hadron comes out of a leaking shower with this probability per GeV leaked: with it about 5 %
#: of pions of 100 GeV leave one behind 10 interaction lengths; our own choice
_PUNCH_THROUGH = 0.1
_CONVERSION = 9 / 7  # mean free path of photons before they convert [X0]


class Contributions(NamedTuple):
    """Energy of a particle in a cell, all arrays (C,); any order, any number per cell.

    Attributes:
        event: index of the event in the shard.
        depth, cell: of the cell.
        truth: index into the event's `truth` list, -1: none kept.
        energy: deposited [GeV].
        visible: what of it the readout sees on average, at the electromagnetic scale [GeV].
    """

    event: np.ndarray
    depth: np.ndarray
    cell: np.ndarray
    truth: np.ndarray
    energy: np.ndarray
    visible: np.ndarray


class Ledger(NamedTuple):
    """Where the available energy of each particle went, arrays (N,) [GeV]; the sum is the whole.

    Attributes:
        deposited: in cells.
        outside: where there are no cells: down the beam pipe or beside them.
        leaked: behind the last depth, seen by nobody.
        lost: carried away by neutrinos and others that do not interact, or at rest.
        onward: available energy of the particles behind the calorimeters.
    """

    deposited: np.ndarray
    outside: np.ndarray
    leaked: np.ndarray
    lost: np.ndarray
    onward: np.ndarray


class Deposits(NamedTuple):
    """What `deposit` returns: contributions, particles behind the calorimeters, the ledger."""

    contributions: Contributions
    behind: Particles
    ledger: Ledger


def merge(parts: list[Contributions]) -> Contributions:
    """Contributions of several calls together, such as those of pile-up collisions."""
    return Contributions(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def _matter(cells: Cells) -> Matter:
    """What hadrons meet in each depth."""
    sections = [cells.section(depth) for depth in range(len(cells.depths))]
    return Matter(
        stopping=np.array([s.material.stopping for s in sections]),
        narrow=np.array([s.material.moliere for s in sections]),
        wide=np.array([0.15 * s.material.interaction for s in sections]),
        seen=np.array([1 / s.e_over_h for s in sections]),
        variance=np.array([s.intrinsic for s in sections]),
    )


def _kinds(particles: Particles) -> np.ndarray:
    """What each particle does (N,)."""
    number = np.abs(particles.pdg_id)
    heavy = (number > 1_000_000) & (number < 1_000_000_000)
    charged = particles.charge != 0
    return np.select(
        [
            np.isin(number, (12, 14, 16)) | (heavy & ~charged),
            number == 11,
            number == 22,
            (number == 13) | heavy,
            number // 1000 > 0,
        ],
        [_NOTHING, _ELECTRON, _PHOTON, _MUON, _BARYON],
        _MESON,
    )


@njit(cache=True)
def _one(
    kind: int,
    tally: Tally,
    grid: Grid,
    showers: Medium,
    matter: Matter,
    place: np.ndarray,
    total: float,
    kinetic: float,
    mass: float,
    charge: float,
    ledger: np.ndarray,
    rng: np.random.Generator,
) -> float:
    """One particle into the tally and its ledger; kinetic energy with which it comes out or -1."""
    if kind == _NOTHING:
        ledger[3] += total
    elif kind == _BEAM_PIPE:
        ledger[1] += total
    elif kind in (_ELECTRON, _PHOTON):
        begin = _CONVERSION * rng.standard_exponential() if kind == _PHOTON else 0.0
        ledger[1] += shower(tally, grid, showers, place, total, begin, rng)
    elif kind == _MUON:
        left = cross_as_muon(
            tally, grid, showers, matter.stopping, place, kinetic, mass, ledger, rng
        )
        if left > 1e-3:
            return left
        ledger[3] += left + total - kinetic
    else:
        return cross_as_hadron(
            tally, grid, matter, place, kinetic, total - kinetic, mass, charge, kind == _BARYON,
            ledger, rng,
        )  # fmt: skip
    return -1.0


@njit(cache=True)
def _smear(tally: Tally, grid: Grid, terms: np.ndarray, rng: np.random.Generator) -> None:
    """One factor each on all that a particle leaves in the ECAL and in the HCAL.

    `terms` are the constant terms of both and the variance of the ECAL's fluctuations that are
    common to cells, over the energy [GeV].
    """
    common = 0.0
    if terms[2] > 0.0:
        seen = 0.0
        for k in range(tally.count[0]):
            seen += tally.visible[tally.used[k]]
        common = terms[2] / max(seen, 1e-3)
    ecal = max(1.0 + math.sqrt(terms[0] ** 2 + common) * rng.standard_normal(), 0.0)
    hcal = max(1.0 + terms[1] * rng.standard_normal(), 0.0)
    for k in range(tally.count[0]):
        slot = tally.used[k]
        tally.visible[slot] *= ecal if grid.ecal[tally.keys[slot] // CELLS] else hcal


@njit(cache=True)
def _loop(
    kinds: np.ndarray,
    states: np.ndarray,
    grid: Grid,
    showers: Medium,
    matter: Matter,
    terms: np.ndarray,
    sampling: np.ndarray,
    tally: Tally,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """All particles; states are (N, 10): place, momentum, total, kinetic, mass, charge.

    Returns:
        Row and key of each contribution (C, 2), its energies (C, 2), ledger (N, 4), kinetic energy
        behind (N,).
    """
    n = kinds.size
    ledger, behind = np.zeros((n, 4)), np.full(n, -1.0)
    keys, energies, count = np.empty((1024, 2), np.int64), np.empty((1024, 2)), 0
    for i in range(n):
        x, y, z, px, py, pz, total, kinetic, mass, charge = states[i]
        if total <= 0.0 or px == py == pz == 0.0:
            ledger[i, 3] = total
            continue
        local = Matter(
            matter.stopping, matter.narrow, matter.wide, matter.seen,
            matter.variance * sampling[i] ** 2,
        )  # fmt: skip
        place = frame(x, y, z, px, py, pz)
        behind[i] = _one(
            kinds[i], tally, grid, showers, local, place, total, kinetic, mass, charge,
            ledger[i], rng,
        )  # fmt: skip
        _smear(tally, grid, terms[i], rng)
        while count + tally.count[0] > keys.shape[0]:
            keys = np.concatenate((keys, np.empty_like(keys)))
            energies = np.concatenate((energies, np.empty_like(energies)))
        for k in range(tally.count[0]):
            slot = tally.used[k]
            keys[count, 0], keys[count, 1] = i, tally.keys[slot]
            energies[count, 0], energies[count, 1] = tally.energy[slot], tally.visible[slot]
            ledger[i, 0] += tally.energy[slot]
            tally.keys[slot] = -1
            count += 1
        tally.count[0] = 0
    return keys[:count], energies[:count], ledger, behind


def deposit(particles: Particles, cells: Cells, rng: np.random.Generator) -> Deposits:
    """Let particles shower or pass in the calorimeters.

    Args:
        particles: at the calorimeters' front (N,).
        cells: the calorimeters.
        rng: source of all randomness.

    Returns:
        Contributions to cells (before sampling fluctuations and noise), the particles behind the
        calorimeters (muons with what they have left, hadrons that came through), the ledger.
    """
    total = available_energy(particles).astype(np.float64)
    kinetic = np.maximum(particles.energy - particles.mass, 0.0)
    columns = (*particles[5:], total, kinetic, particles.mass, particles.charge)
    states = np.stack([np.asarray(column, np.float64) for column in columns], axis=1)
    states = states[:, [3, 4, 5, 0, 1, 2, 6, 7, 8, 9]]
    size = np.linalg.norm(states[:, :3], axis=1)
    eta = np.abs(np.arctanh(np.clip(states[:, 2] / np.maximum(size, 1e-9), -0.9999999, 0.9999999)))
    ecal, hcal = cells.ecal.terms(eta), cells.hcal.terms(eta)
    common = (1 - cells.ecal.independent) * (cells.ecal.sampling * ecal[1]) ** 2
    constant = ecal[0] * cells.ecal.constant, hcal[0] * cells.hcal.constant
    terms = np.stack([*constant, common], axis=1)
    kinds = _kinds(particles)
    if not cells.ring:
        # inside of the innermost cells is the beam pipe
        kinds[(eta > cells.grid.high.max()) & (kinds != _NOTHING) & (kinds != _MUON)] = _BEAM_PIPE
    keys, energies, table, left = _loop(
        kinds, states, cells.grid, medium(cells), _matter(cells), terms, hcal[1],
        empty_tally(), rng,
    )  # fmt: skip
    behind, onward, leaked = _behind(particles, total, kinetic, left, table[:, 2], cells, rng)
    row = keys[:, 0]
    contributions = Contributions(
        particles.event[row],
        (keys[:, 1] // CELLS).astype(np.int64),
        keys[:, 1] % CELLS,
        particles.truth[row],
        energies[:, 0],
        energies[:, 1],
    )
    return Deposits(
        contributions, behind, Ledger(table[:, 0], table[:, 1], leaked, table[:, 3], onward)
    )


def _behind(
    particles: Particles,
    total: np.ndarray,
    kinetic: np.ndarray,
    left: np.ndarray,
    leaked: np.ndarray,
    cells: Cells,
    rng: np.random.Generator,
) -> tuple[Particles, np.ndarray, np.ndarray]:
    """Particles behind the last depth, on straight lines; onward and leaked energies (N,)."""
    punch = (leaked > 2 * _PION_MASS) & (rng.random(len(left)) < _PUNCH_THROUGH * leaked)
    through = left >= 0
    mass = np.where(punch, _PION_MASS, particles.mass)
    energy = np.where(punch, leaked, left + mass)
    momentum = np.stack([particles.px, particles.py, particles.pz])
    direction = momentum / np.maximum(np.linalg.norm(momentum, axis=0), 1e-12)
    px, py, pz = direction * np.sqrt(np.maximum(energy**2 - mass**2, 0.0))
    x, y, z = np.stack([particles.x, particles.y, particles.z]) + direction * cells.grid.mm[-1]
    sign = rng.choice((-1, 1), len(left))
    pdg_id = np.where(punch, 211 * sign, particles.pdg_id)
    charge = np.where(punch, sign, particles.charge)
    out = particles._replace(
        pdg_id=pdg_id, charge=charge, mass=mass, px=px, py=py, pz=pz, x=x, y=y, z=z
    )
    onward = np.where(punch, leaked, np.where(through, total - kinetic + left, 0.0))
    return out.take(punch | through), onward, np.where(punch, 0.0, leaked)
