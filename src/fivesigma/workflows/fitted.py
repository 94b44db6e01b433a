"""What a fit of a workspace finds, as numbers, tables and figures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from fivesigma import statistics
from fivesigma.plots.stacks import stack
from fivesigma.plots.statistics import (
    correlation_matrix,
    goodness_distribution,
    likelihood_scan,
    parameter_pulls,
    parameter_ranking,
)
from fivesigma.results import Number, Table
from fivesigma.statistics import BANDS, CLs, Fit, Impact, Impacts, Limit, Model, Scan, Yields

__all__ = [
    "MU",
    "fit_figures",
    "fit_numbers",
    "fit_tables",
    "goodness",
    "limit_numbers",
    "profile",
    "profiles",
]

#: what results call the parameter of interest, whatever its name in the workspace
MU = "mu"
#: names of the expected values of a band
_BAND_NAMES = {-2: "_minus2", -1: "_minus1", 0: "", 1: "_plus1", 2: "_plus2"}


def fit_numbers(result: Fit) -> dict[str, Number]:
    """The signal strength with the interval of its profile, what its uncertainty is made of."""
    model = result.model
    numbers: dict[str, Number] = {}
    if result.uncertainty[model.poi] > 0:
        ends = statistics.interval(model, data=result.data, fixed=_held(result))
        up, down = ends.high - ends.best, ends.best - ends.low
        note = f"+{up:.3g} −{down:.3g}, 68.3 % interval of the likelihood profile"
        note += f"; {ends.note}" if ends.note else ""
        numbers[MU] = Number(result.mu, (up + down) / 2, note=note)
        # at a bound the covariance, and what is made of it, has no meaning
        parts = statistics.breakdown(result) if min(up, down) > 0 else {}
        for title, size in parts.items():
            key = f"mu_uncertainty_{title.replace(' ', '_').lower()}"
            numbers[key] = Number(size, note="from the Hessian")
    else:
        numbers[MU] = Number(result.mu, note="held")
    numbers["converged"] = Number(float(result.converged))
    return numbers


def goodness(
    result: Fit, toys: int = 0, seed: int = 1
) -> tuple[dict[str, Number], dict[str, Figure], str]:
    """How well the data are described, asymptotic and by pseudo-experiments.

    Args:
        result: a fit to observed data: Asimov data are what the model expects.
        toys: pseudo-experiments; 0: the asymptotic formula alone.
        seed: of them.

    Returns:
        Numbers, a figure if there are pseudo-experiments, and a note.
    """
    good = statistics.goodness_of_fit(result)
    if not good.degrees_of_freedom > 0:
        note = "The goodness of fit is not defined: there are no more bins than free parameters"
        return {}, {}, note
    note = f"{good.degrees_of_freedom} degrees of freedom"
    numbers = {
        "chi2_saturated": Number(good.chi2, note=note),
        "p_goodness_of_fit": Number(good.p_value, note="saturated model, asymptotic"),
    }
    if not toys or not result.converged:
        return numbers, {}, ""
    drawn = statistics.goodness_by_toys(result, toys, seed)
    numbers["toys_failed"] = Number(drawn.failed)
    if drawn.failed == drawn.q.size:
        return numbers, {}, drawn.note
    numbers["p_goodness_of_fit_toys"] = statistics.p_value(drawn, good.chi2)
    figure = goodness_distribution(drawn.q, good.chi2, good.degrees_of_freedom)
    return numbers, {"Goodness of fit": figure}, drawn.note


def profile(result: Fit) -> Scan | None:
    """The likelihood along the parameter of interest; None where it is held."""
    model = result.model
    if not result.uncertainty[model.poi] > 0:
        return None
    return statistics.scan(model, data=result.data, fixed=_held(result))


def profiles(model: Model, data: np.ndarray | None, mu: float) -> dict[str, Scan]:
    """The likelihood from no signal, where it is Z^2, to twice the one that is seen or nominal.

    Args:
        model: the model.
        data: (N,) observed data; None: what is expected alone.
        mu: fitted signal strength.

    Returns:
        "observed" and "expected"; those that no fit converged for are left out.
    """
    values = np.linspace(0.0, 2 * max(mu, 1.0), 41)
    asimov = statistics.profiled_asimov(model, 1.0, data)[0] if data is not None else None
    every = {"observed": data, "expected": model.asimov(1.0) if asimov is None else asimov}
    scans = {
        name: statistics.scan(model, values=values, data=each)
        for name, each in every.items()
        if each is not None
    }
    return {name: each for name, each in scans.items() if np.isfinite(each.twice_delta_nll).any()}


def limit_numbers(found: Limit, nominal: CLs, observed: bool) -> dict[str, Number]:
    """Limits on the signal strength, and CLs of the nominal one; where a fit failed there is none.

    Args:
        found: the limits.
        nominal: CLs of signal strength 1.
        observed: whether the data were looked at.
    """
    note = f"upper limit at {100 * found.level:g} % CL"
    numbers = {}
    if observed:
        numbers["mu_limit_observed"] = Number(found.observed, note=note)
        numbers["cls_observed"] = Number(float(nominal.observed[0]), note="CLs of mu = 1")
    for sigma, value in zip(BANDS, found.expected, strict=True):
        told = f"{note}, background {sigma:+d} standard deviations" if sigma else note
        numbers[f"mu_limit_expected{_BAND_NAMES[sigma]}"] = Number(float(value), note=told)
    for sigma, row in zip(BANDS, nominal.expected, strict=True):
        name = f"cls_expected{_BAND_NAMES[sigma]}"
        numbers[name] = Number(float(row[0]), note="CLs of mu = 1")
    return {name: each for name, each in numbers.items() if np.isfinite(each.value)}


def fit_tables(result: Fit, ranked: Impacts | None, observed: bool) -> dict[str, Table]:
    """Events after the fit, parameters, and impacts if there are any."""
    tables = {
        "Events after the fit": statistics.yield_table(
            statistics.yields(result), observed=observed
        ),
        "Parameters": _values(result),
    }
    return tables if ranked is None else {**tables, "Impacts": _impacts(ranked)}


def fit_figures(
    result: Fit, ranked: Impacts | None, scanned: Scan | None, observed: bool
) -> dict[str, Figure]:
    """Pulls, ranking, correlations, likelihood profile, and every region before and after."""
    model, pulls = result.model, statistics.pulls(result)
    figures = {"Pulls": parameter_pulls(pulls)} if pulls else {}
    if ranked is not None and ranked.ranking:
        figures["Ranking"] = parameter_ranking(ranked.ranking, MU)
    free = np.flatnonzero(result.uncertainty > 0)
    if free.size > 1:
        names = [model.parameters.names[index] for index in free]
        figures["Correlations"] = correlation_matrix(names, result.correlation[np.ix_(free, free)])
    if scanned is not None:
        figures["Likelihood scan"] = likelihood_scan({"": scanned}, MU)
    for prefit, title in ((True, "before the fit"), (False, "after the fit")):
        for each in statistics.yields(result, prefit=prefit):
            figures[f"{each.channel} {title}"] = _spectrum(model, each, title, observed)
    return figures


def _held(result: Fit) -> dict[str, float]:
    """The parameters that the fit did not move."""
    names = result.model.parameters.names
    return {names[index]: float(result.theta[index]) for index in np.flatnonzero(result.fixed)}


def _values(result: Fit) -> Table:
    """Every parameter that was fitted."""
    p = result.model.parameters
    pulls = {each.name: each for each in statistics.pulls(result)}
    rows = []
    for index, name in enumerate(p.names):
        if not result.fixed[index]:
            pull = pulls.get(name)
            shown = Number(pull.pull, pull.uncertainty) if pull else "free"
            value = Number(float(result.theta[index]), float(result.uncertainty[index]))
            rows.append((name, value, shown))
    return Table(("Parameter", "Value", "Pull"), tuple(rows))


def _impacts(ranked: Impacts) -> Table:
    """Impacts with their signs."""
    rows = [
        (i.name, *(Number(v) if np.isfinite(v) else "–" for v in _shifts(i)))
        for i in ranked.ranking
    ]
    columns = ("Parameter", "+1σ", "−1σ", "+1σ before the fit", "−1σ before the fit")
    return Table(columns, tuple(rows), ranked.note)


def _shifts(impact: Impact) -> tuple[float, float, float, float]:
    return impact.up, impact.down, impact.prefit_up, impact.prefit_down


def _spectrum(model: Model, found: Yields, title: str, observed: bool) -> Figure:
    """One region with its samples, the signal on top."""
    signals = _signals(model.workspace, model.poi_name)
    order = sorted(found.samples, key=lambda name: (name in signals, found.samples[name].sum()))
    return stack(
        np.arange(found.total.size + 1) + 0.5,
        {name: found.samples[name] for name in order},
        found.data if observed else None,
        found.uncertainty,
        signal=tuple(name for name in order if name in signals),
        axis="Bin",
        region=f"{found.channel}, {title}",
    )


def _signals(workspace: Mapping[str, Any], poi: str) -> set[str]:
    """Samples that the parameter of interest scales."""
    return {
        sample["name"]
        for channel in workspace["channels"]
        for sample in channel["samples"]
        if any(modifier["name"] == poi for modifier in sample["modifiers"])
    }
