"""Small strata early: a few devices of each model and site in the pilot and in a first ring."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_builders import make_inventory, plan_of

from rollout.errors import UsageError
from rollout.planning.strata_early import Column, choose
from rollout.values import Inventory, Plan

PHASES: list[dict[str, Any]] = [
    {"name": "pilot", "devices": 500},
    {"name": "ring", "devices": 2500},
    {"name": "all"},
]


def fleet(n: int = 100_000) -> Inventory:
    """A fleet of 30 models and 25 sites; the model 'rare' has 1 %, 'rarer' 0.1 %, the last ones 5 devices each."""
    rng = np.random.default_rng(7)
    weights = 1 / np.arange(1, 26)
    models = rng.choice([f"M{number:02}" for number in range(25)], n, p=weights / weights.sum())
    sites = rng.choice([f"S{number:02}" for number in range(25)], n, p=weights / weights.sum())
    names = models.astype(object)
    places = rng.permutation(n)
    names[places[: n // 100]] = "rare"
    names[places[n // 100 : n // 100 + n // 1000]] = "rarer"
    for number in range(3):
        names[places[-5 * number - 5 : n - 5 * number]] = f"few{number}"
    return make_inventory(n, model=names.tolist(), site=sites.tolist())


@pytest.fixture(scope="module")
def large() -> Inventory:
    return fleet()


def counts(inventory: Inventory, plan: Plan, phase: int, column: str = "model") -> dict[str, int]:
    factor = inventory.fleet.factors[column]
    found = np.bincount(factor.codes[plan.phases[phase].order], minlength=len(factor.levels))
    return dict(zip(factor.levels, found.tolist(), strict=True))


def test_a_model_of_one_percent_has_30_devices_in_a_first_ring(large: Inventory) -> None:
    """Its share of 2,500 would be 25; every model and site has 3 in the pilot and 30 in the ring, or all it has."""
    for salt in ("a", "b", "c", "d"):
        plan = plan_of(large, phases=PHASES, salt=salt)
        for column in ("model", "site"):
            assert min(counts(large, plan, 0, column).values()) >= 3
        ring = counts(large, plan, 1)
        assert ring["rare"] >= 30
        assert ring["rarer"] >= 30
        assert [ring[f"few{number}"] for number in range(3)] == [2, 2, 2]  # all that the pilot left
        assert min(counts(large, plan, 1, "site").values()) >= 30
        assert [len(phase) for phase in plan.phases] == [500, 2500, 97_000, 0]


def test_what_it_costs_is_said(large: Inventory) -> None:
    """In a note of the plan, and where a device is explained."""
    plan = plan_of(large, phases=PHASES)
    off = plan_of(large, phases=PHASES, strata_early={"pilot": 0, "ring": 0})
    exchanged = len(set(plan.phases[0].order.tolist()) - set(off.phases[0].order.tolist()))
    (line,) = [line for line in plan.warnings if line.startswith("note: phase 'pilot'")]
    assert line == (
        f"note: phase 'pilot': {exchanged} of 500 devices ({exchanged / 500:.1%}) were chosen by stratum, the others "
        "represent the fleet: each of 30 values of 'model' has 3 or all that there are; each of 25 values of 'site' "
        "has 3 or all that there are"
    )
    assert 0 < exchanged < 50
    assert not [line for line in off.warnings if "by stratum" in line]
    # The other devices are the ones of the representative order.
    assert len(set(plan.phases[0].order.tolist()) & set(off.phases[0].order.tolist())) == 500 - exchanged


def test_it_is_deterministic_and_off_means_the_order_alone(large: Inventory) -> None:
    """Equal arguments give an equal digest; without exchange the phases are as they were."""
    assert plan_of(large, phases=PHASES).digest == plan_of(large, phases=PHASES).digest
    even = make_inventory(1000, model=["A", "B"] * 500, site=["X", "Y", "Z", "X"] * 250)
    off = {"pilot": 0, "ring": 0}
    some = [{"name": "pilot", "devices": 100}, {"name": "all"}]
    assert (
        plan_of(even, phases=some).phases[0].order.tolist()
        == plan_of(even, phases=some, strata_early=off).phases[0].order.tolist()
    )


def test_the_pilot_stays_representative(large: Inventory) -> None:
    """Of each large model it has its share but for what was exchanged, and its first batch is mixed."""
    plan = plan_of(large, phases=PHASES)
    whole = np.bincount(large.fleet.factors["model"].codes) / len(large.fleet)
    names = large.fleet.factors["model"].levels
    pilot = counts(large, plan, 0)
    for name, share in zip(names, whole.tolist(), strict=True):
        if share > 0.01:
            assert abs(pilot[name] - 500 * share) < 0.15 * 500 * share + 4
    first = large.fleet.factors["model"].codes[plan.phases[0].order[:50]]
    assert len(np.unique(first)) > 10


def test_within_a_cell_the_salt_decides(large: Inventory) -> None:
    """Of a (site, model) cell the devices in the pilot are the first of its order: no choice but the draw."""
    off = plan_of(large, phases=[{"name": "all"}], strata_early={"pilot": 0})
    plan = plan_of(large, phases=PHASES)
    cell = large.fleet.factors["site"].codes * 1000 + large.fleet.factors["model"].codes
    first: dict[int, list[int]] = {}
    for row in off.phases[0].order.tolist():
        first.setdefault(int(cell[row]), []).append(row)
    mine: dict[int, list[int]] = {}
    for row in plan.phases[0].order.tolist():
        mine.setdefault(int(cell[row]), []).append(row)
    assert all(rows == first[code][: len(rows)] for code, rows in mine.items())


def test_at_most_half_of_a_pilot_is_chosen_and_the_rest_is_said() -> None:
    """40 sites do not fit three times into a pilot of 40: each has one, or the largest have."""
    inventory = make_inventory(4000, site=[f"S{number % 40:02}" for number in range(4000)], model="M")
    for size in (20, 40, 60):
        plan = plan_of(inventory, phases=[{"name": "pilot", "devices": size}, {"name": "all"}])
        off = plan_of(
            inventory, phases=[{"name": "pilot", "devices": size}, {"name": "all"}], strata_early={"pilot": 0}
        )
        fresh = set(plan.phases[0].order.tolist()) - set(off.phases[0].order.tolist())
        assert len(fresh) <= size // 2
        assert len(plan.phases[0]) == size
        assert any(f"No more fit: at most {size // 2} are chosen so" in line for line in plan.warnings)


def test_a_chosen_column_and_figure() -> None:
    """The columns can be the customer's own; an unknown one is refused in a line."""
    departments = ["Sales"] * 980 + ["Law"] * 20
    inventory = make_inventory(1000, department=departments, model="M", site="S")
    phases = [{"name": "pilot", "devices": 50}, {"name": "all"}]
    plan = plan_of(inventory, phases=phases, strata_early={"columns": ["department"], "pilot": 15})
    assert counts(inventory, plan, 0, "department") == {"Law": 15, "Sales": 35}
    with pytest.raises(UsageError, match=r"rollout.strata_early.columns'.*found 'departmen'"):
        plan_of(inventory, phases=phases, strata_early={"columns": ["departmen"]})


