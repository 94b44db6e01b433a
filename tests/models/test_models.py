"""One contract for all networks, then what each of them claims for itself.

That ONNX gives the same is told by `test_export.py`, for all of them, too.
"""

from __future__ import annotations

import sys

import pytest
import torch
from helpers import properties
from helpers.networks import awake, example, make, usual_inputs
from torch import nn

from fivesigma.inputs import Inputs
from fivesigma.models import MODELS, build, options_of

SETS = [name for name, network in MODELS.items() if network.kind == "constituents"]
#: networks that see the constituents in the order of their pT
ORDERED = ("p-cnn",)


@pytest.fixture(params=MODELS)
def name(request) -> str:
    return request.param


def test_logits(name):
    x, mask = example(name)
    out = properties.logits(awake(name, 4), x, mask)
    assert out.shape == (6, 4) and torch.isfinite(out).all()


def test_score_depends_on_the_jet_alone(name):
    properties.assert_alone_as_together(awake(name), *example(name))


@pytest.mark.parametrize("name", SETS)
def test_padding_is_ignored(name):
    properties.assert_padding_ignored(awake(name), *example(name))


@pytest.mark.parametrize("name", SETS)
def test_order_of_constituents_is_ignored(name):
    if name in ORDERED:
        with pytest.raises(AssertionError):
            properties.assert_permutation_invariant(awake(name), *example(name))
        return
    properties.assert_permutation_invariant(awake(name), *example(name))


@pytest.mark.parametrize("name", SETS)
def test_without_mask_all_constituents_count(name):
    x, _ = example(name)
    full = torch.ones(x.shape[:2], dtype=torch.bool)
    network = awake(name)
    properties.assert_close(properties.logits(network, x), properties.logits(network, x, full))


def test_gradients_reach_every_parameter(name):
    properties.assert_gradients_reach_all(awake(name), *example(name))


def test_single_precision_is_enough(name):
    properties.assert_precision_agrees(awake(name), *example(name))


def test_saved_and_loaded(name, tmp_path):
    fresh = make(name)
    path = tmp_path / "weights.safetensors"
    properties.assert_same_after_saving(awake(name), fresh, *example(name), path)


