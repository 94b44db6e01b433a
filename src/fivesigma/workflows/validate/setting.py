"""What all sections of the validation book start from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fivesigma.geometry import Detector

__all__ = ["Setting"]


@dataclass(frozen=True)
class Setting:
    """What is validated, and how thoroughly.

    Attributes:
        detector: a preset with tracker, calorimeters and muon system.
        scale: factor on the numbers of particles.
        seed: of all randomness.
        data: folder of real and of reference data.
    """

    detector: Detector
    scale: float
    seed: int
    data: Path

    def count(self, number: int) -> int:
        """So many particles, scaled; at least 50."""
        return max(50, round(self.scale * number))

    def rng(self, stream: int) -> np.random.Generator:
        """Random numbers of a section, the same whichever others are made."""
        return np.random.default_rng([self.seed, stream])
