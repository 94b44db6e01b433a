"""Files of histograms instead of events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fivesigma.formats.containers.root import read_histograms
from fivesigma.formats.remote import is_remote
from fivesigma.formats.tables import reading
from fivesigma.workflows.doctor.records import FileReport

__all__ = ["examine_histograms"]


def examine_histograms(path: str) -> FileReport | None:
    """What the histograms of a ROOT file are; None where it has none.

    Raises:
        ValueError: no ROOT file, or a damaged one.
    """
    with reading(path):
        if is_remote(path):
            found = read_histograms(path)
        else:
            with Path(path).open("rb") as file:
                found = read_histograms(path, file)
    if not found:
        return None
    told = {name: _told(each) for name, each in found.items()}
    empty = [name for name, each in told.items() if not each["sum"]]
    negative = [name for name, each in told.items() if each["negative_bins"]]
    warnings = []
    if empty:
        warnings.append(f"{len(empty)} of {len(told)} histograms are empty: {_few(empty)}")
    if negative:
        warnings.append(f"bins below 0 in {len(negative)} histograms: {_few(negative)}")
    return FileReport(
        path,
        "histograms",
        "histograms",
        meaning="no events",
        container="root",
        unit="",
        histograms=told,
        warnings=warnings,
    )


def _few(names: list[str]) -> str:
    return ", ".join(names[:4]) + (" ..." if len(names) > 4 else "")


def _told(histogram: Any) -> dict[str, Any]:
    values = np.asarray(histogram.values(), float)
    variances = histogram.variances()
    total = float(values.sum())
    square = float(np.sum(variances)) if variances is not None else abs(total)
    return {
        "axes": [_axis(axis) for axis in histogram.axes],
        "bins": [len(axis) for axis in histogram.axes],
        "sum": total,
        "entries": total**2 / square if square > 0 else 0.0,
        "negative_bins": int(np.count_nonzero(values < 0)),
        "title": str(getattr(histogram, "label", "") or ""),
    }


def _axis(axis: Any) -> dict[str, Any]:
    edges = np.asarray(axis.edges, float)
    return {"label": str(axis.label), "low": float(edges[0]), "high": float(edges[-1])}
