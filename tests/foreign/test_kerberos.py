"""Sign-in against a real MIT KDC on loopback: keytab, password, and one clear line for each way it fails."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from emulators.adminservice import TARGET, AdminService
from emulators.people import FIRST_RESOURCE, Prompt
from emulators.web import Asked, Reply, on_loopback
from opened import fleet_plan, rows

from rollout.directory.configmgr.settings import PASSWORD_ENV, AdminServiceSettings
from rollout.directory.opening import open_directory
from rollout.directory.port import Opening
from rollout.errors import OutsideError

TOOLS = ("krb5kdc", "kdb5_util", "kadmin.local")
PATH = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
MISSING = [tool for tool in TOOLS if shutil.which(tool, path=PATH) is None]

pytest.importorskip("spnego", reason="pyspnego is not installed: pip install 'rollout[kerberos]'")
pytest.importorskip("krb5", reason="the krb5 binding is not installed: pip install 'rollout[kerberos]'")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        bool(MISSING), reason=f"no MIT KDC here: apt-get install krb5-kdc krb5-admin-server ({MISSING})"
    ),
]

REALM = "ROLLOUT.TEST"
ADMIN = f"rollout@{REALM}"
WORD = "correct horse"


@dataclass
class Kdc:
    """A realm of our own."""

    folder: Path
    environ: dict[str, str]


@pytest.fixture(name="kdc", scope="module")
def _kdc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kdc]:
    folder = tmp_path_factory.mktemp("kdc")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "krb5.conf").write_text(
        f"[libdefaults]\n default_realm = {REALM}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n"
        " rdns = false\n dns_canonicalize_hostname = false\n udp_preference_limit = 1\n"
        f"[realms]\n {REALM} = {{\n  kdc = 127.0.0.1:{port}\n }}\n[domain_realm]\n localhost = {REALM}\n"
        f" 127.0.0.1 = {REALM}\n"
    )
    (folder / "kdc.conf").write_text(
        f"[kdcdefaults]\n kdc_listen = 127.0.0.1:{port}\n kdc_tcp_listen = 127.0.0.1:{port}\n"
        f"[realms]\n {REALM} = {{\n  database_name = {folder}/principal\n  key_stash_file = {folder}/stash\n"
        "  acl_file = /dev/null\n }\n"
    )
    environ = {
        **os.environ,
        "PATH": PATH,
        "KRB5_CONFIG": str(folder / "krb5.conf"),
        "KRB5_KDC_PROFILE": str(folder / "kdc.conf"),
    }

    def run(*command: str) -> None:
        subprocess.run(command, env=environ, check=True, capture_output=True, timeout=60)

    run("kdb5_util", "create", "-s", "-P", "master", "-r", REALM)
    run("kadmin.local", "-q", f'addprinc -pw "{WORD}" {ADMIN}')
    run("kadmin.local", "-q", f"addprinc -randkey HTTP/localhost@{REALM}")
    run("kadmin.local", "-q", f"ktadd -k {folder}/server.keytab HTTP/localhost@{REALM}")
    run("kadmin.local", "-q", f"ktadd -norandkey -k {folder}/client.keytab {ADMIN}")
    server = subprocess.Popen(
        ["krb5kdc", "-n"], env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield Kdc(folder, environ)
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture(name="realm")
def _realm(kdc: Kdc, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Kdc:
    """The realm as this process sees it: an empty ticket cache, no client keytab."""
    for name in ("KRB5_CONFIG", "KRB5_KDC_PROFILE"):
        monkeypatch.setenv(name, kdc.environ[name])
    monkeypatch.setenv("KRB5_KTNAME", f"{kdc.folder}/server.keytab")
    monkeypatch.setenv("KRB5CCNAME", f"FILE:{tmp_path}/tickets")
    monkeypatch.setenv("KRB5_CLIENT_KTNAME", f"{tmp_path}/none.keytab")
    return kdc


class Gate:
    """An AdminService that lets only Kerberos in, as since 2509; `offer` is what it says it takes."""

    def __init__(self, inside: AdminService, offer: str = "Negotiate") -> None:
        self.inside, self.offer = inside, offer
        self.users: set[str] = set()

    def answer(self, asked: Asked) -> Reply:
        import spnego

        scheme, _, token = asked.headers.get("authorization", "").partition(" ")
        if scheme != "Negotiate" or self.offer != "Negotiate":
            return Reply(401, None, {"WWW-Authenticate": self.offer})
        context = spnego.server(hostname="localhost", service="HTTP", protocol="kerberos")
        try:
            out = context.step(b64decode(token))
        except spnego.exceptions.SpnegoError:
            return Reply(401, None, {"WWW-Authenticate": self.offer})
        self.users.add(str(context.client_principal))
        reply = self.inside.answer(asked)
        reply.headers["WWW-Authenticate"] = f"Negotiate {b64encode(out or b'').decode()}"
        return reply


@pytest.fixture(name="authority", scope="module")
def _authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, str]:
    authority = trustme.CA()
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context, str(path)


@dataclass
class Site:
    """A gated site and how to open a directory over it."""

    gate: Gate
    port: int
    ca_file: str

    def open(self, host: str = "localhost", environ: dict[str, str] | None = None, **keys: Any) -> Any:
        fleet, plan = fleet_plan(20)
        known = {
            "hosts": (f"https://{host}:{self.port}",),
            "collection": TARGET,
            "ca_file": self.ca_file,
            "attempts": 1,
        }
        settings = {"adminservice": AdminServiceSettings(**(known | keys))}
        return open_directory("adminservice", Opening(plan, fleet, settings, environ=environ or {})), plan


@pytest.fixture(name="gated")
def _gated(authority: tuple[ssl.SSLContext, str]) -> Iterator[Site]:
    fleet, _ = fleet_plan(20)
    gate = Gate(AdminService(fleet, Prompt(20), now=lambda: 1_799_625_600))
    with on_loopback(gate, authority[0]) as origin:
        yield Site(gate, int(origin.rpartition(":")[2]), authority[1])


def test_a_keytab_account_adds_a_device_over_tls(
    realm: Kdc, gated: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No password anywhere: the keytab's account prepares, adds, and sees its members."""
    monkeypatch.setenv("KRB5_CLIENT_KTNAME", f"{realm.folder}/client.keytab")
    directory, plan = gated.open()
    directory.prepare(plan)
    assert directory.apply(0, rows(0, 1), plan.start).accepted.tolist() == [0, 1]
    assert directory.members(rows(0, 1, 2)).tolist() == [0, 1]
    assert sorted(gated.gate.inside.target.rules) == [FIRST_RESOURCE, FIRST_RESOURCE + 1]
    assert gated.gate.users == {ADMIN}
    directory.close()


