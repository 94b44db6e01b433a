"""One quantity of all selected events, read in bounded memory."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from fivesigma import expressions
from fivesigma.formats import open_file
from fivesigma.progress import Progress
from fivesigma.workflows.spectra.options import Spectrum

__all__ = ["read_quantity"]

Array = NDArray[np.float64]


def read_quantity(described: Spectrum, *, quiet: bool = False) -> tuple[Array, int]:
    """The quantity of all events that pass, in bounded memory.

    Args:
        described: files, cut, quantity.
        quiet: show no progress.

    Returns:
        Values (N,), and how many events were read. Events in which the quantity is absent
        (`muons[0]` of none) are left out.

    Raises:
        FileNotFoundError: no such file.
        ValueError: unknown fields, no event that passes, a quantity that is not one number an
            event, NaN or infinite values.
    """
    source, formula = described.input, expressions.parse(described.quantity)
    names = formula.names | (expressions.parse(source.where).names if source.where else set())
    parts, read = [np.empty(0)], 0
    for path in source.paths(described.folder):
        with (
            open_file(path, format=source.format, tree=source.tree) as file,
            Progress(path, file.entries, "events", quiet=quiet) as progress,
        ):
            done = 0
            for events in file.iterate(sorted(names)):
                parts.append(_quantity(events, source.where, formula))
                done += len(events)
                progress(done)
        read += done
    values = np.concatenate(parts)
    if not len(values):
        message = f"none of {read} events passes {source.where!r} with a {described.quantity!r}"
        raise ValueError(message)
    bad = int(np.count_nonzero(~np.isfinite(values)))
    if bad:
        message = (
            f"{bad} of {len(values)} values of {described.quantity!r} are NaN or infinite; "
            f"leave them out: where: '... and isfinite({described.quantity})'"
        )
        raise ValueError(message)
    return values, read


def _quantity(events: ak.Array, where: str, formula: expressions.Expression) -> Array:
    """(N,) in double precision: E^2 - p^2 of single precision loses a light particle's mass."""
    events = ak.transform(_widened, events)
    values = formula(expressions.select(events, where) if where else events)
    if values.ndim != 1 or ak.fields(values):
        message = (
            f"{formula.text!r} gives {str(values.type):.80}, expected one number an event; "
            "e.g. (muons[0] + muons[1]).mass, max(jets.pt)"
        )
        raise ValueError(message)
    return np.asarray(ak.drop_none(values), dtype=np.float64)


def _widened(layout: Any, **_: Any) -> Any:
    """Numbers of single precision as double ones; truths and integers stay what they are."""
    if layout.is_numpy and layout.dtype == np.float32:
        return ak.contents.NumpyArray(layout.data.astype(np.float64))
    return None
