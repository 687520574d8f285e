"""Calls made some at once."""

from __future__ import annotations

import threading
import time

import pytest

from rollout.directory.http.concurrency import map_concurrently


def test_answers_come_in_the_order_of_the_items() -> None:
    """However long each call takes; and of nothing comes nothing."""
    assert map_concurrently(lambda item: (time.sleep(item % 3 / 500), item * 2)[1], range(40), 8) == list(
        range(0, 80, 2)
    )
    assert map_concurrently(lambda item: item, [], 8) == []


def test_never_more_at_once_than_said() -> None:
    """Three threads make at most three calls at a time, and really three."""
    now, most, lock = [0], [0], threading.Lock()

    def call(_one: int) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.01)
        with lock:
            now[0] -= 1

    map_concurrently(call, range(12), 3)
    assert most[0] == 3


def test_what_a_call_raises_is_raised_and_no_further_call_is_made() -> None:
    """The error comes out at once, also while others hang; calls that had not begun are not made."""
    begun, go_on = [], threading.Event()

    def call(number: int) -> None:
        begun.append(number)
        if number == 1:
            raise KeyError("one")
        go_on.wait(10)

    at = time.monotonic()
    with pytest.raises(KeyError):
        map_concurrently(call, range(50), 3)
    assert time.monotonic() - at < 5
    go_on.set()
    time.sleep(0.05)
    assert len(begun) <= 4


def test_whoever_waits_looks_up_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a call lasts, the waiting thread is called again and again; what it raises ends the waiting."""
    monkeypatch.setattr("rollout.directory.http.concurrency.IDLE_S", 0.005)
    go_on, looks, begun = threading.Event(), [0], []

    def look() -> None:
        assert threading.current_thread() is threading.main_thread()
        looks[0] += 1
        if looks[0] == 3:
            raise KeyboardInterrupt

    def call(number: int) -> None:
        begun.append(number)
        go_on.wait(10)

    with pytest.raises(KeyboardInterrupt):
        map_concurrently(call, range(9), 2, look)
    go_on.set()
    time.sleep(0.05)
    assert looks[0] == 3
    assert len(begun) == 2


def test_whoever_waits_looks_up_between_quick_answers_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answers that come faster than the looks do not keep a signal, a pause or the lease from being seen to."""
    monkeypatch.setattr("rollout.directory.http.concurrency.IDLE_S", 0.05)
    looks: list[float] = []
    map_concurrently(lambda _: time.sleep(0.01), range(60), 2, lambda: looks.append(time.monotonic()))
    assert len(looks) >= 3
