"""What is done to variations of templates: mirrored, smoothed, parted, pruned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fivesigma.search.measurement import Pruning
from fivesigma.search.systematics import ShapeSystematic

__all__ = ["Shape", "prune", "shape_of", "smoothed", "two_sided"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Shape:
    """A variation of a template, parted into its yield and its shape.

    Attributes:
        factors: of the yield at +1 and -1 sigma; None where it does not change.
        templates: (2, B) at +1 and -1 sigma, of the nominal yield unless `whole`; None where only
            the yield changes.
        whole: the templates have the yield of the variation, and stand alone.
    """

    factors: tuple[float, float] | None
    templates: Array | None
    whole: bool = False


def two_sided(nominal: Array, sides: dict[str, Array], symmetrise: bool) -> Array:
    """(2, B) up and down: a side that is missing is mirrored, bin by bin, not below zero.

    Args:
        nominal: (B,) nominal template.
        sides: "up" and "down", or one of them.
        symmetrise: mirror half the difference of both.
    """
    if symmetrise and len(sides) == 2:
        half = (sides["up"] - sides["down"]) / 2
        sides = {"up": nominal + half, "down": nominal - half}
    mirrored = {name: 2 * nominal - each for name, each in sides.items()}
    up = sides.get("up", mirrored.get("down"))
    down = sides.get("down", mirrored.get("up"))
    made = np.stack([up, down])  # type: ignore[list-item]
    if symmetrise or len(sides) == 1:
        # a mirrored change of more than 100 % is no negative number of events
        made = np.where(nominal >= 0, np.maximum(made, 0.0), made)
    return made


def smoothed(nominal: Array, varied: Array, variance: Array) -> Array:
    """(B,) the variation with the fluctuations taken out of its ratio to the nominal template.

    The ratio is replaced by local linear fits, weighted by a Gaussian in the bin number times the
    nominal template's n_eff = content^2 / variance; of several widths, up to a common factor for
    all bins, the one is taken that predicts each bin best from the others (leave-one-out
    cross-validation; Hastie, Tibshirani, Friedman, "The Elements of Statistical Learning", 6.1 and
    7.10). The yield is kept.

    Args:
        nominal: (B,) nominal template.
        varied: (B,) the variation.
        variance: (B,) of the nominal template.
    """
    filled = nominal > 0
    if np.count_nonzero(filled) < 3:
        return varied
    ratio = np.where(filled, varied / np.where(filled, nominal, 1.0), 1.0)
    weight = np.where(filled, nominal**2 / np.where(variance > 0, variance, np.inf), 0.0)
    if not weight.any():
        return varied
    fits = [_local_linear(ratio, weight, width) for width in (0.7, 1.0, 1.5, 2.5, 4.0, 8.0, 1e6)]
    errors = [np.sum(weight * ((ratio - fit) / (1 - own)) ** 2) for fit, own in fits]
    made = np.where(filled, nominal * fits[int(np.argmin(errors))][0], varied)
    return made * (varied.sum() / made.sum()) if made.sum() > 0 else varied


def _local_linear(y: Array, weight: Array, width: float) -> tuple[Array, Array]:
    """Fit at each bin, and the part of it that is the bin's own value (below 1)."""
    x = np.arange(len(y), dtype=np.float64)
    kernel = np.exp(-0.5 * ((x[:, None] - x[None, :]) / width) ** 2) * weight  # (at, from)
    step = x[None, :] - x[:, None]
    s0, s1, s2 = (np.sum(kernel * step**power, axis=1, keepdims=True) for power in (0, 1, 2))
    determinant = s0 * s2 - s1**2
    flat = determinant <= 1e-10 * s0 * s2  # one bin alone has a value but no slope
    linear = kernel * (s2 - s1 * step) / np.where(flat, 1.0, determinant)
    smoother = np.where(flat, kernel / np.maximum(s0, 1e-300), linear)
    return smoother @ y, np.clip(np.diag(smoother), 0.0, 0.999)


def shape_of(nominal: Array, templates: Array, systematic: ShapeSystematic) -> Shape:
    """A variation as the systematic wants it: whole, parted, or one part of it.

    Args:
        nominal: (B,) nominal template with a yield above 0.
        templates: (2, B) up and down.
        systematic: says how.

    Raises:
        ValueError: a variation without events, where its yield is needed.
    """
    if systematic.use == "both" and not systematic.split:
        return Shape(None, templates, whole=True)
    up, down = factors = _factors(nominal, templates)
    if min(factors) <= 0:
        message = f"its yield is {up:.3g} and {down:.3g} of the nominal one, expected more than 0"
        raise ValueError(message)
    scaled = templates / np.array([[up], [down]])
    shape = None if systematic.use == "normalisation" else scaled
    return Shape(None if systematic.use == "shape" else factors, shape)


def _factors(nominal: Array, templates: Array) -> tuple[float, float]:
    up, down = templates.sum(axis=1) / nominal.sum()
    return float(up), float(down)


def prune(nominal: Array, shape: Shape, limits: Pruning) -> tuple[Shape, str]:
    """The variation without what is too small, and what was left out: "" or its name.

    Args:
        nominal: (B,) nominal template.
        shape: the variation.
        limits: what is too small; 0: nothing.
    """
    factors, templates = shape.factors, shape.templates
    if shape.whole and templates is not None:
        factors = _factors(nominal, templates)
        if min(factors) <= 0:
            return shape, ""
        templates = templates / np.array([[factors[0]], [factors[1]]])
    yields = max(abs(f - 1) for f in factors) if factors else 0.0
    base = np.where(nominal > 0, nominal, np.inf)
    bins = 0.0 if templates is None else float(np.abs((templates - nominal) / base).max())
    small = {
        "normalisation": factors is not None and yields < limits.normalisation,
        "shape": templates is not None and bins < limits.shape,
    }
    gone = [name for name, is_small in small.items() if is_small]
    if not gone:
        return shape, ""
    kept = Shape(
        None if small["normalisation"] else factors, None if small["shape"] else templates
    )
    return kept, " and ".join(gone)
