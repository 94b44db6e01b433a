"""Extended maximum-likelihood fits of one spectrum, binned and unbinned, with Minuit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from iminuit import Minuit
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2

from fivesigma.results import Number
from fivesigma.statistics.spectra.checks import check_histogram, check_positive, inside, problems
from fivesigma.statistics.spectra.model import YIELD, Model, jacobian
from fivesigma.statistics.spectra.scoring import TINY, deviance
from fivesigma.statistics.spectra.starting import starting_values

__all__ = ["Fit", "fit_events", "fit_histogram"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Fit:
    """What a fit found.

    Attributes:
        model: what was fitted.
        values: (P,) free parameters, in the order of `model.names`.
        covariance: (P, P) by Hesse; with weights corrected for them (arXiv:1911.01303).
        minos: free parameter -> (lower, upper) error of the profile likelihood, both positive.
        counts: (B,) the data in bins, also of an unbinned fit.
        edges: (B + 1,).
        variances: (B,) of the counts.
        valid: whether Minuit found a minimum with a covariance.
        problems: what is wrong with it, and what to do, one sentence each.
    """

    model: Model
    values: Array
    covariance: Array
    counts: Array
    edges: Array
    variances: Array
    minos: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    valid: bool = True
    problems: tuple[str, ...] = ()

    @property
    def expected(self) -> Array:
        """(B,) expected events."""
        return self.model.expected(self.edges, self.values)

    @property
    def errors(self) -> Array:
        """(P,) uncertainties."""
        return np.sqrt(np.maximum(np.diag(self.covariance), 0.0))

    @property
    def pulls(self) -> Array:
        """(B,) data minus fit, in units of the Poisson error of the fit."""
        ratio = np.where(self.counts > 0, self.variances / np.maximum(self.counts, TINY), 1.0)
        return (self.counts - self.expected) / np.sqrt(np.maximum(self.expected, TINY) * ratio)

    @property
    def weighted(self) -> bool:
        """Whether the data have weights."""
        # relative alone: weights may be as small as they like
        return not np.allclose(self.counts, self.variances, rtol=1e-6, atol=0)

    @property
    def chi2(self) -> float:
        """Goodness of fit: the deviance; with weights Pearson's chi-squared."""
        if self.weighted:
            return float(np.square(self.pulls).sum())
        return float(deviance(self.counts, self.expected).sum())

    @property
    def ndf(self) -> int:
        """Bins minus free parameters."""
        return len(self.counts) - len(self.values)

    @property
    def p_value(self) -> float:
        """Probability of a fit at least as bad, by the chi-squared distribution.

        It needs some five events in most bins. NaN without degrees of freedom: it is not defined.
        """
        return float(chi2.sf(self.chi2, self.ndf)) if self.ndf > 0 else float("nan")

    def numbers(self, unit: str = "") -> dict[str, Number]:
        """All parameters by full name, tied ones with scaled errors, fixed ones with none.

        Args:
            unit: of the quantity.
        """
        errors = dict(zip(self.model.names, self.errors, strict=True))
        parts, found = self.model.parts(self.values), {}
        for each in self.model.components:
            units = {p.name: p.unit(unit) for p in each.shape.parameters} | {YIELD: "events"}
            for name, value in parts[each.name].items():
                full, error, note = f"{each.name}/{name}", 0.0, ""
                if name in each.tied:
                    other, factor = each.tied[name]
                    error, note = abs(factor) * errors[other], f"{factor:.6g} times {other}"
                elif full in errors:
                    error, note = errors[full], self._minos_note(full)
                else:
                    note = "fixed"
                found[full] = Number(value.item(), float(error), units[name], note)
        return found

    def _minos_note(self, name: str) -> str:
        if name not in self.minos:
            return ""
        lower, upper = self.minos[name]
        return f"profile likelihood -{lower:.3g} +{upper:.3g}"


def fit_histogram(
    model: Model,
    counts: ArrayLike,
    edges: ArrayLike,
    *,
    variances: ArrayLike | None = None,
    start: Mapping[str, float] | None = None,
    minos: Sequence[str] | bool = False,
) -> Fit:
    """Fit a histogram by its Poisson likelihood, with integrals over the bins.

    Args:
        model: on the range of the histogram.
        counts: (B,) events, or sums of weights.
        edges: (B + 1,), from one end of the model's range to the other.
        variances: (B,) sums of squared weights; default: the counts. With weights, errors are
            corrected for them.
        start: free parameter -> starting value; default: found from the data.
        minos: parameters whose errors are found by the profile likelihood; True: all.

    Raises:
        ValueError: counts or edges that do not fit, no events, or too few for the parameters.
    """
    n, bins = np.asarray(counts, dtype=np.float64), np.asarray(edges, dtype=np.float64)
    spread = n if variances is None else np.asarray(variances, dtype=np.float64)
    check_positive(n)
    check_histogram(model, n, bins, spread)
    data = _Data(n, bins, spread, spread)

    def cost(theta: Array) -> float:
        return float(deviance(n, model.expected(bins, theta)).sum())

    def logarithms(theta: Array) -> Array:
        return np.log(np.maximum(model.expected(bins, theta), TINY))

    return _minimised(model, data, cost, logarithms, start, minos)


