"""What the networks are made of: dense stacks, and sums that padding cannot touch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import nn

__all__ = [
    "MOMENTA",
    "NetworkInputs",
    "dense",
    "he_uniform",
    "masked_max",
    "masked_sum",
    "split_columns",
]

#: the four-momentum [GeV] among the features
MOMENTA = ("px", "py", "pz", "energy")


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


def split_columns(features: Sequence[str], wanted: Sequence[str]) -> tuple[list[int], list[int]]:
    """Where some features are, in the order of `wanted`, and where all others are.

    Example:
        >>> split_columns(("dr", *MOMENTA, "charge"), MOMENTA)
        ([1, 2, 3, 4], [0, 5])

    Raises:
        ValueError: one that is wanted is not among the features.
    """
    missing = [name for name in wanted if name not in features]
    if missing:
        message = (
            f"this network needs the features {', '.join(wanted)}; "
            f"{', '.join(missing)} is not among {', '.join(features)}"
        )
        raise ValueError(message)
    found = [list(features).index(name) for name in wanted]
    return found, [i for i, name in enumerate(features) if name not in wanted]


def he_uniform(layer: nn.Linear | nn.Conv2d, gain: float = 1.0) -> nn.Module:
    """The layer with weights drawn after He et al. (arXiv:1502.01852), times gain, and no bias."""
    nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
    with torch.no_grad():
        layer.weight *= gain
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def dense(
    widths: Sequence[int], *, last: bool = False, dropout: float = 0.0, gain: float = 1.0
) -> nn.Sequential:
    """Linear layers with ReLU between them.

    Args:
        widths: of the input and of every layer's output.
        last: also put a ReLU behind the last layer.
        dropout: probability with which each hidden value is dropped in training.
        gain: factor on the first layer's initial weights, for inputs that are not of order one.
    """
    layers: list[nn.Module] = []
    for i, (before, after) in enumerate(zip(widths, widths[1:], strict=False)):
        layers.append(he_uniform(nn.Linear(before, after), 1.0 if i else gain))
        if last or i < len(widths) - 2:
            layers.append(nn.ReLU())
            if dropout:
                layers.append(nn.Dropout(dropout))
    return nn.Sequential(*layers)


def masked_sum(h: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """(B, N, L) summed over the constituents where mask (B, N) is true: (B, L)."""
    return h.sum(1) if mask is None else torch.where(mask[..., None], h, 0.0).sum(1)


def masked_max(h: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """The largest of (B, N, L), all >= 0, over the constituents: (B, L); 0 where there is none."""
    return h.amax(1) if mask is None else torch.where(mask[..., None], h, 0.0).amax(1)
