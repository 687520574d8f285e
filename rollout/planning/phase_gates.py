"""The gate of each phase: fitted to its devices, or refused where it could not hear that all of them fail.

A plain threshold that counts from more devices than a phase has never trips in it, and the phase would pass with
every device failed. So a threshold's default `min_executed` is lowered to the phase's size; a written one is refused
with the figure that works, or told where evidence judges the phase too; and PASS needs as many outcomes as the
thresholds need to speak. A gate without any rule on failures is refused unless it is named so
(`ignore_failures = true`). That a phase in which nothing enrolled never passes is the gate's own rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rollout.errors import RefusedError
from rollout.gates import pass_boundary
from rollout.policy.section import GateRules
from rollout.values import (
    FailureClass,
    GatePolicy,
    Phase,
    PhaseEnd,
    ThresholdGate,
    part_of,
    parts_of_share,
)
from rollout.values.plan_warnings import note

IGNORE_FAILURES = "ignore_failures"
"""The figure of a gate that is named to have no rule on failures."""

ANSWERED = 0.80
"""Share of a small phase with an outcome from which on its thresholds count, where the policy states no `answered`."""


@dataclass(frozen=True, slots=True)
class FittedGate:
    """A phase's gate. notes : sentences on what was adapted, and on what it does not hear."""

    policy: GatePolicy
    notes: tuple[str, ...] = ()


def fitted_gate(rules: GateRules, name: str, size: int, before: int, *, lenient: bool = False) -> FittedGate:
    """Return the gate of a phase as its rules say, fitted to its devices.

    name : of the phase. size : its devices. before : devices of the phases before it. lenient : lower a written
    figure too, for what is left of a rollout under way. Raise a `RefusedError` for a gate that cannot hear failures.
    """
    gate = rules.gate()
    if not size:
        return FittedGate(gate)
    where = f"phase '{name}'"
    if is_ungated(gate):
        return FittedGate(gate, (f"{where} is not gated: {_why_ungated(gate)}",))
    _require_rules(gate, where)
    fewest = speaks_from(gate, size)
    thresholds, notes = _thresholds(rules, gate, where, (size, before), fewest, lenient=lenient)
    fitted = _with_floor(replace(gate, thresholds=thresholds), size)
    if fitted.min_executed > gate.min_executed:
        notes.append(
            note(
                f"{where}: its gate passes with {fitted.min_executed:,} outcomes or more, because a threshold counts "
                f"from {fitted.min_executed:,} devices"
            )
        )
    return FittedGate(fitted, tuple(notes))


def is_ungated(gate: GatePolicy) -> bool:
    """Return whether no number of failures stops a phase, as its policy says."""
    return gate.dry_run or bool(dict(gate.figures).get(IGNORE_FAILURES))


def speaks_from(gate: GatePolicy, size: int) -> int:
    """Return with how many outcomes the rules of a small phase must be able to speak: a share of its devices."""
    answered = float(dict(gate.figures).get("answered", ANSWERED))
    return max(1, min(size, part_of(size, parts_of_share(answered))))


def gate_line(gate: GatePolicy) -> str:
    """Say in a sentence which failures stop a phase."""
    if is_ungated(gate):
        return f"Its phase is not gated: {_why_ungated(gate)}."
    rules = [
        f"{rule.action} at {rule.percent:g} % and {rule.count:,} failures, from {rule.min_executed:,} devices"
        + (f" ({', '.join(rule.classes)} only)" if rule.classes else "")
        for rule in gate.thresholds
    ]
    if gate.evidence is not None:
        rules.insert(0, f"halt by evidence of more than {100 * gate.evidence.p_ok:g} % failures")
    if success := dict(gate.figures).get("success"):
        rules.append(f"pass at {success:g} % enrolled")
    if not rules:
        return "Its phase is not gated: no number of failures stops it."
    return f"Its phase's gate: {'; '.join(rules)}."


def beyond_proof(phases: Sequence[Phase]) -> list[str]:
    """Return a line if phases are too small for their gate to pass even if no device fails: a person must decide."""
    total, short = 0, []
    for index, phase in enumerate(phases):
        total += len(phase)
        follows = any(len(later) for later in phases[index + 1 :])
        gate = phase.gate.evidence
        if gate is None or is_ungated(phase.gate) or not len(phase) or not follows:
            continue
        needed = pass_boundary(gate).needed(0)
        if phase.end is PhaseEnd.GATE and total < needed:
            short.append((phase.name, total, needed))
    if not short:
        return []
    names = ", ".join(f"'{name}' ({total:,} devices by its end)" for name, total, _ in short)
    first, total, needed = short[0]
    return [
        f"the gate cannot pass {'phase' if len(short) == 1 else 'phases'} {names} even if no device fails: "
        f"{needed:,} outcomes without failure are needed for proof. A person will have to decide, or write "
        f"{needed - total:,} devices more in phase '{first}', or a larger p_bad"
    ]


