"""Makes scenarios and exports that nobody would write, from a seed; and what every refusal must look like."""

from __future__ import annotations

import copy
import datetime as dt
import math
import random
import signal
import time
import typing
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, Literal

import tomli_w
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from rollout.errors import RolloutError
from rollout.policy.mistakes import models_within
from rollout.policy.section import Policy
from sim.fleet.population import FleetModel
from sim.model import Model
from sim.scenario import Targets, parse_scenario

Document = dict[str, Any]

SECTIONS: Final[dict[str, type[BaseModel]]] = {
    "rollout": Policy,
    "fleet": FleetModel,
    "model": Model,
    "targets": Targets,
}

LIMIT_S: Final = 60
"""So many seconds of processor time a small case may take, on a busy machine; the usual one takes less than one."""

HOSTILE: Final = (
    "",
    " ",
    "\n",
    "a\nb",
    "\x1b[31mred\x1b[0m",
    "\u202egnp.exe",
    "[red]x[/red]",
    "[/nope]",
    "</script>",
    "=cmd|' /C calc'!A0",
    "%",
    "\ufeff",
    "\x00",
    "x" * 5000,
    "9" * 400,
    "ß" * 300,
    "٣",
    "*",
    "../../etc/passwd",
    '"',
    "'",
    "inf",
    "nan",
    "1e999",
)

DURATIONS: Final = (
    *(
        "0s",
        "1s",
        "59s",
        "1m",
        "1h",
        "6h",
        "1d",
        "5d",
        "60d",
        "730d",
        "3650d",
        "3651d",
        "520w",
        "0.5s",
        "1.5h",
    ),
    *("999999999999d", "9" * 300 + "d", "1d1d", "-1d", "1e9d", "0d", "infd", "nand", "immediate", "1d" * 40),
)
NUMBERS: Final = (
    *(0, 1, 2, 3, 7, 20, 50, 59, 60, 100, 200, 366, 1440, 1441, 3600, 86400, 100_000, 10_000_000, 10_000_001),
    *(-1, -(2**31), 2**31, 2**32, 2**53, 2**63 - 1, 2**63, 10**20 - 1, 10**308, 10**400, -(10**20)),
    *(0.0, -0.0, 5e-324, 1e-300, 1e-12, 1e-9, 1e-7, 1e-6, 0.001, 0.01, 0.1, 0.25, 0.5, 0.999, 1 - 1e-12),
    *(1.0, 1.5, 33.3, 99.9999999, 100.0, 100.1, 1e6, 1e9, 1e18, 1e308, -1e308, math.inf, -math.inf, math.nan),
)
MILD: Final[dict[int, Sequence[object]]] = {
    id(DURATIONS): ("0s", "1s", "1m", "1h", "6h", "1d", "5d", "60d", "730d", "3650d", "immediate"),
    id(NUMBERS): (
        0,
        1,
        2,
        3,
        7,
        20,
        60,
        100_000,
        10_000_000,
        1e-7,
        0.001,
        0.01,
        0.1,
        0.25,
        0.5,
        1.0,
        33.3,
        100.0,
    ),
}
"""Values that are more often within the bounds."""
SHARES: Final = (
    "0%",
    "1%",
    "10%",
    "33.3%",
    "50%",
    "100%",
    "101%",
    "-1%",
    "1e-9%",
    "1e999%",
    "nan%",
    "infinity%",
    "%",
)
MOMENTS: Final = (
    *(
        dt.date(1, 1, 1),
        dt.date(1969, 12, 31),
        dt.date(1970, 1, 1),
        dt.date(2000, 2, 29),
        dt.date(2026, 12, 7),
    ),
    *(
        dt.date(2026, 12, 25),
        dt.date(2199, 12, 31),
        dt.date(9999, 12, 31),
        dt.time(0, 0),
        dt.time(23, 59, 59, 9),
    ),
    *(dt.datetime(1, 1, 1), dt.datetime(2026, 12, 7, 8), dt.datetime(9999, 12, 31, 23, 59, 59)),
    dt.datetime(1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=14))),
    dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.timezone(-dt.timedelta(hours=12))),
    *(
        "2026-12-08",
        "2026-12-07T08:00:00",
        "0001-01-01",
        "9999-12-31",
        "2026-02-30",
        "24:00",
        "25:00",
        "02:00",
    ),
    *("22:00-02:00", "12:00-12:00", "Mon-Fri", "Sun-Sat", "Xyz", "Mon-"),
)
RULES: Final = (
    *("FREQ=DAILY", "FREQ=WEEKLY;BYDAY=MO", "FREQ=MONTHLY;BYDAY=2TU", "FREQ=YEARLY;BYEASTER=-2"),
    *("FREQ=DAILY;BYYEARDAY=366;BYMONTH=1", "FREQ=DAILY;BYSETPOS=5", "FREQ=YEARLY;BYEASTER=400"),
    *("FREQ=DAILY;INTERVAL=0", "FREQ=DAILY;INTERVAL=999999999999", "FREQ=DAILY;COUNT=99999999999999999999"),
    *(
        "FREQ=DAILY;UNTIL=00010101",
        "FREQ=DAILY;UNTIL=99991231T235959Z",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
    ),
    *(
        "FREQ=SECONDLY",
        "FREQ=",
        "FREQ=DAILY\nEXDATE:20261207T000000",
        "FREQ=YEARLY;BYWEEKNO=54",
        "FREQ=DAILY;BYMONTH=13",
        "FREQ=DAILY;COUNT=3;UNTIL=20261224",
    ),
)
WORDS: Final = (
    *(
        "auto",
        "rate",
        "duration",
        "by_date",
        "points",
        "ramp",
        "batches",
        "rest",
        "never",
        "gate",
        "halt",
        "hold",
    ),
    *(
        "tail",
        "pilot",
        "site",
        "model",
        "name",
        "id",
        "serial",
        "zone",
        "device",
        "Europe/Berlin",
        "UTC",
        "America/Lima",
    ),
    *(
        "workload",
        "compliance",
        "enroll",
        "plan",
        "remaining",
        "random",
        "transient",
        "identity",
        "intune",
        "all",
    ),
    *("Berlin", "berlin", "*", "BER-*", "10.0.26100.1", "E1", "public", "gov"),
)


