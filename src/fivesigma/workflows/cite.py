"""`fivesigma cite`: the works that something was made with."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from fivesigma.references import ALWAYS, DATA, MARKS, USES, Reference, named_in, references

__all__ = ["cite"]

#: files that tell what a folder holds; settings that were only defaults stand in config.yaml alone
_TELLING = ("model.yaml", "manifest.json", "analysis.yaml", "workspace.json", "report.html")
_DEPTH = 3
#: keys whose values may be folders of what something was made from
_ORIGINS = ("dataset", "data", "taggers", "teacher", "run")
_CITED = re.compile(r'id="cite-([\w-]+)"')


def cite(paths: Sequence[Path], *, bibtex: bool = False) -> list[Reference]:
    """Tell what to cite for runs, datasets, analyses, reports, workspaces or configurations.

    Generators, detectors, jets, networks, optimisers, statistical methods and published data are
    found in the settings that stand beside the results, and in those of what they were made from.
    Identifiers in configurations and reports, such as arXiv:1902.09914, are taken up as well.

    Examples:
        fivesigma cite runs/demo
        fivesigma cite configs/cms-higgs-4l.yaml --bibtex > references.bib

    Args:
        paths: folders or files.
        bibtex: print entries for BibTeX instead of text.

    Returns:
        The works, each once.

    Raises:
        ValueError: a path that is not there, or that tells nothing.
    """
    if not paths:
        message = "nothing to cite; name a run, a dataset, an analysis, a report or a YAML file"
        raise ValueError(message)
    found = {key: references()[key] for key in ALWAYS}
    seen: set[Path] = set()
    for path in paths:
        found |= {each.key: each for each in _of(Path(path), seen)}
    return list(found.values())


def _of(path: Path, seen: set[Path]) -> Iterator[Reference]:
    """What one path was made with, and what it was made from.

    Raises:
        ValueError: it is not there, or tells nothing.
    """
    told = _telling(path)
    if not told:
        message = (
            f"{path} {'tells' if path.exists() else 'is not there, so it tells'} nothing to cite; "
            "name a run, a dataset, an analysis, a report, a workspace or a YAML file"
        )
        raise ValueError(message)
    for file in told:
        if file.resolve() in seen:
            continue
        seen.add(file.resolve())
        text = file.read_text(encoding="utf-8")
        yield from named_in(text)
        yield from (references()[key] for key in _CITED.findall(text) if key in references())
        settings = _settings(file, text)
        yield from _of_settings(settings, seen)
        if isinstance(settings, Mapping) and (base := settings.get("base")):
            yield from _of(file.parent / str(base), seen)


def _telling(path: Path) -> list[Path]:
    """Files that tell what a path holds."""
    if path.is_file():
        return [path]
    levels = ["*/" * depth for depth in range(_DEPTH)]
    found = [each for level in levels for name in _TELLING for each in path.glob(level + name)]
    found += [each for level in levels for each in path.glob(f"{level}workspaces/*.json")]
    found += [
        each
        for level in levels
        for each in path.glob(f"{level}config.yaml")
        if not (each.parent / "model.yaml").exists()
    ]
    return sorted(found)


def _settings(file: Path, text: str) -> Any:
    """What a file of YAML or JSON holds; nothing of others.

    Raises:
        ValueError: it cannot be read.
    """
    try:
        if file.suffix == ".json":
            return json.loads(text)
        return yaml.safe_load(text) if file.suffix in (".yaml", ".yml") else None
    except (ValueError, yaml.YAMLError) as error:
        message = f"{file} cannot be read: {' '.join(str(error).split())}"
        raise ValueError(message) from None


def _of_settings(content: Any, seen: set[Path], key: str = "") -> Iterator[Reference]:
    """What settings stand on, wherever it is said in them."""
    if isinstance(content, Mapping):
        for name, value in content.items():
            yield from _of_settings(value, seen, str(name))
    elif isinstance(content, list):
        for value in content:
            yield from _of_settings(value, seen, key)
    if content and key in MARKS:
        yield from (references()[each] for each in MARKS[key])
    if isinstance(content, str):
        yield from _of_value(key, content, seen)


def _of_value(key: str, value: str, seen: set[Path]) -> Iterator[Reference]:
    keys = [each for part, works in DATA.items() if part in value for each in works]
    yield from (references()[each] for each in (*USES.get(key, {}).get(value, ()), *keys))
    if key == "recipe":
        yield from _of_recipe(value, seen)
    if key in _ORIGINS and Path(value).is_dir() and _telling(Path(value)):
        yield from _of(Path(value), seen)


def _of_recipe(name: str, seen: set[Path]) -> Iterator[Reference]:
    # imported here: PYTHIA comes with it, and most of what is cited has no recipe
    from fivesigma.workflows.recipes import RECIPES

    if name in RECIPES:
        yield from _of_settings(asdict(RECIPES[name]), seen)
        yield from named_in(RECIPES[name].reference)
