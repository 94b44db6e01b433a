"""Calorimeters: three electromagnetic and three hadronic depths, their cells, matter and response.

The presets are in `calorimeters.py`. The calorimeters begin where the tracker's cylinder ends, and
their thickness counts along the path of a particle: both are our own choices. Lengths in mm,
energies in GeV.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from fivesigma.geometry.materials import Material
from fivesigma.geometry.response import EnergyRow, energy_resolution

__all__ = ["CELLS", "Cells", "Depth", "Grid", "Section", "Tuning"]

#: keys of cells are depth * this + cell
CELLS = 1 << 20

#: |eta| max, width in eta, cells in phi, noise of a cell [GeV]
GranularityRow = tuple[float, float, int, float]


@dataclass(frozen=True)
class Tuning:
    """Departures from the published parameters of showers (hep-ex/0001020), y = E / E_c.

    Attributes:
        maximum: (a, b) added to mean ln T: a + b ln y.
        shape: (a, b) added to mean ln alpha.
        spread: factors on the standard deviations of ln T and ln alpha.
        correlation: added to the correlation of both.
        core, tail: added to the radii of core and tail [Moliere radii].
        share: factor on the core's share.
    """

    maximum: tuple[float, float] = (0.0, 0.0)
    shape: tuple[float, float] = (0.0, 0.0)
    spread: tuple[float, float] = (1.0, 1.0)
    correlation: float = 0.0
    core: float = 0.0
    tail: float = 0.0
    share: float = 1.0


@dataclass(frozen=True)
class Section:
    """What the depths of one calorimeter have in common.

    Attributes:
        material: its effective matter.
        resolution: rows (|eta| max, c, s, n, f0, f1, f2) as in `response.Calorimeter`: constant
            and sampling term c and s [sqrt(GeV)] are taken from here, n is the cells' noise.
        e_over_h: response to electromagnetic over response to hadronic energy.
        sampling: sampling term of electromagnetic showers over s.
        intrinsic: variance of the hadronic energy V that the readout sees, over V and over the s^2
            of the hadronic calorimeter.
        independent: share of the sampling fluctuations' variance that is independent from cell to
            cell; the rest is common to all that a particle leaves.
        constant: constant term over c.
        scale: energy read over visible energy.
        cross_talk: fraction of a cell's signal that goes into its two neighbours in eta.
        zero_suppression: cells with less than so many standard deviations of noise are not read.
        sampling_fraction: (F_S, e-hat) of hep-ex/0001020 for a sampling calorimeter; None:
            homogeneous.
        spots: energy spots of an electromagnetic shower of 1 GeV.
        tuning: departures from the published shower parameters.
    """

    material: Material
    resolution: tuple[EnergyRow, ...]
    e_over_h: float = 1.0
    sampling: float = 1.0
    intrinsic: float = 0.0
    independent: float = 1.0
    constant: float = 1.0
    scale: float = 1.0
    cross_talk: float = 0.0
    zero_suppression: float = 0.0
    sampling_fraction: tuple[float, float] | None = None
    spots: float = 50.0
    tuning: Tuning = field(default_factory=Tuning)

    def terms(self, eta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Published constant and sampling term [sqrt(GeV)] at |eta|, each (N,)."""
        rows = np.array(self.resolution)
        row = rows[np.minimum(np.searchsorted(rows[:, 0], eta), len(rows) - 1)]
        scale = row[:, 4] + row[:, 5] * eta + row[:, 6] * eta**2
        return scale * row[:, 1], scale * row[:, 2]

    def sigma(self, energy: np.ndarray | float, eta: np.ndarray | float) -> np.ndarray:
        """Published sigma(E) [GeV] with the noise, of shapes that broadcast."""
        return energy_resolution(self.resolution, energy, eta)


@dataclass(frozen=True)
class Depth:
    """One layer of cells.

    Attributes:
        section: "ecal" or "hcal".
        thickness: along the path, in radiation lengths (ECAL) or interaction lengths (HCAL).
        rows: granularity and noise, from the centre outwards, the same on both sides.
    """

    section: str
    thickness: float
    rows: tuple[GranularityRow, ...]


class Grid(NamedTuple):
    """The cells as flat arrays for compiled loops: D depths, R regions (rows of all depths).

    Attributes:
        x0, lengths, mm: (D + 1,) edges of the depths along the path, in radiation lengths,
            interaction lengths and mm.
        ecal: (D,) whether a depth belongs to the ECAL.
        start: (D + 1,) first region of each depth.
        low, high, step: (R,) range in |eta| and width of a cell.
        n_eta, n_phi, first: (R,) cells in eta (one side) and phi, number of the first cell.
        noise: (R,) [GeV].
        half: (D,) cells of one side; those of the other follow them.
        ring: width of the rings of a cylindrical calorimeter [mm]; 0: cells in eta and phi.
    """

    x0: np.ndarray
    lengths: np.ndarray
    mm: np.ndarray
    ecal: np.ndarray
    start: np.ndarray
    low: np.ndarray
    high: np.ndarray
    step: np.ndarray
    n_eta: np.ndarray
    n_phi: np.ndarray
    first: np.ndarray
    noise: np.ndarray
    half: np.ndarray
    ring: float


