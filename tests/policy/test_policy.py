"""Reading the [rollout] section: what is taken, and what is said of what is not."""

from __future__ import annotations

import datetime as dt
import tomllib
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from plan_builders import instant

from rollout.errors import UsageError
from rollout.pacing.calendar import frozen_spans
from rollout.policy import Policy, load_policy
from rollout.values import DAY_S, EvidenceGate, GatePolicy, PhaseEnd, ThresholdGate, Window


def read(text: str) -> Policy:
    return load_policy(tomllib.loads(text), "plan.toml")


def complaint(text: str) -> tuple[str, str]:
    """The message and hint of the error that a text gives."""
    with pytest.raises(UsageError) as caught:
        read(text)
    assert "\n" not in caught.value.message
    return caught.value.message, caught.value.hint


WHOLE = """
name = "enroll-2027"
salt = "pepper"
zone = "Europe/Berlin"
start = 2027-01-11T06:00:00
step = "30m"
straggler_after = "1w"
strata = ["site", "os"]
exclude = ["PC-1"]

[[windows]]
days = ["Mon-Wed", "Fri"]
from = "22:00"
to = 05:30:00
zone = "device"

[[windows]]
days = "Sat Sun"

[[freezes]]
on = [2026-12-24, 2026-12-31]
reason = "holidays"

[[freezes]]
from = 2027-04-01
to = 2027-04-05

[[freezes]]
rrule = "RRULE:FREQ=MONTHLY;BYDAY=2TU"
days = 2

[budgets]
in_flight = 5000
column = "site"
per_level = 200

[gate]
evidence = { p_ok = 0.02, p_bad = 0.05 }
thresholds = [{ percent = 5, count = 3, action = "hold" }]
no_progress = "1d"

[[phases]]
name = "pilot"
where = { site = "Berlin", comanaged = false }
percent = 2.5
pacing = { mode = "batches", batches = [1, 50, "1%", "rest"], every = "1d" }
soak = "3d"
gate = { evidence = false }

[[phases]]
name = "all"
pacing = "auto"
end = "never"
"""


def test_a_whole_policy_is_read() -> None:
    """Every kind of key once."""
    policy = read(WHOLE)
    assert policy.start is not None
    assert policy.start.timestamp() == instant("2027-01-11T06:00+01:00")
    assert (policy.step, policy.straggler_after, policy.look_every) == (1800, 604_800, 300)
    assert [window.window("UTC") for window in policy.windows] == [
        Window((0, 1, 2, 4), 22 * 60, 5 * 60 + 30, "device"),
        Window((5, 6), 0, 0, "UTC"),
    ]
    assert policy.windows[1].window("Asia/Tokyo").zone == "Asia/Tokyo"
    assert policy.gate.gate() == GatePolicy(
        evidence=EvidenceGate(p_ok=0.02, p_bad=0.05),
        thresholds=(ThresholdGate(5, 3, action="hold"),),
        no_progress_s=86_400,
    )
    pilot, everybody = policy.phases
    assert pilot.where == {"site": ("Berlin",), "comanaged": (False,)}
    assert pilot.gate is not None
    assert pilot.gate.gate().evidence is None
    assert pilot.soak == 3 * 86_400
    assert everybody.ends is PhaseEnd.NEVER


def test_a_name_is_enough() -> None:
    """Everything else has a default."""
    policy = read('name = "x"')
    assert policy.target == "Intune Auto Enrollment"
    assert policy.gate.gate() == GatePolicy()
    assert policy.phases == ()


def test_a_policy_is_frozen() -> None:
    """Nobody changes it under a plan."""
    with pytest.raises(Exception, match="frozen"):
        read('name = "x"').name = "y"  # type: ignore[misc]


