"""`rollout preflight`: who may not go, and why."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rollout.cli import steps
from rollout.cli.options import DEFAULT_DB, Db, Json, Verbose
from rollout.cli.terminal import emit, number, say, table

if TYPE_CHECKING:
    from rollout.values import Finding, Inventory


def preflight(
    inventory: Annotated[str | None, typer.Argument(help="Inventory id; the latest by default.")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write all findings here.")] = None,
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Check who may not go, and why: findings by rule with the next action.

    Devices with a blocking finding leave the plan with that reason, never silently.

    Example: rollout preflight --csv findings.csv
    """
    known, taken, findings = steps.check_inventory(steps.open_db(db), inventory)
    if csv is not None:
        _write(csv, taken, findings)
    if as_json:
        emit(_document(known, taken, findings))
        return
    _show(known, taken, findings, verbose)
    if csv is not None:
        say(f"all findings are in {csv}")


def _name(taken: Inventory, finding: Finding) -> str:
    return str(taken.fleet.names[finding.row]) if finding.row >= 0 else ""


def _device(taken: Inventory, finding: Finding) -> str:
    return str(taken.fleet.ids[finding.row]) if finding.row >= 0 else ""


def _document(known: str, taken: Inventory, findings: tuple[Finding, ...]) -> dict[str, object]:
    return {
        "inventory": known,
        "findings": [
            {
                "rule": one.rule,
                "severity": one.severity.value,
                "device": _device(taken, one) or None,
                "sentence": one.sentence,
                "next_action": one.next_action,
            }
            for one in findings
        ],
        "counts": dict(sorted(Counter(one.rule for one in findings).items())),
    }


def _show(known: str, taken: Inventory, findings: tuple[Finding, ...], verbose: int) -> None:
    groups: dict[str, list[Finding]] = {}
    for one in findings:
        groups.setdefault(one.rule, []).append(one)
    rows = []
    for rule, members in groups.items():
        first = members[0]
        rows.append([rule, first.severity.value, len(members), first.sentence, first.next_action])
    if rows:
        table(["rule", "means", "devices", "for example", "next action"], rows)
    if verbose:
        for one in findings:
            say(f"{one.rule} {one.severity.value:5} {_name(taken, one)}: {one.sentence}")
    blocked = len({one.row for one in findings if one.severity == "block"})
    say(f"{known}: {number(len(taken.fleet))} devices, {number(blocked)} blocked, the others may go")
    say("next: rollout plan")


def _write(path: Path, taken: Inventory, findings: tuple[Finding, ...]) -> None:
    import csv

    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["rule", "severity", "device", "name", "sentence", "next_action"])
        for one in findings:
            row = [one.rule, one.severity.value, _device(taken, one), _name(taken, one)]
            writer.writerow([*row, one.sentence, one.next_action])
