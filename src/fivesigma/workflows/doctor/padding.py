"""Columns of fixed length: how the places behind the last particle or cell are filled."""

from __future__ import annotations

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from fivesigma.formats.tables import Table

__all__ = ["padding"]

#: entries looked at, columns told, and memory of one column [bytes]
_ENTRIES, _COLUMNS, _BYTES = 500, 40, 5e7
_FILLINGS = (0.0, -1.0, -99.0, -999.0, -9999.0)


def padding(table: Table) -> dict[str, str]:
    """Columns of fixed length whose ends are filled up.

    Args:
        table: the file's columns.

    Returns:
        Column -> e.g. "200 places, filled up with 0: 51.3 used on average".
    """
    found: dict[str, str] = {}
    fixed = [name for name, c in table.columns.items() if c.shape and not c.depth]
    for name in fixed[:_COLUMNS]:
        column = table.columns[name]
        if column.dtype == "str" or not table.entries:
            continue
        each = 8.0 * np.prod(column.shape)
        stop = int(min(table.entries, _ENTRIES, max(_BYTES / each, 1)))
        values = np.asarray(ak.to_numpy(table.read([name], 0, stop)[name]))
        told = _filling(values) if values.ndim > 1 and max(values.shape[1:]) > 2 else None
        if told:
            found[name] = told
    return found


def _filling(values: NDArray) -> str | None:
    """The value that trailing places have in most entries, and how many places are used."""
    # particles are the longest axis, before or behind that of their features
    places = 1 + int(np.argmax(values.shape[1:]))
    rows = np.moveaxis(values, places, 1)
    rows = rows.reshape(*rows.shape[:2], -1)  # (N, M, features)
    for filling in (np.nan, *_FILLINGS):
        if values.dtype.kind not in "fiu" or (values.dtype.kind == "u" and filling < 0):
            continue
        empty = np.isnan(rows) if np.isnan(filling) else rows == filling
        empty = empty.all(axis=2)
        used = rows.shape[1] - np.cumprod(empty[:, ::-1], axis=1).sum(axis=1)
        # single zeros at an end are values; runs of them in half of the entries are not
        short = used < rows.shape[1] - 1
        if np.mean(short) > 0.5 and np.mean(empty[:, 0]) < 0.5 and not _inside(empty, used):
            return (
                f"{rows.shape[1]} places, filled up with {filling:g}: "
                f"{used.mean():.1f} used on average, {used.max()} at most"
            )
    return None


def _inside(empty: NDArray, used: NDArray) -> bool:
    """Whether the value is as common among the used places: then it is no filling."""
    before = np.arange(empty.shape[1]) < used[:, None]
    return bool(np.mean(empty[before]) > 0.2) if before.any() else True
