"""From inventory and policy to a plan: who, in which order, how fast, and what is refused."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_builders import MONDAY, instant, make_fleet, make_inventory, make_policy, plan_of

from rollout.errors import RefusedError, UsageError
from rollout.pacing.calendar import is_open
from rollout.planning.exclusions import BY_POLICY, COMANAGED, NOT_ENROLLED
from rollout.planning.feasibility import feasibility
from rollout.planning.planner import NO_PHASE, make_plan
from rollout.planning.schedule import nominal_batches, nominal_releases
from rollout.values import (
    DAY_S,
    HOUR_S,
    Finding,
    Inventory,
    PhaseEnd,
    Plan,
    Severity,
    Window,
    digest_of,
    document_of,
    dumps,
    loads,
    value_of,
)

NIGHTS = [{"days": "Mon-Fri", "from": "22:00", "to": "05:00"}]
DEVICE_NIGHTS = [{**NIGHTS[0], "zone": "device"}]


def sites(n: int, *names: str) -> list[str]:
    return [names[number % len(names)] for number in range(n)]


def sizes(plan: Plan) -> dict[str, int]:
    return {phase.name: len(phase) for phase in plan.phases}


def block(rule: str, row: int, severity: Severity = Severity.BLOCK) -> Finding:
    return Finding(rule, severity, row, "a sentence", "an action")


def refusal(inventory: Inventory, **document: Any) -> RefusedError:
    with pytest.raises(RefusedError) as caught:
        plan_of(inventory, **document)
    return caught.value


def test_without_phases_there_is_a_pilot_then_all_then_the_tail() -> None:
    """1 % and at most 500 in the pilot; everybody is in exactly one phase."""
    plan = plan_of(make_inventory(1000))
    assert sizes(plan) == {"pilot": 10, "all": 990, "tail": 0}
    assert sorted(np.concatenate([phase.order for phase in plan.phases]).tolist()) == list(range(1000))
    assert sizes(plan_of(make_inventory(60_000)))["pilot"] == 500


def test_a_plan_is_deterministic() -> None:
    """Same arguments, same digest; another salt or instant, another."""
    inventory = make_inventory(300, site=sites(300, "A", "B"))
    first = plan_of(inventory, windows=DEVICE_NIGHTS)
    assert (
        plan_of(make_inventory(300, site=sites(300, "A", "B")), windows=DEVICE_NIGHTS).digest == first.digest
    )
    assert plan_of(inventory, windows=DEVICE_NIGHTS, salt="other").digest != first.digest
    assert plan_of(inventory, windows=DEVICE_NIGHTS, created=MONDAY).digest != first.digest
    assert loads(Plan, dumps(first)).digest == first.digest


def test_the_first_matching_phase_has_a_device() -> None:
    """Berlin's pilot takes some of Berlin, the second phase the rest of Berlin, the last the others."""
    inventory = make_inventory(100, site=sites(100, "Berlin", "Bonn"))
    phases = [
        {"name": "pilot", "where": {"site": "berlin"}, "devices": 5},
        {"name": "berlin", "where": {"site": ["Ber*"]}},
        {"name": "rest"},
    ]
    plan = plan_of(inventory, phases=phases)
    assert sizes(plan) == {"pilot": 5, "berlin": 45, "rest": 50, "tail": 0}
    assert plan.phases[0].source == "site = berlin"
    berlin = set(np.flatnonzero(inventory.fleet.factors["site"].where("Berlin")).tolist())
    assert {*plan.phases[0].order.tolist(), *plan.phases[1].order.tolist()} == berlin


def test_who_is_in_no_phase_leaves_with_a_reason() -> None:
    """A pilot of one site says nothing about the others: they do not slip in through the tail."""
    plan = plan_of(
        make_inventory(100, site=sites(100, "A", "B")), phases=[{"name": "a", "where": {"site": "A"}}]
    )
    assert plan.excluded_by_reason() == {NO_PHASE: 50}
    assert sizes(plan) == {"a": 50, "tail": 0}
    tail = [{"name": "a", "where": {"site": "A"}}, {"name": "tail"}]
    assert sizes(plan_of(make_inventory(100, site=sites(100, "A", "B")), phases=tail)) == {
        "a": 50,
        "tail": 50,
    }


