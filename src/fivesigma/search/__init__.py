"""Searches: from described samples and selections to templates and a HistFactory workspace."""

from fivesigma.search.description import (
    Analysis,
    Binning,
    Measurement,
    Pruning,
    Region,
    Templating,
    read_analysis,
)
from fivesigma.search.making import make_templates
from fivesigma.search.samples import Input, Sample
from fivesigma.search.scores import Score
from fivesigma.search.systematics import (
    FreeNormalisation,
    HistogramVariation,
    InputVariation,
    Luminosity,
    Normalisation,
    ObjectVariation,
    Systematic,
    WeightVariation,
)
from fivesigma.search.templates import Templates
from fivesigma.search.workspace import make_workspace

__all__ = [
    "Analysis",
    "Binning",
    "FreeNormalisation",
    "HistogramVariation",
    "Input",
    "InputVariation",
    "Luminosity",
    "Measurement",
    "Normalisation",
    "ObjectVariation",
    "Pruning",
    "Region",
    "Sample",
    "Score",
    "Systematic",
    "Templates",
    "Templating",
    "WeightVariation",
    "make_templates",
    "make_workspace",
    "read_analysis",
]