def _nested(rng: random.Random) -> object:
    """Give a list, table or mixture, some of them very deep or long."""
    kind = rng.randrange(6)
    if kind == 0:
        return []
    if kind == 1:
        return {}
    if kind == 2:
        deep: object = 1
        for _ in range(rng.choice((3, 60, 300))):
            deep = [deep] if rng.random() < 0.5 else {"a": deep}
        return deep
    if kind == 3:
        return [any_value(rng) for _ in range(rng.randrange(1, 5))]
    if kind == 4:
        return [any_value(rng)] * rng.choice((2, 300, 10_001))
    return {rng.choice((*HOSTILE, "mode", "percent", "name")) or "k": any_value(rng) for _ in range(3)}


def any_value(rng: random.Random) -> object:
    """Give a value of any kind, mostly one at a bound."""
    pools: tuple[Sequence[object], ...] = (
        *(
            NUMBERS,
            NUMBERS,
            DURATIONS,
            DURATIONS,
            SHARES,
            MOMENTS,
            WORDS,
            WORDS,
            HOSTILE,
            RULES,
            (True, False),
        ),
    )
    if rng.random() < 0.1:
        return _nested(rng)
    return rng.choice(rng.choice(pools))


def base(rng: random.Random) -> Document:
    """Give a small scenario that is good, with one of several ways of pacing."""
    pacing: object = rng.choice(
        (
            {"mode": "auto"},
            {"mode": "rate", "devices": 9, "every": "1h"},
            {"mode": "rate", "percent": 25.0},
            {"mode": "duration", "duration": "12h"},
            {"mode": "by_date", "date": "2026-12-12"},
            {"mode": "points", "points": [["0s", "10%"], ["9h", "100%"]]},
            {"mode": "ramp", "base": 5, "succeeded": 10},
            {"mode": "batches", "batches": [2, "10%", "rest"], "every": "2h"},
            {"mode": "batches", "batches": 4},
        )
    )
    length = {"median": "1h", "p90": "3h"}
    used = {"weekday": 0.6, "weekend": 0.3, "turned_off": 0.5}
    code = {"code": 0x80180005, "rate": 0.1}
    return {
        "rollout": {
            "name": "fuzz",
            "zone": "Europe/Berlin",
            "start": "2026-12-07T08:00:00",
            "mature_after": "8h",
            "straggler_after": "3d",
            "look_every": "1h",  # a held rollout is looked at until the horizon
            "windows": [{"days": "Mon-Fri", "from": "07:00", "to": "19:00"}] if rng.random() < 0.5 else [],
            "freezes": [{"rrule": "FREQ=WEEKLY;BYDAY=WE", "from": "2026-12-01"}]
            if rng.random() < 0.3
            else [],
            "gate": {"evidence": {}, "thresholds": [{"percent": 20.0}] if rng.random() < 0.5 else []},
            "budgets": {"in_flight": 30} if rng.random() < 0.2 else {},
            "phases": [
                {
                    "name": "pilot",
                    "devices": 9,
                    "pacing": {"mode": "duration", "duration": "4h"},
                    "soak": "8h",
                },
                {"name": "all", "pacing": pacing},
            ],
        },
        "fleet": {
            "clients": 40,
            "sites": [{"name": "Berlin", "zone": "Europe/Berlin"}, {"name": "Lima", "zone": "America/Lima"}],
            "models": [{"name": "One", "manufacturer": "Some"}, {"name": "Two", "manufacturer": "Some"}],
            "builds": [{"version": "10.0.26100.1"}],
        },
        "model": {
            "horizon": "12d",
            "clients": {
                "window": "2h",
                **{key: dict(length) for key in ("heal", "enrollment", "report_lag")},
                "failures": [code],
                "failure": [{"column": "site", "level": "Lima", "rate": 0.2}],
            },
            "presence": {
                **{key: dict(used) for key in ("always_on", "office", "laptop", "rarely_on")},
                "pause_length": dict(length),
            },
            "service": {
                "capacity_per_minute": 1,
                "outages": [{"after": "30h", "lasts": "3h"}],
                "outage": dict(length),
            },
        },
        "targets": {"finish_within_h": 500.0},
    }


