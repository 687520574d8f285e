"""Calls made some at once, by threads that nobody has to wait for.

An interrupt leaves a call that hangs behind and ends the process all the same; an executor of the standard
library would wait for it, at the latest when the interpreter ends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Final, TypeVar

T = TypeVar("T")
R = TypeVar("R")


NAME: Final = "together"
"""What the threads are called."""

LOOK_S: Final = 0.5
"""Seconds after which whoever waits looks up."""


def together(
    call: Callable[[T], R],
    items: Sequence[T],
    at_once: int,
    meanwhile: Callable[[], None] = lambda: None,
) -> list[R]:
    """Give `call` of each item, in their order, at most `at_once` at a time.

    meanwhile : called about twice a second by the thread that waits here: calls may wait for minutes.

    What a call (or `meanwhile`) raises is raised here; calls that have not begun by then are not made.
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
            except BaseException as error:  # whatever it is, it belongs to who waits
                done.put((place, None, error))

    for _ in range(threads):
        threading.Thread(target=work, name=NAME, daemon=True).start()
    for one in (*enumerate(items), *[None] * threads):
        todo.put(one)
    answers: dict[int, R] = {}
    try:
        while len(answers) < len(items):
            try:
                place, answer, error = done.get(timeout=LOOK_S)
            except Empty:
                meanwhile()
                continue
            if error is not None:
                raise error
            answers[place] = answer  # type: ignore[assignment]  # without an error there is one
    finally:
        over.set()
    return [answers[place] for place in range(len(items))]
