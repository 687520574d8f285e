"""One call: what is repeated and what never is, waits, deadlines, certificates, logs without secrets."""

from __future__ import annotations

import datetime as dt
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
import trustme
from emulators.web import BrokenError, FakeTime, Reply, asked_of, on_loopback
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from rollout.directory.configmgr.settings import AdminServiceSettings
from rollout.directory.graph.settings import GraphSettings
from rollout.directory.http.credentials import Bearer
from rollout.directory.http.pace import Pace, Quota
from rollout.directory.http.requests import Call, address, any_of, get, key, literal
from rollout.directory.http.retrying import ASKED_MAX_S, Backoff, Budget, asked_wait_s
from rollout.directory.http.transport import AnswerError, LostAnswerError, Transport, shown
from rollout.directory.port import SystemTime
from rollout.directory.settings import load_settings
from rollout.errors import OutsideError, UsageError
from rollout.text import instant

URL = "https://cm.example/AdminService/wmi/SMS_Site"
READ = get(URL)
WRITE = Call("POST", URL, body={"a": 1})
Handler = Callable[[httpx2.Request], httpx2.Response]


def served(*answers: int | httpx2.Response | Exception) -> tuple[httpx2.MockTransport, list[httpx2.Request]]:
    """A server that gives these answers in order, the last one for ever."""
    seen: list[httpx2.Request] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        answer = answers[min(len(seen), len(answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return httpx2.Response(answer, json={"value": []}) if isinstance(answer, int) else answer

    return httpx2.MockTransport(handle), seen


def transport(http: httpx2.BaseTransport, clock: FakeTime | None = None, **changes: Any) -> Transport:
    time = clock or FakeTime()
    changes = {"chance": lambda: 0.5, "new_id": lambda: "id-1", **changes}
    return Transport(Pace(time), time, http=http, **changes)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 509])
def test_a_read_is_tried_again_after_a_passing_trouble(status: int) -> None:
    """A read repeats after throttling and server errors."""
    http, seen = served(status, 200)
    assert transport(http).read(READ) == {"value": []}
    assert len(seen) == 2


@pytest.mark.parametrize(
    "error", [httpx2.ConnectError("x"), httpx2.ReadTimeout("x"), httpx2.RemoteProtocolError("x")]
)
def test_a_read_is_tried_again_after_a_broken_connection(error: Exception) -> None:
    """A read repeats whatever broke."""
    http, seen = served(error, 200)
    transport(http).read(READ)
    assert len(seen) == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_read_is_not_repeated_after_a_refusal(status: int) -> None:
    """A refusal is an error at once, with its status."""
    http, seen = served(httpx2.Response(status, json={"error": {"code": "x", "message": "no such\nthing"}}))
    with pytest.raises(AnswerError, match="no such thing") as caught:
        transport(http).read(READ)
    assert caught.value.status == status
    assert len(seen) == 1


@pytest.mark.parametrize(
    "error",
    [httpx2.ReadTimeout("x"), httpx2.ReadError("x"), httpx2.WriteError("x"), httpx2.RemoteProtocolError("x")],
)
def test_a_write_whose_answer_was_lost_is_never_sent_again(error: Exception) -> None:
    """The one thing that must not happen: the same write twice without a look."""
    http, seen = served(error, 201)
    with pytest.raises(LostAnswerError, match="may have taken effect"):
        transport(http).write(WRITE)
    assert len(seen) == 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504, 400, 409])
def test_a_write_that_was_answered_is_not_repeated_here(status: int) -> None:
    """Any answer goes to the caller, who looks before he sends again."""
    http, seen = served(status, 201)
    assert transport(http).write(WRITE).status == status
    assert len(seen) == 1


def test_a_write_without_connection_is_tried_again() -> None:
    """No byte went out, so nothing can have happened."""
    http, seen = served(httpx2.ConnectError("refused"), httpx2.ConnectTimeout("x"), 201)
    assert transport(http).write(WRITE).status == 201
    assert len(seen) == 3


