"""Maximum-likelihood fits, one with all its uncertainties or thousands at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from iminuit import Minuit
from numpy.typing import ArrayLike

from fivesigma.statistics.failures import at_bounds, bound_notes, explain, joined
from fivesigma.statistics.kernels import POISSON, deviance, evaluate
from fivesigma.statistics.minimiser import CONVERGED, Minima, minimise
from fivesigma.statistics.model import Model

__all__ = ["Fit", "Fixed", "Pull", "fit", "fit_many", "pulls"]

#: name of a parameter or set -> the value(s) that it keeps
Fixed = Mapping[str, ArrayLike]


@dataclass(frozen=True, eq=False)
class Fit:
    """The result of one fit.

    Attributes:
        model: what was fitted.
        data: (N,) to what.
        theta: (P,) best-fit parameters.
        uncertainty: (P,) one standard deviation from the Hessian; 0 for fixed parameters.
        covariance: (P, P); 0 for fixed parameters.
        twice_nll: -2 ln L at the minimum.
        half_deviance: -ln L less its lowest conceivable value.
        converged: whether a minimum was found.
        note: why it was not, parameters at a bound, or parameters that the data cannot tell apart.
        fixed: (P,) flags.
    """

    model: Model
    data: np.ndarray
    theta: np.ndarray
    uncertainty: np.ndarray
    covariance: np.ndarray
    twice_nll: float
    half_deviance: float
    converged: bool
    note: str
    fixed: np.ndarray

    @property
    def correlation(self) -> np.ndarray:
        """(P, P) correlation matrix; rows of fixed parameters are 0."""
        width = np.where(self.uncertainty > 0, self.uncertainty, np.inf)
        return self.covariance / np.outer(width, width)

    @property
    def mu(self) -> float:
        """Best-fit value of the parameter of interest."""
        return float(self.theta[self.model.poi])

    @property
    def mu_uncertainty(self) -> float:
        """Uncertainty of the parameter of interest."""
        return float(self.uncertainty[self.model.poi])


def fit(model: Model, data: ArrayLike | None = None, *, fixed: Fixed | None = None) -> Fit:
    """Fit a model, with uncertainties from the exact Hessian.

    Where the Newton method finds no minimum, MINUIT tries. A fit that fails says why in its note.

    Args:
        model: the model.
        data: (N,) main and auxiliary data; default: what was observed.
        fixed: name -> value of parameters to hold, besides those that the model fixes.

    Raises:
        ValueError: unknown parameters, or data of another length.
    """
    measured = model.checked_data(data)[0]
    start, held = starts(model, fixed, 1)
    found = _run(model, measured[None], start, held)
    note = ""
    if found.status[0] != CONVERGED:
        note = explain(model, start[0], measured, int(found.status[0]))
        rescued = _minuit(model, measured, start[0], held[0])
        if rescued is not None:
            found, note = rescued, ""
    return _with_uncertainties(model, measured, found, held[0], note)


def fit_many(
    model: Model,
    data: ArrayLike | None = None,
    *,
    fixed: Fixed | None = None,
    start: ArrayLike | None = None,
    poi_lower: float | None = None,
) -> Minima:
    """Fit many data sets, or one at many fixed values, at once.

    Args:
        model: the model.
        data: (B, N) or (N,) main and auxiliary data; default: what was observed.
        fixed: name -> value, or (B,) values, of parameters to hold.
        start: (P,) or (B, P) where fits start; default: the parameters' initial values.
        poi_lower: lower bound of the parameter of interest instead of the model's bounds; upwards
            it is free then.

    Returns:
        The minima; fits that failed bear a status.

    Raises:
        ValueError: unknown parameters, or shapes that do not fit together.
    """
    measured = model.checked_data(data)
    sizes = [np.size(value) for value in (fixed or {}).values()]
    sizes += [1 if start is None else len(np.atleast_2d(start)), len(measured)]
    n = max(sizes)
    if any(size not in (1, n) for size in sizes):
        message = f"data sets, starts and fixed values are {sizes} in number; they must agree"
        raise ValueError(message)
    points, held = starts(model, fixed, n, start)
    lower, upper = model.parameters.lower.copy(), model.parameters.upper.copy()
    if poi_lower is not None:
        lower[model.poi], upper[model.poi] = poi_lower, np.inf
    return _run(model, measured, points, held, (lower, upper))


def starts(
    model: Model, fixed: Fixed | None, n: int, start: ArrayLike | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Where n fits start (n, P), and which parameters they hold (1, P)."""
    points = np.empty((n, len(model.parameters)))
    points[:] = model.parameters.init if start is None else start
    held = model.parameters.fixed.copy()
    for name, value in (fixed or {}).items():
        place = model.index(name)
        points[:, place] = np.reshape(np.asarray(value, np.float64), (-1, 1))
        held[place] = True
    return points, held[None]


