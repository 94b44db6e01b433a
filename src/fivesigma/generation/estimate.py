"""How long a generation will take and how large it will be, from a short pilot."""

from __future__ import annotations

import os
from dataclasses import dataclass
from time import perf_counter

from fivesigma.generation.pythia import Generation, Generator, seed_of

__all__ = ["Estimate", "estimate"]


@dataclass(frozen=True)
class Estimate:
    """Cost of a generation on this machine as loaded now; what comes after PYTHIA is not in it.

    Attributes:
        seconds: wall time.
        bytes: size of all `truth` in memory; compressed on disk it is about half.
        seconds_per_event: of one worker.
        bytes_per_event: of `truth` in memory.
        start: seconds that a worker takes before its first event.
        n_pilot: events that the estimate rests on.
    """

    seconds: float
    bytes: int
    seconds_per_event: float
    bytes_per_event: float
    start: float
    n_pilot: int


def estimate(
    options: Generation, n_events: int, workers: int = 1, *, pilot: float = 1.5
) -> Estimate:
    """Generate for about `pilot` seconds and scale up.

    Args:
        options: what to generate.
        n_events: how many events are wanted.
        workers: processes; more than the machine has cores do not count.
        pilot: seconds to spend on events.

    Raises:
        ValueError: as `check`, or a file without events.
    """
    begin = perf_counter()
    generator = Generator(options, seed_of(0, 0, stream=2))
    generator.next(1)  # compiled code is loaded here
    start = perf_counter() - begin
    size, n_pilot, portion, begin = 0, 0, 5, perf_counter()
    while (spent := perf_counter() - begin) < pilot:
        events = generator.next(portion)
        if not len(events):
            break
        size, n_pilot = size + events.nbytes, n_pilot + len(events)
        portion = min(2 * portion, 100)
    if not n_pilot:
        message = f"{options.process} holds fewer than two events; nothing can be estimated"
        raise ValueError(message)
    per_event, bytes_per_event = spent / n_pilot, size / n_pilot
    active = max(1, min(workers, os.cpu_count() or 1))
    return Estimate(
        seconds=start + n_events * per_event / active,
        bytes=round(n_events * bytes_per_event),
        seconds_per_event=per_event,
        bytes_per_event=bytes_per_event,
        start=start,
        n_pilot=n_pilot,
    )
