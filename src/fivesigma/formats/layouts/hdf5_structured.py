"""Jets and their tracks as compound datasets, as ATLAS' flavour tagging writes them (salt, umami).

Dataset `jets` has (N,) records, `tracks` and others (N, M) records with a member `valid`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from fivesigma.formats.fourvectors import object_fields
from fivesigma.formats.layout import Field, Group, Layout, Padded
from fivesigma.formats.layouts.places import index_of, nonzero, padded_fields
from fivesigma.formats.tables import Table

__all__ = ["structured"]

#: number of a jet's flavour -> class
_FLAVOURS = {5: "b", 4: "c", 0: "light", 15: "tau"}
_FLAVOUR = "HadronConeExclTruthLabelID"
#: what calibrated momenta are called -> name, where that is not there itself
_CALIBRATED = {"pt_btagJes": "pt", "eta_btagJes": "eta"}


def structured(table: Table) -> Layout | None:
    """Columns `jets.pt`, `tracks.valid`, `tracks.d0` ...; the unit is guessed.

    Particles keep their dataset's name ("tracks"); those that have pt, eta and phi, and come
    first, are the jet's `constituents`. Labels are of `flavour_label`, where the file names its
    classes, else of `HadronConeExclTruthLabelID`.
    """
    jet: dict[str, str] = {}
    sets: dict[str, dict[str, str]] = {}
    for column, what in table.columns.items():
        group, _, name = column.partition(".")
        if not name or what.depth or what.dtype == "str":
            continue
        if group == "jets" and not what.shape:
            jet[name] = column
        elif len(what.shape) == 1:
            sets.setdefault(group, {})[name] = column
    jet = {_plain(name, jet): column for name, column in jet.items()}
    label, classes = _label(jet, getattr(table, "texts", {}))
    if "pt" not in jet or not (sets or label):
        return None
    fields: dict[str, Field | Group] = dict(object_fields(jet, "jets"))
    if label:
        fields["label"] = label
    fields |= _particles(sets)
    return Layout("structured", "jets", {"jets": Group(fields)}, unit=None, classes=classes)


def _plain(name: str, has: Mapping[str, str]) -> str:
    plain = _CALIBRATED.get(name, name)
    return name if plain in has else plain


def _label(
    jet: Mapping[str, str], texts: Mapping[str, Sequence[str]]
) -> tuple[Field | None, tuple[str, ...]]:
    """The label and the classes that it counts."""
    classes = tuple(texts.get("jets@flavour_label", ()))
    if "flavour_label" in jet and classes:
        return Field((jet["flavour_label"],), partial(index_of, range(len(classes)))), classes
    if _FLAVOUR in jet:
        return Field((jet[_FLAVOUR],), partial(index_of, tuple(_FLAVOURS))), (*_FLAVOURS.values(),)
    return None, ()


def _particles(sets: Mapping[str, Mapping[str, str]]) -> dict[str, Field | Group]:
    """A group for each set of particles."""
    made: dict[str, Field | Group] = {}
    for group in sorted(sets, key=lambda name: name != "constituents"):
        columns = {name: column for name, column in sets[group].items() if name != "valid"}
        if not columns:
            continue
        fields = padded_fields(columns, group)
        if "charge" not in fields and "qOverP" in columns:
            fields["charge"] = Field((columns["qOverP"],), _sign)
        whole = {"pt", "eta", "phi"} <= fields.keys() and "constituents" not in made
        made["constituents" if whole else group] = Group(dict(fields), _present(sets[group]))
    return made


def _present(columns: Mapping[str, str]) -> Padded:
    """Where there is a particle: as `valid` says, else where any of its numbers is not zero."""
    if "valid" in columns:
        return Padded((columns["valid"],), _is_true)
    return Padded(tuple(columns.values()), nonzero)


def _is_true(valid: np.ndarray) -> np.ndarray:
    return np.asarray(valid).astype(bool)


def _sign(values: np.ndarray) -> np.ndarray:
    return np.sign(np.nan_to_num(np.asarray(values))).astype(np.int8)
