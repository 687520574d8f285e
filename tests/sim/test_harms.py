"""Harms reach the devices that they say, leave the others alone, and are met by the whole loop."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from rollout.errors import UsageError
from rollout.values import DAY_S, HOUR_S, DecisionRow, Fact, Mark, Outcome, State
from sim.clients.draws import make_draws, traits_like, traits_of
from sim.engines.engine import FAST, Engine
from sim.engines.oracle import Oracle
from sim.harms import Clusters, ExposureResult, Harm, HarmKind, HelpDesk, exposure
from sim.model import Model, Outage
from sim.planning import Planned, plan_scenario
from sim.scenario import Scenario, load_scenario
from sim.simulation import play, waited_s, world_of

CLIENTS = 4000
KINDS = {
    "fail-fast": Harm(HarmKind.FAIL_FAST, 0.3),
    "fail-late": Harm(HarmKind.FAIL_LATE, 0.3, delay_s=3 * DAY_S),
    "silent": Harm(HarmKind.SILENT, 0.3),
    "removed": Harm(HarmKind.REMOVED, 0.3, delay_s=1800),
}


@cache
def made() -> tuple[Planned, Scenario]:
    """Return a plan for a small fleet."""
    scenario = load_scenario(None).with_clients(CLIENTS)
    return plan_scenario(scenario), scenario


def exposed(harm: Any, runs: int = 3, **options: Any) -> ExposureResult:
    planned, scenario = made()
    return exposure(planned.plan, planned.inventory.fleet, scenario.model, harm, runs=runs, **options)


def applied(harm: Any, replication: int = 0) -> Any:
    planned, scenario = made()
    traits = traits_of(planned.inventory.fleet, scenario.model)
    return harm.applied(traits, planned.plan, planned.inventory.fleet, replication)


def hit(harm: Harm, replication: int = 0) -> Any:
    """Return the devices that a harm reaches."""
    traits = applied(harm, replication)
    return traits.fault >= 1.0 if harm.kind is not HarmKind.SILENT else traits.silent


@pytest.mark.parametrize("name", KINDS)
def test_a_harm_reaches_its_share_of_planned_devices(name: str) -> None:
    """The same devices for the same seed and run, others for another; a larger share reaches all of a smaller one."""
    plan = made()[0].plan
    harm = KINDS[name]
    devices = hit(harm)
    assert abs(devices.sum() / plan.planned - 0.3) < 0.04
    assert not devices[plan.phase_of < 0].any()
    assert (hit(harm) == devices).all()
    assert (hit(harm, replication=1) != devices).any()
    assert (hit(replace(harm, seed=2)) != devices).any()
    assert hit(replace(harm, share=0.6))[devices].all()
    assert hit(replace(harm, share=1.0)).sum() == plan.planned
    assert hit(replace(harm, share=0.0)).sum() == 0


def test_a_harm_can_be_limited_to_a_level_and_to_the_later_devices() -> None:
    planned, _ = made()
    plan, fleet = planned.plan, planned.inventory.fleet
    column = fleet.factors["model"]
    level = column.levels[3]
    some = hit(Harm(HarmKind.SILENT, 1.0, column="model", level=level))
    assert (some == (column.where(level) & (plan.phase_of >= 0))).all()
    late = hit(Harm(HarmKind.FAIL_FAST, 1.0, after=0.5))
    order = np.concatenate([phase.order for phase in plan.phases])
    assert late[order].tolist() == [False] * round(len(order) / 2) + [True] * (
        len(order) - round(len(order) / 2)
    )


def test_the_other_devices_live_as_they_do_without_the_harm() -> None:
    """The draws of presence, timers and failures are not those of the harm: nothing else changes."""
    planned, scenario = made()
    plan = replace(planned.plan, chunk=10**6)
    model = scenario.model.model_copy(
        update={"service": scenario.model.service.model_copy(update={"capacity_per_minute": 0})}
    )
    traits = traits_of(planned.inventory.fleet, model)
    rows = np.flatnonzero(plan.phase_of >= 0).astype(np.int32)
    seen = []
    for harm in (None, KINDS["silent"]):
        under = harm.applied(traits, plan, planned.inventory.fleet, 0) if harm else traits
        engine = world_of(plan, under, model, seed=3).engine
        engine.release(rows, 0, plan.start)
        engine.advance(plan.start + 20 * DAY_S)
        seen.append((engine.outcome.copy(), engine.outcome_at.copy()))
    others = ~hit(KINDS["silent"])
    for before, after in zip(*seen, strict=True):
        assert (before[others] == after[others]).all()
    assert (seen[1][0][~others] == Outcome.TIMED_OUT).all()


def test_failures_are_late_by_the_delay_and_all_else_is_not() -> None:
    planned, scenario = made()
    plan, fleet = planned.plan, planned.inventory.fleet
    traits = traits_of(fleet, scenario.model)
    rows = np.flatnonzero(plan.phase_of >= 0).astype(np.int32)
    at = []
    for harm in (KINDS["fail-fast"], KINDS["fail-late"]):
        engine = world_of(plan, harm.applied(traits, plan, fleet, 0), scenario.model, seed=3).engine
        engine.release(rows, 0, plan.start)
        engine.advance(plan.start + 40 * DAY_S)
        at.append(engine.answered_at)
        assert set(engine.code[hit(harm) & (engine.outcome == Outcome.FAILED)].tolist()) <= {
            harm.code,
            0x80180005,
        }
    failed = hit(KINDS["fail-late"]) & (at[0] >= 0) & (at[0] < plan.start + 37 * DAY_S)
    assert failed.sum() > 500
    assert ((at[1] - at[0])[failed] == 3 * DAY_S).all()
    others = ~hit(KINDS["fail-late"])
    assert (at[1][others] == at[0][others]).all()


@pytest.mark.skipif(not FAST, reason="numba is not installed")
@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("code", [0x80180023, 0x80180005, 0x80070ABC])
def test_both_engines_agree_under_a_harm(name: str, code: int) -> None:
    """To the second, with codes that mend, that do not, and that the model does not have."""
    model = Model.model_validate(
        {
            "clients": {"window": "6h", "unenroll_per_year": 20},
            "service": {"outages": [{"after": "10h", "lasts": "16h"}]},
            "horizon": "12d",
        }
    )
    n = 150
    harmed = np.arange(n) % 3 == 0
    traits = traits_like(n, model)
    if name == "silent":
        traits = replace(traits, silent=harmed)
    else:
        delay = np.where(harmed & (name == "fail-late"), DAY_S, 0).astype(np.int32)
        fault = np.where(harmed, 1.0, traits.fault)
        traits = replace(
            traits, fault=fault, fault_code=np.where(harmed, code, 0), codes=(code,), delay=delay
        )
    draws = make_draws(model, traits, 4, 0, 1_767_596_400)
    options: Any = {
        "start": 1_767_596_400,
        "strata": (np.arange(n) % 3).astype(np.int32),
        "n_strata": 3,
        "straggler_after_s": 7 * DAY_S,
    }
    pair = [kind(model, traits, draws, **options) for kind in (Engine, Oracle)]
    for engine in pair:
        engine.release(np.arange(n, dtype=np.int32), 0, engine.now)
    for at in range(pair[0].now + 7 * HOUR_S, pair[0].now + 12 * DAY_S, 7 * HOUR_S):
        for engine in pair:
            engine.advance(at)
        one, other = pair
        assert np.array_equal(one.counts, other.counts)
        assert np.array_equal(one.answered_at, other.answered_at)
        assert np.array_equal(one.outcome_at, other.outcome_at)
        marks = [0 if engine.marks is None else engine.marks.tolist() for engine in pair]
        assert marks[0] == marks[1]
        assert one.failed_codes == other.failed_codes


def test_clusters_have_their_mean_and_their_correlation() -> None:
    """Over many draws: the mean share, and the variance of a level's share that the correlation implies."""
    planned, _ = made()
    factor = planned.inventory.fleet.factors["site"]
    for correlation in (0.0, 0.01, 0.2):
        shares = []
        for seed in range(200):
            traits = applied(Clusters("site", 0.02, correlation, seed))
            first = np.unique(factor.codes, return_index=True)[1]
            assert (traits.fault == traits.fault[first][factor.codes]).all(), "one share per site"
            shares += traits.fault[first].tolist()
        assert abs(np.mean(shares) - 0.02) < 0.002
        expected = correlation * 0.02 * 0.98
        assert abs(np.var(shares) - expected) <= 0.25 * expected


