"""From what was selected to templates: bins chosen on one half of events, filled by the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import hist
import numpy as np
from numpy.typing import NDArray

from fivesigma.search.binning import best_edges, equal_signal_edges
from fivesigma.search.description import Analysis
from fivesigma.search.parts import Part
from fivesigma.search.prefit import prefit_moves, samples_in
from fivesigma.search.selected import CHOOSING, NOMINAL, RESULT, Selected, contents
from fivesigma.search.templates import Templates, templates_of

__all__ = ["make_templates"]

Array = NDArray[np.float64]


def make_templates(analysis: Analysis, selected: Sequence[tuple[Part, Selected]]) -> Templates:
    """Templates of all regions, samples and variations.

    Args:
        analysis: the description.
        selected: what is left of each part.

    Raises:
        ValueError: a variation that is missing, bins that cannot be chosen, or weights that add
            up to nothing.
    """
    made = Templates({})
    for region in analysis.regions:
        edges = _final_edges(analysis, region, selected)
        made = made + templates_of(analysis, region, selected, RESULT, edges)
    return _not_negative(made) if analysis.templates.negative == "zero" else made


def _final_edges(
    analysis: Analysis, region: str, selected: Sequence[tuple[Part, Selected]]
) -> Array | None:
    """Edges of the final bins; None keeps those of the histograms."""
    binning = analysis.region(region).binning
    if not binning.chosen:
        return np.array(binning.edges) if binning.edges else None
    simulated = [each for each in selected if each[0].sample not in analysis.data]
    fine = np.linspace(binning.range[0], binning.range[1], binning.fine + 1)
    found = templates_of(analysis, region, simulated, CHOOSING, fine)
    try:
        return _chosen_edges(analysis, found, region, fine)
    except ValueError as error:
        message = f"region {region}: {error}"
        raise ValueError(message) from None


def _chosen_edges(analysis: Analysis, found: Templates, region: str, fine: Array) -> Array:
    """Edges out of fine ones, with templates of the half of the events for this."""
    binning = analysis.region(region).binning
    names = samples_in(analysis, found, region)
    background = [name for name in names if name not in analysis.signal]
    signal, _ = _sum(found, region, [name for name in names if name in analysis.signal], fine)
    if binning.method == "equal-signal":
        return equal_signal_edges(fine, signal, binning.bins)
    moves = prefit_moves(analysis, found, region, background)
    return best_edges(
        *(fine, signal, *_sum(found, region, background, fine), binning.bins),
        uncertainty=binning.background_uncertainty,
        moves=list(moves.values()),
        least_background=binning.least_background,
    )


def _sum(
    templates: Templates, region: str, samples: list[str], edges: Array
) -> tuple[Array, Array]:
    """(B,) contents and variances of some samples together."""
    found = [contents(templates.nominal(region, sample)) for sample in samples]
    empty = np.zeros(len(edges) - 1)
    return sum((each[0] for each in found), empty), sum((each[1] for each in found), empty)


def _not_negative(templates: Templates) -> Templates:
    """Bins below zero taken for empty ones, with the events that this adds."""
    predicted: dict[tuple[str, str, str], hist.Hist] = {}
    raised = {}
    for (region, sample, variation), each in templates.predicted.items():
        values, _ = contents(each)
        added = float(-values[values < 0].sum())
        if added > 0:
            each = each.copy()
            view: Any = each.view()
            view["value"] = np.where(values < 0, 0.0, values)  # NaN stays, and is refused later
            if variation == NOMINAL:
                raised[region, sample] = added
        predicted[region, sample, variation] = each
    return Templates(predicted, templates.observed, raised)
