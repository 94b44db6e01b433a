"""What the networks are made of: dense stacks and sums over constituents that padding cannot touch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import nn

__all__ = ["NetworkInputs", "dense", "masked_max", "masked_sum"]


class NetworkInputs(Protocol):
    """The attributes of `fivesigma.inputs.Inputs` that shape a network."""

    @property
    def kind(self) -> str:
        """ "constituents", "image" or "observables"."""

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the features."""

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the image's channels."""

    @property
    def pixels(self) -> int:
        """Pixels along each side of an image."""


def dense(widths: Sequence[int], *, last: bool = False, dropout: float = 0.0) -> nn.Sequential:
    """Linear layers with ReLU between them, initialised as He et al. (arXiv:1502.01852).

    Args:
        widths: of the input and of every layer's output.
        last: also put a ReLU behind the last layer.
        dropout: probability with which each hidden value is dropped in training.
    """
    layers: list[nn.Module] = []
    for i, (before, after) in enumerate(zip(widths, widths[1:], strict=False)):
        linear = nn.Linear(before, after)
        nn.init.kaiming_uniform_(linear.weight, nonlinearity="relu")
        nn.init.zeros_(linear.bias)
        layers.append(linear)
        if last or i < len(widths) - 2:
            layers.append(nn.ReLU())
            if dropout:
                layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)


def masked_sum(h: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """(B, N, L) summed over the constituents where mask (B, N) is true: (B, L)."""
    return h.sum(1) if mask is None else torch.where(mask[..., None], h, 0.0).sum(1)


def masked_max(h: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """The largest of (B, N, L) over the constituents: (B, L); needs h >= 0, gives 0 for no constituents."""
    return h.amax(1) if mask is None else torch.where(mask[..., None], h, 0.0).amax(1)
