"""Toy events whose separation is known: two Gaussian quantities, noise, and a mass."""

from __future__ import annotations

import awkward as ak
import numpy as np

#: distance of the classes' means in x and y, in standard deviations
SHIFT = 1.0


def make_events(n: int, *, seed: int = 0, signal: float = 0.5, negative: float = 0.0) -> ak.Array:
    """N events with `label` (0 signal, 1 background), `x y noise mass weight event`.

    Background's `y` and `mass` are correlated; signal has a peak in the mass.

    Args:
        n: number of events.
        seed: of the events.
        signal: their share of signal.
        negative: share of events whose weight is negative.
    """
    rng = np.random.default_rng(seed)
    label = (rng.random(n) >= signal).astype(np.int64)
    mass = np.where(label == 0, rng.normal(125, 5, n), rng.exponential(60, n) + 60)
    pull = np.where(label == 0, 0, (mass - 125) / 60)
    weight = rng.uniform(0.5, 1.5, n) * np.where(rng.random(n) < negative, -1, 1)
    return ak.Array(
        {
            "x": rng.normal(SHIFT * (label == 0), 1),
            "y": rng.normal(SHIFT * (label == 0) - pull, 1),
            "noise": rng.normal(size=n),
            "mass": mass,
            "label": label,
            "weight": weight,
            "event": np.arange(n, dtype=np.uint64) + np.uint64(1000 * seed),
        }
    )
