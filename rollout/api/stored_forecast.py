"""The latest forecast of a running rollout: kept in its journal by `run`, shown by `status` and `report`.

A forecast starts from one observation of the journal, so it names that observation's time.
"""

from __future__ import annotations

import math

from pydantic import ValidationError

from rollout.documents.forecast import ForecastDetails
from rollout.store import JournalReader
from rollout.text import instant, number
from rollout.values.forecast import Forecast

KIND = "forecast"
"""Kind of the journal's session rows that hold a forecast."""

WELL_MATCHED = 0.98
"""Below this matched share of the devices a forecast is shown with a warning."""


def latest(reader: JournalReader) -> Forecast | None:
    """Return the latest forecast in a journal, None if none can be read."""
    texts = [text for _, kind, text in reader.sessions() if kind == KIND]
    return of_text(texts[-1]) if texts else None


def of_text(text: str) -> Forecast | None:
    """Read what `text_of` wrote; None for anything else: a forecast is only shown, no decision depends on it."""
    try:
        return ForecastDetails.model_validate_json(text).forecast
    except ValidationError:
        return None


def text_of(forecast: Forecast) -> str:
    """Return a forecast as the journal keeps it: the `eta` of `rollout forecast --json`."""
    return ForecastDetails.of(forecast).model_dump_json()


def lines(forecast: Forecast, zone: str) -> list[tuple[str, str]]:
    """Return (name, sentence) for people: both ends as intervals, the failures, and the time it starts from."""
    low, middle, high = forecast.failed
    how = "assumptions fitted to this rollout" if forecast.calibrated else "assumptions as written"
    found = [
        ("90 % enrolled", interval(forecast.enrolled_90, zone)),
        ("done or given up", interval(forecast.done, zone)),
        ("failed in the end", f"{number(middle)} ({number(low)} … {number(high)})"),
        ("forecast made", f"{instant(forecast.as_of, zone)}, {how}"),
    ]
    if forecast.matched < WELL_MATCHED:
        found.append(
            ("note", f"the assumptions reproduce the state of only {forecast.matched:.0%} of the devices")
        )
    return found


def interval(instants: tuple[float, float, float], zone: str) -> str:
    """Return the likely instant with the interval of 8 in 10, as short as clarity allows."""
    p10, p50, p90 = (moment(at, zone) for at in instants)
    return p50 if p10 == p50 == p90 else f"{p50} ({p10} … {p90})"


def moment(at: float, zone: str) -> str:
    """Write an instant without its year and zone; the view around it names the zone."""
    if math.isinf(at):
        return "later than simulated"
    words = instant(int(at), zone).split()
    return " ".join([*words[:3], words[4]])
