"""`rollout preflight`: who may not go, and why."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rollout.api import workflow
from rollout.cli.options import DEFAULT_DB, Db, Json, Verbose, plain
from rollout.cli.terminal import emit, say, table
from rollout.errors import RefusedError, UsageError
from rollout.files import csv_text, write_file
from rollout.text import number

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rollout.values import Finding, Inventory


class FailOn(StrEnum):
    """The least severity at which preflight fails."""

    BLOCK = "block"
    WARN = "warn"


def preflight(
    inventory: Annotated[str | None, typer.Argument(help="Inventory id; the latest by default.")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write all findings here.")] = None,
    worklist: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what to keep, disable and delete, in order.")
    ] = None,
    off: Annotated[
        list[str] | None, typer.Option(metavar="RULE=REASON", help="Switch a rule off; may be repeated.")
    ] = None,
    stale_days: Annotated[
        int | None,
        typer.Option(metavar="DAYS", help="Stale after so many days without sign-in, at least 21."),
    ] = None,
    fail_on: Annotated[
        FailOn | None, typer.Option(help="Exit 4 if there is such a finding of a device or the data.")
    ] = None,
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """Check who may not go, and why: findings by rule with the next action.

    Devices with a blocking finding leave the plan with that reason, never silently. What --off and --stale-days
    say here the plan follows only if the scenario says it too, under [rollout.preflight].

    Example: rollout preflight --csv findings.csv
    """
    known, taken, findings = workflow.check_inventory(
        workflow.open_db(db), inventory, stale_days=stale_days, off=_reasons(off or [])
    )
    if csv is not None:
        _write(csv, taken, findings)
    if worklist is not None:
        count = _write_worklist(worklist, taken, stale_days, _reasons(off or []))
        say(f"{number(count)} steps are in {worklist}; nothing is deleted by us", as_json=as_json)
    failed = _failing(findings, fail_on)
    if as_json:
        emit(_document(known, taken, findings))
        if failed:
            raise typer.Exit(4)
        return
    _show(known, taken, findings, verbose)
    if csv is not None:
        say(f"all findings are in {csv}")
    if failed:
        rules = ", ".join(dict.fromkeys(one.rule for one in failed))
        raise RefusedError(
            f"preflight: expected no finding that means {fail_on}, found {number(len(failed))} ({rules})",
            "see the next actions above; --worklist FILE lists what to clean up",
        )


def _reasons(off: list[str]) -> dict[str, str]:
    out = {}
    for one in off:
        rule, mark, reason = plain("--off", one).partition("=")
        if not mark or not reason.strip():
            raise UsageError(
                f"--off: expected RULE=REASON, found '{one}'", '--off D3="the badge office knows them"'
            )
        out[rule.strip()] = reason.strip()
    return out


def _failing(findings: tuple[Finding, ...], fail_on: FailOn | None) -> list[Finding]:
    """Give the findings that fail: of devices and data. What a person must check of the tenant is always there."""
    from rollout.preflight import TENANT_RULES

    if fail_on is None:
        return []
    severities = ("block",) if fail_on is FailOn.BLOCK else ("block", "warn")
    tenant = {rule.id for rule in TENANT_RULES}
    return [one for one in findings if one.severity in severities and one.rule not in tenant]


def _write_worklist(path: Path, taken: Inventory, stale_days: int | None, off: Mapping[str, str]) -> int:
    """Write the steps of the rules that are on; give how many there are."""
    from rollout.preflight import STALE_DAYS, worklist, worklist_csv

    every = worklist(taken, stale_days=stale_days or STALE_DAYS)
    items = [item for item in every if item.rule not in off]
    write_file(path, worklist_csv(items))
    return len(items)


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
    devices = [one for one in findings if one.row >= 0]
    others = [one for one in findings if one.row < 0]
    for title, chosen in (("Devices", devices), ("Data, tenant, site and network", others)):
        groups: dict[str, list[Finding]] = {}
        for one in chosen:
            groups.setdefault(one.rule, []).append(one)
        rows = [
            [rule, members[0].severity.value, len(members) if chosen is devices else "-",
             members[0].sentence, members[0].next_action]
            for rule, members in groups.items()
        ]  # fmt: skip
        if rows:
            table(["rule", "means", "devices", "for example", "next action"], rows, title=title)
    if verbose:
        for one in findings:
            say(f"{one.rule} {one.severity.value:5} {_name(taken, one)}: {one.sentence}")
    blocked = len({one.row for one in findings if one.severity == "block"})
    say(f"{known}: {number(len(taken.fleet))} devices, {number(blocked)} blocked, the others may go")
    say("next: rollout plan")


def _write(path: Path, taken: Inventory, findings: tuple[Finding, ...]) -> None:
    head = ("rule", "severity", "device", "name", "sentence", "next_action")
    rows = (
        [one.rule, one.severity.value, _device(taken, one), _name(taken, one), one.sentence, one.next_action]
        for one in findings
    )
    write_file(path, csv_text(head, rows))