def test_without_any_connection_it_ends_and_says_how_often_it_tried() -> None:
    """Attempts are bounded."""
    http, seen = served(httpx2.ConnectError("refused"))
    with pytest.raises(OutsideError, match="refused; tried 5 times") as caught:
        transport(http).write(WRITE)
    assert not isinstance(caught.value, LostAnswerError)
    assert len(seen) == 5


def test_waits_are_drawn_over_the_whole_width() -> None:
    """Full jitter: from nothing to the doubled width, with a longest one."""
    low, high = Backoff(lambda: 0.0), Backoff(lambda: 0.999)
    assert [low.wait_s(n, None) for n in range(9)] == [0.0] * 9
    assert [round(high.wait_s(n, None)) for n in range(9)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert high.wait_s(10**9, None) <= 60


def test_repeats_are_a_tenth_of_all_calls() -> None:
    """The budget of repeats empties, fails fast, and is earned back by success."""
    http, seen = served(503)
    it = transport(http, attempts=20)
    for _ in range(10):
        with pytest.raises(OutsideError):
            it.read(READ)
    assert len(seen) == 10 + 20
    budget = Budget(allowance=1, earned=0.1)
    assert budget.take()
    assert not budget.take()
    for _ in range(11):
        budget.earn()
    assert budget.take()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2", 2.0),
        ("2.128", 2.128),
        ("0", 0.0),
        (formatdate(1_000_030, usegmt=True), 30.0),
        (formatdate(999_000, usegmt=True), 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("inf", None),
        ("nan", None),
        ("1e999", None),
        ("Mon, 99 Foo 2027 00:00:00 GMT", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2027 00:00:00 +99999999999999999999", None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(text: str, expected: float | None) -> None:
    """Whole, decimal, date, past date; nonsense counts as not said."""
    assert asked_wait_s({"retry-after": text}, 1_000_000.0) == expected


@given(st.text(max_size=40))
@hypothesis_settings(derandomize=True, max_examples=300, deadline=None)
def test_retry_after_never_breaks(text: str) -> None:
    """Whatever a server writes there, it is a wait of zero or more, or nothing."""
    wait = asked_wait_s({"retry-after": text}, 1_000_000.0)
    assert wait is None or wait >= 0


def test_the_wait_that_was_asked_for_is_kept() -> None:
    """A read comes back after Retry-After, not before."""
    clock = FakeTime()
    http, _ = served(httpx2.Response(429, headers={"Retry-After": "12.5"}), 200)
    transport(http, clock).read(READ)
    assert clock.monotonic() >= 12.5


def test_an_absurd_wait_is_cut_and_said_aloud(caplog: pytest.LogCaptureFixture) -> None:
    """Three days of Retry-After: a day, and an alert. Until then nothing is asked, and who tries is told when."""
    clock = FakeTime()
    http, seen = served(httpx2.Response(503, headers={"Retry-After": "259200"}), 200)
    it = transport(http, clock, deadline_s=1000)
    with pytest.raises(OutsideError):
        it.read(READ)
    with pytest.raises(
        OutsideError, match=r"not sent: we must wait until 2027-01-12.*: the service asked"
    ) as told:
        it.read(READ)
    assert ASKED_MAX_S - 5 <= told.value.wait_s <= ASKED_MAX_S
    assert len(seen) == 1
    assert it.alerts
    assert "259200" in caplog.text
    clock.pass_(ASKED_MAX_S)
    it.read(READ)
    assert len(seen) == 2


def test_a_service_that_takes_no_writes_is_named_with_since_when() -> None:
    """Hours of 429, reads fine: the answer, its first instant, the last wait; forgotten once a write is taken."""
    clock = FakeTime()
    busy = [httpx2.Response(429, headers={"Retry-After": str(wait)}) for wait in (60, 120, 1800)]
    http, _ = served(*busy, 200)
    it = transport(http, clock)
    assert it.refusal() == ""
    first = instant(int(clock.wall()))
    for wait in (60, 120):
        assert it.write(WRITE).status == 429
        assert it.refusal() == f"writes are answered 429 (throttled) since {first}, Retry-After {wait} s"
        clock.pass_(3600)
    assert it.write(WRITE).status == 429
    with pytest.raises(OutsideError) as told:
        it.write(WRITE)
    assert told.value.message.startswith(
        f"writes are answered 429 (throttled) since {first}, Retry-After 1,800 s; not sent: we must wait until "
    )
    assert told.value.wait_s == 1800
    assert "http" not in told.value.message
    clock.pass_(1800)
    assert it.write(WRITE).ok
    assert it.refusal() == ""


@pytest.mark.parametrize("asked", [3600, 7200])
def test_a_long_wait_is_kept_to(asked: int) -> None:
    """An hour of Retry-After on a write is an hour: no write goes out before, reads do after half a minute."""
    clock = FakeTime()
    http, seen = served(httpx2.Response(429, headers={"Retry-After": str(asked)}), 200)
    it = transport(http, clock)
    assert it.write(WRITE).status == 429
    assert (
        f"until {dt.datetime.fromtimestamp(clock.wall() + asked, dt.UTC):%Y-%m-%d %H:%M:%S} UTC"
        in it.alerts[0]
    )
    with pytest.raises(OutsideError, match="not sent") as told:
        it.write(WRITE)
    assert not isinstance(told.value, LostAnswerError)
    it.read(READ)
    assert clock.monotonic() <= 30 + 1
    clock.pass_(asked)
    assert it.write(WRITE).ok
    assert len(seen) == 3


def test_to_wait_for_our_own_turn_is_no_silence_of_the_server() -> None:
    """Retry-After 240 with a deadline of 180 s: the next write waits, goes out, and is answered."""
    clock = FakeTime()
    http, seen = served(httpx2.Response(429, headers={"Retry-After": "240"}), 200)
    it = transport(http, clock, deadline_s=180)
    assert it.write(WRITE).status == 429
    assert it.write(WRITE).ok
    assert clock.monotonic() >= 240
    assert len(seen) == 2


def test_a_write_asks_after_its_wait_whether_it_may_still_go() -> None:
    """The window closes while a write waits for its turn: it is not sent, and nobody takes it for lost."""
    clock = FakeTime()
    clock.barred = lambda: "the change window is closed" if clock.monotonic() >= 120 else ""  # type: ignore[method-assign]
    http, seen = served(httpx2.Response(429, headers={"Retry-After": "150"}), 200)
    it = transport(http, clock)
    assert it.write(WRITE).status == 429
    with pytest.raises(OutsideError, match="not sent: the change window is closed") as told:
        it.write(WRITE)
    assert not isinstance(told.value, LostAnswerError)
    assert clock.monotonic() <= 120 + 5
    assert len(seen) == 1


def test_a_write_asks_after_its_sign_in_whether_it_may_still_go() -> None:
    """The window closes while a token is waited for, at first and after a 401: no byte of the write goes out."""
    for first in (600.0, 0.0):
        clock, tokens = FakeTime(), iter(("old", "new"))
        waits = {"old": first, "new": 600.0}

        def get_token(
            *_: Any, clock: Any = clock, tokens: Any = tokens, waits: Any = waits, **__: Any
        ) -> Any:
            token = next(tokens)
            clock.pass_(waits[token])
            return SimpleNamespace(token=token, expires_on=1 << 40)

        clock.barred = lambda now=clock.monotonic: "the window is closed" if now() >= 300 else ""  # type: ignore[method-assign]
        http, seen = served(401, 201)
        auth = Bearer(SimpleNamespace(get_token=get_token), "scope", clock)  # type: ignore[arg-type]
        with pytest.raises(OutsideError, match="not sent: the window is closed") as told:
            transport(http, clock, auth=auth).write(WRITE)
        assert not isinstance(told.value, LostAnswerError)
        assert len(seen) == (0 if first else 1)


@pytest.mark.parametrize("ends", ["window", "lease"])
def test_a_write_asks_once_more_when_it_is_connected(ends: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name takes minutes to resolve: the window has closed by then, or the lease is over."""
    clock, resolve = FakeTime(), socket.getaddrinfo

    def slow(*given: Any, **keys: Any) -> Any:
        clock.pass_(600)
        return resolve(*given, **keys)

    if ends == "window":
        clock.barred = lambda: "the window is closed" if clock.monotonic() >= 300 else ""  # type: ignore[method-assign]
    else:
        clock.held_s = lambda: 60 - clock.monotonic()  # type: ignore[method-assign]
    seen: list[Any] = []

    def answer(asked: Any) -> Reply:
        seen.append(asked)
        return Reply(201)

    with on_loopback(SimpleNamespace(answer=answer)) as base:
        it = transport(None, clock)  # type: ignore[arg-type]
        monkeypatch.setattr(socket, "getaddrinfo", slow)
        with pytest.raises(OutsideError, match="not sent") as told:
            it.write(Call("POST", f"{base}/x", body={}))
        it.close()
    assert not isinstance(told.value, LostAnswerError)
    assert not seen


@pytest.mark.parametrize("jump", [3 * 3600, -3 * 3600])
def test_after_a_jump_of_our_clock_the_server_is_asked_before_a_write(jump: int) -> None:
    """A suspension, or a clock that was set: only the server can say which; then time goes on by two of the three."""
    for is_suspended in (True, False):
        clock = FakeTime()
        wall = clock.wall()
        stood = [0.0]

        def handle(
            _request: httpx2.Request, clock: FakeTime = clock, wall: float = wall, stood: Any = stood
        ) -> httpx2.Response:
            date = formatdate(wall + clock.monotonic() + stood[0], usegmt=True)
            return httpx2.Response(200, json={}, headers={"Date": date})

        it = transport(httpx2.MockTransport(handle), clock)
        assert it.write(WRITE).ok
        clock._wall += jump
        stood[0] = jump if is_suspended and jump > 0 else 0.0
        with pytest.raises(OutsideError, match="not sent: this machine's clock jumped by 3 h") as told:
            it.write(WRITE)
        assert not isinstance(told.value, LostAnswerError)
        it.read(READ)
        assert it.write(WRITE).ok
        assert it.server_now() == pytest.approx(wall + clock.monotonic() + stood[0], abs=1)


@pytest.mark.parametrize("off", [-2 * 86_400, 5 * 3600])
def test_a_clock_that_was_wrong_at_the_start_delays_nothing_once_it_is_corrected(off: int) -> None:
    """Until then both clocks need an open window; afterwards the server's alone counts."""
    clock = FakeTime()
    wall, asked = clock.wall(), []
    clock.barred = lambda later_by=0.0: asked.append(later_by) or ""  # type: ignore[func-returns-value, method-assign]

    def handle(_request: httpx2.Request) -> httpx2.Response:
        date = formatdate(wall + off + clock.monotonic(), usegmt=True)
        return httpx2.Response(200, json={}, headers={"Date": date})

    it = transport(httpx2.MockTransport(handle), clock)
    it.read(READ)
    it.write(WRITE)
    assert max(asked) == pytest.approx(abs(off), abs=1)
    clock._wall += off
    it.read(READ)
    asked.clear()
    it.write(WRITE)
    assert max(asked) == 0
    assert it.server_now() == pytest.approx(clock.wall(), abs=1)


@pytest.mark.parametrize("off", [-12 * 3600, 12 * 3600, 3650 * 86_400])
def test_a_retry_after_date_is_by_the_servers_clock(off: int) -> None:
    """In 30 s by the server's own Date: that is 30 s, whatever this machine's clock says."""
    clock = FakeTime()
    at = clock.wall() + off
    headers = {"Date": formatdate(at, usegmt=True), "Retry-After": formatdate(at + 30, usegmt=True)}
    http, _ = served(httpx2.Response(429, headers=headers), 200)
    it = transport(http, clock)
    assert it.write(WRITE).status == 429
    assert it.write(WRITE).ok
    assert 30 <= clock.monotonic() <= 31


@pytest.mark.parametrize("text", ["Mon, 01 Jan 99999999999999999999 00:00:00 GMT", "nan", "1e300", "-1", "?"])
def test_no_date_header_breaks_a_write(text: str) -> None:
    """Garbage in the Date of an answer to a write: the answer counts all the same."""
    http, _ = served(httpx2.Response(201, headers={"Date": text}))
    assert transport(http).write(WRITE).status == 201


def test_our_own_waits_grow_where_the_server_always_asks_for_a_second() -> None:
    """A constant Retry-After of 1 s: each repeat waits longer than the one before could."""
    clock = FakeTime()
    http, seen = served(*[httpx2.Response(503, headers={"Retry-After": "1"})] * 5)
    with pytest.raises(OutsideError):
        transport(http, clock, chance=lambda: 0.9).read(READ)
    assert len(seen) == 5
    assert clock.monotonic() >= 1 + 2 + 4 + 8


def test_a_wait_beyond_the_deadline_ends_the_call() -> None:
    """A call has a total deadline, repeats included."""
    clock = FakeTime()
    http, seen = served(httpx2.Response(503, headers={"Retry-After": "60"}))
    with pytest.raises(OutsideError):
        transport(http, clock, deadline_s=100).read(READ)
    assert len(seen) == 2
    assert clock.monotonic() <= 100


def test_an_answer_that_drips_meets_the_deadline() -> None:
    """A body that comes byte by byte does not last for ever."""
    clock = FakeTime()

    class Drip(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            for _ in range(10_000):
                clock.pass_(20)
                yield b" "

    http, seen = served(httpx2.Response(200, stream=Drip()))
    with pytest.raises(OutsideError, match="not complete within"):
        transport(http, clock, attempts=1).read(READ)
    assert len(seen) == 1
    assert clock.monotonic() < 400


def test_a_redirect_to_another_host_is_refused() -> None:
    """No request and no credential follows to a host that was not named."""
    http, seen = served(httpx2.Response(302, headers={"Location": "https://login.evil.example/x"}))
    with pytest.raises(OutsideError, match="refused to follow a redirect"):
        transport(http).read(READ)
    assert [str(item.url.host) for item in seen] == ["cm.example"]


def test_a_redirect_on_the_host_is_followed_for_reads_only() -> None:
    """A read may be moved on the same host; a write may not."""
    http, _ = served(httpx2.Response(307, headers={"Location": "/AdminService/wmi/Other"}), 200)
    assert transport(http).read(READ) == {"value": []}
    http, seen = served(httpx2.Response(307, headers={"Location": "/AdminService/wmi/Other"}), 200)
    with pytest.raises(OutsideError, match="redirect"):
        transport(http).write(WRITE)
    assert len(seen) == 1


def test_a_sign_in_page_instead_of_json_is_named() -> None:
    """HTML with 200 is no empty list."""
    http, _ = served(httpx2.Response(200, html="<html>Sign in</html>"))
    with pytest.raises(OutsideError, match="expected JSON, found text/html"):
        transport(http).read(READ)


def test_reads_go_to_the_next_host_when_one_is_down() -> None:
    """Several providers: the next one stands in, for this and for what follows."""
    hosts: list[str] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        hosts.append(request.url.host)
        if request.url.host == "cm.example":
            raise httpx2.ConnectError("down")
        return httpx2.Response(200, json={"value": []})

    it = transport(httpx2.MockTransport(handle), origins=("https://cm.example", "https://cm2.example"))
    it.read(READ)
    it.write(WRITE)
    assert hosts == ["cm.example", "cm2.example", "cm2.example"]


# Pace.


def test_calls_are_spaced() -> None:
    """20 calls a second: the 41st is two seconds later."""
    clock = FakeTime()
    pace = Pace(clock, per_second=20)
    for _ in range(41):
        with pace.turn(reads=True):
            pass
    assert clock.monotonic() == pytest.approx(2.0, abs=0.06)


@given(st.lists(st.integers(1, 20), min_size=1, max_size=60), st.integers(20, 60))
@hypothesis_settings(derandomize=True, max_examples=200, deadline=None)
def test_a_quota_is_never_exceeded_in_any_window(units: list[int], limit: int) -> None:
    """Whatever is asked for, no window of the quota's length holds more than its limit."""
    clock, quota = FakeTime(), Quota(limit, 10)
    pace = Pace(clock, writes=quota)
    spent: list[tuple[float, int]] = []
    for unit in units:
        with pace.turn(reads=False, units=unit):
            spent.append((clock.monotonic(), unit))
    for at, _ in spent:
        assert sum(n for t, n in spent if at <= t < at + 10) <= limit


def test_throttling_below_our_own_count_halves_the_pace_and_it_grows_back() -> None:
    """The quota halves once a while, and comes back by eighths in quiet windows."""
    quota = Quota(100, 10)
    quota.ease(0.0)
    quota.ease(0.5)
    assert quota.share == 0.5
    quota.ease(5.0)
    assert quota.share == 0.25
    for window in range(1, 20):
        quota.wait_s(5.0 + 10 * window, 1)
    assert quota.share == 1.0


def test_no_more_calls_than_allowed_are_under_way() -> None:
    """The slots bound what is in flight, over threads."""
    pace, at_once, most = Pace(SystemTime(), in_flight=3), [0], [0]
    lock = threading.Lock()

    def one() -> None:
        with pace.turn(reads=True):
            with lock:
                at_once[0] += 1
                most[0] = max(most[0], at_once[0])
            threading.Event().wait(0.01)
            with lock:
                at_once[0] -= 1

    threads = [threading.Thread(target=one) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 3


# URLs.


def test_names_with_quotes_are_doubled_and_backslashes_refused() -> None:
    """O'Brien is a name; a backslash would be answered with 404."""
    assert literal("O'Brien") == "'O''Brien'"
    assert (
        address("https://h", "c", filter="Name eq " + literal("A & B"))
        == "https://h/c?$filter=Name%20eq%20'A%20%26%20B'"
    )
    assert key("A/B C") == "('A/B%20C')"
    with pytest.raises(UsageError):
        literal("a\\b")
    with pytest.raises(ValueError, match="1 to 20"):
        any_of("ResourceID", [str(n) for n in range(21)])


# Secrets.

CANARY = "canary-s3cret"


def test_tokens_in_links_do_not_reach_the_log() -> None:
    """Values of unknown query options are left out."""
    url = f"https://user:{CANARY}@h/v1.0/devices?$select=id&$skiptoken={CANARY}&sig={CANARY}"
    assert CANARY not in shown(url)
    assert "$select=id" in shown(url)


def test_a_canary_secret_is_in_no_log_error_or_repr(caplog: pytest.LogCaptureFixture) -> None:
    """A token, a password in a link and an error page that echoes: none of them is written anywhere."""
    caplog.set_level(logging.DEBUG)
    credential = SimpleNamespace(get_token=lambda *_: SimpleNamespace(token=CANARY, expires_on=1 << 40))
    auth = Bearer(credential, "scope", FakeTime())  # type: ignore[arg-type]

    def serve(request: httpx2.Request) -> httpx2.Response:
        assert request.headers["authorization"] == f"Bearer {CANARY}"
        return httpx2.Response(
            503 if "skiptoken" in str(request.url) else 401, json={"error": {"message": "no"}}
        )

    texts = [repr(auth), str(READ)]
    with on_loopback(SimpleNamespace(answer=lambda _asked: Reply(503, {"error": {"message": "no"}}))) as base:
        for http in (httpx2.MockTransport(serve), None):
            it = transport(http, auth=auth, attempts=2)  # type: ignore[arg-type]
            for call in (
                READ,
                get(f"{base}/x?$skiptoken={CANARY}"),
                Call("POST", f"{base}/y?code={CANARY}", body={}),
            ):
                if http is None and call is READ:
                    continue
                try:
                    answer = it.read(call) if call.reads else it.write(call)
                    texts.append(repr(answer))
                except OutsideError as error:
                    texts += [str(error), repr(error), error.hint]
            it.close()
    assert CANARY not in "\n".join([*texts, caplog.text])


def test_an_expired_token_is_renewed_once_and_the_call_goes_through() -> None:
    """401, a fresh token, success: also for a write, since a request that was not let in changed nothing."""
    tokens = iter(("old", "new"))
    credential = SimpleNamespace(
        get_token=lambda *_, **__: SimpleNamespace(token=next(tokens), expires_on=1 << 40)
    )
    used: list[str] = []

    def serve(request: httpx2.Request) -> httpx2.Response:
        used.append(request.headers["authorization"])
        return httpx2.Response(201 if used[-1] == "Bearer new" else 401)

    auth = Bearer(credential, "scope", FakeTime())  # type: ignore[arg-type]
    assert transport(httpx2.MockTransport(serve), auth=auth).write(WRITE).status == 201
    assert used == ["Bearer old", "Bearer new"]


# TLS.


@pytest.fixture(name="authority", scope="module")
def _authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, str]:
    authority = trustme.CA()
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return authority, str(path)


def _tls(authority: trustme.CA, name: str) -> Any:
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def _ok() -> Any:
    return SimpleNamespace(answer=lambda _asked: Reply(200, {"value": []}))


def test_the_given_authority_is_trusted(authority: tuple[trustme.CA, str]) -> None:
    """A certificate of ca_file, for the right name, is taken."""
    with on_loopback(_ok(), _tls(authority[0], "127.0.0.1")) as base:
        it = transport(None, ca_file=authority[1])  # type: ignore[arg-type]
        assert it.read(get(f"{base}/x")) == {"value": []}
        it.close()


def test_an_unknown_authority_and_a_wrong_name_are_refused(authority: tuple[trustme.CA, str]) -> None:
    """Verification is never off: one clear line each, and no repeats."""
    for ca_file, name in (("", "127.0.0.1"), (authority[1], "cm01.example")):
        with on_loopback(_ok(), _tls(authority[0], name)) as base:
            it = transport(None, ca_file=ca_file)  # type: ignore[arg-type]
            with pytest.raises(OutsideError, match=r"certificate is not trusted.*tried once"):
                it.read(get(f"{base}/x"))
            it.close()


def test_a_ca_file_that_is_none_is_a_clear_error(tmp_path: Path) -> None:
    """Missing or broken file: usage error with its name."""
    broken = tmp_path / "broken.pem"
    broken.write_text("nothing")
    for path in (str(tmp_path / "missing.pem"), str(broken)):
        with pytest.raises(UsageError, match="ca_file"):
            transport(None, ca_file=path)  # type: ignore[arg-type]


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment must not see the provider's traffic."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with on_loopback(_ok()) as base:
        it = transport(None)  # type: ignore[arg-type]
        assert it.read(get(f"{base}/x")) == {"value": []}
        it.close()


def test_a_connection_that_breaks_after_the_request_is_a_lost_answer() -> None:
    """Over a real socket: the server closes without a word."""

    def broken(_asked: Any) -> Reply:
        raise BrokenError

    with on_loopback(SimpleNamespace(answer=broken)) as base:
        it = transport(None)  # type: ignore[arg-type]
        with pytest.raises(LostAnswerError):
            it.write(Call("POST", f"{base}/x", body={}))
        it.close()


def test_nobody_listening_is_not_a_lost_answer() -> None:
    """A refused connection says: nothing went out."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    it = transport(None, attempts=1)  # type: ignore[arg-type]
    with pytest.raises(OutsideError) as caught:
        it.write(Call("POST", f"http://127.0.0.1:{port}/x", body={}))
    assert not isinstance(caught.value, LostAnswerError)
    it.close()


# Settings.


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected the section"),
        ("x = 1", "expected the section"),
        ("[directory.adminservice]\nhosts = []", "hosts"),
        ('[directory.adminservice]\nhosts = ["http://cm.example"]', "https"),
        ('[directory.adminservice]\nhosts = ["https://u:p@cm.example"]', "without user"),
        ('[directory.adminservice]\nhosts = ["cm.example"]\nverify = false', "verify"),
        ('[directory.adminservice]\nhosts = ["cm.example"]\nauth = "none"', "emulators"),
        ('[directory.adminservice]\nhosts = ["cm.example"]\npassword = "x"', "password"),
        ('[directory.adminservice]\nhosts = ["cm.example"]\nauth = "bearer"', "scope"),
        ('[directory.graph]\ntenant_id = "t"\nroot = "https://graph.example"', "emulators"),
        ('[directory.graph]\ntenant_id = "t"\ncloud = "mars"', "public"),
        ('[directory.graph]\ntenant_id = "t"\nclient_secret = "x"', "client_secret"),
        ("[directory", "TOML"),
        (
            '[directory.adminservice]\nhosts = ["cm1.example", "https://cmg.example/P/1/AdminService"]',
            "same path",
        ),
    ],
)
def test_wrong_settings_say_where_and_what(tmp_path: Path, text: str, says: str) -> None:
    """Each mistake is one line that names the key; no key takes a secret or switches verification off."""
    path = tmp_path / "directory.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=says) as caught:
        load_settings(path)
    assert "\n" not in caught.value.message


def test_settings_are_read_and_frozen(tmp_path: Path) -> None:
    """A host becomes the provider's address; a gateway's path stays."""
    path = tmp_path / "directory.toml"
    path.write_text(
        '[directory.adminservice]\nhosts = ["https://cmg.example/CCM_Proxy_ServerAuth/1/AdminService/"]\n'
        '[directory.graph]\ntenant_id = "t"\ncloud = "usgov"\n'
    )
    settings: Any = load_settings(path)
    assert list(settings) == ["adminservice", "graph"]
    assert isinstance(settings["adminservice"], AdminServiceSettings)
    assert isinstance(settings["graph"], GraphSettings)
    assert settings["adminservice"].hosts == ("https://cmg.example/CCM_Proxy_ServerAuth/1/AdminService",)
    assert AdminServiceSettings(hosts=("cm01.corp.example",)).hosts == (
        "https://cm01.corp.example/AdminService",
    )
    assert settings["graph"].base == "https://graph.microsoft.us/v1.0"
    with pytest.raises(ValueError, match="frozen"):
        settings["graph"].cloud = "public"


@pytest.mark.parametrize(
    ("cloud", "root"),
    [
        ("public", "https://graph.microsoft.com/v1.0"),
        ("gcc", "https://graph.microsoft.com/v1.0"),
        ("usgov", "https://graph.microsoft.us/v1.0"),
        ("dod", "https://dod-graph.microsoft.us/v1.0"),
        ("china", "https://microsoftgraph.chinacloudapi.cn/v1.0"),
    ],
)
def test_each_cloud_has_its_root(cloud: Any, root: str) -> None:
    """Five clouds by name."""
    assert GraphSettings(tenant_id="t", cloud=cloud).base == root


def test_requests_are_read_as_they_were_sent() -> None:
    """The emulators' own reading: options without dollar, path unquoted."""
    asked = asked_of("GET", address("https://h/a", "b('c d')", filter="x eq 1"), {}, b"")
    assert (asked.path, asked.options) == ("/a/b('c d')", {"filter": "x eq 1"})
