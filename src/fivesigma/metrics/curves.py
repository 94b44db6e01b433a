"""The ROC curve and the area under it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fivesigma.metrics.counting import binary_inputs, bound, effective_number, inverse
from fivesigma.results import Number

__all__ = ["Roc", "auc", "auc_influence", "macro_auc", "roc"]


@dataclass(frozen=True)
class Roc:
    """A ROC curve: one point per distinct score, from the tightest cut to the loosest.

    Attributes:
        threshold: (T,) falling; a jet passes where `score >= threshold`; the first is infinite.
        signal_efficiency: (T,) rising from 0 to 1.
        background_efficiency: (T,) rising from 0 to 1.
        signal_squares: (T,) sum of squared weights that pass over the squared sum of weights.
        background_squares: (T,) likewise; both give the binomial errors.
        background_jets: (T,) number of background jets that survive, not weighted.
        n_background: effective number of background jets.
    """

    threshold: NDArray[np.float64]
    signal_efficiency: NDArray[np.float64]
    background_efficiency: NDArray[np.float64]
    signal_squares: NDArray[np.float64]
    background_squares: NDArray[np.float64]
    background_jets: NDArray[np.int64]
    n_background: float

    @property
    def signal_error(self) -> NDArray[np.float64]:
        """(T,) binomial error of the signal efficiency."""
        return _error(self.signal_efficiency, self.signal_squares, self.signal_squares[-1])

    @property
    def background_error(self) -> NDArray[np.float64]:
        """(T,) binomial error of the background efficiency."""
        squares = self.background_squares
        return _error(self.background_efficiency, squares, squares[-1])

    @cached_property
    def _tightest(self) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
        # of all points with the same signal efficiency the tightest cut counts
        return np.unique(self.signal_efficiency, return_index=True)

    def _at(self, efficiency: ArrayLike, values: NDArray[np.float64]) -> NDArray[np.float64]:
        distinct, first = self._tightest
        return np.interp(np.asarray(efficiency, dtype=np.float64), distinct, values[first])

    def background_at(self, efficiency: ArrayLike) -> NDArray[np.float64]:
        """Background efficiency at given signal efficiencies, linear between the points.

        A linear piece is what a random choice among jets of equal score would give, so a constant
        score has eps_B = eps_S. Away from ties this is the field's "nearest point" to better than
        one signal jet.
        """
        return self._at(efficiency, self.background_efficiency)

    def jets_at(self, efficiency: ArrayLike) -> NDArray[np.float64]:
        """Number of surviving background jets at given signal efficiencies, not weighted."""
        return self._at(efficiency, self.background_jets.astype(np.float64))

    def error_at(self, efficiency: ArrayLike) -> NDArray[np.float64]:
        """Uncertainty of the background efficiency at a fixed signal efficiency.

        sigma^2 = sigma_B^2 + (d eps_B / d eps_S)^2 sigma_S^2: the binomial error of the background
        at the cut, and that of the cut itself, which the signal jets set (Hsieh and Turnbull, Ann.
        Statist. 24 (1996) 25). The slope is a central difference over at least +-0.02 in eps_S,
        narrower near 0 and 1.
        """
        at = np.asarray(efficiency, dtype=np.float64)
        squares = self._at(at, self.background_squares)
        background = _error(self.background_at(at), squares, self.background_squares[-1])
        signal = _error(at, self._at(at, self.signal_squares), self.signal_squares[-1])
        step = np.minimum(np.maximum(0.02, 2 * signal), np.minimum(at, 1 - at) / 2)
        rise = self.background_at(at + step) - self.background_at(at - step)
        slope = np.divide(rise, 2 * step, out=np.zeros_like(rise), where=step > 0)
        return np.hypot(background, slope * signal)

    def threshold_at(self, efficiency: float) -> float:
        """The tightest cut that keeps at least this fraction of the signal."""
        index = np.searchsorted(self.signal_efficiency, efficiency * (1 - 1e-12))
        return float(self.threshold[min(int(index), self.threshold.size - 1)])

    def rejection(self, efficiency: float) -> Number:
        """Background rejection 1 / eps_B at a signal efficiency; see `metrics.rejection`."""
        if not 0 < efficiency < 1:
            message = f"signal efficiency {efficiency:g} is not between 0 and 1"
            raise ValueError(message)
        value = Number(float(self.background_at(efficiency)), float(self.error_at(efficiency)))
        return inverse(value, float(self.jets_at(efficiency)), self.n_background)


def _error(
    value: NDArray[np.float64], squares: NDArray[np.float64], total: np.float64
) -> NDArray[np.float64]:
    """Error of a weighted fraction from its normalised sum of squared weights and that of all."""
    return np.sqrt(np.maximum((1 - 2 * value) * squares + value**2 * total, 0))


def _efficiency(
    flag: NDArray[np.bool_], weight: NDArray[np.float64], ends: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Efficiency and normalised squares of one class at each cut; inputs by falling score."""
    own = np.where(flag, weight, 0.0)
    passed = np.concatenate([[0.0], np.cumsum(own)[ends]])
    squares = np.concatenate([[0.0], np.cumsum(own**2)[ends]])
    return passed / passed[-1], squares / passed[-1] ** 2


