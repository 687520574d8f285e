"""An emulated ConfigMgr site on loopback, with a stored plan for it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from building import make_plan
from emulators.adminservice import TARGET, AdminService
from emulators.people import Prompt, make_fleet
from emulators.web import on_loopback

from rollout.pacing import staircase
from rollout.store import open_database
from rollout.values import WHOLE, Inventory, Plan


def write_plan(start: int) -> Plan:
    """Store a plan over the emulator's fleet whose pilot of ten is due at once; approved by nobody."""
    from dataclasses import replace

    fleet = make_fleet(40)
    made = make_plan(sizes=(10, 30, 0), chunk=4, start=start)
    pilot = replace(made.phases[0], curve=staircase((0,), (WHOLE,)))
    plan = replace(
        made,
        ids=fleet.ids,
        inventory_digest=fleet.digest,
        phases=(pilot, *made.phases[1:]),
    )
    with open_database("rollout.db") as database:
        inventory = database.add_inventory(Inventory(fleet, start, ()))
        database.add_plan(plan, inventory)
    return plan


@pytest.fixture(name="site")
def _site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    """An emulated site on loopback, a plan for it, and the settings file that names it."""
    monkeypatch.chdir(tmp_path)
    emulator = AdminService(make_fleet(40), Prompt(40), now=lambda: int(time.time()))
    write_plan(int(time.time()) - 60)
    with on_loopback(emulator) as origin:
        Path("directory.toml").write_text(
            f'[directory.adminservice]\nhosts = ["{origin}"]\nauth = "none"\nsite_code = "P01"\n'
            f'collection = "{TARGET}"\n'
        )
        yield emulator


def writes(emulator: AdminService) -> list[str]:
    return [asked.path for asked in emulator.asked if asked.method != "GET"]