def _run(
    model: Model,
    data: np.ndarray,
    start: np.ndarray,
    held: np.ndarray,
    bounds: tuple[np.ndarray, np.ndarray] | None = None,
) -> Minima:
    """Fits, and those that failed once more from the model's own start."""
    p = model.parameters
    limits = bounds or (p.lower, p.upper)
    found = minimise(model.templates, start, data, held, *limits)
    failed = np.flatnonzero(found.status != CONVERGED)
    if not failed.size:
        return found
    again_held = held[failed % len(held)]
    again = np.where(again_held, start[failed], p.init)
    second = minimise(model.templates, again, data[failed % len(data)], again_held, *limits)
    good = second.status == CONVERGED
    for old, new in zip(found, second, strict=True):
        old[failed[good]] = new[good]
    return found


def run_each(model: Model, data: np.ndarray, start: np.ndarray, held: np.ndarray) -> Minima:
    """Fits of which each holds other parameters: start and held are (B, P)."""
    return _run(model, data, start, held)


def _minuit(model: Model, data: np.ndarray, start: np.ndarray, held: np.ndarray) -> Minima | None:
    """One hard fit by MINUIT; None if it does not converge either."""
    p = model.parameters
    if not np.isfinite(deviance(model.templates, start, data)):
        return None
    minuit = Minuit(
        lambda theta: deviance(model.templates, theta, data),
        start,
        grad=lambda theta: evaluate(model.templates, theta, data, False)[1],
    )
    minuit.errordef = Minuit.LIKELIHOOD
    minuit.tol = 1e-4  # of the usual distance to the minimum: likelihood ratios need it
    minuit.limits = list(zip(p.lower, p.upper, strict=True))
    minuit.fixed = held.tolist()
    minuit.migrad()
    if not minuit.valid:
        return None
    theta = np.array(minuit.values)[None]
    value = np.array([minuit.fval])
    return Minima(theta, value, np.array([CONVERGED]), np.array([minuit.fmin.edm]))


def _with_uncertainties(
    model: Model, data: np.ndarray, found: Minima, held: np.ndarray, note: str
) -> Fit:
    theta = found.theta[0]
    covariance, degenerate = covariance_of(model, theta, data, held, at_bounds(model, theta, held))
    notes = [note, *bound_notes(model, theta, held)]
    if degenerate:
        notes.append(
            f"the data cannot tell {', '.join(degenerate)} apart; fix one of them, or constrain it"
        )
    value = float(found.half_deviance[0])
    return Fit(
        model=model,
        data=data,
        theta=theta,
        uncertainty=np.sqrt(np.clip(np.diag(covariance), 0, None)),
        covariance=covariance,
        twice_nll=2 * value + float(model.saturated(data)[0]),
        half_deviance=value,
        converged=bool(found.status[0] == CONVERGED),
        note=joined(*notes),
        fixed=held,
    )


def covariance_of(
    model: Model, theta: np.ndarray, data: np.ndarray, held: np.ndarray, at_bound: np.ndarray
) -> tuple[np.ndarray, list[str]]:
    """Twice the inverse Hessian of -2 ln L, and the names of parameters that leave it singular."""
    whole = model.hessian(theta, data)[0]
    covariance = np.zeros_like(whole)
    for free in (~held, ~held & ~at_bound):
        index = np.flatnonzero(free)
        part = whole[np.ix_(index, index)]
        if not np.isfinite(part).all():
            continue
        scale = np.sqrt(np.clip(np.diag(part), 1e-300, None))
        values, vectors = np.linalg.eigh(part / np.outer(scale, scale))
        if index.size == 0 or values[0] > 1e-10:
            inverse = np.linalg.inv(part) if index.size else part
            covariance[np.ix_(index, index)] = 2 * inverse
            return covariance, []
    if not np.isfinite(whole).all() or not index.size:
        return covariance, []
    inverse = np.linalg.pinv(part / np.outer(scale, scale), rcond=1e-10) / np.outer(scale, scale)
    covariance[np.ix_(index, index)] = 2 * inverse
    weak = np.abs(vectors[:, 0]) > 0.3
    return covariance, [model.parameters.names[i] for i in index[weak]]


@dataclass(frozen=True)
class Pull:
    """How far a fit moved a constrained parameter.

    Attributes:
        name: the parameter.
        pull: (fitted - measured) / width of the constraint.
        uncertainty: fitted uncertainty / width of the constraint.
    """

    name: str
    pull: float
    uncertainty: float


def pulls(result: Fit) -> list[Pull]:
    """Pulls of all constrained parameters that were not fixed."""
    p, found = result.model.parameters, []
    for k, index in enumerate(p.aux_parameter):
        if result.fixed[index]:
            continue
        centre = result.data[result.model.n_bins + k]
        if p.constraint[index] == POISSON:
            centre = centre / p.aux_scale[k]  # events, in units of the parameter
        width = p.width[index]
        found.append(
            Pull(
                p.names[index],
                float((result.theta[index] - centre) / width),
                float(result.uncertainty[index] / width),
            )
        )
    return found
