"""Our requests before a judge that we did not write: odatapy, serving Microsoft's metadata strictly.

It refuses unknown classes, properties, parameters, types and malformed filters. What it does not speak of the two
services' dialects is named where it is left out.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from emulators.adminservice import LIMIT, TARGET
from emulators.csdl import CONTRACT
from emulators.graph import GROUP
from emulators.people import FIRST_RESOURCE, make_fleet
from emulators.web import FakeTime
from opened import ROOT, rows, site, tenant

from rollout.directory.configmgr import requests as ask
from rollout.directory.configmgr.site import Site
from rollout.directory.graph import requests as graph_ask
from rollout.directory.graph.tenant import Tenant
from rollout.directory.http.pace import Pace
from rollout.directory.http.requests import Call
from rollout.directory.http.transport import AnswerError, Transport

pytest.importorskip("odatapy", reason="the foreign OData server is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

SITE = "http://127.0.0.1:1/AdminService/wmi/"
GRAPH = "http://127.0.0.1:1/v1.0/"


class Judge:
    """odatapy over one of the metadata documents."""

    def __init__(self, document: str, base: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from odatapy.edm.xml_io import XmlEdmProvider
            from odatapy.server import OData
            from odatapy.server.inmemory import InMemoryDataStore, InMemoryProcessor
            from odatapy.server.processor import ActionProcessor

        from odatapy.server.deserializer.json_deserializer import ODataJsonDeserializer

        odata = OData.new_instance(strict_deserialization=True)
        self.base = base
        self.metadata = odata.create_service_metadata(XmlEdmProvider.from_file(str(CONTRACT / document)))
        self.handler = odata.create_handler(self.metadata)
        self.store = InMemoryDataStore()
        self.deserializer = ODataJsonDeserializer(strict=True)
        self.actions: list[tuple[str, Any]] = []
        judge = self

        class Actions(ActionProcessor):
            """Takes any action whose parameters fit, and answers 201."""

            def process_action(self, request, response, uri_info, request_ct, response_ct) -> None:  # type: ignore[no-untyped-def]
                part = uri_info.resource_parts[-1]
                judge.deserializer.action_parameters(judge.metadata.edm, part.action, request.body)
                judge.actions.append((part.action.name, json.loads(request.body)))
                response.set_status(201)
                response.set_content(b'{"ReturnValue":0}', "application/json")

        self.handler.register(InMemoryProcessor(self.store))
        self.handler.register(Actions())

    def put(self, entity_set: str, kind: str, entities: list[dict[str, Any]]) -> None:
        """Lay entities into a set; the judge reads them strictly too."""
        edm = self.metadata.edm
        namespace, _, name = kind.rpartition(".")
        from odatapy.edm.names import FullQualifiedName

        declared = edm.get_entity_type(FullQualifiedName(namespace, name))
        self.store.set_entities(
            entity_set, [self.deserializer.entity(edm, declared, json.dumps(entity)) for entity in entities]
        )

    def answer(
        self, method: str, url: str, body: Any, headers: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Give status and body for a request."""
        from odatapy.http.method import HttpMethod
        from odatapy.server import ODataRequest

        parts = urlsplit(url)
        request = ODataRequest(
            method=HttpMethod[method],
            raw_odata_path=parts.path.removeprefix(urlsplit(self.base).path),
            raw_query_path=parts.query or None,
            raw_base_uri=self.base,
            raw_request_uri=url,
            body=b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode(),
        )
        known = {"Accept": "application/json, text/plain;q=0.5", **(headers or {})}
        if body is not None:
            known["Content-Type"] = "application/json"
        request.set_headers(known)
        response = self.handler.process(request)
        return int(response.status_code), response.body_bytes()

    def transport(self) -> Transport:
        """Our transport, talking to the judge."""

        def handle(request: httpx2.Request) -> httpx2.Response:
            content = request.read()
            status, body = self.answer(request.method, str(request.url), content or None)
            return httpx2.Response(status, content=body)

        time = FakeTime()
        return Transport(
            Pace(time), time, chance=lambda: 0.5, new_id=lambda: "x", http=httpx2.MockTransport(handle)
        )


