"""The timetable of a plan if every gate passes at once after the soak: what is printed, drawn and checked.

Devices count as in flight for `mature_after_s`. A budget per level only shows in what is refused, not here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from rollout.errors import RefusedError
from rollout.pacing import largest_step, released_by
from rollout.pacing.calendar import instant_after, next_open, open_zones
from rollout.values import Budgets, Calendar, IntArray, Phase, PhaseEnd, Plan
from rollout.values.durations import format_duration


@dataclass(frozen=True, slots=True, eq=False)
class Release:
    """A batch as planned. rows : in order of release."""

    at: int
    phase: int
    rows: IntArray


MAX_STEPS = 250_000
"""The most steps of one phase: slightly more than one every five minutes for two years."""


@dataclass(slots=True, eq=False)
class Course:
    """Takes phase after phase through the calendar.

    flying : (instant of release, devices) of batches that may be in flight yet.
    """

    calendar: Calendar
    zone_calendars: Sequence[Calendar]
    zone_codes: IntArray
    budgets: Budgets
    latency_s: int
    flying: deque[tuple[int, int]] = field(default_factory=deque)

    def run(self, phase: Phase, index: int, begin: int) -> list[Release]:
        """Return the releases of a phase that begins at `begin`; some are missing if the calendar ends.

        Raise a `RefusedError` if the phase takes more than MAX_STEPS steps.
        """
        queue = _Queue(phase.order, self.zone_calendars, self.zone_codes)
        out: list[Release] = []
        done, step, most = 0, 0, largest_step(phase.curve, phase.step_s, len(phase))
        while done < len(phase):
            active_s = step * phase.step_s
            passed = instant_after(self.calendar, begin, active_s)
            at = None if passed is None else next_open(self.calendar, passed)
            if at is None:
                break
            if step > MAX_STEPS:
                raise _too_many_steps(phase)
            due = released_by(phase.curve, active_s, len(phase)) - done
            rows = queue.take(min(due, most, self._room(at)), at)
            if len(rows):
                out.append(Release(at, index, rows))
                self.flying.append((at, len(rows)))
                done += len(rows)
            elif due <= 0 and active_s >= phase.curve.length_s:
                break  # a curve that ends below 100%
            step += 1
        return out

    def _room(self, at: int) -> int:
        room = self.budgets.per_step or 2**62
        if self.budgets.in_flight:
            while self.flying and self.flying[0][0] <= at - self.latency_s:
                self.flying.popleft()
            room = min(room, self.budgets.in_flight - sum(count for _, count in self.flying))
        return max(0, room)


def _too_many_steps(phase: Phase) -> RefusedError:
    return RefusedError(
        f"phase '{phase.name}': step = \"{format_duration(phase.step_s)}\" is too short: the phase takes more than "
        f"{MAX_STEPS:,} steps",
        "Write a longer step, such as the default of one hour.",
    )


class _Queue:
    """The devices of a phase that wait, by zone if they follow their own clocks."""

    def __init__(self, order: IntArray, calendars: Sequence[Calendar], codes: IntArray) -> None:
        self.order = order
        self.calendars = calendars
        self.next = 0
        if calendars:
            zones = codes[order]
            self.places = [np.flatnonzero(zones == zone) for zone in range(len(calendars))]
            self.heads = [0] * len(calendars)

    def take(self, wanted: int, at: int) -> IntArray:
        """Take the first `wanted` devices that may go at `at`; those passed over keep their place."""
        if wanted <= 0:
            return self.order[:0]
        if not self.calendars:
            rows = self.order[self.next : self.next + wanted]
            self.next += len(rows)
            return rows
        open_now = open_zones(self.calendars, at)
        offers = [
            places[head : head + wanted] if is_open else places[:0]
            for places, head, is_open in zip(self.places, self.heads, open_now, strict=True)
        ]
        chosen = np.sort(np.concatenate(offers))[:wanted]
        if len(chosen):
            for zone, offer in enumerate(offers):
                self.heads[zone] += int(np.searchsorted(offer, chosen[-1], side="right"))
        return self.order[chosen]


def course_of(plan: Plan) -> Course:
    """Return a fresh course through a plan's calendar and budgets."""
    return Course(plan.calendar, plan.zone_calendars, plan.zone_codes, plan.budgets, plan.mature_after_s)


def nominal_releases(plan: Plan) -> list[Release]:
    """Return the batches with their devices, in order of time; a phase without end is the last to begin."""
    course = course_of(plan)
    out: list[Release] = []
    begin = plan.start
    for index, phase in enumerate(plan.phases):
        releases = course.run(phase, index, begin)
        out.extend(releases)
        if phase.end is PhaseEnd.NEVER and len(phase):
            break
        if releases:
            begin = next_begin(releases[-1].at, phase.soak_s, plan.look_s)
    return out


def nominal_batches(plan: Plan) -> list[tuple[int, int, int]]:
    """Return (Unix seconds, phase index, devices) of each batch, in order of time."""
    return [(release.at, release.phase, len(release.rows)) for release in nominal_releases(plan)]


def next_begin(last_release: int, soak_s: int, look_s: int) -> int:
    """Return the observation at which the soak after the last release of a phase is over."""
    return last_release + -(-soak_s // look_s) * look_s
