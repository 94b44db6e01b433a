"""The folder of a run: what lies in it, how it is begun, compared and written.

    config.yaml           the settings that made it, as they were given
    model.yaml            architecture, inputs and scaling, classes, units, provenance, summary
    weights.safetensors   the network of the best epoch (trees: weights.txt, LightGBM's format)
    metrics.jsonl         one line per epoch
    checkpoints/last.pt   to go on from after an interruption
    members/0, 1, ...     runs of an ensemble, which has no weights of its own

Every file is written as a whole or not at all.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from safetensors.torch import save

from fivesigma.inputs import Inputs
from fivesigma.storage import locked, remove_temporaries, write_file

__all__ = [
    "CHECKPOINT",
    "METRICS",
    "MODEL",
    "NETWORK_WEIGHTS",
    "SCHEMA",
    "TREE_WEIGHTS",
    "describe",
    "discard",
    "finished",
    "member_folders",
    "member_kind",
    "open_folder",
    "read_model_yaml",
    "write_history",
    "write_weights",
    "write_yaml",
    "writing",
]

SCHEMA = 1
KINDS = ("network", "trees", "ensemble")
MODEL, CONFIG = "model.yaml", "config.yaml"
METRICS, CHECKPOINT = "metrics.jsonl", "checkpoints/last.pt"
NETWORK_WEIGHTS, TREE_WEIGHTS = "weights.safetensors", "weights.txt"
_WEIGHTS = {"network": NETWORK_WEIGHTS, "trees": TREE_WEIGHTS}
#: what a run leaves behind, and what `overwrite` removes; model.yaml, which tells a run, goes last
PARTS = (
    *("results.json", "report.html"),
    *(CONFIG, METRICS, CHECKPOINT, NETWORK_WEIGHTS, TREE_WEIGHTS, MODEL),
)
UNITS = {"momentum": "GeV", "mass": "GeV", "angle": "rad", "length": "mm"}
#: options that change speed and bookkeeping, and the result no more than by rounding and the draws
#: of dropout: an interrupted training may go on with others
FREE = (
    *("device", "threads", "compile", "tensorboard"),
    *("checkpoint_every_epochs", "checkpoint_every_seconds"),
)


def read_model_yaml(folder: Path) -> dict[str, Any]:
    """What `model.yaml` says.

    Raises:
        ValueError: no run in this folder, a damaged file, or an unknown schema.
    """
    path = folder / MODEL
    if not path.is_file():
        what = "holds no model.yaml, so is no run" if folder.is_dir() else "does not exist"
        command = f"fivesigma train {folder} --data DATASET --model pfn"
        message = f"{folder} {what}; make one with: {command}"
        raise ValueError(message)
    try:
        form = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        message = f"{path} is damaged: {str(error).splitlines()[0]}"
        raise ValueError(message) from None
    schema = form.get("schema") if isinstance(form, dict) else None
    if schema != SCHEMA:
        message = (
            f"{path} has schema {schema!r}, this fivesigma reads {SCHEMA}; "
            "train the model again, or install the version that wrote it"
        )
        raise ValueError(message)
    needed = ("kind", "model", "options", "inputs", "classes", "settings", "summary")
    missing = [key for key in needed if key not in form]
    if missing or form["kind"] not in KINDS or not isinstance(form["model"], str):
        message = (
            f"{path} is damaged: kind {form.get('kind')!r} (known: {', '.join(KINDS)}), "
            f"missing keys: {', '.join(missing) or 'none'}"
        )
        raise ValueError(message)
    return form


def describe(
    kind: str,
    model: str,
    model_options: Mapping[str, Any],
    inputs: Inputs,
    classes: Sequence[str],
    settings: Mapping[str, Any],
    provenance: Mapping[str, Any],
    packages: Sequence[str] = ("torch", "safetensors"),
) -> dict[str, Any]:
    """The content of `model.yaml`, in plain types; `settings` are what made the weights."""
    versions = {name: version(name) for name in ("fivesigma", "numpy", "awkward", *packages)}
    form = {
        "schema": SCHEMA,
        "kind": kind,
        "model": model,
        "options": dict(model_options),
        "inputs": inputs.to_dict(),
        "classes": list(classes),
        "units": UNITS,
        "settings": dict(settings),
        "provenance": {"python": platform.python_version()} | versions | dict(provenance),
        "summary": {},
    }
    return _plain(form)


def _plain(form: Any) -> Any:
    """The same in types that YAML and JSON know."""

    def plain(value: Any) -> Any:
        return value.item() if isinstance(value, np.generic) else str(value)

    return json.loads(json.dumps(form, default=plain))


@contextmanager
def writing(out: Path) -> Iterator[None]:
    """One process at a time writes into the folder of a run.

    Raises:
        ValueError: the path is a file, or another process is at it.
    """
    if out.exists() and not out.is_dir():
        message = f"{out} is a file; choose another folder for the run"
        raise ValueError(message)
    with locked(out):
        remove_temporaries(out)
        yield


def open_folder(
    out: Path, form: Mapping[str, Any], config: Mapping[str, Any] | None, overwrite: bool
) -> dict[str, Any]:
    """Make the folder of a run, or check that the run begun there has the same settings.

    Args:
        out: the folder.
        form: from `describe`.
        config: the caller's complete settings, for `config.yaml`.
        overwrite: discard what is there.

    Returns:
        What `model.yaml` says now.

    Raises:
        ValueError: the folder holds something else, or a run with other settings.
    """
    found = [name for name in PARTS if (out / name).exists()]
    if found and MODEL not in found:
        message = f"{out} has {', '.join(found)} but is no run; choose another folder"
        raise ValueError(message)
    if found and not overwrite:
        before = read_model_yaml(out)
        _same_settings(out, before, form)
        return before
    discard(out)
    write_yaml(out / MODEL, form)
    write_yaml(out / CONFIG, _plain(config or {}))
    return dict(form)


def discard(out: Path) -> None:
    """Remove the run in a folder, if there is one, and leave all else."""
    if (out / MODEL).exists():
        for name in PARTS:
            (out / name).unlink(missing_ok=True)


def finished(out: Path, form: Mapping[str, Any]) -> bool:
    """Whether the run is complete, given what its `model.yaml` says."""
    if form["kind"] == "ensemble":
        weights = _WEIGHTS[member_kind(form)]
        whole = all((each / weights).is_file() for each in member_folders(out, form))
    else:
        whole = (out / _WEIGHTS[form["kind"]]).is_file()
    return bool(form["summary"].get("finished")) and whole


def member_folders(out: Path, form: Mapping[str, Any]) -> list[Path]:
    """Folders of an ensemble's runs, given what its `model.yaml` says.

    Raises:
        ValueError: it does not say how many there are.
    """
    if not isinstance(form["settings"].get("members"), int):
        message = f"{out / MODEL} is damaged: it does not say how many members there are"
        raise ValueError(message)
    return [out / "members" / str(number) for number in range(form["settings"]["members"])]


def member_kind(form: Mapping[str, Any]) -> str:
    """The kind of an ensemble's runs, given what its `model.yaml` says."""
    return "trees" if form["model"] == "trees" else "network"