def test_the_ineligible_leave_with_the_first_blocking_rule() -> None:
    """Findings come in the order of the rules; warnings keep nobody; the co-managed need nothing."""
    flags = [0, 0, 0, 0, 1, 1, 0, 0]
    findings = [block("E1", 0), block("E2", 0), block("E2", 1), block("D3", 2, Severity.WARN), block("E2", 4)]
    plan = plan_of(
        make_inventory(8, comanaged=flags), findings, exclude=["PC-D0000005", "d0000006", "nobody"]
    )
    assert plan.excluded_by_reason() == {BY_POLICY: 2, COMANAGED: 1, "E1": 1, "E2": 1}
    assert plan.planned == 3
    assert any("'nobody'" in warning for warning in plan.warnings)


def test_a_workload_moves_enrolled_devices_only() -> None:
    """A device that is not enrolled has nothing to switch; unknown is not enrolled."""
    plan = plan_of(
        make_inventory(4, comanaged=[1, 1, 0, -1]),
        action="workload",
        workload="windows-update",
        collection="Staging WU",
        counterparts={"windows-update": {"policy": "Rings", "by": "Kim", "on": dt.date(2027, 1, 8)}},
    )
    assert plan.action == "workload:windows-update"
    assert plan.excluded_by_reason() == {NOT_ENROLLED: 2}
    titles = " | ".join(step.title for step in plan.human_steps)
    assert "counterpart" in titles
    assert "Switch software updates off" in titles


def test_a_blocking_finding_of_the_tenant_refuses_the_plan() -> None:
    """With its next action as the hint."""
    with pytest.raises(RefusedError, match="E10: a sentence") as caught:
        plan_of(make_inventory(3), [block("E10", -1)])
    assert caught.value.hint == "an action"


def test_the_human_steps_guard_against_the_wizards_default() -> None:
    """Pilot with the rollout's own collection, and the exact place in the console."""
    steps = plan_of(make_inventory(3), collection="My Clients").human_steps
    text = " ".join(f"{step.title} {step.where} {step.why}" for step in steps)
    assert "Administration > Cloud Services > Cloud Attach" in text
    assert "Automatic enrollment in Intune: Pilot" in text
    assert "default settings set automatic enrollment to All" in text
    assert "'My Clients'" in text
    assert {step.when for step in steps} == {"before", "after"}


def test_a_plan_starts_at_the_next_full_hour_or_when_it_is_told() -> None:
    """A start in the past is taken, and said."""
    assert plan_of(make_inventory(3)).start == MONDAY
    assert plan_of(make_inventory(3), created=MONDAY).start == MONDAY + HOUR_S
    early = plan_of(make_inventory(3), start=dt.datetime(2027, 1, 10, 6), zone="Asia/Tokyo")
    assert early.start == instant("2027-01-10T06:00+09:00")
    assert any("in the past" in warning for warning in early.warnings)


@pytest.mark.parametrize(
    ("document", "hint"),
    [
        ({"strata": ["sit"]}, "'site'"),
        ({"stratum": "modell"}, "'model'"),
        ({"budgets": {"column": "sites", "per_level": 3}}, "'site'"),
        ({"phases": [{"name": "a", "where": {"nam": "x"}}]}, "'name'"),
    ],
)
def test_an_unknown_column_is_named(document: dict[str, Any], hint: str) -> None:
    """With the column that was probably meant."""
    with pytest.raises(UsageError, match="expected a column of the inventory") as caught:
        plan_of(make_inventory(3), **document)
    assert hint in caught.value.hint


def test_a_flag_is_compared_with_true_or_false() -> None:
    """And a text column with texts."""
    inventory = make_inventory(4, active=[1, 0, -1, 1])
    assert sizes(plan_of(inventory, phases=[{"name": "a", "where": {"active": True}}]))["a"] == 2
    for where in ({"active": "yes"}, {"site": True}):
        with pytest.raises(UsageError, match="expected"):
            plan_of(inventory, phases=[{"name": "a", "where": where}])


def test_devices_are_found_by_name_and_id() -> None:
    """Wildcards and case count as in the console."""
    inventory = make_inventory(30)
    for where in ({"name": ["pc-d000000?"]}, {"id": [f"D000000{digit}" for digit in range(10)]}):
        plan = plan_of(inventory, phases=[{"name": "a", "where": where}])
        assert sorted(plan.phases[0].order.tolist()) == list(range(10))