@pytest.mark.parametrize("name", KINDS)
def test_the_loop_stops_each_kind_early(name: str) -> None:
    """30 % of a fleet of 4,000 are harmed: few more than the pilot of 500 are released."""
    result = exposed(KINDS[name], runs=2)
    assert result.contained == 1.0
    assert result.released(1.0) <= 600
    for run in result.runs:
        assert run.harmed <= run.reached <= run.released
        assert run.harmed > 0
        assert run.reason


def test_without_a_harm_the_same_plan_ends() -> None:
    result = exposed(None)
    assert result.stopped == 0.0
    assert result.released(0.5) == made()[0].plan.planned
    assert all(run.state.is_finished and run.harmed == 0 for run in result.runs)


def test_removal_by_the_help_desk_hides_no_failure() -> None:
    """Devices that fail and are taken out stop the rollout at the same decision as those that stay."""
    fast = Harm(HarmKind.FAIL_FAST, 0.1)
    control = exposed(fast, runs=3)
    for minutes in (1, 30, 240):
        removed = exposed(replace(fast, kind=HarmKind.REMOVED, delay_s=60 * minutes), runs=3)
        assert removed.stopped == control.stopped == 1.0
        for one, other in zip(removed.runs, control.runs, strict=True):
            assert one.released <= 1.1 * other.released


