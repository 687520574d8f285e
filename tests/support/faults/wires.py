"""Real directories under the same faults: the clients over their emulators, with something wrong on every wire.

What goes wrong is drawn for each request: refused, throttled, lost after it was done, lost before, slow; and each
request has a checkpoint before it is served and one after. The outside is still `World`: the emulators keep their
collections, and its devices live in it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import numpy as np
import trustme
from emulators.adminservice import TARGET, AdminService
from emulators.graph import GROUP, TENANT, Graph
from emulators.people import make_fleet
from emulators.web import Asked, FakeTime, Reply, asked_of
from opened import FACTORIES, ROOT, SITE_URL, network_of

from faults.outside import US, Door, Time, World
from rollout.directory.configmgr.settings import AdminServiceSettings
from rollout.directory.graph.settings import GraphSettings
from rollout.directory.http.transport import TRUST_S
from rollout.directory.port import Opening
from rollout.errors import OutsideError
from rollout.values import HOUR_S, Applied, Batch, DeviceOutcomes, IntArray, Observation, Outcome, Plan

if TYPE_CHECKING:
    from faults.case import Session
    from faults.chances import Fault

HRESULT = 0x80180014
LINK = re.compile(r"directoryObjects/([0-9a-f-]{36})")


@cache
def settings_of(kind: str) -> AdminServiceSettings | GraphSettings:
    """Give the settings of a directory. One authority to trust: to read all of the system's takes 30 ms a session."""
    file = Path(tempfile.mkdtemp()) / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    if kind == "graph":
        return GraphSettings(
            tenant_id=TENANT, root=ROOT, group=GROUP, confirmed_pilot_by="Kim", in_flight=1, ca_file=str(file)
        )
    return AdminServiceSettings(
        hosts=(SITE_URL,),
        auth="none",
        site_code="P01",
        collection=TARGET,
        in_flight=1,
        per_second=200,
        ca_file=str(file),
    )


class Devices:
    """The devices behind an emulator (`emulators.people.World`): those of the pretend outside."""

    def __init__(self, world: WireWorld) -> None:
        self._world = world

    def enter(self, row: int, at: int) -> None:
        World.enter(self._world, [row], US)

    def leave(self, row: int) -> None:
        World.leave(self._world, [row])

    def look(self, at: int) -> Any:
        outcome = self._world.outcome()
        code = np.where(outcome == Outcome.FAILED, HRESULT, 0)
        return outcome, self._world.since + self._world.latency_s, code


@dataclass
class WireWorld(World):
    """A world whose collection is an emulator's. kind : adminservice or graph. sent : rows of each addition, in order.

    clock_stands : the transport's waits take none of the world's time, so that kills alone move nothing.
    """

    kind: str = "adminservice"
    clock_stands: bool = False
    sent: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.fleet = make_fleet(len(self.plan))
        # Each look costs a few requests: fewer looks, for more seeds.
        self.plan = replace(self.plan, ids=self.fleet.ids, look_s=max(self.plan.look_s, 2 * HOUR_S))
        self.superset = None  # a plan that enrolls has none
        if self.kind == "graph":
            self.lag_s = 0
        super().__post_init__()
        devices = Devices(self)
        self.emulator: Any
        if self.kind == "graph":
            self.emulator = Graph(self.fleet, devices, lambda: self.time.true)
        else:
            self.emulator = AdminService(self.fleet, devices, lambda: self.time.true, evaluation_s=self.lag_s)

    def enter(self, rows: Sequence[int] | IntArray, who: int) -> None:
        """Others make rows members: in the emulator too."""
        for row in [int(row) for row in rows if not self.is_member[row]]:
            if self.kind == "graph":
                self.emulator.target.members[self.emulator.object_of[row]] = None
            else:
                resource = int(self.fleet.resource_ids[row])
                self.emulator.target.rules[resource] = {"ResourceID": resource, "RuleName": f"PC {row}"}
                self.emulator.target.due = self.time.true + self.lag_s
        super().enter(rows, who)

    def leave(self, rows: Sequence[int]) -> None:
        """A person takes rows out: in the emulator too."""
        for row in rows:
            if self.kind == "graph":
                self.emulator.target.members.pop(self.emulator.object_of[row], None)
            else:
                self.emulator.target.rules.pop(int(self.fleet.resource_ids[row]), None)
                self.emulator.target.members.discard(int(self.fleet.resource_ids[row]))
        super().leave(rows)

    def visible(self, rows: IntArray) -> IntArray:
        """Those of `rows` that the emulator shows as members: a later addition may put an evaluation off."""
        seen = super().visible(rows)
        if self.kind == "graph":
            return seen
        shown = self.emulator.shown_members(TARGET)
        return np.asarray([row for row in seen.tolist() if self.fleet.resource_ids[row] in shown], np.int32)

    def open_door(self, session: Session) -> Door:
        """Give a new client of the directory: what a new process has."""
        return WireDoor(self, session)

    def added_by(self, asked: Asked) -> list[int]:
        """Give the rows that a request would make members."""
        if self.kind != "graph":
            rule = (
                (asked.body or {}).get("collectionRule", {})
                if asked.path.endswith("AddMembershipRule")
                else {}
            )
            return [self.emulator.row_of[rule["ResourceID"]]] if rule else []
        if asked.path.endswith("/$batch"):
            bodies = [item.get("body") for item in asked.body["requests"] if item["method"] == "POST"]
        else:
            bodies = [asked.body] if asked.method in ("POST", "PATCH") else []
        return [self.emulator.objects[match] for body in bodies for match in LINK.findall(str(body))]


