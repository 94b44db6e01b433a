"""From a dataset on disk to the inputs of a network, split by split, shard by shard."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import awkward as ak
import numpy as np

from fivesigma.batches import Cache, Inputs, build_cache, join_caches
from fivesigma.datasets import SPLITS, Dataset, split_of

__all__ = ["jets_of", "open_jets", "split_caches"]

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


def jets_of(
    dataset: Dataset, split: str | None, columns: Sequence[str] | None = None
) -> Iterator[ak.Array]:
    """The jets of one split, one shard at a time.

    Args:
        dataset: of labelled jets.
        split: "train", "validation", "test", or None for all jets.
        columns: those to read; all by default.

    Raises:
        ValueError: no such split.
    """
    if split is not None and split not in SPLITS:
        message = f"unknown split {split!r}; choose from {', '.join(SPLITS)}"
        raise ValueError(message)
    wanted = None if columns is None else [*columns, *({"event"} - set(columns))]
    for jets in dataset.iterate("jets", wanted):
        if split is not None:
            jets = jets[split_of(ak.to_numpy(jets.event)) == SPLITS.index(split)]
        yield jets


def split_caches(dataset: Dataset, inputs: Inputs, *splits: str) -> list[Cache]:
    """Inputs of a network for the jets of some splits.

    What `inputs` leaves open is learned from training jets of the first shards.

    Args:
        dataset: of labelled jets.
        inputs: what the network sees.
        splits: names in `SPLITS`.

    Raises:
        ValueError: a split without jets, or jets that lack what the inputs need.
    """
    first = _LEARN_FROM * len(dataset.classes)
    shards = [shard["index"] for shard in dataset.shards]
    sample = dataset.read("jets", shards=shards[:first])
    train = sample[split_of(ak.to_numpy(sample.event)) == SPLITS.index("train")]
    inputs = build_cache(train, inputs).inputs
    found: list[list[Cache]] = [[] for _ in splits]
    for jets in dataset.iterate("jets"):
        cache = build_cache(jets, inputs)
        split = split_of(ak.to_numpy(jets.event))
        for parts, name in zip(found, splits, strict=True):
            parts.append(cache.take(np.flatnonzero(split == SPLITS.index(name))))
    joined = [join_caches(parts) for parts in found]
    for name, cache in zip(splits, joined, strict=True):
        if not len(cache):
            message = f"{dataset.path} has no {name} jets; generate more"
            raise ValueError(message)
    return [replace(cache, inputs=inputs) for cache in joined]
