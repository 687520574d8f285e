"""Change windows and batches as an iCalendar file (RFC 5545), for Outlook and similar programs."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from zoneinfo import ZoneInfo

from rollout.pacing.calendar import NoOpening, skipped
from rollout.planning.schedule import nominal_batches
from rollout.text import visible
from rollout.values import DAY_S, HOUR_S, Plan

LINE_BYTES = 75
"""A longer line is folded: RFC 5545, section 3.1."""

Batch = tuple[int, int, int]


def calendar_text(plan: Plan, *, stamp: int) -> str:
    """Return the plan's change windows as events, one for each window in which a batch is due.

    stamp : Unix seconds at which the file is made. The times assume that every gate passes at once.
    """
    lines = [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//rollout//rollout plan//EN",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        f"X-WR-CALNAME:{escaped('Rollout ' + plan.name)}",
    ]
    for number, (opens, closes, batches) in enumerate(_sessions(plan), 1):
        lines += _event(plan, number, (opens, closes), batches, stamp)
    last = max((at for at, _, _ in nominal_batches(plan)), default=plan.start)
    missing = skipped(plan.windows, plan.start, last, plan.zone_names)
    for number, opening in enumerate(missing, 1):
        lines += _day_without_window(plan, number, opening, stamp)
    return "".join(folded(line) for line in (*lines, "END:VCALENDAR"))


def _day_without_window(plan: Plan, number: int, opening: NoOpening, stamp: int) -> list[str]:
    """An all-day event that says that nothing is released."""
    return [
        "BEGIN:VEVENT",
        f"UID:{plan.digest[:32]}-none-{number}@rollout.invalid",
        f"DTSTAMP:{_utc(stamp)}",
        f"DTSTART;VALUE=DATE:{opening.day:%Y%m%d}",
        f"DTEND;VALUE=DATE:{opening.day + dt.timedelta(days=1):%Y%m%d}",
        f"SUMMARY:{escaped(f'{plan.name}: no change window')}",
        f"DESCRIPTION:{escaped(str(opening))}",
        "TRANSP:TRANSPARENT",
        "END:VEVENT",
    ]


def escaped(text: str) -> str:
    """Escape a text value: RFC 5545, section 3.3.11. Control characters, not allowed there, are made visible."""
    lines = (visible(line) for line in text.replace("\r\n", "\n").split("\n"))
    return "\\n".join(line.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,") for line in lines)


def folded(line: str) -> str:
    """Return a content line with its line break; longer than 75 octets it is folded between characters."""
    pieces, piece, size = [], "", 0
    for letter in line:
        width = len(letter.encode())
        if size + width > LINE_BYTES:
            pieces.append(piece)
            piece, size = " ", 1
        piece += letter
        size += width
    return "\r\n".join((*pieces, piece)) + "\r\n"


def _sessions(plan: Plan) -> Iterator[tuple[int, int, list[Batch]]]:
    """Windows with their batches. A window that is open for longer than a day becomes one session per local day."""
    batches = nominal_batches(plan)
    zone = ZoneInfo(plan.zone)
    current: list[Batch] = []
    key: object = None
    for batch in batches:
        span = _window_of(plan, batch[0])
        this = span if _is_a_window(span) else (span, dt.datetime.fromtimestamp(batch[0], zone).date())
        if current and this != key:
            yield (*_extent(plan, current), current)
            current = []
        key = this
        current.append(batch)
    if current:
        yield (*_extent(plan, current), current)


def _window_of(plan: Plan, at: int) -> tuple[int, int]:
    index = int(plan.calendar.opens.searchsorted(at, side="right")) - 1
    return int(plan.calendar.opens[index]), int(plan.calendar.closes[index])


def _extent(plan: Plan, batches: Sequence[Batch]) -> tuple[int, int]:
    """Return a window or, if it is open for over a day, the time from its first batch to a step after its last."""
    span = _window_of(plan, batches[0][0])
    if _is_a_window(span):
        return span
    last = batches[-1]
    return batches[0][0], min(span[1], last[0] + plan.phases[last[1]].step_s)


def _is_a_window(span: tuple[int, int]) -> bool:
    """Return whether an opening is one that people would call a window: at most a day, that of 25 hours included."""
    return span[1] - span[0] <= DAY_S + HOUR_S


def _event(plan: Plan, number: int, span: tuple[int, int], batches: Sequence[Batch], stamp: int) -> list[str]:
    total = sum(count for _, _, count in batches)
    names = ", ".join(dict.fromkeys(plan.phases[phase].name for _, phase, _ in batches))
    zone = ZoneInfo(plan.zone)
    rows = [
        f"{dt.datetime.fromtimestamp(at, zone):%Y-%m-%d %H:%M %Z}  {plan.phases[phase].name}: {count} devices"
        for at, phase, count in batches
    ]
    text = "\n".join(
        [f"Into '{plan.collection}', if every gate passes at once:", *rows, f"Plan digest {plan.digest[:12]}"]
    )
    return [
        "BEGIN:VEVENT",
        f"UID:{plan.digest[:32]}-{number}@rollout.invalid",
        f"DTSTAMP:{_utc(stamp)}",
        f"DTSTART:{_utc(span[0])}",
        f"DTEND:{_utc(span[1])}",
        f"SUMMARY:{escaped(f'{plan.name}: {total} devices ({names})')}",
        f"DESCRIPTION:{escaped(text)}",
        "TRANSP:TRANSPARENT",
        "END:VEVENT",
    ]


def _utc(at: int) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y%m%dT%H%M%SZ")
