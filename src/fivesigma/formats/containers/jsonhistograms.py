"""Histograms in JSON: a name, contents and edges each, as the AGC publishes its reference.

`{"4j1b_ttbar": {"contents": [...], "edges": [...]}}`; contents may have underflow and overflow at
their ends, and `variances` of the same length may stand beside them.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import hist
import numpy as np

from fivesigma.formats.tables import reading

__all__ = ["read_json_histograms"]


def read_json_histograms(path: str, only: Collection[str] | None = None) -> dict[str, hist.Hist]:
    """The histograms of a JSON file; without variances they have none, and are counts.

    Args:
        path: the file.
        only: names of those to read, of which the file may lack some; None: all.

    Returns:
        Name -> histogram of one dimension.

    Raises:
        ValueError: no JSON, or something in it that is no histogram; says which.
    """
    with reading(path):
        found = json.loads(Path(path).read_bytes())
    if not isinstance(found, dict):
        message = f"{path}: a JSON {type(found).__name__}, expected name: histogram"
        raise ValueError(message)
    names = [name for name in found if only is None or name in only]
    return {name: _histogram(found[name], f"{path}: {name!r}") for name in names}


def _histogram(given: Any, place: str) -> hist.Hist:
    try:
        edges, values = (np.asarray(given[key], np.float64) for key in ("edges", "contents"))
        variances = np.asarray(given["variances"], np.float64) if "variances" in given else None
    except (TypeError, KeyError, ValueError):
        message = f"{place} is no histogram; expected lists of numbers, `edges` and `contents`"
        raise ValueError(message) from None
    if edges.ndim != 1 or edges.size < 2 or not (np.diff(edges) > 0).all():
        message = f"{place}: the edges must be two or more rising numbers"
        raise ValueError(message)
    storage = hist.storage.Double() if variances is None else hist.storage.Weight()
    made = hist.Hist(hist.axis.Variable(edges), storage=storage)
    if variances is None:
        made.view(flow=True)[...] = _with_flow(values, edges, f"{place}, contents")
        return made
    view: Any = made.view(flow=True)
    view["value"] = _with_flow(values, edges, f"{place}, contents")
    view["variance"] = _with_flow(variances, edges, f"{place}, variances")
    return made


def _with_flow(values: np.ndarray, edges: np.ndarray, place: str) -> np.ndarray:
    """Underflow, bins, overflow; 0 outside where there is nothing given."""
    bins = edges.size - 1
    if values.shape == (bins,):
        return np.pad(values, 1)
    if values.shape != (bins + 2,):
        message = (
            f"{place}: got {values.size} numbers, expected {bins}, or {bins + 2} with underflow "
            "and overflow"
        )
        raise ValueError(message)
    return values
