"""What an operator relies on: log lines, metrics, notices, the audit, refusals, and secrets that stay secret."""

from __future__ import annotations

import contextlib
import http.server
import json
import logging
import os
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import postgres
import pytest
from canaries import CANARY, SOURCES, Watch, on_server
from command_line import QUICK, Cli
from journals import raw
from postgres import fresh_database
from sqlalchemy import create_engine, text

from rollout.api.planning import plan_scenario
from rollout.errors import UsageError
from rollout.executor.metrics import RunMetrics, text_of, write_metrics
from rollout.executor.notify import Notice
from rollout.store import Database, open_database
from rollout.values import State
from sim.scenario import parse_scenario


def planned(more: str = "") -> None:
    """Plan a small made-up fleet in the folder's database."""
    text = QUICK.replace("clients = 600", "clients = 240").replace("devices = 100", "devices = 80") + more
    with open_database("rollout.db") as database:
        plan_scenario(database, parse_scenario(text, "quick"))


class Hook(http.server.BaseHTTPRequestHandler):
    """Keeps what is posted to it; answers as its server says."""

    def do_POST(self) -> None:
        server: Any = self.server
        time.sleep(server.slow_s)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.posted.append((self.path, json.loads(body)))
        with contextlib.suppress(OSError):
            self.send_response(server.status)
            self.end_headers()

    def log_message(self, *_text: Any) -> None:
        """Say nothing."""


@pytest.fixture(name="hook")
def _hook() -> Iterator[Any]:
    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    server.posted, server.status, server.slow_s = [], 200, 0.0
    server.url = f"http://127.0.0.1:{server.server_address[1]}/hook/{CANARY}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_run_tells_each_decision_in_text(cli: Cli) -> None:
    """One line a decision on stderr, with its reason."""
    planned()
    err = cli("run", "--speed", "max").err
    decisions = cli("status", "--json").json["decisions"]
    assert len(err.splitlines()) == decisions
    assert "phase 'all' begins after 'pilot': PASS" in err


def test_a_run_tells_each_decision_in_json(cli: Cli) -> None:
    """With --log-format json each line of stderr is an object; stdout stays one document."""
    planned()
    answer = cli("run", "--speed", "max", "--log-format", "json", "--json")
    lines = [json.loads(line) for line in answer.err.splitlines()]
    assert [line["number"] for line in lines] == list(range(answer.json["decisions"]))
    assert {"time", "level", "logger", "message", "event", "rollout", "at", "state", "reason"} <= set(
        lines[0]
    )
    assert lines[-1]["state"] == "finished"


def test_a_run_writes_its_metrics(cli: Cli) -> None:
    """--metrics writes what Prometheus reads, and leaves nothing else behind."""
    planned()
    final = cli("run", "--speed", "max", "--metrics", "m/rollout.prom")
    assert final.code == 2  # no such folder
    Path("m").mkdir()
    final = cli("run", "--speed", "max", "--metrics", "m/rollout.prom", "--json").json
    assert [path.name for path in Path("m").iterdir()] == ["rollout.prom"]
    metrics = dict(
        line.rsplit(" ", 1) for line in Path("m/rollout.prom").read_text().splitlines() if line[0] != "#"
    )
    here = 'rollout="run-1",plan="quick"'
    assert int(metrics[f"rollout_released_devices{{{here}}}"]) == final["released"]
    assert int(metrics[f'rollout_devices{{{here},outcome="enrolled"}}']) == final["final"]["enrolled"]
    assert metrics[f'rollout_state{{{here},state="finished"}}'] == "1"
    assert metrics[f'rollout_state{{{here},state="running"}}'] == "0"
    assert float(metrics[f"rollout_lease_age_seconds{{{here}}}"]) >= 0


def metrics(plan: str = "quick") -> RunMetrics:
    return RunMetrics("run-1", plan, State.HELD, "hold", 10, 7, 2, (1, 3, 2, 0, 1), 5, 99, 10.0, 20.0, 25.5)


