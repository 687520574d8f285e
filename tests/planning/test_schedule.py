"""The nominal schedule is what `decide` does when every device enrolls at once and every gate passes."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest
from plan_builders import make_inventory, plan_of

from rollout.loop.decide import decide, initial_progress
from rollout.pacing import step_limit
from rollout.planning import nominal_batches, nominal_releases
from rollout.values import DAY_S, OUTCOMES, Observation, Outcome, Plan, Seen

NIGHTS = [{"days": "Mon-Fri", "from": "22:00", "to": "05:00"}]
EASY = {"ignore_failures": True, "min_executed": 1}


def decided(plan: Plan) -> list[tuple[int, int, int]]:
    """(Unix seconds, phase, devices) of each batch that `decide` releases in a world where all goes well."""
    progress, now = initial_progress(plan), plan.start
    gone = np.zeros(len(plan), dtype=np.bool_)
    released: list[tuple[int, int, np.ndarray]] = []
    while not progress.state.is_final and now < plan.start + 90 * DAY_S:
        counts = np.zeros((len(released) + 1, len(plan.strata.names), OUTCOMES), dtype=np.int64)
        for number, (_, _, rows) in enumerate(released):
            np.add.at(counts, (number, plan.strata.codes[rows], int(Outcome.ENROLLED)), 1)
        seen = Seen(now, Observation(now, counts, {}), gone, tuple(at for at, _, _ in released))
        decision = decide(plan, progress, seen)
        phase = progress.phase
        if len(decision.rows):
            released.append((now, phase, decision.rows))
            gone[decision.rows] = True
        progress = decision.progress
        now = decision.look_again if decision.look_again > now or decision.matters else now + plan.look_s
    return [(at, phase, len(rows)) for at, phase, rows in released]


CASES: dict[str, dict[str, Any]] = {
    "default": {"windows": []},
    "nights": {"windows": NIGHTS, "zone": "Europe/Berlin"},
    "rate": {"phases": [{"name": "a", "pacing": {"mode": "rate", "devices": 7, "every": "2h"}}]},
    "groups": {
        "windows": NIGHTS,
        "phases": [{"name": "a", "pacing": {"mode": "duration", "duration": "20h", "gap": "4h"}}],
    },
    "two phases": {
        "phases": [
            {"name": "a", "percent": 10, "soak": "36h"},
            {"name": "b", "pacing": {"mode": "batches", "batches": [1, "10%", "rest"], "every": "6h"}},
        ],
    },
    "date": {
        "windows": NIGHTS,
        "phases": [{"name": "a", "pacing": {"mode": "by_date", "date": dt.date(2027, 1, 14)}}],
    },
    "step budget": {"budgets": {"per_step": 9}, "phases": [{"name": "a"}]},
}


@pytest.mark.parametrize("name", CASES)
def test_decide_releases_what_the_schedule_says(name: str) -> None:
    """Batch by batch: the same instant, phase and number of devices."""
    plan = plan_of(make_inventory(300), gate=EASY, mature_after="1h", **CASES[name])
    assert decided(plan) == nominal_batches(plan)


def test_decide_follows_the_schedule_in_each_zone_s_own_window() -> None:
    """With windows in the device's own time nobody goes outside his, and nobody in a burst."""
    inventory = make_inventory(300, zone=["Asia/Tokyo", "Europe/Berlin", "America/New_York"] * 100)
    windows = [{**NIGHTS[0], "zone": "device"}]
    plan = plan_of(inventory, gate=EASY, mature_after="1h", windows=windows)
    assert decided(plan) == nominal_batches(plan)


def test_a_ramp_is_never_ahead_of_its_schedule() -> None:
    """Successes are seen at a look, after they are earned: a real ramp is behind the nominal one."""
    table = {"mode": "ramp", "base": 5, "succeeded": 20}
    plan = plan_of(make_inventory(300), gate=EASY, mature_after="1h", phases=[{"name": "a", "pacing": table}])
    nominal, real = nominal_batches(plan), decided(plan)
    assert sum(count for _, _, count in real) == 300
    for at, _, _ in real:
        assert sum(n for then, _, n in real if then <= at) <= sum(n for then, _, n in nominal if then <= at)


def test_no_batch_is_larger_than_the_steepest_step() -> None:
    """In any schedule, budgets and zones or not."""
    inventory = make_inventory(600, zone=["Asia/Tokyo", "Europe/Berlin", "Europe/Berlin"] * 200)
    for windows in ([], NIGHTS, [{**NIGHTS[0], "zone": "device"}]):
        plan = plan_of(inventory, windows=windows, budgets={"in_flight": 90})
        for release in nominal_releases(plan):
            assert len(release.rows) <= step_limit(plan.phases[release.phase])
