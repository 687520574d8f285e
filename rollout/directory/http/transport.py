"""One call to a directory: paced, repeated if that is safe, within a deadline, and logged.

A read that fails is tried again; a write is never sent again unless no byte of it went out (no connection) or the
answer says that it was rejected (401, after which the credential is renewed once), and it never outlives the rest of
the lease. A write whose answer was lost raises `LostAnswerError`: the caller reads what happened.
Certificates are always verified; redirects to another host are refused; nothing of the environment (proxies, netrc)
is used.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx2

from rollout.directory.http.pace import LONG_S, Pace
from rollout.directory.http.requests import Call
from rollout.directory.http.retrying import (
    AGAIN,
    ASKED_MAX_S,
    THROTTLED,
    Backoff,
    Budget,
    asked_wait_s,
    http_date,
)
from rollout.directory.port import Time
from rollout.errors import OutsideError, RefusedError, UsageError
from rollout.text import instant

log = logging.getLogger("rollout.directory")

BYTES_MAX: Final = 1 << 28
REDIRECTS_MAX: Final = 3
TRUST_S: Final = 300.0
"""A server's clock is used while it differs from ours by no more than this; Kerberos allows no more either."""
UNTRUSTED: Final = "its certificate is not trusted"
SENDING: Final = "http11.send_request_headers.started"
"""Event of the layer below: connected, and about to send the first byte."""
SHOWN: Final = frozenset({"$filter", "$select", "$orderby", "$top", "$skip", "$count"})
"""Query options whose values are safe in a log; any other value may be a secret."""


class LostAnswerError(OutsideError):
    """A write went out and no answer came: it may have taken effect or not."""


class AnswerError(OutsideError):
    """The server answered, but not with success.

    status : HTTP status. code, text : of the error body, "" without one.
    """

    def __init__(self, call: Call, status: int, code: str, text: str) -> None:
        said = f": {text}" if text else ""
        super().__init__(f"{call.method} {shown(call.url)} answered {status}{said}", _hint(status))
        self.status = status
        self.code = code
        self.text = text


