"""A shape: a function of one quantity with named parameters, normalised on a range.

Densities are written without normalisation; `Shape` normalises them on the range of the fit, by
their antiderivative where there is one in closed form, else by Gauss-Legendre quadrature. All
functions broadcast: parameters of shape (T, 1) and edges of shape (B + 1,) give (T, B), so that
thousands of toys are one array.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Limits", "Parameter", "Shape"]

Array = NDArray[np.float64]
#: low and high end of the range of a fit, in the unit of the quantity
Limits = tuple[float, float]
#: x, parameters, limits -> values of the form of x
Function = Callable[[Array, Sequence[Any], Limits], Array]
#: nodes and weights of a piece, and pieces of the range, for densities without antiderivative
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
_PIECES = 64


@dataclass(frozen=True)
class Parameter:
    """A parameter of a shape, with its bounds in units of the range.

    Attributes:
        name: as in results, e.g. "mass".
        meaning: one line.
        start: where a fit begins if the data do not tell.
        lower: bound of fits.
        upper: bound of fits.
        kind: "position" (0 is the low end of the range, 1 the high one), "width" (in units of the
            range), "slope" (in units of 1 / range) or "number".
        fixed: not fitted unless asked for.
    """

    name: str
    meaning: str
    start: float
    lower: float
    upper: float
    kind: Literal["position", "width", "slope", "number"] = "number"
    fixed: bool = False

    def scaled(self, limits: Limits) -> tuple[float, float, float]:
        """Start, lower and upper bound in the unit of the quantity."""
        low, size = limits[0], limits[1] - limits[0]
        offset = low if self.kind == "position" else 0.0
        scale = {"position": size, "width": size, "slope": 1 / size, "number": 1.0}[self.kind]
        start, lower, upper = (
            offset + scale * value for value in (self.start, self.lower, self.upper)
        )
        return start, lower, upper

    def unit(self, unit: str) -> str:
        """The unit of its values where the quantity has this unit."""
        if not unit or self.kind == "number":
            return ""
        return f"1/{unit}" if self.kind == "slope" else unit


@dataclass(frozen=True)
class Shape:
    """A density of one quantity.

    Attributes:
        name: in `SHAPES`.
        meaning: one line.
        parameters: in the order in which functions take them.
        density: (x, parameters, limits) -> not normalised, not negative within the bounds.
        antiderivative: of the density, up to a constant; None integrates numerically.
        peak: whether it has a place in the range, else it is a background.
        positive: whether the quantity must be above 0.
        reference: where the form is from.
        narrowest: least gamma / sigma at which it is accurate to 1e-3.
    """

    name: str
    meaning: str
    parameters: tuple[Parameter, ...]
    density: Function
    antiderivative: Function | None = None
    peak: bool = False
    positive: bool = False
    reference: str = ""
    narrowest: float = 0.0

    def integrals(self, edges: Array, parameters: Sequence[Any], limits: Limits) -> Array:
        """Integral of the density over each bin.

        Args:
            edges: (B + 1,) in rising order.
            parameters: numbers, or arrays of shape (T, 1).
            limits: range of the fit.

        Returns:
            (B,) or (T, B), not normalised.
        """
        if self.antiderivative is not None:
            return np.diff(self.antiderivative(edges, parameters, limits), axis=-1)
        parts = max(1, _PIECES // (len(edges) - 1))
        step = np.diff(edges)[:, None] / parts  # (B, 1)
        centres = edges[:-1, None] + step * (np.arange(parts) + 0.5)  # (B, parts)
        x = centres[..., None] + 0.5 * step[..., None] * _NODES  # (B, parts, K)
        values = self.density(x.reshape(-1), parameters, limits)
        values = values.reshape(*values.shape[:-1], len(edges) - 1, parts * len(_NODES))
        return values @ np.tile(_WEIGHTS, parts) * (0.5 * step[:, 0])

    def fractions(self, edges: Array, parameters: Sequence[Any], limits: Limits) -> Array:
        """Share of each bin in the integral over the range: (B,) or (T, B)."""
        whole = self.integrals(np.asarray(limits), parameters, limits)
        return self.integrals(edges, parameters, limits) / whole

    def pdf(self, x: Array, parameters: Sequence[Any], limits: Limits) -> Array:
        """Density that integrates to one over the range: (N,) or (T, N)."""
        whole = self.integrals(np.asarray(limits), parameters, limits)
        return self.density(x, parameters, limits) / whole
