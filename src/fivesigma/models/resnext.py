"""ResNeXt for jet images: residual blocks whose convolutions see a few channels each."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from fivesigma.models.blocks import NetworkInputs

__all__ = ["Contrast", "ResNeXt"]


class Contrast(nn.Module):
    """log(1 + c x) of the shares x of a jet's pT: brings them to order one; see `CNN`.

    Args:
        channels: of the images; counts, of order one already, get c = 1.
        contrast: c; 0: the images as they are.
    """

    def __init__(self, channels: Sequence[str], contrast: float) -> None:
        super().__init__()
        if contrast < 0:
            message = f"contrast must not be negative, got {contrast:g}"
            raise ValueError(message)
        self.contrast = contrast
        gain = [1.0 if name == "count" else contrast for name in channels]
        self.gain: torch.Tensor
        self.register_buffer("gain", torch.tensor(gain).view(-1, 1, 1), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (B, C, H, W) to images of the same shape."""
        return torch.log1p(x * self.gain) if self.contrast else x


class ResNeXt(nn.Module):
    """ResNeXt-50 with a quarter of its channels.

    ResNeXt: arXiv:1611.05431; for jets: arXiv:1902.08570, in the comparison arXiv:1902.09914 with
    1.46 million parameters on images of 64 x 64 pixels, half-width 0.8. Here 1 457 314 with two
    classes and one channel; the same for any number of pixels. All channels but those of the first
    convolution are a quarter of those in ResNeXt-50; dropout stands before the last layer. Images
    pass `Contrast` first, which the published networks do not have.

    Args:
        n_classes: number of classes.
        inputs: kind "image".
        stem: channels of the first convolution.
        blocks: residual blocks in each stage; from the second stage on, its first block halves the
            pixels along each side.
        widths: channels inside the blocks of each stage; between blocks there are twice as many.
        cardinality: groups into which a block's 3 x 3 convolution falls apart.
        dropout: before the last layer, in training.
        contrast: brings out pixels of low pT, see `Contrast`; 0: as published.

    Raises:
        ValueError: stages without a width, or widths that do not fall into so many groups.
    """

    kind = "image"
    features: tuple[str, ...] = ()
    max_constituents = 200

    def __init__(
        self,
        n_classes: int,
        inputs: NetworkInputs,
        *,
        stem: int = 64,
        blocks: Sequence[int] = (3, 4, 6, 3),
        widths: Sequence[int] = (32, 64, 128, 256),
        cardinality: int = 32,
        dropout: float = 0.5,
        contrast: float = 1000.0,
    ) -> None:
        super().__init__()
        _require_stages(blocks, widths, cardinality)
        self.contrast = Contrast(inputs.channels, contrast)
        self.stem = nn.Sequential(
            _convolution(len(inputs.channels), stem, 7, stride=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        before = [stem, *(2 * width for width in widths)]
        self.stages = nn.Sequential(
            *(
                _stage(number, before[i], widths[i], cardinality, stride=2 if i else 1)
                for i, number in enumerate(blocks)
            )
        )
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(before[-1], n_classes)

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Images (B, C, H, W) to logits (B, n_classes); there is no mask."""
        x = self.contrast(x).clone(memory_format=torch.channels_last)
        h = self.stages(self.stem(x))  # (B, L, H / 32, W / 32), rounded up
        return self.out(self.dropout(h.mean((2, 3))))


class ResidualBlock(nn.Module):
    """Three convolutions, the middle one in groups, added to what came in.

    Args:
        before: channels that come in.
        width: channels inside; 2 * width go out.
        groups: of the 3 x 3 convolution.
        stride: of the 3 x 3 convolution.
        first: of its stage; what came in then passes a convolution, too.
    """

    def __init__(
        self, before: int, width: int, groups: int, stride: int = 1, *, first: bool = False
    ) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            _convolution(before, width, 1),
            nn.ReLU(),
            _convolution(width, width, 3, stride=stride, groups=groups),
            nn.ReLU(),
            _convolution(width, 2 * width, 1),
        )
        self.outer: nn.Module = nn.Identity()
        if first:
            self.outer = _convolution(before, 2 * width, 1, stride=stride)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        """(B, before, H, W) to (B, 2 * width, H / stride, W / stride)."""
        return (self.outer(h) + self.inner(h)).relu()


def _stage(number: int, before: int, width: int, groups: int, stride: int) -> nn.Sequential:
    first = ResidualBlock(before, width, groups, stride, first=True)
    others = (ResidualBlock(2 * width, width, groups) for _ in range(number - 1))
    return nn.Sequential(first, *others)


def _convolution(
    before: int, after: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """A convolution and the batch normalisation that takes the place of its bias."""
    convolution = nn.Conv2d(
        before, after, kernel, stride, padding=kernel // 2, groups=groups, bias=False
    )
    nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(convolution, nn.BatchNorm2d(after))


def _require_stages(blocks: Sequence[int], widths: Sequence[int], cardinality: int) -> None:
    if len(blocks) != len(widths) or not blocks or min(blocks) < 1:
        message = f"blocks {tuple(blocks)} and widths {tuple(widths)} need one entry per stage"
        raise ValueError(message)
    if cardinality < 1 or any(width < 1 or width % cardinality for width in widths):
        message = f"widths {tuple(widths)} do not fall into {cardinality} groups"
        raise ValueError(message)
