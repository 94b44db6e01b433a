"""Profile-likelihood tests of a signal strength: discovery and CLs, asymptotic.

Equations of arXiv:1007.1727 (Cowan, Cranmer, Gross, Vitells). As in pyhf, the Asimov data sets
take their nuisance parameters from a fit to the data at the tested hypothesis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import log_ndtr
from scipy.stats import norm

from fivesigma.statistics.failures import bound_notes, failures, joined
from fivesigma.statistics.fits import fit_many
from fivesigma.statistics.minimiser import CONVERGED, Minima
from fivesigma.statistics.model import Model

__all__ = [
    "BANDS",
    "CLs",
    "Significance",
    "cls",
    "profiled_asimov",
    "q0",
    "q_mu",
    "q_mu_tilde",
    "significance",
]

#: the five expected values of a band, in standard deviations of a background fluctuation
BANDS = (-2, -1, 0, 1, 2)
#: half deviance by which a fit at fixed mu may be below the free one by rounding
_LOWER = 1e-6


def q0(model: Model, data: ArrayLike | None = None) -> np.ndarray:
    """The discovery statistic, eq. 12, (B,) for data (B, N); NaN where a fit failed."""
    return statistic(model, 0.0, data, 0.0)[0]


def q_mu(model: Model, mu: ArrayLike, data: ArrayLike | None = None) -> np.ndarray:
    """The statistic for upper limits, eq. 14, with the signal strength free to be negative."""
    return statistic(model, mu, data, -np.inf, upper_limit=True)[0]


def q_mu_tilde(model: Model, mu: ArrayLike, data: ArrayLike | None = None) -> np.ndarray:
    """The statistic for upper limits on a signal strength that is not negative, eq. 16."""
    return statistic(model, mu, data, 0.0, upper_limit=True)[0]


def statistic(
    model: Model,
    mu: ArrayLike,
    data: ArrayLike | None,
    poi_lower: float,
    *,
    upper_limit: bool = False,
    start: ArrayLike | None = None,
) -> tuple[np.ndarray, Minima, Minima]:
    """-2 ln of the profile likelihood ratio, with the free fit and that at fixed mu.

    Args:
        model: the model.
        mu: tested value or (B,) values.
        data: (B, N) or (N,).
        poi_lower: lowest value of the parameter of interest in the free fit.
        upper_limit: data with more signal than mu do not speak against it: 0 there.
        start: (P,) or (B, P) where fits start.
    """
    free = fit_many(model, data, start=start, poi_lower=poi_lower)
    # a failed free fit is no place to start from
    begin = np.where((free.status == CONVERGED)[:, None], free.theta, model.parameters.init)
    held = fit_many(model, data, fixed={model.poi_name: mu}, start=begin)
    if (held.half_deviance < free.half_deviance - _LOWER).any():
        # the free fit ended in another minimum than the lowest: it goes on from where it is lower
        again = fit_many(model, data, start=held.theta, poi_lower=poi_lower)
        free = _lower_of(free, again)
    q = np.clip(2 * (held.half_deviance - free.half_deviance), 0, None)
    if upper_limit:
        q = np.where(free.theta[:, model.poi] > mu, 0.0, q)
    failed = (free.status != CONVERGED) | (held.status != CONVERGED)
    return np.where(failed, np.nan, q), free, held


def _lower_of(one: Minima, other: Minima) -> Minima:
    """Fit by fit the lower of two minima that were found."""
    better = (other.status == CONVERGED) & (other.half_deviance < one.half_deviance)
    theta = np.where(better[:, None], other.theta, one.theta)
    pairs = zip(one[1:], other[1:], strict=True)
    return Minima(theta, *(np.where(better, second, first) for first, second in pairs))


def profiled_asimov(
    model: Model, mu: float, data: ArrayLike | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The Asimov data (N,) at mu, its nuisance parameters fitted to data at mu; and these (P,).

    Raises:
        ValueError: the fit at mu failed.
    """
    found = fit_many(model, data, fixed={model.poi_name: mu})
    if found.status[0] != CONVERGED:
        why = failures(model, (model.checked_data(data), found))
        message = f"no Asimov data at {model.poi_name} = {mu:g}: {why}"
        raise ValueError(message)
    return model.expected_data(found.theta)[0], found.theta[0]


@dataclass(frozen=True)
class CLs:
    """CLs of M tested signal strengths.

    Attributes:
        mu: (M,) tested values.
        observed: (M,); here and below NaN where a fit failed.
        expected: (5, M) of a background that fluctuates by -2 ... +2 standard deviations.
        p_sb: (M,) p-value of signal and background, CLs+b.
        p_b: (M,) CLb.
        q: (M,) observed statistic.
        q_asimov: (M,) that of the background's Asimov data.
        note: fits that failed.
    """

    mu: np.ndarray
    observed: np.ndarray
    expected: np.ndarray
    p_sb: np.ndarray
    p_b: np.ndarray
    q: np.ndarray
    q_asimov: np.ndarray
    note: str = ""


