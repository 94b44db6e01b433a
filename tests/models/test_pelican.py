"""PELICAN: the contract of all networks, its 15 maps written one by one, and its symmetries."""

from __future__ import annotations

import math

import pytest
import torch
from helpers import properties
from helpers.networks import momenta
from torch import nn

from fivesigma.inputs import Inputs
from fivesigma.models.blocks import MOMENTA
from fivesigma.models.pelican import PELICAN, PELICAN_PUBLISHED, EquivariantLayer, MessageLayer

INPUTS = Inputs(features=MOMENTA)


def make(n_classes: int = 3, **options) -> PELICAN:
    """A network whose normalisation has seen jets."""
    torch.manual_seed(1)
    network = PELICAN(n_classes, INPUTS, **options)
    with torch.no_grad():
        for _ in range(20):
            network.train()(*example(seed=8))
    return network


def example(seed: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    counts = torch.tensor([17, 5, 1, 0, 11, 2, 17])
    mask = torch.arange(17) < counts[:, None]
    x = momenta(len(counts), 17, torch.Generator().manual_seed(seed))
    return torch.where(mask[..., None], x, 1e3), mask


def test_numbers_of_parameters():
    """The published 11k and 208k."""
    count = {
        name: sum(one.numel() for one in PELICAN(2, INPUTS, **options).parameters())
        for name, options in (("small", {}), ("published", PELICAN_PUBLISHED))
    }
    assert count == {"small": 11_390, "published": 208_408}


def maps(t: torch.Tensor, n: int, powers: torch.Tensor) -> list[torch.Tensor]:
    """The 15 tables (n, n, C) of a table (n, n, C), in the order of the layer's weights."""
    eye = torch.eye(n, dtype=t.dtype)[..., None]
    scale = (n / 49) ** powers
    on_rows, on_columns, on_diagonal = (
        lambda v: v[:, None].expand(n, n, -1),
        lambda v: v[None].expand(n, n, -1),
        lambda v: eye * v[:, None],
    )
    diagonal = torch.stack([t[i, i] for i in range(n)])
    tables = [t, t.transpose(0, 1)]
    for k, spread in enumerate((on_rows, on_columns, on_diagonal)):
        means = scale[2 * k] * t.mean(1), scale[2 * k + 1] * t.mean(0)
        tables += [spread(one) for one in (diagonal, *means)]
    trace, total = diagonal.mean(0), t.mean((0, 1))
    tables += [(scale[6] * trace).expand(n, n, -1), (scale[7] * total).expand(n, n, -1)]
    return [*tables, eye * (scale[8] * trace), eye * (scale[9] * total)]


def test_layer_is_the_sum_of_fifteen_maps():
    torch.manual_seed(3)
    layer = EquivariantLayer(4, 5, 0.0).double()
    nn.init.normal_(layer.bias), nn.init.normal_(layer.diagonal_bias)
    m, weight = torch.randn(2, 7, 7, 4).double(), torch.ones(2, 7).double()
    weight[1, 4:] = 0
    scale, shift = torch.rand(4).double(), torch.randn(4).double()
    got = layer(m.clone(), scale, shift, weight)
    k = layer.map_in * layer.mix_in + layer.map_out * layer.mix_out
    for jet, n in ((0, 7), (1, 4)):
        tables = maps(m[jet, :n, :n] * scale + shift, n, layer.powers)
        want = sum(table @ weights for table, weights in zip(tables, k, strict=True))
        want = want + layer.bias + torch.eye(n)[..., None] * layer.diagonal_bias
        want = nn.functional.leaky_relu(want, 0.01)
        torch.testing.assert_close(got[jet, :n, :n], want)


def test_the_fifteen_maps_are_independent():
    tables = torch.randn(3, 6, 6, 1, generator=torch.Generator().manual_seed(1)).double()
    powers = torch.zeros(10, 1).double()
    images = [torch.stack(maps(t, 6, powers)).flatten(1) for t in tables]
    assert torch.linalg.matrix_rank(torch.cat(images, 1)) == 15


def test_normalisation_is_over_real_pairs():
    torch.manual_seed(3)
    layer = MessageLayer(4, 3).double().train()
    h, weight = torch.randn(3, 7, 7, 4).double(), torch.ones(3, 7).double()
    weight[1, 4:] = 0
    (m, last), scale, shift = layer([h[:2], h[2:]], [weight[:2], weight[2:]])
    other = nn.BatchNorm1d(3).double().train()
    real = torch.cat([one.flatten(0, 1) for one in (m[0], m[1, :4, :4], last[0])])
    torch.testing.assert_close(real * scale + shift, other(real))
    for name in ("running_mean", "running_var", "num_batches_tracked"):
        torch.testing.assert_close(getattr(layer.norm, name), getattr(other, name))


def test_further_features_are_labels():
    torch.manual_seed(1)
    network = PELICAN(3, Inputs(features=("charge", *MOMENTA)))
    x, mask = example()
    charge = torch.randn(7, 17, 1, generator=torch.Generator().manual_seed(6))
    x = torch.cat([charge, x], -1)
    properties.assert_padding_ignored(network, x, mask)
    properties.assert_gradients_reach_all(network, x, mask)
    other = x.clone()
    other[..., 0] *= -1
    changed = properties.logits(network, other, mask) != properties.logits(network, x, mask)
    assert changed[mask.any(1)].all() and not changed[3].any()


def boost(axis: int, beta: float) -> torch.Tensor:
    """Boost matrix (4, 4) of px, py, pz, E."""
    gamma = 1 / math.sqrt(1 - beta**2)
    matrix = torch.eye(4).double()
    matrix[axis, axis] = matrix[3, 3] = gamma
    matrix[axis, 3] = matrix[3, axis] = gamma * beta
    return matrix


def rotation(first: int, second: int, angle: float) -> torch.Tensor:
    """Rotation matrix (4, 4) of px, py, pz, E in the plane of two axes."""
    matrix = torch.eye(4).double()
    matrix[first, first] = matrix[second, second] = math.cos(angle)
    matrix[first, second], matrix[second, first] = -math.sin(angle), math.sin(angle)
    return matrix


@pytest.mark.parametrize(
    "transformation",
    [boost(0, 0.8), boost(2, 0.5) @ boost(1, -0.3), boost(0, 0.4) @ rotation(1, 2, 0.7)],
)
def test_invariant_when_the_beams_move_too(transformation):
    network, (x, mask) = make().double(), example()
    x = x.double()
    before = properties.logits(network, x, mask)
    network.beams = network.beams @ transformation.T
    after = properties.logits(network, x @ transformation.T, mask)
    torch.testing.assert_close(after, before, atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize(
    ("transformation", "allowed"),
    [
        (rotation(0, 1, 1.3), True),
        (torch.diag(torch.tensor([1, 1, -1, 1]).double()), True),  # exchanges the beams
        (torch.diag(torch.tensor([-1, 1, 1, 1]).double()), True),
        (rotation(1, 2, 0.3), False),
        (boost(2, 0.3), False),
        (boost(0, 0.3), False),
    ],
)
def test_what_fixed_beams_leave(transformation, allowed):
    network, (x, mask) = make().double(), example()
    x = x.double()
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
        (MOMENTA, {"labels": 24}, "got labels=24; of width=24 channels, 1 to 23 may be"),
    ],
)
def test_mistakes(features, options, text):
    with pytest.raises(ValueError, match=text):
        PELICAN(2, Inputs(features=features), **options)
