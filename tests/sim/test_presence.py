"""Presence: the rule, its sources, and the agreement of its two implementations."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.values import DAY_S, HOUR_S
from sim.clients.compiling import spec_of
from sim.clients.draws import CLASSES, SLOT_HABIT, draw, make_draws, traits_like
from sim.clients.presence import DAY_BEGINS, Intervals, at_work, intervals_of, peak
from sim.clients.presence_comparison import PresenceComparison
from sim.clients.spec import DAYS_BEFORE, NEVER, Spec
from sim.engines.engine import FAST
from sim.model import Model

START = 1_767_571_200  # a Monday, 00:00 UTC
MODEL = Model.model_validate({"clients": {"window": "24h"}, "horizon": "28d"})


def spec(model: Model = MODEL) -> Spec:
    """Return a compiled model from START on."""
    traits = traits_like(1, model)
    return spec_of(model, traits, make_draws(model, traits, 1, 0, START), START, DAY_S)


SPEC = spec()


@pytest.mark.skipif(not FAST, reason="numba is not installed")
@given(
    key=st.integers(0, 2**64 - 1),
    presence=st.integers(0, 3),
    quarter=st.integers(-44, 52),
    seconds=st.lists(st.integers(0, 28 * DAY_S), min_size=20, max_size=20),
)
@settings(max_examples=300, derandomize=True, deadline=None)
def test_the_lazy_rule_agrees_with_the_written_out_one(
    key: int, presence: int, quarter: int, seconds: list[int]
) -> None:
    """For any second and device, `sim.engines.fast.spans` and `intervals_of` agree on the state and its end."""
    from sim.clients.spec import HABIT
    from sim.engines.fast.rows import NEEDS_USER, ROW, TURNS_OFF, rules_of
    from sim.engines.fast.spans import states

    rows = np.zeros(2, dtype=ROW)
    habit = draw(key, SLOT_HABIT)
    rows["key"], rows["presence"], rows["habit"] = key, presence, habit >> 32
    rows["offset"] = quarter * 900 - DAY_BEGINS
    off = TURNS_OFF if habit & 0xFFFF < SPEC.numbers[HABIT + presence] else 0
    rows["flags"] = off, off | NEEDS_USER
    inside = np.zeros((2, len(seconds)), dtype=np.bool_)
    ends, ready = np.zeros((2, 2, len(seconds)), dtype=np.int64)
    states(rows, np.array(seconds), rules_of(SPEC).book, inside, ends, ready)
    on, user = intervals_of(SPEC, key, presence, quarter * 900)
    for place, second in enumerate(seconds):
        expected, changes = on.at(second)
        assert (bool(inside[0, place]), finite(ends[0, place])) == (expected, finite(changes))
        present, changes = user.at(second)
        assert finite(ready[1, place]) == finite(second if present else changes)


def finite(second: int) -> int:
    """Return a second; all seconds beyond every horizon give the same result."""
    return min(int(second), NEVER // 2)


@given(key=st.integers(0, 2**64 - 1), presence=st.integers(0, 3))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_a_user_is_present_only_while_the_device_is_on(key: int, presence: int) -> None:
    """User intervals are disjoint, in order, and lie within the device's intervals."""
    on, user = intervals_of(SPEC, key, presence, 0)
    for life in (on, user):
        flat = [edge for pair in zip(life.begins, life.ends, strict=True) for edge in pair]
        assert flat == sorted(set(flat))
    for begin, end in zip(user.begins, user.ends, strict=True):
        inside, ends = on.at(begin)
        assert inside
        assert ends >= end


def test_intervals_are_half_open() -> None:
    """A device is on at its first second and off at the end."""
    interval = Intervals()
    interval.add(10, 20)
    assert [interval.at(second) for second in (9, 10, 19, 20)] == [
        (False, 10),
        (True, 20),
        (True, 20),
        (False, NEVER),
    ]


def test_the_source_is_read_whole() -> None:
    """Spot values of the American Time Use Survey file: 10:00 on a weekday, the mean of both strata."""
    assert at_work("weekday")[10] == pytest.approx((67.539 + 72.102) / 200)
    assert peak("weekend") == pytest.approx((19.092 + 10.245) / 200)
    for behaviour in (MODEL.presence.office, MODEL.presence.laptop):
        assert behaviour.weekday == pytest.approx(peak("weekday"), abs=0.001)
        assert behaviour.weekend == pytest.approx(peak("weekend"), abs=0.001)


def test_the_model_follows_its_sources() -> None:
    """Users present within 3 points RMS of ATUS; desktops' up and down times within a factor of 2.5 of the trace."""
    comparison = PresenceComparison.of(MODEL, devices=300)
    assert comparison.rms_present < 0.03
    assert comparison.rms_up < 0.4
    assert comparison.rms_down < 0.25
    assert comparison.availability[0] == pytest.approx(comparison.availability[1], abs=0.12)
    by_class = comparison.online.mean(axis=1)
    assert by_class[0] > by_class[1] > by_class[2] > by_class[3]


def test_the_badge_week_makes_fridays_quiet() -> None:
    """Office machines are used far less on Fridays than on Tuesdays; laptops are not."""
    online = PresenceComparison.of(MODEL, devices=300).online
    noon = online.reshape(len(CLASSES), 7, 24)[:, :, 11]
    office, laptop = noon[1], noon[2]
    assert office[4] < office[1] - 0.08
    assert laptop[4] == pytest.approx(laptop[1], abs=0.06)


def test_a_holiday_is_used_like_a_weekend() -> None:
    """On a holiday a Tuesday has the weekend's share of used devices."""
    model = Model.model_validate(
        {"clients": {"window": "24h"}, "horizon": "28d", "presence": {"holidays": ["2026-01-13"]}}
    )
    noon = 8 * DAY_S + 11 * HOUR_S
    keys = make_draws(model, traits_like(600, model), 1, 0, START).keys.tolist()

    def present(compiled: Spec) -> float:
        return sum(intervals_of(compiled, key, 2, 0)[1].at(noon)[0] for key in keys) / len(keys)

    assert present(spec()) > 0.5
    assert present(spec(model)) < 0.2


def test_a_wholly_used_class_is_always_on() -> None:
    """weekday = weekend = 1, never turned off, no breaks: on from the first day, forever."""
    always = {"weekday": 1.0, "weekend": 1.0, "turned_off": 0.0, "pause": 0.0}
    model = Model.model_validate(
        {"clients": {"window": 0}, "presence": {"always_on": always}, "horizon": "28d"}
    )
    for key in range(50):
        on, _ = intervals_of(spec(model), draw(key, 0), 0, 0)
        assert on.ends == [NEVER]
        assert on.begins[0] < -(DAYS_BEFORE - 1) * DAY_S + DAY_BEGINS


def test_the_picture_shows_model_and_source() -> None:
    """Two axes: the week with six curves, the quantiles with both sources."""
    pytest.importorskip("matplotlib").use("Agg")
    week, lengths = PresenceComparison.of(MODEL, devices=40, weeks=3).plot()
    assert len(week.lines) == 6
    assert "percentage points" in week.get_title()
    assert lengths.get_yscale() == "log"
    import matplotlib.pyplot as plt

    plt.close("all")
