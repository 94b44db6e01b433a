"""Mass peaks of reconstructed muons, electrons and photons, real ones of CMS beside them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from fivesigma.detector.signals import measure, stable, transport
from fivesigma.events import momenta
from fivesigma.generation.options import Generation, Gun, seed_of
from fivesigma.generation.pythia import Generator
from fivesigma.plots.spectra import spectrum_fit
from fivesigma.reconstruction.classical import reconstruct_signals
from fivesigma.reconstruction.radiation import dressed, radiated
from fivesigma.reconstruction.surroundings import density, isolation
from fivesigma.results import Number, Result
from fivesigma.statistics.spectra import Component, Fit, Model, fit_events, shape_named
from fivesigma.workflows.validate.checks import Check, section
from fivesigma.workflows.validate.muons import muons_of
from fivesigma.workflows.validate.setting import Setting

__all__ = ["peaks"]

_PORTION = 100
_ETA_MAX = 2.4

Objects = Mapping[str, ak.Array]


def _pairs(objects: ak.Array) -> ak.Array:
    """Masses of all pairs without net charge, lists per event [GeV]."""
    first, second = ak.unzip(ak.combinations(momenta(objects), 2))
    masses = (first + second).mass
    return masses[first.charge + second.charge == 0] if "charge" in objects.fields else masses


def _hard(objects: ak.Array, pt_min: float, isolation: float = np.inf) -> ak.Array:
    kept = (objects.pt > pt_min) & (abs(objects.eta) < _ETA_MAX)
    return objects[kept & (objects.isolation < isolation)]


def _of_muons(found: Objects) -> ak.Array:
    return _pairs(found["muons"])


def _of_electrons(found: Objects) -> ak.Array:
    return _pairs(_hard(found["electrons"], 20.0))


def _of_photons(found: Objects) -> ak.Array:
    """Of the two hardest isolated photons."""
    return _pairs(_hard(found["photons"], 25.0, 0.2)[:, :2])


def _of_soft_photons(found: Objects) -> ak.Array:
    """Of the two hardest photons of energy flow."""
    particles = found["particles"]
    return _pairs(particles[(particles.pdg_id == 22) & (particles.pt > 0.5)][:, :2])


def _of_four_leptons(found: Objects) -> ak.Array:
    """Of the four hardest isolated leptons, where these are two pairs of opposite charge.

    Photons that they radiated are added, as CMS and ATLAS do in this decay.
    """
    numbers, particles = {"electrons": 11, "muons": 13}, found["particles"]
    parts = []
    for name, number in numbers.items():
        kept = _hard(found[name], 5.0)
        columns = {each: kept[each] for each in ("pt", "eta", "phi", "mass", "charge")}
        parts.append(ak.zip({**columns, "flavour": kept.charge * number}))
    leptons, rho = ak.concatenate(parts, axis=1), density(particles)
    owner = radiated(particles, leptons, rho)
    around = isolation(leptons, particles[owner < 0], rho)
    leptons = dressed(leptons, particles, owner)[around < 0.35]
    four = leptons[ak.argsort(leptons.pt, axis=1, ascending=False)][:, :4]
    good = (ak.num(four) == 4) & (ak.sum(four.flavour, axis=1) == 0)
    good = good & (ak.sum(four.charge, axis=1) == 0)
    return ak.sum(momenta(four[good]), axis=1).mass[:, None]


@dataclass(frozen=True)
class _Peak:
    """A resonance: how it is made, which masses, and their fit.

    Attributes:
        name: in `results.json`.
        latex: the decay.
        label: of the axis.
        generation: of the events.
        events: at scale 1.
        mass: PDG [GeV].
        limits: of the fit [GeV].
        masses: from the objects of events.
        shape: of the peak.
        fixed: its parameters that are not fitted.
        background: whether an exponential lies below.
        real: file of `cms_z`.
    """

    name: str
    latex: str
    label: str
    generation: Generation
    events: int
    mass: float
    limits: tuple[float, float]
    masses: Callable[[Objects], ak.Array]
    shape: str = "crystal-ball"
    fixed: Mapping[str, float] = field(default_factory=lambda: {"n": 2.0})
    background: bool = False
    real: str = ""


_LINE, _GAMMA = "breit-wigner-crystal-ball", {"n": 2.0, "gamma": 2.4955}
_HIGGS = ("25:m0 = 125.2",)


def _z(number: int) -> Generation:
    return Generation("z-ll", mpi=False, extra=("23:onMode = off", f"23:onIfAny = {number}"))


#: pT of neutral pions [GeV]: both photons above the noise of cells, and cells apart
_PIONS = {"atlas": (1.5, 3.0), "cms": (4.0, 8.0)}
#: without further parton interactions, whose particles take time and no part
_PEAKS = (
    _Peak(
        "pi0_gammagamma", r"$\pi^0 \to \gamma\gamma$", r"$m_{\gamma\gamma}$",
        Generation("gun", gun=Gun((111,), eta=(-1.0, 1.0))), 2000, 0.13498,
        (0.07, 0.22), _of_soft_photons, "gaussian", {}, True,
    ),
    _Peak(
        "jpsi_mumu", r"$J/\psi \to \mu\mu$", r"$m_{\mu\mu}$",
        Generation("jpsi-mumu", mpi=False, pt_hat=(8.0, float("inf"))), 10000, 3.0969, (2.7, 3.5),
        _of_muons,
    ),
    _Peak(
        "z_mumu", r"$Z \to \mu\mu$", r"$m_{\mu\mu}$", _z(13), 2500, 91.188, (70.0, 110.0),
        _of_muons, shape=_LINE, fixed=_GAMMA, real="Zmumu_Run2011A.csv",
    ),
    _Peak(
        "z_ee", r"$Z \to ee$", r"$m_{ee}$", _z(11), 2500, 91.188, (70.0, 110.0),
        _of_electrons, shape=_LINE, fixed=_GAMMA, real="Zee_Run2011A.csv",
    ),
    _Peak(
        "h_gammagamma", r"$H \to \gamma\gamma$", r"$m_{\gamma\gamma}$",
        Generation("h-gammagamma", mpi=False, extra=_HIGGS), 1500, 125.2, (105.0, 140.0),
        _of_photons, "double-crystal-ball", {"n": 3.0, "high_n": 3.0},
    ),
    _Peak(
        "h_4l", r"$H \to 4\ell$", r"$m_{4\ell}$",
        Generation("h-4l", mpi=False, extra=_HIGGS), 1500, 125.2, (105.0, 140.0),
        _of_four_leptons, "double-crystal-ball", {"n": 3.0, "high_n": 3.0},
    ),
)  # fmt: skip


def peaks(setting: Setting) -> Result:
    """Peaks at their masses within twice the error, widths stated."""
    checks: list[Check] = []
    figures: dict[str, Any] = {}
    numbers: dict[str, Number] = {}
    for stream, peak in enumerate(_PEAKS):
        peak = _of_detector(peak, setting)
        masses = _masses(peak, setting, 9 + stream)
        fit = _fit(peak, masses, peak.background)
        found = fit.numbers("GeV")
        mass = found["peak/mass"]
        checks.append(
            Check(f"peaks/{peak.name}/mass", mass, peak.mass, 2 * mass.uncertainty, False)
        )
        numbers[f"peaks/{peak.name}/sigma"] = found["peak/sigma"]
        numbers[f"peaks/{peak.name}/found"] = Number(
            len(masses), note=f"in {setting.count(peak.events)} events"
        )
        title = f"{peak.name.replace('_', ' to ')}, {setting.detector.name}"
        figures[title] = _figure(peak, fit, "fivesigma simulation")
        real = setting.data / "cms_z" / peak.real
        if peak.real and real.is_file():
            fit = _fit(peak, _real_masses(real), True)
            for each in ("mass", "sigma"):
                numbers[f"peaks/cms_{peak.name}/{each}"] = fit.numbers("GeV")[f"peak/{each}"]
            title = f"{peak.name.replace('_', ' to ')}, real CMS data of 2011"
            figures[title] = _figure(peak, fit, "CMS Open Data", "7 TeV")
    result = section(
        "Mass peaks", checks, figures,
        "Fitted event by event: neutral pions, whose photons lie above the noise and apart (pT of "
        "1.5 to 3 GeV in atlas, 4 to 8 GeV in cms), by a Gaussian over an exponential, J/psi by a "
        "Crystal Ball, H to gamma gamma and H to 4 l by a double-sided one, Z by a "
        "Breit-Wigner of the Z's width smeared by a Crystal Ball; the real Z of CMS by the same "
        "shape and an exponential background. The tail of the Crystal Ball takes up photons that "
        "leptons radiate.",
    )  # fmt: skip
    return Result(
        result.title, {**result.numbers, **numbers}, result.figures, result.tables, result.note
    )


def _of_detector(peak: _Peak, setting: Setting) -> _Peak:
    """The peak with pions that this detector can resolve."""
    made = peak.generation
    if made.process != "gun":
        return peak
    gun = replace(made.gun, pt=_PIONS[setting.detector.name])
    return replace(peak, generation=replace(made, gun=gun))


def _masses(peak: _Peak, setting: Setting, stream: int) -> np.ndarray:
    rng, n = setting.rng(stream), setting.count(peak.events)
    source = Generator(peak.generation, seed=seed_of(setting.seed, stream))
    parts = []
    for begin in range(0, n, _PORTION):
        truth = source.next(min(_PORTION, n - begin)).truth
        found = _objects(truth, peak, setting, rng)
        parts.append(ak.to_numpy(ak.flatten(peak.masses(found))))
    masses = np.concatenate(parts).astype(np.float64)
    low, high = peak.limits
    return masses[(masses > low) & (masses < high)]


def _objects(
    truth: ak.Array, peak: _Peak, setting: Setting, rng: np.random.Generator
) -> Mapping[str, ak.Array]:
    """What is reconstructed: all, or muons alone where the peak needs no more."""
    preset, n = setting.detector, len(truth)
    if peak.masses is _of_muons:
        return {"muons": muons_of(truth, preset, rng)}
    left = transport(stable(truth), n, preset, rng)
    return reconstruct_signals({"truth": truth, **measure(left, n, preset, rng)}, preset, rng)


def _fit(peak: _Peak, masses: np.ndarray, background: bool) -> Fit:
    signal = Component("peak", shape_named(peak.shape), fixed=dict(peak.fixed))
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
    return spectrum_fit(fit, peak.label, text=text, experiment=experiment, right=right)


def _real_masses(path: Path) -> np.ndarray:
    """Opposite-sign pairs in a file of CMS, without the leptons' mass."""
    table = np.genfromtxt(path, delimiter=",", names=True, dtype=None, encoding="ascii")
    table = table[table["Q1"] * table["Q2"] < 0]
    angle = np.cosh(table["eta1"] - table["eta2"]) - np.cos(table["phi1"] - table["phi2"])
    return np.sqrt(2 * table["pt1"] * table["pt2"] * angle)
