"""Expected uncertainty of the signal strength from a score, and the gain of one over another.

The score's histogram is fitted with its variations as nuisance parameters; the answer is that of
the Fisher information of the Asimov data, as in the loss `losses.signal_strength_variance`, with
plain bins in the place of soft ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from fivesigma.losses import signal_strength_variance
from fivesigma.results import Number

__all__ = ["Spectrum", "strength_gain", "strength_uncertainty"]

#: simulated background events that a bin holds at least
_LEAST = 20
_REPLICAS = 200


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Scores of the same events, nominal and varied, with their weights.

    Attributes:
        y: (N,) 1 for signal, 0 for background.
        nominal: scores (N,) and weights (N,), expected events.
        varied: of each nuisance parameter, scores and weights moved up and, where known, down.
        background_uncertainty: relative, of the background's normalisation.
    """

    y: np.ndarray
    nominal: tuple[np.ndarray, np.ndarray]
    varied: Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]]
    background_uncertainty: float = 0.0


def strength_uncertainty(spectrum: Spectrum, bins: int = 10, seed: int = 0) -> Number:
    """Expected uncertainty of the signal strength; its error is that of finite simulation.

    Args:
        spectrum: scores in [0, 1] of N events.
        bins: of equal width in the score; from the signal-like end, bins are merged until each
            holds 20 simulated background events.
        seed: of the bootstrap.

    Raises:
        ValueError: too few events.
    """
    values = _replicas(spectrum, bins, seed)
    return Number(float(values[0]), float(values[1:].std(ddof=1)))


def strength_gain(plain: Spectrum, aware: Spectrum, bins: int = 10, seed: int = 0) -> Number:
    """By how much a second score makes the expected uncertainty smaller: 1 - second / first.

    Args:
        plain: scores of the first.
        aware: scores of the second, of the same events, whose fluctuations cancel.
        bins: as for `strength_uncertainty`.
        seed: of the paired bootstrap.
    """
    first, second = (_replicas(each, bins, seed) for each in (plain, aware))
    gain = 1 - second / first
    return Number(float(gain[0]), float(gain[1:].std(ddof=1)))


def _replicas(spectrum: Spectrum, bins: int, seed: int) -> np.ndarray:
    """(1 + R,) uncertainty from the events, and from each Poisson replica of them."""
    signal = np.asarray(spectrum.y, bool)
    edges = _edges(spectrum.nominal[0][~signal], bins)
    filled = [_Filled(signal, *spectrum.nominal, edges)]
    filled += [_Filled(signal, *one, edges) for pair in spectrum.varied.values() for one in pair]
    sides = [len(pair) for pair in spectrum.varied.values()]
    rng = np.random.default_rng(seed)
    found = [_uncertainty(filled, sides, np.ones(len(signal)), spectrum.background_uncertainty)]
    for _ in range(_REPLICAS):
        counts = rng.poisson(1.0, len(signal)).astype(np.float64)
        found.append(_uncertainty(filled, sides, counts, spectrum.background_uncertainty))
    return np.array(found)


def _edges(background: np.ndarray, bins: int) -> np.ndarray:
    """Inner edges of bins of equal width, without those that leave too little background above."""
    kept: list[float] = []
    above = np.inf
    for edge in np.arange(bins - 1, 0, -1) / bins:
        inside = np.count_nonzero((background >= edge) & (background < above))
        if min(inside, np.count_nonzero(background < edge)) >= _LEAST:
            kept.append(float(edge))
            above = edge
    if not kept:
        message = (
            f"{len(background)} background events in one bin of the score; simulate more, "
            "or use fewer bins"
        )
        raise ValueError(message)
    return np.array(kept[::-1])


class _Filled:
    """Events in bins of the score and class, to be counted with any multiplicities."""

    def __init__(
        self, signal: np.ndarray, score: np.ndarray, weight: np.ndarray, edges: np.ndarray
    ) -> None:
        self.bins = len(edges) + 1
        self.index = np.searchsorted(edges, score, side="right") + np.where(signal, 0, self.bins)
        self.weight = weight

    def counted(self, counts: np.ndarray) -> np.ndarray:
        """(2, K) signal and background."""
        flat = np.bincount(self.index, self.weight * counts, 2 * self.bins)
        return flat.reshape(2, self.bins)


def _uncertainty(
    filled: list[_Filled], sides: list[int], counts: np.ndarray, background_uncertainty: float
) -> float:
    nominal, *varied = [each.counted(counts) for each in filled]
    shifts, at = [], 0
    for number in sides:
        pair = [each.sum(0) for each in varied[at : at + number]]
        shifts.append((pair[0] - pair[1]) / 2 if number > 1 else pair[0] - nominal.sum(0))
        at += number
    if background_uncertainty:
        shifts.append(background_uncertainty * nominal[1])
    moved = np.reshape(shifts, (len(shifts), nominal.shape[1]))
    tensors = (
        torch.from_numpy(each) for each in (nominal[0], np.maximum(nominal[1], 1e-9), moved)
    )
    return float(signal_strength_variance(*tensors).sqrt())
