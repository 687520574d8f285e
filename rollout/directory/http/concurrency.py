"""Concurrent calls, by threads that need not be waited for.

After an interrupt the process ends even if a call hangs; an executor of the standard library would wait for it, at
the latest when the interpreter ends.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Final, TypeVar

T = TypeVar("T")
R = TypeVar("R")


THREAD_NAME: Final = "concurrent-call"
"""Name of the threads."""

IDLE_S: Final = 0.5
"""Seconds between two calls of `while_waiting`."""


def map_concurrently(
    call: Callable[[T], R],
    items: Sequence[T],
    at_once: int,
    while_waiting: Callable[[], None] = lambda: None,
) -> list[R]:
    """Return `call` of each item, in their order, at most `at_once` at a time.

    while_waiting : called about twice per second by the calling thread: calls may take minutes.

    What a call (or `while_waiting`) raises is raised here; calls that have not begun by then are not made.
    """
    todo: SimpleQueue[tuple[int, T] | None] = SimpleQueue()
    done: SimpleQueue[tuple[int, R | None, BaseException | None]] = SimpleQueue()
    over = threading.Event()
    threads = min(at_once, len(items))

    def work() -> None:
        while (numbered := todo.get()) is not None and not over.is_set():
            place, item = numbered
            try:
                done.put((place, call(item), None))
            except BaseException as error:  # whatever it is, it is raised in the calling thread
                done.put((place, None, error))

    for _ in range(threads):
        threading.Thread(target=work, name=THREAD_NAME, daemon=True).start()
    for numbered_item in (*enumerate(items), *[None] * threads):
        todo.put(numbered_item)
    answers: dict[int, R] = {}
    due = time.monotonic() + IDLE_S
    try:
        while len(answers) < len(items):
            if time.monotonic() >= due:  # also where answers come faster than that
                while_waiting()
                due = time.monotonic() + IDLE_S
            try:
                place, answer, error = done.get(timeout=max(0.0, due - time.monotonic()))
            except Empty:
                continue
            if error is not None:
                raise error
            answers[place] = answer  # type: ignore[assignment]  # without an error there is an answer
    finally:
        over.set()
    return [answers[place] for place in range(len(items))]
