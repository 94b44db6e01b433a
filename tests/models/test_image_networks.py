"""The contract of networks for ResNeXt and the vision transformer, and their shapes."""

from __future__ import annotations

import pytest
import torch
from helpers import properties
from torch import nn

from fivesigma.inputs import Inputs
from fivesigma.models.resnext import Contrast, ResNeXt
from fivesigma.models.vit import VisionTransformer


def jets(pixels: int = 40) -> torch.Tensor:
    """Six images with some tens of pixels that are not zero."""
    generator = torch.Generator().manual_seed(2)
    x = torch.rand(6, 1, pixels, pixels, generator=generator)
    x *= torch.rand(6, 1, pixels, pixels, generator=generator) < 0.03
    return x / x.sum((1, 2, 3), keepdim=True)


def fresh(network: type[nn.Module], pixels: int = 40, **options) -> nn.Module:
    return network(3, Inputs(kind="image", pixels=pixels), **options)


@pytest.fixture(params=[ResNeXt, VisionTransformer])
def network(request) -> nn.Module:
    """After some steps, so that its batch statistics are those of jets."""
    torch.manual_seed(1)
    made = fresh(request.param).train()
    for _ in range(10):
        made(jets())
    return made


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("pixels", [40, 64])
def test_published_number_of_parameters(pixels):
    assert count(ResNeXt(2, Inputs(kind="image", pixels=pixels))) == 1_457_314


def test_number_of_parameters_of_our_own():
    assert count(VisionTransformer(2, Inputs(kind="image"))) == 141_762


@pytest.mark.parametrize("pixels", [24, 33, 64])
def test_resnext_takes_images_of_any_size(pixels):
    assert properties.logits(fresh(ResNeXt, pixels), jets(pixels)).shape == (6, 3)


def test_patches_are_neighbouring_pixels():
    """Pixels of one patch may change places with those of another only if positions are equal."""
    torch.manual_seed(1)
    network, x = fresh(VisionTransformer, 8), jets(8)
    moved = torch.cat([x[..., 4:], x[..., :4]], -1)  # left patches to the right, and back
    assert not torch.equal(properties.logits(network, moved), properties.logits(network, x))
    with torch.no_grad():
        network.positions[:] = 0.0
    properties.assert_close(properties.logits(network, moved), properties.logits(network, x))
    torn = torch.roll(x, 1, -1)
    change = properties.logits(network, torn) - properties.logits(network, x)
    assert change.abs().max() > 1e-4


@pytest.mark.parametrize("kind", [ResNeXt, VisionTransformer])
def test_all_channels_are_seen(kind):
    inputs = Inputs(kind="image", channels=("pt", "charged_pt", "count"))
    network = kind(2, inputs)
    assert network.contrast.gain.flatten().tolist() == [1000, 1000, 1]
    assert properties.logits(network, torch.rand(2, 3, 40, 40)).shape == (2, 2)


def test_contrast():
    x = jets()
    torch.testing.assert_close(Contrast(("pt",), 50.0)(x), (1 + 50 * x).log())
    assert Contrast(("pt",), 0.0)(x) is x


@pytest.mark.parametrize(
    ("kind", "options", "text"),
    [
        (ResNeXt, {"blocks": (3, 4)}, r"blocks \(3, 4\) and widths .* one entry per stage"),
        (ResNeXt, {"cardinality": 48}, "do not fall into 48 groups"),
        (ResNeXt, {"contrast": -1.0}, "must not be negative, got -1"),
        (VisionTransformer, {"patch": 7}, "7 x 7 do not tile an image of 40 x 40 pixels"),
        (VisionTransformer, {"heads": 3}, "3 heads cannot share tokens of width 64"),
    ],
)
def test_mistakes(kind, options, text):
    with pytest.raises(ValueError, match=text):
        fresh(kind, **options)
