"""Fields and collections added up step by step, so that a sample of any size fits into memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fivesigma.workflows.doctor.records import CollectionFound, FieldFound
from fivesigma.workflows.doctor.values import Group, Values

__all__ = ["SENTINELS", "CollectionTally", "FieldTally"]

#: what programs write where there is nothing
SENTINELS = (0.0, -1.0, -9.0, -99.0, -999.0, -9999.0)
#: tell the most common value from this fraction on
_COMMON = 0.5
#: values of a field that are kept for its histogram
_KEPT = 100_000
#: values that the median is taken of
_MEDIAN_OF = 100_000


class FieldTally:
    """One field: range, mean, what is no number, and its most common value.

    Attributes:
        kept: values for a histogram, and the label of each entry's class, step by step.
    """

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype
        self.count = self.finite = self.nan = self.infinite = self.missing = 0
        self.total = 0.0
        self.low: float = np.inf
        self.high: float = -np.inf
        self._equal: dict[float, int] = {}
        self.kept: list[NDArray] = []
        self.kept_labels: list[NDArray] = []

    def add(self, values: Values) -> None:
        """Add the numbers of one step."""
        flat = values.flat
        self.count += flat.size
        self.missing += values.missing
        good = flat
        if flat.dtype.kind == "f":
            finite = np.isfinite(flat)
            if not finite.all():
                nan = int(np.count_nonzero(np.isnan(flat)))
                self.nan += nan - values.missing
                self.infinite += flat.size - int(np.count_nonzero(finite)) - nan
                good = flat[finite]
        if not good.size:
            return
        self.finite += good.size
        self.total += float(good.sum(dtype=np.float64))
        self.low, self.high = min(self.low, good.min()), max(self.high, good.max())
        self._count_equal(good)

    def _count_equal(self, values: NDArray) -> None:
        """A value that more than half have is the median, if it is no usual stand-in."""
        if not self._equal:
            few = values[:: max(values.size // _MEDIAN_OF, 1)]
            median = float(np.partition(few, few.size // 2)[few.size // 2])
            self._equal = dict.fromkeys((median, 1.0, *SENTINELS), 0)
        for value in self._equal:
            if self.low <= value <= self.high:
                # in the values' own precision: 0.1 as float32 is not 0.1
                same = values == values.dtype.type(value)
                self._equal[value] += int(np.count_nonzero(same))

    def keep(self, values: Values, labels: NDArray | None) -> None:
        """Keep values for a histogram, as many as fit."""
        room = _KEPT - sum(each.size for each in self.kept)
        if room <= 0:
            return
        chosen = np.isfinite(values.flat) if values.flat.dtype.kind == "f" else slice(None)
        self.kept.append(values.flat[chosen][:room].astype(np.float64))
        if labels is not None:
            self.kept_labels.append(labels[values.entries()][chosen][:room])

    def found(self) -> FieldFound:
        """The summary."""
        whole = self.dtype[:1] in "iu" and bool(self.finite)
        count = max(self.count, 1)
        common, times = max(self._equal.items(), key=lambda each: each[1], default=(0.0, 0))
        often = times / count > _COMMON and self.low < self.high
        return FieldFound(
            self.dtype,
            self.count,
            _number(self.low, whole) if self.finite else None,
            _number(self.high, whole) if self.finite else None,
            self.total / self.finite if self.finite else None,
            self.nan / count,
            self.infinite / count,
            self.missing,
            _number(common, whole) if often else None,
            times / count if often else 0.0,
        )


def _number(value: float, whole: bool) -> float:
    return int(value) if whole else float(value) + 0.0  # -0 is 0


class CollectionTally:
    """One collection: how many objects, their order, and its fields.

    Attributes:
        fields: name -> tally.
    """

    def __init__(self) -> None:
        self.fields: dict[str, FieldTally] = {}
        self.objects = self.number = 0
        self.lists = False
        self.low, self.high = np.inf, 0
        self.ordered = self.of_two = 0

    def count(self, group: Group) -> None:
        """Add the objects of one step."""
        lengths = group.lists
        self.lists = self.lists or lengths is not None
        self.objects += group.records
        self.number += group.records if lengths is None else len(lengths)
        if lengths is not None and len(lengths):
            self.low = min(self.low, int(lengths.min()))
            self.high = max(self.high, int(lengths.max()))

    def order(self, pt: Values) -> None:
        """Look whether pT falls in each list."""
        if pt.lists is None:
            return
        owner = np.repeat(np.arange(len(pt.lists)), pt.lists)
        rises = (pt.flat[1:] > pt.flat[:-1]) & (np.diff(owner) == 0)
        wrong = np.unique(owner[1:][rises]).size
        several = int(np.count_nonzero(pt.lists > 1))
        self.of_two += several
        self.ordered += several - wrong

    def found(self) -> CollectionFound:
        """The summary."""
        return CollectionFound(
            self.objects,
            self.lists,
            self.objects / max(self.number, 1),
            int(self.low) if self.lists and np.isfinite(self.low) else int(not self.lists),
            int(self.high) if self.lists else 1,
            self.ordered / self.of_two if self.of_two else None,
            {name: tally.found() for name, tally in self.fields.items()},
        )
