"""Expected events before and after a fit, with correlated uncertainties, and how well they fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import chi2

from fivesigma.results import Number, Table
from fivesigma.statistics.fits import Fit
from fivesigma.statistics.model import Model
from fivesigma.statistics.parameters import FREE

__all__ = ["Goodness", "Yields", "goodness_of_fit", "hepdata", "yield_table", "yields"]


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


def hepdata(found: Yields, edges: np.ndarray | None = None) -> dict[str, Any]:
    """One channel as a HEPData table: what `yaml.safe_dump` of it gives can be submitted.

    Args:
        found: of a channel with n bins.
        edges: (n + 1,) of the bins; default: their numbers.
    """
    n = found.total.size
    edge = np.arange(n + 1) if edges is None else np.asarray(edges, float)
    bins = [
        {"low": float(low), "high": float(high)}
        for low, high in zip(edge[:-1], edge[1:], strict=True)
    ]
    columns: list[tuple[str, list[Any]]] = [("data", [{"value": float(v)} for v in found.data])]
    errors = [
        {"value": float(v), "errors": [{"symerror": float(e), "label": "total"}]}
        for v, e in zip(found.total, found.uncertainty, strict=True)
    ]
    columns.append(("total", errors))
    columns += [(s, [{"value": float(v)} for v in each]) for s, each in found.samples.items()]
    return {
        "independent_variables": [{"header": {"name": f"{found.channel} bin"}, "values": bins}],
        "dependent_variables": [
            {"header": {"name": f"{name} events"}, "values": values} for name, values in columns
        ],
    }


@dataclass(frozen=True)
class Goodness:
    """How well the best fit describes the data, against the saturated model."""

    chi2: float
    degrees_of_freedom: int
    p_value: float


def goodness_of_fit(result: Fit) -> Goodness:
    """-2 ln L against that of a model that meets every measurement: asymptotically a chi-squared.

    Bins less free parameters are its degrees of freedom: each constrained parameter brings its own
    measurement. Bins in which neither data nor events are expected do not count.
    """
    model = result.model
    free = ~result.fixed & (model.parameters.constraint == FREE)
    measured = (model.expected(result.theta)[0] > 0) | (result.data[: model.n_bins] > 0)
    n = int(measured.sum()) - int(free.sum())
    value = 2 * result.half_deviance
    return Goodness(value, n, float(chi2.sf(value, n)) if n > 0 else 1.0)
