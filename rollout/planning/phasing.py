"""The phases of a plan in the order of time, and the refusal of budgets with the figures that suffice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rollout.errors import RefusedError
from rollout.planning.phase_draft import BudgetError, Members, PhaseDraft, PlanFrame, date_hint
from rollout.planning.schedule import Release, next_begin
from rollout.values import Budgets, Phase, PhaseEnd
from rollout.values.durations import format_duration


@dataclass(frozen=True, slots=True, eq=False)
class BuiltPhases:
    """The phases of a plan. releases : their batches if every gate passes at once. notes : on their gates."""

    phases: tuple[Phase, ...]
    releases: tuple[Release, ...]
    notes: tuple[str, ...]


def build_phases(plan: PlanFrame, members: Sequence[Members], start: int) -> BuiltPhases:
    """Return the phases of a plan.

    Raise a `RefusedError` if a phase cannot be kept, with the figure that can.
    """
    try:
        return _build(plan, members, start)
    except BudgetError as error:
        raise _refusal(error, plan, members, start) from error


def _build(plan: PlanFrame, members: Sequence[Members], start: int) -> BuiltPhases:
    course = plan.course()
    past: list[Release] = []
    phases: list[Phase] = []
    notes: list[str] = []
    begin, over = start, False
    for index, devices in enumerate(members):
        followed = any(len(later.order) for later in members[index + 1 :])
        draft = PhaseDraft(plan, devices, index, begin, past, followed)
        phase = draft.phase()
        phases.append(phase)
        notes.extend(draft.gate.notes)
        if over or not len(phase):
            continue
        releases = course.run(phase, index, begin)
        past.extend(releases)
        over = phase.end is PhaseEnd.NEVER
        if not over and sum(len(release.rows) for release in releases) < len(phase):
            raise draft.too_long()
        begin = next_begin(releases[-1].at, phase.soak_s, plan.policy.look_every) if releases else begin
    return BuiltPhases(tuple(phases), tuple(past), tuple(notes))


def _refusal(error: BudgetError, plan: PlanFrame, members: Sequence[Members], start: int) -> RefusedError:
    figures = _sufficient(error.need, plan, members, start)
    found = ", ".join(f"{name} = {have}" for name, have in error.have.items())
    needs = ", ".join(f"{name} = {figure}" for name, figure in error.need.items())
    works = ", ".join(f"budgets.{name} = {figure}" for name, figure in figures.items())
    hint = f"Smallest budget that works: {works}."
    if error.date is not None:
        hint = f"{date_hint(error.date, plan.policy.zone)} Or: {hint[0].lower()}{hint[1:]}"
    return RefusedError(
        f"phase '{error.phase}': expected budgets that allow its pace, found {found} where it needs {needs} "
        f"(in flight = rate * latency, latency {format_duration(plan.latency_s)})",
        hint,
    )


def _sufficient(
    need: Mapping[str, int], plan: PlanFrame, members: Sequence[Members], start: int
) -> dict[str, int]:
    """Raise the budgets until the whole plan can be kept: a later phase may need more than the first."""
    figures = dict(need)
    while True:
        try:
            _build(replace(plan, budgets=_raised(plan.budgets, figures)), members, start)
        except BudgetError as error:
            figures |= error.need
        else:
            return figures


def _raised(budgets: Budgets, figures: Mapping[str, int]) -> Budgets:
    return replace(
        budgets,
        in_flight=figures.get("in_flight", budgets.in_flight),
        per_step=figures.get("per_step", budgets.per_step),
        per_level=figures.get("per_level", budgets.per_level),
    )
