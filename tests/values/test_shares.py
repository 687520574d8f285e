"""Shares and percentages are those that people wrote: compared with fractions, at every size that matters."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from plan_builders import make_inventory, plan_of

from rollout.errors import UsageError
from rollout.gates.rules.threshold import trips
from rollout.pacing import equal_groups, released_by, spread
from rollout.pacing.modes.batches import batch_counts
from rollout.planning.schedule import nominal_batches
from rollout.policy import load_policy
from rollout.values import WHOLE, ThresholdGate, ceil_of, part_of, parts_of_percent, parts_of_share, share_of

SIZES = (1, 7, 150, 250, 375, 750, 1_500, 3_000, 99_999, 100_000)
TENTHS = range(1, 1001)


def test_every_percentage_with_one_decimal_is_exact() -> None:
    """A share of a size is the exact product, rounded up; a threshold trips exactly at it."""
    sizes = np.array(SIZES, dtype=np.int64)
    for tenth in TENTHS:
        percent, exact = tenth / 10, Fraction(tenth, 1000)
        needed = np.array([ceil(exact * size) for size in SIZES], dtype=np.int64)
        assert [part_of(size, parts_of_percent(percent)) for size in SIZES] == needed.tolist()
        rule = ThresholdGate(percent, count=0, min_executed=0)
        assert trips(rule, needed, sizes).all()
        assert not trips(rule, needed - 1, sizes).any()


@pytest.mark.parametrize(
    ("percent", "failed", "executed"),
    [(1.1, 33, 3_000), (2.2, 33, 1_500), (4.4, 33, 750), (8.8, 33, 375), (64.4, 161, 250)],
)
def test_a_threshold_trips_at_its_percentage(percent: float, failed: int, executed: int) -> None:
    """These match the percentage exactly; in binary floating point none of them tripped."""
    rule = ThresholdGate(percent, count=0, min_executed=0)
    assert trips(rule, failed, executed)
    assert not trips(rule, failed - 1, executed)


def test_shares_as_fine_as_people_write_them() -> None:
    assert parts_of_share(0.3) == 300_000_000
    assert part_of(100_000, parts_of_percent(8.3)) == 8_300
    assert ceil_of(100_000, 0.07) == 7_000
    assert ceil_of(3, 1 / 3) == 1
    assert [share_of(percent / 10) for percent in TENTHS] == [tenth / 1000 for tenth in TENTHS]
    assert share_of(0.123456789) == 0.00123456789
    with pytest.raises(ValueError, match="at most seven decimals"):
        parts_of_percent(0.12345678)
    with pytest.raises(ValueError, match="from 0 to 1"):
        parts_of_share(1.5)


@pytest.mark.parametrize(("percent", "first"), [(1.1, 1_100), (8.3, 8_300)])
def test_a_rate_releases_its_share(percent: float, first: int) -> None:
    """Of 100,000 devices, in each step."""
    pacing = {"mode": "rate", "percent": percent, "every": "1d"}
    plan = plan_of(make_inventory(100_000), phases=[{"name": "all", "pacing": pacing}])
    assert plan.planned == 100_000
    assert nominal_batches(plan)[0][2] == first


def test_rings_are_shares_of_the_plan() -> None:
    """10, 30 and 60 percent cover all devices; taken of the rest each time they leave a quarter, which is reported."""
    rings = [{"name": f"ring {percent}", "percent": percent} for percent in (10, 30, 60)]
    plan = plan_of(make_inventory(1_000), phases=rings)
    assert [len(phase) for phase in plan.phases] == [100, 300, 600, 0]
    left = plan_of(make_inventory(1_000), phases=[{**ring, "percent_of": "remaining"} for ring in rings])
    assert [len(phase) for phase in left.phases] == [100, 270, 378, 0]
    assert "252 of 1,000 devices are in no phase and stay as they are" in left.warnings


@pytest.mark.parametrize(("devices", "batches", "days"), [(3, 5, [0, 1, 2]), (1, 4, [0])])
def test_fewer_devices_than_batches_go_in_the_first_ones(devices: int, batches: int, days: list[int]) -> None:
    pacing = {"mode": "batches", "batches": batches, "every": "1d"}
    plan = plan_of(make_inventory(devices), phases=[{"name": "all", "pacing": pacing}])
    assert [(at - plan.start) / 86_400 for at, _, _ in nominal_batches(plan)] == days


def test_more_than_everything_is_refused() -> None:
    """Batches of 200 % and phases of 110 % of the same devices; not of different ones."""

    def refusal(*phases: dict[str, object]) -> str:
        with pytest.raises(UsageError) as found:
            load_policy({"name": "x", "phases": list(phases)}, "x.toml")
        return found.value.message

    batches = {"mode": "batches", "batches": ["50%", "55%", "95%"]}
    assert "add up to at most 100% (these are 200%)" in refusal({"name": "a", "pacing": batches})
    assert "at most 100 (these are 110)" in refusal(
        {"name": "a", "percent": 50}, {"name": "b", "percent": 60}
    )
    same = [["a", "b"], ["B", "A", "a"]]
    ordered = [{"name": str(n), "percent": 60, "where": {"site": sites}} for n, sites in enumerate(same)]
    assert "at most 100 (these are 120)" in refusal(*ordered)
    assert "'percent' together with 'percent_of'" in refusal({"name": "a", "percent_of": "remaining"})
    sites = [{"name": site, "percent": 60, "where": {"site": site}} for site in ("a", "b")]
    assert load_policy({"name": "x", "phases": sites}, "x.toml")


def test_a_phase_that_gets_less_than_its_share_is_named() -> None:
    """60 % of all, then 60 % of a site: the first phase takes devices of the second; a rounding difference is fine."""
    inventory = make_inventory(1_000, site=["Berlin"] * 301 + ["Hamburg"] * 699)
    phases = [{"name": "all", "percent": 60}, {"name": "site", "percent": 60, "where": {"site": "Berlin"}}]
    plan = plan_of(inventory, phases=phases)
    (line,) = [warning for warning in plan.warnings if "earlier phases take" in warning]
    assert line == (
        f"phase 'site' has {len(plan.phases[1])} instead of 181 devices (60 % of 301): earlier phases take the others"
    )
    assert 100 < len(plan.phases[1]) < 140
    thirds = [{"name": str(n), "percent": share} for n, share in enumerate((33.3, 33.3, 33.4))]
    plan = plan_of(make_inventory(1_001), phases=thirds)
    assert [len(phase) for phase in plan.phases] == [334, 334, 333, 0]
    assert not [warning for warning in plan.warnings if "earlier phases take" in warning]


def test_few_devices_go_in_the_first_batches() -> None:
    """3 devices in 5 batches, 1 device in 4: the first immediately, empty batches last."""
    curve = equal_groups(3, 86_400)
    assert [released_by(curve, day * 86_400, 3) for day in range(5)] == [1, 2, 3, 3, 3]
    alone = spread(3 * 86_400, 86_400, 1)
    assert released_by(alone, 0, 1) == 1
    assert batch_counts(["50%", "rest"], 1) == [1]
    assert WHOLE == 1_000_000_000
