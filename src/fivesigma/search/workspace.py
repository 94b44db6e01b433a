"""Templates as a HistFactory workspace in pyhf's JSON, checked bin by bin.

HistFactory: CERN-OPEN-2012-016; the JSON: ATL-PHYS-PUB-2019-029.
"""

from __future__ import annotations

from typing import Any

import hist
import numpy as np
from numpy.typing import NDArray

from fivesigma.search.description import Analysis, Pruning
from fivesigma.search.effects import Pruned, effect_of
from fivesigma.search.measurement import BLINDED
from fivesigma.search.selected import NOMINAL, contents
from fivesigma.search.systematics import (
    FreeNormalisation,
    Luminosity,
    Normalisation,
    ShapeSystematic,
    Systematic,
)
from fivesigma.search.templates import Templates

__all__ = ["make_workspace"]

Array = NDArray[np.float64]


def make_workspace(
    analysis: Analysis, templates: Templates, *, keep_all: bool = False
) -> tuple[dict[str, Any], list[Pruned]]:
    """The workspace, and what was pruned from it.

    Data that are closed are stood for by the nominal prediction, signal included; the name of the
    measurement then ends with "_blinded", by which `fit`, `limit` and `significance` know that
    nothing in it was observed.

    Args:
        analysis: the description.
        templates: of `make_templates`.
        keep_all: prune nothing.

    Returns:
        The JSON content that `pyhf.Workspace` takes, and the list of what was left out.

    Raises:
        ValueError: a template that is empty, negative or not finite, or bins without any
            prediction; says region, sample, bin and what to do.
    """
    limits = Pruning() if keep_all else analysis.templates.prune
    pruned: list[Pruned] = []
    channels, observations, closed = [], [], False
    for region, info in analysis.regions.items():
        if info.kind == "validation":
            continue
        samples = _samples(analysis, templates, region, limits, pruned)
        total = np.sum([each["data"] for each in samples], axis=0)
        observed = templates.observed.get(region)
        closed |= observed is None
        data = total if observed is None else _checked_data(contents(observed)[0], region)
        _check_support(analysis, templates, region, samples)
        channels.append({"name": region, "samples": samples})
        observations.append({"name": region, "data": data.tolist()})
    _check_signal(analysis, channels)
    content = {
        "channels": channels,
        "observations": observations,
        "measurements": [_measurement(analysis, closed)],
        "version": "1.0.0",
    }
    return content, pruned


def _samples(
    analysis: Analysis, templates: Templates, region: str, limits: Pruning, pruned: list[Pruned]
) -> list[dict[str, Any]]:
    """The samples of a channel with their modifiers."""
    made = []
    for sample in analysis.simulated:
        if (region, sample, NOMINAL) not in templates.predicted:
            continue
        place = f"region {region}, sample {sample}"
        nominal, variances = _checked(templates.nominal(region, sample), place)
        if not nominal.any():
            _check_empty(analysis, place)
            continue
        modifiers = _modifiers(analysis, templates, region, sample, limits, pruned)
        if analysis.templates.mc_statistics:
            errors = np.sqrt(variances).tolist()
            modifiers.append({"name": f"staterror_{region}", "type": "staterror", "data": errors})
        made.append({"name": sample, "data": nominal.tolist(), "modifiers": modifiers})
    if not made:
        message = f"region {region}: no prediction; every sample is empty there, or none is for it"
        raise ValueError(message)
    return made


def _modifiers(
    analysis: Analysis,
    templates: Templates,
    region: str,
    sample: str,
    limits: Pruning,
    pruned: list[Pruned],
) -> list[dict[str, Any]]:
    modifiers: list[dict[str, Any]] = []
    if sample in analysis.signal:
        modifiers.append(_modifier(analysis.measurement.poi, "normfactor", None))
    for name, systematic in analysis.acting(sample, region):
        parameter = systematic.parameter or name
        if not isinstance(systematic, ShapeSystematic):
            modifiers.append(_simple(parameter, systematic))
            continue
        for side in ("up", "down"):
            place = f"region {region}, sample {sample}, systematic {name}"
            _checked(templates.predicted[region, sample, f"{name}/{side}"], place)
        shape, gone = effect_of(templates, (region, sample, name), systematic, limits)
        if gone:
            pruned.append(Pruned(region, sample, name, gone))
        if shape.factors is not None:
            data = {"hi": shape.factors[0], "lo": shape.factors[1]}
            modifiers.append(_modifier(parameter, "normsys", data))
        if shape.templates is not None:
            up, down = shape.templates.tolist()
            modifiers.append(_modifier(parameter, "histosys", {"hi_data": up, "lo_data": down}))
    _refuse_repeated(modifiers, f"region {region}, sample {sample}")
    return modifiers


