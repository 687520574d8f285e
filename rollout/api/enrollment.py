"""Automatic enrollment: the funnel of a fleet, and the effect of a change between None, Pilot and All."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from rollout.api.staging import left_rows
from rollout.documents.comanagement import (
    Change,
    ChangeCounted,
    Changes,
    Enrollment,
    FailureCount,
    Funnel,
    Join,
    StatusCount,
    Unenrolled,
)
from rollout.errors import UsageError
from rollout.exports.comanagement import read_comanagement
from rollout.loop.undo import withdrawn_rows
from rollout.preflight.check import exclusions, preflight
from rollout.preflight.rules import BUILD_1709, view_of
from rollout.store import Database
from rollout.values import NOT_RELEASED, BoolArray, Fleet, Outcome
from rollout.values.failures import explain
from rollout.workloads import (
    TRANSITIONS,
    UNENROLL_ORDER,
    EnrollmentStatus,
    Groups,
    Leave,
    Mode,
    StateCounts,
    Step,
    Transition,
    count_states,
    judge_unenroll,
    read_state,
    transition,
)
from rollout.workloads.states import REQUIRED

JOINS: Final[tuple[Join, ...]] = ("hybrid", "entra", "unknown")
SIGN_IN = 0xCAA10001
"""Failure code of a device that waits for a sign-in."""


def count_enrollment(database: Database) -> Enrollment | None:
    """Count the devices of the latest rollout that is not an undo; None if there is none."""
    for known in reversed(database.rollouts()):
        plan = database.plan(known.plan_id).plan
        if not plan.is_undo:
            return _document(state_of(database, known.id), f"rollout {known.id} ({plan.action})")
    return None


def count_exported_enrollment(file: Path) -> Enrollment:
    """Count the devices of an export of v_ClientCoManagementState. Raise `UsageError` if it cannot be read."""
    fleet = count_states(map(read_state, read_comanagement(file, REQUIRED)))
    return _document(fleet, f"the site's export {file.name}")


def state_of(database: Database, rollout: str) -> StateCounts:
    """Count the devices of a rollout's plan from its journal; devices enrolled before count as enrolled.

    A device that waits for a sign-in shows only by its code; all others that wait are enrolling.
    """
    known = database.rollout(rollout)
    stored = database.plan(known.plan_id)
    column = database.inventory(stored.inventory_id).fleet.factors["join"]
    outcomes = database.reader(known.id).outcomes()
    outcome, planned = outcomes.outcome, stored.plan.phase_of >= 0
    join = np.array([level if level in JOINS else "unknown" for level in column.levels])[column.codes]
    failed = planned & (outcome == Outcome.FAILED)
    sign_in = failed & (outcomes.code == SIGN_IN)
    rows = {
        EnrollmentStatus.SUCCESS: planned & (outcome == Outcome.ENROLLED),
        EnrollmentStatus.FAILURE: failed & ~sign_in,
        EnrollmentStatus.PENDING: sign_in,
        EnrollmentStatus.ENROLLING: planned & np.isin(outcome, (Outcome.PENDING, Outcome.TIMED_OUT)),
        EnrollmentStatus.NOT_BEGUN: planned & np.isin(outcome, (NOT_RELEASED, Outcome.REJECTED)),
    }
    fleet = StateCounts(devices=int(planned.sum()))
    for status, chosen in rows.items():
        for level in JOINS:
            if count := int((chosen & (join == level)).sum()):
                fleet.status[status, level] = count
    enrolled = int(rows[EnrollmentStatus.SUCCESS].sum())
    fleet.funnel[Step.ELIGIBLE] = fleet.devices
    fleet.funnel[Step.SCHEDULED] = fleet.devices - int(rows[EnrollmentStatus.NOT_BEGUN].sum())
    fleet.funnel[Step.INITIATED] = enrolled + int(failed.sum())
    fleet.funnel[Step.ENROLLED] = enrolled
    codes, counts = np.unique(outcomes.code[failed], return_counts=True)
    fleet.failures.update(dict(zip(codes.tolist(), counts.tolist(), strict=True)))
    return fleet


def _document(fleet: StateCounts, source: str) -> Enrollment:
    return Enrollment(
        of=source,
        devices=fleet.devices,
        funnel=Funnel(
            eligible=fleet.funnel[Step.ELIGIBLE],
            scheduled=fleet.funnel[Step.SCHEDULED],
            initiated=fleet.funnel[Step.INITIATED],
            enrolled=fleet.funnel[Step.ENROLLED],
        ),
        status=tuple(
            StatusCount.build(None, status=status, join=join, devices=count)
            for (status, join), count in sorted(fleet.status.items())
        ),
        failures=tuple(
            FailureCount.build(known, code=known.hex, devices=count)
            for code, count in fleet.failures.most_common()
            for known in (explain(code),)
        ),
    )


def list_mode_changes() -> Changes:
    """Return every change of automatic enrollment: what it does, and whether a phased plan allows it."""
    return Changes(changes=tuple(Change.build(change) for change in TRANSITIONS.values()))


@dataclass(frozen=True, slots=True)
class ModeChange:
    """One change of automatic enrollment. groups : the devices of the latest inventory, None without one."""

    change: Transition
    groups: Groups | None

    @property
    def document(self) -> ChangeCounted:
        """The document of `rollout enrollment --from --to`."""
        change, groups = self.change, self.groups
        held = 0
        if groups is not None and change.after is Mode.ALL and change.before is not Mode.ALL:
            held = groups.held  # they begin to enroll all the same
        return ChangeCounted.build(
            change,
            allowed=change.fits(groups),
            begin_to_enroll=change.enrolls(groups) if groups else None,
            of_them_held_back=held if groups else None,
            stop_to_enroll=change.stops(groups) if groups else None,
        )


def judge_mode_change(before: Mode, after: Mode, database: Database | None = None) -> ModeChange:
    """Judge a change of automatic enrollment, counted on the latest inventory of a database."""
    return ModeChange(transition(before, after), _groups(database) if database else None)


def judge_unenrollment(steps: Sequence[str]) -> Unenrolled:
    """Judge an order of the steps scope, policy and retire. Raise `UsageError` for another step."""
    names = [step.strip().upper() for step in steps]
    unknown = [name for name in names if name not in Leave.__members__]
    if unknown:
        raise UsageError(
            f"--unenroll: expected steps out of scope, policy, retire, found '{unknown[0].lower()}'",
            "--unenroll scope,policy,retire",
        )
    judged = judge_unenroll([Leave[name] for name in names])
    order = "; then ".join(step.value for step in UNENROLL_ORDER)
    return Unenrolled(out_for_good=judged.out_for_good, sentences=judged.sentences, right=order)


def _groups(database: Database) -> Groups | None:
    """Count the latest inventory by what a mode means to its devices; None without one.

    Eligible is what Configuration Manager itself accepts: an active Windows client of 1709 or later, joined. Members
    are the devices that our enrollment rollouts released and no undo took out.
    """
    try:
        inventory = database.inventory(None)
    except UsageError:
        return None
    fleet = inventory.fleet
    view = view_of(inventory, 90)
    eligible = view.flag("client") & ~view.flag("obsolete") & view.level("os", "Windows")
    eligible &= view.level("join", "hybrid", "entra") & ((view.build < 0) | (view.build >= BUILD_1709))
    member, done = _members(database, fleet)
    enrolled = view.flag("comanaged") | done
    blocked = np.zeros(len(fleet), dtype=np.bool_)
    blocked[list(exclusions(preflight(inventory)))] = True
    waiting = eligible & ~enrolled
    return Groups(
        members=int((waiting & member).sum()),
        others=int((waiting & ~member & ~blocked).sum()),
        held=int((waiting & ~member & blocked).sum()),
        enrolled=int(enrolled.sum()),
    )


def _members(database: Database, fleet: Fleet) -> tuple[BoolArray, BoolArray]:
    """Return the devices in the auto-enrollment collection and the enrolled ones, by our rollouts, (n,) each."""
    member, done = np.zeros(len(fleet), dtype=np.bool_), np.zeros(len(fleet), dtype=np.bool_)
    for known in database.rollouts():
        plan = database.plan(known.plan_id).plan
        if plan.ids.tolist() != fleet.ids.tolist():
            continue
        if plan.action == "enroll":
            outcomes = database.reader(known.id).outcomes()
            inside = (outcomes.outcome >= 0) & (outcomes.outcome != Outcome.REJECTED)
            inside[withdrawn_rows(database.reader(known.id))] = False
            member |= inside
            done |= outcomes.outcome == Outcome.ENROLLED
        elif plan.action_undone == "enroll":
            member[left_rows(database, known.id)] = False
    return member, done
