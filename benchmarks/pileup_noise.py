"""Make the tables of pile-up noise of `geometry/pileup_noise` from minimum-bias collisions.

    python benchmarks/pileup_noise.py [atlas|cms] [collisions]

Mean and standard deviation of the energy that one collision leaves in a cell, without electronic
noise and zero suppression, in bins of |eta|; cells of both sides and of all azimuths together.
"""

from __future__ import annotations

import sys

import awkward as ak
import numpy as np

from fivesigma.detector.calorimeter.readout import ReadoutOptions, read_out
from fivesigma.detector.mixing import spread
from fivesigma.detector.signals import stable, transport
from fivesigma.generation.options import Generation
from fivesigma.generation.pythia import Generator
from fivesigma.geometry import detector
from fivesigma.geometry.cells import Cells
from fivesigma.geometry.pileup import PileupNoise, save

CHUNK, COLLISIONS, WIDTH = 250, 4000, 0.25
QUIET = ReadoutOptions(noise=(0.0,), zero_suppression=0.0)


def edges_of(cells: Cells, depth: int) -> np.ndarray:
    """Bins in |eta| of about WIDTH, none over the edge between two regions."""
    grid, parts = cells.grid, [np.zeros(1)]
    for k in range(grid.start[depth], grid.start[depth + 1]):
        bins = max(1, round((grid.high[k] - grid.low[k]) / WIDTH))
        parts.append(np.linspace(grid.low[k], grid.high[k], bins + 1)[1:])
    return np.concatenate(parts)


def cells_between(cells: Cells, depth: int, edges: np.ndarray) -> np.ndarray:
    """Cells in each bin of |eta|."""
    number = np.arange(cells.n_cells[depth])
    eta, _ = cells.centres(np.full(number.size, depth), number)
    return np.histogram(np.abs(eta), edges)[0]


def main() -> None:
    """Write the tables."""
    collisions = int(sys.argv[2]) if len(sys.argv) > 2 else COLLISIONS
    for name in sys.argv[1:2] or ("atlas", "cms"):
        preset, rng = detector(name), np.random.default_rng(11)
        cells, source = preset.cells, Generator(Generation("minimum-bias"), seed=11)
        edges = [edges_of(cells, depth) for depth in range(len(cells.depths))]
        sums = [np.zeros((2, len(each) - 1)) for each in edges]
        for _ in range(0, collisions, CHUNK):
            left = transport(stable(spread(source.next(CHUNK).truth, rng)), CHUNK, preset, rng)
            found = ak.flatten(read_out(left.contributions, CHUNK, cells, rng, QUIET))
            depth, eta, energy = (ak.to_numpy(found[k]) for k in ("depth", "eta", "energy"))
            for k, each in enumerate(edges):
                place, values = np.abs(eta[depth == k]), energy[depth == k].astype(float)
                for row, weights in zip(sums[k], (values, values**2), strict=True):
                    row += np.histogram(place, each, weights=weights)[0]
        means, sigmas = [], []
        for k, each in enumerate(edges):
            mean, square = sums[k] / (collisions * cells_between(cells, k, each))
            means.append(tuple(mean.round(6).tolist()))
            sigmas.append(tuple(np.sqrt(square - mean**2).round(5).tolist()))
            print(name, k, "eta", each.round(2), "mean", mean.round(5), "sigma", sigmas[-1])
        table = PileupNoise(tuple(tuple(each.tolist()) for each in edges), tuple(means),
                            tuple(sigmas))  # fmt: skip
        print(save(name, table))


if __name__ == "__main__":
    main()
