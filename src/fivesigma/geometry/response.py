"""The object-level response of a detector: tracks and towers by published formulae.

The numbers are those of the published fast-simulation cards of ATLAS and CMS (Delphes 3,
arXiv:1307.6346) as formulae; impact parameters after the CMS tracker paper (arXiv:1405.6569).
Lengths in mm, energies in GeV.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

__all__ = [
    "ATLAS",
    "ATLAS_COARSE",
    "CMS",
    "Calorimeter",
    "EnergyRow",
    "Response",
    "Tracker",
    "energy_resolution",
]

#: |eta| <= first entry: rows are tried in order
EfficiencyRow = tuple[float, float, float]  # |eta| max, pT above [GeV], efficiency
ResolutionRow = tuple[float, float, float]  # |eta| max, constant term, term linear in pT [1/GeV]
#: |eta| max; constant, stochastic [sqrt(GeV)], noise [GeV]; factor f0 + f1 |eta| + f2 eta^2
EnergyRow = tuple[float, float, float, float, float, float, float]


def energy_resolution(
    rows: tuple[EnergyRow, ...], energy: np.ndarray | float, eta: np.ndarray | float
) -> np.ndarray:
    """sigma(E) [GeV] by the rows of `Calorimeter.resolution`; infinite outside the acceptance.

    Args:
        rows: (|eta| max, c, s, n, f0, f1, f2), from the centre outwards.
        energy: any shape [GeV].
        eta: of a shape that broadcasts with it.
    """
    table, size = np.array(rows), np.abs(eta)
    row = np.searchsorted(table[:, 0], size)
    columns = np.moveaxis(table[np.minimum(row, len(table) - 1)], -1, 0)
    _, c, s, n, f0, f1, f2 = columns
    terms = np.sqrt((c * energy) ** 2 + s**2 * energy + n**2)
    sigma = (f0 + f1 * size + f2 * size**2) * terms
    return np.where(row < len(table), sigma, np.inf)


@dataclass(frozen=True)
class Tracker:
    """Efficiency and resolution of charged particles, for hadrons, electrons and muons.

    Attributes:
        efficiency: class -> rows (|eta| max, pT above [GeV], efficiency); the last row that fits
            holds.
        resolution: class -> rows (|eta| max, a, b [1/GeV]): sigma(pT)/pT = a (+) b pT.
        d0: rows (pT [GeV], sigma(d0) [mm]), log-log interpolated, times 1/sqrt(sin theta).
        dz_over_d0: sigma(dz) sin(theta) / sigma(d0).
    """

    efficiency: Mapping[str, tuple[EfficiencyRow, ...]]
    resolution: Mapping[str, tuple[ResolutionRow, ...]]
    d0: tuple[tuple[float, float], ...]
    dz_over_d0: float = 1.5


@dataclass(frozen=True)
class Calorimeter:
    """Towers, their energy resolution and their thresholds.

    Attributes:
        granularity: rows (|eta| max, width in eta, width in phi [degrees]), from the centre
            outwards.
        resolution: rows (|eta| max, c, s, n, f0, f1, f2):
            sigma(E) = (f0 + f1 |eta| + f2 eta^2) (c E (+) s sqrt(E) (+) n).
        energy_min: towers and neutral excesses below are dropped [GeV].
        significance_min: so are those below so many sigma.
        smearing: "lognormal" keeps energies positive and the mean exact; "gaussian", cut at zero,
            is what early
            fast simulations did: towers of little energy fluctuate over the threshold more often.
    """

    granularity: tuple[tuple[float, float, float], ...]
    resolution: tuple[EnergyRow, ...]
    energy_min: float
    significance_min: float
    smearing: Literal["lognormal", "gaussian"] = "lognormal"

    @cached_property
    def towers(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The grid: (edges in eta (n + 1,), bins in phi (n,), first tower number (n + 1,))."""
        edges, in_phi = [0.0], []
        for eta_max, d_eta, d_phi in self.granularity:
            n = max(1, round((eta_max - edges[-1]) / d_eta))
            edges += list(np.linspace(edges[-1], eta_max, n + 1)[1:])
            in_phi += [round(360 / d_phi)] * n
        eta = np.array([-e for e in reversed(edges[1:])] + edges)
        phi = np.array(in_phi[::-1] + in_phi, dtype=np.int64)
        return eta, phi, np.concatenate([[0], np.cumsum(phi)])

    @cached_property
    def resolution_table(self) -> np.ndarray:
        """The rows of `resolution` as an array (n, 7)."""
        return np.array(self.resolution, dtype=np.float64)

    def sigma(self, energy: float, eta: float) -> float:
        """The energy resolution sigma(E) [GeV] of a tower; infinite outside the acceptance."""
        return float(energy_resolution(self.resolution, energy, eta))


