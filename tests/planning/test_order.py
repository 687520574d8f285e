"""The order: repeatable by an auditor, fair to every device, and mirroring the fleet in every prefix."""

from __future__ import annotations

import collections
import hashlib
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.planning.order import MAX_COLUMNS, draw_order
from rollout.values import IntArray, texts

SALTS = [f"salt {number}" for number in range(200)]
PREFIX = 200


def ids_of(n: int) -> list[str]:
    return [f"device-{number:05d}" for number in range(n)]


def audited(salt: str, column: dict[str, tuple[str, ...]]) -> list[str]:
    """The recipe of the module's docstring, as an auditor would type it."""
    place, numbers = {}, {}
    for device in column:
        digest = hashlib.blake2b(f"{salt}\n{device}".encode()).digest()
        numbers[device] = struct.unpack(">8Q", digest)
        place[device] = numbers[device][0] / 2**64
    for depth in range(len(next(iter(column.values()), ())), 0, -1):
        groups = collections.defaultdict(list)
        for device in sorted(column, key=lambda device: (place[device], device)):
            groups[column[device][:depth]].append(device)
        for group in groups.values():
            for rank, device in enumerate(group):
                place[device] = (rank + (numbers[device][depth] >> 11) / 2**53) / len(group)
    return sorted(column, key=lambda device: (place[device], device))


