"""Changing the members of one group: 20 per write, some writes concurrently, individually if one of the 20 is bad.

After a throttling answer or a server error the 20 are read before anything is sent again: the change may have
happened. A lost answer ends it with `OutsideError`; the loop reads, then sends what is missing. Writes in flight are
then waited for, and no other begins: after an error nothing is left that could still be sent.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final

from rollout.directory.graph import requests as ask
from rollout.directory.graph.tenant import Tenant, batch_answers, error_text, retry_after
from rollout.directory.http.concurrency import map_concurrently
from rollout.directory.http.requests import Call
from rollout.directory.http.transport import Answer, LostAnswerError
from rollout.errors import OutsideError, RolloutError

log = logging.getLogger("rollout.directory")

TRIES: Final = 6
MANY: Final = 10


class _CrowdedError(Exception):
    """The tenant accepts one write at a time only. left : devices that are still to be sent."""

    def __init__(self, left: list[str]) -> None:
        super().__init__()
        self.left = left


class GroupLinks:
    """The members of one group, to be changed. counts_members : a write of 20 costs 20 units of the quota, not 1.

    at_once : concurrent writes; 1 for good after a 409, with which a tenant refuses two writes to one group
    at the same time. gone_out : the devices of the last change whose write may have reached the tenant.
    """

    def __init__(
        self, tenant: Tenant, group_id: str, *, counts_members: bool = False, at_once: int = 1
    ) -> None:
        self._tenant = tenant
        self._group = group_id
        self._counts_members = counts_members
        self._over = threading.Event()
        self._is_crowd = False
        self.at_once = at_once
        self.gone_out: set[str] = set()

    def calls(self, object_ids: Sequence[str], inside: bool) -> list[Call]:
        """Return the writes that add (or remove) `object_ids`, if none of them is refused."""
        root = self._tenant.root
        if not inside:
            return [ask.remove_one(root, self._group, object_id) for object_id in object_ids]
        return [ask.bind(root, self._group, some) for some in _chunks(object_ids)]

    def cost(self, members: int, inside: bool) -> float:
        """Return the units of the write quota that this many members cost."""
        return float(-(-members // ask.LINKS) if inside and not self._counts_members else members)

    def change(self, object_ids: Sequence[str], inside: bool) -> dict[str, str]:
        """Send; return the devices that the tenant refuses, with reasons."""
        self.gone_out.clear()
        self._over.clear()
        parts = (
            [list(some) for some in _chunks(object_ids)]
            if inside
            else [[object_id] for object_id in object_ids]
        )
        refused = self._send(self._add if inside else self._remove, parts)
        if len(refused) >= MANY and 2 * len(refused) > len(object_ids):
            raise OutsideError(
                f"the tenant refuses {len(refused)} of {len(object_ids)} devices: {next(iter(refused.values()))}",
                "no device was rejected for it",
            )
        return refused

    def _send(self, send: Callable[[list[str]], dict[str, str]], parts: list[list[str]]) -> dict[str, str]:
        """Send the parts, some concurrently; after a 409 the rest one by one."""
        refused: dict[str, str] = {}
        if self.at_once > 1:
            refused, parts = self._concurrently(send, parts)
        for part in parts:
            refused |= send(part)
        return refused

    def _concurrently(
        self, send: Callable[[list[str]], dict[str, str]], parts: list[list[str]]
    ) -> tuple[dict[str, str], list[list[str]]]:
        """Send parts concurrently. Return the refused devices, and the parts that are still to be sent after a 409.

        After an error no part begins; it is raised once those in flight have ended.
        """
        errors: list[RolloutError] = []
        left: list[list[str]] = []

        def send_part(part: list[str]) -> dict[str, str]:
            if self.at_once == 1:
                left.append(part)
                return {}
            try:
                return send(part)
            except _CrowdedError as crowded:
                log.info("group %s: 409; one write at a time from now on", self._group)
                self.at_once = 1
                left.append(crowded.left)
            except RolloutError as error:
                self._over.set()
                errors.append(error)
            return {}

        self._is_crowd = True
        try:
            results = map_concurrently(send_part, parts, self.at_once, self._tenant.transport.stay_alive)
        except BaseException:  # a signal, or the lease is lost: nothing more may begin
            self._tenant.transport.pace.end()
            raise
        finally:
            self._is_crowd = False
            self._over.set()
        if errors:
            raise errors[0]
        self._over.clear()
        return {object_id: why for result in results for object_id, why in result.items()}, left

    def _add(self, some: list[str]) -> dict[str, str]:
        for attempt in range(TRIES):
            call = ask.bind(self._tenant.root, self._group, some)
            units = len(some) if self._counts_members else 1
            answer = self._write(call, some, units, may_be_left=True)
            if answer.ok:
                return {}
            if answer.status in (400, 404):
                return self._one_by_one(self._missing(some))
            self._wait_or_raise(call, answer, attempt)
            some = self._missing(some)
            if not some:
                return {}
            self._make_room(answer, some)
        raise self._hopeless()

    def _make_room(self, answer: Answer, left: list[str]) -> None:
        """After a 409 during other writes, leave the rest to the end, when nothing else is written."""
        if answer.status == 409 and self._is_crowd:
            raise _CrowdedError(left)

    def _hopeless(self) -> OutsideError:
        why = self._tenant.transport.refusal()
        return OutsideError(
            f"{why}; " * bool(why) + f"group {self._group}: no success in {TRIES} tries",
            "the loop reads the members and tries again",
        )

    def _write(
        self, call: Call, some: Sequence[str], units: float = 1.0, *, may_be_left: bool = False
    ) -> Answer:
        """Send. may_be_left : after a 409 during other writes, it is left to the end, as in `_make_room`."""

        def begin() -> None:
            # Others may have failed while this one waited for its turn.
            if self._over.is_set():
                raise OutsideError(f"group {self._group}: not sent: a concurrent write failed")
            if may_be_left and self._is_crowd and self.at_once == 1:
                raise _CrowdedError(list(some))

        try:
            answer = self._tenant.transport.write(call, units, begin)
        except LostAnswerError:
            self.gone_out.update(some)
            raise
        self.gone_out.update(some)
        return answer

    def _missing(self, some: list[str]) -> list[str]:
        inside = self._tenant.members_among(self._group, some)
        return [object_id for object_id in some if object_id not in inside]

    def _one_by_one(self, some: list[str]) -> dict[str, str]:
        """Find the bad device among 20: each individually, in one batch; what is unclear is read."""
        for attempt in range(TRIES):
            if not some:
                return {}
            calls = [ask.add_one(self._tenant.root, self._group, object_id) for object_id in some]
            batch = ask.batch(self._tenant.root, calls)
            answer = self._write(batch, some, units=len(some))
            if not answer.ok:
                self._wait_or_raise(batch, answer, attempt)
                some = self._missing(some)
                continue
            items = batch_answers(answer.data, len(some))
            throttled = [item for item in items.values() if item.status in (429, 503)]
            wait = max(map(retry_after, throttled), default=0.0)
            if wait:
                self._tenant.transport.pace.throttled(reads=False)
                self._tenant.transport.pace.hold(wait)
                self._tenant.transport.note_refusal(batch, throttled[0].status, wait)
            bad = {some[place]: item for place, item in items.items() if not item.ok}
            left = set(self._missing(list(bad)))
            refused = {
                object_id: error_text(item)
                for object_id, item in bad.items()
                if object_id in left and item.status in (400, 404)
            }
            some = [object_id for object_id in bad if object_id in left and object_id not in refused]
            if refused:  # a 404 may mean the device or the group: only the first is a refusal
                self._tenant.must_exist(self._group)
            if not some:
                return refused
            if refused:
                return refused | self._one_by_one(some)
        raise self._hopeless()

    def _remove(self, some: list[str]) -> dict[str, str]:
        (object_id,) = some
        for attempt in range(TRIES):
            call = ask.remove_one(self._tenant.root, self._group, object_id)
            answer = self._write(call, [object_id], may_be_left=True)
            if answer.ok:
                return {}
            if answer.status == 404:
                self._tenant.must_exist(self._group)
                return {}  # it is out already
            if answer.status == 400:
                return {object_id: error_text(answer)}
            self._wait_or_raise(call, answer, attempt)
            if self._missing([object_id]):
                return {}
            self._make_room(answer, [object_id])
        raise self._hopeless()

    def _wait_or_raise(self, call: Call, answer: Answer, attempt: int) -> None:
        """After throttling or a server error wait and continue; raise any other error."""
        if answer.status not in (409, 429, 500, 502, 503, 504, 509):
            raise answer.error(call)
        # In addition to Retry-After: 1 s in each answer must not keep us at that pace.
        self._tenant.transport.pace.hold(min(60.0, 2.0**attempt))


def _chunks(object_ids: Sequence[str]) -> list[Sequence[str]]:
    return [object_ids[start : start + ask.LINKS] for start in range(0, len(object_ids), ask.LINKS)]
