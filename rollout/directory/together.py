"""Calls made some at once, by threads that nobody has to wait for.

An interrupt leaves a call that hangs behind and ends the process all the same; an executor of the standard
library would wait for it, at the latest when the interpreter ends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def together(call: Callable[[T], R], items: Sequence[T], at_once: int) -> list[R]:
    """Give `call` of each item, in their order, at most `at_once` at a time.

    What a call raises is raised here; calls that have not begun by then are not made.
    """
    todo: SimpleQueue[tuple[int, T]] = SimpleQueue()
    done: SimpleQueue[tuple[int, R | None, BaseException | None]] = SimpleQueue()
    over = threading.Event()
    for numbered in enumerate(items):
        todo.put(numbered)

    def work() -> None:
        while not over.is_set():
            try:
                place, item = todo.get_nowait()
            except Empty:
                return
            try:
                done.put((place, call(item), None))
            except BaseException as error:  # whatever it is, it belongs to who waits
                done.put((place, None, error))

    for _ in range(min(at_once, len(items))):
        threading.Thread(target=work, daemon=True).start()
    answers: dict[int, R] = {}
    try:
        for _ in items:
            place, answer, error = done.get()
            if error is not None:
                raise error
            answers[place] = answer  # type: ignore[assignment]  # without an error there is one
    finally:
        over.set()
    return [answers[place] for place in range(len(items))]
