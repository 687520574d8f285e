"""Planted secrets are searched for after every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import postgres
import pytest
from canaries import Watch, on_server, planted
from command_line import QUICK, Cli, calling


@pytest.fixture(autouse=True, scope="session")
def _planted() -> Iterator[None]:
    """Every source of a secret has a canary, in all tests."""
    with planted():
        yield
        leaks = [place for url in postgres.MADE for place in on_server(url)]
        assert not leaks, f"a planted secret was found in PostgreSQL: {', '.join(leaks)}"


@pytest.fixture(name="watch")
def _watch() -> Watch:
    """What this test left behind so far; a test may say which files a person wrote a secret into."""
    return Watch()


@pytest.fixture
def capsys(capsys: pytest.CaptureFixture[str], watch: Watch) -> Iterator[pytest.CaptureFixture[str]]:
    """The usual fixture; what it gives out is searched, too."""
    read = capsys.readouterr

    def readouterr():  # type: ignore[no-untyped-def]
        said = read()
        watch.saw("stdout", said.out)
        watch.saw("stderr", said.err)
        return said

    capsys.readouterr = readouterr  # type: ignore[method-assign]
    yield capsys
    readouterr()


@pytest.fixture(autouse=True)
def _no_secret_is_told(
    request: pytest.FixtureRequest, watch: Watch, caplog: pytest.LogCaptureFixture
) -> Iterator[None]:
    """Output, log, files and databases of the test that ends hold no canary."""
    folder: Path | None = request.getfixturevalue("tmp_path") if "tmp_path" in request.fixturenames else None
    yield
    watch.saw("log", caplog.text)
    leaks = watch.leaks(folder)
    assert not leaks, f"a planted secret was found in {', '.join(leaks)}"


@pytest.fixture(name="cli")
def _cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Cli]:
    """Run a command in a folder of its own, which holds quick.toml."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quick.toml").write_text(QUICK)
    yield from calling(capsys)
