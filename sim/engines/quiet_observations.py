"""Which observation may affect a decision: the plain rule, as the oracle applies it."""

from __future__ import annotations

from rollout.values import LongArray, Mark, Outcome, Quiet
from sim.engines.port import EngineRun


def skip_quiet_observations(engine: EngineRun, first: int, end: int, quiet: Quiet) -> int:
    """Advance from observation to observation until one may affect a decision; return its instant, or `end`.

    first : instant of the first observation, Unix seconds.
    """
    at = first
    while at < end:
        engine.advance(at)
        if may_affect_gate(engine.counts, engine.marks, quiet) or (quiet.settled and engine.settled()):
            return at
        at += quiet.every
    return end


def may_affect_gate(counts: LongArray, marks: LongArray | None, quiet: Quiet) -> bool:
    """Return whether enough devices have failed or are silent to change a verdict. counts, marks : as observed.

    Recovered devices count as failed. So do mending ones, although they become failures only if they last: the
    sum is what gates count at most, and does not change when a failure lasts.
    """
    failed = counts[:, :, Outcome.FAILED].sum(axis=0)
    if marks is not None:
        failed = failed + marks[:, :, Mark.RECOVERED].sum(axis=0)
    if failed.sum() >= quiet.failed[-1] or (failed >= quiet.failed[:-1]).any():
        return True
    return bool(counts[quiet.first_batch :, :, Outcome.TIMED_OUT].sum() >= quiet.timed_out)
