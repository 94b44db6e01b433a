"""`fivesigma reconstruct`: the classical chain, from signals to objects, added to a dataset."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from fivesigma.datasets import Dataset
from fivesigma.geometry import detector as detector_named
from fivesigma.progress import Progress
from fivesigma.reconstruction.classical import ReconstructionOptions, reconstruct_signals
from fivesigma.stages import extend

__all__ = ["reconstruct"]

_STAGE = "reconstruct"
#: stream of random numbers, apart from those of generation and signals
_STREAM = 4
_SIGNALS = ("truth", "hits", "cells", "segments")
#: events that are reconstructed together: bounds the memory
_BATCH = 50


def reconstruct(
    data: Path,
    *,
    options: ReconstructionOptions = ReconstructionOptions(),  # noqa: B008 (frozen)
    seed: int = 1,
    workers: int = 0,
    dask: str | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> Dataset:
    """Reconstruct tracks, clusters, particles and physics objects of a simulated dataset.

    Repeating the command resumes it. The detector is the one that the signals were made with.

    Examples:
        fivesigma reconstruct data/ttbar
        fivesigma reconstruct data/ttbar --options.jet_pt_min 20 --overwrite

    Args:
        data: dataset with hits, cells and segments; it grows by tracks, clusters, particles,
            muons, electrons, photons, taus, jets and met.
        options: of the parts of the chain.
        seed: of the measured track parameters.
        workers: processes; 0: one for each core.
        dask: address of a Dask scheduler to use instead of local processes.
        overwrite: replace objects that were made with other settings.
        quiet: show no progress.

    Returns:
        The dataset.

    Raises:
        ValueError: a dataset without signals, a library of pile-up, or other objects in it.
        RuntimeError: shards that failed; repeat the command to try them again.
    """
    dataset = Dataset.open(data)
    task = _Reconstruction(data.absolute(), _detector(dataset), options, seed)
    workers = min(workers or os.cpu_count() or 1, len(dataset.shards))
    title = f"reconstructing {data}"
    with Progress(title, len(dataset.shards), "shards", quiet=quiet) as progress:
        return extend(
            dataset, _STAGE, task, _settings(task, dataset), workers=workers, overwrite=overwrite,
            cluster=dask, progress=lambda done, _, record: progress(done, record.get("error", "")),
        )  # fmt: skip


def _detector(dataset: Dataset) -> str:
    """The detector of the signals."""
    made = dataset.manifest.get("stages", {}).get("simulate", {}).get("settings")
    if made is None:
        message = f"{dataset.path} has no signals; make them with `fivesigma simulate`"
        raise ValueError(message)
    if made["library"]:
        message = (
            f"{dataset.path} is a library of pile-up, which has no cells; give --pileup.library"
        )
        raise ValueError(message)
    return str(made["detector"])


@dataclass(frozen=True)
class _Reconstruction:
    """Makes the collections of a shard."""

    data: Path
    detector: str
    options: ReconstructionOptions
    seed: int

    def __call__(self, index: int) -> dict[str, ak.Array]:
        dataset = Dataset.open(self.data)
        made = dataset.manifest["stages"]["simulate"]["settings"]
        names = (*_SIGNALS, "pileup") if made["pileup"] else _SIGNALS
        signals = {name: dataset.read(name, shards=[index]) for name in names}
        rng = np.random.default_rng([self.seed, index, _STREAM])
        preset = detector_named(self.detector)
        parts = [
            reconstruct_signals(
                {name: each[at : at + _BATCH] for name, each in signals.items()},
                preset, rng, self.options,
            )
            for at in range(0, len(signals["truth"]), _BATCH)
        ]  # fmt: skip
        return {name: ak.concatenate([part[name] for part in parts]) for name in parts[0]}


def _settings(task: _Reconstruction, dataset: Dataset) -> dict[str, Any]:
    return {
        "signals": dataset.manifest["stages"]["simulate"]["settings_hash"],
        "detector": task.detector,
        "options": asdict(task.options),
        "seed": task.seed,
        "fivesigma": version("fivesigma"),
    }