class WireTime:
    """The clocks of a transport, over the world's time: parts of a second add up.

    held_s : returns what is left of the lease.
    """

    def __init__(self, time: Time, held_s: Callable[[], float]) -> None:
        self._time, self.held_s, self._rest = time, held_s, 0.0

    def barred(self, later_by: float = 0.0) -> str:
        """The loop of the harness keeps to windows and commands itself."""
        del later_by
        return ""

    def monotonic(self) -> float:
        return self._time.true + self._rest

    def wall(self) -> float:
        return self._time.wall() + self._rest

    def sleep(self, seconds: float) -> None:
        self._rest += seconds
        whole = int(self._rest)
        self._rest -= whole
        if whole:
            self._time.sleep(whole)


class Wire(httpx2.BaseTransport):
    """Carries requests to the emulator, or not; each with a checkpoint before it is served and one after."""

    def __init__(self, world: WireWorld, session: Session, clock: WireTime | FakeTime) -> None:
        self._world, self._session, self._clock = world, session, clock

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        world = self._world
        headers = {name.lower(): value for name, value in request.headers.items()}
        asked = asked_of(request.method, str(request.url), headers, request.read())
        kind = "write" if world.emulator.is_write(asked) else "read"
        self._session.point(f"before {kind}")
        rows = world.added_by(asked) if kind == "write" else []
        world.sent_by_us.update(rows)
        fault = world.chances.fault("apply" if kind == "write" else "observe")
        if fault and fault.seconds:
            self._slow(request, fault)
        if fault and fault.kind == "refused":
            return self._response(_refusal(fault, kind))
        if fault and fault.kind == "partial":
            raise httpx2.ReadError("connection reset before it was served", request=request)
        self._watch(rows)
        reply = world.emulator.answer(asked)
        self._session.point(f"after {kind}")
        if fault and fault.kind == "lost":
            raise httpx2.ReadError("connection reset", request=request)
        return self._response(reply)

    def _slow(self, request: httpx2.Request, fault: Fault) -> None:
        """Let time pass; whoever waits no longer than that hears nothing."""
        patience = request.extensions["timeout"]["read"]
        self._clock.sleep(min(fault.seconds, patience))
        if fault.seconds > patience:
            raise httpx2.ReadTimeout("timed out", request=request)

    def _watch(self, rows: Sequence[int]) -> None:
        """Judge what goes out: nobody is sent twice, and only by the holder of the lease."""
        world, session = self._world, self._session
        for row in rows:
            world.sent.append((world.time.true, row))
            if world.is_member[row] and world.by[row] == US:
                world.wrong.append(f"row {row} was sent twice, at {world.time.true}")
        if rows and not session.holds_lease():
            world.wrong.append(f"session {session.epoch} sent {rows} without the lease, at {world.time.true}")

    def _response(self, reply: Reply) -> httpx2.Response:
        date = {"Date": formatdate(self._world.time.true, usegmt=True)}
        return httpx2.Response(reply.status, headers=reply.headers | date, content=reply.content)


def _refusal(fault: Fault, kind: str) -> Reply:
    """Give an answer that refuses a request. A write that is "not found" or fails at one device alone is that
    device's own fault for a client: such answers have their own tests."""
    status = 503 if kind == "write" and fault.status in (404, 500) else fault.status
    wait = {"Retry-After": f"{30 * fault.share:.3f}"} if status in (429, 503) and fault.share > 0.3 else {}
    return Reply(status, {"error": {"code": str(status), "message": "the weather is bad"}}, wait)


class WireDoor(Door):
    """The directory as one session meets it: a new client, with nothing remembered."""

    trusted_s = TRUST_S

    def __init__(self, world: WireWorld, session: Session) -> None:
        super().__init__(world, session)
        clock = FakeTime() if world.clock_stands else WireTime(world.time, session.held_s)
        opening = Opening(world.plan, world.fleet, {}, clock=clock)
        network = network_of(Wire(world, session, clock))
        self._directory = FACTORIES[world.kind](settings_of(world.kind), opening, network)

    def server_now(self) -> float | None:
        return self._directory.server_now()

    def prepare(self, plan: Plan) -> None:
        self._directory.prepare(plan)

    def restore(self, batches: Sequence[Batch]) -> None:
        super().restore(batches)
        self._directory.restore(batches)

    def follow(self, batch: Batch) -> None:
        super().follow(batch)
        self._directory.follow(batch)

    def members(self, rows: IntArray) -> IntArray:
        return self._directory.members(rows)

    def apply(self, batch: int, rows: IntArray, at: int) -> Applied:
        self.log(batch, rows, "")
        return self._directory.apply(batch, rows, at)

    def observe(self, at: int) -> Observation:
        try:
            seen = self._directory.observe(at)
        except OutsideError:
            self.looked(at, None)
            raise
        self.looked(at, seen.counts.copy())
        return seen

    def outcomes(self) -> DeviceOutcomes:
        return self._directory.outcomes()