def _fitting(field: FieldInfo) -> Sequence[object]:
    """Give values of the kind that a key takes, good ones and ones beyond its bounds."""
    text = repr(field)
    literals = [literal for literal in _literals(field.annotation) if isinstance(literal, str)]
    if "_seconds" in text or "seconds_of" in text:
        return DURATIONS
    if "parse_share" in text or "_batches" in text:
        return (*SHARES, *NUMBERS)
    if "date" in text or "_minutes" in text or "_days" in text or "_hours" in text or "_holiday" in text:
        return MOMENTS
    if literals:
        return literals
    if "bool" in text and "str" not in text:
        return (True, False)
    if "float" in text or "int" in text:
        return NUMBERS
    return WORDS


def _literals(annotation: object) -> list[object]:
    """Give all values of the literals within an annotation."""
    inner = typing.get_args(annotation)
    if typing.get_origin(annotation) is Literal:
        return list(inner)
    return [value for item in inner for value in _literals(item)]


def _places(
    model: type[BaseModel], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Sequence[object]]]:
    """Give the path of every key of a model and values for it, those of nested models with it."""
    for name, field in model.model_fields.items():
        here = (*path, field.alias or name)
        inner = models_within(field.annotation)
        if not inner:
            yield here, RULES if name == "rrule" else _fitting(field)
        for item in inner:
            yield from _places(item, here)