def test_the_help_desk_takes_failed_devices_out_after_its_time() -> None:
    planned, scenario = made()
    plan, fleet = planned.plan, planned.inventory.fleet
    harm = KINDS["removed"]
    traits = harm.applied(traits_of(fleet, scenario.model), plan, fleet, 0)
    desk = HelpDesk(world_of(plan, traits, scenario.model, seed=1).engine, len(plan), 1800)
    desk.apply(0, np.arange(300, dtype=np.int32), plan.start)
    lost = None
    for at in range(plan.start + 300, plan.start + 3 * DAY_S, 1700):
        seen = desk.observe(at)
        outcome = desk.outcomes()
        lost = seen.lost
        due = np.flatnonzero((outcome.outcome == Outcome.FAILED) & (outcome.at + 1800 < at))
        assert set(due.tolist()) <= set([] if lost is None else lost.rows.tolist())
        if lost is not None:
            assert (lost.at < at).all()
            assert set(lost.facts.tolist()) == {Fact.REMOVED}
            assert not desk.is_member[lost.rows].any()
    assert lost is not None
    assert len(lost.rows) > 20


def test_exposure_does_not_depend_on_workers() -> None:
    one = exposed(KINDS["fail-fast"], runs=4)
    two = exposed(KINDS["fail-fast"], runs=4, workers=2)
    assert one.runs == two.runs


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"share": 1.5}, "shares from 0 to 1"),
        ({"share": -0.1}, "shares from 0 to 1"),
        ({"share": float("nan")}, "shares from 0 to 1"),
        ({"after": 2.0}, "shares from 0 to 1"),
        ({"delay_s": -1}, "expected a delay"),
        ({"delay_s": 10**10}, "expected a delay"),
        ({"delay_s": 60}, "has no delay"),
        ({"kind": HarmKind.FAIL_LATE}, "needs a delay"),
        ({"kind": HarmKind.REMOVED}, "needs a delay"),
        ({"column": "model"}, "both its column and the level"),
        ({"level": "Tall Book"}, "both its column and the level"),
        ({"code": 0}, "unsigned 32-bit"),
        ({"code": -5}, "unsigned 32-bit"),
    ],
)
def test_an_impossible_harm_is_refused(wrong: dict[str, Any], words: str) -> None:
    options: dict[str, Any] = {"kind": HarmKind.FAIL_FAST, "share": 0.1}
    with pytest.raises(ValueError, match=words):
        Harm(**options | wrong)


