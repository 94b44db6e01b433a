"""`fivesigma fit`, `limit` and `significance`: what a workspace says of its signal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from matplotlib import rc_context
from matplotlib.figure import Figure

from fivesigma import statistics
from fivesigma.plots.stacks import stack
from fivesigma.plots.statistics import (
    cls_scan,
    correlation_matrix,
    likelihood_scan,
    parameter_pulls,
    parameter_ranking,
    statistic_distribution,
)
from fivesigma.plots.style import STYLE
from fivesigma.report import write_report, write_results
from fivesigma.report.figures import write_figures
from fivesigma.results import Number, Result, Table
from fivesigma.statistics import BANDS, Fit, Model
from fivesigma.storage import write_file
from fivesigma.workflows.steps import StoredFigure

__all__ = ["fit", "limit", "significance"]

#: what results call the parameter of interest, whatever its name in the workspace
_MU = "mu"
#: names of the expected values of a band
_BAND_NAMES = {-2: "_minus2", -1: "_minus1", 0: "", 1: "_plus1", 2: "_plus2"}
_BLIND = "Asimov data: what was observed is not looked at"


def fit(
    workspace: Path,
    out: Path,
    *,
    measurement: str = "",
    poi: str = "",
    patch: str = "",
    fixed: dict[str, float] | None = None,
    observed: bool = True,
    impacts: bool = False,
    overwrite: bool = False,
) -> Result:
    """Fit a workspace: signal strength, pulls, correlations, yields, goodness of fit.

    Writes `results.json`, `report.html`, figures, and for each region a table for HEPData.

    Examples:
        fivesigma fit workspace.json runs/fit --impacts
        fivesigma fit likelihoods.tar.gz/RegionA/BkgOnly.json runs/fit --patch patch.json

    Args:
        workspace: JSON of pyhf or cabinetry, or a Combine card (.txt); also inside a tar archive.
        out: folder for the results.
        measurement: of several in the workspace; the first if none.
        poi: parameter of interest; that of the measurement if none.
        patch: JSON patch beside the workspace, or patchset.json:name.
        fixed: name: value of parameters to hold.
        observed: fit the observed data; else Asimov data of signal strength 1 (blinded).
        impacts: rank the nuisance parameters by their impact on the signal strength.
        overwrite: replace earlier results.

    Returns:
        Numbers, tables and figures.

    Raises:
        ValueError: what is wrong with the workspace, and where; or results that exist.
    """
    model = _loaded(workspace, out, measurement, poi, patch, overwrite)
    data = model.data if observed else model.asimov(1.0)
    result = statistics.fit(model, data, fixed=fixed)
    numbers = _fit_numbers(result)
    before, after = statistics.yields(result, prefit=True), statistics.yields(result)
    pulls = statistics.pulls(result)
    tables = {"Events after the fit": statistics.yield_table(after), "Parameters": _values(result)}
    figures: dict[str, Any] = {"Pulls": parameter_pulls(pulls)} if pulls else {}
    free = np.flatnonzero(result.uncertainty > 0)
    if free.size > 1:
        names = [model.parameters.names[index] for index in free]
        figures["Correlations"] = correlation_matrix(names, result.correlation[np.ix_(free, free)])
    if result.uncertainty[model.poi] > 0:
        figures["Likelihood scan"] = likelihood_scan({"": statistics.scan(model, data=data)}, _MU)
    for title, found in (("before the fit", before), ("after the fit", after)):
        for each in found:
            figures[f"{each.channel} {title}"] = _spectrum(model, each, title, observed)
    if impacts:
        ranked = statistics.impacts(result)
        if ranked.ranking:
            tables["Impacts"] = _impacts(ranked)
            figures["Ranking"] = parameter_ranking(ranked.ranking, _MU)
    notes = [f"Parameter of interest: {model.poi_name}.", "" if observed else f"{_BLIND}."]
    notes.append(f"{result.note[:1].upper()}{result.note[1:]}." if result.note else "")
    made = Result("Fit", numbers, figures, tables, " ".join(note for note in notes if note))
    for each in after:
        text = yaml.safe_dump(statistics.hepdata(each), sort_keys=False)
        write_file(out / "hepdata" / f"{_file_name(each.channel)}.yaml", text.encode())
    return _written(made, workspace, out, "fit", overwrite)


def limit(
    workspace: Path,
    out: Path,
    *,
    measurement: str = "",
    poi: str = "",
    patch: str = "",
    level: float = 0.95,
    observed: bool = True,
    overwrite: bool = False,
) -> Result:
    """Upper limit on the signal strength with CLs, observed and expected with its bands.

    Examples:
        fivesigma limit workspace.json runs/limit

    Args:
        workspace: JSON of pyhf or cabinetry, or a Combine card (.txt); also inside a tar archive.
        out: folder for the results.
        measurement: of several in the workspace; the first if none.
        poi: parameter of interest; that of the measurement if none.
        patch: JSON patch beside the workspace, or patchset.json:name.
        level: confidence level.
        observed: look at the observed data; else only what is expected is told (blinded).
        overwrite: replace earlier results.

    Returns:
        Limits, CLs of the nominal signal, and CLs against the signal strength.

    Raises:
        ValueError: what is wrong with the workspace, and where; or results that exist.
    """
    model = _loaded(workspace, out, measurement, poi, patch, overwrite)
    data = model.data if observed else model.asimov(0.0)
    found = statistics.limit(model, data, level=level)
    nominal = statistics.cls(model, 1.0, data)
    note = f"upper limit at {100 * level:g} % CL"
    numbers: dict[str, Number] = {}
    if observed:
        numbers["mu_limit_observed"] = Number(found.observed, note=note)
        numbers["cls_observed"] = Number(float(nominal.observed[0]), note="CLs of mu = 1")
    for sigma, value in zip(BANDS, found.expected, strict=True):
        if np.isfinite(value):
            told = f"{note}, background {sigma:+d} standard deviations" if sigma else note
            numbers[f"mu_limit_expected{_BAND_NAMES[sigma]}"] = Number(float(value), note=told)
    for sigma, row in zip(BANDS, nominal.expected, strict=True):
        numbers[f"cls_expected{_BAND_NAMES[sigma]}"] = Number(float(row[0]), note="CLs of mu = 1")
    figures = {"CLs": cls_scan(found.scan, level, _MU, observed)}
    notes = [f"Parameter of interest: {model.poi_name}.", "" if observed else f"{_BLIND}."]
    notes.append(f"{found.note}." if found.note else "")
    made = Result("Upper limit", numbers, figures, {}, " ".join(note for note in notes if note))
    return _written(made, workspace, out, "limit", overwrite)


def significance(
    workspace: Path,
    out: Path,
    *,
    measurement: str = "",
    poi: str = "",
    patch: str = "",
    observed: bool = True,
    toys: int = 0,
    seed: int = 1,
    overwrite: bool = False,
) -> Result:
    """Discovery significance, observed and expected, asymptotic and from pseudo-experiments.

    Examples:
        fivesigma significance workspace.json runs/significance --toys 20000

    Args:
        workspace: JSON of pyhf or cabinetry, or a Combine card (.txt); also inside a tar archive.
        out: folder for the results.
        measurement: of several in the workspace; the first if none.
        poi: parameter of interest; that of the measurement if none.
        patch: JSON patch beside the workspace, or patchset.json:name.
        observed: look at the observed data; else only what is expected is told (blinded).
        toys: background pseudo-experiments; 0: asymptotic formulas alone.
        seed: of the pseudo-experiments.
        overwrite: replace earlier results.

    Returns:
        Standard deviations and p-values.

    Raises:
        ValueError: what is wrong with the workspace, and where; or results that exist.
    """
    model = _loaded(workspace, out, measurement, poi, patch, overwrite)
    data = model.data if observed else model.asimov(1.0)
    found = statistics.significance(model, data)
    numbers: dict[str, Number] = {}
    if observed:
        numbers["z_observed"] = Number(found.observed, note="asymptotic")
        numbers["p_observed"] = Number(found.p_observed, note="asymptotic, one-sided")
    numbers["z_expected"] = Number(found.expected, note="asymptotic, Asimov data of mu = 1")
    numbers["p_expected"] = Number(found.p_expected, note="asymptotic, one-sided")
    figures: dict[str, Any] = {}
    notes = [f"Parameter of interest: {model.poi_name}.", "" if observed else f"{_BLIND}."]
    if toys:
        drawn = statistics.toys(model, 0.0, toys, seed, data=data)
        goal = found.q0 if observed else found.expected**2
        which = "observed" if observed else "expected"
        p = statistics.p_value(drawn, goal)
        numbers[f"p_{which}_toys"] = p
        numbers[f"z_{which}_toys"] = statistics.z_value(p)
        numbers["toys_failed"] = Number(drawn.failed)
        figures["Pseudo-experiments"] = statistic_distribution(drawn.q, goal if observed else None)
        notes.append(f"{drawn.note}." if drawn.note else "")
    notes.append(f"{found.note}." if found.note else "")
    made = Result("Significance", numbers, figures, {}, " ".join(n for n in notes if n))
    return _written(made, workspace, out, "significance", overwrite)


def _loaded(
    workspace: Path, out: Path, measurement: str, poi: str, patch: str, overwrite: bool
) -> Model:
    """The model, once it is clear that its results may be written."""
    if (out / "results.json").exists() and not overwrite:
        message = (
            f"{out}/results.json exists; add --overwrite to replace it, or give another --out"
        )
        raise ValueError(message)
    return statistics.load(workspace, patch=patch, measurement=measurement, poi=poi)


def _drawn(figure: Figure) -> StoredFigure:
    """A figure as SVG: it is shown in several places, and drawing it is what takes the time."""
    stream = StringIO()
    with rc_context(STYLE):
        look: dict[str, Any] = {"facecolor": "none", "edgecolor": "none"}
        figure.savefig(stream, format="svg", metadata={"Date": None}, **look)
    return StoredFigure(stream.getvalue())


def _written(made: Result, workspace: Path, out: Path, verb: str, overwrite: bool) -> Result:
    made = replace(made, figures={name: _drawn(each) for name, each in made.figures.items()})
    write_figures(out / "figures", made.figures)
    write_report(
        out / "report.html",
        f"{made.title}: {workspace.name}",
        [made],
        {"Workspace": str(workspace)},
        [f"fivesigma {verb} {workspace} {out}"],
        headline=dict(list(made.numbers.items())[:4]),
        overwrite=True,
    )
    write_results(out / "results.json", [made], overwrite)
    return made


def _fit_numbers(result: Fit) -> dict[str, Number]:
    """The signal strength with the interval of its profile, what its uncertainty is made of."""
    model = result.model
    numbers: dict[str, Number] = {}
    if result.uncertainty[model.poi] > 0:
        fixed = {
            name: result.theta[index]
            for index, name in enumerate(model.parameters.names)
            if result.fixed[index]
        }
        ends = statistics.interval(model, data=result.data, fixed=fixed)
        up, down = ends.high - ends.best, ends.best - ends.low
        note = f"+{up:.3g} −{down:.3g}, 68.3 % interval of the likelihood profile"
        numbers[_MU] = Number(result.mu, (up + down) / 2, note=note)
        # at a bound the covariance, and what is made of it, has no meaning
        parts = statistics.breakdown(result) if min(up, down) > 0 else {}
        for title, size in parts.items():
            key = f"mu_uncertainty_{title.replace(' ', '_').lower()}"
            numbers[key] = Number(size, note="from the Hessian")
    else:
        numbers[_MU] = Number(result.mu, note="held")
    good = statistics.goodness_of_fit(result)
    note = f"{good.degrees_of_freedom} degrees of freedom"
    numbers["chi2_saturated"] = Number(good.chi2, note=note)
    numbers["p_goodness_of_fit"] = Number(good.p_value, note="saturated model, asymptotic")
    numbers["converged"] = Number(float(result.converged))
    return numbers


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


def _impacts(ranked: statistics.Impacts) -> Table:
    """Impacts with their signs."""
    rows = [
        (i.name, *(Number(v) if np.isfinite(v) else "–" for v in _shifts(i)))
        for i in ranked.ranking
    ]
    columns = ("Parameter", "+1σ", "−1σ", "+1σ before the fit", "−1σ before the fit")
    return Table(columns, tuple(rows), ranked.note)


def _shifts(impact: statistics.Impact) -> tuple[float, float, float, float]:
    return impact.up, impact.down, impact.prefit_up, impact.prefit_down


def _spectrum(model: Model, found: statistics.Yields, title: str, observed: bool) -> Any:
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


def _file_name(channel: str) -> str:
    """A region's name as that of a file, which cannot leave its folder."""
    return "".join(c if c.isalnum() or c in "-_" else "_" for c in channel)
