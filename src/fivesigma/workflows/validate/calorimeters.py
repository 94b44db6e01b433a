"""Calorimeters: energy resolution, linearity and e/h of single particles in clusters."""

from __future__ import annotations

from typing import Any, Literal

import awkward as ak
import numpy as np

from fivesigma.detector.calorimeter.deposit import deposit
from fivesigma.detector.calorimeter.guns import gun
from fivesigma.detector.calorimeter.hadrons import electromagnetic_share
from fivesigma.detector.calorimeter.readout import read_out
from fivesigma.detector.flow import Particles
from fivesigma.geometry.cells import Cells, Section
from fivesigma.plots.validation import Series, compared
from fivesigma.reconstruction.cluster_calibration import calibrate
from fivesigma.reconstruction.clusters import clusters
from fivesigma.results import Number, Result
from fivesigma.workflows.validate.checks import Check, section, spread, width
from fivesigma.workflows.validate.setting import Setting

__all__ = ["calorimeters", "near", "non_compensation", "packed"]

#: of each energy: hadrons' errors are larger
_PARTICLES = {"electrons": 1200, "photons": 1200, "pions": 2400}
_NEUTRALS = 3000
_ENERGIES = (10.0, 20.0, 50.0, 100.0, 200.0)
#: particles are spread over the barrel, where the formulae hold
_ETA_MAX = 1.3
_PER_EVENT = 4
#: name -> PDG number, section, calibration, radius in which clusters belong to the particle
_KINDS: dict[str, tuple[int, str, Literal["electromagnetic", "hadronic"], float]] = {
    "electrons": (11, "ecal", "electromagnetic", 0.1),
    "photons": (22, "ecal", "electromagnetic", 0.1),
    "pions": (-211, "hcal", "hadronic", 0.4),
}


def calorimeters(setting: Setting) -> Result:
    """sigma(E)/E and response of electrons, photons and pions at five energies."""
    cells, rng = _cells(setting), setting.rng(4)
    checks: list[Check] = []
    widths, responses = [], []
    for name, (pdg_id, which, kind, radius) in _KINDS.items():
        part: Section = getattr(cells, which)
        found, means, formula = [], [], _published(part)
        for energy, sigma in zip(_ENERGIES, formula, strict=True):
            n = setting.count(_PARTICLES[name])
            measured, eta = _measured(pdg_id, energy, n, cells, kind, radius, rng)
            mean = spread(measured / energy)[0]
            pulls = (measured / measured.mean() - 1) * energy / part.sigma(energy, eta)
            core = width(pulls, scale=1 / sigma)
            spread_of_all = pulls.std(ddof=1) * sigma
            resolution = Number(spread_of_all, spread_of_all / (2 * n) ** 0.5)
            checks += [
                Check(f"calorimeters/{name}/resolution/{energy:g}", resolution, sigma, 0.10),
                Check(f"calorimeters/{name}/core/{energy:g}", core, sigma, np.inf),
                Check(f"calorimeters/{name}/response/{energy:g}", mean, 1.0, 0.02),
            ]
            found.append(resolution)
            means.append(mean)
        widths.append(_series(name, found, formula))
        responses.append(_series(name, means, np.ones(len(_ENERGIES))))
    return section(
        f"Calorimeters of {cells.name}: resolution and linearity", checks,
        {
            "Energy resolution": compared(
                widths, "Energy [GeV]", "σ(E)/E", 0.10, reference="published"
            ),
            "Response": compared(responses, "Energy [GeV]", "Measured / true energy", 0.02,
                                 ylog=False, reference="linear", reach=0.06),
        },
        "Calibrated topological clusters of single particles, |eta| < 1.3, noise and zero "
        "suppression included: electrons and photons the largest cluster within 0.1, pions all "
        "within 0.4. Formulae: those of the object-level response. Resolution: standard "
        "deviation of departures from the mean over the formula at each particle's |eta|, times "
        "the formula's root mean square; core: half of their central 68.3 %, shown beside it, "
        "which has no tails.",
    )  # fmt: skip


def _series(name: str, found: list[Number], expected: np.ndarray) -> Series:
    values = np.array([(each.value, each.uncertainty) for each in found])
    return Series(name, np.array(_ENERGIES), values[:, 0], values[:, 1], expected)


