"""How a training goes: its options, optimisers, learning-rate schedules and averaged weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import torch

from fivesigma.batches import Cache, jet_weights

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "Training",
    "autocast_type",
    "average_into",
    "check_options",
    "learning_rate",
    "loss_weights",
    "optimizer_of",
    "parallel",
    "seed_step",
]

OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "radam": partial(torch.optim.RAdam, decoupled_weight_decay=True),
    "sgd": partial(torch.optim.SGD, momentum=0.9, nesterov=True),
}


def _half_wave(fraction: float) -> float:
    """From 1 at 0 to 0 at 1, along a cosine."""
    return 0.5 * (1 + math.cos(math.pi * min(max(fraction, 0.0), 1.0)))


def _constant(step: int, total: int, warm: int) -> float:
    return min(1.0, (step + 1) / (warm + 1))


def _cosine(step: int, total: int, warm: int) -> float:
    return _constant(step, total, warm) * _half_wave((step - warm) / max(total - warm, 1))


def _one_cycle(step: int, total: int, warm: int) -> float:
    peak, first, last = max(warm - 1, 0), 1 / 25, 4e-6
    if step < peak:
        return first + (1 - first) * (1 - _half_wave(step / peak))
    return last + (1 - last) * _half_wave((step - peak) / max(total - 1 - peak, 1))


#: factor on the learning rate at a step out of `total`, of which `warm` warm up. "cosine" falls to
#: 0 (arXiv:1608.03983); "one-cycle" rises from 1/25 and falls to 4e-6 (arXiv:1708.07120, with
#: constant momentum)
SCHEDULES: dict[str, Callable[[int, int, int], float]] = {
    "constant": _constant,
    "cosine": _cosine,
    "one-cycle": _one_cycle,
}


@dataclass(frozen=True)
class Training:
    """Options of the training of a network."""

    epochs: int = 20
    """Passes over the training jets."""
    batch_size: int = 256
    """Jets in a step, of each process under torchrun."""
    learning_rate: float = 1e-3
    """Largest learning rate."""
    weight_decay: float = 0.01
    """Decay of the weight matrices, decoupled from the gradient in adamw and radam."""
    optimizer: Literal["adam", "adamw", "radam", "sgd"] = "adamw"
    """Optimiser; sgd has Nesterov momentum 0.9."""
    schedule: Literal["constant", "cosine", "one-cycle"] = "one-cycle"
    """Learning rate over the steps."""
    warm_up: float = 0.1
    """Fraction of all steps over which the learning rate rises."""
    early_stopping: int = 0
    """Stop after so many epochs without a smaller validation loss; 0: never."""
    ema: float = 0.0
    """Decay of the moving average of the weights, e.g. 0.999, which is then validated and kept;
    0: no average."""
    gradient_clip: float = 0.0
    """Largest norm of the gradient; 0: any."""
    label_smoothing: float = 0.0
    """Share of the label that is spread over all classes."""
    class_weights: bool | tuple[float, ...] = False
    """true: every class weighs the same; or one weight per class."""
    oversample: bool = False
    """Repeat jets of rarer classes in training until all classes are as frequent."""
    use_event_weights: bool = False
    """Weight the jets by their event weights."""
    precision: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """Arithmetic of the training step; auto: 16 bits on CUDA devices, else float32."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps."""
    threads: int = 0
    """Threads of a CPU; 0: as they are."""
    seed: int = 0
    """Of the first weights, the order of the jets and dropout."""
    checkpoint_every_epochs: int = 1
    """Epochs between checkpoints."""
    checkpoint_every_seconds: float = 60.0
    """Seconds between checkpoints within an epoch."""
    compile: bool = False
    """Compile the network; worth its minutes in long trainings only."""
    tensorboard: bool = False
    """Write TensorBoard logs, too."""

    def __post_init__(self) -> None:
        rules = {
            "epochs": (self.epochs >= 1, ">= 1"),
            "batch_size": (self.batch_size >= 1, ">= 1"),
            "learning_rate": (0 < self.learning_rate < math.inf, "> 0"),
            "weight_decay": (0 <= self.weight_decay < math.inf, ">= 0"),
            "optimizer": (self.optimizer in OPTIMIZERS, " or ".join(OPTIMIZERS)),
            "schedule": (self.schedule in SCHEDULES, " or ".join(SCHEDULES)),
            "warm_up": (0 <= self.warm_up < 1, "a fraction of the steps, >= 0 and < 1"),
            "early_stopping": (self.early_stopping >= 0, ">= 0 epochs"),
            "ema": (0 <= self.ema < 1, ">= 0 and < 1"),
            "gradient_clip": (0 <= self.gradient_clip < math.inf, ">= 0"),
            "label_smoothing": (0 <= self.label_smoothing < 1, ">= 0 and < 1"),
            "class_weights": (self._class_weights_valid(), "true, false, or positive weights"),
            "oversample": (
                not (self.oversample and self.class_weights),
                "false where class_weights are used: both mend the same",
            ),
            "precision": (
                self.precision in ("auto", "float32", "bfloat16", "float16"),
                "auto or float32 or bfloat16 or float16",
            ),
            "threads": (self.threads >= 0, ">= 0"),
            "seed": (self.seed >= 0, ">= 0"),
            "checkpoint_every_epochs": (self.checkpoint_every_epochs >= 1, ">= 1"),
            "checkpoint_every_seconds": (self.checkpoint_every_seconds > 0, "> 0"),
        }
        for name, (valid, want) in rules.items():
            if not valid:
                message = f"training.{name}: got {getattr(self, name)!r}, need {want}"
                raise ValueError(message)

    def _class_weights_valid(self) -> bool:
        weights = self.class_weights
        return isinstance(weights, bool) or (
            len(weights) > 0 and all(0 < weight < math.inf for weight in weights)
        )


