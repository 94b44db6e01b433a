"""Convolutional networks of jet images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import nn

from fivesigma.models.blocks import NetworkInputs, dense, he_uniform

__all__ = ["CNN", "LAYOUTS", "Layout"]


class Layout(NamedTuple):
    """Options of a CNN that belong together; see `CNN` for what they mean."""

    filters: tuple[int, ...]
    kernel: int
    padding: int | None
    pool_after: tuple[int, ...]
    widths: tuple[int, ...]
    contrast: float


#: named networks
LAYOUTS: dict[str, Layout] = {
    # 127 282 parameters; ours: pools early, so that twice the kernels cost less than "deeptop"
    "compact": Layout((16, 16, 32, 32), 3, None, (0, 1, 3), (128, 64), 1000.0),
    # 62 946 parameters; arXiv:1701.08784, eight kernels in each of four layers
    "deeptop": Layout((8, 8, 8, 8), 4, None, (1, 3), (64, 64, 64), 0.0),
    # 609 666 parameters; arXiv:1803.00107, the CNN of the comparison arXiv:1902.09914
    "qcd-or-what": Layout((128, 64, 64, 64), 4, 1, (1, 3), (64, 256, 256), 0.0),
}


class CNN(nn.Module):
    """Convolutions with ReLU and max-pooling, then dense layers.

    Most of a jet's pT lies in a few of its pixels. `contrast` c brings out the others, and brings
    values to order one: a network sees log(1 + c x) in place of the share x of the jet's pT. With
    the shares themselves, trainings of few epochs end at a visibly lower AUC.

    Args:
        n_classes: number of classes.
        inputs: kind "image".
        layout: a name in `LAYOUTS`; what follows replaces parts of it.
        filters: kernels in each convolution.
        kernel: pixels along each side of a kernel.
        padding: zeros around each image, None: as many as keep its size.
        pool_after: convolutions (from 0) behind which the largest of 2 x 2 pixels is kept.
        widths: of the dense layers.
        contrast: see above; 0: the image as it is.
        dropout: between the dense layers, in training.

    Raises:
        ValueError: unknown layout, or more pooling than pixels.
    """

    kind = "image"
    features: tuple[str, ...] = ()
    max_constituents = 200

    def __init__(
        self,
        n_classes: int,
        inputs: NetworkInputs,
        *,
        layout: str = "compact",
        filters: Sequence[int] | None = None,
        kernel: int | None = None,
        padding: int | None = None,
        pool_after: Sequence[int] | None = None,
        widths: Sequence[int] | None = None,
        contrast: float | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if layout not in LAYOUTS:
            message = f"unknown layout {layout!r}; choose from {', '.join(LAYOUTS)}"
            raise ValueError(message)
        named = LAYOUTS[layout]
        chosen = Layout(
            filters=tuple(filters or named.filters),
            kernel=kernel or named.kernel,
            padding=named.padding if padding is None else padding,
            pool_after=named.pool_after if pool_after is None else tuple(pool_after),
            widths=named.widths if widths is None else tuple(widths),
            contrast=named.contrast if contrast is None else contrast,
        )
        self.contrast = chosen.contrast
        # counts are of order one already
        gain = [1.0 if name == "count" else chosen.contrast for name in inputs.channels]
        self.gain: torch.Tensor
        self.register_buffer("gain", torch.tensor(gain).view(-1, 1, 1), persistent=False)
        self.convolutions = _convolutions(len(inputs.channels), chosen)
        image = torch.zeros(1, len(inputs.channels), inputs.pixels, inputs.pixels)
        size = self.convolutions(image).numel()
        self.head = dense((size, *chosen.widths, n_classes), dropout=dropout)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Images (B, C, H, W) to logits (B, n_classes); there is no mask."""
        if self.contrast:
            x = torch.log1p(x * self.gain)
        # this order in memory, which the layers then keep, makes a CPU twice as fast
        h = self.convolutions(x.clone(memory_format=torch.channels_last))  # (B, L, H', W')
        return self.head(h.flatten(1))


def _convolutions(channels: int, layout: Layout) -> nn.Sequential:
    layers: list[nn.Module] = []
    before, kernel, padding = channels, layout.kernel, layout.padding
    lopsided = padding is None and kernel % 2 == 0
    if padding is None:
        padding = 0 if lopsided else kernel // 2
    for i, after in enumerate(layout.filters):
        if lopsided:
            layers.append(nn.ZeroPad2d((kernel // 2 - 1, kernel // 2) * 2))
        layers.append(he_uniform(nn.Conv2d(before, after, kernel, padding=padding)))
        if i in layout.pool_after:
            layers.append(nn.MaxPool2d(2))  # before ReLU: the same result from fewer values
        layers.append(nn.ReLU())
        before = after
    return nn.Sequential(*layers)
