"""Run by test_msgraph_sdk.py in an environment with Microsoft's client of the beta: one question to our emulator.

    python sdk_beta_client.py ROOT TOKEN

Prints the URL that it asked for and the number that it read.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from kiota_abstractions.authentication import AuthenticationProvider
from msgraph_beta import GraphRequestAdapter, GraphServiceClient


class Token(AuthenticationProvider):
    """Adds one fixed token."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def authenticate_request(self, request: Any, additional_authentication_context: Any = None) -> None:
        request.headers.add("Authorization", f"Bearer {self._token}")


async def main(root: str, token: str) -> dict[str, Any]:
    adapter = GraphRequestAdapter(Token(token))
    adapter.base_url = root
    management = GraphServiceClient(request_adapter=adapter).device_management
    question = management.get_suggested_enrollment_limit_with_enrollment_type("windowsCoManagement")
    answer = await question.get()
    return {"url": question.to_get_request_information().url, "limit": answer.suggested_daily_limit}


print(json.dumps(asyncio.run(main(*sys.argv[1:]))))
