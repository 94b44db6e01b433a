"""From energy in cells to measured cells: sampling, cross-talk, noise, zero suppression."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import awkward as ak
import numpy as np
from numba import njit
from scipy.special import ndtri

from fivesigma.detector.calorimeter.deposit import Contributions
from fivesigma.detector.calorimeter.sharing import collect, pick, places
from fivesigma.geometry.cells import CELLS, Cells
from fivesigma.geometry.pileup import load

__all__ = ["DeadRegion", "ReadoutOptions", "read_out"]


class DeadRegion(NamedTuple):
    """Cells whose centres lie in this box are not read; a box over phi = pi has phi_min > phi_max.

    Attributes:
        eta_min, eta_max: range.
        phi_min, phi_max: range [rad].
        depths: which depths; empty: all.
    """

    eta_min: float
    eta_max: float
    phi_min: float
    phi_max: float
    depths: tuple[int, ...] = ()


@dataclass(frozen=True)
class ReadoutOptions:
    """How the readout departs from the preset.

    Attributes:
        dead: regions that are not read.
        miscalibration: width of the cells' gains about 1, the same for all events.
        noise: factor on the noise of each depth; empty: 1 everywhere, (0,): none.
        noise_spread: width of the cells' noise about the preset's, relative; same for all events.
        seed: of gains and noise map.
        zero_suppression: cells below so many standard deviations are not read; None: the preset's.
    """

    dead: tuple[DeadRegion, ...] = ()
    miscalibration: float = 0.0
    noise: tuple[float, ...] = ()
    noise_spread: float = 0.0
    seed: int = 0
    zero_suppression: float | None = None

    def __post_init__(self) -> None:
        for name in ("miscalibration", "noise_spread", "zero_suppression"):
            value = getattr(self, name)
            if value is not None and not 0.0 <= value < math.inf:
                message = f"{name} must be a number >= 0, got {value}"
                raise ValueError(message)


@njit(cache=True)
def _sample(visible: np.ndarray, variance: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sampling fluctuations (N,): a Poisson number of exponential quanta of mean c^2 / 2.

    Mean V and variance c^2 V; a cell with less than a quantum often stays empty.
    """
    out = visible.copy()
    for i in range(visible.size):
        quantum = 0.5 * variance[i]
        if quantum > 0.0 and visible[i] > 0.0:
            mean = visible[i] / quantum
            if mean > 1000.0:
                out[i] = visible[i] + math.sqrt(variance[i] * visible[i]) * rng.standard_normal()
            else:
                n = rng.poisson(mean)
                out[i] = rng.standard_gamma(n) * quantum if n > 0 else 0.0
    return out


