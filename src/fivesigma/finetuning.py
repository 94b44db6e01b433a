"""Training that starts from the weights of another run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from fivesigma.inputs import Inputs
from fivesigma.models import build, options_of
from fivesigma.runs import Run

__all__ = ["check_start", "head_of", "start_from"]


def head_of(
    network: torch.nn.Module,
    model: str,
    n_classes: int,
    inputs: Inputs,
    options: Mapping[str, Any],
) -> set[str]:
    """Names of the parameters that give the classes: those whose shape follows their number.

    Args:
        network: made from all that follows.
        model: its name, as for `models.build`.
        n_classes: its number of classes.
        inputs: what it sees.
        options: of its architecture.
    """
    with torch.random.fork_rng(devices=[]):  # to build draws numbers; the caller's stay theirs
        wider = dict(build(model, n_classes + 1, inputs, options).named_parameters())
    mine = dict(network.named_parameters())
    return {name for name, value in mine.items() if value.shape != wider[name].shape}


def check_start(
    run: Run, model: str, inputs: Inputs, model_options: Mapping[str, Any] | None
) -> None:
    """Check that a network can start from the weights of a run.

    Raises:
        ValueError: the run is none of one network, or its architecture or inputs are others.
    """
    form = run.model_yaml
    if form["kind"] != "network":
        message = f"{run.path} is of kind {form['kind']!r}; a training starts from one network"
        raise ValueError(message)
    if form["model"] != model:
        message = (
            f"{run.path} is a {form['model']!r}, not a {model!r}; give --model {form['model']}"
        )
        raise ValueError(message)
    there, here = (_plain(model, given) for given in (form["options"], model_options or {}))
    _refuse("option", run, there, here)
    _refuse("inputs.", run, run.inputs.to_dict(), inputs.to_dict())


def _plain(model: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """All options, lists for tuples."""
    options = {**options_of(model), **given}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in options.items()}


def _refuse(what: str, run: Run, there: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    differing = [
        f"{what}{' ' * (what[-1] != '.')}{name}: {there.get(name)} there, {here.get(name)} now"
        for name in {**there, **here}
        if there.get(name) != here.get(name)
    ]
    if differing:
        message = (
            f"cannot start from {run.path}, which is another architecture: {'; '.join(differing)}"
        )
        raise ValueError(message)


def start_from(run: Run, network: torch.nn.Module, classes: Sequence[str], head: set[str]) -> None:
    """Give a network the weights of a run.

    Where the run has other classes, the layer that gives them keeps its fresh weights.

    Args:
        run: that passed `check_start`.
        network: the new one.
        classes: its classes.
        head: its parameters that give them, from `head_of`.

    Raises:
        ValueError: weights that do not fit.
    """
    found = {name: value.detach().cpu() for name, value in run.model.state_dict().items()}
    mine = network.state_dict()
    fresh = set() if list(classes) == run.classes else head
    unfit = [
        name
        for name in sorted((found.keys() | mine.keys()) - fresh)
        if name not in found or name not in mine or found[name].shape != mine[name].shape
    ]
    if unfit:
        message = f"{run.path}: its weights {', '.join(unfit)} do not fit this network"
        raise ValueError(message)
    kept = {name: mine[name] for name in fresh if name in mine}
    network.load_state_dict({name: found[name] for name in mine if name not in fresh} | kept)