@pytest.mark.parametrize("figures", [(1.5, 0.1), (-0.1, 0.1), (0.1, 1.0), (0.1, -0.2)])
def test_impossible_clusters_are_refused(figures: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="mean from 0 to 1"):
        Clusters("site", *figures)


def test_unknown_columns_and_levels_are_named() -> None:
    levels = made()[0].inventory.fleet.factors["model"].levels
    with pytest.raises(UsageError, match="no column 'colour'"):
        exposed(Harm(HarmKind.SILENT, 0.1, column="colour", level="red"))
    with pytest.raises(UsageError, match="no column 'colour'"):
        exposed(Clusters("colour", 0.1, 0.1))
    with pytest.raises(UsageError, match="no device has") as error:
        exposed(Harm(HarmKind.SILENT, 0.1, column="model", level=levels[1][:-1]))
    assert any(level in error.value.hint for level in levels if level)
    with pytest.raises(UsageError, match="at least one run"):
        exposed(None, runs=0)


def test_waits_are_summed_up_to_the_next_decision() -> None:
    """Each wait lasts to the next row, the last one to the end; holds and pauses are no waits."""

    def row(at: int, state: State) -> DecisionRow:
        return DecisionRow(0, at, state, 0, -1, 0, 0, (), "", "")

    rows = [
        row(0, State.RUNNING),
        row(100, State.WAITING),
        row(150, State.WAITING),
        row(400, State.RUNNING),
        row(500, State.HELD),
        row(900, State.WAITING),
    ]
    assert waited_s(rows, 1000) == 300 + 100
    assert waited_s(rows[:4], 1000) == 300
    assert waited_s([], 1000) == 0


@pytest.mark.parametrize("name", [*KINDS, "none"])
def test_skipped_observations_change_no_decision_under_harms(name: str) -> None:
    """Failures that mend, recover, last or come late, outages and silence: looking every time decides the same."""
    planned, _ = made()
    model = Model.model_validate(
        {
            "clients": {
                "window": "6h",
                "unenroll_per_year": 20,
                "failures": [
                    {"code": 0x80180018, "rate": 0.004, "permanent": True},
                    {"code": 0x80180005, "rate": 0.004, "permanent": True},
                    {"code": 0x80180005, "rate": 0.25},
                    {"code": 0x80180014, "rate": 0.01},
                ],
            },
            "service": {"outages_per_year": 30},
            "horizon": "25d",
        }
    )
    plan, fleet = replace(planned.plan, chunk=10**6), planned.inventory.fleet
    traits = traits_of(fleet, model)
    if name != "none":
        traits = replace(KINDS[name], share=0.01).applied(traits, plan, fleet, 0)
    for seed in range(2):
        rows = []
        for skip_s in (0, 10**9):
            world = world_of(plan, traits, model, seed=seed, skip_s=skip_s)
            rows.append(play(plan, world, plan.start + model.horizon)[1])
        assert rows[0] == rows[1]
        assert len(rows[0]) > 3
        assert world.engine.marks is not None
        assert world.engine.marks.sum(axis=(0, 1))[Mark.RECOVERED] > 0


@pytest.mark.parametrize("lasts", ["4h30m", "16h"])
def test_an_outage_stops_no_good_rollout_for_good_and_hides_no_bad_one(lasts: str) -> None:
    """At whatever hour it begins: a good rollout waits and finishes; 10 % of real failures are caught as early."""
    planned, scenario = made()
    fleet = planned.inventory.fleet
    bad = Harm(HarmKind.FAIL_FAST, 0.1)
    waited = 0
    for hours in (1, 9, 30, 76, 100):
        service = scenario.model.service.model_copy(
            update={"outages": (Outage(after=hours * HOUR_S, lasts=lasts),)}
        )
        model = scenario.model.model_copy(update={"service": service})
        good = exposure(planned.plan, fleet, model, None, runs=2)
        assert all(run.state is State.FINISHED for run in good.runs), [run.reason for run in good.runs]
        waited += sum(run.waited_s > 0 for run in good.runs)
        stopped = exposure(planned.plan, fleet, model, bad, runs=2)
        assert stopped.stopped == 1.0
        assert stopped.released(1.0) <= 600
    assert waited > 0
