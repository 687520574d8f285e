"""Observations of the fast engine that cannot affect a decision, skipped without leaving the kernel."""

from __future__ import annotations

from typing import Any

from rollout.values import Outcome
from sim.engines.fast import rows as r
from sim.engines.fast.compiled import entry, jit
from sim.engines.fast.kernel import advance

_TIMED_OUT = int(Outcome.TIMED_OUT)


@entry
def skip_quiet_observations(
    run: Any,
    lists: Any,
    failures: Any,
    counts: Any,
    rules: Any,
    first: Any,
    end: Any,
    every: Any,
    failed: Any,
    timed_out: Any,
    first_batch: Any,
    settled: Any,
) -> Any:
    """Observe at `first` and then every `every` seconds; return the second that may affect a decision, or `end`.

    The same as `sim.engines.quiet_observations.skip_quiet_observations`, which states the rule.
    """
    failures_before = checked_before = -1
    at = first
    while at < end:
        advance(run, lists, failures, counts, rules, at)
        tally = run.tally
        if settled and tally[r.PENDING] == 0:
            return at
        if tally[r.FAILURES] != failures_before and _has_enough_failures(tally, failed):
            return at
        if tally[r.CHECKED] != checked_before and _has_enough_silent(counts.outcomes, first_batch, timed_out):
            return at
        failures_before, checked_before = tally[r.FAILURES], tally[r.CHECKED]
        at += every
    return end


@jit
def _has_enough_failures(tally: Any, failed: Any) -> Any:
    strata = len(failed) - 1
    total = 0
    for stratum in range(strata):
        count = tally[len(tally) - 1 - stratum]
        if count >= failed[stratum]:
            return True
        total += count
    return total >= failed[strata]


@jit
def _has_enough_silent(counts: Any, first_batch: Any, timed_out: Any) -> Any:
    silent = 0
    for batch in range(first_batch, counts.shape[0]):
        for stratum in range(counts.shape[1]):
            silent += counts[batch, stratum, _TIMED_OUT]
    return silent >= timed_out
