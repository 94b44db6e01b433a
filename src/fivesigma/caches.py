"""From Awkward jets to the flat arrays that batches are cut from: features, scaling, images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import awkward as ak
import numpy as np

from fivesigma.events import validate
from fivesigma.features import FEATURES, OBSERVABLES, Feature, derive, derive_centred, orient
from fivesigma.images import CHANNELS, image_entries
from fivesigma.inputs import Inputs, require_known

__all__ = ["Cache", "build_cache", "join_caches"]

_JET_FIELDS = {"label": np.int64, "weight": np.float32, "event": np.uint64}


@dataclass(frozen=True, eq=False)
class Cache:
    """Jets as flat arrays, ready to be cut into batches.

    Attributes:
        inputs: what the values are, complete with mean and scale.
        values: float32; constituents (T, F) or pixels (T, C) of all jets one after the other, or
            observables (N, F).
        offsets: (N + 1,) where each jet begins in `values`; None for observables.
        pixel: (T,) pixel numbers of images, else None.
        label: (N,) index of the class, -1 for none; None where the jets have no label.
        weight: (N,) weights, or None.
        event: (N,) event numbers, or None.
    """

    inputs: Inputs
    values: np.ndarray
    offsets: np.ndarray | None = None
    pixel: np.ndarray | None = None
    label: np.ndarray | None = None
    weight: np.ndarray | None = None
    event: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.values) if self.offsets is None else len(self.offsets) - 1

    @property
    def counts(self) -> np.ndarray:
        """(N,) constituents or pixels of each jet; zeros for observables."""
        return np.zeros(len(self), np.int64) if self.offsets is None else np.diff(self.offsets)

    def take(self, rows: np.ndarray) -> Cache:
        """Some of the jets, in the order asked for.

        Args:
            rows: (M,) indices, or (N,) booleans.
        """
        rows = np.arange(len(self))[rows]
        flat, offsets = rows, None
        if self.offsets is not None:
            counts = self.counts[rows]
            offsets = _offsets(counts)
            flat = np.arange(offsets[-1]) + np.repeat(self.offsets[rows] - offsets[:-1], counts)
        return Cache(
            inputs=self.inputs,
            values=self.values[flat],
            offsets=offsets,
            pixel=None if self.pixel is None else self.pixel[flat],
            label=None if self.label is None else self.label[rows],
            weight=None if self.weight is None else self.weight[rows],
            event=None if self.event is None else self.event[rows],
        )


def join_caches(caches: Sequence[Cache]) -> Cache:
    """Several caches of the same inputs as one, e.g. those of a dataset's shards.

    Raises:
        ValueError: nothing to join, or inputs that differ.
    """
    if not caches or any(cache.inputs != caches[0].inputs for cache in caches):
        message = (
            f"got {len(caches)} caches, of differing inputs; build all of them with the "
            "`inputs` of the first one's cache"
            if caches
            else "no caches to join; give at least one"
        )
        raise ValueError(message)

    def joined(name: str) -> Any:
        parts = [getattr(cache, name) for cache in caches]
        return None if any(part is None for part in parts) else np.concatenate(parts)

    counts = np.concatenate([cache.counts for cache in caches])
    return Cache(
        inputs=caches[0].inputs,
        values=joined("values"),
        offsets=None if caches[0].offsets is None else _offsets(counts),
        pixel=joined("pixel"),
        label=joined("label"),
        weight=joined("weight"),
        event=joined("event"),
    )


def build_cache(jets: ak.Array, inputs: Inputs) -> Cache:
    """Compute a network's inputs for jets.

    Constants that neither `inputs` nor the table of features gives are learned from these jets:
    build the cache of the training jets first, and all others with its `.inputs`.

    Args:
        jets: records of the collection `jets`; with `constituents` unless only observables are
            asked for.
        inputs: what to compute.

    Returns:
        The cache; its `inputs` are complete.

    Raises:
        ValueError: a missing field, NaN or infinite momenta, constants to be learned from no jets.
    """
    validate(jets, "jets")
    present = {
        name: _column(jets, name, dtype)
        for name, dtype in _JET_FIELDS.items()
        if name in jets.fields
    }
    pixel = offsets = None
    if inputs.kind == "observables":
        inputs, values = _observables(jets, inputs)
    else:
        c, j, offsets = _flat(jets, inputs)
        if inputs.kind == "image":
            pixel, values, offsets = _pixels(inputs, c, offsets)
        else:
            inputs, values = _standardised(inputs, FEATURES, c, j, int(offsets[-1]))
    return Cache(inputs, values, offsets, pixel, **present)


def _observables(jets: ak.Array, inputs: Inputs) -> tuple[Inputs, np.ndarray]:
    """Completed inputs and (N, F) standardised values."""
    names = [name for name in jets.fields if jets[name].ndim == 1]
    of_jets = SimpleNamespace(**{name: _column(jets, name, np.float32) for name in names})
    table = {name: _field(name) for name in names} | OBSERVABLES
    require_known("observable", inputs.features, table)
    return _standardised(inputs, table, SimpleNamespace(), of_jets, len(jets))


def _field(name: str) -> Feature:
    return Feature(lambda xp, c, j: getattr(j, name), "a field of the jets", None, None, 10.0)


def _pixels(
    inputs: Inputs, c: SimpleNamespace, offsets: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixel numbers, values of the channels asked for, and where each jet begins."""
    if "charged_pt" in inputs.channels and not hasattr(c, "charge"):
        message = "channel 'charged_pt' needs constituents with the field 'charge'"
        raise ValueError(message)
    charge = getattr(c, "charge", np.zeros_like(c.pt))
    pixel, values, offsets = image_entries(
        c.pt, c.eta_oriented, c.phi_oriented, charge, offsets, inputs.pixels, inputs.half_width
    )
    columns = [list(CHANNELS).index(name) for name in inputs.channels]
    return pixel, np.ascontiguousarray(values[:, columns]), offsets


