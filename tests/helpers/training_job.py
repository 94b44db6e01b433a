"""A small training, to be run here or in processes that get killed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from helpers.synthetic_jets import make_jets

from fivesigma.batches import Cache, Inputs, build_cache
from fivesigma.runs import Run
from fivesigma.training import Training, fit

CLASSES = ["one prong", "two prongs"]
SMALL = {"phi": [16, 16], "f": [16], "dropout": 0.1}
#: every part that has a state: average, dropout, momenta, schedule
OPTIONS = Training(
    epochs=3, batch_size=64, ema=0.9, threads=1, device="cpu", seed=4, gradient_clip=1.0
)


def caches(n: int = 600, seed: int = 0) -> tuple[Cache, Cache]:
    """Training and validation jets."""
    train = build_cache(make_jets(n, seed=seed), Inputs(features=("log_pt", "deta", "dphi", "dr")))
    return train, build_cache(make_jets(200, seed=seed + 100), train.inputs)


TRAIN, VALIDATION = caches()


def run_fit(
    out: Path,
    options: Training = OPTIONS,
    train: Cache = TRAIN,
    validation: Cache = VALIDATION,
    **more: Any,
) -> Run:
    """A PFN on these jets."""
    more = {"model_options": SMALL} | more
    return fit("pfn", train, validation, CLASSES, out, options, **more)


def job(
    out: Path, options: Training, n: int, model_options: dict, environment: Mapping[str, str]
) -> None:
    """The same on the first `n` jets, in a process of its own."""
    os.environ.update(environment)
    run_fit(out, options, TRAIN.take(np.arange(n)), model_options=model_options)
