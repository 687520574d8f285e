"""The fast engine: the interface over `sim.kernel`, and the choice between it and the oracle."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from rollout.values import HOUR_S, NOT_RELEASED, OUTCOMES, IntArray, LongArray
from sim.clients import hours_in, spec_of
from sim.draws import Draws, Traits
from sim.model import Model

if TYPE_CHECKING:
    from sim.load import Funnel, Load

FAST: Final = find_spec("numba") is not None
"""Whether the fast engine can run here; otherwise the oracle serves, with the same results."""


class Simulation(Protocol):
    """What a pretend fleet answers; `Engine` and `sim.oracle.Oracle` answer the same to the second.

    Times are int64 Unix seconds. `advance(t)` sees events strictly before t; a release at t enters at t.
    """

    @property
    def now(self) -> int:
        """The second up to which (exclusive) every event has been processed."""
        ...

    @property
    def counts(self) -> LongArray:
        """(batches, strata, OUTCOMES) int64, as the directory sees it; a live view until the next release."""
        ...

    @property
    def outcome(self) -> NDArray[np.int8]:
        """(n,) int8 `Outcome` or NOT_RELEASED, as the directory sees it."""
        ...

    @property
    def outcome_at(self) -> LongArray:
        """(n,) int64 Unix seconds of the last change, -1 none."""
        ...

    @property
    def code(self) -> LongArray:
        """(n,) int64 HRESULT of the last reported failure, 0 none."""
        ...

    @property
    def failed_codes(self) -> dict[int, int]:
        """Devices that are FAILED now, by code."""
        ...

    def release(self, rows: IntArray, batch: int, at: int) -> None:
        """Make devices members at `at`; those released before are passed over."""
        ...

    def advance(self, until: int) -> None:
        """Process every event with second < `until`."""
        ...

    def settled(self) -> bool:
        """Say whether no released device is PENDING."""
        ...

    def funnel(self) -> Funnel:
        """Give how many devices reached each step, by hour."""
        ...

    def load(self) -> Load:
        """Give what the service and the policy points had to bear, by hour."""
        ...


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
        from sim import kernel

        n = len(traits)
        if n >= 1 << 28:
            raise ValueError(f"expected fewer than {1 << 28} devices, found {n}")
        self._kernel = kernel
        spec = spec_of(model, traits, draws, start, straggler_after_s)
        limit = start - spec.base + draws.horizon_s
        self._spec = spec
        self._start = start
        self._new = traits.new
        self._strata = n_strata
        self._rows = _rows(kernel.ROW, draws, strata)
        self._heads = np.full(limit, -1, dtype=np.int32)
        self._hours = np.zeros((hours_in(limit), 8), dtype=np.int64)
        self._minutes = np.zeros(limit // 60 + 1, dtype=np.int32)
        self._order = np.empty(n, dtype=np.int32)
        self._failed = np.zeros(len(spec.codes), dtype=np.int64)
        self._scratch = np.empty(n, dtype=np.int64)
        self._state = np.zeros(kernel.SCALARS, dtype=np.int64)
        self._state[kernel.NOW] = start - spec.base
        self._state[kernel.MINUTE] = -1
        self._state[kernel.FIRST] = 1 << 40
        self._counts = np.zeros((16, n_strata, OUTCOMES), dtype=np.int64)
        self._batches = 0

    @property
    def now(self) -> int:
        """The second up to which (exclusive) every event has been processed."""
        return int(self._state[self._kernel.NOW]) + self._spec.base

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
        if at < self.now:
            raise ValueError(f"expected a release at or after {self.now}, found {at}")
        if not 0 <= batch <= self._batches:
            raise ValueError(f"expected a batch number up to {self._batches}, found {batch}")
        self.advance(at)
        self._grow(batch + 1)
        spec = self._spec
        self._kernel.release(
            self._rows,
            np.asarray(rows, dtype=np.int32),
            batch,
            at - spec.base,
            self._state,
            self._heads,
            self._hours,
            self._counts,
            self._order,
            self._new,
            spec.fault,
            spec.fault_code,
            spec.mix_permanent,
            spec.numbers,
            spec.tables,
            spec.days,
        )

    def advance(self, until: int) -> None:
        """Process every event with second < `until`."""
        if until <= self.now:
            return
        spec = self._spec
        self._kernel.advance(
            self._rows,
            until - spec.base,
            self._state,
            self._heads,
            self._hours,
            self._minutes,
            self._counts,
            self._order,
            self._failed,
            self._scratch,
            spec.outages,
            spec.mix_transient,
            spec.numbers,
            spec.tables,
            spec.days,
        )

    def settled(self) -> bool:
        """Say whether no released device is PENDING."""
        return int(self._state[self._kernel.PENDING]) == 0

    def funnel(self) -> Funnel:
        """Give how many devices reached each step, by hour."""
        from sim.load import funnel_of

        return funnel_of(self._hours, self._start, self._spec.base, self.now)

    def load(self) -> Load:
        """Give what the service and the policy points had to bear, by hour."""
        from sim.load import load_of

        return load_of(self._hours, self._minutes, self._start, self._spec.base, self.now)

    def _grow(self, batches: int) -> None:
        if batches > len(self._counts):
            shape = (max(batches, 2 * len(self._counts)), self._strata, OUTCOMES)
            grown = np.zeros(shape, dtype=np.int64)
            grown[: self._batches] = self._counts[: self._batches]
            self._counts = grown
        self._batches = max(self._batches, batches)


def _rows(layout: np.dtype[np.void], draws: Draws, strata: IntArray) -> NDArray[np.void]:
    from sim.presence import DAY_BEGINS

    rows = np.zeros(len(draws), dtype=layout)
    rows["key"] = draws.keys
    rows["offset"] = draws.offset - DAY_BEGINS
    rows["presence"] = draws.presence
    rows["stratum"] = strata
    for name in ("outcome", "kind", "code", "seen"):
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
) -> Simulation:
    """Give the fast engine, or where numba does not exist the oracle: about a hundred times slower, same results."""
    if FAST:
        kind: type[Simulation] = Engine
    else:
        from sim.oracle import Oracle

        kind = Oracle
    return kind(
        model,
        traits,
        draws,
        start=start,
        strata=strata,
        n_strata=n_strata,
        straggler_after_s=straggler_after_s,
    )
