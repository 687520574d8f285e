"""ConfigMgr's AdminService as a `RealDirectory`: each device becomes a member by a rule of its own.

A membership is *accepted* when its direct rule exists, *visible* once the site has evaluated the collection,
*effective* when the device shows its state. Only visible members are counted.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rollout.directory.configmgr import requests as ask
from rollout.directory.configmgr import site_checks
from rollout.directory.configmgr.lost_members import SCAN_ABOVE, WITNESSES, LostMembers
from rollout.directory.configmgr.membership_rules import MembershipRules
from rollout.directory.configmgr.settings import AdminServiceSettings
from rollout.directory.configmgr.site import Collection, Site
from rollout.directory.counted import NO_ROWS, CountedDirectory
from rollout.directory.http.checks import transport_checks
from rollout.directory.http.paging import field_of
from rollout.directory.http.requests import Call
from rollout.directory.http.transport import AnswerError
from rollout.directory.outcome_counts import Reading
from rollout.directory.outcomes import comanagement_state
from rollout.directory.port import Check, Opening
from rollout.directory.short_lists import ShortListError, is_short
from rollout.errors import OutsideError, RefusedError
from rollout.values import (
    Applied,
    BoolArray,
    Fact,
    IntArray,
    Observation,
    Plan,
)

log = logging.getLogger("rollout.directory")

QUIET_S = 30.0
"""Seconds without a change after which an outstanding evaluation is requested."""


class AdminServiceDirectory(CountedDirectory):
    """The directory over one site and one collection."""

    def __init__(self, site: Site, settings: AdminServiceSettings, opening: Opening) -> None:
        super().__init__(opening)
        plan = opening.plan
        self.site = site
        self.settings = settings
        self._workload_bit, self._superset = opening.workload_bit, opening.superset
        self._target: Collection | None = None
        self._resource = np.full(len(plan), -1, dtype=np.int64)
        self._why_not: dict[int, str] = {}
        self._known_rules: MembershipRules | None = None
        self._owed = False
        # The session before may have died before it requested an evaluation: the first observation makes up for it.
        self._refreshed_at, self._changed_at = -math.inf, 0.0
        self._clock = opening.clock
        self._notified = np.zeros(len(plan), dtype=np.bool_)
        # Devices that had a state at the last observation: if it is missing now, that is confirmed.
        self._had_state = self._mask(())
        self._thorough_at = -math.inf

    # For the loop.

    def prepare(self, plan: Plan) -> None:
        """Check the site, the collection, the mode and every planned device; refuse what does not fit."""
        self.check_plan(plan)
        code = self.identity()
        site_checks.check_site(code, self.settings.site_code, "site_code in the settings")
        site_checks.check_site(code, self._expected, "of the first contact")
        target = self.target()
        site_checks.check_collection(target, self.settings)
        if self._undoes:
            self.notes.append(f"{target}: devices are taken out; leaving does not un-enroll them")
        else:
            self.notes.append(site_checks.check_mode(self.site, target, self.settings))
        self._note_cloud_sync(target)
        self._find_devices()
        if not self._undoes:
            self._check_limits(target)
            self._check_superset()

    def members(self, rows: IntArray) -> IntArray:
        """Return those of `rows` that are visible members or have their rule already."""
        rules = self._rules(is_fresh=True)
        if self._owed and self._clock.monotonic() - self._changed_at > QUIET_S:
            self._refresh()
        known = rows[self._resource[rows] >= 0]
        inside = self._visible(known)
        inside |= self._mask([row for row in known.tolist() if int(self._resource[row]) in rules])
        return np.asarray(rows[inside[rows]], dtype=np.int32)

    def _unfit(self) -> IntArray:
        return np.array(list(self._why_not), dtype=np.int32)

    def _change(self, rows: IntArray, *, inside: bool) -> Applied:
        rules = self._rules()
        rejected = {row: self._why_not[row] for row in rows.tolist() if row in self._why_not}
        todo = [row for row in rows.tolist() if row not in rejected]
        if any(not rules.is_done(int(self._resource[row]), inside) for row in todo):
            self._owed, self._changed_at = True, self._clock.monotonic()
        try:
            refused = rules.change(self._named(todo), inside)
        except OutsideError as error:
            error.never_sent = [
                row for row in rows.tolist() if int(self._resource[row]) not in rules.gone_out
            ]
            raise
        rejected |= {row: refused[at] for row in todo if (at := int(self._resource[row])) in refused}
        if self._owed and len(rows) < self._plan.chunk:
            self._refresh()  # a chunk that is not full ends its batch
        out = np.asarray([row for row in rows.tolist() if row in rejected], dtype=np.int32)
        accepted = rows[~np.isin(rows, out)]
        return Applied(accepted, NO_ROWS, out, tuple(rejected[row] for row in out.tolist()))

    def observe(self, at: int) -> Observation:
        """Read membership and co-management states of the released devices."""
        rows = np.flatnonzero(self._counts.released & (self._resource >= 0)).astype(np.int32)
        if self._owed:
            self._refresh()
        thorough = self._clock.monotonic() - self._thorough_at >= self.settings.refresh_again_s
        try:
            visible = self._visible(rows, thorough)
            if not self._undoes and self._remind(rows, visible):
                visible = self._visible(rows)
        except RefusedError as error:
            raise OutsideError(error.message, error.hint) from error
        if self._undoes:
            self._thorough_at = self._clock.monotonic() if thorough else self._thorough_at
            released, nothing = self._counts.released, self._mask(())
            codes = np.zeros(len(self._plan), dtype=np.int64)
            return self._counts.observe(at, Reading(released, released & ~visible, nothing, codes))
        try:
            out = self._out(rows, visible)
            reading = self._states(rows, visible, out, thorough)
        except ShortListError as error:
            return self._counts.blind(at, error.sentence)
        self._thorough_at = self._clock.monotonic() if thorough else self._thorough_at
        observation = self._counts.observe(at, reading)
        self._notify(visible & self._counts.released & ~reading.enrolled)
        return observation

    # For the command line.

    def identity(self) -> str:
        """Return the site code, to be recorded at the first contact."""
        return self.site.code()

    def target(self) -> Collection:
        """Return the target collection; read once."""
        if self._target is None:
            self._target = self.site.find(self.settings.collection or self._plan.collection)
        return self._target

    def checks(self) -> list[Check]:
        """Check the site, the collection and our rights on it, the clocks, and the quota."""
        return [
            Check.ask("site", lambda: f"site {self.identity()} answers"),
            Check.ask("collection", self._checked_collection),
            *transport_checks(self.site.transport),
        ]

    def _checked_collection(self) -> str:
        target = self.target()
        site_checks.check_collection(target, self.settings)
        rights = "we may change it" if target.rights >= 0 else "its rights are not shown"
        return f"{target} is limited by {target.limited_to or 'nothing'}; {rights}"

    def plan_requests(self, rows: IntArray) -> list[Call]:
        """Return exactly the writes that `apply` (`withdraw` for an undo) would send for `rows`, and the evaluation.

        Reads only; needs `prepare` before.
        """
        inside, rules = not self._undoes, self._rules()
        present = np.isin(rows, self.members(rows)).tolist()
        left = [row for row, is_in in zip(rows.tolist(), present, strict=True) if is_in != inside]
        todo = self._named([row for row in left if row not in self._why_not])
        calls = [
            rules.call(resource, name, inside)
            for resource, name in todo.items()
            if not rules.is_done(resource, inside)
        ]
        return [*calls, ask.refresh(self.site.root, self.target().id)] if calls else []

    def sending_s(self, devices: int) -> float:
        """Estimate how long it takes to send this many devices at the allowed pace."""
        return self.site.transport.pace.eta_s(devices, devices)

    def server_now(self) -> float | None:
        """Return the site's clock, Unix seconds; None before its first answer."""
        return self.site.transport.server_now()

    def set_read_only(self) -> None:
        """Refuse every write from now on."""
        self.site.transport.reads_only = True

    def close(self) -> None:
        """Close all connections."""
        self.site.transport.close()

    # Preparation.

    def _note_cloud_sync(self, target: Collection) -> None:
        try:
            groups = self.site.cloud_groups().get(target.id, ())
        except AnswerError as error:
            if error.status not in (403, 404):
                raise
            self.notes.append("whether the collection is copied into an Entra group cannot be read")
            return
        if groups:
            self.notes.append(
                f"{target} is copied into the group {', '.join(groups)}: only the collection is written"
            )

    def _find_devices(self) -> None:
        """Find the resource of each planned device: by ResourceID, and by Entra id where that is not known."""
        devices = self.site.devices()
        entra = {
            str(field_of(record, "AADDeviceID") or "").lower(): number for number, record in devices.items()
        }
        planned = np.flatnonzero(self._plan.phase_of >= 0)
        unknown: list[str] = []
        for row in planned.tolist():
            resource = int(self._fleet.resource_ids[row])
            if resource < 0:
                resource = entra.get(str(self._fleet.ids[row]), -1)
            why = site_checks.mismatch(devices.get(resource), str(self._fleet.ids[row]))
            if why:
                unknown.append(f"{self._fleet.names[row]}: {why}")
                self._why_not[row] = why
            else:
                self._resource[row] = resource
        self._check_unknown(unknown, len(planned), "the site", self.settings.unknown_max)

    def _check_limits(self, target: Collection) -> None:
        """Mark devices outside the limiting collection, which can never become members: they are rejected when due."""
        if target.limited_to in ("", site_checks.ALL_SYSTEMS):
            return
        inside = self.site.members(target.limited_to)
        for row in np.flatnonzero(self._resource >= 0).tolist():
            if int(self._resource[row]) not in inside:
                self._why_not[row] = f"outside the limiting collection {target.limited_to}"

    def _check_superset(self) -> None:
        if not self._superset:
            return
        outer = self.site.find(self._superset)
        inside = self.site.members(outer.id)
        rows = np.flatnonzero(self._resource >= 0).tolist()
        outside = [str(self._fleet.names[row]) for row in rows if int(self._resource[row]) not in inside]
        if outside:
            raise RefusedError(
                f"{len(outside)} planned devices are outside the auto-enrollment collection {outer}: "
                f"{', '.join(outside[:5])}",
                "a workload moves only on devices that are enrolled: enroll them first, or exclude them",
            )

    # Membership.

    def _rules(self, *, is_fresh: bool = False) -> MembershipRules:
        if self._known_rules is None:
            self._known_rules = MembershipRules(self.site, self.target().id, self.settings.in_flight)
        self._known_rules.settle(is_fresh=is_fresh)
        return self._known_rules

    def _visible(self, rows: IntArray, thorough: bool = False) -> BoolArray:
        """Return the visible members among `rows`. thorough : confirm every missing device, not only former members."""
        target, resources = self.target().id, self._resource[rows].tolist()
        if len(rows) > SCAN_ABOVE:
            found = self.site.members(target)
        else:
            expected = rows if thorough else rows[self._counts.members[rows]]
            found = self.site.members_among(target, resources, set(self._resource[expected].tolist()))
        return self._mask(
            [row for row, number in zip(rows.tolist(), resources, strict=True) if number in found]
        )

    def _mask(self, rows: Sequence[int]) -> BoolArray:
        out = np.zeros(len(self._plan), dtype=np.bool_)
        out[list(rows)] = True
        return out

    def _named(self, rows: Sequence[int]) -> dict[int, str]:
        return {int(self._resource[row]): str(self._fleet.names[row]) for row in rows}

    def _refresh(self) -> None:
        """Request an evaluation. A failure is no reason to stop: the evaluation remains outstanding."""
        try:
            answer = self.site.transport.write(ask.refresh(self.site.root, self.target().id))
        except OutsideError as error:
            log.warning("RequestRefresh: %s", error.message)
            return
        self._owed = not answer.ok
        self._refreshed_at = self._clock.monotonic()
        if not answer.ok:
            log.warning("RequestRefresh answered %d; retrying", answer.status)

    def _remind(self, rows: IntArray, visible: BoolArray) -> bool:
        """Request an evaluation again if accepted devices have long been invisible; return whether it was requested."""
        due = self._clock.monotonic() - self._refreshed_at >= self.settings.refresh_again_s
        rules = self._rules(is_fresh=due)
        out = self._counts.known.out
        waiting = [
            row
            for row in rows.tolist()
            if not visible[row] and not out[row] and int(self._resource[row]) in rules
        ]
        if waiting and due and not self.site.transport.reads_only:
            log.warning(
                "%d accepted devices are not visible yet; evaluation is requested again", len(waiting)
            )
            self._refresh()
        return bool(waiting) and due

    def _notify(self, fresh: BoolArray) -> None:
        """Ask new members to fetch their policy, once each, if the settings say so."""
        rows = np.flatnonzero(fresh & ~self._notified)
        if not self.settings.notify or not len(rows) or self.site.transport.reads_only:
            return
        self._notified[rows] = True
        call = ask.notify(self.site.root, self.target().id, self._resource[rows].tolist())
        try:
            answer = self.site.transport.write(call)
        except OutsideError as error:
            log.warning("client notification: %s", error.message)
            return
        if not answer.ok:
            log.warning("client notification answered %d", answer.status)

    def _out(self, rows: IntArray, visible: BoolArray) -> NDArray[np.int8]:
        """Return why former members are none, by `Fact`; 0 for all others. Reads only if somebody is missing.

        Raise `ShortListError` if so many are missing that the answer must be incomplete.
        """
        out = np.zeros(len(self._plan), dtype=np.int8)
        known, rules = self._counts.members, self._rules()
        dropped = [row for row in np.flatnonzero(self._accepted & ~known).tolist() if not self._has_rule(row)]
        missing = np.flatnonzero((known | self._mask(dropped)) & ~visible & ~self._counts.withdrawn)
        missing = missing[self._counts.known.out[missing] == 0]
        # Devices that the site did not know at the start of this session have no resource.
        out[missing[self._resource[missing] < 0]] = Fact.GONE
        there = missing[self._resource[missing] >= 0].tolist()
        if not there:
            return out
        row_of = {int(self._resource[row]): row for row in there}
        ids = {resource: str(self._fleet.ids[row]) for resource, row in row_of.items()}
        members = int(known.sum()) + len(dropped)
        lost = LostMembers(self.site, self.target(), ids, members, self._counts.good_at)
        present = self._resource[rows[visible[rows]][:WITNESSES]].tolist()
        for resource, fact in lost.reasons(rules, present).items():
            out[row_of[resource]] = fact
        if names := {str(self._fleet.names[row]): row for row in there if out[row] == Fact.GONE}:
            self._counts.succeed(lost.successors(names))
        return out

    def _has_rule(self, row: int) -> bool:
        return int(self._resource[row]) in self._rules()

    # States.

    def _states(self, rows: IntArray, visible: BoolArray, out: NDArray[np.int8], thorough: bool) -> Reading:
        """Read the states. Raise `ShortListError` if those of too many enrolled devices are missing."""
        resources, enrolled_before = self._resource[rows].tolist(), self._counts.enrolled
        if len(rows) > SCAN_ABOVE:
            found = self.site.states()
        else:
            expected = rows if thorough else rows[(self._had_state | enrolled_before)[rows]]
            found = self.site.states(resources, set(self._resource[expected].tolist()))
        enrolled, failed, plain, has_rule = (self._mask(()) for _ in range(4))
        code = np.zeros(len(self._plan), dtype=np.int64)
        known_rules = self._rules()
        for row, resource in zip(rows.tolist(), resources, strict=True):
            record = found.get(resource)
            has_rule[row] = resource in known_rules
            self._had_state[row] = record is not None
            if record is not None:
                state = comanagement_state(record, self._workload_bit)
                enrolled[row], failed[row], code[row] = state.enrolled, state.failed, state.code
                plain[row] = not state.enrolled
        known = enrolled_before & (out != Fact.GONE)
        missing = known & ~enrolled & ~plain
        if is_short(int(missing.sum()), int(known.sum())):
            raise ShortListError(
                "The site", int(missing.sum()), int(known.sum()), "enrolled", self._counts.good_at
            )
        # A record that is missing says little of a device that is no member: it stays what it was.
        unenrolled = plain | (missing & visible)
        return Reading(visible, enrolled, failed, code, unenrolled, visible | has_rule, out=out)
