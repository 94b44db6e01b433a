"""Fit the shower parameters of the W/Si preset to half of the Geant4 sample, check on the rest.

    python benchmarks/wsi_fit.py [FOLDER]

FOLDER holds `electrons_1-20GeV.h5` and `photons_1-20GeV.h5` (default
`$FIVESIGMA_REAL_DATA/geant4_showers`). Electrons with an even number are fitted: shower by
shower (T, alpha) come from mean and variance of the depth; means, spreads and correlation of their
logarithms in ln E, the energy in rings, response and its width are brought to agree by repeated
simulation.
The last line is the tuning that `geometry/cells.py` holds; before it the comparison with the odd
electrons and with the photons.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
from scipy.optimize import least_squares

from fivesigma.detector.calorimeter.gflash import longitudinal, medium, radial
from fivesigma.detector.calorimeter.showers import wsi_showers
from fivesigma.geometry.calorimeters import WSI
from fivesigma.geometry.cells import Cells

ROUNDS = 3
SHOWERS = 2500


def load(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Energies (N,) and showers (N, 45, 16, 9) [GeV]."""
    with h5py.File(path) as file:
        energies = file["incident_energies"][:, 0].astype(np.float64) / 1e3
        return energies, file["showers"][:].reshape(-1, 45, 16, 9).astype(np.float32) / 1e3


def shapes(showers: np.ndarray) -> np.ndarray:
    """ln T, ln alpha (N, 2) of each shower from mean and variance of its depth."""
    depth = (np.arange(45) + 0.5) * 3.4 / WSI.ecal.material.x0
    layers = showers.sum((2, 3), dtype=np.float64)
    total = layers.sum(1)
    mean = layers @ depth / total
    variance = layers @ depth**2 / total - mean**2
    alpha = mean**2 / variance
    return np.log(np.stack([np.maximum(alpha - 1, 0.05) * variance / mean, alpha], axis=1))


def rings(showers: np.ndarray) -> np.ndarray:
    """Share of the energy in each ring (9,) in four ranges of depth (4, 9), over all energy."""
    parts = np.split(showers.sum((0, 2), dtype=np.float64), [4, 8, 14])
    values = np.array([part.sum(0) for part in parts])
    return values / values.sum(1, keepdims=True)


def summary(energies: np.ndarray, showers: np.ndarray) -> dict[str, np.ndarray]:
    """What is brought to agree."""
    ln_e = np.log(energies / 5.0)
    shape = shapes(showers)
    line = np.polyfit(ln_e, shape, 1)  # (slope, value at 5 GeV), (ln T, ln alpha)
    rest = shape - (np.outer(ln_e, line[0]) + line[1])
    response = showers.sum((1, 2, 3)) / energies
    return {
        "line": line,
        "spread": rest.std(0),
        "correlation": np.corrcoef(rest.T)[0, 1],
        "rings": rings(showers),
        "response": response.mean(),
        "width": np.mean((response / response.mean() - 1) ** 2 * energies) ** 0.5,
    }


def step(cells: Cells, data: dict[str, np.ndarray], simulated: dict[str, np.ndarray]) -> Cells:
    """Correct each parameter by what its own figure is off."""
    tuning = cells.ecal.tuning
    off = data["line"] - simulated["line"]
    at = np.log(5.0 / cells.ecal.material.critical)
    ratio = data["spread"] / simulated["spread"]
    tuning = replace(
        tuning,
        maximum=(tuning.maximum[0] + off[1, 0] - off[0, 0] * at, tuning.maximum[1] + off[0, 0]),
        shape=(tuning.shape[0] + off[1, 1] - off[0, 1] * at, tuning.shape[1] + off[0, 1]),
        spread=(tuning.spread[0] * ratio[0], tuning.spread[1] * ratio[1]),
        # beyond 0.33 the correlation itself would exceed 1
        correlation=min(tuning.correlation + data["correlation"] - simulated["correlation"], 0.33),
    )
    row = cells.ecal.resolution[0]
    sampling = row[2] * data["width"] / simulated["width"]
    ecal = replace(
        cells.ecal,
        tuning=tuning,
        scale=cells.ecal.scale * data["response"] / simulated["response"],
        resolution=((*row[:2], sampling, *row[3:]),),
    )
    return replace(cells, ecal=ecal)


