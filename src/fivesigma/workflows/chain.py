"""From collisions to jets, one shard at a time: generation, detector, reconstruction joined."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import awkward as ak
import numpy as np

from fivesigma.datasets import Shard
from fivesigma.detector.response import respond
from fivesigma.events import particle_class
from fivesigma.generation.pileup import PileUp, minimum_bias, overlay
from fivesigma.generation.pythia import Generation, Generator, seed_of
from fivesigma.geometry import detector as detector_named
from fivesigma.reconstruction.jets import JetOptions, cluster
from fivesigma.reconstruction.labels import label_jets
from fivesigma.reconstruction.substructure import substructure
from fivesigma.workflows.recipes import Recipe

__all__ = ["Events", "Jets"]

#: events that go through response and clustering together
_BATCH = 200
#: an event's number is shard * _EVENTS_A_SHARD + count: unique in a dataset
_EVENTS_A_SHARD = 1_000_000
#: fewer accepted jets in so many events mean that the recipe's cuts cannot be met
_PATIENCE = 20_000
_VERSIONS = ("fivesigma", "pythia8mc", "fastjet", "awkward", "numpy")
_PILEUP, _RESPONSE = 1, 2


@dataclass(frozen=True)
class Events:
    """Makes shards of events: `event`, `truth` and, with a detector, `particles`.

    Attributes:
        generation: settings of PYTHIA.
        detector: preset of the response, or none.
        pileup: collisions to add, or none.
        seed: of all randomness.
        events: in all shards together.
        shard_size: events in a shard; the last one holds the rest.
    """

    generation: Generation
    detector: str | None
    pileup: PileUp | None
    seed: int
    events: int
    shard_size: int

    def __call__(self, index: int) -> Shard:
        """Shard `index`; depends on the settings and on `index` alone."""
        wanted = min(self.shard_size, self.events - index * self.shard_size)
        source = _Source(self, self.generation, index)
        parts = [source.next(min(_BATCH, wanted - at)) for at in range(0, wanted, _BATCH)]
        batch = ak.concatenate(parts)
        event = ak.zip(
            {
                "event": source.numbers(0, len(batch)),
                "process": np.zeros(len(batch), np.int16),
                "weight": batch.weight,
            }
        )
        collections = {"event": event, "truth": batch.truth}
        if self.detector:
            collections["particles"] = batch.particles
        return Shard(collections, source.info(source.generator.n_generated))


@dataclass(frozen=True)
class Jets:
    """Makes shards of labelled jets by a recipe; the classes take turns.

    Attributes:
        recipe: what to make.
        pileup: collisions to add, or none.
        seed: of all randomness.
        shard_size: jets in a shard, or one more: the jets of an event stay together.
    """

    recipe: Recipe
    pileup: PileUp | None
    seed: int
    shard_size: int

    @property
    def detector(self) -> str | None:
        """The recipe's preset."""
        return self.recipe.detector

    def __call__(self, index: int) -> Shard:
        """Shard `index`; depends on the settings and on `index` alone."""
        label = index % len(self.recipe.samples)
        sample = self.recipe.samples[label]
        generation = replace(self.recipe.generation, process=sample.process)
        source = _Source(self, generation, index)
        parts: list[ak.Array] = []
        found = tried = used = 0
        while found < self.shard_size:
            batch = source.next(_BATCH)
            jets = _select(batch, self.recipe.jets, sample.keep)
            counts = np.cumsum(ak.to_numpy(ak.num(jets, axis=1)))
            if found + (counts[-1] if len(counts) else 0) >= self.shard_size:
                last = int(np.searchsorted(counts, self.shard_size - found)) + 1
                jets, batch = jets[:last], batch[:last]
            parts.append(_flat(jets, batch.weight, source.numbers(tried, len(batch))))
            found += len(parts[-1])
            tried += len(batch)
            used += len(batch)
            if len(batch) == 0 or (tried >= _PATIENCE and found < tried // 1000):
                message = (
                    f"{found} of {tried} events of {sample.process} gave a jet of class "
                    f"{sample.label!r}; the recipe's pT-hat range and jet cuts do not fit together"
                )
                raise ValueError(message)
        jets = ak.concatenate(parts)
        jets = _with_columns(
            jets,
            process=np.full(len(jets), label, np.int16),
            label=np.full(len(jets), label, np.int16),
        )
        return Shard({"jets": _observed(jets, self.recipe.jets.radius)}, source.info(used))


class _Source:
    """Events of one shard with response, and what the manifest tells of them."""

    def __init__(self, task: Events | Jets, generation: Generation, index: int) -> None:
        self._index, self._name = index, generation.process
        self._seed = seed_of(task.seed, index)
        self.generator = Generator(generation, self._seed)
        self._rng = np.random.default_rng([task.seed, index, _RESPONSE])
        self._detector = detector_named(task.detector) if task.detector else None
        self._pileup = task.pileup
        if task.pileup:
            bias = Generation("minimum-bias", energy=generation.energy)
            self._pool = minimum_bias(
                bias, task.pileup.pool, seed_of(task.seed, index, stream=_PILEUP)
            )

    def next(self, n: int) -> ak.Array:
        """Events with `particles`: those of the detector, or the visible stable ones."""
        events = self.generator.next(n)
        if self._pileup:
            events = overlay(events, self._pileup, self._pool, self._rng)
        if self._detector:
            particles = respond(events.truth, self._detector, self._rng)
        else:
            particles = _stable(events.truth)
        return ak.with_field(events, particles, "particles")

    def numbers(self, first: int, n: int) -> np.ndarray:
        """(n,) event numbers, unique in the dataset."""
        return np.arange(first, first + n, dtype=np.uint64) + np.uint64(
            self._index * _EVENTS_A_SHARD
        )

    def info(self, used: int) -> dict[str, Any]:
        """The shard's part of the manifest; `used` events are those whose jets are in it."""
        cross_section, error = self.generator.cross_section()
        share = used / max(self.generator.n_generated, 1)
        return {
            "process": self._name,
            "seed": self._seed,
            "n_generated": used,
            "sum_of_weights": self.generator.sum_of_weights * share,
            "cross_section_pb": cross_section,
            "cross_section_error_pb": error,
            "versions": {package: version(package) for package in _VERSIONS},
        }


def _stable(truth: ak.Array) -> ak.Array:
    """Visible stable particles in the form of `particles`; impact parameters are left at 0."""
    number = abs(truth.pdg_id)
    seen = truth[(truth.status > 0) & (number != 12) & (number != 14) & (number != 16)]
    flat = ak.flatten(seen)
    charge = np.sign(ak.to_numpy(flat.charge)).astype(np.int8)
    zero = np.zeros(len(flat), np.float32)
    columns = {name: ak.to_numpy(flat[name]) for name in ("pt", "eta", "phi", "mass")}
    kind = particle_class(ak.to_numpy(flat.pdg_id), charge)
    columns |= {"charge": charge, "pdg_id": kind, "d0": zero, "dz": zero}
    columns |= {"d0_error": zero, "dz_error": zero}
    return ak.unflatten(ak.zip(columns, with_name="Momentum4D"), ak.num(seen))


def _select(batch: ak.Array, options: JetOptions, keep: tuple[str, ...]) -> ak.Array:
    jets = cluster(batch.particles, options)
    if keep:
        jets = jets[label_jets(jets, batch.truth, keep, options.radius)]
    return jets


def _flat(jets: ak.Array, weight: ak.Array, numbers: np.ndarray) -> ak.Array:
    """(J,) jets of a batch with the number and weight of their events."""
    counts = ak.to_numpy(ak.num(jets, axis=1))
    return _with_columns(
        ak.flatten(jets, axis=1),
        event=np.repeat(numbers, counts),
        weight=np.repeat(ak.to_numpy(weight), counts).astype(np.float32),
    )


def _with_columns(jets: ak.Array, **columns: np.ndarray) -> ak.Array:
    parts = dict(zip(ak.fields(jets), ak.unzip(jets), strict=True)) | columns
    return ak.zip(parts, depth_limit=1, with_name="Momentum4D")


def _observed(jets: ak.Array, radius: float) -> ak.Array:
    found = substructure(jets, radius)
    return _with_columns(jets, **{name: ak.to_numpy(found[name]) for name in found.fields})
