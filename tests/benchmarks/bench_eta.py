"""How often the 80 % interval of a forecast holds what came: `python tests/benchmarks/bench_eta.py [WORLDS]`.

Each world is a rollout of 600 devices with drawn window, time online and lag, foreseen when 10 %, 25 % and 50 % are
enrolled, with assumptions calibrated on what was known then. Two ends are foreseen: 90 % of the planned devices
enrolled ("through"), and every device with an outcome or given up ("done"). Prints coverage and median width.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

from continuations import MODEL, plan_and_fleet, truth_of

from rollout.values import HOUR_S
from sim.forecast.calibration import calibrate
from sim.forecast.continuation import forecast_of
from sim.forecast.pilot import pilot_of

SHARES = (0.1, 0.25, 0.5)


def main(worlds: int, first: int) -> None:
    """Plant, run, foresee, count."""
    plan, fleet = plan_and_fleet()
    held: dict[tuple[float, str], list[bool]] = defaultdict(list)
    width: dict[tuple[float, str], list[float]] = defaultdict(list)
    for world in range(first, first + worlds):
        rng = np.random.default_rng((17, world))
        window = int(86_400 * np.exp(rng.uniform(0, np.log(4))))
        changes = {"online": float(rng.uniform(0.85, 1.15)), "lag": float(np.exp(rng.uniform(-0.4, 0.4)))}
        truth = truth_of(window_s=window, seed=1000 + world, **changes)
        for share in SHARES:
            now = truth.snapshots[share]
            pilot = pilot_of(plan, fleet, MODEL, now.batches, now.outcomes, now.known_until)
            fitted = calibrate(pilot, MODEL, seed=world)
            found = forecast_of(plan, fleet, MODEL, now, fitted, seed=world)
            assert found is not None
            for name, interval, came in (
                ("through", found.enrolled_90, truth.through),
                ("done", found.done, truth.done),
            ):
                low, _, high = interval
                held[share, name].append(low <= came <= high)
                width[share, name].append((high - low) / HOUR_S if low < np.inf else np.inf)
        if (world - first) % 5 == 4:
            print(f"{world - first + 1} worlds", flush=True)
            for (share, name), hits in sorted(held.items()):
                wide = np.median(width[share, name])
                print(
                    f"  at {share:.0%} {name}: holds {np.mean(hits):.0%}, median width {wide:.1f} h",
                    flush=True,
                )
            every = [hit for (_, name), hits in held.items() if name == "through" for hit in hits]
            print(f"  through, all forecasts: {np.mean(every):.1%} of {len(every)}", flush=True)


if __name__ == "__main__":
    main(*(int(word) for word in [*sys.argv[1:], *("100", "0")[len(sys.argv) - 1 :]]))
