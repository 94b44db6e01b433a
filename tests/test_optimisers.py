"""Lion and Lookahead: their formulas, their state, what lies between two synchronisations."""

import io

import pytest
import torch

from fivesigma.optimisation import Training, optimizer_of, set_learning_rate
from fivesigma.optimisers import OPTIMIZERS, Lion, Lookahead, kept_weights, ranger


def parameter(*values: float) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.tensor(values, dtype=torch.float64))


def set_gradient(p: torch.nn.Parameter, step: int) -> None:
    p.grad = torch.sin(torch.arange(p.numel(), dtype=p.dtype).view_as(p) + step)


def test_lion_follows_its_formula():
    p = parameter(1.0, -2.0, 0.5)
    expected, momentum = p.detach().clone(), torch.zeros(3, dtype=torch.float64)
    optimizer = Lion([p], lr=0.1, betas=(0.9, 0.99), weight_decay=0.2)
    for step in range(20):
        set_gradient(p, step)
        direction = torch.sign(0.9 * momentum + 0.1 * p.grad)
        expected = expected - 0.1 * (direction + 0.2 * expected)
        momentum = 0.99 * momentum + 0.01 * p.grad
        optimizer.step()
    torch.testing.assert_close(p.detach(), expected, rtol=1e-12, atol=1e-12)


def test_lion_leaves_parameters_without_gradient_alone():
    one, other = parameter(1.0), parameter(1.0)
    set_gradient(one, 1)
    optimizer = Lion([one, other], lr=0.1, weight_decay=0.5)
    assert optimizer.step(lambda: 7.0) == 7.0
    assert other.item() == 1.0
    assert one.item() != 1.0


def test_lookahead_follows_its_algorithm():
    p = parameter(1.0, 2.0)
    optimizer = Lookahead(torch.optim.SGD([p], lr=0.1), alpha=0.3, k=4)
    fast = slow = p.detach().clone()
    for step in range(1, 18):
        set_gradient(p, step)
        optimizer.step()
        fast = fast - 0.1 * p.grad
        if step % 4 == 0:
            fast = slow = slow + 0.3 * (fast - slow)
        torch.testing.assert_close(p.detach(), fast)
        before = p.detach().clone()
        with kept_weights(optimizer):
            kept = slow if step % 4 == 0 else slow + 0.3 * (fast - slow)
            torch.testing.assert_close(p.detach(), kept)
        assert torch.equal(p, before)


def test_kept_weights_come_back_after_an_error():
    p = parameter(1.0)
    optimizer = Lookahead(torch.optim.SGD([p], lr=0.1), k=2)
    set_gradient(p, 1)
    optimizer.step()
    before = p.detach().clone()
    with pytest.raises(RuntimeError), kept_weights(optimizer):
        raise RuntimeError
    assert torch.equal(p, before)
    with kept_weights(torch.optim.SGD([p], lr=0.1)):
        assert torch.equal(p, before)


def test_ranger_is_radam_with_the_published_constants():
    ours, theirs = parameter(1.0, -1.0), parameter(1.0, -1.0)
    mine = ranger([ours], lr=0.1, weight_decay=0.01)
    radam = torch.optim.RAdam(
        [theirs],
        lr=0.1,
        betas=(0.95, 0.999),
        eps=1e-5,
        weight_decay=0.01,
        decoupled_weight_decay=True,
    )
    assert (mine.alpha, mine.k) == (0.5, 6)
    start = theirs.detach().clone()
    for step in range(6):
        assert torch.equal(ours, theirs)
        for p in (ours, theirs):
            set_gradient(p, step)
        mine.step()
        radam.step()
    torch.testing.assert_close(ours.detach(), start + 0.5 * (theirs.detach() - start))


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("stop", [3, 6, 8])
def test_state_survives_a_checkpoint_bit_by_bit(name, stop):
    def made():
        torch.manual_seed(0)
        network = torch.nn.Linear(3, 2)
        return network, optimizer_of(network, Training(optimizer=name, weight_decay=0.1))

    def walk(network, optimizer, steps):
        for step in steps:
            set_learning_rate(optimizer, 0.01 * (step + 1))
            for p in network.parameters():
                set_gradient(p, step)
            optimizer.step()

    network, optimizer = made()
    walk(network, optimizer, range(15))
    half, before = made()
    walk(half, before, range(stop))
    with io.BytesIO() as file:
        torch.save({"network": half.state_dict(), "optimizer": before.state_dict()}, file)
        file.seek(0)
        form = torch.load(file, weights_only=True)
    resumed, after = made()
    resumed.load_state_dict(form["network"])
    after.load_state_dict(form["optimizer"])
    walk(resumed, after, range(stop, 15))
    for left, right in zip(resumed.parameters(), network.parameters(), strict=True):
        assert torch.equal(left, right)
    with kept_weights(after), kept_weights(optimizer):
        for left, right in zip(resumed.parameters(), network.parameters(), strict=True):
            assert torch.equal(left, right)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_finds_a_minimum(name):
    p = torch.nn.Parameter(torch.tensor([[3.0, -2.0]]))
    optimizer = OPTIMIZERS[name]([{"params": [p], "weight_decay": 0.0}], lr=0.1)
    for step in range(600):
        optimizer.zero_grad()
        ((p - 1.0) ** 2).sum().backward()
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * (1 - step / 600)
        optimizer.step()
    with kept_weights(optimizer):
        torch.testing.assert_close(p.detach(), torch.ones(1, 2), atol=0.02, rtol=0)


def test_head_has_a_rate_of_its_own_and_decay_spares_biases():
    network = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Linear(3, 2))
    for name in ("adamw", "ranger"):
        options = Training(optimizer=name, weight_decay=0.3, head_learning_rate_factor=50)
        optimizer = optimizer_of(network, options, {"1.weight", "1.bias"})
        set_learning_rate(optimizer, 1e-3)
        inner = getattr(optimizer, "inner", optimizer)
        found = [(g["weight_decay"], g["lr"], g["params"][0].ndim) for g in inner.param_groups]
        assert found == [(0.3, 1e-3, 2), (0, 1e-3, 1), (0.3, 0.05, 2), (0, 0.05, 1)]


def test_lookahead_under_a_gradient_scaler():
    p = torch.nn.Parameter(torch.ones(2))
    optimizer = ranger([p], lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    for bad in (False, True):
        optimizer.zero_grad()
        scaler.scale(p.sum() * (float("inf") if bad else 1.0)).backward()
        scaler.unscale_(optimizer)
        scaler.step(optimizer)
        scaler.update()
    assert optimizer.steps == 1  # the overflow was no step
    assert p.isfinite().all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: Lion([p], lr=-1.0), "Lion: got lr -1"),
        (lambda p: Lion([p], betas=(0.9, 1.0)), "Lion"),
        (lambda p: Lion([p], weight_decay=-0.1), "Lion"),
        (lambda p: Lookahead(torch.optim.SGD([p], lr=0.1), alpha=0.0), "Lookahead: got alpha 0"),
        (lambda p: Lookahead(torch.optim.SGD([p], lr=0.1), k=0), "k 0"),
    ],
)
def test_values_that_make_no_optimiser(make, message):
    with pytest.raises(ValueError, match=message):
        make(parameter(1.0))
