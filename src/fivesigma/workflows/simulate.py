"""`fivesigma simulate`: the signals that events leave in a detector, added to their dataset."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from fivesigma.datasets import Dataset
from fivesigma.detector.mixing import LIBRARY, library, mix, spread
from fivesigma.detector.signals import SignalOptions, measure, stable, transport
from fivesigma.geometry import Detector
from fivesigma.geometry import detector as detector_named
from fivesigma.progress import Progress
from fivesigma.stages import extend
from fivesigma.workflows.forecast import Forecast, require_space
from fivesigma.workflows.generate import generate

__all__ = ["Mixing", "simulate"]

_STAGE = "simulate"
#: stream of random numbers, apart from those of generation
_SIGNALS = 3
#: particles that go through the detector together, about: bounds the memory
_PARTICLES = 40_000
#: collisions of the library that a shard draws from, at least
_POOL = 1000
#: events from which time and size are told beforehand, and events of the pilot for it
_LONG, _PILOT = 500, 10


@dataclass(frozen=True)
class Mixing:
    """Pile-up at signal level.

    Attributes:
        library: dataset of minimum-bias collisions, simulated with `--library`.
        mean: mean of the Poisson number of collisions that are added to an event.
    """

    library: Path
    mean: float = 40.0

    def __post_init__(self) -> None:
        if not 0 <= self.mean < np.inf:
            message = f"pile-up: mean {self.mean:g}: expected a finite number >= 0"
            raise ValueError(message)


def simulate(
    data: Path,
    *,
    detector: str = "atlas",
    process: str | None = None,
    events: int = 1_000,
    pileup: Mixing | None = None,
    library: bool = False,
    options: SignalOptions = SignalOptions(),  # noqa: B008 (frozen)
    seed: int = 1,
    workers: int = 0,
    shard_size: int = 200,
    dask: str | None = None,
    dry_run: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
) -> Dataset | Forecast:
    """Add tracker hits, calorimeter cells and muon segments to a dataset of events.

    Repeating the command resumes it. With `--process` the events are generated first.

    Examples:
        fivesigma simulate data/ttbar --process ttbar --events 1000
        fivesigma simulate data/minbias --process minimum-bias --events 2000 --library true
        fivesigma simulate data/ttbar --pileup.library data/minbias --pileup.mean 40

    Args:
        data: dataset of events; it grows by the collections hits, cells and segments, and with a
            library by pileup, its particles that can leave tracks.
        detector: preset of the geometry.
        process: generate events of this process into `data`, if they are not there.
        events: how many, with `process`.
        pileup: collisions of a library to lay over each event.
        library: keep the signals as they are before electronics, for use as pile-up; the
            collisions are spread over the beam spot.
        options: noise, dead regions, miscalibration, alignment.
        seed: of all randomness.
        workers: processes; 0: one for each core.
        shard_size: events in a shard, with `process`.
        dask: address of a Dask scheduler to use instead of local processes.
        dry_run: only check the settings and tell time and size.
        overwrite: replace signals that were made with other settings.
        quiet: show no progress.

    Returns:
        The dataset. With `dry_run` what it would cost.

    Raises:
        ValueError: settings that cannot work, a dataset without events, or other signals in it.
        RuntimeError: shards that failed; repeat the command to try them again.
    """
    _check(detector, pileup, library)
    if dry_run and process is not None and not data.exists():
        task = _Simulation(data, detector, pileup, library, options, seed)
        return _foretold(task, process, events, shard_size, workers)
    if process is not None:
        generate(data, process=process, events=events, seed=seed, workers=workers, dask=dask,
                 shard_size=shard_size, quiet=quiet)  # fmt: skip
    dataset = _with_truth(data)
    task = _Simulation(data.absolute(), detector, pileup, library, options, seed)
    workers = min(workers or os.cpu_count() or 1, len(dataset.shards))
    if dry_run or dataset.counts["event"] > _LONG:
        expected = _forecast(task, dataset, dataset.counts["event"], workers)
        if dry_run:
            return expected
        require_space(data, expected)
        Progress.tell(f"simulating {data}: {expected} events", quiet=quiet)
    with Progress(f"simulating {data}", len(dataset.shards), "shards", quiet=quiet) as progress:
        return extend(
            dataset, _STAGE, task, _settings(task, dataset), workers=workers, overwrite=overwrite,
            cluster=dask, progress=lambda done, _, record: progress(done, record.get("error", "")),
        )  # fmt: skip


def _check(detector: str, pileup: Mixing | None, library: bool) -> None:
    preset = detector_named(detector)
    if preset.layers is None or preset.cells is None or preset.stations is None:
        message = f"the detector {detector!r} has no signals; choose atlas or cms"
        raise ValueError(message)
    if pileup is None:
        return
    if library:
        message = "a library of pile-up has no pile-up of its own; give --library or --pileup"
        raise ValueError(message)
    pool = Dataset.open(pileup.library)
    made = pool.manifest.get("stages", {}).get(_STAGE, {}).get("settings")
    if made is None or not made["library"]:
        message = (
            f"{pileup.library} is no library; make it with `fivesigma simulate --library true`"
        )
        raise ValueError(message)
    if made["detector"] != detector:
        message = f"{pileup.library} is a library of {made['detector']}, asked for {detector}"
        raise ValueError(message)
    if missing := [name for name in LIBRARY if name not in pool.counts]:
        message = f"{pileup.library} has no {', '.join(missing)}; make the library again"
        raise ValueError(message)


def _with_truth(data: Path) -> Dataset:
    dataset = Dataset.open(data)
    if not {"event", "truth"} <= dataset.counts.keys():
        message = (
            f"{data} has no events with truth, only {', '.join(dataset.counts)}; "
            "make some with `fivesigma generate --process`"
        )
        raise ValueError(message)
    return dataset


@dataclass(frozen=True)
class _Simulation:
    """Makes the collections of a shard."""

    data: Path
    detector: str
    pileup: Mixing | None
    library: bool
    options: SignalOptions
    seed: int

    def __call__(self, index: int, events: int | None = None) -> dict[str, ak.Array]:
        truth = Dataset.open(self.data).read("truth", shards=[index])[:events]
        rng = np.random.default_rng([self.seed, index, _SIGNALS])
        preset = detector_named(self.detector)
        pool = self._pool(rng)
        parts = [self._batch(each, preset, pool, rng) for each in self._batches(truth)]
        return {name: ak.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _batches(self, truth: ak.Array) -> list[ak.Array]:
        particles = ak.to_numpy(ak.num(truth)).mean() + 100 * (
            self.pileup.mean if self.pileup else 0
        )
        step = max(1, int(_PARTICLES / max(particles, 1)))
        return [truth[at : at + step] for at in range(0, len(truth), step)]

    def _batch(
        self, truth: ak.Array, preset: Detector, pool: dict[str, ak.Array],
        rng: np.random.Generator,
    ) -> dict[str, ak.Array]:  # fmt: skip
        n = len(truth)
        if self.library:
            truth = spread(truth, rng)
        left = transport(stable(truth), n, preset, rng, self.options)
        if self.library:
            return library(left, truth)
        if not self.pileup:
            return measure(left, n, preset, rng, self.options)
        mean = self.pileup.mean
        left, further = mix(left, truth, pool, rng.poisson(mean, n), rng)
        return {**measure(left, n, preset, rng, self.options, mean), "pileup": further}

    def _pool(self, rng: np.random.Generator) -> dict[str, ak.Array]:
        """Collisions of some shards of the library, chosen at random."""
        if self.pileup is None:
            return {}
        dataset = Dataset.open(self.pileup.library)
        order = rng.permutation(len(dataset.shards))
        sizes = np.array([dataset.shards[k]["counts"]["event"] for k in order])
        used = int(np.searchsorted(np.cumsum(sizes), _POOL)) + 1
        chosen = [dataset.shards[k]["index"] for k in order[:used]]
        return {name: dataset.read(name, shards=chosen) for name in LIBRARY}


def _settings(task: _Simulation, dataset: Dataset) -> dict[str, Any]:
    settings = asdict(task) | {
        "data": dataset.manifest["settings_hash"],
        "fivesigma": version("fivesigma"),
        "pileup": None,
    }
    if task.pileup:
        pool = Dataset.open(task.pileup.library).manifest
        settings["pileup"] = {
            "mean": task.pileup.mean,
            "library": pool["settings_hash"],
            "signals": pool["stages"][_STAGE]["settings_hash"],
        }
    return settings


def _foretold(
    task: _Simulation, process: str, events: int, shard_size: int, workers: int
) -> Forecast:
    """Cost of events that are yet to be generated, and of their signals, from a few events."""
    workers = min(workers or os.cpu_count() or 1, max(1, events // shard_size))
    made = generate(task.data, process=process, events=events, seed=task.seed, workers=workers,
                    shard_size=shard_size, dry_run=True, quiet=True)  # fmt: skip
    if not isinstance(made, Forecast):
        message = f"expected a forecast of the generation, got a {type(made).__name__}"
        raise TypeError(message)
    with tempfile.TemporaryDirectory() as name:
        pilot = Path(name) / "pilot"
        few = _PILOT + 1
        generate(pilot, process=process, events=few, shard_size=few, workers=1, quiet=True)
        signals = _forecast(replace(task, data=pilot), Dataset.open(pilot), events, workers)
    return replace(
        signals, seconds=made.seconds + signals.seconds, bytes=made.bytes + signals.bytes
    )


def _forecast(task: _Simulation, dataset: Dataset, n: int, workers: int) -> Forecast:
    """Of n events, from a few of the first shard; compiled code is loaded before."""
    index = dataset.shards[0]["index"]
    task(index, 1)
    begin = time.perf_counter()
    made = task(index, _PILOT)
    seconds = (time.perf_counter() - begin) / len(made["hits"])
    size = sum(ak.to_packed(each).nbytes for each in made.values()) / len(made["hits"])
    return Forecast(n * seconds / workers, round(_PACKED * n * size), n, workers)


#: bytes on disk over bytes in memory
_PACKED = 0.42
