"""How many devices leave before the first batch of their phase can be judged, and what would bound it.

A batch is judged once its outcomes are mature. A phase that has released most of the fleet by then has no gate in
practice: fast failures may still stop it, silence cannot.
"""

from __future__ import annotations

from collections.abc import Sequence

from rollout.pacing.calendar import active_between
from rollout.planning.schedule import Release
from rollout.values import HOUR_S, Calendar, Phase, PhaseEnd
from rollout.values.durations import format_duration

MOST = 0.75
"""Share of a plan's devices that one phase may release before its first batch can be judged, without a warning."""


def before_judged(releases: Sequence[Release], latency_s: int) -> dict[int, int]:
    """Return by phase index how many devices are released before the phase's first batch is mature.

    latency_s : age in seconds at which a batch is judged. releases : in order of time.
    """
    first: dict[int, int] = {}
    counts: dict[int, int] = {}
    for release in releases:
        if release.at < first.setdefault(release.phase, release.at) + latency_s:
            counts[release.phase] = counts.get(release.phase, 0) + len(release.rows)
    return counts


def exposure_warnings(
    phases: Sequence[Phase], releases: Sequence[Release], calendar: Calendar, latency_s: int
) -> list[str]:
    """Return a line for each phase that releases most of the plan unjudged, and one if nothing follows a pilot."""
    planned = sum(len(phase) for phase in phases)
    out = _whole_fleet(phases, planned)
    for index, count in before_judged(releases, latency_s).items():
        if count <= MOST * planned:
            continue
        phase = phases[index]
        mine = [release for release in releases if release.phase == index]
        last = max(release.at for release in mine if release.at < mine[0].at + latency_s)
        within = format_duration(max(last - mine[0].at, HOUR_S) // HOUR_S * HOUR_S)
        out.append(
            f"phase '{phase.name}': {count:,} of {planned:,} devices of the plan leave within {within}, before its "
            f"first batch can be judged ({format_duration(latency_s)} after its release). "
            f"{_slower(calendar, mine[0].at, latency_s, len(phase), planned)}"
        )
    return out


def _slower(calendar: Calendar, first: int, latency_s: int, size: int, planned: int) -> str:
    """Name a pace, and a phase before it, with which few enough devices leave until the first batch is judged."""
    active_s = active_between(calendar, first, first + latency_s)
    # An even pace releases one device more than its share: those due at the very start.
    hours = -(-active_s * size // max(1, int(MOST * planned) - 1)) // HOUR_S + 2
    pace = f'pacing = {{ mode = "duration", duration = "{hours}h" }}'
    ring = size - int(MOST * planned)
    return f"For at most {MOST:.0%} write {pace} (hours of open windows), or a phase of {ring:,} devices before it"


def _whole_fleet(phases: Sequence[Phase], planned: int) -> list[str]:
    """Return a line if the first of several phases takes all devices."""
    full = [phase for phase in phases if len(phase)]
    if len(full) != 1 or full[0] is not phases[0] or full[0].end is PhaseEnd.NEVER:
        return []
    # A phase written alone is meant so; it is told above if it goes too fast.
    behind = [phase.name for phase in phases[1:] if phase.name != "tail"]
    if not behind:
        return []
    return [
        f"phase '{phases[0].name}' takes all {planned:,} devices of the plan and leaves none to '{behind[0]}': its "
        f"gate protects no other device. Write devices = {max(1, -(-planned // 10)):,} or fewer in it"
    ]
