"""Microsoft's own Graph SDK reads what our emulator serves: then the emulator speaks as Graph does.

The SDK is large (about 400 MB), so it lives in an environment of its own:

    python -m venv sdk && sdk/bin/pip install msgraph-sdk
    ROLLOUT_MSGRAPH_PYTHON=sdk/bin/python pytest -m slow tests/foreign/test_msgraph_sdk.py
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from building import MONDAY
from emulators.graph import GROUP, TOKEN, Graph
from emulators.people import Prompt, make_fleet
from emulators.web import Fault, Reply, on_loopback

from rollout.directory.graph import requests as ask

PYTHON = os.environ.get("ROLLOUT_MSGRAPH_PYTHON", "")
BETA = (
    PYTHON
    and not subprocess.run(
        [PYTHON, "-c", "import importlib.util, sys; sys.exit(not importlib.util.find_spec('msgraph_beta'))"],
        check=False,
    ).returncode
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="set ROLLOUT_MSGRAPH_PYTHON to a Python that has msgraph-sdk"),
]


@pytest.fixture(name="emulator", scope="module")
def _emulator() -> Graph:
    fleet = make_fleet(40)
    world = Prompt(40, code=lambda row: 0x80180018 if row == 31 else 0)
    emulator = Graph(fleet, world, now=lambda: MONDAY + 7200)
    for row in (30, 31):
        world.enter(row, MONDAY)
    # Throttled with whole and decimal seconds in between: the SDK waits and goes on.
    busy = {"error": {"code": "TooManyRequests", "message": "slow down"}}
    emulator.faults.append(Fault("GET .*devices$", skip=1, reply=Reply(429, busy, {"Retry-After": "1"})))
    return emulator


@pytest.fixture(name="told", scope="module")
def _told(emulator: Graph) -> dict[str, Any]:
    script = Path(__file__).parent / "sdk_client.py"
    with on_loopback(emulator) as origin:
        arguments = [PYTHON, str(script), f"{origin}/v1.0", GROUP, TOKEN, emulator.object_of[3]]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def test_the_sdk_reads_all_pages_through_a_429(emulator: Graph, told: dict[str, Any]) -> None:
    """Forty devices in pages of seven; one page was throttled."""
    assert [item for item, _ in told["devices"]] == emulator.object_of
    assert [device for _, device in told["devices"]] == emulator.fleet.ids.tolist()
    assert told["pages"] == 6
    assert all(fault.times == 0 for fault in emulator.faults)


def test_the_sdk_reads_the_group(told: dict[str, Any]) -> None:
    """Id, name and kind."""
    assert told["group"] == [GROUP, "Intune Auto Enrollment", True]


def test_the_sdk_adds_and_removes_members(emulator: Graph, told: dict[str, Any]) -> None:
    """One by $ref, two by bind, one out by $ref; the second addition is a 400 that the SDK understands."""
    assert set(told["members"]) == {emulator.object_of[n] for n in (3, 10, 11)}
    assert set(told["left"]) == {emulator.object_of[n] for n in (10, 11)}
    assert told["again"][:2] == [400, "Request_BadRequest"]
    assert "already exist" in told["again"][2]


def test_the_sdk_reads_enrollments_and_failures(emulator: Graph, told: dict[str, Any]) -> None:
    """A co-managed device, and a failed enrollment as the kind of event that Microsoft declares."""
    assert told["managed"] == [[str(emulator.fleet.ids[30]), "configurationManagerClientMdm"]]
    kind, device, reason = told["failures"][0]
    assert kind == "#microsoft.graph.enrollmentTroubleshootingEvent"
    assert device == str(emulator.fleet.ids[31])
    assert "0x80180018" in reason


def test_the_sdk_understands_our_404(told: dict[str, Any]) -> None:
    """Errors come in Graph's envelope."""
    assert told["missing"] == [404, "Request_ResourceNotFound"]


@pytest.mark.skipif(not BETA, reason="the Python of ROLLOUT_MSGRAPH_PYTHON has no msgraph-beta-sdk")
def test_the_clients_question_for_a_suggested_limit_is_ours(emulator: Graph) -> None:
    """Only the beta's client has it: it asks for the same URL, and reads the number out of the same answer."""
    script = Path(__file__).parent / "sdk_beta_client.py"
    with on_loopback(emulator) as origin:
        arguments = [PYTHON, str(script), f"{origin}/beta", TOKEN]
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
        ours = ask.suggested_limit(f"{origin}/v1.0").url
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert unquote(told["url"]) == ours
    assert told["limit"] == 5000
