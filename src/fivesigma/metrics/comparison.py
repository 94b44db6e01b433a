"""Two taggers on the same jets: differences whose common fluctuations cancel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fivesigma.metrics.counting import LOW_STATISTICS, binary_inputs, bound, effective_number
from fivesigma.metrics.working_points import EFFICIENCIES
from fivesigma.results import Number

__all__ = ["compare"]


class _Ranked:
    """One tagger's jets by falling score; AUC and eps_B for any set of weights in O(N)."""

    def __init__(self, signal: NDArray[np.bool_], score: NDArray[np.float64]) -> None:
        self.order = np.argsort(-score, kind="stable")
        self.signal = signal[self.order]
        self.ends = np.append(np.flatnonzero(np.diff(score[self.order])), score.size - 1)

    def figures(
        self, weight: NDArray[np.float64], efficiencies: Sequence[float]
    ) -> tuple[float, NDArray[np.float64]]:
        """AUC, and the background efficiency at each signal efficiency."""
        ordered = weight[self.order]
        signal = np.cumsum(np.where(self.signal, ordered, 0.0))[self.ends]
        background = np.cumsum(np.where(self.signal, 0.0, ordered))[self.ends]
        signal = np.concatenate([[0.0], signal / signal[-1]])
        background = np.concatenate([[0.0], background / background[-1]])
        area = float(np.dot(np.diff(background), signal[1:] + signal[:-1]) / 2)
        upper = np.searchsorted(signal, efficiencies)
        lower = np.searchsorted(signal, signal[upper - 1])
        part = (np.asarray(efficiencies) - signal[lower]) / (signal[upper] - signal[lower])
        return area, background[lower] + part * (background[upper] - background[lower])


def _ratio(
    values: NDArray[np.float64], replicas: NDArray[np.float64], floor: float, jets: float
) -> Number:
    """Ratio of rejections, first over second, from background efficiencies (2,) and (R, 2)."""
    kept = np.maximum(values, floor)
    logs = np.log(np.maximum(replicas, floor))
    ratio = float(kept[1] / kept[0])
    few = (values < floor).any()
    note = f"rests on {jets:.0f} background jets" if jets < LOW_STATISTICS else ""
    note = "a tagger lets no background through: a bound stands for it" if few else note
    return Number(ratio, ratio * float(np.std(logs[:, 1] - logs[:, 0])), note=note)


def compare(
    y: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    efficiencies: Sequence[float] = EFFICIENCIES,
    weight: ArrayLike | None = None,
    replicas: int = 200,
    seed: int = 0,
) -> dict[str, Number]:
    """Compare two taggers on the same jets by a paired bootstrap.

    Every replica gives each jet a Poisson(1) multiplicity, the same for both taggers, so what both
    get right or wrong together cancels in the difference.

    Args:
        y: (N,) 1 for signal, 0 for background.
        first: (N,) scores of the first tagger.
        second: (N,) scores of the second tagger.
        efficiencies: signal efficiencies at which rejections are compared, each in (0, 1).
        weight: (N,) weights >= 0, or None.
        replicas: number of bootstrap replicas; 200 give the uncertainty to 5 %.
        seed: of the bootstrap.

    Returns:
        `auc_difference` (first - second) and, per efficiency, `rejection_ratio_at_50` (first /
        second).

    Raises:
        ValueError: bad inputs or efficiencies.
    """
    if not all(0 < e < 1 for e in efficiencies):
        message = f"signal efficiencies must lie between 0 and 1, got {list(efficiencies)}"
        raise ValueError(message)
    signal, scores, weights = binary_inputs(y, first, weight)
    _, others, _ = binary_inputs(y, second, weight)
    taggers = (_Ranked(signal, scores), _Ranked(signal, others))
    nominal = [tagger.figures(weights, efficiencies) for tagger in taggers]
    rng = np.random.default_rng(seed)
    draws: list[list[tuple[float, NDArray[np.float64]]]] = []
    while len(draws) < replicas:
        jets = weights * rng.poisson(1.0, weights.size)
        if jets[signal].sum() > 0 and jets[~signal].sum() > 0:
            draws.append([tagger.figures(jets, efficiencies) for tagger in taggers])
    areas = np.array([[area for area, _ in draw] for draw in draws])
    numbers = {
        "auc_difference": Number(
            nominal[0][0] - nominal[1][0], float(np.std(areas[:, 0] - areas[:, 1]))
        )
    }
    floor = bound(effective_number(weights[~signal]))
    passed = np.array([b for _, b in nominal])  # (2, E)
    resampled = np.array([[b for _, b in draw] for draw in draws])  # (R, 2, E)
    for k, efficiency in enumerate(efficiencies):
        jets_left = float(passed[:, k].min() * np.count_nonzero(~signal))
        name = f"rejection_ratio_at_{100 * efficiency:.0f}"
        numbers[name] = _ratio(passed[:, k], resampled[:, :, k], floor, jets_left)
    return numbers