def _hashed(key: np.ndarray, seed: int) -> np.ndarray:
    """A standard normal number that belongs to each cell (N,), the same for all events.

    Two rounds of a 64-bit mixing function give uniform numbers, Box and Muller's formula normal
    ones: no table over all cells is needed.
    """
    uniform = []
    for salt in (1, 2):
        mixed = key.astype(np.uint64) + np.uint64(
            (2 * seed + salt) % 2**32 * 0x9E3779B97F4A7C15 % 2**64
        )
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        uniform.append(((mixed ^ (mixed >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53)
    return np.sqrt(-2 * np.log(np.maximum(uniform[0], 1e-300))) * np.cos(2 * np.pi * uniform[1])


class _Readout:
    """The state of one call: a key is (event * D + depth) * CELLS + cell."""

    def __init__(self, cells: Cells, options: ReadoutOptions, pileup: float) -> None:
        self.cells, self.options, self.depths = cells, options, len(cells.depths)
        self.pileup = pileup
        sections = [cells.section(d) for d in range(self.depths)]
        self.scale = np.array([s.scale for s in sections])
        self.cross_talk = np.array([s.cross_talk for s in sections])
        cut = options.zero_suppression
        self.cut = np.array([s.zero_suppression if cut is None else cut for s in sections])
        factor = options.noise or (1.0,)
        if len(factor) not in (1, self.depths):
            message = f"noise needs one factor or {self.depths} (one per depth), got {len(factor)}"
            raise ValueError(message)
        self.factor = np.broadcast_to(np.array(factor), self.depths)

    def split(self, key: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Event, depth and cell of keys, each (N,)."""
        upper, cell = np.divmod(key, CELLS)
        return upper // self.depths, upper % self.depths, cell

    def noise(self, key: np.ndarray) -> np.ndarray:
        """Standard deviation of the electronic noise (N,) [GeV]."""
        _, depth, cell = self.split(key)
        sigma = self.cells.noise(depth, cell) * self.factor[depth]
        if self.options.noise_spread:
            spread = _hashed(depth * CELLS + cell, 2 * self.options.seed)
            sigma = sigma * np.exp(self.options.noise_spread * spread)
        return sigma

    def of_pileup(self, key: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean energy of cells from pile-up and its standard deviation, (N,) each [GeV]."""
        if not self.pileup:
            return np.zeros(key.shape), np.zeros(key.shape)
        _, depth, cell = self.split(key)
        mean, sigma = load(self.cells.name).at(depth, self.cells.centres(depth, cell)[0])
        return self.pileup * mean, np.sqrt(self.pileup) * sigma

    def gain(self, key: np.ndarray) -> np.ndarray:
        """Gains (N,)."""
        if not self.options.miscalibration:
            return np.ones(key.shape)
        _, depth, cell = self.split(key)
        spread = _hashed(depth * CELLS + cell, 2 * self.options.seed + 1)
        return np.maximum(1 + self.options.miscalibration * spread, 0.0)

    def alive(self, key: np.ndarray) -> np.ndarray:
        """Whether cells are read (N,)."""
        _, depth, cell = self.split(key)
        alive = np.ones(key.shape, bool)
        if not self.options.dead:
            return alive
        eta, phi = self.cells.centres(depth, cell)
        for box in self.options.dead:
            after, before = phi >= box.phi_min, phi < box.phi_max
            around = after & before if box.phi_min <= box.phi_max else after | before
            inside = around & (eta >= box.eta_min) & (eta < box.eta_max)
            alive &= ~(inside & (np.isin(depth, box.depths) if box.depths else True))
        return alive

    def variance(self, key: np.ndarray) -> np.ndarray:
        """c^2 of the sampling fluctuations (N,) [GeV]."""
        _, depth, cell = self.split(key)
        eta = np.abs(self.cells.centres(depth, cell)[0])
        out = np.empty(key.shape)
        for section, rows in ((self.cells.ecal, True), (self.cells.hcal, False)):
            here = self.cells.grid.ecal[depth] == rows
            terms = section.sampling * section.terms(eta[here])[1]
            out[here] = section.independent * terms**2
        return out

    def talk(self, key: np.ndarray, energy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Signals (N,) after cross-talk into the neighbours in eta; the sum is unchanged.

        Keys are sorted and stay so. What no noise would show stays where it is.
        """
        share = 0.5 * self.cross_talk[self.split(key)[1]]
        rows = np.flatnonzero(share * energy > 0.1 * self.noise(key))
        if not (share > 0).any() or not len(rows):
            return key, energy
        _, depth, cell = self.split(key[rows])
        region, across, _, _ = self.cells.places(depth, cell)
        grid, given = self.cells.grid, (share * energy)[rows]
        down, up = across > 0, across < grid.n_eta[region] - 1
        step = grid.n_phi[region]
        taken = np.concatenate([(key[rows] - step)[down], (key[rows] + step)[up]])
        new, inverse = np.unique(taken, return_inverse=True)
        amount = np.bincount(inverse, np.concatenate([given[down], given[up]]), len(new))
        energy = energy.copy()
        energy[rows] -= given * (down.astype(int) + up)
        place = places(key, new)
        energy[place[place >= 0]] += amount[place >= 0]
        new, amount = new[place < 0], amount[place < 0]
        where = np.searchsorted(key, new)
        return np.insert(key, where, new), np.insert(energy, where, amount)

    def empty(
        self, n_events: int, hit: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Keys and energies of cells without signal whose noise exceeds the cut."""
        keys, energies = [], []
        for depth, number in enumerate(self.cells.n_cells):
            if self.factor[depth] == 0 or not self.cells.grid.noise[self.cells.grid.start[depth]]:
                continue
            tail = math.erfc(self.cut[depth] / math.sqrt(2))
            counts = rng.binomial(number, tail, n_events)
            event = np.repeat(np.arange(n_events), counts)
            key = (event * self.depths + depth) * CELLS + rng.integers(0, number, len(event))
            key = np.unique(key)
            keys.append(key[places(hit, key) < 0])
            energies.append(_tail(self.cut[depth], len(keys[-1]), rng))
        if not keys:
            return np.zeros(0, np.int64), np.zeros(0)
        key = np.concatenate(keys)
        return key, np.concatenate(energies) * self.noise(key)


def _tail(cut: float, n: int, rng: np.random.Generator) -> np.ndarray:
    """Standard normal numbers beyond +-cut (n,)."""
    size = -ndtri(rng.random(n) * 0.5 * math.erfc(cut / math.sqrt(2)))
    return size * rng.choice((-1.0, 1.0), n)


def read_out(
    contributions: Contributions,
    n_events: int,
    cells: Cells,
    rng: np.random.Generator,
    options: ReadoutOptions | None = None,
    pileup: float = 0.0,
) -> ak.Array:
    """Measure the energy in cells.

    Args:
        contributions: of all particles of all events, pile-up included.
        n_events: number of events.
        cells: the calorimeters.
        rng: source of all randomness.
        options: defects for tests.
        pileup: mean number of further collisions. Their standard deviation adds to the expected
            noise, with which clusters compare cells (arXiv:1603.02934, section 2.2). Their mean is
            taken off: bipolar shaping does so in liquid argon, as what collisions before leave
            behind cancels the mean; that other calorimeters do so too, and that cells do not vary
            with collisions before, is our own choice. Zero suppression comes first.

    Returns:
        One list per event with the fields of `events.FIELDS["cells"]`, sorted by depth and cell:
        cells with signal and cells of noise alone, those beyond zero suppression.

    Raises:
        ValueError: options that do not fit the calorimeters.
    """
    state = _Readout(cells, options or ReadoutOptions(), pileup)
    owner = (contributions.event * state.depths + contributions.depth) * CELLS + contributions.cell
    hit, visible, *lists = collect(
        np.argsort(owner, kind="stable"), owner, contributions.truth, contributions.energy,
        contributions.visible,
    )  # fmt: skip
    _, depth, _ = state.split(hit)
    signal = _sample(visible * state.scale[depth], state.variance(hit), rng)
    key, signal = state.talk(hit, signal)
    sigma = state.noise(key)
    measured = signal * state.gain(key) + sigma * rng.standard_normal(len(key))
    _, depth, _ = state.split(key)
    read = np.abs(measured) > state.cut[depth] * sigma
    more, extra = state.empty(n_events, key, rng)
    key = np.concatenate([key[read], more])
    measured = np.concatenate([measured[read], extra])
    order = np.argsort(key)
    key, measured = key[order], measured[order]
    alive = state.alive(key)
    key, measured = key[alive], measured[alive]
    counts, truth, fraction = pick(places(hit, key), *lists)
    event, depth, cell = state.split(key)
    eta, phi = cells.centres(depth, cell)
    mean, sigma = state.of_pileup(key)
    flat = ak.zip(
        {
            "depth": depth.astype(np.int8),
            "cell": cell.astype(np.int32),
            "eta": eta.astype(np.float32),
            "phi": phi.astype(np.float32),
            "energy": (measured - mean).astype(np.float32),
            "noise": np.hypot(state.noise(key), sigma).astype(np.float32),
            "truth": ak.unflatten(truth, counts),
            "fraction": ak.unflatten(fraction, counts),
        },
        depth_limit=1,
    )
    return ak.unflatten(flat, np.bincount(event, minlength=n_events))
