"""Statistical uncertainties of simulation as Combine's autoMCStats has them.

In a bin of more effective events than a threshold one Gaussian parameter scales the sum of the
processes, as HistFactory's `staterror`. In others each process has its own: a Poisson one of its
effective events, as `shapesys`, or a Gaussian one where these exceed the threshold.
(Barlow and Beeston, Comp. Phys. Comm. 77 (1993) 219; arXiv:1103.0354, section 5.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Process", "statistical_modifiers"]


@dataclass(frozen=True)
class Process:
    """One process in one channel of n bins.

    Attributes:
        name: of it.
        values: (n,) events.
        errors: (n,) their statistical uncertainty.
        scale: what free normalisations multiply it with where the fit begins.
        signal: whether it is one.
    """

    name: str
    values: np.ndarray
    errors: np.ndarray
    scale: float
    signal: bool


def statistical_modifiers(
    channel: str, processes: Sequence[Process], threshold: float, with_signal: bool
) -> list[list[dict[str, Any]]]:
    """The modifiers of each process.

    Args:
        channel: its name.
        processes: all of them.
        threshold: effective events up to which processes have uncertainties of their own.
        with_signal: whether signals count towards them.
    """
    counted = [each for each in processes if with_signal or not each.signal]
    zero = np.zeros_like(processes[0].values)
    total = sum((each.scale * each.values for each in counted), start=zero)
    variance = sum((np.square(each.scale * each.errors) for each in counted), start=zero)
    apart = (variance > 0) & (_effective(total, np.sqrt(variance)) <= threshold)
    return [_modifiers(channel, each, variance > 0, apart, threshold) for each in processes]


def _effective(events: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Effective events, rounded; 0 where there is no uncertainty."""
    known = errors > 0
    return np.where(known, np.rint(np.square(events / np.where(known, errors, 1.0))), 0.0)


def _modifiers(
    channel: str, process: Process, uncertain: np.ndarray, apart: np.ndarray, threshold: float
) -> list[dict[str, Any]]:
    own, values, errors = f"{channel}_{process.name}", process.values, process.errors
    effective = _effective(values, errors)
    poisson = apart & (effective >= 1) & (effective <= threshold)
    # so many events that their uncertainty is that of the rounded number
    counted = values / np.sqrt(np.maximum(effective, 1.0))
    chosen = (
        (f"staterror_{channel}", "staterror", uncertain & ~apart, errors),
        (f"staterror_{own}", "staterror", apart & ~poisson, errors),
        (f"shapesys_{own}", "shapesys", poisson, counted),
    )
    return [
        {"name": name, "type": kind, "data": np.where(where, error, 0.0).tolist()}
        for name, kind, where, error in chosen
        if (where & (errors > 0)).any()
    ]
