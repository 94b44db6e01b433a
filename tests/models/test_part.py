"""Particle Transformer and the plain transformer."""

from __future__ import annotations

import pytest
import torch
from helpers import part_reference, properties
from helpers.networks import momenta
from torch import nn

from fivesigma.features import FEATURE_SETS
from fivesigma.inputs import Inputs
from fivesigma.models.blocks import MOMENTA
from fivesigma.models.pairs import PairEmbedding, Ragged, pair_features, polar
from fivesigma.models.part import ParT, PlainTransformer

NETWORKS = {"part": ParT, "transformer": PlainTransformer}


@pytest.fixture(params=NETWORKS)
def name(request) -> str:
    return request.param


def make(name: str, n_classes: int = 3, **options) -> nn.Module:
    torch.manual_seed(1)
    network = NETWORKS[name]
    return network(n_classes, Inputs(features=network.features), **options)


def example(name: str, counts=(17, 5, 1, 0, 11, 17)) -> tuple[torch.Tensor, torch.Tensor]:
    """Jets with so many constituents."""
    generator = torch.Generator().manual_seed(2)
    mask = torch.arange(max(counts)) < torch.tensor(counts)[:, None]
    x = torch.randn(*mask.shape, len(NETWORKS[name].features), generator=generator)
    if name == "part":
        x[..., 7:] = momenta(*mask.shape, generator)
    return x * mask[..., None], mask


