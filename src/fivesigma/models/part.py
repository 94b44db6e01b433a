"""Transformers of jets: all constituents attend to each other, then a class token to them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from fivesigma.features import FEATURE_SETS
from fivesigma.models.blocks import MOMENTA, NetworkInputs, dense, split_columns
from fivesigma.models.norms import RowNorm
from fivesigma.models.pairs import PairEmbedding, Ragged, Slice, bias_of, polar

__all__ = ["Attention", "Block", "ParT", "PlainTransformer"]

#: slots squared in the jets that a CPU takes through the network at a time, in evaluation and in
#: training, so few that they stay in its caches; other devices take all at once
_BUDGETS = {"cpu": (2**15, 2**17)}


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


class PlainTransformer(nn.Module):
    """The transformer of arXiv:2202.03772 without its pairs ("ParT (plain)" there).

    Takes any features, of jets' constituents as of events' particles. 2 131 566 parameters with 7
    features and 2 classes.

    Args:
        n_classes: number of classes.
        inputs: kind "constituents".
        embed: widths of the layers that embed a constituent.
        heads: of each attention; a divisor of the last width.
        layers: blocks in which constituents attend to each other.
        class_layers: blocks in which the class token attends to them.
        ratio: of the width of a block's dense layer to that of its input.
        dropout: of what a block adds, in training.
        attention_dropout: of the attention, in training.
        activation_dropout: of the blocks' dense layers, in training.
        fc: hidden widths behind the last block.

    Raises:
        ValueError: no width to embed into, or heads that do not divide the last.
    """

    kind = "constituents"
    features: tuple[str, ...] = FEATURE_SETS["kin"]
    max_constituents = 128

    def __init__(
        self,
        n_classes: int,
        inputs: NetworkInputs,
        *,
        embed: Sequence[int] = (128, 512, 128),
        heads: int = 8,
        layers: int = 8,
        class_layers: int = 2,
        ratio: int = 4,
        dropout: float = 0.1,
        attention_dropout: float = 0.1,
        activation_dropout: float = 0.1,
        fc: Sequence[int] = (),
    ) -> None:
        super().__init__()
        if not embed or heads < 1 or embed[-1] % heads:
            message = f"{heads} heads do not divide the last of the widths {tuple(embed)} of embed"
            raise ValueError(message)
        self.columns = self._embedded(inputs.features)
        if not self.columns:
            message = f"there is nothing to embed among the features {', '.join(inputs.features)}"
            raise ValueError(message)
        width = embed[-1]
        self.embed = Embedding((len(self.columns), *embed))
        self.blocks = nn.ModuleList(
            Block(
                *(width, heads),
                ratio=ratio,
                dropout=dropout,
                attention_dropout=attention_dropout,
                activation_dropout=activation_dropout,
            )
            for _ in range(layers)
        )
        self.cls_blocks = nn.ModuleList(
            Block(width, heads, ratio=ratio) for _ in range(class_layers)
        )
        self.cls_token = nn.Parameter(nn.init.trunc_normal_(torch.empty(width), std=0.02))
        self.norm = nn.LayerNorm(width)
        self.fc = dense((width, *fc, n_classes))
        _initialise(self, self.blocks)

    def _embedded(self, features: Sequence[str]) -> list[int]:
        """Columns of the features that are embedded."""
        return list(range(len(features)))

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Constituents (B, N, F) and their mask (B, N) to logits (B, n_classes)."""
        mask = x.new_ones(x.shape[:2], dtype=torch.bool) if mask is None else mask
        if torch.compiler.is_exporting():
            token = self._dense(x, mask)
        else:
            ragged = Ragged(mask)
            token = ragged.restore(self._ragged(ragged.pack(x), ragged))
        return self.fc(self.norm(token))

    def _dense(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """All slots of all jets, for export: (B, N, F) to (B, C)."""
        h = self.embed(x[..., self.columns].flatten(0, 1)).unflatten(0, mask.shape)
        h = torch.where(mask[..., None], h, 0.0)
        keys = bias_of(mask, h.dtype)
        return self._attend(h, self._dense_bias(x, mask, keys), keys)

    def _dense_bias(self, x: torch.Tensor, mask: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        return keys

    def _ragged(self, x: torch.Tensor, ragged: Ragged) -> torch.Tensor:
        """Jets of like multiplicity together: (T, F) to (B, C), by multiplicity."""
        h = self.embed(x[:, self.columns])  # (T, C)
        bias = self._pairs(x, ragged)
        budgets = _BUDGETS.get(x.device.type)
        limit, multiple = (math.inf, 8) if budgets is None else (budgets[self.training], 1)
        tokens = []
        for of in ragged.slices(limit, multiple):
            keys = ragged.keys(of, h)
            padded = ragged.pad(h[of.rows], of)  # (b, n, C)
            tokens.append(self._attend(padded, self._bias(bias, ragged, of, keys), keys))
        return torch.cat(tokens)

    def _pairs(self, x: torch.Tensor, ragged: Ragged) -> tuple[torch.Tensor, ...]:
        """(T, F) to what is needed of pairs."""
        return ()

    def _bias(
        self, pairs: tuple[torch.Tensor, ...], ragged: Ragged, of: Slice, keys: torch.Tensor
    ) -> torch.Tensor:
        """What a slice adds to the attention: (H or 1, b, n or 1, n)."""
        return keys

    def _attend(self, h: torch.Tensor, bias: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """(B, N, C) to (B, C)."""
        for block in self.blocks:
            h = block(h, bias)
        token = self.cls_token.expand(h.shape[0], -1)
        of_token = functional.pad(keys[0], (1, 0))  # (B, 1, 1 + N)
        for block in self.cls_blocks:
            token = block.of_token(token, h, of_token)  # type: ignore[operator]
        return token


class ParT(PlainTransformer):
    """Particle Transformer, arXiv:2202.03772: pairs of momenta tell where to attend.

    The embedded features of each pair are added to the attention of every block. 2 141 134
    parameters with 7 features beside the momenta and 2 classes.

    Args:
        n_classes: number of classes.
        inputs: kind "constituents"; `px py pz energy` are among the features, for the pairs alone.
        embed: widths of the layers that embed a constituent.
        pair: hidden widths of the layers that embed a pair; their output is one value per head.
        heads: of each attention; a divisor of the last width.
        layers: blocks in which constituents attend to each other.
        class_layers: blocks in which the class token attends to them.
        ratio: of the width of a block's dense layer to that of its input.
        dropout: of what a block adds, in training.
        attention_dropout: of the attention, in training.
        activation_dropout: of the blocks' dense layers, in training.
        fc: hidden widths behind the last block.

    Raises:
        ValueError: as `PlainTransformer`, a momentum is missing, or there is nothing else.
    """

    features = (*FEATURE_SETS["kin"], *MOMENTA)

    def __init__(
        self,
        n_classes: int,
        inputs: NetworkInputs,
        *,
        embed: Sequence[int] = (128, 512, 128),
        pair: Sequence[int] = (64, 64, 64),
        heads: int = 8,
        layers: int = 8,
        class_layers: int = 2,
        ratio: int = 4,
        dropout: float = 0.1,
        attention_dropout: float = 0.1,
        activation_dropout: float = 0.1,
        fc: Sequence[int] = (),
    ) -> None:
        super().__init__(
            n_classes,
            inputs,
            embed=embed,
            heads=heads,
            layers=layers,
            class_layers=class_layers,
            ratio=ratio,
            dropout=dropout,
            attention_dropout=attention_dropout,
            activation_dropout=activation_dropout,
            fc=fc,
        )
        self.momenta, _ = split_columns(inputs.features, MOMENTA)
        self.pair_embed = PairEmbedding((*pair, heads))

    def _embedded(self, features: Sequence[str]) -> list[int]:
        _, others = split_columns(features, MOMENTA)
        return others

    def _dense_bias(self, x: torch.Tensor, mask: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        p = torch.where(mask[..., None], x[..., self.momenta], 0.0)
        return self.pair_embed.dense(polar(p)) + keys

    def _pairs(self, x: torch.Tensor, ragged: Ragged) -> tuple[torch.Tensor, ...]:
        pairs = ragged.pairs()
        return self.pair_embed(polar(x[:, self.momenta]), *pairs), *pairs

    def _bias(
        self, pairs: tuple[torch.Tensor, ...], ragged: Ragged, of: Slice, keys: torch.Tensor
    ) -> torch.Tensor:
        embedded, first, second = pairs
        return ragged.symmetric(embedded[:, of.pairs], (first, second), of)


@torch.no_grad()
def _initialise(network: nn.Module, blocks: Iterable[Any]) -> None:
    """Glorot's weights (each of queries, keys and values alone), no biases, as in weaver-core.

    What a block adds starts the smaller the deeper it is.
    """
    for name, layer in network.named_modules():
        if isinstance(layer, nn.Linear):
            nn.init.zeros_(layer.bias)
            for weight in layer.weight.chunk(3 if name.endswith("in_proj") else 1):
                nn.init.xavier_uniform_(weight)
    for i, block in enumerate(blocks):
        block.attn.out_proj.weight /= math.sqrt(2 * (i + 1))
        block.fc2.weight /= math.sqrt(2 * (i + 1))
