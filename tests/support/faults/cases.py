"""The rollouts that are tried: three by name for kills, and as many as there are seeds for everything else."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from building import make_plan

from faults.case import Case, Shelf
from faults.chances import Chances, Drawn
from faults.outside import NONE, PERSON, Time, World
from rollout.gates import UNPROVEN
from rollout.loop.ports import Journal
from rollout.values import (
    DAY_S,
    HOUR_S,
    Budgets,
    Commands,
    EvidenceGate,
    GateApproval,
    GatePolicy,
    Hold,
    Plan,
    ThresholdGate,
    Window,
)

GATE = GatePolicy(evidence=EvidenceGate(p_ok=0.05, p_bad=0.6, beta=0.1), min_executed=4, straggler_max=0.9)
MORNING = Window((0, 1, 2, 3, 4, 5, 6), 9 * 60, 12 * 60, "UTC")


def plain_plan() -> Plan:
    """A pilot and the rest, no windows: gone through in a few looks."""
    plan = make_plan(sizes=(6, 9, 0), hours=(1, 2, 1), soak_s=2 * HOUR_S, chunk=3, gate=GATE)
    return replace(plan, look_s=2 * HOUR_S, mature_after_s=HOUR_S, straggler_after_s=DAY_S)


def held_plan() -> Plan:
    """The same in a window, with a budget, and with a pilot whose gate is inconclusive."""
    plan = make_plan(
        sizes=(6, 9, 0),
        hours=(1, 2, 1),
        soak_s=HOUR_S,
        chunk=3,
        gate=replace(GATE, min_executed=20, evidence=EvidenceGate(p_ok=0.02, p_bad=0.2)),
        windows=(MORNING,),
        budgets=Budgets(in_flight=5),
    )
    return replace(plan, look_s=8 * HOUR_S, mature_after_s=HOUR_S, straggler_after_s=DAY_S)


def quiet_world(
    plan: Plan, chances: Chances, fails: tuple[int, ...] = (), outside: Callable[..., World] = World
) -> World:
    """A world in which nothing goes wrong by itself."""
    mask = np.zeros(len(plan), dtype=np.bool_)
    mask[list(fails)] = True
    return outside(plan, Time(plan.start), chances, mask)


def plain(chances: Chances, shelf: Shelf | None = None) -> Case:
    """No windows, everybody enrolls."""
    plan = plain_plan()
    return Case(
        plan, quiet_world(plan, chances), chances, shelf or Shelf(), again=True, asked=lambda _now: Commands()
    )


def held(chances: Chances, shelf: Shelf | None = None) -> Case:
    """Windows, a budget, and a gate that is held until a person approves it the next day."""
    plan = held_plan()

    answer = GateApproval(Hold(0, UNPROVEN, "", 1, 6), "Kim", plan.start + 12 * HOUR_S)

    def asked(now: int) -> Commands:
        return Commands(approvals=(answer,), by="Kim") if now >= plan.start + DAY_S else Commands()

    return Case(
        plan, quiet_world(plan, chances, fails=(2,)), chances, shelf or Shelf(), again=True, asked=asked
    )


def aborted(chances: Chances, shelf: Shelf | None = None) -> Case:
    """A person aborts in the middle of the second batch: the rest of it is cancelled."""
    plan = replace(plain_plan(), chunk=2)
    keep = shelf or Shelf()

    def asked(_now: int) -> Commands:
        journal: Journal = case.shelf.reader()
        sent = sum(journal.confirmed(batch.number) for batch in journal.batches())
        return Commands(aborted=True, by="Kim") if sent >= 8 else Commands()

    case = Case(plan, quiet_world(plan, chances), chances, keep, again=True, asked=asked)
    return case


SCENARIOS: dict[str, Callable[..., Case]] = {"plain": plain, "held": held, "aborted": aborted}


def drawn(seed: int, shelf: Shelf | None = None, outside: Callable[..., World] = World) -> Case:
    """Give the rollout of a seed, with everything that goes wrong in it. outside : makes its world."""
    draw = random.Random(f"case {seed}")
    chances = Drawn(seed)
    plan = _plan(draw)
    n = len(plan)
    fails = np.array([draw.random() for _ in range(n)]) < draw.choice((0, 0, 0, 0.05, 0.5))
    superset = np.array([draw.random() for _ in range(n)]) >= 0.1 if draw.random() < 0.2 else None
    world = outside(
        plan,
        Time(plan.start - draw.choice((0, 0, HOUR_S))),
        chances,
        fails,
        latency_s=draw.choice((60, 600, 5000)),
        lag_s=draw.choice((0, 0, 0, 5, 120, 3000)),
        superset=superset,
    )
    if draw.random() < 0.3:
        before = np.array([draw.random() for _ in range(n)]) < 0.1
        world.enter(np.flatnonzero(before if superset is None else before & superset).astype(np.int32), NONE)
    case = Case(world.plan, world, chances, shelf or Shelf(), server=draw.random() < 0.8)
    _people(draw, case)
    _jumps(draw, case)
    return case


def _plan(draw: random.Random) -> Plan:
    sizes = draw.choice(((6, 14, 0), (10, 0, 20), (12, 12, 12), (20, 0, 0)))
    budgets = draw.choice(
        (None, None, Budgets(in_flight=5), Budgets(per_step=3), Budgets(column="site", per_level=3))
    )
    gates = (GATE, GATE, replace(GATE, evidence=None, thresholds=(ThresholdGate(20.0, 2, 5, "hold"),)))
    plan = make_plan(
        sizes=sizes,
        hours=draw.choice(((1, 2, 1), (3, 2, 2))),
        soak_s=draw.choice((HOUR_S, DAY_S)),
        windows=draw.choice(((), (), (MORNING,))),
        budgets=budgets,
        budget_codes=(np.arange(sum(sizes)) % 3).astype(np.int32),
        gate=draw.choice(gates),
        chunk=draw.choice((2, 4, 7)),
    )
    look_s = draw.choice((1800, HOUR_S, HOUR_S))
    return replace(plan, look_s=look_s, mature_after_s=HOUR_S, straggler_after_s=DAY_S)


def _people(draw: random.Random, case: Case) -> None:
    """People add, take out, exclude, pause, resume, approve and sometimes abort."""
    time, plan = case.world.time, case.plan
    excluded: tuple[int, ...] = ()

    def ask(**changes: object) -> Callable[[], None]:
        def act() -> None:
            now = case.record.commands[-1][1] if case.record.commands else Commands()
            if not now.aborted:
                case.command(replace(now, by="Kim", **changes))  # type: ignore[arg-type]

        return act

    def some(most: int) -> list[int]:
        allowed = [row for row in range(len(plan)) if case.world.superset is None or case.world.superset[row]]
        return draw.sample(allowed, min(draw.randint(1, most), len(allowed)))

    def moment() -> int:
        return plan.start + draw.randint(0, 2 * DAY_S)

    for _ in range(draw.choice((0, 0, 1, 3))):
        rows = some(6)
        time.at(moment(), lambda rows=rows: case.world.enter(rows, PERSON))  # type: ignore[misc]
    for _ in range(draw.choice((0, 0, 0, 2))):
        rows = some(3)
        time.at(moment(), lambda rows=rows: case.world.leave(rows))  # type: ignore[misc]
    for _ in range(draw.choice((0, 0, 1, 2))):
        at = moment()
        time.at(at, ask(paused=True))
        time.at(at + draw.choice((30, 2000, DAY_S)), ask(paused=False))
    if draw.random() < 0.2:
        excluded = tuple(sorted(some(4)))
        time.at(moment(), ask(excluded=excluded))
    if draw.random() < 0.1:
        time.at(moment(), ask(aborted=True, paused=False))
    # Whoever holds for a reason that a person may overrule is overruled, so that every rollout ends.
    for day in range(1, 12):
        time.at(plan.start + 3 * day * DAY_S, lambda: _approve(case))


def _approve(case: Case) -> None:
    progress = case.shelf.reader().progress()
    now = case.record.commands[-1][1] if case.record.commands else Commands()
    if progress is not None and progress.hold is not None and not now.aborted:
        answer = GateApproval(progress.hold, "Kim", progress.at)
        case.command(replace(now, by="Kim", approvals=(*now.approvals, answer)))


def _jumps(draw: random.Random, case: Case) -> None:
    """The machine's clock is set, by a second or by a day."""
    for _ in range(draw.choice((0, 0, 1, 4))):
        by = draw.choice((1, 60, HOUR_S, DAY_S)) * draw.choice((-1, 1))

        def jump(by: int = by) -> None:
            case.world.time.skew += by
            case.chances.seen[f"clock {by:+}"] += 1

        case.world.time.at(case.plan.start + draw.randint(0, 2 * DAY_S), jump)