def _flat(jets: ak.Array, inputs: Inputs) -> tuple[SimpleNamespace, SimpleNamespace, np.ndarray]:
    """Flat leading constituents, their jets' values, and (N + 1,) offsets."""
    columns, counts = _leading(jets, inputs.max_constituents)
    c, row = SimpleNamespace(**columns), np.repeat(np.arange(len(counts)), counts)
    names = ("pt", "eta", "phi", "mass")
    j = SimpleNamespace(**{name: _column(jets, name, np.float32)[row] for name in names})
    offsets = _offsets(counts)
    full = counts > 0  # reduceat has no empty sums

    def total(values: np.ndarray) -> np.ndarray:
        if not len(values):
            return values
        sums = np.add.reduceat(values, offsets[:-1][full], dtype=np.float64)
        return np.repeat(sums.astype(np.float32), counts[full])

    derive(np, c, j)
    derive_centred(c, j, total)
    if inputs.kind == "image" or {"deta_rot", "dphi_rot"} & set(inputs.features):
        orient(np, c, total)
    return c, j, offsets


def _leading(jets: ak.Array, most: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Flat columns of each jet's `most` leading constituents by falling pT, and (N,) counts."""
    if "constituents" not in jets.fields:
        message = f"these jets have no constituents, only {', '.join(jets.fields)}"
        raise ValueError(message)
    constituents = validate(jets.constituents, "constituents")
    counts = ak.to_numpy(ak.num(constituents, axis=1)).astype(np.int64)
    flat = ak.flatten(constituents, axis=1)
    columns = {name: _column(flat, name, np.float32) for name in flat.fields}
    pt, row = columns["pt"], np.repeat(np.arange(len(counts)), counts)
    falling = bool(np.all((pt[1:] <= pt[:-1]) | (row[1:] != row[:-1])))
    if falling and counts.max(initial=0) <= most:
        return columns, counts
    order = np.arange(len(pt)) if falling else np.lexsort((-pt, row))
    rank = np.arange(len(pt)) - (np.cumsum(counts) - counts)[row]
    keep = order[rank < most]
    return {name: values[keep] for name, values in columns.items()}, np.minimum(counts, most)


def _standardised(
    inputs: Inputs, table: dict[str, Feature], c: SimpleNamespace, j: SimpleNamespace, rows: int
) -> tuple[Inputs, np.ndarray]:
    """Inputs complete with their constants, and (rows, F) standardised float32 values."""
    values = np.empty((rows, len(inputs.features)), np.float32)
    constants = []
    for index, name in enumerate(inputs.features):
        feature = table[name]
        column = _evaluated(name, feature, c, j)
        if inputs.mean:
            mean, scale = inputs.mean[index], inputs.scale[index]
        elif feature.mean is None or feature.scale is None:
            mean, scale = _learned(name, column)
        else:
            mean, scale = feature.mean, feature.scale
        constants.append((mean, scale))
        column = (column - np.float32(mean)) * np.float32(scale)
        np.clip(column, -feature.clip, feature.clip, out=column)
        values[:, index] = np.nan_to_num(column, copy=False)  # 0 / 0 in a ratio: the mean
    means, scales = zip(*constants, strict=True)
    return replace(inputs, mean=means, scale=scales), values


def _evaluated(name: str, feature: Feature, c: SimpleNamespace, j: SimpleNamespace) -> np.ndarray:
    try:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(feature.formula(np, c, j), np.float32)
    except AttributeError as error:
        whose = "jets" if error.obj is j else "constituents"
        has = ", ".join(vars(error.obj))
        message = f"feature {name!r} needs {whose} with the field {error.name!r}; they have {has}"
        raise ValueError(message) from None


def _learned(name: str, column: np.ndarray) -> tuple[float, float]:
    """Mean and 1 / standard deviation of the finite values."""
    finite = column[np.isfinite(column)].astype(np.float64)
    if not finite.size:
        message = f"feature {name!r} has no values to learn mean and scale from; give more jets"
        raise ValueError(message)
    spread = float(finite.std())
    return float(finite.mean()), 1 / spread if spread > 0 else 1.0


def _column(array: ak.Array, name: str, dtype: Any) -> np.ndarray:
    return ak.to_numpy(array[name]).astype(dtype, copy=False)


def _offsets(counts: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts)])
