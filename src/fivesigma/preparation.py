"""From Awkward jets to the flat arrays that batches are cut from: features, scaling, images."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from numba import get_num_threads, njit

from fivesigma.caches import Cache
from fivesigma.events import validate
from fivesigma.features import FEATURES, OBSERVABLES, Feature, energy, shared
from fivesigma.images import CHANNELS, image_entries
from fivesigma.inputs import Inputs, require_known
from fivesigma.kinematics import derived

__all__ = ["build_cache"]

_JET_FIELDS = {"label": np.int64, "weight": np.float32, "event": np.uint64}

_MOMENTUM = ("pt", "eta", "phi", "mass")
#: constituents computed at a time, so few that all columns stay in a core's own cache
_BLOCK = 16_384


def build_cache(jets: ak.Array, inputs: Inputs) -> Cache:
    """Compute a network's inputs for jets.

    Constants that neither `inputs` nor the table of features gives are learned from these jets:
    build the cache of the training jets first, and all others with its `.inputs`.

    Args:
        jets: records of the collection `jets`; with `constituents` unless only observables are
            asked for, which may be those of any records, e.g. of events.
        inputs: what to compute.

    Returns:
        The cache; its `inputs` are complete.

    Raises:
        ValueError: a missing field, NaN or infinite momenta, constants to be learned from no jets.
    """
    if inputs.kind != "observables" or set(_MOMENTUM) <= set(jets.fields):
        validate(jets, "jets")
    present = {
        name: _column(jets, name, dtype)
        for name, dtype in _JET_FIELDS.items()
        if name in jets.fields
    }
    if inputs.kind == "observables":
        inputs, values = _observables(jets, inputs)
        return Cache(inputs, values, **present)
    pieces = _Pieces(jets, inputs.max_constituents)
    if inputs.kind == "image":
        pixel, values, offsets = _pixels(inputs, pieces)
        return Cache(inputs, values, *_spans(offsets), pixel, **present)
    inputs, values = _standardised(inputs, FEATURES, pieces)
    return Cache(inputs, values, *_spans(pieces.offsets), **present)


def _observables(jets: ak.Array, inputs: Inputs) -> tuple[Inputs, np.ndarray]:
    """Completed inputs and (N, F) standardised values."""
    names = [name for name in jets.fields if jets[name].ndim == 1]
    of_jets = SimpleNamespace(**{name: _column(jets, name, np.float32) for name in names})
    table = OBSERVABLES | {name: _field(name) for name in names}
    require_known("observable", inputs.features, table)
    return _standardised(inputs, table, _Whole(of_jets, len(jets)))


def _field(name: str) -> Feature:
    return Feature(lambda xp, c, j: getattr(j, name), "a field of the jets", None, None, 10.0)


class _Block(NamedTuple):
    """Columns of constituents and of their jets, where each jet begins, and features at hand."""

    c: SimpleNamespace
    j: SimpleNamespace
    offsets: np.ndarray
    ready: Mapping[str, np.ndarray]


class _Whole:
    """Observables of jets: one block of all."""

    def __init__(self, of_jets: SimpleNamespace, count: int) -> None:
        self._of_jets, self._count = of_jets, count
        self.rows = [slice(0, count)]

    def __len__(self) -> int:
        return self._count

    def block(self, number: int) -> _Block:
        """The columns of all jets."""
        return _Block(SimpleNamespace(), self._of_jets, np.array([0, self._count]), {})


class _Pieces:
    """Jets in blocks of about `_BLOCK` constituents, each jet with its `most` leading ones.

    Attributes:
        offsets: (N + 1,) where each jet begins among the constituents that are kept.
        rows: of each block, where its constituents are among those that are kept.
    """

    def __init__(self, jets: ak.Array, most: int) -> None:
        if "constituents" not in jets.fields:
            message = f"these jets have no constituents, only {', '.join(jets.fields)}"
            raise ValueError(message)
        self._jets, self._most = jets, most
        constituents = jets["constituents"]  # an attribute of this name may be something else
        validate(constituents[:0], "constituents")  # the fields; `block` looks at the values
        self._counts = ak.to_numpy(ak.num(constituents, axis=1)).astype(np.int64)
        flat = ak.flatten(constituents, axis=1)  # not copied
        self._flat = {name: ak.to_numpy(flat[name]) for name in flat.fields}
        self._of_jets = {name: _column(jets, name, np.float32) for name in _MOMENTUM}
        # cheaper before it is repeated
        self._of_jets["energy"] = energy(np, SimpleNamespace(**self._of_jets))
        self._bounds = _offsets(self._counts)
        # threads wait for each other between operations: they need longer ones
        size = _BLOCK if get_num_threads() == 1 else 4 * _BLOCK
        inner = np.searchsorted(self._bounds, range(size, self._bounds[-1], size))
        self._ranges = list(pairwise([0, *inner, len(self._counts)]))
        self.offsets = _offsets(np.minimum(self._counts, most))
        self.rows = [slice(self.offsets[a], self.offsets[b]) for a, b in self._ranges]

    def __len__(self) -> int:
        return int(self.offsets[-1])

    def block(self, number: int) -> _Block:
        """Leading constituents by falling pT of the jets of one block."""
        first, last = self._ranges[number]
        part, rows = slice(self._bounds[first], self._bounds[last]), slice(first, last)
        columns = {name: v[part].astype(np.float32, copy=False) for name, v in self._flat.items()}
        kept = self._counts[rows]
        pt, eta, phi, mass = (columns[name] for name in _MOMENTUM)
        sound, falling = _looked_at(pt, eta, phi, mass, kept)
        if not sound:
            validate(self._jets["constituents"], "constituents")  # says what is wrong with them
        if not falling or kept.max(initial=0) > self._most:
            columns, kept = _leading(columns, kept, self._most)
        return _block(columns, {k: v[rows] for k, v in self._of_jets.items()}, kept)


@njit(cache=True, nogil=True)
def _looked_at(
    pt: np.ndarray, eta: np.ndarray, phi: np.ndarray, mass: np.ndarray, counts: np.ndarray
) -> tuple[bool, bool]:
    """Whether momenta are finite and pT is not negative; whether pT falls in every jet."""
    bad = 0
    for i in range(len(pt)):  # x - x is not 0 where x is NaN or infinite
        bad += (pt[i] < 0) | (pt[i] - pt[i] != 0) | (eta[i] - eta[i] != 0)
        bad += (phi[i] - phi[i] != 0) | (mass[i] - mass[i] != 0)
    rises = 0
    for i in range(1, len(pt)):
        rises += pt[i] > pt[i - 1]
    begin = 0
    for count in counts:  # from one jet to the next it may rise
        if count > 0 and begin > 0:
            rises -= pt[begin] > pt[begin - 1]
        begin += count
    return bad == 0, rises == 0


def _block(
    columns: dict[str, np.ndarray], jets: dict[str, np.ndarray], counts: np.ndarray
) -> _Block:
    ready = derived(columns, jets, counts)
    of_jets = {name: partial(np.repeat, values, counts) for name, values in jets.items()}
    offsets, full = _offsets(counts), counts > 0  # reduceat has no empty sums

    def total(values: np.ndarray) -> np.ndarray:
        if not len(values):
            return values
        sums = np.add.reduceat(values, offsets[:-1][full], dtype=np.float64)
        return np.repeat(sums.astype(np.float32), counts[full])

    return _Block(*shared(np, columns, of_jets, total, ready), offsets, ready)


def _leading(
    columns: dict[str, np.ndarray], counts: np.ndarray, most: int
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Columns of each jet's `most` leading constituents by falling pT, and (N,) counts."""
    row, begins = np.repeat(np.arange(len(counts)), counts), _offsets(counts)[:-1]
    order = np.lexsort((-columns["pt"], row))
    keep = order[np.arange(len(row)) - begins[row] < most]
    return {name: values[keep] for name, values in columns.items()}, np.minimum(counts, most)


