"""LorentzNet as the paper writes it (arXiv:2201.08187): dense, padded, one node at a time."""

from __future__ import annotations

import torch
from torch import nn

METRIC = torch.tensor([-1.0, -1.0, -1.0, 1.0])


def squash(v: torch.Tensor) -> torch.Tensor:
    return torch.sign(v) * torch.log(v.abs() + 1)


def product(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    return (p * q * METRIC.to(p)).sum(-1)


def reference(network: nn.Module, p: torch.Tensor) -> torch.Tensor:
    """Logits of one jet, (N, 4) px py pz E, with the layers of our network, in its precision.

    In training, normalisation is over the edges and nodes of this jet.
    """
    x = torch.cat([network.beams.to(p), p])
    mass = squash(product(x, x).abs().sqrt())
    beam = torch.tensor([1.0, 1.0] + [0.0] * len(p)).to(p)
    scalars = torch.stack([mass * (1 - beam), mass * beam], 1)
    h = network.embedding(scalars)
    i, j = (~torch.eye(len(x), dtype=torch.bool)).nonzero().T
    for block in network.blocks:
        h, x = step(block, h, x, scalars, i, j)
    return network.head(h.mean(0, keepdim=True))[0]


def step(block, h, x, scalars, i, j):
    apart = x[i] - x[j]
    invariants = torch.stack([squash(product(apart, apart)), squash(product(x[i], x[j]))], 1)
    m = block.phi_e(torch.cat([h[i], h[j], invariants], 1))
    m = m * block.phi_m(m)
    moved = x
    if block.phi_x is not None:
        terms = (block.phi_x(m) * apart).clamp(-block.limit, block.limit)
        moved = x + block.c * torch.stack([terms[i == k].mean(0) for k in range(len(x))])
    heard = torch.stack([m[i == k].sum(0) for k in range(len(x))])
    return h + block.phi_h(torch.cat([h, heard, scalars], 1)), moved