def test_a_phase_with_a_filter_has_its_own_strata() -> None:
    """Only the models of the devices that match count."""
    inventory = make_inventory(
        1000, site=["A", "B"] * 500, model=["M"] * 900 + ["N", "O"] * 50, manufacturer="X"
    )
    phases = [{"name": "pilot", "where": {"site": "A"}, "devices": 20}, {"name": "all"}]
    plan = plan_of(inventory, phases=phases)
    assert counts(inventory, plan, 0)["N"] >= 3
    assert counts(inventory, plan, 0)["O"] == 0  # all of them are at the other site


@settings(derandomize=True, max_examples=150, deadline=None)
@given(
    n=st.integers(2, 120),
    share=st.floats(0, 1),
    least=st.integers(1, 12),
    strata=st.tuples(st.integers(1, 15), st.integers(1, 40)),
    seed=st.integers(0, 2**32),
)
def test_what_is_reached_is_true(
    n: int, share: float, least: int, strata: tuple[int, int], seed: int
) -> None:
    """The size is kept, at most half is exchanged, and each stratum has what the note says."""
    size = max(1, min(n - 1, round(share * n)))
    rng = np.random.default_rng(seed)
    columns = [
        Column(name, (rng.integers(0, k, n) * rng.integers(0, 2, n)).astype(np.int32))
        for name, k in zip(("model", "site"), strata, strict=True)
    ]
    chosen = choose(columns, n, size, least)
    assert len(chosen.places) == len(set(chosen.places.tolist())) == size
    assert chosen.exchanged == int((chosen.places >= size).sum()) <= size // 2
    asked = min(least, size)
    for column, (name, present, reached, lacking) in zip(columns, chosen.reached, strict=True):
        available = np.bincount(column.codes)
        have = np.bincount(column.codes[chosen.places], minlength=len(available))
        assert (name, present) == (column.name, int((available > 0).sum()))
        assert (have >= np.minimum(available, reached)).all()
        before = np.bincount(column.codes[:size], minlength=len(available))
        if reached == asked:
            assert (have >= np.minimum(available, asked)).all()
        else:  # the first column never loses a stratum that had a device
            assert (have[before > 0] > 0).all() or name == "site"
        assert lacking == int((have < np.minimum(available, asked)).sum())
