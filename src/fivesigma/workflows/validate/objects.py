"""The classical chain's table: efficiencies, fakes, jets and missing momentum of ttbar events."""

from __future__ import annotations

from collections.abc import Iterator

import awkward as ak
import numpy as np
from matplotlib.figure import Figure

from fivesigma.detector.mixing import library, mix, spread
from fivesigma.detector.signals import measure, stable, transport
from fivesigma.generation.options import Generation, seed_of
from fivesigma.generation.pythia import Generator
from fivesigma.geometry import Detector
from fivesigma.metrics.objects import (
    Fractions,
    Spread,
    efficiency,
    fraction,
    jet_ratios,
    match,
    mean_and_width,
    missing_resolution,
)
from fivesigma.plots.validation import measured
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
_NUMBERS = {"electrons": 11, "muons": 13, "photons": 22}
#: largest isolation of leptons and photons, and hadronic energy beside photons over their own
_ISOLATION, _LEAKAGE = 0.2, 0.2
#: objects that ttbar events have too few of -> events in which their efficiency is found
_SIGNALS = {"photons": ("h-gammagamma", 150), "taus": ("z-tautau", 150)}
_SHARES = ("efficiency", "fake rate", "non-prompt")
_JETS = np.array([20.0, 30.0, 50.0, 80.0, 120.0, 300.0])
_SUM_ET = np.array([0.0, 300.0, 500.0, 800.0, 1200.0, 1600.0, 2000.0, 2500.0])


def reconstructed(
    generation: Generation, n: int, detector: Detector, seed: int, pileup: int = 0, pool: int = 0
) -> Iterator[tuple[ak.Array, dict[str, ak.Array]]]:
    """Portions of events: their truth, signals and all that the classical chain makes of them.

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
        signals |= measure(left, count, detector, rng, pileup=pileup)
        yield truth, signals | reconstruct_signals(signals, detector, rng)


def objects(setting: Setting) -> Result:
    """Efficiency and fake rate of each object, jets by pT, missing momentum by sum ET."""
    numbers: dict[str, Number] = {}
    rows: dict[str, list[tuple[str | Number, ...]]] = {
        "objects": [], "taken": [], "jets": [], "met": [],
    }  # fmt: skip
    drawn: dict[str, dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]] = {}
    for pileup in _PILEUP:
        truth, found = _sample(setting, pileup, "ttbar", _EVENTS)
        for name in _OBJECTS:
            for label, *values in _fractions(name, setting, pileup, (truth, found)):
                key = f"objects/{name}/pileup_{pileup}/pt_{label}"
                numbers |= {f"{key}/{what.replace(' ', '_')}": value
                            for what, value in zip(_SHARES, values, strict=True)}  # fmt: skip
                rows["objects"].append((name, f"{pileup}", label, *values))
        for label, share in _taken_for_taus(truth, found):
            numbers[f"objects/taus/pileup_{pileup}/jets_{label}"] = share
            rows["taken"].append((f"{pileup}", label, share))
        true_pt, ratio = _ratios(truth, found["jets"])
        jets = mean_and_width(ratio, true_pt, _JETS)
        met = missing_resolution(truth, found["met"], _SUM_ET)
        for what, widths, edges, unit in (("jets", jets, _JETS, ""), ("met", met, _SUM_ET, "GeV")):
            for label, middle, width in _spreads(widths, edges, unit):
                key = f"objects/{what}/pileup_{pileup}/{label}"
                numbers |= {f"{key}/median": middle, f"{key}/resolution": width}
                rows[what].append((f"{pileup}", label, middle, width))
            for part in ("median", "width"):
                drawn.setdefault(f"{what} {part}", {})[f"pile-up {pileup}"] = (
                    0.5 * (edges[1:] + edges[:-1]), getattr(widths, part),
                    getattr(widths, f"{part}_error"),
                )  # fmt: skip
    tables = {
        "Efficiency and fake rate": Table(
            ("object", "pile-up", "pT [GeV]", *_SHARES), tuple(rows["objects"])
        ),
        "Jets taken for taus": Table(
            ("pile-up", "pT [GeV]", "share of jets"), tuple(rows["taken"])
        ),
        "Jets: measured over true pT": Table(
            ("pile-up", "true pT [GeV]", "median", "resolution"), tuple(rows["jets"])
        ),
        "Missing momentum less that of neutrinos, a component": Table(
            ("pile-up", "sum ET [GeV]", "median", "resolution"), tuple(rows["met"])
        ),
    }
    name = setting.detector.name
    figures = {
        f"Jet response, {name}": measured(
            drawn["jets median"], "true pT [GeV]", "measured over true pT", line=1.0, reach=0.3
        ),
        f"Jet resolution, {name}": measured(
            drawn["jets width"], "true pT [GeV]", "resolution of pT"
        ),
        f"Missing momentum, {name}": measured(
            drawn["met width"], "sum ET [GeV]", "resolution of a component [GeV]", xlog=False
        ),
    }
    for pileup in _PILEUP:
        figures[f"Efficiencies with pile-up {pileup}, {name}"] = _efficiencies(
            [row for row in rows["objects"] if row[1] == f"{pileup}"]
        )
    return Result(
        f"Objects of the classical chain, {name}", numbers, figures, tables,
        f"{setting.count(_EVENTS)} ttbar events with 0 and with 40 collisions of pile-up on "
        f"average, |eta| < {_ETA_MAX:g}; efficiencies of taus in Z and of photons in Higgs "
        "decays. Efficiency: of true isolated leptons and photons, of hadronic taus and of "
        "particle jets. Leptons and photons count where isolated. Non-prompt: from decays of "
        "hadrons; fake: neither. Resolution: half of the central 68.3 %.",
    )  # fmt: skip


def _fractions(
    name: str, setting: Setting, pileup: int, ttbar: tuple[ak.Array, dict[str, ak.Array]]
) -> Iterator[tuple[str, Number, Number, Number]]:
    """Bin of pT, efficiency, fake rate and share of non-prompt ones."""
    edges, cone = np.array(_OBJECTS[name][0], float), _OBJECTS[name][1]
    process, events = _SIGNALS.get(name, ("ttbar", _EVENTS))
    truth, found = ttbar if process == "ttbar" else _sample(setting, pileup, process, events)
    good = efficiency(_true(name, truth), _selected(name, found), edges, cone)
    truth, found = ttbar
    chosen = _selected(name, found)
    prompt = match(chosen, _true(name, truth), cone) >= 0
    decays = ak.zeros_like(prompt)
    if name in _NUMBERS:
        every = true_leptons(truth, _NUMBERS[name], 2.0, isolated=False)
        decays = (match(chosen, every, cone) >= 0) & ~prompt
    pt = ak.to_numpy(ak.flatten(chosen.pt))
    wrong, other = (
        fraction(ak.to_numpy(ak.flatten(each)), pt, edges) for each in (~prompt & ~decays, decays)
    )
    shares = (_shares(each) for each in (good, wrong, other))
    yield from zip(_labels(edges), *shares, strict=True)


def _taken_for_taus(truth: ak.Array, found: dict[str, ak.Array]) -> Iterator[tuple[str, Number]]:
    """Share of jets that are found as taus, without those of taus; bins of the jets' pT."""
    edges, cone = np.array(_OBJECTS["taus"][0], float), _OBJECTS["taus"][1]
    jets = found["jets"][abs(found["jets"].eta) < _ETA_MAX]
    jets = jets[match(jets, true_taus(truth, 10.0), 0.4) < 0]
    taken = match(jets, found["taus"], cone) >= 0
    share = fraction(ak.to_numpy(ak.flatten(taken)), ak.to_numpy(ak.flatten(jets.pt)), edges)
    yield from zip(_labels(edges), _shares(share), strict=True)


