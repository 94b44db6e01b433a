"""What is shown first: the collections and fields that physicists look at first."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["by_importance", "collection_rank", "field_rank", "is_main", "sorted_fields"]

#: collections in the order of their importance; others follow
_COLLECTIONS = (
    "event",
    "rows",
    "showers",
    "hits",
    "jets",
    "constituents",
    "fatjets",
    "muons",
    "electrons",
    "photons",
    "taus",
    "met",
    "objects",
    "particles",
    "tracks",
    "truth",
    "jets.constituents",
    "fatjets.constituents",
)
_FIELDS = (
    "label",
    "weight",
    "run",
    "event",
    "pt",
    "eta",
    "phi",
    "mass",
    "energy",
    "charge",
    "pdg_id",
    "d0",
    "dz",
    "softdrop_mass",
    "msoftdrop",
    "multiplicity",
    "nConstituents",
    "tau1",
    "tau2",
    "tau3",
    "hadronFlavour",
    "status",
    "mother",
    "process",
)


def collection_rank(name: str) -> int:
    """The smaller, the earlier."""
    return _COLLECTIONS.index(name) if name in _COLLECTIONS else len(_COLLECTIONS)


def field_rank(name: str) -> int:
    """The smaller, the earlier."""
    return _FIELDS.index(name) if name in _FIELDS else len(_FIELDS)


def is_main(field: str) -> bool:
    """Whether a field is among those shown by default."""
    return field in _FIELDS


def sorted_fields(collection: str, fields: Iterable[str]) -> list[str]:
    """The fields of a collection, main ones first."""
    return sorted(fields, key=lambda field: by_importance(f"{collection}.{field}"))


def by_importance(full: str) -> tuple[int, int]:
    """Sorts full names: main fields of main collections, then all else in the file's order."""
    collection, _, field = full.rpartition(".")
    rank = collection_rank(collection)
    return (rank + (0 if is_main(field) else 100), field_rank(field))
