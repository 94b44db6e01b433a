"""Batches for networks: jets of like length together, padded no further than their own longest.

Every jet comes once per epoch. The order depends on (seed, epoch) alone, whatever came before, so
that an interrupted epoch goes on exactly where it stopped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import awkward as ak
import numpy as np
import torch
from numba import get_num_threads, njit

from fivesigma.caches import Cache, join_caches
from fivesigma.images import densify
from fivesigma.inputs import Inputs
from fivesigma.preparation import build_cache

__all__ = [
    "Batch",
    "Batches",
    "Cache",
    "Inputs",
    "build_cache",
    "jet_images",
    "jet_weights",
    "join_caches",
    "tensors_of",
]

#: jets are sorted into these ranges of length before batches are cut: coarse, because a batch of
#: one length only would be skewed towards the class that has this length
LENGTHS = (24, 40, 56, 72, 96, 128)


class Batch(NamedTuple):
    """Jets as a network takes them.

    Attributes:
        x: (B, N, F) constituents, (B, C, H, W) images or (B, F) observables, float32.
        mask: (B, N) bool, true where there is a constituent; None for other kinds of inputs.
        y: (B,) int64 index of the class, -1 where unknown.
        w: (B,) float32 weights.
        index: (B,) int64 rows of the cache.
    """

    x: torch.Tensor
    mask: torch.Tensor | None
    y: torch.Tensor
    w: torch.Tensor
    index: torch.Tensor  # type: ignore[assignment]  # hides tuple.index, which nobody needs here


class Batches:
    """Cuts a cache into batches, epoch by epoch.

    Batches differ in size by one jet at most: no remainder is left over, none weighs more.

    Args:
        cache: the jets.
        batch_size: the most jets in a batch.
        shuffle: random order (training), or by length (evaluation; `Batch.index` brings scores
            back in order).
        seed: of the order.
        weights: (N,) weights of the jets; 1 each if None. See `jet_weights`.
        oversample: repeat jets of rarer classes until all classes are as frequent as the largest.
        rank: which of `world` processes this is.
        world: processes that share an epoch; each gets as many batches as the others.

    Raises:
        ValueError: a batch size below 1, no such rank, fewer jets than processes, weights of
            another length, or oversampling without labels.

    Example:
        >>> for batch in Batches(cache, 256, shuffle=True, seed=1).epoch(0):
        ...     logits = model(batch.x, batch.mask)
    """

    def __init__(
        self,
        cache: Cache,
        batch_size: int,
        *,
        shuffle: bool,
        seed: int = 0,
        weights: np.ndarray | None = None,
        oversample: bool = False,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        if batch_size < 1 or not 0 <= rank < world:
            message = (
                f"got batch size {batch_size}, rank {rank} of {world} processes; "
                "the size must be at least 1, the rank from 0 to processes - 1"
            )
            raise ValueError(message)
        if len(cache) < world:
            message = f"{len(cache)} jets for {world} processes; each needs at least one"
            raise ValueError(message)
        if weights is not None and len(weights) != len(cache):
            message = f"{len(weights)} weights for {len(cache)} jets; give one per jet"
            raise ValueError(message)
        if oversample and cache.label is None:
            message = "oversampling needs jets with the field 'label'"
            raise ValueError(message)
        self.cache, self.shuffle, self.seed, self.rank, self.world = (
            cache,
            shuffle,
            seed,
            rank,
            world,
        )
        self._oversample = oversample
        n = len(cache)
        self._label = np.full(n, -1, np.int64) if cache.label is None else cache.label
        self._weight = np.ones(n, np.float32) if weights is None else weights.astype(np.float32)
        # dense images and observables have no length to sort by
        self._length = np.zeros(n, np.int64)
        if cache.count is not None and cache.pixel is None:
            self._length = cache.count
        self._size = len(self._drawn(np.random.default_rng(seed)))
        self._steps = -(-self._size // (batch_size * world))

    def __len__(self) -> int:
        """Batches of one epoch, of this process."""
        return self._steps

    def epoch(self, k: int = 0, start: int = 0) -> Iterator[Batch]:
        """The batches of epoch `k`, without the first `start` of them.

        As many threads as Numba may use make a few of them ahead.
        """
        plan, threads = self.plan(k)[start:], get_num_threads()
        with ThreadPoolExecutor(threads) as pool:
            ahead = deque(pool.submit(self._batch, rows) for rows in plan[:threads])
            for rows in plan[threads:]:
                yield ahead.popleft().result()
                ahead.append(pool.submit(self._batch, rows))
            while ahead:
                yield ahead.popleft().result()

    def plan(self, k: int = 0) -> list[np.ndarray]:
        """Rows of the cache in each batch of epoch `k`."""
        rng = np.random.default_rng([self.seed, k])
        rows = self._drawn(rng)
        if self.shuffle:
            rows = rng.permutation(rows)
            key = np.searchsorted(LENGTHS, self._length[rows])
        else:
            key = self._length[rows]
        rows = rows[np.argsort(key, kind="stable")]
        batches = np.array_split(rows, self._steps * self.world)
        order = rng.permutation(self._steps) if self.shuffle else np.arange(self._steps)
        # neighbours go to different processes at the same step: like lengths, like work
        return [batches[step * self.world + self.rank] for step in order]

    def _drawn(self, rng: np.random.Generator) -> np.ndarray:
        if not self._oversample:
            return np.arange(len(self.cache))
        members = [np.flatnonzero(self._label == label) for label in np.unique(self._label)]
        most = max(map(len, members))
        drawn = [
            np.concatenate(
                [np.tile(one, most // len(one)), rng.permutation(one)[: most % len(one)]]
            )
            for one in members
        ]
        return np.concatenate(drawn)

    def _batch(self, rows: np.ndarray) -> Batch:
        x, mask = tensors_of(self.cache, rows)
        y, w = torch.from_numpy(self._label[rows]), torch.from_numpy(self._weight[rows])
        return Batch(x, mask, y, w, torch.from_numpy(rows))


def jet_weights(cache: Cache, *, classes: bool = False, events: bool = False) -> np.ndarray:
    """Weights for training, with mean 1.

    Args:
        cache: the jets.
        classes: give every class the same sum of weights.
        events: use the jets' own weights (cross-section, generator).

    Returns:
        (N,) float32 weights.

    Raises:
        ValueError: the jets lack what is asked for, or their weights sum to nothing.
    """
    weight = np.ones(len(cache))
    if events:
        if cache.weight is None:
            message = "event weights need jets with the field 'weight'"
            raise ValueError(message)
        weight = cache.weight.astype(np.float64)
    if classes:
        if cache.label is None:
            message = "class weights need jets with the field 'label'"
            raise ValueError(message)
        _, inverse = np.unique(cache.label, return_inverse=True)
        weight = weight / np.bincount(inverse, weight)[inverse]
    if not (np.isfinite(weight).all() and weight.sum() > 0):
        message = "the jets' weights, or those of one class, do not sum to a positive number"
        raise ValueError(message)
    return (weight / weight.mean()).astype(np.float32)


def jet_images(jets: ak.Array, inputs: Inputs) -> np.ndarray:
    """Images of jets, for plots.

    Args:
        jets: N records of the collection `jets`, with constituents.
        inputs: inputs of kind "image".

    Returns:
        (N, C, H, W) float32; row 0 is the lowest phi.

    Raises:
        ValueError: inputs of another kind, or jets that lack something.
    """
    if inputs.kind != "image":
        message = f"got inputs of kind {inputs.kind!r}; images need kind 'image'"
        raise ValueError(message)
    cache = build_cache(jets, inputs)
    return tensors_of(cache, np.arange(len(cache)))[0].numpy()


def tensors_of(cache: Cache, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Input of some rows of a cache as a network takes it, and the mask of constituents."""
    if cache.begin is None or cache.count is None:
        return torch.from_numpy(cache.values[rows]), None
    begin, count, n_features = cache.begin[rows], cache.count[rows], cache.values.shape[1]
    if cache.pixel is not None:
        pixels = cache.inputs.pixels
        x = torch.empty(len(rows), n_features, pixels * pixels)
        densify(cache.pixel, cache.values, begin, count, x.numpy())
        return x.view(len(rows), n_features, pixels, pixels), None
    longest = np.max(count, initial=1)
    x = torch.empty(len(rows), int(longest), n_features)
    mask = torch.empty(len(rows), int(longest), dtype=torch.bool)
    _pad(cache.values, begin, count, x.numpy(), mask.numpy())
    return x, mask


@njit(cache=True, nogil=True)
def _copy(given: np.ndarray, out: np.ndarray) -> None:
    for i in range(len(out)):  # twice as fast as an assignment of slices
        out[i] = given[i]


@njit(cache=True, nogil=True)
def _pad(
    values: np.ndarray, begin: np.ndarray, count: np.ndarray, x: np.ndarray, mask: np.ndarray
) -> None:
    width, flat = values.shape[1], values.reshape(-1)
    for b in range(len(begin)):
        length, start = count[b] * width, begin[b] * width
        jet, row = flat[start : start + length], x[b].reshape(-1)
        _copy(jet, row[:length])
        row[length:] = 0
        for n in range(mask.shape[1]):
            mask[b, n] = n < count[b]
