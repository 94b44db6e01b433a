"""Workspaces: pyhf's JSON read from files, folders and archives, patched, written.

A path may lead through a tar archive, as in `likelihoods.tar.gz/RegionA/BkgOnly.json`. Members are
read in memory; nothing is unpacked.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

import jsonpatch

from fivesigma.statistics.checks import check_workspace, closest
from fivesigma.statistics.combine import LEFT_OUT, read_card
from fivesigma.statistics.model import Model, build
from fivesigma.storage import write_json

__all__ = ["load", "patched", "read_patches", "read_workspace", "write_workspace"]

#: no workspace of an experiment comes near to this size [bytes]
_LARGEST = 1 << 30
_CARDS = (".txt", ".card")


def load(
    path: Path | str,
    *,
    patch: Path | str = "",
    measurement: str = "",
    poi: str = "",
    normsys_code: str = "",
    histosys_code: str = "4p",
) -> Model:
    """Read a workspace or a Combine card and compile it.

    Args:
        path: pyhf or cabinetry JSON, a Combine card (`.txt`), or a path through a tar archive.
        patch: as of `read_workspace`.
        measurement: name of a measurement; default: the first.
        poi: parameter of interest; default: that of the measurement.
        normsys_code: interpolation code "1", "4" or "combine"; default: 4, and Combine's for its
            cards.
        histosys_code: interpolation code "0", "2" or "4p".

    Raises:
        ValueError: no workspace there, or what is wrong with it.
    """
    card = _is_card(Path(path))
    model = build(
        read_workspace(path, patch=patch),
        measurement,
        poi,
        normsys_code=normsys_code or ("combine" if card else "4"),
        histosys_code=histosys_code,
    )
    kinds = {kind for each in model.parameters.kinds.values() for kind in each}
    return replace(model, note=LEFT_OUT) if card and "staterror" in kinds else model


def _is_card(path: Path) -> bool:
    return path.suffix in _CARDS and path.is_file()


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
    workspace = read_card(path) if _is_card(path) else _parsed(path)
    check_workspace(workspace)
    if not str(patch):
        return workspace
    return patched(workspace, _read_patch(path, str(patch)))


def read_patches(path: Path | str, patterns: Sequence[str]) -> dict[str, list[dict[str, Any]]]:
    """JSON patches beside a workspace, those whose names fit; an archive is read once.

    Args:
        path: the workspace, of which only the place matters; also through a tar archive.
        patterns: file names with `*` and `?`, e.g. "patch.sbottom_1300_*_60.json", or
            `patchset.json:name` of a pyhf patch set, the same in its name.

    Returns:
        Name without "patch." and ".json" -> operations, for `patched`, in the order of the
        numbers in the names.

    Raises:
        ValueError: a pattern that fits none, or a file that is no JSON patch.
    """
    path = Path(path)
    found: dict[str, list[dict[str, Any]]] = {}
    files = [each for each in patterns if ":" not in each]
    for name, text in _texts(path, files).items():
        content = _decoded(text, path.parent / name)
        if not isinstance(content, list):
            message = (
                f"{path.parent / name} is no JSON patch, a list; of a patch set give {name}:*"
            )
            raise ValueError(message)
        found[name.removesuffix(".json").removeprefix("patch.")] = content
    for each in sorted(set(patterns) - set(files)):
        name, _, entry = each.partition(":")
        known = _patches_in(_parsed(_beside(path, name)), name)
        fitting = [one for one in known if fnmatchcase(one, entry)]
        if not fitting:
            raise ValueError(f"{name}: {closest('patch', entry, list(known))}")
        found |= {one: known[one] for one in fitting}
    return {name: found[name] for name in sorted(found, key=_by_numbers)}


def _by_numbers(name: str) -> list[tuple[int, str]]:
    return [(int(each), "") if each.isdigit() else (0, each) for each in re.split(r"(\d+)", name)]


def _texts(path: Path, patterns: Sequence[str]) -> dict[str, bytes]:
    """The files beside a workspace whose names fit one of the patterns."""
    inside = _archive(path)
    if not inside:
        names = _fitting((each.name for each in path.parent.glob("*.json")), patterns, path.parent)
        return {name: (path.parent / name).read_bytes() for name in names}
    archive, folder = inside[0], PurePosixPath(inside[1]).parent
    with tarfile.open(archive) as tar:
        places = {member: PurePosixPath(member.name) for member in tar.getmembers()}
        members = {place.name: each for each, place in places.items() if place.parent == folder}
        names = _fitting(members, patterns, archive / folder)
        return {name: _content(tar, members[name], archive) for name in names}


def _fitting(names: Iterable[str], patterns: Sequence[str], place: Path) -> list[str]:
    known = list(names)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise ValueError(f"{place}: {closest('patch', pattern, known)}")
    return [name for name in known if any(fnmatchcase(name, each) for each in patterns)]


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
    content = _parsed(_beside(workspace, name))
    if isinstance(content, list):
        return content
    patches = _patches_in(content, name)
    if entry in patches:
        return patches[entry]
    raise ValueError(f"{name}: {closest('patch', entry, list(patches))}; give {name}:NAME")


def _patches_in(content: Any, name: str) -> dict[str, list[dict[str, Any]]]:
    """Name -> operations of a pyhf patch set."""
    patches = content.get("patches", ()) if isinstance(content, dict) else ()
    if not patches:
        message = f"{name} is neither a JSON patch (a list) nor a pyhf patch set"
        raise ValueError(message)
    return {each["metadata"]["name"]: each["patch"] for each in patches}


def _beside(workspace: Path, name: str) -> Path:
    beside = workspace.parent / name
    return beside if _exists(beside) else Path(name)


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
    return _decoded(text, path)


def _decoded(text: bytes, path: Path) -> Any:
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
        return _content(tar, members[name], archive)


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo, archive: Path) -> bytes:
    parts = PurePosixPath(member.name)
    if not member.isfile() or parts.is_absolute() or ".." in parts.parts:
        message = f"{archive}: {member.name} is no plain file inside the archive; it is not read"
        raise ValueError(message)
    if member.size > _LARGEST:
        message = (
            f"{archive}: {member.name} has {member.size} bytes, more than a workspace can have"
        )
        raise ValueError(message)
    file = tar.extractfile(member)
    return file.read() if file else b""
