"""What is left of the events of one input: cut-flow and histograms, which add up."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import hist
import numpy as np
from numpy.typing import NDArray

__all__ = ["CHOOSING", "NOMINAL", "RESULT", "Selected", "contents", "empty_histogram"]

NOMINAL = "nominal"
#: the halves of the events: bins are chosen with one, templates made of the other
CHOOSING, RESULT = 0, 1


def empty_histogram(edges: np.ndarray) -> hist.Hist:
    """Axes `half` and `x`, weighted."""
    return hist.Hist(
        hist.axis.Integer(0, 2, underflow=False, overflow=False, name="half"),
        hist.axis.Variable(edges, name="x"),
        storage=hist.storage.Weight(),
    )


def contents(histogram: hist.Hist) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(B,) contents and (B,) variances of a weighted histogram."""
    view: Any = histogram.view()
    return np.array(view["value"]), np.array(view["variance"])


@dataclass(frozen=True)
class Selected:
    """What is left of some events of one input.

    Attributes:
        cutflow: name of the cut -> number of events, their sum of weights, and that of the
            squared weights, which are left after it.
        sum_of_weights: (2,) generator weights of all events, by half.
        histograms: (region, variation) -> histogram with the axes `half` and `x`; not normalised.
        varied_sums: weight variation that keeps the sum of weights -> (2,) that sum with it.
    """

    cutflow: Mapping[str, np.ndarray]
    sum_of_weights: np.ndarray
    histograms: Mapping[tuple[str, str], hist.Hist]
    varied_sums: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __add__(self, other: Selected) -> Selected:
        """Of the events of both."""
        return Selected(
            {name: each + other.cutflow[name] for name, each in self.cutflow.items()},
            self.sum_of_weights + other.sum_of_weights,
            {name: each + other.histograms[name] for name, each in self.histograms.items()},
            {name: each + other.varied_sums[name] for name, each in self.varied_sums.items()},
        )

    def to_bytes(self) -> bytes:
        """As the content of an .npz file."""
        arrays = {"sum_of_weights": self.sum_of_weights}
        arrays |= {f"cutflow/{name}": each for name, each in self.cutflow.items()}
        arrays |= {f"varied/{name}": each for name, each in self.varied_sums.items()}
        for (region, variation), each in self.histograms.items():
            arrays[f"edges/{region}"] = each.axes["x"].edges
            view: Any = each.view(flow=True)
            stacked = np.stack([view["value"], view["variance"]])  # (2, halves, bins with flow)
            arrays[f"histogram/{region}/{variation}"] = stacked
        stream = io.BytesIO()
        np.savez_compressed(stream, allow_pickle=False, **arrays)
        return stream.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Selected:
        """From the content of an .npz file."""
        cutflow: dict[str, np.ndarray] = {}
        histograms: dict[tuple[str, str], hist.Hist] = {}
        varied: dict[str, np.ndarray] = {}
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            for key in arrays:
                kind, _, rest = key.partition("/")
                if kind == "cutflow":
                    cutflow[rest] = arrays[key]
                elif kind == "varied":
                    varied[rest] = arrays[key]
                elif kind == "histogram":
                    region, _, variation = rest.partition("/")
                    made = empty_histogram(arrays[f"edges/{region}"])
                    view: Any = made.view(flow=True)
                    view["value"], view["variance"] = arrays[key]
                    histograms[region, variation] = made
            return cls(cutflow, arrays["sum_of_weights"], histograms, varied)
