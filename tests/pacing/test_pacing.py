"""Every pacing mode as one curve, against the exact answers of public systems."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_builders import instant, make_policy

from rollout import pacing
from rollout.errors import UsageError
from rollout.pacing.modes import DateError, Frame
from rollout.pacing.modes.auto import auto_duration_s
from rollout.pacing.modes.batches import Batches, batch_counts
from rollout.pacing.modes.rate import rate
from rollout.values import DAY_S, HOUR_S, WHOLE, Calendar, Curve, GatePolicy, Phase

SIZES = [0, 1, 2, 99, 100, 101, 100_000]
START = instant("2027-01-01")
ALWAYS = Calendar(np.array([START]), np.array([START + 700 * DAY_S]))

MODES: dict[str, dict[str, Any]] = {
    "auto": {"mode": "auto"},
    "auto in groups": {"mode": "auto", "gap": "1h"},
    "rate of devices": {"mode": "rate", "devices": 7},
    "rate of one device": {"mode": "rate", "devices": 1, "every": "5m"},
    "rate in percent": {"mode": "rate", "percent": 3, "every": "2h"},
    "duration": {"mode": "duration", "duration": "48h"},
    "duration of nothing": {"mode": "duration", "duration": "0s"},
    "duration in groups": {"mode": "duration", "duration": "9d", "gap": "3d"},
    "by date": {"mode": "by_date", "date": dt.date(2027, 1, 12)},
    "by date in groups": {"mode": "by_date", "date": dt.date(2027, 1, 12), "gap": "36h"},
    "points": {"mode": "points", "points": [["0h", "0%"], ["10h", "5%"], ["30h", "100%"]]},
    "points late": {"mode": "points", "points": [["3h", "33.3%"], ["30h", "100%"]]},
    "steps": {"mode": "points", "points": [["3h", "33.3%"], ["30h", "100%"]], "steps": True},
    "ramp": {"mode": "ramp", "base": 5, "factor": 1.5, "succeeded": 20, "cap": 50},
    "batches": {"mode": "batches", "batches": [1, 50, "1%", "10%", "rest"], "every": "1d"},
    "equal batches": {"mode": "batches", "batches": 5, "every": "1d"},
}


def curve_of(pacing_table: dict[str, Any], size: int, **frame: Any) -> Curve:
    """The curve of a phase that begins on 1 January 2027, with steps of an hour."""
    wish = make_policy(phases=[{"name": "all", "pacing": pacing_table}]).phases[0].pacing
    return wish.curve(size, Frame(**{"calendar": ALWAYS, "begin": START, "step_s": HOUR_S, **frame}))


def released(curve: Curve, size: int, *hours: float) -> list[int]:
    return [pacing.released_by(curve, int(hour * HOUR_S), size) for hour in hours]


def groups(curve: Curve, size: int, step_s: int = HOUR_S) -> list[tuple[int, int]]:
    """(active seconds, devices) of each batch if the curve is asked every step."""
    out, done = [], 0
    for active_s in range(0, curve.length_s + step_s, step_s):
        now = pacing.released_by(curve, active_s, size)
        if now > done:
            out.append((active_s, now - done))
        done = now
    return out


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", SIZES)
def test_nothing_at_0_and_all_at_100_percent(mode: str, size: int) -> None:
    """A curve begins at or above 0, never falls, never exceeds the phase, and ends with the whole of it."""
    curve = curve_of(MODES[mode], size)
    assert curve.active_s[0] == 0
    assert list(curve.active_s) == sorted(curve.active_s)
    assert list(curve.parts) == sorted(curve.parts)
    assert pacing.released_by(curve, -1, size) == 0
    assert pacing.released_by(curve, curve.length_s, size) == size
    assert pacing.released_by(curve, 10 * curve.length_s, size) == size
    assert sum(count for _, count in groups(curve, size)) == size


@pytest.mark.parametrize("size", SIZES)
def test_shares_of_0_and_100_percent(size: int) -> None:
    """0 % releases none, however long it takes; 100 % releases all at once."""
    none = Curve((0, DAY_S), (0, 0))
    assert [pacing.released_by(none, at, size) for at in (0, DAY_S, 10 * DAY_S)] == [0, 0, 0]
    assert released(pacing.linear(0), size, 0) == [size]


@settings(derandomize=True, max_examples=400, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, WHOLE)), min_size=1, max_size=8),
    st.sampled_from(SIZES),
    st.lists(st.integers(0, 2 * 10**6), min_size=2, max_size=20),
)
def test_released_by_never_falls_and_is_an_exact_floor(
    points: list[tuple[int, int]], size: int, instants: list[int]
) -> None:
    """Against fractions of whole numbers, at any instant of any curve."""
    from fractions import Fraction

    times = [0, *sorted(at for at, _ in points)]
    parts = [0, *sorted(part for _, part in points)]
    curve = Curve(tuple(times), tuple(parts))
    before = 0
    for at in sorted(instants):
        last = max(index for index, time in enumerate(times) if time <= at)
        exact = Fraction(parts[last])
        if last + 1 < len(times):
            share = Fraction(at - times[last], times[last + 1] - times[last])
            exact += share * (parts[last + 1] - parts[last])
        now = pacing.released_by(curve, at, size)
        assert now == (size * exact / WHOLE).__floor__()
        assert now >= before
        assert pacing.quota(curve, at, size, before) == now - before
        before = now


def test_windows_update_gradual_rollout() -> None:
    """1 to 10 January with a gap of 3 days: four equal groups, on the 1st, 4th, 7th and 10th."""
    curve = curve_of({"mode": "by_date", "date": dt.date(2027, 1, 10), "gap": "3d"}, 1000)
    assert [(START + at, count) for at, count in groups(curve, 1000)] == [
        (instant(f"2027-01-{day:02}"), 250) for day in (1, 4, 7, 10)
    ]


def test_ubuntu_phasing() -> None:
    """10 % more each 6 hours: all after 54 hours."""
    curve = curve_of({"mode": "rate", "percent": 10, "every": "6h"}, 1000)
    assert groups(curve, 1000) == [(step * 6 * HOUR_S, 100) for step in range(10)]
    assert curve.length_s == 54 * HOUR_S


def test_fedora_coreos_linear_fraction() -> None:
    """Over 48 hours, the fraction that is through is the fraction of time."""
    curve = curve_of({"mode": "duration", "duration": "48h"}, 100_000)
    assert released(curve, 100_000, 0, 12, 24, 36, 47.99, 48) == [0, 25_000, 50_000, 75_000, 99_979, 100_000]


def active_until(curve: pacing.Curve, count: int, size: int) -> int:
    """Give the fewest active seconds after which `released_by` is at least `count`; -1 if it never is."""
    if pacing.released_by(curve, curve.length_s, size) < count:
        return -1
    low, high = 0, curve.length_s
    while low < high:
        middle = (low + high) // 2
        if pacing.released_by(curve, middle, size) >= count:
            high = middle
        else:
            low = middle + 1
    return low


def test_aws_iot_ramp() -> None:
    """50 a minute, doubled for each 1,000 that succeeded: 1,000 in 20 minutes, then in 10, 5, 2.5."""
    table = {"mode": "ramp", "base": 50, "every": "1m", "factor": 2, "succeeded": 1000}
    curve = curve_of(table, 10_000)
    minutes = [active_until(curve, count, 10_000) / 60 for count in (1000, 2000, 3000, 4000)]
    assert minutes == [20, 30, 35, 37.5]
    capped = curve_of({**table, "cap": 100}, 10_000)
    assert [active_until(capped, count, 10_000) / 60 for count in (1000, 2000, 10_000)] == [
        20,
        30,
        110,
    ]


def test_apple_phased_release() -> None:
    """1, 2, 5, 10, 20, 50 and 100 % on seven days."""
    shares = [1, 2, 5, 10, 20, 50, 100]
    points = [[f"{24 * day}h", f"{share}%"] for day, share in enumerate(shares)]
    curve = curve_of({"mode": "points", "points": points, "steps": True}, 10_000)
    assert released(curve, 10_000, *(24 * day for day in range(7))) == [share * 100 for share in shares]
    assert released(curve, 10_000, *(24 * day - 0.1 for day in range(1, 7))) == [
        share * 100 for share in shares[:-1]
    ]


@pytest.mark.parametrize(("size", "number", "expected"), [(10, 5, [2, 2, 2, 2, 2]), (9, 4, [2, 2, 2, 3])])
def test_hawkbit_groups(size: int, number: int, expected: list[int]) -> None:
    """10 in 5 groups: 2 each; 9 in 4: all covered, none twice."""
    curve = curve_of({"mode": "batches", "batches": number, "every": "1d"}, size)
    assert groups(curve, size) == [(day * DAY_S, count) for day, count in enumerate(expected)]


def test_batches_as_admins_write_them() -> None:
    """One, fifty, 1 %, 10 % and the rest; a small fleet is used up before the list is."""
    wish = [1, 50, "1%", "10%", "rest"]
    assert batch_counts(wish, 10_000) == [1, 50, 100, 1000, 8849]
    assert batch_counts(wish, 30) == [1, 29]
    assert batch_counts([1, "10%"], 30) == [1, 3, 26]  # what is left over is a last batch
    assert batch_counts(wish, 0) == [0]
    curve = curve_of({"mode": "batches", "batches": wish, "every": "1d"}, 10_000)
    assert [count for _, count in groups(curve, 10_000)] == [1, 50, 100, 1000, 8849]


@settings(derandomize=True, max_examples=300, deadline=None)
@given(
    st.lists(st.integers(1, 5000) | st.integers(1, 100).map("{}%".format), min_size=1, max_size=6),
    st.sampled_from(SIZES),
)
def test_batches_cover_all_and_none_twice(wish: list[int | str], size: int) -> None:
    """Whatever the list, its counts are the phase, and the curve gives just these counts."""
    counts = batch_counts(wish, size)
    assert sum(counts) == size
    batches = Batches.model_construct(mode="batches", batches=tuple(wish))  # shares above 100 % too
    curve = batches.curve(size, Frame(ALWAYS, START, HOUR_S))
    assert [count for _, count in groups(curve, size)] == [count for count in counts if count]


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.integers(1, 200_000), st.integers(1, 5000))
def test_a_rate_is_exact_at_every_step(size: int, devices: int) -> None:
    """Also where the staircase is so long that it is written as a straight line."""
    curve = rate(devices, 300, size)
    steps = -(-size // devices)
    for step in {0, 1, 2, steps // 2, steps - 2, steps - 1}:
        if step >= 0:
            assert pacing.released_by(curve, step * 300, size) == min(size, (step + 1) * devices)


def test_auto_grows_with_the_fleet() -> None:
    """Several days at 100,000; never so fast that a fault has no time to show."""
    hours = [auto_duration_s(n) / HOUR_S for n in (0, 1, 4000, 10_000, 100_000, 1_000_000)]
    assert hours == [0, 4, 4, 10, 100, 1000]
    assert auto_duration_s(100_000, 10_000) / HOUR_S == 20


def test_auto_keeps_the_budget_of_a_step() -> None:
    """500 a step bear no 100,000 in 100 hours."""
    curve = curve_of({"mode": "auto"}, 100_000, per_step=500)
    assert pacing.largest_step(curve, HOUR_S, 100_000) == 500


def test_the_largest_step_is_the_curves_steepest() -> None:
    """The first batch counts too."""
    assert pacing.largest_step(pacing.linear(10 * HOUR_S), HOUR_S, 1005) == 101
    assert pacing.largest_step(pacing.linear(0), HOUR_S, 77) == 77
    batches = curve_of({"mode": "batches", "batches": [5, 3, 2]}, 10)
    assert pacing.largest_step(batches, HOUR_S, 10) == 5


@settings(derandomize=True, max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 10**5), st.integers(0, WHOLE)), min_size=1, max_size=6),
    st.integers(0, 10**5),
    st.integers(60, 50_000),
)
def test_no_step_of_a_curve_is_larger_than_its_largest(
    points: list[tuple[int, int]], size: int, step_s: int
) -> None:
    """Counted step by step; at most one device too many is allowed for."""
    times, parts = [0, *sorted(at for at, _ in points)], [0, *sorted(part for _, part in points)]
    curve = Curve(tuple(times), tuple(parts))
    counted = max((count for _, count in groups(curve, size, step_s)), default=0)
    assert counted <= pacing.largest_step(curve, step_s, size) <= counted + 1


def test_a_ramp_of_too_many_rates_is_refused() -> None:
    """It would be a curve as long as the fleet."""
    with pytest.raises(UsageError, match="at most 2000 rates on a ramp"):
        curve_of({"mode": "ramp", "base": 1, "factor": 1.01, "succeeded": 1}, 100_000)


def test_a_date_is_met_by_the_last_open_step() -> None:
    """With windows, the curve is through at the last step that can still release, not at the date itself."""
    nights = Calendar(
        np.array([START + day * DAY_S for day in range(30)]),
        np.array([START + day * DAY_S + 4 * HOUR_S for day in range(30)]),
    )
    frame = {"calendar": nights, "begin": START}
    curve = curve_of({"mode": "by_date", "date": dt.datetime(2027, 1, 3, 4, tzinfo=dt.UTC)}, 100, **frame)
    assert curve.length_s == 11 * HOUR_S  # 4 + 4 + 3: the twelfth hour ends as the window closes
    curve = curve_of({"mode": "by_date", "date": dt.date(2027, 1, 3)}, 100, **frame)
    assert curve.length_s == 11 * HOUR_S
    with pytest.raises(DateError):
        curve_of({"mode": "by_date", "date": dt.date(2026, 12, 31)}, 100, **frame)


def test_a_date_is_read_on_the_policys_clock() -> None:
    """A date means the end of that day there; a time without offset means that clock."""
    for date, expected in [
        (dt.date(2027, 7, 1), "2027-07-01T23:59:59+02:00"),
        (dt.datetime(2027, 7, 1, 6), "2027-07-01T06:00+02:00"),
        (dt.datetime(2027, 7, 1, 6, tzinfo=dt.UTC), "2027-07-01T06:00"),
    ]:
        wish = (
            make_policy(phases=[{"name": "a", "pacing": {"mode": "by_date", "date": date}}]).phases[0].pacing
        )
        assert wish.deadline("Europe/Berlin") == instant(expected)


def test_points_must_end_at_100_percent() -> None:
    """Unless the phase has no end."""
    with pytest.raises(UsageError, match="end at 100%, found 50%"):
        curve_of({"mode": "points", "points": [["1d", "50%"]]}, 10)
    wish = make_policy(phases=[{"name": "a", "pacing": {"mode": "points", "points": [["1d", "50%"]]}}])
    frame = Frame(ALWAYS, START, HOUR_S)
    assert released(wish.phases[0].pacing.curve(10, frame, may_stop=True), 10, 48) == [5]


def phase_of(curve: Curve, size: int = 10_000, **fields: Any) -> Phase:
    return Phase("p", "", np.arange(size, dtype=np.int32), curve, HOUR_S, 0, GatePolicy(), **fields)


def test_time_is_plain_without_ramp_and_date() -> None:
    """An hour is an hour."""
    assert pacing.advance(phase_of(pacing.linear(DAY_S)), ALWAYS, 50, START, HOUR_S) == 50 + HOUR_S
    assert pacing.advance(phase_of(pacing.linear(DAY_S)), ALWAYS, 50, START, 0) == 50


def test_a_ramp_goes_no_faster_than_it_earned() -> None:
    """Without a success the rate stays at the base; with them it follows the curve; a hold takes one back."""
    curve = curve_of({"mode": "ramp", "base": 50, "every": "1m", "succeeded": 1000}, 10_000)
    phase = phase_of(curve, rung=1000)

    def run(minutes: int, successes: float, holds: int = 0) -> int:
        active_s, done = 0, 0
        for minute in range(minutes):
            active_s = pacing.advance(
                phase, ALWAYS, active_s, START + 60 * minute, 60, enrolled=int(successes * done), holds=holds
            )
            done = pacing.released_by(curve, active_s, 10_000)
        return done

    assert run(20, 1.0) == 1000
    assert run(60, 0.0) == 60 * 50
    assert run(60, 1.0) > 60 * 50
    assert 60 * 50 < run(60, 0.5) < run(60, 1.0)
    assert run(45, 0.0) < run(45, 1.0, holds=1) < run(45, 1.0)
    assert run(60, 1.0, holds=99) == 60 * 50


def test_a_late_phase_catches_up_to_its_date() -> None:
    """Half the time is lost: the rest of the curve is run through twice as fast, and ends on the second."""
    phase = phase_of(pacing.linear(100 * HOUR_S), by=START + 100 * HOUR_S)
    active_s, now = 0, START + 50 * HOUR_S
    while now < START + 100 * HOUR_S:
        later = pacing.advance(phase, ALWAYS, active_s, now, 300)
        assert later - active_s in range(600, 602)
        active_s, now = later, now + 300
    assert active_s >= phase.curve.length_s
    assert pacing.advance(phase, ALWAYS, 0, START, HOUR_S) == HOUR_S


def test_a_hopeless_phase_does_not_burst() -> None:
    """Past its date, time runs MAX_SPEED_UP times as fast, not at once to the end."""
    phase = phase_of(pacing.linear(100 * HOUR_S), by=START + 100 * HOUR_S)
    late = START + 99 * HOUR_S
    assert pacing.advance(phase, ALWAYS, 0, late, 300) == 300 * pacing.MAX_SPEED_UP
    assert pacing.step_limit(phase) == 100 * pacing.MAX_SPEED_UP