def by_hand(salt: str, ids: list[str], columns: list[IntArray]) -> list[str]:
    """A third way: for each stratum by itself, with exact fractions, and no array in sight."""
    from fractions import Fraction

    def number(text: str, which: int) -> int:
        digest = hashlib.blake2b(salt.encode() + b"\n" + text.encode()).hexdigest()
        return int(digest[16 * which : 16 * which + 16], 16)

    place = {item: Fraction(number(item, 0), 2**64) for item in ids}
    for depth in reversed(range(1, len(columns) + 1)):
        stratum = {
            item: tuple(int(column[row]) for column in columns[:depth]) for row, item in enumerate(ids)
        }
        fresh = {}
        for item in ids:
            mine = [other for other in ids if stratum[other] == stratum[item]]
            rank = sum((place[other], other) < (place[item], item) for other in mine)
            fresh[item] = (rank + Fraction(number(item, depth) // 2048, 2**53)) / len(mine)
        place = fresh
    return sorted(ids, key=lambda item: (place[item], item))


@settings(derandomize=True, max_examples=60, deadline=None)
@given(st.integers(0, 40), st.integers(0, 3), st.text(max_size=10), st.integers(0, 2**32))
def test_two_independent_recipes_give_the_same_order(n: int, depth: int, salt: str, seed: int) -> None:
    """The documented recipe and one by exact fractions agree with the arrays, device by device."""
    rng = np.random.default_rng(seed)
    ids = [f"ö{number}" if number % 3 else f"id{number}" for number in range(n)]
    columns = [rng.integers(0, 4, n).astype(np.int32) for _ in range(depth)]
    drawn = [ids[row] for row in draw_order(texts(ids), salt, columns)]
    strata = {item: tuple(str(column[row]) for column in columns) for row, item in enumerate(ids)}
    assert drawn == audited(salt, strata)
    assert drawn == by_hand(salt, ids, columns)


def test_the_recipe_is_the_one_in_the_docstring() -> None:
    """What an auditor reads is what is tested here."""
    import inspect

    from rollout.planning import order

    written = inspect.getsource(audited).split('"""')[2].strip().splitlines()
    documented = (order.__doc__ or "").split("::\n")[1].splitlines()
    lines = {line.split("#")[0].strip() for line in documented}
    assert all(line.strip() in lines for line in written)


def test_an_auditor_repeats_the_phases_of_a_plan() -> None:
    """From salt, ids and columns alone: the pilot is the first of Berlin's, the rest is drawn among those left."""
    from plan_builders import make_inventory, plan_of

    inventory = make_inventory(400, site=["Berlin", "Bonn"] * 200, model=["A", "B", "C", "D", "E"] * 80)
    phases = [{"name": "pilot", "where": {"site": "Berlin"}, "devices": 30}, {"name": "all"}]
    plan = plan_of(inventory, phases=phases, salt="public")
    fleet = inventory.fleet
    column = {
        item: (fleet.factors["site"][row], fleet.factors["model"][row])
        for row, item in enumerate(plan.ids.tolist())
    }
    pilot = audited("public", {key: value for key, value in column.items() if value[0] == "Berlin"})[:30]
    assert plan.ids[plan.phases[0].order].tolist() == pilot
    rest = audited("public", {key: value for key, value in column.items() if key not in pilot})
    assert plan.ids[plan.phases[1].order].tolist() == rest


def test_order_does_not_depend_on_the_order_of_the_rows() -> None:
    """The same devices in another file order go in the same order."""
    rng = np.random.default_rng(4)
    ids, codes = ids_of(500), rng.integers(0, 9, 500).astype(np.int32)
    shuffle = rng.permutation(500)
    first = [ids[row] for row in draw_order(texts(ids), "s", codes)]
    second = [
        ids[shuffle[row]] for row in draw_order(texts([ids[row] for row in shuffle]), "s", codes[shuffle])
    ]
    assert first == second


def test_another_salt_puts_others_first() -> None:
    """The first 100 of 10,000 under two salts have about one device in common."""
    ids, codes = texts(ids_of(10_000)), np.zeros(10_000, dtype=np.int32)
    first = set(draw_order(ids, "a", codes)[:100].tolist())
    assert len(first & set(draw_order(ids, "b", codes)[:100].tolist())) < 10


def test_every_device_has_the_same_chance_to_go_first() -> None:
    """Over 2,000 salts, devices of large strata and of strata of one are in the first tenth equally often."""
    codes = np.array([0] * 60 + [1] * 30 + list(range(2, 12)), dtype=np.int32)
    ids = texts(ids_of(100))
    hits = np.zeros(100)
    for number in range(2000):
        hits[draw_order(ids, f"s{number}", codes)[:10]] += 1
    assert abs(hits.sum() - 20_000) < 1e-9
    assert np.abs(hits - 200).max() < 5 * np.sqrt(200 * 0.9)  # five standard deviations


def test_a_stratum_is_spread_evenly() -> None:
    """A prefix of any length holds of each stratum its share, within one device and what the prefix itself lacks."""
    rng = np.random.default_rng(11)
    codes = rng.choice(8, 4000, p=[0.5, 0.2, 0.1, 0.1, 0.05, 0.03, 0.015, 0.005]).astype(np.int32)
    order = draw_order(texts(ids_of(4000)), "s", codes)
    for stratum in range(8):
        mine = codes[order] == stratum
        error = np.cumsum(mine) - mine.sum() * np.arange(1, 4001) / 4000
        assert np.abs(error).max() < 2.5


def fleet_columns() -> list[IntArray]:
    """5,000 devices: sites of very different size, models, and a few strata of one device."""
    rng = np.random.default_rng(3)
    weights = 1 / np.arange(1, 21)
    site = rng.choice(20, 5000, p=weights / weights.sum())
    model = rng.choice(6, 5000, p=[0.4, 0.25, 0.2, 0.1, 0.04, 0.01])
    site[:5] = np.arange(20, 25)  # five sites of one device each
    model[5:8] = np.arange(6, 9)
    return [site.astype(np.int32), model.astype(np.int32)]


def worst_errors(prefix: IntArray, columns: list[IntArray]) -> tuple[float, float, float]:
    """Largest difference between found and due devices: over sites, over models, over (site, model)."""
    joint = columns[0] * 100 + columns[1]
    out = []
    for codes in (*columns, joint):
        due = np.bincount(codes) * PREFIX / len(codes)
        found = np.bincount(codes[prefix], minlength=len(due))
        out.append(float(np.abs(found - due).max()))
    return out[0], out[1], out[2]


def test_prefixes_mirror_the_fleet_better_than_chance() -> None:
    """Over 200 salts, a prefix of 200 has a smaller worst error than a simple random sample, strata of one included."""
    columns = fleet_columns()
    ids = texts(ids_of(5000))
    ours = np.array([worst_errors(draw_order(ids, salt, columns)[:PREFIX], columns) for salt in SALTS])
    rng = np.random.default_rng(5)
    simple = np.array([worst_errors(rng.permutation(5000)[:PREFIX].astype(np.int32), columns) for _ in SALTS])
    for level, name in enumerate(("site", "model", "site and model")):
        assert ours[:, level].mean() < 0.75 * simple[:, level].mean(), name
        assert ours[:, level].max() < simple[:, level].max(), name
    assert ours[:, 0].max() < 2.5  # of a site never more than two devices too many or too few


def test_rank_alone_would_put_strata_of_one_at_the_front() -> None:
    """The fault that the jitter is there for: our strata of one stand anywhere."""
    columns = fleet_columns()
    ids = texts(ids_of(5000))
    places = [int(np.flatnonzero(draw_order(ids, salt, columns) == 0)[0]) for salt in SALTS]
    assert 0.3 < np.mean(places) / 5000 < 0.7
    assert sum(place < PREFIX for place in places) < 30  # 8 are due


def test_too_many_columns_are_a_mistake() -> None:
    """A digest has jitter for seven."""
    columns = [np.zeros(1, dtype=np.int32)] * (MAX_COLUMNS + 1)
    with pytest.raises(ValueError, match="at most 7 columns"):
        draw_order(texts(["a"]), "s", columns)
