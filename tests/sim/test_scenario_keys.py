"""Every key of a scenario has an effect: a change to it changes what happens, or a named part of the plan.

A plan stores its rules, so its digest changes with every key, even a key that nothing reads. What counts is what is
released, decided and enrolled, or the part of the plan in which people read the key.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Final

import pytest
import tomli_w

from rollout.errors import RolloutError
from rollout.policy.mistakes import models_within
from rollout.policy.section import Policy
from rollout.values import Factor, Fleet, Plan
from sim.fleet.population import FleetModel, generate
from sim.model import Model
from sim.planning import Planned, plan_inventory, planned_at
from sim.scenario import Targets, parse_scenario
from sim.simulation import simulate
from sim.tuning.candidates import Candidate
from sim.tuning.evaluation import Evaluate, Score, Task, score_of
from sim.tuning.tune import job_of

Document = dict[str, Any]
Change = Callable[[Document], None]

WORKLOAD: Final[Document] = {
    "action": "workload",
    "workload": "compliance",
    "collection": "staging",
    "counterparts": {"compliance": {"policy": "baseline", "by": "Ann", "on": "2026-11-02"}},
}


def base() -> Document:
    """Return a small scenario that completes all its phases, with outages, waits and devices that never answer."""
    return {
        "rollout": {
            "name": "keys",
            "zone": "Europe/Berlin",
            "start": "2026-12-07T08:00:00",
            "mature_after": "8h",
            "straggler_after": "3d",
            "gate": {
                "report_delay": "0s",
                "answered": 0.25,
                "evidence": {"p_ok": 0.3, "p_bad": 0.7, "prior_b": 5.0},
            },
            "phases": [
                {
                    "name": "pilot",
                    "devices": 60,
                    "pacing": {"mode": "duration", "duration": "6h"},
                    "soak": "12h",
                },
                {"name": "all", "pacing": {"mode": "duration", "duration": "12h"}, "soak": "12h"},
            ],
        },
        "fleet": {"clients": 400},
        "model": {
            "horizon": "12d",
            "clients": {
                "window": "2h",
                "blocked_share": 0.2,
                "never_heals": 0.3,
                "device_token_share": 0.5,
                "unenroll_per_year": 20.0,
            },
            "presence": {"holidays": ["2026-12-08"]},
            "service": {
                "capacity_per_minute": 1,
                "outages": [{"after": "30h", "lasts": "3h"}],
                "outages_per_year": 200.0,
                "cmg_instances": 1,
                "cmg_clients": 60,
            },
        },
    }


def put(path: str, value: Any) -> Change:
    """Return the change that sets a key; numbers in the path are indices of a list."""

    def change(document: Document) -> None:
        *parents, last = path.split(".")
        table: Any = document
        for part in parents:
            table = table[int(part)] if part.isdigit() else table.setdefault(part, {})
        table[last] = copy.deepcopy(value)

    return change


def both(*changes: Change) -> Change:
    def change(document: Document) -> None:
        for each in changes:
            each(document)

    return change


def same(_: Document) -> None:
    """Change nothing."""


PACING = "rollout.phases.1.pacing"
GATE = "rollout.gate"
WINDOW = put("rollout.windows", [{"days": "Mon-Fri", "from": "07:00", "to": "19:00"}])
WAVE = put("rollout.windows", [{"at": "02:00"}])
RULE = put("rollout.freezes", [{"rrule": "FREQ=DAILY;COUNT=1", "from": "2026-12-08"}])
STRICT = put(f"{GATE}.evidence.p_ok", 0.05)
FAILING = put("model.clients.failures", [{"code": 0x80180018, "rate": 0.4, "permanent": True}])
HARMED = both(FAILING, STRICT)
ASKED = both(put(f"{GATE}.answered", 0.5), put(f"{GATE}.patience", "1h"))
THRESHOLD = put(f"{GATE}.thresholds", [{"percent": 5.0, "min_executed": 1, "action": "hold"}])
BAD = put("model.clients.failure", [{"column": "site", "level": "Berlin", "rate": 0.9}])
SITES = put(
    "fleet.sites", [{"name": name, "zone": "Europe/Berlin"} for name in ("Berlin", "Hamburg", "Munich")]
)
BAD_SITE = both(SITES, BAD, put("rollout.stratum", "site"))
BY_LEVEL = both(
    SITES, put("rollout.budgets", {"column": "site", "per_level": 77})
)  # the smallest budget that is allowed, and it binds
RING = put(
    "rollout.phases",
    [
        {"name": name, "devices": 60, "pacing": {"mode": "duration", "duration": "6h"}, "soak": "12h"}
        for name in ("pilot", "ring")
    ]
    + [{"name": "all", "pacing": {"mode": "duration", "duration": "12h"}, "soak": "12h"}],
)
CODE = {"code": 0x80180005, "rate": 0.4, "permanent": False}
CODES = put("model.clients.failures", [CODE])
MOVE = put("rollout", {**base()["rollout"], **WORKLOAD})
RESOURCES = both(
    MOVE,
    put("rollout.workload", "resource-access"),
    put("rollout.counterparts.resource-access", WORKLOAD["counterparts"]["compliance"]),
)
LATE = put(f"{GATE}.evidence.p_bad", 0.31)
ONLY_NETWORK = [
    {"percent": 5.0, "min_executed": 1, "action": "hold", "classes": ["network"]},
    {"percent": 100.0},  # a gate that hears only some failures is refused
]
NETWORK = both(put(f"{GATE}.evidence", False), put(f"{GATE}.thresholds", ONLY_NETWORK))
OTHER_CODES = put("model.clients.failures", [{**CODE, "code": 0x80192EE2}])


def pacing(**keys: Any) -> Change:
    return put(PACING, keys)


KEYS: Final[dict[str, tuple[Change, Change]]] = {
    # key : a change to start from, and the change that must have an effect.
    "rollout.cloud": (same, put("rollout.cloud", "usgov")),
    "rollout.site_version": (RESOURCES, put("rollout.site_version", 2403)),
    "rollout.automatic_enrollment": (same, put("rollout.automatic_enrollment", "all")),
    "rollout.auto_enrollment": (same, put("rollout.auto_enrollment", "Ours")),
    "rollout.slider": (MOVE, put("rollout.slider", "intune")),
    "rollout.moved": (RESOURCES, put("rollout.moved", ["compliance"])),
    "rollout.counterparts.policy": (MOVE, put("rollout.counterparts.compliance.policy", "other")),
    "rollout.counterparts.by": (MOVE, put("rollout.counterparts.compliance.by", "Bea")),
    "rollout.counterparts.on": (MOVE, put("rollout.counterparts.compliance.on", "2026-11-03")),
    "rollout.preflight.stale_days": (same, put("rollout.preflight.stale_days", 21)),
    "rollout.preflight.off": (same, put("rollout.preflight.off", {"E1": "agreed"})),
    "rollout.name": (same, put("rollout.name", "other")),
    "rollout.action": (same, MOVE),
    "rollout.workload": (RESOURCES, put("rollout.workload", "compliance")),
    "rollout.collection": (same, put("rollout.collection", "Ours")),
    "rollout.salt": (same, put("rollout.salt", "pepper")),
    "rollout.zone": (WINDOW, put("rollout.zone", "America/New_York")),
    "rollout.start": (same, put("rollout.start", "2026-12-08T08:00:00")),
    "rollout.windows.days": (WINDOW, put("rollout.windows.0.days", "Sat")),
    "rollout.windows.from": (WINDOW, put("rollout.windows.0.from", "10:00")),
    "rollout.windows.to": (WINDOW, put("rollout.windows.0.to", "12:00")),
    "rollout.windows.at": (WAVE, put("rollout.windows.0.at", "03:00")),
    "rollout.windows.lasts": (WAVE, put("rollout.windows.0.lasts", "2h")),
    "rollout.windows.zone": (WINDOW, put("rollout.windows.0.zone", "Asia/Tokyo")),
    "rollout.freezes.on": (same, put("rollout.freezes", [{"on": ["2026-12-08"]}])),
    "rollout.freezes.from": (RULE, put("rollout.freezes.0.from", "2026-12-09")),
    "rollout.freezes.to": (same, put("rollout.freezes", [{"from": "2026-12-08", "to": "2026-12-09"}])),
    "rollout.freezes.rrule": (RULE, put("rollout.freezes.0.rrule", "FREQ=DAILY;COUNT=3")),
    "rollout.freezes.days": (RULE, put("rollout.freezes.0.days", 3)),
    "rollout.freezes.hours": (RULE, put("rollout.freezes.0.hours", "09:00-10:00")),
    "rollout.freezes.zone": (RULE, put("rollout.freezes.0.zone", "Asia/Tokyo")),
    "rollout.freezes.reason": (RULE, put("rollout.freezes.0.reason", "pay day")),
    "rollout.step": (same, put("rollout.step", "3h")),
    "rollout.look_every": (same, put("rollout.look_every", "30m")),
    "rollout.chunk": (same, put("rollout.chunk", 7)),
    "rollout.mature_after": (same, put("rollout.mature_after", "20h")),
    "rollout.straggler_after": (same, put("rollout.straggler_after", "4d")),
    "rollout.strata": (same, put("rollout.strata", ["model"])),
    "rollout.strata_early.columns": (same, put("rollout.strata_early.columns", ["model"])),
    "rollout.strata_early.pilot": (same, put("rollout.strata_early.pilot", 0)),
    "rollout.strata_early.ring": (RING, put("rollout.strata_early.ring", 0)),
    "rollout.stratum": (BAD_SITE, put("rollout.stratum", "model")),
    "rollout.budgets.in_flight": (same, put("rollout.budgets.in_flight", 217)),
    "rollout.budgets.per_step": (pacing(mode="auto"), put("rollout.budgets.per_step", 20)),
    "rollout.budgets.column": (BY_LEVEL, put("rollout.budgets.column", "model")),
    "rollout.budgets.per_level": (BY_LEVEL, put("rollout.budgets.per_level", 200)),
    "rollout.gate.evidence.p_ok": (FAILING, put(f"{GATE}.evidence.p_ok", 0.1)),
    "rollout.gate.evidence.p_bad": (same, put(f"{GATE}.evidence.p_bad", 0.4)),
    "rollout.gate.evidence.alpha": (HARMED, put(f"{GATE}.evidence.alpha", 0.001)),
    "rollout.gate.evidence.beta": (same, put(f"{GATE}.evidence.beta", 0.2)),
    "rollout.gate.evidence.prior_a": (HARMED, put(f"{GATE}.evidence.prior_a", 60.0)),
    "rollout.gate.evidence.prior_b": (HARMED, put(f"{GATE}.evidence.prior_b", 900.0)),
    "rollout.gate.thresholds.percent": (THRESHOLD, put(f"{GATE}.thresholds.0.percent", 50.0)),
    "rollout.gate.thresholds.count": (THRESHOLD, put(f"{GATE}.thresholds.0.count", 200)),
    "rollout.gate.thresholds.min_executed": (THRESHOLD, put(f"{GATE}.thresholds.0.min_executed", 350)),
    "rollout.gate.thresholds.action": (THRESHOLD, put(f"{GATE}.thresholds.0.action", "halt")),
    "rollout.gate.thresholds.classes": (THRESHOLD, put(f"{GATE}.thresholds.0.classes", ["identity"])),
    "rollout.gate.ignore_failures": (
        put("rollout.gate", {"evidence": False, "thresholds": [{"percent": 1.0}]}),
        put("rollout.gate", {"ignore_failures": True}),
    ),
    "rollout.gate.min_executed": (same, put(f"{GATE}.min_executed", 55)),
    "rollout.gate.straggler_max": (same, put(f"{GATE}.straggler_max", 0.0)),
    "rollout.gate.no_progress": (same, put(f"{GATE}.no_progress", "1h")),
    "rollout.gate.strata_min": (BAD_SITE, put(f"{GATE}.strata_min", 300)),
    "rollout.gate.per_stratum": (BAD_SITE, put(f"{GATE}.per_stratum", False)),
    "rollout.gate.on_stratum": (BAD_SITE, put(f"{GATE}.on_stratum", "halt")),
    "rollout.gate.resume": (ASKED, put(f"{GATE}.resume", "person")),
    "rollout.gate.answered": (same, put(f"{GATE}.answered", 0.99)),
    "rollout.gate.success": (same, put(f"{GATE}.success", "99 %")),
    "rollout.gate.patience": (put(f"{GATE}.answered", 0.99), put(f"{GATE}.patience", "12h")),
    "rollout.gate.report_delay": (LATE, put(f"{GATE}.report_delay", "2d")),
    "rollout.gate.lost_members_max": (same, put(f"{GATE}.lost_members_max", 0.5)),
    "rollout.gate.losses_max": (same, put(f"{GATE}.losses_max", 0.5)),
    "rollout.gate.dry_run": (STRICT, put(f"{GATE}.dry_run", True)),
    "rollout.phases.name": (same, put("rollout.phases.1.name", "everybody")),
    "rollout.phases.source": (same, put("rollout.phases.1.source", "All clients")),
    "rollout.phases.where": (same, put("rollout.phases.0.where", {"site": "Berlin"})),
    "rollout.phases.devices": (same, put("rollout.phases.0.devices", 61)),
    "rollout.phases.percent": (same, put("rollout.phases.1.percent", 50.0)),
    "rollout.phases.percent_of": (
        put("rollout.phases.1.percent", 50.0),
        put("rollout.phases.1.percent_of", "remaining"),
    ),
    "rollout.phases.pacing.Auto.mode": (same, put(PACING, {"mode": "auto"})),
    "rollout.phases.pacing.Auto.service_per_hour": (
        pacing(mode="auto"),
        put(f"{PACING}.service_per_hour", 60.0),
    ),
    "rollout.phases.pacing.Auto.gap": (pacing(mode="auto"), put(f"{PACING}.gap", "2h")),
    "rollout.phases.pacing.Rate.mode": (same, pacing(mode="rate", devices=50)),
    "rollout.phases.pacing.Rate.devices": (pacing(mode="rate", devices=50), put(f"{PACING}.devices", 70)),
    "rollout.phases.pacing.Rate.percent": (pacing(mode="rate", percent=5.0), put(f"{PACING}.percent", 9.0)),
    "rollout.phases.pacing.Rate.every": (pacing(mode="rate", devices=50), put(f"{PACING}.every", "2h")),
    "rollout.phases.pacing.Duration.mode": (pacing(mode="auto"), pacing(mode="duration", duration="12h")),
    "rollout.phases.pacing.Duration.duration": (same, put(f"{PACING}.duration", "13h")),
    "rollout.phases.pacing.Duration.gap": (same, put(f"{PACING}.gap", "2h")),
    "rollout.phases.pacing.ByDate.mode": (same, pacing(mode="by_date", date="2026-12-12")),
    "rollout.phases.pacing.ByDate.date": (
        pacing(mode="by_date", date="2026-12-12"),
        put(f"{PACING}.date", "2026-12-14"),
    ),
    "rollout.phases.pacing.ByDate.gap": (
        pacing(mode="by_date", date="2026-12-12"),
        put(f"{PACING}.gap", "12h"),
    ),
    "rollout.phases.pacing.Points.mode": (same, pacing(mode="points", points=[["9h", "100%"]])),
    "rollout.phases.pacing.Points.points": (
        pacing(mode="points", points=[["9h", "100%"]]),
        put(f"{PACING}.points", [["8h", "100%"]]),
    ),
    "rollout.phases.pacing.Points.steps": (
        pacing(mode="points", points=[["0s", "10%"], ["9h", "100%"]]),
        put(f"{PACING}.steps", True),
    ),
    "rollout.phases.pacing.Ramp.mode": (same, pacing(mode="ramp", base=20, succeeded=40)),
    "rollout.phases.pacing.Ramp.base": (
        pacing(mode="ramp", base=20, succeeded=40),
        put(f"{PACING}.base", 30),
    ),
    "rollout.phases.pacing.Ramp.every": (
        pacing(mode="ramp", base=20, succeeded=40),
        put(f"{PACING}.every", "2h"),
    ),
    "rollout.phases.pacing.Ramp.factor": (
        pacing(mode="ramp", base=20, succeeded=40),
        put(f"{PACING}.factor", 3.0),
    ),
    "rollout.phases.pacing.Ramp.succeeded": (
        pacing(mode="ramp", base=20, succeeded=40),
        put(f"{PACING}.succeeded", 80),
    ),
    "rollout.phases.pacing.Ramp.cap": (pacing(mode="ramp", base=20, succeeded=40), put(f"{PACING}.cap", 40)),
    "rollout.phases.pacing.Batches.mode": (same, pacing(mode="batches", batches=4)),
    "rollout.phases.pacing.Batches.batches": (
        pacing(mode="batches", batches=4),
        put(f"{PACING}.batches", ["10%", "rest"]),
    ),
    "rollout.phases.pacing.Batches.every": (pacing(mode="batches", batches=4), put(f"{PACING}.every", "3h")),
    "rollout.phases.step": (same, put("rollout.phases.1.step", "2h")),
    "rollout.phases.soak": (same, put("rollout.phases.0.soak", "2d")),
    "rollout.phases.end": (same, put("rollout.phases.0.end", "never")),
    "rollout.service_per_hour": (pacing(mode="auto"), put("rollout.service_per_hour", 50.0)),
    "rollout.exclude": (same, put("rollout.exclude", ["CHE-0000385"])),
    "model.clients.window": (same, put("model.clients.window", "9h")),
    "model.clients.late_joiner": (
        put("fleet.comanaged", 0.3),
        put("model.clients.late_joiner", "immediate"),
    ),
    "model.clients.collection_evaluation": (same, put("model.clients.collection_evaluation", "1h")),
    "model.clients.policy_poll": (same, put("model.clients.policy_poll", "4h")),
    "model.clients.wake_delay": (same, put("model.clients.wake_delay", "1h")),
    "model.clients.policy_evaluation": (same, put("model.clients.policy_evaluation", "1h")),
    "model.clients.blocked_share": (same, put("model.clients.blocked_share", 0.4)),
    "model.clients.heal.median": (same, put("model.clients.heal", {"median": "2h", "p90": "5d"})),
    "model.clients.heal.p90": (same, put("model.clients.heal", {"median": "1d", "p90": "2d"})),
    "model.clients.never_heals": (same, put("model.clients.never_heals", 0.9)),
    "model.clients.logon_randomization": (same, put("model.clients.logon_randomization", "6h")),
    "model.clients.device_token_share": (same, put("model.clients.device_token_share", 0.1)),
    "model.clients.attempts": (CODES, put("model.clients.attempts", 1)),
    "model.clients.retry_wait": (CODES, put("model.clients.retry_wait", "2h")),
    "model.clients.next_cycle": (CODES, put("model.clients.next_cycle", "2d")),
    "model.clients.enrollment.median": (
        same,
        put("model.clients.enrollment", {"median": "10m", "p90": "20m"}),
    ),
    "model.clients.enrollment.p90": (same, put("model.clients.enrollment", {"median": "90s", "p90": "3h"})),
    "model.clients.report_lag.median": (
        same,
        put("model.clients.report_lag", {"median": "30m", "p90": "1h"}),
    ),
    "model.clients.report_lag.p90": (same, put("model.clients.report_lag", {"median": "15m", "p90": "9h"})),
    "model.clients.unenroll_per_year": (same, put("model.clients.unenroll_per_year", 90.0)),
    "model.clients.failures.code": (
        both(CODES, NETWORK),
        put("model.clients.failures", [{**CODE, "code": 0x80192EE2}]),
    ),
    "model.clients.failures.rate": (CODES, put("model.clients.failures", [{**CODE, "rate": 0.1}])),
    "model.clients.failures.permanent": (CODES, put("model.clients.failures", [{**CODE, "permanent": True}])),
    "model.clients.failure.column": (BAD, put("model.clients.failure.0.column", "model")),
    "model.clients.failure.level": (BAD, put("model.clients.failure.0.level", "Hamburg")),
    "model.clients.failure.rate": (BAD, put("model.clients.failure.0.rate", 0.2)),
    "model.clients.failure.code": (both(BAD, NETWORK), put("model.clients.failure.0.code", 0x80192EE2)),
    **{
        f"model.presence.{name}.{key}": (
            same,
            put(f"model.presence.{name}", {"weekday": 0.6, "weekend": 0.3, "turned_off": 0.5, **change}),
        )
        for name in ("always_on", "office", "laptop", "rarely_on")
        for key, change in {
            "weekday": {"weekday": 0.9},
            "weekend": {"weekend": 0.9},
            "week": {"week": [0.2, 1.8, 1.0, 1.0, 1.0]},
            "turned_off": {"turned_off": 1.0},
            "habit": {"habit": 0.1},
            "pause": {"pause": 0.9},
        }.items()
    },
    "model.presence.mix": (same, put("model.presence.mix", [0.0, 0.0, 0.0, 1.0])),
    "model.presence.holidays": (same, put("model.presence.holidays", ["2026-12-09"])),
    "model.presence.spread": (same, put("model.presence.spread", 0.9)),
    "model.presence.jitter": (same, put("model.presence.jitter", 0.9)),
    "model.presence.pause_length.median": (
        same,
        put("model.presence.pause_length", {"median": "3h", "p90": "5h"}),
    ),
    "model.presence.pause_length.p90": (
        same,
        put("model.presence.pause_length", {"median": "1h", "p90": "2h"}),
    ),
    "model.service.capacity_per_minute": (same, put("model.service.capacity_per_minute", 9)),
    "model.service.backoff": (same, put("model.service.backoff", "20m")),
    "model.service.backoff_max": (same, put("model.service.backoff_max", "6m")),
    "model.service.backoff_jitter": (same, put("model.service.backoff_jitter", 0.1)),
    "model.service.outages.after": (same, put("model.service.outages.0.after", "20h")),
    "model.service.outages.lasts": (same, put("model.service.outages.0.lasts", "9h")),
    "model.service.outages_per_year": (same, put("model.service.outages_per_year", 0.0)),
    "model.service.outage.median": (same, put("model.service.outage", {"median": "12h", "p90": "16h"})),
    "model.service.outage.p90": (same, put("model.service.outage", {"median": "4h30m", "p90": "40h"})),
    "model.service.outage_answer": (same, put("model.service.outage_answer", "2h")),
    "model.service.cmg_instances": (same, put("model.service.cmg_instances", 2)),
    "model.service.cmg_clients": (same, put("model.service.cmg_clients", 20)),
    "model.service.internet_share": (same, put("model.service.internet_share", 0.9)),
    "model.horizon": (same, put("model.horizon", "2d")),
}

READ: Final[dict[str, Callable[[Plan], object]]] = {
    "rollout.cloud": lambda plan: plan.human_steps,
    "rollout.auto_enrollment": lambda plan: plan.human_steps,
    "rollout.moved": lambda plan: plan.warnings,
    "rollout.counterparts.policy": lambda plan: plan.human_steps,
    "rollout.counterparts.by": lambda plan: plan.human_steps,
    "rollout.counterparts.on": lambda plan: plan.human_steps,
    "rollout.workload": lambda plan: plan.human_steps,
    "rollout.collection": lambda plan: plan.human_steps,
    "rollout.freezes.reason": lambda plan: plan.freezes,
    "rollout.phases.source": lambda plan: [phase.source for phase in plan.phases],
    "rollout.gate.lost_members_max": lambda plan: (
        plan.phases[0].gate.figures
    ),  # tests/gates: nobody removes here
    "rollout.gate.losses_max": lambda plan: plan.phases[0].gate.figures,
    "rollout.chunk": lambda plan: (
        plan.chunk
    ),  # devices of one write to a directory, see tests/loop/test_drive.py
}
"""Keys that change what people read in the plan, or how it is written to a directory, not the order of releases."""

REFUSED: Final = {
    "rollout.site_version": "found it forced to Intune",
    "rollout.automatic_enrollment": "found All",
    "rollout.slider": "found Intune",
}
"""Keys that describe the settings of the console, and how settings that do not fit are refused."""


def keys_of(model: Any, prefix: str) -> Iterator[str]:
    """Return all keys of a section and its nested tables; keys of a pacing carry the name of its mode."""
    for name, field in model.model_fields.items():
        key = f"{prefix}.{field.alias or name}"
        inner = models_within(field.annotation)
        if not inner:
            yield key
        for table in inner:
            yield from keys_of(table, f"{key}.{table.__name__}" if len(inner) > 1 else key)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """A plan, and what happens in a run of it and of the native mode All; without digests and stored rules."""

    plan: Plan
    happened: object


def half_unknown(fleet: Fleet) -> Fleet:
    """Return the fleet without the presence class of every other device, as in exports."""
    known = fleet.factors["presence"]
    classes = [known[row] if row % 2 else "" for row in range(len(fleet))]
    return replace(fleet, factors={**fleet.factors, "presence": Factor.of(classes)})


def result_of(document: Document) -> Seen | str:
    """Return the observable result of a scenario, or the refusal."""
    return _result_of(tomli_w.dumps(document))


@lru_cache(maxsize=64)
def _result_of(text: str) -> Seen | str:
    try:
        scenario = parse_scenario(text, "keys.toml")
        at = planned_at(scenario)
        made = generate(scenario.fleet, 1, at)
        inventory = replace(made, fleet=half_unknown(made.fleet))
        planned: Planned = plan_inventory(scenario, inventory, at)
    except RolloutError as error:
        return error.message
    forecast = simulate(
        planned.plan, planned.fleet, planned.model, seed=3, runs=1, workers=1, keep_decisions=True
    )
    run, native = forecast.runs[0], forecast.baseline[0]
    happened = (
        run.decisions,
        run.final,
        run.attempts.tolist(),
        run.enrolled.tolist(),
        native.attempts.tolist(),
        native.enrolled.tolist(),
    )
    return Seen(planned.plan, happened)


def test_every_key_of_a_plan_and_a_model_is_tried() -> None:
    """A new key needs an entry here, and so an effect."""
    known = {*keys_of(Policy, "rollout"), *keys_of(Model, "model")}
    own_gates = {key for key in known if key.startswith("rollout.phases.gate.")}
    assert {
        key.replace("phases.", "") for key in own_gates
    } <= KEYS.keys()  # the same table as [rollout.gate]
    assert known - own_gates == KEYS.keys()


@pytest.mark.parametrize("key", KEYS)
def test_a_key_has_an_effect(key: str) -> None:
    first, change = KEYS[key]
    document = base()
    first(document)
    if key.startswith("model.presence.") and key.count(".") == 3 and "pause_length" not in key:
        name = key.split(".")[2]
        put(f"model.presence.{name}", {"weekday": 0.6, "weekend": 0.3, "turned_off": 0.5})(document)
        classes = dict.fromkeys(("always_on", "office", "laptop", "rarely_on"), 0.0)
        put("fleet.presence", {**classes, name: 1.0})(document)
    changed = copy.deepcopy(document)
    change(changed)
    before, after = result_of(document), result_of(changed)
    assert isinstance(before, Seen), before
    if key in REFUSED:
        assert isinstance(after, str)
        assert REFUSED[key] in after
        return
    assert isinstance(after, Seen), after
    if key in READ:
        assert READ[key](after.plan) != READ[key](before.plan)
    else:
        assert after.happened != before.happened


def test_a_phase_can_have_a_gate_of_its_own() -> None:
    """Only the first phase is judged strictly, and halted."""
    document = base()
    changed = copy.deepcopy(document)
    put("rollout.phases.0.gate", {"evidence": {"p_ok": 0.05, "p_bad": 0.3, "prior_b": 5.0}})(changed)
    before, after = result_of(document), result_of(changed)
    assert isinstance(before, Seen)
    assert isinstance(after, Seen)
    assert before.happened != after.happened


TWO: Final[Document] = {
    "sites": [{"name": name, "zone": "Europe/Berlin"} for name in ("Berlin", "Hamburg")],
    "models": [{"name": name, "manufacturer": "Some"} for name in ("One", "Two")],
    "builds": [{"version": f"10.0.26100.{patch}"} for patch in (1, 2)],
}
FLEET_VALUES: Final[Document] = {
    "sites.name": "Cologne",
    "sites.zone": "Asia/Tokyo",
    "models.name": "Three",
    "models.manufacturer": "Other",
    "builds.version": "10.0.22631.9",
    "clients": 290,
}
"""Values for keys that are not shares."""


@pytest.mark.parametrize("key", [*keys_of(FleetModel, "fleet")])
def test_a_key_of_the_fleet_has_an_effect(key: str) -> None:
    """Other devices are generated; shares and weights are set to 0.4."""
    document: Document = {"fleet": {"clients": 300, **copy.deepcopy(TWO)}}
    changed = copy.deepcopy(document)
    section, _, name = key.removeprefix("fleet.").partition(".")
    value = FLEET_VALUES.get(key.removeprefix("fleet."), 0.4)
    put(f"fleet.{section}.0.{name}" if section in TWO else key, value)(changed)
    before, after = (FleetModel.model_validate(each["fleet"]) for each in (document, changed))
    assert generate(before, 1, 10**9).fleet.digest != generate(after, 1, 10**9).fleet.digest


LIMITS: Final = {
    "finish_within_h": 5.0,
    "peak_per_hour": 5.0,
    "tickets_per_hour": 5.0,
    "halt_chance": 0.1,
    "exposed": 5,
}
FIGURES: Final = {"tickets_per_failure": ("tickets_p90", 0.9), "bad_rate": ("exposed_p90", 0.02)}
"""Targets that are not limits: the figure of a score that each affects, and another value of the target."""


def test_every_target_is_tried() -> None:
    assert {*LIMITS, *FIGURES} == set(Targets.model_fields)


@pytest.mark.parametrize(("name", "limit"), LIMITS.items())
def test_a_limit_counts_against_its_figure(name: str, limit: float) -> None:
    score = Score(10, 10, done_p90=10, peak_p90=10, tickets_p90=10, halt_chance=0.5, exposed_p90=10)
    missed = 4.0 if name == "halt_chance" else 1.0
    assert score.misses(Targets.model_validate({name: limit})) == pytest.approx({name: missed})
    assert score.misses(Targets()) == {}


@pytest.mark.parametrize(("name", "figure", "value"), [(name, *rest) for name, rest in FIGURES.items()])
def test_a_price_and_a_rate_make_figures(name: str, figure: str, value: float) -> None:
    """A failure costs more tickets; a stratum that is hardly bad is found later, or never."""

    def figure_of(targets: Document) -> float:
        document = {**base(), "targets": targets}
        both(BAD_SITE, STRICT, put(f"{GATE}.evidence.p_bad", 0.2))(document)
        scenario = parse_scenario(tomli_w.dumps(document), "keys.toml")
        at = planned_at(scenario)
        inventory = generate(scenario.fleet, 1, at)
        planned = plan_inventory(scenario, inventory, at)
        job = job_of(scenario, planned.plan, inventory, seed=1, least=400)
        found = Evaluate(job)(Task(Candidate("auto", 24.0, 3600), (0,)))
        return float(getattr(score_of([found], scenario.targets), figure))

    targets = {"exposed": 50, "tickets_per_hour": 5.0}
    before, after = figure_of(targets), figure_of({**targets, name: value})
    assert after > before > 0
