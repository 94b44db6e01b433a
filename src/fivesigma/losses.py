"""Losses of each jet, beyond torch's."""

from __future__ import annotations

import torch
from torch.nn.functional import cross_entropy, kl_div, log_softmax

__all__ = ["classification", "distillation"]


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
