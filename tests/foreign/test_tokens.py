"""Microsoft's own azure-identity against a token server on loopback: tokens come, and failures leak nothing."""

from __future__ import annotations

import json
import logging
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

import pytest
import trustme
from emulators.graph import TENANT, Graph
from emulators.people import Prompt
from emulators.web import on_loopback
from opened import fleet_plan

from rollout.directory.opening import open_directory
from rollout.directory.settings import CLIENT_SECRET_ENV, DirectorySettings, GraphSettings
from rollout.errors import OutsideError

pytest.importorskip("azure.identity", reason="azure-identity is not installed: pip install 'rollout[graph]'")
pytestmark = [
    pytest.mark.slow,
    # azure-identity leaves its connections to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

SECRET = "canary-client-secret"
ISSUED = "canary-access-token"


@dataclass
class Tokens:
    """A token server, as bytes over TLS: discovery and the token endpoint."""

    origin: str = ""
    asked: list[dict[str, list[str]]] = field(default_factory=list)

    def serve(self, path: str, content: bytes) -> tuple[int, Any]:
        if path.endswith("openid-configuration"):
            base = f"{self.origin}/{TENANT}"
            known = {
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "authorization_endpoint": f"{base}/authorize",
            }
            return 200, {**known, "issuer": f"{base}/v2.0"}
        form = parse_qs(content.decode())
        self.asked.append(form)
        if form.get("client_secret") != [SECRET]:
            said = {"error": "invalid_client", "error_description": f"AADSTS7000215: Invalid secret {form}"}
            return 401, said
        return 200, {"token_type": "Bearer", "expires_in": 3600, "access_token": ISSUED}


@pytest.fixture(name="tokens")
def _tokens(tmp_path: Any) -> Iterator[tuple[Tokens, str]]:
    import threading
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    tokens, authority = Tokens(), trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            size = int(self.headers.get("content-length") or 0)
            status, data = tokens.serve(self.path.split("?")[0], self.rfile.read(size))
            body = json.dumps(data).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = handle_one  # noqa: N815 (names of http.server)

        def log_message(self, *_args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    server.daemon_threads = True
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    tokens.origin = f"https://localhost:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield tokens, str(tmp_path / "ca.pem")
    server.shutdown()
    server.server_close()
    thread.join(5)


def opened(root: str, tokens: Tokens, ca_file: str, secret: str) -> Any:
    fleet, plan = fleet_plan(20)
    settings = GraphSettings(
        tenant_id=TENANT, client_id="app", root=root, authority=tokens.origin, ca_file=ca_file, attempts=1
    )
    environ = {CLIENT_SECRET_ENV: secret}
    return open_directory("graph", DirectorySettings(graph=settings), plan, fleet, environ=environ)


def test_a_client_secret_becomes_a_token(
    tokens: tuple[Tokens, str], caplog: pytest.LogCaptureFixture
) -> None:
    """The secret of the environment, the tenant's endpoint, the cloud's scope; asked once, kept for all calls."""
    caplog.set_level(logging.DEBUG, "rollout")
    fleet, _ = fleet_plan(20)
    emulator = Graph(fleet, Prompt(20), now=lambda: 0)
    emulator.tokens = {ISSUED}
    with on_loopback(emulator) as origin:
        directory = opened(f"{origin}/v1.0", tokens[0], tokens[1], SECRET)
        assert directory.identity() == TENANT
        assert directory.identity() == TENANT
        directory.close()
    assert len(tokens[0].asked) == 1
    assert tokens[0].asked[0]["scope"] == ["https://graph.microsoft.com/.default"]
    assert "canary" not in caplog.text


def test_a_wrong_secret_is_one_clear_line_without_it(
    tokens: tuple[Tokens, str], caplog: pytest.LogCaptureFixture
) -> None:
    """Even if the token server echoes what it was sent."""
    directory = opened("http://127.0.0.1:1/v1.0", tokens[0], tokens[1], "canary-wrong")
    with pytest.raises(OutsideError, match="no token for https://graph") as caught:
        directory.identity()
    assert "canary" not in caught.value.message + caught.value.hint + caplog.text
    assert "AADSTS7000215" in caught.value.message
    assert "\n" not in caught.value.message
    directory.close()
