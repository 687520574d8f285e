"""The place where work is done: this process, processes of this machine, or a cluster; the results are the same.

Everything runs through `concurrent.futures.Executor`. Results are in the order of the items, so nothing computed
from them can depend on the number of workers, on their speed, or on their failures.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from rollout.errors import OutsideError, UsageError
from sim.engines.fast.code_cache import share, shared_place

Item = TypeVar("Item")
Result = TypeVar("Result")
Progress = Callable[[int], None]
"""Called with the number of results."""

CONNECT_TIMEOUT: Final = "10s"
"""Time within which a scheduler must answer."""
TRIES: Final = 3
"""How often items whose workers die are tried."""


def ignore_progress(_: int) -> None:
    """Do nothing with the number of results."""


class Workers(Protocol):
    """An executor that applies a function to independent items."""

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        progress: Progress = ignore_progress,
    ) -> list[Result]:
        """Return the result of each item, in their order. `function` and items must be picklable.

        progress : called with the number of results after each new result.
        """
        ...


class InProcess:
    """This process computes all results, one after the other."""

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        progress: Progress = ignore_progress,
    ) -> list[Result]:
        """Return the result of each item, in their order."""
        results = []
        for item in items:
            results.append(function(item))
            progress(len(results))
        return results


class Pool:
    """An executor computes the results. If a worker dies, a new executor computes the missing results.

    make : returns a new executor.
    """

    def __init__(self, make: Callable[[], Executor]) -> None:
        self._make = make
        self._executor = make()
        self._processes: list[BaseProcess] = []

    def map(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        progress: Progress = ignore_progress,
    ) -> list[Result]:
        """Return the result of each item, in their order.

        Raise an `OutsideError` if workers die repeatedly.
        """
        done: dict[int, Result] = {}
        for _ in range(TRIES):
            missing = [index for index in range(len(items)) if index not in done]
            if not missing:
                break
            self._compute(function, items, missing, done, progress)
        if len(done) < len(items):
            raise OutsideError(
                f"expected {len(items)} results, found {len(done)}: workers died {TRIES} times",
                "Is there enough memory? Try fewer --workers.",
            )
        return [done[index] for index in range(len(items))]

    def _compute(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        missing: Sequence[int],
        done: dict[int, Result],
        progress: Progress,
    ) -> None:
        try:
            futures = self._submit(function, items, missing)
            for index, future in futures:
                done[index] = future.result()
                progress(len(done))
        except BrokenProcessPool:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = self._make()

    def _submit(
        self, function: Callable[[Item], Result], items: Sequence[Item], missing: Sequence[int]
    ) -> list[tuple[int, Future[Result]]]:
        """Submit the missing items; the first of them starts the processes of a pool."""
        before = multiprocessing.active_children()
        try:
            with _without_interrupts():
                return [(index, self._executor.submit(function, items[index])) for index in missing]
        finally:
            self._processes += [child for child in multiprocessing.active_children() if child not in before]

    def close(self) -> None:
        """Shut down the workers."""
        self._executor.shutdown(cancel_futures=True)

    def stop(self) -> None:
        """End the workers at once, even during their work: their results are no longer needed."""
        with _without_interrupts():
            self._executor.shutdown(wait=False, cancel_futures=True)
            for process in self._processes:
                process.terminate()


@contextmanager
def workers_of(count: int = 1, cluster: str = "") -> Iterator[Workers]:
    """Provide `count` processes of this machine, or the workers of the Dask scheduler at `cluster`.

    Raise a `UsageError` if the extra [cluster] is not installed, an `OutsideError` if the scheduler does not answer.
    """
    if cluster:
        with _dask(cluster) as pool:
            yield pool
    elif count <= 1:
        yield InProcess()
    else:
        pool = Pool(lambda: _processes(count))
        try:
            yield pool
        except BaseException:
            pool.stop()
            raise
        pool.close()


def _processes(count: int) -> Executor:
    # Spawned, not forked: numba's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, context, initializer=_initialize_worker, initargs=(shared_place(),))


def _initialize_worker(cache: Path | None) -> None:
    """Prepare a worker process. cache : the parent's folder of compiled code.

    Ctrl-C in a terminal reaches all processes of a command. The parent handles it and ends its workers.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    share(cache)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Delay Ctrl-C while processes start, and start them with the signal blocked.

    A signal to a worker that is still importing would print a traceback, and a signal to this process would leave a
    worker partly started. Blocking alone is not enough: a thread of a C library may receive the signal instead.
    """
    if sys.platform != "win32" and threading.current_thread() is threading.main_thread():
        held: list[int] = []
        handler = signal.signal(signal.SIGINT, lambda number, _: held.append(number))
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            signal.signal(signal.SIGINT, signal.SIG_DFL if handler is None else handler)
            if held:
                signal.raise_signal(signal.SIGINT)
    else:
        yield


@contextmanager
def _dask(address: str) -> Iterator[Pool]:
    try:
        from distributed import Client

        connect: Any = Client
    except ImportError:
        raise UsageError(
            "--cluster needs the package 'distributed'", "pip install 'rollout[cluster]'"
        ) from None
    try:
        client: Any = connect(address, timeout=CONNECT_TIMEOUT, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise OutsideError(
            f"--cluster: no Dask scheduler answers at {address}: {error}",
            "Start a scheduler: dask scheduler --host 127.0.0.1",
        ) from error
    try:
        # Tasks of a worker that died go to another worker; a task that seems to kill its workers is given up.
        yield Pool(lambda: client.get_executor(pure=False, retries=TRIES))
    finally:
        client.close()
