"""The effect of a plan's gates on good and bad rollouts, by simulation of the gate alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rollout.arguments import require_runs, require_time
from rollout.documents import simulating as documents
from rollout.errors import UsageError
from rollout.files import make_folder, write_file
from rollout.report.pictures.style import png_of
from rollout.values import HOUR_S, Plan
from sim.gate_trials.gatecheck import GateCheck, simulate_plan_gates


@dataclass(frozen=True, slots=True)
class GateResult:
    """The operating characteristic of a plan's gate, and the pictures that were drawn."""

    check: GateCheck
    pictures: tuple[Path, ...] = ()

    @property
    def document(self) -> documents.GateCheck:
        """What `rollout gate --json` prints."""
        return documents.GateCheck.build(self.check, pictures=tuple(str(path) for path in self.pictures))


def simulate_gate(
    plan: Plan,
    *,
    rates: Sequence[float],
    bad: str = "",
    good_rate: float = 0.005,
    fail_hours: float = 6.0,
    enroll_hours: float = 24.0,
    runs: int = 200,
    seed: int = 1,
    out: Path | None = None,
) -> GateResult:
    """Try the gate of a plan at each true failure rate, and a plain threshold on the same runs.

    rates : shares of the devices that fail, or of the stratum `bad` alone while the others fail at `good_rate`.
    fail_hours, enroll_hours : mean hours from release to failure and success. runs : rollouts per rate.
    out : a folder for the pictures. Raise `UsageError` for no rate, times and a number of runs that are out of range,
    `ValueError` for other impossible parameters.
    """
    if not rates:
        raise UsageError("rates: expected at least one failure rate, found none")
    require_time("fail_hours", fail_hours)
    require_time("enroll_hours", enroll_hours)
    require_runs(runs)
    check = simulate_plan_gates(
        plan,
        rates=rates,
        fail_s=fail_hours * HOUR_S,
        enroll_s=enroll_hours * HOUR_S,
        bad=bad,
        good_rate=good_rate,
        runs=runs,
        seed=seed,
    )
    return GateResult(check, _draw(check, out) if out is not None else ())


def _draw(check: GateCheck, out: Path) -> tuple[Path, ...]:
    make_folder(out)
    written = []
    for name, plot in (("gate-halts.png", check.plot), ("gate-exposed.png", check.plot_exposed)):
        write_file(out / name, png_of(plot, (9, 5)))
        written.append(out / name)
    return tuple(written)
