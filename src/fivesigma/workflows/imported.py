"""`fivesigma import`: published weights of other programs as runs of our own."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from fivesigma.features import FEATURES
from fivesigma.inputs import Inputs, require_known
from fivesigma.models import build, find, options_of
from fivesigma.runfolder import MODEL, describe, open_folder, write_weights, write_yaml, writing
from fivesigma.runs import Run, load_run
from fivesigma.workflows.weightnames import SOURCES, Converted, State, some

__all__ = ["import_"]


def import_(
    source: str,
    weights: Path,
    out: Path,
    *,
    classes: Sequence[str] = (),
    features: Sequence[str] = (),
    max_constituents: int = 0,
    options: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    quiet: bool = False,
) -> Run:
    """Make a run of weights that were trained with another program.

    Architecture, widths, numbers of inputs and classes are read off the names and shapes of the
    tensors. What they do not tell is as published, unless `options` says otherwise: the 16
    neighbours of ParticleNet (7 for the small one), the GELU behind ParT's embedding of pairs,
    c = 0.005 of LorentzNet and its readout "legacy", which depends on the padding of a batch as it
    did in its training ("masked" does not).

    Examples:
        fivesigma import weaver ParticleNet_full.pt --out runs/particlenet
        fivesigma import weaver ParT_kin.pt --out runs/part --classes QCD,top
        fivesigma import lorentznet best-val-model.pt --out runs/lorentznet --classes QCD,top

    Args:
        source: the program: weaver (ParticleNet, ParT) or lorentznet.
        weights: file with a state dict, as `torch.save` writes it; nothing in it is run.
        out: folder of the run.
        classes: names of the classes in the order of the outputs; those of JetClass for ten.
        features: names of the inputs in their order, without px, py, pz, energy, which are added
            where a network needs them; of weaver by default the published sets of 7 ("kin") or 17
            ("full").
        max_constituents: only so many leading in pT are used; 0: as many as is usual.
        options: of the network, e.g. {"k": 7}.
        overwrite: discard a run in this folder.
        quiet: print nothing.

    Returns:
        The run.

    Raises:
        ValueError: unknown source, a file that holds no such weights, inputs or classes that must
            be named, or a folder with another run.
    """
    if source not in SOURCES:
        message = f"unknown source {source!r}; choose from {', '.join(SOURCES)}"
        raise ValueError(message)
    weights, out = Path(weights), Path(out)
    state, digest = _state_dict(weights)
    try:
        found = SOURCES[source].convert(state)
        names = _class_names(classes, found)
        inputs = _inputs(features, max_constituents, found)
        chosen = options_of(found.model) | found.options | dict(options or {})
        network = _loaded(build(found.model, found.n_classes, inputs, chosen), found.state)
    except ValueError as error:
        message = f"{weights} cannot be imported as {source}: {error}"
        raise ValueError(message) from None
    settings = {"imported": {"source": source, "sha256": digest}}
    form = describe(
        *("network", found.model, chosen, inputs, names, settings), {"weights": weights.name}
    )
    config = {
        "source": source, "weights": str(weights), "out": str(out), "classes": list(classes),
        "features": list(features), "max_constituents": max_constituents,
        "options": dict(options or {}),
    }  # fmt: skip
    with writing(out):
        form = open_folder(out, form, config, overwrite)
        write_weights(out, network.state_dict())
        write_yaml(out / MODEL, form | {"summary": {"finished": True}})
    return load_run(out)


def _state_dict(path: Path) -> tuple[State, str]:
    """Tensors by name, and the file's SHA-256; nothing in the file is run."""
    if not path.is_file():
        message = f"{path} {'is a folder' if path.is_dir() else 'does not exist'}"
        raise ValueError(message)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    try:
        with warnings.catch_warnings(action="ignore"):  # of old storages, in files of anything
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever damaged bytes lead torch's reader to
        reason = (str(error).splitlines() or ["it ends too early"])[0]
        message = f"{path} is no state dict that torch can load safely: {reason[:200]}"
        raise ValueError(message) from None
    if not isinstance(state, Mapping) or not state or not all(map(_is_entry, state.items())):
        what = type(state).__name__
        if isinstance(state, Mapping):
            what = f"{what} of {some([str(key) for key in state]) or 'nothing'}"
        message = f"{path} holds no state dict, names with tensors, but {what}"
        raise ValueError(message)
    broken = [name for name, value in state.items() if not _is_sound(value)]
    if broken:
        message = f"{path} is damaged: values that are no finite numbers in {some(broken)}"
        raise ValueError(message)
    return dict(state), digest


def _is_entry(entry: tuple[Any, Any]) -> bool:
    return isinstance(entry[0], str) and isinstance(entry[1], torch.Tensor)


def _is_sound(value: torch.Tensor) -> bool:
    """Whether a tensor is as large as it says, and all of it finite numbers."""
    if value.layout != torch.strided or value.is_meta or value.is_quantized:
        return False
    stored = value.untyped_storage().nbytes()
    return value.nbytes <= stored and bool(torch.isfinite(value).all())


def _class_names(classes: Sequence[str], found: Converted) -> list[str]:
    names, count = list(classes or found.classes), found.n_classes
    if len(names) != count or len(set(names)) != count:
        got = ", ".join(names) or "none"
        message = f"there are {count} classes; give that many different names, got {got}"
        raise ValueError(message)
    return names


def _inputs(features: Sequence[str], most: int, found: Converted) -> Inputs:
    """Inputs with the constants of the published preparation, which ours has too."""
    named = tuple(name for name in features if name not in found.momenta) or found.features
    if len(named) != found.n_features:
        got = ", ".join(features) or "none"
        besides = f" besides {', '.join(found.momenta)}" if found.momenta else ""
        message = (
            f"it takes {found.n_features} features{besides}; name them in their order, got {got}"
        )
        raise ValueError(message)
    chosen = (*named, *found.momenta)
    require_known("feature", chosen, FEATURES)
    learned = [name for name in chosen if FEATURES[name].mean is None]
    if learned:
        message = f"no published constants for {', '.join(learned)}; choose other features"
        raise ValueError(message)
    mean = tuple(FEATURES[name].mean or 0.0 for name in chosen)
    scale = tuple(FEATURES[name].scale or 1.0 for name in chosen)
    network: Any = find(found.model)
    most = most or network.max_constituents
    return Inputs(features=chosen, max_constituents=most, mean=mean, scale=scale)


def _loaded(network: nn.Module, state: State) -> nn.Module:
    """The network with these weights.

    Raises:
        ValueError: names or shapes that are not the network's.
    """
    wanted = {name: tuple(v.shape) for name, v in network.state_dict().items()}
    got = {name: tuple(v.shape) for name, v in state.items()}
    differing = [
        f"{name} {got.get(name, 'missing')}, expected {wanted.get(name, 'none')}"
        for name in wanted | got
        if got.get(name) != wanted.get(name)
    ]
    if differing:
        message = f"it does not fit {type(network).__name__}: {some(differing)}"
        raise ValueError(message)
    network.load_state_dict(state)
    return network
