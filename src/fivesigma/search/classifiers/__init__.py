"""Classifiers of whole events into signal and background.

A classifier is trained in folds, so that every event is scored by a training that never saw it.
`label` is 0 for signal and 1 for background, the order of all classes in this package.

Example:
    >>> from fivesigma.search.classifiers import Classifier, fit_folds
    >>> trained = fit_folds(Classifier("trees"), events, ("m_jj", "m_bb"), "runs/trees")
    >>> score = trained.held_out(events)                        # (N,), nobody saw its own
    >>> trained.run.predict(data)[:, 0]                         # new events: mean of the folds
"""

from fivesigma.search.classifiers.folds import (
    Folded,
    Shares,
    fit_folds,
    load_folds,
    shares_of,
)
from fivesigma.search.classifiers.objectives import (
    Decorrelation,
    SignalStrength,
    Significance,
    Variation,
    aims_of,
)
from fivesigma.search.classifiers.options import Aim, Classifier, Folds, inputs_of
from fivesigma.search.classifiers.overtraining import (
    Overtraining,
    kolmogorov_smirnov,
    overtraining,
)
from fivesigma.search.classifiers.parametrised import (
    draw_parameter,
    hypotheses,
    with_parameter,
)
from fivesigma.search.classifiers.ranking import correlations, permutation_importance
from fivesigma.search.classifiers.stability import pairs_of, stability
from fivesigma.search.classifiers.strength import (
    Spectrum,
    strength_gain,
    strength_uncertainty,
)
from fivesigma.search.classifiers.weights import (
    BACKGROUND,
    CLASSES,
    SIGNAL,
    check_events,
    training_weights,
    yields_of,
)

__all__ = [
    "Aim",
    "BACKGROUND",
    "CLASSES",
    "Classifier",
    "Decorrelation",
    "Folded",
    "Folds",
    "Overtraining",
    "SIGNAL",
    "Shares",
    "SignalStrength",
    "Significance",
    "Spectrum",
    "Variation",
    "check_events",
    "correlations",
    "draw_parameter",
    "fit_folds",
    "hypotheses",
    "inputs_of",
    "kolmogorov_smirnov",
    "load_folds",
    "aims_of",
    "overtraining",
    "pairs_of",
    "permutation_importance",
    "shares_of",
    "stability",
    "strength_gain",
    "strength_uncertainty",
    "training_weights",
    "with_parameter",
    "yields_of",
]
