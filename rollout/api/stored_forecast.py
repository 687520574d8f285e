"""What was last forecast of a running rollout: written into its journal by `run`, read by everybody who shows it.

A forecast plays the rollout on from a look of its journal, so it belongs to that look and says so.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rollout.report.facts import LEVEL_NAMES, Expected
from rollout.text import instant, iso, number

if TYPE_CHECKING:
    from rollout.store import JournalReader

KIND = "forecast"
"""Kind of the journal's session rows that hold one."""


def latest(reader: JournalReader) -> Expected | None:
    """Give the latest forecast in a journal, None if there is none that can be read."""
    texts = [text for _, kind, text in reader.sessions() if kind == KIND]
    return of_text(texts[-1]) if texts else None


def of_text(text: str) -> Expected | None:
    """Read what `text_of` wrote; None for anything else: a forecast is for looking at, nothing hangs on it."""
    try:
        return of_document(json.loads(text))
    except (ValueError, KeyError, TypeError):
        return None


def text_of(told: Mapping[str, Any]) -> str:
    """Give the `eta` of `rollout forecast --json` as it is kept."""
    return json.dumps(told, sort_keys=True, separators=(",", ":"))


def of_document(told: Mapping[str, Any]) -> Expected:
    """Read the `eta` of `rollout forecast --json`. Raise `KeyError`, `TypeError` or `ValueError` if it is none."""
    low, middle, high = (int(told["failed"][level]) for level in LEVEL_NAMES)
    return Expected(
        as_of=int(datetime.fromisoformat(told["as_of"]).timestamp()),
        done=_instants(told["done"]),
        through=_instants(told["enrolled_90"]),
        failed=(low, middle, high),
        halt_chance=float(told["halt_chance"]),
        calibrated=bool(told["calibrated"]),
        matched=float(told["matched"]),
    )


def _instants(told: Mapping[str, str | None]) -> tuple[float, float, float]:
    first, middle, last = (
        math.inf if told[level] is None else datetime.fromisoformat(str(told[level])).timestamp()
        for level in LEVEL_NAMES
    )
    return first, middle, last


def document(expected: Expected) -> dict[str, Any]:
    """Give it for scripts: instants UTC ISO 8601, None = not within the simulated time."""
    return expected.document(iso)


def lines(expected: Expected, zone: str) -> list[tuple[str, str]]:
    """Give (what, when) for people: the two ends as intervals, the failures, and as of when that is."""
    low, middle, high = expected.failed
    how = "fitted to it" if expected.calibrated else "as assumed"
    told = [
        ("90 % enrolled", interval(expected.through, zone)),
        ("all done", interval(expected.done, zone)),
        ("failed then", f"{number(middle)} ({number(low)} … {number(high)})"),
        ("forecast of", f"{instant(expected.as_of, zone)}, {how}"),
    ]
    if expected.matched < 0.98:
        told.append(("mind", f"only {expected.matched:.0%} stand where the assumptions would have them"))
    return told


def interval(instants: tuple[float, float, float], zone: str) -> str:
    """Give the likely instant with the interval of 8 in 10, as short as it is clear."""
    p10, p50, p90 = (moment(at, zone) for at in instants)
    return p50 if p10 == p50 == p90 else f"{p50} ({p10} … {p90})"


def moment(at: float, zone: str) -> str:
    """Write an instant without its year and zone; the view around it names the zone."""
    if math.isinf(at):
        return "later than simulated"
    words = instant(int(at), zone).split()
    return " ".join([*words[:3], words[4]])
