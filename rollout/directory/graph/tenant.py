"""An Entra tenant and its Intune through Microsoft Graph: groups, devices, memberships, enrollments."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rollout.directory.graph import requests as ask
from rollout.directory.http.concurrency import map_concurrently
from rollout.directory.http.paging import Row, linked, rows_of
from rollout.directory.http.requests import Call
from rollout.directory.http.transport import Answer, AnswerError, Transport, error_of
from rollout.directory.outcomes import failure_code, instant_of, is_comanaged
from rollout.errors import OutsideError, RefusedError

GUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True, slots=True)
class Group:
    """A group, with all that decides whether we may write to it."""

    id: str
    name: str
    security: bool
    mail: bool
    dynamic: bool
    role: bool
    synced: bool

    def __str__(self) -> str:
        return f"'{self.name}' ({self.id})"

    def obstacle(self) -> str:
        """Explain why its members must not be changed by a program; "" if they may."""
        if self.dynamic:
            return "is dynamic: its members follow a rule"
        if self.synced:
            return "is synced from Active Directory: its members come from there"
        if self.role:
            return "is role-assignable: its members get rights in the tenant"
        if self.mail or not self.security:
            return "is no plain security group"
        return ""


class Tenant:
    """The tenant, as far as we read it. Raises `OutsideError` wherever it cannot be read."""

    def __init__(self, transport: Transport, root: str) -> None:
        self.transport = transport
        self.root = root

    def id(self) -> str | None:
        """Return the tenant id, None if the account may not read it."""
        try:
            rows = rows_of(self.transport.read(ask.organization(self.root)), "organization")
        except AnswerError as error:
            if error.status == 403:
                return None
            raise
        if len(rows) != 1:
            raise OutsideError(f"organization: expected one tenant, found {len(rows)}")
        return str(rows[0].get("id")).lower()

    def find(self, name_or_id: str) -> Group:
        """Find a group. Raise `RefusedError` if there is none or two have this name."""
        if GUID.fullmatch(name_or_id):
            try:
                return _group(self.transport.read(ask.group(self.root, name_or_id)))
            except AnswerError as error:
                if error.status == 404:
                    raise RefusedError(f"group {name_or_id} does not exist") from error
                raise
        rows = rows_of(self.transport.read(ask.groups_named(self.root, name_or_id)), "groups")
        if not rows:
            raise RefusedError(f"there is no group named '{name_or_id}'")
        if len(rows) > 1:
            ids = ", ".join(sorted(str(row.get("id")) for row in rows))
            raise RefusedError(
                f"{len(rows)} groups are named '{name_or_id}': {ids}",
                "set group to its id in the settings",
            )
        return _group(rows[0])

    def devices(self) -> dict[str, str]:
        """Return the object id of each device by its device id, both in lower case."""
        out: dict[str, str] = {}
        for row in linked(self.transport, ask.devices(self.root)):
            device, object_id = str(row.get("deviceId") or "").lower(), str(row.get("id") or "").lower()
            if not object_id or device in out:
                raise OutsideError(
                    f"devices: expected each device once and with an id, found {device!r} twice"
                )
            out[device] = object_id
        return out

    def members(self, group_id: str) -> set[str]:
        """Return the object ids of all members.

        Raise `OutsideError` if a member appears twice, or if the list stays shorter than the group's own count.
        """
        found = self._members(group_id)
        if len(found) < self._members_count(group_id):
            # The count lags behind removals: read again before calling it short.
            found = self._members(group_id)
            count = self._members_count(group_id)
            if len(found) < count:
                raise OutsideError(
                    f"members of {group_id}: a short list: {len(found)} of {count}",
                    "nothing was concluded from it; counts lag for some minutes after removals",
                )
        return found

    def _members(self, group_id: str) -> set[str]:
        out: set[str] = set()
        for row in linked(self.transport, ask.members(self.root, group_id)):
            object_id = str(row.get("id") or "").lower()
            if not object_id:
                raise OutsideError(f"members of {group_id}: a member has no id")
            if object_id in out:
                raise OutsideError(f"members of {group_id}: {object_id} appears twice")
            out.add(object_id)
        return out

    def _members_count(self, group_id: str) -> int:
        data = self.transport.read(ask.members_count(self.root, group_id))
        if isinstance(data, int) and not isinstance(data, bool):
            return data
        raise OutsideError(f"members of {group_id}: expected a count, found {data!r}")

    def members_among(self, group_id: str, object_ids: Sequence[str]) -> set[str]:
        """Return those of `object_ids` that are members; sees all writes. A missing device is not a member.

        Raise `OutsideError` if the group is gone: it then has no members, from which nothing must be concluded.
        """
        return self.find_members(group_id, object_ids)[0]

    def find_members(self, group_id: str, object_ids: Sequence[str]) -> tuple[set[str], set[str]]:
        """Return those of `object_ids` that are members, and those that the tenant does not have any more.

        Raise `OutsideError` as `members_among` does.
        """
        inside: set[str] = set()
        missing: set[str] = set()
        calls = [ask.is_member(self.root, object_id, group_id) for object_id in object_ids]
        for object_id, answer, call in zip(object_ids, self.batched(calls), calls, strict=True):
            if answer.status == 404:
                missing.add(object_id)
                continue
            if not answer.ok:
                raise answer.error(call)
            hits = answer.data.get("value") if isinstance(answer.data, dict) else None
            if not isinstance(hits, list):
                raise OutsideError("checkMemberGroups: expected a list, found something else")
            if any(str(hit).lower() == group_id.lower() for hit in hits):
                inside.add(object_id)
        if object_ids and not inside:
            self.must_exist(group_id)
        return inside, missing

    def devices_named(self, names: Sequence[str]) -> list[Row]:
        """Return the devices with one of these names."""
        calls = [ask.devices_named(self.root, name) for name in names]
        out: list[Row] = []
        for answer, call in zip(self.batched(calls), calls, strict=True):
            if not answer.ok:
                raise answer.error(call)
            out += rows_of(answer.data, "devices")
        return out

    def must_exist(self, group_id: str) -> None:
        """Raise `OutsideError` if the group is gone."""
        try:
            self.transport.read(ask.group(self.root, group_id))
        except AnswerError as error:
            if error.status == 404:
                raise OutsideError(
                    f"group {group_id} is gone", "was it deleted? the rollout waits"
                ) from error
            raise

    def batched(self, calls: Sequence[Call]) -> Iterator[Answer]:
        """Make reading calls, 20 per batch, some batches concurrently.

        Each call is judged separately and repeated while it is throttled.
        """
        parts = [calls[start : start + ask.LINKS] for start in range(0, len(calls), ask.LINKS)]
        at_once = self.transport.pace.in_flight
        if len(parts) == 1 or at_once == 1:
            answered = [self._batch(part) for part in parts]
        else:
            answered = map_concurrently(self._batch, parts, at_once, self.transport.stay_alive)
        for part in answered:
            yield from part

    def _batch(self, calls: Sequence[Call]) -> list[Answer]:
        answers: dict[int, Answer] = {}
        for _ in range(5):
            left = [index for index in range(len(calls)) if index not in answers]
            if not left:
                break
            wait = 0.0
            data = self.transport.read(ask.batch(self.root, [calls[index] for index in left]))
            for place, answer in batch_answers(data, len(left)).items():
                if answer.status in (429, 503, 504):
                    wait = max(wait, retry_after(answer))
                else:
                    answers[left[place]] = answer
            if wait:
                self.transport.pace.hold(wait, reads=True)
        if len(answers) < len(calls):
            raise OutsideError("$batch: some requests stay throttled", "lower the pace, or wait")
        return [answers[index] for index in range(len(calls))]

    def managed(self, device_ids: Sequence[str] | None = None) -> dict[str, bool]:
        """Return which devices Intune has, and whether they are co-managed: all its devices, or some, by device id."""
        if device_ids is None:
            rows = list(linked(self.transport, ask.managed(self.root)))
        else:
            calls = [ask.managed_of(self.root, device) for device in device_ids]
            rows = []
            for answer, call in zip(self.batched(calls), calls, strict=True):
                if not answer.ok:
                    raise answer.error(call)
                rows += rows_of(answer.data, "managedDevices")
        out: dict[str, bool] = {}
        for row in rows:
            device = str(row.get("azureADDeviceId") or "").lower()
            out[device] = out.get(device, False) or is_comanaged(row)
        return out

    def suggested_limit(self) -> int:
        """Return the number of enrollments per day that Intune suggests."""
        data = self.transport.read(ask.suggested_limit(self.root))
        # The examples wrap it in "value"; Microsoft's own client expects it unwrapped.
        data = data.get("value", data) if isinstance(data, dict) else None
        limit = data.get("suggestedDailyLimit") if isinstance(data, dict) else None
        if not isinstance(limit, int) or isinstance(limit, bool):
            raise OutsideError(f"getSuggestedEnrollmentLimit: expected suggestedDailyLimit, found {limit!r}")
        return limit

    def failures(self) -> dict[str, tuple[int, int]]:
        """Return the last failed enrollment of each device: (Unix seconds, HRESULT or 0), by device id."""
        out: dict[str, tuple[int, int]] = {}
        for row in linked(self.transport, ask.failures(self.root)):
            device, at = str(row.get("deviceId") or "").lower(), instant_of(row.get("eventDateTime"))
            if device and at > out.get(device, (-1, 0))[0]:
                out[device] = (at, failure_code(row))
        return out


def batch_answers(data: Any, count: int) -> dict[int, Answer]:
    """Read the answers of a batch by place, from 0; they come in any order.

    Raise `OutsideError` unless there is exactly one answer per request.
    """
    items = data.get("responses") if isinstance(data, dict) else None
    out: dict[int, Answer] = {}
    for item in items if isinstance(items, list) else []:
        try:
            place, status = int(item["id"]) - 1, int(item["status"])
            headers = {str(k).lower(): str(v) for k, v in (item.get("headers") or {}).items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise OutsideError("$batch: expected id and status in each answer") from error
        if place in out or not 0 <= place < count:
            raise OutsideError("$batch: response ids do not match the requests")
        out[place] = Answer(status, headers, item.get("body"))
    if len(out) != count:
        raise OutsideError(f"$batch: {len(out)} answers to {count} requests")
    return out


def retry_after(answer: Answer) -> float:
    """Return the Retry-After of an item of a batch, in seconds; 1 without one."""
    try:
        return min(300.0, max(0.0, float(answer.headers.get("retry-after", 1.0))))
    except ValueError:
        return 1.0


def error_text(answer: Answer) -> str:
    """Return the status of an answer, and the code and text of its error body."""
    code, text = error_of(answer.data)
    return f"{answer.status} {code} {text}".strip()


def _group(row: Row) -> Group:
    kinds = row.get("groupTypes")
    return Group(
        id=str(row.get("id")),
        name=str(row.get("displayName")),
        security=row.get("securityEnabled") is True,
        mail=row.get("mailEnabled") is True,
        dynamic=bool(row.get("membershipRule"))
        or "DynamicMembership" in (kinds if isinstance(kinds, list) else ()),
        role=row.get("isAssignableToRole") is True,
        synced=row.get("onPremisesSyncEnabled") is True,
    )