def fit_events(
    model: Model,
    values: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    bins: int = 50,
    start: Mapping[str, float] | None = None,
    minos: Sequence[str] | bool = False,
) -> Fit:
    """Fit events one by one; those outside of the model's range are left out.

    Args:
        model: what is fitted.
        values: (N,) the quantity.
        weights: (N,), also negative ones; errors are corrected for them.
        bins: of the histogram on which the goodness of fit and the pulls are computed.
        start: free parameter -> starting value; default: found from the data.
        minos: parameters whose errors are found by the profile likelihood; True: all.

    Raises:
        ValueError: values or weights that are not finite, no events, or too few for the
            parameters.
    """
    x, w = inside(model, values, weights)
    edges = np.linspace(*model.limits, bins + 1)
    counts, spread = np.histogram(x, edges, weights=w)[0], np.histogram(x, edges, weights=w**2)[0]
    check_histogram(model, counts, edges, spread)

    def logarithms(theta: Array) -> Array:
        return np.log(np.maximum(model.intensity(x, theta), TINY))

    def cost(theta: Array) -> float:
        return 2 * float(model.total(theta).item() - w @ logarithms(theta))

    return _minimised(model, _Data(counts, edges, spread, w**2), cost, logarithms, start, minos)


@dataclass(frozen=True)
class _Data:
    """A histogram (B,), and the squared weights (N,) of what the likelihood sums over."""

    counts: Array
    edges: Array
    variances: Array
    squares: Array

    @property
    def scale(self) -> float:
        """Mean weight: it makes Minuit's idea of one sigma fit to weighted events."""
        return float(self.variances.sum() / self.counts.sum())


def _minimised(
    model: Model,
    data: _Data,
    cost: Callable[[Array], float],
    logarithms: Callable[[Array], Array],
    start: Mapping[str, float] | None,
    minos: Sequence[str] | bool,
) -> Fit:
    """The minimum of a cost, twice the negative log-likelihood.

    Args:
        model: what is fitted.
        data: of the fit.
        cost: of the parameters (P,).
        logarithms: of the expectations, (..., P) -> (..., N), whose slopes weights need.
        start: of some parameters.
        minos: parameters whose profile likelihood is wanted; True: all.
    """
    wanted = model.names if minos is True else tuple(minos or ())
    begin = _begin(model, data, start or {}, wanted)
    minuit = Minuit(lambda theta: cost(theta) / data.scale, begin, name=model.names)
    minuit.errordef = Minuit.LEAST_SQUARES
    minuit.limits = list(zip(*model.bounds(float(data.counts.sum())), strict=True))
    with np.errstate(all="ignore"):  # trial steps may go where nothing is finite
        minuit.migrad(ncall=20_000)
        minuit.hesse()
    theta, covariance = np.array(minuit.values), np.zeros((len(begin), len(begin)))
    found = problems(model, minuit, theta, float(data.counts.sum()))
    if minuit.covariance is not None:
        covariance = np.asarray(minuit.covariance)
    fit = Fit(model, theta, covariance, data.counts, data.edges, data.variances, {},
              bool(minuit.valid), tuple(found))  # fmt: skip
    if fit.weighted:
        slopes = jacobian(logarithms, theta, model.sizes(theta))  # (N, P)
        inverse = covariance / data.scale
        return replace(fit, covariance=inverse @ (slopes.T * data.squares @ slopes) @ inverse)
    profile, failed = _profiled(minuit, wanted)
    return replace(fit, minos=profile, problems=(*found, *failed))


def _begin(model: Model, data: _Data, given: Mapping[str, float], wanted: Sequence[str]) -> Array:
    """Starting values; names that are given or wanted must be free parameters."""
    for name in (*given, *wanted):
        if name not in model.names:
            message = f"no free parameter {name!r}; choose from {', '.join(model.names)}"
            raise ValueError(message)
    begin = starting_values(model, np.maximum(data.counts, 0.0), data.edges)
    for name, value in given.items():
        begin[model.names.index(name)] = value
    return begin


def _profiled(
    minuit: Minuit, names: Sequence[str]
) -> tuple[dict[str, tuple[float, float]], list[str]]:
    found: dict[str, tuple[float, float]] = {}
    failed: list[str] = []
    if not minuit.valid:
        return found, failed
    for name in names:
        minuit.minos(name)
        error = minuit.merrors[name]
        if error.is_valid:
            found[name] = (-error.lower, error.upper)
        else:
            failed.append(f"{name}: the profile likelihood has no interval; a bound is near")
    return found, failed
