"""Go through the first entries of a file once and add up all that the report tells."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from fivesigma.formats.fourvectors import guess_unit
from fivesigma.formats.source import Source
from fivesigma.formats.tables import reading
from fivesigma.workflows.doctor.identity import Fingerprints
from fivesigma.workflows.doctor.tallies import CollectionTally, FieldTally
from fivesigma.workflows.doctor.values import Group, Values, groups, is_text, texts_in, values_of

__all__ = ["Sample", "examine", "is_truth", "is_weight", "own_name"]

#: memory of one step
_STEP = "100 MB"
#: entries that the unit is looked for in
_UNIT_ENTRIES = 200
#: names of the field that tells the class, the entry's own
_LABELS = ("label", "labels", "class", "target", "truth_label", "is_signal", "signal", "y")
#: more values than this are no classes
_CLASSES = 50
_WEIGHT = re.compile(r"(^|_)(gen|mc|event|mcevent|generator)?_?weights?(_nominal)?$", re.I)
_TRUTH = re.compile(r"truth|Truth|Gen|LHE|MC|Sim|Born|HardScatter|HTXS")
#: fields of an event's objects that tell it from another
_NUMBERS = ("run", "event", "luminosityblock", "lumi")
_MOMENTUM = ("pt", "eta", "phi", "mass")


@dataclass
class Sample:
    """What was added up over the entries looked at.

    Attributes:
        collections: name -> tally.
        entries: how many entries were looked at.
        label: name of the field that tells the class, "" if there is none.
        labels: (N,) its values.
        values: field -> (N,) its value or mean, of each entry; only where there are labels.
        weights: field -> (N,) weights, or (n,) variations of all entries.
        variations: weight field -> its largest number of variations.
        prints: hashes of the entries.
        events: (N, k) run, block and event numbers, where there are any.
        objects: (N,) objects with momentum of each entry; None: no lists of such.
        unit: unit and reason that the values suggest.
    """

    collections: dict[str, CollectionTally] = field(default_factory=dict)
    entries: int = 0
    label: str = ""
    labels: NDArray = field(default_factory=lambda: np.zeros(0, np.int64))
    values: dict[str, list[NDArray[np.float32]]] = field(default_factory=dict)
    weights: dict[str, list[NDArray]] = field(default_factory=dict)
    variations: dict[str, int] = field(default_factory=dict)
    prints: Fingerprints = field(default_factory=Fingerprints)
    events: dict[str, list[NDArray]] = field(default_factory=dict)
    objects: NDArray[np.int64] | None = None
    unit: tuple[str, str] = ("GeV", "")

    def fields(self) -> dict[str, FieldTally]:
        """All fields by their full names."""
        return {
            f"{name}.{one}": tally
            for name, collection in self.collections.items()
            for one, tally in collection.fields.items()
        }


def is_truth(collection: str) -> bool:
    """Whether a collection is generated, not measured."""
    return bool(_TRUTH.match(collection))


def is_weight(name: str) -> bool:
    """Whether a field is named as event weights are."""
    return bool(_WEIGHT.search(name))


def examine(
    source: Source,
    entries: int,
    *,
    keep: Callable[[str], bool] = lambda name: False,
    progress: Callable[[int], None] = lambda done: None,
) -> Sample:
    """Look at the first entries.

    Args:
        source: an open file or dataset.
        entries: how many at most.
        keep: whether values of the field of this name are kept for a histogram.
        progress: called with the number of entries done.

    Raises:
        ValueError: a damaged file.
    """
    sample = Sample()
    for chunk in _chunks(source, entries):
        if not sample.entries:
            sample.unit = guess_unit(chunk[:_UNIT_ENTRIES], source.kind)
        found = list(groups(chunk, source.kind, own_name(source.kind)))
        sample.label = sample.label or _label_of(found, source.kind)
        _add(sample, found, len(chunk), source.kind, keep)
        progress(sample.entries)
    return sample


def _chunks(source: Source, entries: int) -> Iterator[ak.Array]:
    """The entries in steps; what libraries say of damaged files becomes one line."""
    with reading(source.path):
        yield from source.iterate(step=_STEP, stop=entries)


def own_name(kind: str) -> str:
    """Name of the collection of an entry's own fields."""
    return "rows" if kind == "table" else kind


def _label_of(found: list[Group], kind: str) -> str:
    """The field that tells the class of an entry."""
    for group in found:
        if group.name not in ("event", own_name(kind)) or group.depth > 1:
            continue
        single = {name.lower(): name for name in group.fields}
        for name in _LABELS:
            if name in single and _is_label(group.fields[single[name]]):
                return f"{group.name}.{single[name]}"
    return ""


def _is_label(array: ak.Array) -> bool:
    """Whether there is one whole number an entry, and few different ones."""
    if array.ndim > 1 or is_text(array):
        return False
    values = values_of(array).flat
    whole = np.isfinite(values) & (values == np.rint(values))
    return bool(whole.all()) and np.unique(values).size <= _CLASSES


def _add(
    sample: Sample, found: list[Group], length: int, kind: str, keep: Callable[[str], bool]
) -> None:
    """Add one step."""
    collection, _, field = sample.label.rpartition(".")
    array = next((group.fields[field] for group in found if group.name == collection), None)
    label = None if array is None else values_of(array).flat.astype(np.int64)
    if label is not None:
        sample.labels = np.concatenate([sample.labels, label])
    for group in found:
        tally = sample.collections.setdefault(group.name, CollectionTally())
        tally.count(group)
        for name, each in group.fields.items():
            full = f"{group.name}.{name}"
            if is_text(each):
                tally.fields.setdefault(name, FieldTally("str")).count += texts_in(each)
                continue
            values = values_of(each)
            one = tally.fields.setdefault(name, FieldTally(values.dtype))
            one.add(values)
            if keep(full.partition("[")[0]):
                one.keep(values, label)
            if label is not None and full != sample.label:
                sample.values.setdefault(full, []).append(values.per_entry().astype(np.float32))
            if name == "pt" and each.ndim == group.depth:
                tally.order(values)
            _add_event(sample, group, name, values, own_name(kind))
    _add_objects(sample, found, length)
    sample.entries += length


def _add_objects(sample: Sample, found: list[Group], length: int) -> None:
    """Count the measured objects with momentum of each entry."""
    lists = [
        group.lists
        for group in found
        if group.lists is not None
        and group.depth == 2
        and "pt" in group.fields
        and not is_truth(group.name)
    ]
    if lists:
        before = np.zeros(0, np.int64) if sample.objects is None else sample.objects
        sample.objects = np.concatenate([before, np.sum(lists, axis=0)])


def _add_event(sample: Sample, group: Group, name: str, values: Values, own: str) -> None:
    """Weights, event numbers, and what tells an entry from another."""
    full, lower = f"{group.name}.{name}", name.lower()
    of_entry = group.name in ("event", own) and group.depth == 1
    if of_entry and values.lists is None and is_weight(name):
        sample.weights.setdefault(full, []).append(values.flat)
    elif of_entry and values.lists is not None and "weight" in lower:
        most = int(values.lists.max(initial=0))
        sample.variations[full] = max(sample.variations.get(full, 0), most)
    if group.name == "event" and values.lists is None and lower in _NUMBERS:
        sample.events.setdefault(lower, []).append(values.flat)
    if group.name in ("rows", "hits", "showers") or name in _MOMENTUM:
        sample.prints.add(full, values)
