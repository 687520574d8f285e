"""Microsoft Graph as a `RealDirectory`: devices become members of one Entra group.

Accepted and visible are the same here. Enrollment is Intune's own record of the device; a failed enrollment is an
event in Intune. A failure before the device reaches Intune is not seen: such a device times out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np

from rollout.directory.counted import NO_ROWS, CountedDirectory
from rollout.directory.graph import requests as ask
from rollout.directory.graph.group_links import GroupLinks
from rollout.directory.graph.rights import held_rights, missing_rights, rights_check
from rollout.directory.graph.settings import GraphSettings
from rollout.directory.graph.tenant import Group, Tenant
from rollout.directory.http.checks import transport_checks
from rollout.directory.http.requests import Call
from rollout.directory.port import Check, Opening
from rollout.errors import OutsideError, RefusedError, RolloutError
from rollout.values import (
    Applied,
    BoolArray,
    IntArray,
    Observation,
    Plan,
)

log = logging.getLogger("rollout.directory")

SCAN_ABOVE = 400
"""Up to this many devices are read individually, 20 in a batch; above it the whole list is read."""

NON_MEMBER_TTL_S = 60.0
"""Seconds for which "not a member" is reused for the chunks to come. If others add the device in the meantime, our
write fails and finds it, as between any read and its write."""

VANISHED_MAX = 200
"""This many devices may vanish from Intune between two observations; each is read again. More is a short list."""


class GraphDirectory(CountedDirectory):
    """The directory over one tenant and one group.

    copied : returns the collections that are copied into a group, by the group's id; None = no site to ask.
    """

    def __init__(
        self,
        tenant: Tenant,
        settings: GraphSettings,
        opening: Opening,
        copied: Callable[[], dict[str, tuple[str, ...]]] | None,
    ) -> None:
        super().__init__(opening)
        plan, fleet = opening.plan, opening.fleet
        self.tenant = tenant
        self.settings = settings
        self._copied = copied
        self._group: Group | None = None
        self._known_links: GroupLinks | None = None
        self._objects: list[str] = [""] * len(plan)
        self._ids = [str(device) for device in fleet.ids.tolist()]
        self._enrolled_at = np.full(len(plan), -1, dtype=np.int64)
        self._size = 0
        self._absent_at = np.full(len(plan), -np.inf)

    # For the loop.

    def prepare(self, plan: Plan) -> None:
        """Check the tenant, the group and every planned device; refuse what does not fit."""
        self.check_plan(plan)
        if "workload:" in plan.action:
            raise RefusedError(
                f"'{plan.action}' needs a ConfigMgr collection, not a group", "use --directory adminservice"
            )
        self._check_tenant()
        group = self.target()
        obstacle = group.obstacle()
        if obstacle:
            raise RefusedError(
                f"group {group} {obstacle}", "create a plain security group with assigned members"
            )
        self._check_mode(group)
        self._check_rights()
        self._find_devices()

    def members(self, rows: IntArray) -> IntArray:
        """Return those of `rows` that are members now; a recent "not a member" is reused."""
        now = self.tenant.transport.clock.monotonic()
        to_read = rows[now - self._absent_at[rows] > NON_MEMBER_TTL_S]
        if not len(to_read):
            return NO_ROWS
        inside, is_all = self._inside(to_read)
        known = slice(None) if is_all else to_read
        self._absent_at[known] = np.where(inside[known], -np.inf, now)
        return np.asarray(to_read[inside[to_read]], dtype=np.int32)

    def _unfit(self) -> IntArray:
        return np.array([row for row, object_id in enumerate(self._objects) if not object_id], dtype=np.int32)

    def _change(self, rows: IntArray, *, inside: bool) -> Applied:
        rejected = {row: "the tenant has no such device" for row in rows.tolist() if not self._objects[row]}
        row_of = {self._objects[row]: row for row in rows.tolist() if row not in rejected}
        links = self._links()
        self._absent_at[rows] = -np.inf
        try:
            refused = links.change(list(row_of), inside)
        except OutsideError as error:
            error.never_sent = [row for row in rows.tolist() if self._objects[row] not in links.gone_out]
            self._absent_at[:] = -np.inf
            raise
        rejected |= {row_of[object_id]: why for object_id, why in refused.items()}
        out = np.asarray([row for row in rows.tolist() if row in rejected], dtype=np.int32)
        return Applied(rows[~np.isin(rows, out)], NO_ROWS, out, tuple(rejected[row] for row in out.tolist()))

    def observe(self, at: int) -> Observation:
        """Read membership, Intune's devices and its failed enrollments."""
        released = self._counts.released
        known = np.array([bool(object_id) for object_id in self._objects])
        rows = np.flatnonzero(released & known).astype(np.int32)
        visible, _ = self._inside(rows)
        failed, code = np.zeros(len(self._plan), dtype=np.bool_), np.zeros(len(self._plan), dtype=np.int64)
        enrolled = self._enrolled(rows)
        self._enrolled_at[enrolled] = at
        failures = self.tenant.failures() if len(rows) else {}
        for row in rows.tolist():
            failed_at, hresult = failures.get(self._ids[row], (-1, 0))
            # An event from before the device was last seen enrolled is history.
            if failed_at > self._enrolled_at[row]:
                failed[row], code[row] = True, hresult
        return self._counts.observe(at, visible, enrolled, failed, code)

    # For the command line.

    def identity(self) -> str:
        """Return the tenant id, to be recorded at the first contact.

        Where the account may not read it, it is the tenant that issued the token: that of the settings.
        """
        return self.tenant.id() or self.settings.tenant_id.lower()

    def target(self) -> Group:
        """Return the target group; read once."""
        if self._group is None:
            self._group = self.tenant.find(self.settings.group or self._plan.collection)
        return self._group

    def checks(self) -> list[Check]:
        """Check the tenant, the group, our rights, the clocks, and the quota."""
        checks = [
            Check.ask("tenant", lambda: f"tenant {self.identity()} answers"),
            Check.ask("group", self._checked_group),
            rights_check(self.tenant.transport),
        ]
        if self.settings.suggested_limit:
            checks.append(self._suggested_limit())
        return [*checks, *transport_checks(self.tenant.transport)]

    def _checked_group(self) -> str:
        group = self.target()
        if obstacle := group.obstacle():
            raise RolloutError(f"group {group} {obstacle}")
        return f"group {group} has assigned members"

    def _suggested_limit(self) -> Check:
        """Ask what Intune suggests. Only the beta of Graph may answer that: no answer is not a failure."""
        name = "suggested limit"
        check = Check.ask(name, lambda: f"at most {self.tenant.suggested_limit():,} enrollments per day")
        return check if check.ok else Check(name, True, f"Intune does not say: {check.sentence}")

    def plan_requests(self, rows: IntArray) -> list[Call]:
        """Return exactly the writes that `apply` (`withdraw` for an undo) would send for `rows`, if none is refused.

        Reads only; needs `prepare` before.
        """
        inside = not self._undoes
        present = np.isin(rows, self.members(rows)).tolist()
        left = [row for row, is_in in zip(rows.tolist(), present, strict=True) if is_in != inside]
        return self._links().calls([self._objects[row] for row in left if self._objects[row]], inside)

    def sending_s(self, devices: int) -> float:
        """Estimate how long it takes to send this many devices within the quota."""
        inside = not self._undoes
        calls = -(-devices // ask.LINKS) if inside else devices
        return self.tenant.transport.pace.eta_s(calls, self._links().cost(devices, inside))

    def server_now(self) -> float | None:
        """Return the tenant's clock, Unix seconds; None before its first answer."""
        return self.tenant.transport.server_now()

    def set_read_only(self) -> None:
        """Refuse every write from now on."""
        self.tenant.transport.reads_only = True

    def close(self) -> None:
        """Close all connections."""
        self.tenant.transport.close()

    # Preparation.

    def _check_tenant(self) -> None:
        found = self.identity()
        for expected, where in (
            (self.settings.tenant_id, "tenant_id in the settings"),
            (self._expected, "first contact"),
        ):
            if expected and found != expected.lower():
                raise RefusedError(
                    f"expected tenant {expected.lower()} ({where}), found {found}",
                    "the credential belongs to another tenant; nothing was sent",
                )

    def _check_rights(self) -> None:
        held = held_rights(self.tenant.transport)
        missing = missing_rights(held) if held else []
        if missing:
            raise RefusedError(
                f"the app lacks {', '.join(missing)}",
                "grant them as application permissions, with admin consent",
            )

    def _check_mode(self, group: Group) -> None:
        """Check the mode by asking the site or a person: Graph shows neither the mode nor copies of collections."""
        if self._copied is not None:
            collections = self._copied().get(group.id.lower(), ())
            if collections:
                raise RefusedError(
                    f"group {group} is a copy of collection {', '.join(collections)}: the site would undo our changes",
                    "change only the collection: use --directory adminservice",
                )
        if self._undoes:
            return
        if not self.settings.confirmed_pilot_by:
            raise RefusedError(
                "Graph does not show whether automatic enrollment is Pilot",
                'check the console (Cloud Attach > properties > Enablement), then set confirmed_pilot_by = "Name"',
            )
        self.notes.append(f"mode Pilot is confirmed by {self.settings.confirmed_pilot_by}")

    def _find_devices(self) -> None:
        objects = self.tenant.devices()
        planned = np.flatnonzero(self._plan.phase_of >= 0).tolist()
        for row in planned:
            self._objects[row] = objects.get(self._ids[row], "")
        unknown = [str(self._fleet.names[row]) for row in planned if not self._objects[row]]
        if len(unknown) > self.settings.unknown_max:
            raise RefusedError(
                f"{len(unknown)} of {len(planned)} planned devices are unknown to the tenant: {', '.join(unknown[:3])}",
                f"take a fresh inventory and plan again, or set unknown_max = {len(unknown)} to leave them out",
            )

    # Membership and enrollment.

    def _links(self) -> GroupLinks:
        if self._known_links is None:
            counts = self.settings.write_counts == "member"
            self._known_links = GroupLinks(
                self.tenant, self.target().id, counts_members=counts, at_once=self.settings.in_flight
            )
        return self._known_links

    def _inside(self, rows: IntArray) -> tuple[BoolArray, bool]:
        """Return the members among `rows`, and whether the answer holds for all devices of the plan.

        Read individually in batches, or all pages of the group where that takes fewer calls or avoids a wait.
        """
        group = self.target().id
        known = [self._objects[row] for row in rows.tolist() if self._objects[row]]
        is_small = len(known) > ask.LINKS * (self._size // 999 + 2)
        if is_small or not self.tenant.transport.pace.bears(ask.CHECK_UNITS * len(known)):
            found = self.tenant.members(group)
            self._size = len(found)
            return np.array([object_id in found for object_id in self._objects], dtype=np.bool_), True
        found = self.tenant.members_among(group, known)
        self._size = max(self._size, len(found))
        out = np.zeros(len(self._plan), dtype=np.bool_)
        out[[row for row in rows.tolist() if self._objects[row] in found]] = True
        return out, False

    def _enrolled(self, rows: IntArray) -> BoolArray:
        before = self._counts.enrolled
        out = np.zeros(len(self._plan), dtype=np.bool_)
        ids = [self._ids[row] for row in rows.tolist()]
        few = len(rows) <= SCAN_ABOVE
        found = self.tenant.comanaged(ids if few else None)
        out[[row for row, device in zip(rows.tolist(), ids, strict=True) if device in found]] = True
        vanished = np.flatnonzero(before & ~out).tolist()
        if few or not vanished:
            return out
        if len(vanished) > VANISHED_MAX:
            raise OutsideError(
                f"managedDevices: a short list: {len(vanished)} enrolled devices are missing from it",
                "nothing was concluded from it",
            )
        # Half a page looks like devices that left: read each before believing it.
        there = self.tenant.comanaged([self._ids[row] for row in vanished])
        out[[row for row in vanished if self._ids[row] in there]] = True
        return out
