"""`fivesigma fit`, `limit` and `significance`: what a workspace says of its signal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fivesigma import statistics
from fivesigma.plots.statistics import cls_scan, likelihood_scan, statistic_distribution
from fivesigma.results import Number, Result, Table
from fivesigma.search.measurement import is_blinded
from fivesigma.search.samples import expanded
from fivesigma.statistics import Model
from fivesigma.workflows.fitted import (
    MU,
    fit_figures,
    fit_numbers,
    fit_tables,
    goodness,
    limit_numbers,
    profile,
    profiles,
)
from fivesigma.workflows.signals import cls_of_signals
from fivesigma.workflows.submission import cls_table, fit_tables_of, scan_table, write_tables
from fivesigma.workflows.written import written

__all__ = ["fit", "limit", "significance"]

_BLIND = "Asimov data: what was observed is not looked at"
_CLOSED = "Asimov data: the data are closed, the workspace has the prediction in their place"


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
    toys: int = 0,
    seed: int = 1,
    overwrite: bool = False,
) -> Result:
    """Fit a workspace: signal strength, pulls, correlations, yields, goodness of fit.

    Writes `results.json`, `report.html`, figures, and in `hepdata/` a table of each region and of
    the likelihood profile for HEPData, which Asimov data have none of.

    Examples:
        fivesigma fit workspace.json runs/fit --impacts --toys 2000
        fivesigma fit likelihoods.tar.gz/RegionA/BkgOnly.json runs/fit --patch patch.json

    Args:
        workspace: JSON of pyhf or cabinetry, or a Combine card (.txt); also inside a tar archive;
            ${NAME:-default} is taken from the environment.
        out: folder for the results.
        measurement: of several in the workspace; the first if none.
        poi: parameter of interest; that of the measurement if none.
        patch: JSON patch beside the workspace, or patchset.json:name.
        fixed: name: value of parameters to hold.
        observed: fit the observed data; else Asimov data of signal strength 1 (blinded), as of a
            workspace whose data are closed.
        impacts: rank the nuisance parameters by their impact on the signal strength.
        toys: pseudo-experiments for the goodness of fit, which few events a bin need; 0: the
            asymptotic formula alone.
        seed: of the pseudo-experiments.
        overwrite: replace earlier results.

    Returns:
        Numbers, tables and figures.

    Raises:
        ValueError: what is wrong with the workspace, and where; or results that exist.
    """
    model = _loaded(workspace, out, measurement, poi, patch, overwrite)
    blind = _blind(model, measurement, observed)
    if toys and blind:
        message = "--toys test the goodness of fit, and there is none of Asimov data; leave it out"
        raise ValueError(message)
    chosen = {"measurement": measurement, "poi": poi, "patch": patch, "fixed": fixed or {}}
    asked = _asked(observed, **chosen, impacts=impacts, toys=toys, seed=seed)
    observed = not blind
    data = model.data if observed else model.asimov(1.0)
    result = statistics.fit(model, data, fixed=fixed)
    ranked = statistics.impacts(result) if impacts else None
    scanned = profile(result)
    good, drawn, told = goodness(result, toys, seed) if observed else ({}, {}, "")
    made = Result(
        "Fit",
        fit_numbers(result) | good,
        fit_figures(result, ranked, scanned, observed) | drawn,
        fit_tables(result, ranked, observed),
        _note(model, blind, result.note, scanned.note if scanned else "", told),
    )
    tables = fit_tables_of(result) if observed else {}
    if observed and scanned:
        tables["likelihood_scan"] = scan_table({"": scanned}, MU)
    write_tables(out / "hepdata", tables)
    return written(made, workspace, out, "fit", asked, overwrite)


def limit(
    workspace: Path,
    out: Path,
    *,
    measurement: str = "",
    poi: str = "",
    patch: str = "",
    signals: Sequence[str] = (),
    level: float = 0.95,
    observed: bool = True,
    overwrite: bool = False,
) -> Result:
    """Upper limit on the signal strength with CLs, observed and expected with its bands.

    Writes `results.json`, `report.html`, a figure, and the same curves in `hepdata/` for HEPData.

    Examples:
        fivesigma limit workspace.json runs/limit
        fivesigma limit --config configs/susy-2018-31.yaml

    Args:
        workspace: JSON of pyhf or cabinetry, or a Combine card (.txt); also inside a tar archive;
            ${NAME:-default} is taken from the environment.
        out: folder for the results.
        measurement: of several in the workspace; the first if none.
        poi: parameter of interest; that of the measurement if none.
        patch: JSON patch beside the workspace, or patchset.json:name.
        signals: further patches, names or patterns like patch.sbottom_1300_*.json: CLs of each.
        level: confidence level.
        observed: look at the observed data; else only what is expected is told (blinded).
        overwrite: replace earlier results.

    Returns:
        Limits, CLs of the nominal signal and of further ones, and CLs against the signal strength.

    Raises:
        ValueError: what is wrong with the workspace, and where; or results that exist.
    """
    model = _loaded(workspace, out, measurement, poi, patch, overwrite)
    blind = _blind(model, measurement, observed)
    chosen = {"measurement": measurement, "poi": poi, "patch": patch}
    asked = _asked(observed, **chosen, signals=signals, level=level)
    observed = not blind
    data = model.data if observed else model.asimov(0.0)
    found = statistics.limit(model, data, level=level)
    nominal = statistics.cls(model, 1.0, data)
    numbers = limit_numbers(found, nominal, observed)
    tables: dict[str, Table] = {}
    if signals:
        options: dict[str, Any] = {"measurement": measurement, "poi": poi, "level": level}
        further, tables["Signals"] = cls_of_signals(
            _place(workspace), signals, observed=observed, **options
        )
        numbers |= further
    figures = {"CLs": cls_scan(found.scan, level, MU, observed)}
    troubles = dict.fromkeys((found.note, nominal.note))
    made = Result("Upper limit", numbers, figures, tables, _note(model, blind, *troubles))
    shown = {"cls": cls_table(found.scan, MU)} if observed else {}
    write_tables(out / "hepdata", shown)
    return written(made, workspace, out, "limit", asked, overwrite)


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

    Writes `results.json`, `report.html`, figures, and in `hepdata/` the likelihood profiles.

    Examples:
        fivesigma significance workspace.json runs/significance --toys 20000

    Args:
        workspace: JSON of pyhf or cabinetry, or a Combine card (.txt); also inside a tar archive;
            ${NAME:-default} is taken from the environment.
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
    blind = _blind(model, measurement, observed)
    chosen = {"measurement": measurement, "poi": poi, "patch": patch}
    asked = _asked(observed, **chosen, toys=toys, seed=seed)
    observed = not blind
    data = model.data if observed else model.asimov(1.0)
    found = statistics.significance(model, data)
    numbers: dict[str, Number] = {}
    if observed and np.isfinite(found.observed):  # else the note tells which fit failed
        numbers["z_observed"] = Number(found.observed, note="asymptotic")
        numbers["p_observed"] = Number(found.p_observed, note="asymptotic, one-sided")
    if np.isfinite(found.expected):
        numbers["z_expected"] = Number(found.expected, note="asymptotic, Asimov data of mu = 1")
        numbers["p_expected"] = Number(found.p_expected, note="asymptotic, one-sided")
    scans = profiles(model, data if observed else None, found.mu)
    figures: dict[str, Any] = {"Likelihood scan": likelihood_scan(scans, MU)} if scans else {}
    notes = [found.note, *(each.note for each in scans.values())]
    goal = found.q0 if observed else found.expected**2
    if toys and np.isfinite(goal):
        # closed data must not pull what the pseudo-experiments are drawn with
        theta = None if observed else model.parameters.init
        drawn = statistics.toys(model, 0.0, toys, seed, data=data, theta=theta)
        which = "observed" if observed else "expected"
        p = statistics.p_value(drawn, goal)
        numbers[f"p_{which}_toys"] = p
        numbers[f"z_{which}_toys"] = statistics.z_value(p)
        numbers["toys_failed"] = Number(drawn.failed)
        figures["Pseudo-experiments"] = statistic_distribution(drawn.q, goal if observed else None)
        notes.append(drawn.note)
    made = Result("Significance", numbers, figures, {}, _note(model, blind, *notes))
    shown = {"likelihood_scan": scan_table(scans, MU)} if observed and scans else {}
    write_tables(out / "hepdata", shown)
    return written(made, workspace, out, "significance", asked, overwrite)


def _loaded(
    workspace: Path, out: Path, measurement: str, poi: str, patch: str, overwrite: bool
) -> Model:
    """The model, once it is clear that its results may be written."""
    if (out / "results.json").exists() and not overwrite:
        message = (
            f"{out}/results.json exists; add --overwrite to replace it, or give another --out"
        )
        raise ValueError(message)
    return statistics.load(_place(workspace), patch=patch, measurement=measurement, poi=poi)


def _place(workspace: Path) -> Path:
    """Where it is, with `${NAME:-default}` of the environment put in."""
    return Path(expanded(str(workspace)))


def _blind(model: Model, measurement: str, observed: bool) -> str:
    """Why nothing is observed; "" where the data are looked at."""
    if is_blinded(model.workspace, measurement):
        return _CLOSED
    return "" if observed else _BLIND


def _asked(observed: bool, **options: Any) -> dict[str, Any]:
    """What was asked for, as the command that repeats it takes it."""
    return options if observed else {**options, "observed": "false"}


def _note(model: Model, blind: str, *troubles: str) -> str:
    """What a reader must know before the numbers."""
    parts = [f"Parameter of interest: {model.poi_name}", blind, model.note, *troubles]
    return " ".join(f"{part}." for part in dict.fromkeys(parts) if part)
