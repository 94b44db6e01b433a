"""What a dataset says of itself: `settings.json` at the beginning, `manifest.json` at the end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fivesigma.shards import Record, collections_of
from fivesigma.storage import canonical, read_json

__all__ = [
    "MANIFEST",
    "SCHEMA",
    "SETTINGS",
    "header",
    "is_dataset",
    "manifest",
    "read_header",
    "require_same",
]

#: version of the layout of a dataset's folder
SCHEMA = 2
MANIFEST = "manifest.json"
SETTINGS = "settings.json"
_FORMAT = "fivesigma dataset"


def header(
    kind: str,
    settings: Mapping[str, Any],
    shards: int,
    classes: Sequence[str] | None = None,
    derived_from: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The content of `settings.json`: all that decides what the shards hold, and its hash.

    Classes and the hash of the dataset that this one is derived from count as settings.

    Raises:
        ValueError: no shards asked for, or settings that have no JSON form.
    """
    if shards < 1:
        message = f"shards: got {shards}, expected 1 or more"
        raise ValueError(message)
    full = dict(settings)
    if classes is not None:
        full["classes"] = list(classes)
    if derived_from is not None:
        full["derived_from"] = derived_from["settings_hash"]
    text = canonical(full)
    return {
        "format": _FORMAT,
        "schema": SCHEMA,
        "kind": kind,
        "settings_hash": hashlib.sha256(text.encode()).hexdigest(),
        "settings": json.loads(text),
        "classes": list(full.get("classes", ())),
        "derived_from": derived_from,
        "shards": shards,
    }


def manifest(head: Mapping[str, Any], shards: Sequence[Record]) -> dict[str, Any]:
    """The content of `manifest.json`: the header, totals over the shards, and the shards."""
    infos = [shard["info"] for shard in shards]
    counts = [collections_of(shard) for shard in shards]
    collections = dict.fromkeys(name for count in counts for name in count)
    return {
        **{key: value for key, value in head.items() if key != "shards"},
        "versions": _versions(infos),
        "processes": _processes(infos),
        "counts": {name: sum(count.get(name, 0) for count in counts) for name in collections},
        "shards": list(shards),
    }


def _versions(infos: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Package -> version, or several where a dataset was resumed with another one."""
    found: dict[str, dict[str, None]] = {}
    for info in infos:
        for package, version in info.get("versions", {}).items():
            found.setdefault(package, {})[str(version)] = None
    return {package: ", ".join(versions) for package, versions in found.items()}


def _processes(infos: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Process -> totals, and its cross-section with error, over the shards that name one."""
    by_process: dict[str, list[Mapping[str, Any]]] = {}
    for info in infos:
        if "process" in info:
            by_process.setdefault(info["process"], []).append(info)
    return {name: _process(group) for name, group in by_process.items()}


def _process(infos: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Mean cross-section over independent shards, weighted by their numbers of events.

    The shards' own errors do not enter the weights: they rise and fall with the estimate itself,
    which would pull the mean down.
    """
    events = np.array([info.get("n_generated", 0) for info in infos])
    weights = events / events.sum() if events.any() else np.full(len(infos), 1 / len(infos))
    total: dict[str, float] = {
        "shards": len(infos),
        "n_generated": int(events.sum()),
        "sum_of_weights": float(sum(info.get("sum_of_weights", 0.0) for info in infos)),
    }
    if all("cross_section_pb" in info for info in infos):
        values = np.array([info["cross_section_pb"] for info in infos])
        errors = np.array([info.get("cross_section_error_pb", 0.0) for info in infos])
        total["cross_section_pb"] = float(weights @ values)
        total["cross_section_error_pb"] = float(np.sqrt(np.sum((weights * errors) ** 2)))
    return total


def is_dataset(folder: Path) -> bool:
    """Whether a folder holds a dataset, complete or not, of any schema version."""
    try:
        return any(
            read_json(path).get("format") == _FORMAT
            for name in (SETTINGS, MANIFEST)
            if (path := folder / name).is_file()
        )
    except ValueError:
        return False


def read_header(path: Path) -> dict[str, Any]:
    """Read `settings.json` or `manifest.json`.

    Raises:
        ValueError: damaged, not a dataset's, or of another schema version.
    """
    content = read_json(path)
    if content.get("format") != _FORMAT:
        message = f"{path}: not a dataset's file; choose the folder of a dataset"
        raise ValueError(message)
    if content.get("schema") != SCHEMA:
        message = (
            f"{path}: schema version {content.get('schema')}, expected {SCHEMA}; make the dataset "
            "anew (--overwrite), or read it with the version of fivesigma that wrote it"
        )
        raise ValueError(message)
    return content


def require_same(folder: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Check that a folder may be continued with new settings.

    Raises:
        ValueError: another kind, other settings (named, with both values), or fewer shards.
    """
    before, now = ({"kind": head["kind"], **dict(_flat(head["settings"]))} for head in (old, new))
    differ = [
        f"{key}: {json.dumps(before.get(key))} there, {json.dumps(now.get(key))} asked for"
        for key in {**before, **now}
        if before.get(key) != now.get(key)
    ]
    there = old["shards"] if isinstance(old["shards"], int) else len(old["shards"])
    if there > new["shards"]:
        differ.append(f"shards: {there} there, {new['shards']} asked for")
    if differ:
        message = (
            f"{folder} was made with other settings ({'; '.join(differ)}); "
            "choose another folder, or replace it with --overwrite"
        )
        raise ValueError(message)


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