def _refuse_repeated(modifiers: list[dict[str, Any]], place: str) -> None:
    """pyhf would keep the last of two modifiers of one kind and parameter, without a word."""
    kinds = [(each["name"], each["type"]) for each in modifiers]
    for name, kind in kinds:
        if kinds.count((name, kind)) > 1:
            message = (
                f"{place}: two systematics of the parameter {name!r} change it alike ({kind}); "
                "give one of them another parameter, or other samples"
            )
            raise ValueError(message)


def _modifier(name: str, kind: str, data: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, "data": data}


def _simple(parameter: str, systematic: Systematic) -> dict[str, Any]:
    """The modifier of a systematic that has no template."""
    if isinstance(systematic, Luminosity):
        return _modifier("lumi", "lumi", None)
    if isinstance(systematic, Normalisation):
        up, down = systematic.factors
        return _modifier(parameter, "normsys", {"hi": up, "lo": down})
    return _modifier(parameter, "normfactor", None)


def _measurement(analysis: Analysis, closed: bool) -> dict[str, Any]:
    info = analysis.measurement
    title = info.name + BLINDED * closed
    parameters: list[dict[str, Any]] = [
        {"name": info.poi, "bounds": [list(info.range)], "inits": [1.0]}
    ]
    for name, each in analysis.systematics.items():
        if isinstance(each, Luminosity):
            bounds = [[max(1 - 5 * each.size, 1e-3), 1 + 5 * each.size]]
            given = {"auxdata": [1.0], "sigmas": [each.size], "bounds": bounds, "inits": [1.0]}
            parameters.append({"name": "lumi", **given})
        elif isinstance(each, FreeNormalisation):
            bounds = [list(each.range)]
            name = each.parameter or name
            parameters.append({"name": name, "bounds": bounds, "inits": [1.0]})
    return {"name": title, "config": {"poi": info.poi, "parameters": parameters}}


def _checked(template: hist.Hist, place: str) -> tuple[Array, Array]:
    """The contents and variances of a template, finite and not negative."""
    content, variances = contents(template)
    edges = template.axes["x"].edges
    for index in np.flatnonzero(~np.isfinite(content)):
        message = f"{place}, {_bin(index, edges)}: {content[index]}, expected a finite number"
        raise ValueError(message)
    negative = np.flatnonzero(content < 0)
    if negative.size:
        index = negative[0]
        message = (
            f"{place}, {_bin(index, edges)}: {content[index]:.3g} events, a negative number "
            f"({negative.size} such bins); merge it with its neighbour (binning.edges), or take "
            "such bins for empty (templates.negative: zero)"
        )
        raise ValueError(message)
    return content, variances


def _bin(index: Any, edges: Array) -> str:
    return f"bin {index} ({edges[index]:g} to {edges[index + 1]:g})"


def _check_empty(analysis: Analysis, place: str) -> None:
    if analysis.templates.empty == "drop":
        return
    message = (
        f"{place}: the template is empty, no event passes the selection; look at the cut-flow, "
        "name in the inputs' `regions` where the sample counts, or leave empty templates out "
        "(templates.empty: drop)"
    )
    raise ValueError(message)


def _check_signal(analysis: Analysis, channels: list[dict[str, Any]]) -> None:
    """There is something for the parameter of interest to scale."""
    found = {each["name"] for channel in channels for each in channel["samples"]}
    if not found & set(analysis.signal):
        message = (
            f"no region has events of {', '.join(analysis.signal)}; there is no signal to fit"
        )
        raise ValueError(message)


def _check_support(
    analysis: Analysis, templates: Templates, region: str, samples: list[dict[str, Any]]
) -> None:
    """Every bin has background: without any, one event of data would exclude mu = 0."""
    background = [each["data"] for each in samples if each["name"] not in analysis.signal]
    total = np.sum(background, axis=0) if background else np.zeros(len(samples[0]["data"]))
    empty = np.flatnonzero(total <= 0)
    if empty.size:
        edges = templates.nominal(region, samples[0]["name"]).axes["x"].edges
        message = (
            f"region {region}, {_bin(empty[0], edges)}: no background ({empty.size} such bins); "
            "merge it with its neighbour (binning.edges), or leave it out of the range"
        )
        raise ValueError(message)


def _checked_data(content: Array, region: str) -> Array:
    if not np.isfinite(content).all() or (content < 0).any():
        message = f"region {region}: the data have bins that are negative or not finite"
        raise ValueError(message)
    return content
