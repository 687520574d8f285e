"""`rollout status`: how far it is, and whether that is as planned."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rollout.cli import steps
from rollout.cli.options import DEFAULT_DB, Db, Json, Verbose
from rollout.cli.terminal import emit, instant, iso, number, say, span, table
from rollout.values import HOUR_S, Outcome

if TYPE_CHECKING:
    from rollout.store import Database, LeaseInfo, StoredPlan

RECENT = 8


def status(
    rollout: Annotated[str | None, typer.Argument(help="Rollout id; the latest by default.")] = None,
    device: Annotated[str, typer.Option(metavar="ID", help="Show one device, by id or name.")] = "",
    watch: Annotated[bool, typer.Option("--watch", help="Show it anew every two seconds.")] = False,
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
    database = steps.open_db(db)
    known = database.rollout(rollout)
    if decisions is not None:
        from rollout.cli.simulate import write_decisions

        write_decisions(decisions, database.reader(known.id).decisions())
    if device:
        show_device(database, known.id, device, as_json=as_json)
        return
    if as_json:
        emit(document(database, known.id))
        return
    show(database, known.id)
    while watch:
        time.sleep(2)
        say()
        show(database, known.id)


def document(database: Database, rollout_id: str) -> dict[str, Any]:
    """Give the status for scripts."""
    known = database.rollout(rollout_id)
    stored = database.plan(known.plan_id)
    reader = database.reader(known.id)
    progress = reader.progress()
    rows = reader.decisions()
    totals = _totals(database, known.id)
    return {
        "rollout": known.id,
        "plan": stored.id,
        "digest": stored.digest,
        "directory": known.directory,
        "state": progress.state.value if progress else "not begun",
        "reason": progress.reason if progress else "",
        "at": iso(progress.at) if progress else None,
        "phase": stored.plan.phases[progress.phase].name if progress else None,
        "released": sum(progress.released) if progress else 0,
        "final": final(stored.plan, totals),
        "decisions": len(rows),
        "verdict": progress.verdict if progress else "",
        "eta": eta(database, known.id),
        "lease": lease(known.lease),
    }


def lease(info: LeaseInfo) -> dict[str, Any] | None:
    """Say who executes it, since when, and until when that is valid unless renewed; None for nobody."""
    if not info.holder:
        return None
    overdue = not info.is_taken(time.time())
    return {
        "holder": info.holder,
        "since": iso(info.since),
        "expires": iso(info.expires),
        "overdue": overdue,
    }


def _totals(database: Database, rollout_id: str) -> list[int]:
    points = database.reader(rollout_id).points()
    if not points:
        return [0] * len(Outcome)
    return [sum(column) for column in zip(*points[-1].by_phase, strict=True)]


def final(plan: Any, totals: list[int]) -> dict[str, int]:
    """Give devices by what became of them; the numbers sum to the inventory."""
    counts = {one.name.lower(): totals[one] for one in Outcome if one is not Outcome.PENDING}
    return {**counts, "pending": plan.planned - sum(counts.values()), "excluded": len(plan) - plan.planned}


def eta(database: Database, rollout_id: str) -> dict[str, Any] | None:
    """Give when it will be done, by the latest simulation of its plan; None if there is none."""
    known = database.rollout(rollout_id)
    plan = database.plan(known.plan_id).plan
    progress = database.reader(known.id).progress()
    if progress is not None and progress.state.value == "finished":
        return {"at": iso(progress.at), "hours": (progress.at - plan.start) / HOUR_S, "of": "finished"}
    told = database.simulations(known.plan_id)
    if told is None:
        return None
    hours = told["summary"]["eta_hours"]
    at = {
        name: iso(plan.start + int(one * HOUR_S)) if one is not None else None for name, one in hours.items()
    }
    return {"at": at["p50"], "p10": at["p10"], "p90": at["p90"], "hours": hours["p50"], "of": "simulation"}


def show(database: Database, rollout_id: str) -> None:
    """Print the status."""
    known = database.rollout(rollout_id)
    stored = database.plan(known.plan_id)
    plan, reader = stored.plan, database.reader(known.id)
    progress = reader.progress()
    holder = lease(known.lease)
    points = reader.points()
    by_phase = points[-1].by_phase if points else [[0] * len(Outcome)] * len(plan.phases)
    rows = []
    for index, phase in enumerate(plan.phases):
        released = progress.released[index] if progress else 0
        rows.append([phase.name, len(phase), released, *(by_phase[index][one] for one in Outcome)])
    names = [one.name.lower().replace("_", " ") for one in Outcome]
    table(["phase", "planned", "released", *names], rows)
    if progress is None:
        say(f"rollout {known.id} of plan {stored.id} has not begun")
        return
    recent = reader.decisions()[-RECENT:]
    table(
        ["when", "state", "released", "why"],
        [[instant(one.at, plan.zone), one.state.value, one.released, one.reason] for one in recent],
        title="Last decisions",
    )
    say(f"rollout {known.id} (plan {stored.id}, digest {stored.digest[:12]}) is {progress.state.value}")
    say(f"  {progress.reason}")
    if progress.state.is_final:
        pass
    elif holder is None:
        say("  nobody executes it now; 'rollout run' goes on")
    else:
        until = "overdue since" if holder["overdue"] else "renewed until"
        say(f"  executed by {holder['holder']} since {holder['since']}, {until} {holder['expires']}")
    _show_eta(database, known.id)


def _show_eta(database: Database, rollout_id: str) -> None:
    when = eta(database, rollout_id)
    if when is None:
        say("  when it will be done: unknown; 'rollout simulate' tells")
    elif when["of"] == "finished":
        say(f"  done after {span(when['hours'])}")
    else:
        say(f"  expected to be done after {span(when['hours'])}, {when['p10']} … {when['p90']} (simulation)")


def show_device(database: Database, rollout_id: str, device: str, *, as_json: bool) -> None:
    """Print what is known of one device: phase, place in the order, batch, outcome."""
    from rollout.cli.control import find_devices

    known = database.rollout(rollout_id)
    stored = database.plan(known.plan_id)
    plan, reader = stored.plan, database.reader(known.id)
    row = find_devices(database, stored.inventory_id, [device])[0]
    facts: dict[str, Any] = {"device": str(plan.ids[row]), "rollout": known.id, "phase": None, "place": None}
    index = int(plan.phase_of[row])
    if index >= 0:
        phase = plan.phases[index]
        place = int((phase.order == row).argmax()) + 1
        facts |= {"phase": phase.name, "place": place, "of": len(phase)}
    else:
        facts["excluded"] = plan.exclusion_reasons[int(plan.excluded[row]) - 1]
    for batch in reader.batches():
        if (batch.rows == row).any():
            facts |= {"batch": batch.number, "released": iso(batch.at)}
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
        say(f"{name.replace('_', ' '):>20}: {number(value) if isinstance(value, int) else value}")


def _authority(database: Database, stored: StoredPlan, row: int, *, done: bool) -> dict[str, Any]:
    """Who manages each workload, by the inventory that was planned and by what the directory reported since.

    done : it enrolled, or its workload moved, as this rollout wanted.
    """
    from rollout.cli.workloads import flags_document, flags_of
    from rollout.workloads import Authority, moves_with

    comanaged, flags = flags_of(database.inventory(stored.inventory_id).fleet, row)
    action = stored.plan.action
    enrolled = done and not action.startswith("undo:")
    site_version = steps.policy_of(stored).site_version or None
    document = flags_document(flags, 1 if enrolled else comanaged, site_version)
    if enrolled and action.startswith("workload:"):
        for moved in moves_with(action.removeprefix("workload:")):
            document["authority"][moved] = Authority.INTUNE.value
    return document


def _explain(code: int) -> dict[str, str]:
    from rollout.failures import explain

    known = explain(code)
    return {"code": f"0x{code:08X}", "name": known.name, "next_action": known.next_action}
