"""Networks with their usual inputs, and jets for them."""

from __future__ import annotations

import torch
from torch import nn

from fivesigma.features import FEATURE_SETS
from fivesigma.inputs import Inputs
from fivesigma.models import MODELS, build
from fivesigma.models.blocks import MOMENTA


def usual_inputs(name: str) -> Inputs:
    network = MODELS[name]
    features = network.features or FEATURE_SETS["kin"]
    most = getattr(network, "max_constituents", 128)  # observables have none
    return Inputs(kind=network.kind, features=features, max_constituents=most)


#: fewer layers where more of them are only more of the same
FEWER = {
    "resnext": {"blocks": (1, 1, 1, 1)},
    "transformer": {"layers": 2},
    "part": {"layers": 2},
    "lorentznet": {"blocks": 3},
    "lgatr-slim": {"blocks": 3},
    "pelican": {"blocks": 2},
}
#: parts of the names of parameters that start so small that hardly anything depends on them ->
#: factor that gives them the size of trained ones
ASLEEP = {"attention.": 10, "phi_x.2": 100}


def make(name: str, n_classes: int = 3, **options) -> nn.Module:
    torch.manual_seed(1)
    return build(name, n_classes, usual_inputs(name), FEWER.get(name, {}) | options)


def awake(name: str, n_classes: int = 3) -> nn.Module:
    """A network in whose logits all its parts are seen, statistics of normalisations, too."""
    network, (x, mask) = make(name, n_classes), example(name)
    with torch.no_grad():
        for key, parameter in network.named_parameters():
            parameter *= next((factor for part, factor in ASLEEP.items() if part in key), 1)
        for _ in range(3):
            network.train()(x, mask)
    return network.eval()


def example(name: str) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Six jets, as the network takes them; of sets, one has no constituents."""
    generator = torch.Generator().manual_seed(2)
    if MODELS[name].kind == "image":
        x = torch.rand(6, 1, 40, 40, generator=generator)
        x *= torch.rand(6, 1, 40, 40, generator=generator) < 0.03
        return x / x.sum((1, 2, 3), keepdim=True), None
    features = MODELS[name].features
    if MODELS[name].kind == "observables":
        return torch.randn(6, len(features), generator=generator), None
    counts = torch.tensor([17, 5, 1, 0, 11, 17])
    mask = torch.arange(17) < counts[:, None]
    x = torch.randn(6, 17, len(features), generator=generator)
    if features[0] == "z":
        x[..., 0] = x[..., 0].abs() / x[..., 0].abs().sum(1, keepdim=True).clamp(min=1e-9)
    if set(MOMENTA) <= set(features):
        x[..., [features.index(axis) for axis in MOMENTA]] = momenta(6, 17, generator)
    return x * mask[..., None], mask


def momenta(n_jets: int, n: int, generator: torch.Generator) -> torch.Tensor:
    """(n_jets, n, 4) px, py, pz, E [GeV] of constituents around one axis, pions and photons."""
    shares = torch.rand(n_jets, n, generator=generator).square() + 0.01
    pt = 500 * shares / shares.sum(1, keepdim=True)
    eta = 0.5 + 0.3 * torch.randn(n_jets, n, generator=generator)
    phi = 1.0 + 0.3 * torch.randn(n_jets, n, generator=generator)
    mass = 0.1396 * (torch.rand(n_jets, n, generator=generator) < 0.6)
    px, py, pz = pt * phi.cos(), pt * phi.sin(), pt * eta.sinh()
    return torch.stack([px, py, pz, (px**2 + py**2 + pz**2 + mass**2).sqrt()], -1)
