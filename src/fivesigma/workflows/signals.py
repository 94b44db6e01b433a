"""CLs of many signals over one background: which of them the data exclude."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from fivesigma import statistics
from fivesigma.results import Number, Table
from fivesigma.statistics import BANDS

__all__ = ["cls_of_signals"]


def cls_of_signals(
    workspace: Path,
    patterns: Sequence[str],
    *,
    measurement: str = "",
    poi: str = "",
    level: float = 0.95,
    observed: bool = True,
) -> tuple[dict[str, Number], Table]:
    """CLs of each signal at its nominal strength, observed and expected.

    Args:
        workspace: the background, which the patches belong to.
        patterns: names or patterns of patches, as of `statistics.read_patches`.
        measurement: of several in the workspace; the first if none.
        poi: parameter of interest; that of the measurement if none.
        level: confidence level at which a signal is excluded.
        observed: look at the observed data; else only what is expected is told (blinded).

    Returns:
        `cls_observed/<patch>` and `cls_expected/<patch>`; NaN and missing where a fit failed.

    Raises:
        ValueError: no patch of such a name, or one that does not fit.
    """
    background = statistics.read_workspace(workspace)
    numbers: dict[str, Number] = {}
    rows = []
    for name, operations in statistics.read_patches(workspace, patterns).items():
        model = statistics.build(statistics.patched(background, operations), measurement, poi)
        found = statistics.cls(model, 1.0, model.data if observed else model.asimov(0.0))
        values = {"expected": float(found.expected[BANDS.index(0), 0])}
        if observed:
            values = {"observed": float(found.observed[0]), **values}
        for kind, value in values.items():
            if np.isfinite(value):
                numbers[f"cls_{kind}/{name}"] = Number(value, note="CLs of the nominal signal")
        rows.append((name, *(_told(value, level) for value in values.values())))
    return numbers, Table(("Signal", *(f"CLs {kind}" for kind in values)), tuple(rows))


def _told(value: float, level: float) -> str:
    """CLs, and whether that excludes the signal."""
    if not np.isfinite(value):
        return "the fit failed"
    return f"{value:.3g}" + ", excluded" * (value < 1 - level)
