"""PELICAN: all permutation-equivariant sums over a jet's table of inner products."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from fivesigma.models.blocks import MOMENTA, NetworkInputs, split_columns
from fivesigma.models.minkowski import (
    batched_by_size,
    full_precision,
    inner,
    with_beams,
)
from fivesigma.models.norms import folded, remember

__all__ = ["PELICAN", "PELICAN_PUBLISHED", "EquivariantLayer", "MessageLayer"]

#: options of the published network: 208 408 parameters for two classes
PELICAN_PUBLISHED = {"width": 132, "messages": 78, "blocks": 5}

#: multiplicity, with the beams, at which sums are means (arXiv:2307.16506)
TYPICAL = 49.0

#: slope of LeakyReLU for negative values
LEAK = 0.01


class PELICAN(nn.Module):
    r"""Permutation-equivariant and Lorentz-invariant aggregator network, arXiv:2307.16506.

    A jet is the table of inner products $d_{ij} = p_i \cdot p_j$ of its constituents and of two
    beams (0, 0, +-1, 1), each encoded in some channels as
    $$f_\alpha(d) = \big((1 + d)^{\alpha^2} - 1\big) / \alpha^2$$
    and joined by labels: what is a constituent and what a beam, and the features besides the
    four-momentum. Blocks of a `MessageLayer` and an `EquivariantLayer` follow, then one more
    messages' layer, the means of the table and of its diagonal, and two dense layers.

    The default is the paper's small network (11 k parameters there, for which it gives an AUC of
    0.986 on the top-tagging reference data): 11 390 for two classes. `PELICAN_PUBLISHED` are the
    options of the largest: 208 408. Dropout acts on means and not on pairs, where random numbers
    would cost more than the layer does.

    Logits do not change when constituents and beams are boosted and rotated together; for beams
    that stay, they do not change under rotations about z and reflections along or across it.
    Time and memory grow with the square of the multiplicity.

    Args:
        n_classes: number of classes.
        inputs: kind "constituents", with the features `px py pz energy` [GeV].
        width: channels of the table between blocks.
        messages: channels behind a message layer, where the sums are taken.
        blocks: number of blocks.
        labels: those channels of the first table that the labels make.
        dropout: of the means and in the decoder, in training.

    Raises:
        ValueError: no four-momentum among the features, or no channel left for inner products.
    """

    kind = "constituents"
    features = MOMENTA
    max_constituents = 80
    beams: torch.Tensor

    def __init__(
        self,
        n_classes: int,
        inputs: NetworkInputs,
        *,
        width: int = 24,
        messages: int = 16,
        blocks: int = 5,
        labels: int = 2,
        dropout: float = 0.025,
    ) -> None:
        super().__init__()
        if not 0 < labels < width:
            message = f"got labels={labels}; of width={width} channels, 1 to {width - 1} may be"
            raise ValueError(message)
        self.momenta, self.others = split_columns(inputs.features, MOMENTA)
        self.width = width
        beams = torch.tensor([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, -1.0, 1.0]])
        self.register_buffer("beams", beams, persistent=False)
        self.alpha = nn.Parameter(torch.linspace(0.05, 0.5, width - labels))
        known = 2 + len(self.others)
        self.label_of_first = nn.Linear(2 * known, labels)
        self.label_of_second = nn.Linear(known, labels, bias=False)
        self.label_of_diagonal = nn.Linear(2 * known, labels, bias=False)
        self.messages = nn.ModuleList(MessageLayer(width, messages) for _ in range(blocks + 1))
        self.layers = nn.ModuleList(
            EquivariantLayer(messages, width, dropout) for _ in range(blocks)
        )
        self.powers = nn.Parameter(torch.rand(2, messages))
        self.head = nn.Sequential(
            *(nn.Linear(2 * messages, width), nn.LeakyReLU(LEAK)),
            *(nn.Dropout(dropout), nn.Linear(width, n_classes)),
        )

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Constituents (B, N, F) and their mask (B, N) to logits (B, n_classes)."""
        if mask is None:
            mask = x.new_ones(x.shape[:2], dtype=torch.bool)
        # in training all slices wait for each other: fewer and larger ones
        budget = 2**21 if self.training else 2**19
        order, cuts = batched_by_size(mask, 2, 2 * self.width, budget)
        if order is not None:
            x, mask = x[order], mask[order]
        jets = [(x[i:j, : n - 2], mask[i:j, : n - 2]) for i, j, n in cuts]
        with full_precision(x.device):
            # normalisation joins the jets of a batch in training only
            together = [jets] if self.training else [[one] for one in jets]
            logits = torch.cat([self._logits(some) for some in together])
        return logits if order is None else logits[order.argsort()]

    def _logits(self, jets: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
        """Slices of a batch, x and mask, to the logits of all their jets."""
        tables, weights = zip(*(self._table(x, mask) for x, mask in jets), strict=True)
        for message, layer in zip(self.messages, self.layers, strict=False):
            messages, scale, shift = message(tables, weights)
            tables = tuple(
                layer(m, scale, shift, weight)  # (B, M, M, C)
                for m, weight in zip(messages, weights, strict=True)
            )
        messages, scale, shift = self.messages[-1](tables, weights)
        means = [self._means(*one, scale, shift) for one in zip(messages, weights, strict=True)]
        return self.head(torch.cat(means))

    def _table(self, x: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The first table (B, M, M, C), and what is real (B, M), 0 or 1; the beams are first."""
        p, real = with_beams(x[..., self.momenta], mask, self.beams)  # (B, M, 4), (B, M)
        weight = real.to(x.dtype)
        others = torch.where(mask[..., None], x[..., self.others], 0.0)  # (B, N, S)
        table = torch.cat([self._encoded(p, x.dtype), self._labels(others, weight)], -1)
        return table, weight

    def _means(
        self, m: torch.Tensor, weight: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor
    ) -> torch.Tensor:
        """Messages (B, M, M, C) to the means of table and diagonal: (B, 2 C)."""
        diagonal = m.diagonal(dim1=1, dim2=2).transpose(1, 2)
        means = torch.stack([_table_mean(m, weight), _node_mean(diagonal, weight)], 1)
        means = (means * scale + shift) * _multiplicity(weight, self.powers)
        return functional.leaky_relu(means, LEAK).flatten(1)

    def _encoded(self, p: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        """Four-momenta (B, M, 4) to encoded inner products (B, M, M, C - L)."""
        # timelike and lightlike vectors of positive energy have none below 0 but by rounding
        logs = inner(p).clamp(min=0).log1p().to(dtype)[..., None]
        power = self.alpha.square() + 1e-6
        return torch.expm1(logs * power) / power

    def _labels(self, others: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        """Labels of nodes, spread over rows, columns, diagonal and table: (B, M, M, L)."""
        ones = others.new_ones(2, 1)
        beams = functional.pad(ones, (1, others.shape[2])).expand(others.shape[0], 2, -1)
        constituents = functional.pad(others, (2, 0)) + functional.pad(
            weight[:, 2:, None], (0, 1 + others.shape[2])
        )
        known = torch.cat([beams, constituents], 1)  # (B, M, 2 + S)
        both = torch.cat([known, _node_mean(known, weight)[:, None].expand_as(known)], -1)
        table = self.label_of_first(both)[:, :, None] + self.label_of_second(known)[:, None]
        return _add_to_diagonal(table, self.label_of_diagonal(both))


class MessageLayer(nn.Module):
    """Dense layer of each pair, LeakyReLU and batch normalisation over real pairs.

    The normalisation comes back as a scale and a shift, which the next layer takes into its
    weights: no pass over all pairs is spent on it.

    Args:
        width: channels before.
        messages: channels behind.
    """

    def __init__(self, width: int, messages: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, messages)
        nn.init.kaiming_normal_(self.linear.weight, a=LEAK, nonlinearity="leaky_relu")
        self.norm = nn.BatchNorm1d(messages)

    def forward(
        self, tables: Sequence[torch.Tensor], weights: Sequence[torch.Tensor]
    ) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
        """Slices (B, M, M, C) and what is real (B, M), 0 or 1, to messages, scale and shift."""
        messages = [functional.leaky_relu_(self.linear(h), LEAK) for h in tables]
        if not self.training:
            return messages, *folded(self.norm)
        # of all pairs in the batch, those of one jet
        pairs = torch.cat([weight.sum(1).square() for weight in weights])[:, None]
        share = pairs / pairs.sum()
        both = list(zip(messages, weights, strict=True))
        mean = (share * torch.cat([_table_mean(m, weight) for m, weight in both])).sum(0)
        # centred, so that no large numbers cancel
        squares = [_table_mean((m - mean).square(), weight) for m, weight in both]
        var = (share * torch.cat(squares)).sum(0)
        remember(self.norm, mean, var, pairs.sum())
        return messages, *folded(self.norm, mean, var)


class EquivariantLayer(nn.Module):
    r"""All 15 linear maps from tables to tables that permutations commute with, and LeakyReLU.

    With rows' means, columns' means, the diagonal, its mean (trace) and the table's mean (total),
    scaled by $(n / 49)^\alpha$ in each channel (arXiv:2307.16506, section 3),
    $$h'_{ij} = K_0 h_{ij} + K_1 h_{ji} + r_i + c_j + \delta_{ij} d_i.$$
    r mixes all five of them, c the first three and d all five. The weights are
    $K_k = A_{mk} C_{mw} + B_{wk} D_{mw}$.

    Args:
        messages: channels before.
        width: channels behind.
        dropout: of the means and the diagonal, in training.
    """

    def __init__(self, messages: int, width: int, dropout: float) -> None:
        super().__init__()
        self.map_in = nn.Parameter(torch.randn(15, messages, 1) / 15**0.5)
        self.map_out = nn.Parameter(torch.randn(15, 1, width) / 15**0.5)
        self.mix_in = nn.Parameter(torch.randn(messages, width) / messages**0.5)
        self.mix_out = nn.Parameter(torch.randn(messages, width) / messages**0.5)
        self.powers = nn.Parameter(torch.rand(10, messages))
        self.bias = nn.Parameter(torch.zeros(width))
        self.diagonal_bias = nn.Parameter(torch.zeros(width))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, m: torch.Tensor, scale: torch.Tensor, shift: torch.Tensor, weight: torch.Tensor
    ) -> torch.Tensor:
        """Messages (B, M, M, C), their scale and shift (C,), and what is real, to a new table."""
        k = self.map_in * self.mix_in + self.map_out * self.mix_out  # (15, C, W)
        first, second, both = self._nodes(m, scale, shift, weight, k)
        h = m @ (scale[:, None] * k[0])  # (B, M, M, W)
        turned = m @ (scale[:, None] * k[1])
        first = first + shift @ (k[0] + k[1]) + self.bias
        h = h.add_(turned.transpose(1, 2)).add_(first[:, :, None]).add_(second[:, None])
        h = _add_to_diagonal(h, both + self.diagonal_bias)
        return functional.leaky_relu_(h, LEAK)

    def _nodes(
        self,
        m: torch.Tensor,
        scale: torch.Tensor,
        shift: torch.Tensor,
        weight: torch.Tensor,
        k: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """What (B, M, W) is added to rows, to columns and to the diagonal."""
        rows, columns, diagonal = (one * scale + shift for one in _lines(m, weight))
        single = torch.stack([_node_mean(diagonal, weight), _node_mean(rows, weight)], 1)
        lines = self.dropout(torch.stack([diagonal, rows, columns], 2))  # (B, M, 3, C)
        single = self.dropout(single)  # (B, 2, C): trace and total
        n = _multiplicity(weight, self.powers)  # (B, 10, C)
        one = torch.ones_like(n[:, :1])
        added = []
        for i in range(3):
            scales = torch.cat([one, n[:, 2 * i : 2 * i + 2]], 1)[:, None]  # (B, 1, 3, C)
            added.append((lines * scales).flatten(2) @ k[2 + 3 * i : 5 + 3 * i].flatten(0, 1))
        to_all, to_diagonal = (
            (single * n[:, 6 + 2 * i : 8 + 2 * i]).flatten(1)
            @ k[11 + 2 * i : 13 + 2 * i].flatten(0, 1)
            for i in range(2)
        )
        return added[0] + to_all[:, None], added[1], added[2] + to_diagonal[:, None]


def _lines(
    m: torch.Tensor, weight: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Means over j, means over i, and the diagonal of (B, M, M, C): (B, M, C) each."""
    n = weight.sum(1)[:, None, None]
    rows = (weight[:, None, None] @ m)[:, :, 0]
    columns = (weight[:, None] @ m.flatten(2)).view(m.shape[0], m.shape[2], m.shape[3])
    return rows / n, columns / n, m.diagonal(dim1=1, dim2=2).transpose(1, 2)


def _node_mean(h: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """(B, M, C) averaged over real nodes: (B, C)."""
    return (weight[:, None] @ h)[:, 0] / weight.sum(1, keepdim=True)


def _table_mean(m: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """(B, M, M, C) averaged over real pairs: (B, C)."""
    columns = (weight[:, None] @ m.flatten(2)).view(m.shape[0], m.shape[2], m.shape[3])
    return _node_mean(columns / weight.sum(1)[:, None, None], weight)


def _multiplicity(weight: torch.Tensor, powers: torch.Tensor) -> torch.Tensor:
    """(n / 49)^powers of real nodes (B, M), for powers (K, C): (B, K, C)."""
    return torch.exp((weight.sum(1) / TYPICAL).log()[:, None, None] * powers)


def _add_to_diagonal(h: torch.Tensor, d: torch.Tensor) -> torch.Tensor:
    """(B, M, M, C) with (B, M, C) on the diagonal, changed in place."""
    if torch.compiler.is_compiling():
        eye = torch.eye(h.shape[1], dtype=torch.bool, device=h.device)
        return h + torch.where(eye[..., None], d[:, :, None], 0.0)
    jets = torch.arange(h.shape[0], device=h.device)[:, None]
    nodes = torch.arange(h.shape[1], device=h.device)
    return h.index_put_((jets, nodes, nodes), d, accumulate=True)
