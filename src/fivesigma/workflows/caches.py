"""From a dataset on disk to the inputs of a network, split by split, shard by shard."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import awkward as ak
import numpy as np

from fivesigma.batches import Inputs, build_cache
from fivesigma.caches import Cache, join_caches, open_cache, write_cache
from fivesigma.datasets import SPLITS, Dataset, split_of
from fivesigma.runs import Run
from fivesigma.storage import canonical

__all__ = ["jets_of", "open_jets", "require_classes", "split_caches"]

#: shards of each class from which means and scales are learned
_LEARN_FROM = 4


def open_jets(path: str | Dataset) -> Dataset:
    """Open a dataset of labelled jets.

    Raises:
        ValueError: no dataset, an incomplete one, or one without labelled jets.
    """
    dataset = path if isinstance(path, Dataset) else Dataset.open(path)
    if dataset.manifest["kind"] != "jets" or len(dataset.classes) < 2:
        kind = dataset.manifest["kind"]
        message = (
            f"{dataset.path} is of kind {kind!r}, not labelled jets; "
            "make some: fivesigma generate data/top --recipe top-tagging"
        )
        raise ValueError(message)
    return dataset


def require_classes(run: Run, dataset: Dataset) -> None:
    """Raise an error unless a run tells the dataset's classes apart.

    Raises:
        ValueError: it tells others, or the same in another order.
    """
    if run.classes != dataset.classes:
        message = (
            f"run {run.name} tells {', '.join(run.classes)} apart, but {dataset.path} holds "
            f"{', '.join(dataset.classes)}; both must be the same, in order"
        )
        raise ValueError(message)


def jets_of(
    dataset: Dataset, split: str, columns: Sequence[str] | None = None
) -> Iterator[ak.Array]:
    """The jets of one split, one shard at a time.

    Args:
        dataset: of labelled jets.
        split: "train", "validation", "test", or "all" jets.
        columns: those to read; all by default.

    Raises:
        ValueError: no such split.
    """
    if split not in (*SPLITS, "all"):
        message = f"unknown split {split!r}; choose from {', '.join(SPLITS)}, all"
        raise ValueError(message)
    wanted = None if columns is None else [*columns, *({"event"} - set(columns))]
    for jets in dataset.iterate("jets", wanted):
        if split != "all":
            jets = jets[split_of(ak.to_numpy(jets.event)) == SPLITS.index(split)]
        yield jets


def split_caches(
    dataset: Dataset, inputs: Inputs, *splits: str, keep: bool = False
) -> list[Cache]:
    """Inputs of a network for the jets of some splits.

    What `inputs` leaves open is learned from training jets of the first shards. Inputs that were
    kept in the dataset's folder `prepared` are mapped into memory instead of computed.

    Args:
        dataset: of labelled jets.
        inputs: what the network sees.
        splits: names in `SPLITS`.
        keep: keep them there for the next time: as many bytes as the values have.

    Raises:
        ValueError: a split without jets, or jets that lack what the inputs need.
    """
    folder = _prepared(dataset, inputs)
    if keep and not folder.exists():
        write_cache(folder, _caches(dataset, inputs))
    cache = open_cache(folder) if folder.exists() else join_caches(list(_caches(dataset, inputs)))
    if cache.event is None:
        message = f"{dataset.path}: its jets have no event numbers, which say how they are split"
        raise ValueError(message)
    number = split_of(cache.event)
    found = [cache.take(np.flatnonzero(number == SPLITS.index(name))) for name in splits]
    for name, jets in zip(splits, found, strict=True):
        if not len(jets):
            message = f"{dataset.path} has no {name} jets; generate more"
            raise ValueError(message)
    return found


def _prepared(dataset: Dataset, inputs: Inputs) -> Path:
    """Where inputs of these very jets are kept."""
    content = {"inputs": inputs.to_dict(), "jets": dataset.checksums("jets")}
    key = hashlib.sha256(canonical(content).encode()).hexdigest()[:16]
    return dataset.path / "prepared" / key


def _caches(dataset: Dataset, inputs: Inputs) -> Iterator[Cache]:
    """Inputs of all jets, shard by shard."""
    first = _LEARN_FROM * len(dataset.classes)
    shards = [shard["index"] for shard in dataset.shards]
    sample = dataset.read("jets", shards=shards[:first])
    train = sample[split_of(ak.to_numpy(sample.event)) == SPLITS.index("train")]
    complete = build_cache(train, inputs).inputs
    for jets in dataset.iterate("jets"):
        yield build_cache(jets, complete)
