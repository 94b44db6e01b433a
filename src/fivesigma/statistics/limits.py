"""Upper limits with CLs, and intervals from likelihood scans: roots of many fits at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fivesigma.statistics.failures import joined, reasons
from fivesigma.statistics.fits import Fixed, fit, fit_many
from fivesigma.statistics.hypotests import BANDS, CLs, cls
from fivesigma.statistics.minimiser import CONVERGED, NO_START
from fivesigma.statistics.model import Model

__all__ = ["Interval", "Limit", "Scan", "interval", "limit", "scan"]

#: points of a scan, and of each refinement of a root
_POINTS, _FINER, _ROUNDS = 41, 9, 4
_DOUBLINGS = 40
#: -2 ln L below a minimum by more than rounding
_LOWER = 1e-5


@dataclass(frozen=True)
class Limit:
    """Upper limits on the signal strength.

    Attributes:
        observed: limit; here and below NaN where there is none.
        expected: (5,) limits for a background that fluctuates by -2 ... +2 standard deviations.
        level: confidence level.
        scan: CLs of the signal strengths that were tested, for a figure.
        note: fits that failed, limits that were not found, and parameters that are at a bound
            where the observed limit is.
    """

    observed: float
    expected: np.ndarray
    level: float
    scan: CLs
    note: str = ""


def limit(model: Model, data: ArrayLike | None = None, *, level: float = 0.95) -> Limit:
    """Upper limit on the signal strength with CLs, observed and expected, asymptotic.

    Args:
        model: the model.
        data: (N,); default: what was observed. With `model.asimov(0)` no data are looked at.
        level: confidence level.

    Raises:
        ValueError: a level outside (0, 1), or a signal that no data could exclude.
    """
    if not 0 < level < 1:
        message = f"confidence level {level}; give a number between 0 and 1, e.g. 0.95"
        raise ValueError(message)
    alpha = 1 - level
    top = _reach(model, data, alpha)
    coarse = cls(model, np.linspace(0, top, _POINTS)[1:], data)
    notes = [coarse.note]

    def excess(mu: np.ndarray) -> np.ndarray:
        found = cls(model, mu, data)
        notes.append(found.note)
        return np.concatenate([found.observed[None], found.expected]) - alpha

    values = np.concatenate([coarse.observed[None], coarse.expected]) - alpha
    roots = _roots(excess, coarse.mu, values)
    notes += _not_found(roots, top, alpha)
    if np.isfinite(roots[0]):
        there = fit(model, data, fixed={model.poi_name: roots[0]}).note
        notes.append(there and f"where the observed limit is, {there}")
    return Limit(float(roots[0]), roots[1:], level, coarse, joined(*notes))


def _not_found(roots: np.ndarray, top: float, alpha: float) -> list[str]:
    """Which limits there are none of."""
    names = [
        "observed",
        *(f"expected {sigma:+d} sigma" if sigma else "expected" for sigma in BANDS),
    ]
    lost = [name for name, root in zip(names, roots, strict=True) if not np.isfinite(root)]
    if not lost:
        return []
    return [
        f"no {', '.join(lost)} limit: where its fits converged, CLs falls below {alpha:.3g} "
        f"nowhere up to {top:.3g}, the end of the scan"
    ]


def _reach(model: Model, data: ArrayLike | None, alpha: float) -> float:
    """A signal strength that is excluded even with two standard deviations of bad luck."""
    mu = 1.0
    for _ in range(_DOUBLINGS):
        if _highest(model, mu, data) < alpha:
            break
        mu *= 2
    else:
        why = cls(model, mu, data).note or "does the signal have events in any region?"
        message = (
            f"{model.poi_name} up to {mu:.3g} is not excluded; these data do not limit it: {why}"
        )
        raise ValueError(message)
    # signals that are far stronger than what is tested would leave the scan too coarse
    while mu > 1e-9:
        if not _highest(model, mu / 2, data) <= alpha:
            break  # also where a fit failed
        mu /= 2
    return mu


def _highest(model: Model, mu: float, data: ArrayLike | None) -> float:
    """The larger of CLs observed and expected with bad luck; NaN where a fit failed."""
    found = cls(model, mu, data)
    return float(np.maximum(found.observed[0], found.expected[BANDS.index(2), 0]))


def _roots(
    function: Callable[[np.ndarray], np.ndarray], x: np.ndarray, values: np.ndarray
) -> np.ndarray:
    """Where curves fall through 0: all of them narrowed at once.

    Args:
        function: (M,) -> (K, M) values of K curves.
        x: (M,) increasing.
        values: (K, M) of the curves there; those that do not fall through 0 give NaN.
    """
    low, high = np.full((2, len(values)), np.nan)
    for k, curve in enumerate(values):
        # at 0 CLs is 1, and the likelihood at its highest
        low[k], high[k], *_ = _bracket(np.concatenate([[0.0], x]), np.concatenate([[1.0], curve]))
    found = np.flatnonzero(np.isfinite(low))
    for turn in range(_ROUNDS if found.size else 0):
        grid = np.linspace(low[found], high[found], _FINER, axis=1)
        inner = function(grid.ravel()).reshape(len(values), *grid.shape)
        for row, k in enumerate(found.tolist()):
            bracket = _bracket(grid[row], inner[k, row])
            if np.isfinite(bracket[0]):
                low[k], high[k], above, below = bracket
                if turn == _ROUNDS - 1:
                    low[k] += (high[k] - low[k]) * above / (above - below)
    return low


def _bracket(x: np.ndarray, curve: np.ndarray) -> tuple[float, float, float, float]:
    """Where a curve falls through 0 last, and its values there; failed points do not count."""
    known = np.flatnonzero(~np.isnan(curve))
    above = np.flatnonzero(curve[known] > 0)
    last = int(above[-1]) if above.size else -1
    if last < 0 or last + 1 >= known.size:
        return (np.nan,) * 4
    one, two = known[last], known[last + 1]
    return float(x[one]), float(x[two]), float(curve[one]), float(curve[two])


@dataclass(frozen=True)
class Scan:
    """A likelihood profile.

    Attributes:
        name: the parameter.
        values: (M,) tested values.
        twice_delta_nll: (M,) -2 ln L above its minimum, all other parameters refitted; NaN where
            that fit failed.
        best: best-fit value.
        note: fits that failed, or a minimum below that of the fit.
    """

    name: str
    values: np.ndarray
    twice_delta_nll: np.ndarray
    best: float
    note: str = ""


def scan(
    model: Model,
    name: str = "",
    values: ArrayLike | None = None,
    data: ArrayLike | None = None,
    *,
    fixed: Fixed | None = None,
) -> Scan:
    """Profile the likelihood along a parameter.

    Args:
        model: the model.
        name: the parameter; default: that of interest.
        values: (M,) values to test; default: 41 within three standard deviations of the best fit.
        data: (N,); default: what was observed.
        fixed: name -> value of parameters to hold.
    """
    name = name or model.poi_name
    result = fit(model, data, fixed=fixed)
    at = model.index(name).start
    if values is None:
        reach = 3 * (result.uncertainty[at] or 1.0)
        edges = np.clip(
            [result.theta[at] - reach, result.theta[at] + reach],
            model.parameters.lower[at],
            model.parameters.upper[at],
        )
        values = np.linspace(edges[0], edges[1], _POINTS)
    points = np.asarray(values, np.float64)
    held = fit_many(model, data, fixed=dict(fixed or {}) | {name: points}, start=result.theta)
    rise = 2 * (held.half_deviance - result.half_deviance)
    rise[held.status != CONVERGED] = np.nan
    note = joined(reasons(held.status), _lower_minimum(name, points, rise))
    return Scan(name, points, rise, float(result.theta[at]), note)


def _lower_minimum(name: str, points: np.ndarray, rise: np.ndarray) -> str:
    if not (rise < -_LOWER).any():
        return ""
    deepest = int(np.nanargmin(rise))
    return (
        f"at {name} = {points[deepest]:.4g} -2 ln L is {-rise[deepest]:.3g} below the minimum of "
        "the fit, which is not the lowest"
    )


@dataclass(frozen=True)
class Interval:
    """A confidence interval from the profile likelihood.

    Attributes:
        name: the parameter.
        best: best-fit value.
        low: lower end; the parameter's bound where the likelihood has not risen so far there.
        high: upper end, likewise.
        note: which ends are bounds, and fits that failed.
    """

    name: str
    best: float
    low: float
    high: float
    note: str = ""


def interval(
    model: Model,
    name: str = "",
    data: ArrayLike | None = None,
    *,
    rise: float = 1.0,
    fixed: Fixed | None = None,
) -> Interval:
    """Where -2 ln L has risen: by 1 for 68.3 %, by 3.84 for 95 %; MINOS's errors.

    Args:
        model: the model.
        name: the parameter; default: that of interest.
        data: (N,); default: what was observed.
        rise: of -2 ln L.
        fixed: name -> value of parameters to hold.
    """
    name = name or model.poi_name
    result = fit(model, data, fixed=fixed)
    at = model.index(name).start
    best, width = result.theta[at], (result.uncertainty[at] or 1.0) * np.sqrt(rise)
    bounds = model.parameters.lower[at], model.parameters.upper[at]
    ends, notes, others = [], [], dict(fixed or {})
    for side, bound in zip((-1, 1), bounds, strict=True):
        far = abs(bound - best)
        edge = min(6 * width, far)

        def below(distance: np.ndarray, side: int = side) -> np.ndarray:
            values = best + side * distance
            held = fit_many(model, data, fixed=others | {name: values}, start=result.theta)
            # where data cannot be, -ln L is infinite: no failure, but beyond the end
            lost = (held.status != CONVERGED) & (held.status != NO_START)
            notes.append(reasons(held.status[held.status != NO_START]))
            risen = 2 * (held.half_deviance - result.half_deviance)
            return np.where(lost, np.nan, rise - risen)[None]

        while edge < far and below(np.array([edge]))[0, 0] > 0:  # far from a parabola
            edge = min(2 * edge, far)
        grid = np.linspace(0, edge, 13)
        root = _roots(below, grid, below(grid))[0]
        if not np.isfinite(root):
            notes.append(f"its {'lower' if side < 0 else 'upper'} end is the bound {bound:g}")
        ends.append(best + side * (root if np.isfinite(root) else far))
    return Interval(name, float(best), float(ends[0]), float(ends[1]), joined(*notes))
