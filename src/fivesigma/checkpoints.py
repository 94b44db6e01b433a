"""Checkpoints of a training, and signals that wait until a step is whole."""

from __future__ import annotations

import io
import pickle
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from fivesigma.storage import write_file

__all__ = ["deferred_signals", "read_checkpoint", "write_checkpoint"]


def write_checkpoint(path: Path, form: Mapping[str, Any]) -> None:
    """Write tensors and plain types as a whole or not at all."""
    with io.BytesIO() as file:
        torch.save(dict(form), file)
        write_file(path, file.getbuffer())


def read_checkpoint(path: Path) -> dict[str, Any] | None:
    """The content of a checkpoint, on the CPU; None if there is none.

    Raises:
        ValueError: a damaged file.
    """
    if not path.exists():
        return None
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, pickle.UnpicklingError) as error:
        message = f"{path} is damaged ({error}); begin anew with --overwrite"
        raise ValueError(message) from None


@contextmanager
def deferred_signals(wanted: bool) -> Iterator[list[int]]:
    """Collect the first SIGINT or SIGTERM, so that the step ends whole; a second one acts at once.

    Not with several processes, which wait for each other, nor outside the main thread.
    """
    caught: list[int] = []
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield caught
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) or signal.SIG_DFL for number in numbers}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: Any) -> None:
        caught.append(number)
        restore()

    for number in numbers:
        signal.signal(number, note)
    try:
        yield caught
    finally:
        restore()
