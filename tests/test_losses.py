"""Distillation: where it is 0, its gradient, its limit at high temperature."""

import pytest
import torch
from torch.nn.functional import cross_entropy

from fivesigma.losses import classification, distillation


@pytest.fixture
def three():
    generator = torch.Generator().manual_seed(1)
    logits, teacher = torch.randn(2, 50, 4, generator=generator, dtype=torch.float64)
    return logits, teacher, torch.randint(4, (50,), generator=generator)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_it_is_smallest_where_both_agree(three, temperature):
    logits, teacher, _ = three
    each = distillation(logits, teacher, temperature)
    assert each.shape == (50,)
    assert (each > 0).all()
    # logits count up to a constant, so logarithms of probabilities are as good
    same = distillation(teacher + 3.0, teacher.log_softmax(1), temperature)
    torch.testing.assert_close(same, torch.zeros(50, dtype=torch.float64))


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_its_gradient_is_the_difference_of_probabilities(three, temperature):
    logits, teacher, _ = three
    logits.requires_grad_()
    distillation(logits, teacher, temperature).sum().backward()
    difference = (logits / temperature).softmax(1) - (teacher / temperature).softmax(1)
    torch.testing.assert_close(logits.grad, (temperature * difference).detach())


def test_at_high_temperature_it_compares_logits(three):
    logits, teacher, _ = three
    difference = logits - teacher
    centred = difference - difference.mean(1, keepdim=True)
    expected = (centred**2).sum(1) / (2 * 4)
    torch.testing.assert_close(distillation(logits, teacher, 1e4), expected, rtol=1e-3, atol=0)


def test_certain_teachers_make_a_finite_loss():
    teacher = torch.tensor([[0.0, -87.0]])
    each = distillation(torch.tensor([[-50.0, 50.0]]), teacher, 1.0)
    assert each.isfinite().all()
    torch.testing.assert_close(each, torch.tensor([100.0]))


def test_classification_mixes_labels_and_teacher(three):
    logits, teacher, y = three
    plain = cross_entropy(logits, y, reduction="none", label_smoothing=0.1)
    torch.testing.assert_close(classification(logits, y, label_smoothing=0.1), plain)
    soft = distillation(logits, teacher, 2.0)
    taught = {"teacher": teacher, "temperature": 2.0, "label_smoothing": 0.1}
    torch.testing.assert_close(classification(logits, y, **taught), soft)
    torch.testing.assert_close(classification(logits, y, **taught, hard=0.3), soft + 0.3 * plain)
