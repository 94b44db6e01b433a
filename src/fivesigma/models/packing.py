"""Between padded batches and the real constituents alone, one after the other.

Work on packed rows costs nothing for padding, and batch normalisation sees real constituents only.
"""

from __future__ import annotations

import torch

__all__ = ["Packing"]


class Packing:
    """Which slots of a padded batch are real.

    Under `torch.export` all slots count as real, because the number of rows must follow from the
    shapes: a network in evaluation mode must give the same either way.

    Attributes:
        shape: (B, N) of the padded batch.
        rows: (T,) int64 slots, b * N + n, of the real constituents in order; None: all slots.
    """

    def __init__(self, mask: torch.Tensor) -> None:
        self.shape = mask.shape
        exporting = torch.compiler.is_exporting()
        self.rows = None if exporting else mask.flatten().nonzero()[:, 0]

    def pack(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N, ...) padded to (T, ...) packed."""
        flat = x.flatten(0, 1)
        return flat if self.rows is None else flat[self.rows]

    def pad(self, h: torch.Tensor) -> torch.Tensor:
        """(T, ...) packed to (B, N, ...), zeros in the padding."""
        if self.rows is not None:
            h = h.new_zeros(self.shape.numel(), *h.shape[1:]).index_copy(0, self.rows, h)
        return h.unflatten(0, self.shape)