def _why_ungated(gate: GatePolicy) -> str:
    key = "dry_run" if gate.dry_run else IGNORE_FAILURES
    return f"no number of failures stops it ({key} = true)"


def _require_rules(gate: GatePolicy, where: str) -> None:
    """Raise a `RefusedError` unless failures of every class can stop the phase."""
    if _is_judged_otherwise(gate):
        return
    heard = {name for rule in gate.thresholds for name in rule.classes or FailureClass}
    deaf = [kind.value for kind in FailureClass if kind.value not in heard]
    if not deaf:
        return
    some = f"failures of the class {', '.join(deaf)}" if gate.thresholds else "failures"
    raise RefusedError(
        f"{where}: its gate has no rule on {some}: it would pass with every device failed",
        "Write evidence, or a threshold such as thresholds = [{ percent = 10 }]; if no number of failures is to stop "
        "it, write ignore_failures = true in the gate.",
    )


def _thresholds(
    rules: GateRules, gate: GatePolicy, where: str, devices: tuple[int, int], fewest: int, *, lenient: bool
) -> tuple[tuple[ThresholdGate, ...], list[str]]:
    """Return the thresholds fitted to the (size, before) of a phase, and notes."""
    out, notes = [], []
    for written, rule in zip(rules.thresholds, gate.thresholds, strict=True):
        # With classes it counts the whole rollout.
        most = sum(devices) if rule.classes else devices[0]
        enough = speaks_from(gate, most) if rule.classes else fewest
        is_written = "min_executed" in written.model_fields_set
        mute = _unreachable(rule, where, most, enough, is_written=is_written)
        if mute and _is_judged_otherwise(gate):
            notes.append(f"{mute[0]}. {mute[1]}")
            out.append(rule)
            continue
        if mute and not lenient:
            raise RefusedError(*mute)
        is_lower = not is_written or rule.min_executed > most
        from_ = min(rule.min_executed, enough) if is_lower else rule.min_executed
        fitted = replace(rule, min_executed=from_, count=min(rule.count, most))
        if fitted != rule:
            notes.append(note(_lowered(fitted, rule, where, most)))
        out.append(fitted)
    return tuple(out), notes


def _unreachable(
    rule: ThresholdGate, where: str, most: int, enough: int, *, is_written: bool
) -> tuple[str, str] | None:
    """Return a sentence if a threshold can never trip in a phase, and the figure that works; else None."""
    for key, figure, works in (
        ("min_executed", rule.min_executed if is_written else 0, enough),
        ("count", rule.count, most),
    ):
        if figure > most:
            return (
                f"{where}: its threshold of {rule.percent:g} % has {key} = {figure:,}, but the phase has "
                f"{_devices(most)}{' with those before it' if rule.classes else ''}: it can never stop the phase",
                f"Write {key} = {works} or less, or give the phase {figure:,} devices or more.",
            )
    return None


def _is_judged_otherwise(gate: GatePolicy) -> bool:
    """Return whether failures of every class are judged without thresholds."""
    return gate.evidence is not None or bool(dict(gate.figures).get("success"))


def _lowered(fitted: ThresholdGate, rule: ThresholdGate, where: str, most: int) -> str:
    text = f"{where} has {_devices(most)}: its threshold of {rule.percent:g} % "
    changes = []
    if fitted.min_executed != rule.min_executed:
        changes.append(f"counts from {fitted.min_executed:,} devices in place of {rule.min_executed:,}")
    if fitted.count != rule.count:
        changes.append(f"trips at {fitted.count:,} failures in place of {rule.count:,}")
    return text + " and ".join(changes)


def _with_floor(gate: GatePolicy, size: int) -> GatePolicy:
    """Let PASS wait until every threshold on all failures could have spoken."""
    speaking = [
        rule for rule in gate.thresholds if not rule.classes and max(rule.min_executed, rule.count) <= size
    ]
    if not speaking:
        return gate
    latest = max(
        max(rule.min_executed for rule in speaking),
        min(max(rule.min_executed, rule.count) for rule in speaking),
    )
    return replace(gate, min_executed=min(size, max(latest, _least_outcomes(gate, size))))


def _devices(count: int) -> str:
    return "1 device" if count == 1 else f"{count:,} devices"


def _least_outcomes(gate: GatePolicy, size: int) -> int:
    """Return the fewest outcomes with which a phase may pass; of a small phase a few may stay silent."""
    return max(1, gate.min_executed) if gate.min_executed <= size else speaks_from(gate, size)
