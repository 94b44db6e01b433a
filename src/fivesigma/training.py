"""One plain training loop: exact resume, early stopping, mixed precision, several processes.

An interrupted training that is repeated goes on and gives, on a CPU, the same weights bit by bit
as an undisturbed one: the order of the jets is a function of (seed, epoch), every random number of
(seed, epoch, batch), the learning rate of the step; the rest is in the checkpoint.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed

from fivesigma.batches import Cache
from fivesigma.loop import Loop, Progress, TrainingDiverged
from fivesigma.models import build
from fivesigma.optimisation import Training, check_options
from fivesigma.runfolder import (
    MODEL,
    describe,
    finished,
    open_folder,
    read_model_yaml,
    write_yaml,
    writing,
)
from fivesigma.runs import Run, load_run, pick_device

__all__ = [
    "Progress",
    "Training",
    "TrainingDiverged",
    "check_jets",
    "data_settings",
    "fingerprint",
    "fit",
]


def fit(
    model: str,
    train: Cache,
    validation: Cache,
    classes: Sequence[str],
    out: str | Path,
    options: Training | None = None,
    *,
    model_options: Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Train a network, or go on with an interrupted training, or return a finished one.

    Under torchrun each process takes its share of every step; only the first one writes.

    Args:
        model: a name in `MODELS`, or `my_module:MyNet`.
        train: training jets with labels.
        validation: validation jets, made with the training jets' `inputs`.
        classes: names of the classes, in the order of the labels.
        out: folder of the run.
        options: of the training; `Training()` if None.
        model_options: keyword arguments of the network.
        config: the caller's complete settings, for `config.yaml`.
        provenance: what else `model.yaml` should tell, e.g. path and hash of the dataset.
        overwrite: discard a run in this folder.
        progress: see `Progress`.

    Returns:
        The run, with the weights of the epoch with the smallest validation loss.

    Raises:
        ValueError: jets without labels, an empty class, other inputs in validation, or a folder
            that holds something else or a run with other settings.
        TrainingDiverged: loss or weights became NaN or infinite.
    """
    check_jets(train, validation, classes)
    options = options or Training()
    out, device = Path(out), pick_device(options.device)
    check_options(options, len(classes), device)
    with _isolated(options), _processes(device) as (rank, world), _writing(out, rank):
        torch.manual_seed(options.seed)
        network = build(model, len(classes), train.inputs, dict(model_options or {}))
        if rank == 0:
            settings = {
                "training": asdict(options),
                "processes": world,
                "data": data_settings(train, validation),
            }
            form = describe(
                *("network", model, model_options or {}, train.inputs, classes),
                *(settings, provenance or {}),
            )
            open_folder(out, form, config, overwrite)
        _wait(world)
        form = read_model_yaml(out)
        if not finished(out, form):
            loop = Loop(
                *(network, len(classes), train, validation, out, options),
                *(device, rank, world, progress),
            )
            summary = loop.run()
            if rank == 0:
                write_yaml(out / MODEL, form | {"summary": summary})
        _wait(world)
    return load_run(out, device=str(device), trust=True)


def check_jets(train: Cache, validation: Cache, classes: Sequence[str]) -> None:
    """Check that jets can be trained on.

    Raises:
        ValueError: no or wrong labels, a class without training jets, no validation jets, or other
            inputs in validation.
    """
    present = _labels("training", train, classes)
    _labels("validation", validation, classes)
    absent = [name for i, name in enumerate(classes) if i not in present]
    if absent or len(classes) < 2:
        names = ", ".join(absent) or "a second class"
        message = f"no training jets of {names}; each of at least two classes needs some"
        raise ValueError(message)
    if train.inputs != validation.inputs:
        message = "build the validation jets' cache with the inputs of the training jets' cache"
        raise ValueError(message)


def _labels(name: str, cache: Cache, classes: Sequence[str]) -> set[int]:
    """The labels that occur."""
    if cache.label is None or not len(cache):
        what = "jets without the field 'label'" if len(cache) else "no jets"
        message = f"{what} for {name}; give jets with labels from 0 to {len(classes) - 1}"
        raise ValueError(message)
    present = set(np.unique(cache.label).tolist())
    strange = sorted(present - set(range(len(classes))))
    if strange:
        message = (
            f"{name} jets have labels {', '.join(map(str, strange))}, but there are "
            f"{len(classes)} classes ({', '.join(classes)}); leave these jets out"
        )
        raise ValueError(message)
    return present


def fingerprint(cache: Cache) -> str:
    """A hash of all arrays of a cache."""
    digest = hashlib.sha256()
    for part in fields(cache):
        array = getattr(cache, part.name)
        if isinstance(array, np.ndarray):
            digest.update(f"{part.name} {array.dtype} {array.shape}".encode())
            digest.update(np.ascontiguousarray(array).view(np.uint8).data)
    return digest.hexdigest()[:16]


def data_settings(train: Cache, validation: Cache) -> dict[str, Any]:
    """What a run's settings say of its data, so that a repeated training is known as such."""
    return {
        name: {"jets": len(cache), "hash": fingerprint(cache)}
        for name, cache in (("train", train), ("validation", validation))
    }


@contextmanager
def _isolated(options: Training) -> Iterator[None]:
    """The caller's random numbers and number of threads stay as they are."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng():
        torch.set_num_threads(options.threads or threads)
        try:
            yield
        finally:
            torch.set_num_threads(threads)


def _writing(out: Path, rank: int) -> AbstractContextManager[None]:
    """The first process writes; the others read."""
    return nullcontext() if rank else writing(out)


@contextmanager
def _processes(device: torch.device) -> Iterator[tuple[int, int]]:
    """Rank and number of the processes that torchrun started; (0, 1) without it."""
    world = int(os.environ.get("WORLD_SIZE", 1))
    if world == 1:
        yield 0, 1
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield distributed.get_rank(), world
    finally:
        distributed.destroy_process_group()


def _wait(world: int) -> None:
    if world > 1:
        distributed.barrier()
