"""L-GATr-slim: a transformer whose tokens carry Lorentz vectors and scalars.

Index letters: B jets, L tokens of a jet, T real tokens of all jets, V vectors, S scalars, H heads.
Four-vectors are (px, py, pz, E), with the metric (-, -, -, +). Their components come first,
(4, T, V): what is done per component then runs over memory in one piece.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from fivesigma.models.blocks import MOMENTA, NetworkInputs, split_columns
from fivesigma.models.packing import Packing

__all__ = ["LGATrSlim", "LGATrSlimSmall", "boosted_to_rest", "lorentz_product"]

METRIC = (-1.0, -1.0, -1.0, 1.0)
#: the two beams and the direction of time, which tell the laboratory from any other frame
REFERENCES = ((0.0, 0.0, 1.0, 1.0), (0.0, 0.0, -1.0, 1.0), (0.0, 0.0, 0.0, 1.0))
#: [GeV] lighter constituents get this mass: rounding leaves many with an imaginary one
LEAST_MASS = 5e-3


def lorentz_product(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Products (...) of four-vectors (4, ...)."""
    *first, energy_a = a.unbind()
    *second, energy_b = b.unbind()
    product = energy_a * energy_b
    for one, other in zip(first, second, strict=True):
        product = torch.addcmul(product, one, other, value=-1)
    return product


def boosted_to_rest(p: torch.Tensor) -> torch.Tensor:
    """Four-vectors (4, B, L) in the frame where their sum over L is at rest."""
    total = p.sum(2, keepdim=True)  # (4, B, 1)
    mass = lorentz_product(total, total).sqrt()  # (B, 1)
    energy = lorentz_product(total, p) / mass  # (B, L)
    shift = (p[3] + energy) / (total[3] + mass)
    return torch.cat([p[:3] - shift * total[:3], energy[None]])


