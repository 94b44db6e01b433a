"""Likelihoods of binned counts (HistFactory): fits, tests, limits, pseudo-experiments.

Workspaces are pyhf's JSON; patches, patch sets and simple Combine cards are read too. All is
computed for many parameter points or data sets at once by a compiled likelihood with exact
derivatives, and agrees with pyhf to rounding.

Example:
    >>> from fivesigma import statistics
    >>> model = statistics.load("workspace.json")  # doctest: +SKIP
    >>> statistics.fit(model).mu  # doctest: +SKIP
    >>> statistics.significance(model).observed  # doctest: +SKIP
    >>> statistics.limit(model).expected  # doctest: +SKIP
    >>> statistics.toys(model, mu=0, n=10_000, seed=1).q  # doctest: +SKIP
"""

from fivesigma.statistics.checks import check_workspace
from fivesigma.statistics.fits import Fit, Pull, fit, fit_many, pulls
from fivesigma.statistics.goodness import Goodness, goodness_by_toys, goodness_of_fit
from fivesigma.statistics.hepdata import hepdata, hepdata_curves, hepdata_submission
from fivesigma.statistics.hypotests import (
    BANDS,
    CLs,
    Significance,
    cls,
    profiled_asimov,
    q0,
    q_mu,
    q_mu_tilde,
    significance,
)
from fivesigma.statistics.impacts import Impact, Impacts, breakdown, default_groups, impacts
from fivesigma.statistics.limits import Interval, Limit, Scan, interval, limit, scan
from fivesigma.statistics.model import Model, build
from fivesigma.statistics.toys import Toys, cls_by_toys, p_value, toys, z_value
from fivesigma.statistics.workspace import (
    load,
    patched,
    read_patches,
    read_workspace,
    write_workspace,
)
from fivesigma.statistics.yields import Yields, yield_table, yields

__all__ = [
    "BANDS",
    "CLs",
    "Fit",
    "Goodness",
    "Impact",
    "Impacts",
    "Interval",
    "Limit",
    "Model",
    "Pull",
    "Scan",
    "Significance",
    "Toys",
    "Yields",
    "breakdown",
    "build",
    "check_workspace",
    "cls",
    "cls_by_toys",
    "default_groups",
    "fit",
    "fit_many",
    "goodness_by_toys",
    "goodness_of_fit",
    "hepdata",
    "hepdata_curves",
    "hepdata_submission",
    "impacts",
    "interval",
    "limit",
    "load",
    "p_value",
    "patched",
    "profiled_asimov",
    "pulls",
    "q0",
    "q_mu",
    "q_mu_tilde",
    "read_patches",
    "read_workspace",
    "scan",
    "significance",
    "toys",
    "write_workspace",
    "yield_table",
    "yields",
    "z_value",
]