def test_batches_fall_into_windows_and_phases_follow_their_soak() -> None:
    """Four nights of Berlin; the second phase begins two days after the first one's last batch."""
    plan = plan_of(make_inventory(1000), windows=NIGHTS, zone="Europe/Berlin")
    batches = nominal_batches(plan)
    assert sum(count for _, _, count in batches) == 1000
    for at, _, _ in batches:
        local = dt.datetime.fromtimestamp(at, ZoneInfo("Europe/Berlin"))
        assert local.hour >= 22 or local.hour < 5
    pilot = [at for at, phase, _ in batches if phase == 0]
    everybody = [at for at, phase, _ in batches if phase == 1]
    assert everybody[0] >= pilot[-1] + 2 * DAY_S


def test_a_phase_without_end_is_the_last() -> None:
    """Nobody follows a pilot without end, and the plan says so."""
    plan = plan_of(
        make_inventory(100), phases=[{"name": "p", "devices": 10, "end": "never"}, {"name": "all"}]
    )
    assert plan.phases[0].end is PhaseEnd.NEVER
    assert {phase for _, phase, _ in nominal_batches(plan)} == {0}
    assert any("'all' never begins" in warning for warning in plan.warnings)
    assert feasibility(plan).feasible


ZONES = [
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Asia/Kathmandu",
    "America/Sao_Paulo",
    "Pacific/Apia",
    "UTC",
]


@pytest.mark.parametrize(
    "start", ["2027-03-12", "2027-03-26", "2027-04-02", "2027-10-01", "2027-10-29", "2027-11-05"]
)
def test_no_device_goes_outside_its_own_window(start: str) -> None:
    """Around all days on which clocks change, every release is at night where the device is."""
    n = 2000
    inventory = make_inventory(n, zone=sites(n, *ZONES, ""))
    plan = plan_of(
        inventory,
        windows=DEVICE_NIGHTS,
        freezes=[{"on": dt.date.fromisoformat(start) + dt.timedelta(days=3), "zone": "device"}],
        phases=[{"name": "all", "pacing": {"mode": "duration", "duration": "60h"}}],
        start=dt.datetime.fromisoformat(start),
        zone="Europe/Berlin",
    )
    frozen = (dt.date.fromisoformat(start) + dt.timedelta(days=3)).toordinal()
    seen = 0
    for release in nominal_releases(plan):
        for row in release.rows.tolist():
            zone = inventory.fleet.factors["zone"][row] or "Europe/Berlin"
            local = dt.datetime.fromtimestamp(release.at, ZoneInfo(zone))
            opened = local - dt.timedelta(hours=12)  # the day on which the night's window opened
            assert local.hour >= 22 or local.hour < 5
            assert opened.weekday() < 5
            assert local.fold == 0
            assert local.toordinal() != frozen
            seen += 1
    assert seen == n


def test_waiting_for_ones_own_window_makes_no_burst() -> None:
    """However many had to wait, no batch is larger than the curve's steepest step."""
    n = 3000
    inventory = make_inventory(n, zone=sites(n, "Europe/Berlin", "Europe/Berlin", "Asia/Tokyo"))
    plan = plan_of(
        inventory,
        windows=DEVICE_NIGHTS,
        phases=[{"name": "all", "pacing": {"mode": "duration", "duration": "30h"}}],
    )
    assert max(count for _, _, count in nominal_batches(plan)) == 100
    assert sum(count for _, _, count in nominal_batches(plan)) == n


def test_the_calendar_of_the_plan_is_the_union_of_its_zones() -> None:
    """It is open whenever somebody may go, and each device has the calendar of its zone."""
    n = 30
    plan = plan_of(
        make_inventory(n, zone=sites(n, "Asia/Tokyo", "America/New_York", "Mars")), windows=DEVICE_NIGHTS
    )
    assert plan.zone_names == ("America/New_York", "Asia/Tokyo", "UTC")
    assert [plan.zone_names[code] for code in plan.zone_codes[:3]] == [
        "Asia/Tokyo",
        "America/New_York",
        "UTC",
    ]
    assert any("10 devices have no known time zone" in warning for warning in plan.warnings)
    for at in range(plan.start, plan.start + 7 * DAY_S, 1800):
        assert is_open(plan.calendar, at) == any(is_open(calendar, at) for calendar in plan.zone_calendars)


