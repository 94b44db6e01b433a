"""How significant a cut on a score makes a signal: yields, significances, and the best cut."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fivesigma.results import Number

__all__ = [
    "SIGNIFICANCES",
    "SignificanceCurve",
    "ams",
    "asimov_significance",
    "best_cut",
    "significance_curve",
    "simple_significance",
]

#: points of a curve
_POINTS = 200
#: relative step of the derivatives that errors are propagated with
_STEP = 1e-4

Array = NDArray[np.float64]


def simple_significance(s: ArrayLike, b: ArrayLike) -> Array:
    """s / sqrt(b) of s signal and b background events; without background as `_without`.

    Raises:
        ValueError: background below 0.
    """
    signal, background = np.broadcast_arrays(np.asarray(s, np.float64), _not_negative(b))
    known = background > 0
    ratio = signal / np.sqrt(np.where(known, background, 1.0))
    return np.where(known, ratio, _without(signal))


def _without(s: Array) -> Array:
    """The significance of s events where no background is expected: its limit for b -> 0."""
    return np.where(s > 0, np.inf, 0.0)


def _not_negative(b: ArrayLike) -> Array:
    background = np.asarray(b, np.float64)
    if (background < 0).any():
        message = (
            f"{background.min():.3g} background events have no significance; leave out bins or "
            "cuts whose negative weights outweigh the others"
        )
        raise ValueError(message)
    return background


def ams(s: ArrayLike, b: ArrayLike, b_r: float = 10.0) -> Array:
    """Approximate median significance of the HiggsML challenge, with b_r events regularised.

    sqrt(2 [(s + b + b_r) ln(1 + s / (b + b_r)) - s]), arXiv:1404.4735.
    """
    return asimov_significance(s, np.asarray(b, np.float64) + b_r)


def asimov_significance(s: ArrayLike, b: ArrayLike, sigma_b: ArrayLike = 0.0) -> Array:
    r"""Expected discovery significance of a counting experiment.

    arXiv:1007.1727, eq. 97; with a background known to +- sigma only, Cowan's extension (2012,
    "Discovery sensitivity for a counting experiment with background uncertainty")

    $$Z^2 = 2\Big[n \ln\frac{n (b + \sigma^2)}{b^2 + n \sigma^2} - \frac{b^2}{\sigma^2}
    \ln\Big(1 + \frac{\sigma^2 s}{b (b + \sigma^2)}\Big)\Big],\quad n = s + b$$

    Without background any signal is infinitely significant, b -> 0; if that nothing is uncertain,
    nothing is known of it, and the limit is 0.

    Args:
        s: (...) signal events, >= 0; negative ones, from negative weights, count as 0.
        b: (...) background events.
        sigma_b: (...) uncertainty of the background, in events.

    Raises:
        ValueError: background below 0.
    """
    s, expected = np.maximum(np.asarray(s, np.float64), 0), _not_negative(b)
    none, variance = expected == 0, np.square(np.asarray(sigma_b, np.float64))
    b = np.where(none, 1.0, expected)
    n = s + b
    exact = n * np.log1p(s / b) - s
    if variance.any():
        v = np.where(variance > 0, variance, 1.0)
        known = n * np.log(n * (b + v) / (b**2 + n * v))
        known -= b**2 / v * np.log1p(v * s / (b * (b + v)))
        exact = np.where(variance > 0, known, exact)
    limit = np.where(variance > 0, 0.0, _without(s))
    return np.where(none, limit, np.sqrt(np.maximum(2 * exact, 0)))


#: name -> significance of (s, b, relative uncertainty of b)
SIGNIFICANCES: dict[str, Callable[[Array, Array, float], Array]] = {
    "simple": lambda s, b, uncertainty: simple_significance(s, b),
    "asimov": lambda s, b, uncertainty: asimov_significance(s, b, uncertainty * b),
    "ams": lambda s, b, uncertainty: ams(s, b),
}


@dataclass(frozen=True)
class SignificanceCurve:
    """Significance against the cut on a score, T cuts from loose to tight.

    Attributes:
        threshold: (T,) events with a score of at least this are kept.
        signal: (T,) expected signal events that are kept.
        background: (T,) likewise.
        signal_error: (T,) statistical error of the simulation.
        background_error: (T,) likewise.
        value: (T,) significance; NaN where no background is expected.
        error: (T,) statistical error of the simulation.
        entries: (T,) simulated background events that are kept, not weighted.
    """

    threshold: Array
    signal: Array
    background: Array
    signal_error: Array
    background_error: Array
    value: Array
    error: Array
    entries: NDArray[np.int64]

    def best(self, least: int) -> int:
        """The cut of the highest significance among those that keep enough background.

        Raises:
            ValueError: none keeps `least` simulated background events.
        """
        allowed = (self.entries >= least) & np.isfinite(self.value)
        if not allowed.any():
            message = (
                f"no cut keeps {least} background events of {self.entries.max(initial=0)}; "
                "simulate more, or ask for fewer"
            )
            raise ValueError(message)
        return int(np.argmax(np.where(allowed, self.value, -np.inf)))


def significance_curve(
    y: ArrayLike,
    score: ArrayLike,
    weight: ArrayLike,
    significance: str = "asimov",
    uncertainty: float = 0.0,
    thresholds: ArrayLike | None = None,
) -> SignificanceCurve:
    """Significance of what passes a cut, against the cut.

    Errors are those of finite simulation: sqrt(sum w^2) of both yields, propagated.

    Args:
        y: (N,) 1 for signal, 0 for background.
        score: (N,) higher means more signal-like.
        weight: (N,) expected events that each one stands for; negative weights keep their sign.
        significance: a name in `SIGNIFICANCES`.
        uncertainty: relative, of the background, in "asimov".
        thresholds: (T,) cuts, rising; None: 200 quantiles of the scores.

    Raises:
        ValueError: shapes that differ, values that are not finite, or an unknown significance.
    """
    signal, scores, weights = _checked(y, score, weight)
    if significance not in SIGNIFICANCES:
        message = f"significance {significance!r}; choose from {', '.join(SIGNIFICANCES)}"
        raise ValueError(message)
    cuts = np.quantile(scores, np.linspace(0, 1, _POINTS)) if thresholds is None else thresholds
    cuts = np.unique(np.asarray(cuts, np.float64))
    s, s_error, _ = _passing(scores[signal], weights[signal], cuts)
    b, b_error, entries = _passing(scores[~signal], weights[~signal], cuts)
    function = SIGNIFICANCES[significance]

    def figure(s: Array, b: Array) -> Array:
        return function(s, b, uncertainty)

    known = b > 0
    value, error = np.full(len(cuts), np.nan), np.full(len(cuts), np.nan)
    value[known] = figure(s[known], b[known])
    error[known] = _propagated(figure, s[known], b[known], s_error[known], b_error[known])
    return SignificanceCurve(cuts, s, b, s_error, b_error, value, error, entries)


def best_cut(
    y: ArrayLike,
    score: ArrayLike,
    weight: ArrayLike,
    half: ArrayLike,
    significance: str = "asimov",
    uncertainty: float = 0.0,
    least: int = 10,
) -> Number:
    """The significance of the best cut, found on one half of the events and quoted on the other.

    Both ways are averaged; what was found is never quoted on the events that chose it.

    Args:
        y: (N,) 1 for signal, 0 for background.
        score: (N,) scores, as for `significance_curve`.
        weight: (N,) expected events, likewise.
        half: (N,) flags of the first half; each half is scaled up to the yields of all.
        significance: a name in `SIGNIFICANCES`.
        uncertainty: relative, of the background, in "asimov".
        least: fewest simulated background events behind a cut that counts as found.

    Returns:
        The significance; its note tells the cuts.

    Raises:
        ValueError: a half without events of a class, and as `significance_curve`.
    """
    signal, scores, weights = _checked(y, score, weight)
    first = np.asarray(half, dtype=bool)
    found, quoted = [], []
    for chosen in (first, ~first):
        scaled = _scaled(signal, weights, chosen), _scaled(signal, weights, ~chosen)
        arguments = (significance, uncertainty)
        search = significance_curve(signal[chosen], scores[chosen], scaled[0], *arguments)
        cut = search.threshold[search.best(least)]
        other = significance_curve(
            signal[~chosen], scores[~chosen], scaled[1], *arguments, thresholds=[cut]
        )
        found.append(cut)
        quoted.append((float(other.value[0]), float(other.error[0])))
    if not np.isfinite(quoted).all():
        message = "no background passes the cut in one half of the events; simulate more"
        raise ValueError(message)
    values, errors = np.transpose(quoted)
    note = f"cuts at {found[0]:.3f} and {found[1]:.3f}, each found on the other half"
    return Number(float(values.mean()), float(np.hypot(*errors) / 2), note=note)


def _checked(
    y: ArrayLike, score: ArrayLike, weight: ArrayLike
) -> tuple[NDArray[np.bool_], Array, Array]:
    labels, scores = np.asarray(y), np.asarray(score, dtype=np.float64)
    weights = np.asarray(weight, dtype=np.float64)
    if labels.ndim != 1 or not labels.shape == scores.shape == weights.shape:
        message = (
            f"labels {labels.shape}, scores {scores.shape} and weights {weights.shape}; "
            "all must be (N,)"
        )
        raise ValueError(message)
    if not (np.isfinite(scores).all() and np.isfinite(weights).all()):
        message = "some scores or weights are NaN or infinite; leave these events out"
        raise ValueError(message)
    signal = labels.astype(bool)
    if signal.all() or not signal.any():
        message = f"{signal.sum()} signal events of {signal.size}; both classes are needed"
        raise ValueError(message)
    return signal, scores, weights


def _scaled(signal: NDArray[np.bool_], weights: Array, chosen: NDArray[np.bool_]) -> Array:
    """Weights of the chosen events, scaled to the sums of all, class by class."""
    scaled = weights.copy()
    for own in (signal, ~signal):
        part = weights[own & chosen].sum()
        if not part > 0:
            message = "the weights of a class in one half do not sum to a positive number"
            raise ValueError(message)
        scaled[own] *= weights[own].sum() / part
    return scaled[chosen]


def _passing(scores: Array, weights: Array, cuts: Array) -> tuple[Array, Array, NDArray[np.int64]]:
    """Sum of weights at and above each cut, its error, and the number of events."""
    index = np.searchsorted(cuts, scores, side="right")  # cuts that an event passes
    totals = [
        np.bincount(index, values, len(cuts) + 1)[::-1].cumsum()[::-1][1:]
        for values in (weights, weights**2, np.ones(len(scores)))
    ]
    return totals[0], np.sqrt(totals[1]), np.rint(totals[2]).astype(np.int64)


def _propagated(
    figure: Callable[[Array, Array], Array], s: Array, b: Array, s_error: Array, b_error: Array
) -> Array:
    """Error of the significance from those of signal and background, by central differences."""
    ds, db = _STEP * np.maximum(np.abs(s), 1e-9), _STEP * b
    by_s = (figure(s + ds, b) - figure(s - ds, b)) / (2 * ds)
    by_b = (figure(s, b + db) - figure(s, b - db)) / (2 * db)
    return np.hypot(by_s * s_error, by_b * b_error)
