"""`fivesigma generate`: collisions, or labelled jets by a recipe, as a dataset."""

from __future__ import annotations

import math
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from fivesigma.datasets import Dataset, produce
from fivesigma.generation.pileup import PileUp
from fivesigma.generation.pythia import Generation, check
from fivesigma.geometry import detector as detector_named
from fivesigma.manifests import SETTINGS
from fivesigma.progress import Progress
from fivesigma.workflows.chain import Events, Jets
from fivesigma.workflows.forecast import Forecast, forecast, require_space
from fivesigma.workflows.recipes import Recipe, recipe_named

__all__ = ["generate"]

#: jets or events from which time and size are told beforehand
_LONG = 20_000


def generate(
    out: Path,
    *,
    recipe: str | Recipe | None = None,
    process: str | None = None,
    jets: int = 10_000,
    events: int = 1_000,
    generation: Generation = Generation(),  # noqa: B008 (frozen)
    detector: str | None = None,
    pileup: PileUp | None = None,
    extra: tuple[str, ...] = (),
    seed: int = 1,
    workers: int = 0,
    shard_size: int = 1_000,
    dask: str | None = None,
    dry_run: bool = False,
    overwrite: bool = False,
    quiet: bool = False,
) -> Dataset | Forecast:
    """Generate collisions, or labelled jets by a recipe.

    Repeating the command resumes it; a finished dataset is returned as it is.

    Examples:
        fivesigma generate data/top --recipe top-tagging --jets 6000
        fivesigma generate data/zprime --process zprime-ttbar --events 2000 --detector cms
        fivesigma generate data/mine --process my.cmnd --generation.mpi false

    Args:
        out: folder of the dataset.
        recipe: make labelled jets by this recipe, e.g. top-tagging; `fivesigma info` lists them.
        process: make events of this process, e.g. ttbar, or of a .cmnd or .lhe file.
        jets: jets of each class, with a recipe.
        events: how many events, with a process.
        generation: settings of PYTHIA, with a process; a recipe brings its own.
        detector: preset of the response; with a recipe its own, with a process none.
        pileup: minimum-bias collisions to add to each event.
        extra: further PYTHIA setting lines; they win over all others.
        seed: of all randomness.
        workers: processes; 0: one for each core.
        shard_size: jets or events in a shard, the unit of work and of restart; whole shards are
            made, so that the number of jets is rounded up to a multiple of it.
        dask: address of a Dask scheduler to use instead of local processes.
        dry_run: only check the settings and tell time and size.
        overwrite: replace a dataset that is in the folder.
        quiet: show no progress.

    Returns:
        The dataset: of kind "jets" with a recipe, of kind "events" with a process. With `dry_run`
        what it would cost.

    Raises:
        ValueError: settings that cannot work, or another dataset in the folder.
        RuntimeError: shards that failed; repeat the command to try them again.
    """
    if (recipe is None) == (process is None):
        message = "give either --recipe (labelled jets) or --process (events)"
        raise ValueError(message)
    if min(jets, events, shard_size) < 1:
        message = f"jets {jets}, events {events}, shard_size {shard_size}: all must be at least 1"
        raise ValueError(message)
    shard_size = min(shard_size, events if recipe is None else jets)
    if recipe is not None:
        chosen = recipe_named(recipe) if isinstance(recipe, str) else recipe
        settings = replace(chosen.generation, extra=(*chosen.generation.extra, *extra))
        chosen = replace(chosen, generation=settings, detector=detector or chosen.detector)
        task: Jets | Events = Jets(chosen, pileup, seed, shard_size)
        shards = math.ceil(jets / shard_size) * len(chosen.samples)
        kind, classes = "jets", [sample.label for sample in chosen.samples]
        processes = [replace(settings, process=sample.process) for sample in chosen.samples]
    else:
        one = replace(generation, process=str(process), extra=(*generation.extra, *extra))
        task = Events(one, detector, pileup, seed, events, shard_size)
        shards, kind, classes = math.ceil(events / shard_size), "events", None
        processes = [one]
    if task.detector:
        detector_named(task.detector)
    for each in processes:
        check(each)
    workers = min(workers or os.cpu_count() or 1, shards)
    begun = (out / SETTINGS).exists() and not overwrite
    if dry_run or (shards * shard_size > _LONG and not begun):
        expected = forecast(task, shards, workers)
        if dry_run:
            return expected
        require_space(out, expected)
        Progress.tell(f"generating {out}: {expected} {kind}", quiet=quiet)
    return _produce(out, task, shards, kind, classes, workers, dask, overwrite, quiet)


def _storable(value: Any) -> Any:
    """Settings in JSON's types, which know no infinity: open ends of ranges as "inf"."""
    if isinstance(value, dict):
        return {key: _storable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_storable(each) for each in value]
    return str(value) if isinstance(value, float) and math.isinf(value) else value


def _produce(
    out: Path,
    task: Jets | Events,
    shards: int,
    kind: str,
    classes: list[str] | None,
    workers: int,
    dask: str | None,
    overwrite: bool,
    quiet: bool,
) -> Dataset:
    unit = "jets" if kind == "jets" else "events"
    total, step = shards * task.shard_size, task.shard_size
    with Progress(f"generating {out}", total, unit, quiet=quiet, step=step) as progress:
        return produce(
            out,
            task,
            shards,
            kind=kind,
            settings=_storable(asdict(task)),
            classes=classes,
            workers=workers,
            overwrite=overwrite,
            cluster=dask,
            progress=lambda done, _, record: progress(
                done * task.shard_size, record.get("error", "")
            ),
        )
