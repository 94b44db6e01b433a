"""Several networks of the same inputs as one."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn

__all__ = ["Ensemble"]


class Ensemble(nn.Module):
    r"""The mean of the probabilities of its members, arXiv:1612.01474.

    $$\text{logits} = \log \frac{1}{K} \sum_k \mathrm{softmax}(\text{logits}_k)$$

    Args:
        members: networks with the same inputs and classes.

    Raises:
        ValueError: no members.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        if not members:
            message = "an ensemble needs at least one member"
            raise ValueError(message)
        self.members = nn.ModuleList(members)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Inputs of one member to logits (B, n_classes), whose softmax is the mean."""
        each = torch.stack([member(x, mask) for member in self.members])  # (K, B, C)
        return each.float().log_softmax(2).logsumexp(0) - math.log(len(self.members))  # (B, C)