PHASE = 'name = "x"\n[[phases]]\nname = "p"\n'
WRONG: dict[str, tuple[str, str]] = {
    'nam = "x"': ("key 'rollout.nam': expected a known key", "Did you mean 'name'?"),
    'name = "x"\nwindow = 1': ("key 'rollout.window'", "Did you mean 'windows'?"),
    'name = "x"\n[[windows]]\nform = "22:00"': ("key 'rollout.windows[1].form'", "Did you mean 'from'?"),
    'name = "x"\nqqqq = 1': ("key 'rollout.qqqq'", "Known here: name, action,"),
    PHASE + 'pacing = { mode = "rate", device = 3 }': (
        "key 'rollout.phases[1].pacing.device': expected a known key",
        "Did you mean 'devices'?",
    ),
    PHASE + "gate = { evidence = { p_okk = 0.1 } }": (
        "'rollout.phases[1].gate.evidence.p_okk'",
        "Did you mean 'p_ok'?",
    ),
    PHASE + 'pacing = { mode = "fast" }': (
        "key 'rollout.phases[1].pacing': expected a mode out of 'auto', 'rate'",
        "",
    ),
    PHASE + 'pacing = { mode = "rate" }': ("expected either 'devices' or 'percent'", ""),
    PHASE + 'pacing = { mode = "duration" }': (
        "key 'rollout.phases[1].pacing.duration': expected a value",
        "Write",
    ),
    PHASE + 'pacing = { mode = "batches", batches = ["x"] }': (
        "expected each batch to be a number of devices",
        "",
    ),
    PHASE + 'pacing = { mode = "batches", batches = [] }': ("expected 1 to 10000 batches", ""),
    PHASE + 'pacing = { mode = "batches", batches = ["rest", 1] }': (
        'expected "rest" as the last batch only',
        "",
    ),
    PHASE + 'pacing = { mode = "points", points = [["1d", "120%"]] }': ("between 0% and 100%", ""),
    PHASE + 'pacing = { mode = "points", points = [["2d", "1%"], ["1d", "2%"]] }': ("never fall", ""),
    PHASE + "where = { site = 3 }": (
        "key 'rollout.phases[1].where.site': expected a text in quotes, true",
        "",
    ),
    PHASE + 'end = "soon"': ("key 'rollout.phases[1].end': expected 'gate' or 'never', found 'soon'", ""),
    'name = "x"\nphases = 3': ("key 'rollout.phases': expected a list, found 3", ""),
    'name = "x"\nstep = "soon"': ("key 'rollout.step': expected a duration such as", ""),
    'name = "x"\nstep = 3600': ("key 'rollout.step': expected a duration such as", ""),
    'name = "x"\nstep = "0s"': ("key 'rollout.step': expected greater than 0", ""),
    'name = "x"\nchunk = true': ("key 'rollout.chunk': expected a valid integer, found True", ""),
    'name = "x"\nchunk = 0': ("key 'rollout.chunk': expected greater than or equal to 1, found 0", ""),
    'name = "x"\nzone = "Berlin"': ("key 'rollout.zone': expected an IANA zone", ""),
    'name = "x"\nzone = "device"': ('("device" is for windows and freezes), found', ""),
    'name = "x"\n[[windows]]\nfrom = "25:00"': (
        "expected a time of day such as \"22:00\", found '25:00'",
        "",
    ),
    'name = "x"\n[[windows]]\ndays = "Mo-Xx"': ("key 'rollout.windows[1].days': expected weekdays", ""),
    'name = "x"\n[[freezes]]\nreason = "r"': ("key 'rollout.freezes[1]': expected one of 'on' (dates)", ""),
    'name = "x"\n[[freezes]]\nfrom = 2027-01-02\nto = 2027-01-01': ("expected 'to' not before 'from'", ""),
    'name = "x"\n[[freezes]]\nrrule = "FREQ=HOURLY"': ("expected a rule of days", ""),
    'name = "x"\n[[freezes]]\nrrule = "FREQ=SECONDLY;INTERVAL=1"': ("expected a rule of days", ""),
    'name = "x"\n[[freezes]]\nrrule = "FREQ=DAILY;BYHOUR=12"': ('hours = "12:00-14:00"', ""),
    'name = "x"\n[[freezes]]\non = [2027-01-25]\nhours = "noon"': ('hours such as "12:00-14:00"', ""),
    'name = "x"\n[[windows]]\nat = "02:00"\nto = "03:00"': ("expected either 'at' (a wave) or 'from'", ""),
    'name = "x"\n[[windows]]\nat = "02:00"\n[[windows]]\nfrom = "07:00"': ("windows that all have 'at'", ""),
    'name = "x"\n[[windows]]\nat = "02:00"\n[[windows]]\nat = "03:00"\nlasts = "2h"': (
        "the same 'lasts'",
        "",
    ),
    'name = "x"\n[[windows]]\nat = "02:00"\nlasts = "1d"': ("windows[1].lasts': expected less than", ""),
    'name = "x"\n[[windows]]\nat = 02:00:30': ('expected a time of day such as "22:00"', ""),
    'name = "x"\n[[freezes]]\non = [2027-01-25]\nhours = "24:00-02:00"': ('hours such as "12:00-14:00"', ""),
    'name = "x"\n[[freezes]]\non = [2027-01-25]\nfrom = 2027-01-01': ("'from' with 'to' or 'rrule' only", ""),
    'name = "x"\n[[freezes]]\non = [2027-01-25]\ndays = 2': ("'days' with 'rrule' only", ""),
    'name = "x"\n[[windows]]\nlasts = "1h"': ("expected 'lasts' with 'at' only", ""),
    'name = "x"\n[[freezes]]\nrrule = "FREQ=DAILY;COLOUR=RED"': ("expected an RFC 5545 recurrence rule", ""),
    'name = "x"\n[[freezes]]\nrrule = "FREQ=DAILY;INTERVAL=2"': (
        "expected 'from' (a date), since INTERVAL",
        "",
    ),
    'name = "x"\n[[freezes]]\nrrule = "FREQ=DAILY;BYMONTH=2,4;BYMONTHDAY=31"': (
        "(there is no such day in any year)",
        "",
    ),
    'name = "x"\nbudgets = { column = "site" }': ("expected 'column' and 'per_level' together", ""),
    'name = "x"\ngate = { evidence = { p_ok = 0.5 } }': ("expected 'p_ok' below 'p_bad'", ""),
    'name = "x"\naction = "workload"': ("and 'workload' (its name) together", ""),
    'name = "x"\naction = "workload"\nworkload = "mail"\ncollection = "c"': (
        "one of compliance, resource-access",
        "",
    ),
    'name = "x"\naction = "workload"\nworkload = "office"': (
        "expected 'collection' (the staging collection)",
        "",
    ),
    PHASE + '[[phases]]\nname = "p"': ("expected phases of different names", ""),
    'name = "x"\n[[phases]]\nname = "tail"\n[[phases]]\nname = "p"': ("the phase 'tail' to be the last", ""),
    'name = "x"\nstart = "tomorrow"': ("key 'rollout.start'", ""),
}


