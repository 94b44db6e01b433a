"""Noise of cells from pile-up: what a collision leaves in a cell, and how much that varies.

Means and variances of several collisions add up (arXiv:1603.02934, section 2.2). The tables in
`pileup_noise/` are those of `benchmarks/pileup_noise.py`, from our own minimum-bias collisions.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

__all__ = ["PileupNoise", "load", "save"]

_FOLDER = Path(__file__).parent / "pileup_noise"


@dataclass(frozen=True)
class PileupNoise:
    """Mean and standard deviation of a cell's energy from one collision.

    Attributes:
        eta: edges in |eta| for each depth.
        mean, sigma: one value between each two edges, for each depth [GeV].
    """

    eta: tuple[tuple[float, ...], ...]
    mean: tuple[tuple[float, ...], ...]
    sigma: tuple[tuple[float, ...], ...]

    def at(self, depth: np.ndarray, eta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation of cells (N,) at these depths and centres [GeV]."""
        out = np.zeros((2, len(depth)))
        for k, edges in enumerate(self.eta):
            here = depth == k
            row = np.searchsorted(edges, np.abs(eta[here]), side="right") - 1
            values = np.array([self.mean[k], self.sigma[k]])
            out[:, here] = values[:, np.clip(row, 0, len(edges) - 2)]
        return out[0], out[1]


def save(name: str, table: PileupNoise) -> Path:
    """Write the table of a preset; where it is."""
    _FOLDER.mkdir(exist_ok=True)
    path = _FOLDER / f"{name}.json"
    path.write_text(json.dumps(asdict(table)))
    return path


@cache
def load(name: str) -> PileupNoise:
    """The shipped table of a preset.

    Raises:
        ValueError: none is shipped.
    """
    path = _FOLDER / f"{name}.json"
    if not path.is_file():
        has = ", ".join(sorted(each.stem for each in _FOLDER.glob("*.json")))
        message = f"no noise of pile-up for {name!r}; there is that of {has or 'none'}"
        raise ValueError(message)
    content = json.loads(path.read_text())
    return PileupNoise(*(tuple(map(tuple, content[each])) for each in ("eta", "mean", "sigma")))