def axes(cells: Cells, energies: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Energy, group of depths and tau (M, 3) of spots along the axes of showers."""
    matter = medium(cells)
    rows = []
    for energy in energies:
        mean_t, mean_a, spread_t, spread_a, rho = longitudinal(matter, energy)
        one, two = rng.standard_normal(2) * np.sqrt([(1 + rho) / 2, (1 - rho) / 2])
        alpha = max(np.exp(mean_a + spread_a * (one - two)), 1.05)
        scale = np.exp(mean_t + spread_t * (one + two)) / (alpha - 1)
        t = rng.gamma(alpha, scale, 20)
        stretch = np.exp(mean_a) / (np.exp(mean_a) - 1)
        group = np.searchsorted(cells.grid.x0[[4, 8, 14]], t, "right")
        rows.append(np.stack([np.full(20, energy), group, t / (alpha * scale) * stretch], axis=1))
    return np.concatenate(rows)


def fit_rings(cells: Cells, energies: np.ndarray, data: np.ndarray) -> Cells:
    """Core, tail and share by least squares on the expected energy in rings, by depth."""
    spots = axes(cells, energies, np.random.default_rng(7))
    edges = np.arange(10) * WSI.ring / WSI.ecal.material.moliere

    def trial(parameters: np.ndarray) -> Cells:
        core, tail, share = (float(value) for value in parameters)
        tuning = replace(cells.ecal.tuning, core=core, tail=tail, share=share)
        return replace(cells, ecal=replace(cells.ecal, tuning=tuning))

    def residuals(parameters: np.ndarray) -> np.ndarray:
        matter = medium(trial(parameters))
        core, tail, share = np.array(
            [radial(matter, energy, min(tau, 4.0)) for energy, _, tau in spots]
        ).T[:, :, None]
        within = share / (1 + (core / edges[1:]) ** 2) + (1 - share) / (
            1 + (tail / edges[1:]) ** 2
        )
        ring = spots[:, :1] * np.diff(within, prepend=0.0)
        made = np.array([ring[spots[:, 1] == group].sum(0) for group in range(4)])
        made /= made.sum(1, keepdims=True)
        return ((made - data) / np.sqrt(data)).ravel()

    t = cells.ecal.tuning
    return trial(least_squares(residuals, [t.core, t.tail, t.share], diff_step=0.02).x)


def compare(name: str, energies: np.ndarray, showers: np.ndarray, made: np.ndarray) -> None:
    """Print the acceptance figures in four ranges of energy."""
    depth = (np.arange(45) + 0.5) * 3.4 / WSI.ecal.material.x0
    for low, high in ((1, 1.5), (4, 6), (9, 11), (15, 20)):
        here = (energies > low) & (energies < high)
        print(f"{name}, {low}-{high} GeV, {np.count_nonzero(here)} showers: Geant4, ours")
        both = showers[here], made[here]
        response = [both_.sum((1, 2, 3)) / energies[here] for both_ in both]
        radial = [np.cumsum(b.sum((0, 1, 2), dtype=np.float64)) for b in both]
        figures = {
            "mean depth [X0]": [
                float(b.sum((0, 2, 3), dtype=np.float64) @ depth / b.sum()) for b in both
            ],
            "r50 [mm]": [quantile(r, 0.5) for r in radial],
            "r90 [mm]": [quantile(r, 0.9) for r in radial],
            "response": [float(r.mean()) for r in response],
            "width": [float(r.std() / r.mean()) for r in response],
            "hit fraction": [float((b > 0).mean()) for b in both],
            **{
                f"cell energy, {q:.0%} [MeV]": [
                    float(np.quantile(b[b > 0], q)) * 1e3 for b in both
                ]
                for q in (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
            },
        }
        for figure, (theirs, ours) in figures.items():
            print(f"  {figure:24s} {theirs:9.4f} {ours:9.4f}  {ours / theirs - 1:+.1%}")


def quantile(cumulated: np.ndarray, share: float) -> float:
    """Radius of that share of the energy within the calorimeter [mm], linear in r^2 in a ring."""
    edges = (np.arange(10) * WSI.ring) ** 2
    return float(np.sqrt(np.interp(share, np.append(0, cumulated / cumulated[-1]), edges)))


def main() -> None:
    """Fit on even electrons, compare with odd ones and photons."""
    default = os.environ.get("FIVESIGMA_REAL_DATA", "../shared/data") + "/geant4_showers"
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else default)
    energies, showers = load(folder / "electrons_1-20GeV.h5")
    energy, data = energies[::2][:SHOWERS], summary(energies[::2], showers[::2])
    cells = WSI
    for number in range(ROUNDS):
        made = wsi_showers(energy, cells, np.random.default_rng(number))
        cells = step(cells, data, summary(energy, made))
        cells = fit_rings(cells, energy[:500], data["rings"])
        print(number, cells.ecal.tuning, cells.ecal.scale, cells.ecal.resolution[0][2], flush=True)
    odd = slice(1, 2 * SHOWERS, 2)
    made = wsi_showers(energies[odd], cells, np.random.default_rng(99))
    compare("electrons", energies[odd], showers[odd], made)
    energies, showers = load(folder / "photons_1-20GeV.h5")
    made = wsi_showers(energies[:SHOWERS], cells, np.random.default_rng(100), photons=True)
    compare("photons", energies[:SHOWERS], showers[:SHOWERS], made)
    print(cells.ecal.tuning, cells.ecal.scale, cells.ecal.resolution[0][2])


if __name__ == "__main__":
    main()
