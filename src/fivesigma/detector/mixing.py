"""Pile-up at signal level: collisions that were simulated once are laid over many events.

A library is a dataset of minimum-bias events whose signals are kept as they were before any
electronics: `hits` without noise, `deposits` in cells, `segments`. Mixing adds them to what an
event leaves itself; noise, sampling and thresholds then act on the sum, as in a real detector.
"""

from __future__ import annotations

from collections.abc import Mapping

import awkward as ak
import numpy as np

from fivesigma.detector.calorimeter.deposit import Contributions, merge
from fivesigma.detector.signals import Left, lists

__all__ = ["LIBRARY", "library", "mix"]

#: the collections of a library
LIBRARY = ("hits", "deposits", "segments")


def library(left: Left, n_events: int) -> dict[str, ak.Array]:
    """What a library keeps of some collisions: one list per event of each of `LIBRARY`.

    The energies of all particles in a cell are added up: nobody asks later who left them.

    Args:
        left: from `signals.transport`.
        n_events: number of events.
    """
    each = left.contributions
    depths = int(each.depth.max(initial=0)) + 1
    cells = int(each.cell.max(initial=0)) + 1
    key, row = np.unique((each.event * depths + each.depth) * cells + each.cell,
                         return_inverse=True)  # fmt: skip
    columns = {
        "event": key // (depths * cells),
        "depth": key // cells % depths,
        "cell": key % cells,
        "energy": np.bincount(row, each.energy, len(key)),
        "visible": np.bincount(row, each.visible, len(key)),
    }
    return {
        "hits": lists("hits", left.hits, n_events),
        "deposits": lists("deposits", columns, n_events),
        "segments": left.segments,
    }


def mix(
    left: Left, pool: Mapping[str, ak.Array], collisions: np.ndarray, rng: np.random.Generator
) -> Left:
    """Lay collisions of a library over events.

    Args:
        left: what the events leave themselves.
        pool: the collections of a library, one list per collision.
        collisions: (E,) how many are added to each event, drawn with replacement.
        rng: source of randomness.

    Returns:
        The sum; what comes from pile-up has truth -1. The balance stays that of the events.

    Raises:
        ValueError: the library is empty.
    """
    n_pool = len(pool["hits"])
    if not n_pool:
        message = "the library of pile-up has no events; make one with --library"
        raise ValueError(message)
    picks = rng.integers(n_pool, size=int(collisions.sum()))
    event = np.repeat(np.arange(len(collisions)), collisions)
    hits = _gathered(pool["hits"], picks, event)
    hits["truth"] = np.full(len(hits["event"]), -1)
    more = _gathered(pool["deposits"], picks, event)
    none = np.full(len(more["event"]), -1)
    contributions = Contributions(
        more["event"], more["depth"], more["cell"], none, more["energy"], more["visible"]
    )
    segments = _gathered(pool["segments"], picks, event)
    segments["truth"] = np.full(len(segments["event"]), -1)
    own = {name: ak.to_numpy(ak.flatten(left.segments[name])) for name in left.segments.fields}
    own["event"] = np.repeat(np.arange(len(collisions)), ak.to_numpy(ak.num(left.segments)))
    return Left(
        _joined(left.hits, hits),
        merge([left.contributions, contributions]),
        lists("segments", _joined(own, segments), len(collisions)),
        left.balance,
    )


def _gathered(pool: ak.Array, picks: np.ndarray, event: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of the picked lists, and the event that each entry goes to."""
    counts = ak.to_numpy(ak.num(pool))
    starts = np.cumsum(counts) - counts
    sizes = counts[picks]
    rows = np.repeat(starts[picks] - (np.cumsum(sizes) - sizes), sizes) + np.arange(sizes.sum())
    flat = ak.flatten(pool)
    columns = {name: ak.to_numpy(flat[name])[rows] for name in pool.fields}
    integers = {name: column.astype(np.int64) for name, column in columns.items()
                if column.dtype.kind in "iu"}  # fmt: skip
    return columns | integers | {"event": np.repeat(event, sizes)}


def _joined(
    one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    return {name: np.concatenate([one[name], other[name]]) for name in one if name in other}
