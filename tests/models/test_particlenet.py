"""ParticleNet beside its plain definition: neighbours, edges, normalisation, padding."""

import pytest
import torch
from helpers import properties
from torch import nn
from torch.nn import functional

from fivesigma.features import FEATURE_SETS
from fivesigma.inputs import Inputs
from fivesigma.models.norms import RowNorm
from fivesigma.models.particlenet import EdgeConv, ParticleNet, ParticleNetLite, nearest

SMALL = {"k": 4, "blocks": ((8, 8), (8, 12)), "head": (10,)}


def with_statistics(network: nn.Module) -> nn.Module:
    """As after training: nothing is 0 or 1 that need not be."""
    generator = torch.Generator().manual_seed(3)
    for part in network.modules():
        if isinstance(part, nn.BatchNorm1d):
            for name, low in (("running_mean", -0.5), ("running_var", 0.5), ("bias", -0.5)):
                values = torch.rand(part.num_features, generator=generator) + low
                getattr(part, name).data.copy_(values)
    return network.eval()


def make(network: type[ParticleNet] = ParticleNet, **options) -> nn.Module:
    torch.manual_seed(1)
    return with_statistics(network(3, Inputs(), **options))


def jets(*counts: int, seed: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(max(counts)) < torch.tensor(counts)[:, None]
    x = torch.randn(*mask.shape, 7, generator=generator)
    return torch.where(mask[..., None], x, 1e3), mask


NETWORKS = {
    "full": (ParticleNet, {}),
    "lite": (ParticleNetLite, {}),
    "small": (ParticleNet, SMALL),
}


@pytest.fixture(params=NETWORKS)
def network(request) -> nn.Module:
    kind, options = NETWORKS[request.param]
    return make(kind, **options)


def test_published_numbers_of_parameters():
    def count(kind, n_classes, features):
        network = kind(n_classes, Inputs(features=FEATURE_SETS[features]))
        return sum(parameter.numel() for parameter in network.parameters())

    assert count(ParticleNet, 2, "kin") == 366_160
    assert count(ParticleNet, 10, "full") == 370_156
    assert count(ParticleNetLite, 2, "kin") == 26_416


def test_longer_jets_alone_as_together(network):
    """Here the neighbours are a choice, which must not depend on the batch."""
    x, mask = jets(60, 33, 17, 18, 45)
    properties.assert_alone_as_together(network, x, mask)
    properties.assert_padding_ignored(network, x, mask)
    properties.assert_permutation_invariant(network, x, mask)


def plainly(network: ParticleNet, x: torch.Tensor) -> torch.Tensor:
    """Logits (C,) of one jet (n, F), edge by edge as the article defines them."""
    points, h = x[:, network.points], network.norm(x)
    for block in network.blocks:
        rows = []
        for i in range(len(h)):
            distance = (points - points[i]).norm(dim=1)
            order = [j for j in distance.argsort(stable=True).tolist() if j != i]
            others = [h[j] for j in order[: network.k]]
            others += [torch.zeros_like(h[i])] * (network.k - len(others))
            edges = torch.stack([torch.cat([h[i], other - h[i]]) for other in others])
            for linear, norm in zip(block.linears, block.norms, strict=True):
                edges = norm(linear(edges)).relu()
            rows.append(edges.mean(0))
        h = points = (block.shortcut(h) + torch.stack(rows)).relu()
    return network.head(h.mean(0))


@pytest.mark.parametrize("kind", NETWORKS)
def test_as_defined(kind):
    network = make(NETWORKS[kind][0], **NETWORKS[kind][1])
    x, mask = jets(25, 10, 2, 1)
    out = properties.logits(network, x, mask)
    with torch.inference_mode():
        want = torch.stack([plainly(network, x[i, mask[i]]) for i in range(4)])
    properties.assert_close(out, want, atol=2e-5)


def test_training_sees_the_same_whatever_the_padding():
    """Statistics of a batch are those of its real constituents and their edges."""
    x, mask = jets(17, 5, 1, 0, 11, 17)
    longer = functional.pad(x, (0, 0, 0, 9), value=50.0), functional.pad(mask, (0, 9))
    networks = [make(**SMALL, dropout=0.0).train() for _ in range(2)]
    properties.assert_close(networks[0](x, mask), networks[1](*longer))
    for one, other in zip(*(network.buffers() for network in networks), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("counts", [(0, 0), (1, 0), (1,), (2, 0)])
def test_training_on_next_to_nothing(counts):
    network, (x, mask) = make(**SMALL).train(), jets(*counts, 3)
    mask[-1] = False
    out = network(x, mask)
    out.sum().backward()
    assert torch.isfinite(out).all()
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())


def chosen(points: torch.Tensor, mask: torch.Tensor, k: int) -> list[list[set[int]]]:
    slots, there = nearest(points, mask, k)
    return [
        [set(row[real].tolist()) for row, real in zip(*jet, strict=True)]
        for jet in zip(slots, there, strict=True)
    ]


@pytest.mark.parametrize("width", [2, 5])
def test_of_equal_distances_the_lower_slot_comes_first(width):
    """On a grid, where ties abound, and with constituents on top of each other."""
    generator = torch.Generator().manual_seed(4)
    points = torch.randint(0, 3, (6, 20, width), generator=generator).float()
    mask = torch.arange(20) < torch.tensor([20, 20, 9, 3, 1, 0])[:, None]
    found = chosen(points, mask, 6)
    for b in range(6):
        for i in range(int(mask[b].sum())):
            distance = (points[b] - points[b, i]).square().sum(1)
            others = [j for j in distance.argsort(stable=True).tolist() if j != i and mask[b, j]]
            assert found[b][i] == set(others[:6])


def test_coinciding_constituents_are_neighbours_but_not_of_themselves():
    points = torch.zeros(1, 4, 2)
    points[0, 3] = 5.0
    found = chosen(points, torch.ones(1, 4, dtype=torch.bool), 2)[0]
    assert found == [{1, 2}, {0, 2}, {0, 1}, {0, 1}]


@pytest.mark.filterwarnings("ignore")
def test_ties_in_onnx_are_resolved_alike(tmp_path):
    x, mask = jets(17, 12, 3)
    points = torch.randint(-1, 2, (3, 17, 2), generator=torch.Generator().manual_seed(6))
    x = torch.cat([x[..., :5], points], 2)
    properties.assert_onnx_equal(make(ParticleNetLite), x, mask, tmp_path / "network.onnx")


def test_pieces_of_a_large_batch_give_the_same():
    block = with_statistics(EdgeConv(6, (8, 8)))
    generator = torch.Generator().manual_seed(5)
    h = torch.randn(700, 6, generator=generator)
    rows = torch.randint(0, 701, (700, 4), generator=generator)
    with torch.inference_mode():
        pieces = block(h, rows)
    properties.assert_close(block(h, rows), pieces)


def test_normalisation_of_one_row_takes_running_averages():
    norm = RowNorm(3).train()
    before = norm.running_mean.clone()
    assert torch.isfinite(norm(torch.ones(1, 3))).all()
    assert norm(torch.ones(0, 3)).shape == (0, 3)
    assert torch.equal(norm.running_mean, before)


def test_the_shortcut_is_the_identity_where_widths_agree():
    same, other = EdgeConv(8, (4, 8)), EdgeConv(8, (4, 9))
    assert not list(same.shortcut.parameters()) and list(other.shortcut.parameters())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"k": 0}, "got k = 0"),
        ({"blocks": ()}, "at least one neighbour, one block"),
        ({"blocks": ((8,), ())}, "one width per block"),
    ],
)
def test_mistakes(options, text):
    with pytest.raises(ValueError, match=text):
        ParticleNet(2, Inputs(), **options)


def test_needs_directions():
    with pytest.raises(ValueError, match="needs the features deta, dphi; dphi is not among"):
        ParticleNet(2, Inputs(features=("log_pt", "deta")))
