"""Optimisers beyond torch's: Lion, and Lookahead around any other; the table of all by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch

__all__ = ["OPTIMIZERS", "Lion", "Lookahead", "kept_weights", "ranger"]

_Parameters = Iterable[torch.Tensor] | Iterable[dict[str, Any]]


class Lion(torch.optim.Optimizer):
    r"""Steps of one size, in the direction of the sign of the momentum, arXiv:2302.06675.

    $$\theta \leftarrow \theta - \eta\,(\mathrm{sign}(\beta_1 m + (1 - \beta_1) g)
    + \lambda\theta), \qquad m \leftarrow \beta_2 m + (1 - \beta_2) g$$

    It wants 3 to 10 times lower learning rates than AdamW, and as much higher weight decay.

    Args:
        params: parameters, or groups of them.
        lr: learning rate.
        betas: decay of the momentum in the step, and of the one that is kept.
        weight_decay: decoupled, times the learning rate.

    Raises:
        ValueError: values that make no optimiser.
    """

    def __init__(
        self,
        params: _Parameters,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        if lr < 0 or weight_decay < 0 or not all(0 <= beta < 1 for beta in betas):
            message = (
                f"Lion: got lr {lr:g}, betas {betas}, weight_decay {weight_decay:g}; "
                "need >= 0, >= 0 and < 1, >= 0"
            )
            raise ValueError(message)
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; `closure` computes the loss anew, if given."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            if parameters := [p for p in group["params"] if p.grad is not None]:
                self._step_group(group, parameters)
        return loss

    def _step_group(self, group: dict[str, Any], parameters: list[torch.Tensor]) -> None:
        first, second = group["betas"]
        gradients = [p.grad for p in parameters if p.grad is not None]
        momenta = [self._momentum(p) for p in parameters]
        updates = torch._foreach_lerp(momenta, gradients, 1 - first)
        torch._foreach_sign_(updates)
        torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(parameters, updates, alpha=-group["lr"])
        torch._foreach_lerp_(momenta, gradients, 1 - second)

    def _momentum(self, parameter: torch.Tensor) -> torch.Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        return state["momentum"]


class Lookahead(torch.optim.Optimizer):
    r"""Slow weights that follow those of another optimiser, arXiv:1907.08610.

    After every $k$ steps of the fast weights $\theta$, both continue from
    $\phi \leftarrow \phi + \alpha\,(\theta - \phi)$. The slow weights $\phi$ are the result.

    Args:
        inner: the optimiser of the fast weights, whose groups of parameters these are.
        alpha: share of the way that the slow weights go.
        k: steps between.

    Raises:
        ValueError: alpha or k out of range.
    """

    def __init__(self, inner: torch.optim.Optimizer, alpha: float = 0.5, k: int = 6) -> None:
        if not 0 < alpha <= 1 or k < 1:
            message = f"Lookahead: got alpha {alpha:g}, k {k}; need 0 < alpha <= 1, k >= 1"
            raise ValueError(message)
        super().__init__(inner.param_groups, dict(inner.defaults))
        self.param_groups = inner.param_groups  # one list: a new learning rate is seen by both
        self.inner, self.alpha, self.k, self.steps = inner, alpha, k, 0
        self._slow = [p.detach().clone() for p in self._fast()]

    def _fast(self) -> list[torch.Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of the fast weights, and every k-th time one of the slow ones."""
        loss = self.inner.step(closure)
        self.steps += 1
        if self.steps % self.k == 0:
            with torch.no_grad():
                torch._foreach_lerp_(self._slow, self._fast(), self.alpha)
                torch._foreach_copy_(self._fast(), self._slow)
        return loss

    @contextmanager
    @torch.no_grad()
    def kept_weights(self) -> Iterator[None]:
        """The parameters are the slow weights, as if k steps ended here; then fast again."""
        fast = [p.clone() for p in self._fast()]
        kept = self._slow
        if self.steps % self.k:
            kept = list(torch._foreach_lerp(self._slow, fast, self.alpha))
        torch._foreach_copy_(self._fast(), kept)
        try:
            yield
        finally:
            torch._foreach_copy_(self._fast(), fast)

    def state_dict(self) -> dict[str, Any]:
        """State of the inner optimiser, slow weights, and steps so far."""
        return {"inner": self.inner.state_dict(), "slow": self._slow, "steps": self.steps}

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The inverse of `state_dict`, for the same parameters."""
        self.inner.load_state_dict(state_dict["inner"])
        self.param_groups = self.inner.param_groups
        self.steps = state_dict["steps"]
        for mine, slow in zip(self._slow, state_dict["slow"], strict=True):
            mine.copy_(slow)


@contextmanager
def kept_weights(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """The parameters are those that a training ends with: of Lookahead, the slow ones."""
    if isinstance(optimizer, Lookahead):
        with optimizer.kept_weights():
            yield
    else:
        yield


def ranger(
    params: _Parameters,
    lr: float,
    weight_decay: float = 0.0,
    betas: Sequence[float] = (0.95, 0.999),
    eps: float = 1e-5,
) -> Lookahead:
    """RAdam (arXiv:1908.03265) in a Lookahead, as Particle Transformer is trained.

    Weight decay is decoupled from the gradient.
    """
    first, second = betas
    radam = torch.optim.RAdam(
        *(params, lr, (first, second), eps, weight_decay), decoupled_weight_decay=True
    )
    return Lookahead(radam)


#: name -> optimiser of groups of parameters
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "lion": Lion,
    "radam": partial(torch.optim.RAdam, decoupled_weight_decay=True),
    "ranger": ranger,
    "sgd": partial(torch.optim.SGD, momentum=0.9, nesterov=True),
}
