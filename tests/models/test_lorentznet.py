"""LorentzNet: the contract of all networks, the paper's equations, and its symmetries."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from helpers import properties
from helpers.lorentznet_reference import reference
from helpers.networks import momenta

from fivesigma.inputs import Inputs
from fivesigma.models.blocks import MOMENTA
from fivesigma.models.lorentznet import LorentzNet

INPUTS = Inputs(features=MOMENTA)


def make(n_classes: int = 3, features: tuple[str, ...] = MOMENTA, **options) -> LorentzNet:
    """A network whose four-momenta visibly move and whose normalisation has seen jets."""
    torch.manual_seed(1)
    network = LorentzNet(n_classes, Inputs(features=features), **options)
    with torch.no_grad():
        for block in network.blocks:
            if block.phi_x is not None:
                block.phi_x[2].weight *= 100
        x, mask = example(seed=8)
        if len(features) > 4:
            x = torch.cat([x, torch.randn(*x.shape[:2], len(features) - 4)], -1)
        for _ in range(3):
            network.train()(x, mask)
    return network


def example(seed: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    counts = torch.tensor([17, 5, 1, 0, 11, 2, 17])
    mask = torch.arange(17) < counts[:, None]
    x = momenta(len(counts), 17, torch.Generator().manual_seed(seed))
    return torch.where(mask[..., None], x, 1e3), mask


def test_published_number_of_parameters():
    assert sum(one.numel() for one in LorentzNet(2, INPUTS).parameters()) == 224_072


@pytest.mark.parametrize("n", [1, 2, 17])
def test_the_paper_written_down(n):
    network = make().eval().double()
    p = momenta(1, n, torch.Generator().manual_seed(4)).double()
    with torch.inference_mode():
        torch.testing.assert_close(network(p)[0], reference(network, p[0]), atol=0, rtol=1e-9)
        single = network.float()(p.float())[0].double()
        torch.testing.assert_close(
            single, reference(network.double(), p.float().double()[0]), atol=1e-5, rtol=1e-5
        )


def test_normalisation_in_training_is_over_real_edges():
    """One jet, whatever padding: values, running averages and gradients as the paper's."""
    network = make(dropout=0.0).double().train()
    other = copy.deepcopy(network)
    p = momenta(1, 9, torch.Generator().manual_seed(4)).double()
    padded = torch.cat([p, torch.full((1, 5, 4), 1e3).double()], 1)
    got, want = network(padded, torch.arange(14)[None] < 9)[0], reference(other, p[0])
    torch.testing.assert_close(got, want, atol=1e-9, rtol=1e-9)
    got.square().sum().backward()
    want.square().sum().backward()
    for (name, a), b in zip(network.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-8, rtol=1e-6, msg=name)
    for (name, a), b in zip(network.named_buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(a, b, atol=1e-9, rtol=1e-9, msg=name)


def test_recomputed_messages_give_the_same_gradients():
    x, mask = example()
    grads = []
    for recompute in (False, True):
        network = make(recompute=recompute, dropout=0.0).train()
        network(x, mask).square().sum().backward()
        grads.append([one.grad for one in network.parameters()])
    for a, b in zip(*grads, strict=True):
        properties.assert_close(a, b)


def test_legacy_readout_counts_padding():
    x, mask = example()
    masked, legacy = make(), make(readout="legacy")
    legacy.load_state_dict(masked.state_dict())
    seen = []
    for network in (masked, legacy):
        network.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
        properties.logits(network, x, mask)
    # the jets are in order of size in there
    share = (mask.sum(1).sort().values + 2) / (mask.shape[1] + 2)
    properties.assert_close(seen[1], seen[0] * share[:, None])


def test_further_features_are_scalars():
    network = make(features=("charge", *MOMENTA, "is_electron"))
    assert network.embedding.in_features == 4
    x, mask = example()
    generator = torch.Generator().manual_seed(6)
    x = torch.cat([torch.randn(7, 17, 1, generator=generator), x, torch.ones(7, 17, 1)], -1)
    properties.assert_padding_ignored(network, x, mask)
    other = x.clone()
    other[..., 0] *= -1
    changed = properties.logits(network, other, mask) != properties.logits(network, x, mask)
    assert changed[mask.any(1)].all() and not changed[3].any()


def boost(direction: tuple[float, float, float], beta: float) -> torch.Tensor:
    """Boost matrix (4, 4) of px, py, pz, E."""
    n, gamma = torch.tensor(direction).double(), 1 / math.sqrt(1 - beta**2)
    n = n / n.norm()
    matrix = torch.eye(4).double()
    matrix[:3, :3] += (gamma - 1) * torch.outer(n, n)
    matrix[:3, 3] = matrix[3, :3] = gamma * beta * n
    matrix[3, 3] = gamma
    return matrix


def rotation(axis: tuple[float, float, float], angle: float) -> torch.Tensor:
    """Rotation matrix (4, 4) of px, py, pz, E."""
    x, y, z = (torch.tensor(axis).double() / torch.tensor(axis).double().norm()).tolist()
    generator = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]]).double()
    matrix = torch.eye(4).double()
    matrix[:3, :3] = torch.matrix_exp(angle * generator)
    return matrix


def double() -> tuple[LorentzNet, torch.Tensor, torch.Tensor]:
    """On whose terms the limit, which is not invariant, does not act."""
    x, mask = example()
    return make(limit=0.0).double().eval(), x.double(), mask


@pytest.mark.parametrize(
    "transformation",
    [
        boost((1, 2, 3), 0.8),
        rotation((1, -1, 2), 2.1),
        boost((0, 1, -1), 0.6) @ rotation((1, 0, 2), 0.7),
    ],
)
def test_invariant_when_the_beams_move_too(transformation):
    network, x, mask = double()
    before = properties.logits(network, x, mask)
    network.beams = network.beams @ transformation.T
    after = properties.logits(network, x @ transformation.T, mask)
    torch.testing.assert_close(after, before, atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize(
    ("transformation", "allowed"),
    [
        (rotation((0, 0, 1), 1.3), True),
        (torch.diag(torch.tensor([1, 1, -1, 1]).double()), True),  # exchanges the beams
        (torch.diag(torch.tensor([-1, 1, 1, 1]).double()), True),
        (rotation((1, 0, 0), 0.3), False),
        (boost((0, 0, 1), 0.3), False),
        (boost((1, 0, 0), 0.3), False),
    ],
)
def test_what_fixed_beams_leave(transformation, allowed):
    network, x, mask = double()
    before = properties.logits(network, x, mask)
    change = (properties.logits(network, x @ transformation.T, mask) - before).abs().amax(1)
    if allowed:
        assert change.max() < 1e-8
    else:
        assert change[mask.any(1)].min() > 1e-5


@pytest.mark.parametrize(
    ("features", "options", "text"),
    [
        (("px", "py", "pz"), {}, "energy is not among px, py, pz"),
        (MOMENTA, {"readout": "mean"}, "unknown readout 'mean'; choose from masked, legacy"),
        (MOMENTA, {"blocks": 0}, "got 0 blocks"),
    ],
)
def test_mistakes(features, options, text):
    with pytest.raises(ValueError, match=text):
        LorentzNet(2, Inputs(features=features), **options)