def test_budgets_hold_back_who_promises_no_pace() -> None:
    """Batches take what the budgets leave; the schedule keeps both budgets at every instant."""
    plan = plan_of(
        make_inventory(1000),
        budgets={"in_flight": 120, "per_step": 50},
        mature_after="6h",
        phases=[{"name": "all", "pacing": {"mode": "batches", "batches": [10, "rest"], "every": "1d"}}],
    )
    batches = nominal_batches(plan)
    assert sum(count for _, _, count in batches) == 1000
    assert max(count for _, _, count in batches) == 50
    for at, _, _ in batches:
        assert sum(count for then, _, count in batches if at - 6 * HOUR_S < then <= at) <= 120


def test_auto_slows_down_to_the_budget_of_each_site() -> None:
    """Without a promise there is nothing to refuse."""
    inventory = make_inventory(2000, site=sites(2000, "A", "B", "C", "D"))
    plan = plan_of(inventory, budgets={"column": "site", "per_level": 40}, phases=[{"name": "all"}])
    report = feasibility(plan)
    assert report.feasible
    assert report.peaks.per_level <= 40
    assert report.finish > plan.start + 10 * DAY_S


def date_in(hint: str) -> dt.datetime:
    found = re.search(r"Earliest feasible date: date = (\S+?)\.( |$)", hint)
    assert found, hint
    return dt.datetime.fromisoformat(found.group(1))


def by_date(date: dt.date) -> list[dict[str, Any]]:
    return [{"name": "all", "pacing": {"mode": "by_date", "date": date}}]


CASES: dict[str, dict[str, Any]] = {
    "always": {},
    "nights": {"windows": NIGHTS, "zone": "Europe/Berlin"},
    "nights there": {"windows": DEVICE_NIGHTS, "zone": "Europe/Berlin"},
    "in flight": {"budgets": {"in_flight": 100}},
    "step": {"budgets": {"per_step": 9}, "windows": NIGHTS},
    "site": {"budgets": {"column": "site", "per_level": 30}, "windows": DEVICE_NIGHTS},
}


@pytest.mark.parametrize("name", CASES)
def test_an_impossible_date_is_refused_with_the_earliest_that_works(name: str) -> None:
    """The answer plans cleanly and keeps it; a second less is refused.

    With a budget per site, whole devices make the limit ragged: there, an answer within a fortieth will do.
    """
    document = CASES[name]
    inventory = make_inventory(1000, site=sites(1000, "A", "B", "C"), zone=sites(1000, *ZONES))
    error = refusal(inventory, phases=by_date(dt.date(2027, 1, 10)), **document)
    assert error.exit_code == 4
    date = date_in(error.hint)
    plan = plan_of(inventory, phases=by_date(date), **document)
    report = feasibility(plan)
    assert report.feasible
    assert report.finish <= date.timestamp()
    less = 1 if name != "site" else (date.timestamp() - plan.start) / 40
    refusal(inventory, phases=by_date(date - dt.timedelta(seconds=less)), **document)


@pytest.mark.parametrize(
    ("budgets", "pacing"),
    [
        ({"in_flight": 50}, {"mode": "rate", "devices": 20}),
        ({"per_step": 5}, {"mode": "duration", "duration": "2d"}),
        ({"column": "site", "per_level": 9}, {"mode": "points", "points": [["6h", "10%"], ["2d", "100%"]]}),
        (
            {"in_flight": 50, "per_step": 7, "column": "site", "per_level": 3},
            {"mode": "duration", "duration": "3d"},
        ),
    ],
)
def test_a_budget_that_cannot_bear_the_pace_is_refused_with_the_smallest_that_can(
    budgets: dict[str, Any], pacing: dict[str, Any]
) -> None:
    """The figures plan cleanly when used, and one less of any of them does not."""
    inventory = make_inventory(700, site=sites(700, "A", "B", "B", "C"))
    phases = [
        {"name": "first", "percent": 10, "pacing": pacing, "soak": "6h"},
        {"name": "all", "pacing": pacing},
    ]
    error = refusal(inventory, budgets=budgets, phases=phases)
    figures = {name: int(figure) for name, figure in re.findall(r"budgets\.(\w+) = (\d+)", error.hint)}
    assert figures
    enough = {**budgets, **figures}
    assert feasibility(plan_of(inventory, budgets=enough, phases=phases)).feasible
    for name, figure in figures.items():
        refusal(inventory, budgets={**enough, name: figure - 1}, phases=phases)


