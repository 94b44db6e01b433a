"""The training loop of a network and its checkpoints; `training.fit` is the way in."""

from __future__ import annotations

import copy
import math
import signal
import time
from collections.abc import Callable, Collection
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from fivesigma.augmentation import drop_particles
from fivesigma.batches import Batch, Batches, Cache, tensors_of
from fivesigma.checkpoints import deferred_signals, read_checkpoint, write_checkpoint
from fivesigma.lessons import Answers, Lessons
from fivesigma.losses import classification
from fivesigma.metrics import auc
from fivesigma.optimisation import (
    Training,
    autocast_type,
    average_into,
    learning_rate,
    optimizer_of,
    parallel,
    seed_step,
    set_learning_rate,
)
from fivesigma.optimisers import kept_weights
from fivesigma.runfolder import CHECKPOINT, write_history, write_weights
from fivesigma.runs import logits_of

__all__ = ["Loop", "Progress", "TrainingDiverged"]

#: called about twice a second with {"kind": "batch", "epoch", "epochs", "batch", "batches",
#: "loss", "jets_per_second"}, and after each epoch with {"kind": "epoch"} and its metrics
Progress = Callable[[dict[str, Any]], None]
#: seconds between its calls within an epoch
BEAT = 0.5


class TrainingDiverged(ValueError):  # noqa: N818
    """The loss or the weights are no longer finite."""


@dataclass
class _State:
    """Where a training is, besides its tensors."""

    epoch: int = 0
    batch: int = 0
    seconds: float = 0.0
    jets: int = 0
    best_loss: float = math.inf
    best_epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