@pytest.fixture(name="site_judge")
def _site_judge() -> Judge:
    judge = Judge("adminservice.csdl", SITE)
    fleet = make_fleet(2500)
    judge.put(
        "SMS_Collection",
        "AdminService.SMS_Collection",
        [{"CollectionID": TARGET, "Name": "O'Brien & Co", "CollectionType": 2, "LimitToCollectionID": LIMIT}],
    )
    judge.put(
        "SMS_FullCollectionMembership",
        "AdminService.SMS_FullCollectionMembership",
        [{"CollectionID": TARGET, "ResourceID": int(item), "Name": "x"} for item in fleet.resource_ids],
    )
    judge.put(
        "SMS_Client_ComanagementState",
        "AdminService.SMS_Client_ComanagementState",
        [{"ResourceID": int(item), "MDMEnrolled": True} for item in fleet.resource_ids[:30]],
    )
    return judge


def session(it: Any) -> Iterator[tuple[str, str, Any, dict[str, str]]]:
    """Every different request of a whole session: prepare, look, add, look, take out."""
    order = it.plan.phases[0].order
    it.directory.prepare(it.plan)
    it.directory.members(order)
    it.directory.apply(0, rows(0, 1, 2), it.now)
    for seconds in (60, 900):
        it.directory.observe(it.now + seconds)
    if hasattr(it.directory, "tenant"):
        it.directory.tenant.members(GROUP)
        it.directory.tenant.transport.write(graph_ask.add_one(ROOT, GROUP, it.emulator.object_of[9]))
    if hasattr(it.directory, "site"):
        it.directory.site.must_exist(TARGET)
        for ask_among in (partial(it.directory.site.members_among, TARGET), it.directory.site.states):
            assert not ask_among([5, 6], {5, 6})  # nobody there: counted
    it.emulator.delete([2], set_up_again=True)
    lost = it.directory.observe(it.now + 1800).lost
    assert list(lost.successors) == [2]  # read why it is out, and its new record by name
    if hasattr(it.directory, "tenant"):
        it.directory.tenant.transport.read(graph_ask.devices_named(ROOT, "O'Brien"))
    it.directory.withdraw(0, rows(1), it.now)
    seen: set[tuple[str, str]] = set()
    for asked in it.emulator.asked:
        if (asked.method, asked.url) not in seen:
            seen.add((asked.method, asked.url))
            headers = {"ConsistencyLevel": "eventual"} if "consistencylevel" in asked.headers else {}
            yield asked.method, asked.url, asked.body, headers


def test_every_request_to_the_site_is_understood(site_judge: Judge) -> None:
    """Each URL and body of a session, notifications included, is taken by a strict server of the metadata."""
    it = site(bare=True, notify=True)
    sent = list(session(it))
    assert {url.rpartition(".")[2] for method, url, _, _ in sent if method == "POST"} == {
        "AddMembershipRule",
        "DeleteMembershipRule",
        "RequestRefresh",
        "InitiateClientOperation",
    }
    for method, url, body, headers in sent:
        status, answer = site_judge.answer(method, url, body, headers)
        assert 200 <= status < 300, f"{method} {url} {body}: {status} {answer!r}"
    assert sum("$count" in url and "ResourceID%20eq%205" in url for _, url, _, _ in sent) == 2
    assert {name for name, _ in site_judge.actions} >= {"AddMembershipRule", "RequestRefresh"}


@pytest.mark.parametrize(
    "change",
    [
        {"@odata.type": None},
        {"@odata.type": "#AdminService.SMS_CollectionRule"},
        {"ResourceID": "PC-000000"},
        {"NoSuchProperty": 1},
    ],
)
def test_the_judge_refuses_what_the_service_refuses(site_judge: Judge, change: dict[str, Any]) -> None:
    """Without the type, with the base type, with a text for a number, with an unknown property: 400."""
    call = ask.add_rule(SITE.removesuffix("/wmi/"), TARGET, "PC", FIRST_RESOURCE)
    assert site_judge.answer("POST", call.url, call.body)[0] == 201
    rule = {k: v for k, v in ({**ask.direct_rule("PC", FIRST_RESOURCE), **change}).items() if v is not None}
    assert site_judge.answer("POST", call.url, {"collectionRule": rule})[0] == 400
    assert site_judge.answer("POST", call.url, {"rule": ask.direct_rule("PC", FIRST_RESOURCE)})[0] == 400


