"""Microsoft Graph with one tenant: devices, groups, memberships, Intune's records, throttling by the published quotas.

Rows are held to Microsoft's metadata by `emulators.csdl`.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from emulators.csdl import ContractError, Metadata
from emulators.filters import FilterError, compile_filter
from emulators.people import World, guid
from emulators.web import Asked, Faulty, Reply
from rollout.values import Fleet, Outcome

TENANT = guid("tenant")
GROUP = guid("group")
METADATA = Metadata("graph-v1.csdl")
SUGGESTED = "getSuggestedEnrollmentLimit(enrollmentType='windowsCoManagement')"
TOKEN = "canary-token-1"  # a secret that no log may show


@dataclass
class Grouped:
    """A group. members : object ids in order of addition."""

    id: str
    name: str
    members: dict[str, None] = field(default_factory=dict)
    extra: dict[str, Any] = field(default_factory=dict)


class Quota:
    """Microsoft's quota: at most `limit` in `seconds`, over a sliding window; a refused request counts too."""

    def __init__(self, limit: float, seconds: float, now: Callable[[], float]) -> None:
        self.limit, self.seconds, self._now = limit, seconds, now
        self._spent: deque[tuple[float, float]] = deque()
        self._used = 0.0

    def wait_s(self, units: float) -> float:
        """Spend, and give 0; or give how long to wait."""
        now = self._now()
        while self._spent and self._spent[0][0] <= now - self.seconds:
            self._used -= self._spent.popleft()[1]
        if self._used + units > self.limit:
            return self._spent[0][0] + self.seconds - now if self._spent else self.seconds
        self._spent.append((now, units))
        self._used += units
        return 0.0


class Made(Sequence[Any]):
    """Rows that are made when they are looked at: a page of a large group needs a page of them."""

    def __init__(self, keys: list[str], make: Callable[[str], dict[str, Any]]) -> None:
        self._keys, self._make = keys, make

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self._make(key) for key in self._keys[place]]
        return self._make(self._keys[place])


