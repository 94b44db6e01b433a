"""Transformers of jets: all constituents attend to each other, then a class token to them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from fivesigma.features import FEATURE_SETS
from fivesigma.models.attention import Block, Embedding
from fivesigma.models.blocks import MOMENTA, NetworkInputs, dense, split_columns
from fivesigma.models.pairs import PairEmbedding, Ragged, Slice, bias_of, polar

__all__ = ["ParT", "PlainTransformer"]

#: slots squared in the jets that a CPU takes through the network at a time, in evaluation and in
#: training, so few that they stay in its caches; other devices take all at once
_BUDGETS = {"cpu": (2**15, 2**17)}


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