def _same_settings(out: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    keys = ("kind", "model", "options", "inputs", "classes", "settings")
    old, new = ({k: _flat(form[k], k) for k in keys} for form in (before, now))
    differing = [
        f"{key.removeprefix('settings.')}: {old[k].get(key)} there, {new[k].get(key)} now"
        for k in keys
        for key in old[k] | new[k]
        if old[k].get(key) != new[k].get(key) and key.split(".")[-1] not in FREE
    ]
    if differing:
        message = (
            f"{out} holds a run with other settings ({'; '.join(differing)}); "
            "choose another folder, or --overwrite to discard it"
        )
        raise ValueError(message)


def _flat(form: Any, prefix: str) -> dict[str, Any]:
    """Nested settings as one level, `settings.epochs: 20`."""
    if not isinstance(form, Mapping):
        return {prefix: form}
    return {k: v for key in form for k, v in _flat(form[key], f"{prefix}.{key}").items()}


def write_yaml(path: Path, form: Mapping[str, Any]) -> None:
    """Write plain types as YAML, in the order given."""
    write_file(path, yaml.safe_dump(dict(form), sort_keys=False, allow_unicode=True).encode())


def write_history(out: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """Write `metrics.jsonl`."""
    write_file(out / METRICS, "".join(json.dumps(line) + "\n" for line in history).encode())


def write_weights(out: Path, state: Mapping[str, torch.Tensor]) -> None:
    """Write `weights.safetensors`."""
    tensors = {name: value.detach().cpu().clone() for name, value in state.items()}
    write_file(out / NETWORK_WEIGHTS, save(tensors))
