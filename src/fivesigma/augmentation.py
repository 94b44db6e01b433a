"""Changes of the training jets, drawn anew for every batch."""

from __future__ import annotations

import torch

from fivesigma.batches import Batch

__all__ = ["drop_particles"]


def drop_particles(batch: Batch, probability: float) -> Batch:
    """Leave each constituent out with the same probability; of every jet at least one stays.

    Those that stay keep their order and their features, and move together, so that padding is at
    the end. Draws from torch's random numbers on the CPU.

    Args:
        batch: constituents (B, N, F) and their mask (B, N).
        probability: with which each is left out, >= 0 and < 1.

    Returns:
        The batch with x (B, M, F) and mask (B, M), M <= N constituents of the jet that has most.

    Raises:
        ValueError: jets without a mask, which have no constituents.
    """
    x, mask = batch.x, batch.mask
    if mask is None:
        message = "only jets of constituents can lose some; this batch has no mask"
        raise ValueError(message)
    draw = torch.rand(mask.shape).masked_fill_(~mask, -1.0)  # (B, N)
    most = draw.amax(1, keepdim=True) if mask.shape[1] else draw
    keep = mask & ((draw >= probability) | (draw == most))  # the luckiest one stays
    count = keep.sum(1)  # (B,)
    longest = max(int(count.max()), 1)
    kept = torch.arange(longest) < count[:, None]  # (B, M)
    moved = x.new_zeros(*kept.shape, x.shape[2])  # (B, M, F)
    moved[kept] = x[keep]  # both run through the jets, and the slots of each, in order
    return batch._replace(x=moved, mask=kept)
