"""The classical chain's table: efficiencies, fakes, jets and missing momentum of ttbar events."""

from __future__ import annotations

from collections.abc import Iterator

import awkward as ak
import numpy as np

from fivesigma.detector.mixing import library, mix, spread
from fivesigma.detector.signals import measure, stable, transport
from fivesigma.generation.options import Generation, seed_of
from fivesigma.generation.pythia import Generator
from fivesigma.geometry import Detector
from fivesigma.metrics.objects import (
    Fractions,
    Spread,
    efficiency,
    fake_rate,
    jet_ratios,
    mean_and_width,
    missing_resolution,
)
from fivesigma.reconstruction.classical import reconstruct_signals
from fivesigma.reconstruction.true_objects import true_jets, true_leptons, true_taus
from fivesigma.results import Number, Result, Table
from fivesigma.workflows.validate.setting import Setting

__all__ = ["objects", "reconstructed"]

_EVENTS = 400
#: collisions that pile-up is drawn from, not scaled: a few, drawn often, would pull the missing
#: momentum of all events into one direction
_POOL = 1000
_PILEUP = (0, 40)
#: events that are in memory together
_PORTION = 10
_ETA_MAX = 2.4
#: objects -> bins of pT [GeV], cone of the match
_OBJECTS: dict[str, tuple[tuple[float, ...], float]] = {
    "electrons": ((10, 30, 200), 0.1),
    "muons": ((10, 30, 200), 0.1),
    "photons": ((10, 30, 200), 0.1),
    "taus": ((20, 40, 200), 0.2),
    "jets": ((20, 30, 50, 100, 300), 0.3),
}
_JETS = np.array([20.0, 30.0, 50.0, 80.0, 120.0, 300.0])
_SUM_ET = np.array([0.0, 300.0, 500.0, 800.0, 1200.0, 2500.0])


def reconstructed(
    generation: Generation, n: int, detector: Detector, seed: int, pileup: int = 0, pool: int = 0
) -> Iterator[tuple[ak.Array, dict[str, ak.Array]]]:
    """Portions of events: their truth, and all that the classical chain makes of their signals.

    Args:
        generation: which collisions.
        n: events.
        detector: a preset with signals.
        seed: of all randomness.
        pileup: collisions laid over each event.
        pool: collisions that they are drawn from.
    """
    rng = np.random.default_rng([seed, pileup])
    source = Generator(generation, seed=seed_of(seed, 0))
    stock: dict[str, ak.Array] = {}
    if pileup:
        bias = Generator(Generation("minimum-bias"), seed=seed_of(seed, 0, 1)).next(pool).truth
        bias = spread(bias, rng)
        stock = library(transport(stable(bias), pool, detector, rng), bias)
    for begin in range(0, n, _PORTION):
        count = min(_PORTION, n - begin)
        truth = source.next(count).truth
        left = transport(stable(truth), count, detector, rng)
        signals = {"truth": truth}
        if pileup:
            left, signals["pileup"] = mix(left, truth, stock, rng.poisson(pileup, count), rng)
        signals |= measure(left, count, detector, rng)
        yield truth, reconstruct_signals(signals, detector, rng)


def objects(setting: Setting) -> Result:
    """Efficiency and fake rate of each object, jets by pT, missing momentum by sum ET."""
    numbers: dict[str, Number] = {}
    rows: dict[str, list[tuple[str | Number, ...]]] = {"objects": [], "jets": [], "met": []}
    for pileup in _PILEUP:
        truth, found = _sample(setting, pileup)
        for name, (edges, cone) in _OBJECTS.items():
            bins = np.array(edges, float)
            pair = _true(name, truth), found[name][abs(found[name].eta) < _ETA_MAX]
            good, wrong = efficiency(*pair, bins, cone), fake_rate(*pair, bins, cone)
            for label, one, two in zip(_labels(bins), _shares(good), _shares(wrong), strict=True):
                key = f"objects/{name}/pileup_{pileup}/pt_{label}"
                numbers |= {f"{key}/efficiency": one, f"{key}/fake_rate": two}
                rows["objects"].append((name, f"{pileup}", label, one, two))
        measured, true, eta = jet_ratios(true_jets(truth), found["jets"])
        here = np.abs(eta) < _ETA_MAX
        jets = mean_and_width((measured / true)[here], true[here], _JETS)
        met = missing_resolution(truth, found["met"], _SUM_ET)
        for what, widths, edges_, unit in (
            ("jets", jets, _JETS, ""),
            ("met", met, _SUM_ET, "GeV"),
        ):
            for label, middle, width in _spreads(widths, edges_, unit):
                key = f"objects/{what}/pileup_{pileup}/{label}"
                numbers |= {f"{key}/median": middle, f"{key}/resolution": width}
                rows[what].append((f"{pileup}", label, middle, width))
    tables = {
        "Efficiency and fake rate": Table(
            ("object", "pile-up", "pT [GeV]", "efficiency", "fake rate"), tuple(rows["objects"])
        ),
        "Jets: measured over true pT": Table(
            ("pile-up", "true pT [GeV]", "median", "resolution"), tuple(rows["jets"])
        ),
        "Missing momentum less that of neutrinos, a component": Table(
            ("pile-up", "sum ET [GeV]", "median", "resolution"), tuple(rows["met"])
        ),
    }
    return Result(
        f"Objects of the classical chain, {setting.detector.name}", numbers, {}, tables,
        f"{setting.count(_EVENTS)} ttbar events with 0 and with 40 collisions of pile-up on "
        f"average, |eta| < {_ETA_MAX:g}. Efficiency: of true isolated leptons and photons, of "
        "hadronic taus and of particle jets; fakes: reconstructed ones without a true one nearby. "
        "Resolution: half of the central 68.3 %.",
    )  # fmt: skip


def _sample(setting: Setting, pileup: int) -> tuple[ak.Array, dict[str, ak.Array]]:
    parts = list(reconstructed(
        Generation("ttbar"), setting.count(_EVENTS), setting.detector, setting.seed, pileup,
        _POOL,
    ))  # fmt: skip
    truth = ak.concatenate([each for each, _ in parts])
    names = (*_OBJECTS, "met")
    return truth, {name: ak.concatenate([made[name] for _, made in parts]) for name in names}


def _true(name: str, truth: ak.Array) -> ak.Array:
    numbers = {"electrons": 11, "muons": 13, "photons": 22}
    if name in numbers:
        found = true_leptons(truth, numbers[name])
    else:
        found = true_jets(truth) if name == "jets" else true_taus(truth)
    return found[abs(found.eta) < _ETA_MAX]


def _labels(edges: np.ndarray) -> list[str]:
    return [f"{low:g}-{high:g}" for low, high in zip(edges[:-1], edges[1:], strict=True)]


def _shares(found: Fractions) -> list[Number]:
    return [
        Number(float(value), float(high - low) / 2, note=f"of {int(n)}")
        for value, low, high, n in zip(*found, strict=True)
    ]


def _spreads(found: Spread, edges: np.ndarray, unit: str) -> Iterator[tuple[str, Number, Number]]:
    """Bins in which there is something."""
    for label, middle, e_middle, width, e_width, n in zip(_labels(edges), *found, strict=True):
        if np.isfinite(middle):
            note = f"of {int(n)}"
            yield (label, Number(float(middle), float(e_middle), unit, note),
                   Number(float(width), float(e_width), unit, note))  # fmt: skip
