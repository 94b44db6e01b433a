"""Figures of the validation book."""

import numpy as np
import pytest

from fivesigma.plots.validation import Series, compared, measured


def test_measured_points_lie_inside_and_beside_each_other():
    x = np.array([25.0, 60.0, 200.0])
    first, second = np.array([1.0, 0.9, 1.1]), np.array([0.9, np.nan, 1.0])
    series = {"one": (x, first, 0.02 * x**0), "two": (x, second, 0.05 * x**0)}
    (axes,) = measured(series, "pT [GeV]", "response", line=1.0, reach=0.3).axes
    assert axes.get_xlim()[0] < 24 and axes.get_xlim()[1] > 210
    assert axes.get_ylim() == pytest.approx((0.7, 1.3))
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["one", "two"]
    places = [np.asarray(each.lines[0].get_xdata()) for each in axes.containers]
    np.testing.assert_allclose(places[1] / places[0], 1.02)
    with pytest.raises(ValueError, match="series"):
        measured({}, "pT [GeV]", "response")


def test_compared_points_are_not_on_the_frame():
    x, y = np.array([0.3, 1.0, 2.0]), np.array([0.4, 0.6, 0.8])
    found = [Series("photons", x, y, 0.01 * x, 1.1 * y)]
    for axes in compared(found, "eta", "share", 0.05, ylog=False, xlog=False).axes:
        assert axes.get_xlim()[0] < 0.3 and axes.get_xlim()[1] > 2.0
