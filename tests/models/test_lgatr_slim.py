"""The contract of networks for L-GATr-slim, and Lorentz symmetry of its layers."""

from __future__ import annotations

import math

import pytest
import torch
from helpers import properties
from helpers.networks import momenta
from torch import nn

from fivesigma.inputs import Inputs
from fivesigma.models.blocks import MOMENTA
from fivesigma.models.lgatr_slim import (
    Attention,
    Block,
    GatedVectors,
    LGATrSlim,
    LGATrSlimSmall,
    Tokens,
    boosted_to_rest,
    lorentz_product,
)

Example = tuple[torch.Tensor, torch.Tensor]


def awake(network: nn.Module) -> nn.Module:
    """Fresh networks hardly look at a jet: give attention the weights of trained ones."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "attention" in name:
                parameter *= 10
    return network


def few(network: type[LGATrSlim], features: tuple[str, ...]) -> nn.Module:
    """A network of few blocks, which has all that a large one has."""
    torch.manual_seed(1)
    return awake(network(3, Inputs(features=features), blocks=3))


def example(features: tuple[str, ...]) -> Example:
    """Six jets, one of them empty; their momenta come first."""
    generator = torch.Generator().manual_seed(2)
    mask = torch.arange(17) < torch.tensor([17, 5, 1, 0, 11, 2])[:, None]
    x = torch.randn(6, 17, len(features), generator=generator)
    x[..., :4] = momenta(6, 17, generator)
    return x * mask[..., None], mask


@pytest.fixture(params=[LGATrSlim, LGATrSlimSmall])
def case(request) -> tuple[nn.Module, Example]:
    features = request.param.features
    return few(request.param, features), example(features)


@pytest.mark.parametrize("network", [LGATrSlim, LGATrSlimSmall])
def test_single_precision_is_enough_for_soft_constituents_of_fast_jets(network):
    """Full depth, jets of 500 GeV with constituents down to some MeV, in all directions."""
    generator = torch.Generator().manual_seed(4)
    x, mask = torch.randn(8, 60, len(network.features), generator=generator), None
    x[..., :4] = momenta(8, 60, generator)
    x[:, 30:, :4] *= torch.logspace(0, -4, 30)[:, None]
    torch.manual_seed(1)
    full = network(3, Inputs(features=network.features))
    properties.assert_precision_agrees(awake(full), x, mask)


def test_half_precision_is_not_used_for_products_of_vectors(case):
    network, (x, mask) = case
    with torch.autocast("cpu", torch.bfloat16):
        mixed = properties.logits(network, x, mask)
    properties.assert_close(mixed, properties.logits(network, x, mask))


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_numbers_of_parameters():
    """Without the last block's stack of vectors and biases of queries, keys and values."""
    published = 12 * 169_184 + 224 + 194
    unused, biases = 3 * 32 * 128 + 128 * 32, 12 * 288
    inputs = Inputs(features=MOMENTA)
    assert count(LGATrSlim(2, inputs)) == published - unused - biases
    assert count(LGATrSlimSmall(2, Inputs(features=LGATrSlimSmall.features))) == 44_650


def lorentz_transformation(seed: int) -> torch.Tensor:
    """(4, 4) rotations before and after a boost, for (px, py, pz, E), in double precision."""
    generator = torch.Generator().manual_seed(seed)
    first, last = torch.eye(4).double(), torch.eye(4).double()
    for rotation in (first, last):
        matrix = torch.randn(3, 3, generator=generator, dtype=torch.float64)
        orthogonal = torch.linalg.qr(matrix)[0]
        rotation[:3, :3] = orthogonal * torch.linalg.det(orthogonal)
    boost, rapidity = torch.eye(4).double(), 1.5
    boost[2, 2] = boost[3, 3] = math.cosh(rapidity)
    boost[2, 3] = boost[3, 2] = math.sinh(rapidity)
    return last @ boost @ first


def transform(v: torch.Tensor, seed: int) -> torch.Tensor:
    """Four-vectors (4, ...)."""
    return torch.einsum("ij,j...->i...", lorentz_transformation(seed), v)


