"""Stacks: the intervals of the data, and that every kind of them can be drawn."""

import numpy as np
import pytest
from scipy.stats import poisson

from fivesigma.plots import to_svg
from fivesigma.plots.stacks import garwood_interval, stack

EDGES = np.array([70.0, 100.0, 130.0, 160.0])
PROCESSES = {"ZZ": [10.0, 4.0, 3.0], "$H$": [0.0, 5.0, 0.1]}


def test_intervals_of_counts_have_their_coverage():
    low, high = garwood_interval([0, 1, 12])
    assert low[0] == 0 and high[0] == pytest.approx(1.8410, abs=1e-3)
    assert poisson.sf([0, 11], low[1:]) == pytest.approx([0.15866] * 2, abs=1e-4)
    assert poisson.cdf([0, 1, 12], high) == pytest.approx([0.15866] * 3, abs=1e-4)
    n = np.arange(200)
    low, high = garwood_interval(n)
    for mean in (1.0, 5.3, 40.0):
        inside = (low <= mean) & (mean <= high)
        assert poisson.pmf(n, mean)[inside].sum() >= 0.6826


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("data", [None, [12.0, 9.0, 0.0]])
@pytest.mark.parametrize("edges", [EDGES, [70.0, 80.0, 130.0, 160.0]])
def test_all_kinds_are_drawn(edges, data, log):
    figure = stack(
        edges, PROCESSES, data, [1.0, 0.5, 0.2], signal=("$H$",), axis="$m$ [GeV]",
        region="SR", experiment="CMS Open Data", collisions="1 fb$^{-1}$", log=log,
    )  # fmt: skip
    axes = figure.axes[0]
    assert len(figure.axes) == (1 if data is None else 2)
    assert axes.get_ylabel() == ("Events / 30 GeV" if edges is EDGES else "Events / GeV")
    shown = [text.get_text() for text in axes.texts]
    assert shown == ["CMS", "Open Data", "1 fb$^{-1}$", "SR"]
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["Data"] * (data is not None) + ["Uncertainty", "$H$", "ZZ"]
    assert to_svg(figure).startswith("<svg")


def test_the_stack_is_as_high_as_the_total():
    figure = stack(EDGES, PROCESSES, axis="$m$ [GeV]")
    top = figure.axes[0].patches[-1]
    assert top.get_data().values == pytest.approx([10, 9, 3.1])
    assert top.get_data().baseline == pytest.approx([10, 4, 3])
    with pytest.raises(ValueError, match="nothing to draw: no processes"):
        stack(EDGES, {})


def test_the_ratio_is_as_close_as_the_data_allow():
    """Within a few per cent the pane shows per cent; far away it begins at 0."""
    edges, predicted = np.arange(4.0), {"b": [10_000.0, 20_000.0, 15_000.0]}
    near = stack(edges, predicted, [10_200, 19_900, 15_100], points="Pseudo-data")
    low, high = near.axes[1].get_ylim()
    assert 0.9 < low < 0.98 and 1.03 < high < 1.1
    assert near.axes[0].get_legend().get_texts()[0].get_text() == "Pseudo-data"
    assert stack(edges, {"b": [4.0, 5.0, 2.0]}, [6, 2, 9]).axes[1].get_ylim()[0] == 0