def _selected(name: str, found: dict[str, ak.Array]) -> ak.Array:
    """Objects as an analysis takes them: within the trackers, leptons and photons isolated."""
    chosen = found[name][abs(found[name].eta) < _ETA_MAX]
    if name in _NUMBERS:
        chosen = chosen[chosen.isolation < _ISOLATION]
    return chosen[chosen.leakage < _LEAKAGE] if name == "photons" else chosen


def _ratios(truth: ak.Array, jets: ak.Array) -> tuple[np.ndarray, np.ndarray]:
    """True pT [GeV] and measured over true pT of matched jets, (N,) each."""
    pt, true, eta = jet_ratios(true_jets(truth), jets)
    here = np.abs(eta) < _ETA_MAX
    return true[here], (pt / true)[here]


def _efficiencies(rows: list[tuple[str | Number, ...]]) -> Figure:
    """Efficiency of each object, at the middle of its bins."""
    series = {}
    for name, (edges, _) in _OBJECTS.items():
        found = [row[3] for row in rows if row[0] == name]
        values = np.array([(n.value, n.uncertainty) for n in found if isinstance(n, Number)]).T
        series[name] = (np.sqrt(np.multiply(edges[1:], edges[:-1])), *values)
    return measured(series, "pT [GeV]", "efficiency", line=1.0)


def _sample(
    setting: Setting, pileup: int, process: str, events: int
) -> tuple[ak.Array, dict[str, ak.Array]]:
    parts = list(reconstructed(
        Generation(process), setting.count(events), setting.detector, setting.seed, pileup, _POOL,
    ))  # fmt: skip
    truth = ak.concatenate([each for each, _ in parts])
    names = (*_OBJECTS, "met")
    return truth, {name: ak.concatenate([made[name] for _, made in parts]) for name in names}


def _true(name: str, truth: ak.Array) -> ak.Array:
    if name in _NUMBERS:
        found = true_leptons(truth, _NUMBERS[name])
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