def test_windows_that_never_open_are_refused() -> None:
    """A freeze over everything is named, with the instant at which it would begin without it, or after it."""
    inventory = make_inventory(10)
    forever = refusal(inventory, windows=NIGHTS, freezes=[{"rrule": "FREQ=DAILY", "reason": "audit"}])
    assert "audit" in forever.hint
    assert "2027-01-11T22:00:00+00:00" in forever.hint
    long = [{"from": dt.date(2026, 1, 1), "to": dt.date(2030, 1, 1), "reason": "merger"}]
    later = refusal(inventory, windows=NIGHTS, freezes=long)
    start = dt.datetime.fromisoformat(later.hint.rsplit("start = ", 1)[1])
    assert start == dt.datetime(2030, 1, 2, tzinfo=dt.UTC)
    assert nominal_batches(plan_of(inventory, windows=NIGHTS, freezes=long, start=start))


def test_what_takes_longer_than_two_years_is_refused_with_the_pace_that_fits() -> None:
    """A smaller duration or a larger rate, and it plans cleanly when used."""
    inventory = make_inventory(3000)
    windows = [{"days": "Sun", "from": "01:00", "to": "03:00"}]
    error = refusal(
        inventory, windows=windows, phases=[{"name": "a", "pacing": {"mode": "rate", "devices": 1}}]
    )
    devices = int(error.hint.rsplit("= ", 1)[1])
    works = [{"name": "a", "pacing": {"mode": "rate", "devices": devices}}]
    assert feasibility(plan_of(inventory, windows=windows, phases=works)).feasible
    slow = [{"name": "a", "pacing": {"mode": "duration", "duration": "300h"}}]
    error = refusal(inventory, windows=windows, phases=slow)
    works = [{"name": "a", "pacing": {"mode": "duration", "duration": error.hint.split('"')[1]}}]
    assert feasibility(plan_of(inventory, windows=windows, phases=works)).feasible


def test_littles_law_is_printed() -> None:
    """100 an hour for a day of latency are 2,400 in flight."""
    phases = [{"name": "a", "pacing": {"mode": "rate", "devices": 100}}]
    report = feasibility(plan_of(make_inventory(10_000), phases=phases, budgets={"in_flight": 2400}))
    assert (report.peaks.per_hour, report.little, report.peaks.in_flight) == (100, 2400, 2400)
    assert any(
        "100 per hour * 1d = 2400 in flight" in line and "budget 2400" in line for line in report.lines
    )


def test_the_latency_comes_from_policy_then_model_then_default() -> None:
    """A policy's word counts most."""
    inventory, policy = make_inventory(3), make_policy()
    assert make_plan(inventory, [], policy, mature_after_s=7200, created=MONDAY).mature_after_s == 7200
    assert make_plan(inventory, [], policy, mature_after_s=None, created=MONDAY).mature_after_s == DAY_S
    own = make_policy(mature_after="3h")
    assert make_plan(inventory, [], own, mature_after_s=7200, created=MONDAY).mature_after_s == 3 * HOUR_S


def test_a_soak_shorter_than_the_latency_is_prolonged_and_said() -> None:
    """Before its last batches are mature a gate could only hold; said where others follow."""
    plan = plan_of(make_inventory(1000), mature_after="3d")
    assert [warning.split(":")[0] for warning in plan.warnings if " soaks " in warning] == [
        "phase 'pilot' soaks for 3d instead of 2d"
    ]
    assert [phase.soak_s for phase in plan.phases if len(phase)] == [3 * DAY_S, 3 * DAY_S]
    short = plan_of(make_inventory(1000), mature_after="2d").warnings
    assert not any(" soaks " in warning for warning in short)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_tiny_fleets_can_be_planned(n: int) -> None:
    """With a word on what their gates cannot do."""
    plan = plan_of(make_inventory(n))
    assert plan.planned == n
    assert feasibility(plan).feasible
    assert any(
        "cannot pass" in warning or "before its first batch can be judged" in warning
        for warning in plan.warnings
    )


