"""Expected events before and after a fit, with correlated uncertainties."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fivesigma.results import Number, Table
from fivesigma.statistics.fits import Fit
from fivesigma.statistics.model import Model

__all__ = ["Yields", "yield_table", "yields"]


@dataclass(frozen=True)
class Yields:
    """Expected events of one channel with n bins.

    Attributes:
        channel: its name.
        samples: sample -> (n,) expected events.
        sample_totals: sample -> (value, uncertainty) of all bins.
        total: (n,) all samples.
        uncertainty: (n,) of the total, correlations included.
        sum: (value, uncertainty) of all bins and samples.
        data: (n,) what was observed, or the data that were fitted.
    """

    channel: str
    samples: Mapping[str, np.ndarray]
    sample_totals: Mapping[str, tuple[float, float]]
    total: np.ndarray
    uncertainty: np.ndarray
    sum: tuple[float, float]
    data: np.ndarray


def yields(result: Fit, *, prefit: bool = False) -> list[Yields]:
    """Expected events of every channel.

    Uncertainties are propagated linearly: J C J^T with the derivatives J of the events and the
    covariance C of the parameters, of the fit or, before it, the widths of the constraints.

    Args:
        result: a fit.
        prefit: at the initial parameters with the constraints' widths instead.
    """
    model, p = result.model, result.model.parameters
    theta = p.init if prefit else result.theta
    width = np.where(result.fixed, 0.0, p.width)
    covariance = np.diag(np.square(width)) if prefit else result.covariance
    each = model.by_sample(theta)[0]
    slopes = model.slopes(theta)
    by_sample = _sample_slopes(model, theta)
    m, found = model.templates, []
    for channel, place in model.channels.items():
        j = slopes[place]
        whole = j.sum(axis=0)
        samples, totals = {}, {}
        for t, (of, name) in enumerate(model.samples):
            if of == channel:
                samples[name] = each[m.start[t] : m.start[t + 1]]
                error = np.sqrt(by_sample[t] @ covariance @ by_sample[t])
                totals[name] = (float(samples[name].sum()), float(error))
        total = np.sum(list(samples.values()), axis=0)
        found.append(
            Yields(
                channel,
                samples,
                totals,
                total,
                np.sqrt(np.einsum("bp,pq,bq->b", j, covariance, j)),
                (float(total.sum()), float(np.sqrt(whole @ covariance @ whole))),
                result.data[place],
            )
        )
    return found


def _sample_slopes(model: Model, theta: np.ndarray) -> np.ndarray:
    """(T, P) derivatives of each template's sum, by central differences of exact rates."""
    step = 1e-5 * np.maximum(1.0, np.abs(theta))
    points = np.concatenate([theta + np.diag(step), theta - np.diag(step)])
    begins = model.templates.start[:-1]
    sums = np.add.reduceat(model.by_sample(points), begins, axis=1)
    n = theta.size
    return ((sums[:n] - sums[n:]) / (2 * step[:, None])).T


def yield_table(found: list[Yields], *, observed: bool = True) -> Table:
    """Samples, total and, where they were observed, data of every channel, with uncertainties."""
    names = list(dict.fromkeys(name for each in found for name in each.samples))
    rows: list[tuple[str | Number, ...]] = []
    for name in names:
        totals = [each.sample_totals.get(name) for each in found]
        rows.append((name, *("–" if t is None else Number(*t) for t in totals)))
    rows.append(("total", *(Number(*each.sum) for each in found)))
    if observed:
        rows.append(("data", *(Number(float(each.data.sum())) for each in found)))
    return Table(("Sample", *(each.channel for each in found)), tuple(rows))
