"""The muon system: what comes out of the calorimeters, through iron and field to the segments.

Muons lose energy by ionisation with its tail and by hard radiation, scatter and bend; hadrons that
punch through do so until they interact, electrons and photons until they shower. A charged
particle in a station leaves a segment: position and angle, smeared. A particle meets the stations
of the barrel or those of the end caps, whichever are more, also where both overlap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import awkward as ak
import numpy as np
from numba import njit

from fivesigma.detector.flow import Particles, available_energy
from fivesigma.detector.iron import lost_energy, survives
from fivesigma.geometry.passage import (
    X0,
    advance,
    bending_power,
    cross_gap,
    enter_stations,
    highland,
    incidence,
    ionisation,
    leave_absorber,
    pass_absorber,
    path_to,
    scatter,
    turn,
)
from fivesigma.geometry.stations import MuonSystem, Tables

__all__ = ["MuonOptions", "MuonSignals", "muon_signals"]

#: below this momentum a particle stops where it is [GeV]
_SLOWEST = 0.1


@dataclass(frozen=True)
class MuonOptions:
    """How the muon system behaves.

    Attributes:
        absorber: bend and scatter in the calorimeters too; False where they do it themselves.
        alignment: factor on the preset's alignment error; each sector of each station is shifted
            by one number for all events.
        alignment_seed: of these shifts.
        efficiency: factor on the efficiency of segments.
        noise: mean number of segments per event and station that belong to no particle.
    """

    absorber: bool = True
    alignment: float = 1.0
    alignment_seed: int = 0
    efficiency: float = 1.0
    noise: float = 0.0

    def __post_init__(self) -> None:
        for name in ("alignment", "efficiency", "noise"):
            if not 0.0 <= getattr(self, name) < math.inf:
                message = f"{name} must be a number >= 0, got {getattr(self, name)}"
                raise ValueError(message)


class MuonSignals(NamedTuple):
    """What the muon system saw, and where the energy went.

    Attributes:
        segments: one list per event, with the fields of `events.FIELDS["segments"]`.
        deposited: per particle, left in the iron (N,) [GeV].
        lost: rest mass of muons that stopped and decay later (N,) [GeV].
        leaked: carried out of the detector (N,) [GeV]; the three add up to `available_energy`.
    """

    segments: ak.Array
    deposited: np.ndarray
    lost: np.ndarray
    leaked: np.ndarray


@njit(cache=True)
def _slow(
    number: int,
    charge: float,
    mass: float,
    state: np.ndarray,
    iron: float,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """Energy lost in so many mm of iron and the momentum left [GeV]."""
    energy = math.hypot(state[6], mass)
    loss = 0.0
    if number == 13:
        loss = lost_energy(energy, iron, rng)
    elif charge != 0.0:
        loss = ionisation(energy, iron)
    loss = min(loss, energy - mass)
    return loss, math.sqrt(max((energy - loss) ** 2 - mass**2, 0.0))


@njit(cache=True)
def _leave_segment(
    state: np.ndarray,
    endcap: int,
    station: int,
    tables: Tables,
    shifts: np.ndarray,
    rng: np.random.Generator,
    out: np.ndarray,
) -> None:
    """Measured position and direction (6,) into `out`, smeared and shifted within the surface."""
    errors = tables.errors[endcap]
    x, y, z = state[0], state[1], state[2]
    sector = int((math.atan2(y, x) / (2.0 * math.pi) + 1.0) * shifts.shape[3]) % shifts.shape[3]
    along = errors[0] * rng.standard_normal() + shifts[endcap, int(z > 0.0), station, sector]
    across = errors[2] * rng.standard_normal()
    surface, azimuth = (along, across) if tables.toroid else (across, along)
    r = math.hypot(x, y)
    scale = (r + surface) / r if endcap else 1.0
    x, y = scale * (x - azimuth * y / r), scale * (y + azimuth * x / r)
    back = r * scale / math.hypot(x, y)  # the step along the tangent leaves the radius as it was
    out[0], out[1], out[2] = x * back, y * back, z if endcap else z + surface
    smeared = state.copy()
    turn(smeared, errors[1] * rng.standard_normal(), tables.toroid)
    turn(smeared, errors[3] * rng.standard_normal(), not tables.toroid)
    out[3:6] = smeared[3:6]


@njit(cache=True)
def _region(state: np.ndarray, tables: Tables) -> int:
    """0 or 1: whichever of barrel and end caps has more stations straight ahead."""
    ahead = np.zeros(2, np.int64)
    for endcap in range(2):
        for k in range(tables.positions.shape[1]):
            path = path_to(state, endcap, tables.positions[endcap, k])
            x, y, z = state[:3] + path * state[3:6]
            place = math.hypot(x, y) if endcap else abs(z)
            inside = tables.low[endcap, k] <= place <= tables.high[endcap, k]
            ahead[endcap] += int(path > 0.0 and inside)
    return int(ahead[1] > ahead[0])


@njit(cache=True)
def _through(
    state: np.ndarray,
    endcap: int,
    number: int,
    charge: float,
    mass: float,
    tables: Tables,
    efficiency: float,
    shifts: np.ndarray,
    ahead: np.ndarray,
    rng: np.random.Generator,
    segments: np.ndarray,
    seen: np.ndarray,
) -> tuple[float, bool]:
    """One particle through all stations: its segments (S, 6), which there are (S,).

    `ahead` (4,) are the standard normal numbers by which it scatters ahead of the first station.

    Returns:
        Energy lost on the way [GeV], whether the particle came out.
    """
    if not enter_stations(state, endcap, tables, ahead):
        return 0.0, True
    power = bending_power(state, tables.power)
    deposited = 0.0
    for k in range(seen.size):
        if k > 0:
            iron = tables.iron[endcap, k - 1] / incidence(state, endcap)
            if number != 13 and not survives(number, mass, iron, rng):
                return deposited, False
            loss, after = _slow(number, charge, mass, state, iron, rng)
            if mass > 0.0 and after < _SLOWEST:
                return deposited, False
            deposited += loss
            share, end = power * tables.shares[endcap, k - 1], tables.positions[endcap, k]
            theta0 = highland(0.5 * (state[6] + after), iron / X0) if charge != 0.0 else 0.0
            length = cross_gap(state, after, charge, share, tables.toroid, endcap, end)
            if length < 0.0:  # curls up in the field: what it has left goes out
                return deposited, True
            scatter(state, theta0, length, rng.standard_normal(4))
            path = path_to(state, endcap, end)
            advance(state, path if path > -0.5 * length else 0.0)
        place = math.hypot(state[0], state[1]) if endcap else abs(state[2])
        inside = tables.low[endcap, k] <= place <= tables.high[endcap, k]
        if charge != 0.0 and inside and rng.random() < efficiency:
            seen[k] = True
            _leave_segment(state, endcap, k, tables, shifts, rng, segments[k])
    return deposited, True


@njit(cache=True)
def _transport(
    states: np.ndarray,
    number: np.ndarray,
    charge: np.ndarray,
    mass: np.ndarray,
    tables: Tables,
    absorber: bool,
    efficiency: float,
    shifts: np.ndarray,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Segments (N, S, 6), which there are (N, S), energy deposited and who came out (N,)."""
    n, stations = number.size, tables.positions.shape[1]
    segments, seen = np.zeros((n, stations, 6)), np.zeros((n, stations), np.bool_)
    deposited, out = np.zeros(n), np.zeros(n, np.bool_)
    for i in range(n):
        state = states[i]
        if state[6] <= 0.0:
            continue
        ahead = np.zeros(4)
        if absorber and number[i] == 13:
            leave_absorber(state, tables.absorber)
            expected = ionisation(state[6], tables.absorber[6])
            noise = rng.standard_normal(4)
            endcap = _region(state, tables)
            pass_absorber(state, endcap, charge[i], expected, tables.absorber, noise)
            if tables.absorber[9 + endcap] > 0.0:
                ahead = rng.standard_normal(4)
        deposited[i], out[i] = _through(
            state, _region(state, tables), number[i], charge[i], mass[i], tables, efficiency,
            shifts, ahead, rng, segments[i], seen[i],
        )  # fmt: skip
    return segments, seen, deposited, out


