"""Pseudo-experiments: distributions of test statistics, and p-values from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm

from fivesigma.results import Number
from fivesigma.statistics.failures import hopeless, joined, reasons
from fivesigma.statistics.hypotests import profiled_asimov, q_mu_tilde, statistic
from fivesigma.statistics.model import Model

__all__ = ["Toys", "chunks", "cls_by_toys", "p_value", "toys", "z_value"]

#: pseudo-experiments at a time: their data stay in the processor's memory
_CHUNK = 4096
#: relative difference below which two statistics are the same: those of one count differ by as
#: much as their fits are exact
_TIE = 1e-6


@dataclass(frozen=True)
class Toys:
    """n pseudo-experiments.

    Attributes:
        mu: signal strength they were drawn with.
        tested: signal strength that was tested; NaN where goodness of fit is.
        q: test statistic; NaN where a fit failed.
        mu_hat: fitted signal strength.
        failed: how many fits failed.
        note: why they did.
    """

    mu: float
    tested: float
    q: np.ndarray
    mu_hat: np.ndarray
    failed: int
    note: str = ""


def toys(
    model: Model,
    mu: float = 0.0,
    n: int = 10_000,
    seed: int = 1,
    *,
    tested: float | None = None,
    data: ArrayLike | None = None,
    theta: ArrayLike | None = None,
) -> Toys:
    """Draw pseudo-experiments and fit each twice, with and without the tested signal strength.

    Args:
        model: the model.
        mu: signal strength to draw with.
        n: how many.
        seed: of the random numbers; the same seed gives the same pseudo-experiments.
        tested: signal strength to test; default: 0 with the discovery statistic q0. Others are
            tested with that for upper limits, q-tilde.
        data: (N,) that the other parameters are fitted to before; default: what was observed.
        theta: (P,) parameters to draw with instead of these.

    Raises:
        ValueError: fewer than one pseudo-experiment, or no fit to draw them from.
    """
    sizes = chunks(n)
    truth = profiled_asimov(model, mu, data)[1] if theta is None else np.array(theta, float)
    truth[model.poi] = mu
    rng = np.random.default_rng(seed)
    goal = 0.0 if tested is None else tested
    values, hats, states, bins = [], [], [], ""
    for size in sizes:
        drawn = model.sample(truth, size, rng)
        q, free, held = statistic(
            model, goal, drawn, 0.0, upper_limit=tested is not None, start=truth
        )
        values.append(q)
        hats.append(free.theta[:, model.poi])
        states.append(np.maximum(free.status, held.status))
        bins = bins or hopeless(model, (drawn, free), (drawn, held))
    q, status = np.concatenate(values), np.concatenate(states)
    failed = int(np.isnan(q).sum())
    return Toys(mu, goal, q, np.concatenate(hats), failed, joined(reasons(status), bins))


def chunks(n: int) -> list[int]:
    """Sizes of the batches in which n pseudo-experiments are drawn.

    Raises:
        ValueError: fewer than one.
    """
    if n < 1:
        message = f"{n} pseudo-experiments; draw at least one, some thousand for a p-value"
        raise ValueError(message)
    return [min(_CHUNK, n - begin) for begin in range(0, n, _CHUNK)]


def p_value(drawn: Toys, observed: float) -> Number:
    """The fraction of pseudo-experiments as extreme as what was observed, with its uncertainty.

    Raises:
        ValueError: no pseudo-experiment whose fits converged, or nothing finite observed.
    """
    if not np.isfinite(observed):
        message = f"the observed statistic is {observed}: a fit to the data failed; see its note"
        raise ValueError(message)
    q = drawn.q[np.isfinite(drawn.q)]
    if not q.size:
        message = f"none of {drawn.q.size} pseudo-experiments could be fitted: {drawn.note}"
        raise ValueError(message)
    extreme = int((q >= observed - _TIE * max(observed, 1.0)).sum())
    p = extreme / q.size
    # with none or all of them, the uncertainty is that of one
    error = np.sqrt(max(p * (1 - p), (1 - 1 / q.size) / q.size) / q.size)
    return Number(p, float(error), note=f"{extreme} of {q.size} pseudo-experiments")


def z_value(p: Number) -> Number:
    """Standard deviations of a one-sided p-value.

    Where no toy was as extreme it is a lower limit, where all were (a deficit: q0 = 0) it is 0.
    """
    if p.value <= 0:
        return Number(float(norm.isf(p.uncertainty)), note=f"lower limit: {p.note}")
    if p.value >= 1:
        return Number(0.0, note=f"no excess: {p.note}")
    z = float(norm.isf(p.value))
    return Number(z, float(p.uncertainty / norm.pdf(z)), note=p.note)


def cls_by_toys(
    model: Model, mu: float = 1.0, n: int = 10_000, seed: int = 1, *, data: ArrayLike | None = None
) -> Number:
    """CLs from two sets of n pseudo-experiments, with signal and without.

    Raises:
        ValueError: no background experiment is as extreme as the data.
    """
    observed = float(q_mu_tilde(model, mu, data)[0])
    both = p_value(toys(model, mu, n, seed, tested=mu, data=data), observed)
    alone = p_value(toys(model, 0.0, n, seed + 1, tested=mu, data=data), observed)
    if alone.value <= 0:
        message = f"CLb is 0 with {n} pseudo-experiments; draw more"
        raise ValueError(message)
    ratio = both.value / alone.value
    relative = np.hypot(both.uncertainty / max(both.value, 1 / n), alone.uncertainty / alone.value)
    return Number(ratio, float(max(ratio, 1 / n) * relative), note=both.note)
