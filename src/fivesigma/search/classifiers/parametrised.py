"""Parametrised classifiers: one network for all masses of a signal (arXiv:1601.07913).

The signal's true mass is one of the inputs. Background has none: it gets masses drawn from those
of the signal, so that the mass alone tells nothing. Asked for one mass, all events get this one.
"""

from __future__ import annotations

import awkward as ak
import numpy as np

from fivesigma.search.classifiers.weights import SIGNAL, yields_of

__all__ = ["draw_parameter", "hypotheses", "with_parameter"]

#: more values than this are no grid of hypotheses
_MOST_HYPOTHESES = 20


def draw_parameter(events: ak.Array, name: str, seed: int = 0) -> ak.Array:
    """Give background events values of a quantity that only signal has.

    Args:
        events: (N,) records with `label` and, of signal, the quantity `name`.
        name: of the quantity, e.g. "mass_x".
        seed: of the draw.

    Returns:
        The events, where background has values drawn from the signal's, by its weights.

    Raises:
        ValueError: signal without finite values.
    """
    values = np.array(ak.to_numpy(events[name]), np.float64)
    signal = ak.to_numpy(events["label"]) == SIGNAL
    if not signal.any() or not np.isfinite(values[signal]).all():
        message = f"parameter {name!r}: signal events need finite values of it"
        raise ValueError(message)
    share = np.abs(yields_of(events)[signal])
    rng = np.random.default_rng(seed)
    values[~signal] = rng.choice(values[signal], np.count_nonzero(~signal), p=share / share.sum())
    return ak.with_field(events, values, name)


def with_parameter(events: ak.Array, name: str, value: float) -> ak.Array:
    """All events with the same value of the parameter: the question for one hypothesis."""
    return ak.with_field(events, np.full(len(events), value, np.float64), name)


def hypotheses(events: ak.Array, name: str) -> list[float]:
    """Values of the parameter that signal has, rising; empty where they are no grid."""
    signal = ak.to_numpy(events["label"]) == SIGNAL
    values = np.unique(ak.to_numpy(events[name])[signal])
    return values.tolist() if len(values) <= _MOST_HYPOTHESES else []
