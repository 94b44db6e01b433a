"""Weights from the folder of a run back into a model; `runs.load_run` is the way in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from fivesigma.inputs import Inputs
from fivesigma.models import build
from fivesigma.models.ensemble import Ensemble
from fivesigma.runfolder import (
    NETWORK_WEIGHTS,
    TREE_WEIGHTS,
    member_folders,
    member_kind,
    read_model_yaml,
)

__all__ = ["LOADERS", "Forest"]


class Forest:
    """Several trainings of trees as one, with the face of LightGBM's `Booster`.

    Args:
        members: at least one, of the same observables and classes.
    """

    def __init__(self, members: Sequence[Any]) -> None:
        self.members = list(members)

    def predict(self, values: np.ndarray) -> np.ndarray:
        """The mean of the members' probabilities."""
        return np.mean([member.predict(values) for member in self.members], axis=0)

    def dump_model(self) -> dict[str, Any]:
        """The trees of all members."""
        return {"tree_info": [t for m in self.members for t in m.dump_model()["tree_info"]]}

    def feature_importance(self, kind: str) -> np.ndarray:
        """The sum of the members' importances."""
        return np.sum([member.feature_importance(kind) for member in self.members], axis=0)


def _load_network(
    folder: Path, model_yaml: Mapping[str, Any], device: torch.device
) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):  # to build draws numbers; the caller's stay theirs
        network = build(
            model_yaml["model"],
            len(model_yaml["classes"]),
            Inputs.from_dict(model_yaml["inputs"]),
            model_yaml["options"],
        )
    try:
        network.load_state_dict(load_file(_weights(folder, NETWORK_WEIGHTS)))
    except (SafetensorError, RuntimeError) as error:
        message = (
            f"{folder / NETWORK_WEIGHTS} is damaged or does not fit model.yaml: "
            f"{str(error).splitlines()[-1].strip()}"
        )
        raise ValueError(message) from None
    return network.to(device).eval()


def _load_trees(folder: Path, model_yaml: Mapping[str, Any], device: torch.device) -> Any:
    import lightgbm

    text = _weights(folder, TREE_WEIGHTS).read_text()
    # LightGBM ends the whole process on some broken files
    if not text.startswith("tree") or "\nend of parameters\n" not in text:
        message = f"{folder / TREE_WEIGHTS} is truncated, or not LightGBM's text format"
        raise ValueError(message)
    return lightgbm.Booster(model_str=text)


def _load_ensemble(folder: Path, model_yaml: Mapping[str, Any], device: torch.device) -> Any:
    kind = member_kind(model_yaml)
    members = []
    for member in member_folders(folder, model_yaml):
        form = read_model_yaml(member)
        _check_member(member, form, folder, model_yaml)
        members.append(LOADERS[kind](member, form, device))
    return Forest(members) if kind == "trees" else Ensemble(members).eval()


def _check_member(
    member: Path, form: Mapping[str, Any], folder: Path, model_yaml: Mapping[str, Any]
) -> None:
    """Refuse a run that is something else than the ensemble says, or whose code is another."""
    wanted = {"kind": member_kind(model_yaml)} | {
        k: model_yaml[k] for k in ("model", "inputs", "classes")
    }
    differing = [key for key, value in wanted.items() if form[key] != value]
    if differing:
        message = f"{member} is no member of {folder}: it has another {', '.join(differing)}"
        raise ValueError(message)


#: kind of a run -> what reads its model: folder, what `model.yaml` says, device
LOADERS: dict[str, Callable[[Path, Mapping[str, Any], torch.device], Any]] = {
    "network": _load_network,
    "ensemble": _load_ensemble,
    "trees": _load_trees,
}


def _weights(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        message = (
            f"{folder} has no {name}, so has no trained model yet; "
            "repeat the command that began it: it goes on where it stopped"
        )
        raise ValueError(message)
    return folder / name
