"""Networks of jets as particle clouds: convolutions over each constituent's neighbours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from fivesigma.features import FEATURE_SETS
from fivesigma.models.blocks import NetworkInputs, dense, masked_sum, split_columns
from fivesigma.models.norms import RowNorm, folded
from fivesigma.models.packing import Packing

__all__ = ["EdgeConv", "ParticleNet", "ParticleNetLite", "nearest"]

#: bits of an integer that hold a slot's number, beside 31 that hold a distance
_SLOT_BITS = 20
#: infinite distance among such integers
_INFINITE = 0x7F80_0000 << _SLOT_BITS
#: constituents whose edges a CPU computes at a time without gradients, so few that they stay in
#: its cache; other devices are limited by their memory alone
_CHUNK = {"cpu": 128}
#: bits of squared distances that do not count, in a plane and in spaces of more dimensions
_PLANE, _SPACE = 10, 5


def _coarse(x: torch.Tensor, bits: int) -> torch.Tensor:
    """Numbers >= 0 without their last bits, by sums that ONNX does likewise (Veltkamp's split)."""
    high = x * (2**bits + 1)
    return high - (high - x)


def _squared_distances(x: torch.Tensor) -> torch.Tensor:
    """(B, N, C) to (B, N, N), no larger error than rounding, exactly 0 for equal rows."""
    if x.shape[2] <= 3:
        parts = [(column[:, :, None] - column[:, None]) ** 2 for column in x.unbind(2)]
        return sum(parts[1:], parts[0])
    if torch.compiler.is_exporting():
        x = x.double()  # so that what cancels below leaves no rounding
        square = x.square().sum(2)  # (B, N)
        product = x @ x.transpose(1, 2)  # (B, N, N)
        return (square[:, :, None] + square[:, None] - 2 * product).clamp(min=0).float()
    return torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").square()


@torch.no_grad()
def nearest(points: torch.Tensor, mask: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The k nearest other constituents of each one.

    Of those at equal distance the one in the lower slot comes first. The last bits of distances
    do not count: on a calorimeter's grid many are equally near but for rounding, which is not the
    same here and in ONNX. One that lies on top of another is its neighbour; only the constituent
    itself is left out.

    Args:
        points: (B, N, C) coordinates.
        mask: (B, N) true for real constituents.
        k: neighbours.

    Returns:
        (B, N, k) slots in no order, and (B, N, k) whether there is a constituent: in a jet with
        n < k + 1 constituents each has n - 1 neighbours.
    """
    points = points.to(torch.promote_types(points.dtype, torch.float32))
    unsure = _PLANE if points.shape[2] <= 3 else _SPACE
    distance = _coarse(_squared_distances(points), unsure)  # (B, N, N)
    itself = torch.eye(points.shape[1], dtype=torch.bool, device=points.device)
    distance = distance.masked_fill(itself | ~mask[:, None], math.inf)
    exporting = torch.compiler.is_exporting()
    # where N may be anything there must be k columns for any N
    missing = k if exporting else max(k - points.shape[1], 0)
    distance = functional.pad(distance, (0, missing), value=math.inf)
    if exporting:  # TopK of ONNX takes the first of equals, and ONNX cannot see floats as integers
        found, slot = distance.topk(k, largest=False)
        return slot.clamp(max=points.shape[1] - 1), found < math.inf
    # floats >= 0 are ordered as the integers of the same bits: the slot decides where those agree
    slots = torch.arange(distance.shape[2], device=points.device)
    key = (distance.float().view(torch.int32).long() << _SLOT_BITS) | slots
    key = key.topk(k, largest=False, sorted=False).values
    return (key & (2**_SLOT_BITS - 1)).clamp(max=points.shape[1] - 1), key < _INFINITE


class EdgeConv(nn.Module):
    r"""Edge convolution, arXiv:1801.07829, with the shortcut of arXiv:1902.08570.

    $$x_i' = \mathrm{ReLU}\Big(S(x_i) + \frac1k \sum_{j \in N(i)} h(x_i, x_j - x_i)\Big)$$

    h has linear layers without bias, each with batch normalisation and ReLU. Where fewer than k
    neighbours exist, zeros stand for the others' $x_j$.

    Args:
        before: width of $x_i$.
        widths: of the layers of h.
    """

    def __init__(self, before: int, widths: Sequence[int]) -> None:
        super().__init__()
        all_widths = (2 * before, *widths)
        self.linears = nn.ModuleList(
            nn.Linear(a, b, bias=False) for a, b in zip(all_widths, widths, strict=False)
        )
        self.norms = nn.ModuleList(RowNorm(width) for width in widths)
        self.shortcut = nn.Sequential()
        if before != widths[-1]:
            self.shortcut = nn.Sequential(
                nn.Linear(before, widths[-1], bias=False), RowNorm(widths[-1])
            )

    def forward(self, h: torch.Tensor, neighbours: torch.Tensor) -> torch.Tensor:
        """One convolution.

        Args:
            h: (T, C) of the constituents.
            neighbours: (T, k) rows of their neighbours; T stands for none.

        Returns:
            (T, L).
        """
        layers = [self._layer(*pair) for pair in zip(self.linears, self.norms, strict=True)]
        weight, bias = layers[0]
        of_own, of_other = weight.chunk(2, 1)
        # linear in (x_i, x_j - x_i): computed once per constituent, not once per edge
        own = functional.linear(h, of_own - of_other, bias)  # (T, C1)
        other = functional.linear(h, of_other)  # (T, C1)
        other = functional.pad(other, (0, 0, 0, 1))  # (T + 1, C1), the last of no neighbour
        size = _CHUNK.get(h.device.type, 1 << 17)
        if self.training or torch.is_grad_enabled() or torch.compiler.is_exporting():
            mean = self._mean(own, other, neighbours, layers)
        else:
            parts = zip(own.split(size), neighbours.split(size), strict=True)
            mean = torch.cat([self._mean(a, other, rows, layers) for a, rows in parts])
        return (self.shortcut(h) + mean).relu_()  # (T, L)

    def _layer(self, linear: Any, norm: Any) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Weight and bias; in evaluation those of the normalisation are in them."""
        if self.training:
            return linear.weight, None
        scale, shift = folded(norm)
        return linear.weight * scale[:, None], shift

    def _mean(
        self,
        own: torch.Tensor,
        other: torch.Tensor,
        neighbours: torch.Tensor,
        layers: list[tuple[torch.Tensor, torch.Tensor | None]],
    ) -> torch.Tensor:
        """(t, C1) of constituents, (T + 1, C1) of neighbours, (t, k) rows to (t, L)."""
        edges = functional.embedding(neighbours, other)  # (t, k, C1)
        edges = (edges + own[:, None]).flatten(0, 1)  # (t * k, C1)
        for i, (weight, bias) in enumerate(layers):
            if i:
                edges = functional.linear(edges, weight, bias)
            edges = (self.norms[i](edges) if self.training else edges).relu_()
        return edges.unflatten(0, (-1, neighbours.shape[1])).mean(1)


class ParticleNet(nn.Module):
    """ParticleNet, arXiv:1902.08570: edge convolutions over nearest neighbours, then the mean.

    The neighbours of the first are those in (deta, dphi), of the others those in the values that
    the one before gave. 366 160 parameters with 7 features and 2 classes. The layout is that of
    the weights which its authors published for the classes of JetClass (arXiv:2202.03772).

    Args:
        n_classes: number of classes.
        inputs: kind "constituents"; `deta` and `dphi` are among the features.
        k: neighbours of a constituent.
        blocks: of each edge convolution, the widths of its layers.
        head: hidden widths after the mean.
        dropout: in the head, in training.

    Raises:
        ValueError: `deta` or `dphi` is missing, no convolution, or k below 1.
    """

    kind = "constituents"
    features = FEATURE_SETS["kin"]
    max_constituents = 128

    def __init__(
        self,
        n_classes: int,
        inputs: NetworkInputs,
        *,
        k: int = 16,
        blocks: Sequence[Sequence[int]] = ((64, 64, 64), (128, 128, 128), (256, 256, 256)),
        head: Sequence[int] = (256,),
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if k < 1 or not blocks or not all(blocks):
            message = (
                f"got k = {k} and the blocks {blocks}; "
                "give at least one neighbour, one block, and one width per block"
            )
            raise ValueError(message)
        self.k = k
        self.points, _ = split_columns(inputs.features, ("deta", "dphi"))
        self.norm = RowNorm(len(inputs.features))
        before = [len(inputs.features), *(widths[-1] for widths in blocks)]
        self.blocks = nn.ModuleList(
            EdgeConv(width, widths) for width, widths in zip(before, blocks, strict=False)
        )
        self.head = dense((before[-1], *head, n_classes), dropout=dropout)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Constituents (B, N, F) and their mask (B, N) to logits (B, n_classes)."""
        mask = x.new_ones(x.shape[:2], dtype=torch.bool) if mask is None else mask
        packing = Packing(mask)
        points = x[..., self.points]  # (B, N, 2)
        h = self.norm(packing.pack(x))  # (T, F)
        for i, block in enumerate(self.blocks):
            if i:
                points = packing.pad(h)  # (B, N, C)
            h = block(h, self._neighbours(points, mask, packing))
        h = masked_sum(packing.pad(h), mask)  # (B, L)
        return self.head(h / mask.sum(1, keepdim=True).clamp(min=1))

    def _neighbours(
        self, points: torch.Tensor, mask: torch.Tensor, packing: Packing
    ) -> torch.Tensor:
        """(T, k) rows of each constituent's neighbours among the packed; T where there is none."""
        slots, there = nearest(points, mask, self.k)  # (B, N, k)
        count = torch.ones_like(mask) if packing.rows is None else mask
        rows = count.flatten().cumsum(0).unflatten(0, mask.shape) - 1  # (B, N) row of each slot
        found = rows[:, None].expand(-1, mask.shape[1], -1).gather(2, slots)
        none = mask.numel() if packing.rows is None else len(packing.rows)
        return packing.pack(torch.where(there, found, none))


class ParticleNetLite(ParticleNet):
    """The small ParticleNet of the same article, 26 416 parameters with 7 features, 2 classes.

    Args:
        n_classes: number of classes.
        inputs: kind "constituents"; `deta` and `dphi` are among the features.
        k: neighbours of a constituent.
        blocks: of each edge convolution, the widths of its layers.
        head: hidden widths after the mean.
        dropout: in the head, in training.

    Raises:
        ValueError: as `ParticleNet`.
    """

    def __init__(
        self,
        n_classes: int,
        inputs: NetworkInputs,
        *,
        k: int = 7,
        blocks: Sequence[Sequence[int]] = ((32, 32, 32), (64, 64, 64)),
        head: Sequence[int] = (128,),
        dropout: float = 0.1,
    ) -> None:
        super().__init__(n_classes, inputs, k=k, blocks=blocks, head=head, dropout=dropout)
