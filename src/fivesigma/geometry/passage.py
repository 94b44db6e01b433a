"""A particle's way through iron and field in steps, compiled: simulation and fit share it.

The state of a particle is an array (7,): position x, y, z [mm], direction ux, uy, uz, momentum p
[GeV]; the functions change it in place. Scattering and energy loss are handed in as numbers, so
that the same step serves a simulation (random numbers) and a fit (zeros).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from fivesigma.geometry.kernels import kernel
from fivesigma.geometry.materials import IRON
from fivesigma.geometry.stations import MuonSystem, Tables
from fivesigma.units import CURVATURE, mass

__all__ = [
    "MUON_MASS",
    "X0",
    "advance",
    "bending_power",
    "cross_gap",
    "effective_loss",
    "enter_stations",
    "expected_loss",
    "highland",
    "incidence",
    "ionisation",
    "kick",
    "leave_absorber",
    "noises",
    "pass_absorber",
    "path_in",
    "path_to",
    "radiation",
    "scatter",
    "swim",
    "turn",
]

#: [GeV]
MUON_MASS = mass(13)
#: mm of iron -> g/cm^2
_AREAL = 0.1 * IRON.density
#: radiation length of iron [mm]
X0 = 10 * IRON.x0 / IRON.density
#: the energy loss that fits correct for rises no further from here on [GeV]
_PLATEAU = 25.0
#: half the central 68 % of what muons radiate in calorimeters, over their energy
_RADIATED = 0.0018
#: steps in which a gap's field bends
_STEPS = 4
#: a fitted muon never falls below this momentum [GeV]
_SLOWEST = 0.3


@njit(cache=True)
def ionisation(energy: Any, iron: float) -> Any:
    """Mean energy that a muon loses to ionisation in so many mm of iron [GeV].

    1.57 MeV cm^2/g at 1 GeV and 0.15 more for each factor e, close to the PDG's table for muons
    in iron (At. Data Nucl. Data Tables 78 (2001) 183).
    """
    return 1e-3 * _AREAL * iron * (1.57 + 0.15 * np.log(np.maximum(energy, 1.0)))


@kernel
def radiation(iron: float) -> float:
    """Mean share of its energy that a muon radiates in so many mm of iron.

    b = 6.9e-6 cm^2/g, with which radiation equals ionisation at the critical energy of 347 GeV.
    """
    return 6.9e-6 * _AREAL * iron


@kernel
def effective_loss(energy: float, iron: float) -> float:
    """Energy lost in so many mm of iron by which a fit corrects a muon's momentum [GeV].

    Between the median loss and the mean, whose tail of hard collisions and radiation would spoil
    most muons: near the median where straggling is the error, near the mean where scattering
    blurs the tail, constant from 25 GeV on. Our own, such that muons of the muon system alone
    have the right median momentum from 4 to 100 GeV.
    """
    return 1e-3 * _AREAL * iron * (1.474 + 0.195 * math.log(min(max(energy, 1.0), _PLATEAU)))


def expected_loss(system: MuonSystem, energy: np.ndarray) -> np.ndarray:
    """Mean energy that muons lose before they come to the muon system (N,) [GeV].

    Ionisation and radiation in the iron of the preset's absorber: 2.7 GeV for 10 GeV.

    Args:
        system: the muon system, whose `absorber` counts.
        energy: (N,) energies before the calorimeters [GeV].
    """
    iron = system.absorber.iron
    return ionisation(energy, iron) + radiation(iron) * energy


@kernel
def highland(momentum: float, thickness: float) -> float:
    """Width of the projected scattering angle after so many radiation lengths [rad].

    Highland's formula (PDG, Passage of particles through matter) for a muon; 0 in empty space.
    """
    if thickness <= 0.0:
        return 0.0
    beta = momentum / math.hypot(momentum, MUON_MASS)
    return (
        13.6e-3
        / (beta * momentum)
        * math.sqrt(thickness)
        * max(1.0 + 0.038 * math.log(thickness), 0.0)
    )


@kernel
def path_to(state: np.ndarray, endcap: int, position: float) -> float:
    """Length of the straight way outwards to a cylinder or disc [mm]; -1: it leads past."""
    x, y, z, ux, uy, uz = state[0], state[1], state[2], state[3], state[4], state[5]
    if endcap:
        return (math.copysign(position, uz) - z) / uz if uz != 0.0 else -1.0
    a = ux * ux + uy * uy
    b = x * ux + y * uy
    root = b * b - a * (x * x + y * y - position * position)
    return (math.sqrt(root) - b) / a if a > 0.0 and root >= 0.0 else -1.0


@kernel
def path_in(state: np.ndarray, radius: float, half_length: float) -> float:
    """Length of the straight way back to a cylinder further in [mm]; 0 inside it."""
    x, y, z, ux, uy, uz = state[0], state[1], state[2], state[3], state[4], state[5]
    path = max((abs(z) - half_length) / abs(uz), 0.0) if z * uz > 0.0 else 0.0
    a, outside = ux * ux + uy * uy, x * x + y * y - radius * radius
    b = x * ux + y * uy
    if outside > 0.0 and a > 0.0 and b > 0.0:
        path = max(path, (b - math.sqrt(max(b * b - a * outside, 0.0))) / a)
    return path


@kernel
def advance(state: np.ndarray, path: float) -> None:
    """Straight on."""
    for k in range(3):
        state[k] += path * state[3 + k]


@kernel
def turn(state: np.ndarray, angle: float, toroid: bool) -> None:
    """Change the direction's polar angle (toroid) or azimuth by that much."""
    c, s = math.cos(angle), math.sin(angle)
    ux, uy, uz = state[3], state[4], state[5]
    if not toroid:
        state[3], state[4] = c * ux - s * uy, s * ux + c * uy
        return
    r = math.hypot(state[0], state[1])
    rx, ry = state[0] / r, state[1] / r
    out = ux * rx + uy * ry
    change = c * out + s * uz - out
    state[3], state[4] = ux + change * rx, uy + change * ry
    state[5] = c * uz - s * out


