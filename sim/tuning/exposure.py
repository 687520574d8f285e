"""How many devices a plan releases before its gate halts it, if one stratum is bad.

A gate counts devices, not shares, so this uses the full fleet: the releases of a scaled-down plan are
drawn up to full size, and the gate alone is tried on them (`sim.gate_trials.trial`).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from rollout.pacing import released_by
from rollout.values import HOUR_S, Fleet, LongArray, PhaseEnd, Plan
from sim.gate_trials.course import Course
from sim.gate_trials.gatecheck import PLAIN
from sim.gate_trials.trial import run_trial, trial_of
from sim.model import Model

RUNS: Final = 40
USUAL_SHARE: Final = 0.02
GOOD_RATE: Final = 0.005


def exposed_p90(
    plan: Plan,
    model: Model,
    fleet: Fleet,
    *,
    factor: float,
    fixed: frozenset[str],
    bad_rate: float,
    seed: int,
) -> float:
    """Return the devices released at the HALT, in nine of ten runs; all of them where none comes.

    plan, fleet : scaled down by `factor`, but for the phases named in `fixed`. The bad stratum has the share
    of the model's first `failure` override, or 2 % of the fleet; `bad_rate` of it fails.
    """
    sizes = [len(phase) if phase.name in fixed else round(len(phase) / factor) for phase in plan.phases]
    enroll_s = plan.mature_after_s / 3  # of an exponential, whose p95 is three means
    course = _course(plan, sizes, enroll_s)
    share = _share(model, fleet)
    rng = np.random.default_rng((seed, 7))
    codes = (rng.random(course.devices) < share).astype(np.int32)
    trial = trial_of(plan.phases[0].gate, codes, ("all others", "bad"), course, PLAIN, "bad")
    chance = np.where(codes == 1, bad_rate, GOOD_RATE)
    (at, _, _), _ = run_trial(trial, chance, RUNS, rng)
    last = len(course.released) - 1
    exposed = course.released[np.minimum(at, last)]
    return float(np.quantile(exposed, 0.9, method="inverted_cdf"))


def _share(model: Model, fleet: Fleet) -> float:
    for kind in model.clients.failure:
        return float(fleet.factors[kind.column].where(kind.level).mean())
    return USUAL_SHARE


def _course(plan: Plan, sizes: list[int], enroll_s: float) -> Course:
    parts: list[LongArray] = []
    before = 0
    for phase, size in zip(plan.phases, sizes, strict=True):
        if not size:
            continue
        soak_s = phase.soak_s if phase.end is PhaseEnd.GATE else 0
        hours = -(-phase.curve.length_s // HOUR_S) + 1 + soak_s // HOUR_S
        rising = [before + released_by(phase.curve, hour * HOUR_S, size) for hour in range(hours)]
        parts.append(np.array(rising, dtype=np.int64))
        before = int(parts[-1][-1])
    parts.append(np.full(max(1, round(5 * enroll_s / HOUR_S)), before, dtype=np.int64))
    return Course(np.concatenate(parts), HOUR_S, enroll_s, enroll_s)
