"""Which look may decide something: the plain rule, as the oracle lives through it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout.values import LongArray, Outcome, Quiet

if TYPE_CHECKING:
    from sim.engines.port import EngineRun


def live_on(engine: EngineRun, again: int, end: int, quiet: Quiet) -> int:
    """Advance look by look from `again`, until one may decide something; give its instant, or `end`."""
    while again < end:
        engine.advance(again)
        if speaks(engine.counts, quiet) or (quiet.settled and engine.settled()):
            return again
        again += quiet.every
    return end


def speaks(counts: LongArray, quiet: Quiet) -> bool:
    """Say whether so many devices failed or are silent that a gate may speak. counts : as observed."""
    failed = counts[:, :, Outcome.FAILED].sum(axis=0)
    if failed.sum() >= quiet.failed[-1] or (failed >= quiet.failed[:-1]).any():
        return True
    return bool(counts[quiet.first_batch :, :, Outcome.TIMED_OUT].sum() >= quiet.timed_out)
