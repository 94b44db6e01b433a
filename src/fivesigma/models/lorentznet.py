"""LorentzNet: messages between four-momenta that know their inner products only."""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from fivesigma.models.blocks import MOMENTA, NetworkInputs, split_columns
from fivesigma.models.minkowski import (
    Slice,
    batched_by_size,
    full_precision,
    inner,
    minkowski_squared,
    psi,
    with_beams,
)
from fivesigma.models.norms import folded, remember
from fivesigma.models.packing import Packing

__all__ = ["LorentzBlock", "LorentzNet"]

READOUTS = ("masked", "legacy")


class Graph(NamedTuple):
    """What does not change from block to block; M = 2 + N nodes, the beams first.

    Attributes:
        scalars: (B, M, S) what is known of each node besides its four-momentum.
        real: (B, M) true for beams and real constituents.
        edges: (B, M, M) true for pairs of different real nodes.
        packing: of the nodes.
        cuts: slices of jets whose messages are computed together.
    """

    scalars: torch.Tensor
    real: torch.Tensor
    edges: torch.Tensor
    packing: Packing
    cuts: list[Slice]


class LorentzNet(nn.Module):
    r"""LorentzNet, arXiv:2201.08187: 224 072 parameters for two classes.

    The nodes are the constituents and two beams (0, 0, +-1, sqrt 2); the metric is (+, -, -, -).
    Scalars of a node are $\psi(m)$ in one of two columns, that of constituents or that of beams,
    then the features besides the four-momentum, 0 for beams. Logits do not change when
    constituents and beams are boosted and rotated together; for beams that stay, they do not
    change under rotations about z and under reflections at planes along z or across it.

    Weights of other implementations load after renaming, where their layers are numbered from 0:

    | part | here | shape |
    |---|---|---|
    | embedding | `embedding` | (width, S) |
    | phi_e of block i: linear, normalisation, linear | `blocks.i.phi_e.{0,1,3}` | inputs h_i, h_j,
      psi of the squared distance, psi of the inner product |
    | phi_m, phi_x, phi_h of block i | `blocks.i.phi_m.0`, `.phi_x.{0,2}`, `.phi_h.{0,1,3}` | |
    | decoder | `head.{0,3}` | |

    (`LGEBs.i` for `blocks.i` in the authors' weights.)

    Args:
        n_classes: number of classes.
        inputs: kind "constituents", with the features `px py pz energy` [GeV].
        width: of the nodes' state and of messages.
        blocks: number of blocks.
        c: how far a block moves four-momenta; the paper's 0.005 (top quarks), 0.001 (quark-gluon).
        limit: largest change of a component by one neighbour, before c [GeV]. It keeps
            trainings stable; where it acts, the network is not invariant. 0: none.
        dropout: in the decoder, in training.
        readout: "masked", the mean over beams and constituents; "legacy", their sum over the
            number of slots with padding, as the authors' weights were trained with: logits then
            depend on the longest jet in the batch.
        recompute: computes messages anew for the gradients and does not keep them: about a third
            more time, but not some 17 MB for each jet of 45 constituents.

    Raises:
        ValueError: no four-momentum among the features, or an unknown readout.
    """

    kind = "constituents"
    features = MOMENTA
    max_constituents = 128
    beams: torch.Tensor

    def __init__(
        self,
        n_classes: int,
        inputs: NetworkInputs,
        *,
        width: int = 72,
        blocks: int = 6,
        c: float = 5e-3,
        limit: float = 100.0,
        dropout: float = 0.2,
        readout: str = "masked",
        recompute: bool = False,
    ) -> None:
        super().__init__()
        if readout not in READOUTS:
            message = f"unknown readout {readout!r}; choose from {', '.join(READOUTS)}"
            raise ValueError(message)
        if blocks < 1:
            message = f"got {blocks} blocks; a LorentzNet needs at least 1"
            raise ValueError(message)
        self.momenta, self.others = split_columns(inputs.features, MOMENTA)
        self.width, self.readout = width, readout
        beams = torch.tensor([[0.0, 0.0, 1.0, math.sqrt(2)], [0.0, 0.0, -1.0, math.sqrt(2)]])
        self.register_buffer("beams", beams, persistent=False)
        scalars = 2 + len(self.others)
        self.embedding = nn.Linear(scalars, width)
        self.blocks = nn.ModuleList(
            # nothing reads the four-momenta behind the last block
            LorentzBlock(width, scalars, c, limit, recompute, moves=i < blocks - 1)
            for i in range(blocks)
        )
        self.head = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Dropout(dropout), nn.Linear(width, n_classes)
        )

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Constituents (B, N, F) and their mask (B, N) to logits (B, n_classes)."""
        if mask is None:
            mask = x.new_ones(x.shape[:2], dtype=torch.bool)
        order, cuts = batched_by_size(mask, 2, self.width)
        with full_precision(x.device):
            if order is None:
                return self._logits(x, mask, cuts)
            return self._logits(x[order], mask[order], cuts)[order.argsort()]

    def _logits(self, x: torch.Tensor, mask: torch.Tensor, cuts: list[Slice]) -> torch.Tensor:
        p, real = with_beams(x[..., self.momenta], mask, self.beams)  # (B, M, 4), (B, M)
        others = torch.where(mask[..., None], x[..., self.others], 0.0)  # (B, N, S - 2)
        scalars = _scalars(p, others, x.dtype)  # (B, M, S)
        unequal = ~torch.eye(p.shape[1], dtype=torch.bool, device=p.device)
        edges = real[:, :, None] & real[:, None] & unequal
        graph = Graph(scalars, real, edges, Packing(real), cuts)
        h = self.embedding(scalars)  # (B, M, C)
        for block in self.blocks:
            h, p = block(h, p, graph)
        return self.head(self._pool(h, real))

    def _pool(self, h: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        total = torch.where(real[..., None], h, 0.0).sum(1)  # (B, C)
        if self.readout == "legacy":
            return total / real.shape[1]
        return total / real.sum(1, keepdim=True)


class LorentzBlock(nn.Module):
    r"""Lorentz group equivariant block, arXiv:2201.08187, section 3.1.

    $$m_{ij} = \phi_e\big(h_i, h_j, \psi(\|x_i - x_j\|^2), \psi(\langle x_i, x_j\rangle)\big),
    \quad m_{ij} \leftarrow \phi_m(m_{ij})\, m_{ij}$$
    $$x_i \leftarrow x_i + \frac{c}{n - 1} \sum_{j \ne i} \phi_x(m_{ij})\, (x_i - x_j),
    \quad h_i \leftarrow h_i + \phi_h\big(h_i, \textstyle\sum_{j \ne i} m_{ij}, s_i\big)$$

    Args:
        width: of h and of messages.
        scalars: number of scalars s.
        c: how far four-momenta move.
        limit: of each component of a term of the sum over j [GeV]; 0: none.
        recompute: see `LorentzNet`.
        moves: whether four-momenta change.
    """

    def __init__(
        self, width: int, scalars: int, c: float, limit: float, recompute: bool, *, moves: bool
    ) -> None:
        super().__init__()
        self.c, self.limit, self.recompute = c, limit, recompute
        self.phi_e = nn.Sequential(
            *(nn.Linear(2 * width + 2, width, bias=False), nn.BatchNorm1d(width), nn.ReLU()),
            *(nn.Linear(width, width), nn.ReLU()),
        )
        self.phi_m = nn.Sequential(nn.Linear(width, 1), nn.Sigmoid())
        self.phi_h = nn.Sequential(
            *(nn.Linear(2 * width + scalars, width), nn.BatchNorm1d(width), nn.ReLU()),
            nn.Linear(width, width),
        )
        self.phi_x = _careful(width) if moves else None

    def forward(
        self, h: torch.Tensor, p: torch.Tensor, graph: Graph
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """States (B, M, C) and four-momenta (B, M, 4) to new ones."""
        v = _invariants(p, h.dtype)  # (B, M, M, 2)
        a, b, w = self._first_layer(h, v, graph.edges)
        heard, shifts = [], []
        for start, stop, n in graph.cuts:
            nodes, pairs = (slice(start, stop), slice(n)), (slice(start, stop), slice(n), slice(n))
            arguments = (a[nodes], b[nodes], w, v[pairs], p[nodes], graph.edges[pairs])
            sums, shift = self._messages_kept_or_not(*arguments)
            heard.append(_longer(sums, h.shape[1]))
            shifts.append(_longer(shift, h.shape[1]))
        known = torch.cat([h, torch.cat(heard), graph.scalars], -1)  # (B, M, 2 C + S)
        h = h + graph.packing.pad(self.phi_h(graph.packing.pack(known)))
        return h, p + self.c * torch.cat(shifts) if self.phi_x else p

    def _first_layer(
        self, h: torch.Tensor, v: torch.Tensor, edges: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Terms (B, M, C) of i and of j and the weight (C, 2) of v, normalised: their sum is.

        Moments of a sum of terms of nodes and pairs need no visit to all C numbers of all pairs.
        """
        linear, norm = cast(nn.Linear, self.phi_e[0]), cast(nn.BatchNorm1d, self.phi_e[1])
        w_i, w_j, w = linear.weight.split([h.shape[-1], h.shape[-1], 2], 1)
        a, b = h @ w_i.T, h @ w_j.T
        if self.training:
            mean, var = _moments(a, b, w, v, edges)
            remember(norm, mean, var, edges.sum())
            scale, shift = folded(norm, mean, var)
        else:
            scale, shift = folded(norm)
        return a * scale + shift, b * scale, w * scale[:, None]

    def _messages_kept_or_not(self, *arguments: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self.recompute and self.training and torch.is_grad_enabled():
            return checkpoint(self._messages, *arguments, use_reentrant=False)
        return self._messages(*arguments)

    def _messages(
        self,
        a: torch.Tensor,
        b: torch.Tensor,
        w: torch.Tensor,
        v: torch.Tensor,
        p: torch.Tensor,
        edges: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Sums over j of messages (B, M, C), and the means of how they move i (B, M, 4)."""
        m = (v @ w.T).add_(a[:, :, None]).add_(b[:, None]).relu_()  # (B, M, M, C)
        m = self.phi_e[3](m).relu_()
        m = m * (self.phi_m(m) * edges[..., None])
        heard = m.sum(2)
        if self.phi_x is None:
            return heard, p
        away = self.phi_x(m) * (p[:, :, None] - p[:, None])  # (B, M, M, 4)
        if self.limit:
            away = away.clamp(-self.limit, self.limit)
        neighbours = edges.sum(2, keepdim=True).clamp(min=1)
        return heard, torch.where(edges[..., None], away, 0.0).sum(2) / neighbours


def _careful(width: int) -> nn.Sequential:
    """phi_x, which starts near 0 so that four-momenta of hundreds of GeV do not run away."""
    last = nn.Linear(width, 1, bias=False)
    nn.init.xavier_uniform_(last.weight, gain=1e-3)
    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), last)


def _scalars(p: torch.Tensor, others: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """(B, M, 4) and (B, N, S - 2) to (B, M, S), the beams in a column of their own."""
    # at 0, the slope of a square root is infinite
    mass = psi(minkowski_squared(p).abs().clamp(min=1e-20).sqrt()).to(dtype)[..., None]
    none = torch.zeros_like(mass[:, :2])
    beams = torch.cat([none, mass[:, :2], others.new_zeros(p.shape[0], 2, others.shape[2])], -1)
    constituents = torch.cat([mass[:, 2:], torch.zeros_like(mass[:, 2:]), others], -1)
    return torch.cat([beams, constituents], 1)


def _invariants(p: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """psi of squared distances and of inner products: (B, M, M, 2)."""
    products = inner(p)
    squares = minkowski_squared(p)
    distances = squares[:, :, None] + squares[:, None] - 2 * products
    return psi(torch.stack([distances, products], -1).to(dtype))


def _moments(
    a: torch.Tensor, b: torch.Tensor, w: torch.Tensor, v: torch.Tensor, edges: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and variance (C,) of a_i + b_j + w v_ij over all edges, v_ij being symmetric."""
    degree = edges.sum(2, keepdim=True).to(a.dtype)  # (B, M, 1)
    total = degree.sum()
    mean_a, mean_b = (degree * a).sum((0, 1)) / total, (degree * b).sum((0, 1)) / total
    mean_v = torch.where(edges[..., None], v, 0.0).sum((0, 1, 2)) / total
    # centred, so that no large numbers cancel
    a, b = torch.where(degree > 0, a - mean_a, 0.0), torch.where(degree > 0, b - mean_b, 0.0)
    v = torch.where(edges[..., None], v - mean_v, 0.0)
    nodes = degree * (a.square() + b.square()) - 2 * a * b + 2 * (a + b) * (v.sum(2) @ w.T)
    products = 2 * (a.sum(1) * b.sum(1)).sum(0)
    flat = v.flatten(0, 2)
    pairs = (w @ (flat.T @ flat) * w).sum(1)
    variance = (nodes.sum((0, 1)) + products + pairs) / total
    return mean_a + mean_b + w @ mean_v, variance.clamp(min=0)


def _longer(h: torch.Tensor, n: int) -> torch.Tensor:
    return functional.pad(h, (0, 0, 0, n - h.shape[1]))
