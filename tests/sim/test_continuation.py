"""A running rollout foreseen from where it stands."""

from __future__ import annotations

from dataclasses import replace
from math import isfinite

import pytest
from continuations import MODEL, POLICY, START, plan_and_fleet, truth_of
from plan_builders import make_fleet

from rollout.planning.planner import make_plan
from rollout.policy import load_policy
from rollout.values import (
    HOUR_S,
    Commands,
    Inventory,
    Outcome,
    Plan,
    State,
)
from sim.clients.draws import traits_of
from sim.forecast.calibration import calibrate
from sim.forecast.continuation import JournalSnapshot, forecast_of
from sim.forecast.pilot import pilot_of
from sim.simulation import world_of
from sim.workers import workers_of


def test_the_simulated_past_matches_the_real_one() -> None:
    """With the right assumptions the simulated outcome of nearly every device is the real one."""
    plan, fleet = plan_and_fleet()
    found = forecast_of(plan, fleet, MODEL, truth_of().snapshots[0.5], runs=2)
    assert found is not None
    assert found.matched > 0.97


@pytest.mark.slow
def test_the_interval_holds_the_truth_and_narrows_on_the_way() -> None:
    """From a quarter to half way: the truth inside both, the later one narrower."""
    plan, fleet = plan_and_fleet()
    truth = truth_of()
    widths = []
    for share in (0.1, 0.5):
        found = forecast_of(plan, fleet, MODEL, truth.snapshots[share], runs=60)
        assert found is not None
        low, middle, high = found.enrolled_90
        assert isfinite(low)
        assert isfinite(middle)
        assert isfinite(high)
        slack = 12 * HOUR_S
        assert low - slack <= truth.through <= high + slack
        widths.append(high - low)
        assert isfinite(found.done[0])
        assert abs(found.done[0] - truth.done) <= 24 * HOUR_S
    assert widths[1] <= widths[0]


def test_nothing_that_happened_is_undone() -> None:
    """No continuation ends before now, has fewer failures than there are, or more devices than the plan."""
    plan, fleet = plan_and_fleet()
    snapshot = truth_of().snapshots[0.25]
    found = forecast_of(plan, fleet, MODEL, snapshot, runs=4)
    assert found is not None
    assert min(*found.done, *found.enrolled_90) >= snapshot.progress.at
    already = int((snapshot.outcomes.outcome == Outcome.FAILED).sum())
    assert already <= found.failed[2]
    assert found.failed_surely[0] >= already
    assert found.failed_surely[1] <= plan.planned


def test_a_forecast_is_reproducible_with_any_number_of_workers() -> None:
    """The same seed gives the same forecast; another seed gives another."""
    plan, fleet = plan_and_fleet()
    snapshot = truth_of().snapshots[0.25]
    single = forecast_of(plan, fleet, MODEL, snapshot, runs=4)
    with workers_of(2) as two:
        assert forecast_of(plan, fleet, MODEL, snapshot, runs=4, workers=two) == single
    assert forecast_of(plan, fleet, MODEL, snapshot, runs=4, seed=2) != single


def test_a_rollout_that_has_ended_has_no_forecast_and_a_paused_one_continues() -> None:
    """Final states give None; a pause does not change what is expected from now."""
    plan, fleet = plan_and_fleet()
    snapshot = truth_of().snapshots[0.25]
    ended = replace(snapshot, progress=replace(snapshot.progress, state=State.HALTED))
    assert forecast_of(plan, fleet, MODEL, ended, runs=1) is None
    paused = replace(
        snapshot,
        progress=replace(snapshot.progress, state=State.PAUSED),
        commands=Commands(paused=True),
    )
    found, going = (forecast_of(plan, fleet, MODEL, each, runs=2) for each in (paused, snapshot))
    assert found is not None
    assert going is not None
    assert found.done == going.done


def test_calibration_moves_the_forecast_towards_the_truth() -> None:
    """The real window is five days, one day is assumed: after calibration the forecast is nearer."""
    plan, fleet = plan_and_fleet()
    truth = truth_of(window_s=5 * 86_400)
    snapshot = truth.snapshots[0.25]
    fitted = calibrate(
        pilot_of(plan, fleet, MODEL, snapshot.batches, snapshot.outcomes, snapshot.known_until),
        MODEL,
        worlds=(150, 150),
    )
    naive, informed = (
        forecast_of(plan, fleet, MODEL, snapshot, calibration, runs=8) for calibration in (None, fitted)
    )
    assert naive is not None
    assert informed is not None
    assert informed.calibrated
    assert isfinite(naive.enrolled_90[1])
    assert isfinite(informed.enrolled_90[1])
    assert abs(informed.enrolled_90[1] - truth.through) < abs(naive.enrolled_90[1] - truth.through)


@pytest.mark.slow
def test_the_80_percent_interval_covers(request: pytest.FixtureRequest) -> None:
    """For most of twelve rollouts with unknown assumptions, the interval at a quarter contains the truth."""
    del request
    plan, fleet = plan_and_fleet()
    inside = []
    for world in range(12):
        truth = truth_of(window_s=(1, 2, 4)[world % 3] * 86_400, seed=100 + world)
        snapshot = truth.snapshots[0.25]
        pilot = pilot_of(plan, fleet, MODEL, snapshot.batches, snapshot.outcomes, snapshot.known_until)
        found = forecast_of(
            plan, fleet, MODEL, snapshot, calibrate(pilot, MODEL, worlds=(200, 200)), seed=world
        )
        assert found is not None
        low, _, high = found.enrolled_90
        inside.append(low <= truth.through <= high)
    assert sum(inside) >= 7


def test_an_inventory_without_presence_classes_can_be_forecast() -> None:
    """Unknown presence classes are drawn."""
    fleet = make_fleet(120)
    plan = make_plan(
        Inventory(fleet, START, ()), (), load_policy(POLICY, "eta"), mature_after_s=None, created=START
    )
    snapshot = JournalSnapshot(
        progress=_begun(plan),
        batches=(),
        confirmed=(),
        commands=Commands(),
        outcomes=world_of(plan, traits_of(fleet, MODEL), MODEL, seed=1).outcomes(),
        known_until=plan.start,
        applied=(),
    )
    found = forecast_of(plan, fleet, MODEL, snapshot, runs=2)
    assert found is not None
    assert isfinite(found.done[1])


def _begun(plan: Plan):  # type: ignore[no-untyped-def]
    from rollout.loop.decide import initial_progress

    return initial_progress(plan)