class Loop:
    """A training on its way: network, optimiser, state; see `training.fit` for the arguments."""

    def __init__(
        self,
        network: torch.nn.Module,
        n_classes: int,
        train: Lessons,
        validation: Lessons,
        out: Path,
        options: Training,
        device: torch.device,
        rank: int,
        world: int,
        progress: Progress | None,
        head: Collection[str] = (),
    ) -> None:
        self.out, self.options, self.device = out, options, device
        self.rank, self.world = rank, world
        self.progress = progress or (lambda line: None)
        self.batches = Batches(
            train.cache,
            options.batch_size,
            shuffle=True,
            seed=options.seed,
            weights=train.weights,
            oversample=options.oversample,
            rank=rank,
            world=world,
        )
        self.n_classes = n_classes
        self.train, self.validation = train, validation
        self.network = network.to(device)
        self.average = copy.deepcopy(self.network) if options.ema else None
        self.optimizer = optimizer_of(self.network, options, head)
        self.dtype = autocast_type(options.precision, device)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self.dtype == torch.float16)
        self.forward = parallel(self.network, device, world, options.compile)
        exact = torch.float32 if device.type == "mps" else torch.float64
        #: of this epoch so far: loss * jets, right answers, jets
        self.sums = torch.zeros(3, dtype=exact, device=device)
        self.best: dict[str, torch.Tensor] = {}
        self.state = _State()
        self.writer = _tensorboard(out) if options.tensorboard and rank == 0 else None

    @property
    def evaluated(self) -> torch.nn.Module:
        """The network that is validated and kept, with the optimiser's `kept_weights`."""
        return self.network if self.average is None else self.average

    def run(self) -> dict[str, Any]:
        """Train to the end; returns the summary for `model.yaml`."""
        self._resume()
        with deferred_signals(self.world == 1) as caught:
            while not self._done():
                self._train_epoch(caught)
                self._close_epoch()
                self._heed(caught)
        if self.writer:
            self.writer.close()
        if self.rank == 0:
            write_weights(self.out, self.best)
        history = self.state.history
        best = history[self.state.best_epoch - 1]
        seconds = sum(line["seconds"] for line in history)
        return {"finished": True, "epochs": len(history), "seconds": seconds, "best": best}

    def _done(self) -> bool:
        state, patience = self.state, self.options.early_stopping
        waited = state.epoch - state.best_epoch
        return state.epoch >= self.options.epochs or 0 < patience <= waited

    def _train_epoch(self, caught: list[int]) -> None:
        state = self.state
        mark = beat = saved = time.perf_counter()
        objective = self.train.objective
        self.network.train(objective is None or not objective.frozen)
        for batch in self.batches.epoch(state.epoch, state.batch):
            self._step(batch)
            state.batch += 1
            state.jets += len(batch.y) * self.world
            now = time.perf_counter()
            state.seconds, mark = state.seconds + now - mark, now
            if now - saved > self.options.checkpoint_every_seconds:
                self._save()
                saved = now
            self._heed(caught)
            if now - beat > BEAT:
                self._report_batch()
                beat = now

    def _heed(self, caught: list[int]) -> None:
        """Write a checkpoint and let a signal that was caught have its way."""
        if caught:
            self._save()
            signal.raise_signal(caught[0])

    def _step(self, batch: Batch) -> None:
        options, state = self.options, self.state
        step = state.epoch * len(self.batches) + state.batch
        seed_step(options.seed, state.epoch, state.batch, self.rank)
        rate = learning_rate(options, step, options.epochs * len(self.batches))
        set_learning_rate(self.optimizer, rate)
        if options.drop_particles:
            batch = drop_particles(batch, options.drop_particles)
        y, w = (part.to(self.device, non_blocking=True) for part in (batch.y, batch.w))
        logits = self._logits(batch.x, batch.mask)
        loss = self._loss(logits, y, w, self._taught(batch.index))
        if self.train.objective:
            rows = batch.index.numpy()

            def elsewhere(cache: Cache) -> torch.Tensor:
                return self._logits(*tensors_of(cache, rows))

            loss = self.train.objective(Answers(loss, logits, y, w, batch.index, elsewhere))
        self._count(loss.detach(), logits.detach(), y)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        if options.gradient_clip:
            self.scaler.unscale_(self.optimizer)
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), options.gradient_clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.average is not None:
            average_into(self.average, self.network, options.ema, step)

    def _logits(self, x: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """(B, C) float32, with a gradient."""
        x = x.to(self.device, non_blocking=True)
        mask = None if mask is None else mask.to(self.device, non_blocking=True)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
            return self.forward(x, mask).float()

    def _taught(self, index: torch.Tensor) -> torch.Tensor | None:
        """(B, C) logits of the teacher for training jets."""
        teacher = self.train.teacher
        if teacher is None:
            return None
        return torch.from_numpy(teacher[index.numpy()]).to(self.device, non_blocking=True)

    def _loss(
        self,
        logits: torch.Tensor,
        y: torch.Tensor,
        w: torch.Tensor,
        teacher: torch.Tensor | None,
    ) -> torch.Tensor:
        options = self.options
        each = classification(
            logits,
            y,
            label_smoothing=options.label_smoothing,
            teacher=teacher,
            temperature=options.temperature,
            hard=options.hard,
        )
        return (each * w).mean()

    def _count(self, loss: torch.Tensor, logits: torch.Tensor, y: torch.Tensor) -> None:
        right = (logits.argmax(1) == y).sum()
        self.sums += torch.stack([loss * len(y), right, torch.full_like(right, len(y))])
        if self.device.type == "cpu":  # elsewhere looking would stop the device at every step
            self._check_finite(loss)

    def _check_finite(self, *tensors: torch.Tensor) -> None:
        if all(bool(tensor.isfinite().all()) for tensor in tensors):
            return
        message = (
            f"diverged in epoch {self.state.epoch + 1}, batch {self.state.batch + 1}: loss or "
            "weights are NaN or infinite; try a lower learning rate, e.g. "
            f"{self.options.learning_rate / 10:g}, or gradient_clip 1, and --overwrite"
        )
        raise TrainingDiverged(message)

    def _close_epoch(self) -> None:
        """Validate, keep the best weights, note the epoch, write the checkpoint."""
        state, began = self.state, time.perf_counter()
        loss, right, jets = self._summed(self.sums).tolist()
        group = self.optimizer.param_groups[0]
        speed = state.jets / state.seconds if state.seconds else 0.0
        with kept_weights(self.optimizer) if self.average is None else nullcontext():
            found = self._validate()
            self._keep_best(found["validation_loss"])
        line: dict[str, Any] = {
            "epoch": state.epoch + 1,
            "train_loss": loss / jets,
            "train_accuracy": right / jets,
            **found,
            "learning_rate": group["lr"] / group["factor"],
            "seconds": state.seconds + time.perf_counter() - began,
            "jets_per_second": speed,
        }
        state.history.append(line)
        state.epoch, state.batch, state.seconds, state.jets = state.epoch + 1, 0, 0.0, 0
        self.sums.zero_()
        if self._done() or state.epoch % self.options.checkpoint_every_epochs == 0:
            self._save()
        self._report_epoch(line)

    def _keep_best(self, loss: float) -> None:
        state = self.state
        if loss < state.best_loss:
            state.best_loss, state.best_epoch = loss, state.epoch + 1
            weights = self.evaluated.state_dict()
            self.best = {name: value.detach().cpu().clone() for name, value in weights.items()}

    def _validate(self) -> dict[str, float]:
        """Loss, accuracy and, for two classes, AUC on the validation jets."""
        lessons = self.validation
        y = torch.from_numpy(lessons.cache.label)
        if self.world > 1:  # statistics of normalisations are each process's own
            for buffer in self.evaluated.buffers():
                distributed.broadcast(buffer, 0)
        logits, w = self._evaluate(lessons.cache), torch.from_numpy(lessons.weights)
        teacher = None if lessons.teacher is None else torch.from_numpy(lessons.teacher)
        loss = self._loss(logits, y, w, teacher)
        if lessons.objective:
            rows = torch.arange(len(y))
            loss = lessons.objective(Answers(loss, logits, y, w, rows, self._evaluate))
        self._check_finite(loss)
        found = {
            "validation_loss": loss.item(),
            "validation_accuracy": (logits.argmax(1) == y).float().mean().item(),
        }
        if self.n_classes == 2 and len(y.unique()) == 2:
            found["validation_auc"] = auc(y.numpy(), (logits[:, 1] - logits[:, 0]).numpy()).value
        return found

    def _evaluate(self, cache: Cache) -> torch.Tensor:
        """(N, C) logits of the network that is kept, for all jets of a cache, on the CPU."""
        logits = logits_of(
            *(self.evaluated, cache, self.n_classes),
            *(max(self.options.batch_size, 1024), self.device),
            rank=self.rank,
            world=self.world,
        )
        return self._summed(logits.to(self.device)).cpu()

    def _summed(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum over all processes."""
        if self.world > 1:
            distributed.all_reduce(tensor)
        return tensor

    def _report_batch(self) -> None:
        self._check_finite(self.sums)
        state, (loss, _, jets) = self.state, self.sums.tolist()
        self.progress(
            {
                "kind": "batch",
                "epoch": state.epoch + 1,
                "epochs": self.options.epochs,
                "batch": state.batch,
                "batches": len(self.batches),
                "loss": loss / jets,
                "jets_per_second": state.jets / state.seconds,
            }
        )

    def _report_epoch(self, line: dict[str, Any]) -> None:
        if self.writer:
            for name, value in line.items():
                self.writer.add_scalar(name, value, line["epoch"])
            self.writer.flush()
        if self.rank == 0:
            self.progress({"kind": "epoch", "epochs": self.options.epochs} | line)

    def _save(self) -> None:
        """Write the checkpoint, and what it says of weights and history."""
        self._check_finite(self.sums, *self.network.parameters())
        if self.rank:
            return
        form = {
            "state": asdict(self.state),
            "sums": self.sums.cpu(),
            "best": self.best,
            "network": self.network.state_dict(),
            "average": self.evaluated.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }
        if self.best:
            write_weights(self.out, self.best)
        write_history(self.out, self.state.history)
        write_checkpoint(self.out / CHECKPOINT, form)

    def _resume(self) -> None:
        """Go back to the checkpoint, if there is one."""
        form = read_checkpoint(self.out / CHECKPOINT)
        if form is None:
            return
        self.state = _State(**form["state"])
        self.sums.copy_(form["sums"])
        self.best = form["best"]
        self.network.load_state_dict(form["network"])
        if self.average is not None:
            self.average.load_state_dict(form["average"])
        self.optimizer.load_state_dict(form["optimizer"])
        self.scaler.load_state_dict(form["scaler"])
        if self.rank == 0:
            write_history(self.out, self.state.history)


def _tensorboard(out: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        message = 'TensorBoard is not installed: pip install "fivesigma[tensorboard]"'
        raise ValueError(message) from None
    return SummaryWriter(str(out / "tensorboard"))