class Graph(Faulty):
    """The emulator. page : rows a page. quota, reads : of writes, and of reads in resource units, None = none.
    counts_members : a write of 20 counts 20.

    crowd : says whether another change of members is under way, to which this one gets a 409.
    """

    def __init__(self, fleet: Fleet, world: World, now: Callable[[], int], page: int = 999) -> None:
        super().__init__()
        self.fleet, self.world, self.now, self.page = fleet, world, now, page
        self.tokens = {TOKEN}
        self.objects = {guid(f"object {item}"): row for row, item in enumerate(fleet.ids.tolist())}
        self.object_of = list(self.objects)
        self.gone: set[str] = set()
        self.groups = {GROUP: Grouped(GROUP, "Intune Auto Enrollment")}
        self.quota: Quota | None = None
        self.reads: Quota | None = None
        self.suggested: Any = {
            "@odata.type": "#microsoft.graph.suggestedEnrollmentLimit",
            "suggestedDailyLimit": 5000,
        }
        self.counts_members = False
        self.throttled = 0
        self.batch_items = 0
        self.only: dict[str, int] = {}
        """List (managedDevices, troubleshootingEvents) -> how many of its rows it shows, with success."""
        self.horizon_s: int | None = None
        """Age in seconds at which an event leaves the list of failures; None = never."""
        self.newcomers: list[dict[str, Any]] = []
        """Devices that were set up again."""
        self._managed_at = -1
        self._managed_rows: list[dict[str, Any]] = []
        self.crowd: Callable[[], bool] = lambda: False

    @property
    def target(self) -> Grouped:
        return self.groups[GROUP]

    def add(self, rows: list[int]) -> None:
        """Somebody else makes devices members."""
        self.target.members.update(dict.fromkeys(self.object_of[row] for row in rows))

    def remove(self, rows: list[int]) -> None:
        """A colleague takes devices out of the group; what is on the devices stays."""
        for row in rows:
            self.target.members.pop(self.object_of[row], None)

    def restore(self, rows: list[int]) -> None:
        """A colleague puts devices back into the group."""
        self.add(rows)

    def delete(self, rows: list[int], *, set_up_again: bool = False) -> None:
        """Devices are deleted from the tenant; set_up_again : there is a new one of the same computer."""
        self.remove(rows)
        for row in rows:
            if set_up_again:
                fresh = {"id": guid(f"new object {row}"), "deviceId": guid(f"new device {row}")}
                self.newcomers.append(self._device(self.object_of[row]) | fresh)
            self.gone.add(self.object_of[row])

    def is_write(self, asked: Asked) -> bool:
        if asked.path.endswith("/$batch"):
            return any(self._changes(item["method"], item["url"]) for item in asked.body["requests"])
        return self._changes(asked.method, asked.path)

    @staticmethod
    def _changes(method: str, path: str) -> bool:
        return method != "GET" and not path.endswith("checkMemberGroups")

    def serve(self, asked: Asked) -> Reply:
        if asked.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return _error(401, "InvalidAuthenticationToken", "Access token has expired or is not yet valid.")
        base = f"{urlsplit(asked.url).scheme}://{urlsplit(asked.url).netloc}"
        if asked.path == "/v1.0/$batch":
            return self._batch(asked, base)
        return self._single(asked, base)

    def _batch(self, asked: Asked, base: str) -> Reply:
        items = asked.body.get("requests", [])
        if not 0 < len(items) <= 20 or len({str(item["id"]).lower() for item in items}) != len(items):
            return _error(400, "Request_BadRequest", "the batch is malformed")
        answers = []
        for item in items:
            self.batch_items += 1
            assert item["url"].startswith("/"), "urls of a batch are relative"
            parts = urlsplit(item["url"])
            options = dict(pair.split("=", 1) for pair in parts.query.split("&") if pair)
            single = Asked(
                item["method"],
                f"/v1.0{parts.path}",
                {k.removeprefix("$"): _plain(v) for k, v in options.items()},
                {k.lower(): v for k, v in item.get("headers", {}).items()},
                item.get("body"),
                f"{base}/v1.0{item['url']}",
            )
            if single.body is not None and single.headers.get("content-type") != "application/json":
                reply = _error(400, "BadRequest", "a body needs its Content-Type")
            else:
                fault = self._fault(f"ITEM {single.method} {single.path}")
                reply = fault.reply if fault and fault.reply else self._single(single, base)
            answer = {"id": item["id"], "status": reply.status, "headers": reply.headers}
            answers.append(answer | ({"body": reply.data} if reply.data is not None else {}))
        return Reply(200, {"responses": answers[::-1]})  # in any order, says the documentation

    def _single(self, asked: Asked, base: str) -> Reply:
        path = asked.path.removeprefix("/v1.0/")
        wait = self._wait_s(asked, path)
        if wait > 0:
            self.throttled += 1
            return _error(429, "TooManyRequests", "Too many requests", {"Retry-After": f"{wait:.3f}"})
        if self._changes(asked.method, path) and self.crowd():
            return _error(409, "Request_Conflict", "Another change of this object is under way.")
        try:
            return self._route(asked, path, base)
        except (FilterError, KeyError) as error:
            return _error(400, "Request_UnsupportedQuery", f"not supported: {error}")
        except ContractError as error:
            return _error(400, "Request_BadRequest", str(error))

    def _wait_s(self, asked: Asked, path: str) -> float:
        """Give how long a quota makes a request wait."""
        if self._changes(asked.method, path):
            units = len((asked.body or {}).get("members@odata.bind", [0])) if self.counts_members else 1
            return self.quota.wait_s(units) if self.quota else 0.0
        units = 4 if path.endswith("checkMemberGroups") else 3 if path.endswith("/members") else 1
        if "select" in asked.options:
            units = max(1, units - 1)
        return self.reads.wait_s(units) if self.reads else 0.0

    def _route(self, asked: Asked, path: str, base: str) -> Reply:
        match asked.method, path.split("/"):
            case "GET", ["organization"]:
                return Reply(200, {"value": [{"id": TENANT, "displayName": "Contoso"}]})
            case "GET", ["devices"]:
                rows = (self._device(item) for item in self.objects if item not in self.gone)
                return self._list(asked, base, [*rows, *self.newcomers], "device")
            case "GET", ["groups"]:
                return self._list(
                    asked, base, [self._group(group) for group in self.groups.values()], "group"
                )
            case "GET", ["groups", one] if one in self.groups:
                return Reply(200, _selected(self._group(self.groups[one]), asked))
            case "GET", ["groups", one, "members"] if one in self.groups:
                return self._list(asked, base, Made(list(self.groups[one].members), self._device), "device")
            case "GET", ["groups", one, "members", "$count"] if one in self.groups:
                if asked.headers.get("consistencylevel") != "eventual":
                    return _error(400, "Request_BadRequest", "$count is not currently supported.")
                return Reply(200, len(self.groups[one].members))
            case "GET", ["deviceManagement", "managedDevices"]:
                return self._list(asked, base, self._managed(), "managedDevice")
            case "GET", ["", "beta", "deviceManagement", one] if one == SUGGESTED:
                return Reply(200, self.suggested)
            case "GET", ["deviceManagement", "troubleshootingEvents"]:
                return self._list(asked, base, self._events(), "enrollmentTroubleshootingEvent")
            case "POST", ["directoryObjects", one, "checkMemberGroups"]:
                return self._check(one, asked.body)
            case "PATCH", ["groups", one] if one in self.groups:
                return self._bind(self.groups[one], asked.body, base)
            case "POST", ["groups", one, "members", "$ref"] if one in self.groups:
                return self._ref(self.groups[one], asked.body, base)
            case "DELETE", ["groups", one, "members", member, "$ref"] if one in self.groups:
                if self.groups[one].members.pop(member, 0) == 0:
                    return _missing(member)
                self.world.leave(self.objects[member])
                return Reply(204)
            case "DELETE", _:
                raise AssertionError(f"{path}: this would delete the device itself")
        return _missing(path)

    # Reading.

    def _list(self, asked: Asked, base: str, rows: Sequence[dict[str, Any]], kind: str) -> Reply:
        name = asked.path.rpartition("/")[2]
        rows = rows[: self.only[name]] if name in self.only else rows
        if "filter" in asked.options:
            chosen = compile_filter(asked.options["filter"])
            rows = [row for row in rows if chosen(row)]
        skip = int(asked.options.get("skiptoken", 0))
        top = min(int(asked.options.get("top", 100)), self.page)
        for row in rows[skip : skip + top]:
            METADATA.check(row, f"graph.{kind}", kind)
        value = [_selected(row, asked) for row in rows[skip : skip + top]]
        data: dict[str, Any] = {"@odata.context": f"{base}/v1.0/$metadata#{asked.path}", "value": value}
        if len(rows) > skip + top:
            kept = [(k, v) for k, v in asked.options.items() if k != "skiptoken"]
            query = "&".join(
                f"${k}={v.replace(' ', '%20')}" for k, v in [*kept, ("skiptoken", str(skip + top))]
            )
            data["@odata.nextLink"] = f"{base}{asked.path}?{query}"
        return Reply(200, data)

    def _device(self, text: str) -> dict[str, Any]:
        row = self.objects[text]
        return {
            "@odata.type": "#microsoft.graph.device",
            "id": text,
            "deviceId": str(self.fleet.ids[row]),
            "displayName": str(self.fleet.names[row]),
            "trustType": "ServerAd",
            "accountEnabled": True,
        }

    def _group(self, grouped: Grouped) -> dict[str, Any]:
        row = {
            "id": grouped.id,
            "displayName": grouped.name,
            "securityEnabled": True,
            "mailEnabled": False,
            "groupTypes": [],
            "isAssignableToRole": None,
            "onPremisesSyncEnabled": None,
            "membershipRule": None,
        } | grouped.extra
        METADATA.check(row, "graph.group", "group")
        return row

    def _managed(self) -> list[dict[str, Any]]:
        now = self.now()
        if self._managed_at != now:
            self._managed_at, self._managed_rows = now, self._managed_now()
        return self._managed_rows

    def _managed_now(self) -> list[dict[str, Any]]:
        outcome, at, _code = self.world.look(self.now())
        enrolled = np.flatnonzero(outcome == Outcome.ENROLLED).tolist()
        return [
            {
                "id": guid(f"managed {row}"),
                "azureADDeviceId": str(self.fleet.ids[row]),
                "deviceName": str(self.fleet.names[row]),
                "managementAgent": "configurationManagerClientMdm",
                "managementState": "managed",
                "deviceEnrollmentType": "windowsCoManagement",
                "enrolledDateTime": _date(int(at[row])),
                "configurationManagerClientEnabledFeatures": None,
            }
            for row in enrolled
        ]

    def _events(self) -> list[dict[str, Any]]:
        outcome, at, code = self.world.look(self.now())
        return [
            {
                "@odata.type": "#microsoft.graph.enrollmentTroubleshootingEvent",
                "id": guid(f"event {row} {at[row]}"),
                "eventDateTime": _date(int(at[row])),
                "deviceId": str(self.fleet.ids[row]),
                "enrollmentType": "windowsCoManagement",
                "failureCategory": "unknown",
                "failureReason": f"MDM enrollment failed with 0x{int(code[row]):08X}",
            }
            for row in np.flatnonzero(outcome == Outcome.FAILED).tolist()
            if self.horizon_s is None or at[row] >= self.now() - self.horizon_s
        ]

    def _check(self, text: str, body: Any) -> Reply:
        METADATA.check_body("checkMemberGroups", body)
        if text not in self.objects or text in self.gone:
            return _missing(text)
        hits = [g for g in body["groupIds"] if g in self.groups and text in self.groups[g].members]
        return Reply(200, {"value": hits})

    # Writing.

    def _linked(self, url: str, base: str) -> str:
        match = re.fullmatch(re.escape(base) + r"/v1\.0/directoryObjects/([0-9a-f-]{36})", url)
        if match is None:
            raise ContractError(f"no link to an object of this cloud: {url}")
        return match[1]

    def _bind(self, group: Grouped, body: Any, base: str) -> Reply:
        if not isinstance(body, dict) or set(body) - {"@odata.type"} != {"members@odata.bind"}:
            return _error(400, "Request_BadRequest", "unknown property")
        links = [self._linked(url, base) for url in body["members@odata.bind"]]
        if len(links) > 20:
            return _error(400, "Request_BadRequest", "A resource cannot contain more than 20 link changes.")
        for link in links:
            if link not in self.objects or link in self.gone:
                return _missing(link)
        if any(link in group.members for link in links):
            return _already()
        for link in links:
            self._enter(group, link)
        return Reply(204)

    def _ref(self, group: Grouped, body: Any, base: str) -> Reply:
        one = self._linked(body["@odata.id"], base)
        if one not in self.objects or one in self.gone:
            return _missing(one)
        if one in group.members:
            return _already()
        self._enter(group, one)
        return Reply(204)

    def _enter(self, group: Grouped, text: str) -> None:
        group.members[text] = None
        if group.id == GROUP:
            self.world.enter(self.objects[text], self.now())


def _selected(row: dict[str, Any], asked: Asked) -> dict[str, Any]:
    fields = asked.options.get("select")
    if not fields:
        return row
    wanted = set(fields.split(","))
    return {name: value for name, value in row.items() if name in wanted or name == "@odata.type"}


def _plain(value: str) -> str:
    from urllib.parse import unquote

    return unquote(value)


def _date(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _missing(what: str) -> Reply:
    return _error(404, "Request_ResourceNotFound", f"Resource '{what}' does not exist.")


def _already() -> Reply:
    text = (
        "One or more added object references already exist for the following modified properties: 'members'."
    )
    return _error(400, "Request_BadRequest", text)


def _error(status: int, code: str, text: str, headers: dict[str, str] | None = None) -> Reply:
    inner = {"date": "2027-01-11T00:00:00", "request-id": guid(text)}
    return Reply(status, {"error": {"code": code, "message": text, "innerError": inner}}, headers or {})
