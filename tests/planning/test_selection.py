"""What `where` selects: a value that no device has is refused, an empty phase is told."""

from __future__ import annotations

from typing import Any

import pytest
from plan_builders import make_inventory, plan_of

from rollout.errors import UsageError
from rollout.values import Plan

SITES = ["Berlin", "Bonn", "Hamburg", "Berlin"] * 25


def planned(where: dict[str, Any], **columns: Any) -> Plan:
    inventory = make_inventory(100, site=SITES, os_version="10.0.22631.4460", **columns)
    return plan_of(inventory, phases=[{"name": "pilot", "where": where}, {"name": "all"}])


@pytest.mark.parametrize(
    ("where", "named", "hint"),
    [
        ({"site": "Berln"}, "site 'Berln'", "Did you mean 'Berlin'?"),
        ({"site": ["Berlin", "bon"]}, "site 'bon'", "Did you mean 'Bonn'?"),
        ({"site": ["Rome", "Oslo"]}, "site 'Rome', 'Oslo'", "Known: Berlin, Bonn, Hamburg."),
        ({"site": "Mu*"}, "site 'Mu*'", "Known: Berlin, Bonn, Hamburg."),
        (
            {"os_version": "10.0.22613.4460"},
            "os_version '10.0.22613.4460'",
            "Did you mean '10.0.22631.4460'?",
        ),
        ({"model": "T14"}, "model 'T14'", "Known: (unknown)."),
        ({"name": "PC-D00000O1"}, "name 'PC-D00000O1'", "Did you mean 'PC-d00000"),
        ({"id": ["d0000001", "d000001x"]}, "id 'd000001x'", "Did you mean 'd00000"),
        ({"serial": [f"X{number}" for number in range(10)]}, "'X7' and 2 more", "Known: SN-d0000000, "),
    ],
)
def test_a_value_that_no_device_has_is_refused(where: dict[str, Any], named: str, hint: str) -> None:
    """Each value of a list counts: a misspelt one would leave its devices out without a word."""
    with pytest.raises(UsageError) as caught:
        planned(where)
    column = next(iter(where))
    start = f"key 'rollout.phases[1].where.{column}': no device of the inventory has the "
    assert caught.value.message.startswith(start)
    assert named in caught.value.message
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize("site", ["berlin", "BERLIN", "Ber*", "b?rlin"])
def test_case_and_wildcards_are_as_in_the_console(site: str) -> None:
    """A value in another case selects the same devices."""
    assert len(planned({"site": site}).phases[0]) == 50


@pytest.mark.parametrize(
    "value", [5, 1, 1.5, ["Berlin", 5], {"a": "b"}], ids=["number", "one", "decimal", "list", "table"]
)
def test_what_is_no_text_is_refused(value: Any) -> None:
    """A number is not taken for true, nor for a text."""
    with pytest.raises(UsageError, match=r"phases\[1\].where.site.*expected a text in quotes, true or false"):
        planned({"site": value})


def test_a_flag_that_the_inventory_does_not_know_is_refused() -> None:
    """Unknown is neither true nor false, so it would select nobody."""
    with pytest.raises(UsageError, match="the inventory does not know 'active' of any device"):
        planned({"active": True}, active=-1)
    assert len(planned({"active": True}, active=[1, -1] * 50).phases[0]) == 50


def test_an_empty_phase_is_told() -> None:
    """Its filter matches, but all of its devices are left out, or are in a phase before it, or none matches a flag."""
    text = "phase 'pilot' is empty: "
    no_client = [int(site == "Bonn") for site in SITES]
    left_out = planned({"site": "Bonn"}, comanaged=no_client).warnings
    assert any(
        text + "25 devices match, and all of them are left out of the plan." in line for line in left_out
    )
    assert any(text + "no device matches its 'where'" in line for line in planned({"active": True}).warnings)
    phases = [{"name": "bonn", "where": {"site": "Bonn"}}, {"name": "again", "where": {"site": "bonn"}}]
    plan = plan_of(make_inventory(100, site=SITES), phases=[*phases, {"name": "all"}])
    assert any(
        "phase 'again' is empty: 25 devices match, and those in the plan are in earlier phases" in line
        for line in plan.warnings
    )
    zero = plan_of(make_inventory(100), phases=[{"name": "pilot", "devices": 0}, {"name": "all"}])
    assert any(text + "it asks for devices = 0" in line for line in zero.warnings)


def test_a_phase_with_devices_is_not_told() -> None:
    """Nor is the tail, which waits for newcomers."""
    plan = plan_of(make_inventory(100, site=SITES), phases=[{"name": "all"}, {"name": "tail"}])
    assert not any("is empty" in line for line in plan.warnings)
