"""What the watch for silence finds, and what it delays: python tests/benchmarks/bench_silence.py [seeds] [first seed]

Closed loop over the product's engine: 100,000 devices in random order, a pilot of 500 (10, 90, 400) from Monday 07:00
UTC on, and from the next Monday 1,000 devices per hour, Monday to Friday, twelve hours per day. A WAIT stops releases
until the boundary at which it ends; a condemned stratum is released no more. Prints three tables: healthy fleets
(delays, waits longer than the patience, strata held), silence from the middle on (devices released until the WAIT), and
a silent model (its devices released until it is held). A name or more after the first seed selects tables.
"""

from __future__ import annotations

import datetime as dt
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from rollout.gates.rules.silence import PATIENCE_S, log_limit
from rollout.gates.silence import EVERY_S, SilenceWatch, is_short
from rollout.values import DAY_S, HOUR_S, BoolArray, GatePolicy, IntArray, LongArray, Outcome
from sim.clients.draws import make_draws, traits_like, traits_of
from sim.engines.engine import make_engine
from sim.engines.port import EngineRun
from sim.fleet.population import FleetModel, generate
from sim.model import ClassModel, Model, PresenceModel

START = 1_767_596_400
DEVICES, PER_HOUR, DAYS = 100_000, 1_000, 45
PILOT = {0: 10, 6: 90, 24: 400}
MAIN_FROM = 7 * 24
HOLIDAYS_FROM = dt.date(2026, 1, 15)


def model_of(kind: str, rng: np.random.Generator) -> Model:
    """Draw the assumptions of a kind of fleet."""
    clients: dict[str, object] = {"window": kind if kind in ("72h", "5d") else "24h"}
    presence: dict[str, object] = {}
    if kind == "laptops":
        presence["mix"] = (0.0, 0.0, 1.0, 0.0)
    if kind == "holiday":
        presence["holidays"] = tuple((HOLIDAYS_FROM + dt.timedelta(day)).isoformat() for day in range(14))
    if kind == "off-model":
        clients["window"] = f"{int(np.exp(rng.uniform(np.log(12), np.log(120))))}h"
        clients["blocked_share"] = float(rng.uniform(0, 0.06))
        presence = _unlike(rng)
    return Model.model_validate({"clients": clients, "presence": presence, "horizon": f"{DAYS + 15}d"})


def _unlike(rng: np.random.Generator) -> dict[str, object]:
    """Use x 0.8-1.2, weekends x 0.5-2, any mix of classes and habit, up to three days off at any time."""
    use, weekend, habit = rng.uniform(0.8, 1.2), np.exp(rng.uniform(np.log(0.5), np.log(2))), rng.uniform()
    known, out = PresenceModel(), {}
    for name in ("office", "laptop", "rarely_on"):
        usual: ClassModel = getattr(known, name)
        out[name] = usual.model_copy(
            update={
                "weekday": min(1.0, usual.weekday * use),
                "weekend": min(1.0, usual.weekend * weekend),
                "habit": float(habit),
            }
        )
    mix = rng.dirichlet([1.2, 3, 3.5, 0.6])
    free = rng.choice(28, rng.integers(0, 4), replace=False)
    days = tuple((dt.date(2026, 1, 5) + dt.timedelta(int(day))).isoformat() for day in free)
    return {**out, "mix": tuple(mix / mix.sum()), "holidays": days}


@dataclass(frozen=True)
class Harm:
    """share of the devices released after `after` (count) that never answer; of a stratum alone if it is not -1."""

    share: float = 0.0
    after: int = 0
    stratum: int = -1
    size: float = 0.0


@dataclass
class Course:
    """What happened. short_at : devices released when the first WAIT after the harm began; -1 never.

    waits : (begin, end) seconds. held : strata held, with their devices released by then.
    """

    released: int = 0
    last: int = 0
    short_at: int = -1
    waits: list[tuple[int, int]] = field(default_factory=list)
    held: dict[int, int] = field(default_factory=dict)


def run(kind: str, seed: int, strata: int, harm: Harm = Harm(), until_found: bool = False) -> Course:
    """Run one rollout."""
    rng = np.random.default_rng([99, seed])
    model = model_of(kind, rng)
    inventory = generate(FleetModel(clients=DEVICES), 1, START - DAY_S)
    known = traits_of(inventory.fleet, model)
    traits = known if kind in ("default", "holiday", "72h", "5d") else traits_like(DEVICES, model)
    if kind == "off-model" and seed % 2:
        traits = replace(traits, zone=known.zone, zones=known.zones)
    draws = make_draws(model, traits, seed, 0, START, (DAYS + 10) * DAY_S)
    engine = make_engine(
        model,
        traits,
        draws,
        start=START,
        strata=np.zeros(DEVICES, dtype=np.int32),
        n_strata=1,
        straggler_after_s=99 * DAY_S,
    )
    codes = rng.integers(1, strata, DEVICES) if strata > 1 else np.zeros(DEVICES, dtype=np.int64)
    if harm.stratum >= 0:
        codes[rng.random(DEVICES) < harm.size] = harm.stratum
    struck = rng.random(DEVICES) < harm.share
    if harm.stratum >= 0:
        struck &= codes == harm.stratum
    order = rng.permutation(DEVICES).astype(np.int32)
    return _drive(engine, order, codes, struck, strata, harm, until_found)


