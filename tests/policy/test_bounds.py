"""Absurd numbers, durations and dates are refused in one line where they are read, by every verb alike."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from command_line import QUICK, Cli
from evidence_values import halt_evidence

from rollout.errors import RolloutError, UsageError
from rollout.fields import parse_share
from rollout.values import EvidenceGate
from rollout.values.durations import MAX_S, parse_duration
from sim.planning import plan_scenario
from sim.scenario import parse_scenario
from sim.simulation import simulate

MODEL = '[model]\nhorizon = "20d"\n[model.clients]\nwindow = "2h"\n'
POLICY = '[rollout]\nname = "x"\n'
PHASE = '[[rollout.phases]]\nname = "p"\n'

ABSURD = {
    "a duration of a billion years": (
        POLICY + 'look_every = "999999999999d"\n' + MODEL,
        "'rollout.look_every': expected a duration of at most 3650 days",
    ),
    "a duration of 300 digits": (
        POLICY + f'step = "{"9" * 300}d"\n' + MODEL,
        "rollout.step': expected a duration",
    ),
    "an infinite rate": (
        POLICY + "service_per_hour = inf\n" + MODEL,
        "'rollout.service_per_hour': expected a finite number, found inf",
    ),
    "no rate at all": (POLICY + "service_per_hour = nan\n" + MODEL, "expected a finite number, found nan"),
    "a start in 9999": (
        POLICY + "start = 9999-12-31\n" + MODEL,
        "'rollout.start': expected a date from 1990-01-01 to 2199-12-31",
    ),
    "a start in the year 1": (
        POLICY + "start = 0001-01-01T00:00:00+14:00\n" + MODEL,
        "expected a date from 1990-01-01",
    ),
    "a freeze in 9999": (
        POLICY + "freezes = [{ on = 9999-12-31 }]\n" + MODEL,
        "expected a date from 1990-01-01",
    ),
    "a date in 9999": (
        POLICY + PHASE + 'pacing = { mode = "by_date", date = 9999-12-31 }\n' + MODEL,
        "expected a date",
    ),
    "a rule without an end": (
        POLICY + 'freezes = [{ rrule = "FREQ=DAILY;BYSETPOS=5" }]\n' + MODEL,
        "expected BYSETPOS in the rule with another BY part",
    ),
    "a rule that never moves on": (
        POLICY + 'freezes = [{ from = 2027-01-01, rrule = "FREQ=DAILY;INTERVAL=0" }]\n' + MODEL,
        "expected INTERVAL in the rule to be a whole number from 1",
    ),
    "a rule that runs backwards": (
        POLICY + 'freezes = [{ from = 2027-01-01, rrule = "FREQ=DAILY;INTERVAL=-1" }]\n' + MODEL,
        "expected INTERVAL in the rule to be a whole number from 1",
    ),
    "a rule with two ends": (
        POLICY + 'freezes = [{ from = 2026-12-01, rrule = "FREQ=DAILY;COUNT=3;UNTIL=20261224" }]\n' + MODEL,
        "expected COUNT or UNTIL in the rule, not both",
    ),
    "a rule that the library cannot follow": (
        POLICY + 'freezes = [{ rrule = "FREQ=YEARLY;BYEASTER=400" }]\n' + MODEL,
        "expected an RFC 5545 recurrence rule",
    ),
    "10^20 - 1 a minute": (
        POLICY + MODEL + "[model.service]\ncapacity_per_minute = 99999999999999999999\n",
        "'model.service.capacity_per_minute': expected less than or equal to 10,000,000, found 99999999999999999999",
    ),
    "10^20 devices at once": (
        POLICY + PHASE + 'pacing = { mode = "rate", devices = 100000000000000000000 }\n' + MODEL,
        "phases[1].pacing.devices': expected less than or equal to 10,000,000",
    ),
    "a prior that outweighs everything": (
        POLICY + "gate = { evidence = { prior_b = 1e308 } }\n" + MODEL,
        "'rollout.gate.evidence.prior_b': expected less than or equal to 100,000.0, found 1e+308",
    ),
    "a share of 10^999 percent": (
        POLICY + PHASE + 'pacing = { mode = "batches", batches = ["1e999999999%"] }\n' + MODEL,
        'expected a share such as "10%" between 0% and 100%',
    ),
    "no share at all": (
        POLICY + PHASE + 'pacing = { mode = "batches", batches = ["nan%"] }\n' + MODEL,
        'expected a share such as "10%" between 0% and 100%',
    ),
    "shares that are no numbers": (
        POLICY + MODEL + "[model.presence]\nmix = [nan, 0.0, 0.0, 1.0]\n",
        "'model.presence.mix[1]': expected a finite number, found nan",
    ),
    "an error code of 70 bits": (
        POLICY + MODEL + "failures = [{ code = 999999999999999999999, rate = 0.1 }]\n",
        "'model.clients.failures[1].code': expected less than 4,294,967,296",
    ),
    "a holiday that is no date": (
        POLICY + MODEL + '[model.presence]\nholidays = ["christmas"]\n',
        "'model.presence.holidays[1]': expected a local date such as 2026-12-25, found 'christmas'",
    ),
    "an infinite target": (
        POLICY + MODEL + "[targets]\npeak_per_hour = inf\n",
        "'targets.peak_per_hour': expected a finite number, found inf",
    ),
    "a negative target": (
        POLICY + MODEL + "[targets]\nexposed = -1\n",
        "'targets.exposed': expected greater than or equal to 0, found -1",
    ),
    "a number of 6,000 digits": (
        POLICY + "step = " + "9" * 6000 + "\n",
        "is not valid TOML: a number has more than 4,300 digits",
    ),
    "a number of 20,000 hex digits": (
        POLICY + "chunk = 0x" + "f" * 20_000 + "\n" + MODEL,
        "rollout.chunk': expected less than or equal to 100,000, found something too large to show",
    ),
    "deep arrays": (
        POLICY + "step = " + "[" * 5000 + "]" * 5000 + "\n",
        "is not valid TOML: brackets are nested too deeply",
    ),
    "a key of many dots": (
        POLICY + ".".join("a" * 2000) + " = 1\n",
        "tables are nested more than 32 levels deep",
    ),
    "a key with a line break": (
        POLICY + '"a\\nb" = 1\n' + MODEL,
        "key 'rollout.a\\nb': expected text without line breaks",
    ),
    "a section with a line break": ('["a\\nb"]\nx = 1\n', "unknown section 'a\\nb'"),
    "a look each second for two years": (
        POLICY + 'look_every = "1s"\n' + MODEL.replace("20d", "730d"),
        'look_every = "1s" is too short for model.horizon = "730d": 63,072,000 observations per run, at most 250,000',
    ),
}


@pytest.mark.parametrize("case", ABSURD)
def test_an_absurd_scenario_is_refused_in_a_line(case: str) -> None:
    text, expected = ABSURD[case]
    with pytest.raises(UsageError) as caught:
        parse_scenario(text, "x.toml")
    assert expected in caught.value.message
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 300


@pytest.mark.parametrize("verb", [("plan",), ("simulate",), ("gate", "simulate")])
def test_a_threshold_of_no_percent_has_one_meaning(cli: Cli, tmp_path: Path, verb: tuple[str, ...]) -> None:
    """It is refused when it is read: one reads it as "never", another as "at the first failure"."""
    cli("inventory", "--from", "scenario", "quick.toml")
    path = tmp_path / "none.toml"
    rule = "[[rollout.gate.thresholds]]\npercent = 0\n"
    path.write_text(QUICK.replace("[rollout.gate.evidence]", f"{rule}[rollout.gate.evidence]"))
    answer = cli(*verb, path)
    assert answer.code == 2
    assert (
        "key 'rollout.gate.thresholds[1].percent': expected a percentage above 0 and up to 100" in answer.err
    )
    assert "percent = 0.001, count = 1, min_executed = 1" in answer.err


def test_what_to_write_instead_stops_at_the_first_failure() -> None:
    from rollout.gates.rules.threshold import trips
    from rollout.values import ThresholdGate

    rule = ThresholdGate(0.001, count=1, min_executed=1)
    assert trips(rule, 1, 90_000)
    assert not trips(rule, 0, 90_000)


def test_steps_by_the_million_are_refused(cli: Cli, tmp_path: Path) -> None:
    """A step of a second over a year would be planned for an hour."""
    cli("inventory", "--from", "scenario", "quick.toml")
    path = tmp_path / "steps.toml"
    long = QUICK.replace('duration = "8h"', 'duration = "365d"')
    path.write_text(long.replace('name = "quick"', 'name = "quick"\nstep = "1s"'))
    answer = cli("plan", path)
    assert answer.code == 4
    assert "phase 'all': step = \"1s\" is too short: the phase takes more than 250,000 steps" in answer.err


@pytest.mark.parametrize("value", [1e308, math.inf, math.nan, 0.0, 1e-300])
@pytest.mark.parametrize("name", ["prior_a", "prior_b"])
def test_evidence_is_always_a_number(name: str, value: float) -> None:
    """A prior that would make it "not a number" is refused: a HALT must not become a HOLD."""
    with pytest.raises(ValueError, match=name):
        halt_evidence(30, 40, EvidenceGate(**{name: value}))


@pytest.mark.parametrize("failed", [0, 1, 40, 5_000_000])
@pytest.mark.parametrize("prior", [0.001, 100_000.0])
@pytest.mark.parametrize(("p_ok", "p_bad"), [(1e-6, 1e-5), (0.5, 0.999999), (0.01, 0.05)])
def test_evidence_is_a_number_at_every_bound(failed: int, prior: float, p_ok: float, p_bad: float) -> None:
    gate = EvidenceGate(p_ok=p_ok, p_bad=p_bad, alpha=1e-12, beta=1e-12, prior_a=prior, prior_b=prior)
    assert not math.isnan(halt_evidence(failed, max(failed, 50), gate))


@pytest.mark.parametrize(
    "text", ["1e999%", "nan%", "sNaN%", "-infinity%", "Infinity%", "1e-999%", "100.0000001%"]
)
def test_no_text_makes_a_share_of_nonsense(text: str) -> None:
    with pytest.raises(ValueError, match="a share such as"):
        parse_share(text)


@pytest.mark.parametrize("text", ["3651d", "522w", "9" * 60 + "s", "9" * 6000 + "d", "1" * 200])
def test_no_duration_is_longer_than_ten_years(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration(text)
    assert parse_duration("3650d") == MAX_S


OPTIONS = {
    ("inventory", "--from", "scenario", "--taken", "9999-12-31"): "--taken: expected a date from 1990-01-01",
    (
        "inventory",
        "--from",
        "scenario",
        "--taken",
        "0001-01-01T00:00:00+14:00",
    ): "--taken: expected a date from 1990",
    ("inventory", "--from", "scenario", "--clients", "100000000000000000000"): "--clients",
    ("inventory", "--from", "scenario", "--clients", "9" * 5000): "--clients",
    ("inventory", "--from", "scenario", "--seed", "99999999999999999999"): "--seed",
    ("simulate", "quick.toml", "--clients", "10000001"): "--clients",
    ("simulate", "quick.toml", "--runs", "100000000000000000000"): "--runs",
    ("simulate", "quick.toml", "--seed", "-1"): "--seed",
    ("simulate", "quick.toml", "--workers", "1000000000000"): "--workers: expected at most 1,024",
    (
        "gate",
        "simulate",
        "quick.toml",
        "--rates",
        "nan",
    ): "--rates: expected percentages between 0 and 100, found nan",
    (
        "gate",
        "simulate",
        "quick.toml",
        "--rates",
        "1," * 200 + "1",
    ): "--rates: expected at most 100 percentages",
    (
        "gate",
        "simulate",
        "quick.toml",
        "--fail-hours",
        "1e300",
    ): "--fail-hours: expected 0.001 to 10,000 hours",
    (
        "gate",
        "simulate",
        "quick.toml",
        "--enroll-hours",
        "nan",
    ): "--enroll-hours",
    ("gate", "simulate", "quick.toml", "--runs", "1000000000"): "--runs",
    ("capacity", "--devices", "100000000000000000000"): "--devices: expected numbers from 1 to 10,000,000",
    ("capacity", "--internet", "nan"): "--internet",
    ("capacity", "--turned-away", "nan"): "--turned-away",
    ("capacity", "--within", "9999999d"): "--within: expected a duration of at most 3650 days",
    (
        "capacity",
        "--windows",
        ",".join(["1h"] * 200),
    ): "at most 100 pairs of --devices and --windows, found 200",
    ("tune", "quick.toml", "--budget", "9" * 400 + "d"): "--budget: expected a duration",
    ("tune", "quick.toml", "--trials", "100000000000000000000"): "--trials",
    ("preflight", "--stale-days", "99999999999999999999"): "stale days: expected at most 3,650",
    ("run", "--speed", "1e400"): "--speed: expected a positive factor or max",
    ("run", "--seed", "99999999999999999999"): "--seed",
    ("demo", "--runs", "99999999999999999999"): "--runs",
    ("workloads", "--site-version", "99999999999999999999"): "--site-version",
    ("workloads", "--flags", "8193", "--cap", "99999999999999999999"): "--cap",
}


@pytest.mark.parametrize("arguments", OPTIONS, ids=lambda item: " ".join(item)[:60])
def test_an_absurd_option_is_refused_in_a_line(cli: Cli, arguments: tuple[str, ...]) -> None:
    if arguments[0] in ("preflight", "run"):
        cli("inventory", "--from", "scenario", "quick.toml")
    answer = cli(*arguments)
    assert answer.code == 2, answer.err
    assert OPTIONS[arguments] in answer.err
    assert len(answer.err.splitlines()) <= 2
    assert "Traceback" not in answer.err


def test_an_error_is_one_line_whatever_it_quotes() -> None:
    assert RolloutError("a\nb\x1b[31m\u202e").message == "a\\nb\\x1b[31m\\u202e"


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ("model.clients", "unenroll_per_year = 5e-324"),
        ("model.service", "outages_per_year = 5e-324"),
        ("model.clients", 'heal = { median = "1s", p90 = "3650d" }'),
        ("model.service", 'outage = { median = "1s", p90 = "3650d" }\noutages_per_year = 1000.0'),
    ],
)
def test_what_happens_almost_never_is_simulated(section: str, line: str) -> None:
    """Times beyond those that a machine can count are "never", without a warning."""
    head = QUICK.replace("clients = 600", "clients = 40").replace('window = "immediate"\n', "")
    client = 'window = "immediate"\n' + (line + "\n" if section == "model.clients" else "")
    text = head + client + (f"[model.service]\n{line}\n" if section == "model.service" else "")
    made = plan_scenario(parse_scenario(text, "rare.toml"))
    assert simulate(made.plan, made.fleet, made.model, runs=1).devices == 40
