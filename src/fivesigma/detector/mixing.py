"""Pile-up at signal level: collisions that were simulated once are laid over many events.

A library is a dataset of minimum-bias events whose signals are kept as they were before any
electronics: `hits` without noise, `deposits` in cells, `segments`; and `pileup`, the particles
that can leave tracks. Mixing adds them to what an event leaves itself; noise, sampling and
thresholds then act on the sum, as in a real detector.
"""

from __future__ import annotations

from collections.abc import Mapping

import awkward as ak
import numpy as np

from fivesigma.detector.calorimeter.deposit import Contributions, merge
from fivesigma.detector.signals import Left, lists

__all__ = ["LIBRARY", "library", "mix", "spread"]

#: the collections of a library
LIBRARY = ("hits", "deposits", "segments", "pileup")
#: width of the beam spot across and along the beams [mm], and of the times of collisions [ns]
_BEAM_SPOT = {"vx": 0.0125, "vy": 0.0125, "vz": 53.0, "vt": 0.16}
#: particles with fewer hits of their own cannot leave a track
_HITS_MIN = 3


def spread(truth: ak.Array, rng: np.random.Generator) -> ak.Array:
    """The same collisions at points of the beam spot, as `generation.pileup` spreads them."""
    for name, width in _BEAM_SPOT.items():
        shift = rng.normal(0.0, width, len(truth)).astype(np.float32)
        truth = ak.with_field(truth, truth[name] + shift[:, None], name)
    return truth


def library(left: Left, truth: ak.Array) -> dict[str, ak.Array]:
    """What a library keeps of some collisions: one list per event of each of `LIBRARY`.

    Particles are kept with at least three hits that they left themselves; what others left has
    truth -1, and their energies in a cell are added up.

    Args:
        left: from `signals.transport`.
        truth: lists of particles of these events, whose final ones were carried.
    """
    n_events = len(truth)
    counts = ak.to_numpy(ak.num(truth)).astype(np.int64)
    first = np.cumsum(counts) - counts
    kept = _kept(left.hits, first, int(counts.sum()))
    place = np.full(kept.size, -1)
    event = np.repeat(np.arange(n_events), counts)
    number = np.bincount(event[kept], minlength=n_events)
    place[kept] = np.arange(kept.sum()) - (np.cumsum(number) - number)[event[kept]]
    flat = ak.flatten(truth)[kept]
    fields = {"mother": np.full(len(flat), -1, np.int32), "vertex": np.zeros(len(flat), np.int16)}
    for name, values in fields.items():
        flat = ak.with_field(flat, values, name)
    each = left.contributions._asdict()
    return {
        "hits": lists("hits", _renamed(left.hits, first, place), n_events),
        "deposits": lists("deposits", _summed(_renamed(each, first, place)), n_events),
        "segments": lists("segments", _renamed(_columns(left.segments), first, place), n_events),
        "pileup": ak.unflatten(flat, number),
    }


def _kept(hits: Mapping[str, np.ndarray], first: np.ndarray, n: int) -> np.ndarray:
    """Which rows of truth (N,) have enough hits of their own."""
    own = (hits["truth"] >= 0) & ~hits["secondary"].astype(bool)
    return np.bincount((first[hits["event"]] + hits["truth"])[own], minlength=n) >= _HITS_MIN


def _columns(of: ak.Array) -> dict[str, np.ndarray]:
    """Flat columns of lists per event, `event` among them."""
    columns = {name: ak.to_numpy(ak.flatten(of[name])) for name in of.fields}
    return columns | {"event": np.repeat(np.arange(len(of)), ak.to_numpy(ak.num(of)))}


def _renamed(
    columns: Mapping[str, np.ndarray], first: np.ndarray, place: np.ndarray
) -> dict[str, np.ndarray]:
    """Columns whose `truth` is the index among the kept particles, -1 for all others."""
    truth = columns["truth"]
    row = first[columns["event"]] + np.maximum(truth, 0)
    return {**columns, "truth": np.where(truth >= 0, place[row], -1)}


