"""Masses of J/psi and Z from reconstructed muons, real ones of CMS beside them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np

from fivesigma.generation.options import Generation, seed_of
from fivesigma.generation.pythia import Generator
from fivesigma.plots.spectra import spectrum_fit
from fivesigma.reconstruction.muons import dimuon_masses
from fivesigma.results import Number, Result
from fivesigma.statistics.spectra import Component, Fit, Model, fit_events, shape_named
from fivesigma.workflows.validate.checks import Check, section
from fivesigma.workflows.validate.muons import muons_of
from fivesigma.workflows.validate.setting import Setting

__all__ = ["peaks"]

_PORTION = 200


@dataclass(frozen=True)
class _Peak:
    """A resonance: how it is made, and its fit."""

    name: str
    latex: str
    generation: Generation
    events: int
    mass: float
    limits: tuple[float, float]
    shape: str
    fixed: dict[str, float]


#: masses: PDG; without further parton interactions, whose particles take time and no part
_PEAKS = (
    _Peak(
        "jpsi_mumu", r"$J/\psi \to \mu\mu$",
        Generation("jpsi-mumu", mpi=False, pt_hat=(8.0, float("inf"))), 2500,
        3.0969, (2.7, 3.5), "crystal-ball", {"n": 2.0},
    ),
    _Peak(
        "z_mumu", r"$Z \to \mu\mu$",
        Generation("z-ll", mpi=False, extra=("23:onMode = off", "23:onIfAny = 13")), 2500,
        91.188, (70.0, 110.0), "breit-wigner-crystal-ball", {"n": 2.0, "gamma": 2.4955},
    ),
)  # fmt: skip
_REAL = "Zmumu_Run2011A.csv"


def peaks(setting: Setting) -> Result:
    """Peaks at their masses within twice the error, widths stated."""
    checks: list[Check] = []
    figures: dict[str, Any] = {}
    numbers: dict[str, Number] = {}
    for stream, peak in enumerate(_PEAKS):
        masses = _masses(peak, setting, 9 + stream)
        fit = _fit(peak, masses)
        found = fit.numbers("GeV")
        mass = found["peak/mass"]
        checks.append(
            Check(f"peaks/{peak.name}/mass", mass, peak.mass, 2 * mass.uncertainty, False)
        )
        numbers[f"peaks/{peak.name}/sigma"] = found["peak/sigma"]
        numbers[f"peaks/{peak.name}/found"] = Number(len(masses), note=f"pairs of muons of "
            f"{setting.count(peak.events)} events")  # fmt: skip
        figures[f"{peak.name.replace('_', ' to ')}, {setting.detector.name}"] = _figure(
            peak, fit, "fivesigma simulation"
        )
    real = setting.data / "cms_z" / _REAL
    if real.is_file():
        fit = _fit(_PEAKS[1], _real_masses(real), background=True)
        found = fit.numbers("GeV")
        numbers["peaks/cms_z_mumu/mass"] = found["peak/mass"]
        numbers["peaks/cms_z_mumu/sigma"] = found["peak/sigma"]
        figures["Z to mumu, real CMS data of 2011"] = _figure(
            _PEAKS[1], fit, "CMS Open Data", "7 TeV"
        )
    result = section(
        "Mass peaks", checks, figures,
        "Opposite-sign pairs of reconstructed muons, fitted event by event: J/psi a Crystal Ball, "
        "Z a Breit-Wigner of the Z's width smeared by a Crystal Ball; the real Z of CMS by the "
        "same shape and an exponential background. Photons radiated by the muons pull on the "
        "tails of both, and on the mass by some ten MeV.",
    )  # fmt: skip
    return Result(
        result.title, {**result.numbers, **numbers}, result.figures, result.tables, result.note
    )


def _masses(peak: _Peak, setting: Setting, stream: int) -> np.ndarray:
    rng, n = setting.rng(stream), setting.count(peak.events)
    source = Generator(peak.generation, seed=seed_of(setting.seed, stream))
    parts = []
    for begin in range(0, n, _PORTION):
        truth = source.next(min(_PORTION, n - begin)).truth
        parts.append(ak.to_numpy(ak.flatten(
            dimuon_masses(muons_of(truth, setting.detector, rng)))))  # fmt: skip
    return np.concatenate(parts).astype(np.float64)


def _fit(peak: _Peak, masses: np.ndarray, background: bool = False) -> Fit:
    signal = Component("peak", shape_named(peak.shape), fixed=peak.fixed)
    parts = (signal, Component("background", shape_named("exponential")))
    return fit_events(Model(parts if background else (signal,), peak.limits), masses, bins=60)


def _figure(peak: _Peak, fit: Fit, experiment: str, right: str = "") -> Any:
    found = fit.numbers("GeV")
    mass, sigma = found["peak/mass"], found["peak/sigma"]
    text = (
        peak.latex,
        f"m = {mass.value:.4g} ± {mass.uncertainty:.2g} GeV",
        f"σ = {sigma.value:.3g} ± {sigma.uncertainty:.2g} GeV",
    )
    return spectrum_fit(fit, r"$m_{\mu\mu}$", text=text, experiment=experiment, right=right)


def _real_masses(path: Any) -> np.ndarray:
    """Opposite-sign pairs in the CMS file, without the muon's mass."""
    table = np.genfromtxt(path, delimiter=",", names=True)
    table = table[table["Q1"] * table["Q2"] < 0]
    angle = np.cosh(table["eta1"] - table["eta2"]) - np.cos(table["phi1"] - table["phi2"])
    return np.sqrt(2 * table["pt1"] * table["pt2"] * angle)