@kernel
def incidence(state: np.ndarray, endcap: int) -> float:
    """Cosine of the angle to the normal of a cylinder or disc here, at least 0.05."""
    if endcap:
        return max(abs(state[5]), 0.05)
    r = math.hypot(state[0], state[1])
    return max(abs(state[0] * state[3] + state[1] * state[4]) / r, 0.05)


@kernel
def scatter(state: np.ndarray, theta0: float, length: float, noise: np.ndarray) -> None:
    """Multiple scattering over a length, from four standard normal numbers.

    Angle and displacement of each projection are correlated as in the PDG's formulae.
    """
    ux, uy, uz = state[3], state[4], state[5]
    ut = max(math.hypot(ux, uy), 1e-9)
    hx, hy = -uy / ut, ux / ut  # horizontal; the other normal is u x h
    vx, vy, vz = -uz * hy, uz * hx, ux * hy - uy * hx
    dh = theta0 * length * (0.5 * noise[0] + noise[1] / math.sqrt(12.0))
    dv = theta0 * length * (0.5 * noise[2] + noise[3] / math.sqrt(12.0))
    ah, av = theta0 * noise[0], theta0 * noise[2]
    state[0] += dh * hx + dv * vx
    state[1] += dh * hy + dv * vy
    state[2] += dv * vz
    ux, uy, uz = ux + ah * hx + av * vx, uy + ah * hy + av * vy, uz + av * vz
    size = math.sqrt(ux * ux + uy * uy + uz * uz)
    state[3], state[4], state[5] = ux / size, uy / size, uz / size


@kernel
def kick(state: np.ndarray, charge: float, momentum: float, length: float, field: float) -> None:
    """What a field along z did over the straight way just gone: turned and moved sideways."""
    ut = math.hypot(state[3], state[4])
    if field == 0.0 or ut < 1e-6 or length <= 0.0:
        return
    angle = -CURVATURE * charge * field * length / momentum
    sideways = 0.5 * angle * length * ut
    hx, hy = -state[4] / ut, state[3] / ut
    state[0] += sideways * hx
    state[1] += sideways * hy
    turn(state, angle, False)


@kernel
def bending_power(state: np.ndarray, power: np.ndarray) -> float:
    """Of the row for the |eta| of this position [T mm]; the last row holds beyond it."""
    eta = abs(math.asinh(state[2] / math.hypot(state[0], state[1])))
    for k in range(power.shape[0]):
        if eta <= power[k, 0]:
            return power[k, 1]
    return power[-1, 1]


@kernel
def cross_gap(
    state: np.ndarray,
    after: float,
    charge: float,
    power: float,
    toroid: bool,
    endcap: int,
    end: float,
) -> float:
    """From one station to the next through a field, momentum falling evenly to `after`.

    Returns:
        Length of the way [mm]; -1 where the particle turns before it is there.
    """
    before, length = state[6], 0.0
    start = abs(state[2]) if endcap else math.hypot(state[0], state[1])
    for i in range(_STEPS):
        p = before + (after - before) * (i + 0.5) / _STEPS
        bent = p if toroid else p * math.hypot(state[3], state[4])
        angle = -0.5 * CURVATURE * charge * power / _STEPS / max(bent, 1e-3)
        turn(state, angle, toroid)
        path = path_to(state, endcap, start + (end - start) * (i + 1) / _STEPS)
        if path < 0.0:
            return -1.0
        advance(state, path)
        turn(state, angle, toroid)
        length += path
    state[6] = after
    return length


