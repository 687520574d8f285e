"""Text from outside stays text: in every field of every input, through every verb, in every output."""

from __future__ import annotations

import json
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from documents_world import COMMAND, LOG, STATES
from export_builders import configmgr, configmgr_row, entra, entra_row, intune, intune_row
from fleet_files import CONFIGMGR_HEADER, ENTRA_HEADER, INTUNE_HEADER
from hostile import NOT_UTF8, REFUSED, TAKEN, Asked, asked, check_file, steering, text_parameters

from rollout.cli.app import VERBS
from rollout.store import open_database

NAMES = list(TAKEN.values())
FEW = ("--workers", "1")

SMALLEST: dict[str, tuple[str, ...]] = {
    "demo": ("--clients", "60", "--runs", "1"),
    "inventory": (),
    "preflight": (),
    "plan": (),
    "simulate": ("--runs", "1", *FEW),
    "tune": ("--trials", "2", "--verify", "0", "--clients", "60", *FEW),
    "capacity": ("--devices", "300", *FEW),
    "calibrate": FEW,
    "forecast": ("--runs", "1", *FEW),
    "gate": ("simulate", "--runs", "2", "--rates", "1,30"),
    "approve": (),
    "run": ("--speed", "max", "--once"),
    "status": (),
    "pause": (),
    "resume": (),
    "abort": (),
    "exclude": (),
    "report": (),
    "enrollment": (),
    "workloads": (),
    "client": ("command",),
    "doctor": (),
    "schema": (),
}
"""What makes each verb quick. A new verb must be added: it is then tested with every text that it takes."""

SLOW = ("demo", "simulate", "tune", "capacity", "calibrate", "forecast", "gate", "report", "run")


def test_no_verb_is_forgotten() -> None:
    """A verb that is added is tested here, too."""
    assert set(SMALLEST) == set(VERBS)


def scenario(**texts: str) -> dict[str, Any]:
    """A scenario with a text in every place that takes one; `texts` by its place replaces it."""
    names = dict(zip(["pilot", "second", "third", "fourth"], NAMES, strict=False))

    def text(place: str, usual: str) -> str:
        return texts.get(place, usual)

    phases: list[dict[str, Any]] = [
        {
            "name": text("name of a phase", names["pilot"]),
            "devices": 3,
            "source": text("source", names["second"]),
        },
        *({"name": name, "devices": 2} for name in NAMES[1:]),
        {
            "name": "all",
            "where": {text("column of where", "site"): [text("value of where", NAMES[0]), *NAMES[1:], "HQ"]},
        },
        {"name": "rest"},
    ]
    for phase in phases:
        phase |= {"pacing": {"mode": "duration", "duration": "1h"}, "soak": "1h"}
    return {
        "rollout": {
            "name": text("name", names["pilot"]),
            "collection": text("collection", names["second"]),
            "auto_enrollment": text("auto_enrollment", names["third"]),
            "salt": text("salt", names["pilot"]),
            "notes": text("notes", names["pilot"]),
            "exclude": [text("exclude", NAMES[3])],
            "gate": {"evidence": False, "min_executed": 1, "straggler_max": 1.0},
            "mature_after": "1d",
            "straggler_after": "3d",
            "look_every": "30m",
            "strata": [text("strata", "site"), "model"],
            "stratum": text("stratum", "model"),
            "preflight": {"off": {"D3": text("reason of off", names["pilot"])}},
            "freezes": [
                {"on": [tomllib.loads("d = 2030-01-01")["d"]], "reason": text("reason", names["pilot"])}
            ],
            "budgets": {"column": text("column of budgets", "site"), "per_level": 50},
            "phases": phases,
        },
        "fleet": {"clients": 60},
        "model": {
            "horizon": "60d",
            "clients": {
                "window": "immediate",
                "failure": {
                    "column": text("column of failure", "model"),
                    "level": text("level", NAMES[4]),
                    "rate": 0.9,
                },
            },
        },
    }


PLACES = (
    *(
        "name of a phase",
        "source",
        "column of where",
        "value of where",
        "name",
        "collection",
        "auto_enrollment",
    ),
    *("salt", "notes", "exclude", "strata", "stratum", "reason of off", "reason", "column of budgets"),
    *("column of failure", "level"),
)