def vectors_and_scalars() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, Tokens]:
    generator = torch.Generator().manual_seed(3)
    tokens = Tokens(torch.arange(9) < torch.tensor([9, 4])[:, None])
    v = torch.randn(4, 13, 8, generator=generator, dtype=torch.float64)
    s = torch.randn(13, 16, generator=generator, dtype=torch.float64)
    scale = torch.rand(13, 1, generator=generator, dtype=torch.float64)
    return v, s, scale, tokens


def assert_equal(got: torch.Tensor, want: torch.Tensor) -> None:
    torch.testing.assert_close(got, want, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_products_are_invariant(seed):
    v, *_ = vectors_and_scalars()
    a, b = v[..., :4], v[..., 4:]
    want = (a * b * torch.tensor([-1, -1, -1, 1.0])[:, None, None]).sum(0)
    assert_equal(lorentz_product(a, b), want)
    assert_equal(lorentz_product(transform(a, seed), transform(b, seed)), want)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_gated_vectors_are_equivariant(seed):
    v, _, scale, _ = vectors_and_scalars()
    layer = GatedVectors(8, 2).double()
    assert_equal(layer(transform(v, seed), scale), transform(layer(v, scale), seed))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_attention_is_equivariant(seed):
    v, s, scale, tokens = vectors_and_scalars()
    layer = Attention(8, 16, 4, first_only=False).double()
    new_v, new_s = layer(v, s, scale, tokens)
    transformed_v, transformed_s = layer(transform(v, seed), s, scale, tokens)
    assert_equal(transformed_v, transform(new_v, seed))
    assert_equal(transformed_s, new_s)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_blocks_are_equivariant(seed, last):
    v, s, _, tokens = vectors_and_scalars()
    layer = Block(8, 16, 4, 2, last=last).double()
    new_v, new_s = layer(v, s, tokens)
    transformed_v, transformed_s = layer(transform(v, seed), s, tokens)
    assert_equal(transformed_v, transform(new_v, seed))
    assert_equal(transformed_s, new_s)


def test_last_block_reads_the_first_token():
    """It gives what an ordinary block gives there, without its stack of vectors."""
    v, s, _, tokens = vectors_and_scalars()
    full, last = (Block(8, 16, 4, 2, last=last).double() for last in (False, True))
    last.load_state_dict(full.state_dict(), strict=False)
    want = full(v, s, tokens)[1][[0, 9]]
    assert_equal(last(v, s, tokens)[1], want)


def test_rest_frame():
    p = momenta(5, 17, torch.Generator().manual_seed(6)).double().movedim(2, 0)
    rest = boosted_to_rest(p)
    assert_equal(rest.sum(2)[:3], torch.zeros(3, 5).double())
    among = (p[..., None].expand(-1, -1, -1, 17), p[:, :, None].expand(-1, -1, 17, -1))
    again = (rest[..., None].expand(-1, -1, -1, 17), rest[:, :, None].expand(-1, -1, 17, -1))
    torch.testing.assert_close(lorentz_product(*again), lorentz_product(*among))


def transformed_jets(seed: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    x, mask = example(MOMENTA)
    x = x.double()
    x[..., 3] = (x[..., :3].square().sum(-1) + 0.1396**2).sqrt()  # away from the least mass
    return x, transform(x.movedim(2, 0), seed).movedim(0, 2), mask


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_symmetry_is_broken_by_the_references_alone(seed):
    network = few(LGATrSlim, MOMENTA).double()
    x, moved, mask = transformed_jets(seed)
    before, fixed = (properties.logits(network, jets, mask) for jets in (x, moved))
    network.references.copy_(transform(network.references.T, seed).T)
    after = properties.logits(network, moved, mask)
    torch.testing.assert_close(after, before, atol=1e-8, rtol=1e-8)
    assert (fixed - before).abs().max() > 1e-3


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"heads": 5}, "5 heads cannot share 32 vectors and 96 scalars"),
        ({"blocks": 0}, "in 0 blocks"),
        ({"unit": 0.0}, "must be positive, got 0 GeV"),
    ],
)
def test_mistakes(options, text):
    with pytest.raises(ValueError, match=text):
        LGATrSlim(2, Inputs(features=MOMENTA), **options)


def test_momenta_are_needed():
    with pytest.raises(ValueError, match="needs the features px, py, pz, energy"):
        LGATrSlim(2, Inputs())
