"""Changing the members of one group: 20 in a write, some writes at once, singly where one of the 20 is bad.

After a throttling answer or a server error the 20 are looked at before anything is sent again: the change may have
happened. A lost answer ends it with `OutsideError`; the loop looks, then sends what is missing. Writes that are under
way then are waited for, and none begins: what is raised leaves nothing behind that could still go out.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Final

from rollout.directory.graph import requests as ask
from rollout.directory.graph.tenant import Tenant, batch_answers, retry_after, said
from rollout.directory.http.concurrency import together
from rollout.directory.http.requests import Call
from rollout.directory.http.transport import Answer, LostAnswerError
from rollout.errors import OutsideError, RolloutError

log = logging.getLogger("rollout.directory")

TRIES: Final = 6
MANY: Final = 10


class _CrowdedError(Exception):
    """The tenant wants one write at a time. left : devices that are still to be sent."""

    def __init__(self, left: list[str]) -> None:
        super().__init__()
        self.left = left


class GroupLinks:
    """The members of one group, to be changed. counts_members : what a write of 20 costs of the quota, 20 or 1.

    at_once : writes under way at a time; 1 for good after a 409, with which a tenant refuses two writes to one group
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
        """Give the writes that put `object_ids` in (or out), if none of them is refused."""
        root = self._tenant.root
        if not inside:
            return [ask.remove_one(root, self._group, one) for one in object_ids]
        return [ask.bind(root, self._group, some) for some in _chunks(object_ids)]

    def cost(self, members: int, inside: bool) -> float:
        """Give the units of the write quota that so many members cost."""
        return float(-(-members // ask.LINKS) if inside and not self._counts_members else members)

    def change(self, object_ids: Sequence[str], inside: bool) -> dict[str, str]:
        """Send; gives those that the tenant refuses, with reasons."""
        self.gone_out.clear()
        self._over.clear()
        parts = [list(some) for some in _chunks(object_ids)] if inside else [[one] for one in object_ids]
        refused = self._send(self._add if inside else self._remove, parts)
        if len(refused) >= MANY and 2 * len(refused) > len(object_ids):
            raise OutsideError(
                f"the tenant refuses {len(refused)} of {len(object_ids)} devices: {next(iter(refused.values()))}",
                "nobody was rejected for it",
            )
        return refused

    def _send(self, send: Callable[[list[str]], dict[str, str]], parts: list[list[str]]) -> dict[str, str]:
        """Send the parts, some at once; what a 409 left over one after the other."""
        refused: dict[str, str] = {}
        if self.at_once > 1:
            told, parts = self._together(send, parts)
            refused |= told
        for part in parts:
            refused |= send(part)
        return refused

    def _together(
        self, send: Callable[[list[str]], dict[str, str]], parts: list[list[str]]
    ) -> tuple[dict[str, str], list[list[str]]]:
        """Send some parts at once. Gives who is refused, and what is still to be sent after a 409.

        After trouble no part begins; it is raised once all that began have ended.
        """
        troubles: list[RolloutError] = []
        left: list[list[str]] = []

        def one(part: list[str]) -> dict[str, str]:
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
                troubles.append(error)
            return {}

        self._is_crowd = True
        try:
            told = together(one, parts, self.at_once, self._tenant.transport.stay_alive)
        except BaseException:  # a signal, or the lease is lost: nobody is left to hear of what is under way
            self._tenant.transport.pace.end()
            raise
        finally:
            self._is_crowd = False
            self._over.set()
        if troubles:
            raise troubles[0]
        self._over.clear()
        return {row: why for some in told for row, why in some.items()}, left

    def _add(self, some: list[str]) -> dict[str, str]:
        for attempt in range(TRIES):
            call = ask.bind(self._tenant.root, self._group, some)
            answer = self._write(call, some, units=len(some) if self._counts_members else 1)
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
        """After a 409 beside other writes leave it to the end, when nobody else writes."""
        if answer.status == 409 and self._is_crowd:
            raise _CrowdedError(left)

    def _hopeless(self) -> OutsideError:
        return OutsideError(
            f"group {self._group}: no success in {TRIES} tries", "the loop looks and tries again"
        )

    def _write(self, call: Call, some: Sequence[str], units: float = 1.0) -> Answer:
        if self._over.is_set():
            raise OutsideError(f"group {self._group}: not sent: another write met trouble")
        try:
            answer = self._tenant.transport.write(call, units=units)
        except LostAnswerError:
            self.gone_out.update(some)
            raise
        self.gone_out.update(some)
        return answer

    def _missing(self, some: list[str]) -> list[str]:
        inside = self._tenant.members_among(self._group, some)
        return [one for one in some if one not in inside]

    def _one_by_one(self, some: list[str]) -> dict[str, str]:
        """Find the bad one among 20: each by itself, in one batch; what is unclear is looked at."""
        for attempt in range(TRIES):
            if not some:
                return {}
            calls = [ask.add_one(self._tenant.root, self._group, one) for one in some]
            batch = ask.batch(self._tenant.root, calls)
            answer = self._write(batch, some, units=len(some))
            if not answer.ok:
                self._wait_or_raise(batch, answer, attempt)
                some = self._missing(some)
                continue
            items = batch_answers(answer.data, len(some))
            wait = max((retry_after(one) for one in items.values() if one.status in (429, 503)), default=0.0)
            if wait:
                self._tenant.transport.pace.throttled(reads=False)
                self._tenant.transport.pace.hold(wait)
            bad = {some[place]: one for place, one in items.items() if not one.ok}
            left = set(self._missing(list(bad)))
            refused = {one: said(bad[one]) for one in bad if one in left and bad[one].status in (400, 404)}
            some = [one for one in bad if one in left and one not in refused]
            if refused:  # a 404 may mean the device or the group: only the first is a refusal
                self._tenant.must_exist(self._group)
            if not some:
                return refused
            if refused:
                return refused | self._one_by_one(some)
        raise self._hopeless()

    def _remove(self, some: list[str]) -> dict[str, str]:
        (one,) = some
        for attempt in range(TRIES):
            call = ask.remove_one(self._tenant.root, self._group, one)
            answer = self._write(call, [one])
            if answer.ok:
                return {}
            if answer.status == 404:
                self._tenant.must_exist(self._group)
                return {}  # it is out already
            if answer.status == 400:
                return {one: said(answer)}
            self._wait_or_raise(call, answer, attempt)
            if self._missing([one]):
                return {}
            self._make_room(answer, [one])
        raise self._hopeless()

    def _wait_or_raise(self, call: Call, answer: Answer, attempt: int) -> None:
        """After throttling or a server error wait and go on; anything else is for the loop and for people."""
        if answer.status not in (409, 429, 500, 502, 503, 504, 509):
            raise answer.error(call)
        # Beside what the tenant asks for: a Retry-After of 1 s in each answer must not keep us at that pace.
        self._tenant.transport.pace.hold(min(60.0, 2.0**attempt))


def _chunks(object_ids: Sequence[str]) -> list[Sequence[str]]:
    return [object_ids[start : start + ask.LINKS] for start in range(0, len(object_ids), ask.LINKS)]
