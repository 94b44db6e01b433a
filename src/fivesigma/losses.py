"""Losses beyond torch's: of each jet or event, and of whole batches of events.

The losses of batches, significance and expected uncertainty of a signal strength, count events
softly: an event counts as much as its score says, so that the counts have a gradient.
"""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy, kl_div, log_softmax

__all__ = [
    "asimov_significance",
    "classification",
    "distance_correlation",
    "distillation",
    "signal_strength_variance",
    "simple_significance",
    "soft_histogram",
]

#: below this, products of spreads of distances are rounding of constants
_LEAST_SPREAD = 1e-12


def classification(
    logits: torch.Tensor,
    y: torch.Tensor,
    *,
    label_smoothing: float = 0.0,
    teacher: torch.Tensor | None = None,
    temperature: float = 1.0,
    hard: float = 0.0,
) -> torch.Tensor:
    """Cross-entropy with the labels; with a teacher, distillation and `hard` times that.

    Args:
        logits: (B, C) of the network.
        y: (B,) int64 labels.
        label_smoothing: share of the label that is spread over all classes.
        teacher: (B, C) logits of a teacher, or None.
        temperature: of the distillation.
        hard: factor on the cross-entropy beside a distillation.

    Returns:
        (B,) loss of each jet.
    """
    soft = None if teacher is None else distillation(logits, teacher, temperature)
    if soft is not None and not hard:
        return soft
    labelled = cross_entropy(logits, y, reduction="none", label_smoothing=label_smoothing)
    return labelled if soft is None else soft + hard * labelled


def distillation(
    logits: torch.Tensor, teacher: torch.Tensor, temperature: float = 1.0
) -> torch.Tensor:
    r"""How far a student's probabilities are from its teacher's, arXiv:1503.02531.

    $$L = T^2\, \mathrm{KL}\big(\mathrm{softmax}(t / T)\,\|\,\mathrm{softmax}(s / T)\big)$$

    The factor keeps the size of the gradients, whatever the temperature.

    Args:
        logits: (B, C) of the student.
        teacher: (B, C) logits of the teacher; logarithms of its probabilities serve as well.
        temperature: high ones also teach how unlikely the wrong classes are.

    Returns:
        (B,) loss of each jet; 0 where both agree.
    """
    student = log_softmax(logits / temperature, dim=1)  # (B, C)
    target = log_softmax(teacher / temperature, dim=1)  # (B, C)
    each = kl_div(student, target, reduction="none", log_target=True)  # (B, C)
    return temperature**2 * each.sum(1)


def distance_correlation(
    x: torch.Tensor, y: torch.Tensor, weight: torch.Tensor | None = None
) -> torch.Tensor:
    r"""Squared distance correlation of two quantities, the DisCo of arXiv:2001.05310.

    $$\mathrm{dCorr}^2(x, y) = \frac{\mathrm{dCov}^2(x, y)}{\mathrm{dCov}(x, x)\,
    \mathrm{dCov}(y, y)}$$

    with dCov^2 the mean product of the doubly centred distances. It is 0 for independent
    quantities only, up to a bias of order 1/B, and 1 where they are proportional; shifts and
    scales of either do not change it. It takes (B, B) memory.

    Args:
        x: (B,), e.g. scores.
        y: (B,), e.g. masses.
        weight: (B,) weights >= 0, or None.

    Returns:
        A number between 0 and 1; 0 where either is constant.
    """
    w = torch.ones_like(x) if weight is None else weight
    w = w / w.sum()  # (B,)
    a, b = _centred(x, w), _centred(y, w)  # (B, B)
    pairs = w[:, None] * w[None, :]
    xx, yy = (pairs * a * a).sum(), (pairs * b * b).sum()
    spread = xx * yy
    safe = spread.clamp(min=_LEAST_SPREAD)
    return torch.where(spread > _LEAST_SPREAD, (pairs * a * b).sum() / safe.sqrt(), 0.0)


