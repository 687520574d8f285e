"""Microsoft Graph as a `RealDirectory`: devices become members of one Entra group.

Accepted and visible are the same here. Enrollment is Intune's own record of the device; a failed enrollment is an
event in Intune. A failure before the device reaches Intune is not seen: such a device times out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rollout.directory.counted import NO_ROWS, CountedDirectory
from rollout.directory.graph import requests as ask
from rollout.directory.graph.group_links import GroupLinks
from rollout.directory.graph.rights import held_rights, missing_rights, rights_check
from rollout.directory.graph.settings import GraphSettings
from rollout.directory.graph.tenant import Group, Tenant
from rollout.directory.http.checks import transport_checks
from rollout.directory.http.requests import Call
from rollout.directory.outcome_counts import Reading
from rollout.directory.port import Check, Opening
from rollout.directory.short_lists import PROBES, ShortListError, is_short, may_be_missing, probes
from rollout.errors import OutsideError, RefusedError, RolloutError
from rollout.values import (
    Applied,
    BoolArray,
    Fact,
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
        try:
            visible, out = self._out(visible)
            enrolled, unenrolled = self._enrolled(rows, visible, out)
        except ShortListError as error:
            return self._counts.blind(at, error.sentence)
        failed, code, failed_at = self._failed(rows)
        return self._counts.observe(
            at, Reading(visible, enrolled, failed, code, unenrolled, failed_at=failed_at, out=out)
        )

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
        self._check_unknown(unknown, len(planned), "the tenant", self.settings.unknown_max)

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

    def _out(self, visible: BoolArray) -> tuple[BoolArray, NDArray[np.int8]]:
        """Return the members, and why former members are none, by `Fact`. Reads only if somebody is missing.

        Each that is missing is read individually, or PROBES of many. Raise `ShortListError` if a list of members
        proves to be incomplete, or if so many devices are gone that this cannot be true.
        """
        out = np.zeros(len(self._plan), dtype=np.int8)
        known = self._counts.members | (self._accepted & ~self._counts.known.counted)
        missing = np.flatnonzero(known & ~visible & ~self._counts.withdrawn).astype(np.int32)
        # Devices that the tenant did not have at the start of this session have no object.
        is_known = np.array([bool(self._objects[row]) for row in missing.tolist()], dtype=np.bool_)
        out[missing[~is_known]] = Fact.GONE
        missing = missing[is_known]
        if not len(missing):
            return visible, out
        inside, gone = self.tenant.find_members(
            self.target().id, [self._objects[row] for row in probes(missing).tolist()]
        )
        if len(missing) > PROBES:
            if inside:
                raise self._short(len(missing), known, "members")
            gone = {self._objects[row] for row in missing.tolist()} - set(self.tenant.devices().values())
        visible = visible.copy()
        for row in missing.tolist():
            visible[row] = self._objects[row] in inside
            out[row] = 0 if visible[row] else Fact.GONE if self._objects[row] in gone else Fact.REMOVED
        if is_short(len(gone), int(known.sum())) and not visible[known].any():
            raise self._short(len(gone), known, "devices of the tenant")
        if gone:
            self._counts.succeed(self._successors(np.flatnonzero(out == Fact.GONE)[:PROBES].tolist()))
        return visible, out

    def _short(self, missing: int, known: BoolArray, what: str) -> ShortListError:
        return ShortListError("Entra", missing, int(known.sum()), what, self._counts.good_at)

    def _successors(self, gone: list[int]) -> dict[int, str]:
        """Return the new device of each computer whose device is gone, by row."""
        row_of = {str(self._fleet.names[row]).lower(): row for row in gone}
        out: dict[int, str] = {}
        for device in self.tenant.devices_named([str(self._fleet.names[row]) for row in gone]):
            row, name = row_of.get(str(device.get("displayName")).lower(), -1), str(device.get("deviceId"))
            if row >= 0 and name.lower() != self._ids[row]:
                out[row] = f"device {name} of the same name"
        return out

    def _enrolled(
        self, rows: IntArray, visible: BoolArray, out: NDArray[np.int8]
    ) -> tuple[BoolArray, BoolArray]:
        """Return the devices that are enrolled, and those that are enrolled no more.

        Raise `ShortListError` if so many enrolled devices are missing from Intune that its list must be incomplete.
        """
        known = self._counts.enrolled & (out != Fact.GONE)
        ids = {row: self._ids[row] for row in rows.tolist()}
        few = len(rows) <= SCAN_ABOVE
        found = self.tenant.managed(list(ids.values()) if few else None)
        missing = [row for row in np.flatnonzero(known).tolist() if self._ids[row] not in found]
        bearable = may_be_missing(int(known.sum()))
        if not few and 0 < len(missing) <= max(PROBES, bearable):
            # Half a page looks like devices that left: read each before believing it.
            found |= self.tenant.managed([self._ids[row] for row in missing])
            missing = [row for row in missing if self._ids[row] not in found]
        if len(missing) > bearable:
            raise ShortListError("Intune", len(missing), int(known.sum()), "enrolled", self._counts.good_at)
        enrolled, unenrolled = (np.zeros(len(self._plan), dtype=np.bool_) for _ in range(2))
        for row, device in ids.items():
            enrolled[row] = found.get(device, False)
            unenrolled[row] = not found.get(device, True)
        # A record that is missing says little of a device that is no member: it stays what it was.
        unenrolled[[row for row in missing if visible[row]]] = True
        return enrolled, unenrolled

    def _failed(self, rows: IntArray) -> tuple[BoolArray, NDArray[np.int64], NDArray[np.int64]]:
        """Return the devices with a failed enrollment, its code and its instant.

        An event from before a device was seen enrolled, or un-enrolled, is history. Events leave the list after some
        time: that there is none any more says nothing.
        """
        known, failed = self._counts.known, np.zeros(len(self._plan), dtype=np.bool_)
        code, failed_at = np.zeros(len(self._plan), dtype=np.int64), np.full(len(self._plan), -1, np.int64)
        failures = self.tenant.failures() if len(rows) else {}
        for row in rows.tolist():
            at, hresult = failures.get(self._ids[row], (-1, 0))
            is_news = known.now[row] != Fact.ENROLLED and (
                known.now[row] != Fact.UNENROLLED or at > known.since[row]
            )
            if at >= 0 and is_news:
                failed[row], code[row], failed_at[row] = True, hresult, at
        return failed, code, failed_at
