"""Pile-up: the other proton collisions of the same bunch crossing, laid over the events."""

from __future__ import annotations

from dataclasses import dataclass

import awkward as ak
import numpy as np

from fivesigma.generation.pythia import Generation, Generator

__all__ = ["PileUp", "minimum_bias", "overlay"]


@dataclass(frozen=True)
class PileUp:
    """How many further collisions, and where.

    Attributes:
        mean: mean of the Poisson number of collisions per event.
        sigma_xy: width of the beam spot across the beams [mm].
        sigma_z: width of the beam spot along the beams [mm].
        sigma_t: spread of the collision times [ns].
        pool: minimum-bias events generated per shard, of which collisions are drawn with
            replacement.
    """

    mean: float = 50.0
    sigma_xy: float = 0.0125
    sigma_z: float = 53.0
    sigma_t: float = 0.16
    pool: int = 1000

    def __post_init__(self) -> None:
        for name in ("mean", "sigma_xy", "sigma_z", "sigma_t"):
            if not 0 <= getattr(self, name) < np.inf:
                message = f"pile-up: {name} {getattr(self, name):g}: expected a finite number >= 0"
                raise ValueError(message)
        if self.pool < 1:
            message = f"pile-up: a pool of {self.pool} events; at least 1 is needed"
            raise ValueError(message)

    def reuse(self, n_events: int) -> float:
        """How often an event of the pool is used for `n_events`, each time rotated and shifted."""
        return self.mean * n_events / self.pool


def minimum_bias(options: Generation, n: int, seed: int) -> ak.Array:
    """A pool of collisions for `overlay`: their final particles only.

    Args:
        options: as a rule `Generation("minimum-bias", energy=...)` at the energy of the events.
        n: how many collisions.
        seed: 1 ... 900 000 000, see `seed_of`; a stream of its own keeps it apart from the events.

    Returns:
        (n,) events of which `truth` has no mothers.
    """
    events = Generator(options, seed).next(n)
    final = events.truth[events.truth.status > 0]
    final = ak.with_field(final, np.int32(-1), "mother")
    return ak.with_field(events, ak.to_packed(final), "truth")


def overlay(
    events: ak.Array, options: PileUp, pool: ak.Array, rng: np.random.Generator
) -> ak.Array:
    """Add collisions to each event, and spread all of them over the beam spot.

    Args:
        events: (E,) events with `truth`.
        options: number and spread.
        pool: from `minimum_bias`.
        rng: the only source of chance.

    Returns:
        (E,) the same events, `truth` followed by the particles of pile-up and with one more field,
        `vertex`: 0 for the event's own collision, 1, 2 ... for pile-up. `mother` stays valid.

    Raises:
        ValueError: the pool is empty.
    """
    if not len(pool):
        message = "the pool of minimum-bias events is empty; generate at least one"
        raise ValueError(message)
    own, own_counts = _columns(events.truth)
    further, pool_counts = _columns(pool.truth)
    n_collisions = rng.poisson(options.mean, len(events))
    picks = rng.integers(len(pool), size=n_collisions.sum())
    sizes = pool_counts[picks]
    event = np.repeat(np.arange(len(events)), n_collisions)  # (C,) event of each collision
    added = np.bincount(event, weights=sizes, minlength=len(events)).astype(np.int64)

    rows = np.repeat(_starts(pool_counts)[picks] - _starts(sizes), sizes) + np.arange(sizes.sum())
    more = {name: column[rows] for name, column in further.items()}
    _rotate(more, np.repeat(rng.uniform(-np.pi, np.pi, len(picks)), sizes))
    _shift(more, options, sizes, rng)
    _shift(own, options, own_counts, rng)
    number = np.arange(len(picks)) - np.repeat(_starts(n_collisions), n_collisions) + 1
    own["vertex"] = np.zeros(own_counts.sum(), dtype=np.int16)
    more["vertex"] = np.repeat(number, sizes).astype(np.int16)

    counts = own_counts + added
    start = _starts(counts)
    place_own = np.repeat(start - _starts(own_counts), own_counts) + np.arange(own_counts.sum())
    place_more = np.repeat(start + own_counts - _starts(added), added) + np.arange(added.sum())
    merged = {}
    for name, column in own.items():
        merged[name] = np.empty(counts.sum(), dtype=column.dtype)
        merged[name][place_own] = column
        merged[name][place_more] = more[name]
    return ak.with_field(events, ak.unflatten(ak.zip(merged), counts), "truth")


def _columns(lists: ak.Array) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Flat columns, copied, and the number of entries of each list."""
    flat = ak.flatten(lists)
    columns = {name: np.array(flat[name]) for name in flat.fields}
    return columns, ak.num(lists).to_numpy().astype(np.int64)


def _starts(counts: np.ndarray) -> np.ndarray:
    return np.cumsum(counts) - counts


def _rotate(columns: dict[str, np.ndarray], angle: np.ndarray) -> None:
    """Turn particles about the beam axis: a collision has no preferred azimuth."""
    turned = columns["phi"] + angle
    columns["phi"] = np.arctan2(np.sin(turned), np.cos(turned)).astype(np.float32)
    x, y = columns["vx"], columns["vy"]
    cos, sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
    columns["vx"], columns["vy"] = x * cos - y * sin, x * sin + y * cos


def _shift(
    columns: dict[str, np.ndarray], options: PileUp, counts: np.ndarray, rng: np.random.Generator
) -> None:
    """Move each collision to its own point of the beam spot."""
    widths = (options.sigma_xy, options.sigma_xy, options.sigma_z, options.sigma_t)
    for name, width in zip(("vx", "vy", "vz", "vt"), widths, strict=True):
        offset = rng.normal(0.0, width, len(counts)).astype(np.float32)
        columns[name] = columns[name] + np.repeat(offset, counts)
