"""An AdminService with one site: collections, rules that become members by evaluation, policies, states.

Rows and bodies are held to the metadata by `emulators.csdl`. What is not published (the answer to a rule that exists
already) is answered the harder way: 400.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from emulators.csdl import ContractError, Metadata
from emulators.filters import FilterError, compile_filter
from emulators.people import World
from emulators.web import Asked, Faulty, Reply
from rollout.values import Fleet, Outcome

ROOT = "/AdminService"
TARGET = "P0100010"
LIMIT = "P0100001"
KEYED = re.compile(r"(\w+)\('([^']+)'\)")
METHOD = re.compile(r"SMS_Collection\('([^']+)'\)/AdminService\.(\w+)")
METADATA = Metadata("adminservice.csdl")


@dataclass
class Collected:
    """A collection. due : when its next evaluation ends, None = none is asked for."""

    id: str
    name: str
    limited_to: str = LIMIT
    kind: int = 2
    built_in: bool = False
    rules: dict[int, dict[str, Any]] = field(default_factory=dict)
    members: set[int] = field(default_factory=set)
    due: float | None = None
    rights: int = 3


class AdminService(Faulty):
    """The emulator. evaluation_s : how long an evaluation takes. page_max : rows that it gives at most at once."""

    def __init__(
        self,
        fleet: Fleet,
        world: World,
        now: Callable[[], int],
        evaluation_s: float = 0,
        page_max: int = 10_000,
    ) -> None:
        super().__init__()
        self.fleet, self.world, self.now = fleet, world, now
        self.evaluation_s, self.page_max = evaluation_s, page_max
        self.site_code = "P01"
        self.mode = "pilot"
        self.cloud_sync: list[dict[str, Any]] = []
        self.row_of = {int(item): row for row, item in enumerate(fleet.resource_ids)}
        self.gone: set[int] = set()
        self.collections = {
            item.id: item
            for item in (
                Collected("SMS00001", "All Systems", "", built_in=True),
                Collected(LIMIT, "All clients", "SMS00001", members=set(self.row_of)),
                Collected(TARGET, "Intune Auto Enrollment"),
            )
        }
        self.only: dict[str, int] = {}
        """Class -> how many of its rows the site shows: it answers with success, and its count agrees."""
        self.newcomers: list[dict[str, Any]] = []
        """Records of computers that were set up again."""
        self.refreshes = 0
        self.notified: list[int] = []

    @property
    def target(self) -> Collected:
        return self.collections[TARGET]

    def is_write(self, asked: Asked) -> bool:
        return asked.method != "GET"

    def serve(self, asked: Asked) -> Reply:
        self._evaluate()
        path = asked.path.removeprefix(f"{ROOT}/wmi/")
        try:
            if asked.method == "POST":
                return self._post(path, asked.body)
            if path.endswith("/$count"):
                return Reply(200, len(self._chosen(path.removesuffix("/$count"), asked)))
            if match := KEYED.fullmatch(path):
                return self._keyed(*match.groups())
            return self._list(path, asked)
        except (FilterError, KeyError) as error:
            return _error(404, f"not found: {error}")
        except ContractError as error:
            return _error(400, str(error))

    # Reading.

    def _list(self, name: str, asked: Asked) -> Reply:
        rows = self._chosen(name, asked)
        if order := asked.options.get("orderby"):
            rows.sort(key=lambda row: row[order])
        skip = int(asked.options.get("skip", 0))
        top = min(int(asked.options.get("top", self.page_max)), self.page_max)
        fields = asked.options.get("select")
        rows = rows[skip : skip + top]
        for row in rows:
            METADATA.check(row, f"x.{name}", name)
        if fields:
            rows = [{part: row[part] for part in fields.split(",") if part in row} for row in rows]
            known = METADATA.properties(name)
            if unknown := [part for part in fields.split(",") if part not in known]:
                return _error(400, f"no property {unknown[0]}")
        return Reply(200, {"@odata.context": f"{ROOT}/wmi/$metadata#{name}", "value": rows})

    def _chosen(self, name: str, asked: Asked) -> list[dict[str, Any]]:
        chosen = compile_filter(asked.options.get("filter", ""))
        rows = self._rows(name)
        if name == "SMS_R_System":
            rows += self.newcomers
        return [row for row in rows[: self.only.get(name, len(rows))] if chosen(row)]

    def _rows(self, name: str) -> list[dict[str, Any]]:
        if name == "SMS_Site":
            return [{"SiteCode": self.site_code, "SiteName": "Primary", "Version": "5.00.9128.1000"}]
        if name == "SMS_Collection":
            return [self._collection(collection) for collection in self.collections.values()]
        if name == "SMS_FullCollectionMembership":
            return [
                {
                    "CollectionID": collection.id,
                    "ResourceID": member,
                    "Name": self._name(member),
                    "IsDirect": True,
                }
                for collection in self.collections.values()
                for member in sorted(collection.members)
            ]
        if name == "SMS_R_System":
            return [self._device(row_of) for row_of in self.row_of if row_of not in self.gone]
        if name == "SMS_Client_ComanagementState":
            return self._states()
        if name == "SMS_CoManagementSettings":
            return [{"CI_ID": 501, "LocalizedDisplayName": "CoMgmtSettings", "IsLatest": True}]
        if name == "SMS_ConfigurationPolicyAssignment":
            return self._assignments()
        if name == "SMS_CollectionAADGroupMapping":
            return self.cloud_sync
        raise KeyError(name)

    def _keyed(self, name: str, key: str) -> Reply:
        if name != "SMS_Collection" or key not in self.collections:
            return _error(404, f"no {name} {key}")
        one = self.collections[key]
        rules = [
            {"@odata.type": "#AdminService.SMS_CollectionRuleDirect", **rule} for rule in one.rules.values()
        ]
        row = self._collection(one) | {"CollectionRules": rules, "__QUALIFIER_SECURITYVERBS": one.rights}
        METADATA.check(row, "x.SMS_Collection", key)
        return Reply(200, {"value": [row]})

    def _collection(self, collected: Collected) -> dict[str, Any]:
        return {
            "CollectionID": collected.id,
            "Name": collected.name,
            "CollectionType": collected.kind,
            "MemberCount": len(collected.members),
            "LimitToCollectionID": collected.limited_to,
            "LimitToCollectionName": "",
            "IsBuiltIn": collected.built_in,
        }

    def _name(self, resource: int) -> str:
        return str(self.fleet.names[self.row_of[resource]])

    def _device(self, resource: int) -> dict[str, Any]:
        row = self.row_of[resource]
        return {
            "ResourceId": resource,
            "Name": str(self.fleet.names[row]),
            "AADDeviceID": str(self.fleet.ids[row]).upper(),
            "Client": 1,
            "Obsolete": 0,
            "Decommissioned": 0,
        }

    def _states(self) -> list[dict[str, Any]]:
        outcome, _at, code = self.world.look(self.now())
        out = []
        for resource, row in self.row_of.items():
            if outcome[row] < 0 or resource in self.gone:
                continue
            enrolled = bool(outcome[row] == Outcome.ENROLLED)
            failed = bool(outcome[row] == Outcome.FAILED)
            out.append(
                {
                    "ResourceID": resource,
                    "MDMEnrolled": enrolled,
                    "ComgmtPolicyPresent": True,
                    "MDMProvisioned": enrolled,
                    "MDMWorkloads": "1",
                    "EnrollmentFailed": failed,
                    "EnrollmentStatusCode": int(code[row]),
                    "EnrollmentErrorDetail": "",
                    "PendingLogon": False,
                    "EnrollmentScheduled": not enrolled and not failed,
                }
            )
        return out

    def _assignments(self) -> list[dict[str, Any]]:
        deployed = [("CoMgmtSettingsProd", "SMS00001")]
        if self.mode == "pilot":
            deployed.append(("CoMgmtSettingsPilotAutoEnroll", TARGET))
        if self.mode == "all":
            deployed.append(("CoMgmtSettingsProdAutoEnroll", "SMS00001"))
        return [
            {
                "AssignmentID": 100 + index,
                "AssignmentName": name,
                "TargetCollectionID": collection,
                "AssignedCIs": [501],
                "Enabled": True,
            }
            for index, (name, collection) in enumerate(deployed)
        ]

    # Writing.

    def add(self, rows: list[int]) -> None:
        """Somebody else makes devices members."""
        resources = list(self.row_of)
        self.target.members.update(resources[row] for row in rows)

    def remove(self, rows: list[int]) -> None:
        """A colleague deletes the rules of devices; what is on the devices stays."""
        for resource in self._resources(rows):
            self.target.rules.pop(resource, None)
            self.target.members.discard(resource)

    def restore(self, rows: list[int]) -> None:
        """A colleague adds the rules of devices again."""
        for resource in self._resources(rows):
            self.target.rules[resource] = {
                "ResourceClassName": "SMS_R_System",
                "RuleName": self._name(resource),
                "ResourceID": resource,
            }
            self.target.members.add(resource)

    def leave(self, rows: list[int]) -> None:
        """Devices leave the limiting collection: no members any more, although their rules are there."""
        for resource in self._resources(rows):
            self.collections[LIMIT].members.discard(resource)
            self.target.members.discard(resource)

    def delete(self, rows: list[int], *, set_up_again: bool = False) -> None:
        """The records of devices are deleted; set_up_again : there is a new one of the same computer."""
        for resource in self._resources(rows):
            for collection in self.collections.values():
                collection.rules.pop(resource, None)
                collection.members.discard(resource)
            if set_up_again:
                fresh = {"ResourceId": resource + 1_000_000, "AADDeviceID": ""}
                self.newcomers.append(self._device(resource) | fresh)
            self.gone.add(resource)

    def _resources(self, rows: list[int]) -> list[int]:
        resources = list(self.row_of)
        return [resources[row] for row in rows]

    def _post(self, path: str, body: Any) -> Reply:
        if path == "SMS_ClientOperation.InitiateClientOperation":
            METADATA.check_body("InitiateClientOperation", body)
            assert body["Type"] == 8, "anything but 8 is an Endpoint Protection action or worse"
            self.notified += body["TargetResourceIDs"]
            return Reply(201, {"ReturnValue": 0, "OperationID": 1})
        match = METHOD.fullmatch(path)
        if match is None or match[1] not in self.collections:
            return _error(404, f"no {path}")
        one, method = self.collections[match[1]], match[2]
        METADATA.check_body(method, body)
        if method == "RequestRefresh":
            self.refreshes += 1
            one.due = self.now() + self.evaluation_s
            self._evaluate()
        elif method == "AddMembershipRule":
            return self._add(one, body["collectionRule"])
        elif method == "DeleteMembershipRule":
            resource = body["collectionRule"]["ResourceID"]
            if one.rules.pop(resource, None) is None:
                return _error(400, "the rule does not exist")
            self.world.leave(self.row_of[resource])
        else:
            return _error(404, "ODataParameterReader.ReadAsync was called in the 'ResourceSet' state")
        return Reply(201, {"@odata.context": f"{ROOT}/wmi/$metadata#__PARAMETERS", "ReturnValue": 0})

    def _add(self, collected: Collected, rule: dict[str, Any]) -> Reply:
        resource = rule.get("ResourceID")
        if rule.get("@odata.type") != "#AdminService.SMS_CollectionRuleDirect" or collected.built_in:
            return _error(400, "not allowed")
        if resource not in self.row_of or resource in self.gone:
            return _error(404, f"no resource {resource}")
        if resource in collected.rules:
            return _error(400, "the rule exists already")
        collected.rules[resource] = {k: v for k, v in rule.items() if k != "@odata.type"}
        if collected.id == TARGET and resource in self.collections[LIMIT].members:
            self.world.enter(self.row_of[resource], self.now())
        return Reply(201, {"@odata.context": f"{ROOT}/wmi/$metadata#__PARAMETERS", "ReturnValue": 0})

    def shown_members(self, collection: str) -> set[int]:
        """Give the resources that a collection shows as members now."""
        self._evaluate()
        return self.collections[collection].members

    def _evaluate(self) -> None:
        for collection in self.collections.values():
            if collection.due is not None and collection.due <= self.now():
                collection.due = None
                allowed = set(self.row_of)
                if collection.limited_to in self.collections and collection.limited_to != "SMS00001":
                    allowed = self.collections[collection.limited_to].members
                collection.members = (set(collection.rules) & allowed) - self.gone


def _error(status: int, text: str) -> Reply:
    return Reply(status, {"error": {"code": str(status), "message": text}})
