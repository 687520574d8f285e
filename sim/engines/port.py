"""What both engines answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from rollout.values import IntArray, LongArray, Quiet

if TYPE_CHECKING:
    from sim.clients.load import Funnel, Load


class EngineRun(Protocol):
    """What a pretend fleet answers; `Engine` and `sim.engines.oracle.Oracle` answer the same to the second.

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

    def live_on(self, again: int, end: int, quiet: Quiet) -> int:
        """Advance look by look from `again`, until one may decide something; give its instant, or `end`."""
        ...

    def funnel(self) -> Funnel:
        """Give how many devices reached each step, by hour."""
        ...

    def load(self) -> Load:
        """Give what the service and the policy points had to bear, by hour."""
        ...
