"""Background in a blinded window, predicted from its sidebands by functions an F-test chooses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2, f

from fivesigma.statistics.spectra.model import Component, Model, jacobian
from fivesigma.statistics.spectra.registry import family_named
from fivesigma.statistics.spectra.scoring import Many, fit_many
from fivesigma.statistics.spectra.shapes import Limits, Shape
from fivesigma.statistics.spectra.starting import starting_values

__all__ = ["Sideband", "Trial", "f_test", "fit_sidebands", "predict", "visible_bins"]

Array = NDArray[np.float64]
#: name of the only component of a sideband fit
_BACKGROUND = "background"


@dataclass(frozen=True, eq=False)
class Trial:
    """One function fitted to the sidebands.

    Attributes:
        shape: its name.
        parameters: fitted ones, the yield included.
        deviance: of the visible bins.
        ndf: visible bins minus parameters.
        f_probability: that this order improves the fit so much by chance over the one before it
            in its family; 1 for the first.
        prediction: events in the window.
        statistical: its uncertainty from the sidebands' statistics.
        expected: (B,) events in every bin of the range.
        converged: whether the fit found a minimum; functions that are too stiff may not, as they
            would fall below 0.
        chosen: whether the F-test chose it within its family.
    """

    shape: str
    parameters: int
    deviance: float
    ndf: int
    f_probability: float
    prediction: float
    statistical: float
    expected: Array
    converged: bool
    chosen: bool = False

    @property
    def p_value(self) -> float:
        """Goodness of fit in the sidebands."""
        return float(chi2.sf(self.deviance, self.ndf))


@dataclass(frozen=True)
class Sideband:
    """The prediction for a window.

    Attributes:
        window: low and high end.
        edges: (B + 1,) of the whole range.
        counts: (B,) with zeros in the window: nobody looked there.
        visible: (B,) bins of the sidebands.
        trials: all functions that were fitted.
        best: the one that predicts.
        choice: uncertainty from the choice of the function; NaN where no other could be fitted.
        note: that it is not known, and functions that were left out.
    """

    window: Limits
    edges: Array
    counts: Array
    visible: NDArray[np.bool_]
    trials: tuple[Trial, ...]
    best: Trial
    choice: float
    note: str = ""

    @property
    def prediction(self) -> float:
        """Expected background events in the window."""
        return self.best.prediction

    @property
    def uncertainty(self) -> float:
        """Statistical uncertainty and that of the choice, if it is known, in quadrature."""
        return float(np.hypot(self.best.statistical, np.nan_to_num(self.choice)))


def f_test(first: tuple[float, int], second: tuple[float, int], bins: int) -> float:
    """Probability that more parameters improve a fit so much by chance.

    F = ((chi2_1 - chi2_2) / (p_2 - p_1)) / (chi2_2 / (n - p_2)) against Fisher's distribution.

    Args:
        first: chi-squared and number of parameters of the simpler function.
        second: those of the function with more parameters.
        bins: number of bins.

    Raises:
        ValueError: the second has not more parameters, or as many as there are bins.
    """
    more, left = second[1] - first[1], bins - second[1]
    if more < 1 or left < 1:
        message = (
            f"F-test of {first[1]} against {second[1]} parameters in {bins} bins: the second must "
            "have more than the first and less than there are bins"
        )
        raise ValueError(message)
    gain = max(first[0] - second[0], 0.0)
    if second[0] <= 0:
        return 0.0 if gain > 0 else 1.0
    return float(f.sf(gain / more / (second[0] / left), more, left))


def visible_bins(edges: Array, window: Limits) -> NDArray[np.bool_]:
    """Bins outside of the window (B,).

    Raises:
        ValueError: the window is empty, cuts through bins, or leaves no sideband on either side.
    """
    low, high = window
    close = 1e-6 * np.diff(edges).min()
    for value in window:
        if np.abs(edges - value).min() > close:
            near = ", ".join(f"{edge:g}" for edge in edges[np.argsort(np.abs(edges - value))[:2]])
            message = f"window {low:g} to {high:g}: {value:g} is no edge of a bin; nearest: {near}"
            raise ValueError(message)
    hidden = (edges[:-1] >= low - close) & (edges[1:] <= high + close)
    if not hidden.any() or hidden[0] or hidden[-1]:
        message = (
            f"window {low:g} to {high:g} within {edges[0]:g} to {edges[-1]:g}: expected at least "
            "one bin in it and one on each side of it"
        )
        raise ValueError(message)
    return ~hidden


def predict(
    model: Model, counts: Array, edges: Array, visible: NDArray[np.bool_], start: Array
) -> tuple[Array, Array, Many]:
    """Predictions for the hidden bins of many histograms at once.

    Args:
        model: of the background.
        counts: (T, B); what the hidden bins hold has no effect.
        edges: (B + 1,).
        visible: (B,).
        start: (P,) parameters to begin with.

    Returns:
        Predictions (T,), their statistical uncertainties (T,), and the fits.
    """
    many = fit_many(model, counts, edges, start, visible=visible)

    def hidden(theta: Array) -> Array:
        return model.expected(edges, theta)[..., ~visible].sum(-1, keepdims=True)

    slopes = jacobian(hidden, many.theta, model.sizes(many.theta))[:, 0]  # (T, P)
    variance = np.einsum("tp,tpq,tq->t", slopes, many.covariance, slopes)
    return hidden(many.theta)[:, 0], np.sqrt(np.maximum(variance, 0.0)), many


def background_start(
    shape: Shape, counts: Array, edges: Array, visible: NDArray[np.bool_]
) -> tuple[Model, Array]:
    """A model of one background, and where its fit begins with the window bridged by a line."""
    model = Model((Component(_BACKGROUND, shape),), (float(edges[0]), float(edges[-1])))
    centres = 0.5 * (edges[:-1] + edges[1:])
    bridged = np.interp(centres, centres[visible], counts[visible])
    return model, starting_values(model, bridged, edges)


def fit_sidebands(
    counts: ArrayLike,
    edges: ArrayLike,
    window: Limits,
    families: Sequence[str] = ("exponential", "bernstein"),
    threshold: float = 0.05,
) -> Sideband:
    """Predict the background in a window from the bins around it.

    In each family the order rises while the F-test finds that the next one improves the fit with
    a probability below `threshold` to do so by chance. Of the families' choices that with the
    smallest deviance + number of parameters predicts (discrete profiling, arXiv:1408.6865, with
    the penalty of its section 5). The largest difference of the other families' choices to it is
    the uncertainty of the choice; without others, that of the next order. Functions whose fit
    found no minimum do not count; where none is left, the uncertainty is not known.

    Args:
        counts: (B,) events; those in the window are not looked at.
        edges: (B + 1,).
        window: low and high end, at edges of bins.
        families: names in `FAMILIES`.
        threshold: of the F-test.

    Raises:
        ValueError: unknown family, threshold, bad window or counts, or too few bins for the first
            function.
    """
    if not 0 < threshold < 1:
        message = f"threshold {threshold:g} of the F-test; give a probability, e.g. 0.05"
        raise ValueError(message)
    n, bins = np.asarray(counts, dtype=np.float64), np.asarray(edges, dtype=np.float64)
    if n.shape != (len(bins) - 1,) or not np.isfinite(n).all() or (n < 0).any():
        message = f"counts {n.shape} for edges {bins.shape}: expected (B,) finite, not negative"
        raise ValueError(message)
    if not families:
        message = "name at least one family of backgrounds, e.g. 'bernstein'"
        raise ValueError(message)
    visible = visible_bins(bins, window)
    n = np.where(visible, n, 0.0)
    if n.sum() == 0:
        message = f"no events beside the window {window[0]:g} to {window[1]:g}; widen the range"
        raise ValueError(message)
    found = {name: _family(family_named(name), n, bins, visible, threshold) for name in families}
    trials = [trial for of in found.values() for trial in of]
    chosen = [trial for trial in trials if trial.chosen]
    best = min(chosen, key=lambda trial: trial.deviance + trial.parameters)
    if not best.converged:
        message = (
            f"the fit of {best.shape} to the sidebands found no minimum; "
            "choose another family, or wider sidebands"
        )
        raise ValueError(message)
    own = next(of for of in found.values() if best in of)
    rivals = [each for each in chosen if each is not best]
    usable = [t for t in rivals if t.converged] or [
        t for t in own[own.index(best) + 1 :] if t.converged
    ]
    choice = max((abs(t.prediction - best.prediction) for t in usable), default=float("nan"))
    return Sideband(window, bins, n, visible, tuple(trials), best, choice, _note(rivals, usable))


def _note(rivals: Sequence[Trial], usable: Sequence[Trial]) -> str:
    lost = [each.shape for each in rivals if not each.converged]
    told = [f"no minimum was found for {', '.join(lost)}, which do not count"] if lost else []
    if not usable:
        told.append(
            "the uncertainty from the choice of the function is not known: no other could be "
            "fitted; name another family"
        )
    return "; ".join(told)


def _family(
    shapes: Sequence[Shape],
    counts: Array,
    edges: Array,
    visible: NDArray[np.bool_],
    threshold: float,
) -> list[Trial]:
    """Functions of rising order, up to the first one that is not needed."""
    trials = [_trial(shapes[0], counts, edges, visible, None)]
    last = 0
    for shape in shapes[1:]:
        if trials[-1].ndf < 2:
            break
        trials.append(_trial(shape, counts, edges, visible, trials[-1]))
        if not trials[-1].f_probability < threshold:
            break
        last = len(trials) - 1
    return [replace(trial, chosen=index == last) for index, trial in enumerate(trials)]


def _trial(
    shape: Shape,
    counts: Array,
    edges: Array,
    visible: NDArray[np.bool_],
    before: Trial | None,
) -> Trial:
    model, start = background_start(shape, counts, edges, visible)
    free, bins = len(model.names), int(visible.sum())
    if bins <= free:
        message = (
            f"{bins} bins beside the window cannot tell the {free} parameters of {shape.name}; "
            "make the bins finer or widen the range"
        )
        raise ValueError(message)
    value, error, many = predict(model, counts[None], edges, visible, start)
    deviance = float(many.deviance[0])
    probability = (
        1.0
        if before is None
        else f_test((before.deviance, before.parameters), (deviance, free), bins)
    )
    return Trial(
        shape.name,
        free,
        deviance,
        bins - free,
        probability,
        float(value[0]),
        float(error[0]),
        model.expected(edges, many.theta[0]),
        bool(many.converged[0]),
    )
