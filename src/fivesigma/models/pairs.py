"""Jets without their padding: constituents, the pairs of them, and what is known about a pair."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from fivesigma.models.norms import RowNorm, folded

__all__ = ["PAIR_FEATURES", "PairEmbedding", "Ragged", "Slice", "pair_features", "polar"]

#: of two constituents, in the order of the published weights
PAIR_FEATURES = ("ln_kt", "ln_z", "ln_dr", "ln_m2")
#: what stands for the logarithm of nothing [GeV, GeV^2, 1]
_EPSILON = 1e-8
#: the attention that padding gets before the softmax: none is left, in half precision as well,
#: and unlike -inf it leaves no NaN where a jet has no constituents
_NOTHING = -3e4
#: pairs embedded at a time without gradients, so few that they stay in a CPU's cache
_CHUNK = {"cpu": 4096}


class Slice(NamedTuple):
    """Jets of like multiplicity: ranges of jets, rows and pairs, and the slots each jet needs."""

    jets: slice
    rows: slice
    pairs: slice
    length: int


class Ragged:
    """The real constituents of a padded batch, jets in the order of their multiplicity.

    Attributes:
        order: (B,) jets, by multiplicity.
        rows: (T,) slots, b * N + n, of the real constituents, jet after jet.
        jet: (T,) place of a constituent's jet in `order`.
        position: (T,) place of a constituent in its jet.
        counts: multiplicities, ascending.
    """

    def __init__(self, mask: torch.Tensor) -> None:
        counts, self.order = mask.sum(1).sort(stable=True)
        self.counts: list[int] = counts.tolist()
        found = mask[self.order].flatten().nonzero()[:, 0]
        n = max(mask.shape[1], 1)
        self.jet = found // n
        self.rows = self.order[self.jet] * n + found % n
        self._row = torch.arange(len(found), device=mask.device)
        self.position = self._row - (counts.cumsum(0) - counts)[self.jet]

    def pack(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N, ...) padded to (T, ...)."""
        return x.flatten(0, 1)[self.rows]

    def restore(self, h: torch.Tensor) -> torch.Tensor:
        """(B, ...) in the order of multiplicities to the batch's own."""
        return torch.empty_like(h).index_copy(0, self.order, h)

    def pairs(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(P,) rows of both in each pair, also of each with itself; the second is never behind."""
        width = self.position + 1
        n_pairs = sum(n * (n + 1) // 2 for n in self.counts)
        first = self._row.repeat_interleave(width, output_size=n_pairs)
        within = torch.arange(n_pairs, device=first.device) - (width.cumsum(0) - width)[first]
        return first, (self._row - self.position)[first] + within

    def slices(self, budget: float, multiple: int = 1) -> Iterator[Slice]:
        """Jets of like multiplicity together.

        Args:
            budget: the most slots squared, summed over the jets of a slice; at least one jet.
            multiple: of which the slots are.
        """
        rows = [0, *accumulate(self.counts)]
        pairs = [0, *accumulate(n * (n + 1) // 2 for n in self.counts)]
        start = 0
        for stop in range(1, len(self.counts) + 1):
            end = stop == len(self.counts)
            if end or (stop + 1 - start) * self.counts[stop] ** 2 > budget:
                length = max(-(-self.counts[stop - 1] // multiple) * multiple, multiple)
                yield Slice(
                    slice(start, stop),
                    slice(rows[start], rows[stop]),
                    slice(pairs[start], pairs[stop]),
                    length,
                )
                start = stop

    def pad(self, h: torch.Tensor, of: Slice) -> torch.Tensor:
        """(t, C) of a slice's constituents to (b, n, C), zeros in the padding."""
        n, b = of.length, of.jets.stop - of.jets.start
        slots = (self.jet[of.rows] - of.jets.start) * n + self.position[of.rows]
        return h.new_zeros(b * n, h.shape[1]).index_copy(0, slots, h).unflatten(0, (b, n))

    def keys(self, of: Slice, like: torch.Tensor) -> torch.Tensor:
        """(1, b, 1, n) to add to attention: 0 for real constituents, far down for padding."""
        counts = torch.tensor(self.counts[of.jets], device=like.device)
        real = torch.arange(of.length, device=like.device) < counts[:, None]
        return bias_of(real, like.dtype)

    def symmetric(
        self, values: torch.Tensor, pairs: tuple[torch.Tensor, torch.Tensor], of: Slice
    ) -> torch.Tensor:
        """(H, p) of a slice's pairs to (H, b, n, n) to add to attention, padding far down."""
        n, b = of.length, of.jets.stop - of.jets.start
        first, second = pairs[0][of.pairs], pairs[1][of.pairs]
        jet = (self.jet[first] - of.jets.start) * n * n
        i, j = self.position[first], self.position[second]
        lower, upper = jet + i * n + j, jet + j * n + i
        out = values.new_full((len(values), b * n * n), _NOTHING)
        out = out.index_copy(1, lower, values).index_copy(1, upper, values)
        return out.unflatten(1, (b, n, n))


def bias_of(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """(B, N) what is real to (1, B, 1, N) to add to attention."""
    zeros = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
    return zeros.masked_fill(~mask, _NOTHING)[None, :, None]


@torch.no_grad()
def polar(p: torch.Tensor) -> torch.Tensor:
    """(..., 4) px, py, pz, E [GeV] to (..., 7): those, pT [GeV], rapidity and azimuth [rad]."""
    p = p.float()
    px, py, pz, energy = p.unbind(-1)
    pt = (px * px + py * py).sqrt()
    # the clamp at the end is for what has less energy than momentum after rounding
    rapidity = 0.5 * (1 + 2 * pz / (energy - pz).clamp(min=1e-20)).clamp(min=1e-20).log()
    return torch.cat([p, torch.stack([pt, rapidity, torch.atan2(py, px)], -1)], -1)


@torch.no_grad()
def pair_features(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    r"""What is known about a pair, arXiv:2202.03772, eq. (3).

    $$\ln k_T = \ln(\min(p_{T,a}, p_{T,b})\,\Delta), \quad
    \ln z = \ln\frac{\min(p_{T,a}, p_{T,b})}{p_{T,a} + p_{T,b}}, \quad
    \ln\Delta = \ln\sqrt{(y_a - y_b)^2 + (\phi_a - \phi_b)^2}, \quad
    \ln m^2 = \ln\big((E_a + E_b)^2 - \|\mathbf p_a + \mathbf p_b\|^2\big)$$

    In single precision whatever the network computes in, in the order of operations that the
    published weights were trained with: the mass of collinear light constituents is mostly
    rounding, and a network knows it by that.

    Args:
        a: (..., 7) from `polar`.
        b: (..., 7), broadcastable to a.

    Returns:
        (..., 4) in the order of `PAIR_FEATURES`.
    """
    ax, ay, az, ae, a_pt, a_rapidity, a_phi = a.unbind(-1)
    bx, by, bz, be, b_pt, b_rapidity, b_phi = b.unbind(-1)
    dphi = (a_phi - b_phi).abs()
    dphi = torch.minimum(dphi, 2 * math.pi - dphi)
    dy = a_rapidity - b_rapidity
    dr = (dy * dy + dphi * dphi).sqrt()
    low = torch.minimum(a_pt, b_pt)
    z = low / (a_pt + b_pt).clamp(min=_EPSILON)
    x, y, pz, energy = ax + bx, ay + by, az + bz, ae + be
    m2 = energy * energy - (x * x + y * y + pz * pz)
    return torch.stack([low * dr, z, dr, m2], -1).clamp(min=_EPSILON).log()


class PairEmbedding(nn.Module):
    """What each head of an attention adds for a pair: a small network of the pair's features.

    Batch normalisation, then linear layers, each with batch normalisation and GELU, the last one
    too.

    Args:
        widths: of the layers; the last is the number of heads.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        layers: list[nn.Module] = [RowNorm(len(PAIR_FEATURES))]
        for before, after in zip((len(PAIR_FEATURES), *widths), widths, strict=False):
            layers += [nn.Linear(before, after), RowNorm(after), nn.GELU()]
        self.embed = nn.Sequential(*layers)

    def forward(self, p: torch.Tensor, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Of pairs of rows.

        Args:
            p: (T, 7) from `polar`.
            first: (P,) rows.
            second: (P,) rows.

        Returns:
            (H, P).
        """
        if self.training or torch.is_grad_enabled():
            return self.embed(self._features(p[first], p[second])).T
        layers = self._folded()
        parts = []
        size = _CHUNK.get(p.device.type, max(len(first), 1))
        for i, j in zip(first.split(size), second.split(size), strict=True):
            h = self.embed[0](self._features(p[i], p[j]))
            parts.append(_embedded(h, layers).T)
        return torch.cat(parts, 1)

    def dense(self, p: torch.Tensor) -> torch.Tensor:
        """All pairs of (B, N, 7), in evaluation: (H, B, N, N)."""
        h = self.embed[0](self._features(p[:, :, None], p[:, None]).flatten(0, 2))
        h = _embedded(h, self._folded()).unflatten(0, (p.shape[0], p.shape[1], p.shape[1]))
        return h.permute(3, 0, 1, 2)

    def _features(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return pair_features(a, b).to(self.embed[0].weight.dtype)  # type: ignore[arg-type]

    def _folded(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Weight and bias of each linear layer with the normalisation behind it."""
        layers: list[Any] = list(self.embed)
        found = []
        for linear, norm in zip(layers[1::3], layers[2::3], strict=True):
            scale, shift = folded(norm)
            found.append((linear.weight * scale[:, None], linear.bias * scale + shift))
        return found


def _embedded(h: torch.Tensor, layers: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    for weight, bias in layers:
        h = functional.gelu(functional.linear(h, weight, bias))
    return h