def _summed(each: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Energies of the same particle, or of all that are not kept, in the same cell."""
    depths, cells, names = (
        int(each[name].max(initial=0)) + 2 for name in ("depth", "cell", "truth")
    )
    key = ((each["event"] * depths + each["depth"]) * cells + each["cell"]) * names
    key, row = np.unique(key + each["truth"] + 1, return_inverse=True)
    return {
        "event": key // (depths * cells * names),
        "depth": key // (cells * names) % depths,
        "cell": key // names % cells,
        "truth": key % names - 1,
        "energy": np.bincount(row, each["energy"], len(key)),
        "visible": np.bincount(row, each["visible"], len(key)),
    }


def mix(
    left: Left,
    truth: ak.Array,
    pool: Mapping[str, ak.Array],
    collisions: np.ndarray,
    rng: np.random.Generator,
) -> tuple[Left, ak.Array]:
    """Lay collisions of a library over events.

    Args:
        left: what the events leave themselves.
        truth: lists of their particles.
        pool: the collections of a library, one list per collision.
        collisions: (E,) how many are added to each event, drawn with replacement.
        rng: source of randomness.

    Returns:
        The sum, and the lists of `pileup` per event: its particles have `vertex` 1, 2 ..., and
        indices into `truth` go on in them; what others of them left has truth -1. The balance
        stays that of the events.

    Raises:
        ValueError: the library is empty.
    """
    if not len(pool["hits"]):
        message = "the library of pile-up has no events; make one with --library"
        raise ValueError(message)
    n_events, n_pool = len(collisions), len(pool["hits"])
    picks = rng.integers(n_pool, size=int(collisions.sum()))
    event = np.repeat(np.arange(n_events), collisions)
    sizes = ak.to_numpy(ak.num(pool["pileup"]))[picks]
    added = np.bincount(event, sizes, n_events).astype(np.int64)
    before = np.cumsum(sizes) - sizes - (np.cumsum(added) - added)[event]
    shift = ak.to_numpy(ak.num(truth))[event] + before

    def gathered(name: str) -> dict[str, np.ndarray]:
        return _gathered(pool[name], picks, event, shift)

    more = gathered("deposits")
    contributions = Contributions(*(more[name] for name in Contributions._fields))
    mixed = Left(
        _joined(left.hits, gathered("hits")),
        merge([left.contributions, contributions]),
        lists("segments", _joined(_columns(left.segments), gathered("segments")), n_events),
        left.balance,
    )
    number = np.arange(len(picks)) - np.repeat(np.cumsum(collisions) - collisions, collisions) + 1
    particles = gathered("pileup") | {"vertex": np.repeat(number, sizes)}
    return mixed, lists("pileup", particles, n_events)


def _gathered(
    pool: ak.Array, picks: np.ndarray, event: np.ndarray, shift: np.ndarray
) -> dict[str, np.ndarray]:
    """Columns of the picked lists, the event that each entry goes to, and `truth` shifted."""
    counts = ak.to_numpy(ak.num(pool))
    starts = np.cumsum(counts) - counts
    sizes = counts[picks]
    rows = np.repeat(starts[picks] - (np.cumsum(sizes) - sizes), sizes) + np.arange(sizes.sum())
    flat = ak.flatten(pool)
    columns = {name: ak.to_numpy(flat[name])[rows] for name in pool.fields}
    columns |= {name: column.astype(np.int64) for name, column in columns.items()
                if column.dtype.kind in "iu"}  # fmt: skip
    if "truth" in columns:
        known = columns["truth"] >= 0
        columns["truth"] = np.where(known, columns["truth"] + np.repeat(shift, sizes), -1)
    return columns | {"event": np.repeat(event, sizes)}


def _joined(
    one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    return {name: np.concatenate([one[name], other[name]]) for name in one if name in other}
