"""Vision transformer for jet images."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from fivesigma.models.blocks import NetworkInputs
from fivesigma.models.resnext import Contrast

__all__ = ["VisionTransformer"]


class VisionTransformer(nn.Module):
    """Vision transformer, arXiv:2010.11929: patches of an image as tokens, and a class token.

    Norms stand before attention and dense layers. The size is ours, as there is no usual one for
    jets: 141 762 parameters with two classes and 40 x 40 pixels.

    Args:
        n_classes: number of classes.
        inputs: kind "image", whose pixels are a multiple of the patch.
        patch: pixels along each side of a patch.
        width: size of a token.
        blocks: transformer blocks.
        heads: attention heads.
        ratio: a block's hidden layer is so many times wider than the tokens.
        dropout: of what attention and dense layers add, in training.
        contrast: brings out pixels of low pT, see `fivesigma.models.resnext.Contrast`.

    Raises:
        ValueError: patches that do not tile the image, or tokens that the heads cannot share.
    """

    kind = "image"
    features: tuple[str, ...] = ()
    max_constituents = 200

    def __init__(
        self,
        n_classes: int,
        inputs: NetworkInputs,
        *,
        patch: int = 4,
        width: int = 64,
        blocks: int = 4,
        heads: int = 4,
        ratio: int = 2,
        dropout: float = 0.0,
        contrast: float = 1000.0,
    ) -> None:
        super().__init__()
        _require_shape(inputs.pixels, patch, width, blocks, heads)
        self.patch = patch
        self.contrast = Contrast(inputs.channels, contrast)
        self.embed = nn.Linear(len(inputs.channels) * patch**2, width)
        self.token = nn.Parameter(0.02 * torch.randn(1, 1, width))
        tokens = 1 + (inputs.pixels // patch) ** 2
        self.positions = nn.Parameter(0.02 * torch.randn(tokens, width))
        self.blocks = nn.ModuleList(
            Block(width, heads, ratio, dropout, last=i == blocks - 1) for i in range(blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, n_classes)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Images (B, C, H, W) to logits (B, n_classes); there is no mask."""
        x = self.contrast(x)
        x = x.unflatten(3, (-1, self.patch)).unflatten(2, (-1, self.patch))  # (B, C, I, p, J, p)
        h = self.embed(x.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2))  # (B, I J, D)
        h = torch.cat([self.token.expand(h.shape[0], -1, -1), h], 1) + self.positions
        for block in self.blocks:
            h = block(h)
        return self.out(self.norm(h[:, 0]))


class Block(nn.Module):
    """Attention and a dense stack, each added to what it was computed from.

    The last block computes the class token alone, as nothing else is read out.
    """

    def __init__(self, width: int, heads: int, ratio: int, dropout: float, *, last: bool) -> None:
        super().__init__()
        self.heads, self.last = heads, last
        self.first_norm, self.second_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries = nn.Linear(width, width)
        self.keys, self.values = nn.Linear(width, width), nn.Linear(width, width)
        self.mix = nn.Linear(width, width)
        self.dense = nn.Sequential(
            nn.Linear(width, ratio * width), nn.GELU(), nn.Linear(ratio * width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """Tokens (B, N, D) to the like; if last, (B, 1, D)."""
        seen = self.first_norm(h)
        if self.last:
            h = h[:, :1]
        h = h + self.dropout(self._attention(seen))
        return h + self.dropout(self.dense(self.second_norm(h)))

    def _attention(self, h: torch.Tensor) -> torch.Tensor:
        asking = h[:, :1] if self.last else h
        parts = (self.queries(asking), self.keys(h), self.values(h))
        q, k, v = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in parts)
        out = functional.scaled_dot_product_attention(q, k, v)  # (B, heads, N, D / heads)
        return self.mix(out.transpose(1, 2).flatten(2))


def _require_shape(pixels: int, patch: int, width: int, blocks: int, heads: int) -> None:
    if patch < 1 or pixels % patch:
        message = (
            f"patches of {patch} x {patch} do not tile an image of {pixels} x {pixels} pixels"
        )
        raise ValueError(message)
    if min(width, blocks, heads) < 1 or width % heads:
        message = (
            f"{heads} heads cannot share tokens of width {width} in {blocks} blocks; "
            "the width must be a multiple of the heads"
        )
        raise ValueError(message)
