"""Networks with fewer weights: the smallest are set to zero, and stay there in training."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

__all__ = ["Masks", "hold_zeros", "magnitude_masks", "prunable", "shares", "zero_share"]

#: parameter -> which of its weights may differ from zero; parameters that are not named all may
Masks = Mapping[str, torch.Tensor]


def prunable(network: nn.Module) -> dict[str, nn.Parameter]:
    """The weights of linear layers and convolutions by name; biases and norms are none of them."""
    found = {
        id(layer.weight) for layer in network.modules() if isinstance(layer, nn.Linear | _ConvNd)
    }
    return {name: each for name, each in network.named_parameters() if id(each) in found}


def zero_share(network: nn.Module) -> float:
    """Share of exact zeros among the weights that `prunable` gives.

    Raises:
        ValueError: there are none.
    """
    weights = _some(network).values()
    total = sum(weight.numel() for weight in weights)
    return 1 - sum(int(weight.count_nonzero()) for weight in weights) / total


def shares(start: float, share: float, steps: int) -> list[float]:
    r"""Shares of zeros after each step, arXiv:1710.01878 equation 1.

    $$s_t = s_f + (s_0 - s_f) (1 - t / n)^3$$

    Many weights go in the first steps, while enough are left to take their place, few in the last.

    Args:
        start: share of zeros before, $s_0$.
        share: at the end, $s_f$.
        steps: their number n.
    """
    return [share + (start - share) * (1 - step / steps) ** 3 for step in range(1, steps + 1)]


def magnitude_masks(network: nn.Module, share: float) -> dict[str, torch.Tensor]:
    r"""Masks that leave the largest weights of the whole network, arXiv:2010.07611.

    Bare magnitudes would be unfair to layers on a small scale, such as one behind a sum over
    constituents, and empty them. So each weight is measured against those of its layer that are no
    smaller, and these numbers are ranked over all layers:

    $$s_i = w_i^2 \Big/ \sum_{j:\, |w_j| \ge |w_i|} w_j^2$$

    The largest weight of every layer has 1: no layer is emptied while another has two left.
    Weights that are zero already go first: what was pruned stays so.

    Args:
        network: the network.
        share: of its prunable weights that become zero, rounded to whole weights.

    Returns:
        Of each prunable parameter its mask, on the CPU, true where a weight stays.

    Raises:
        ValueError: a network without linear layers and convolutions.
    """
    weights = _some(network)
    scores = torch.cat([_scores(weight.detach()) for weight in weights.values()])
    kept = torch.ones(len(scores), dtype=torch.bool)
    # stable: where many have one score, the same ones go on every machine
    kept[torch.argsort(scores, stable=True)[: round(share * len(scores))]] = False
    parts = kept.split([weight.numel() for weight in weights.values()])
    return {
        name: part.view(weight.shape).clone()
        for (name, weight), part in zip(weights.items(), parts, strict=True)
    }


def _scores(weight: torch.Tensor) -> torch.Tensor:
    """(N,) float64 scores of a layer's N weights, on the CPU."""
    squares = weight.cpu().double().flatten() ** 2
    rising, order = squares.sort(stable=True)
    no_smaller = rising.flip(0).cumsum(0).flip(0)
    return torch.zeros_like(squares).index_copy_(0, order, rising / no_smaller.clamp_min(1e-300))


@torch.no_grad()
def hold_zeros(network: nn.Module, masks: Masks) -> None:
    """Set weights to zero and keep them there in training.

    Their gradients are zero before any optimiser sees them, from the first step on: no momentum
    arises, decay of a zero is zero, and so are its averages. The zeros stay exact.

    Args:
        network: the network, on its device.
        masks: true where a weight stays as it is.

    Raises:
        ValueError: masks of other names or shapes than the parameters.
    """
    parameters = dict(network.named_parameters())
    for name, mask in masks.items():
        if name not in parameters or parameters[name].shape != mask.shape:
            message = f"the mask of {name!r} does not fit this network"
            raise ValueError(message)
        parameter = parameters[name]
        gone = ~mask.to(parameter.device, torch.bool)
        parameter.masked_fill_(gone, 0.0)
        parameter.register_hook(lambda gradient, gone=gone: gradient.masked_fill(gone, 0.0))


def _some(network: nn.Module) -> dict[str, nn.Parameter]:
    found = prunable(network)
    if not found:
        message = "this network has neither linear layers nor convolutions: nothing can be pruned"
        raise ValueError(message)
    return found