class LGATrSlim(nn.Module):
    r"""L-GATr-slim, arXiv:2512.17011: attention that respects Lorentz transformations.

    Vectors are only ever mixed among each other and multiplied by invariants, so that everything
    a token holds transforms as it should. With the tokens' parts normalised, a head weighs them by

    $$q \cdot k = \sum_v \langle q_v, k_v \rangle + \sum_s q_s k_s$$

    and its values are vectors and scalars alike. Symmetry is broken only by three more tokens, the
    beams and the direction of time, and by features other than the momenta. Momenta are boosted to
    the jet's rest frame in double precision first: the network does not notice, its rounding does.

    2 010 786 parameters with two classes; the published 2.03 million include 16 384 that no score
    depends on, the last block's on vectors, and biases of queries, keys and values, which the
    authors' package has since given up.

    Args:
        n_classes: number of classes.
        inputs: kind "constituents", with the features `px py pz energy` [GeV]; any others are
            scalars of their constituents.
        vectors: vectors in each token.
        scalars: scalars in each token.
        blocks: transformer blocks.
        heads: attention heads, which share out vectors and scalars.
        ratio: a block's hidden layer is so many times wider than the tokens.
        unit: [GeV] momenta are measured in this unit.

    Raises:
        ValueError: no momenta among the features, or tokens that the heads cannot share.
    """

    kind = "constituents"
    features: tuple[str, ...] = MOMENTA
    max_constituents = 200

    def __init__(
        self,
        n_classes: int,
        inputs: NetworkInputs,
        *,
        vectors: int = 32,
        scalars: int = 96,
        blocks: int = 12,
        heads: int = 8,
        ratio: int = 4,
        unit: float = 20.0,
    ) -> None:
        super().__init__()
        _require_shape(vectors, scalars, blocks, heads, unit)
        self.momenta, self.others = split_columns(inputs.features, MOMENTA)
        self.unit = unit
        self.references: torch.Tensor
        self.register_buffer("references", torch.tensor(REFERENCES), persistent=False)
        self.vectors_in = nn.Linear(1, vectors, bias=False)
        self.scalars_in = nn.Linear(1 + len(self.others), scalars)
        self.blocks = nn.ModuleList(
            Block(vectors, scalars, heads, ratio, last=i == blocks - 1) for i in range(blocks)
        )
        self.out = nn.Linear(scalars, n_classes)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Constituents (B, N, F) and their mask (B, N) to logits (B, n_classes)."""
        if torch.is_autocast_enabled(x.device.type):
            # products of vectors cancel: 16 bits are not enough for them
            with torch.autocast(x.device.type, enabled=False):
                return self.forward(x, mask)
        if mask is None:
            mask = torch.ones_like(x[..., 0], dtype=torch.bool)
        p, s = self._vectors(x, mask), self._scalars(x)  # (B, L, 4), (B, L, 1 + O)
        tokens = Tokens(functional.pad(mask, (p.shape[1] - mask.shape[1], 0), value=True))
        v = self.vectors_in(tokens.pack(p).T[..., None])  # (4, T, V)
        s = self.scalars_in(tokens.pack(s))  # (T, S)
        for block in self.blocks:
            v, s = block(v, s, tokens)
        return self.out(s)

    def _vectors(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """One vector each of class token (none), references and constituents: (B, L, 4)."""
        p = x[..., self.momenta].double().movedim(2, 0)  # (4, B, N)
        least = p[:3].square().sum(0) + LEAST_MASS**2
        energy = torch.maximum(p[3].square(), least).sqrt()
        p = torch.cat([p[:3], energy[None]]) * mask
        references = self.references.double().T[:, None].expand(-1, x.shape[0], -1)  # (4, B, R)
        p = boosted_to_rest(torch.cat([references, p], 2))
        references, p = p[..., : references.shape[2]], p[..., references.shape[2] :]
        p = torch.cat([references, p / self.unit], 2).to(x.dtype)
        return functional.pad(p, (1, 0)).movedim(0, 2)

    def _scalars(self, x: torch.Tensor) -> torch.Tensor:
        """A mark on the class token and the features of constituents: (B, L, 1 + O)."""
        before = 1 + len(self.references)
        features = functional.pad(x[..., self.others], (1, 0, before, 0))
        mark = torch.zeros_like(features[:1])
        mark[:, 0, 0] = 1.0
        return features + mark


class LGATrSlimSmall(LGATrSlim):
    """L-GATr-slim of a size that two CPU cores train within the hour; see `LGATrSlim`.

    Kinematic features as scalars, without which so few layers learn less from few jets.
    """

    features = (
        *MOMENTA,
        *("log_pt", "log_energy", "log_pt_rel", "log_energy_rel", "dr", "deta", "dphi"),
    )
    max_constituents = 128

    def __init__(
        self,
        n_classes: int,
        inputs: NetworkInputs,
        *,
        vectors: int = 8,
        scalars: int = 32,
        blocks: int = 4,
        heads: int = 4,
        ratio: int = 2,
        unit: float = 20.0,
    ) -> None:
        super().__init__(
            n_classes,
            inputs,
            vectors=vectors,
            scalars=scalars,
            blocks=blocks,
            heads=heads,
            ratio=ratio,
            unit=unit,
        )


class Tokens(Packing):
    """The real tokens of padded jets.

    Attributes:
        mask: (B, 1, 1, L) bool, which of them attention may look at.
        first: (B,) int64 rows of each jet's first token.
    """

    def __init__(self, mask: torch.Tensor) -> None:
        super().__init__(mask)
        self.mask = mask[:, None, None]
        counts = mask.sum(1) if self.rows is not None else torch.ones_like(mask).sum(1)
        self.first = counts.cumsum(0) - counts


class Block(nn.Module):
    """Attention and two dense stacks, each added to what it was computed from.

    The last block yields the class token's scalars alone, as nothing else is read out.
    """

    def __init__(self, vectors: int, scalars: int, heads: int, ratio: int, *, last: bool) -> None:
        super().__init__()
        self.last = last
        self.attention = Attention(vectors, scalars, heads, first_only=last)
        self.dense_vectors = None if last else GatedVectors(vectors, ratio)
        self.dense_scalars = GatedScalars(scalars, ratio)

    def forward(
        self, v: torch.Tensor, s: torch.Tensor, tokens: Tokens
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Vectors (4, T, V) and scalars (T, S) to the like; if last, (4, B, V) and (B, S)."""
        new_v, new_s = self.attention(v, s, _scale(v, s), tokens)
        if self.last:
            v, s = v[:, tokens.first], s[tokens.first]
        v, s = v + new_v, s + new_s
        scale = _scale(v, s)
        if self.dense_vectors is not None:
            v = v + self.dense_vectors(v, scale)
        return v, s + self.dense_scalars(s, scale)


