"""What nuisance parameters do to the signal strength, and where its uncertainty comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fivesigma.statistics.failures import joined, reasons
from fivesigma.statistics.fits import Fit, covariance_of, pulls, run_each
from fivesigma.statistics.minimiser import CONVERGED

__all__ = ["Impact", "Impacts", "breakdown", "default_groups", "impacts"]

_STATISTICAL = ("shapesys", "staterror")


@dataclass(frozen=True)
class Impact:
    """Shifts of the signal strength when one parameter is moved and held, all others refitted.

    Attributes:
        name: the parameter.
        pull: fitted shift in units of the constraint's width; NaN for free parameters.
        pull_uncertainty: fitted uncertainty in the same unit.
        up: shift for + one fitted standard deviation; NaN if the fit failed.
        down: for - one.
        prefit_up: shift for + one standard deviation of the constraint; NaN for free parameters.
        prefit_down: for - one.
    """

    name: str
    pull: float
    pull_uncertainty: float
    up: float
    down: float
    prefit_up: float
    prefit_down: float

    @property
    def size(self) -> float:
        """The larger of both fitted shifts."""
        return float(np.nanmax(np.abs([self.up, self.down, 0.0])))


@dataclass(frozen=True)
class Impacts:
    """Impacts, the largest first, and the fits that failed."""

    ranking: tuple[Impact, ...]
    note: str = ""


def impacts(result: Fit) -> Impacts:
    """Impacts of all parameters at once: four fits each, in one batch.

    Args:
        result: the fit that they are about.
    """
    model, p = result.model, result.model.parameters
    moved = np.flatnonzero(~result.fixed & (result.uncertainty > 0))
    moved = moved[moved != model.poi]
    start, held = _shifted(result, moved)
    found = run_each(model, result.data[None], start, held)
    shift = np.where(found.status == CONVERGED, found.theta[:, model.poi] - result.mu, np.nan)
    shift = shift.reshape(4, -1)
    shift[2:, p.width[moved] == 0] = np.nan
    moves = {each.name: (each.pull, each.uncertainty) for each in pulls(result)}
    ranking = [
        Impact(
            p.names[index],
            *moves.get(p.names[index], (np.nan, np.nan)),
            *(float(each) for each in shift[:, k]),
        )
        for k, index in enumerate(moved)
    ]
    ranking.sort(key=lambda impact: -impact.size)
    note = joined(reasons(found.status), _cut(result, moved))
    return Impacts(tuple(ranking), note)


def _cut(result: Fit, moved: np.ndarray) -> str:
    """Parameters that a bound keeps from moving by their fitted uncertainty."""
    p, theta, width = result.model.parameters, result.theta[moved], result.uncertainty[moved]
    short = (theta - width < p.lower[moved]) | (theta + width > p.upper[moved])
    names = [p.names[index] for index in moved[short]]
    return f"moved to a bound only: {', '.join(names)}" if names else ""


def _shifted(result: Fit, moved: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Starts and held parameters (4 K, P): up, down, up and down before the fit."""
    p, n = result.model.parameters, moved.size
    rows = np.arange(n)
    held = np.tile(result.fixed, (4 * n, 1))
    start = np.tile(result.theta, (4 * n, 1))
    widths = (result.uncertainty[moved], p.width[moved])
    variance = np.square(result.uncertainty[moved])
    for k, (width, sign) in enumerate((w, s) for w in widths for s in (1, -1)):
        block = slice(k * n, (k + 1) * n)
        value = result.theta[moved] + sign * width
        value = np.clip(value, p.lower[moved], p.upper[moved])
        # the others start where their correlation says that they will end
        change = (value - result.theta[moved]) / variance
        start[block] += result.covariance[moved] * change[:, None]
        start[block][rows, moved] = value
        held[block][rows, moved] = True
    return start, held


def default_groups(result: Fit) -> dict[str, list[str]]:
    """Sets of nuisance parameters by their kind.

    `MC statistics` are constrained bin by bin (staterror, shapesys), `free normalisations` by the
    data alone (normfactor, shapefactor), `systematics` by all other auxiliary measurements.
    """
    p = result.model.parameters
    titles = ("MC statistics", "free normalisations", "systematics")
    groups: dict[str, list[str]] = {title: [] for title in titles}
    for name, place in p.slices.items():
        if place.start == result.model.poi:
            continue
        if set(p.kinds[name]) & set(_STATISTICAL):
            groups["MC statistics"].append(name)
        elif p.width[place.start] == 0:
            groups["free normalisations"].append(name)
        else:
            groups["systematics"].append(name)
    return {title: names for title, names in groups.items() if names}


def breakdown(result: Fit, groups: Mapping[str, Sequence[str]] | None = None) -> dict[str, float]:
    """The uncertainty of the signal strength by groups of parameters.

    What a group adds is the quadratic difference between the uncertainty with all parameters free
    and that with the group held at its best fit. `data statistics` is what is left with all held,
    free normalisations included: what these cost, through the statistics of the regions that
    measure them, is a group of its own. Groups are correlated, so their squares need not add up
    to the total.

    Args:
        result: a fit.
        groups: title -> names of parameters or sets; default: `default_groups`.

    Returns:
        `total`, each group, `data statistics`.

    Raises:
        ValueError: unknown parameters.
    """
    total = result.mu_uncertainty
    chosen = default_groups(result) if groups is None else groups
    found = {"total": total}
    for title, names in chosen.items():
        left = _without(result, names)
        found[title] = float(np.sqrt(max(total**2 - left**2, 0.0)))
    every = [name for name in result.model.parameters.names if name != result.model.poi_name]
    found["data statistics"] = _without(result, every)
    return found


def _without(result: Fit, names: Sequence[str]) -> float:
    """Uncertainty of the signal strength with these parameters held at their best fit."""
    # what is at a bound stays there, as in the covariance of the fit
    held = result.fixed | (result.uncertainty == 0)
    for name in names:
        held[result.model.index(name)] = True
    bound, poi = np.zeros_like(held), result.model.poi
    covariance, _ = covariance_of(result.model, result.theta, result.data, held, bound)
    return float(np.sqrt(max(covariance[poi, poi], 0.0)))