@dataclass(frozen=True)
class Cells:
    """The calorimeters of a detector.

    Attributes:
        name: of the preset.
        radius, half_length: of the cylinder at which they begin [mm].
        depths: from the inside outwards, those of the ECAL first.
        ecal, hcal: what the depths of each have in common.
        ring: width of the rings of a calorimeter with cells about the shower's axis [mm]; there a
            row's entries are (number of rings, 1, cells in alpha, noise). 0: cells in eta and phi.
    """

    name: str
    radius: float
    half_length: float
    depths: tuple[Depth, ...]
    ecal: Section
    hcal: Section
    ring: float = 0.0

    def section(self, depth: int) -> Section:
        """The section that a depth belongs to."""
        return self.ecal if self.depths[depth].section == "ecal" else self.hcal

    @cached_property
    def grid(self) -> Grid:
        """The cells as flat arrays."""
        regions: list[tuple[float, float, float, int, int, int, float]] = []
        start, half = [0], []
        for depth in self.depths:
            low, number = 0.0, 0
            for high, step, n_phi, noise in depth.rows:
                n_eta = max(1, round((high - low) / step))
                regions.append((low, high, (high - low) / n_eta, n_eta, n_phi, number, noise))
                low, number = high, number + n_eta * n_phi
            start.append(len(regions))
            half.append(number)
        lows, highs, steps, etas, phis, firsts, noises = (
            np.array(column) for column in zip(*regions, strict=True)
        )
        ecal = np.array([depth.section == "ecal" for depth in self.depths])
        return Grid(
            *(*self._edges(), ecal, np.array(start), lows, highs, steps),
            *(etas, phis, firsts, noises, np.array(half), self.ring),
        )

    def _edges(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        mm = np.array([
            depth.thickness * (matter.x0 if depth.section == "ecal" else matter.interaction)
            for depth, matter in self._matter()
        ])  # fmt: skip
        x0 = mm / np.array([matter.x0 for _, matter in self._matter()])
        lengths = mm / np.array([matter.interaction for _, matter in self._matter()])
        edges = (np.concatenate([[0.0], np.cumsum(values)]) for values in (x0, lengths, mm))
        return tuple(edges)  # type: ignore[return-value]

    def _matter(self) -> list[tuple[Depth, Material]]:
        return [(d, self.section(i).material) for i, d in enumerate(self.depths)]

    @property
    def n_cells(self) -> np.ndarray:
        """Cells in each depth (D,)."""
        return self.grid.half * (1 if self.ring else 2)

    def centres(self, depth: np.ndarray, cell: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Centres of cells in (eta, phi) [rad]; cylindrical cells: ring radius [mm] and alpha.

        Args:
            depth: (N,) depths.
            cell: (N,) cell numbers within them.
        """
        region, eta, phi, side = self.places(depth, cell)
        grid = self.grid
        width = 2 * np.pi / grid.n_phi[region]
        centre = side * (grid.low[region] + (eta + 0.5) * grid.step[region])
        return centre * (self.ring or 1.0), -np.pi + (phi + 0.5) * width

    def places(
        self, depth: np.ndarray, cell: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Region, step in |eta|, step in phi and side (+1, -1) of cells, each (N,)."""
        grid = self.grid
        depth, cell = np.asarray(depth, np.int64), np.asarray(cell, np.int64)
        other = (cell >= grid.half[depth]) & (self.ring == 0)
        number = cell - np.where(other, grid.half[depth], 0)
        # first numbers of the regions grow within a depth: one search over all of them
        wide = int(grid.half.max()) + 1
        owner = np.repeat(np.arange(len(self.depths)), np.diff(grid.start))
        region = np.searchsorted(owner * wide + grid.first, depth * wide + number, "right") - 1
        inside = number - grid.first[region]
        n_phi = grid.n_phi[region]
        return region, inside // n_phi, inside % n_phi, np.where(other, -1, 1)

    def sharpness(self, depth: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """How much cells (N,) tell of a direction in eta and phi (2, N): 1 / width^2.

        Args:
            depth: (N,) depths.
            eta: (N,) centres of the cells.
        """
        grid, width = self.grid, np.ones((2, len(depth)))
        for k in range(len(self.depths)):
            here = depth == k
            rows = slice(grid.start[k], grid.start[k + 1])
            row = np.searchsorted(grid.high[rows], np.abs(eta[here]))
            row = np.minimum(row, len(grid.high[rows]) - 1)
            width[0, here] = grid.step[rows][row]
            width[1, here] = 2 * np.pi / grid.n_phi[rows][row]
        return width**-2

    def noise(self, depth: np.ndarray, cell: np.ndarray) -> np.ndarray:
        """Standard deviation of the noise of cells (N,) [GeV]."""
        return self.grid.noise[self.places(depth, cell)[0]]