@dataclass(frozen=True)
class Response:
    """The response at object level.

    Attributes:
        tracker, ecal, hcal: the sub-detectors.
        combined_towers: the calorimeters share their towers, and energy flow makes one neutral per
            tower.
        rescale_tracks: where a tower has no neutral excess, move its tracks to the mean of both
            measurements.
    """

    tracker: Tracker
    ecal: Calorimeter
    hcal: Calorimeter
    combined_towers: bool = False
    rescale_tracks: bool = True


_EFFICIENCY = {
    "hadron": ((1.5, 0.1, 0.70), (1.5, 1.0, 0.95), (2.5, 0.1, 0.60), (2.5, 1.0, 0.85)),
    "electron": (
        (1.5, 0.1, 0.73),
        (1.5, 1.0, 0.95),
        (1.5, 100.0, 0.99),
        (2.5, 0.1, 0.50),
        (2.5, 1.0, 0.83),
        (2.5, 100.0, 0.90),
    ),
    "muon": ((1.5, 0.1, 0.75), (1.5, 1.0, 0.99), (2.5, 0.1, 0.70), (2.5, 1.0, 0.98)),
}
_RESOLUTION = {
    "hadron": ((0.5, 0.06, 1.3e-3), (1.5, 0.10, 1.7e-3), (2.5, 0.25, 3.1e-3)),
    "electron": ((0.5, 0.03, 1.3e-3), (1.5, 0.05, 1.7e-3), (2.5, 0.15, 3.1e-3)),
    "muon": ((0.5, 0.01, 1.0e-4), (1.5, 0.015, 1.5e-4), (2.5, 0.025, 3.5e-4)),
}
_TRACKER = Tracker(
    efficiency=_EFFICIENCY,
    resolution=_RESOLUTION,
    d0=((0.55, 0.143), (1.22, 0.067), (9.0, 0.021), (60.0, 0.011)),
)

_FINE = ((3.0, 0.0174, 1.0), (4.9, 0.175, 10.0))
_ATLAS_ECAL = (
    (3.2, 0.0017, 0.101, 0.0, 1.0, 0.0, 0.0),
    (4.9, 0.0350, 0.285, 0.0, 1.0, 0.0, 0.0),
)
_ATLAS_HCAL = (
    (1.7, 0.0302, 0.5205, 1.59, 1.0, 0.0, 0.0),
    (3.2, 0.0500, 0.706, 0.0, 1.0, 0.0, 0.0),
    (4.9, 0.0942, 1.00, 0.0, 1.0, 0.0, 0.0),
)
_ATLAS_TOWERS = ((2.5, 0.1, 10.0), (4.9, 0.2, 20.0))
_COARSE = ((2.5, 0.1, 5.625), (4.9, 0.2, 11.25))

_CMS_ECAL = (
    (1.5, 0.008, 0.11, 0.40, 1.0, 0.0, 0.64),
    # 2.16 + 5.6 (|eta| - 2)^2, multiplied out
    (2.5, 0.008, 0.11, 0.40, 24.56, -22.4, 5.6),
    (5.0, 0.107, 2.08, 0.0, 1.0, 0.0, 0.0),
)
_CMS_HCAL = (
    (3.0, 0.050, 1.50, 0.0, 1.0, 0.0, 0.0),
    (5.0, 0.130, 2.70, 0.0, 1.0, 0.0, 0.0),
)
_CMS_TOWERS = (
    (1.653, 0.087, 5.0),
    (1.74, 0.087, 10.0),
    (1.83, 0.09, 10.0),
    (1.93, 0.10, 10.0),
    (2.043, 0.113, 10.0),
    (2.172, 0.129, 10.0),
    (2.322, 0.150, 10.0),
    (2.5, 0.178, 10.0),
    (2.65, 0.150, 10.0),
    (2.868, 0.218, 10.0),
    (2.95, 0.082, 10.0),
    (4.35, 0.175, 10.0),
    (5.0, 0.325, 20.0),
)

ATLAS = Response(
    tracker=_TRACKER,
    ecal=Calorimeter(_FINE, _ATLAS_ECAL, energy_min=0.5, significance_min=2.0),
    hcal=Calorimeter(_ATLAS_TOWERS, _ATLAS_HCAL, energy_min=1.0, significance_min=2.0),
)
CMS = Response(
    tracker=_TRACKER,
    ecal=Calorimeter((*_FINE[:1], (5.0, 0.175, 10.0)), _CMS_ECAL, 0.5, 2.0),
    hcal=Calorimeter(_CMS_TOWERS, _CMS_HCAL, energy_min=1.0, significance_min=1.0),
)
#: for the recipe `top-tagging`: see docs/detector.md for how it was found
ATLAS_COARSE = Response(
    tracker=_TRACKER,
    ecal=Calorimeter(_COARSE, _ATLAS_ECAL, 0.5, 0.0, smearing="gaussian"),
    hcal=Calorimeter(_COARSE, _ATLAS_HCAL, 0.5, 0.0, smearing="gaussian"),
    combined_towers=True,
    rescale_tracks=False,
)
