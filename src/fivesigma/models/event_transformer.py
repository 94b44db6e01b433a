"""A transformer whose tokens are the objects of whole events."""

from __future__ import annotations

from collections.abc import Sequence

from fivesigma.features import FEATURE_SETS
from fivesigma.models.blocks import NetworkInputs
from fivesigma.models.part import PlainTransformer

__all__ = ["EventTransformer"]


class EventTransformer(PlainTransformer):
    """All objects of an event, jets, leptons, photons and missing momentum, to its class.

    `PlainTransformer` of a size for the ten or so objects that an event has, which stand in the
    place of constituents as `reconstruction.objects.event_objects` puts them. 154 062 parameters
    with 15 features and 2 classes.

    Args:
        n_classes: number of classes.
        inputs: kind "constituents".
        embed: widths of the layers that embed an object.
        heads: of each attention; a divisor of the last width.
        layers: blocks in which objects attend to each other.
        class_layers: blocks in which the class token attends to them.
        ratio: of the width of a block's dense layer to that of its input.
        dropout: of what a block adds, in training.
        attention_dropout: of the attention, in training.
        activation_dropout: of the blocks' dense layers, in training.
        fc: hidden widths behind the last block.

    Raises:
        ValueError: as `PlainTransformer`.
    """

    features = FEATURE_SETS["objects"]
    max_constituents = 32

    def __init__(
        self,
        n_classes: int,
        inputs: NetworkInputs,
        *,
        embed: Sequence[int] = (64, 128, 64),
        heads: int = 4,
        layers: int = 3,
        class_layers: int = 1,
        ratio: int = 2,
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
