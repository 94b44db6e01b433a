"""The ABCD method: background of the signal region A from three regions, A = B C / D.

Two variables that are independent for the background cut the plane into four regions:

        x passes   x fails
    A: signal    | B          y passes
    C            | D          y fails
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, sqrt

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.stats import chi2, pearsonr, spearmanr

from fivesigma.results import Number

__all__ = [
    "Closure",
    "Counts",
    "abcd_counts",
    "abcd_interval",
    "abcd_prediction",
    "closure",
    "correlation",
]


#: an expectation below is taken for this
_TINY = 1e-300


@dataclass(frozen=True)
class Counts:
    """Events of the four regions.

    Attributes:
        b: one variable passes.
        c: the other variable passes.
        d: neither passes.
        a: both pass; None while blinded.
    """

    b: float
    c: float
    d: float
    a: float | None = None

    def __post_init__(self) -> None:
        values = {"a": self.a or 0.0, "b": self.b, "c": self.c, "d": self.d}
        for name, value in values.items():
            if not np.isfinite(value) or value < 0:
                message = f"region {name.upper()} has {value} events; expected a number of events"
                raise ValueError(message)
        if self.d == 0:
            message = "region D has no events, so B C / D is undefined; loosen the cuts"
            raise ValueError(message)


def abcd_prediction(counts: Counts, closure_uncertainty: float = 0.0) -> Number:
    """B C / D with its error propagated from the Poisson errors of the three regions.

    sigma^2 = (C / D)^2 B + (B / D)^2 C + (B C / D^2)^2 D: exact to first order, too small for
    regions of a few events; `abcd_interval` is for those.

    Args:
        counts: of the regions.
        closure_uncertainty: relative, added in quadrature; see `closure`.
    """
    b, c, d = counts.b, counts.c, counts.d
    value = b * c / d
    variance = (c / d) ** 2 * b + (b / d) ** 2 * c + (value / d) ** 2 * d
    error = float(np.sqrt(variance + (closure_uncertainty * value) ** 2))
    empty = [name for name, n in (("B", b), ("C", c)) if n == 0]
    note = f"region {' and '.join(empty)} has no events; use abcd_interval" if empty else ""
    return Number(value, error, "events", note)


def _deviance(a: float, counts: Counts) -> float:
    """Twice the log-likelihood ratio of a background a in A against the best one.

    With b c = a d, the likelihood of B, C and D is largest at b = B + k, c = C + k, d = D - k,
    where k solves (B + k) (C + k) = a (D - k).
    """
    b, c, d = counts.b, counts.c, counts.d
    half = 0.5 * (b + c + a)
    rest = b * c - a * d
    # the larger root, which keeps b, c >= 0, in the form that loses no digits
    k = -rest / (half + sqrt(max(half * half - rest, 0.0))) if half > 0 else 0.0
    pairs = ((b, b + k), (c, c + k), (d, d - k))
    return 2 * sum(nu - n + (n * log(n / max(nu, _TINY)) if n else 0.0) for n, nu in pairs)


def abcd_interval(counts: Counts, level: float = 0.6827) -> tuple[float, float]:
    """Interval of the background in A by the profile likelihood of B, C and D.

    Args:
        counts: of the regions.
        level: of confidence.

    Returns:
        Low and high end; the low end is 0 where B or C is empty.

    Raises:
        ValueError: a level outside (0, 1).
    """
    if not 0 < level < 1:
        message = f"confidence level {level}; give a number between 0 and 1, e.g. 0.6827"
        raise ValueError(message)
    value, rise = counts.b * counts.c / counts.d, chi2.ppf(level, 1)

    def above(a: float) -> float:
        return _deviance(a, counts) - rise

    high = max(value, 1.0)
    while above(high) < 0:
        high *= 2
    upper = brentq(above, value, high)
    lower = brentq(above, 0.0, value) if value > 0 and above(0.0) > 0 else 0.0
    return float(lower), float(upper)


@dataclass(frozen=True)
class Closure:
    """How well B C / D predicts A where A may be looked at.

    Attributes:
        ratios: observed over predicted in each validation region.
        mean: their weighted mean.
        chi2: of the ratios against 1.
        p_value: probability of ratios at least as far from 1, if the method closes.
        uncertainty: relative, to be assigned to the prediction: the larger of the deviation of
            the mean from 1 and its statistical error.
    """

    ratios: tuple[Number, ...]
    mean: Number
    chi2: float
    p_value: float
    uncertainty: float


def closure(regions: Sequence[Counts]) -> Closure:
    """Closure from validation regions.

    Args:
        regions: each with its four regions opened and none of them empty.

    Raises:
        ValueError: no region, one that is blinded, or one without events.
    """
    if not regions:
        message = "closure needs at least one validation region with its A opened"
        raise ValueError(message)
    ratios = [_ratio(index, each) for index, each in enumerate(regions)]
    value = np.array([ratio.value for ratio in ratios])
    weight = np.array([1 / ratio.uncertainty**2 for ratio in ratios])
    mean = Number(float(value @ weight / weight.sum()), float(weight.sum() ** -0.5))
    total = float(weight @ np.square(value - 1))
    larger = max(abs(mean.value - 1), mean.uncertainty)
    return Closure(tuple(ratios), mean, total, float(chi2.sf(total, len(ratios))), larger)


def _ratio(index: int, counts: Counts) -> Number:
    if counts.a is None or 0 in (counts.a, counts.b, counts.c):
        message = (
            f"validation region {index}: A = {counts.a}, B = {counts.b:g}, C = {counts.c:g}; "
            "expected events in all of them; loosen its cuts"
        )
        raise ValueError(message)
    value = counts.a * counts.d / (counts.b * counts.c)
    # of the ratio if the method closes: A fluctuates about the prediction, not about itself
    relative = sum(1 / n for n in (counts.b * counts.c / counts.d, counts.b, counts.c, counts.d))
    return Number(value, float(np.sqrt(relative)))


def abcd_counts(x: ArrayLike, y: ArrayLike, x_cut: float, y_cut: float) -> Counts:
    """Events of the four regions; a variable passes above its cut.

    Args:
        x: (N,).
        y: (N,).
        x_cut: threshold of x.
        y_cut: threshold of y.

    Raises:
        ValueError: different lengths, values that are not finite, or an empty region D.
    """
    a, b = _pair(x, y)
    over, above = a > x_cut, b > y_cut
    counted = [
        np.count_nonzero(m) for m in (over & above, ~over & above, over & ~above, ~over & ~above)
    ]
    return Counts(float(counted[1]), float(counted[2]), float(counted[3]), float(counted[0]))


def correlation(x: ArrayLike, y: ArrayLike) -> dict[str, Number]:
    """Correlation of the two variables, on background or in data without the signal region.

    Args:
        x: (N,).
        y: (N,).

    Returns:
        "pearson" (linear) and "spearman" (any monotonic dependence), with the uncertainty that
        they have for independent variables; the note says where they are not compatible with 0.

    Raises:
        ValueError: different lengths, values that are not finite, fewer than four events, a
            variable that does not vary.
    """
    a, b = _pair(x, y)
    if len(a) < 4:
        message = f"a correlation of {len(a)} events; expected at least 4"
        raise ValueError(message)
    if not (np.ptp(a) and np.ptp(b)):
        message = "a variable has one value in all events; a correlation needs it to vary"
        raise ValueError(message)
    error = float((len(a) - 1) ** -0.5)
    found = {}
    for name, function in (("pearson", pearsonr), ("spearman", spearmanr)):
        value = float(function(a, b).statistic)
        far = abs(value) > 3 * error
        note = "not independent: B C / D is biased" if far else ""
        found[name] = Number(value, error, note=note)
    return found


def _pair(x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        message = f"variables of shapes {a.shape} and {b.shape}; expected (N,) both"
        raise ValueError(message)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        message = "a variable has NaN or infinite values; leave these events out"
        raise ValueError(message)
    return a, b
