"""Cases by number: which file, how it is damaged, what is asked of the reader."""

import hashlib
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fuzz import corpus
from fuzz.chimeras import CHIMERAS
from fuzz.hostile import HOSTILE, set_trap
from fuzz.mutations import damaged, generator

#: part of the cases in which types and shapes of columns do not fit, where a kind has such
_CHIMERAS = 0.2


@dataclass
class Case:
    """One file and what is asked.

    Attributes:
        name: what it is, for people.
        request: what the reading process is asked; see `worker`.
    """

    name: str
    kind: str
    request: dict[str, Any] = field(default_factory=dict)


class Cases:
    """Case `n`, always the same: first what is hostile on purpose, then what is damaged by chance.

    Attributes:
        folder: everything is made in it.
        outside: what nobody may change; it has secrets that nobody may read.
        listed: what is hostile on purpose.
        hostile: how many cases that are.
    """

    def __init__(self, folder, real=None, kinds=None):
        self.folder, self._real = folder, real
        self.kinds = tuple(kinds or corpus.KINDS)
        self._seeds = {}
        self.outside = folder / "outside"
        set_trap(self.outside)
        self._untouched = digest(self.outside)
        self.listed = [each for each in HOSTILE if kinds is None or each.kind in kinds]
        self.hostile = len(self.listed)

    def __call__(self, number):
        """Make the file of a case."""
        work = self.folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        if number < self.hostile:
            return self._make_hostile(number, work)
        kind = self.kinds[number % len(self.kinds)]
        rng = generator(number)
        if kind in CHIMERAS and rng.random() < _CHIMERAS:
            path = work / f"{kind}_{number}{corpus.KINDS[kind]}"
            CHIMERAS[kind](path, rng)
            return Case(f"{number}: {kind}, a chimera", kind, self.request(kind, path, number))
        if kind == "dataset":
            return self._damage_dataset(number, work, rng)
        seeds = self.seeds(kind)
        seed = seeds[rng.integers(len(seeds))]
        others = [self.seeds(k)[0].read_bytes() for k in self.kinds if k != "dataset"]
        data, how = damaged(seed.read_bytes(), kind, rng, others)
        path = work / f"{kind}_{number}{corpus.KINDS[kind]}"
        path.write_bytes(data)
        name = f"{number}: {kind} {seed.name}, {how}"
        return Case(name, kind, self.request(kind, path, number))

    def _make_hostile(self, number, work):
        each = self.listed[number]
        path = work / f"hostile_{number}{corpus.KINDS.get(each.kind, '')}"
        request = self.request(each.kind, path, number) | {"secret": True}
        request |= each.make(path, self.outside) or {}
        return Case(f"{number}: {each.kind}, hostile: {each.make.__name__}", each.kind, request)

    def _damage_dataset(self, number, work, rng):
        (seed,) = self.seeds("dataset")
        path = work / f"dataset_{number}"
        shutil.copytree(seed, path)
        files = sorted(each for each in path.rglob("*") if each.is_file() and each.stat().st_size)
        chosen = files[rng.integers(len(files))]
        kind = "dataset" if chosen.suffix == ".parquet" else "mapping"
        data, how = damaged(chosen.read_bytes(), kind, rng, [b"{}", b"PAR1"])
        chosen.write_bytes(data)
        name = f"{number}: dataset, {chosen.relative_to(path)} {how}"
        return Case(name, "dataset", self.request("dataset", path, number))

    def request(self, kind, path, number):
        """What is asked of the reader for a file of this kind."""
        request = {"do": "read", "path": str(path), "number": number}
        if kind == "histograms":
            return request | {"do": "histograms"}
        if kind in ("mapping", "weaver"):
            data = self.folder / "data.parquet"
            if not data.exists():
                corpus.data_for_mapping(self.folder)
            return request | {"path": str(data), "mapping": str(path)}
        return request

    def seeds(self, kind):
        """Whole files."""
        if kind not in self._seeds:
            self._seeds[kind] = corpus.make(self.folder / "seeds", kind, self._real)
        return self._seeds[kind]

    def is_untouched(self):
        """Whether nothing outside of the target has changed; mends it."""
        if digest(self.outside) == self._untouched:
            return True
        shutil.rmtree(self.outside)
        set_trap(self.outside)
        return False


def digest(folder):
    """What a folder holds, to the last bit."""
    found = hashlib.sha256()
    for path in sorted(Path(folder).rglob("*")):
        found.update(f"{path.relative_to(folder)} {path.is_symlink()}\n".encode())
        if path.is_file():
            found.update(path.read_bytes())
    return found.hexdigest()
