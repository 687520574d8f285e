"""Where work is done: here, in processes of this machine, or on a cluster; the results are the same.

Everything goes through `concurrent.futures.Executor`. Results come in the order of the items, so nothing that
is computed from them can depend on how many workers there were, or on which one was faster or died.
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

WAIT: Final = "10s"
"""For a scheduler to answer."""
TRIES: Final = 3
"""How often a piece of work is begun anew whose worker died."""


def silent(_: int) -> None:
    """Tell nobody."""


class Workers(Protocol):
    """Something that does independent pieces of work."""

    def map(
        self, function: Callable[[Item], Result], items: Sequence[Item], told: Callable[[int], None] = silent
    ) -> list[Result]:
        """Return the result of each item, in their order. `function` and items are picklable.

        told : called with the number of results each time that one more is there.
        """
        ...


class Here:
    """This process does all of it, one after the other."""

    def map(
        self, function: Callable[[Item], Result], items: Sequence[Item], told: Callable[[int], None] = silent
    ) -> list[Result]:
        """Return the result of each item, in their order."""
        results = []
        for item in items:
            results.append(function(item))
            told(len(results))
        return results


class Pool:
    """An executor does it. One that breaks because a worker died is made anew, and only the rest repeated.

    make : gives a new executor; it is called again after a break.
    """

    def __init__(self, make: Callable[[], Executor]) -> None:
        self._make = make
        self._executor = make()
        self._processes: list[BaseProcess] = []

    def map(
        self, function: Callable[[Item], Result], items: Sequence[Item], told: Callable[[int], None] = silent
    ) -> list[Result]:
        """Return the result of each item, in their order.

        Raise an `OutsideError` if workers die again and again.
        """
        done: dict[int, Result] = {}
        for _ in range(TRIES):
            missing = [index for index in range(len(items)) if index not in done]
            if not missing:
                break
            self._go(function, items, missing, done, told)
        if len(done) < len(items):
            raise OutsideError(
                f"expected {len(items)} results, found {len(done)}: workers died {TRIES} times",
                "is there memory enough? Try fewer --workers",
            )
        return [done[index] for index in range(len(items))]

    def _go(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        missing: Sequence[int],
        done: dict[int, Result],
        told: Callable[[int], None],
    ) -> None:
        try:
            futures = self._submitted(function, items, missing)
            for index, future in futures:
                done[index] = future.result()
                told(len(done))
        except BrokenProcessPool:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = self._make()

    def _submitted(
        self, function: Callable[[Item], Result], items: Sequence[Item], missing: Sequence[int]
    ) -> list[tuple[int, Future[Result]]]:
        """Hand out what is missing; the first of it starts the processes of a pool."""
        before = multiprocessing.active_children()
        try:
            with _without_interrupts():
                return [(index, self._executor.submit(function, items[index])) for index in missing]
        finally:
            self._processes += [child for child in multiprocessing.active_children() if child not in before]

    def close(self) -> None:
        """Let the workers go."""
        self._executor.shutdown(cancel_futures=True)

    def stop(self) -> None:
        """End the workers at once, whatever they are doing: nobody wants their results any more."""
        with _without_interrupts():
            self._executor.shutdown(wait=False, cancel_futures=True)
            for process in self._processes:
                process.terminate()


@contextmanager
def workers_of(count: int = 1, cluster: str = "") -> Iterator[Workers]:
    """Return `count` processes of this machine, or the workers of the Dask scheduler at `cluster`.

    Raise a `UsageError` if the extra [cluster] is not installed; an `OutsideError` if nobody answers there.
    """
    if cluster:
        with _dask(cluster) as pool:
            yield pool
    elif count <= 1:
        yield Here()
    else:
        pool = Pool(lambda: _processes(count))
        try:
            yield pool
        except BaseException:
            pool.stop()
            raise
        pool.close()


def _processes(count: int) -> Executor:
    # Spawned, not forked: numba's threads and a forked child do not go together.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(count, context, initializer=_begin, initargs=(shared_place(),))


def _begin(compiled: Path | None) -> None:
    """Begin a worker. compiled : where its parent keeps compiled code.

    Ctrl-C in a terminal reaches all processes of a command: it is for the parent, which ends its workers.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    share(compiled)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back while processes begin, and start them with it blocked.

    One that hits a worker while it still imports prints frames; one that hits this process then would leave a
    worker half begun. Blocking alone is not enough: a thread of a C library may get the signal instead.
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
            "--cluster: expected the package 'distributed', found none", "pip install 'rollout[cluster]'"
        ) from None
    try:
        client: Any = connect(address, timeout=WAIT, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise OutsideError(
            f"--cluster: expected a Dask scheduler at {address}, found: {error}",
            "start one: dask scheduler --host 127.0.0.1",
        ) from error
    try:
        # A dead worker's tasks go to another one; a task that seems to kill its workers is given up.
        yield Pool(lambda: client.get_executor(pure=False, retries=TRIES))
    finally:
        client.close()
