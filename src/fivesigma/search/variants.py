"""Variants of a description: a YAML that says how it differs from another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fivesigma.formats.mappings.yamlfile import read_yaml

__all__ = ["read_variant"]


def read_variant(path: Path, variants: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The content of a YAML, put over that of its `base`, a path from where it is itself.

    Keys with keys below are merged, all else replaces what the base has; null removes it.

    Args:
        path: of the YAML.
        variants: that led here.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no YAML, or files that are each other's base.
    """
    if not path.is_file():
        message = f"no file {path}; `configs/cms-higgs-4l.yaml` shows what an analysis looks like"
        raise FileNotFoundError(message)
    if path.resolve() in variants:
        message = f"{path}: base: it is a variant of itself; one file must have no base"
        raise ValueError(message)
    try:
        content = read_yaml(str(path))
    except ValueError as error:
        message = f"{path}: {error}"
        raise ValueError(message) from None
    if "base" not in content:
        return content
    base = content.pop("base")
    if not isinstance(base, str):
        message = f"{path}: base: got {base!r}, expected the path of another YAML"
        raise ValueError(message)
    return _merged(read_variant(path.parent / base, (*variants, path.resolve())), content)


def _merged(base: Any, over: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    rest = {name: each for name, each in base.items() if name not in over}
    new = {name: _merged(base.get(name), each) for name, each in over.items() if each is not None}
    return {name: (rest | new)[name] for name in (*base, *over) if name in rest | new}
