"""Tables for HEPData in a folder of their own, with the `submission.yaml` that lists them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from fivesigma.statistics import (
    BANDS,
    CLs,
    Fit,
    Scan,
    hepdata,
    hepdata_curves,
    hepdata_submission,
    yields,
)
from fivesigma.storage import write_file

__all__ = ["cls_table", "fit_tables_of", "scan_table", "write_tables"]

_SUBMISSION = "submission.yaml"
#: description of a table, and the table
Described = tuple[str, dict[str, Any]]


def fit_tables_of(result: Fit) -> dict[str, Described]:
    """The events of every region after a fit."""
    return {
        each.channel: (f"Events in region {each.channel} after the fit", hepdata(each))
        for each in yields(result)
    }


def scan_table(scans: Mapping[str, Scan], poi: str) -> Described:
    """Likelihood profiles at the same values, named as in the figure."""
    values = next(iter(scans.values())).values
    columns = {
        f"-2 Delta ln L {name}".strip(): each.twice_delta_nll for name, each in scans.items()
    }
    return f"Likelihood profile of {poi}", hepdata_curves(poi, values, columns)


def cls_table(found: CLs, poi: str) -> Described:
    """Observed CLs against the signal strength, and the expected one with its bands."""
    columns = {"CLs observed": found.observed}
    for sigma, row in zip(BANDS, found.expected, strict=True):
        columns[f"CLs expected {sigma:+d} sigma" if sigma else "CLs expected"] = row
    return f"CLs of {poi}", hepdata_curves(poi, found.mu, columns)


def write_tables(folder: Path, tables: Mapping[str, Described]) -> None:
    """Write `NAME.yaml` of each table and `submission.yaml`, in the place of those of before.

    Args:
        folder: where to.
        tables: name -> description and table; regions may have any name. Without any nothing is
            written, and data that were shown before are closed again.
    """
    _remove_listed(folder)
    if not tables:
        return
    entries: list[tuple[str, str, str]] = []
    for name, (text, table) in tables.items():
        file = _file_name(name, [each[2] for each in entries])
        write_file(folder / file, yaml.safe_dump(table, sort_keys=False).encode())
        entries.append((name, text, file))
    listed = yaml.safe_dump_all(hepdata_submission(entries), sort_keys=False)
    write_file(folder / _SUBMISSION, listed.encode())


def _remove_listed(folder: Path) -> None:
    """Remove an earlier `submission.yaml`, and the tables that it lists."""
    path = folder / _SUBMISSION
    if not path.is_file():
        return
    for entry in yaml.safe_load_all(path.read_text(encoding="utf-8")):
        (folder / Path(entry["data_file"]).name).unlink(missing_ok=True)
    path.unlink()


def _file_name(name: str, taken: list[str]) -> str:
    """A name as that of a file of its own, which cannot leave its folder."""
    plain = "".join(c if c.isalnum() or c in "-_" else "_" for c in name)
    while f"{plain}.yaml" in (*taken, _SUBMISSION):
        plain += "_"
    return f"{plain}.yaml"
