"""A ConfigMgr site through its AdminService: collections, their members and rules, policies, devices."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from rollout.directory.configmgr import requests as ask
from rollout.directory.http.paging import AT_ONCE, Row, after_id, among, field_of, linked, number_of, rows_of
from rollout.directory.http.transport import AnswerError, Transport
from rollout.errors import OutsideError, RefusedError

COLLECTION_ID: Final = re.compile(r"[A-Z0-9]{3}[0-9A-F]{5}")
DEVICE_COLLECTION: Final = 2
READ, MODIFY = 1, 2
"""Bits of __QUALIFIER_SECURITYVERBS: the account's rights on an object."""


@dataclass(frozen=True, slots=True)
class Collection:
    """A device collection. rights : bits of our rights, -1 = unknown."""

    id: str
    name: str
    kind: int
    limited_to: str
    built_in: bool
    rights: int = -1

    def __str__(self) -> str:
        return f"'{self.name}' ({self.id})"


@dataclass(frozen=True, slots=True)
class Target:
    """A deployment of a co-management policy."""

    name: str
    collection: str
    enabled: bool


class Site:
    """The site, as far as we read it. Raises `OutsideError` wherever it cannot be read."""

    def __init__(self, transport: Transport, root: str) -> None:
        self.transport = transport
        self.root = root

    def code(self) -> str:
        """Return the site code."""
        rows = rows_of(self.transport.read(ask.site(self.root)), "SMS_Site")
        codes = sorted({str(field_of(row, "SiteCode")) for row in rows})
        # A hierarchy shows all its sites; the top site reports to no other, and names the hierarchy.
        tops = sorted({str(field_of(r, "SiteCode")) for r in rows if not field_of(r, "ReportingSiteCode")})
        if not codes:
            raise OutsideError("SMS_Site: expected a site, found none")
        return codes[0] if len(codes) == 1 else tops[0] if len(tops) == 1 else codes[0]

    def find(self, name_or_id: str) -> Collection:
        """Find a collection. Raise `RefusedError` if there is none or two have this name."""
        if COLLECTION_ID.fullmatch(name_or_id):
            return self._by_id(name_or_id)
        rows = rows_of(self.transport.read(ask.collections_named(self.root, name_or_id)), "SMS_Collection")
        if not rows:
            raise RefusedError(
                f"there is no collection named '{name_or_id}'",
                "create it, or name another in the settings; the account sees only what its scopes allow",
            )
        if len(rows) > 1:
            ids = ", ".join(sorted(str(row.get("CollectionID")) for row in rows))
            raise RefusedError(
                f"{len(rows)} collections are named '{name_or_id}': {ids}",
                "set collection to its id in the settings",
            )
        return self._by_id(str(rows[0].get("CollectionID")))

    def _by_id(self, collection_id: str) -> Collection:
        row = self._keyed(collection_id)
        rights = row.get("__QUALIFIER_SECURITYVERBS")
        return Collection(
            id=str(row.get("CollectionID")),
            name=str(row.get("Name")),
            kind=number_of(row, "CollectionType", "SMS_Collection"),
            limited_to=str(row.get("LimitToCollectionID") or ""),
            built_in=bool(row.get("IsBuiltIn")),
            rights=rights if isinstance(rights, int) else -1,
        )

    def _keyed(self, collection_id: str) -> Row:
        try:
            data = self.transport.read(ask.collection(self.root, collection_id))
        except AnswerError as error:
            if error.status == 404:
                raise RefusedError(f"collection {collection_id} does not exist") from error
            raise
        rows = data.get("value") if isinstance(data, dict) and "value" in data else [data]
        if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0], dict):
            raise OutsideError(f"SMS_Collection {collection_id}: expected one object, found something else")
        row: Row = rows[0]
        if row.get("CollectionID") != collection_id:
            raise OutsideError(f"asked for collection {collection_id}, found {row.get('CollectionID')!r}")
        return row

    def rules(self, collection_id: str) -> dict[int, Row]:
        """Return the direct rules of a collection by ResourceID.

        Raise `OutsideError` if the collection is gone.
        """
        try:
            rules = self._keyed(collection_id).get("CollectionRules")
        except RefusedError as error:
            raise OutsideError(error.message, "was it deleted? the rollout waits") from error
        if rules is None:
            return {}
        if not isinstance(rules, list) or not all(isinstance(rule, dict) for rule in rules):
            raise OutsideError(f"collection {collection_id}: expected a list of rules, found something else")
        direct = (rule for rule in rules if field_of(rule, "ResourceID") is not None)
        return {number_of(rule, "ResourceID", "CollectionRules"): rule for rule in direct}

    def must_exist(self, collection_id: str) -> None:
        """Raise `OutsideError` if the collection is gone."""
        data = self.transport.read(ask.collection_exists(self.root, collection_id))
        if not rows_of(data, "SMS_Collection"):
            raise OutsideError(f"collection {collection_id} is gone", "was it deleted? the rollout waits")

    def members(self, collection_id: str) -> set[int]:
        """Return the ResourceIDs of all visible members."""
        where, what = ask.members_where(collection_id), "SMS_FullCollectionMembership"
        return set(
            after_id(
                self.transport,
                lambda after: ask.page(self.root, what, "ResourceID", after, where, "ResourceID"),
                ask.count(self.root, what, where),
                "ResourceID",
            )
        )

    def members_among(
        self, collection_id: str, resources: Sequence[int], expected: Container[int] = ()
    ) -> set[int]:
        """Return those of `resources` that are visible members. expected : resources whose absence is confirmed."""
        where, what = ask.members_where(collection_id), "SMS_FullCollectionMembership"
        return set(
            among(
                self.transport,
                lambda some: ask.members_among(self.root, collection_id, some),
                lambda some: ask.count(self.root, what, f"{where} and ({ask.some_of(some)})"),
                resources,
                expected,
                "ResourceID",
            )
        )

    def states(self, resources: Sequence[int] | None = None, expected: Container[int] = ()) -> dict[int, Row]:
        """Return the co-management states by ResourceID: of all devices, or of some.

        expected : resources whose absence is confirmed.
        """
        what = "SMS_Client_ComanagementState"
        if resources is None:
            return after_id(
                self.transport,
                lambda after: ask.page(self.root, what, "ResourceID", after, select=ask.STATE),
                ask.count(self.root, what),
                "ResourceID",
            )
        return among(
            self.transport,
            lambda some: ask.states_among(self.root, some),
            lambda some: ask.count(self.root, what, ask.some_of(some)),
            resources,
            expected,
            "ResourceID",
        )

    def devices(self) -> dict[int, Row]:
        """Return all devices of the site by ResourceID."""
        return after_id(
            self.transport,
            lambda after: ask.page(self.root, "SMS_R_System", "ResourceId", after, select=ask.DEVICE),
            ask.count(self.root, "SMS_R_System"),
            "ResourceId",
        )

    def devices_among(self, resources: Sequence[int]) -> dict[int, Row]:
        """Return the records of some devices by ResourceID; that one is missing is confirmed."""
        return among(
            self.transport,
            lambda some: ask.devices_among(self.root, some),
            lambda some: ask.count(self.root, "SMS_R_System", ask.devices_where(some)),
            resources,
            frozenset(resources),
            "ResourceId",
        )

    def devices_named(self, names: Sequence[str]) -> list[Row]:
        """Return the records of computers by their names: none, one or several of each."""
        parts = [names[first : first + AT_ONCE] for first in range(0, len(names), AT_ONCE)]
        calls = (ask.devices_named(self.root, part) for part in parts)
        return [row for call in calls for row in linked(self.transport, call)]

    def targets(self) -> list[Target]:
        """Return the collections to which co-management policies are deployed."""
        policies = rows_of(self.transport.read(ask.policies(self.root)), "SMS_CoManagementSettings")
        ours = {row.get("CI_ID") for row in policies if row.get("IsLatest") is not False}
        assigned = rows_of(
            self.transport.read(ask.assignments(self.root)), "SMS_ConfigurationPolicyAssignment"
        )
        return [
            Target(
                str(row.get("AssignmentName") or ""),
                str(row.get("TargetCollectionID") or ""),
                row.get("Enabled") is not False,
            )
            for row in assigned
            if ours & set(_list(row.get("AssignedCIs")))
        ]

    def cloud_groups(self) -> dict[str, tuple[str, ...]]:
        """Return the Entra groups into which collections are copied, by CollectionID."""
        rows = rows_of(self.transport.read(ask.cloud_sync(self.root)), "SMS_CollectionAADGroupMapping")
        out: dict[str, tuple[str, ...]] = {}
        for row in rows:
            collection = str(row.get("CollectionSiteID"))
            out[collection] = (*out.get(collection, ()), str(row.get("AADGroupID")).lower())
        return out


def _list(value: Any) -> Iterable[Any]:
    return value if isinstance(value, list) else ()
