"""Numbers, instants and durations as people read them; the same words in text, page and pictures."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from rollout.values import DAY_S, HOUR_S

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
TICK_STEPS_S = tuple(HOUR_S * hours for hours in (1, 2, 3, 6, 12, 24, 48, 96, 168, 336, 672, 1344, 2688))


def zone_of(name: str) -> tzinfo:
    """Return the zone called `name`; raise a `ValueError` for an unknown one."""
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"zone: expected an IANA name, found {name!r}") from error


LATER = "later than simulated"
"""The text for an instant that the simulated time does not reach."""


def local(at: float, zone: tzinfo) -> datetime:
    """Return the instant as an aware time in `zone`, to the second."""
    return datetime.fromtimestamp(int(at), tz=zone)


def count(value: float) -> str:
    """Return a whole number with thousands separated: 100,000."""
    return f"{round(float(value)):,}"


def percent(part: float, whole: float) -> str:
    """Return a share; small ones with a decimal, and never 100 % or 0 % unless it is exactly that."""
    if whole <= 0:
        return "-"
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "< 0.1 %"
    if 99.9 < share < 100:
        return "> 99.9 %"
    return f"{share:.0f} %" if share in (0, 100) else f"{share:.1f} %"


def when(at: float, zone: tzinfo) -> str:
    """Return an instant: ``Mon 2 Nov 2026 08:00``."""
    if math.isinf(at):
        return LATER
    t = local(at, zone)
    return f"{day(at, zone)} {t.year} {t:%H:%M}"


def moment(at: float, zone: tzinfo) -> str:
    """Return an instant without its year: ``Mon 2 Nov 08:00``."""
    return LATER if math.isinf(at) else f"{day(at, zone)} {local(at, zone):%H:%M}"


def day(at: float, zone: tzinfo) -> str:
    """Return a day: ``Mon 2 Nov``."""
    if math.isinf(at):
        return LATER
    t = local(at, zone)
    return f"{DAYS[t.weekday()]} {t.day} {MONTHS[t.month - 1]}"


def duration(hours: float) -> str:
    """Return a duration with two units at most: ``13 d 4 h``, ``5 h 30 min``, ``20 min``."""
    if math.isinf(hours):
        return "longer than simulated"
    minutes = round(hours * 60)
    days, rest = divmod(minutes, 24 * 60)
    whole_hours, rest_minutes = divmod(rest, 60)
    if days:
        return f"{days} d {whole_hours} h" if whole_hours else f"{days} d"
    if whole_hours:
        return f"{whole_hours} h {rest_minutes} min" if rest_minutes else f"{whole_hours} h"
    return f"{rest_minutes} min"


def short(digest: str) -> str:
    """Return the first 12 digits of a digest, which is what people compare."""
    return digest[:12]


def hexcode(code: int) -> str:
    """Return a failure code as an unsigned HRESULT: ``0x80180026``."""
    return f"0x{code & 0xFFFFFFFF:08X}"


def brief(name: str, most: int = 28) -> str:
    """Return a name in at most `most` characters: names come from outside, and pictures are small."""
    return name if len(name) <= most else name[: most - 1].rstrip() + "…"


def capital(sentence: str) -> str:
    """Return the sentence with its first letter large and a full stop at its end."""
    text = sentence.strip()
    if not text:
        return text
    return text[0].upper() + text[1:] + ("" if text[-1] in ".!?…" else ".")


def time_ticks(start: float, end: float, zone: tzinfo, most: int = 8) -> tuple[list[int], list[str]]:
    """Return at most about `most` instants in [start, end] on round local times, and their labels.

    Steps of whole days fall on local midnight, also across a change of the clock.
    """
    span = max(end - start, HOUR_S)
    step = next((s for s in TICK_STEPS_S if span / s <= most), TICK_STEPS_S[-1])
    midnight = local(start, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    label = _day_label if step >= DAY_S else _hour_label
    ticks: list[int] = []
    labels: list[str] = []
    for t in _steps(midnight, step, end):
        if t.timestamp() >= start:
            ticks.append(int(t.timestamp()))
            labels.append(label(t))
    return ticks, labels


def _steps(midnight: datetime, step: int, end: float) -> list[datetime]:
    out: list[datetime] = []
    wall = midnight.replace(tzinfo=None)
    t = midnight
    while t.timestamp() <= end:
        out.append(t)
        wall += timedelta(seconds=step)
        t = wall.replace(tzinfo=midnight.tzinfo)
    return out


def _day_label(t: datetime) -> str:
    return f"{DAYS[t.weekday()]}\n{t.day} {MONTHS[t.month - 1]}"


def _hour_label(t: datetime) -> str:
    return _day_label(t) if t.hour == 0 and t.minute == 0 else f"{t:%H:%M}"
