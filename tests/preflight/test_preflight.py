"""Who may not go, and why: each rule on its own device, unknown never held against one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.errors import UsageError
from rollout.exports.reading import read_exports
from rollout.preflight import RULES, TENANT_RULES, counts, exclusions, preflight, rule_ids
from rollout.preflight.check import DATA_RULES
from rollout.preflight.rules import build_of
from rollout.preflight.tenant import gateways_for
from rollout.values import Factor, Finding, Fleet, Inventory, Severity
from sim.fleet.population import FleetModel, Problems, generate

TAKEN = 1_795_507_200
DAY_S = 86400
DATA = Path(__file__).parent.parent.parent / "scenarios" / "data"
CLEAN = Problems(**dict.fromkeys(Problems.model_fields, 0.0))

EXPECTED = {
    "A1": {"CASE-A1"},
    "E2-os": {"CASE-E2-OS"},
    "E1-obsolete": {"CASE-E1-OBS"},
    "D5": {"CASE-D5"},
    "D6": {"CASE-D6"},
    "D2": {"CASE-D2"},
    "D2-unclear": {"CASE-D2U"},
    "D1-registered": {"case-d1"},
    "E3": {"CASE-E3"},
    "E3-entra": {"CASE-E3-CM"},
    "E4": {"CASE-E4"},
    "E6": {"CASE-E6"},
    "E1-path2": {"CASE-E1-PATH2"},
    "E1": {"CASE-E1"},
    "E1-inactive": {"CASE-E1-INACT"},
    "E2": {"CASE-E2"},
    "E7": {"CASE-E7"},
    "D3": {"CASE-D3"},
    "E2-token": {"CASE-E2-TOKEN"},
    "D1": {"CASE-D1"},
    "D2-name": {"CASE-D2N"},
    "E14": {"CASE-E14"},
    "C1": {"CASE-C1"},
}


@lru_cache(maxsize=1)
def examples() -> Inventory:
    return read_exports(
        [DATA / f"{name}-devices.csv" for name in ("entra", "intune", "configmgr")], taken=TAKEN
    )


def healthy(n: int = 5) -> Inventory:
    """A fleet in which nothing is wrong."""
    return generate(FleetModel(clients=n, problems=CLEAN, comanaged=0.0, never_signed_in=0.0), 1, TAKEN)


def changed(
    inventory: Inventory,
    *,
    flags: Mapping[str, int] | None = None,
    factors: Mapping[str, str] | None = None,
    times: Mapping[str, int] | None = None,
    row: int | None = None,
) -> Inventory:
    """The same fleet with other values in one row, or in all."""
    fleet = inventory.fleet
    rows = slice(None) if row is None else slice(row, row + 1)
    new_flags = {name: column.copy() for name, column in fleet.flags.items()}
    for name, value in (flags or {}).items():
        new_flags[name][rows] = value
    new_times = {name: column.copy() for name, column in fleet.times.items()}
    for name, value in (times or {}).items():
        new_times[name][rows] = value
    new_factors = dict(fleet.factors)
    for name, level in (factors or {}).items():
        texts = [fleet.factors[name][at] for at in range(len(fleet))]
        texts[rows] = [level] * len(texts[rows])
        new_factors[name] = Factor.of(texts)
    return replace(inventory, fleet=replace(fleet, flags=new_flags, times=new_times, factors=new_factors))


def of_devices(findings: tuple[Finding, ...]) -> set[tuple[str, int]]:
    return {(finding.rule, finding.row) for finding in findings if finding.row >= 0}


def named(inventory: Inventory, rule: str) -> set[str]:
    return {str(inventory.fleet.names[item.row]) for item in preflight(inventory) if item.rule == rule}


def test_each_rule_fires_on_its_own_device_and_on_no_other() -> None:
    """In the example exports every device rule has a case of its own."""
    findings = preflight(examples())
    hit: dict[str, set[str]] = {}
    for finding in findings:
        if finding.row >= 0:
            hit.setdefault(finding.rule, set()).add(str(examples().fleet.names[finding.row]))
    assert hit == EXPECTED
    assert set(EXPECTED) == {rule.id for rule in RULES}


def test_healthy_variants_pass() -> None:
    """ARM64, LTSC 2021, two users and a blank stamp are no reason to stay behind."""
    inventory = examples()
    hit = {str(inventory.fleet.names[row]) for _, row in of_devices(preflight(inventory))}
    assert hit.isdisjoint({"CASE-ARM64", "CASE-LTSC2021", "CASE-TWOUSERS", "CASE-NOSTAMP"})


def test_of_two_entra_twins_the_one_with_the_client_stays() -> None:
    """D2 takes out the record without the ConfigMgr client."""
    inventory = examples()
    rows = [row for row in range(len(inventory.fleet)) if inventory.fleet.names[row] == "CASE-D2"]
    reasons = exclusions(preflight(inventory))
    assert [row in reasons for row in rows] == [inventory.fleet.resource_ids[row] < 0 for row in rows]


def test_a_clean_fleet_has_only_the_tenants_findings() -> None:
    """Without problems only what a person must check is left."""
    findings = preflight(healthy())
    assert of_devices(findings) == set()
    assert counts(findings) == {rule.id: 1 for rule in TENANT_RULES}


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("E1", {"flags": {"client": 0}}),
        ("E1-inactive", {"flags": {"active": 0}}),
        ("E1-obsolete", {"flags": {"obsolete": 1}}),
        ("E2-os", {"factors": {"os": "Windows Server"}}),
        ("E2-os", {"factors": {"os": "IPhone"}}),
        ("E2", {"factors": {"os_version": "10.0.15063.2679"}}),
        ("E2", {"factors": {"os_version": "6.1.7601.0"}}),
        ("E2-token", {"factors": {"os_version": "10.0.16299.15"}}),
        ("E3", {"factors": {"join": "registered"}}),
        ("E3", {"factors": {"join": "none"}}),
        ("E3-entra", {"flags": {"entra": 0}}),
        ("E4", {"flags": {"pending": 1}}),
        ("E6", {"flags": {"enabled": 0}}),
        ("E7", {"factors": {"mdm": "Fernside MDM"}}),
        ("C1", {"flags": {"comanaged": 1}}),
        ("D3", {"times": {"last_sign_in": TAKEN - 91 * DAY_S}}),
        ("E1-path2", {"flags": {"client": 0, "intune": 1}, "factors": {"join": "entra"}}),
    ],
)
def test_one_change_breaks_one_rule(rule: str, change: dict[str, dict[str, int]]) -> None:
    """A device with a single fault has a single finding, on its row."""
    findings = preflight(changed(healthy(), row=2, **change))  # type: ignore[arg-type]
    assert of_devices(findings) == {(rule, 2)}


@pytest.mark.parametrize(
    "change",
    [
        {"factors": {"os_version": "10.0.17134.1"}},
        {"factors": {"os_version": ""}},
        {"factors": {"os_version": "10.0.0.0"}},
        {"factors": {"mdm": "Configuration Manager"}},
        {"factors": {"mdm": "Microsoft Intune"}},
        {"times": {"last_sign_in": -1}},
        {"times": {"last_sign_in": TAKEN - 90 * DAY_S}},
        {"times": {"last_sign_in": TAKEN + DAY_S}},
        {"flags": {"client": -1, "active": -1, "obsolete": -1}},
        {"flags": {"entra": -1, "enabled": -1, "pending": -1}, "factors": {"join": "unknown"}},
        {"flags": {"comanaged": -1, "intune": -1}},
    ],
)
def test_what_is_unknown_or_just_right_is_not_held_against_a_device(
    change: dict[str, dict[str, int]],
) -> None:
    """Limits are inclusive, blank stamps are not stale, unknown is not no."""
    assert of_devices(preflight(changed(healthy(), row=2, **change))) == set()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("M1", {"flags": {"client": -1}}),
        ("M1", {"flags": {"obsolete": -1}}),
        ("M2", {"flags": {"entra": -1, "enabled": -1}}),
        ("M2", {"flags": {"pending": -1}, "factors": {"join": "hybrid"}}),
        ("M3", {"factors": {"os_version": ""}}),
        ("M4", {"times": {"last_sign_in": -1}}),
        ("M5", {"flags": {"comanaged": -1}}),
    ],
)
def test_unknown_is_one_finding_with_its_count(rule: str, change: dict[str, dict[str, int]]) -> None:
    """What the exports do not say is said once, not once a device."""
    findings = [item for item in preflight(changed(healthy(50), **change)) if item.rule in DATA_RULES]  # type: ignore[arg-type]
    assert [finding.rule for finding in findings] == [rule]
    assert findings[0].row == -1
    assert findings[0].detail["devices"] == "50"
    assert "50 of 50" in findings[0].sentence


def test_old_exports_are_pointed_out() -> None:
    """If nobody signed in lately the exports are old, and everything would look stale."""
    inventory = healthy()
    old = replace(inventory, taken=TAKEN + 60 * DAY_S)
    assert "M7" in counts(preflight(old))
    assert "M7" not in counts(preflight(inventory))


def test_the_first_blocking_rule_is_the_reason() -> None:
    """A disabled stale server is left out as a server: the order of the rules decides."""
    inventory = changed(
        healthy(),
        row=1,
        factors={"os": "Windows Server"},
        flags={"enabled": 0},
        times={"last_sign_in": TAKEN - 300 * DAY_S},
    )
    reasons = exclusions(preflight(inventory))
    assert {row: reason.rule for row, reason in reasons.items()} == {1: "E2-os"}


def test_warnings_do_not_exclude() -> None:
    """WARN and INFO leave the device in the plan."""
    inventory = changed(healthy(), factors={"os_version": "10.0.16299.15"}, flags={"comanaged": 1})
    assert exclusions(preflight(inventory)) == {}


def test_findings_come_by_rule_then_row_and_are_the_same_each_time() -> None:
    """The order is that of the rules, then of the fleet, so that reports can be compared."""
    inventory = generate(FleetModel(clients=2000), 3, TAKEN)
    findings = preflight(inventory)
    order = list(rule_ids())
    keys = [(order.index(finding.rule), finding.row) for finding in findings if finding.row >= 0]
    assert keys == sorted(keys)
    assert findings == preflight(inventory)


def test_every_finding_says_what_to_do() -> None:
    """Sentence and next action are filled in, with no brace left over."""
    for item in (*preflight(examples()), *preflight(generate(FleetModel(clients=3000), 4, TAKEN))):
        assert item.sentence.endswith((".", "?"))
        assert item.next_action
        assert "{" not in item.sentence + item.next_action


def test_braces_in_a_name_stay_what_they_are() -> None:
    """A device called {os} is data, not a template."""
    inventory = changed(healthy(1), flags={"enabled": 0})
    names = np.array(["{os}{0}"], dtype=np.dtypes.StringDType())
    finding = preflight(replace(inventory, fleet=replace(inventory.fleet, names=names)))[0]
    assert finding.sentence.startswith("{os}{0} is disabled")


def test_a_threshold_below_21_days_is_refused() -> None:
    """The sign-in stamp is too coarse for less."""
    with pytest.raises(UsageError, match="at least 21, found 20"):
        preflight(healthy(), stale_days=20)
    assert preflight(healthy(), stale_days=21)


def test_a_rule_can_be_switched_off_with_a_reason() -> None:
    """Its findings go, one finding with reason and count takes their place."""
    inventory = changed(healthy(), flags={"enabled": 0})
    findings = preflight(inventory, off={"E6": "We enable them the day before.", "E21": "No manual users."})
    assert exclusions(findings) == {}
    told = {finding.rule: finding for finding in findings}
    assert told["E6"].severity is Severity.INFO
    assert "would apply to 5 devices. Reason: We enable them the day before." in told["E6"].sentence
    assert "No manual users." in told["E21"].sentence


@pytest.mark.parametrize(("off", "what"), [({"E99": "why"}, "E99"), ({"E6": "  "}, "no reason")])
def test_a_rule_is_not_switched_off_by_mistake(off: dict[str, str], what: str) -> None:
    """An unknown id and a missing reason are refused."""
    with pytest.raises(UsageError, match=what):
        preflight(healthy(), off=off)


def test_rule_ids_are_unique() -> None:
    """An id names one rule."""
    assert len(set(rule_ids())) == len(rule_ids())


def test_devices_that_need_a_gateway_are_counted_apart() -> None:
    """Devices without client in Intune size the gateway; without any of them it is not needed."""
    assert "needed only for clients on the internet" in next(
        item.sentence for item in preflight(healthy()) if item.rule == "E20"
    )
    path_two = changed(healthy(50), flags={"client": 0, "intune": 1}, factors={"join": "entra"})
    finding = next(item for item in preflight(path_two) if item.rule == "E20")
    assert "without a ConfigMgr client: 50 (E1-path2)." in finding.sentence
    assert "1 A2_v2 or 1 A4_v2" in finding.next_action


@pytest.mark.parametrize(
    ("clients", "words"),
    [
        (6_000, "1 A2_v2 or 1 A4_v2"),
        (6_001, "2 A2_v2 or 1 A4_v2"),
        (96_000, "16 A2_v2 or 10 A4_v2"),
        (100_000, "17 A2_v2 on 2 gateways or 10 A4_v2"),
        (160_001, "27 A2_v2 on 2 gateways or 17 A4_v2 on 2 gateways"),
    ],
)
def test_gateways_are_sized_by_their_documented_capacity(clients: int, words: str) -> None:
    """6,000 or 10,000 clients an instance, 16 instances a gateway."""
    assert gateways_for(clients) == words


@pytest.mark.parametrize(
    ("version", "build"),
    [("10.0.22631.4602", 22631), ("10.0.19045", 19045), ("6.3.9600", 0), ("10.0", -1), ("", -1), ("a.b.c", -1),
     ("10.0.0.0", -1), ("0.0.0.0", -1), ("10.0.٣", -1), ("10.0.999999999999", -1)],
)  # fmt: skip
def test_builds_are_read_from_versions(version: str, build: int) -> None:
    """Anything that is no version is unknown; Windows 7 and 8 are older than all."""
    assert build_of(version) == build


@given(st.integers(0, 10_000), st.integers(1, 400))
@settings(max_examples=60, derandomize=True, deadline=None)
def test_a_device_with_a_problem_never_stays_silently(seed: int, n: int) -> None:
    """Whatever fleet is drawn: who is blocked has a reason, and who is healthy has none."""
    model = FleetModel(clients=n, problems=Problems(**dict.fromkeys(Problems.model_fields, 0.06)))
    inventory = generate(model, seed, TAKEN)
    fleet: Fleet = inventory.fleet
    blocked = set(exclusions(preflight(inventory)))
    must = (fleet.flags["enabled"] == 0) | (fleet.flags["client"] == 0) | (fleet.flags["pending"] == 1)
    must |= (
        (fleet.flags["obsolete"] == 1)
        | (fleet.flags["active"] == 0)
        | fleet.factors["join"].where("registered")
    )
    must |= fleet.factors["os"].where("Windows Server")
    assert set(np.flatnonzero(must).tolist()) <= blocked
    clean = (
        ~must
        & (fleet.times["last_sign_in"] > TAKEN - 90 * DAY_S)
        & ~fleet.factors["mdm"].where("Fernside MDM")
    )
    clean &= ~fleet.factors["os_version"].where("10.0.15063.2679")
    assert blocked.isdisjoint(np.flatnonzero(clean).tolist())
