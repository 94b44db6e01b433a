"""Pruning: the smallest weights go, and what is zero stays zero, bit for bit, in training."""

from dataclasses import replace

import pytest
import torch
from helpers.training_job import OPTIONS, SMALL, TRAIN, run_fit
from safetensors.torch import load_file
from torch import nn

from fivesigma import loop
from fivesigma.models import build
from fivesigma.optimisers import OPTIMIZERS
from fivesigma.pruning import hold_zeros, magnitude_masks, prunable, shares, zero_share

QUICK = replace(OPTIONS, epochs=1, weight_decay=0.1)


class Stop(Exception):
    pass


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build("pfn", 2, TRAIN.inputs, SMALL)


def kept(network, share=0.7):
    masks = magnitude_masks(network, share)
    return masks, {name: int(mask.sum()) for name, mask in masks.items()}


def test_the_smallest_weights_of_all_layers_together_go(network):
    masks, _ = kept(network)
    weights = prunable(network)
    assert (
        masks.keys() == weights.keys() == {n for n, p in network.named_parameters() if p.ndim > 1}
    )
    for name, mask in masks.items():
        size = weights[name].abs()
        assert mask.any() and size[mask].min() >= size[~mask].max(), name
    total = sum(mask.numel() for mask in masks.values())
    assert sum(int(mask.sum()) for mask in masks.values()) == total - round(0.7 * total)


def test_scores_are_those_of_the_formula(network):
    masks, _ = kept(network)
    stay, gone = [], []
    for name, weight in prunable(network).items():
        squares = weight.detach().double() ** 2
        score = squares / torch.stack(
            [squares[squares >= w].sum() for w in squares.flatten()]
        ).view(squares.shape)
        stay.append(score[masks[name]].min())
        gone.append(score[~masks[name]].max())
    assert min(stay) >= max(gone)


def test_the_scale_of_a_layer_does_not_matter_and_none_is_emptied(network):
    _, before = kept(network, 0.98)
    with torch.no_grad():
        prunable(network)["f.0.weight"].mul_(0.01)
    _, after = kept(network, 0.98)
    assert after == before and min(after.values()) > 0


def test_equal_weights_go_in_order_and_zeros_first():
    layer = nn.Linear(4, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, -1.0, 1.0, 0.0], [0.0, 1.0, 1.0, 1.0]]))
    (mask,) = magnitude_masks(layer, 0.5).values()
    assert mask.int().tolist() == [[0, 0, 1, 0], [0, 1, 1, 1]]
    assert zero_share(layer) == 0.25
    with torch.no_grad():
        layer.weight.zero_()
    assert int(magnitude_masks(layer, 0.5)["weight"].sum()) == 4


def test_shares_rise_ever_slower_to_the_last():
    found = shares(0.1, 0.9, 4)
    assert found[-1] == 0.9
    rises = [after - before for before, after in zip([0.1, *found], found, strict=False)]
    assert rises == sorted(rises, reverse=True) and rises[-1] > 0
    assert found[1] == pytest.approx(0.9 - 0.8 / 8)  # half of the way in time
    assert shares(0.3, 0.5, 1) == [0.5]


@pytest.mark.parametrize("ema", [0.0, 0.9])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_zeros_stay_exact_and_the_others_learn(tmp_path, network, name, ema):
    masks, _ = kept(network)
    run = run_fit(tmp_path, replace(QUICK, optimizer=name, ema=ema), masks=masks)
    for key, weight in prunable(run.model).items():
        assert not weight[~masks[key]].any(), key
        assert weight[masks[key]].all(), key
    assert zero_share(run.model) == pytest.approx(0.7, abs=1e-3)
    other = run_fit(tmp_path / "dense", replace(QUICK, optimizer=name, ema=ema))
    assert zero_share(other.model) == 0


def test_an_interruption_changes_nothing(tmp_path, network, monkeypatch):
    def stop(line):
        if (line["epoch"], line.get("batch")) == (2, 5):
            raise Stop

    masks, _ = kept(network)
    options = replace(OPTIONS, optimizer="ranger")
    run_fit(tmp_path / "whole", options, masks=masks)
    monkeypatch.setattr(loop, "BEAT", -1.0)
    often = replace(options, checkpoint_every_seconds=1e-3)
    with pytest.raises(Stop):
        run_fit(tmp_path / "run", often, masks=masks, progress=stop)
    run_fit(tmp_path / "run", options, masks=masks)
    one, other = (load_file(tmp_path / n / "weights.safetensors") for n in ("whole", "run"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    with pytest.raises(ValueError, match=r"masks: \w+ there, \w+ now"):
        run_fit(tmp_path / "run", options, masks=magnitude_masks(network, 0.6))


def test_what_cannot_be_pruned_is_refused(network):
    with pytest.raises(ValueError, match="neither linear layers nor convolutions"):
        magnitude_masks(nn.LayerNorm(4), 0.5)
    for masks in ({"phi": torch.ones(2)}, {"f.3.bias": torch.ones(3, dtype=torch.bool)}):
        with pytest.raises(ValueError, match="does not fit this network"):
            hold_zeros(network, masks)
