"""Why devices are members of a collection no more: their records, their rules, or the limiting collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from rollout.directory.configmgr.membership_rules import MembershipRules
from rollout.directory.configmgr.site import Collection, Site
from rollout.directory.configmgr.site_checks import ALL_SYSTEMS, mismatch
from rollout.directory.http.paging import Row, field_of, number_of
from rollout.directory.short_lists import PROBES, ShortListError, is_short
from rollout.values import Fact

SCAN_ABOVE: Final = 400
"""Up to this many devices are read by their ids, 20 at a time; above it the whole class is read."""

WITNESSES: Final = 20
"""Members that are read together with missing records, to see whether the site shows any."""


class LostMembers:
    """Devices that a collection has lost.

    ids : planned device id by ResourceID of each device that is missing. members : how many members were known.
    since : Unix seconds of the last good observation, -1 if there is none.
    """

    def __init__(
        self, site: Site, collection: Collection, ids: Mapping[int, str], members: int, since: int
    ) -> None:
        self._site, self._collection, self._ids = site, collection, ids
        self._members, self._since = members, since

    def reasons(self, rules: MembershipRules, present: Sequence[int]) -> dict[int, Fact]:
        """Return why each device is out, by ResourceID. present : some devices that are members.

        Raise `ShortListError` if so many are missing without a reason that an answer must be incomplete.
        """
        gone = self._gone(present)
        rules.read_again()
        left = [resource for resource in self._ids if resource not in gone and resource in rules]
        self._confirm_left(left)
        reasons = dict.fromkeys(self._ids, Fact.REMOVED)
        return reasons | dict.fromkeys(left, Fact.LEFT) | dict.fromkeys(gone, Fact.GONE)

    def _gone(self, present: Sequence[int]) -> set[int]:
        """Return the devices whose record is gone, or is that of another device now."""
        witnesses = list(present[:WITNESSES])
        records = self._records([*self._ids, *witnesses])
        gone = {number for number, device in self._ids.items() if mismatch(records.get(number), device)}
        if is_short(len(gone), self._members) and not (
            witnesses and all(map(records.__contains__, witnesses))
        ):
            raise ShortListError("The site", len(gone), self._members, "clients", self._since)
        return gone

    def _records(self, resources: Sequence[int]) -> dict[int, Row]:
        return self._site.devices() if len(resources) > SCAN_ABOVE else self._site.devices_among(resources)

    def _confirm_left(self, left: Sequence[int]) -> None:
        """Members vanish although their rules are there if they left the limiting collection, or if a list is short."""
        if not is_short(len(left), self._members):
            return
        limit = self._site.find(self._collection.id).limited_to  # somebody may have chosen another one
        if limit in ("", ALL_SYSTEMS):
            inside = set(left)  # nobody leaves all systems but with the record
        elif len(left) > SCAN_ABOVE:
            inside = self._site.members(limit) & set(left)
        else:
            inside = self._site.members_among(limit, left, frozenset(left))
        if is_short(len(inside), self._members):
            raise ShortListError("The site", len(inside), self._members, "members", self._since)

    def successors(self, names: Mapping[str, int]) -> dict[int, str]:
        """Return the new record of each computer, by row. names : of computers whose records are gone -> row."""
        out: dict[int, str] = {}
        some = list(names)[:PROBES]
        row_of = {name.lower(): names[name] for name in some}
        for record in self._site.devices_named(some):
            name = str(field_of(record, "Name") or "")
            number = number_of(record, "ResourceId", "SMS_R_System")
            if field_of(record, "Obsolete") != 1 and number not in self._ids and name.lower() in row_of:
                out[row_of[name.lower()]] = f"resource {number} of the same name"
        return out
