"""Text from outside stays text: in every field of every input, through every verb, in every output."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shutil
import time
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from documents_world import COMMAND, LOG, STATES
from export_builders import configmgr, configmgr_row, entra, entra_row, intune, intune_row, read
from fleet_files import CONFIGMGR_HEADER, ENTRA_HEADER, INTUNE_HEADER
from hostile import NOT_UTF8, REFUSED, TAKEN, Asked, asked, check_file, steering, text_parameters

from rollout.cli import terminal
from rollout.cli.app import VERBS
from rollout.errors import UsageError
from rollout.exports.decoding import ExportError
from rollout.exports.dialects import DIALECTS, normalize
from rollout.store import open_database
from sim.scenario import parse_scenario

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
    "withdraw": (),
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
            "exclude": [text("exclude", NAMES[3])],
            "gate": {"ignore_failures": True, "min_executed": 1, "straggler_max": 1.0},
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
    *("salt", "exclude", "strata", "stratum", "reason of off", "reason", "column of budgets"),
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


def begun() -> None:
    """Make a world of hostile names, up to a rollout under way."""
    files = exports(Path())
    assert asked("inventory", "--from", *files, "--taken", "2026-11-24").code == 0
    write_scenario(Path("hostile.toml"))
    assert asked("plan", "hostile.toml").code == 0
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
    twice("withdraw", TAKEN["formula"], "--by", markup, "--reason", TAKEN["formula"])
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
    assert {item.arguments[0] for item in asked_of} == set(VERBS)
    own = {"hostile.toml", "entra.csv", "intune.csv", "configmgr.csv", "m.prom"}
    files = [path for path in Path().rglob("*") if path.is_file() and path.name not in own]
    for path in files:
        check_file(path)
    assert {path.suffix for path in files} >= {
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
@pytest.mark.slow
def test_what_an_older_database_holds_is_made_visible() -> None:
    """A journal that was written before texts were refused: nothing in it steers a terminal or forges a line."""
    begun()
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
    for path in Path("old").iterdir():
        check_file(path)


HEADERS = {"entra": ENTRA_HEADER, "configmgr": CONFIGMGR_HEADER, "intune": INTUNE_HEADER}


@pytest.mark.parametrize("kind", HEADERS)
def test_every_field_of_an_export(kind: str, tmp_path: Path) -> None:
    """A text is taken as it is, passed over in a column that we do not read, or refused in one line."""
    known = {name for dialect in DIALECTS for field in dialect.fields for name in field.names}
    taken, refusals = 0, []
    for field in HEADERS[kind]:
        texts = (
            [*TAKEN.values(), *REFUSED.values(), "y" * 300]
            if normalize(field) in known
            else [REFUSED["override"]]
        )
        for text in texts:
            rows = {"entra": entra_row(1), "configmgr": configmgr_row(1), "intune": intune_row(1)}
            rows[kind][field] = text
            files = entra(tmp_path, [rows["entra"]]), configmgr(tmp_path, [rows["configmgr"]])
            try:
                kept = read(*files, intune(tmp_path, [rows["intune"]])).fleet
            except ExportError as error:
                refusals.append((field, error.message))
                continue
            taken += 1
            names = [
                *map(str, kept.names),
                *(level for factor in kept.factors.values() for level in factor.levels),
            ]
            assert [name for name in names if steering(name) or "\n" in name] == []
    assert taken > len(HEADERS[kind])
    assert len(refusals) > 2 * len(REFUSED)
    assert [
        refusal
        for refusal in refusals
        if steering(refusal[1]) or "\n" in refusal[1] or normalize(refusal[0]) not in known
    ] == []


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


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("place", PLACES)
def test_a_text_of_a_scenario_that_is_not_plain_is_refused(place: str, text: str) -> None:
    """The refusal names the key."""
    written = tomli_w.dumps(scenario(**{place: text}))
    with pytest.raises(
        UsageError, match=r"one\.toml, key '(rollout|model)\..*expected text without line"
    ) as caught:
        parse_scenario(written, "one.toml")
    assert steering(caught.value.message) == []
    assert "\n" not in caught.value.message


@pytest.mark.slow
@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize("place", PLACES)
def test_every_other_text_of_a_scenario(place: str) -> None:
    """A text that is plain is taken, or refused for what it says."""
    entra(Path(), [entra_row(1), entra_row(2)])
    assert asked("inventory", "--from", "entra.csv").code == 0
    for text in (*TAKEN.values(), "y" * 300):
        write_scenario(Path("one.toml"), **{place: text})
        if asked("plan", "one.toml", "--ics", "one.ics").code == 0:
            check_file(Path("one.ics"))


MIXED = {
    "plain": "=1+[/x] [red]y[/red] :boom: {0} $x$ \\1",
    "steering": "a\x1b[31mb\n\u202ec\x9b\u2028",
    "long": "x" * 300,
    "not UTF-8": NOT_UTF8,
}


@pytest.fixture(name="world", scope="module")
def _world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a rollout under way, with hostile names."""
    folder = tmp_path_factory.mktemp("world")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("ROLLOUT_DB", raising=False)
        begun()
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_every_text_that_a_verb_takes(
    verb: str, world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An option or argument with a hostile text does what it says, or is refused in one line."""
    here = tmp_path / "here"
    monkeypatch.delenv("ROLLOUT_DB", raising=False)
    for option, _ in text_parameters(verb):
        shutil.copytree(world, here)
        monkeypatch.chdir(here)
        for text in MIXED.values():
            given = [f"{option}={text}"] if option else [text]
            asked(verb, *SMALLEST[verb], *given)
            if verb not in SLOW:
                asked(verb, *SMALLEST[verb], "--json", *given)
        for path in Path().rglob("*"):
            if (
                path.is_file()
                and path.suffix in (".html", ".json", ".txt", ".toml")
                and path.name != "hostile.toml"
            ):
                check_file(path)
        monkeypatch.chdir(tmp_path)
        shutil.rmtree(here)


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
    from rollout.text import json_text

    text = "".join(REFUSED.values()) + "".join(NAMES) + NOT_UTF8
    assert json.loads(json_text({text: [text]}, indent=2)) == {text: [text]}
    assert steering(json_text({text: [text]}, indent=2)) == []


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.usefixtures("_here")
def test_a_terminal_shows_texts_as_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where rich may colour: no tag, no emoji name and no escape sequence of a text has an effect, nor in a bar."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "200")
    text = f"{TAKEN['markup']} {REFUSED['colour']}"
    seen = _Terminal()
    with contextlib.redirect_stdout(seen), contextlib.redirect_stderr(seen):
        terminal.out.cache_clear()
        terminal.err.cache_clear()
        terminal.say(text)
        terminal.note(text)
        terminal.table([text], [[text], [text]], title=text)
        with terminal.bar(text, 10) as moving:
            moving.to(5, text)
    terminal.out.cache_clear()
    terminal.err.cache_clear()
    shown = TAKEN["markup"] + r" a\x1b[31mb"
    assert seen.getvalue().count(shown) >= 7
    assert "\x1b[31mb" not in seen.getvalue()


def test_only_the_terminal_module_speaks_to_rich_as_text() -> None:
    """No other module prints by rich or makes a text of it: plain text is the default everywhere."""
    root = Path(terminal.__file__).parents[2]
    found = [
        f"{path.relative_to(root)}: {line.strip()}"
        for path in sorted([*(root / "rollout").rglob("*.py"), *(root / "sim").rglob("*.py")])
        if path != Path(terminal.__file__)
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(
            r"from_markup|markup=True|rich\.console import Console|rich\.markup|\.add_row\(|rich\.panel", line
        )
    ]
    assert found == []


def test_a_traceback_that_is_asked_for_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """With -vv the error's message stands in the traceback, too."""
    from rollout.cli import main

    main(["status", "--db", f"none{REFUSED['colour']}.db", "-vv"])
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert r"none" + r"a\x1b[31mb" in said
    assert steering(said) == []
