"""A model of a spectrum: named components, each a shape with its yield, on one range."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fivesigma.statistics.spectra.shapes import Limits, Parameter, Shape

__all__ = ["YIELD", "Component", "Model", "jacobian"]

Array = NDArray[np.float64]
YIELD = "yield"
#: step of central differences, in units of a parameter's size
_STEP = 1e-5


@dataclass(frozen=True)
class Component:
    """One contribution to a spectrum.

    Attributes:
        name: e.g. "jpsi"; its parameters are called `jpsi/mass`, its yield `jpsi/yield`.
        shape: see `SHAPES`.
        start: parameter -> where the fit begins; found from the data where it is not given.
        fixed: parameter -> the value that it keeps.
        tied: parameter -> (full name of a free parameter, factor): it is their product.
    """

    name: str
    shape: Shape
    start: Mapping[str, float] = field(default_factory=dict)
    fixed: Mapping[str, float] = field(default_factory=dict)
    tied: Mapping[str, tuple[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = [YIELD, *(parameter.name for parameter in self.shape.parameters)]
        for name in (*self.start, *self.fixed, *self.tied):
            if name not in known:
                close = difflib.get_close_matches(name, known, 1)
                hint = f"did you mean {close[0]}? " if close else ""
                message = (
                    f"{self.name}: {self.shape.name} has no parameter {name!r}; {hint}"
                    f"it has {', '.join(known)}"
                )
                raise ValueError(message)

    def held(self) -> dict[str, float]:
        """Parameters that are not fitted, with their values."""
        own = {
            p.name: p.start for p in self.shape.parameters if p.fixed and p.name not in self.start
        }
        return {**own, **self.fixed}

    def free(self) -> list[str]:
        """Parameters that are fitted, the yield first."""
        names = [YIELD, *(parameter.name for parameter in self.shape.parameters)]
        return [name for name in names if name not in self.held() and name not in self.tied]


@dataclass(frozen=True)
class Model:
    """A sum of components on a range.

    Attributes:
        components: of different names.
        limits: the range, in the unit of the quantity.
    """

    components: tuple[Component, ...]
    limits: Limits

    def __post_init__(self) -> None:
        low, high = self.limits
        if not (np.isfinite([low, high]).all() and low < high):
            message = f"range {low:g} to {high:g}: expected two finite numbers, the lower first"
            raise ValueError(message)
        names = [component.name for component in self.components]
        if not names or len(set(names)) < len(names):
            message = f"components {names}: expected one or more, all of different names"
            raise ValueError(message)
        for component in self.components:
            self._check(component)
        if not self.names:
            message = "all parameters are fixed, there is nothing to fit; free at least a yield"
            raise ValueError(message)

    def _check(self, component: Component) -> None:
        if component.shape.positive and self.limits[0] <= 0:
            message = (
                f"{component.name}: {component.shape.name} needs a quantity above 0, "
                f"got a range from {self.limits[0]:g}"
            )
            raise ValueError(message)
        energy = component.held().get("energy")
        if energy is not None and energy <= self.limits[1]:
            message = (
                f"{component.name}: energy {energy:g} of the collision within the range up to "
                f"{self.limits[1]:g}; give energy in the unit of the quantity"
            )
            raise ValueError(message)
        for name, (other, _) in component.tied.items():
            if other not in self.names:
                message = (
                    f"{component.name}/{name} is tied to {other!r}, which is no free parameter; "
                    f"choose from {', '.join(self.names)}"
                )
                raise ValueError(message)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Full names of the free parameters, in the order of all arrays (P,)."""
        return tuple(f"{each.name}/{name}" for each in self.components for name in each.free())

    @cached_property
    def parameters(self) -> tuple[Parameter | None, ...]:
        """The free parameters (P,); None for yields."""
        found: list[Parameter | None] = []
        for each in self.components:
            known = {parameter.name: parameter for parameter in each.shape.parameters}
            found += [known.get(name) for name in each.free()]
        return tuple(found)

    def bounds(self, events: float) -> tuple[Array, Array]:
        """Lower and upper bounds (P,) of the free parameters.

        Yields of peaks may be negative, else small signals would come out too large on average.
        """
        peaks = {f"{each.name}/{YIELD}" for each in self.components if each.shape.peak}
        size = 2 * events + 10
        rows = [
            ((-size if name in peaks else 0.0), size) if p is None else p.scaled(self.limits)[1:]
            for name, p in zip(self.names, self.parameters, strict=True)
        ]
        lower, upper = np.array(rows, dtype=np.float64).T
        return lower, upper

    def sizes(self, theta: Array) -> Array:
        """What a small change of each parameter is measured against, of the form of theta."""
        typical = []
        for each in self.parameters:
            _, lower, upper = each.scaled(self.limits) if each else (0.0, 0.0, 0.0)
            long = each is not None and each.kind != "number"
            typical.append(0.01 * (upper - lower) if long else 1.0)
        return np.maximum(np.abs(theta), typical)

    def parts(self, theta: ArrayLike) -> dict[str, dict[str, Any]]:
        """Component -> parameter -> value, fixed and tied ones included.

        Args:
            theta: free parameters (P,) or (T, P).

        Returns:
            Values of shape (1,) or (T, 1).
        """
        array = np.asarray(theta, dtype=np.float64)
        free = {name: array[..., index, None] for index, name in enumerate(self.names)}
        found: dict[str, dict[str, Any]] = {}
        for each in self.components:
            values = {name: np.asarray([value]) for name, value in each.held().items()}
            values |= {name: free[f"{each.name}/{name}"] for name in each.free()}
            values |= {name: factor * free[other] for name, (other, factor) in each.tied.items()}
            found[each.name] = values
        return found

    def _split(self, theta: ArrayLike) -> list[tuple[Component, Any, list[Any]]]:
        parts = self.parts(theta)
        return [
            (c, parts[c.name][YIELD], [parts[c.name][p.name] for p in c.shape.parameters])
            for c in self.components
        ]

    def of_components(self, edges: Array, theta: ArrayLike) -> dict[str, Array]:
        """Expected events of each component in each bin: (B,) or (T, B)."""
        return {
            component.name: size * component.shape.fractions(edges, values, self.limits)
            for component, size, values in self._split(theta)
        }

    def expected(self, edges: Array, theta: ArrayLike) -> Array:
        """Expected events in each bin.

        Args:
            edges: (B + 1,) within the range.
            theta: free parameters (P,) or (T, P).

        Returns:
            (B,) or (T, B).
        """
        return reduce(np.add, self.of_components(edges, theta).values())

    def intensity(self, x: Array, theta: ArrayLike) -> Array:
        """Expected events per unit of the quantity at x: (N,) or (T, N)."""
        split = self._split(theta)
        return reduce(np.add, (n * c.shape.pdf(x, p, self.limits) for c, n, p in split))

    def total(self, theta: ArrayLike) -> Array:
        """Expected events in the range: (1,) or (T, 1)."""
        return reduce(np.add, (n for _, n, _ in self._split(theta)))


def jacobian(function: Callable[[Array], Array], theta: Array, sizes: Array) -> Array:
    """Central differences of a function of the parameters.

    Args:
        function: (T, P) -> (T, B); called once.
        theta: where, (T, P) or (P,).
        sizes: of the parameters, of the form of theta.

    Returns:
        (..., B, P).
    """
    free, steps = theta.shape[-1], _STEP * sizes
    shifts = np.moveaxis(steps[..., None] * np.eye(free), -2, 0)  # (P, ..., P)
    points = np.stack([theta + shifts, theta - shifts]).reshape(-1, free)
    up, down = function(points).reshape(2, *shifts.shape[:-1], -1)  # (P, ..., B) each
    return np.moveaxis(up - down, 0, -1) / (2 * steps[..., None, :])