def test_lists_of_a_foreign_server_are_read_whole(site_judge: Judge) -> None:
    """2,500 members over its own filters, order and pages; names with quotes; states of some; counts as text."""
    it = Site(site_judge.transport(), SITE.removesuffix("/wmi/"))
    assert len(it.members(TARGET)) == 2500
    assert it.find("O'Brien & Co").id == TARGET
    assert it.members_among(TARGET, [FIRST_RESOURCE, 5]) == {FIRST_RESOURCE}
    assert len(it.states()) == 30
    assert len(it.states([FIRST_RESOURCE, FIRST_RESOURCE + 1, 7])) == 2
    with pytest.raises(AnswerError, match="404"):
        it.transport.read(Call("GET", f"{SITE}SMS_NoSuchClass", reads=True))


@pytest.fixture(name="graph_judge")
def _graph_judge() -> Judge:
    judge = Judge("graph-v1.csdl", GRAPH)
    it = tenant(bare=True)
    devices = [
        {"id": key, "deviceId": str(it.fleet.ids[row]), "displayName": "x", "alternativeSecurityIds": []}
        for key, row in it.emulator.objects.items()
    ]
    judge.put("devices", "microsoft.graph.device", devices)
    judge.put(
        "directoryObjects", "microsoft.graph.directoryObject", [{"id": device["id"]} for device in devices]
    )
    judge.put(
        "groups", "microsoft.graph.group", [{"id": GROUP, "displayName": "Auto", "securityEnabled": True}]
    )
    return judge


DIALECT = (
    "organization",  # not in the trimmed metadata
    "deviceManagement",  # a singleton that the in-memory server has no value for; judged below by its types
    "checkMemberGroups",  # Graph takes the method without its namespace
)
"""What Graph speaks and the foreign server does not."""


def test_every_request_to_graph_is_understood(graph_judge: Judge) -> None:
    """Each URL and body of a session is taken by a strict server of Microsoft's metadata, but for the dialect."""
    judged = 0
    for method, url, body, headers in session(tenant(bare=True)):
        path = urlsplit(url).path
        if path.endswith("$batch"):
            for item in body["requests"]:
                assert any(entry in item["url"] for entry in DIALECT)
            continue
        if any(item in path for item in DIALECT) or (method == "DELETE" and path.endswith("/$ref")):
            continue  # DELETE …/members/{id}/$ref: the server knows only members/$ref?$id=
        status, answer = graph_judge.answer(method, url, _with_keys(body), headers)
        assert 200 <= status < 300, f"{method} {url} {body}: {status} {answer!r}"
        judged += 1
    assert judged >= 6


def test_the_namespace_makes_check_member_groups_plain_odata(graph_judge: Judge) -> None:
    """With its namespace, the same request with the same body is taken."""
    device = next(iter(tenant(bare=True).emulator.objects))
    url = f"{GRAPH}directoryObjects/{device}/microsoft.graph.checkMemberGroups"
    assert graph_judge.answer("POST", url, {"groupIds": [GROUP]})[0] == 201
    assert graph_judge.answer("POST", url, {"groups": [GROUP]})[0] == 400


def test_selected_properties_exist_in_microsofts_metadata() -> None:
    """Every property that we select of managedDevice, and of the failures, is declared."""
    from emulators.csdl import Metadata

    metadata = Metadata("graph-v1.csdl")
    assert set(graph_ask.MANAGED.split(",")) <= set(metadata.properties("managedDevice"))
    assert set(graph_ask.GROUP.split(",")) <= set(metadata.properties("group"))
    fields = {"deviceId", "eventDateTime", "failureCategory", "failureReason"}
    assert fields <= set(metadata.properties("enrollmentTroubleshootingEvent"))
    assert {"managedDevices", "troubleshootingEvents"} <= set(metadata.properties("deviceManagement"))


def test_a_foreign_servers_devices_are_read_over_its_own_next_links(graph_judge: Judge) -> None:
    """Forty devices, by object and device id."""
    it = Tenant(graph_judge.transport(), GRAPH.rstrip("/"))
    assert len(it.devices()) == 40
    with pytest.raises(AnswerError):
        it.transport.read(Call("GET", f"{GRAPH}devices?$filter=noSuchProperty%20eq%20'x'", reads=True))


def _with_keys(body: Any) -> Any:
    """Write keys in parentheses: the server does not take them as path segments inside a link."""
    if not isinstance(body, dict):
        return body

    def keyed(link: str) -> str:
        base, _, one = link.rpartition("/")
        return f"{base}('{one}')"

    out = dict(body)
    if "members@odata.bind" in out:
        out["members@odata.bind"] = [keyed(item) for item in out["members@odata.bind"]]
    if "@odata.id" in out:
        out["@odata.id"] = keyed(out["@odata.id"])
    return out
