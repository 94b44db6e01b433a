"""Figures of mass spectra show the data, the fit and the names of resonances."""

import numpy as np
import pytest

from fivesigma.plots.spectra import mass_spectrum, sideband_fit, spectrum_fit
from fivesigma.statistics.spectra import SHAPES, Component, Model, fit_histogram, fit_sidebands


def texts(figure):
    return {text.get_text() for axes in figure.axes for text in axes.texts}


@pytest.fixture(scope="module")
def fit():
    peaks = Component("jpsi", SHAPES["gaussian"])
    model = Model((peaks, Component("background", SHAPES["exponential"])), (2.8, 3.4))
    edges = np.linspace(2.8, 3.4, 61)
    expected = model.expected(edges, np.array([1500.0, 3.09, 0.03, 900.0, -1.0]))
    return fit_histogram(model, np.random.default_rng(1).poisson(expected), edges)


def test_a_spectrum_names_the_resonances_within_its_range():
    values = np.random.default_rng(1).lognormal(1.0, 1.0, 5000)
    marks = {r"J/$\psi$": 3.1, "Z": 91.2, r"$\eta$": 0.55}
    figure = mass_spectrum(values, marks, "m", limits=(1.0, 50.0), experiment="CMS Open Data")
    (axes,) = figure.axes
    assert {r"J/$\psi$", "CMS", "Open Data"} <= texts(figure)
    assert not {"Z", r"$\eta$"} & texts(figure)
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    assert axes.get_ylabel() == "Events / GeV" and axes.get_xlabel() == "m [GeV]"


def test_a_fit_is_drawn_with_its_data_components_and_pulls(fit):
    figure = spectrum_fit(fit, "m", names={"jpsi": r"J/$\psi$"}, text=["one line"])
    axes, below = figure.axes
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["Data", "Fit", "Background", r"J/$\psi$"]
    assert axes.get_ylabel() == "Events / 10 MeV" and below.get_ylabel() == "Pull"
    assert "one line" in texts(figure)
    curve = axes.get_lines()
    heights = next(line for line in curve if line.get_label() == "Fit").get_ydata()
    # ten points a bin, in events per bin: their mean is the expected number of events per bin
    assert heights.mean() * 60 == pytest.approx(fit.expected.sum(), rel=1e-3)


def test_a_window_stays_closed_in_the_figure_until_it_is_opened(fit):
    found = fit_sidebands(fit.counts, fit.edges, (2.9, 3.3))
    closed = sideband_fit(found, "m")
    opened = sideband_fit(found, "m", observed=fit.counts)
    assert opened.axes[0].get_ylim()[1] > 2 * closed.axes[0].get_ylim()[1]
    assert closed.axes[0].get_ylim()[1] < fit.counts.max()


@pytest.mark.parametrize("values", [[], [-1.0, np.nan], [500.0]])
def test_nothing_to_draw_is_told(values):
    with pytest.raises(ValueError, match="nothing to draw: no masses"):
        mass_spectrum(values, {}, "m", limits=(1.0, 100.0))