def _noise(
    system: MuonSystem, mean: float, n_events: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Segments of no particle, pointing away from the origin to 0.1 rad: our own choice."""
    tables = system.tables
    counts = rng.poisson(mean, (n_events, system.stations))
    event, station = (
        np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape)
    )
    n = event.size
    endcap, side = rng.integers(0, 2, n), rng.choice((-1.0, 1.0), n)
    place = rng.uniform(tables.low[endcap, station], tables.high[endcap, station])
    position, phi = tables.positions[endcap, station], rng.uniform(-np.pi, np.pi, n)
    r = np.where(endcap, place, position)
    point = np.stack(
        [r * np.cos(phi), r * np.sin(phi), side * np.where(endcap, position, place)], 1
    )
    direction = point / np.linalg.norm(point, axis=1)[:, None] + rng.normal(0.0, 0.1, (n, 3))
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    return {
        "event": event, "station": station, "endcap": endcap, "truth": np.full(n, -1),
        "values": np.concatenate([point, direction], axis=1),
    }  # fmt: skip


def _collection(
    blocks: list[dict[str, np.ndarray]], system: MuonSystem, n_events: int
) -> ak.Array:
    """One list of segments per event."""
    columns = {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
    order = np.argsort(columns["event"], kind="stable")
    columns = {name: column[order] for name, column in columns.items()}
    errors = system.tables.errors[columns["endcap"]]
    names = ("x", "y", "z", "ux", "uy", "uz")
    fields = {
        "station": columns["station"].astype(np.int8),
        **dict(zip(names, columns["values"].T.astype(np.float32, order="C"), strict=True)),
        "position_error": np.hypot(errors[:, 0], system.alignment).astype(np.float32),
        "angle_error": errors[:, 1].astype(np.float32),
        "truth": columns["truth"].astype(np.int32),
    }
    return ak.unflatten(ak.zip(fields), np.bincount(columns["event"], minlength=n_events))


def muon_signals(
    particles: Particles,
    system: MuonSystem,
    n_events: int,
    rng: np.random.Generator,
    options: MuonOptions | None = None,
) -> MuonSignals:
    """Carry what comes out of the calorimeters through the muon system.

    Args:
        particles: behind the calorimeters, muons with the energy that they have left.
        system: the muon system.
        n_events: number of events.
        rng: randomness.
        options: alignment, noise and the like.

    Returns:
        Segments and the energy of each particle. `position_error` includes the alignment error.
    """
    options = options or MuonOptions()
    momentum = np.stack([particles.px, particles.py, particles.pz], axis=1)
    size = np.linalg.norm(momentum, axis=1)
    place = np.stack([particles.x, particles.y, particles.z], axis=1)
    direction = momentum / np.maximum(size, 1e-12)[:, None]
    tables = system.tables
    shape = (2, 2, system.stations, system.sectors)
    shifts = np.random.default_rng(options.alignment_seed).normal(0.0, system.alignment, shape)
    number = np.abs(particles.pdg_id).astype(np.int64)
    states = np.concatenate([place, direction, size[:, None]], axis=1)
    values, seen, deposited, out = _transport(
        states, number, particles.charge.astype(np.float64), particles.mass.astype(np.float64),
        tables, options.absorber, system.efficiency * options.efficiency,
        options.alignment * shifts, rng,
    )  # fmt: skip
    row, station = np.nonzero(seen)
    x, y, z = values[row, station, :3].T
    radial = np.abs(np.hypot(x, y) - tables.positions[0, station])
    blocks = [
        {
            "event": particles.event[row], "station": station, "truth": particles.truth[row],
            "endcap": (radial > np.abs(np.abs(z) - tables.positions[1, station])).astype(np.int64),
            "values": values[row, station],
        },
        _noise(system, options.noise, n_events, rng),
    ]  # fmt: skip
    available = available_energy(particles)
    lost = np.where(~out & (number == 13), particles.mass, 0.0)
    deposited = np.where(out, deposited, available - lost)
    return MuonSignals(
        _collection(blocks, system, n_events), deposited, lost, available - lost - deposited
    )
