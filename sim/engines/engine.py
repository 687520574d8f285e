"""The fast engine: the interface over `sim.engines.fast.kernel`, and the choice between it and the oracle."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from rollout.values import NOT_RELEASED, OUTCOMES, IntArray, LongArray, Quiet
from sim.clients.compiling import spec_of
from sim.clients.draws import Draws, Traits
from sim.clients.spec import NEVER, hours_in
from sim.engines.port import EngineRun
from sim.model import Model

if TYPE_CHECKING:
    from sim.clients.load import Funnel, Load

FAST: Final = find_spec("numba") is not None
"""Whether the fast engine can run here; otherwise the oracle serves, with the same results."""


_NOBODY: Final = np.empty(0, dtype=np.int32)


class Engine:
    """The fast engine. One a run; not thread-safe, but several run side by side (the kernel frees the GIL).

    Parameters
    ----------
    start : Unix seconds, the first second. strata : (n,) int32 codes below `n_strata`.
    straggler_after_s : a device of which nothing is reported so long after its release is TIMED_OUT.
    """

    def __init__(
        self,
        model: Model,
        traits: Traits,
        draws: Draws,
        *,
        start: int,
        strata: IntArray,
        n_strata: int,
        straggler_after_s: int,
    ) -> None:
        from sim.engines.fast import kernel, looks
        from sim.engines.fast import rows as r
        from sim.engines.fast.compiled import bare

        n = len(traits)
        if n >= 1 << 28:
            raise ValueError(f"expected fewer than {1 << 28} devices, found {n}")
        spec = spec_of(model, traits, draws, start, straggler_after_s)
        limit = start - spec.base + draws.horizon_s
        self._spec = spec
        self._start = start
        self._n_strata = n_strata
        self._rules = r.rules_of(spec)
        new = np.array(traits.new, dtype=np.bool_)
        self._faults = r.Faults(spec.fault, spec.fault_code, spec.mix_permanent, new)
        self._rows = _rows(r.ROW, draws, strata)
        tally = np.zeros(r.SCALARS + len(spec.codes) + n_strata, dtype=np.int64)
        tally[r.NOW] = start - spec.base
        tally[r.MINUTE] = -1
        tally[r.FIRST] = NEVER
        self._run = r.Run(
            self._rows,
            np.full(limit, -1, dtype=np.int32),
            tally,
            np.zeros((hours_in(limit), 8), dtype=np.int64),
            np.zeros(limit // 60 + 1, dtype=np.int32),
        )
        self._lists = r.Lists(np.empty(n, dtype=np.int32), np.empty(max(n, r.BLOCK), dtype=np.int64))
        self._at = r.NOW
        self._pending = tally[r.PENDING : r.PENDING + 1]
        self._failed = tally[r.SCALARS : r.SCALARS + len(spec.codes)]
        self._now = start
        self._counts = np.zeros((16, n_strata, OUTCOMES), dtype=np.int64)
        self._batches = 0
        self._step = bare(kernel.step, *self._arguments(start, _NOBODY, 0))
        self._live_on = bare(looks.live_on, *self._places(), 0, 0, 0, tally, 0, 0, 0)

    @property
    def now(self) -> int:
        """The second up to which (exclusive) every event has been processed."""
        return self._now

    @property
    def counts(self) -> LongArray:
        """(batches, strata, OUTCOMES) int64, as the directory sees it; a live view until the next release."""
        return self._counts[: self._batches]

    @property
    def outcome(self) -> NDArray[np.int8]:
        """(n,) int8 `Outcome` or NOT_RELEASED, as the directory sees it."""
        return np.ascontiguousarray(self._rows["outcome"])

    @property
    def outcome_at(self) -> LongArray:
        """(n,) int64 Unix seconds of the last change, -1 none."""
        at = self._rows["outcome_at"].astype(np.int64)
        return np.where(self._rows["outcome"] == NOT_RELEASED, -1, at + self._spec.base)

    @property
    def code(self) -> LongArray:
        """(n,) int64 HRESULT of the last reported failure, 0 none."""
        seen = self._rows["seen"]
        return np.where(seen < 0, 0, self._spec.codes[seen])

    @property
    def failed_codes(self) -> dict[int, int]:
        """Devices that are FAILED now, by code."""
        return {int(self._spec.codes[i]): int(self._failed[i]) for i in np.flatnonzero(self._failed)}

    def release(self, rows: IntArray, batch: int, at: int) -> None:
        """Make devices members at `at`; those released before are passed over.

        Raise a `ValueError` if `at` lies before `now`, or batch numbers are not dense.
        """
        if at < self._now:
            raise ValueError(f"expected a release at or after {self._now}, found {at}")
        if not 0 <= batch <= self._batches:
            raise ValueError(f"expected a batch number up to {self._batches}, found {batch}")
        self._grow(batch + 1)
        devices = np.array(rows, dtype=np.int32)  # a copy: writable and contiguous, as it was compiled for
        self._go(at, devices, batch)

    def advance(self, until: int) -> None:
        """Process every event with second < `until`."""
        if until > self._now:
            self._go(until, _NOBODY, 0)

    def _go(self, until: int, devices: IntArray, batch: int) -> None:
        self._step(*self._arguments(until, devices, batch))
        self._now = until

    def _arguments(self, until: int, devices: IntArray, batch: int) -> tuple[Any, ...]:
        second = int(until) - self._spec.base
        return (*self._places(), self._faults, second, devices, int(batch))

    def _places(self) -> tuple[Any, ...]:
        return self._run, self._lists, self._counts, self._rules

    def settled(self) -> bool:
        """Say whether no released device is PENDING."""
        return int(self._pending[0]) == 0

    def live_on(self, again: int, end: int, quiet: Quiet) -> int:
        """Advance look by look from `again`, until one may decide something; give its instant, or `end`."""
        base = self._spec.base
        stopped: int = self._live_on(
            *self._places(),
            int(again) - base,
            int(end) - base,
            int(quiet.every),
            np.array(quiet.failed, dtype=np.int64),  # a copy, as compiled for
            int(quiet.timed_out),
            int(quiet.first_batch),
            int(quiet.settled),
        )
        self._now = base + int(self._run.tally[self._at])
        return base + stopped

    def funnel(self) -> Funnel:
        """Give how many devices reached each step, by hour."""
        from sim.clients.load import funnel_of

        return funnel_of(self._run.hours, self._start, self._spec.base, self._now)

    def load(self) -> Load:
        """Give what the service and the policy points had to bear, by hour."""
        from sim.clients.load import load_of

        return load_of(self._run.hours, self._run.minutes, self._start, self._spec.base, self._now)

    def _grow(self, batches: int) -> None:
        if batches > len(self._counts):
            shape = (max(batches, 2 * len(self._counts)), self._n_strata, OUTCOMES)
            grown = np.zeros(shape, dtype=np.int64)
            grown[: self._batches] = self._counts[: self._batches]
            self._counts = grown
        self._batches = max(self._batches, batches)


def _rows(layout: np.dtype[np.void], draws: Draws, strata: IntArray) -> NDArray[np.void]:
    from sim.clients.presence import DAY_BEGINS

    rows = np.zeros(len(draws), dtype=layout)
    rows["key"] = draws.keys
    rows["offset"] = draws.offset - DAY_BEGINS
    rows["presence"] = draws.presence
    rows["stratum"] = strata
    for name in ("outcome", "kind", "code", "seen", "permanent"):
        rows[name] = -1
    return rows


def make_engine(
    model: Model,
    traits: Traits,
    draws: Draws,
    *,
    start: int,
    strata: IntArray,
    n_strata: int,
    straggler_after_s: int,
) -> EngineRun:
    """Give the fast engine, or where numba does not exist the oracle: far slower, same results."""
    if FAST:
        make: Callable[..., EngineRun] = Engine
    else:
        from sim.engines.oracle import Oracle

        make = Oracle
    return make(
        model,
        traits,
        draws,
        start=start,
        strata=strata,
        n_strata=n_strata,
        straggler_after_s=straggler_after_s,
    )
