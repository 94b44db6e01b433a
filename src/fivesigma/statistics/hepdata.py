"""Tables as HEPData takes them: what `yaml.safe_dump` gives of them can be submitted.

The format: https://hepdata-submission.readthedocs.io.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from fivesigma.statistics.yields import Yields

__all__ = ["hepdata", "hepdata_curves", "hepdata_submission"]


def hepdata(found: Yields, edges: np.ndarray | None = None) -> dict[str, Any]:
    """One channel as a HEPData table.

    Args:
        found: of a channel with n bins.
        edges: (n + 1,) of the bins; default: their numbers.
    """
    n = found.total.size
    edge = np.arange(n + 1) if edges is None else np.asarray(edges, float)
    bins = [
        {"low": float(low), "high": float(high)}
        for low, high in zip(edge[:-1], edge[1:], strict=True)
    ]
    columns: list[tuple[str, list[Any]]] = [("data", [{"value": float(v)} for v in found.data])]
    errors = [
        {"value": float(v), "errors": [{"symerror": float(e), "label": "total"}]}
        for v, e in zip(found.total, found.uncertainty, strict=True)
    ]
    columns.append(("total", errors))
    columns += [(s, [{"value": float(v)} for v in each]) for s, each in found.samples.items()]
    return {
        "independent_variables": [{"header": {"name": f"{found.channel} bin"}, "values": bins}],
        "dependent_variables": [
            {"header": {"name": f"{name} events"}, "values": values} for name, values in columns
        ],
    }


def hepdata_curves(name: str, x: ArrayLike, columns: Mapping[str, ArrayLike]) -> dict[str, Any]:
    """Curves over one quantity as a HEPData table; what is not finite is `-`, as there.

    Args:
        name: of the quantity.
        x: (M,) its values.
        columns: name -> (M,) values.
    """
    return {
        "independent_variables": [{"header": {"name": name}, "values": _values(x)}],
        "dependent_variables": [
            {"header": {"name": each}, "values": _values(values)}
            for each, values in columns.items()
        ],
    }


def _values(values: ArrayLike) -> list[dict[str, Any]]:
    return [{"value": float(v) if np.isfinite(v) else "-"} for v in np.asarray(values, float)]


def hepdata_submission(tables: Iterable[tuple[str, str, str]]) -> list[dict[str, Any]]:
    """The entries of `submission.yaml`, one a table, for `yaml.safe_dump_all`.

    Args:
        tables: name, description and file of each.
    """
    return [
        {"name": name, "description": text, "keywords": [], "data_file": file}
        for name, text, file in tables
    ]
