"""Signals of all sub-detectors: particles through tracker, calorimeters and muon system.

Two steps. `transport` carries particles through matter and says what they leave there; `measure`
adds what electronics do: noise, sampling, thresholds. Between them pile-up is mixed in, from
collisions that went through the same detector once for all (`mixing.mix`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import awkward as ak
import numpy as np

from fivesigma.detector.calorimeter.deposit import Contributions, deposit
from fivesigma.detector.calorimeter.readout import ReadoutOptions, read_out
from fivesigma.detector.flow import Particles, available_energy
from fivesigma.detector.muon_system import MuonOptions, muon_signals
from fivesigma.detector.tracker import track_through
from fivesigma.detector.tracker.noise import noise_hits
from fivesigma.events import FIELDS, validate
from fivesigma.geometry import Detector

__all__ = ["Balance", "Left", "SignalOptions", "lists", "measure", "stable", "transport"]

_DTYPES = {"bool": np.bool_, "f4": np.float32, "i1": np.int8, "i2": np.int16, "i4": np.int32}


@dataclass(frozen=True)
class SignalOptions:
    """How the detector departs from its preset.

    Attributes:
        hit_noise: factor on the rate of noise hits in the tracker.
        cells: dead regions, miscalibration and noise of the calorimeters.
        muons: alignment, efficiency and noise of the muon system.
    """

    hit_noise: float = 1.0
    cells: ReadoutOptions = field(default_factory=ReadoutOptions)
    muons: MuonOptions = field(default_factory=MuonOptions)

    def __post_init__(self) -> None:
        if not 0.0 <= self.hit_noise < np.inf:
            message = f"hit_noise must be a number >= 0, got {self.hit_noise}"
            raise ValueError(message)


class Balance(NamedTuple):
    """Where the available energy of each stable particle went, arrays (N,) [GeV].

    Attributes:
        available: as `flow.available_energy`; the sum of all others.
        tracker, calorimeters, muon_system: deposited there.
        outside: where the calorimeters have no cells.
        leaked: out of the detector.
        lost: with neutrinos, or at rest.
    """

    available: np.ndarray
    tracker: np.ndarray
    calorimeters: np.ndarray
    muon_system: np.ndarray
    outside: np.ndarray
    leaked: np.ndarray
    lost: np.ndarray


class Left(NamedTuple):
    """What particles leave in the detector, before any electronics.

    Attributes:
        hits: columns of `events.FIELDS["hits"]` and `event`, sorted by event.
        contributions: energies in cells.
        segments: one list per event.
        balance: of the stable particles.
    """

    hits: dict[str, np.ndarray]
    contributions: Contributions
    segments: ak.Array
    balance: Balance


def stable(truth: ak.Array) -> Particles:
    """The final particles (status > 0) of some events, as a flat table.

    Args:
        truth: lists of particles per event with the fields of `truth`.

    Raises:
        ValueError: NaN or infinite momenta.
    """
    validate(truth, "truth")
    flat = ak.flatten(truth)
    final = ak.to_numpy(flat.status) > 0
    event = np.repeat(np.arange(len(truth)), ak.to_numpy(ak.num(truth)))[final]
    index = ak.to_numpy(ak.flatten(ak.local_index(truth)))[final]
    pt, eta, phi, mass, charge, *place = (
        ak.to_numpy(flat[name])[final].astype(np.float64)
        for name in ("pt", "eta", "phi", "mass", "charge", "vx", "vy", "vz")
    )
    number = ak.to_numpy(flat.pdg_id)[final].astype(np.int64)
    momentum = (pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta))
    return Particles(event, index, number, charge, mass, *momentum, *place)


def transport(
    particles: Particles,
    n_events: int,
    detector: Detector,
    rng: np.random.Generator,
    options: SignalOptions | None = None,
) -> Left:
    """Carry stable particles through all of a detector.

    Args:
        particles: from `stable`, sorted by event and truth.
        n_events: number of events.
        detector: a preset with layers, cells and a muon system.
        rng: source of all randomness.
        options: alignment and efficiency of the muon system are used here.

    Raises:
        ValueError: a preset without signals.

    Example:
        >>> import numpy as np
        >>> from fivesigma.generation.pythia import Generation, Generator
        >>> from fivesigma.geometry import detector
        >>> events = Generator(Generation(process="ttbar"), seed=1).next(2)
        >>> rng = np.random.default_rng(1)
        >>> left = transport(stable(events.truth), 2, detector("atlas"), rng)
        >>> len(measure(left, 2, detector("atlas"), rng)["cells"])
        2
    """
    options = options or SignalOptions()
    if detector.layers is None or detector.cells is None or detector.stations is None:
        message = f"the detector {detector.name!r} has no layers, cells and stations for signals"
        raise ValueError(message)
    tracked = track_through(particles, detector.layers, rng, noise=0.0)
    front = tracked.particles
    deposits = deposit(front, detector.cells, rng)
    behind = deposits.behind
    muons = muon_signals(behind, detector.stations, n_events, rng, options.muons)
    keys = _key(particles)
    of_front, of_behind = (np.searchsorted(keys, _key(each)) for each in (front, behind))

    def summed(owner: np.ndarray, values: np.ndarray) -> np.ndarray:
        return np.bincount(owner, values, minlength=particles.event.size)

    balance = Balance(
        available_energy(particles),
        tracked.ledger.deposited,
        summed(of_front, deposits.ledger.deposited),
        summed(of_behind, muons.deposited),
        summed(of_front, deposits.ledger.outside),
        summed(of_front, deposits.ledger.leaked) + summed(of_behind, muons.leaked),
        tracked.ledger.lost
        + summed(of_front, deposits.ledger.lost)
        + summed(of_behind, muons.lost),
    )
    return Left(tracked.hits, deposits.contributions, muons.segments, balance)


def _key(particles: Particles) -> np.ndarray:
    return particles.event.astype(np.int64) << 32 | particles.truth.astype(np.int64)


def measure(
    left: Left,
    n_events: int,
    detector: Detector,
    rng: np.random.Generator,
    options: SignalOptions | None = None,
    pileup: float = 0.0,
) -> dict[str, ak.Array]:
    """What is read out: `hits` with noise, `cells`, `segments`, one list per event each.

    Args:
        left: from `transport`, with pile-up mixed in or not.
        n_events: number of events.
        detector: the preset.
        rng: source of all randomness.
        options: departures from the preset.
        pileup: mean number of collisions that were mixed in, for the expected noise of cells.
    """
    options = options or SignalOptions()
    if detector.layers is None or detector.cells is None:
        message = f"the detector {detector.name!r} has no layers and cells for signals"
        raise ValueError(message)
    noise = noise_hits(detector.layers, n_events, rng, options.hit_noise)
    hits = {name: np.concatenate([column, noise[name]]) for name, column in left.hits.items()}
    return {
        "hits": lists("hits", hits, n_events),
        "cells": read_out(
            left.contributions, n_events, detector.cells, rng, options.cells, pileup
        ),
        "segments": left.segments,
    }


def lists(collection: str, columns: dict[str, np.ndarray], n_events: int) -> ak.Array:
    """A collection from flat columns, one of which is `event`; one list per event.

    Args:
        collection: a name in `events.FIELDS`.
        columns: arrays (N,) in any order of events.
        n_events: number of events.
    """
    order = np.argsort(columns["event"], kind="stable")
    records: dict[str, np.ndarray] = {
        name: columns[name][order].astype(_DTYPES[kind.dtype])
        for name, kind in FIELDS[collection].items()
    }
    return ak.unflatten(ak.zip(records), np.bincount(columns["event"], minlength=n_events))
