"""`rollout preflight`: list devices that cannot be enrolled, and why."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rollout.api.databases import open_db
from rollout.api.preflight import PreflightResult, check_inventory
from rollout.arguments import require_plain
from rollout.cli.options import DEFAULT_DB, Db, Json, Verbose
from rollout.cli.terminal import emit, say, table
from rollout.errors import RefusedError, UsageError
from rollout.files import write_file
from rollout.preflight import worklist_csv
from rollout.text import number
from rollout.values import Finding, Severity


class FailOn(StrEnum):
    """The lowest severity at which preflight fails."""

    BLOCK = "block"
    WARN = "warn"


SEVERITIES = {
    None: (),
    FailOn.BLOCK: (Severity.BLOCK,),
    FailOn.WARN: (Severity.BLOCK, Severity.WARN),
}


def preflight(
    inventory: Annotated[str | None, typer.Argument(help="Inventory id (default: the latest).")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write all findings to this file.")] = None,
    worklist: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write what to keep, disable and delete to this file, in order."),
    ] = None,
    off: Annotated[
        list[str] | None, typer.Option(metavar="RULE=REASON", help="Switch a rule off; may be repeated.")
    ] = None,
    stale_days: Annotated[
        int | None,
        typer.Option(
            metavar="DAYS", help="Days without sign-in after which a device is stale (at least 21)."
        ),
    ] = None,
    fail_on: Annotated[FailOn | None, typer.Option(help="Exit with 4 if there is such a finding.")] = None,
    db: Db = DEFAULT_DB,
    as_json: Json = False,
    verbose: Verbose = 0,
) -> None:
    """List devices that cannot be enrolled, why, and what to do about it.

    Findings are grouped by rule. Devices with a blocking finding leave the plan with that reason, never silently. The
    plan follows --off and --stale-days only if the scenario has them too, under [rollout.preflight].

    Example: rollout preflight --csv findings.csv
    """
    result = check_inventory(open_db(db), inventory, stale_days=stale_days, off=_reasons(off or []))
    if csv is not None:
        write_file(csv, result.findings_csv())
    if worklist is not None:
        items = result.worklist()
        write_file(worklist, worklist_csv(items))
        say(f"{number(len(items))} steps are in {worklist}; rollout deletes nothing", as_json=as_json)
    failed = result.of_severity(SEVERITIES[fail_on])
    if as_json:
        emit(result.document)
        if failed:
            raise typer.Exit(4)
        return
    _show(result, verbose)
    if csv is not None:
        say(f"all findings are in {csv}")
    if failed:
        rules = ", ".join(dict.fromkeys(finding.rule for finding in failed))
        raise RefusedError(
            f"preflight: {number(len(failed))} findings with --fail-on {fail_on} ({rules})",
            "see the next actions above; --worklist FILE lists what to clean up",
        )


def _reasons(off: list[str]) -> dict[str, str]:
    reasons = {}
    for text in off:
        rule, mark, reason = require_plain("--off", text).partition("=")
        if not mark or not reason.strip():
            raise UsageError(
                f"--off: expected RULE=REASON, found '{text}'", '--off D3="the badge office knows them"'
            )
        reasons[rule.strip()] = reason.strip()
    return reasons


def _show(result: PreflightResult, verbose: int) -> None:
    devices = [finding for finding in result.findings if finding.row >= 0]
    others = [finding for finding in result.findings if finding.row < 0]
    for title, chosen in (("Devices", devices), ("Data, tenant, site and network", others)):
        groups: dict[str, list[Finding]] = {}
        for finding in chosen:
            groups.setdefault(finding.rule, []).append(finding)
        rows = [
            [rule, members[0].severity.value, len(members) if chosen is devices else "-",
             members[0].sentence, members[0].next_action]
            for rule, members in groups.items()
        ]  # fmt: skip
        if rows:
            table(["rule", "means", "devices", "for example", "next action"], rows, title=title)
    if verbose:
        for finding in result.findings:
            say(f"{finding.rule} {finding.severity.value:5} {result.name_of(finding)}: {finding.sentence}")
    fleet = result.inventory.fleet
    say(f"{result.id}: {number(len(fleet))} devices, {number(result.blocked)} blocked")
    say("next: rollout plan")
