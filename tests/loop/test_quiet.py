"""Looks that decide nothing may be skipped: the decisions are the same."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from building import MONDAY, make_plan

from rollout.gates import GateCounts, failures_to_speak, judge
from rollout.loop.drive import drive, pump
from rollout.values import (
    DAY_S,
    HOUR_S,
    OUTCOMES,
    Budgets,
    DecisionRow,
    EvidenceGate,
    GatePolicy,
    Outcome,
    Plan,
    ThresholdGate,
    Verdict,
    Window,
)
from sim.clients.draws import Traits, traits_of
from sim.fleet.population import FleetModel, generate
from sim.model import Model
from sim.simulation import world_of
from sim.world.directory import SimClock
from sim.world.journal import MemoryJournal

MODEL = Model.model_validate({"clients": {"window": "12h"}, "horizon": "30d"})
ROUGH = Model.model_validate(
    {
        "clients": {
            "window": "2h",
            "unenroll_per_year": 20.0,
            "failures": [
                {"code": 0x80180018, "rate": 0.03, "permanent": True},
                {"code": 0x80180005, "rate": 0.3},
            ],
        },
        "horizon": "30d",
    }
)
OFFICE = (Window((0, 1, 2, 3, 4), 8 * 60, 18 * 60, "UTC"),)
GATES = {
    "evidence": GatePolicy(EvidenceGate(p_ok=0.02, p_bad=0.1)),
    "threshold": GatePolicy(None, (ThresholdGate(8.0, 3, 20), ThresholdGate(5.0, 2, 10, "hold"))),
    "both": GatePolicy(EvidenceGate(p_ok=0.03, p_bad=0.1), (ThresholdGate(30.0, 10, 10),)),
    "strict": GatePolicy(EvidenceGate(p_ok=0.001, p_bad=0.02)),
    "few stragglers": GatePolicy(EvidenceGate(p_ok=0.02, p_bad=0.1), straggler_max=0.02),
}


def plan_of(gate: GatePolicy, budgets: Budgets | None = None) -> Plan:
    return replace(
        make_plan(
            sizes=(150, 850, 0),
            hours=(3, 20, 1),
            soak_s=DAY_S,
            windows=OFFICE,
            gate=gate,
            budgets=budgets,
            strata=7,
            chunk=100,
            straggler_after_s=4 * DAY_S,
        ),
        mature_after_s=DAY_S,
    )


@pytest.fixture(name="fleet", scope="module")
def _fleet():  # type: ignore[no-untyped-def]
    return generate(FleetModel(clients=1000), 1, MONDAY).fleet


def decided(plan: Plan, traits: Traits, model: Model, seed: int, skip_s: int) -> list[DecisionRow]:
    world = world_of(plan, traits, model, seed=seed, skip_s=skip_s)
    journal = MemoryJournal()
    pump(drive(plan, journal, world, plan.start + model.horizon), SimClock(plan.start).wait_until)
    return list(journal.decisions())


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("model", [MODEL, ROUGH], ids=["smooth", "rough"])
def test_skipping_looks_changes_no_decision(fleet, gate: str, model: Model) -> None:  # type: ignore[no-untyped-def]
    """All looks, an hour skipped at most, or as many as it likes: the same decision rows."""
    plan = plan_of(GATES[gate], Budgets(in_flight=300) if gate == "both" else None)
    traits = traits_of(fleet, model)
    for seed in range(2):
        every = decided(plan, traits, model, seed, 0)
        assert len(every) > 3
        assert decided(plan, traits, model, seed, 3600) == every
        assert decided(plan, traits, model, seed, 10**9) == every


def test_skipping_looks_changes_no_decision_between_waves(fleet) -> None:  # type: ignore[no-untyped-def]
    """Active time stands still within a wave and jumps at its end; each local day has at most one batch."""
    waves = (Window((0, 1, 2, 3, 4, 5, 6), 120, 120, "Europe/Berlin", lasts_s=HOUR_S),)
    windows = make_plan(sizes=(150, 850, 0), hours=(1, 5, 1), soak_s=DAY_S, windows=waves, chunk=100)
    plan = replace(windows, mature_after_s=DAY_S)
    traits = traits_of(fleet, MODEL)
    every = decided(plan, traits, MODEL, 0, 0)
    assert decided(plan, traits, MODEL, 0, 10**9) == every
    local = [dt.datetime.fromtimestamp(row.at, ZoneInfo("Europe/Berlin")) for row in every if row.batch >= 0]
    assert len(local) >= 6
    assert len({item.date() for item in local}) == len(local)
    assert {item.hour for item in local} == {2}


def test_below_the_bound_a_gate_says_go() -> None:
    """Whatever becomes of the pending devices: with fewer failures than the bounds the verdict is GO."""
    random = np.random.default_rng(3)
    names = tuple(f"M{number}" for number in range(6))
    for trial in range(400):
        gate = list(GATES.values())[trial % 4]
        counts = np.zeros((6, OUTCOMES), dtype=np.int64)
        counts[:, Outcome.PENDING] = random.integers(0, 200, 6)
        counts[:, Outcome.ENROLLED] = random.integers(0, 200, 6)
        counts[:, Outcome.FAILED] = random.integers(0, 3, 6)
        planned = counts.sum(axis=1) + random.integers(0, 100, 6)
        least = counts.copy()
        least[:, Outcome.PENDING] = 0
        bounds = failures_to_speak(gate, least, planned, names)
        later = counts.copy()
        for stratum in range(6):
            moved = random.multinomial(counts[stratum, Outcome.PENDING], [0.3, 0.4, 0.05, 0.0, 0.25])
            later[stratum, Outcome.PENDING] = 0
            later[stratum] += moved
        failed = later[:, Outcome.FAILED]
        if failed.sum() >= bounds[-1] or (failed >= bounds[:-1]).any():
            continue
        none = np.zeros_like(later)
        said = judge(
            gate,
            GateCounts(
                cumulative=later,
                phase=later,
                mature=none,
                planned=planned,
                names=names,
                complete=False,
                readable=True,
            ),
        )
        assert said.verdict is Verdict.GO, said.sentence