def _centred(x: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
    """Distances (B, B) less the weighted means of rows and columns."""
    distance = (x[:, None] - x[None, :]).abs()
    rows = distance @ w  # (B,)
    return distance - rows[:, None] - rows[None, :] + rows @ w


def simple_significance(s: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """s / sqrt(s + b) of expected signal and background events (arXiv:1806.00322).

    Args:
        s: (...) signal events.
        b: (...) background events; s + b above 0.
    """
    return s / (s + b).sqrt()


def asimov_significance(
    s: torch.Tensor, b: torch.Tensor, uncertainty: float = 0.0
) -> torch.Tensor:
    r"""Expected discovery significance of a counting experiment, as a loss (arXiv:1806.00322).

    The median significance of arXiv:1007.1727, eq. 97; of a background that is known to
    $\sigma_b = \text{uncertainty} \cdot b$ only, Cowan's extension of it.

    Args:
        s: (...) signal events, >= 0.
        b: (...) background events, > 0.
        uncertainty: relative, of the background.
    """
    n = s + b
    if uncertainty == 0:
        square = 2 * (n * torch.log(n / b) - s)
    else:
        variance = (uncertainty * b) ** 2
        first = n * torch.log(n * (b + variance) / (b**2 + n * variance))
        second = b**2 / variance * torch.log1p(variance * s / (b * (b + variance)))
        square = 2 * (first - second)
    return square.clamp(min=_LEAST_SPREAD).sqrt()


def soft_histogram(
    score: torch.Tensor, weight: torch.Tensor, bins: int, width: float
) -> torch.Tensor:
    """A histogram of scores in [0, 1] that has a gradient: bins share an event near their edge.

    The share of a bin is the difference of two sigmoids at its edges (as neos, arXiv:2203.05570);
    the first and the last bin also take what is beyond them, so that no event is lost.

    Args:
        score: (B,) in [0, 1].
        weight: (B,) of any sign.
        bins: number of bins of equal width.
        width: of the sigmoids, in bins; towards 0 it becomes a plain histogram.

    Returns:
        (bins,) contents, whose sum is that of the weights.
    """
    inner = torch.arange(1, bins, device=score.device, dtype=score.dtype) / bins  # (bins - 1,)
    above = torch.sigmoid((score[:, None] - inner) * bins / width)  # (B, bins - 1)
    contents = (weight[:, None] * above).sum(0)  # (bins - 1,) beyond each edge
    edges = torch.cat([weight.sum()[None], contents, contents.new_zeros(1)])
    return edges[:-1] - edges[1:]


def signal_strength_variance(
    signal: torch.Tensor, background: torch.Tensor, shifts: torch.Tensor
) -> torch.Tensor:
    r"""Expected variance of the signal strength from a binned fit with nuisance parameters.

    The inverse of the Fisher information of the Asimov data (INFERNO, arXiv:1806.04743):
    with $n_i(\mu, \theta) = \mu s_i + b_i + \sum_k \theta_k \Delta_{ki}$ and
    $\theta_k \sim N(0, 1)$

    $$I_{ab} = \sum_i \frac{1}{n_i} \frac{\partial n_i}{\partial a}
    \frac{\partial n_i}{\partial b} + \delta_{ab}\,[a \ne \mu]$$

    Args:
        signal: (K,) expected signal of each bin, at signal strength 1.
        background: (K,) expected background of each bin; their sum must be above 0.
        shifts: (T, K) change of the expectation by one sigma of each nuisance parameter.

    Returns:
        The variance of the signal strength.
    """
    rows = torch.cat([signal[None], shifts])  # (1 + T, K)
    information = (rows / (signal + background)) @ rows.T  # (1 + T, 1 + T)
    prior = torch.ones_like(information[0])
    prior[0] = 0
    return torch.linalg.inv(information + torch.diag(prior))[0, 0]