@kernel
def pass_absorber(
    state: np.ndarray,
    endcap: int,
    charge: float,
    expected: float,
    absorber: np.ndarray,
    noise: np.ndarray,
) -> None:
    """Field and scattering of the calorimeters, on a particle that crossed them straight.

    Args:
        state: behind the calorimeters, momentum included.
        endcap: 1 on the way to the end caps, else 0.
        charge: [e].
        expected: mean energy lost in them [GeV].
        absorber: of `Tables`.
        noise: (4,) standard normal numbers, see `scatter`.
    """
    length = path_in(state, absorber[0], absorber[1])
    middle = state[6] + 0.5 * expected
    kick(state, charge, middle, length, absorber[5])
    theta0 = highland(middle, absorber[7 + endcap])
    scatter(state, theta0, length, noise)


@kernel
def leave_absorber(state: np.ndarray, absorber: np.ndarray) -> None:
    """Straight to the surface behind the calorimeters, forwards from inside it, else backwards."""
    back = path_in(state, absorber[3], absorber[4])
    if back > 0.0:
        advance(state, -back)
        return
    outwards, along = path_to(state, 0, absorber[3]), path_to(state, 1, absorber[4])
    advance(state, outwards if along < 0.0 else min(outwards, along))


@kernel
def enter_stations(state: np.ndarray, endcap: int, tables: Tables, noise: np.ndarray) -> bool:
    """From behind the calorimeters to the first station, scattered by what lies between.

    Args:
        state: behind the calorimeters.
        endcap: 1 for the stations of the end caps, 0 for those of the barrel.
        tables: of the muon system.
        noise: (4,) standard normal numbers, see `scatter`.

    Returns:
        False where the way leads past the station; the state stays as it was.
    """
    position = tables.positions[endcap, 0]
    length = path_to(state, endcap, position)
    if length < 0.0:
        return False
    advance(state, length)
    scatter(state, highland(state[6], tables.absorber[9 + endcap]), max(length, 0.0), noise)
    path = path_to(state, endcap, position)
    if path > -0.5 * length:
        advance(state, path)
    return True


@kernel
def noises(stations: int) -> int:
    """How many numbers `swim` takes for so many stations."""
    return 4 * stations + 5


@njit(cache=True)
def swim(
    parameters: np.ndarray, endcap: int, tables: Tables, noise: np.ndarray, out: np.ndarray
) -> None:
    """A muon from the beam line through all stations, effective losses and given scattering.

    Args:
        parameters: (4,) polar angle, azimuth [rad], q/p [1/GeV], z [mm] on the beam line.
        endcap: 0 for the stations of the barrel, 1 for those of the end caps.
        tables: of the muon system.
        noise: (`noises(S)`,) standard normal numbers: 4 for scattering in the calorimeters, 1 for
            the energy lost there, 4 for each gap, 4 for what lies ahead of the first station.
        out: (S, 6) position and direction at each station, filled here; NaN beyond a turn.
    """
    out[:] = np.nan
    absorber = tables.absorber
    charge = math.copysign(1.0, parameters[2])
    p = 1.0 / max(abs(parameters[2]), 1e-9)
    st, ct = math.sin(parameters[0]), math.cos(parameters[0])
    cot = ct / st
    # helix from the beam axis: r = 2 R sin(turn / 2)
    curl = p * st / (CURVATURE * max(absorber[2], 1e-9))
    turned = 2.0 * math.asin(min(absorber[0] / (2.0 * curl), 1.0))
    if cot != 0.0:
        turned = min(turned, (math.copysign(absorber[1], cot) - parameters[3]) / (curl * cot))
    phi = parameters[1] - charge * turned
    chord = 2.0 * curl * math.sin(0.5 * turned)
    middle = parameters[1] - 0.5 * charge * turned
    state = np.empty(7)
    state[0], state[1] = chord * math.cos(middle), chord * math.sin(middle)
    state[2] = parameters[3] + curl * turned * cot
    state[3], state[4], state[5] = st * math.cos(phi), st * math.sin(phi), ct
    leave_absorber(state, absorber)
    expected = effective_loss(p, absorber[6] + absorber[12 + endcap])
    straggling = math.hypot(absorber[11], _RADIATED * p)
    state[6] = max(p - expected - straggling * noise[4], _SLOWEST)
    pass_absorber(state, endcap, charge, expected, absorber, noise[:4])
    for k in range(out.shape[0]):
        if k == 0:
            if not enter_stations(state, endcap, tables, noise[noise.size - 4 :]):
                return
            power = bending_power(state, tables.power)
        else:
            iron = tables.iron[endcap, k - 1] / incidence(state, endcap)
            after = max(state[6] - ionisation(state[6], iron), _SLOWEST)
            theta0 = highland(0.5 * (state[6] + after), iron / X0)
            share = power * tables.shares[endcap, k - 1]
            end = tables.positions[endcap, k]
            length = cross_gap(state, after, charge, share, tables.toroid, endcap, end)
            if length < 0.0:
                return
            scatter(state, theta0, length, noise[4 * k + 1 : 4 * k + 5])
            path = path_to(state, endcap, end)
            if path > -0.5 * length:
                advance(state, path)
        out[k, :] = state[:6]
