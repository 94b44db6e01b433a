"""How long a generation will take and how large it will be, from a few events of each kind."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from fivesigma.shards import write_shard
from fivesigma.workflows.chain import Events, Jets

__all__ = ["Forecast", "forecast", "require_space"]

#: jets or events of each class in the pilot
_PILOT = 60


@dataclass(frozen=True)
class Forecast:
    """Cost of a generation on this machine as loaded now.

    Attributes:
        seconds: wall time.
        bytes: on disk.
        units: jets or events to be made.
        workers: processes that it is for.
    """

    seconds: float
    bytes: int
    units: int
    workers: int

    def __str__(self) -> str:
        minutes = max(1, round(self.seconds / 60))
        duration = f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"
        size = f"{self.bytes / 1e6:.0f} MB" if self.bytes < 1e9 else f"{self.bytes / 1e9:.1f} GB"
        return f"about {duration} with {self.workers} workers, {size}, for {self.units}"


def forecast(task: Jets | Events, shards: int, workers: int) -> Forecast:
    """Make a few events of each kind and scale up.

    Args:
        task: what is to be made.
        shards: how many shards.
        workers: processes; more than the machine has cores do not count.
    """
    kinds = len(task.recipe.samples) if isinstance(task, Jets) else 1
    _cost(task, 0, 1)  # compiled code is loaded here
    few = [_cost(task, index, 1) for index in range(kinds)]
    more = [_cost(task, index, 1 + _PILOT) for index in range(kinds)]
    start = sum(seconds for seconds, _ in few) / kinds
    each, size = (
        sum(b[k] - a[k] for a, b in zip(few, more, strict=True)) / (kinds * _PILOT) for k in (0, 1)
    )
    units = shards * task.shard_size
    active = max(1, min(workers, os.cpu_count() or 1))
    return Forecast((shards * start + units * each) / active, round(units * size), units, workers)


def _cost(task: Jets | Events, index: int, units: int) -> tuple[float, float]:
    """Seconds and bytes of a shard of so many jets or events."""
    small: Jets | Events
    if isinstance(task, Jets):
        small = replace(task, shard_size=units)
    else:
        small = replace(task, shard_size=units, events=(index + 1) * units)
    with tempfile.TemporaryDirectory() as name:
        begin = time.perf_counter()
        record = write_shard(Path(name), index, small(index))
        return time.perf_counter() - begin, float(sum(record["bytes"].values()))


def require_space(folder: Path, expected: Forecast) -> None:
    """Check that the disk has room.

    Raises:
        ValueError: less is free than will be written.
    """
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if expected.bytes > free:
        message = (
            f"{expected.bytes / 1e9:.1f} GB will be written but {free / 1e9:.1f} GB are free at "
            f"{folder}; choose another disk or fewer events"
        )
        raise ValueError(message)
