"""The direct rules of one collection: what is accepted, and how a change is sent and settled.

One call per device, some concurrently. A write is never repeated here: after anything but success the rules are read
again, and what is missing then is either refused for good or left to the loop, which reads and sends again.
A 404 may mean the device or the collection: before anything else is sent, the collection is read.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from rollout.directory.configmgr import requests as ask
from rollout.directory.configmgr.site import Site
from rollout.directory.http.concurrency import map_concurrently
from rollout.directory.http.paging import Row
from rollout.directory.http.requests import Call
from rollout.directory.http.transport import LostAnswerError
from rollout.errors import OutsideError

STALE_S: Final = 60.0
"""Seconds for which the rules are used as they were read; the same as with a group."""

STALE_TIMES: Final = 20.0
"""Reading the rules of a large collection again takes at most this fraction of the time (one part in N)."""

BUSY: Final = frozenset({429, 502, 503, 504, 509})
"""Answers that blame no device: the site takes no writes at the moment."""

STRIKES: Final = 3
"""Server errors that a device may meet, while others succeed, before it is refused."""

MANY: Final = 10
"""From this many refused devices, if they are more than half of those sent, the devices are not to blame."""


@dataclass(frozen=True, slots=True)
class _Sent:
    """The result of one write. refused : the site refused this device."""

    ok: bool = False
    refused: bool = False
    text: str = ""


class _OverError(Exception):
    """No other write may begin."""


class MembershipRules:
    """The known rules of a collection. In all methods, `inside` says whether a device should have a rule.

    gone_out : the devices of the last change whose write may have reached the site.
    """

    def __init__(self, site: Site, collection_id: str, in_flight: int) -> None:
        self._site = site
        self._collection = collection_id
        self._in_flight = in_flight
        self._rules: dict[int, Row] = {}
        self._in_doubt = True
        self._read_at, self._reading_s = -math.inf, 0.0
        self._strikes: dict[int, int] = {}
        self._reading = threading.Lock()
        self._over = threading.Event()
        self.gone_out: set[int] = set()

    def settle(self, *, is_fresh: bool = False) -> None:
        """Read the rules, at first and whenever the result of a write is unclear.

        is_fresh : read them also when they are old, since other administrators change them too. They are
            old after STALE_S, or after STALE_TIMES as long as it took to read them.
        """
        clock = self._site.transport.clock
        begun = clock.monotonic()
        is_old = begun - self._read_at > max(STALE_S, STALE_TIMES * self._reading_s)
        if self._in_doubt or (is_fresh and is_old):
            self._rules = self._site.rules(self._collection)
            self._in_doubt = False
            self._read_at = clock.monotonic()
            self._reading_s = self._read_at - begun

    def read_again(self) -> None:
        """Read the rules now, however recently they were read."""
        self._in_doubt = True
        self.settle()

    def __contains__(self, resource: int) -> bool:
        return resource in self._rules

    def is_done(self, resource: int, inside: bool) -> bool:
        """Return whether nothing is left to send for a device."""
        return (resource in self._rules) == inside

    def call(self, resource: int, name: str, inside: bool) -> Call:
        """Return the write for a device."""
        if not inside:
            return ask.delete_rule(self._site.root, self._collection, self._rules[resource])
        return ask.add_rule(self._site.root, self._collection, name, resource)

    def change(self, names: Mapping[int, str], inside: bool) -> dict[int, str]:
        """Send one write per device (ResourceID -> name) and settle what is unclear.

        Returns the devices that the site refuses, with reasons. Raise `OutsideError` if a device is neither done
        nor refused, or if so many are refused that it must have another cause.
        """
        self.gone_out.clear()
        return self._change(names, inside)

    def _change(self, names: Mapping[int, str], inside: bool) -> dict[int, str]:
        resources = [resource for resource in names if not self.is_done(resource, inside)]
        sent = dict(zip(resources, self._send(resources, names, inside), strict=True))
        for resource, result in sent.items():
            if result.ok:
                self._take_in(resource, names[resource], inside)
        unclear = [resource for resource in resources if not sent[resource].ok]
        if not unclear:
            return {}
        self._in_doubt = True
        self.settle()
        left = [resource for resource in unclear if not self.is_done(resource, inside)]
        refused = {resource: sent[resource].text for resource in left if sent[resource].refused}
        if len(refused) >= MANY and 2 * len(refused) > len(resources):
            first = next(iter(refused.values()))
            raise OutsideError(
                f"the site refuses {len(refused)} of {len(resources)} devices: {first}",
                "no device was rejected for it; see AdminService.log on the provider",
            )
        errors = [sent[resource].text for resource in left if resource not in refused and sent[resource].text]
        if errors:
            raise OutsideError(errors[0], "the loop reads the rules and sends again")
        # What was in doubt has happened; devices that waited for it are sent now.
        waited = {resource: names[resource] for resource in left if resource not in refused}
        return refused | (self._change(waited, inside) if waited else {})

    def _send(self, resources: Sequence[int], names: Mapping[int, str], inside: bool) -> list[_Sent]:
        """Send; after an answer that is neither success nor a refusal, no other write begins."""
        self._over.clear()

        def send(resource: int) -> _Sent:
            with self._reading:  # while the collection is being read, no write begins
                if self._over.is_set():
                    return _Sent()
            sent = self._send_one(self.call(resource, names[resource], inside), resource)
            if not sent.ok and not sent.refused:
                self._over.set()
            return sent

        if self._in_flight == 1 or not resources:
            return [send(resource) for resource in resources]
        return self._concurrently(send, resources)

    def _concurrently(self, send: Callable[[int], _Sent], resources: Sequence[int]) -> list[_Sent]:
        transport = self._site.transport
        try:
            return map_concurrently(send, resources, self._in_flight, transport.stay_alive)
        except BaseException:  # a signal, or the lease is lost: nothing more may begin
            self._over.set()
            transport.pace.end()
            raise

    def _send_one(self, call: Call, resource: int) -> _Sent:
        try:
            answer = self._site.transport.write(call, begin=self._begin)
        except _OverError:
            return _Sent()
        except OutsideError as error:
            if isinstance(error, LostAnswerError):
                self.gone_out.add(resource)
            return _Sent(text=error.message)
        self.gone_out.add(resource)
        if answer.ok:
            value = answer.data.get("ReturnValue", 0) if isinstance(answer.data, dict) else 0
            return _Sent(ok=True) if value == 0 else _Sent(refused=True, text=f"ReturnValue {value}")
        text = answer.error(call).message
        if answer.status in BUSY:  # the site takes no writes now: `status` shows why, and since when
            text = self._site.transport.refusal() or text
        if answer.status == 404:
            return self._not_found(text)
        if answer.status == 500:
            # One device may be what the provider stumbles over; a provider that is down refuses all.
            self._strikes[resource] = self._strikes.get(resource, 0) + 1
            return _Sent(refused=self._strikes[resource] >= STRIKES, text=text)
        return _Sent(refused=answer.status in (400, 409), text=text)

    def _begin(self) -> None:
        """Ask again once our turn has come: meanwhile another write may have failed."""
        if self._over.is_set():
            raise _OverError

    def _not_found(self, text: str) -> _Sent:
        """Distinguish a missing device, which is refused, from a missing collection, after which no write begins."""
        with self._reading:
            if self._over.is_set():
                return _Sent(text=text)
            try:
                self._site.must_exist(self._collection)
            except OutsideError as error:
                self._over.set()
                return _Sent(text=error.message)
        return _Sent(refused=True, text=text)

    def _take_in(self, resource: int, name: str, inside: bool) -> None:
        self._strikes.pop(resource, None)
        if inside:
            self._rules[resource] = ask.direct_rule(name, resource)
        else:
            self._rules.pop(resource, None)
