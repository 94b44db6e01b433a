"""Map a function over items: in this process, over local processes, or over a Dask cluster.

Results come as they are ready, in any order. Only a few more items than workers are under way at
any time, so that memory does not grow with the length of the list.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

__all__ = ["map_unordered"]

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

#: each worker has one core: threads inside it would only fight over the cores of the others
_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "VECLIB_MAXIMUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
}


def map_unordered(
    function: Callable[[Item], Outcome],
    items: Iterable[Item],
    workers: int = 1,
    cluster: str | None = None,
) -> Generator[Outcome, None, None]:
    """Yield `function(item)` for every item, in the order in which they are done.

    Closing the iterator, or an exception inside it (Ctrl-C too), cancels what waits and ends the
    workers.

    Args:
        function: picklable unless `workers` is 1 (a module-level function, or a partial of one).
        items: what to map over.
        workers: number of local processes; 1 runs in this process.
        cluster: address of a Dask scheduler, e.g. "tcp://host:8786"; `workers` is then not used.

    Raises:
        ValueError: less than one worker; `cluster` given and `distributed` not installed.
        concurrent.futures.process.BrokenProcessPool: a worker process died.
        Exception: what `function` raises.
    """
    if workers < 1:
        message = f"workers: got {workers}, expected 1 or more"
        raise ValueError(message)
    if cluster is not None:
        return _on_cluster(function, items, cluster)
    if workers == 1:
        return (function(item) for item in items)
    return _in_processes(function, items, workers)


def _in_processes(
    function: Callable[[Item], Outcome], items: Iterable[Item], workers: int
) -> Generator[Outcome, None, None]:
    others = set(multiprocessing.active_children())
    # spawn, not fork: a forked copy of a process with threads (NumPy, Arrow, notebooks) may hang
    context = multiprocessing.get_context("spawn")
    with (
        _environment(_ONE_THREAD),
        ProcessPoolExecutor(workers, context, initializer=_start_worker) as pool,
    ):
        try:
            yield from _as_completed(pool, function, items, limit=2 * workers)
        except BaseException:
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
            raise


def _on_cluster(
    function: Callable[[Item], Outcome], items: Iterable[Item], address: str
) -> Generator[Outcome, None, None]:
    try:
        from distributed import Client
    except ImportError:
        message = f"cluster {address}: needs Dask; pip install 'fivesigma[dask]'"
        raise ValueError(message) from None
    with Client(address) as client:
        # pure=False: Dask must not hand out an earlier result of the same call
        executor = client.get_executor(pure=False)
        try:
            yield from _as_completed(executor, function, items, limit=512)
        finally:
            executor.shutdown(wait=False)


def _as_completed(
    executor: Executor, function: Callable[[Item], Outcome], items: Iterable[Item], limit: int
) -> Generator[Outcome, None, None]:
    """Keep at most `limit` items under way."""
    waiting = iter(items)
    done: set[Future[Outcome]] = set()
    running: set[Future[Outcome]] = set()
    while True:
        with _without_ctrl_c():
            for item in islice(waiting, limit - len(running)):
                running.add(executor.submit(function, item))
        while done:
            yield done.pop().result()
        if not running:
            return
        done, running = wait(running, return_when=FIRST_COMPLETED)


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Start processes that Ctrl-C does not reach: the parent decides what becomes of them.

    Blocked signals are inherited, from the first moment on. Here Ctrl-C is only put off.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set variables for the processes that are started inside; libraries read them at import."""
    before = {name: os.environ[name] for name in variables if name in os.environ}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            os.environ.pop(name, None)
        os.environ.update(before)


def _start_worker() -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process when its parent is gone: a killed parent cannot tell its workers."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
