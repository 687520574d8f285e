"""Run seeds, or one scenario with kills: what a failing test tells you to type.

PYTHONPATH=tests python -m faults seed 17        PYTHONPATH=tests python -m faults plain 40 12
PYTHONPATH=tests python -m faults seeds 0 30000
"""

from __future__ import annotations

import sys
import time
from collections import Counter

from faults.cases import SCENARIOS, drawn
from faults.chances import Kills
from faults.invariants import complaints


def command(*words: object) -> str:
    """Give the line that runs a case again."""
    return "PYTHONPATH=tests python -m faults " + " ".join(str(one) for one in words)


def one_seed(seed: int) -> tuple[list[str], Counter[str]]:
    """Run a seed; give the complaints and what went wrong in it."""
    case = drawn(seed)
    found = complaints(case.run())
    return [f"{one}   [{command('seed', seed)}]" for one in found], case.chances.seen


def main() -> int:
    """Run what the arguments name; 1 if an invariant is broken."""
    kind, numbers = sys.argv[1], [int(one) for one in sys.argv[2:]]
    if kind == "seeds":
        return many(*numbers)
    case = drawn(numbers[0]) if kind == "seed" else SCENARIOS[kind](Kills(*numbers))
    record = case.run()
    for call in record.world.calls:
        print(call)
    for row in record.journal.decisions():
        print(row)
    print(record.ends, dict(case.chances.seen))
    found = complaints(record)
    print(*found, sep="\n")
    return int(bool(found))


def many(first: int, last: int) -> int:
    """Run seeds first … last - 1 and print what is found as it is found."""
    begun, bad = time.perf_counter(), 0
    seen: Counter[str] = Counter()
    for seed in range(first, last):
        found, faults = one_seed(seed)
        seen += faults
        for one in found:
            print(one, flush=True)
        bad += bool(found)
    print(f"{last - first} seeds, {bad} with violations, {time.perf_counter() - begun:.0f} s")
    print(f"{sum(seen.values())} faults: {dict(seen)}")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