def disturb(network: nn.Module) -> nn.Module:
    """Weights away from their start, and statistics of normalisations that matter."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
        for key, value in network.named_buffers():
            if key.endswith("running_mean"):
                value += torch.randn(value.shape, generator=generator)
            elif key.endswith("running_var"):
                value *= 0.5 + torch.rand(value.shape, generator=generator)
    return network


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_published_numbers_of_parameters():
    full = Inputs(features=(*FEATURE_SETS["full"], *MOMENTA))
    assert count(make("part", 2)) == 2_141_134
    assert count(ParT(10, full)) == 2_143_486
    assert count(make("transformer", 2)) == 2_131_566


@pytest.mark.parametrize("counts", [(17, 5, 1, 2, 11, 17), (1,), (2, 40), (30,) * 9])
def test_same_as_the_reference(name, counts):
    network, (x, mask) = disturb(make(name)), example(name, counts)
    weights = part_reference.weights(network.state_dict(), 8, 2)
    p = x[..., 7:] if name == "part" else None
    want = part_reference.logits(weights, x[..., :7], p, mask)
    assert want.std() > 0.05
    properties.assert_close(properties.logits(network, x, mask).double(), want)


def test_half_precision(name):
    network, (x, mask) = make(name), example(name, (17, 5, 1, 0, 60))
    want = properties.logits(network, x, mask)
    with torch.autocast("cpu", torch.bfloat16):
        got = properties.logits(network, x, mask)
        network.train()(x, mask).float().square().sum().backward()
    assert torch.isfinite(got).all() and (got - want).abs().max() < 0.05
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())


def test_trained_on_padding_as_without(name):
    """What is learnt from a batch does not depend on its padding, nor on the order of its jets."""
    options = {"dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0}
    x, mask = example(name)
    longer = torch.cat([x, torch.full((6, 9, x.shape[2]), 1e3)], 1).flip(0)
    more = torch.cat([mask, torch.zeros(6, 9, dtype=torch.bool)], 1).flip(0)
    results = []
    for batch in ((x, mask), (longer, more)):
        network = make(name, **options).train()
        network(*batch).square().sum().backward()
        state = {key: value for key, value in network.named_buffers()}
        results.append(state | {key: value.grad for key, value in network.named_parameters()})
    for key, want in results[0].items():
        torch.testing.assert_close(results[1][key], want, atol=2e-4, rtol=1e-3, msg=key)


def test_many_jets_in_slices(name, monkeypatch):
    """The same whether jets go through together or a few at a time."""
    network, (x, mask) = disturb(make(name)), example(name, tuple(range(40)))
    want = properties.logits(network, x, mask)
    monkeypatch.setattr("fivesigma.models.part._BUDGETS", {"cpu": (1, 1)})
    properties.assert_close(properties.logits(network, x, mask), want)
    monkeypatch.setattr("fivesigma.models.part._BUDGETS", {})
    properties.assert_close(properties.logits(network, x, mask), want)


@pytest.mark.parametrize("counts", [(1,), (0,), (0, 0), (2,)])
def test_training_on_hardly_anything(name, counts):
    x, mask = example(name, counts)
    network = make(name).train()
    network(x, mask).sum().backward()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_any_features_make_a_plain_transformer():
    features = ("z", "charge")
    network = PlainTransformer(4, Inputs(features=features), embed=(32, 16), heads=2, fc=(8,))
    assert properties.logits(network, torch.randn(3, 5, 2)).shape == (3, 4)


def test_pairs_of_each_jet():
    ragged = Ragged(torch.tensor([[1, 0, 1, 1], [0, 0, 0, 0], [0, 1, 1, 0]], dtype=torch.bool))
    assert ragged.counts == [0, 2, 3] and ragged.order.tolist() == [1, 2, 0]
    assert ragged.rows.tolist() == [9, 10, 0, 2, 3]
    first, second = ragged.pairs()
    assert first.tolist() == [0, 1, 1, 2, 3, 3, 4, 4, 4]
    assert second.tolist() == [0, 0, 1, 2, 2, 3, 2, 3, 4]
    slices = list(ragged.slices(9, multiple=2))
    assert [one.length for one in slices] == [2, 4]
    assert [one.pairs for one in slices] == [slice(0, 3), slice(3, 9)]


def test_pair_features_by_hand():
    """Two massless ones of 10 and 30 GeV, back to back in azimuth but for 0.2 across the cut."""
    pt, phi = torch.tensor([10.0, 30.0]), torch.tensor([3.04159265, -3.04159265])
    px, py = pt * phi.cos(), pt * phi.sin()
    p = polar(torch.stack([px, py, torch.zeros(2), pt], -1))
    got = pair_features(p[0], p[1]).exp()
    m2 = 2 * 10 * 30 * (1 - torch.tensor(0.2).cos())
    want = torch.tensor([10 * 0.2, 0.25, 0.2, m2])
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


def test_pair_features_are_finite_and_symmetric():
    hard = [[0, 0, 0, 0], [0, 0, 50, 50], [0, 0, -50, 50], [1e3] * 4, [1e-4, 0, 5e3, 5e3]]
    p = polar(torch.tensor([*hard, [3, 4, -900, 900.01388]]))
    got = pair_features(p[:, None], p[None])
    assert torch.isfinite(got).all() and torch.equal(got, got.transpose(0, 1))


def test_embedding_of_pairs_in_training_and_evaluation():
    """With the statistics of this batch both are the same."""
    torch.manual_seed(4)
    embedding, p = PairEmbedding((8, 4)), polar(momenta(1, 90, torch.Generator()).squeeze(0))
    first, second = torch.tril_indices(90, 90)
    for layer in embedding.modules():
        if isinstance(layer, nn.BatchNorm1d):
            layer.momentum = 1.0
    want = embedding.train()(p, first, second)
    with torch.inference_mode():
        got = embedding.eval()(p, first, second)
    torch.testing.assert_close(got, want, atol=2e-3, rtol=1e-3)


@pytest.mark.parametrize(
    ("features", "options", "text"),
    [
        (FEATURE_SETS["kin"], {}, "needs the features px, py, pz, energy"),
        (MOMENTA, {}, "nothing to embed"),
        (ParT.features, {"heads": 7}, "7 heads do not divide"),
        (ParT.features, {"heads": 0}, "0 heads do not divide"),
        (ParT.features, {"embed": ()}, "heads do not divide"),
    ],
)
def test_mistakes(features, options, text):
    with pytest.raises(ValueError, match=text):
        ParT(2, Inputs(features=features), **options)
