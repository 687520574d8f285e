"""Arguments that scripts pass to the public functions, and that no command line would let through."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

import rollout
import sim
from rollout.errors import UsageError
from rollout.store import Database
from sim.fleet import MADE_UP_AT


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """A database with an approved plan of 60 devices, and a rollout of it that has made one decision."""
    database = rollout.open_database(str(tmp_path_factory.mktemp("checks") / "rollout.db"))
    scenario = sim.load_scenario(None).with_clients(60)
    rollout.store_inventory(database, rollout.generate_inventory(scenario, taken=MADE_UP_AT))
    rollout.make_plan(database, scenario, created=MADE_UP_AT)
    rollout.approve_plan(database, by="A Person")
    rollout.run_rollout(database, options=rollout.RunOptions(once=True))
    return database


ESCAPE = "a\x1b[31mb"

TO_A_ROLLOUT: dict[str, tuple[str, Callable[[Database], object]]] = {
    "approve": ("--by", lambda db: rollout.approve_plan(db, by=ESCAPE)),
    "gate": ("--by", lambda db: rollout.approve_gate(db, "pilot", by=ESCAPE)),
    "nobody": ("--by is required", lambda db: rollout.approve_gate(db, "pilot", by=" ")),
    "reason": ("--reason", lambda db: rollout.pause(db, reason="two\nlines")),
    "surrogate": ("--reason", lambda db: rollout.pause(db, reason="\ud800")),
    "withdraw": ("--reason", lambda db: rollout.withdraw_devices(db, ["none"], reason=ESCAPE)),
    "off": ("--off", lambda db: rollout.check_inventory(db, off={"D3": ESCAPE})),
    "simulate": ("runs: expected at least 1", lambda db: rollout.simulate_plan(db, runs=0)),
    "forecast": ("runs: expected at least 1", lambda db: rollout.forecast_rollout(db, runs=-1)),
    "created": ("created: ", lambda db: rollout.make_plan(db, sim.load_scenario(None), created=10**15)),
}


@pytest.mark.parametrize("name", TO_A_ROLLOUT)
def test_a_wrong_argument_is_refused_before_it_is_kept(planned: Database, name: str) -> None:
    expected, call = TO_A_ROLLOUT[name]
    with pytest.raises(UsageError, match=expected):
        call(planned)


@pytest.mark.parametrize("speed", [0.0, -1.0, math.nan, math.inf])
def test_a_clock_must_move(planned: Database, speed: float) -> None:
    """With the speed 0 a run would wait for ever; the others would be recorded as they are."""
    with pytest.raises(UsageError, match=r"speed: expected a positive factor"):
        rollout.run_rollout(planned, options=rollout.RunOptions(speed=speed, once=True))


@pytest.mark.parametrize("seed", [-1, 2**70])
def test_a_rollout_is_not_started_with_a_seed_that_it_cannot_resume_with(tmp_path: Path, seed: int) -> None:
    """The journal would keep the seed, and each later `rollout run` would fail at it."""
    database = rollout.open_database(tmp_path / "rollout.db")
    scenario = sim.load_scenario(None).with_clients(60)
    rollout.store_inventory(database, rollout.generate_inventory(scenario, taken=MADE_UP_AT))
    rollout.make_plan(database, scenario, created=MADE_UP_AT)
    with pytest.raises(UsageError, match=r"^seed: expected"):
        rollout.run_rollout(database, seed=seed)
    assert not database.rollouts()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("devices", []),
        ("devices", [0]),
        ("deadline_h", math.inf),
        ("deadline_h", math.nan),
        ("turned_away", 2.0),
        ("turned_away", math.nan),
        ("internet_share", 2.0),
        ("internet_share", math.nan),
    ],
)
def test_capacity_refuses_what_is_out_of_range(tmp_path: Path, name: str, value: object) -> None:
    given: dict[str, object] = {"devices": [100], "deadline_h": 100.0, name: value}
    with pytest.raises(UsageError, match=f"^{name}: expected"):
        rollout.size_capacity(sim.load_scenario(None).model, out=tmp_path / "capacity", **given)  # type: ignore[arg-type]
    assert not (tmp_path / "capacity").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [("rates", []), ("fail_hours", math.nan), ("enroll_hours", math.inf), ("runs", 0)],
)
def test_a_gate_refuses_what_is_out_of_range(planned: Database, name: str, value: object) -> None:
    given: dict[str, object] = {"rates": [0.1], "runs": 2, name: value}
    with pytest.raises(UsageError, match=f"^{name}: expected"):
        rollout.simulate_gate(planned.plan("plan-1").plan, **given)  # type: ignore[arg-type]


@pytest.mark.parametrize("taken", [-1, 10**15])
def test_a_snapshot_is_of_a_known_time(taken: int) -> None:
    """Later ones would be refused as an unknown time zone, in a message that helps nobody."""
    with pytest.raises(UsageError, match="taken: expected Unix seconds"):
        rollout.generate_inventory(sim.load_scenario(None), taken=taken)
    with pytest.raises(UsageError, match="taken: expected Unix seconds"):
        rollout.read_inventory(["scenarios/data/intune-devices.csv"], taken=taken)


@pytest.mark.parametrize("clients", [0, -5, 10**8])
def test_a_generated_fleet_has_a_possible_size(clients: int) -> None:
    with pytest.raises(UsageError, match=r"clients: expected a fleet of 1 to"):
        sim.load_scenario(None).with_clients(clients)


@pytest.mark.parametrize(
    ("effort", "verify"),
    [
        (sim.Effort(trials=0), 0),
        (sim.Effort(trials=-1), 0),
        (sim.Effort(trials=2, budget_s=-1.0), 0),
        (sim.Effort(trials=0, budget_s=math.nan), 0),
        (sim.Effort(trials=2, runs=0), 0),
        (sim.Effort(trials=2), -1),
    ],
)
def test_a_search_has_an_end(tmp_path: Path, effort: sim.Effort, verify: int) -> None:
    """Without trials and seconds it would go on for a million plans."""
    scenario = sim.load_scenario(None).with_clients(60)
    with pytest.raises(UsageError, match=r"^(effort|runs|verify): expected"):
        rollout.tune_scenario(scenario, out=tmp_path / "tuned", effort=effort, verify=verify)
