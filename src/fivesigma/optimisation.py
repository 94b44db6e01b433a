"""How a training goes: its options, optimisers, learning-rate schedules and averaged weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch

from fivesigma.optimisers import OPTIMIZERS

__all__ = [
    "SCHEDULES",
    "Training",
    "autocast_type",
    "average_into",
    "check_options",
    "learning_rate",
    "optimizer_of",
    "parallel",
    "seed_step",
    "set_learning_rate",
]


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


def _flat_then_decay(step: int, total: int, warm: int) -> float:
    decayed = max(0.0, step / total - 0.7) / 0.3
    return _constant(step, total, warm) * 0.01**decayed


#: factor on the learning rate at a step out of `total`, of which `warm` warm up. "cosine" falls to
#: 0 (arXiv:1608.03983); "one-cycle" rises from 1/25 and falls to 4e-6 (arXiv:1708.07120, with
#: constant momentum); "flat-then-decay" falls exponentially to 1/100 in the last 30 % of the steps
#: (arXiv:2202.03772, there once per epoch)
SCHEDULES: dict[str, Callable[[int, int, int], float]] = {
    "constant": _constant,
    "cosine": _cosine,
    "flat-then-decay": _flat_then_decay,
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
    """Decay of the weight matrices, decoupled from the gradient in all but adam and sgd."""
    optimizer: Literal["adam", "adamw", "lion", "radam", "ranger", "sgd"] = "adamw"
    """Optimiser; ranger is radam with slow weights that look ahead (Lookahead), and these are
    validated and kept; sgd has Nesterov momentum 0.9."""
    schedule: Literal["constant", "cosine", "flat-then-decay", "one-cycle"] = "one-cycle"
    """Learning rate over the steps."""
    warm_up: float = 0.1
    """Fraction of all steps over which the learning rate rises."""
    head_learning_rate_factor: float = 1.0
    """Factor on the learning rate of the layer that gives the classes, e.g. 50 in fine-tuning."""
    early_stopping: int = 0
    """Stop after so many epochs without a smaller validation loss; 0: never."""
    ema: float = 0.0
    """Decay of the moving average of the weights, e.g. 0.999, which is then validated and kept;
    0: no average."""
    gradient_clip: float = 0.0
    """Largest norm of the gradient; 0: any."""
    label_smoothing: float = 0.0
    """Share of the label that is spread over all classes."""
    drop_particles: float = 0.0
    """Probability with which each constituent is left out in training, anew in every epoch; of
    each jet at least one stays. Other constituents' features stay as they are."""
    class_weights: bool | tuple[float, ...] = False
    """true: every class weighs the same; or one weight per class."""
    oversample: bool = False
    """Repeat jets of rarer classes in training until all classes are as frequent."""
    use_event_weights: bool = False
    """Weight the jets by their event weights."""
    flat_spectra: dict[str, tuple[float, ...]] | None = None
    """Quantities of the jets and edges of their bins, e.g. {pt: [500, 550, 600], mass: [0, 100,
    200]}: weigh the jets so that each class is spread evenly over all bins."""
    temperature: float = 4.0
    """Of teacher and student in a distillation."""
    hard: float = 0.0
    """Share of the loss on the true labels in a distillation, beside 1 for the teacher's."""
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
            "head_learning_rate_factor": (0 < self.head_learning_rate_factor < math.inf, "> 0"),
            "early_stopping": (self.early_stopping >= 0, ">= 0 epochs"),
            "ema": (0 <= self.ema < 1, ">= 0 and < 1"),
            "gradient_clip": (0 <= self.gradient_clip < math.inf, ">= 0"),
            "label_smoothing": (0 <= self.label_smoothing < 1, ">= 0 and < 1"),
            "drop_particles": (0 <= self.drop_particles < 1, ">= 0 and < 1"),
            "class_weights": (self._class_weights_valid(), "true, false, or positive weights"),
            "oversample": (
                not (self.oversample and self.class_weights),
                "false where class_weights are used: both mend the same",
            ),
            "flat_spectra": (self._edges_valid(), "quantities with two or more rising edges each"),
            "temperature": (0 < self.temperature < math.inf, "> 0"),
            "hard": (0 <= self.hard < math.inf, ">= 0"),
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

    def _edges_valid(self) -> bool:
        spectra = self.flat_spectra
        return spectra is None or (
            len(spectra) > 0
            and all(len(edges) > 1 and np.all(np.diff(edges) > 0) for edges in spectra.values())
        )


def check_options(options: Training, n_classes: int, kind: str, device: torch.device) -> None:
    """Check the options against what is there.

    Args:
        options: of the training.
        n_classes: number of classes.
        kind: of the inputs.
        device: of the network.

    Raises:
        ValueError: another number of class weights than of classes, no constituents to drop, or
            16-bit arithmetic that the device has not.
    """
    if options.drop_particles and kind != "constituents":
        message = f"training.drop_particles: needs inputs of constituents, not of kind {kind!r}"
        raise ValueError(message)
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


def optimizer_of(
    network: torch.nn.Module, options: Training, head: Collection[str] = ()
) -> torch.optim.Optimizer:
    """The network's optimiser; weight decay acts on matrices, not on biases and norms.

    Each of its groups of parameters has a `factor` on the learning rate.

    Args:
        network: the network.
        options: of the training.
        head: names of the parameters that have a learning rate of their own.
    """
    groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {
        (special, matrix): [] for special in (False, True) for matrix in (True, False)
    }
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            groups[name in head, parameter.ndim > 1].append(parameter)
    used: list[dict[str, Any]] = [
        {
            "params": parameters,
            "weight_decay": options.weight_decay if matrix else 0.0,
            "factor": options.head_learning_rate_factor if special else 1.0,
        }
        for (special, matrix), parameters in groups.items()
        if parameters
    ]
    return OPTIMIZERS[options.optimizer](used, lr=options.learning_rate)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of the next step, times each group's factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


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
