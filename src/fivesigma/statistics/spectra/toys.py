"""Tests of background functions on toys: closure, spurious signal, injected signal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fivesigma.statistics.spectra.model import YIELD, Component, Model
from fivesigma.statistics.spectra.scoring import fit_many
from fivesigma.statistics.spectra.shapes import Limits, Shape
from fivesigma.statistics.spectra.sidebands import background_start, predict, visible_bins
from fivesigma.statistics.spectra.starting import starting_values

__all__ = ["Pulls", "injection_test", "sideband_closure", "spurious_signal"]

Array = NDArray[np.float64]
_SIGNAL, _BACKGROUND = "signal", "background"


@dataclass(frozen=True)
class Pulls:
    """Estimates from toys against the truth.

    Attributes:
        truth: what was put in.
        values: (T,) estimates of the toys whose fit converged.
        errors: (T,) their uncertainties.
        failed: number of toys whose fit did not converge; they are left out.
    """

    truth: float
    values: Array
    errors: Array
    failed: int

    @property
    def pulls(self) -> Array:
        """(T,) (estimate - truth) / uncertainty: N(0, 1) where all is well."""
        return (self.values - self.truth) / self.errors

    @property
    def mean(self) -> tuple[float, float]:
        """Mean pull and its statistical error."""
        return float(self.pulls.mean()), float(self.pulls.std() / np.sqrt(len(self.pulls)))

    @property
    def width(self) -> tuple[float, float]:
        """Standard deviation of the pulls and its statistical error."""
        spread = float(self.pulls.std(ddof=1))
        return spread, spread / float(np.sqrt(2 * (len(self.pulls) - 1)))


def sideband_closure(
    shape: Shape, truth: ArrayLike, edges: ArrayLike, window: Limits, toys: int, seed: int
) -> Pulls:
    """Whether the prediction of a window and its uncertainty are right for a known background.

    Args:
        shape: fitted to the sidebands of each toy.
        truth: (B,) expected background.
        edges: (B + 1,).
        window: low and high end, at edges of bins.
        toys: number of toys.
        seed: of their Poisson numbers.
    """
    expected, bins = np.asarray(truth, dtype=np.float64), np.asarray(edges, dtype=np.float64)
    visible = visible_bins(bins, window)
    counts = np.random.default_rng(seed).poisson(expected, (toys, len(expected)))
    model, start = background_start(shape, expected, bins, visible)
    values, errors, many = predict(model, counts.astype(np.float64), bins, visible, start)
    good = many.converged
    return Pulls(float(expected[~visible].sum()), values[good], errors[good], int((~good).sum()))


def injection_test(
    signal: Component,
    background: Shape,
    truth: ArrayLike,
    edges: ArrayLike,
    injected: float,
    toys: int,
    seed: int,
) -> Pulls:
    """Whether an injected signal is found again.

    Args:
        signal: whose parameters are all fixed but the yield.
        background: fitted with it.
        truth: (B,) expected background, of any form.
        edges: (B + 1,).
        injected: expected signal events.
        toys: number of toys.
        seed: of their Poisson numbers.

    Raises:
        ValueError: a signal with free parameters other than its yield.
    """
    expected, bins = np.asarray(truth, dtype=np.float64), np.asarray(edges, dtype=np.float64)
    model, start, index = _with_signal(signal, background, expected, bins)
    only = np.where(np.arange(len(start)) == index, injected, 0.0)
    template = model.of_components(bins, only)[signal.name] if injected else np.zeros(1)
    counts = np.random.default_rng(seed).poisson(expected + template, (toys, len(expected)))
    start[index] = injected
    many = fit_many(model, counts.astype(np.float64), bins, start)
    good = many.converged
    errors = np.sqrt(many.covariance[good, index, index])
    return Pulls(injected, many.theta[good, index], errors, int((~good).sum()))


def spurious_signal(
    signal: Sequence[Component], background: Shape, truth: ArrayLike, edges: ArrayLike
) -> tuple[Array, Array]:
    """Signal that a background function invents on a background without fluctuations.

    ATLAS asks for less than 20 % of the statistical uncertainty (ATL-PHYS-PUB-2020-028).

    Args:
        signal: hypotheses, e.g. of different masses, with all fixed but the yield.
        background: fitted with each.
        truth: (B,) expected background, of any form.
        edges: (B + 1,).

    Returns:
        Spurious events and the statistical uncertainty of the signal's yield, (S,) each.
    """
    expected, bins = np.asarray(truth, dtype=np.float64), np.asarray(edges, dtype=np.float64)
    found, errors = [], []
    for each in signal:
        model, start, index = _with_signal(each, background, expected, bins)
        many = fit_many(model, expected, bins, start)
        found.append(many.theta[0, index])
        errors.append(np.sqrt(many.covariance[0, index, index]))
    return np.array(found), np.array(errors)


def _with_signal(
    signal: Component, background: Shape, truth: Array, edges: Array
) -> tuple[Model, Array, int]:
    """Model of both, where fits begin, and which parameter the signal's yield is."""
    if signal.free() != [YIELD]:
        message = (
            f"{signal.name}: {', '.join(signal.free())} are free; fix all but the yield, "
            "fixed={'mass': ..., 'sigma': ...}"
        )
        raise ValueError(message)
    limits = (float(edges[0]), float(edges[-1]))
    rest = Component(_BACKGROUND, background)
    begin = starting_values(Model((rest,), limits), truth, edges)
    model = Model((signal, rest), limits)
    return model, np.array([0.0, *begin]), 0
