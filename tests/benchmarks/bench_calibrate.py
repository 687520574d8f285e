"""How often the 90 % intervals of a calibration hold what was planted: `python bench_calibrate.py [WORLDS]`.

Pilots of 500 devices, released in three batches, watched for a week (two for the five-day window); the worlds
differ in window, time online, lag and failure rate. Prints a line a world, then the coverage and the errors.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent / "support"))

from planted import DAY_S, base_model, planted_pilot

from sim.assumptions import assumed
from sim.forecast.calibration import calibrate


def main(worlds: int) -> None:
    """Plant, calibrate, count."""
    rng = np.random.default_rng(11)
    hits: dict[str, list[bool]] = {"window": [], "online": [], "lag": [], "failures": []}
    errors: dict[str, list[float]] = {name: [] for name in hits}
    begun = time.monotonic()
    for world in range(worlds):
        days = (1, 3, 5)[world % 3]
        truth = {
            "window": 24.0 * days,
            "online": float(rng.uniform(0.8, 1.2)),
            "lag": float(np.exp(rng.uniform(-0.5, 0.5))),
            "failures": float(rng.uniform(0.02, 0.12)),
        }
        changes = {"window": days * DAY_S, "online": truth["online"], "lag": truth["lag"]}
        pilot = planted_pilot(
            assumed(base_model(truth["failures"]), changes), 1000 + world, 14 if days == 5 else 7
        )
        found = calibrate(pilot, base_model(0.01), seed=world).estimates
        for name in hits:
            hits[name].append(truth[name] in found[name])
            errors[name].append(found[name].median / truth[name] - 1)
        print(world, {name: (round(truth[name], 3), found[name].sentence()) for name in hits}, flush=True)
        for name in hits if world % 5 == 4 or world == worlds - 1 else ():
            wrong = np.abs(errors[name])
            print(
                f"  {name}: 90 % intervals hold it in {np.mean(hits[name]):.0%} of {world + 1} worlds; "
                f"error median {np.median(wrong):.1%}, p90 {np.quantile(wrong, 0.9):.1%}, "
                f"bias {np.mean(errors[name]):+.1%}",
                flush=True,
            )
    print(f"{(time.monotonic() - begun) / worlds:.1f} s a world")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