@pytest.mark.parametrize(
    ("inventory", "reasons"),
    [(make_inventory(0), ""), (make_inventory(2, comanaged=1), " (2 already co-managed)")],
)
def test_a_plan_of_nobody_is_refused(inventory: Inventory, reasons: str) -> None:
    """It would be approved and finish with 0 of 0; the reasons are counted."""
    assert refusal(inventory).message.endswith(f"devices of the inventory is left{reasons}")


@settings(derandomize=True, max_examples=60, deadline=None)
@given(
    st.integers(2, 400),  # a site without devices is refused
    st.sampled_from(
        ["auto", {"mode": "rate", "devices": 7}, {"mode": "duration", "duration": "2d", "gap": "5h"}]
    ),
    st.sampled_from([{}, {"windows": NIGHTS}, {"windows": DEVICE_NIGHTS}]),
    st.lists(st.tuples(st.sampled_from("AB"), st.integers(0, 60)), max_size=3),
)
def test_everybody_is_accounted_for(
    n: int, pacing: Any, windows: dict[str, Any], limits: list[tuple[str, int]]
) -> None:
    """Each device is planned once or excluded; the schedule releases each planned one once, in the order's order."""
    inventory = make_inventory(n, site=sites(n, "A", "B"), zone=sites(n, "Asia/Tokyo", "America/Lima"))
    phases = [
        {"name": f"p{number}", "where": {"site": site}, "devices": limit, "pacing": pacing}
        for number, (site, limit) in enumerate(limits)
    ]
    plan = plan_of(
        inventory, [block("E1", 0)], phases=[*phases, {"name": "rest", "pacing": pacing}], **windows
    )
    orders = np.concatenate([phase.order for phase in plan.phases])
    assert sorted(orders.tolist()) == np.flatnonzero(plan.excluded == 0).tolist()
    assert plan.planned + sum(plan.excluded_by_reason().values()) == n
    releases = nominal_releases(plan)
    assert sorted(np.concatenate([release.rows for release in releases] or [orders]).tolist()) == sorted(
        orders.tolist()
    )
    assert [release.at for release in releases] == sorted(release.at for release in releases)
    assert all(is_open(plan.calendar, release.at) and release.at >= plan.start for release in releases)


def test_columns_of_the_customers_own_can_be_used() -> None:
    """As stratum, as budget and in `where`."""
    fleet = make_fleet(20, department=sites(20, "Sales", "Law"))
    inventory = Inventory(fleet, MONDAY, ())
    plan = plan_of(
        inventory,
        strata=["department"],
        stratum="department",
        budgets={"column": "department", "per_level": 5},
        phases=[{"name": "law", "where": {"department": "Law"}}],
    )
    assert sizes(plan)["law"] == 10
    assert plan.strata.names == ("Law", "Sales")


def warned(**document: Any) -> str:
    plan = plan_of(make_inventory(60), zone="Europe/Berlin", **document)
    return "\n".join(plan.warnings)


def test_a_freeze_that_catches_nothing_is_told() -> None:
    """In the past, and after the last release; one that catches a day is not."""
    past = {"from": dt.date(2025, 12, 24), "to": dt.date(2025, 12, 26), "reason": "last year"}
    later = {"on": [dt.date(2027, 12, 24)]}
    text = warned(start=dt.datetime(2027, 1, 11), freezes=[past, later, {"on": [dt.date(2027, 1, 11)]}])
    assert "2025-12-24 to 2025-12-26 Europe/Berlin: last year lies wholly in the past" in text
    assert "2027-12-24 Europe/Berlin covers no day of this plan" in text
    assert "freeze 2027-01-11" not in text


