"""Who is in the emulators: a small fleet, and worlds in which its devices enroll."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rollout.values import FLAGS, NOT_RELEASED, TIMES, Factor, Fleet, Outcome, texts
from rollout.values.fleet import FACTORS
from sim.engines.port import EngineRun

FIRST_RESOURCE = 16_777_220


def guid(text: str) -> str:
    """Give a lower-case GUID that depends on the text alone."""
    h = hashlib.sha256(text.encode()).hexdigest()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:32]}"


def make_fleet(n: int) -> Fleet:
    """Give `n` devices that all three systems know."""
    return Fleet(
        ids=texts(guid(f"device {row}") for row in range(n)),
        names=texts(f"PC-{row:06}" for row in range(n)),
        resource_ids=FIRST_RESOURCE + np.arange(n, dtype=np.int64),
        serials=texts(f"S{row}" for row in range(n)),
        factors={name: Factor.constant("", n) for name in FACTORS},
        flags={name: np.ones(n, dtype=np.int8) for name in FLAGS},
        times={name: np.full(n, -1, dtype=np.int64) for name in TIMES},
    )


class World(Protocol):
    """Devices that enroll once they are members."""

    def enter(self, row: int, at: int) -> None: ...

    def leave(self, row: int) -> None: ...

    def look(self, at: int) -> tuple[NDArray[np.int8], NDArray[np.int64], NDArray[np.int64]]:
        """Give outcome, instant of its change and HRESULT of each device, as of events strictly before `at`."""
        ...


class Prompt:
    """Each device has its outcome `latency_s` after it became a member; `code(row)` is 0 or an HRESULT."""

    def __init__(self, n: int, latency_s: int = 600, code: Callable[[int], int] = lambda _row: 0) -> None:
        self._entered = np.full(n, -1, dtype=np.int64)
        self._latency_s = latency_s
        self._code = np.array([code(row) for row in range(n)], dtype=np.int64)

    def enter(self, row: int, at: int) -> None:
        if self._entered[row] < 0:
            self._entered[row] = at

    def leave(self, row: int) -> None:
        self._entered[row] = -1

    def look(self, at: int) -> tuple[NDArray[np.int8], NDArray[np.int64], NDArray[np.int64]]:
        inside = self._entered >= 0
        done = inside & (self._entered + self._latency_s < at)
        outcome = np.full(len(inside), NOT_RELEASED, dtype=np.int8)
        outcome[inside] = Outcome.PENDING
        outcome[done] = np.where(self._code[done] > 0, Outcome.FAILED, Outcome.ENROLLED)
        when = np.where(done, self._entered + self._latency_s, self._entered)
        return outcome, when, np.where(outcome == Outcome.FAILED, self._code, 0)


class Engine:
    """The simulator's own clients behind an emulator: the same draws, so the same outcomes."""

    def __init__(self, engine: EngineRun, n: int) -> None:
        self._engine = engine
        self._inside = np.zeros(n, dtype=np.bool_)

    def enter(self, row: int, at: int) -> None:
        if not self._inside[row]:
            self._inside[row] = True
            self._engine.release(np.array([row], dtype=np.int32), 0, at)

    def leave(self, row: int) -> None:
        """Nothing happens on a device that leaves the collection, as in the embedded directory."""

    def look(self, at: int) -> tuple[NDArray[np.int8], NDArray[np.int64], NDArray[np.int64]]:
        self._engine.advance(at)
        return self._engine.outcome, self._engine.outcome_at, self._engine.code
