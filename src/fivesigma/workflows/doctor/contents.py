"""What else is in a file: its container, and trees beside the one that is read."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import uproot

from fivesigma.formats import CONTAINERS
from fivesigma.formats.content import container_of
from fivesigma.formats.remote import is_remote

__all__ = ["container", "other_trees"]

_TREES = ("TTree", "TNtuple", "TNtupleD", "ROOT::RNTuple")


def container(path: str) -> str:
    """The container of a local file; "folder" of a dataset, "" of an address."""
    if is_remote(path):
        return ""
    if Path(path).is_dir():
        return "folder"
    with Path(path).open("rb") as file:
        return container_of(path, file)


def other_trees(path: str, chosen: str) -> list[str]:
    """Names of the other trees and groups of a file; none for addresses.

    Args:
        path: the file.
        chosen: the tree that is read; "" where the file has none.
    """
    if not chosen or container(path) in ("", "folder"):
        return []
    with Path(path).open("rb") as file:
        if container(path) == "root":  # to open all of them as tables takes seconds
            with uproot.open(file) as root:
                kinds = root.classnames(recursive=True, cycle=False)
            names = [name for name, kind in kinds.items() if kind in _TREES]
        else:
            tables = import_module(CONTAINERS[container(path)]).open_tables(path, file)
            names = [table.name for table in tables]
    return [name for name in dict.fromkeys(names) if name != chosen]