def test_metrics_are_in_the_text_format() -> None:
    """HELP and TYPE before each family, labels escaped, pending devices in flight."""
    lines = text_of(metrics('a "b" \\ c\nd')).splitlines()
    assert 'rollout_in_flight_devices{rollout="run-1",plan="a \\"b\\" \\\\ c\\nd"} 1' in lines
    names = {line.split("{")[0] for line in lines if not line.startswith("#")}
    assert names == {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert text_of(metrics()).endswith("\n")


def test_metrics_replace_the_file_at_once(tmp_path: Path) -> None:
    """Whoever reads while they are written sees whole files only."""
    path = tmp_path / "a.prom"
    write_metrics(path, metrics())
    whole = path.read_text()
    stop, seen = threading.Event(), set()

    def read() -> None:
        while not stop.is_set():
            seen.add(path.read_text())

    thread = threading.Thread(target=read)
    thread.start()
    for _ in range(50):
        write_metrics(path, metrics())
    stop.set()
    thread.join()
    assert seen <= {whole}


def test_a_disk_that_takes_no_metrics_stops_nothing(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """A warning, once; the rollout goes on."""
    from rollout.executor import reporter

    def refuse(_path: Path, _metrics: RunMetrics) -> None:
        raise OSError(28, "No space left on device", "m.prom")

    planned()
    monkeypatch.setattr(reporter, "write_metrics", refuse)
    answer = cli("run", "--speed", "max", "--metrics", "m.prom")
    assert answer.code == 0
    assert answer.err.count("No space left") == 1


def test_the_end_is_posted(cli: Cli, hook: Any) -> None:
    """--notify posts a JSON document when the rollout is finished."""
    planned()
    assert cli("run", "--speed", "max", "--notify", hook.url).code == 0
    (path, told) = hook.posted[-1]
    assert path == f"/hook/{CANARY}"
    assert (told["state"], told["rollout"], told["plan"]) == ("finished", "run-1", "quick")
    assert len(told["digest"]) == 64


def test_a_halt_is_posted(cli: Cli, hook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A halted rollout is told, with the gate's sentence; the address may come from the environment."""
    planned('[model.clients.failure]\ncolumn = "os"\nlevel = "Windows"\nrate = 0.6\n')
    monkeypatch.setenv("ROLLOUT_NOTIFY_URL", hook.url)
    assert cli("run", "--speed", "max").code == 8
    assert [told["state"] for _, told in hook.posted] == ["halted"]
    assert hook.posted[0][1]["reason"].startswith("HALT")


def test_a_notice_that_fails_stops_nothing_and_tells_no_secret(cli: Cli, hook: Any) -> None:
    """500 from the other side: a warning that names its host alone."""
    hook.status = 500
    planned()
    answer = cli("run", "--speed", "max", "--notify", hook.url)
    assert answer.code == 0
    assert "warning: the notice to 127.0.0.1 failed: HTTP status 500" in answer.err
    assert CANARY not in answer.err + answer.out


class _Elsewhere(http.server.BaseHTTPRequestHandler):
    """Sends everybody on; answers whoever follows, or takes it for a proxy, with 200."""

    asked: ClassVar[list[str]] = []
    status = 302

    def do_POST(self) -> None:  # the base class names it
        self.asked.append(self.path)
        self.send_response(self.status if self.path.startswith("/hook") else 200)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(name="elsewhere")
def _elsewhere() -> Iterator[str]:
    _Elsewhere.asked.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
def test_a_redirected_notice_has_failed(
    elsewhere: str, status: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A 302 becomes a GET without the document: that its target answers 200 means nothing."""
    monkeypatch.setattr(_Elsewhere, "status", status)
    monkeypatch.setattr(logging.getLogger("rollout"), "propagate", True)
    assert not Notice(f"{elsewhere}/hook/secret-part").send({"state": "held"})
    assert _Elsewhere.asked == ["/hook/secret-part"]
    assert f"HTTP status {status}, a redirect" in caplog.text
    assert "secret-part" not in caplog.text


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "all_proxy"])
def test_a_notice_goes_through_no_proxy_of_the_environment(
    elsewhere: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is set for other programs must not read a rollout's state, or swallow it."""
    monkeypatch.setenv(name, elsewhere)
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert not Notice("http://127.0.0.1:9/hook", wait_s=2.0).send({"state": "held"})
    assert _Elsewhere.asked == []


def test_a_notice_of_any_text_is_sent(hook: Any) -> None:
    """A lone surrogate is no UTF-8: it is escaped as JSON does, and does not end the thread."""
    assert Notice(hook.url).send({"reason": "a\udcff\x9b"})
    assert hook.posted[-1][1] == {"reason": "a\udcff\x9b"}


def test_a_notice_is_not_waited_for(hook: Any) -> None:
    """A side that does not answer is left alone after a short while."""
    hook.slow_s = 2.0
    begun = time.monotonic()
    assert not Notice(hook.url, wait_s=0.3).send({"state": "held"})
    assert time.monotonic() - begun < 1.5
    assert not Notice("http://127.0.0.1:9/", wait_s=2.0).send({"state": "held"})


@pytest.mark.parametrize(
    "url", [f"file:///{CANARY}", f"ftp://a/{CANARY}", CANARY, "http://", f"http://[::{CANARY}"]
)
def test_a_wrong_address_is_refused_before_anything_is_done(cli: Cli, url: str) -> None:
    """Only http and https, and the address is not repeated: it may hold a secret."""
    with pytest.raises(UsageError) as caught:
        Notice(url)
    assert CANARY not in caught.value.message
    assert cli("run", "--notify", url).code == 2


def test_the_audit_says_who_decided_what_and_why(cli: Cli) -> None:
    """Decisions, commands and changes of hands, in order; refused if the chain is broken."""
    planned()
    cli("run", "--speed", "max", "--once")
    cli("exclude", _last_device(), "--by", "Kim", "--reason", "board member")
    cli("run", "--speed", "max")
    rows = cli("report", "--audit", "--json").json["audit"]
    assert {"at", "who", "what", "why"} == set(rows[0])
    assert ("Kim", "exclude 1 devices", "board member") in [(r["who"], r["what"], r["why"]) for r in rows]
    assert [r["what"] for r in rows].count("lease taken") == 2
    assert "board member" in cli("report", "--audit").out
    with raw(Path("rollout.db")) as connection:
        connection.execute("UPDATE entry SET body = replace(body, 'board', 'other') WHERE kind = 'command'")
    assert cli("report", "--audit").code == 9


def _last_device() -> str:
    with open_database("rollout.db") as database:
        plan = database.plan().plan
    return str(plan.ids[plan.phases[1].order[-1]])


def test_another_seed_or_directory_is_refused(cli: Cli) -> None:
    """A rollout goes on as it was begun: another seed is exit 4, none is its own."""
    planned()
    cli("run", "--speed", "max", "--once", "--seed", "5")
    before = cli("status", "--json").json
    answer = cli("run", "--speed", "max", "--seed", "6")
    assert answer.code == 4
    assert "started with --seed 5, not with --seed 6; nothing was sent" in answer.err
    assert cli("status", "--json").json == before
    with open_database("rollout.db") as database:
        database.start_rollout("plan-1", "elsewhere", 5, "1", 0)
    assert cli("run", "--speed", "max").code == 4


def test_the_lease_is_shown_and_taken_away_by_id(cli: Cli) -> None:
    """status names the holder; doctor --release-lease needs the id and is kept in the journal."""
    planned()
    cli("run", "--speed", "max", "--once")
    assert cli("status", "--json").json["lease"] is None
    with open_database("rollout.db") as database:
        journal = database.journal("run-1", owner="other:7")
        assert cli("run", "--speed", "max").code == 7
        assert cli("status", "--json").json["lease"]["holder"] == "other:7"
        assert "executed by other:7 since" in cli("status").out
        assert cli("doctor", "--release-lease", "run-9").code == 2
        assert cli("doctor", "--release-lease", "run-1", "--by", "Kim").code == 0
        with pytest.raises(Exception, match="run-1"):
            journal.check()
    assert "nobody holds" in cli("doctor", "--release-lease", "run-1").out
    assert "taken away by Kim" in cli("report", "--audit").out


def test_planted_secrets_appear_nowhere(
    cli: Cli, hook: Any, monkeypatch: pytest.MonkeyPatch, watch: Watch
) -> None:
    """A canary in each place where a secret may stand is in no output, file or row of the database.

    The environment's are planted for every test (see conftest), and every test is searched as this one is.
    """
    monkeypatch.setenv("ROLLOUT_NOTIFY_URL", hook.url)
    planned()
    hook.status = 503
    settings, key = Path("directory.toml"), Path("key.pem")
    key.write_text(f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----\n")
    settings.write_text(GRAPH_SETTINGS)
    Path("wrong.toml").write_text(GRAPH_SETTINGS + f'password = "{CANARY}"\n')
    for item in (key, Path("wrong.toml")):
        watch.may_hold(item)
    cli("approve", "--by", "Kim")
    graph = ("run", "--directory", "graph", "--dry-run", "-vv", "--settings")
    said = [
        cli(*graph, str(settings)),
        cli(*graph, "wrong.toml"),
        cli("doctor", "--directory", "graph", "--settings", str(settings)),
        cli("run", "--speed", "max", "--once", "-vv"),
        cli("run", "--speed", "max", "--log-format", "json", "--metrics", "m.prom"),
        cli("status"),
        cli("report", "--out", "r"),
        cli("report", "--audit"),
        cli("doctor"),
        cli("status", "--db", f"postgresql+psycopg://rollout:{CANARY}@127.0.0.1:9/x", "-vv"),
        cli("run", "--db", f"postgresql://rollout:{CANARY}@[broken/x"),
        cli("run", "--db", f"mysql://rollout:{CANARY}@127.0.0.1/x"),
    ]
    assert hook.posted
    assert "password: Extra inputs are not permitted" in said[1].err
    for answer in said:
        assert CANARY not in answer.out + answer.err
    assert watch.leaks(Path.cwd()) == []


GRAPH_SETTINGS = """\
[directory.graph]
tenant_id = "8d7e0000-0000-0000-0000-000000000000"
client_id = "12ab0000-0000-0000-0000-000000000000"
credential = "certificate"
certificate_file = "key.pem"
group = "Intune Auto Enrollment"
confirmed_pilot_by = "Kim"
"""

CRASH = """
import sys
from rollout.cli import main
from rollout.executor import running
from rollout.directory.configmgr.settings import PASSWORD_ENV
import os
def broken(*_arguments, **_options):
    secret = os.environ[PASSWORD_ENV]
    raise RuntimeError(f"a bug beside a secret of {len(secret)} letters")
running.execute = broken
sys.exit(main(["run", "--speed", "max", "-vv"]))
"""


def test_a_crash_tells_no_secret(cli: Cli) -> None:  # noqa: ARG001  # gives the folder
    """A bug in the middle of a command ends with Python's own traceback, which shows no values."""
    planned()
    done = subprocess.run([sys.executable, "-c", CRASH], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert f"a bug beside a secret of {len(CANARY)} letters" in done.stderr
    assert CANARY not in done.stdout + done.stderr


def test_the_search_finds_a_secret_wherever_it_is_told(
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    watch: Watch,
) -> None:
    """A program that takes a secret for its own name tells it everywhere; every place is found."""
    from rollout.executor import session

    planned()
    monkeypatch.setattr(session, "owner", lambda: os.environ[SOURCES[0]])
    cli("run", "--speed", "max", "--once")
    cli("report", "--audit")
    logging.getLogger("rollout").warning("signed in with %s", os.environ[SOURCES[0]])
    Path("metrics.prom").write_text(f"rollout_info{{by={os.environ[SOURCES[0]]!r}}} 1")
    with raw(Path("rollout.db")) as connection:
        connection.execute("UPDATE plan SET body = ?", (zlib.compress(CANARY.encode(), 1),))
    watch.saw("log", caplog.text)
    capsys.readouterr()
    found = watch.leaks(Path.cwd())
    caplog.clear()
    watch.forget(Path.cwd())
    assert {"stdout", "log"} <= set(found)
    for place in ("rollout.db", "rollout.db: entry.body", "rollout.db: plan.body", "metrics.prom"):
        assert any(item.endswith(place) for item in found), place


def test_a_secret_in_a_row_of_a_server_is_found() -> None:
    """In plain text and compressed; the search goes over every database at the end of all tests."""
    url = fresh_database()
    postgres.MADE.remove(url)
    with open_database(url) as database:
        plan_scenario(database, parse_scenario(QUICK, "quick"))
    assert on_server(url) == []
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE plan SET body = :it"), {"it": zlib.compress(CANARY.encode(), 1)})
        connection.execute(text("UPDATE inventory SET digest = :it"), {"it": CANARY})
    engine.dispose()
    assert set(on_server(url)) == {"plan.body", "inventory.digest"}


def test_the_password_of_a_server_appears_nowhere(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over PostgreSQL: the URL's password is in no output and in no row."""
    from sqlalchemy import make_url

    url = fresh_database()
    password = make_url(url).password
    assert password
    opened: list[Database] = []

    def kept(db: str) -> Database:
        opened.append(open_database(db))
        return opened[-1]

    monkeypatch.setattr("rollout.api.databases.open_database", kept)
    with open_database(url) as database:
        plan_scenario(database, parse_scenario(QUICK, "quick"))
    said = [cli(verb, "--db", url) for verb in ("status", "doctor")]
    said += [cli("run", "--speed", "max", "--once", "--db", url), cli("report", "--audit", "--db", url)]
    said += [cli("status", "--db", url.replace(password, "wrong" + password), "-vv")]
    for item in opened:
        item.close()
    for answer in said:
        assert password not in answer.out + answer.err
    with open_database(url) as database:
        assert password not in database.where
