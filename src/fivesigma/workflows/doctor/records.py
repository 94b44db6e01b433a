"""What is found in a file, as data: `Report`, and its JSON form."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["CollectionFound", "FieldFound", "FileReport", "Report"]


@dataclass(frozen=True)
class FieldFound:
    """One field.

    Attributes:
        dtype: of its numbers, or "str".
        count: numbers looked at.
        minimum: smallest finite one; None where there is none.
        maximum: largest finite one.
        mean: of the finite ones.
        nan: fraction that is NaN, without those that are missing.
        infinite: fraction that is infinite.
        missing: how many are missing.
        common: a value that more than half of them have.
        common_fraction: the fraction that has it.
    """

    dtype: str
    count: int = 0
    minimum: float | None = None
    maximum: float | None = None
    mean: float | None = None
    nan: float = 0.0
    infinite: float = 0.0
    missing: int = 0
    common: float | None = None
    common_fraction: float = 0.0


@dataclass(frozen=True)
class CollectionFound:
    """One collection.

    Attributes:
        objects: in the entries looked at.
        lists: whether an entry (or jet) has a list of them.
        mean: objects per list.
        minimum: of the objects per list.
        maximum: of the objects per list.
        pt_ordered: fraction of the lists of two and more whose pT falls; None without pT or lists.
        fields: name -> what it holds.
    """

    objects: int
    lists: bool
    mean: float
    minimum: int
    maximum: int
    pt_ordered: float | None
    fields: dict[str, FieldFound]


@dataclass(frozen=True)
class FileReport:
    """All that is found in one file or dataset.

    Attributes:
        path: of the file.
        format: a name in `FORMATS`, "dataset", or "histograms".
        meaning: of the format, for people.
        container: "root", "hdf5" ...
        tree: name of the tree, where files have several.
        trees: the other trees.
        kind: "events", "jets", "showers", "hits", "table" or "histograms".
        events: number of entries in the file.
        entries_read: how many were looked at.
        unit: of energies in the file; all that is shown is in GeV.
        why_unit: how it is known.
        classes: class -> entries looked at.
        collections: name -> what it holds.
        histograms: name -> axes, bins, sum, entries.
        weights: name -> sum, negative fraction, effective number, spread or variations.
        padding: column -> how it is padded.
        duplicates: entries that repeat an earlier one; None: not compared.
        leaks: field -> class that it alone tells.
        truth: fields named after the truth.
        skipped: columns left out, and why.
        warnings: short sentences to act upon.
        notes: what a reader should know.
        convert: the command that converts it.
    """

    path: str
    format: str
    kind: str
    meaning: str = ""
    container: str = ""
    tree: str = ""
    trees: list[str] = field(default_factory=list)
    events: int = 0
    entries_read: int = 0
    unit: str = "GeV"
    why_unit: str = ""
    classes: dict[str, int] = field(default_factory=dict)
    collections: dict[str, CollectionFound] = field(default_factory=dict)
    histograms: dict[str, dict[str, Any]] = field(default_factory=dict)
    weights: dict[str, dict[str, float]] = field(default_factory=dict)
    padding: dict[str, str] = field(default_factory=dict)
    duplicates: int | None = None
    leaks: dict[str, str] = field(default_factory=dict)
    truth: list[str] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    convert: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The JSON form; numbers that JSON does not know are null."""
        form: dict[str, Any] = _json(asdict(self))
        if self.kind != "histograms":
            del form["histograms"]
        return form


@dataclass(frozen=True)
class Report:
    """What `fivesigma inspect` found.

    Attributes:
        files: one report each.
        overlaps: entries that two files share: first, second, entries.
        warnings: of all files, and about several of them.
    """

    files: list[FileReport]
    overlaps: list[dict[str, Any]]
    warnings: list[str]

    def to_dict(self) -> dict[str, Any]:
        """One JSON object: the first file's, with totals and "files" where there are more."""
        form = self.files[0].to_dict()
        if len(self.files) > 1:
            form["events"] = sum(each.events for each in self.files)
            form["entries_read"] = sum(each.entries_read for each in self.files)
            form["overlaps"] = self.overlaps
            form["files"] = [each.to_dict() for each in self.files]
        form["warnings"] = self.warnings
        return form


def _json(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_json(each) for each in value]
    if hasattr(value, "item"):  # NumPy's numbers
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
