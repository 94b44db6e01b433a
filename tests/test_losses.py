"""Losses: where they are 0, their gradients, their limits and closed forms."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from fivesigma.losses import (
    asimov_significance,
    classification,
    distance_correlation,
    distillation,
    signal_strength_variance,
    simple_significance,
    soft_histogram,
)


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


# --- of batches ---------------------------------------------------------------------------------


def independent(n: int, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, n, generator=generator, dtype=torch.float64)


def test_distance_correlation_of_independent_quantities_goes_to_zero():
    """Of normal ones its mean is (4 / pi) / (4 / 3 - 4 (sqrt 3 - 1) / pi) / n: 3.17 / n."""
    for n in (100, 400):
        found = [n * distance_correlation(*independent(n, seed)).item() for seed in range(60)]
        assert np.mean(found) == pytest.approx(3.17, abs=4 * np.std(found) / np.sqrt(60))


def test_distance_correlation_sees_what_linear_correlation_does_not():
    x, noise = independent(1000)
    assert distance_correlation(x, 3 - 2 * x).item() == pytest.approx(1)
    assert abs(torch.corrcoef(torch.stack([x, x**2]))[0, 1]) < 0.1
    assert distance_correlation(x, x**2 + 0.1 * noise) > 0.1


def test_distance_correlation_ignores_shift_scale_and_order():
    x, y = independent(300)
    y = y + x
    value = distance_correlation(x, y)
    torch.testing.assert_close(distance_correlation(5 - 3 * x, 0.1 * y + 7), value)
    order = torch.randperm(300)
    torch.testing.assert_close(distance_correlation(x[order], y[order]), value)
    torch.testing.assert_close(distance_correlation(y, x), value)
    assert distance_correlation(x, torch.ones_like(x)) == 0


def test_a_weight_of_two_is_an_event_twice():
    x, y = independent(60)
    y, weight = y + x, torch.arange(60) % 3
    twice = torch.repeat_interleave(torch.arange(60), weight)
    torch.testing.assert_close(
        distance_correlation(x, y, weight.double()), distance_correlation(x[twice], y[twice])
    )


def test_significances_of_counts():
    s, b = torch.tensor([10.0, 3.0]), torch.tensor([100.0, 1.0])
    torch.testing.assert_close(simple_significance(s, b), s / (s + b).sqrt())
    exact = (2 * ((s + b) * torch.log1p(s / b) - s)).sqrt()
    torch.testing.assert_close(asimov_significance(s, b), exact)
    # little uncertainty changes little; a large one makes s / (u b) of it
    torch.testing.assert_close(asimov_significance(s.double(), b.double(), 1e-4).float(), exact)
    large = torch.tensor(1e6, dtype=torch.float64)
    assert asimov_significance(1e3 * large.sqrt(), large, 0.5).item() == pytest.approx(2, rel=0.3)


def test_soft_histogram_loses_nothing_and_becomes_a_plain_one():
    generator = torch.Generator().manual_seed(2)
    score, weight = torch.rand(2, 500, generator=generator, dtype=torch.float64)
    weight = weight - 0.2
    soft = soft_histogram(score, weight, 8, 0.5)
    assert soft.sum().item() == pytest.approx(weight.sum().item())
    hard = np.histogram(score, 8, (0, 1), weights=weight)[0]
    np.testing.assert_allclose(soft_histogram(score, weight, 8, 1e-6), hard, atol=1e-9)
    flat = soft_histogram(torch.linspace(0, 1, 10001), torch.ones(10001), 4, 0.1)
    np.testing.assert_allclose(flat[1:3], 2500, rtol=1e-2)


def test_variance_of_a_counting_experiment():
    """Signal s over b +- u b: the variance of mu is (s + b + (u b)^2) / s^2."""
    s, b = torch.tensor([20.0]), torch.tensor([100.0])
    free = signal_strength_variance(s, b, torch.zeros(0, 1))
    assert free.item() == pytest.approx(120 / 400)
    shifted = signal_strength_variance(s, b, 0.1 * b[None])
    assert shifted.item() == pytest.approx((120 + 100) / 400)
    # a bin of background alone measures what is not known
    control = signal_strength_variance(
        torch.tensor([20.0, 0.0]), torch.tensor([100.0, 1e6]), torch.tensor([[10.0, 1e5]])
    )
    assert control.item() == pytest.approx(120 / 400, rel=1e-3)


def score_losses():
    generator = torch.Generator().manual_seed(4)
    logit = torch.randn(40, generator=generator, dtype=torch.float64)
    y = torch.arange(40) % 2 == 0
    mass = torch.randn(40, generator=generator, dtype=torch.float64) + logit

    def counts(logit):
        score = logit.sigmoid()
        return 2 * score[y].sum(), 5 * score[~y].sum()

    def strength(logit):
        bins = [soft_histogram(logit.sigmoid()[k], torch.ones(20).double(), 5, 0.4)
                for k in (y, ~y)]  # fmt: skip
        moved = soft_histogram((logit + 0.2).sigmoid()[~y], torch.ones(20).double(), 5, 0.4)
        return signal_strength_variance(*bins, (moved - bins[1])[None]).sqrt()

    return logit, {
        "disco": lambda logit: distance_correlation(logit.sigmoid(), mass),
        "simple": lambda logit: -simple_significance(*counts(logit)),
        "asimov": lambda logit: -asimov_significance(*counts(logit)),
        "uncertain": lambda logit: -asimov_significance(*counts(logit), 0.1),
        "strength": strength,
    }


@pytest.mark.parametrize("name", ["disco", "simple", "asimov", "uncertain", "strength"])
def test_gradients_are_those_of_finite_differences(name):
    logit, losses = score_losses()
    assert torch.autograd.gradcheck(losses[name], logit.clone().requires_grad_())
