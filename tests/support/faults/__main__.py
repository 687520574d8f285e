"""Run seeds, or one scenario with kills: what a failing test tells you to type.

PYTHONPATH=tests/support python -m faults seed 17        PYTHONPATH=tests/support python -m faults plain 40 12
PYTHONPATH=tests/support python -m faults seeds 0 30000
The same over the real clients: PYTHONPATH=tests/support python -m faults seed 17 adminservice      (or graph)
"""

from __future__ import annotations

import logging
import sys
import time
from collections import Counter
from functools import partial

from faults.case import Case
from faults.cases import SCENARIOS, drawn
from faults.chances import Kills
from faults.invariants import complaints


def command(*words: object) -> str:
    """Give the line that runs a case again."""
    return "PYTHONPATH=tests/support python -m faults " + " ".join(str(word) for word in words if word != "")


def case_of(seed: int, kind: str = "") -> Case:
    """Give the rollout of a seed: over the pretend outside, or over a real directory's client."""
    if not kind:
        return drawn(seed)
    from faults.wires import WireWorld

    return drawn(seed, outside=partial(WireWorld, kind=kind))


def one_seed(seed: int, kind: str = "") -> tuple[list[str], Counter[str]]:
    """Run a seed; give the complaints and what went wrong in it."""
    case = case_of(seed, kind)
    found = complaints(case.run())
    return [f"{item}   [{command('seed', seed, kind)}]" for item in found], case.chances.seen


def main() -> int:
    """Run what the arguments name; 1 if an invariant is broken."""
    what, words = sys.argv[1], sys.argv[2:]
    kind = words.pop() if words[-1].isalpha() else ""
    numbers = [int(word) for word in words]
    if what == "seeds":
        return many(*numbers, kind)
    case = case_of(numbers[0], kind) if what == "seed" else SCENARIOS[what](Kills(*numbers))
    record = case.run()
    for call in record.world.calls:
        print(call)
    for row in record.journal.decisions():
        print(row)
    print(record.ends, dict(case.chances.seen))
    found = complaints(record)
    print(*found, sep="\n")
    return int(bool(found))


def many(first: int, last: int, kind: str = "") -> int:
    """Run seeds first … last - 1 and print what is found as it is found."""
    logging.disable(logging.ERROR)
    begun, bad = time.perf_counter(), 0
    seen: Counter[str] = Counter()
    for seed in range(first, last):
        found, faults = one_seed(seed, kind)
        seen += faults
        for item in found:
            print(item, flush=True)
        bad += bool(found)
    print(f"{last - first} seeds, {bad} with violations, {time.perf_counter() - begun:.0f} s")
    print(f"{sum(seen.values())} faults: {dict(seen)}")
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
