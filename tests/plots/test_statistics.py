"""Figures of fits hold what they are given, and refuse nothing to draw."""

import numpy as np
import pytest
from helpers import workspaces
from matplotlib.figure import Figure

from fivesigma import plots, statistics
from fivesigma.plots.statistics import (
    cls_scan,
    correlation_matrix,
    goodness_distribution,
    likelihood_scan,
    parameter_pulls,
    parameter_ranking,
    statistic_distribution,
)


@pytest.fixture(scope="module")
def result():
    return statistics.fit(statistics.build(workspaces.shape_model()))


@pytest.fixture(scope="module")
def figures(result):
    model = result.model
    return {
        "pulls": parameter_pulls(statistics.pulls(result)),
        "ranking": parameter_ranking(statistics.impacts(result).ranking),
        "correlations": correlation_matrix(model.parameters.names, result.correlation),
        "scan": likelihood_scan({"data": statistics.scan(model), "tilt": statistics.scan(model)}),
        "cls": cls_scan(statistics.cls(model, np.linspace(0.1, 3, 20))),
        "toys": statistic_distribution(statistics.toys(model, n=500).q, observed=4.0),
        "goodness": goodness_distribution(statistics.goodness_by_toys(result, 200).q, 25.0, 19),
    }


@pytest.mark.parametrize(
    "name", ["pulls", "ranking", "correlations", "scan", "cls", "toys", "goodness"]
)
def test_figures_stand_in_pages(figures, name):
    assert isinstance(figures[name], Figure)
    assert "<svg" in plots.to_svg(figures[name])


def test_pulls_are_drawn_where_they_are(result, figures):
    drawn = figures["pulls"].axes[0].containers[0][0].get_xdata()
    np.testing.assert_allclose(
        np.asarray(drawn, float), [each.pull for each in statistics.pulls(result)]
    )


def test_bars_of_a_ranking_are_impacts(result, figures):
    bars = {round(bar.get_width(), 10) for bar in figures["ranking"].axes[0].patches}
    for impact in statistics.impacts(result).ranking:
        assert {round(impact.up, 10), round(impact.prefit_down, 10)} <= bars


def test_blinded_limits_show_nothing_observed(result):
    found = statistics.cls(result.model, np.linspace(0.1, 3, 5))
    legends = [
        [text.get_text() for text in cls_scan(found, observed=o).axes[0].get_legend().get_texts()]
        for o in (True, False)
    ]
    assert "observed" in legends[0]
    assert "observed" not in legends[1]


def test_only_parameters_that_correlate_are_shown():
    matrix = np.eye(4)
    matrix[0, 2] = matrix[2, 0] = 0.5
    figure = correlation_matrix(["a", "b", "c", "d"], matrix)
    assert [t.get_text() for t in figure.axes[0].get_yticklabels()] == ["a", "c"]


@pytest.mark.parametrize("draw", [parameter_pulls, parameter_ranking, statistic_distribution])
def test_nothing_to_draw(draw):
    with pytest.raises(ValueError, match="nothing to draw"):
        draw([])
