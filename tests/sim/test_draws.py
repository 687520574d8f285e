"""Random draws depend on seed, replication and device, and on nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_builders import make_fleet

from rollout.errors import UsageError
from sim.clients import draws as d
from sim.clients.draws import CLASSES, draw, draw_all, make_draws, traits_like, traits_of
from sim.model import Model

MODEL = Model.model_validate({"clients": {"window": "24h"}})
WINTER = 1_767_596_400
SUMMER = 1_783_000_000


def test_equal_seeds_give_equal_draws_and_others_differ() -> None:
    """Seed and replication fix the keys."""
    traits = traits_like(100, MODEL)
    first, same = (make_draws(MODEL, traits, 7, 3, WINTER) for _ in range(2))
    other = make_draws(MODEL, traits, 7, 4, WINTER)
    assert np.array_equal(first.keys, same.keys)
    assert np.array_equal(first.offset, same.offset)
    assert not np.array_equal(first.keys, other.keys)
    assert len(np.unique(first.keys)) == 100


def test_a_larger_fleet_leaves_the_first_devices_alone() -> None:
    """Devices added at the end do not change the draws of the others."""
    few = make_draws(MODEL, traits_like(50, MODEL), 1, 0, WINTER)
    many = make_draws(MODEL, traits_like(500, MODEL), 1, 0, WINTER)
    for name in ("keys", "presence", "offset"):
        assert np.array_equal(getattr(few, name), getattr(many, name)[:50])


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**23))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_the_three_forms_of_the_hash_agree(key: int, slot: int) -> None:
    """Plain Python, numpy and numba draw the same bits."""
    rows = pytest.importorskip("sim.engines.fast.rows")
    expected = draw(key, slot)
    assert int(draw_all(np.array([key], dtype=np.uint64), slot)[0]) == expected
    assert int(rows.draw(np.uint64(key), slot)) == expected


def test_draws_are_uniform_and_independent_across_slots() -> None:
    """Each 16-bit part of neighbouring slots is uniform, and no two are correlated."""
    keys = make_draws(MODEL, traits_like(20_000, MODEL), 5, 0, WINTER).keys
    parts = [
        (draw_all(keys, slot) >> np.uint64(shift)) & np.uint64(0xFFFF)
        for slot in (d.SLOT_TIMER, d.SLOT_DAY, d.SLOT_DAY + 1, d.SLOT_ATTEMPT)
        for shift in (0, 16, 32, 48)
    ]
    table = np.array(parts, dtype=float) / 65536
    assert abs(table.mean(axis=1) - 0.5).max() < 0.01
    correlation = np.corrcoef(table) - np.eye(len(table))
    assert abs(correlation).max() < 0.035


def test_unknown_classes_are_drawn_by_the_mix() -> None:
    """Shares of classes follow [model.presence] mix."""
    presence = make_draws(MODEL, traits_like(50_000, MODEL), 2, 0, WINTER).presence
    shares = np.bincount(presence, minlength=len(CLASSES)) / 50_000
    assert shares == pytest.approx(MODEL.presence.mix, abs=0.01)


def test_known_classes_and_zones_are_kept() -> None:
    """A class or zone that the inventory knows is not drawn; the offset is that of the zone at the start."""
    fleet = make_fleet(3, zone=["Europe/Berlin", "Asia/Kolkata", ""], presence=["office", "rarely-on", ""])
    traits = traits_of(fleet, MODEL)
    winter, summer = (make_draws(MODEL, traits, 1, 0, at) for at in (WINTER, SUMMER))
    assert winter.offset[:2].tolist() == [3600, 19800]
    assert summer.offset[:2].tolist() == [7200, 19800]
    assert winter.presence[:2].tolist() == [1, 3]


def test_unknown_zones_follow_the_world_wide_mix() -> None:
    """The mean offset of drawn zones is that of the source, to some minutes."""
    offset = make_draws(MODEL, traits_like(50_000, MODEL), 2, 0, WINTER).offset
    source = np.loadtxt("sim/clients/data/developer_weight_by_utc_offset.csv", delimiter=",", skiprows=1)
    expected = (source[:, 0] * source[:, 1]).sum() / source[:, 1].sum()
    assert offset.mean() / 3600 == pytest.approx(expected, abs=0.08)


def test_a_failure_override_names_its_devices() -> None:
    """Only devices of the level have the override's rate and code."""
    model = Model.model_validate(
        {"clients": {"window": "24h", "failure": {"column": "model", "level": "X7", "rate": 0.2, "code": 5}}}
    )
    traits = traits_of(make_fleet(3, model=["X7", "X8", "X7"]), model)
    assert traits.fault.tolist() == pytest.approx([0.2, 0.008, 0.2])
    assert traits.fault_code.tolist() == [5, 0, 5]


@pytest.mark.parametrize(
    ("columns", "names"),
    [({"zone": ["Mars/Base"]}, "IANA zone"), ({"presence": ["sometimes"]}, "always-on")],
)
def test_an_unknown_level_is_a_usage_error(columns: dict[str, list[str]], names: str) -> None:
    """The error names the wrong zone or class and what was expected."""
    with pytest.raises(UsageError, match=names):
        make_draws(MODEL, traits_of(make_fleet(1, **columns), MODEL), 1, 0, WINTER)


def test_an_override_of_an_unknown_column_is_a_usage_error() -> None:
    """A failure override must name a column of the fleet."""
    override = {"column": "colour", "level": "red", "rate": 1.0}
    model = Model.model_validate({"clients": {"window": "24h", "failure": override}})
    with pytest.raises(UsageError, match="colour"):
        traits_of(make_fleet(1), model)
