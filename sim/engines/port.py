"""The interface that both engines implement."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rollout.values import IntArray, LongArray, Quiet
from sim.clients.load import Funnel, Load


class EngineRun(Protocol):
    """One run of a simulated fleet; `Engine` and `sim.engines.oracle.Oracle` agree to the second.

    Times are int64 Unix seconds. `advance(t)` processes events strictly before t; a release at t takes effect at t.
    """

    @property
    def now(self) -> int:
        """The second up to which (exclusive) every event has been processed."""
        ...

    @property
    def counts(self) -> LongArray:
        """(batches, strata, OUTCOMES) int64, as the directory reports it; a live view until the next release."""
        ...

    @property
    def marks(self) -> LongArray | None:
        """(batches, strata, MARKS) int64, devices by `Mark`, as `counts`; None if no device has a mark."""
        ...

    @property
    def outcome(self) -> NDArray[np.int8]:
        """(n,) int8 `Outcome` or NOT_RELEASED, as the directory reports it."""
        ...

    @property
    def outcome_at(self) -> LongArray:
        """(n,) int64 Unix seconds of the last change, -1 if there was none."""
        ...

    @property
    def answered_at(self) -> LongArray:
        """(n,) int64 Unix seconds of the first reported result, ENROLLED or FAILED, -1 if there was none."""
        ...

    @property
    def code(self) -> LongArray:
        """(n,) int64 HRESULT of the last reported failure, 0 if there was none."""
        ...

    @property
    def failed_codes(self) -> dict[int, int]:
        """Number of devices that are FAILED now, by code."""
        ...

    def release(self, rows: IntArray, batch: int, at: int) -> None:
        """Make devices members at `at`; devices that were released before are ignored."""
        ...

    def advance(self, until: int) -> None:
        """Process every event before the second `until`."""
        ...

    def settled(self) -> bool:
        """Return whether no released device is PENDING."""
        ...

    def skip_quiet_observations(self, first: int, end: int, quiet: Quiet) -> int:
        """Advance from observation to observation until one may affect a decision; return its instant, or `end`."""
        ...

    def funnel(self) -> Funnel:
        """Return how many devices reached each step, by hour."""
        ...

    def load(self) -> Load:
        """Return the load on the enrollment service and the management points, by hour."""
        ...
