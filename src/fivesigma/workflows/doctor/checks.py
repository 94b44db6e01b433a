"""What is wrong with a sample, in short sentences that a physicist can act upon."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from fivesigma.metrics import auc
from fivesigma.workflows.doctor.examine import Sample, is_truth
from fivesigma.workflows.doctor.order import collection_rank
from fivesigma.workflows.doctor.records import CollectionFound, FieldFound

__all__ = [
    "class_counts",
    "class_warnings",
    "event_warnings",
    "leaking_fields",
    "physics_warnings",
    "truth_fields",
    "weight_numbers",
    "weight_warnings",
]

#: a single field that separates a class this well knows the label
_LEAK = 0.99
#: entries that are enough to see it
_AUC_ENTRIES = 5000
#: no detector sees such pseudorapidities
_ETA = 15.0
#: fraction of the lists in which pT may rise
_ORDERED = 0.98
#: the rarest class is rare below this fraction of the most frequent
_BALANCE = 0.1
_TRUTH = re.compile(r"truth|^gen|_gen|gen(part|jet|match)|label|flavou?r|^mc[A-Z_]|matched")
#: numbers of the event, which are no input of any network
_BOOKKEEPING = ("event", "process", "run", "lumi", "luminosityBlock", "weight", "index", "entry")
_MOMENTUM = ("pt", "eta", "phi", "mass", "energy")
#: fill values where nothing was measured; 0 may be a measurement
_STAND_INS = (-9.0, -99.0, -999.0, -9999.0)
#: masses may fall below 0 by rounding [GeV]
_MASS_ROUNDING = 0.5


def physics_warnings(collections: dict[str, CollectionFound]) -> Iterator[str]:
    """Momenta that cannot be, lists out of order, and stand-ins for missing values."""
    for name, collection in collections.items():
        for field in _MOMENTUM:
            # beam particles, of pT 0, have no pseudorapidity
            if field in collection.fields and not (field == "eta" and is_truth(name)):
                yield from _momentum(f"{name}.{field}", field, collection.fields[field])
    unordered = [
        f"{name} ({_percent(1 - each.pt_ordered)} of the lists)"
        for name, each in collections.items()
        if _is_main(name) and each.pt_ordered is not None and each.pt_ordered < _ORDERED
    ]
    if unordered:
        yield (
            f"not ordered by pT: {_some(unordered)}; the first ones are not the leading ones: "
            "sort them before cutting or padding"
        )
    empty = [name for name, each in collections.items() if not each.objects and _is_main(name)]
    if empty:
        yield f"no objects at all in {_some(empty)}"
    yield from _no_numbers(collections)


def _is_main(collection: str) -> bool:
    """Whether it is measured, and one that is used most."""
    return collection_rank(collection) < collection_rank("") and not is_truth(collection)


def _momentum(name: str, field: str, found: FieldFound) -> Iterator[str]:
    low, high = found.minimum, found.maximum
    if found.nan or found.infinite:
        yield f"{name}: {_percent(found.nan + found.infinite)} NaN or infinite; remove these"
    if low is None or high is None:
        return
    if found.common is not None and found.common in _STAND_INS:
        yield f"{name}: {_percent(found.common_fraction)} are {found.common:g}, a stand-in"
        return
    if field == "pt" and low < 0:
        yield f"{name}: negative values, down to {low:.4g} GeV; pT must be >= 0"
    if field == "mass" and low < -_MASS_ROUNDING:
        yield f"{name}: negative values, down to {low:.4g} GeV"
    if field == "eta" and max(-low, high) > _ETA:
        yield f"{name}: values up to {max(-low, high):.4g}; momenta along the beam, or stand-ins?"
    if field == "phi" and max(-low, high) > np.pi + 1e-3:
        size = max(-low, high)
        if size > 2 * np.pi + 1e-3:
            yield f"{name}: values up to {size:.4g}; in degrees? Radians are expected"
        else:
            yield f"{name}: values from {low:.3g} to {high:.3g}; (-pi, pi] is expected"


def _no_numbers(collections: dict[str, CollectionFound]) -> Iterator[str]:
    """Other fields with NaN, infinities and stand-ins, many in one sentence."""
    bad, filled = [], []
    for name, collection in collections.items():
        for field, found in collection.fields.items():
            if field in _MOMENTUM:
                continue
            if found.nan + found.infinite > 0:
                bad.append(f"{name}.{field} ({_percent(found.nan + found.infinite)})")
            elif found.common in _STAND_INS:
                filled.append(f"{name}.{field} ({_percent(found.common_fraction)})")
    if bad:
        yield f"NaN or infinite values in {_some(bad)}"
    if filled:
        yield f"mostly stand-ins such as -999 in {_some(filled)}"


def event_warnings(sample: Sample, unit: str, why: str, repeated: int | None) -> Iterator[str]:
    """Wrong units, events without objects, and entries that are there twice."""
    suggested, reason = sample.unit
    if unit == "GeV" and suggested == "MeV":
        yield f"energies look like MeV ({reason}); give --unit MeV"
    if unit == "GeV" and why.startswith("assumed"):
        yield "nothing tells the unit of energies, GeV assumed; give --unit if that is wrong"
    if sample.objects is not None:
        empty = int(np.count_nonzero(sample.objects == 0))
        if empty:
            yield f"{_of(empty, sample.entries)} entries have no object with momentum at all"
    if repeated:
        yield f"{_of(repeated, sample.entries)} entries repeat the content of an earlier one"
    numbers = {name: np.concatenate(parts) for name, parts in sample.events.items()}
    if "event" in numbers:
        rows = np.stack([numbers[name].astype(np.int64) for name in numbers], axis=1)
        twice = len(rows) - len(np.unique(rows, axis=0))
        if twice:
            yield f"{_of(twice, len(rows))} entries repeat an earlier {', '.join(numbers)} number"


def class_counts(sample: Sample, names: Sequence[str]) -> dict[str, int]:
    """Class -> entries looked at; -1 stands for none."""
    found = dict(zip(*(a.tolist() for a in np.unique(sample.labels, return_counts=True)),
                     strict=True))  # fmt: skip
    if not sample.label:
        return {}
    told = {name: int(found.pop(index, 0)) for index, name in enumerate(names)}
    for value, count in found.items():
        told["none (-1)" if value == -1 else str(value)] = int(count)
    return told


def class_warnings(
    sample: Sample, counts: dict[str, int], total: int, *, shuffled: bool = False
) -> Iterator[str]:
    """Classes that are missing or rare; a file that is ordered by class.

    Args:
        sample: what was added up.
        counts: class -> entries looked at.
        total: entries in the file.
        shuffled: whether training shuffles it anyway.
    """
    if not counts:
        return
    present = {name: count for name, count in counts.items() if count and name != "none (-1)"}
    part = "" if sample.entries >= total else f" of the first {sample.entries} entries"
    if len(present) < 2:
        only = next(iter(present), "none")
        yield (
            f"one class only, {only}, in {sample.label}{part}"
            + ("; is the file ordered by class? Shuffle it before training" if part else "")
        )
        return
    absent = [name for name, count in counts.items() if not count]
    if absent:
        yield f"no entries{part} of class {', '.join(absent)}"
    rare, often = min(present, key=present.__getitem__), max(present, key=present.__getitem__)
    if present[rare] < _BALANCE * present[often]:
        yield (
            f"classes are out of balance: {present[rare]} {rare} for {present[often]} {often}; "
            "weight or sample them"
        )
    labels = sample.labels
    changes = int(np.count_nonzero(np.diff(labels)))
    if not shuffled and changes < 4 * len(present) and len(labels) > 40 * len(present):
        yield "entries are ordered by class; shuffle them before training"


def leaking_fields(sample: Sample, counts: dict[str, int]) -> dict[str, str]:
    """Fields that alone tell a class: field -> "class (AUC ...)".

    Missing and infinite values count as lower than all others, because they may be what tells it.
    """
    step = max(len(sample.labels) // _AUC_ENTRIES, 1)
    labels = sample.labels[::step]
    values, numbers = np.unique(labels[labels >= 0], return_counts=True)
    chosen = values[numbers >= 10]
    if len(chosen) < 2:
        return {}
    names = list(counts)
    found: dict[str, str] = {}
    for name, parts in sample.values.items():
        if name.rpartition(".")[2] in _BOOKKEEPING:
            continue
        score = _ranked(np.concatenate(parts)[::step])
        if score is None or len(score) != len(labels):
            continue
        for value in chosen[:1] if len(chosen) == 2 else chosen:
            area = auc(labels == value, score).value
            if max(area, 1 - area) > _LEAK:
                which = names[value] if value < len(names) else str(value)
                found[name] = f"{which} (AUC {max(area, 1 - area):.3f})"
                break
    return found


def _ranked(values: NDArray[np.float32]) -> NDArray[np.float64] | None:
    """Finite scores; None where all are the same."""
    finite = np.isfinite(values)
    if not finite.any():
        return None
    low = float(values[finite].min())
    score = np.where(finite, values.astype(np.float64), low - 1 - abs(low))
    return score if score.min() < score.max() else None


def truth_fields(collections: dict[str, CollectionFound], label: str) -> list[str]:
    """Fields, and whole collections, named after the truth, which a tagger must not see."""
    found = []
    for name, collection in collections.items():
        if is_truth(name):
            found.append(name)
            continue
        full = [f"{name}.{field}" for field in collection.fields if _TRUTH.search(field)]
        found += [each for each in full if each != label]
    return found


def weight_numbers(sample: Sample) -> dict[str, dict[str, float]]:
    """Sum, negative fraction, effective number and spread of weights; number of variations."""
    found: dict[str, dict[str, float]] = {}
    for name, parts in sample.weights.items():
        weight = np.concatenate(parts).astype(np.float64)
        weight = weight[np.isfinite(weight)]
        square = float(np.square(weight).sum())
        if name in sample.variations or square == 0:
            continue
        size = np.abs(weight)
        found[name] = {
            "sum": float(weight.sum()),
            "negative": float(np.mean(weight < 0)),
            "effective": float(weight.sum() ** 2 / square),
            "spread": float(size.std() / size.mean()),
        }
    for name, count in sample.variations.items():
        if not count:
            continue
        found[name] = {"variations": float(count)}
    return found


def weight_warnings(weights: dict[str, dict[str, float]], entries: int) -> Iterator[str]:
    """Negative weights, and few weights that decide all."""
    for name, found in weights.items():
        if found.get("negative", 0) > 0:
            yield (
                f"{name}: {_percent(found['negative'])} are negative, worth "
                f"{found['effective']:.0f} of {entries} entries"
            )
        elif "effective" in found and found["effective"] < 0.5 * entries:
            yield f"{name}: so uneven that {entries} entries are worth {found['effective']:.0f}"


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.{2 if fraction < 0.1 else 3}g} %"


def _of(count: int, total: int) -> str:
    return f"{count} of {total}"


def _some(names: list[str], most: int = 4) -> str:
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")
