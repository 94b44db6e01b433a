"""The W/Si calorimeter against Geant4: electrons in the layout of CaloChallenge data set 2."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from fivesigma.detector.calorimeter.showers import wsi_showers
from fivesigma.geometry.calorimeters import WSI
from fivesigma.plots.validation import spectra
from fivesigma.results import Number, Result
from fivesigma.workflows.validate.checks import Check, section
from fivesigma.workflows.validate.setting import Setting

__all__ = ["FILE", "Sums", "wsi"]

#: below the folder of reference data
FILE = Path("geant4_showers") / "electrons_1-20GeV.h5"
_SHOWERS = 5000
_LAYERS, _ALPHAS, _RINGS = 45, 16, 9
_RING = 4.65  # mm
#: middle of each layer [X0]
_DEPTH = (np.arange(_LAYERS) + 0.5) * 3.4 / 4.22
_RANGES = ((1, 2), (4, 7), (10, 20))  # GeV
#: figure -> unit, bar, relative; bars of the issue, of response and hit cells our own
_BARS = {
    "depth": ("X0", 0.5, False),
    "r50": ("mm", 0.15, True),
    "r90": ("mm", 0.15, True),
    "response": ("", 0.03, True),
    "width": ("GeV^1/2", 0.15, True),
    "hit": ("", 0.15, True),
}
_REPLICAS = 50


def wsi(setting: Setting) -> Result:
    """Depth, radii, response, its width, cells hit against Geant4, in three ranges of energy.

    Every second shower of the file: the others have been used to fit the preset.
    """
    path, rng = setting.data / FILE, setting.rng(6)
    title = "W/Si calorimeter against Geant4"
    if not path.is_file():
        note = f"skipped: there is no {path}; give --data, or set $FIVESIGMA_REAL_DATA"
        return Result(title, note=note)
    with h5py.File(path) as file:
        stop = 2 * setting.count(_SHOWERS)
        energies = file["incident_energies"][1:stop:2, 0].astype(np.float64) / 1e3
        reference = file["showers"][1:stop:2].reshape(-1, _LAYERS, _ALPHAS, _RINGS) / 1e3
    ours = wsi_showers(energies, WSI, rng)
    checks: list[Check] = []
    figures: dict[str, Any] = {}
    for low, high in _RANGES:
        here = (energies > low) & (energies < high)
        samples = {"Geant4": reference[here], "fivesigma": ours[here]}
        pair = [Sums.of(energies[here], each) for each in samples.values()]
        theirs, made = (each.figures() for each in pair)
        error = _errors(pair[0], pair[1], rng)
        for name, (unit, bar, relative) in _BARS.items():
            number = Number(made[name], error[name], unit)
            checks.append(
                Check(f"wsi/{name}/{low}-{high}_GeV", number, theirs[name], bar, relative)
            )
        figures |= _figures(samples, f"{low}-{high} GeV")
    return section(
        title, checks, figures,
        "Electrons at normal incidence in the layout of CaloChallenge data set 2; Geant4 11.4. "
        "The preset's parameters were fitted to one half of the sample (`benchmarks/wsi_fit.py`), "
        "these are showers of the other half. Width: of the response, times the square root of "
        "the energy. Errors: of both samples, from bootstrap replicas.",
    )  # fmt: skip


class Sums(NamedTuple):
    """What the figures need of N showers: energies [GeV], sums by layer and ring, cells hit."""

    energies: np.ndarray
    layers: np.ndarray
    rings: np.ndarray
    hit: np.ndarray

    @classmethod
    def of(cls, energies: np.ndarray, showers: np.ndarray) -> Sums:
        """From showers (N, layers, alpha, r) [GeV]."""
        layers = showers.sum((2, 3), dtype=np.float64)
        rings = showers.sum((1, 2), dtype=np.float64)
        return cls(energies, layers, rings, (showers > 0).mean((1, 2, 3)))

    def take(self, rows: np.ndarray) -> Sums:
        """Some of them."""
        return Sums(*(column[rows] for column in self))

    def figures(self) -> dict[str, float]:
        """Mean depth [X0], r50, r90 [mm], response, its width times sqrt(E), cells hit."""
        rings, layers = np.cumsum(self.rings.sum(0)), self.layers.sum(0)
        edges = (np.arange(_RINGS + 1) * _RING) ** 2
        r50, r90 = np.sqrt(np.interp([0.5, 0.9], np.append(0, rings / rings[-1]), edges))
        response = self.layers.sum(1) / self.energies
        scatter = (response / response.mean() - 1) ** 2 * self.energies
        return {
            "depth": float(layers @ _DEPTH / layers.sum()),
            "r50": float(r50),
            "r90": float(r90),
            "response": float(response.mean()),
            "width": float(np.sqrt(scatter.mean())),
            "hit": float(self.hit.mean()),
        }


def _errors(theirs: Sums, ours: Sums, rng: np.random.Generator) -> dict[str, float]:
    """Standard errors of the differences."""
    n = len(theirs.energies)
    picks = [rng.integers(n, size=n) for _ in range(_REPLICAS)]
    replicas = [[each.take(rows).figures() for rows in picks] for each in (theirs, ours)]
    return {
        name: float(sum(np.var([each[name] for each in one]) for one in replicas)) ** 0.5
        for name in replicas[0][0]
    }


def _figures(samples: dict[str, np.ndarray], label: str) -> dict[str, Any]:
    layers = {k: v.sum((0, 2, 3), dtype=np.float64) / len(v) for k, v in samples.items()}
    rings = {k: v.sum((0, 1, 2), dtype=np.float64) / len(v) for k, v in samples.items()}
    bins = np.geomspace(1e-5, 1.0, 51)
    cells = {
        k: np.histogram(v[v > 0], bins)[0] / len(v) / np.diff(np.log10(bins))
        for k, v in samples.items()
    }
    return {
        f"Energy by layer, {label}": spectra(
            np.arange(_LAYERS + 1.0), layers, "Layer", "Energy per shower [GeV]"
        ),
        f"Energy by ring, {label}": spectra(
            np.linspace(0, _RINGS * _RING, _RINGS + 1), rings,
            "Radius [mm]", "Energy per shower [GeV]", ylog=True,
        ),
        f"Cell energies, {label}": spectra(
            bins, cells, "Cell energy [GeV]", "Cells per shower and decade", ylog=True, xlog=True
        ),
    }  # fmt: skip