def _drive(
    engine: EngineRun,
    order: IntArray,
    codes: LongArray,
    struck: BoolArray,
    strata: int,
    harm: Harm,
    until_found: bool,
) -> Course:
    watch, course = SilenceWatch(START, strata), Course()
    batch_at: list[int] = []
    released = np.zeros((4000, strata), dtype=np.int64)
    answered = np.zeros_like(released)
    batch_of = np.full(len(order), -1)
    seen = np.zeros(len(order), dtype=bool)
    position = count = 0
    waiting = 0
    limit = log_limit(GatePolicy(), strata)
    for hour in range(DAYS * 24):
        now = START + hour * HOUR_S
        if hour and hour * HOUR_S % EVERY_S == 0:
            engine.advance(now)
            outcome = engine.outcome
            fresh = np.flatnonzero(
                ((outcome == Outcome.ENROLLED) | (outcome == Outcome.FAILED))
                & ~seen
                & ~(struck & (batch_of >= 0))
            )
            seen[fresh] = True
            np.add.at(answered, (batch_of[fresh], codes[fresh]), 1)
            silence = watch.advance(
                now, np.array(batch_at), released[: len(batch_at)], answered[: len(batch_at)]
            )
            if strata > 1:
                for code in np.flatnonzero(silence.log_evidence >= limit):
                    course.held.setdefault(int(code), int(released[:, code].sum()))
            short = is_short(silence)
            if short and not waiting:
                waiting = now
                if course.short_at < 0 and count > harm.after:
                    course.short_at = count
            if waiting and not short:
                course.waits.append((waiting, now))
                waiting = 0
            if until_found and (course.short_at >= 0 or harm.stratum in course.held):
                return course
        wanted = PILOT.get(hour, 0)
        if hour >= MAIN_FROM and hour // 24 % 7 < 5 and hour % 24 < 12:
            wanted = PER_HOUR
        if not wanted or (waiting and hour >= MAIN_FROM) or position >= len(order):
            continue
        part = order[position : position + wanted]
        position += len(part)
        rows = part[~np.isin(codes[part], list(course.held))] if strata > 1 else part
        if count < harm.after:
            struck[rows] = False
        engine.release(rows, len(batch_at), now)
        batch_of[rows] = len(batch_at)
        released[len(batch_at)] = np.bincount(codes[rows], minlength=strata)
        batch_at.append(now)
        count += len(rows)
        course.last = now
    if waiting:
        course.waits.append((waiting, START + DAYS * DAY_S))
    course.released = count
    return course


def quantiles(values: list[float]) -> str:
    """Write median, 90th and 95th percentile and maximum."""
    found: NDArray[np.float64] = np.quantile(values, (0.5, 0.9, 0.95, 1.0), method="inverted_cdf")
    return " / ".join(f"{value:,.6g}" for value in found)


def healthy(seeds: range) -> Iterator[str]:
    """Delay of the last release, longest wait, waits beyond the patience, strata held."""
    usual = START + (MAIN_FROM + 9 * 24 + 24 + 3) * HOUR_S
    for kind in ("default", "laptops", "holiday", "72h", "5d", "off-model"):
        courses = [run(kind, seed, 40 if seed % 2 else 400) for seed in seeds]
        base = min(course.last for course in courses) if courses else usual
        delays = [(course.last - base) / DAY_S for course in courses]
        patience = sum(any(end - begin >= PATIENCE_S for begin, end in course.waits) for course in courses)
        held = sum(bool(course.held) for course in courses)
        yield f"{kind:10} delay in days {quantiles(delays)}; {patience} held for a person, {held} with a stratum held"


def middle(seeds: range) -> Iterator[str]:
    """Devices released between the onset and the WAIT."""
    for kind in ("default", "laptops", "72h", "5d", "off-model"):
        for share in (0.2, 0.3, 0.6, 1.0):
            more = []
            for seed in seeds:
                after = 50_000 + 997 * (seed % 24)
                course = run(kind, seed, 1, Harm(share, after), until_found=True)
                more.append(float(course.short_at - after) if course.short_at >= 0 else float("inf"))
            yield f"{kind:10} {share:4.0%} silent: released until the WAIT {quantiles(more)}"


def model(seeds: range) -> Iterator[str]:
    """Devices of the silent model that were released until it was held."""
    for size, shares in ((0.05, (1.0, 0.8, 0.6, 0.5, 0.4)), (0.01, (1.0, 0.8, 0.6))):
        for strata in (40, 400):
            for share in shares:
                found = []
                for seed in seeds:
                    course = run("default", seed, strata, Harm(share, 0, 0, size), until_found=True)
                    found.append(float(course.held.get(0, np.inf)))
                limit = 300 if size == 0.05 else 150
                within = sum(value <= limit for value in found)
                what = f"{size:.0%} of the fleet, {strata} strata, {share:4.0%} silent"
                yield f"{what}: {quantiles(found)}; {within} of {len(found)} within {limit}"


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    wanted = sys.argv[3:] or ["healthy", "middle", "model"]
    for table in (healthy, middle, model):
        if table.__name__ not in wanted:
            continue
        print(f"{table.__name__}: {table.__doc__} median / p90 / p95 / max")
        began = time.process_time()
        for line in table(range(first, first + count)):
            print(f"  {line}", flush=True)
        print(f"  ({time.process_time() - began:.0f} s)")


if __name__ == "__main__":
    main()
