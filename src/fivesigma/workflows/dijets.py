"""Pairs of jets of the recipe `dijet-resonance`, with the scores of taggers."""

from __future__ import annotations

from dataclasses import dataclass, field

import awkward as ak
import numpy as np

from fivesigma.datasets import Dataset
from fivesigma.events import momenta
from fivesigma.runs import Run
from fivesigma.search.doubletag import Pairs, Process, Window, tagging_rates
from fivesigma.search.resonance import Uncertainties
from fivesigma.workflows.caches import jets_of

__all__ = ["Dijets", "Search", "processes_of", "read_dijets"]

#: class of the recipe -> name in the fit
_SAMPLES = {"zprime": "signal", "ttbar": "ttbar", "qcd": "qcd"}


@dataclass(frozen=True)
class Search:
    """What is searched for, and where.

    Attributes:
        luminosity: [1/fb] at 14 TeV.
        efficiency: for top-quark jets of the demo, at which the taggers are cut.
        rate_edges: inner edges of the bins of pT in which jets are tagged [GeV].
        window: which pairs are counted.
        uncertainties: what the simulation does not tell.
    """

    luminosity: float = 450.0
    efficiency: float = 0.5
    rate_edges: tuple[float, ...] = (550.0, 625.0, 725.0)
    window: Window = field(default_factory=Window)
    uncertainties: Uncertainties = field(default_factory=Uncertainties)


@dataclass(frozen=True)
class Dijets:
    """Jets of one class, J of them, and the N pairs of two jets of one event."""

    pt: np.ndarray  # (J,)
    scores: dict[str, np.ndarray]  # (J,) each
    rows: np.ndarray  # (N, 2) numbers of the jets of a pair
    mass: np.ndarray  # (N,)
    deta: np.ndarray  # (N,)
    weight: float


def read_dijets(data: Dataset, runs: dict[str, Run], search: Search) -> dict[str, Dijets]:
    """All jets, class by class, with their scores; pairs are two of one event."""
    return {name: _dijets(data, name, runs, search) for name in _SAMPLES}


def _dijets(data: Dataset, name: str, runs: dict[str, Run], search: Search) -> Dijets:
    number = data.classes.index(name)
    kept: list[ak.Array] = []
    scores: dict[str, list[np.ndarray]] = {run: [] for run in runs}
    for shard in jets_of(data, "all"):
        jets = shard[ak.to_numpy(shard.label) == number]
        if len(jets):
            kept.append(jets[["pt", "eta", "phi", "mass", "event"]])
            for run, tagger in runs.items():
                scores[run].append(tagger.predict(jets)[:, tagger.classes.index("top")])
    table = momenta(ak.concatenate(kept))
    event = ak.to_numpy(table.event)
    first = np.flatnonzero(event[1:] == event[:-1])
    one, other = table[first], table[first + 1]
    process = data.manifest["processes"][_process_of(data, name)]
    weight = process["cross_section_pb"] * 1000 * search.luminosity / process["n_generated"]
    return Dijets(
        ak.to_numpy(table.pt).astype(np.float64),
        {run: np.concatenate(parts) for run, parts in scores.items()},
        np.stack([first, first + 1], 1),
        ak.to_numpy((one + other).mass).astype(np.float64),
        np.abs(ak.to_numpy(one.eta) - ak.to_numpy(other.eta)),
        weight,
    )


def _process_of(data: Dataset, label: str) -> str:
    samples = data.manifest["settings"]["recipe"]["samples"]
    return next(sample["process"] for sample in samples if sample["label"] == label)


def processes_of(
    samples: dict[str, Dijets],
    choice: str,
    cut: float | None,
    search: Search,
    rng: np.random.Generator | None = None,
) -> dict[str, Process]:
    """The processes of one fit, by their names in it.

    Args:
        samples: class -> its jets.
        choice: the tagger.
        cut: on its score; none: nothing is tagged.
        search: bins of the rates.
        rng: makes a bootstrap replica of pairs and of the jets that give the rates.
    """
    made = {}
    for name, sample in samples.items():
        tagged = np.ones(len(sample.pt), bool) if cut is None else sample.scores[choice] > cut
        jets, pairs = (
            slice(None) if rng is None else rng.integers(0, n, n)
            for n in (len(sample.pt), len(sample.rows))
        )
        rows = sample.rows[pairs]
        found = Pairs(
            sample.mass[pairs], sample.pt[rows], sample.deta[pairs], tagged[rows], sample.weight
        )
        rates = None
        if cut is not None:
            rates = tagging_rates(sample.pt[jets], tagged[jets], np.array(search.rate_edges))
        made[_SAMPLES[name]] = Process(found, rates)
    return made