@pytest.mark.parametrize(
    ("freeze", "why"),
    [
        ({"from": dt.date(2030, 12, 24), "to": dt.date(2030, 12, 26)}, "covers no day of this plan"),
        ({"rrule": "FREQ=MONTHLY;BYMONTH=6;BYDAY=2TU"}, "covers no day of this plan"),
        ({"rrule": "FREQ=DAILY;COUNT=3", "from": dt.date(2026, 12, 1)}, "lies wholly in the past"),
        ({"rrule": "FREQ=WEEKLY;BYDAY=MO;UNTIL=20261231"}, "lies wholly in the past"),
        (
            {"rrule": "FREQ=WEEKLY;BYDAY=MO;UNTIL=20270202", "from": dt.date(2027, 2, 2)},
            "covers no day: it ends before its first one",
        ),
        ({"rrule": "FREQ=WEEKLY;UNTIL=20270110T230000Z;BYDAY=MO", "from": dt.date(2027, 1, 11)}, ""),
    ],
)
def test_why_a_freeze_catches_nothing(freeze: dict[str, Any], why: str) -> None:
    """Later than two years on, later in the year, over, never; the last one freezes Monday 11 January in Berlin."""
    plan = plan_of(make_inventory(60), zone="Europe/Berlin", start=dt.datetime(2027, 1, 11), freezes=[freeze])
    told = [warning for warning in plan.warnings if warning.startswith("the freeze ")]
    assert [why in item for item in told] == [True] * bool(why)
    first = nominal_batches(plan)[0][0]
    assert (first >= instant("2027-01-12T00:00+01:00")) is not bool(why)


def test_what_a_freeze_of_hours_leaves_of_a_window_may_be_too_short() -> None:
    """07:58-12:00 frozen leaves two minutes of a window from 07:56; the windows of other days are long enough."""
    text = warned(
        start=dt.datetime(2027, 1, 11, 6),
        windows=[{"from": "07:56", "to": "12:00"}],
        freezes=[{"on": [dt.date(2027, 1, 11)], "hours": "07:58-12:00"}],
    )
    assert "the window of 2027-01-11 07:56 is open for 2m, less than look_every (5m)" in text
    assert "look_every" not in warned(windows=[{"from": "07:56", "to": "12:00"}])


def test_two_windows_that_meet_are_one_window() -> None:
    """00:00-00:02 and 00:02-06:00 are not short."""
    assert "look_every" not in warned(
        windows=[{"from": "00:00", "to": "00:02"}, {"from": "00:02", "to": "06:00"}]
    )


def test_the_zones_whose_clocks_skip_a_window_are_named() -> None:
    """Windows by each device's own clock, 02:00-03:00 on 28 March 2027: in Berlin and Paris, not in Tokyo."""
    inventory = make_inventory(60, zone=sites(60, "Europe/Berlin", "Europe/Paris", "Asia/Tokyo"))
    plan = plan_of(
        inventory,
        zone="Europe/Berlin",
        start=dt.datetime(2027, 3, 26),
        windows=[{"from": "02:00", "to": "03:00", "zone": "device"}],
        phases=[{"name": "all", "pacing": {"mode": "batches", "batches": 8, "every": "1h"}}],
    )
    told = [warning for warning in plan.warnings if warning.startswith("no window")]
    assert len(told) == 1
    assert "2027-03-28 for devices in Europe/Berlin, Europe/Paris (" in told[0]


def test_a_window_that_the_clock_skips_is_told() -> None:
    """02:00-03:00 in Berlin does not come on 28 March 2027."""
    text = warned(
        start=dt.datetime(2027, 3, 26),
        windows=[{"from": "02:00", "to": "03:00"}],
        phases=[{"name": "all", "pacing": {"mode": "batches", "batches": 4, "every": "1h"}}],
    )
    assert "no window on 2027-03-28" in text


def test_open_time_and_short_windows_are_told() -> None:
    """A day of 12-hour windows is two windows; a window of two minutes is missed by a look every five."""
    office = [{"days": "Mon-Fri", "from": "07:00", "to": "19:00"}]
    phases = [{"name": "all", "pacing": {"mode": "batches", "batches": 4, "every": "1d"}}]
    assert 'every = "1d" counts open time' in warned(windows=office, phases=phases)
    assert "less than look_every (5m)" in warned(windows=[{"from": "00:00", "to": "00:02"}])
    days = [{"name": "all", "pacing": {"mode": "batches", "batches": 2, "every": "1d"}}]
    assert "one batch in 24 waves" in warned(windows=[{"at": "02:00"}], phases=days)
    assert "'step' has no effect" in warned(windows=[{"at": "02:00"}], step="10m")


