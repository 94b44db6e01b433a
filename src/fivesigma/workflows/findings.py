"""What an analysis shows before its fit: cut-flow, yields, figures of the regions, pruning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fivesigma.formats.containers.root import read_histograms
from fivesigma.plots.stacks import stack
from fivesigma.results import Number, Result, Table
from fivesigma.search.description import Analysis
from fivesigma.search.effects import Pruned
from fivesigma.search.parts import normalisation
from fivesigma.search.prefit import prefit_covariance, samples_in
from fivesigma.search.selected import NOMINAL, contents
from fivesigma.search.templates import Templates
from fivesigma.workflows.selecting import Chosen

__all__ = ["after_fit", "cutflow", "drawn_with", "predictions"]

Array = NDArray[np.float64]


def cutflow(analysis: Analysis, chosen: Sequence[Chosen]) -> Result:
    """Events that are left after each cut, by sample: as they are expected, and as they are there.

    Args:
        analysis: the description.
        chosen: of `select_all`.
    """
    raw: dict[str, dict[str, Number]] = {}
    weighted: dict[str, dict[str, Number]] = {}
    for sample in analysis.samples:
        counts: dict[str, np.ndarray] = {}  # cut -> events, expected events, their variance
        for each in chosen:
            if each.part.sample != sample or each.part.variation != NOMINAL:
                continue
            factor = normalisation(analysis, each.part, each.selected)
            scale = np.array([1.0, factor, factor**2])
            for cut, count in each.selected.cutflow.items():
                counts[cut] = counts.get(cut, 0.0) + count * scale
        if counts:
            raw[sample] = {cut: Number(n, float(np.sqrt(n))) for cut, (n, _, _) in counts.items()}
            weighted[sample] = {
                cut: Number(total, float(np.sqrt(variance)))
                for cut, (_, total, variance) in counts.items()
            }
    if not raw:
        return Result("Selection", note="Histograms of others: nothing was selected here.")
    numbers = {
        f"cutflow/{sample}/{cut}": each
        for sample, cuts in weighted.items()
        for cut, each in cuts.items()
    }
    tables = {"Expected events": _table(weighted), "Events in the files": _table(raw)}
    note = "Uncertainties are statistical. While a region is closed, data are "
    note += "counted in the open ones alone."
    for each in chosen:
        if "all events" in each.selected.cutflow and not each.selected.cutflow["all events"][0]:
            files = ", ".join(each.part.given.files)
            note += f" No events of {each.part.sample} in {files}."
    return Result("Selection", numbers, tables=tables, note=note)


def _table(counts: dict[str, dict[str, Number]]) -> Table:
    longest = sorted(counts.values(), key=len, reverse=True)  # closed data have few rows
    cuts = list(dict.fromkeys(cut for each in longest for cut in each))
    rows = [(cut, *(counts[sample].get(cut, "–") for sample in counts)) for cut in cuts]
    return Table(("Cut", *counts), tuple(rows))


def predictions(analysis: Analysis, templates: Templates, pruned: Sequence[Pruned] = ()) -> Result:
    """Yields of all regions with their uncertainties, and a figure of each.

    Args:
        analysis: the description.
        templates: its templates.
        pruned: what was left out of the workspace.
    """
    numbers: dict[str, Number] = {}
    figures = {}
    for region in analysis.regions:
        names = samples_in(analysis, templates, region)
        if not names:
            continue
        for name in names:
            numbers[f"yields/{region}/{name}"] = _yield(analysis, templates, region, [name])
        background = [name for name in names if name not in analysis.signal]
        if background:
            numbers[f"yields/{region}/background"] = _yield(
                analysis, templates, region, background
            )
        if region in templates.observed:
            count = float(contents(templates.observed[region])[0].sum())
            numbers[f"yields/{region}/data"] = Number(count)
        figures[f"Region {region} before the fit"] = _figure(analysis, templates, region, names)
    tables = {"Expected events": _yields(analysis, numbers)}
    if pruned:
        rows = [(each.region, each.sample, each.systematic, each.part) for each in pruned]
        tables["Left out"] = Table(("Region", "Sample", "Systematic", "Part"), tuple(rows))
    if templates.raised:
        added = {place: Number(each) for place, each in templates.raised.items()}
        numbers |= {f"raised/{region}/{name}": each for (region, name), each in added.items()}
        tables["Negative bins taken for empty ones"] = Table(
            ("Region", "Sample", "Events added"), tuple((*p, each) for p, each in added.items())
        )
    closed = [name for name in analysis.regions if name not in templates.observed]
    note = "Uncertainties: all systematics and the statistics of the simulation, before the fit."
    if closed and analysis.data:
        note += f" Data of {', '.join(closed)} are closed."
    return Result("Templates", numbers, figures, tables, note)


def _yield(analysis: Analysis, templates: Templates, region: str, names: list[str]) -> Number:
    total = sum(contents(templates.nominal(region, name))[0].sum() for name in names)
    covariance = prefit_covariance(analysis, templates, region, names)
    return Number(float(total), float(np.sqrt(max(covariance.sum(), 0.0))))


def _yields(analysis: Analysis, numbers: dict[str, Number]) -> Table:
    columns = [*analysis.simulated, "background", "data"]
    rows = []
    for region in analysis.regions:
        row = [numbers.get(f"yields/{region}/{name}", "–") for name in columns]
        rows.append((region, *row))
    return Table(("Region", *columns), tuple(rows))


def _figure(analysis: Analysis, templates: Templates, region: str, names: list[str]) -> Figure:
    observed = templates.observed.get(region)
    return _stack(
        analysis,
        region,
        templates.nominal(region, names[0]).axes["x"].edges,
        {name: contents(templates.nominal(region, name))[0] for name in names},
        None if observed is None else contents(observed)[0],
        np.sqrt(np.diag(prefit_covariance(analysis, templates, region))),
    )


def _stack(
    analysis: Analysis,
    region: str,
    edges: Array,
    heights: Mapping[str, Array],
    data: Array | None,
    uncertainty: Array,
) -> Figure:
    """A region with the labels that the analysis gives."""
    info = analysis.region(region)
    labels = {name: analysis.samples[name].label or name for name in heights}
    luminosity = f"{analysis.luminosity / 1000:.3g} fb$^{{-1}}$" if analysis.luminosity else ""
    processes: dict[str, Array] = {}
    for name, each in heights.items():  # samples of one label are one process of the figure
        processes[labels[name]] = processes.get(labels[name], 0.0) + each
    return stack(
        edges,
        processes,
        data,
        uncertainty,
        signal=tuple(labels[name] for name in heights if name in analysis.signal),
        axis=info.axis,
        region=info.label,
        experiment=analysis.experiment,
        collisions=analysis.collisions or luminosity,
        points=next((analysis.samples[name].label for name in analysis.data), "") or "Data",
    )


def drawn_with(analysis: Analysis) -> dict[str, Any]:
    """All of a description that the figures of fitted regions show, beside the workspace."""
    return {
        "experiment": [analysis.experiment, analysis.collisions, analysis.luminosity],
        "labels": {name: each.label for name, each in analysis.samples.items()},
        "regions": {name: asdict(analysis.region(name)) for name in analysis.regions},
    }


def after_fit(analysis: Analysis, out: Path, fit: Result, *, observed: bool) -> Result:
    """What the fit found, with its regions drawn over the discriminant and not bin numbers.

    Args:
        analysis: the description.
        out: folder of the analysis, with its templates and the fit's tables for HEPData.
        fit: what `inference.fit` gave.
        observed: whether data were fitted; else the regions are not drawn.
    """
    regions = [name for name, each in analysis.regions.items() if each.kind != "validation"]
    replaced = {f"{region} {when}" for region in regions for when in _WHEN}
    figures = {name: each for name, each in fit.figures.items() if name not in replaced}
    if not observed:  # Asimov data: the figures of the templates show as much
        return replace(fit, figures=figures)
    stored = read_histograms(str(out / "templates" / "templates.root"))
    drawn = {}
    for region in regions:
        edges = next(h.axes[0].edges for n, h in stored.items() if n.startswith(f"{region}/"))
        table = yaml.safe_load((out / "fit" / "hepdata" / f"{region}.yaml").read_text())
        columns = {
            each["header"]["name"].removesuffix(" events"): each["values"]
            for each in table["dependent_variables"]
        }
        values = {n: np.array([v["value"] for v in each]) for n, each in columns.items()}
        heights = {name: values[name] for name in analysis.simulated if name in values}
        error = np.array([v["errors"][0]["symerror"] for v in columns["total"]])
        drawn[f"Region {region} after the fit"] = _stack(
            analysis, region, edges, heights, values["data"], error
        )
    return replace(fit, figures={**drawn, **figures})


#: figures of regions that `inference.fit` draws over bin numbers
_WHEN = ("before the fit", "after the fit")
