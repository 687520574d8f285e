"""What both emulators share: requests, replies, planned faults, and two doors: in process, or a loopback port.

python -m emulators.web adminservice 8443     (with tests/support/ as the working folder; Ctrl-C ends it)
"""

from __future__ import annotations

import json
import re
import ssl
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx2

from rollout.directory.http.concurrency import THREAD_NAME


@dataclass(frozen=True)
class Asked:
    """A request as it came in. path : unquoted. options : query options without their dollar sign."""

    method: str
    path: str
    options: dict[str, str]
    headers: dict[str, str]
    body: Any
    url: str = ""


@dataclass
class Reply:
    """An answer. data : JSON, None = no body. raw : bytes instead of JSON."""

    status: int = 200
    data: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    raw: bytes | None = None

    @property
    def content(self) -> bytes:
        if self.raw is not None:
            return self.raw
        return b"" if self.data is None else json.dumps(self.data).encode()


@dataclass
class Fault:
    """Something that goes wrong.

    match : regular expression over "METHOD path". times : so often. skip : first let so many pass.
    lose : do it, then break the connection. drop : break it before. reply : answer this and do nothing.
    after : change the true answer.
    """

    match: str
    times: int = 1
    skip: int = 0
    lose: bool = False
    drop: bool = False
    reply: Reply | None = None
    after: Callable[[Reply], Reply] | None = None


class BrokenError(Exception):
    """The connection breaks here."""


class Emulator(Protocol):
    """What a door needs of an emulator."""

    def answer(self, asked: Asked) -> Reply: ...


class Faulty:
    """Base of the emulators: faults, a record of what came in, and one request at a time."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.asked: list[Asked] = []
        self._lock = threading.RLock()

    def writes(self) -> list[tuple[str, str, Any]]:
        """Give the requests that change anything, in order."""
        return [(a.method, a.url, a.body) for a in self.asked if self.is_write(a)]

    def is_write(self, asked: Asked) -> bool:
        raise NotImplementedError

    def serve(self, asked: Asked) -> Reply:
        raise NotImplementedError

    def answer(self, asked: Asked) -> Reply:
        with self._lock:
            self.asked.append(asked)
            fault = self._fault(f"{asked.method} {asked.path}")
            if fault and fault.drop:
                raise BrokenError
            if fault and fault.reply:
                return fault.reply
            reply = self.serve(asked)
            if fault and fault.lose:
                raise BrokenError
            return fault.after(reply) if fault and fault.after else reply

    def _fault(self, line: str) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and re.search(fault.match, line):
                if fault.skip > 0:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                return fault
        return None


def asked_of(method: str, url: str, headers: dict[str, str], content: bytes) -> Asked:
    parts = urlsplit(url)
    options = {
        name.removeprefix("$"): value for name, value in parse_qsl(parts.query, keep_blank_values=True)
    }
    return Asked(method, unquote(parts.path), options, headers, _body(headers, content), url)


def _body(headers: dict[str, str], content: bytes) -> Any:
    """Read JSON, or a form, of which each name has one value."""
    if headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return dict(parse_qsl(content.decode()))
    return json.loads(content) if content else None


def in_process(emulator: Emulator, delay: Callable[[], None] = lambda: None) -> httpx2.MockTransport:
    """Give a transport that calls the emulator directly: fast, for large fleets.

    delay : called before each request, by its own thread; it may sleep.
    """

    def handle(request: httpx2.Request) -> httpx2.Response:
        delay()
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            reply = emulator.answer(asked_of(request.method, str(request.url), headers, request.read()))
        except BrokenError as error:
            raise httpx2.ReadError("connection reset", request=request) from error
        return httpx2.Response(reply.status, headers=reply.headers, content=reply.content)

    return httpx2.MockTransport(handle)


@contextmanager
def on_loopback(emulator: Emulator, tls: ssl.SSLContext | None = None, port: int = 0) -> Any:
    """Serve the emulator on 127.0.0.1; gives the origin."""

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body are two writes: without it each answer takes 40 ms

        def handle_one(self) -> None:
            size = int(self.headers.get("content-length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            url = f"{origin}{self.path}"
            try:
                reply = emulator.answer(asked_of(self.command, url, headers, self.rfile.read(size)))
            except BrokenError:
                self.close_connection = True
                self.connection.close()
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.data is not None:
                self.send_header("Content-Type", "application/json")
            if reply.status != 204:
                self.send_header("Content-Length", str(len(reply.content)))
            self.end_headers()
            self.wfile.write(reply.content)

        do_GET = do_POST = do_PATCH = do_DELETE = do_PUT = handle_one  # noqa: N815 (names of http.server)

        def log_message(self, *_args: object) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_args: object) -> None:
            pass

    server = Quiet(("127.0.0.1", port), Door)
    scheme = "http"
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    origin = f"{scheme}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield origin
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


class FakeTime:
    """Clocks that stand still but for sleeping, and for `tick` seconds a look at them."""

    def __init__(self, wall: float = 1_799_625_600.0) -> None:
        self._now = 0.0
        self._wall = wall
        self._lock = threading.Lock()
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self._now

    def wall(self) -> float:
        return self._wall + self._now

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        with self._lock:
            self.slept.append(seconds)
            self._now += seconds

    def held_s(self) -> float:
        return float("inf")

    def barred(self, later_by: float = 0.0) -> str:
        del later_by
        return ""

    def pass_(self, seconds: float) -> None:
        """Let time pass without anybody sleeping."""
        with self._lock:
            self._now += seconds


class TeamTime(FakeTime):
    """The same for calls made at once: the clock moves when each of their threads sleeps, to where the first wakes.

    A thread that computes stops it; one that waits for another thing than this clock would stop it for ever.
    """

    def __init__(self) -> None:
        super().__init__()
        self._changed = threading.Condition()
        self._until: dict[int, float] = {}

    def sleep(self, seconds: float) -> None:
        me = threading.get_ident()
        with self._changed:
            end = self._until[me] = self._now + seconds
            self.slept.append(seconds)
            while self._now < end:
                if self._all_sleep():
                    self._now = min(_until for _until in self._until.values() if _until > self._now)
                    self._changed.notify_all()
                else:
                    self._changed.wait(0.001)  # a thread that ends tells nobody
            del self._until[me]

    def pass_(self, seconds: float) -> None:
        raise AssertionError("time passes only where somebody sleeps")

    def _all_sleep(self) -> bool:
        team = [item.ident for item in threading.enumerate() if item.name == THREAD_NAME]
        return all(item is not None and self._until.get(item, 0.0) > self._now for item in team)


def main() -> None:
    import sys

    from emulators.adminservice import AdminService
    from emulators.graph import Graph
    from emulators.people import Prompt, make_fleet

    name, port = sys.argv[1], int(sys.argv[2])
    fleet = make_fleet(100)
    world = Prompt(100)
    make = {"adminservice": AdminService, "graph": Graph}[name]
    emulator = make(fleet, world, now=lambda: int(time.time()))
    with on_loopback(emulator, port=port) as origin:
        print(f"{name} on {origin}")
        threading.Event().wait()


if __name__ == "__main__":
    main()
