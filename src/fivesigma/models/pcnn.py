"""Networks of jets as sequences: convolutions along the constituents, by falling pT."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from fivesigma.features import FEATURE_SETS
from fivesigma.models.blocks import NetworkInputs, dense
from fivesigma.models.norms import RowNorm, folded
from fivesigma.models.packing import Packing

__all__ = ["PCNN"]


class _Slots:
    """Which places of the sequences are real, for each of a network's layers to ask.

    Attributes:
        mask: (B, 1, N) 1 for a real place, else 0.
    """

    def __init__(self, mask: torch.Tensor) -> None:
        self.mask = mask
        self.packing = Packing(mask[:, 0] > 0)

    def halved(self) -> _Slots:
        """Every other place, as a convolution of stride 2 leaves them."""
        # a convolution, too, so that torch.export sees the same length for all N
        return _Slots(functional.conv1d(self.mask, self.mask.new_ones(1, 1, 1), stride=2))


class _Convolution(nn.Module):
    """Convolution over three places, batch normalisation over real places, ReLU.

    A bias, which the normalisation would only take away again, is left out.
    """

    def __init__(self, before: int, after: int, stride: int = 1) -> None:
        super().__init__()
        self.convolution = nn.Conv1d(before, after, 3, stride, padding=1, bias=False)
        self.norm = RowNorm(after)

    def forward(self, h: torch.Tensor, slots: _Slots) -> torch.Tensor:
        """(B, C, N), zeros in padding, to (B, L, N'), likewise; `slots` are those of N'."""
        weight, stride = self.convolution.weight, self.convolution.stride
        if self.training:
            h = functional.conv1d(h, weight, None, stride, 1)  # (B, L, N')
            rows = self.norm(slots.packing.pack(h.transpose(1, 2)))  # (T, L)
            return slots.packing.pad(rows.relu_()).transpose(1, 2)
        scale, shift = folded(self.norm)
        h = functional.conv1d(h, weight * scale[:, None, None], shift, stride, 1)
        return h.relu_() * slots.mask


class _Unit(nn.Module):
    """Two convolutions beside a shortcut, arXiv:1512.03385."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.first = _Convolution(before, after, stride)
        self.second = _Convolution(after, after)
        self.shortcut = nn.Sequential()
        if before != after or stride != 1:
            self.shortcut = nn.Sequential(nn.Conv1d(before, after, 1, stride, bias=False))

    def forward(self, h: torch.Tensor, slots: _Slots) -> torch.Tensor:
        """(B, C, N) to (B, L, N'), zeros in padding of both; `slots` are those of N'."""
        return self.second(self.first(h, slots), slots) + self.shortcut(h)


class PCNN(nn.Module):
    """P-CNN: one-dimensional convolutions in residual units, then the mean over the sequence.

    The particle branch of DeepAK8 (arXiv:2004.08262) in the form that arXiv:1902.08570 and
    arXiv:2202.03772 compare with; all units after those of the first stage begin by taking every
    other place. It sees the order of the constituents, which must be by falling pT, padding last,
    as in every batch of `fivesigma.batches`. Published with constituents in a fixed number of
    slots and the mean over all of them; here over real ones, so that padding does not matter.

    Args:
        n_classes: number of classes.
        inputs: kind "constituents".
        first: width of the first convolution.
        stages: of each stage, the widths of its units.
        head: hidden widths after the mean.
        dropout: in the head, in training.

    Raises:
        ValueError: no stage, or one without a unit.
    """

    kind = "constituents"
    features = FEATURE_SETS["kin"]
    max_constituents = 128

    def __init__(
        self,
        n_classes: int,
        inputs: NetworkInputs,
        *,
        first: int = 32,
        stages: Sequence[Sequence[int]] = ((64, 64), (64, 64), (128, 128)),
        head: Sequence[int] = (512,),
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        if not stages or not all(stages):
            message = f"got the stages {stages}; give at least one, and one width or more for each"
            raise ValueError(message)
        self.norm = RowNorm(len(inputs.features))
        self.first = _Convolution(len(inputs.features), first)
        widths = [first, *(width for stage in stages for width in stage)]
        begins = [
            place == 0 and i > 0 for i, stage in enumerate(stages) for place in range(len(stage))
        ]
        self.strides = [2 if begin else 1 for begin in begins]
        self.units = nn.ModuleList(
            _Unit(*pair, stride)
            for pair, stride in zip(pairwise(widths), self.strides, strict=True)
        )
        self.head = dense((widths[-1], *head, n_classes), dropout=dropout)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Constituents (B, N, F) and their mask (B, N) to logits (B, n_classes)."""
        mask = x.new_ones(x.shape[:2], dtype=torch.bool) if mask is None else mask
        slots = _Slots(mask[:, None].to(x.dtype))
        h = slots.packing.pad(self.norm(slots.packing.pack(x)))  # (B, N, F)
        h = self.first(h.transpose(1, 2) * slots.mask, slots)  # (B, C, N)
        for unit, stride in zip(self.units, self.strides, strict=True):
            slots = slots.halved() if stride == 2 else slots
            h = unit(h, slots)  # (B, C, N')
        return self.head(h.sum(2) / slots.mask.sum(2).clamp(min=1))
