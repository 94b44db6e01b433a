"""Workspaces: pyhf's JSON read from files, folders and archives, patched, written.

A path may lead through a tar archive, as in `likelihoods.tar.gz/RegionA/BkgOnly.json`. Members are
read in memory; nothing is unpacked.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import jsonpatch

from fivesigma.statistics.checks import check_workspace, closest
from fivesigma.statistics.combine import read_card
from fivesigma.statistics.model import Model, build
from fivesigma.storage import write_json

__all__ = ["load", "patched", "read_workspace", "write_workspace"]

#: no workspace of an experiment comes near to this size [bytes]
_LARGEST = 1 << 30
_CARDS = (".txt", ".card")


def load(
    path: Path | str,
    *,
    patch: Path | str = "",
    measurement: str = "",
    poi: str = "",
    normsys_code: str = "4",
    histosys_code: str = "4p",
) -> Model:
    """Read a workspace or a Combine card and compile it.

    Args:
        path: pyhf or cabinetry JSON, a Combine card (`.txt`), or a path through a tar archive.
        patch: as of `read_workspace`.
        measurement: name of a measurement; default: the first.
        poi: parameter of interest; default: that of the measurement.
        normsys_code: interpolation code "1" or "4".
        histosys_code: interpolation code "0", "2" or "4p".

    Raises:
        ValueError: no workspace there, or what is wrong with it.
    """
    return build(
        read_workspace(path, patch=patch),
        measurement,
        poi,
        normsys_code=normsys_code,
        histosys_code=histosys_code,
    )


def read_workspace(path: Path | str, *, patch: Path | str = "") -> dict[str, Any]:
    """Read a workspace as pyhf's JSON.

    Args:
        path: pyhf or cabinetry JSON, a Combine card (`.txt`), or a path through a tar archive.
        patch: a JSON patch (RFC 6902), or `patchset.json:name` for one of a pyhf patch set; looked
            for beside the workspace, then from where one is. Also through an archive.

    Raises:
        ValueError: no such file or patch, a patch that does not fit, or faults of the workspace.
    """
    path = Path(path)
    workspace = read_card(path) if path.suffix in _CARDS and path.is_file() else _parsed(path)
    check_workspace(workspace)
    if not str(patch):
        return workspace
    return patched(workspace, _read_patch(path, str(patch)))


def patched(workspace: Mapping[str, Any], operations: list[dict[str, Any]]) -> dict[str, Any]:
    """The workspace after a JSON patch; data of regions that it removes are left out.

    Raises:
        ValueError: the patch does not fit this workspace.
    """
    try:
        made = jsonpatch.JsonPatch(operations).apply(dict(workspace))
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException, TypeError) as error:
        message = f"the patch does not fit this workspace: {error}; is it of another region?"
        raise ValueError(message) from None
    removed = {c["name"] for c in workspace["channels"]} - {c["name"] for c in made["channels"]}
    made["observations"] = [each for each in made["observations"] if each["name"] not in removed]
    check_workspace(made)
    return made


def write_workspace(path: Path, workspace: Mapping[str, Any]) -> None:
    """Write a workspace as JSON that pyhf reads, whole or not at all.

    Raises:
        ValueError: faults of the workspace.
    """
    check_workspace(workspace)
    write_json(Path(path), {"version": "1.0.0", **workspace})


def _read_patch(workspace: Path, patch: str) -> list[dict[str, Any]]:
    name, _, entry = patch.partition(":")
    beside = workspace.parent / name
    content = _parsed(beside if _exists(beside) else Path(name))
    if isinstance(content, list):
        return content
    patches = {each["metadata"]["name"]: each["patch"] for each in content.get("patches", ())}
    if entry in patches:
        return patches[entry]
    if not patches:
        message = f"{name} is neither a JSON patch (a list) nor a pyhf patch set"
        raise ValueError(message)
    raise ValueError(f"{name}: {closest('patch', entry, list(patches))}; give {name}:NAME")


def _exists(path: Path) -> bool:
    return path.is_file() or _archive(path) is not None


def _archive(path: Path) -> tuple[Path, str] | None:
    """The archive that a path leads through, and the rest of the path."""
    for parent in path.parents:
        if parent.is_file() and tarfile.is_tarfile(parent):
            return parent, path.relative_to(parent).as_posix()
    return None


def _parsed(path: Path) -> Any:
    """The JSON of a file or of a member of an archive."""
    inside = _archive(path)
    if inside:
        text = _member(*inside)
    elif path.is_file():
        text = path.read_bytes()
    else:
        near = sorted(each.name for each in path.parent.glob("*")) if path.parent.is_dir() else []
        raise ValueError(f"{path}: {closest('file', path.name, near)}")
    try:
        return json.loads(text)
    except ValueError as error:
        message = f"{path} is no JSON ({error}); give a workspace of pyhf or cabinetry"
        raise ValueError(message) from None


def _member(archive: Path, name: str) -> bytes:
    """One plain file of an archive; links and names that lead out of it are refused."""
    with tarfile.open(archive) as tar:
        members = {str(PurePosixPath(member.name)): member for member in tar.getmembers()}
        if name not in members:
            known = [each for each, member in members.items() if member.isfile()]
            raise ValueError(f"{archive}: {closest('file', name, known)}")
        member = members[name]
        parts = PurePosixPath(member.name)
        if not member.isfile() or parts.is_absolute() or ".." in parts.parts:
            message = f"{archive}: {name} is no plain file inside the archive; it is not read"
            raise ValueError(message)
        if member.size > _LARGEST:
            message = f"{archive}: {name} has {member.size} bytes, more than a workspace can have"
            raise ValueError(message)
        file = tar.extractfile(member)
        return file.read() if file else b""
