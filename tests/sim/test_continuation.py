"""A running rollout foreseen from where it stands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
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
from sim.forecast.continuation import Eta, Standing, eta_of, on_plan
from sim.forecast.pilot import pilot_of
from sim.simulation import world_of
from sim.workers import workers_of


def test_the_pretend_past_is_the_real_one() -> None:
    """Under the right assumptions nearly every device stands where it really stands."""
    plan, fleet = plan_and_fleet()
    found = eta_of(plan, fleet, MODEL, truth_of().standing[0.5], runs=2)
    assert found is not None
    assert found.matched > 0.97


def test_the_interval_holds_the_truth_and_narrows_on_the_way() -> None:
    """From a quarter to half way: the truth inside both, the later one narrower."""
    plan, fleet = plan_and_fleet()
    truth = truth_of()
    widths = []
    for share in (0.1, 0.5):
        found = eta_of(plan, fleet, MODEL, truth.standing[share], runs=60)
        assert found is not None
        low, middle, high = found.through
        assert low is not None
        assert middle is not None
        assert high is not None
        slack = 12 * HOUR_S
        assert low - slack <= truth.through <= high + slack
        widths.append(high - low)
        assert found.done[0] is not None
        assert abs(found.done[0] - truth.done) <= 24 * HOUR_S
    assert widths[1] <= widths[0]


def test_nothing_that_happened_is_undone() -> None:
    """No future ends before now, none has fewer failures than there are, none more devices than the plan."""
    plan, fleet = plan_and_fleet()
    standing = truth_of().standing[0.25]
    found = eta_of(plan, fleet, MODEL, standing, runs=4)
    assert found is not None
    assert min(at for at in (*found.done, *found.through) if at is not None) >= standing.progress.at
    already = int((standing.outcomes.outcome == Outcome.FAILED).sum())
    assert already <= found.failed[2]
    assert found.failed_surely[0] >= already
    assert found.failed_surely[1] <= plan.planned


def test_an_eta_repeats_itself_with_any_number_of_workers() -> None:
    """Same seed: equal; another seed: another."""
    plan, fleet = plan_and_fleet()
    standing = truth_of().standing[0.25]
    one = eta_of(plan, fleet, MODEL, standing, runs=4)
    with workers_of(2) as two:
        assert eta_of(plan, fleet, MODEL, standing, runs=4, workers=two) == one
    assert eta_of(plan, fleet, MODEL, standing, runs=4, seed=2) != one


def test_a_rollout_that_has_ended_has_no_eta_and_a_paused_one_goes_on() -> None:
    """Final states give None; a pause does not change what is expected from now."""
    plan, fleet = plan_and_fleet()
    standing = truth_of().standing[0.25]
    ended = replace(standing, progress=replace(standing.progress, state=State.HALTED))
    assert eta_of(plan, fleet, MODEL, ended, runs=1) is None
    paused = replace(
        standing,
        progress=replace(standing.progress, state=State.PAUSED),
        commands=Commands(paused=True),
    )
    found, going = (eta_of(plan, fleet, MODEL, one, runs=2) for one in (paused, standing))
    assert found is not None
    assert going is not None
    assert found.done == going.done


def test_calibration_moves_the_eta_towards_the_truth() -> None:
    """The world has a five-day window, one day is assumed: fitted, the forecast is nearer."""
    plan, fleet = plan_and_fleet()
    truth = truth_of(window_s=5 * 86_400)
    standing = truth.standing[0.25]
    fitted = calibrate(
        pilot_of(plan, fleet, MODEL, standing.batches, standing.outcomes, standing.known_until),
        MODEL,
        worlds=(150, 150),
    )
    naive, told = (eta_of(plan, fleet, MODEL, standing, one, runs=8) for one in (None, fitted))
    assert naive is not None
    assert told is not None
    assert told.calibrated
    assert naive.through[1] is not None
    assert told.through[1] is not None
    assert abs(told.through[1] - truth.through) < abs(naive.through[1] - truth.through)


def test_on_plan_says_behind_and_ahead_by_how_much() -> None:
    """Against a band of 10 devices an hour: inside, three hours behind, four ahead; no simulation, no verdict."""
    hours = np.arange(1, 21) * 10.0
    bands = {"quantiles": [0.1, 0.5, 0.9], "values": [list(hours - 5), list(hours), list(hours + 5)]}
    told = {"start": START, "enrolled": bands, "summary": {"final": {"enrolled": 1000, "excluded": 40}}}
    now = START + 10 * HOUR_S

    def verdict(enrolled: int) -> str:
        return on_plan(told, now, enrolled, lambda h: f"{h:.0f} h")

    assert verdict(103).startswith("on plan: expected 100 (95 … 105), found 103")
    assert verdict(107).startswith("on plan: expected 100 (95 … 105), found 107"), "0.2 % outside is nothing"
    assert verdict(108).startswith("ahead of plan")
    assert verdict(70).startswith("behind plan by 3 h")
    assert verdict(140).startswith("ahead of plan by 4 h")
    assert "no simulation" in on_plan(None, now, 5, str)


def test_the_stored_form_is_plain_data() -> None:
    """What status and report keep: numbers, and None where the horizon comes first."""
    eta = Eta(START, 5, (1, 2, None), (1, 2, 3), (0, 1, 2), (0, 9), 0.2, 0.99, True)
    told = eta.document()
    assert told["done"] == {"p10": 1, "p50": 2, "p90": None}
    assert told["failed_surely"] == [0, 9]


@pytest.mark.slow
def test_the_80_percent_interval_covers(request: pytest.FixtureRequest) -> None:
    """Over twelve rollouts in unknown worlds, at a quarter of the way: most of the truths are inside."""
    del request
    plan, fleet = plan_and_fleet()
    inside = []
    for world in range(12):
        truth = truth_of(window_s=(1, 2, 4)[world % 3] * 86_400, seed=100 + world)
        standing = truth.standing[0.25]
        pilot = pilot_of(plan, fleet, MODEL, standing.batches, standing.outcomes, standing.known_until)
        found = eta_of(plan, fleet, MODEL, standing, calibrate(pilot, MODEL, worlds=(200, 200)), seed=world)
        assert found is not None
        low, _, high = found.through
        inside.append(low is not None and low <= truth.through and (high is None or truth.through <= high))
    assert sum(inside) >= 7


def test_an_inventory_of_any_kind_can_be_foreseen() -> None:
    """Devices of which no class of presence is known are drawn."""
    fleet = make_fleet(120)
    plan = make_plan(
        Inventory(fleet, START, ()), (), load_policy(POLICY, "eta"), mature_after_s=None, created=START
    )
    standing = Standing(
        progress=_begun(plan),
        batches=(),
        confirmed=(),
        commands=Commands(),
        outcomes=world_of(plan, traits_of(fleet, MODEL), MODEL, seed=1).outcomes(),
        known_until=plan.start,
        applied=(),
    )
    found = eta_of(plan, fleet, MODEL, standing, runs=2)
    assert found is not None
    assert found.done[1] is not None


def _begun(plan: Plan):  # type: ignore[no-untyped-def]
    from rollout.loop.decide import initial_progress

    return initial_progress(plan)
