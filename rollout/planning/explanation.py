"""Why a device has its place: the answer to `rollout plan --explain DEVICE`."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import numpy as np

from rollout.errors import UsageError
from rollout.pacing.calendar import next_open
from rollout.planning.order import draw_numbers
from rollout.planning.phase_gates import gate_line
from rollout.planning.schedule import nominal_releases
from rollout.values import Fleet, Plan
from rollout.values.plan_warnings import NOTE


def explain(plan: Plan, device: str, fleet: Fleet | None = None) -> str:
    """Explain in a few lines why a device is in its phase, at its place, or not in the plan.

    device : id, or with `fleet` (the plan's, row by row) also a name; case is ignored.
    Raise a `UsageError` if the plan does not know it, or knows several of that name.
    """
    row = _row_of(plan, device, fleet)
    title = f"{plan.ids[row]}" + (f" ({fleet.names[row]})" if fleet is not None else "")
    if plan.excluded[row]:
        return f"{title} is not in the plan: {plan.exclusion_reasons[int(plan.excluded[row]) - 1]}."
    index = int(plan.phase_of[row])
    phase = plan.phases[index]
    place = int(np.flatnonzero(phase.order == row)[0])
    lines = [
        f"{title} is number {place + 1} of {len(phase)} in phase '{phase.name}' ({index + 1} of "
        f"{len(plan.phases)}), the first phase that takes it: {phase.source}.",
        _order_line(plan, row, index, place, fleet),
        _batch_line(plan, row),
        f"Its stratum for the gates is '{plan.strata.names[int(plan.strata.codes[row])]}'.",
        gate_line(phase.gate),
        *(
            f"{line.removeprefix(NOTE).rstrip('.')}.".replace("phase", "Phase", 1)
            for line in _lines_on(plan, phase.name)
        ),
    ]
    if plan.zone_calendars:
        lines.append(_zone_line(plan, row))
    return "\n".join(lines)


def _lines_on(plan: Plan, phase: str) -> list[str]:
    """Return the warnings and notes of a plan on one phase, as sentences."""
    lines = [line.removeprefix(NOTE) for line in plan.warnings]
    return [f"P{line[1:].rstrip('.')}." for line in lines if line.startswith(f"phase '{phase}'")]


def _row_of(plan: Plan, device: str, fleet: Fleet | None) -> int:
    wanted = device.strip().casefold()
    rows = [row for row, device_id in enumerate(plan.ids.tolist()) if device_id.casefold() == wanted]
    if not rows and fleet is not None:
        rows = [row for row, name in enumerate(fleet.names.tolist()) if name.casefold() == wanted]
    if not rows:
        raise UsageError(
            f"expected a device of this plan, found '{device}'", "Give its Entra device id or its name."
        )
    if len(rows) > 1:
        ids = ", ".join(plan.ids[rows[:3]].tolist())
        raise UsageError(
            f"expected one device, found {len(rows)} of the name '{device}'", f"Give an id: {ids}."
        )
    return rows[0]


def _order_line(plan: Plan, row: int, index: int, place: int, fleet: Fleet | None) -> str:
    """The first number of the digest, and how the strata were interleaved."""
    number = int(draw_numbers(plan.ids[row : row + 1], plan.salt)[0, 0])
    line = f"Its draw is {number:016x}, computed with BLAKE2b from the salt '{plan.salt}' and its id."
    columns = [column for column in plan.strata_columns if fleet is not None and column in fleet.factors]
    if fleet is None or not columns:
        return line
    order = plan.phases[index].order
    same = np.ones(len(order), dtype=np.bool_)
    for column in columns:
        codes = fleet.factors[column].codes
        same &= codes[order] == codes[row]
    name = ", ".join(f"{column} {fleet.factors[column][row] or 'unknown'}" for column in columns)
    rank = int(same[: place + 1].sum())
    return (
        f"{line} Among the {int(same.sum())} of {name} it is number {rank}; these are spread over the phase."
    )


def _batch_line(plan: Plan, row: int) -> str:
    for number, release in enumerate(nominal_releases(plan), 1):
        if (release.rows == row).any():
            local = dt.datetime.fromtimestamp(release.at, ZoneInfo(plan.zone)).isoformat()
            utc = dt.datetime.fromtimestamp(release.at, dt.UTC).isoformat()
            return f"It is in batch {number}, at {local} ({utc}) if every gate passes at once."
    return "It is not released before the plan's calendar ends, or a phase without end comes before it."


def _zone_line(plan: Plan, row: int) -> str:
    code = int(plan.zone_codes[row])
    zone, first = plan.zone_names[code], next_open(plan.zone_calendars[code], plan.start)
    opens = "never" if first is None else dt.datetime.fromtimestamp(first, ZoneInfo(zone)).isoformat()
    return f"Its windows follow its own clock ({zone}); the first opens at {opens}."
