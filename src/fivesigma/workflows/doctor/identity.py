"""Entries that are there twice, in one file or in two: compared by 64-bit hashes of their content.

Numbers are compared as float32, so that a copy in another format is recognised; event numbers are
left out, because copies are often renumbered.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fivesigma.workflows.doctor.values import Values

__all__ = ["Fingerprints", "overlaps"]

#: fields that are compared, at most
_FIELDS = 24
#: with fewer numbers an entry may equal another by chance
_LEAST_NUMBERS = 3
#: files that are compared with each other
_FILES = 40
#: stands for NaN and infinities in a list
_NO_NUMBER = 1234.56789
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def _mixed(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele, Lea and Flood, OOPSLA 2014, doi:10.1145/2660193.2660195)."""
    with np.errstate(over="ignore"):  # arithmetic modulo 2^64
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _seed(name: str) -> np.uint64:
    """A number of a name, the same in every process."""
    folded = 14695981039346656037
    for byte in name.encode():
        folded = (folded ^ byte) * 1099511628211 % 2**64
    return np.uint64(folded)


class Fingerprints:
    """Hashes of the leading fields of all entries looked at."""

    def __init__(self) -> None:
        self._hashes: dict[str, list[NDArray[np.uint64]]] = {}
        self._numbers: dict[str, list[NDArray[np.int64]]] = {}

    @property
    def names(self) -> list[str]:
        """The fields that are compared."""
        return list(self._hashes)

    def add(self, name: str, values: Values) -> None:
        """Add a field of one step; only real numbers, and only as many fields as are compared."""
        if values.flat.dtype.kind != "f" or values.missing:
            return
        if name not in self._hashes and len(self._hashes) >= _FIELDS:
            return
        flat: NDArray = values.flat.astype(np.float32).astype(np.float64)
        counts = values.counts
        if counts is not None:  # one number for each list, in which the order matters
            flat = np.where(np.isfinite(flat), flat, _NO_NUMBER)
            first = np.repeat(np.cumsum(counts) - counts, counts)
            flat *= _factors(int(counts.max(initial=0)))[np.arange(len(flat)) - first]
            flat = np.bincount(values.entries(), weights=flat, minlength=len(counts))
        with np.errstate(over="ignore"):
            mixed = _mixed((flat + 0.0).view(np.uint64) + _GOLDEN)  # -0 becomes 0
        number = np.ones(len(mixed), np.int64) if counts is None else counts
        self._hashes.setdefault(name, []).append(mixed)
        self._numbers.setdefault(name, []).append(number)

    def entries(self, names: Sequence[str]) -> NDArray[np.uint64]:
        """(n,) hashes of the entries that hold enough numbers to be compared."""
        length = sum(map(len, self._hashes[names[0]]))
        total, numbers = np.zeros(length, np.uint64), np.zeros(length, np.int64)
        for name in names:
            total += _mixed(np.concatenate(self._hashes[name]) ^ _seed(name))
            numbers += np.concatenate(self._numbers[name])
        return total[numbers >= _LEAST_NUMBERS]

    def repeated(self) -> int | None:
        """Entries that repeat an earlier one; None where there is too little to compare."""
        names = self.names
        hashes = self.entries(names) if names else np.zeros(0, np.uint64)
        return int(hashes.size - np.unique(hashes).size) if hashes.size else None


def _factors(length: int) -> NDArray[np.float64]:
    """A factor from 1 to 2 for each place of a list, always the same."""
    with np.errstate(over="ignore"):
        mixed = _mixed((np.arange(length, dtype=np.uint64) + np.uint64(1)) * _GOLDEN)
    return 1.0 + (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def overlaps(prints: dict[str, Fingerprints]) -> list[dict[str, Any]]:
    """Entries that two files have in common, of those looked at.

    Args:
        prints: file -> fingerprints.

    Returns:
        first, second, entries and the fields compared, of each pair with any.
    """
    found = []
    for first, second in itertools.combinations(list(prints)[:_FILES], 2):
        names = [name for name in prints[first].names if name in prints[second].names]
        if not names:
            continue
        common = np.intersect1d(prints[first].entries(names), prints[second].entries(names))
        if common.size:
            found.append({"first": first, "second": second, "entries": int(common.size)})
    return found
