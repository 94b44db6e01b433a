"""Blocks of transformers: attention with a bias, feed-forward layers, embeddings."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from fivesigma.models.norms import RowNorm

__all__ = ["Attention", "Block", "Embedding"]


class Attention(nn.Module):
    """Weights of a multi-head attention, those of `torch.nn.MultiheadAttention`.

    Args:
        width: C of queries, keys and values together for all heads.
        heads: H.
        dropout: of the attention, in training.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.in_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, u: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """Each of a set attends to all of it.

        Args:
            u: (B, N, C).
            bias: (H or 1, B, N or 1, N) to add before the softmax.

        Returns:
            (B, N, C), before `out_proj`.
        """
        parts = self.in_proj(u).unflatten(2, (3, self.heads, -1))  # (B, N, 3, H, D)
        dropout = self.dropout if self.training else 0.0
        if u.device.type != "cpu" and not torch.compiler.is_exporting():
            q, k, v = parts.permute(2, 0, 3, 1, 4)  # (B, H, N, D)
            bias = bias.transpose(0, 1).to(q.dtype)
            out = functional.scaled_dot_product_attention(q, k, v, bias, dropout)
            return out.transpose(1, 2).flatten(2)
        # a CPU needs a third less time if the bias is where the products are summed up
        q, k, v = parts.permute(2, 3, 0, 1, 4).flatten(1, 2)  # (H * B, N, D)
        bias = bias.expand(self.heads, -1, -1, -1).flatten(0, 1)  # (H * B, N or 1, N)
        scores = torch.baddbmm(bias, q, k.mT, alpha=1 / math.sqrt(q.shape[2]))
        share = functional.dropout(scores.softmax(-1), dropout)
        return (share @ v).unflatten(0, (self.heads, -1)).permute(1, 2, 0, 3).flatten(2)

    def of_token(self, token: torch.Tensor, u: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """One token attends to a set.

        With a single query it is less work to bring it through the weights of the keys and the
        mean through those of the values than all keys and values of the set.

        Args:
            token: (B, C).
            u: (B, N, C).
            bias: (B, 1, N) to add before the softmax.

        Returns:
            (B, C), before `out_proj`.
        """
        w_q, w_k, w_v = self.in_proj.weight.chunk(3)
        b_q, _, b_v = self.in_proj.bias.chunk(3)  # that of the keys cancels in the softmax
        q = functional.linear(token, w_q, b_q).unflatten(1, (self.heads, -1))  # (B, H, D)
        q = torch.einsum("bhd,hdc->bhc", q, w_k.unflatten(0, (self.heads, -1)))
        scores = (q / math.sqrt(w_q.shape[0] // self.heads)) @ u.mT  # (B, H, N)
        mean = (scores + bias).softmax(-1).to(u.dtype) @ u  # (B, H, C)
        out = torch.einsum("bhc,hdc->bhd", mean, w_v.unflatten(0, (self.heads, -1)))
        return out.flatten(1) + b_v


class Block(nn.Module):
    r"""Attention and a dense layer with the scales and norms of NormFormer, arXiv:2110.09456.

    $$x' = x + \mathrm{LN}(c \cdot \mathrm{MHA}(\mathrm{LN}(x))), \quad
    x'' = w \cdot x' + W_2\,\mathrm{LN}(\mathrm{GELU}(W_1\,\mathrm{LN}(x')))$$

    Args:
        width: C.
        heads: H.
        ratio: width of the dense layer over C.
        dropout: of what is added to x, in training.
        attention_dropout: of the attention, in training.
        activation_dropout: behind the GELU, in training.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        ratio: int,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        activation_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.dropout, self.activation_dropout = dropout, activation_dropout
        self.pre_attn_norm = nn.LayerNorm(width)
        self.attn = Attention(width, heads, attention_dropout)
        self.post_attn_norm = nn.LayerNorm(width)
        self.pre_fc_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, ratio * width)
        self.post_fc_norm = nn.LayerNorm(ratio * width)
        self.fc2 = nn.Linear(ratio * width, width)
        self.c_attn = nn.Parameter(torch.ones(heads))
        self.w_resid = nn.Parameter(torch.ones(width))

    def forward(self, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """(B, N, C) and what to add to the attention, (H or 1, B, N or 1, N), to (B, N, C)."""
        return self._rest(x, self.attn(self.pre_attn_norm(x), bias))

    def of_token(self, token: torch.Tensor, x: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        """Class attention, arXiv:2103.17239: the token attends to itself and to the set.

        Args:
            token: (B, C).
            x: (B, N, C).
            bias: (B, 1, 1 + N) to add to the attention.

        Returns:
            The new token, (B, C).
        """
        u = self.pre_attn_norm(torch.cat([token[:, None], x], 1))  # (B, 1 + N, C)
        return self._rest(token, self.attn.of_token(token, u, bias))

    def _rest(self, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
        """What follows the attention, up to its output layer."""
        # the scales of the heads are in the weights: less work than scaling each constituent
        out, scale = (
            self.attn.out_proj,
            self.c_attn.repeat_interleave(x.shape[-1] // self.attn.heads),
        )
        h = functional.linear(attended, out.weight * scale[:, None], out.bias * scale)
        x = x + functional.dropout(self.post_attn_norm(h), self.dropout, self.training)
        h = functional.gelu(self.fc1(self.pre_fc_norm(x)))
        h = functional.dropout(h, self.activation_dropout, self.training)
        h = functional.dropout(self.fc2(self.post_fc_norm(h)), self.dropout, self.training)
        return torch.addcmul(h, x, self.w_resid)


class Embedding(nn.Module):
    """Batch normalisation, then layers of normalisation, linear and GELU, each constituent alone.

    Args:
        widths: of the features and of each layer's output.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.input_bn = RowNorm(widths[0])
        layers: list[nn.Module] = []
        for before, after in zip(widths, widths[1:], strict=False):
            layers += [nn.LayerNorm(before), nn.Linear(before, after), nn.GELU()]
        self.embed = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(T, F) to (T, C)."""
        return self.embed(self.input_bn(x))
