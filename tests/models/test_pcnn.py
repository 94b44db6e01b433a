"""P-CNN: a sequence's score depends on its order, and not on what follows it."""

import pytest
import torch
from helpers import properties
from torch import nn
from torch.nn import functional

from fivesigma.features import FEATURE_SETS
from fivesigma.inputs import Inputs
from fivesigma.models.pcnn import PCNN


def make(**options) -> nn.Module:
    torch.manual_seed(1)
    network = PCNN(3, Inputs(), **options)
    generator = torch.Generator().manual_seed(3)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm1d):
            for name, low in (("running_mean", -0.5), ("running_var", 0.5), ("bias", -0.5)):
                values = torch.rand(part.num_features, generator=generator) + low
                getattr(part, name).data.copy_(values)
    return network.eval()


def jets(*counts: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    mask = torch.arange(max(counts)) < torch.tensor(counts)[:, None]
    x = torch.randn(*mask.shape, 7, generator=generator)
    return torch.where(mask[..., None], x, 1e3), mask


def test_numbers_of_parameters():
    """Published: 354 540 with 17 features and 10 classes; 1056 biases are left out here."""
    for n_classes, features, count in ((2, "kin", 348_400), (10, "full", 353_484)):
        network = PCNN(n_classes, Inputs(features=FEATURE_SETS[features]))
        assert sum(parameter.numel() for parameter in network.parameters()) == count


@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 8, 30, 31])
def test_every_length_is_alone_as_together(n):
    """Odd and even lengths through two layers that take every other place."""
    properties.assert_alone_as_together(make(), *jets(n, 32))


def test_the_order_matters():
    x, mask = jets(17, 17)
    network = make()
    change = properties.logits(network, x.flip(1), mask) - properties.logits(network, x, mask)
    assert change.abs().max() > 1e-3


def plainly(network: PCNN, x: torch.Tensor) -> torch.Tensor:
    """Logits of one jet (1, n, F), layer by layer, without masks."""
    h = network.norm(x[0]).T[None]

    def convolved(layer, h):
        return layer.norm(layer.convolution(h)[0].T).T[None].relu()

    h = convolved(network.first, h)
    for unit in network.units:
        h = convolved(unit.second, convolved(unit.first, h)) + unit.shortcut(h)
    return network.head(h.mean(2))


def test_as_defined():
    network, (x, _) = make(), jets(21)
    with torch.inference_mode():
        want = plainly(network, x)
    properties.assert_close(properties.logits(network, x), want)


def test_training_sees_the_same_whatever_the_padding():
    x, mask = jets(17, 5, 1, 0, 11, 17)
    longer = functional.pad(x, (0, 0, 0, 9), value=50.0), functional.pad(mask, (0, 9))
    networks = [make(dropout=0.0).train() for _ in range(2)]
    properties.assert_close(networks[0](x, mask), networks[1](*longer))
    for one, other in zip(*(network.buffers() for network in networks), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("stages", [(), ((8,), ())])
def test_mistakes(stages):
    with pytest.raises(ValueError, match="give at least one, and one width or more for each"):
        PCNN(2, Inputs(), stages=stages)
