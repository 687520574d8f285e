"""Plan 1,000,000 devices: 400 strata, budgets per site, windows by each device's own clock.

Run it as `python tests/benchmarks/bench_planner.py [DEVICES]`; it prints seconds and the peak of memory. Then it
times a look at the curve, the calendar and the mask, for a small and the large fleet: they must not depend on its
size more than linearly.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable

import numpy as np

from rollout.pacing import released_by
from rollout.pacing.calendar import active_between, is_open, next_open, open_zones
from rollout.planning.feasibility import feasibility
from rollout.planning.planner import make_plan
from rollout.planning.schedule import nominal_releases
from rollout.policy import load_policy
from rollout.values import FACTORS, FLAGS, TIMES, Factor, Fleet, Inventory, Plan, texts

ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "America/Sao_Paulo",
    "UTC",
)
CREATED = 1_799_625_600

POLICY = {
    "name": "million",
    "zone": "Europe/Berlin",
    "service_per_hour": 20_000,
    "windows": [{"days": "Mon-Fri", "from": "20:00", "to": "06:00", "zone": "device"}],
    "freezes": [{"rrule": "FREQ=MONTHLY;BYDAY=2TU", "days": 2, "reason": "patch days"}],
    "budgets": {"column": "site", "per_level": 20_000},
}


def make_inventory(n: int) -> Inventory:
    """20 sites times 20 models, evenly mixed; zones go with sites."""
    site = np.arange(n) * 7919 % n % 20
    model = np.arange(n) * 104729 % n % 20
    names = {"site": site, "model": model, "zone": site % len(ZONES)}
    levels = {
        "site": [f"S{number:02}" for number in range(20)],
        "model": [f"M{number:02}" for number in range(20)],
        "zone": list(ZONES),
    }
    factors = {name: Factor.constant("", n) for name in FACTORS}
    factors |= {name: Factor(codes.astype(np.int32), tuple(levels[name])) for name, codes in names.items()}
    fleet = Fleet(
        ids=texts(f"{number:08x}-0000-4000-8000-{number * 7919:012x}" for number in range(n)),
        names=texts(f"PC{number:07}" for number in range(n)),
        resource_ids=np.arange(n, dtype=np.int64),
        serials=texts(f"SN{number:07}" for number in range(n)),
        factors=factors,
        flags={name: np.zeros(n, dtype=np.int8) for name in FLAGS},
        times={name: np.full(n, -1, dtype=np.int64) for name in TIMES},
    )
    return Inventory(fleet, CREATED, ())


def peak_mb() -> float:
    """The most memory that this process had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(name: str, work: Callable[[], object]) -> None:
    """Print how long one call takes, of as many as take a tenth of a second."""
    rounds, began = 0, time.perf_counter()
    while time.perf_counter() - began < 0.1:
        work()
        rounds += 1
    print(f"  {name}: {(time.perf_counter() - began) / rounds * 1e6:.1f} us")


def looks(plan: Plan) -> None:
    """Time what every look of the loop asks for."""
    phase = plan.phases[1]
    now = plan.start + 40 * 86_400
    timed("released_by", lambda: released_by(phase.curve, 123_456, len(phase)))
    timed("is_open", lambda: is_open(plan.calendar, now))
    timed("next_open", lambda: next_open(plan.calendar, now))
    timed("active_between", lambda: active_between(plan.calendar, plan.start, now))
    timed("mask of all zones", lambda: open_zones(plan.zone_calendars, now)[plan.zone_codes[phase.order]])


def main(n: int) -> None:
    """Plan, measure, print."""
    for size in (n // 100, n):
        inventory = make_inventory(size)
        before = peak_mb()
        began = time.perf_counter()
        plan = make_plan(inventory, [], load_policy(POLICY, "bench"), mature_after_s=86_400, created=CREATED)
        planned = time.perf_counter() - began
        digest = plan.digest
        sealed = time.perf_counter() - began - planned
        report = feasibility(plan)
        measured = time.perf_counter() - began - planned - sealed
        print(f"{size} devices, {len(nominal_releases(plan))} batches, digest {digest[:12]}")
        print(f"  plan {planned:.2f} s, digest {sealed:.2f} s, feasibility {measured:.2f} s")
        print(f"  memory: {before:.0f} MB with the inventory, {peak_mb():.0f} MB at the peak")
        looks(plan)
        print("\n".join(f"  {line}" for line in report.lines))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
