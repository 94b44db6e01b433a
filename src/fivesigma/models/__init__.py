"""Networks, one architecture family per file.

Every network has the class attributes `kind` (of its inputs), `features` and `max_constituents`
(its usual inputs), takes `(n_classes, inputs, **options)`, and maps `forward(x, mask=None)` to
logits (B, n_classes). The logits of a jet depend neither on the jets beside it nor on padding.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from torch import nn

from fivesigma.models.blocks import NetworkInputs
from fivesigma.models.event_transformer import EventTransformer
from fivesigma.models.images import CNN
from fivesigma.models.lgatr_slim import LGATrSlim, LGATrSlimSmall
from fivesigma.models.lorentznet import LorentzNet
from fivesigma.models.mlp import MLP
from fivesigma.models.part import ParT, PlainTransformer
from fivesigma.models.particlenet import ParticleNet, ParticleNetLite
from fivesigma.models.pcnn import PCNN
from fivesigma.models.pelican import PELICAN
from fivesigma.models.resnext import ResNeXt
from fivesigma.models.sets import EFN, PFN, DeepSetsMax
from fivesigma.models.vit import VisionTransformer

__all__ = ["MODELS", "NetworkInputs", "build", "find", "options_of"]

#: name -> network
MODELS: dict[str, type[nn.Module]] = {
    "cnn": CNN,
    "resnext": ResNeXt,
    "vit": VisionTransformer,
    "pfn": PFN,
    "efn": EFN,
    "deepsets-max": DeepSetsMax,
    "p-cnn": PCNN,
    "particlenet": ParticleNet,
    "particlenet-lite": ParticleNetLite,
    "transformer": PlainTransformer,
    "part": ParT,
    "event-transformer": EventTransformer,
    "lorentznet": LorentzNet,
    "pelican": PELICAN,
    "lgatr-slim": LGATrSlim,
    "lgatr-slim-small": LGATrSlimSmall,
    "mlp": MLP,
}


def find(name: str) -> type[nn.Module]:
    """The class of a network.

    Args:
        name: a name in `MODELS`, or `my_module:MyNet` for a class of one's own. Finding it imports
            that module, which runs its code.

    Raises:
        ValueError: no such network, or a class that is no network.
    """
    if name in MODELS:
        return MODELS[name]
    module, separator, attribute = name.partition(":")
    if not separator:
        message = (
            f"unknown model {name!r}; choose from {', '.join(MODELS)}, or give my_module:MyNet"
        )
        raise ValueError(message)
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        message = f"cannot find the model {name!r}: {error}; is its folder on PYTHONPATH?"
        raise ValueError(message) from error
    missing = [part for part in ("kind", "forward") if not hasattr(found, part)]
    if not (inspect.isclass(found) and issubclass(found, nn.Module)) or missing:
        message = (
            f"{name!r} must be a class derived from torch.nn.Module with `kind` and `forward`"
        )
        raise ValueError(message)
    return found


def options_of(name: str) -> dict[str, Any]:
    """Options of a network and their defaults.

    Raises:
        ValueError: no such network.
    """
    parameters = inspect.signature(find(name)).parameters
    return {key: parameters[key].default for key in list(parameters)[2:]}


def build(
    name: str, n_classes: int, inputs: NetworkInputs, options: Mapping[str, Any] | None = None
) -> nn.Module:
    """Make a network with fresh weights.

    Args:
        name: a name in `MODELS`, or `my_module:MyNet`.
        n_classes: number of classes, at least 2.
        inputs: what the network will see, e.g. `fivesigma.inputs.Inputs`.
        options: keyword arguments of the network; lists stand for tuples.

    Raises:
        ValueError: no such network or option, inputs of another kind, or a value that makes no
            network.

    Example:
        >>> network = build("pfn", 2, Inputs(), {"phi": [64, 64]})
    """
    network: Any = find(name)
    options = dict(options or {})
    choices = options_of(name)
    unknown = [key for key in options if key not in choices]
    if unknown:
        message = (
            f"unknown option {', '.join(map(repr, unknown))} of the model {name!r}; "
            f"choose from {', '.join(choices) or 'none'}"
        )
        raise ValueError(message)
    if inputs.kind != network.kind:
        message = f"the model {name!r} needs inputs of kind {network.kind!r}, not {inputs.kind!r}"
        raise ValueError(message)
    if n_classes < 2:
        message = f"got {n_classes} classes; a classifier needs at least 2"
        raise ValueError(message)
    plain = {key: tuple(v) if isinstance(v, list) else v for key, v in options.items()}
    try:
        return network(n_classes, inputs, **plain)
    except (TypeError, RuntimeError) as error:
        message = f"options {options} make no {name!r}: {error}"
        raise ValueError(message) from error