class Attention(nn.Module):
    """Attention with products of vectors and of scalars in its weights.

    Args:
        vectors: V.
        scalars: S.
        heads: H, each with V / H vectors and S / H scalars.
        first_only: only the first token of each jet asks.
    """

    def __init__(self, vectors: int, scalars: int, heads: int, *, first_only: bool) -> None:
        super().__init__()
        self.heads, self.first_only = heads, first_only
        self.queries, self.keys, self.values = (
            Projection(vectors, scalars, heads) for _ in range(3)
        )
        self.vectors = _small(nn.Linear(vectors, vectors, bias=False))
        self.scalars = _small(nn.Linear(scalars, scalars))
        self.metric: torch.Tensor
        self.register_buffer("metric", torch.tensor(METRIC).view(4, 1, 1), persistent=False)

    def forward(
        self, v: torch.Tensor, s: torch.Tensor, scale: torch.Tensor, tokens: Tokens
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Vectors (4, T, V) and scalars (T, S), to be multiplied by scale (T, 1), to the like."""
        keys, values = (tokens.pad(of(v, s, scale)) for of in (self.keys, self.values))
        if self.first_only:
            v, s, scale = v[:, tokens.first], s[tokens.first], scale[tokens.first]
        queries = self.queries(v * self.metric, s, scale)  # (T, H, D)
        queries = queries[:, None] if self.first_only else tokens.pad(queries)  # (B, L, H, D)
        queries, keys, values = (part.transpose(1, 2) for part in (queries, keys, values))
        out = functional.scaled_dot_product_attention(queries, keys, values, tokens.mask)
        out = out.transpose(1, 2)  # (B, L, H, D)
        out = out[:, 0] if self.first_only else tokens.pack(out)  # (T, H, D)
        v, s = out.split([4 * v.shape[2] // self.heads, s.shape[1] // self.heads], -1)
        v = v.unflatten(-1, (4, -1)).permute(2, 0, 1, 3).flatten(2)  # (4, T, V)
        return self.vectors(v), self.scalars(s.flatten(1))


class Projection(nn.Module):
    """What heads compare or pass on: vectors and scalars, of common size one, side by side."""

    def __init__(self, vectors: int, scalars: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.vectors = _small(nn.Linear(vectors, vectors, bias=False))
        self.scalars = _small(nn.Linear(scalars, scalars, bias=False))

    def forward(self, v: torch.Tensor, s: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """Vectors (4, T, V) and scalars (T, S), to be multiplied by scale (T, 1): (T, H, D)."""
        v = self.vectors(v).unflatten(-1, (self.heads, -1))  # (4, T, H, V / H)
        s = self.scalars(s).unflatten(-1, (self.heads, -1))  # (T, H, S / H)
        scale = scale[..., None] * _scale(v, s, scale[..., None].square())  # (T, H, 1)
        return torch.cat([*v.unbind(), s], -1) * scale


class GatedVectors(nn.Module):
    """Vectors, each multiplied by the GELU of a product of two others."""

    def __init__(self, vectors: int, ratio: int) -> None:
        super().__init__()
        self.wide = nn.ModuleList(
            nn.Linear(vectors, ratio * vectors, bias=False) for _ in range(3)
        )
        self.narrow = nn.Linear(ratio * vectors, vectors, bias=False)

    def forward(self, v: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """Vectors (4, T, V), to be multiplied by scale (T, 1), to the like."""
        a, b, v = (wide(v) for wide in self.wide)
        gate = functional.gelu(lorentz_product(a, b) * scale.square()) * scale  # (T, ratio V)
        return self.narrow(v * gate)


class GatedScalars(nn.Module):
    """Scalars, each multiplied by the GELU of another."""

    def __init__(self, scalars: int, ratio: int) -> None:
        super().__init__()
        self.wide = nn.Linear(scalars, ratio * scalars)
        self.gate = nn.Linear(scalars, ratio * scalars)
        self.narrow = nn.Linear(ratio * scalars, scalars)

    def forward(self, s: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        """Scalars (T, S), to be multiplied by scale (T, 1), to the like."""
        s = s * scale
        return self.narrow(self.wide(s) * functional.gelu(self.gate(s)))


def _scale(v: torch.Tensor, s: torch.Tensor, times: torch.Tensor | float = 1.0) -> torch.Tensor:
    """One over the root mean square of vectors (4, ..., V) and scalars (..., S): (..., 1).

    Of vectors it is the absolute products with themselves that count. The mean is multiplied by
    `times`.
    """
    total = lorentz_product(v, v).abs().sum(-1, keepdim=True) + s.square().sum(-1, keepdim=True)
    return (total * times / (v.shape[-1] + s.shape[-1]) + 0.01).rsqrt()


def _small(layer: nn.Linear) -> nn.Linear:
    """The layer with a tenth of its initial weights: attention begins nearly uniform."""
    with torch.no_grad():
        layer.weight *= 0.1
    return layer


def _require_shape(vectors: int, scalars: int, blocks: int, heads: int, unit: float) -> None:
    if min(vectors, scalars, blocks, heads) < 1 or vectors % heads or scalars % heads:
        message = (
            f"{heads} heads cannot share {vectors} vectors and {scalars} scalars in {blocks} "
            "blocks; both must be multiples of the heads"
        )
        raise ValueError(message)
    if not unit > 0:
        message = f"the unit of momenta must be positive, got {unit:g} GeV"
        raise ValueError(message)
