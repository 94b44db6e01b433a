"""Batch normalisation of rows, the real constituents or pairs of all jets of a batch."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn import functional

__all__ = ["RowNorm", "folded", "remember"]


class RowNorm(nn.BatchNorm1d):
    """Batch normalisation that takes its running averages where a batch has no spread to measure.

    So a batch with one constituent, or none, can be trained on.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(T, C) to (T, C)."""
        if not self.training or len(input) > 1:
            return super().forward(input)
        return functional.batch_norm(
            *(input, self.running_mean, self.running_var, self.weight, self.bias), eps=self.eps
        )


def folded(
    norm: nn.BatchNorm1d, mean: torch.Tensor | None = None, var: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Batch normalisation as scale and shift (C,), to be put into the layer before or behind it.

    Args:
        norm: the normalisation.
        mean: (C,) of this batch; None: the running averages.
        var: (C,) of this batch.
    """
    kept: Any = norm
    mean = kept.running_mean if mean is None else mean
    var = kept.running_var if var is None else var
    scale = norm.weight * (var + norm.eps).rsqrt()
    return scale, norm.bias - mean * scale


@torch.no_grad()
def remember(
    norm: nn.BatchNorm1d, mean: torch.Tensor, var: torch.Tensor, count: torch.Tensor
) -> None:
    """Takes a batch's moments, over `count` values, into the running averages."""
    kept: Any = norm
    kept.running_mean.lerp_(mean, norm.momentum)
    count = count.to(var)
    kept.running_var.lerp_(var * (count / (count - 1)), norm.momentum)
    kept.num_batches_tracked += 1
