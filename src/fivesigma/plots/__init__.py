"""Functions that return matplotlib Figures in the field's style, and `to_svg` for HTML pages.

No function touches `matplotlib.pyplot`, so none leaves an open figure behind. Text and axes are
drawn in `INK`, which `to_svg` turns into the page's own text colour; all other colours are
readable on white and on dark pages. Empty input is answered by a ValueError.
"""

from fivesigma.plots.event_display import event_display
from fivesigma.plots.jets import jet_images, single_jets
from fivesigma.plots.observables import (
    OBSERVABLES,
    histogram,
    observable,
    observable_grid,
    sculpting,
)
from fivesigma.plots.spectra import mass_spectrum, sideband_fit, spectrum_fit
from fivesigma.plots.stacks import stack
from fivesigma.plots.style import INK, PALETTE, colours
from fivesigma.plots.svg import to_svg
from fivesigma.plots.taggers import (
    calibration_curves,
    confusion_matrix,
    feature_importance,
    rejection_bins,
    roc_curves,
    score_distributions,
    significance_curves,
)
from fivesigma.plots.training import against_jets, training_curves

__all__ = [
    "INK",
    "OBSERVABLES",
    "PALETTE",
    "against_jets",
    "calibration_curves",
    "colours",
    "confusion_matrix",
    "event_display",
    "feature_importance",
    "histogram",
    "jet_images",
    "mass_spectrum",
    "observable",
    "observable_grid",
    "rejection_bins",
    "roc_curves",
    "score_distributions",
    "sculpting",
    "sideband_fit",
    "significance_curves",
    "single_jets",
    "spectrum_fit",
    "stack",
    "to_svg",
    "training_curves",
]
