"""How well a fit describes the data: against the saturated model, asymptotic and by toys."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import chi2

from fivesigma.statistics.failures import hopeless, joined, reasons
from fivesigma.statistics.fits import Fit, run_each
from fivesigma.statistics.kernels import deviance
from fivesigma.statistics.minimiser import CONVERGED
from fivesigma.statistics.parameters import FREE
from fivesigma.statistics.toys import Toys, chunks

__all__ = ["Goodness", "goodness_by_toys", "goodness_of_fit"]


@dataclass(frozen=True)
class Goodness:
    """How well the best fit describes the data, against the saturated model.

    Attributes:
        chi2: -2 ln of the likelihood ratio of both.
        degrees_of_freedom: bins less free parameters; below 1 every fit meets the data.
        p_value: of a chi-squared distribution; NaN without degrees of freedom: it is not defined.
    """

    chi2: float
    degrees_of_freedom: int
    p_value: float


def goodness_of_fit(result: Fit) -> Goodness:
    """-2 ln L against that of a model that meets every measurement: asymptotically a chi-squared.

    Bins less free parameters are its degrees of freedom: each constrained parameter brings its own
    measurement. Bins in which neither data nor events are expected do not count, nor do
    measurements of parameters that were held. It needs some five events in most bins; with
    fewer, `goodness_by_toys` is right.
    """
    model = result.model
    free = ~result.fixed & (model.parameters.constraint == FREE)
    measured = (model.expected(result.theta)[0] > 0) | (result.data[: model.n_bins] > 0)
    n = int(measured.sum()) - int(free.sum())
    value = 2 * deviance(model.templates, result.theta, _tested(result, result.data[None])[0])
    return Goodness(value, n, float(chi2.sf(value, n)) if n > 0 else float("nan"))


def goodness_by_toys(result: Fit, n: int = 1000, seed: int = 1) -> Toys:
    """The distribution of `Goodness.chi2` if the fit were the truth; `p_value` compares with it.

    Counts and auxiliary measurements are drawn from the fitted parameters, and each toy is fitted
    as the data were.

    Args:
        result: the fit to the data.
        n: pseudo-experiments.
        seed: of the random numbers.

    Returns:
        The statistic of each toy, NaN where its fit failed.

    Raises:
        ValueError: fewer than one toy, a fit that failed, or one without degrees of freedom.
    """
    if not result.converged:
        message = f"no goodness of fit of a fit that failed: {result.note}"
        raise ValueError(message)
    if goodness_of_fit(result).degrees_of_freedom < 1:
        message = "no goodness of fit: as many free parameters as bins, every fit meets the data"
        raise ValueError(message)
    model, rng = result.model, np.random.default_rng(seed)
    values, hats, states, bins = [], [], [], ""
    for size in chunks(n):
        drawn = _tested(result, model.sample(result.theta, size, rng))
        found = run_each(model, drawn, np.tile(result.theta, (size, 1)), result.fixed[None])
        good = found.status == CONVERGED
        values.append(np.where(good, 2 * found.half_deviance, np.nan))
        hats.append(found.theta[:, model.poi])
        states.append(found.status)
        bins = bins or hopeless(model, (drawn, found))
    q, status = np.concatenate(values), np.concatenate(states)
    note = joined(reasons(status), bins)
    nothing = float("nan")
    return Toys(result.mu, nothing, q, np.concatenate(hats), int(np.isnan(q).sum()), note)


def _tested(result: Fit, data: np.ndarray) -> np.ndarray:
    """Data (B, N) without what is measured of held parameters: that tests no fit."""
    model = result.model
    held = np.flatnonzero(result.fixed[model.parameters.aux_parameter]) + model.n_bins
    changed = data.copy()
    changed[:, held] = model.expected_data(result.theta)[0, held]
    return changed
