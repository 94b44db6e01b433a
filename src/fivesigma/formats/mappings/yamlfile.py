"""YAML that users write: plain keys and values, of limited size."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

__all__ = ["read_yaml"]

_MOST_BYTES, _DEEPEST, _LONGEST = 1_000_000, 20, 2000
_BEGIN = (
    *(yaml.FlowSequenceStartToken, yaml.FlowMappingStartToken),
    *(yaml.BlockSequenceStartToken, yaml.BlockMappingStartToken),
)
_END = (yaml.FlowSequenceEndToken, yaml.FlowMappingEndToken, yaml.BlockEndToken)


def read_yaml(path: str) -> dict[str, Any]:
    """A YAML file with keys and values.

    Anchors are refused: a few lines of them may stand for more than memory holds.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no YAML, too large, or not keys and values.
    """
    if not Path(path).is_file():
        beside = [each.name for each in Path(path).parent.glob("*.y*ml")]
        near = get_close_matches(Path(path).name, beside, 1)
        hint = f"; did you mean {Path(path).parent / near[0]}?" if near else ""
        message = f"no file {path}{hint}"
        raise FileNotFoundError(message)
    with Path(path).open("rb") as file:
        data = file.read(_MOST_BYTES + 1)
    if len(data) > _MOST_BYTES:
        message = f"more than {_MOST_BYTES} bytes; expected a few lines of YAML"
        raise ValueError(message)
    try:
        text = data.decode("utf-8-sig")
        _check(text)
        content = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        message = f"no YAML: {' '.join(str(error).split())}"
        raise ValueError(message) from None
    if not isinstance(content, dict):
        message = f"expected keys and values, got {type(content).__name__}"
        raise ValueError(message)
    return content


def _check(text: str) -> None:
    """Refuse what takes more time or memory than it has bytes."""
    depth = 0
    for token in yaml.scan(text, Loader=yaml.SafeLoader):
        where = f"line {token.start_mark.line + 1}"
        if isinstance(token, yaml.AliasToken):
            message = f"{where}: an alias (*name); write it out"
            raise ValueError(message)
        # numbers take a time that is quadratic in their digits
        if isinstance(token, yaml.ScalarToken) and len(token.value) > _LONGEST:
            message = f"{where}: a value of {len(token.value)} characters; expected a name"
            raise ValueError(message)
        depth += isinstance(token, _BEGIN) - isinstance(token, _END)
        if depth > _DEEPEST:
            message = f"{where}: nested in more than {_DEEPEST} levels"
            raise ValueError(message)
