"""One plain training loop: exact resume, early stopping, mixed precision, several processes.

An interrupted training that is repeated goes on and gives, on a CPU, the same weights bit by bit
as an undisturbed one: the order of the jets is a function of (seed, epoch), every random number of
(seed, epoch, batch), the learning rate of the step; the rest is in the checkpoint.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import distributed

from fivesigma.batches import Cache
from fivesigma.finetuning import check_start, head_of, start_from
from fivesigma.lessons import (
    Objectives,
    Pair,
    check_jets,
    data_settings,
    fingerprint,
    hashes,
    make_lessons,
)
from fivesigma.loop import Loop, Progress, TrainingDiverged
from fivesigma.models import build
from fivesigma.optimisation import Training, check_options
from fivesigma.pruning import Masks, hold_zeros
from fivesigma.runfolder import (
    MODEL,
    describe,
    finished,
    member_folders,
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
    "fit_members",
    "members_summary",
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
    init: Run | None = None,
    weights: Pair | None = None,
    teacher: Pair | None = None,
    masks: Masks | None = None,
    objectives: Objectives | None = None,
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
        init: start from the weights of this run of the same architecture and inputs; where its
            classes are others, the layer that gives them starts afresh.
        weights: factors (N,) on the weights of training and validation jets in the loss, e.g. from
            `spectra.flat_factors`.
        teacher: logits (N, C) of a teacher for training and validation jets, or the logarithms of
            its probabilities: they are learned instead of the labels (distillation).
        masks: parameter -> which of its weights may differ from zero, e.g. from
            `pruning.magnitude_masks`; the others are zero from the start and stay so.
        objectives: what is minimised over batches of training jets, and over all validation jets,
            in the place of the usual loss.
        overwrite: discard a run in this folder.
        progress: see `Progress`.

    Returns:
        The run, with the weights of the epoch with the smallest validation loss.

    Raises:
        ValueError: jets without labels, an empty class, other inputs in validation, arrays that do
            not fit the jets, masks that do not fit the network, a start from another architecture,
            or a folder that holds something else or a run with other settings.
        TrainingDiverged: loss or weights became NaN or infinite.
    """
    check_jets(train, validation, classes)
    options = options or Training()
    out, device = Path(out), pick_device(options.device)
    check_options(options, len(classes), train.inputs.kind, device)
    learned, judged = make_lessons(
        train, validation, options, weights, teacher, len(classes), objectives
    )
    if init:
        check_start(init, model, train.inputs, model_options)
    with _isolated(options), _processes(device) as (rank, world), _writing(out, rank):
        torch.manual_seed(options.seed)
        network = build(model, len(classes), train.inputs, dict(model_options or {}))
        head: set[str] = set()
        if init or options.head_learning_rate_factor != 1:
            head = head_of(network, model, len(classes), train.inputs, dict(model_options or {}))
        if init:
            start_from(init, network, classes, head)
        if masks:
            hold_zeros(network.to(device), masks)
        if rank == 0:
            settings = {
                "training": asdict(options),
                "processes": world,
                "data": data_settings(train, validation),
            } | hashes(init, weights, teacher, masks, objectives)
            form = describe(
                *("network", model, model_options or {}, train.inputs, classes),
                *(settings, provenance or {}),
            )
            open_folder(out, form, config, overwrite)
        _wait(world)
        form = read_model_yaml(out)
        if not finished(out, form):
            loop = Loop(
                *(network, len(classes), learned, judged, out, options),
                *(device, rank, world, progress, head),
            )
            summary = loop.run()
            if rank == 0:
                write_yaml(out / MODEL, form | {"summary": summary})
        _wait(world)
    return load_run(out, device=str(device), trust=True)


def fit_members(
    members: int,
    model: str,
    train: Cache,
    validation: Cache,
    classes: Sequence[str],
    out: str | Path,
    options: Training | None = None,
    *,
    config: Mapping[str, Any] | None = None,
    provenance: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
    **more: Any,
) -> Run:
    """Train an ensemble: networks that differ in their seed, `options.seed` and those after it.

    It goes on with an interrupted one. Its folder holds the runs as `members/0`, `members/1`, ...,
    and is itself a run, whose probabilities are the means of theirs.

    Args:
        members: number of networks, at least 2.
        model: as for `fit`, and so are all that follow.
        train: training jets with labels.
        validation: validation jets.
        classes: names of the classes.
        out: folder of the ensemble.
        options: of the training of each.
        config: the caller's complete settings.
        provenance: what else `model.yaml` should tell.
        overwrite: discard a run in this folder.
        progress: its lines tell the `member`, from 0.
        more: other arguments of `fit`, the same for all members.

    Raises:
        ValueError: fewer than 2 members, and as `fit` does.
        TrainingDiverged: loss or weights of a member became NaN or infinite.
    """
    if members < 2:
        message = f"got {members} members; an ensemble needs at least 2"
        raise ValueError(message)
    check_jets(train, validation, classes)
    out, options = Path(out), options or Training()
    device = pick_device(options.device)
    with _processes(device) as (rank, world), _writing(out, rank):
        if rank == 0:
            settings = {
                "members": members,
                "training": asdict(options),
                "processes": world,
                "data": data_settings(train, validation),
            } | hashes(*map(more.get, ("init", "weights", "teacher", "masks", "objectives")))
            form = describe(
                *("ensemble", model, more.get("model_options") or {}, train.inputs, classes),
                *(settings, provenance or {}),
            )
            open_folder(out, form, config, overwrite)
        _wait(world)
        form = read_model_yaml(out)
        runs = []
        for number, folder in enumerate(member_folders(out, form)):
            each = replace(options, seed=options.seed + number)
            settings = {"out": str(folder), "members": 1, "training": asdict(each)}
            run = fit(
                *(model, train, validation, classes, folder, each),
                config=dict(config or {}) | settings,
                provenance=provenance,
                overwrite=overwrite,
                progress=_of_member(progress, number),
                **more,
            )
            runs.append(run)
        if rank == 0:
            write_yaml(out / MODEL, form | {"summary": members_summary(runs)})
        _wait(world)
    return load_run(out, device=str(device), trust=True)


def _of_member(progress: Progress | None, number: int) -> Progress | None:
    return progress and (lambda line: progress(line | {"member": number}))


def members_summary(runs: Sequence[Run]) -> dict[str, Any]:
    """The members' summaries as one; figures of merit are their means."""
    each = [run.model_yaml["summary"] for run in runs]
    names = [name for name in each[0]["best"] if name.startswith("validation")]
    best = {name: float(np.mean([one["best"][name] for one in each])) for name in names}
    sums = {name: sum(one[name] for one in each) for name in ("epochs", "seconds")}
    return {"finished": True, **sums, "best": best}


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
    if world > 1 and distributed.is_initialized():  # a member of an ensemble
        yield distributed.get_rank(), world
        return
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
