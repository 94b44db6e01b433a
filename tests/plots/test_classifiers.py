"""Figures of classifiers show what they are given and refuse what is nothing."""

from __future__ import annotations

import numpy as np
import pytest

from fivesigma.metrics.significance import significance_curve
from fivesigma.plots import to_svg
from fivesigma.plots.classifiers import (
    correlation_matrix,
    number_pairs,
    significance_cuts,
    train_test_scores,
)
from fivesigma.results import Number


def shown(figure) -> set[str]:
    axes = figure.axes[0]
    return {text.get_text() for text in axes.get_legend().get_texts()}


def test_scores_of_training_and_test():
    rng = np.random.default_rng(1)
    sides = [{c: (rng.random(n), np.ones(n)) for c in ("signal", "background")} for n in (400, 90)]
    figure = train_test_scores(*sides)
    assert {"signal, training", "signal, test"} <= shown(figure)
    # densities: the area of each is 1, whatever its size
    container = figure.axes[0].containers[0]
    heights = [line[1] for line in container.lines[0].get_xydata()]
    assert np.mean(heights) == pytest.approx(1)


def test_correlations_have_a_number_in_each_cell_that_matters():
    matrix = np.array([[1, 0.5, 0.01], [0.5, 1, np.nan], [0.01, np.nan, 1]])
    figure = correlation_matrix(matrix, ("a", "_b", "c$"))
    assert [text.get_text() for text in figure.axes[0].texts] == ["50", "50"]
    assert to_svg(figure)


def test_significance_has_a_band_where_there_is_background():
    rng = np.random.default_rng(2)
    y = np.repeat([1, 0], 300)
    score = np.clip(rng.normal(0.4 + 0.2 * y, 0.15), 0, 1)
    curve = significance_curve(y, score, np.full(600, 0.1))
    figure = significance_cuts({"trees": curve}, "Expected significance")
    dotted, solid = figure.axes[0].lines
    assert len(solid.get_xdata()) == np.count_nonzero(curve.entries >= 10)
    assert len(solid.get_xdata()) < len(dotted.get_xdata()) == np.isfinite(curve.value).sum()
    assert figure.axes[0].get_ylabel() == "Expected significance"


def test_pairs_of_numbers():
    points = {"trees": (Number(3, 0.2), Number(20, 2)), "mlp": (Number(5, 0.4), Number(15, 2))}
    figure = number_pairs(points, "1/JSD", "rejection")
    assert shown(figure) == {"trees", "mlp"}


@pytest.mark.parametrize(
    "draw",
    [
        lambda: train_test_scores({}, {}),
        lambda: correlation_matrix(np.zeros((0, 0)), ()),
        lambda: significance_cuts({}, "Z"),
        lambda: number_pairs({}, "x", "y"),
    ],
)
def test_nothing_to_draw(draw):
    with pytest.raises(ValueError, match="nothing to draw"):
        draw()
