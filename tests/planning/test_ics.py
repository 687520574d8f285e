"""The iCalendar file, read back by a reader that knows only the rules of RFC 5545."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plan_builders import MONDAY, make_inventory, plan_of

from rollout.planning.ics import calendar_text, escaped, folded
from rollout.planning.schedule import nominal_batches


def events(text: str) -> list[dict[str, str]]:
    """Unfold, split and unescape."""
    assert text.endswith("END:VCALENDAR\r\n")
    raw = text.encode()
    assert b"\n" not in raw.replace(b"\r\n", b"")
    assert all(len(line) <= 75 for line in raw.split(b"\r\n"))
    lines = text.replace("\r\n ", "").split("\r\n")
    found: list[dict[str, str]] = []
    for line in lines[:-1]:
        name, _, value = line.partition(":")
        if line == "BEGIN:VEVENT":
            found.append({})
        elif found and name not in ("BEGIN", "END"):
            found[-1][name] = value
    return found


def instant_of(value: str) -> int:
    return int(dt.datetime.strptime(value, "%Y%m%dT%H%M%S%z").timestamp())


def total(event: dict[str, str]) -> int:
    return int(event["SUMMARY"].split(": ")[1].split()[0])


def texts_of(**document: Any) -> tuple[list[dict[str, str]], list[tuple[int, int, int]]]:
    plan = plan_of(make_inventory(3000), name="Grüße, Welt; ok", **document)
    return events(calendar_text(plan, stamp=MONDAY)), nominal_batches(plan)


def test_every_window_with_batches_is_an_event() -> None:
    """It spans the window, counts its devices, and all devices are in some event."""
    found, batches = texts_of(
        windows=[{"days": "Mon-Fri", "from": "22:00", "to": "02:00"}], zone="Europe/Berlin"
    )
    assert sum(total(event) for event in found) == 3000
    for event in found:
        opens, closes = instant_of(event["DTSTART"]), instant_of(event["DTEND"])
        assert closes - opens == 4 * 3600
        assert total(event) == sum(count for at, _, count in batches if opens <= at < closes)
    assert len({event["UID"] for event in found}) == len(found)
    assert found[0]["SUMMARY"].startswith("Grüße\\, Welt\\; ok: ")
    assert "\\nPlan digest " in found[0]["DESCRIPTION"]


def test_without_windows_a_day_is_an_event() -> None:
    """From its first batch to a step after its last."""
    found, batches = texts_of(phases=[{"name": "all", "pacing": {"mode": "duration", "duration": "60h"}}])
    assert len(found) == 3
    assert sum(total(event) for event in found) == 3000
    assert instant_of(found[0]["DTSTART"]) == batches[0][0]
    assert instant_of(found[-1]["DTEND"]) == batches[-1][0] + 3600


def test_a_day_whose_window_the_clock_skips_is_an_event_of_its_own() -> None:
    """02:00-03:00 on 28 March 2027 in Berlin: an all-day event says that nothing is released."""
    found, _ = texts_of(
        windows=[{"from": "02:00", "to": "03:00"}],
        zone="Europe/Berlin",
        start=dt.datetime(2027, 3, 26),
        phases=[{"name": "all", "pacing": {"mode": "batches", "batches": 4, "every": "1h"}}],
    )
    days = [event for event in found if "DTSTART;VALUE=DATE" in event]
    assert [event["DTSTART;VALUE=DATE"] for event in days] == ["20270328"]
    assert days[0]["SUMMARY"].endswith("no change window")
    assert len(found) == 5


SIX_HOURLY = [{"name": "all", "pacing": {"mode": "batches", "batches": 10, "every": "6h"}}]


def spans(found: list[dict[str, str]]) -> list[tuple[str, str]]:
    return [(event["DTSTART"], event["DTEND"]) for event in found]


def test_a_night_on_which_the_clock_goes_back_is_one_event() -> None:
    """Saturday 22:00-06:00 in Berlin, 25 October 2025: nine hours, one event, written in UTC."""
    found, _ = texts_of(
        windows=[{"days": "Sat", "from": "22:00", "to": "06:00"}],
        zone="Europe/Berlin",
        start=dt.datetime(2025, 10, 24),
        phases=[{"name": "all", "pacing": {"mode": "batches", "batches": 5, "every": "2h"}}],
    )
    assert spans(found) == [("20251025T200000Z", "20251026T050000Z")]
    assert total(found[0]) == 3000


@pytest.mark.parametrize("days", [{}, {"days": "Sat-Mon"}])
def test_whole_days_are_an_event_each_also_when_the_clock_goes_back(days: dict[str, str]) -> None:
    """00:00-24:00 in London over 26 October 2025, which has 25 hours: not one event of three days or two years."""
    found, batches = texts_of(
        windows=[{**days, "from": "00:00", "to": "24:00"}],
        zone="Europe/London",
        start=dt.datetime(2025, 10, 25),
        phases=SIX_HOURLY,
    )
    assert [event["DTSTART"][:8] for event in found] == ["20251024", "20251025", "20251027"]
    assert sum(total(event) for event in found) == 3000
    assert sum(count for _, _, count in batches) == 3000
    for event in found:
        opens, closes = instant_of(event["DTSTART"]), instant_of(event["DTEND"])
        assert 0 < closes - opens <= 25 * 3600
        assert total(event) == sum(count for at, _, count in batches if opens <= at < closes)


def test_a_wave_is_an_event_at_its_time() -> None:
    """02:00 in Berlin: 01:00 UTC for the two days on which it shows 02:00 in winter or skips it, then 00:00 UTC."""
    found, _ = texts_of(
        windows=[{"at": "02:00"}],
        zone="Europe/Berlin",
        start=dt.datetime(2027, 3, 26, 12),
        phases=[{"name": "all", "pacing": {"mode": "batches", "batches": 3}}],
    )
    assert spans(found) == [
        ("20270327T010000Z", "20270327T020000Z"),
        ("20270328T010000Z", "20270328T020000Z"),
        ("20270329T000000Z", "20270329T010000Z"),
    ]


@settings(derandomize=True, max_examples=300, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=300))
def test_folding_loses_nothing(line: str) -> None:
    """No line is longer than 75 octets, no character is cut, and unfolding gives the line back."""
    raw = folded(line)
    assert all(len(part.encode()) <= 75 for part in raw.split("\r\n"))
    assert raw.removesuffix("\r\n").replace("\r\n ", "") == line


def test_text_is_escaped() -> None:
    """Commas, semicolons, backslashes and line breaks mean something there."""
    assert escaped("a,b;c\\d\ne\r\nf") == "a\\,b\\;c\\\\d\\ne\\nf"
