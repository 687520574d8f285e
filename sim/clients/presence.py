"""When devices are online: the day rule, and its tables from the sources.

**The rule.** Local days run from 03:00 to 03:00, when the fewest people work. On each day a device is used or not
(with a chance that depends on its class, the kind of day and the device's own spread). A used day has an arrival and
a departure, perhaps a break, and at the departure the device is turned off or left on. The device is on from arrival
to departure except during the break, and afterwards until the next used day's arrival if it was left on. Its user is
present from arrival to departure except during the break. DAYS_BEFORE days before the start every device is off.

**The tables.** The share of people at work by hour of day (ATUS 2022-23, mean of the strata O1 and O3) is
filled to a curve with a single peak; its rise is the distribution of arrivals, its fall that of departures, and users
leave in the order in which they arrived. So the modelled share of users present follows the source by construction,
except for the dip at noon, which breaks produce. Half of the breaks begin 11:30-12:30, half at any time 08:00-18:00
(I).
"""

from __future__ import annotations

from bisect import bisect_right
from functools import lru_cache
from importlib import resources
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rollout.values import DAY_S, HOUR_S, LongArray
from sim.clients import draws as d
from sim.clients import spec as c
from sim.clients.draws import draw
from sim.clients.spec import BINS, Spec

DAY_BEGINS: Final = 3 * HOUR_S
"""Seconds after local midnight at which a day of the rule begins."""

Curve = NDArray[np.float64]


def read_csv(name: str) -> list[list[str]]:
    """Return the cells of a file in `sim/clients/data`, without its header."""
    text = resources.files("sim.clients").joinpath(f"data/{name}").read_text(encoding="utf-8")
    return [line.split(",") for line in text.split()[1:]]


@lru_cache(maxsize=2)
def at_work(day_type: str) -> Curve:
    """Return the share of people at work in each hour of a "weekday" or a "weekend" day, (24,)."""
    sums = np.zeros(24)
    for _, kind, hour, percent in read_csv("atus_work_share_by_hour.csv"):
        if kind == day_type:
            sums[int(hour)] += float(percent) / 200.0  # mean of two strata, as a share
    return sums


def _rise_and_fall(day_type: str) -> tuple[Curve, Curve]:
    """Return the rise and the fall of the filled curve, as (seconds since 03:00, share of the peak)."""
    shares = np.roll(at_work(day_type), -3)
    seconds = (np.arange(24) + 0.5) * HOUR_S
    night = (shares[0] + shares[-1]) / 2
    top = int(shares.argmax())
    up = np.maximum.accumulate(np.concatenate(([night], shares[: top + 1]))) / shares[top]
    fall = np.concatenate((shares[top:], [night]))
    down = np.maximum.accumulate(fall[::-1])[::-1] / shares[top]
    rise = np.stack((np.concatenate(([0.0], seconds[: top + 1])), up))
    return rise, np.stack((np.concatenate((seconds[top:], [float(DAY_S)])), down))


@lru_cache(maxsize=1)
def day_tables() -> LongArray:
    """Return the rows PAUSE_AT, ARRIVE (2), LEAVE (2) of the quantile tables, (5, BINS + 1) int64 seconds."""
    steps = np.arange(BINS + 1) / BINS
    at = np.array([2.0, 5.0, 8.5, 9.5, 15.0]) * HOUR_S  # seconds since 03:00; no break begins before 08:00
    share = np.cumsum([0.0, 0.0, 0.175, 0.5 + 0.05, 0.275])
    rows = [np.interp(steps, share, at)]
    curves = [_rise_and_fall("weekday"), _rise_and_fall("weekend")]
    for rise, _ in curves:
        rows.append(np.interp(steps, rise[1], rise[0]))
    for _, fall in curves:
        rows.append(np.interp(steps, 1.0 - fall[1], fall[0]))
    return np.minimum(np.round(np.array(rows)), DAY_S - 60).astype(np.int64)  # so that days never meet


def peak(day_type: str) -> float:
    """Return the highest share of people at work on such a day, which is the chance that a device is used."""
    return float(at_work(day_type).max())


def quantile(table: LongArray, u: int) -> int:
    """Return the quantile at u parts of 65536, interpolated linearly between the table's points and rounded down."""
    step = 65536 // BINS
    below, above = int(table[u // step]), int(table[u // step + 1])
    return below + (above - below) * (u % step) // step


class Intervals:
    """Disjoint intervals in chronological order."""

    def __init__(self) -> None:
        self.begins: list[int] = []
        self.ends: list[int] = []

    def add(self, begin: int, end: int) -> None:
        """Append [begin, end)."""
        self.begins.append(begin)
        self.ends.append(end)

    def at(self, second: int) -> tuple[bool, int]:
        """Return whether a second lies in an interval, and when that changes."""
        place = bisect_right(self.begins, second)
        if place > 0 and second < self.ends[place - 1]:
            return True, self.ends[place - 1]
        return False, self.begins[place] if place < len(self.begins) else c.NEVER


def intervals_of(spec: Spec, key: int, presence: int, offset: int) -> tuple[Intervals, Intervals]:
    """Return when a device is on and when its user is present, over the whole run.

    Seconds count from `spec.base`. presence : class code. offset : seconds east of UTC. This is the rule in
    plain Python; `sim.engines.fast.spans` evaluates the same rule lazily.
    """
    on, user = Intervals(), Intervals()
    numbers, tables = spec.numbers.tolist(), spec.tables
    habit = draw(key, d.SLOT_HABIT)
    turns_off = habit & 0xFFFF < numbers[c.HABIT + presence]
    off_chance = numbers[c.OFF + 2 * presence + turns_off]
    spread = numbers[c.SPREAD] * (2 * (habit >> 32 & 0xFFFF) - 65536) >> 16
    since: int | None = None
    for index, kind in enumerate(spec.days.tolist()):
        midnight = (index - c.DAYS_BEFORE) * DAY_S + DAY_BEGINS - offset
        word = draw(key, d.SLOT_DAY + index)
        chance = numbers[c.USED + 8 * presence + kind]
        if word >> 48 >= (chance * (65536 + spread) >> 16) and chance < 65536:
            continue
        place = (habit >> 48) + ((2 * (word >> 32 & 0xFFFF) - 65536) * numbers[c.ARRIVAL_JITTER] >> 16)
        place = min(abs(place), 131071 - abs(place))
        weekend = int(kind >= 5)
        begins = midnight + quantile(tables[c.ARRIVE + weekend], place)
        ends = midnight + quantile(tables[c.LEAVE + weekend], place)
        since = begins if since is None else since
        user_since = begins
        if word & 0xFFFF < numbers[c.PAUSE + presence]:
            pause = draw(key, d.SLOT_PAUSE + index)
            away = midnight + quantile(tables[c.PAUSE_AT], pause & 0xFFFF)
            back = min(away + quantile(tables[c.PAUSE_S], pause >> 16 & 0xFFFF), ends - 60)
            if begins < away < back:
                on.add(since, away)
                user.add(begins, away)
                since = user_since = back
        user.add(user_since, ends)
        if word >> 16 & 0xFFFF < off_chance:
            on.add(since, ends)
            since = None
    if since is not None:
        on.add(since, c.NEVER)
    return on, user
