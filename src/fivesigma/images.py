"""Jet images: histograms of constituents in the jet's own frame (arXiv:1902.09914).

The constituents, not the pixels, are centred, turned and mirrored before: `features.orient`.
Images are kept sparse, one entry per pixel hit, and made dense batch by batch.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

__all__ = ["CHANNELS", "densify", "image_entries"]

#: channels of an image -> meaning; `image_entries` gives them in this order
CHANNELS: dict[str, str] = {
    "pt": "share of the image's pT",
    "charged_pt": "share of the image's pT that charged constituents carry",
    "count": "number of constituents",
}


@njit(cache=True, nogil=True)
def image_entries(
    pt: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    charge: np.ndarray,
    offsets: np.ndarray,
    pixels: int,
    half_width: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sparse images of many jets.

    Args:
        pt: (T,) transverse momenta of all jets' constituents [GeV].
        x: (T,) first coordinates, see `features.orient`.
        y: (T,) second coordinates.
        charge: (T,) charges [e].
        offsets: (N + 1,) where each jet begins.
        pixels: pixels along each side.
        half_width: the image reaches from -half_width to +half_width in both coordinates.

    Returns:
        (E,) pixel numbers, row * pixels + column; (E, 3) values, see `CHANNELS`; (N + 1,) where
        each jet begins.
    """
    pixel = np.empty(len(pt), np.int32)
    values = np.zeros((len(pt), 3), np.float32)
    bounds = np.zeros(len(offsets), np.int64)
    entry_of = np.full(pixels * pixels, -1, np.int64)  # pixel -> its newest entry, of any jet
    scale = pixels / (2 * half_width)
    filled = 0
    for jet in range(len(offsets) - 1):
        first, a, b = filled, offsets[jet], offsets[jet + 1]
        total = 0.0
        for i in range(a, b):
            column = math.floor((x[i] + half_width) * scale)
            row = math.floor((y[i] + half_width) * scale)
            if not (0 <= column < pixels and 0 <= row < pixels):
                continue
            cell = row * pixels + column
            if entry_of[cell] < first:  # not yet hit by this jet
                entry_of[cell] = filled
                pixel[filled] = cell
                filled += 1
            entry = entry_of[cell]
            values[entry, 0] += pt[i]
            values[entry, 1] += pt[i] * (charge[i] != 0)
            values[entry, 2] += 1
            total += pt[i]
        if total > 0:
            values[first:filled, :2] /= total
        bounds[jet + 1] = filled
    return pixel[:filled].copy(), values[:filled].copy(), bounds


@njit(cache=True, nogil=True)
def densify(
    pixel: np.ndarray, values: np.ndarray, begin: np.ndarray, count: np.ndarray, out: np.ndarray
) -> None:
    """Write the images of some jets into `out`, (B, C, pixels^2), in place.

    Args:
        pixel: (E,) pixel numbers.
        values: (E, C) values.
        begin: (B,) where each jet begins.
        count: (B,) how many entries it has.
        out: (B, C, pixels^2) float32.
    """
    out[:] = 0
    for b in range(len(begin)):
        for entry in range(begin[b], begin[b] + count[b]):
            for channel in range(values.shape[1]):
                out[b, channel, pixel[entry]] = values[entry, channel]
