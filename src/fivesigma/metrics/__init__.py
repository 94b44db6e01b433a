"""The field's figures of merit for taggers, each a `Number` with its statistical uncertainty.

Conventions: `y` is 1 for signal and 0 for background, a jet is kept where `score >= threshold`,
efficiencies are fractions, weights are per jet and never negative. Uncertainties are one standard
deviation of the test sample's finite size only; a value that rests on fewer than 100 background
jets says so in its note.

Example:
    >>> import numpy as np
    >>> rng = np.random.default_rng(1)
    >>> y = np.repeat([1, 0], 5000)
    >>> score = rng.normal(y, 1.0)
    >>> number = auc(y, score)
    >>> abs(number.value - 0.760) < 4 * number.uncertainty
    True
"""

from fivesigma.metrics.calibration import Calibration, calibration, expected_calibration_error
from fivesigma.metrics.classification import (
    Confusion,
    accuracy,
    confusion,
    discriminant,
    one_vs_rest,
    pairwise,
    top_label,
)
from fivesigma.metrics.comparison import compare
from fivesigma.metrics.counting import LOW_STATISTICS, LOWER_LIMIT, fraction
from fivesigma.metrics.curves import Roc, auc, macro_auc, roc
from fivesigma.metrics.sculpting import jensen_shannon_distance, mass_sculpting
from fivesigma.metrics.summary import binary_report, multiclass_report
from fivesigma.metrics.working_points import (
    EFFICIENCIES,
    BinnedRejection,
    max_significance_improvement,
    rejection,
    rejection_in_bins,
    significance_improvement,
)

__all__ = [
    "EFFICIENCIES",
    "LOWER_LIMIT",
    "LOW_STATISTICS",
    "BinnedRejection",
    "Calibration",
    "Confusion",
    "Roc",
    "accuracy",
    "auc",
    "binary_report",
    "calibration",
    "compare",
    "confusion",
    "discriminant",
    "expected_calibration_error",
    "fraction",
    "jensen_shannon_distance",
    "macro_auc",
    "mass_sculpting",
    "max_significance_improvement",
    "multiclass_report",
    "one_vs_rest",
    "pairwise",
    "rejection",
    "rejection_in_bins",
    "roc",
    "significance_improvement",
    "top_label",
]
