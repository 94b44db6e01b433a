"""Histograms of others in the place of events: read from ROOT or JSON, with their variations."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import hist
import numpy as np

from fivesigma.formats.containers.jsonhistograms import read_json_histograms
from fivesigma.formats.containers.root import read_histograms
from fivesigma.search.description import Analysis
from fivesigma.search.samples import Input
from fivesigma.search.selected import NOMINAL, RESULT, Selected, empty_histogram
from fivesigma.search.systematics import HistogramVariation
from fivesigma.search.typed import nearest

__all__ = ["histogram_names", "select_histograms"]


def histogram_names(
    analysis: Analysis, sample: str, given: Input, *, unblind: bool, nominal: bool = False
) -> dict[tuple[str, str], tuple[str, ...]]:
    """(region, variation) -> names of the histograms that are added; empty for events.

    Args:
        analysis: the description.
        sample: whose input it is.
        given: the input.
        unblind: whether data in signal regions are read.
        nominal: leave out all variations.

    Raises:
        ValueError: histograms in some regions and events in others.
    """
    data = analysis.samples[sample].kind == "data"
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    regions = given.regions or tuple(analysis.regions)
    without = [
        name for name in regions if not (given.histogram or analysis.regions[name].histogram)
    ]
    if without and len(without) < len(regions):
        message = (
            f"samples.{sample}: events in region {', '.join(without)}, histograms in the others; "
            "make two inputs of it, each with its regions"
        )
        raise ValueError(message)
    for region in () if without else regions:
        if data and analysis.regions[region].kind == "signal" and not unblind:
            continue
        names = given.histogram or analysis.regions[region].histogram
        found[region, NOMINAL] = names
        for name, each in () if data or nominal else analysis.shapes(sample, region):
            for side in each.sides if isinstance(each, HistogramVariation) else ():
                pattern = getattr(each, side)
                found[region, f"{name}/{side}"] = tuple(pattern.replace("{}", n) for n in names)
    return found


def select_histograms(
    wanted: dict[tuple[str, str], tuple[str, ...]], paths: Sequence[str]
) -> Selected:
    """The same as is made of events, from histograms.

    Args:
        wanted: of `histogram_names`.
        paths: ROOT or JSON files, whose histograms are added.

    Raises:
        ValueError: a histogram that is not there or not of one dimension, contents that are not
            finite, or bins that differ.
    """
    filled: dict[tuple[str, str], hist.Hist] = {}
    every = {name for names in wanted.values() for name in names}
    for path in paths:
        has = _read(path, every)
        for key, names in wanted.items():
            for made in _named(has, names, key, path):
                if key in filled and not np.array_equal(
                    filled[key].axes[1].edges, made.axes[1].edges
                ):
                    message = f"{path}: {', '.join(names)} of region {key[0]} have different bins"
                    raise ValueError(message)
                filled[key] = filled[key] + made if key in filled else made
    return Selected({}, np.zeros(2), filled)


def _read(path: str, only: Collection[str] | None = None) -> dict[str, hist.Hist]:
    if path.endswith(".json"):
        return read_json_histograms(path, only)
    return read_histograms(path, only=only)


def _named(
    has: dict[str, hist.Hist], names: Sequence[str], key: tuple[str, str], path: str
) -> Iterator[hist.Hist]:
    region, variation = key
    place = f"{path}, region {region}"
    if variation != NOMINAL:
        place += f", systematic {variation.partition('/')[0]}"
    for name in names:
        if name not in has:
            message = f"{place}: no histogram {name!r}; {nearest(name, _read(path))}"
            raise ValueError(message)
        if has[name].ndim != 1:
            message = f"{place}: {name!r} has {has[name].ndim} dimensions, expected one"
            raise ValueError(message)
        yield _weighted(has[name], f"{place}: {name!r}")


def _weighted(found: hist.Hist, what: str) -> hist.Hist:
    """With our axes; contents without stored errors are counts."""
    made = empty_histogram(found.axes[0].edges)
    values, variances = found.values(flow=True), found.variances(flow=True)
    view = made.view(flow=True)[RESULT]
    variances = values if variances is None else variances
    if not np.isfinite([values, variances]).all():
        message = f"{what}: contents or errors that are NaN or infinite; make it anew"
        raise ValueError(message)
    view["value"], view["variance"] = values, variances
    return made