def _hint(status: int) -> str:
    return {
        401: "the account was not accepted: check the credential, and that the account may sign in there",
        403: "the account lacks a right: 'rollout doctor --directory NAME' names it where the directory shows it",
        429: "the service throttles: lower the pace, or wait",
    }.get(status, "")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer. headers : names in lower case. data : the JSON body, None without one."""

    status: int
    headers: Mapping[str, str]
    data: Any = None

    @property
    def ok(self) -> bool:
        """Return whether it is a success (any 2xx)."""
        return 200 <= self.status < 300

    def error(self, call: Call) -> AnswerError:
        """Return the answer as an error, with the text of its body."""
        code, text = error_of(self.data)
        return AnswerError(call, self.status, code, text)


def error_of(data: Any) -> tuple[str, str]:
    """Read code and message of an OData error body; both may be missing."""
    error = data.get("error") if isinstance(data, dict) else None
    if not isinstance(error, dict):
        return "", ""
    message = error.get("message")
    text = message.get("value", "") if isinstance(message, dict) else message
    return str(error.get("code") or ""), " ".join(str(text or "").split())[:300]


def shown(url: str) -> str:
    """Return a URL without the values of unknown query options, safe for logs."""
    parts = urlsplit(url)
    query = "&".join(
        f"{name}={value if name in SHOWN else '…'}"
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    )
    return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}" + (
        f"?{query}" if query else ""
    )


def origin(url: str) -> str:
    """Return scheme, host and port of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def trust(ca_file: str) -> ssl.SSLContext:
    """Return a verifying TLS context: of `ca_file` alone, or of the system's authorities.

    Raise `UsageError` if the file cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file or None)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"ca_file {ca_file}: expected PEM certificates, found {error}") from error
    if ca_file:
        # A self-signed site certificate is its own authority and lacks the extensions that strict mode requires.
        context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


class Transport:
    """Calls to one directory.

    origins : further hosts that serve the same, tried when the first cannot be connected to.
    chance, new_id : return a number in [0, 1) for jitter, and a fresh request id.
    http : the layer below, replaced in tests; None = the network.
    """

    def __init__(
        self,
        pace: Pace,
        clock: Time,
        *,
        chance: Callable[[], float],
        new_id: Callable[[], str],
        origins: Iterable[str] = (),
        auth: httpx2.Auth | None = None,
        ca_file: str = "",
        proxy: str = "",
        timeout_s: float = 30.0,
        deadline_s: float = 180.0,
        attempts: int = 5,
        http: httpx2.BaseTransport | None = None,
    ) -> None:
        # httpx2 logs whole URLs at INFO; our log contains no secrets.
        for name in ("httpx2", "httpcore2"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self.auth = auth
        self.pace = pace
        self.clock = clock
        self.reads_only = False
        self.alerts: list[str] = []
        self.skew_s: float | None = None
        self._server_time: tuple[float, float] | None = None
        # Our wall clock as it was at the start, continued by the monotonic clock, which nothing sets.
        self._wall_ahead = clock.wall() - clock.monotonic()
        self._wall_seen = self._wall_ahead
        self._disagrees = self._has_agreed = False
        self._later_by = 0.0
        self.pressure = 0.0
        self._refused: _Refused | None = None
        self._backoff = Backoff(chance)
        self._budget = Budget()
        self._new_id = new_id
        self._origins = [origin(host) for host in origins]
        self._timeout_s = timeout_s
        self._deadline_s = deadline_s
        self._attempts = attempts
        self._client = httpx2.Client(
            auth=auth,
            verify=trust(ca_file),
            proxy=proxy or None,
            trust_env=False,
            follow_redirects=False,
            headers={"Accept": "application/json, text/plain;q=0.5"},  # a count is plain text
            transport=http,
            event_hooks={"request": [_ask_again]},
        )

    def server_now(self) -> float | None:
        """Return the server's clock, Unix seconds, by its last answer and the time since.

        None before the first answer. While the two clocks differ by more than TRUST_S: this machine's time if they
        agreed before in this session, because then the server's was set; else it is unknown which clock is wrong,
        and the earlier time counts, so that nothing opens early (None if that is this machine's). A write then needs
        an open window by both.
        """
        if self._server_time is None:
            return None
        stamp, at = self._server_time
        return stamp + self.clock.monotonic() - at

    def stay_alive(self) -> None:
        """Renew the lease and obey signals, as in each wait of the clock; for a thread that waits for other calls."""
        self.clock.sleep(0.001)

    def close(self) -> None:
        """Close all connections."""
        self._client.close()

    def refusal(self) -> str:
        """Return with which answer writes are refused now, since when, and for how long; "" if they are taken."""
        return str(self._refused) if self._refused else ""

    def note_refusal(self, call: Call, status: int, asked: float | None) -> None:
        """Record that a write was refused for now. asked : Retry-After in seconds, None without one."""
        before, kind = self._refused, _kind(call)
        goes_on = before is not None and (before.kind, before.status) == (kind, status)
        since = before.since if before is not None and goes_on else self.clock.wall()
        self._refused = _Refused(kind, status, since, asked)

    def read(self, call: Call) -> Any:
        """Make a reading call, again if needed, and return the JSON of the answer.

        Raise `AnswerError` for any answer but success, `OutsideError` for none within the deadline.
        """
        if not call.reads:
            raise ValueError(f"{call.method} {call.url} writes")
        answer = self._repeat(call)
        if not answer.ok:
            raise answer.error(call)
        self._budget.earn()
        return answer.data

    def write(self, call: Call, units: float = 1.0, begin: Callable[[], None] = lambda: None) -> Answer:
        """Make a changing call once and return the answer, whatever it says.

        begin : called when our turn has come; what it raises is raised here, with nothing sent.

        Raise `LostAnswerError` if it may have gone out and no answer came; plain `OutsideError` if it did not go out,
        and `RefusedError` where only reads may.
        """
        if self.reads_only:
            raise RefusedError(f"{call.method} {shown(call.url)}: not sent: this session is read-only")
        until = _Deadline(self.clock.monotonic() + self._deadline_s)
        attempt = 0
        while True:
            try:
                answer = self._once(call, until, units, begin)
            except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
                # Nothing went out, so trying again is safe.
                wait = self._backoff.wait_s(attempt, None)
                attempt += 1
                self._pause_or_raise(call, attempt, wait, until, _reason(error))
                continue
            except _NotSentError as error:
                raise OutsideError(f"{call.method} {shown(call.url)}: not sent: {error}") from None
            except OutsideError as error:
                raise self._explained(error) from None
            except (httpx2.HTTPError, httpx2.StreamError, OSError, _LateError) as error:
                text = (
                    f"{call.method} {shown(call.url)}: no answer ({_reason(error)}); it may have taken effect"
                )
                raise LostAnswerError(text, "the members are read before anything is sent again") from error
            asked = self._throttled(call, answer)
            if answer.status in AGAIN:
                self.note_refusal(call, answer.status, asked)
            elif self._refused is not None and self._refused.kind == _kind(call):
                self._refused = None
            if answer.ok:
                self._budget.earn()
            return answer

    def _explained(self, error: OutsideError) -> OutsideError:
        """Name the answer because of which a write must wait for so long that it is not sent now."""
        if not error.wait_s or self._refused is None:
            return error
        explained = OutsideError(f"{self.refusal()}; {error.message}", error.hint)
        explained.wait_s, explained.never_sent = error.wait_s, error.never_sent
        return explained

    def _repeat(self, call: Call) -> Answer:
        until = _Deadline(self.clock.monotonic() + self._deadline_s)
        attempt = 0
        while True:
            try:
                answer = self._once(call, until, call.units)
            except (httpx2.HTTPError, httpx2.StreamError, OSError, _LateError, _NotSentError) as error:
                if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
                    self._stand_in()
                asked, why = None, _reason(error)
            else:
                if answer.status not in AGAIN:
                    return answer
                asked, why = self._throttled(call, answer), f"it answered {answer.status}"
            wait = self._backoff.wait_s(attempt, asked)
            attempt += 1
            self._pause_or_raise(call, attempt, wait, until, why)

    def _pause_or_raise(self, call: Call, attempt: int, wait: float, until: _Deadline, why: str) -> None:
        left = until.at - self.clock.monotonic()
        hopeless = why.startswith(UNTRUSTED)
        if hopeless or attempt >= self._attempts or wait >= left or not self._budget.take():
            tried = f"tried {attempt} times" if attempt > 1 else "tried once"
            raise OutsideError(
                f"{call.method} {shown(call.url)}: {why}; {tried}", "check the host and the network"
            )
        log.info("%s %s: %s; retrying in %.1f s", call.method, shown(call.url), why, wait)
        self.clock.sleep(wait)

    def _throttled(self, call: Call, answer: Answer) -> float | None:
        """Record a throttling answer and return the wait that it asks for."""
        asked = asked_wait_s(answer.headers, self._now_of(answer))
        if answer.status not in THROTTLED:
            return asked
        self.pace.throttled(reads=call.reads)
        if asked is not None:
            wait = min(asked, ASKED_MAX_S)
            if asked > ASKED_MAX_S:
                self._alert(f"{shown(call.url)} asked to wait {asked:.0f} s; we wait {ASKED_MAX_S:.0f} s")
            elif asked >= LONG_S:
                self._alert(f"{shown(call.url)} asks us to wait until {_clock(self.clock.wall() + wait)}")
            self.pace.hold(wait, reads=call.reads)
        return asked

    def _now_of(self, answer: Answer) -> float:
        """Return what time it is for a Retry-After that is a date: its server's time, whichever clock is wrong."""
        return _date_of(answer) or self.clock.monotonic() + self._wall_ahead

    def _alert(self, text: str) -> None:
        log.warning(text)
        self.alerts.append(text)

    def _stand_in(self) -> None:
        if len(self._origins) > 1:
            self._origins.append(self._origins.pop(0))
            log.warning("no connection; using %s instead", self._origins[0])

    def _once(
        self, call: Call, until: _Deadline, units: float, begin: Callable[[], None] = lambda: None
    ) -> Answer:
        url = self._origins[0] + _tail(call.url) if self._origins else call.url
        for _ in range(REDIRECTS_MAX + 1):
            begun = self.clock.monotonic()
            with self.pace.turn(reads=call.reads, units=units):
                until.at += (
                    self.clock.monotonic() - begun
                )  # waiting for our own turn is no silence of the server
                if not call.reads:
                    begin()
                    self.pace.check_allowed()
                answer = self._exchange(call, url, until.at)
            if not 300 <= answer.status < 400:
                return answer
            target = urljoin(url, answer.headers.get("location", ""))
            if origin(target) != origin(url) or not call.reads:
                raise OutsideError(
                    f"{call.method} {shown(url)}: refused to follow a redirect to {shown(target)}",
                    "set the host that serves directly, without a sign-in page or proxy in between",
                )
            url = target
        raise OutsideError(f"{call.method} {shown(call.url)}: more than {REDIRECTS_MAX} redirects")

    def _exchange(self, call: Call, url: str, until: float) -> Answer:
        begun = self.clock.monotonic()
        left = until - begun
        if not call.reads and left > (held := self.clock.held_s()):
            left = held  # a write ends before another executor may send it
            if left <= 0:
                raise OutsideError(f"{call.method} {shown(url)}: not sent: the lease must be renewed first")
        if left <= 0:
            raise _NotSentError(f"the time limit of {self._deadline_s:.0f} s passed before the call was sent")
        headers = dict(call.headers) | {"client-request-id": self._new_id()}
        if call.content is not None:
            headers["Content-Type"] = "application/json"
        # Connecting and the TLS handshake precede the first byte of a write: both must fit into what is left.
        silence = httpx2.Timeout(min(self._timeout_s, left), connect=min(self._timeout_s, left / 3))
        request = self._client.build_request(
            call.method, url, headers=headers, content=call.content, timeout=silence
        )
        if not call.reads:
            request.extensions["trace"] = self._before_sending
        response = self._client.send(request, stream=True)
        try:
            content = self._content(response, begun + left)
        finally:
            response.close()
        answer = _answer(response, content, call)
        self._trace(call, answer, headers["client-request-id"], self.clock.monotonic() - begun)
        return answer

    def _before_sending(self, event: str, _info: Mapping[str, Any]) -> None:
        """Ask once more before the first byte of a write: a token, a name or a handshake may have taken minutes."""
        if event != SENDING:
            return
        jump = self.clock.wall() - self.clock.monotonic() - self._wall_seen
        if abs(jump) > TRUST_S:
            raise OutsideError(
                f"not sent: this machine's clock jumped by {span_text(abs(jump))}, as after a suspension: "
                "the server's time is read first"
            )
        self.pace.check_allowed(self._later_by)
        if self.clock.held_s() <= 0:
            raise OutsideError("not sent: the lease must be renewed first")

    def _content(self, response: httpx2.Response, until: float) -> bytes:
        """Read the body in parts: the deadline holds even if a server sends byte by byte."""
        parts, size = [], 0
        for part in response.iter_bytes():
            parts.append(part)
            size += len(part)
            if size > BYTES_MAX:
                raise _LateError(f"an answer of more than {BYTES_MAX >> 20} MB")
            if self.clock.monotonic() > until:
                raise _LateError(f"the answer was not complete within {self._deadline_s:.0f} s")
        return b"".join(parts)

    def _trace(self, call: Call, answer: Answer, ours: str, seconds: float) -> None:
        theirs = answer.headers.get("request-id", "-")
        log.debug(
            "%s %s -> %d, %.0f ms, request-id %s, client-request-id %s",
            *(call.method, shown(call.url), answer.status, seconds * 1000, theirs, ours),
        )
        self._wall_seen = self.clock.wall() - self.clock.monotonic()
        if stamp := _date_of(answer):
            self._note_server_time(stamp)
        try:
            self.pressure = float(answer.headers.get("x-ms-throttle-limit-percentage", 0.0))
        except ValueError:
            self.pressure = 0.0

    def _note_server_time(self, stamp: float) -> None:
        """Record the server's time, unless our own clocks contradict it."""
        now = self.clock.monotonic()
        self.skew_s = stamp - self.clock.wall()
        off = stamp - (now + self._wall_ahead)
        is_moved = off > TRUST_S or (off < -TRUST_S and not self._has_agreed)
        if is_moved and abs(self.skew_s) <= TRUST_S:
            # Two clocks against one: the monotonic clock stood still, as where a virtual machine is paused, or
            # this machine's clock was wrong at the start and has been corrected.
            self._alert(
                f"this machine stood still or its clock was corrected, by {span_text(abs(off))}: "
                "the server's clock agrees with it and is used"
            )
            self._wall_ahead, off = self.clock.wall() - now, self.skew_s
        disagrees = abs(off) > TRUST_S
        if disagrees != self._disagrees:
            if disagrees:
                way = "ahead of" if off > 0 else "behind"
                used = "this machine's" if self._has_agreed or off > 0 else "the server's"
                self._alert(
                    f"the server's clock is {span_text(abs(off))} {way} this machine's: {used} is used until they agree"
                )
            else:
                log.warning("the server's clock agrees with this machine's again")
            self._disagrees = disagrees
        self._has_agreed |= not disagrees
        self._later_by = 0.0 if self._has_agreed else abs(off)
        is_used = not disagrees or (off < 0 and not self._has_agreed)
        if not is_used:
            self._server_time = (now + self._wall_ahead, now) if self._has_agreed else None
        elif (
            self._server_time is None
            or not 0.0 <= self._server_time[0] - self._server_time[1] - (stamp - now) < 1.0
        ):
            # A Date is cut to whole seconds, so the latest of several that agree is the nearest to the truth.
            self._server_time = (stamp, now)


@dataclass(slots=True)
class _Deadline:
    """When a call must end, by the monotonic clock; waiting for our own turn postpones it."""

    at: float


@dataclass(frozen=True, slots=True)
class _Refused:
    """The answer to a kind of write that is not taken at the moment.

    since : Unix seconds of the first such answer. asked : Retry-After of the last, None without one.
    """

    kind: tuple[str, str]
    status: int
    since: float
    asked: float | None

    def __str__(self) -> str:
        why = " (throttled)" if self.status in THROTTLED else ""
        wait = "" if self.asked is None else f", Retry-After {self.asked:,.0f} s"
        return f"writes are answered {self.status}{why} since {instant(int(self.since))}{wait}"


def _kind(call: Call) -> tuple[str, str]:
    """Return what distinguishes kinds of writes: a site may evaluate a collection and take no rules."""
    return call.method, urlsplit(call.url).path.rpartition("/")[2]


class _LateError(Exception):
    """The deadline has passed, or the answer is too long."""


class _NotSentError(Exception):
    """The deadline passed before a byte was sent."""


def _date_of(answer: Answer) -> float:
    """Return the Unix seconds of an answer's Date; 0 without one, or with one of a clock that was never set."""
    return max(0.0, http_date(answer.headers.get("date", "")) or 0.0)


def _ask_again(request: httpx2.Request) -> None:
    """Ask after each sign-in whether a write may still be sent."""
    if check := request.extensions.get("trace"):
        check(SENDING, {})


def span_text(seconds: float) -> str:
    """Write a duration for a person: the two largest units."""
    days, rest = divmod(round(seconds), 86_400)
    hours, rest = divmod(rest, 3600)
    parts = [(days, "d"), (hours, "h"), (rest // 60, "min"), (rest % 60, "s")]
    first = next((at for at, (count, _) in enumerate(parts) if count), 3)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count or first == 3)


def _clock(at: float) -> str:
    return dt.datetime.fromtimestamp(at, dt.UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _tail(url: str) -> str:
    parts = urlsplit(url)
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _answer(response: httpx2.Response, content: bytes, call: Call) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    if not content.strip():
        return Answer(response.status_code, headers)
    try:
        data = json.loads(content)
    except ValueError as error:
        if 200 <= response.status_code < 300 and call.reads:
            found = headers.get("content-type", "something else")
            raise OutsideError(
                f"{call.method} {shown(call.url)}: expected JSON, found {found}",
                "is there a proxy or a sign-in page in between?",
            ) from error
        data = None
    return Answer(response.status_code, headers, data)


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return f"{UNTRUSTED}; set ca_file to its certificate authority ({text[:200]})"
    return text[:200]
