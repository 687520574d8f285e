"""`rollout status`: how far it is, and whether that is as planned."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rollout.api import exclusions, stored_forecast
from rollout.api.databases import open_db
from rollout.api.scenarios import policy_of
from rollout.api.status import Looks, Standing
from rollout.cli.options import DEFAULT_DB, Db, Json, Verbose
from rollout.cli.terminal import emit, out, say
from rollout.errors import UsageError
from rollout.text import iso, number
from rollout.values import HOUR_S, Outcome, Plan, State

if TYPE_CHECKING:
    from rollout.store import Database, LeaseInfo, StoredPlan


def status(
    rollout: Annotated[str | None, typer.Argument(help="Rollout id; the latest by default.")] = None,
    device: Annotated[str, typer.Option(metavar="ID", help="Show one device, by id or name.")] = "",
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it anew every two seconds until it is done.")
    ] = False,
    decisions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write all decision rows (JSON lines).")
    ] = None,
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Show a rollout: goal against actual, the gate, when it will be done, the last decisions.

    Example: rollout status --watch
    """
    database = open_db(db)
    known = database.rollout(rollout)
    if decisions is not None:
        from rollout.api.decisions import write_decisions

        write_decisions(decisions, database.reader(known.id).decisions())
    if device:
        show_device(database, known.id, device, as_json=as_json)
        return
    if as_json and watch:
        raise UsageError(
            "--json gives one document: expected no --watch beside it",
            "call it again, or watch without --json",
        )
    if as_json:
        emit(document(database, known.id))
        return
    looks = Looks(database, known.id)
    if watch:
        from rollout.cli.watching import watch as watch_it

        watch_it(looks)
        return
    show(looks)


def show(looks: Looks) -> None:
    """Print the status once."""
    from rollout.cli.watching import view

    out().print(view(looks.look()))


def document(database: Database, rollout_id: str) -> dict[str, Any]:
    """Give the status for scripts."""
    now = Looks(database, rollout_id).look()
    progress = now.progress
    return {
        "rollout": now.rollout,
        "plan": now.plan_id,
        "digest": now.digest,
        "directory": now.directory,
        "state": progress.state.value if progress else "not begun",
        "reason": progress.reason if progress else "",
        "at": iso(now.as_of) if progress else None,
        "phase": now.plan.phases[progress.phase].name if progress else None,
        "released": now.released,
        "unsent": now.unsent,
        "unsent_because": now.unsent_because,
        "final": final(now.plan, now.totals),
        "goal": {"released": now.goal_released, "enrolled": now.goal_enrolled},
        "per_hour": {"released": round(now.released_an_hour, 1), "enrolled": round(now.enrolled_an_hour, 1)},
        "decisions": now.decisions,
        "verdict": progress.verdict if progress else "",
        "eta": eta(database, now),
        "forecast": stored_forecast.document(now.expected) if now.expected else None,
        "on_plan": now.on_plan,
        "lease": lease(now.lease, now.is_overdue),
    }


def lease(info: LeaseInfo, is_overdue: bool) -> dict[str, Any] | None:
    """Say who executes it, since when, and until when that is valid unless renewed; None for nobody."""
    if not info.holder:
        return None
    return {
        "holder": info.holder,
        "since": iso(info.since),
        "expires": iso(info.expires),
        "overdue": is_overdue,
    }


def final(plan: Plan, totals: Sequence[int]) -> dict[str, int]:
    """Give devices by what became of them; the numbers sum to the inventory."""
    counts = {one.name.lower(): totals[one] for one in Outcome if one is not Outcome.PENDING}
    return {**counts, "pending": plan.planned - sum(counts.values()), "excluded": len(plan) - plan.planned}


