"""Data-driven backgrounds and fits of mass spectra.

`SHAPES` names peaks and backgrounds, each normalised on the range of a fit; `Model` sums
components; `fit_histogram` and `fit_events` fit them by their extended likelihood;
`fit_sidebands` predicts a blinded window; the ABCD method predicts a region from three others.

    model = Model(
        (Component("jpsi", shape_named("crystal-ball")),
         Component("background", shape_named("exponential"))),
        (2.8, 3.4),
    )
    fit = fit_histogram(model, counts, edges, minos=["jpsi/mass"])
"""

from fivesigma.statistics.spectra.abcd import (
    Closure,
    Counts,
    abcd_counts,
    abcd_interval,
    abcd_prediction,
    closure,
    correlation,
)
from fivesigma.statistics.spectra.fits import Fit, fit_events, fit_histogram
from fivesigma.statistics.spectra.model import YIELD, Component, Model
from fivesigma.statistics.spectra.registry import FAMILIES, SHAPES, family_named, shape_named
from fivesigma.statistics.spectra.scoring import Many, fit_many
from fivesigma.statistics.spectra.shapes import Parameter, Shape
from fivesigma.statistics.spectra.sidebands import Sideband, Trial, f_test, fit_sidebands
from fivesigma.statistics.spectra.toys import (
    Pulls,
    injection_test,
    sideband_closure,
    spurious_signal,
)

__all__ = [
    "FAMILIES",
    "SHAPES",
    "YIELD",
    "Closure",
    "Component",
    "Counts",
    "Fit",
    "Many",
    "Model",
    "Parameter",
    "Pulls",
    "Shape",
    "Sideband",
    "Trial",
    "abcd_counts",
    "abcd_interval",
    "abcd_prediction",
    "closure",
    "correlation",
    "f_test",
    "family_named",
    "fit_events",
    "fit_histogram",
    "fit_many",
    "fit_sidebands",
    "injection_test",
    "shape_named",
    "sideband_closure",
    "spurious_signal",
]
