"""The oracle: the same rules in SimPy, one process per client. Slow, plain, and independent of the kernel.

It exists to verify the fast engine: same model, same draws, same integer seconds. The two share only the integer form
of the model (`sim.clients.spec.Spec`) and the names of the draws. The oracle reads when a device is on from the
intervals that `sim.clients.presence` computes day by day. It is also used where numba is not installed. SimPy orders
events by (time, priority, insertion); priorities keep the order (second, kind, device): life 1, service 2,
stragglers 3.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Generator
from typing import Any, Final

import numpy as np
import simpy
from numpy.typing import NDArray
from simpy.events import EventPriority

from rollout.values import HOUR_S, MARKS, NOT_RELEASED, OUTCOMES, IntArray, LongArray, Mark, Outcome, Quiet
from rollout.values.failures import mends
from sim.clients import draws as d
from sim.clients import spec as c
from sim.clients.compiling import spec_of
from sim.clients.draws import Draws, Traits, draw
from sim.clients.load import Funnel, Load, funnel_of, load_of
from sim.clients.presence import Intervals, intervals_of, quantile
from sim.engines.quiet_observations import skip_quiet_observations
from sim.model import Model

Steps = Generator[simpy.Event, Any, Any]

_SERVICE: Final = 2
_STRAGGLERS: Final = 3


class Oracle:
    """The slow engine; `sim.engines.engine.Engine` describes the interface."""

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
        n = len(traits)
        self.spec = spec_of(model, traits, draws, start, straggler_after_s)
        self.numbers: list[int] = self.spec.numbers.tolist()
        self.start = start
        self.now = start
        self.new: list[bool] = traits.new.tolist()
        self.keys: list[int] = draws.keys.tolist()
        self.classes: list[int] = draws.presence.tolist()
        self.offsets: list[int] = draws.offset.tolist()
        self.strata: list[int] = strata.tolist()
        self.env = simpy.Environment(initial_time=start - self.spec.base)
        self.service = Service(self)
        self.hours = np.zeros((c.hours_in(self.numbers[c.LIMIT]), 8), dtype=np.int64)
        self.minutes: Counter[int] = Counter()
        self.first_enrolled = c.NEVER
        self.outcome = np.full(n, NOT_RELEASED, dtype=np.int8)
        self.outcome_at = np.full(n, -1, dtype=np.int64)
        self.code = np.zeros(n, dtype=np.int64)
        self.reported = np.zeros(n, dtype=np.bool_)
        self.answered_at = np.full(n, -1, dtype=np.int64)
        self.harmed = np.zeros(n, dtype=np.bool_)
        self.failed_since: dict[int, int] = {}
        self.batch: dict[int, int] = {}
        self._n_strata = n_strata
        self._counts = np.zeros((0, n_strata, OUTCOMES), dtype=np.int64)

    @property
    def counts(self) -> LongArray:
        """(batches, strata, OUTCOMES) int64, as the directory reports it."""
        return self._counts

    @property
    def marks(self) -> LongArray | None:
        """(batches, strata, MARKS) int64, devices by `Mark`; None if no device has a mark."""
        marks = np.zeros((len(self._counts), self._n_strata, MARKS), dtype=np.int64)
        marked = (
            (Mark.MENDING, (self.outcome == Outcome.FAILED) & ~self.harmed),
            (Mark.RECOVERED, (self.outcome == Outcome.ENROLLED) & self.harmed),
            (Mark.UNENROLLED, (self.outcome == Outcome.PENDING) & self.reported),
        )
        for mark, devices in marked:
            for device in np.flatnonzero(devices).tolist():
                marks[self.batch[device], self.strata[device], mark] += 1
        return marks if marks.any() else None

    @property
    def failed_codes(self) -> dict[int, int]:
        """Number of devices that are FAILED now, by code."""
        codes, sizes = np.unique(self.code[self.outcome == Outcome.FAILED], return_counts=True)
        return dict(zip(codes.tolist(), sizes.tolist(), strict=True))

    def release(self, rows: IntArray, batch: int, at: int) -> None:
        """Make devices members at `at`; devices that were released before are ignored."""
        if at < self.now:
            raise ValueError(f"expected a release at or after {self.now}, found {at}")
        if not 0 <= batch <= len(self._counts):
            raise ValueError(f"expected a batch number up to {len(self._counts)}, found {batch}")
        self.advance(at)
        if batch == len(self._counts):
            more = np.zeros((1, self._n_strata, OUTCOMES), dtype=np.int64)
            self._counts = np.concatenate((self._counts, more))
        second = at - self.spec.base
        immediate = self.first_enrolled < second
        for device in dict.fromkeys(np.asarray(rows).tolist()):
            if device in self.batch:
                continue
            self.batch[device] = batch
            self._counts[batch, self.strata[device], Outcome.PENDING] += 1
            self.outcome[device] = Outcome.PENDING
            self.outcome_at[device] = at
            if second < self.numbers[c.LIMIT]:
                new = immediate and (self.numbers[c.LATE_IMMEDIATE] == 1 or self.new[device])
                self.env.process(Client(self, device).live(new))
                self._schedule_time_out(device)

    def advance(self, until: int) -> None:
        """Process every event before the second `until`."""
        end = min(until - self.spec.base, self.numbers[c.LIMIT])
        if end > self.env.now:
            self.env.run(until=end)
        self.now = max(self.now, until)

    def settled(self) -> bool:
        """Return whether no released device is PENDING."""
        return not bool((self.outcome == Outcome.PENDING).any())

    def skip_quiet_observations(self, first: int, end: int, quiet: Quiet) -> int:
        """Advance from observation to observation until one may affect a decision; return its instant, or `end`."""
        return skip_quiet_observations(self, first, end, quiet)

    def funnel(self) -> Funnel:
        """Return how many devices reached each step, by hour."""
        return funnel_of(self.hours, self.start, self.spec.base, self.now)

    def load(self) -> Load:
        """Return the load on the enrollment service and the management points, by hour."""
        minutes: NDArray[np.int64] = np.array([*self.minutes.values(), 0], dtype=np.int64)
        return load_of(self.hours, minutes, self.start, self.spec.base, self.now)

    def set_outcome(self, device: int, outcome: Outcome) -> None:
        """Set the outcome that the directory reports."""
        place = (self.batch[device], self.strata[device])
        self._counts[(*place, int(self.outcome[device]))] -= 1
        self._counts[(*place, outcome)] += 1
        self.outcome[device] = outcome
        self.outcome_at[device] = int(self.env.now) + self.spec.base

    def report(self, device: int, outcome: Outcome, code: int = 0) -> None:
        """Report the result of a cycle of attempts. code : of the failure."""
        now = int(self.env.now)
        was_failed = self.outcome[device] == Outcome.FAILED
        self.reported[device] = True
        if self.answered_at[device] < 0:
            self.answered_at[device] = now + self.spec.base
        self.set_outcome(device, outcome)
        if outcome != Outcome.FAILED:
            return
        self.code[device] = code
        if not was_failed:
            self.failed_since[device] = now
            self._schedule_lasting(device, now)
        if not mends(code) or now - self.failed_since[device] >= self.numbers[c.AGAIN]:
            self.harmed[device] = True

    def _schedule_lasting(self, device: int, since: int) -> None:
        """Count a failure once it has lasted too long, if it is still the same one."""

        def check(_: simpy.Event) -> None:
            if self.outcome[device] == Outcome.FAILED and self.failed_since[device] == since:
                self.harmed[device] = True

        call(self.env, check, _STRAGGLERS, self.numbers[c.LASTS])

    def count(self, column: str) -> None:
        """Count an event of the current hour in a column of the hourly histogram."""
        self.hours[int(self.env.now) // HOUR_S, _COLUMNS.index(column)] += 1

    def _schedule_time_out(self, device: int) -> None:
        def check(_: simpy.Event) -> None:
            if self.outcome[device] == Outcome.PENDING and not self.reported[device]:
                self.set_outcome(device, Outcome.TIMED_OUT)

        call(self.env, check, _STRAGGLERS, self.numbers[c.STRAGGLER])


_COLUMNS: Final = (
    "eligible",
    "scheduled",
    "initiated",
    "enrolled",
    "attempts",
    "completed",
    "polls",
    "throttled",
)


def call(env: simpy.Environment, callback: Any, priority: int, delay: int = 0) -> None:
    """Call `callback` after `delay` seconds, ordered by priority among the events of that second."""
    event = simpy.Event(env)
    event._ok, event._value = True, None
    event.callbacks = [callback]
    env.schedule(event, EventPriority(priority), delay)


class Service:
    """The enrollment service: answers at the end of each second, in the order of the devices."""

    def __init__(self, oracle: Oracle) -> None:
        self.oracle = oracle
        self.waiting: dict[int, simpy.Event] = {}
        self.accepted: Counter[int] = Counter()

    def ask(self, device: int) -> simpy.Event:
        """Return the event of the service's answer: "accepted", "throttled" or "outage"."""
        answer = self.oracle.env.event()
        if not self.waiting:
            call(self.oracle.env, self._serve, _SERVICE)
        self.waiting[device] = answer
        return answer

    def _serve(self, _: simpy.Event) -> None:
        second = int(self.oracle.env.now)
        capacity = self.oracle.numbers[c.CAPACITY]
        in_outage = any(begin <= second < end for begin, end in self.oracle.spec.outages.tolist())
        for device in sorted(self.waiting):
            if in_outage:
                self.waiting[device].succeed("outage")
            elif capacity and self.accepted[second // 60] >= capacity:
                self.waiting[device].succeed("throttled")
            else:
                self.accepted[second // 60] += 1
                self.waiting[device].succeed("accepted")
        self.waiting = {}


class Client:
    """One client and its life, step by step."""

    def __init__(self, oracle: Oracle, device: int) -> None:
        self.oracle, self.device = oracle, device
        self.env, self.numbers, self.spec = oracle.env, oracle.numbers, oracle.spec
        self.key = oracle.keys[device]
        self.on, self.user = intervals_of(self.spec, self.key, oracle.classes[device], oracle.offsets[device])
        token = draw(self.key, d.SLOT_TOKEN)
        self.needs_user = token & 0xFFFF >= self.numbers[c.TOKEN]
        self.internet = token >> 16 & 0xFFFF < self.numbers[c.INTERNET]
        self.fault = self._fault()
        self.delay = int(self.spec.delays[device]) if len(self.spec.delays) else 0
        self.attempts = self.throttled = self.evaluations = self.enrollments = 0

    def live(self, new: bool) -> Steps:
        """Simulate the client from its release until nothing can change any more."""
        yield from self._become_eligible()
        yield from self._evaluate(first=True)
        if self.fault == c.SILENT:
            return
        block = draw(self.key, d.SLOT_BLOCK)
        if block & 0xFFFF < self.numbers[c.BLOCKED]:
            if block >> 16 & 0xFFFF < self.numbers[c.NEVER_HEALS]:
                return
            yield self.env.timeout(self._quantile(c.HEAL_S, block >> 32 & 0xFFFF))
            yield from self._evaluate()
        self.oracle.count("scheduled")
        yield from self._await_timer(0 if new else self.numbers[c.WINDOW])
        while True:
            yield from self._await(self.user if self.needs_user else self.on)
            enrolled, end = yield from self._try_to_enroll()
            if enrolled:
                self.oracle.report(self.device, Outcome.ENROLLED)
                if not self.numbers[c.UNENROLLS]:
                    return
                word = draw(self.key, d.SLOT_UNENROLL + self.enrollments - 1)
                yield self.env.timeout(1 + self._quantile(c.UNENROLL_S, word >> 48))
                harmed = self.oracle.harmed[self.device]
                self.oracle.set_outcome(self.device, Outcome.FAILED if harmed else Outcome.PENDING)
            else:
                self.oracle.report(self.device, Outcome.FAILED, self.code)
                if self.fault >= 0:
                    return
                yield from self._wait_until(end + self.numbers[c.CYCLE])
            yield from self._evaluate()

    def _become_eligible(self) -> Steps:
        grid = self.numbers[c.GRID]
        if grid:
            yield self.env.timeout(grid - int(self.env.now) % grid)
        self.oracle.count("eligible")

    def _evaluate(self, first: bool = False) -> Steps:
        """Wait for a contact, then for the policy evaluation that follows."""
        yield from self._contact()
        if first and self.internet and self.numbers[c.GATEWAY]:
            wait = (draw(self.key, d.SLOT_POLL) & 0xFFFFFFFF) * self.numbers[c.GATEWAY] >> 32
            yield self.env.timeout(wait)
            yield from self._await(self.on)
        self.oracle.count("polls")
        word = draw(self.key, d.SLOT_EVALUATION + self.evaluations)
        self.evaluations += 1
        yield self.env.timeout(1 + ((word >> 32) * self.numbers[c.EVALUATION] >> 32))
        yield from self._await(self.on)

    def _contact(self) -> Steps:
        """Wait for the next policy request: at the device's own phase while it is on, and once after each start."""
        period = self.numbers[c.POLL]
        phase = (draw(self.key, d.SLOT_POLL) >> 32) * period >> 32
        on, ends = self.on.at(int(self.env.now))
        asks = int(self.env.now) + (phase - int(self.env.now)) % period
        while not (on and asks < ends):
            yield from self._wait_until(ends)
            on, ends = self.on.at(int(self.env.now))
            asks = int(self.env.now) + self.numbers[c.WAKE]
        yield from self._wait_until(asks)

    def _await_timer(self, window: int) -> Steps:
        yield self.env.timeout((draw(self.key, d.SLOT_TIMER) >> 32) * window >> 32)
        if not self.on.at(int(self.env.now))[0]:
            yield from self._await(self.on)
            yield self.env.timeout((draw(self.key, d.SLOT_LOGON) >> 32) * self.numbers[c.LOGON] >> 32)
            yield from self._await(self.on)

    def _try_to_enroll(self) -> Steps:
        """Simulate a cycle of attempts and its report; return whether the client enrolled, and the end of the cycle."""
        for tries in range(1, self.numbers[c.ATTEMPTS] + 1):
            answer = yield from self._ask()
            word = draw(self.key, d.SLOT_ATTEMPT + self.attempts)
            lag = self._quantile(c.LAG_S, word & 0xFFFF)
            self.code = self._code(answer, word)
            self.attempts += 1
            if answer == "outage":
                yield self.env.timeout(self.numbers[c.ANSWER])
            else:
                yield self.env.timeout(self._quantile(c.ENROLL_S, word >> 16 & 0xFFFF))
            end = int(self.env.now)
            if self.code == 0:
                self._count_success(end)
                yield self.env.timeout(lag)
                return True, end
            if tries < self.numbers[c.ATTEMPTS]:
                yield self.env.timeout(self.numbers[c.RETRY])
                yield from self._await(self.user if self.needs_user else self.on)
        yield self.env.timeout(lag + self.delay)
        return False, end

    def _ask(self) -> Steps:
        """Ask the service until it does not throttle; return its answer."""
        backoff = self.numbers[c.BACKOFF]
        while True:
            self.oracle.count("attempts")
            self.oracle.minutes[int(self.env.now) // 60] += 1
            if self.attempts == self.throttled == 0:
                self.oracle.count("initiated")
            answer = yield self.oracle.service.ask(self.device)
            if answer != "throttled":
                return answer
            self.oracle.count("throttled")
            wait = min(backoff, self.numbers[c.BACKOFF_MAX])
            swing = wait * self.numbers[c.JITTER] >> 16
            word = draw(self.key, d.SLOT_BACKOFF + self.throttled)
            self.throttled += 1
            backoff = wait * 2
            yield self.env.timeout(max(1, wait - swing + ((word >> 32) * (2 * swing) >> 32)))
            yield from self._await(self.user if self.needs_user else self.on)

    def _code(self, answer: str, word: int) -> int:
        """Return the code with which an attempt fails, 0 if it succeeds."""
        if answer == "outage":
            return int(self.spec.codes[self.numbers[c.OUTAGE]])
        if self.fault >= 0:
            return int(self.spec.codes[self.fault])
        if word >> 32 >= self.numbers[c.TRANSIENT]:
            return 0
        which = draw(self.key, d.SLOT_CODE + self.attempts) >> 32
        return int(self.spec.codes[bisect_right(self.spec.mix_transient.tolist(), which)])

    def _count_success(self, end: int) -> None:
        self.oracle.first_enrolled = min(self.oracle.first_enrolled, end)
        self.oracle.count("completed")
        if self.enrollments == 0:
            self.oracle.count("enrolled")
        self.enrollments += 1

    def _fault(self) -> int:
        word = draw(self.key, d.SLOT_FAULT)
        if word >> 32 >= int(self.spec.fault[self.device]):
            return -1
        code = int(self.spec.fault_code[self.device])
        return (
            code if code != c.FROM_MIX else bisect_right(self.spec.mix_permanent.tolist(), word & 0xFFFFFFFF)
        )

    def _await(self, intervals: Intervals) -> Steps:
        inside, ends = intervals.at(int(self.env.now))
        if not inside:
            yield from self._wait_until(ends)

    def _wait_until(self, second: int) -> Steps:
        if second > self.env.now:
            yield self.env.timeout(second - int(self.env.now))

    def _quantile(self, table: int, u: int) -> int:
        return quantile(self.spec.tables[table], u)