@np.errstate(divide="ignore", invalid="ignore")  # shares of jets without pT
def _pixels(inputs: Inputs, pieces: _Pieces) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixel numbers, values of the channels asked for, and where each jet begins."""
    chosen = [list(CHANNELS).index(name) for name in inputs.channels]
    pixels, values, counts = [], [], []
    for number in range(len(pieces.rows)):
        block = pieces.block(number)
        c = block.c
        if "charged_pt" in inputs.channels and not hasattr(c, "charge"):
            message = "channel 'charged_pt' needs constituents with the field 'charge'"
            raise ValueError(message)
        charge = getattr(c, "charge", np.zeros_like(c.pt))
        pixel, entries, bounds = image_entries(
            c.pt,
            c.eta_oriented,
            c.phi_oriented,
            charge,
            block.offsets,
            inputs.pixels,
            inputs.half_width,
        )
        pixels.append(pixel)
        values.append(entries[:, chosen])
        counts.append(np.diff(bounds))
    return np.concatenate(pixels), np.concatenate(values), _offsets(np.concatenate(counts))


def _standardised(
    inputs: Inputs, table: dict[str, Feature], pieces: _Pieces | _Whole
) -> tuple[Inputs, np.ndarray]:
    """Inputs complete with their constants, and (rows, F) standardised float32 values.

    Blocks are shared among as many threads as Numba may use.
    """
    inputs = inputs if inputs.mean else _completed(inputs, table, pieces)
    clip = [table[name].clip for name in inputs.features]
    constants = np.array([inputs.mean, inputs.scale, clip], np.float32).T
    values = np.empty((len(pieces), len(inputs.features)), np.float32)

    def fill(number: int) -> None:
        with np.errstate(divide="ignore", invalid="ignore"):  # shares of jets without pT
            block = pieces.block(number)
            rows = values[pieces.rows[number]]
            for i, name in enumerate(inputs.features):
                _standardise(_evaluated(name, table[name], block), constants[i], rows[:, i])

    with ThreadPoolExecutor(get_num_threads()) as pool:
        for _ in pool.map(fill, range(len(pieces.rows))):
            pass
    return inputs, values


@njit(cache=True, nogil=True)
def _standardise(column: np.ndarray, constants: np.ndarray, out: np.ndarray) -> None:
    mean, scale, clip = constants[0], constants[1], constants[2]
    for row in range(len(column)):
        value = (column[row] - mean) * scale
        if value != value:  # 0 / 0 in a ratio: the mean
            value = np.float32(0)
        out[row] = min(max(value, -clip), clip)


def _completed(inputs: Inputs, table: dict[str, Feature], pieces: _Pieces | _Whole) -> Inputs:
    """Inputs with the constants of the table; those that it leaves open are learned."""
    constants = {name: (table[name].mean, table[name].scale) for name in inputs.features}
    columns: dict[str, list[np.ndarray]] = {k: [] for k, v in constants.items() if None in v}
    with np.errstate(divide="ignore", invalid="ignore"):
        for number in range(len(pieces.rows) if columns else 0):
            block = pieces.block(number)
            for name, parts in columns.items():
                parts.append(_evaluated(name, table[name], block))
    constants |= {name: _learned(name, np.concatenate(v)) for name, v in columns.items()}
    mean, scale = zip(*(constants[name] for name in inputs.features), strict=True)
    return replace(inputs, mean=mean, scale=scale)


def _evaluated(name: str, feature: Feature, block: _Block) -> np.ndarray:
    if name in block.ready:
        return block.ready[name]
    try:
        return np.asarray(feature.formula(np, block.c, block.j), np.float32)
    except AttributeError as error:
        whose = "jets" if error.obj is block.j else "constituents"
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


def _spans(offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where each jet begins, and how many entries it has."""
    return offsets[:-1], np.diff(offsets)