def roc(y: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None) -> Roc:
    """The ROC curve with binomial errors; jets of equal score enter together.

    Args:
        y: (N,) 1 for signal, 0 for background.
        score: (N,) higher means more signal-like.
        weight: (N,) weights >= 0, or None.

    Raises:
        ValueError: see `counting.binary_inputs`.
    """
    signal, scores, weights = binary_inputs(y, score, weight)
    order = np.argsort(-scores, kind="stable")
    signal, scores, ordered = signal[order], scores[order], weights[order]
    ends = np.append(np.flatnonzero(np.diff(scores)), scores.size - 1)
    signal_efficiency, signal_squares = _efficiency(signal, ordered, ends)
    background_efficiency, background_squares = _efficiency(~signal, ordered, ends)
    return Roc(
        threshold=np.concatenate([[np.inf], scores[ends]]),
        signal_efficiency=signal_efficiency,
        background_efficiency=background_efficiency,
        signal_squares=signal_squares,
        background_squares=background_squares,
        background_jets=np.concatenate([[0], np.cumsum(~signal & (ordered > 0))[ends]]),
        n_background=effective_number(ordered[~signal]),
    )


def _below(
    inverse: NDArray[np.intp], weight: NDArray[np.float64], n_values: int
) -> NDArray[np.float64]:
    """Weight below each jet's score, half of the weight at equal score included."""
    at = np.bincount(inverse, weight, n_values)
    return (np.cumsum(at) - at / 2)[inverse]


def auc_influence(
    y: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None
) -> tuple[float, NDArray[np.float64]]:
    """The AUC and each jet's share in its error: the variance is the sum of the squared shares.

    Without weights this is DeLong's variance (Biometrics 44 (1988) 837) by ranks in O(N log N)
    (Sun and Xu, IEEE SPL 21 (2014) 1389); with weights the same expression with weighted
    placements.

    Returns:
        AUC and (N,) shares.
    """
    signal, scores, weights = binary_inputs(y, score, weight)
    values, inverse = np.unique(scores, return_inverse=True)
    own = (np.where(signal, weights, 0.0), np.where(signal, 0.0, weights))
    # the probability that a jet of the other class lies on the wrong side of this one
    above = _below(inverse, own[1], values.size) / own[1].sum()
    below = 1 - _below(inverse, own[0], values.size) / own[0].sum()
    area = float(np.dot(own[0], above) / own[0].sum())
    shares = np.zeros(scores.size)
    for flag, placement in ((signal, above), (~signal, below)):
        n = int(np.count_nonzero(flag))
        share = weights[flag] * (placement[flag] - area) / weights[flag].sum()
        shares[flag] = share * np.sqrt(n / max(n - 1, 1))
    return area, shares


def auc(y: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None) -> Number:
    """Area under the ROC curve: how often a signal jet scores above a background jet.

    Ties count for half.

    Args:
        y: (N,) 1 for signal, 0 for background.
        score: (N,) higher means more signal-like.
        weight: (N,) weights >= 0, or None.

    Returns:
        The area with DeLong's uncertainty. Classes that do not overlap leave it undetermined: then
        the one-sided 68 % bound of the smaller class stands in its place, with a note.

    Raises:
        ValueError: see `counting.binary_inputs`.
    """
    area, shares = auc_influence(y, score, weight)
    error = float(np.sqrt(np.square(shares).sum()))
    if error > 1e-12:
        return Number(area, error)
    signal, _, weights = binary_inputs(y, score, weight)
    smaller = min(effective_number(weights[signal]), effective_number(weights[~signal]))
    return Number(area, bound(smaller), note="the classes do not overlap: uncertainty is a bound")


def macro_auc(y: ArrayLike, probabilities: ArrayLike, weight: ArrayLike | None = None) -> Number:
    """Mean over the classes of the one-vs-rest AUC; the error knows their correlations.

    Args:
        y: (N,) class indices.
        probabilities: (N, C) scores; column c belongs to class c.
        weight: (N,) weights >= 0, or None.
    """
    labels, scores = np.asarray(y), np.asarray(probabilities)
    parts = [auc_influence(labels == c, scores[:, c], weight) for c in range(scores.shape[1])]
    shares = np.mean([share for _, share in parts], axis=0)
    return Number(float(np.mean([a for a, _ in parts])), float(np.sqrt(np.square(shares).sum())))
