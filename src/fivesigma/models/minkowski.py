"""Pairs of four-momenta: inner products, the beams, and batches cut so that pairs fit into caches.

The metric is (+, -, -, -); four-momenta are px, py, pz, E [GeV] as in `blocks.MOMENTA`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch

__all__ = [
    "Slice",
    "batched_by_size",
    "exact",
    "full_precision",
    "inner",
    "minkowski_squared",
    "psi",
    "with_beams",
]


class Slice(NamedTuple):
    """Jets `start` to `stop` of a sorted batch, none of them with more than `rows` rows."""

    start: int
    stop: int
    rows: int


def exact(p: torch.Tensor) -> torch.Tensor:
    """The four-momenta in double precision, where the device has it.

    E^2 - p^2 of a light constituent of 500 GeV is lost in the rounding of single precision.
    """
    return p if p.device.type == "mps" else p.double()


def minkowski_squared(p: torch.Tensor) -> torch.Tensor:
    """E^2 - px^2 - py^2 - pz^2 of (..., 4): (...) [GeV^2]."""
    return p[..., 3].square() - p[..., :3].square().sum(-1)


def inner(p: torch.Tensor) -> torch.Tensor:
    """Inner products <p_i, p_j> of (B, N, 4): (B, N, N) [GeV^2]."""
    flipped = torch.cat([-p[..., :3], p[..., 3:]], -1)
    return flipped @ p.mT


def psi(v: torch.Tensor) -> torch.Tensor:
    """sgn(v) ln(|v| + 1), for values over many orders of magnitude (arXiv:2201.08187)."""
    return v.sign() * v.abs().log1p()


def with_beams(
    p: torch.Tensor, mask: torch.Tensor, beams: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The two beams before the constituents, zeros in the padding.

    Args:
        p: (B, N, 4) four-momenta [GeV].
        mask: (B, N), true for real constituents.
        beams: (2, 4) four-momenta.

    Returns:
        (B, 2 + N, 4) four-momenta as precise as the device allows, and (B, 2 + N) what is real.
    """
    p = torch.where(mask[..., None], exact(p), 0.0)
    p = torch.cat([beams.to(p).expand(p.shape[0], 2, 4), p], 1)
    return p, torch.cat([mask.new_ones(p.shape[0], 2), mask], 1)


def batched_by_size(
    mask: torch.Tensor, extra: int, values: int, budget: int = 2**19
) -> tuple[torch.Tensor | None, list[Slice]]:
    """Cuts a batch so that the pairs of a slice stay in a CPU's caches, with little padding.

    Args:
        mask: (B, N), true for real constituents.
        extra: rows of a jet besides its constituents.
        values: numbers for each pair of rows.
        budget: numbers for all pairs of a slice, 2 MiB of them.

    Returns:
        The order (B,) that sorts jets by multiplicity, None: as they are, and slices of the
        sorted batch. It is one slice on an accelerator, and under export or compilation.
    """
    whole = Slice(0, mask.shape[0], mask.shape[1] + extra)
    if mask.device.type != "cpu" or torch.compiler.is_compiling() or mask.shape[0] < 2:
        return None, [whole]
    # the last real slot counts, not how many there are: constituents may stand anywhere
    slots = torch.arange(1, mask.shape[1] + 1)
    rows, order = (mask * slots).amax(1).sort() if mask.shape[1] else slots.new_zeros(2, len(mask))
    return order, _cuts([extra + n for n in rows.tolist()], budget // values)


def _cuts(rows: list[int], budget: int) -> list[Slice]:
    """Slices of ascending numbers of rows, each of them with at most `budget` pairs or one jet."""
    cuts, start = [], 0
    for stop in range(1, len(rows) + 1):
        if stop == len(rows) or (stop + 1 - start) * rows[stop] ** 2 > budget:
            cuts.append(Slice(start, stop, rows[stop - 1]))
            start = stop
    return cuts


def full_precision(device: torch.device) -> AbstractContextManager[object]:
    """Switches autocast off: half precision costs equivariant networks more than it saves."""
    if torch.is_autocast_enabled(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()