def test_learns(name):
    """Eighty steps on a handful of jets bring the loss down to nearly nothing."""
    x, mask = example(name)
    keep = [0, 1, 2, 4]
    x, mask, y = x[keep], None if mask is None else mask[keep], torch.tensor([0, 1, 2, 1])
    network = make(name).train()
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(80):
        loss = nn.functional.cross_entropy(network(x, mask), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def usual_count(name: str) -> int:
    return count(build(name, 2, usual_inputs(name)))


def test_published_numbers_of_parameters():
    assert usual_count("particlenet") == 366_160
    assert usual_count("particlenet-lite") == 26_416
    assert usual_count("part") == 2_141_134
    assert usual_count("lorentznet") == 224_072
    image, flow = Inputs(kind="image"), Inputs(features=("z", "deta_c", "dphi_c"))
    published = {"phi": [100, 100, 256]}
    assert count(build("cnn", 2, image, {"layout": "qcd-or-what"})) == 609_666
    assert count(build("pfn", 2, flow, published)) == 82_458
    assert count(build("efn", 2, flow, published)) == 82_358
    three = Inputs(features=("log_pt", "deta", "dphi"))
    assert count(build("deepsets-max", 5, three)) == 3461
    assert count(build("deepsets-max", 5, usual_inputs("deepsets-max"))) == 3653


def test_numbers_of_parameters_of_our_own():
    image = Inputs(kind="image")
    assert count(build("cnn", 2, image)) == 127_282
    assert count(build("cnn", 2, image, {"layout": "deeptop"})) == 62_946
    assert usual_count("pfn") == 57_130
    assert usual_count("efn") == 56_630
    assert usual_count("event-transformer") == 154_062
    events = Inputs(kind="observables", features=tuple(map(str, range(28))))
    assert count(build("mlp", 2, events)) == 8_322


def split(x: torch.Tensor, i: int, share: float) -> torch.Tensor:
    """Constituent i in two of the same direction."""
    first, second = x[:, i : i + 1].clone(), x[:, i : i + 1].clone()
    first[..., 0] *= share
    second[..., 0] *= 1 - share
    return torch.cat([x[:, :i], first, second, x[:, i + 1 :]], 1)


def with_soft(x: torch.Tensor, z: float) -> torch.Tensor:
    """One more constituent, anywhere."""
    soft = torch.tensor([z, 0.7, -0.4]).expand(len(x), 1, 3)
    return torch.cat([x, soft], 1)


def test_efn_is_safe_under_soft_and_collinear_emissions():
    x, network = example("efn")[0][:2], make("efn")
    before = properties.logits(network, x)
    properties.assert_close(properties.logits(network, split(x, 3, 0.3)), before)
    far = (properties.logits(network, with_soft(x, 1e-2)) - before).abs().max()
    near = (properties.logits(network, with_soft(x, 1e-4)) - before).abs().max()
    assert near < 0.02 * far  # goes to zero like the emission's energy


def test_pfn_is_not_safe():
    """So that the test of the EFN is known to be able to fail."""
    inputs = Inputs(features=("z", "deta_c", "dphi_c"))
    torch.manual_seed(1)
    network, x = build("pfn", 3, inputs), example("efn")[0][:2]
    change = properties.logits(network, split(x, 3, 0.3)) - properties.logits(network, x)
    assert change.abs().max() > 1e-3


def test_cnn_sees_all_channels_at_order_one():
    inputs = Inputs(kind="image", channels=("pt", "charged_pt", "count"))
    network = build("cnn", 2, inputs)
    assert network.gain.flatten().tolist() == [1000, 1000, 1]
    assert properties.logits(network, torch.rand(2, 3, 40, 40)).shape == (2, 2)


@pytest.mark.parametrize("kernel", [2, 3, 4, 5])
def test_convolutions_keep_the_size_of_an_image(kernel):
    network = build(
        "cnn", 2, Inputs(kind="image", pixels=16), {"kernel": kernel, "pool_after": []}
    )
    assert network.convolutions(torch.zeros(1, 1, 16, 16)).shape[2:] == (16, 16)


@pytest.mark.parametrize(
    ("name", "options", "n_classes", "text"),
    [
        ("cnnn", {}, 2, "unknown model 'cnnn'; choose from cnn, resnext, vit, pfn, efn"),
        ("pfn", {"width": 3}, 2, "unknown option 'width' .* choose from phi, f, dropout"),
        ("cnn", {}, 2, "needs inputs of kind 'image', not 'constituents'"),
        ("pfn", {}, 1, "got 1 classes"),
        ("pfn", {"phi": "wide"}, 2, "make no 'pfn'"),
        ("efn", {}, 2, "an EFN needs the features z"),
        ("nowhere:Net", {}, 2, "cannot find the model 'nowhere:Net'"),
        ("math:pi", {}, 2, "must be a class derived from torch.nn.Module"),
    ],
)
def test_mistakes(name, options, n_classes, text):
    with pytest.raises(ValueError, match=text):
        build(name, n_classes, Inputs(), options)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"layout": "deep"}, "unknown layout 'deep'; choose from compact, deeptop, qcd-or-what"),
        ({"pool_after": [0, 1, 2, 3], "filters": [4] * 4}, "make no 'cnn'"),
    ],
)
def test_mistakes_with_images(options, text):
    with pytest.raises(ValueError, match=text):
        build("cnn", 2, Inputs(kind="image", pixels=8), options)


def test_network_of_ones_own(tmp_path, monkeypatch):
    (tmp_path / "my_networks.py").write_text(
        "from torch import nn\n"
        "class MyNet(nn.Module):\n"
        "    kind = 'constituents'\n"
        "    def __init__(self, n_classes, inputs, *, width=4):\n"
        "        super().__init__()\n"
        "        self.a = nn.Linear(len(inputs.features), width)\n"
        "        self.b = nn.Linear(width, n_classes)\n"
        "    def forward(self, x, mask=None):\n"
        "        return self.b(self.a(x).sum(1))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    network = build("my_networks:MyNet", 2, Inputs(), {"width": 5})
    assert network(torch.zeros(3, 4, 7)).shape == (3, 2)
    assert options_of("my_networks:MyNet") == {"width": 4}
    sys.modules.pop("my_networks")
