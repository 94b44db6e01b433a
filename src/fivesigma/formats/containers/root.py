"""ROOT files, through uproot: TTrees, RNTuples and histograms."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import awkward as ak
import hist
import uproot

from fivesigma.formats.tables import Column, Table, missing_columns, reading

__all__ = ["RootTable", "leaves_of", "open_tables", "read_histograms"]

_TREES = ("TTree", "TNtuple", "TNtupleD", "ROOT::RNTuple")
#: members of ROOT's vectors -> what they are
_MEMBERS = {
    "fP.fX": "px",
    "fP.fY": "py",
    "fP.fZ": "pz",
    "fE": "energy",
    "fX": "px",
    "fY": "py",
    "fZ": "pz",
    "fCoordinates.fX": "px",
    "fCoordinates.fY": "py",
    "fCoordinates.fZ": "pz",
    "fCoordinates.fT": "energy",
    "fCoordinates.fPt": "pt",
    "fCoordinates.fEta": "eta",
    "fCoordinates.fPhi": "phi",
    "fCoordinates.fM": "mass",
    "fCoordinates.fE": "energy",
}
#: the text beside a tree in which fivesigma notes what the branches are
NOTE = "_fivesigma"
#: an entry of a damaged tree may claim any number of bytes
_MOST_ENTRY_BYTES = 2e8


def open_tables(path: str, file: Any) -> list[Table]:
    """The trees and RNTuples of a file, those with most columns first.

    Args:
        path: for messages.
        file: path or file object.

    Raises:
        ValueError: no ROOT file, or a damaged one.
    """
    opened = uproot.open(file, object_cache=None, array_cache=None)
    classes = opened.classnames(recursive=True, cycle=True)
    newest: dict[str, str] = {}
    for key, kind in classes.items():
        name, cycle = key.rsplit(";", 1)
        if kind in _TREES and int(cycle) >= int(newest.get(name, ";-1").rsplit(";", 1)[1]):
            newest[name] = key
    tables: list[Table] = [
        RootTable(path, name, opened[key], _note(opened, name)) for name, key in newest.items()
    ]
    return sorted(tables, key=lambda table: -len(table.columns))


def read_histograms(
    path: str, file: Any = None, only: Collection[str] | None = None
) -> dict[str, hist.Hist]:
    """The histograms of a ROOT file.

    Args:
        path: the file.
        file: a file object, where it is opened already.
        only: names of those to read, of which the file may lack some; None: all.

    Returns:
        Name with folders, e.g. "demo/mass4mu" -> histogram.

    Raises:
        ValueError: no ROOT file, or a damaged one.
    """
    with reading(path), uproot.open(file if file is not None else path) as opened:
        kinds = opened.classnames(recursive=True, cycle=False)
        names = [name for name, kind in kinds.items() if kind.startswith(("TH1", "TH2", "TH3"))]
        wanted = names if only is None else [name for name in names if name in only]
        return {name: _histogram(opened[name]) for name in wanted}


def _histogram(found: Any) -> hist.Hist:
    """The same contents and variances, without the axes' names that may repeat."""
    made = hist.Hist(found.to_boost())
    made.label = found.title
    return made