@pytest.mark.parametrize("text", WRONG)
def test_a_mistake_is_one_clear_line(text: str) -> None:
    """File, key, what was expected and found; for a misspelt key the likeliest one."""
    message, hint = complaint(text)
    assert message.startswith("plan.toml, key 'rollout")
    assert WRONG[text][0] in message
    assert WRONG[text][1] in hint


def test_several_mistakes_are_counted() -> None:
    """The first is shown, the misspelt key before all others."""
    message, hint = complaint('nam = "x"\nstep = "soon"')
    assert "(and 2 more)" in message
    assert "'name'" in hint


def test_days_wrap_around_the_week() -> None:
    """Fri-Mon is four days; long names are understood."""
    document: dict[str, Any] = {"name": "x", "windows": [{"days": "Friday-Mon"}]}
    assert load_policy(document, "f").windows[0].days == (0, 4, 5, 6)


def test_the_windows_and_freezes_of_the_readme_are_right() -> None:
    """Both examples load; the rule frozen until 31 December 23:00 UTC freezes New Year in Berlin."""
    text = (Path(__file__).parent.parent.parent / "README.md").read_text(encoding="utf-8")
    section = text.split("## Windows, waves and freezes")[1].split("\n## ")[0]
    first, second = (tomllib.loads(block.split("```")[0]) for block in section.split("```toml")[1:])
    policy = load_policy({"name": "x", "zone": "Europe/Berlin", **first["rollout"]}, "README.md")
    pay_day, holidays = (freeze.freezes(policy.zone)[0] for freeze in policy.freezes)
    start = int(dt.datetime(2026, 12, 25, tzinfo=ZoneInfo("Europe/Berlin")).timestamp())
    lunch = frozen_spans(pay_day, start, start + 30 * DAY_S)
    assert ((lunch.opens - start).tolist(), (lunch.closes - start).tolist()) == ([12 * 3600], [14 * 3600])
    assert frozen_spans(holidays, start, start + 30 * DAY_S).closes.tolist() == [start + 8 * DAY_S]
    waves = load_policy({"name": "x", **second["rollout"]}, "README.md").windows
    assert [wave.window("UTC").lasts_s for wave in waves] == [3600]
