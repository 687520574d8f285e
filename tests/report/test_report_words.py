"""Text, JSON, tables and the three answers: one source, every format the same."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_facts import DAYS, NASTY, START, N, make_facts, make_plan, nasty_facts

from rollout.report import FINAL, AuditRow, JudgementRow, Tone, assess, json_report, text_report
from rollout.report.pictures.forecast import ForecastFan
from rollout.report.tables import csv_tables
from rollout.report.wording import (
    brief,
    capital,
    count,
    duration,
    hexcode,
    percent,
    time_ticks,
    when,
    zone_of,
)
from rollout.values import HOUR_S, Judgement, State, Verdict

EXAMPLES = settings(max_examples=200, derandomize=True, deadline=None)

STATES = ["planned", *map(str, State)]


@pytest.mark.parametrize("state", STATES)
def test_text_fits_80_columns(state: str) -> None:
    """No line of the text is longer than a terminal is wide, in any state."""
    for facts in (make_facts(state), replace(nasty_facts(), state=state)):
        assert max(len(line) for line in text_report(facts).splitlines()) <= 80


def test_text_and_json_show_the_same_figures() -> None:
    """Every outcome count and the headline of the JSON stand in the text."""
    facts = make_facts()
    text, figures = text_report(facts), json_report(facts)
    for key in FINAL:
        assert count(figures["final"][key]) in text
    assert figures["standing"]["headline"] in text
    assert figures["digest"][:12] in text


def test_all_devices_are_accounted_for() -> None:
    """Outcome counts add up to the inventory."""
    facts = make_facts()
    assert sum(facts.final[key] for key in FINAL) == facts.devices == N
    assert f"{count(N)} of {count(N)}" in text_report(facts)


def test_json_keys_are_stable() -> None:
    """These keys stay, whatever else is added."""
    wanted = (
        "schema title rollout digest state created as_of zone devices released final standing funnel excluded "
        "exclusions expected on_plan "
        "runs seed eta_hours eta halt_chance peak_per_hour baseline phases gates failures findings human_steps "
        "batches decisions audit"
    )
    figures = json_report(make_facts())
    assert set(wanted.split()) <= set(figures)
    assert set(figures["final"]) == set(FINAL)
    assert set(figures["eta_hours"]) == {"p10", "p50", "p90"}
    assert figures["failures"][0].keys() == {"code", "name", "class", "devices", "next_action"}
    assert figures["findings"][0].keys() == {"rule", "severity", "devices", "sentence", "next_action"}
    json.dumps(figures, allow_nan=False)


def test_json_without_a_forecast() -> None:
    """What is not known is null, not absent and not zero."""
    figures = json_report(make_facts("planned", simulation=None, load=None))
    assert figures["eta_hours"] is None
    assert figures["peak_per_hour"] is None
    assert figures["baseline"] is None
    json.dumps(figures, allow_nan=False)


@pytest.mark.parametrize(
    ("state", "tone", "headline"),
    [
        ("planned", Tone.GOOD, "Planned and simulated"),
        ("running", Tone.GOOD, "On course"),
        ("held", Tone.WATCH, "Held"),
        ("paused", Tone.WATCH, "Paused"),
        ("halted", Tone.BAD, "Halted"),
        ("aborted", Tone.BAD, "Aborted"),
        ("finished", Tone.GOOD, "Finished"),
    ],
)
def test_headline_follows_the_state(state: str, tone: Tone, headline: str) -> None:
    """Each state has its headline, and what went wrong is never called well."""
    assessment = assess(make_facts(state))
    assert assessment.tone == tone
    assert assessment.headline.startswith(headline)


@pytest.mark.parametrize(("pace", "headline"), [(0.5, "Behind"), (1.0, "On course"), (1.35, "Ahead")])
def test_running_is_compared_with_the_forecast(pace: float, headline: str) -> None:
    """Slower than the band is behind, faster is ahead."""
    assessment = assess(make_facts(pace=pace))
    assert assessment.headline.startswith(headline)
    assert (assessment.tone == Tone.WATCH) == (headline == "Behind")


def test_a_halt_verdict_outweighs_good_progress() -> None:
    """While the state still says running, a HALT is already shown."""
    judged = JudgementRow(START, 0, Judgement(Verdict.HALT, "HALT: 9 of 41 failed"))
    assessment = assess(make_facts(judgements=(judged,)))
    assert (assessment.tone, assessment.because) == (Tone.BAD, "HALT: 9 of 41 failed.")


def test_a_risky_plan_is_not_called_well() -> None:
    """A plan whose runs are often halted asks to be looked at."""
    facts = make_facts("planned")
    assert facts.simulation is not None
    risky = replace(facts, simulation=replace(facts.simulation, halt_chance=0.3))
    assert assess(risky).tone == Tone.WATCH


def test_a_plan_says_when_nine_of_ten_are_enrolled() -> None:
    """The end is when the last silent one is given up, which hardly differs between runs: 90 % says more."""
    facts = make_facts("planned")
    assert facts.simulation is not None
    told = replace(facts.simulation, enrolled_90_hours=(190.0, 200.0, 225.0), eta_hours=(300.0, 300.5, 301.0))
    said = assess(replace(facts, simulation=told)).done_range
    assert said == (
        "90 % of the devices are enrolled Tue 10 Nov 17:00 (Tue 10 Nov 07:00 to Wed 11 Nov 18:00); "
        "nearly all runs end then: the last devices to be given up are the silent ones"
    )
    assert json_report(replace(facts, simulation=told))["enrolled_90_hours"]["p90"] == 225.0
    assert json_report(facts)["enrolled_90_hours"] is None


def test_an_end_beyond_the_simulated_time_is_said() -> None:
    """An infinite quantile is a word in the text and null in the JSON, in every mixture."""
    inf = float("inf")
    forecast = make_facts().simulation
    assert forecast is not None
    for hours in ((250.0, inf, inf), (250.0, 300.0, inf), (inf, inf, inf)):
        facts = make_facts(simulation=replace(forecast, eta_hours=hours, baseline_eta_hours=hours))
        figures = json_report(facts)
        json.dumps(figures, allow_nan=False)
        assert figures["eta_hours"]["p90"] is None
        assert figures["eta"]["p90"] is None
        assert "than simulated" in text_report(facts)
        assert "than simulated" in assess(facts).done + assess(facts).done_range or hours[0] == inf
        assert ("Later" in assess(facts).done) == (hours[1] == inf)
        fan = ForecastFan.of(facts)
        assert fan is not None
        assert "simulated" in fan.span_words()
        assert all(np.isfinite(fan.span()))


def test_verdicts_are_taken_from_decisions_where_no_gate_wrote_its_own() -> None:
    """Each change of verdict is a row; releases in between are none."""
    facts = make_facts(judgements=())
    texts = ("go", "go", "hold", "hold", "pass", "go", "pass", "halt")
    rows = tuple(replace(row, verdict=text) for row, text in zip(facts.decisions, texts, strict=False))
    found = replace(facts, decisions=rows).verdicts
    assert [str(row.judgement.verdict) for row in found] == ["hold", "pass", "pass", "halt"]
    assert found[0].judgement.sentence == rows[2].reason


def test_a_final_state_promises_no_end() -> None:
    """A halted rollout shows no date of completion."""
    assessment = assess(make_facts("halted"))
    assert "2026" not in assessment.done + assessment.done_range


def test_control_characters_do_not_reach_the_terminal() -> None:
    """An escape sequence in a name is blanked."""
    facts = make_facts(title="a\x1b[31mb\x07", needs=("look\x1b[2J",))
    assert "\x1b" not in text_report(facts)
    assert "\x07" not in text_report(facts)


def test_tables_hold_every_batch_and_disarm_formulas() -> None:
    """CSV has one row a batch; a cell that a spreadsheet would run is quoted."""
    facts = make_facts(audit=(AuditRow(START, "x", "=HYPERLINK(1)", "+1"),))
    tables = csv_tables(facts)
    batches = list(csv.DictReader(io.StringIO(tables["batches.csv"].removeprefix("\ufeff"))))
    assert len(batches) == json_report(facts)["batches"]
    assert sum(int(row["devices"]) for row in batches) == facts.decisions[-1].released
    (audit,) = csv.DictReader(io.StringIO(tables["audit.csv"].removeprefix("\ufeff")))
    assert (audit["what"], audit["why"]) == ("'=HYPERLINK(1)", "'+1")


def test_tables_survive_hostile_names() -> None:
    """Quotes and commas come back as they were; a line end is written as such, so that a record is one line."""
    name = 'a"b,c\nd;' + NASTY
    tables = csv_tables(make_facts(plan=make_plan(names=(name, "all", "tail"))))
    rows = list(csv.DictReader(io.StringIO(tables["progress.csv"].removeprefix("\ufeff"), newline="")))
    written = name.replace("\n", "\\n")
    assert rows[-1]["phase"] in (written, "all")
    assert {row["phase"] for row in rows} == {written, "all"}


def test_forecast_table_names_its_levels() -> None:
    """One column a quantile, one row an hour."""
    rows = list(csv.DictReader(io.StringIO(csv_tables(make_facts())["forecast.csv"].removeprefix("\ufeff"))))
    assert list(rows[0]) == ["at", *(f"enrolled_p{p}" for p in (5, 10, 25, 50, 75, 90, 95))]
    assert len(rows) == 24 * DAYS + 1


@pytest.mark.parametrize(
    ("hours", "text"),
    [(0, "0 min"), (0.5, "30 min"), (5.5, "5 h 30 min"), (24, "1 d"), (302.5, "12 d 14 h"), (23.9999, "1 d")],
)
def test_durations_have_two_units(hours: float, text: str) -> None:
    """Durations read like speech."""
    assert duration(hours) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 10, "0 %"),
        (10, 10, "100 %"),
        (99_999, 100_000, "> 99.9 %"),
        (1, 100_000, "< 0.1 %"),
        (1, 3, "33.3 %"),
        (0, 0, "-"),
    ],
)
def test_percent_never_rounds_to_all_or_nothing(part: int, whole: int, text: str) -> None:
    """One device missing is not 100 %."""
    assert percent(part, whole) == text


def test_small_words() -> None:
    """Codes, names and sentences."""
    assert hexcode(-2145910746) == "0x80180026"
    assert capital("look here") == "Look here."
    assert capital("") == ""
    assert len(brief("x" * 100)) == 28
    assert when(START, zone_of("Europe/Berlin")) == "Mon 2 Nov 2026 09:00"


def test_unknown_zone_is_refused() -> None:
    """A zone that does not exist is named."""
    with pytest.raises(ValueError, match="Mars/Olympus"):
        zone_of("Mars/Olympus")


@EXAMPLES
@given(
    start=st.integers(1_600_000_000, 1_900_000_000),
    span=st.integers(1, 400 * 86400),
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"]),
)
def test_ticks_are_few_ordered_and_on_round_local_times(start: int, span: int, zone: str) -> None:
    """Ticks lie within the axis, rise, are at most nine, and on whole local hours."""
    ticks, labels = time_ticks(start, start + span, ZoneInfo(zone))
    assert len(ticks) == len(labels) <= 9
    assert all(start <= tick <= start + span for tick in ticks)
    assert ticks == sorted(set(ticks))
    for tick in ticks:
        local = datetime.fromtimestamp(tick, tz=ZoneInfo(zone))
        assert local.second == 0
        if span > timedelta(days=8).total_seconds():
            assert (
                local.hour == 0
                or local.dst() != datetime.fromtimestamp(start, tz=UTC).astimezone(local.tzinfo).dst()
            )


def test_day_ticks_fall_on_midnight_across_a_clock_change() -> None:
    """The last Sunday of October has 25 hours in Berlin; the ticks stay at midnight."""
    zone = ZoneInfo("Europe/Berlin")
    start = int(datetime(2026, 10, 22, tzinfo=zone).timestamp())
    ticks, _ = time_ticks(start, start + 7 * 86400, zone)
    assert {datetime.fromtimestamp(tick, tz=zone).hour for tick in ticks} == {0}


def test_hours_of_the_forecast_are_counted_from_its_origin() -> None:
    """eta is origin plus eta_hours."""
    figures = json_report(make_facts())
    p50 = datetime.fromisoformat(figures["eta"]["p50"]).timestamp()
    assert p50 == START + 302.5 * HOUR_S