def check_options(options: Training, n_classes: int, device: torch.device) -> None:
    """Check the options against what is there.

    Raises:
        ValueError: another number of class weights than of classes, or 16-bit arithmetic that the
            device has not.
    """
    weights = options.class_weights
    if not isinstance(weights, bool) and len(weights) != n_classes:
        message = (
            f"training.class_weights: got {len(weights)}, need one for each of {n_classes} classes"
        )
        raise ValueError(message)
    if options.precision == "float16" and device.type != "cuda":
        message = f"training.precision: float16 needs a CUDA device, got {device}; use auto"
        raise ValueError(message)


def learning_rate(options: Training, step: int, total: int) -> float:
    """The learning rate of a step, counted from 0, out of the `total` of the whole training."""
    factor = SCHEDULES[options.schedule](step, total, round(options.warm_up * total))
    return options.learning_rate * factor


def optimizer_of(network: torch.nn.Module, options: Training) -> torch.optim.Optimizer:
    """The network's optimiser; weight decay acts on matrices, not on biases and norms."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    used = [group for group in groups if group["params"]]
    return OPTIMIZERS[options.optimizer](used, lr=options.learning_rate)


@torch.no_grad()
def average_into(
    average: torch.nn.Module, network: torch.nn.Module, decay: float, step: int
) -> None:
    """Moving average of the weights, in place: `average = d average + (1 - d) network`.

    The decay grows as `d = min(decay, (1 + step) / (10 + step))`, so that the first, random
    weights are soon forgotten. Buffers (statistics of normalisations) are copied.
    """
    share = 1 - min(decay, (1 + step) / (10 + step))
    for mean, value in zip(average.parameters(), network.parameters(), strict=True):
        mean.lerp_(value, share)
    for kept, buffer in zip(average.buffers(), network.buffers(), strict=True):
        kept.copy_(buffer)


def loss_weights(cache: Cache, options: Training) -> np.ndarray:
    """(N,) float32 weights in the loss, mean 1."""
    chosen = options.class_weights
    weights = jet_weights(cache, classes=chosen is True, events=options.use_event_weights)
    if not isinstance(chosen, bool):
        weights = weights * np.asarray(chosen)[cache.label]
    return (weights / weights.mean()).astype(np.float32)


def seed_step(seed: int, epoch: int, batch: int, rank: int) -> None:
    """Fix the random numbers of one step: nothing about them needs to be kept in checkpoints."""
    mixed = np.random.SeedSequence((seed, epoch, batch, rank)).generate_state(1, np.uint64)
    torch.manual_seed(int(mixed[0] >> np.uint64(1)))


def autocast_type(precision: str, device: torch.device) -> torch.dtype | None:
    """The 16-bit type of the training step; None: float32."""
    if precision == "auto" and device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return {"bfloat16": torch.bfloat16, "float16": torch.float16}.get(precision)


def parallel(
    network: torch.nn.Module, device: torch.device, world: int, compiled: bool
) -> Callable[..., torch.Tensor]:
    """The network as the training step calls it: compiled, gradients averaged over processes."""
    forward: Any = torch.compile(network, dynamic=True) if compiled else network
    if world > 1:
        ids = [device.index] if device.type == "cuda" else None
        return torch.nn.parallel.DistributedDataParallel(forward, device_ids=ids)
    return forward