def test_a_user_with_a_password_gets_in(realm: Kdc, gated: Site) -> None:
    """The password comes from the environment variable, and from nowhere else."""
    directory, _ = gated.open(username=ADMIN, environ={PASSWORD_ENV: WORD})
    assert directory.identity() == "P01"
    directory.close()
    assert realm


def _fails(directory: Any, says: str) -> OutsideError:
    with pytest.raises(OutsideError, match=says) as caught:
        directory.identity()
    assert "\n" not in caught.value.message
    assert WORD not in caught.value.message
    directory.close()
    return caught.value


def test_a_wrong_password_is_one_clear_line(realm: Kdc, gated: Site) -> None:
    """It says whose fault it is, and not the password."""
    directory, _ = gated.open(username=ADMIN, environ={PASSWORD_ENV: "wrong horse"})
    error = _fails(directory, "no Kerberos ticket for the account")
    assert "wrong horse" not in str(error)
    assert "kinit" in error.hint
    assert realm


def test_an_ip_instead_of_a_name_is_one_clear_line(realm: Kdc, gated: Site) -> None:
    """Kerberos has no service for an address."""
    directory, _ = gated.open(host="127.0.0.1", username=ADMIN, environ={PASSWORD_ENV: WORD})
    assert "full name" in _fails(directory, "Kerberos has no service HTTP/127.0.0.1").hint
    assert realm


def test_an_untrusted_certificate_is_one_clear_line(realm: Kdc, gated: Site) -> None:
    """Kerberos does not replace TLS."""
    directory, _ = gated.open(username=ADMIN, environ={PASSWORD_ENV: WORD}, ca_file="")
    _fails(directory, "certificate is not trusted")
    assert realm


def test_a_server_that_takes_ntlm_only_is_one_clear_line(realm: Kdc, gated: Site) -> None:
    """We say what to do, and never fall back by ourselves."""
    gated.gate.offer = "NTLM"
    directory, _ = gated.open(username=ADMIN, environ={PASSWORD_ENV: WORD})
    assert "ntlm" in _fails(directory, "it offers NTLM").hint
    assert realm


def test_no_ticket_at_all_is_one_clear_line(realm: Kdc, gated: Site) -> None:
    """Neither cache nor keytab nor user."""
    directory, _ = gated.open()
    _fails(directory, "no Kerberos ticket|no sign-in")
    assert realm


def test_an_account_that_the_site_does_not_take_is_one_clear_line(realm: Kdc, gated: Site) -> None:
    """A valid ticket, refused: is it an administrative user?"""
    gated.gate.answer = lambda _asked: Reply(401, None, {"WWW-Authenticate": "Negotiate"})  # type: ignore[method-assign]
    directory, _ = gated.open(username=ADMIN, environ={PASSWORD_ENV: WORD})
    assert "administrative user" in _fails(directory, "did not accept the account").hint
    assert realm
