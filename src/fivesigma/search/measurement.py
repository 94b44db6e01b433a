"""What is measured, and how templates become the model that measures it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["BLINDED", "Measurement", "Pruning", "Templating", "is_blinded"]

#: end of a measurement's name where observations are the prediction; pyhf allows no other mark
BLINDED = "_blinded"


@dataclass(frozen=True, kw_only=True)
class Pruning:
    """Effects that are too small to keep; 0 keeps all.

    Attributes:
        normalisation: smallest relative change of the yield.
        shape: smallest relative change of any bin, beyond that of the yield.
    """

    normalisation: float = 0.0
    shape: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Templating:
    """How templates become a model.

    Attributes:
        mc_statistics: statistical uncertainty of the simulation: HistFactory's staterror.
        negative: bins below zero: "refuse" them, or take them for "zero", in figures and tables
            too; the events that this adds are told.
        empty: background without events in a region: "refuse" it, or "drop" it there.
        prune: systematics too small to keep.
    """

    mc_statistics: bool = True
    negative: Literal["refuse", "zero"] = "refuse"
    empty: Literal["refuse", "drop"] = "refuse"
    prune: Pruning = field(default_factory=Pruning)


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What is measured.

    Attributes:
        name: of the measurement.
        poi: parameter of interest, a factor on the signal.
        samples: that it scales; none: all of kind "signal".
        range: of the parameter.
    """

    name: str = "measurement"
    poi: str = "mu"
    samples: tuple[str, ...] = ()
    range: tuple[float, ...] = (0.0, 10.0)

    def __post_init__(self) -> None:
        if len(self.range) != 2 or not self.range[0] < 1 < self.range[1]:
            message = f"range: got {list(self.range)}, expected two bounds around 1"
            raise ValueError(message)
        if self.name.endswith(BLINDED):
            message = f"name: got {self.name!r}; this end marks closed data, choose another"
            raise ValueError(message)


def is_blinded(workspace: Mapping[str, Any], measurement: str = "") -> bool:
    """Whether observations of a workspace are the prediction in the place of closed data.

    Args:
        workspace: pyhf's JSON.
        measurement: of several in it; the first if none.
    """
    name = measurement or workspace["measurements"][0]["name"]
    return str(name).endswith(BLINDED)
