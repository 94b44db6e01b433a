"""The data configuration of weaver: which columns it reads, and how it scales them.

Its expressions (`selection`, `new_variables`, labels of type "custom") are kept as text; nothing
in it is evaluated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from fivesigma.formats.fourvectors import object_fields
from fivesigma.formats.layout import Field, Group, Layout, Lists
from fivesigma.formats.layouts.jetclass import one_hot
from fivesigma.formats.mappings.yamlfile import read_yaml
from fivesigma.formats.tables import Table, missing_columns

__all__ = ["WeaverConfig", "WeaverInput", "is_weaver", "read_weaver", "weaver_layout"]

_KEYS = {"inputs", "labels", "treename", "selection", "new_variables"}


class WeaverInput(NamedTuple):
    """One input of a network: (name - subtract) * multiply, clipped; `pad` where nothing is.

    `subtract` None: taken as it is, or scaled by what weaver finds in the data.
    """

    name: str
    subtract: float | None = None
    multiply: float = 1.0
    clip_min: float = -5.0
    clip_max: float = 5.0
    pad: float = 0.0


@dataclass(frozen=True)
class WeaverConfig:
    """What a data configuration says.

    Attributes:
        treename: the tree, None: the only one.
        inputs: group, e.g. "pf_features" -> its inputs in order.
        labels: one-hot columns, one a class.
        observers: columns that are kept beside the inputs.
        weights: columns that are, or tell, the weight of a jet.
        expressions: "selection" and new variables -> their text.
    """

    treename: str | None
    inputs: Mapping[str, tuple[WeaverInput, ...]]
    labels: tuple[str, ...]
    observers: tuple[str, ...]
    weights: tuple[str, ...]
    expressions: Mapping[str, str]

    def columns(self) -> list[str]:
        """The columns that a file must have: all names that no expression makes."""
        inputs = [each.name for group in self.inputs.values() for each in group]
        names = dict.fromkeys([*inputs, *self.labels, *self.observers, *self.weights])
        return [name for name in names if name not in self.expressions]


def is_weaver(content: Mapping[str, Any]) -> bool:
    """Whether the keys are those of weaver."""
    return "inputs" in content and len(_KEYS & content.keys()) > 1


def read_weaver(path: str) -> WeaverConfig:
    """Read a data configuration of weaver.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no YAML, or not as weaver wants it.
    """
    content = read_yaml(path)
    if not is_weaver(content):
        message = f"no data configuration of weaver: it has {', '.join(map(str, content))}"
        raise ValueError(message)
    expressions = _expressions(_mapping(content, "new_variables"))
    for key in ("selection", "test_time_selection"):
        expressions |= {key: str(content[key])} if content.get(key) else {}
    labels = _mapping(content, "labels")
    names: tuple[str, ...] = ()
    if labels.get("type") == "simple":
        names = _names(labels.get("value"), "labels: value")
    elif isinstance(labels.get("value"), dict):
        expressions |= _expressions(labels["value"])
    tree = content.get("treename")
    return WeaverConfig(
        None if tree is None else str(tree),
        {name: _inputs(name, each) for name, each in _mapping(content, "inputs").items()},
        names,
        _names(content.get("observers"), "observers"),
        _weights(_mapping(content, "weights")),
        expressions,
    )


def _mapping(content: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = content.get(key) or {}
    if not isinstance(found, dict):
        message = f"{key}: expected keys and values, got {type(found).__name__}"
        raise ValueError(message)
    return {str(name): each for name, each in found.items()}


def _expressions(found: Mapping[str, Any]) -> dict[str, str]:
    return {str(name): str(text) for name, text in found.items()}


def _names(found: Any, key: str) -> tuple[str, ...]:
    if not isinstance(found or [], list) or not all(isinstance(n, str) for n in found or []):
        message = f"{key}: expected a list of names of columns, got {found!r}"
        raise ValueError(message)
    return tuple(found or [])


def _weights(content: Mapping[str, Any]) -> tuple[str, ...]:
    """Columns of weights; those that weaver would make flat are no weights yet."""
    return _names(content.get("weight_branches"), "weights: weight_branches")


def _inputs(group: str, content: Any) -> tuple[WeaverInput, ...]:
    found = content.get("vars") if isinstance(content, dict) else None
    if not isinstance(found, list):
        message = f"inputs: {group}: expected a list `vars`"
        raise ValueError(message)
    return tuple(_input(group, each) for each in found)


def _input(group: str, given: Any) -> WeaverInput:
    """Of a name, or of [name, subtract_by, multiply_by, clip_min, clip_max, pad_value]."""
    name, *numbers = given if isinstance(given, list) and given else [given]
    numeric = all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers[1:])
    first = numbers[0] if numbers else None
    plain = first is None or (isinstance(first, int | float) and not isinstance(first, bool))
    if not isinstance(name, str) or len(numbers) > 5 or not numeric or not plain:
        message = (
            f"inputs: {group}: {given!r}; expected a name or "
            "[name, subtract_by, multiply_by, clip_min, clip_max, pad_value]"
        )
        raise ValueError(message)
    return WeaverInput(name, first if first is None else float(first), *map(float, numbers[1:]))


def weaver_layout(table: Table, config: WeaverConfig) -> Layout:
    """Jets with the columns that a configuration names; momenta from whatever there is of them.

    Raises:
        ValueError: columns that the file lacks and no expression makes.
    """
    names = config.columns()
    absent = [name for name in names if name not in table.columns]
    if absent:
        raise missing_columns(table.path, absent, table.columns)
    single = [n for n in names if table.columns[n].depth == 0 and n not in config.labels]
    lists = [n for n in names if table.columns[n].depth > 0]
    fields: dict[str, Field | Group] = dict(object_fields(_short(single)))
    if config.labels:
        fields["label"] = one_hot(config.labels)
    if lists:
        fields["constituents"] = Group(dict(object_fields(_short(lists))), Lists())
    notes = [f"not applied: {name}: {text}" for name, text in config.expressions.items()]
    classes = tuple(name.removeprefix("label_") for name in config.labels)
    return Layout("weaver", "jets", {"jets": Group(fields)}, classes=classes, notes=tuple(notes))


def _short(columns: Sequence[str]) -> dict[str, str]:
    """Name without the beginning that most share, `part_` or `jet_` -> column."""
    beginnings = Counter(name.split("_", 1)[0] + "_" for name in columns if "_" in name)
    ((most, count),) = beginnings.most_common(1) or [("", 0)]
    shorts = {name: name.removeprefix(most) if count > 1 else name for name in columns}
    counts = Counter(shorts.values())
    return {short if counts[short] == 1 else name: name for name, short in shorts.items()}