PLACES: Final = [
    ((section, *path), values) for section, model in SECTIONS.items() for path, values in _places(model)
]
"""The path of every key that a scenario may have, from the models that read it, and values for it."""


def _put(document: Document, path: tuple[str, ...], value: object, rng: random.Random) -> None:
    """Set a key; what lies on the way to it is made, and of a list the first or the last entry is meant."""
    here: Any = document
    for part in path[:-1]:
        inner = here.get(part)
        if isinstance(inner, list):
            if not inner:
                inner.append({})
            inner = inner[rng.choice((0, -1))]
        if not isinstance(inner, dict):
            inner = here[part] = {}
        here = inner
    here[path[-1]] = value


def scenario_text(rng: random.Random) -> str:
    """Give the text of a scenario of which one to three keys are strange, or whose text itself is damaged."""
    document = base(rng)
    if rng.random() < 0.5:
        return _extreme(document, rng)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        path, fitting = rng.choice(PLACES)
        mild = MILD.get(id(fitting), fitting) if rng.random() < 0.5 else fitting
        value = copy.deepcopy(rng.choice(mild) if rng.random() < 0.9 else any_value(rng))
        _put(document, path[: rng.choice((len(path), 2))] if rng.random() < 0.1 else path, value, rng)
        if rng.random() < 0.03:
            document[rng.choice((*HOSTILE, "extra"))] = value
    text = _written(document)
    if rng.random() < 0.08:
        return _damaged(text, rng)
    return text


def _extreme(document: Document, rng: random.Random) -> str:
    """Give a scenario that is read, with several keys at the ends of what they may be."""
    text = _written(document)
    for _ in range(rng.randrange(6, 30)):
        changed = copy.deepcopy(document)
        path, fitting = rng.choice(PLACES)
        _put(changed, path, rng.choice(fitting), rng)
        try:
            parse_scenario(written := _written(changed), "fuzz.toml")
        except RolloutError:
            continue
        document, text = changed, written
    return text


def _written(document: Document) -> str:
    try:
        return tomli_w.dumps(document)
    except (RecursionError, ValueError):  # an integer that Python does not write: as a person might
        return f'[rollout]\nname = "x"\nstep = {"[" * 5000}\n'


def _damaged(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text) + 1)
    put = rng.choice(
        (
            "\nx = " + "9" * 6000,
            "\nx = 0x" + "f" * 20_000,
            "\nx = " + "[" * 3000 + "]" * 3000,
            "\nx = " + "{a = " * 2000,
            "\n" + ".".join("a" * 2000) + " = 1",
            "\n[" + ".".join("a" * 2000) + "]",
            "\n[rollout]",
            "\x00",
            "\n'''",
            '"',
            "= =",
            '\n"a\\nb" = 1',
            "\nlook_every = 1979-05-27T07:32:00Z",
            "\ufeff",
            "\r",
        )
    )
    if rng.random() < 0.5:
        return text[:at] + put + text[at + rng.randrange(20) :]
    line = text.find("\n", at)
    line = len(text) if line < 0 else line
    return text[:line] + put + text[line:]


class TooSlowError(Exception):
    """A case that takes longer than anybody waits."""


@contextmanager
def limited(seconds: int = LIMIT_S) -> Iterator[None]:
    """Raise `TooSlowError` in a block that takes longer, where the system has such a timer."""

    def late(_signal: int, _frame: object) -> None:
        raise TooSlowError

    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def answer_of(act: Callable[[], str]) -> tuple[str, str]:
    """Give ("ok", what came out) or ("refused", the line); any other exception goes through.

    A refusal is one line without control characters, and says something.
    """
    begun = time.process_time()
    with limited():
        try:
            told = "ok", act()
        except RolloutError as error:
            told = "refused", error.message
    assert time.process_time() - begun < LIMIT_S
    line = told[1] if told[0] == "refused" else "answered"
    assert line.strip(), "an empty refusal"
    assert line.isprintable(), f"a refusal that is not one line: {line!r}"
    assert len(line) < 1000, f"a refusal of {len(line)} characters"
    return told