def batches_in_berlin(start: dt.datetime, **document: Any) -> list[str]:
    """Local times of the batches: a pilot of two, and four more."""
    two, four = ({"mode": "batches", "batches": number} for number in (2, 4))
    phases = [
        {"name": "pilot", "devices": 40, "pacing": two, **document.pop("pilot", {})},
        {"name": "all", "pacing": four},
    ]
    plan = plan_of(make_inventory(400), zone="Europe/Berlin", start=start, phases=phases, **document)
    zone = ZoneInfo("Europe/Berlin")
    return [f"{dt.datetime.fromtimestamp(at, zone):%d %H:%M}" for at, _, _ in nominal_batches(plan)]


@pytest.mark.parametrize("lasts", ["5m", "1h", "4h", "12h"])
def test_a_wave_releases_once_a_day_at_its_time(lasts: str) -> None:
    """Six batches at 02:00 local, over the night on which 02:00 does not come and that on which it occurs twice."""
    waves = [{"at": "02:00", "lasts": lasts}]
    pilot = {"soak": "2d"}
    spring = batches_in_berlin(dt.datetime(2027, 3, 26, 14), windows=waves, pilot=pilot)
    assert spring[:2] == ["27 02:00", "28 03:00"]
    assert [item[3:] for item in spring[3:]] == ["02:00"] * 3
    autumn = batches_in_berlin(dt.datetime(2027, 10, 29, 14), windows=waves, pilot=pilot)
    assert autumn[:2] == ["30 02:00", "31 02:00"]
    for days in (spring, autumn):
        assert len({day[:2] for day in days}) == 6


def test_a_wave_keeps_its_time_wherever_a_phase_begins() -> None:
    """Begun at 02:30 within a wave, the next batch is at 02:00, not at 02:30 from then on."""
    assert batches_in_berlin(dt.datetime(2027, 1, 11, 2, 30), windows=[{"at": "02:00"}])[:2] == [
        "11 02:30",
        "12 02:00",
    ]


def test_waves_on_weekdays_and_beside_freezes_of_hours() -> None:
    """Saturdays and Sundays; 02:20-02:30 frozen leaves two pieces of one wave, and still one batch."""
    weekend = batches_in_berlin(dt.datetime(2027, 1, 11), windows=[{"at": "02:00", "days": "Sat,Sun"}])
    assert weekend == ["16 02:00", "17 02:00", "23 02:00", "24 02:00", "30 02:00", "31 02:00"]
    cut = {"rrule": "FREQ=DAILY", "hours": "02:20-02:30"}
    days = batches_in_berlin(dt.datetime(2027, 1, 11), windows=[{"at": "02:00"}], freezes=[cut])
    assert [day[3:] for day in days] == ["02:00"] * 6
    assert len({day[:2] for day in days}) == 6


def test_waves_by_each_devices_own_clock() -> None:
    """Each device at 02:00 of its own clock; waves that follow each other all day are refused."""
    names = ("Europe/Berlin", "America/New_York", "Asia/Tokyo")
    inventory = make_inventory(300, zone=sites(300, *names))
    phases = [{"name": "all", "pacing": {"mode": "batches", "batches": 6}}]
    waves = [{"at": "02:00", "zone": "device"}]
    plan = plan_of(inventory, start=dt.datetime(2027, 3, 12), windows=waves, phases=phases)
    for release in nominal_releases(plan):
        for code in np.unique(plan.zone_codes[release.rows]).tolist():
            local = dt.datetime.fromtimestamp(release.at, ZoneInfo(plan.zone_names[code]))
            assert local.hour in (2, 3)
            assert local.hour == 2 or local.date() in (dt.date(2027, 3, 14), dt.date(2027, 3, 28))
    around = make_inventory(288, zone=sites(288, *(f"Etc/GMT{hour:+d}" for hour in range(-11, 13))))
    error = refusal(around, windows=waves, phases=phases)
    assert "waves with a pause between them" in error.message


def test_a_window_keeps_the_digest_that_it_had_before_there_were_waves() -> None:
    """Else every plan with a window that was stored before could not be read: its seal would be another's."""
    window = Window((0, 1), 60, 120, "UTC")
    before = {"days": [0, 1], "from_min": 60, "to_min": 120, "zone": "UTC"}
    assert document_of(window) == before
    assert value_of(Window, before) == window
    wave = Window((0, 1), 60, 60, "UTC", lasts_s=3600)
    assert value_of(Window, document_of(wave)) == wave
    assert digest_of(window) == "4fc45ab1a4353163748d7407e8854b8cc0d6f4061bf0f844f68197aecf6a3073"