def cls(model: Model, mu: ArrayLike = 1.0, data: ArrayLike | None = None) -> CLs:
    """Asymptotic CLs with the statistic of eq. 16, for many signal strengths at once.

    The same as `pyhf.infer.hypotest(..., test_stat="qtilde")`.

    Args:
        model: the model.
        mu: signal strength or (M,) strengths, none below 0.
        data: (N,); default: what was observed.

    Raises:
        ValueError: a signal strength below 0, or no fit of the background.
    """
    values = np.atleast_1d(np.asarray(mu, np.float64))
    if not (values >= 0).all():
        message = f"signal strength {values.min():g}; eq. 16 tests none below 0"
        raise ValueError(message)
    asimov, background = profiled_asimov(model, 0.0, data)
    q, free, held = statistic(model, values, data, 0.0, upper_limit=True)
    # the free fit to Asimov data is what they were made of: its deviance is 0
    expected = fit_many(model, asimov, fixed={model.poi_name: values}, start=background)
    measured = model.checked_data(data)
    note = failures(model, (measured, free), (measured, held), (asimov[None], expected))
    return _asymptotic(values, q, _twice_deviance(expected), note)


def _twice_deviance(found: Minima) -> np.ndarray:
    """(B,) the statistic of Asimov data, whose free fit has deviance 0; NaN where a fit failed."""
    value = np.clip(2 * found.half_deviance, 0, None)
    return np.where(found.status == CONVERGED, value, np.nan)


def _asymptotic(mu: np.ndarray, q: np.ndarray, q_asimov: np.ndarray, note: str) -> CLs:
    """Equations 65 to 67 for CLs+b and CLb of the statistic of eq. 16, and the bands."""
    root, spread = np.sqrt(q), np.sqrt(np.clip(q_asimov, 1e-300, None))
    # distance from the background hypothesis in standard deviations of mu-hat
    t = np.where(root <= spread, root - spread, (q - q_asimov) / (2 * spread))
    bands = -np.array(BANDS, np.float64)[:, None]
    return CLs(
        mu=mu,
        observed=_ratio(t, spread),
        expected=_ratio(bands, spread),
        p_sb=norm.sf(t + spread),
        p_b=norm.sf(t),
        q=q,
        q_asimov=q_asimov,
        note=note,
    )


def _ratio(t: np.ndarray, spread: np.ndarray) -> np.ndarray:
    """CLs+b / CLb, by logarithms: both may underflow."""
    return np.exp(log_ndtr(-(t + spread)) - log_ndtr(-t))


@dataclass(frozen=True)
class Significance:
    """How strongly data speak against there being no signal.

    Attributes:
        observed: standard deviations; NaN where a fit failed.
        expected: of the Asimov data with the signal strength 1; NaN where a fit failed.
        p_observed: one-sided p-value of the background alone.
        p_expected: of the Asimov data.
        mu: best-fit signal strength, not negative.
        q0: the observed statistic.
        note: fits that failed.
    """

    observed: float
    expected: float
    p_observed: float
    p_expected: float
    mu: float
    q0: float
    note: str = ""


def significance(model: Model, data: ArrayLike | None = None) -> Significance:
    """Discovery significance, observed and expected, asymptotic: Z = sqrt(q0), eq. 53.

    Args:
        model: the model.
        data: (N,); default: what was observed. With `model.asimov(1)` no data are looked at.
    """
    q, free, held = statistic(model, 0.0, data, 0.0)
    asimov, point = profiled_asimov(model, 1.0, data)
    without = fit_many(model, asimov, fixed={model.poi_name: 0.0}, start=point)
    measured = model.checked_data(data)
    z = float(np.sqrt(q[0]))
    expected = float(np.sqrt(_twice_deviance(without)[0]))
    return Significance(
        observed=z,
        expected=expected,
        p_observed=float(norm.sf(z)),
        p_expected=float(norm.sf(expected)),
        mu=float(free.theta[0, model.poi]),
        q0=float(q[0]),
        note=joined(
            failures(model, (measured, free), (measured, held), (asimov[None], without)),
            *(note for each in (free, held) for note in _bounds(model, each)),
        ),
    )


def _bounds(model: Model, found: Minima) -> list[str]:
    """Nuisance parameters that a fit moved to a bound; the signal strength may well be at 0."""
    held = model.parameters.fixed | (np.arange(len(model.parameters)) == model.poi)
    return bound_notes(model, found.theta[0], held)