def _cells(setting: Setting) -> Cells:
    cells = setting.detector.cells
    if cells is None:
        message = f"the detector {setting.detector.name!r} has no calorimeters with cells"
        raise ValueError(message)
    return cells


def _published(part: Section) -> np.ndarray:
    """sigma(E)/E at the energies, root mean square over the directions of the particles."""
    energy, eta = np.array(_ENERGIES)[:, None], np.linspace(0, _ETA_MAX, 200)
    return np.sqrt(np.mean((part.sigma(energy, eta) / energy) ** 2, axis=1))


def _measured(
    pdg_id: int, energy: float, n: int, cells: Cells,
    kind: Literal["electromagnetic", "hadronic"], radius: float, rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Calibrated energies of n particles [GeV] and their eta."""
    eta = rng.uniform(-_ETA_MAX, _ETA_MAX, n)
    particles = packed(gun(pdg_id, energy, eta, cells, rng))
    n_events = int(particles.event[-1]) + 1
    found = read_out(deposit(particles, cells, rng).contributions, n_events, cells, rng)
    objects = calibrate(clusters(found, cells), cells, kind)[particles.event]
    own = near(objects, particles, radius)
    if kind == "electromagnetic":
        own = own[:, :1]
    return ak.to_numpy(ak.sum(own.calibrated, axis=1)).astype(np.float64), eta


def packed(particles: Particles) -> Particles:
    """Four particles to an event, a right angle apart: noise is read out for all of them once."""
    row = np.arange(len(particles.event))
    first = row - row % _PER_EVENT
    phi = np.arctan2(particles.py, particles.px)[first] + np.pi / 2 * (row % _PER_EVENT)
    pt, radius = np.hypot(particles.px, particles.py), np.hypot(particles.x, particles.y)
    return particles._replace(
        event=row // _PER_EVENT, truth=row % _PER_EVENT,
        px=pt * np.cos(phi), py=pt * np.sin(phi), x=radius * np.cos(phi), y=radius * np.sin(phi),
    )  # fmt: skip


def near(objects: ak.Array, particles: Particles, radius: float) -> ak.Array:
    """Objects within a radius of each particle's place; one list of objects per particle."""
    eta = np.arcsinh(particles.z / np.hypot(particles.x, particles.y))
    phi = np.arctan2(particles.y, particles.x)
    turn = (objects.phi - phi + np.pi) % (2 * np.pi) - np.pi
    return objects[np.hypot(objects.eta - eta, turn) < radius]


def non_compensation(setting: Setting) -> Result:
    """e/h of the HCAL from neutral hadrons that leave nothing in the ECAL."""
    cells, rng = _cells(setting), setting.rng(5)
    checks, n = [], setting.count(_NEUTRALS)
    in_ecal = int(np.count_nonzero(cells.grid.ecal))
    found, expected = [], []
    for energy in _ENERGIES:
        particles = gun(130, energy, np.zeros(n), cells, rng)
        each = deposit(particles, cells, rng).contributions
        early = np.bincount(each.event, each.depth < in_ecal, n) > 0
        rows = ~early[each.event]
        seen = np.bincount(each.event[rows], each.visible[rows], n)[~early]
        left = np.bincount(each.event[rows], each.energy[rows], n)[~early]
        filled = left > 0
        response = spread(seen[filled] / left[filled])[0]
        share = electromagnetic_share(energy, False)
        # <visible> / E = f + (1 - f) h/e
        h_over_e = (response.value - share) / (1 - share)
        error = response.uncertainty / (1 - share) / h_over_e**2
        found.append(Number(1 / h_over_e, error))
        expected.append(cells.hcal.e_over_h)
        checks.append(Check(f"compensation/e_over_h/{energy:g}", found[-1], expected[-1], 0.05))
    figures: dict[str, Any] = {
        "e/h of the HCAL": compared(
            [_series("neutral kaons", found, np.array(expected))], "Energy [GeV]", "e/h", 0.05,
            ylog=False, reference="as set",
        )
    }  # fmt: skip
    return section(
        f"Calorimeters of {cells.name}: e/h", checks, figures,
        "From the visible share of what K0L leave in the HCAL, with the mean electromagnetic "
        "share 1 - (E / 1 GeV)^-0.18 taken out; bar 5 %, our own.",
    )  # fmt: skip