class RootTable(Table):
    """A TTree or RNTuple."""

    def __init__(self, path: str, name: str, tree: Any, note: Mapping[str, Any]) -> None:
        super().__init__(path)
        self.name, self._tree = name, tree
        self.is_ntuple = "RNTuple" in type(tree).__name__
        columns: dict[str, Column] = {}
        self.skipped: dict[str, str] = {}
        #: name of a branch, told apart where names repeat -> branch
        self._branches = {} if self.is_ntuple else _leaf_branches(tree)
        #: column -> (branch, members within its records)
        self._where: dict[str, tuple[str, tuple[str, ...]]] = {}
        for branch, form in self._forms():
            if isinstance(form, str):
                self.skipped[branch] = form
                continue
            for names, column in leaves_of(form):
                member = ".".join(names)
                shown = _MEMBERS.get(member, member)
                full = f"{branch}.{shown}" if shown else branch
                columns[full] = column
                self._where[full] = (branch, names)
        self.columns = columns
        self.metadata = note

    def _forms(self) -> Iterator[tuple[str, Any]]:
        """Each branch with the form of its array, or why it has none."""
        if self.is_ntuple:
            form = self._tree.to_akform()
            form = form[0] if isinstance(form, tuple) else form
            yield from zip(form.fields, form.contents, strict=True)
            return
        for name, branch in self._branches.items():
            try:
                yield name, branch.interpretation.awkward_form(self._tree.file)
            except Exception as error:  # uproot has many kinds
                yield name, str(error).splitlines()[0] if str(error) else type(error).__name__

    @property
    def entries(self) -> int:
        """Number of entries."""
        return int(self._tree.num_entries)

    def read(self, names: Sequence[str], start: int, stop: int) -> dict[str, ak.Array]:
        """See `Table.read`."""
        absent = [name for name in names if name not in self._where]
        if absent:
            raise missing_columns(self.path, absent, self._where)
        arrays = self._arrays(names, start, stop)
        out = {}
        for name in names:
            branch, members = self._where[name]
            array = arrays[branch]
            for member in members:
                array = array[member]
            out[name] = array
        return out

    def _arrays(self, names: Sequence[str], start: int, stop: int) -> Any:
        if self.is_ntuple:
            paths = {".".join((self._where[name][0], *self._where[name][1])) for name in names}
            # names as text would be patterns, and slow ones could hang
            chosen = {"filter_name": paths.__contains__}
            found = self._tree.arrays(**chosen, entry_start=start, entry_stop=stop)
            if wrong := ak.validity_error(found):  # lists that end behind their content
                message = f"{self.path}: its lists do not fit what is in them; damaged ({wrong})"
                raise ValueError(message)
            return found
        branches = {self._where[name][0]: self._branches[self._where[name][0]] for name in names}
        claimed = sum(float(branch.uncompressed_bytes) for branch in branches.values())
        if claimed > _MOST_ENTRY_BYTES * max(self.entries, 1):
            message = f"{self.path}: {claimed:.3g} bytes in {self.entries} entries; it is damaged"
            raise ValueError(message)
        window = {"entry_start": start, "entry_stop": stop, "library": "ak"}
        # a few at a time: the unpacked baskets of all together would not be bounded, and names
        # given to the tree would be evaluated, as would the file's aliases
        with ThreadPoolExecutor(self.threads) as pool:
            found = pool.map(lambda branch: branch.array(**window), branches.values())
            return dict(zip(branches, found, strict=True))

    def boundaries(self, names: Sequence[str]) -> Sequence[int]:
        """See `Table.boundaries`: where baskets of all columns begin together."""
        if self.is_ntuple:
            return ()
        branches = {self._where[name][0] for name in names}
        return self._tree.common_entry_offsets(filter_name=branches.__contains__, recursive=True)

    def entry_bytes(self, names: Sequence[str]) -> float:
        """See `Table.entry_bytes`."""
        if self.is_ntuple:
            return super().entry_bytes(names)
        branches = {self._where[name][0] for name in names}
        total = sum(float(self._branches[name].uncompressed_bytes) for name in branches)
        return total / max(self.entries, 1)

    def close(self) -> None:
        """Close the file."""
        self._tree.file.close()


def _leaf_branches(tree: Any) -> dict[str, Any]:
    """Name -> branch that holds values.

    Where a tree has two branches of one name, what is in the second is called `Name_2...`.
    """
    found: dict[str, Any] = {}
    times: dict[str, int] = {}
    for top in tree.branches:
        times[top.name] = again = times.get(top.name, 0) + 1
        for path, branch in _inner(top, top.name):
            name = path if branch.name in found else branch.name
            if again > 1:
                name = f"{top.name}_{again}{branch.name.removeprefix(top.name)}"
            found[name] = branch
    return {name: branch for name, branch in found.items() if not _counts_one(name, found)}


def _inner(branch: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The branches without members of their own, with their full paths."""
    if not len(branch.branches):
        yield path, branch
    for member in branch.branches:
        yield from _inner(member, f"{path}/{member.name}")


def _counts_one(name: str, branches: Mapping[str, Any]) -> bool:
    """Whether it is `nJet_pt`, which uproot writes beside a list `Jet_pt` to count it."""
    counted = branches.get(name[1:]) if re.match(r"n\w+[_.]", name) else None
    return counted is not None and counted.count_branch is branches[name]


def leaves_of(
    form: Any, depth: int = 0, shape: tuple[int, ...] = (), names: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Column]]:
    """Names within records, and the column, of each leaf of a form."""
    if form.parameter("__array__") in ("string", "bytestring"):
        yield names, Column("str", depth, shape)
    elif form.is_record:
        for name, content in zip(form.fields, form.contents, strict=True):
            yield from leaves_of(content, depth, shape, (*names, name))
    elif form.is_regular:
        yield from leaves_of(form.content, depth, (*shape, form.size), names)
    elif form.is_list:
        yield from leaves_of(form.content, depth + 1, shape, names)
    elif form.is_option or form.is_indexed:
        yield from leaves_of(form.content, depth, shape, names)
    elif form.is_numpy:
        yield names, Column(form.primitive, depth, (*shape, *form.inner_shape))


def _note(file: Any, name: str) -> dict[str, Any]:
    """What fivesigma noted about a tree when it wrote it."""
    key = f"{name}{NOTE}"
    if key not in file.keys(cycle=False):
        return {}
    try:
        found = json.loads(str(file[key]))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
