"""Progress of long work: a bar where a terminal is attached, now and then a line where not."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

__all__ = ["Progress"]

#: seconds between two lines where there is no terminal
_LINE_EVERY = 10.0


class Progress:
    """Shows how far a task is, its rate and the time left, on standard error.

    Args:
        title: what is done.
        total: how many units there are.
        unit: their name, for the rate.
        quiet: show nothing.
        step: units of one call; what was done before the first call does not count for the rate.

    Example:
        >>> with Progress("fitting", 10, "toys", quiet=True) as progress:
        ...     progress(5)
    """

    def __init__(
        self, title: str, total: int, unit: str, *, quiet: bool = False, step: int | None = None
    ) -> None:
        self._title, self._total, self._unit, self._quiet = title, total, unit, quiet
        self._begin = self._last = time.monotonic()
        self._step, self._before = step, 0 if step is None else -1
        self._bar: Bar | None = None
        if not quiet and sys.stderr.isatty():
            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.fields[note]}"),
                console=Console(stderr=True),
            )
            self._task = self._bar.add_task(title, total=total, note="")

    def __enter__(self) -> Progress:
        if self._bar:
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar:
            self._bar.stop()

    @staticmethod
    def tell(text: str, *, quiet: bool = False) -> None:
        """One line, before or after the work."""
        if not quiet:
            sys.stderr.write(f"{text}\n")

    def __call__(self, done: int, note: str = "") -> None:
        """Tell that `done` units of the total are done."""
        now = time.monotonic()
        if self._before < 0:
            self._before = max(0, done - (self._step or 0))
        rate = (done - self._before) / max(now - self._begin, 1e-9)
        text = f"{rate:.3g} {self._unit}/s"
        if rate > 0 and done < self._total:
            text += f", {_duration((self._total - done) / rate)} left"
        if note:
            text += f"  {note}"
        if self._bar:
            self._bar.update(self._task, completed=done, note=text)
        elif not self._quiet and (now - self._last > _LINE_EVERY or done >= self._total):
            self._last = now
            sys.stderr.write(f"{self._title}: {done} of {self._total}, {text}\n")
            sys.stderr.flush()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
