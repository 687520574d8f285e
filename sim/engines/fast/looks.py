"""Looks of the fast engine that decide nothing, lived through without leaving the kernel."""

from __future__ import annotations

from typing import Any

from rollout.values import Outcome
from sim.engines.fast import rows as r
from sim.engines.fast.compiled import entry, jit
from sim.engines.fast.kernel import advance

_TIMED_OUT = int(Outcome.TIMED_OUT)


@entry
def live_on(
    run: Any,
    lists: Any,
    counts: Any,
    rules: Any,
    again: Any,
    end: Any,
    every: Any,
    failed: Any,
    timed_out: Any,
    first_batch: Any,
    settled: Any,
) -> Any:
    """Look at `again` and `every` so many seconds, until a look may decide something; give its second, or `end`.

    The same as `sim.engines.lookout.live_on`, which tells the rule.
    """
    shown = watched = -1
    while again < end:
        advance(run, lists, counts, rules, again)
        tally = run.tally
        if settled and tally[r.PENDING] == 0:
            return again
        if tally[r.FAILURES] != shown and _fails(tally, failed):
            return again
        if tally[r.WATCHED] != watched and _is_silent(counts, first_batch, timed_out):
            return again
        shown, watched = tally[r.FAILURES], tally[r.WATCHED]
        again += every
    return end


@jit
def _fails(tally: Any, failed: Any) -> Any:
    strata = len(failed) - 1
    whole = 0
    for stratum in range(strata):
        here = tally[len(tally) - 1 - stratum]
        if here >= failed[stratum]:
            return True
        whole += here
    return whole >= failed[strata]


@jit
def _is_silent(counts: Any, first_batch: Any, timed_out: Any) -> Any:
    silent = 0
    for batch in range(first_batch, counts.shape[0]):
        for stratum in range(counts.shape[1]):
            silent += counts[batch, stratum, _TIMED_OUT]
    return silent >= timed_out
