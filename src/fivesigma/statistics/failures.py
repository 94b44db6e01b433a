"""Why fits failed, and what must be known of those that did not."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import numpy as np

from fivesigma.statistics.minimiser import CONVERGED, NO_START, REASONS, Minima
from fivesigma.statistics.model import Model

__all__ = [
    "at_bounds",
    "bound_notes",
    "explain",
    "failures",
    "hopeless",
    "joined",
    "reasons",
]

#: how near to a bound, as a fraction of the range, counts as at it
_AT_BOUND = 1e-7
#: bins that are named in a message
_NAMED = 3


def joined(*notes: str) -> str:
    """All that is said, once."""
    return "; ".join(dict.fromkeys(note for note in notes if note))


def reasons(status: np.ndarray) -> str:
    """`3 of 1000 fits failed: no minimum ... (2), ...`, or nothing if none did."""
    counts = Counter(int(each) for each in status if each != CONVERGED)
    if not counts:
        return ""
    told = "; ".join(f"{REASONS[key]} ({n})" for key, n in counts.items())
    return f"{sum(counts.values())} of {status.size} fits failed: {told}"


def failures(model: Model, *batches: tuple[np.ndarray, Minima]) -> str:
    """`reasons` of several batches, with the bins that make the first hopeless fit fail.

    Args:
        model: what was fitted.
        batches: data (B, N) or (1, N), and the fits to them.
    """
    told = reasons(np.concatenate([found.status for _, found in batches]))
    return joined(told, hopeless(model, *batches))


def hopeless(model: Model, *batches: tuple[np.ndarray, Minima]) -> str:
    """The bins that make the first fit without a finite likelihood fail."""
    for data, found in batches:
        bad = np.flatnonzero(found.status == NO_START)
        if bad.size:
            return joined(*_impossible(model, found.theta[bad[0]], data[bad[0] % len(data)]))
    return ""


def explain(model: Model, start: np.ndarray, data: np.ndarray, status: int) -> str:
    """Why a fit failed, with the bins that make it fail."""
    bins = _impossible(model, start, data) if status == NO_START else ()
    return joined(REASONS[status], *bins)


def _impossible(model: Model, theta: np.ndarray, data: np.ndarray) -> Iterator[str]:
    """Bins whose data cannot come from what is expected there."""
    expected = model.expected(theta)[0]
    measured = data[: model.n_bins]
    bad = np.flatnonzero((expected < 0) | ((expected == 0) & (measured > 0)))
    for index in bad[:_NAMED]:
        channel, place = next((c, p) for c, p in model.channels.items() if index < p.stop)
        bare = theta[model.poi] == 0 and expected[index] == 0
        yield (
            f"bin {index - place.start} of region {channel} expects {expected[index]:.3g} events "
            f"and has {measured[index]:g}{': it has no background' if bare else ''}; merge it "
            "with its neighbour, or add the missing sample"
        )


def at_bounds(model: Model, theta: np.ndarray, held: np.ndarray) -> np.ndarray:
    """(P,) flags of fitted parameters that are at a bound."""
    p = model.parameters
    near = _AT_BOUND * (p.upper - p.lower)
    return ~held & ((theta <= p.lower + near) | (theta >= p.upper - near))


def bound_notes(model: Model, theta: np.ndarray, held: np.ndarray) -> list[str]:
    """What to do about parameters at a bound, one sentence each."""
    return [
        f"{model.parameters.names[index]} is at its bound {theta[index]:g}: its uncertainty is "
        "not to be trusted; widen the bounds in the measurement, or quote a limit"
        for index in np.flatnonzero(at_bounds(model, theta, held))
    ]
