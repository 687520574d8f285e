"""The fast engine over `sim.engines.fast.kernel`, and the choice between it and the oracle."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rollout.values import MARKS, NOT_RELEASED, OUTCOMES, IntArray, LongArray, Quiet
from sim.clients.compiling import spec_of
from sim.clients.draws import Draws, Traits
from sim.clients.load import Funnel, Load, funnel_of, load_of
from sim.clients.presence import DAY_BEGINS
from sim.clients.spec import NEVER, hours_in
from sim.engines.port import EngineRun
from sim.model import Model

FAST: Final = find_spec("numba") is not None
"""Whether the fast engine can run here; otherwise the oracle is used, with the same results."""

_NO_DEVICES: Final = np.empty(0, dtype=np.int32)


class Engine:
    """The fast engine. One instance per run; not thread-safe, but instances run in parallel (the kernel frees the GIL).

    Parameters
    ----------
    start : Unix seconds, the first second. strata : (n,) int32 codes below `n_strata`.
    straggler_after_s : seconds after its release at which a device without a reported outcome becomes TIMED_OUT.
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
        from sim.engines.fast import kernel, quiet_observations
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
        tally[r.FIRST_ENROLLMENT] = NEVER
        tally[r.FIRST_MENDING] = tally[r.LAST_MENDING] = -1
        self._run = r.Run(
            self._rows,
            np.full(limit, -1, dtype=np.int32),
            tally,
            np.zeros((hours_in(limit), 8), dtype=np.int64),
            np.zeros(limit // 60 + 1, dtype=np.int32),
        )
        self._lists = r.Lists(np.empty(n, dtype=np.int32), np.empty(max(n, r.BLOCK), dtype=np.int64))
        self._failures = r.Failures(np.empty(n, r.MENDING), spec.mends, spec.delays)
        self._now_index = r.NOW
        self._pending = tally[r.PENDING : r.PENDING + 1]
        self._marked = tally[r.MARKED : r.MARKED + 1]
        self._failed = tally[r.SCALARS : r.SCALARS + len(spec.codes)]
        self._now = start
        self._counts = r.Counts(
            *(np.zeros((16, n_strata, size), dtype=np.int64) for size in (OUTCOMES, MARKS))
        )
        self._batches = 0
        self._step = bare(kernel.step, *self._arguments(start, _NO_DEVICES, 0))
        self._skip = bare(
            quiet_observations.skip_quiet_observations, *self._arrays(), 0, 0, 0, tally, 0, 0, 0
        )

    @property
    def now(self) -> int:
        """The second up to which (exclusive) every event has been processed."""
        return self._now

    @property
    def counts(self) -> LongArray:
        """(batches, strata, OUTCOMES) int64, as the directory reports it; a live view until the next release."""
        return self._counts.outcomes[: self._batches]

    @property
    def marks(self) -> LongArray | None:
        """(batches, strata, MARKS) int64, as `counts`; None if no device has a mark."""
        return self._counts.marks[: self._batches] if self._marked[0] else None

    @property
    def outcome(self) -> NDArray[np.int8]:
        """(n,) int8 `Outcome` or NOT_RELEASED, as the directory reports it."""
        return np.ascontiguousarray(self._rows["outcome"])

    @property
    def outcome_at(self) -> LongArray:
        """(n,) int64 Unix seconds of the last change, -1 if there was none."""
        at = self._rows["outcome_at"].astype(np.int64)
        return np.where(self._rows["outcome"] == NOT_RELEASED, -1, at + self._spec.base)

    @property
    def answered_at(self) -> LongArray:
        """(n,) int64 Unix seconds of the first reported result, ENROLLED or FAILED, -1 if there was none."""
        at: LongArray = self._rows["answered"].astype(np.int64)
        at += self._spec.base * (at >= 0)
        return at

    @property
    def code(self) -> LongArray:
        """(n,) int64 HRESULT of the last reported failure, 0 if there was none."""
        reported = self._rows["reported_code"]
        return np.where(reported < 0, 0, self._spec.codes[reported])

    @property
    def failed_codes(self) -> dict[int, int]:
        """Number of devices that are FAILED now, by code."""
        return {int(self._spec.codes[i]): int(self._failed[i]) for i in np.flatnonzero(self._failed)}

    def release(self, rows: IntArray, batch: int, at: int) -> None:
        """Make devices members at `at`; devices that were released before are ignored.

        Raise a `ValueError` if `at` is before `now`, or if a batch number is skipped.
        """
        if at < self._now:
            raise ValueError(f"expected a release at or after {self._now}, found {at}")
        if not 0 <= batch <= self._batches:
            raise ValueError(f"expected a batch number up to {self._batches}, found {batch}")
        self._grow(batch + 1)
        devices = np.array(
            rows, dtype=np.int32
        )  # a copy: writable and contiguous, as the kernel was compiled
        self._run_step(at, devices, batch)

    def advance(self, until: int) -> None:
        """Process every event before the second `until`."""
        if until > self._now:
            self._run_step(until, _NO_DEVICES, 0)

    def _run_step(self, until: int, devices: IntArray, batch: int) -> None:
        self._step(*self._arguments(until, devices, batch))
        self._now = until

    def _arguments(self, until: int, devices: IntArray, batch: int) -> tuple[Any, ...]:
        second = int(until) - self._spec.base
        return (*self._arrays(), self._faults, second, devices, int(batch))

    def _arrays(self) -> tuple[Any, ...]:
        return self._run, self._lists, self._failures, self._counts, self._rules

    def settled(self) -> bool:
        """Return whether no released device is PENDING."""
        return int(self._pending[0]) == 0

    def skip_quiet_observations(self, first: int, end: int, quiet: Quiet) -> int:
        """Advance from observation to observation until one may affect a decision; return its instant, or `end`."""
        base = self._spec.base
        stopped: int = self._skip(
            *self._arrays(),
            int(first) - base,
            int(end) - base,
            int(quiet.every),
            np.array(quiet.failed, dtype=np.int64),  # a copy, as the kernel was compiled
            int(quiet.timed_out),
            int(quiet.first_batch),
            int(quiet.settled),
        )
        self._now = base + int(self._run.tally[self._now_index])
        return base + stopped

    def funnel(self) -> Funnel:
        """Return how many devices reached each step, by hour."""
        return funnel_of(self._run.hours, self._start, self._spec.base, self._now)

    def load(self) -> Load:
        """Return the load on the enrollment service and the management points, by hour."""
        return load_of(self._run.hours, self._run.minutes, self._start, self._spec.base, self._now)

    def _grow(self, batches: int) -> None:
        if batches > len(self._counts.outcomes):
            self._counts = type(self._counts)(
                *(_grown(part, self._batches, batches) for part in self._counts)
            )
        self._batches = max(self._batches, batches)


def _grown(counts: LongArray, used: int, batches: int) -> LongArray:
    """Return the counts of the `used` batches with room for more."""
    grown = np.zeros((max(batches, 2 * len(counts)), *counts.shape[1:]), dtype=np.int64)
    grown[:used] = counts[:used]
    return grown


def _rows(layout: np.dtype[np.void], draws: Draws, strata: IntArray) -> NDArray[np.void]:
    first = np.zeros(1, dtype=layout)
    for name in ("outcome", "kind", "code", "reported_code", "permanent", "answered"):
        first[name] = -1
    rows = np.repeat(first, len(draws))  # faster than setting each field of all rows
    rows["key"] = draws.keys
    rows["offset"] = draws.offset - DAY_BEGINS
    rows["presence"] = draws.presence
    rows["stratum"] = strata
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
    """Return the fast engine, or the oracle where numba is not installed: far slower, same results."""
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
