"""Scenarios that once were planned without a word and released everybody: which must be planned, which refused."""

from __future__ import annotations

import pytest

from rollout.errors import RefusedError, UsageError
from rollout.values import Plan
from sim.planning import plan_scenario
from sim.scenario import parse_scenario

FLEET = """
[fleet]
clients = 2_000
[model.clients]
window = "24h"
failures = [{ code = 0x80180014, rate = 1.0, permanent = true }]
"""
PHASES = """
[[rollout.phases]]
name = "pilot"
devices = {devices}
{more}
soak = "2d"
[[rollout.phases]]
name = "all"
soak = "1d"
"""


def scenario(gate: str = "", devices: int = 100, more: str = "") -> str:
    return f'[rollout]\nname = "case"\n{gate}\n{PHASES.format(devices=devices, more=more)}{FLEET}'


def planned(text: str) -> Plan:
    return plan_scenario(parse_scenario(text, "case.toml")).plan


PLAIN = "[rollout.gate]\nevidence = false\nthresholds = [{ percent = 20 }]"
RULELESS = "[rollout.gate]\nevidence = false"

SILENT = """
[rollout]
name = "silent"
zone = "Europe/Berlin"
[[rollout.windows]]
days = "Mon-Fri"
from = "07:00"
to = "19:00"
[rollout.gate.evidence]
p_ok = 0.02
p_bad = 0.05
prior_b = 20
[[rollout.phases]]
name = "pilot"
devices = 1000
pacing = { mode = "batches", batches = [10, 90, "rest"], every = "6h" }
soak = "2d"
[[rollout.phases]]
name = "all"
pacing = { mode = "auto" }
soak = "1d"
[fleet]
clients = 20_000
[model.clients]
window = "24h"
blocked_share = 0.6
never_heals = 1.0
"""

ONE_PHASE = """
[rollout]
name = "one phase, nobody answers"
[[rollout.phases]]
name = "all"
soak = "1d"
[fleet]
clients = 500
[model.clients]
window = "24h"
blocked_share = 1.0
never_heals = 1.0
"""


def test_small_pilot_all_fail_is_planned_with_a_threshold_that_can_trip() -> None:
    """20 % counts from 12 of the pilot's 15 devices, not from 20."""
    plan = planned(scenario(PLAIN, devices=15))
    assert [rule.min_executed for rule in plan.phases[0].gate.thresholds] == [12]
    assert any("counts from 12 devices in place of 20" in line for line in plan.warnings)


def test_small_pilot_with_a_written_figure_is_refused() -> None:
    """The person wrote 20 and has a pilot of 15: both figures are named."""
    gate = "[rollout.gate]\nevidence = false\nthresholds = [{ percent = 20, min_executed = 20 }]"
    with pytest.raises(RefusedError, match="min_executed = 20, but the phase has 15 devices") as caught:
        planned(scenario(gate, devices=15))
    assert caught.value.hint == "Write min_executed = 12 or less, or give the phase 20 devices or more."


def test_gate_without_rules_is_refused_unless_it_is_named_so() -> None:
    with pytest.raises(RefusedError, match="phase 'pilot': its gate has no rule on failures"):
        planned(scenario(RULELESS))
    plan = planned(scenario(RULELESS + "\nignore_failures = true"))
    assert next(line for line in plan.warnings if "is not gated" in line).startswith(
        "phase 'pilot' is not gated"
    )


@pytest.mark.parametrize(("site", "devices"), [("Berlin", 100), ("berlin", 100), ("Berln", None)])
def test_a_misspelt_site_is_refused(site: str, devices: int | None) -> None:
    text = scenario(more=f'where = {{ site = "{site}" }}')
    if devices is None:
        with pytest.raises(UsageError, match="no device of the inventory has the site 'Berln'") as caught:
            planned(text)
        assert caught.value.hint == "Did you mean 'Berlin'?"
    else:
        assert len(planned(text).phases[0]) == devices


def test_a_silent_pilot_is_planned() -> None:
    """Silence is for the gates to hear."""
    plan = planned(SILENT)
    assert [len(phase) for phase in plan.phases[:2]] == [1000, 18351]
    assert not any("cannot pass" in line for line in plan.warnings)


def test_one_phase_is_planned_and_told() -> None:
    """Nothing comes before it, and it is released in hours."""
    (line,) = planned(ONE_PHASE).warnings
    assert line.startswith(
        "phase 'all': 476 of 476 devices of the plan leave within 3h, before its first batch"
    )