def eta(database: Database, now: Standing) -> dict[str, Any] | None:
    """Give when it will be done: it is, by its latest forecast, or by its plan's simulation; None if unknown."""
    start = now.plan.start
    if now.progress is not None and now.progress.state is State.FINISHED:
        at = now.progress.at
        told = dict.fromkeys(("at", "p10", "p90"), iso(at))
        return {**told, "hours": (at - start) / HOUR_S, "of": "finished"}
    if now.is_final:
        return None
    if now.expected is not None:
        told = stored_forecast.document(now.expected)["done"]
        p50 = now.expected.done[1]
        hours = None if math.isinf(p50) else (p50 - start) / HOUR_S
        return {"at": told["p50"], "p10": told["p10"], "p90": told["p90"], "hours": hours, "of": "forecast"}
    stored = database.simulations(now.plan_id)
    if stored is None:
        return None
    hours_of = stored["summary"]["eta_hours"]
    at_of = {
        name: iso(start + int(one * HOUR_S)) if one is not None else None for name, one in hours_of.items()
    }
    return {
        "at": at_of["p50"],
        "p10": at_of["p10"],
        "p90": at_of["p90"],
        "hours": hours_of["p50"],
        "of": "simulation",
    }


OF_A_DEVICE = (
    *("phase", "place", "of", "excluded", "because", "next_action"),
    *("batch", "released_at", "withdrawal", "withdrawn_at", "outcome", "since", "code", "name"),
)
"""What is told of a device in this order, each where there is something to tell."""


def show_device(database: Database, rollout_id: str, device: str, *, as_json: bool) -> None:
    """Print what is known of one device: phase, place in the order, batch, outcome."""
    from rollout.api.control import find_devices
    from rollout.cli.withdraw import withdrawal_of

    known = database.rollout(rollout_id)
    stored = database.plan(known.plan_id)
    plan, reader = stored.plan, database.reader(known.id)
    row = find_devices(database, stored.inventory_id, [device])[0]
    facts: dict[str, Any] = {"device": str(plan.ids[row]), "rollout": known.id, **dict.fromkeys(OF_A_DEVICE)}
    index = int(plan.phase_of[row])
    if index >= 0:
        phase = plan.phases[index]
        place = int((phase.order == row).argmax()) + 1
        facts |= {"phase": phase.name, "place": place, "of": len(phase)}
    else:
        why = exclusions.of_device(plan, row, database.findings(stored.inventory_id))
        facts |= {"excluded": why.reason, "because": why.sentence, "next_action": why.next_action}
    for batch in reader.batches():
        if (batch.rows == row).any():
            facts |= {"batch": batch.number + 1, "released_at": iso(batch.at)}
    facts["withdrawal"], facts["withdrawn_at"] = withdrawal_of(reader, row)
    outcomes = reader.outcomes()
    if outcomes is not None and outcomes.outcome[row] >= 0:
        outcome = Outcome(int(outcomes.outcome[row]))
        facts["outcome"] = outcome.name.lower()
        facts["since"] = iso(int(outcomes.at[row])) if outcomes.at[row] >= 0 else None
        if outcomes.code[row]:
            facts |= _explain(int(outcomes.code[row]))
    told = _authority(database, stored, row, done=facts.get("outcome") == "enrolled")
    if as_json:
        emit({**facts, "workloads": told})
        return
    for name, who in told["authority"].items():
        facts[name] = who
    if told["unknown_bits"]:
        facts["unknown bits"] = ", ".join(map(str, told["unknown_bits"]))
    for name, value in facts.items():
        if value is None:
            continue
        say(f"{name.replace('_', ' '):>20}: {number(value) if isinstance(value, int) else value}")


def _authority(database: Database, stored: StoredPlan, row: int, *, done: bool) -> dict[str, Any]:
    """Who manages each workload, by the inventory that was planned and by what the directory reported since.

    done : it enrolled, or its workload moved, as this rollout wanted.
    """
    from rollout.cli.workloads import flags_document, flags_of
    from rollout.workloads import Authority, moves_with

    comanaged, flags = flags_of(database.inventory(stored.inventory_id).fleet, row)
    action = stored.plan.action
    enrolled = done and not stored.plan.is_undo
    site_version = policy_of(stored).site_version or None
    document = flags_document(flags, 1 if enrolled else comanaged, site_version)
    if enrolled and action.startswith("workload:"):
        for moved in moves_with(action.removeprefix("workload:")):
            document["authority"][moved] = Authority.INTUNE.value
    return document


def _explain(code: int) -> dict[str, str]:
    from rollout.values.failures import explain

    known = explain(code)
    return {"code": f"0x{code:08X}", "name": known.name, "next_action": known.next_action}