def write_scenario(path: Path, **texts: str) -> None:
    path.write_text(tomli_w.dumps(scenario(**texts)), encoding="utf-8")


def exports(folder: Path) -> tuple[str, str, str]:
    """Three exports of 72 devices that may go, each sixth with a hostile text in each of its fields; and of devices
    that may not, with such names: theirs are told by preflight.
    """
    texts = {n: NAMES[n // 6 - 1] for n in range(6, 6 * len(NAMES) + 1, 6)}
    numbers = range(1, 73)
    blocked = [
        entra_row(100 + n, displayName=f"{name[:250]}!", accountEnabled="False")
        for n, name in enumerate(NAMES)
    ]
    return (
        str(entra(folder, [*(entra_row(n, **_entra(n, texts.get(n))) for n in numbers), *blocked])),
        str(configmgr(folder, (configmgr_row(n, **_configmgr(texts.get(n))) for n in numbers))),
        str(
            intune(folder, (intune_row(n, **_intune(texts.get(n))) for n in numbers if n in texts and n % 12))
        ),
    )


def _entra(number: int, text: str | None) -> dict[str, str]:
    if text is None:
        return {}
    free = ("displayName", "operatingSystemVersion", "model", "registeredOwners", "objectId")
    return {**dict.fromkeys(free, text), "userNames": f"kim@{text}" if number % 2 else text}


def _configmgr(text: str | None) -> dict[str, str]:
    if text is None:
        return {"ADSiteName": "HQ"}
    free = ("Name", "ADSiteName", "DeviceOSBuild", "SerialNumber", "Domain", "CurrentLogonUser")
    return {**dict.fromkeys(free, text), "DeviceOS": "Microsoft Windows NT Workstation 10.0"}


def _intune(text: str | None) -> dict[str, str]:
    free = ("Device name", "Serial number", "Manufacturer", "Model", "OS version", "Category")
    return dict.fromkeys(free, text or "")


@pytest.fixture
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ROLLOUT_DB", raising=False)


def begun(verb: str = "") -> None:
    """Make a world of hostile names, up to a rollout under way if `verb` needs one."""
    files = exports(Path())
    assert asked("inventory", "--from", *files, "--taken", "2026-11-24").code == 0
    write_scenario(Path("hostile.toml"))
    assert asked("plan", "hostile.toml").code == 0
    if verb in ("demo", "inventory", "preflight", "plan", "tune", "capacity", "client", "schema"):
        return
    asked("approve", "--by", NAMES[0])
    assert asked("run", "--speed", "max", "--once").code == 0


def visible_in(found: Asked, *texts: str) -> None:
    """The texts stand in the answer letter by letter; a table breaks long ones."""
    printed = "".join((found.out + found.err).split())
    for text in texts:
        assert "".join(text.split()) in printed, (found.arguments, text)


@pytest.mark.slow
@pytest.mark.usefixtures("_here")
def test_a_world_of_hostile_names_through_every_verb() -> None:
    """Every verb, with and without --json: whatever is taken comes out as it went in, and every file is safe."""
    markup, script = TAKEN["markup"], TAKEN["script"]
    asked_of: list[Asked] = []

    def twice(*arguments: str, shows: tuple[str, ...] = ()) -> None:
        found = asked(*arguments)
        visible_in(found, *shows)
        asked_of.extend([found, asked(*arguments, "--json")])

    twice("inventory", "--from", *exports(Path()), "--taken", "2026-11-24")
    twice("preflight", "--csv", "findings.csv", "--worklist", "work.csv", "--off", f"D3={markup}")
    found = asked("preflight", "-v")
    visible_in(found, markup, script, TAKEN["mathematics"])
    write_scenario(Path("hostile.toml"))
    twice("plan", "hostile.toml", "--ics", "windows.ics", shows=(markup, TAKEN["formula"], script))
    for name in NAMES:
        twice("plan", "--explain", name)
    twice("simulate", "--runs", "1", "--decisions", "simulated.jsonl", *FEW)
    twice("approve", "--by", markup, "--reason", script)
    twice("run", "--dry-run")
    twice(
        "run", "--speed", "max", "--once", "--metrics", "m.prom", "--log-format", "json", "--report", "live"
    )
    twice("pause", "--by", script, "--reason", markup)
    twice("run", "--speed", "max")
    twice("status", shows=(markup,))
    for name in NAMES:
        twice("status", "--device", name)
    twice("exclude", TAKEN["formula"], "--by", markup, "--reason", TAKEN["formula"])
    twice("approve", "--gate", NAMES[0], "--by", markup)
    twice("resume", "--reason", TAKEN["label"], "--by", TAKEN["label"])
    twice("run", "--speed", "max", "--metrics", "m.prom", "--log-format", "json")
    twice("status", "--decisions", "decisions.jsonl")
    twice("forecast", "--runs", "1", *FEW)
    twice("calibrate", "--out", "calibrated.toml", *FEW)
    twice(
        "gate", "simulate", "--runs", "2", "--rates", "1,30", "--bad", TAKEN["mathematics"], "--out", "gates"
    )
    twice("report", "--out", "report")
    twice("report", "--audit", shows=(markup, script))
    twice("enrollment")
    twice("enrollment", STATES)
    twice("workloads")
    twice("workloads", "--device", markup)
    twice("workloads", "--flags", markup)
    twice("client", "command", COMMAND + markup)
    twice("client", "log", LOG)
    twice("doctor", "--release-lease", "run-1", "--by", markup)
    twice("doctor")
    twice("tune", "hostile.toml", "--trials", "2", "--verify", "0", "--out", "tuned", *FEW)
    twice("capacity", "hostile.toml", "--devices", "300", "--out", "capacity", *FEW)
    twice("demo", "--clients", "60", "--runs", "1", "--out", "demo")
    twice("schema")
    twice("abort", "--reason", markup, "--by", markup)
    assert {one.arguments[0] for one in asked_of} == set(VERBS)
    own = {"hostile.toml", "entra.csv", "intune.csv", "configmgr.csv", "m.prom"}
    files = [one for one in Path().rglob("*") if one.is_file() and one.name not in own]
    for one in files:
        check_file(one)
    assert {one.suffix for one in files} >= {
        ".csv",
        ".html",
        ".ics",
        ".json",
        ".jsonl",
        ".txt",
        ".toml",
        ".png",
    }
    page = Path("report", "report.html").read_text(encoding="utf-8")
    assert "see [/wiki] [red]x[/red]" in page
    print(f"{len(asked_of)} commands, {len(files)} files")


@pytest.mark.usefixtures("_here")
def test_what_an_older_database_holds_is_made_visible() -> None:
    """A journal that was written before texts were refused: nothing in it steers a terminal or forges a line."""
    begun("run")
    reason = "".join(REFUSED.values()) + NAMES[0]
    with open_database("rollout.db") as database:
        now = int(time.time())
        database.command("run-1", "pause", "".join(REFUSED.values()), reason, now)
    asked("run", "--speed", "max")
    for verb in (("status",), ("report", "--audit"), ("report", "--out", "old"), ("resume",), ("doctor",)):
        found = asked(*verb)
        asked(*verb, "--json")
        if verb == ("status",):
            visible_in(found, r"a\x1b[31mb", r"PC\u202egpj.exe", r"one\nrollout: forged", NAMES[0])
    for one in Path("old").iterdir():
        check_file(one)


FIELDS = [
    *(("entra", one) for one in ENTRA_HEADER),
    *(("configmgr", one) for one in CONFIGMGR_HEADER),
    *(("intune", one) for one in INTUNE_HEADER),
]


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize(("kind", "field"), FIELDS)
def test_every_field_of_an_export(kind: str, field: str) -> None:
    """A text is taken as it is, passed over in a column that we do not read, or refused in one line."""
    for text in (*TAKEN.values(), *REFUSED.values(), "y" * 300):
        rows = {"entra": entra_row(1), "configmgr": configmgr_row(1), "intune": intune_row(1)}
        rows[kind][field] = text
        entra(Path(), [rows["entra"]])
        configmgr(Path(), [rows["configmgr"]])
        intune(Path(), [rows["intune"]])
        Path("one.db").unlink(missing_ok=True)
        files = ("entra.csv", "configmgr.csv", "intune.csv")
        found = asked("inventory", "--from", *files, "--rejected", "rejected.csv", "--db", "one.db")
        if found.code:
            assert not Path("one.db").exists()
            check_file(Path("rejected.csv"))
            Path("rejected.csv").unlink()
            continue
        with open_database("one.db") as database:
            kept = database.inventory().fleet
        names = [*map(str, kept.names), *(level for one in kept.factors.values() for level in one.levels)]
        assert [steering(name) for name in names if steering(name)] == []


NAMED = {"displayName", "Name", "Device name"}


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_a_name_that_is_not_plain_is_refused(text: str) -> None:
    """Bidirectional overrides are refused as control characters are, with the line and the column."""
    entra(Path(), [entra_row(1), entra_row(2, displayName=text)])
    found = asked("inventory", "--from", "entra.csv", "--rejected", "rejected.csv")
    assert found.code == 2
    assert "entra.csv, line 3, column 'displayName': expected text without line breaks" in found.err
    assert not Path("rollout.db").exists()
    left = asked("inventory", "--from", "entra.csv", "--allow-rejected")
    assert left.code == 0
    assert "1 devices, 1 lines rejected" in left.out


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize("place", PLACES)
def test_every_text_of_a_scenario(place: str) -> None:
    """A text that is not plain is refused with its key; any other is taken, or refused for what it says."""
    exports_of_two = (entra_row(1), entra_row(2))
    entra(Path(), exports_of_two)
    assert asked("inventory", "--from", "entra.csv").code == 0
    for name, text in {**TAKEN, **REFUSED, "300": "y" * 300}.items():
        write_scenario(Path("one.toml"), **{place: text})
        found = asked("plan", "one.toml", "--ics", "one.ics")
        if name in REFUSED and not (place == "notes" and name in ("line feed", "carriage return", "tab")):
            assert found.code == 2
            assert "one.toml, key 'rollout." in found.err or "one.toml, key 'model." in found.err
            assert "expected text without line breaks" in found.err
        elif found.code == 0:
            check_file(Path("one.ics"))


def _texts_of_options() -> Iterator[tuple[str, str]]:
    for verb in VERBS:
        for option, _ in text_parameters(verb):
            yield verb, option


MIXED = {
    "plain": "=1+[/x] [red]y[/red] :boom: {0} $x$ \\1",
    "steering": "a\x1b[31mb\n\u202ec\x9b\u2028",
    "long": "x" * 300,
    "not UTF-8": NOT_UTF8,
}


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize(
    ("verb", "option"),
    [
        pytest.param(verb, option, marks=[pytest.mark.slow] if verb in SLOW else [])
        for verb, option in _texts_of_options()
    ],
)
def test_every_text_that_a_verb_takes(verb: str, option: str) -> None:
    """An option or argument with a hostile text does what it says, or is refused in one line."""
    begun(verb)
    for text in MIXED.values():
        given = [f"{option}={text}"] if option else ["--", text]
        if verb == "client" and not option:
            given = [text]
        asked(verb, *SMALLEST[verb], *given)
        if option != "--db":
            asked(verb, *SMALLEST[verb], "--json", *given)
    for one in Path().rglob("*"):
        if one.is_file() and one.suffix in (".html", ".json", ".txt"):
            check_file(one)


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("option", ["--by", "--reason"])
def test_what_is_kept_in_the_journal_is_plain(text: str, option: str) -> None:
    """Who and why are refused before anything is opened or written."""
    found = asked("pause", option, text)
    assert found.code == 2
    assert found.err.startswith(f"rollout: {option}: expected text without line breaks")


def test_a_document_says_the_same_in_any_form() -> None:
    """What is escaped in JSON is read as the same text."""
    from rollout.plain import json_text

    text = "".join(REFUSED.values()) + "".join(NAMES) + NOT_UTF8
    assert json.loads(json_text({text: [text]}, indent=2)) == {text: [text]}
    assert steering(json_text({text: [text]}, indent=2)) == []
