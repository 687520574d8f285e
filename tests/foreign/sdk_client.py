"""Run by test_msgraph_sdk.py in the SDK's own environment: Microsoft's client against our emulator.

    python sdk_client.py ROOT GROUP TOKEN DEVICE

Prints one JSON document of what the SDK read and how its writes were answered.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from kiota_abstractions.authentication import AuthenticationProvider
from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph import GraphRequestAdapter, GraphServiceClient
from msgraph.generated.devices.devices_request_builder import DevicesRequestBuilder
from msgraph.generated.models.group import Group
from msgraph.generated.models.o_data_errors.o_data_error import ODataError
from msgraph.generated.models.reference_create import ReferenceCreate


class Token(AuthenticationProvider):
    """Adds one fixed token."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def authenticate_request(self, request: Any, additional_authentication_context: Any = None) -> None:
        request.headers.add("Authorization", f"Bearer {self._token}")


async def main(root: str, group: str, token: str, device: str) -> dict[str, Any]:
    adapter = GraphRequestAdapter(Token(token))
    adapter.base_url = root
    client = GraphServiceClient(request_adapter=adapter)
    out: dict[str, Any] = {}

    # A list over all its pages, by the SDK's own next links.
    query = DevicesRequestBuilder.DevicesRequestBuilderGetQueryParameters(select=["id", "deviceId"], top=7)
    page = await client.devices.get(RequestConfiguration(query_parameters=query))
    devices = [(value.id, value.device_id) for value in page.value]
    pages = 1
    while page.odata_next_link:
        page = await client.devices.with_url(page.odata_next_link).get()
        devices += [(value.id, value.device_id) for value in page.value]
        pages += 1
    out["devices"], out["pages"] = devices, pages

    found = await client.groups.by_group_id(group).get()
    out["group"] = [found.id, found.display_name, found.security_enabled]

    # Members: add one, add one that is in already, add two by bind, take one out.
    members = client.groups.by_group_id(group).members
    await members.ref.post(ReferenceCreate(odata_id=f"{root}/directoryObjects/{device}"))
    try:
        await members.ref.post(ReferenceCreate(odata_id=f"{root}/directoryObjects/{device}"))
    except ODataError as error:
        out["again"] = [error.response_status_code, error.error.code, error.error.message]
    links = [f"{root}/directoryObjects/{item}" for item, _ in devices[10:12]]
    bound = Group(additional_data={"members@odata.bind": links})
    await client.groups.by_group_id(group).patch(bound)
    out["members"] = [value.id for value in (await members.get()).value]
    await members.by_directory_object_id(device).ref.delete()
    out["left"] = [value.id for value in (await members.get()).value]

    managed = await client.device_management.managed_devices.get()
    out["managed"] = [
        [value.azure_a_d_device_id, str(value.management_agent.value)] for value in managed.value
    ]
    events = await client.device_management.troubleshooting_events.get()
    out["failures"] = [[value.odata_type, value.device_id, value.failure_reason] for value in events.value]
    try:
        await client.groups.by_group_id("00000000-0000-0000-0000-000000000000").get()
    except ODataError as error:
        out["missing"] = [error.response_status_code, error.error.code]
    return out


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
