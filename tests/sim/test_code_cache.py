"""Compiled code is kept in the user's cache folder, which no other user can write to, and never in the installation."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import sim
from sim.engines.fast import code_cache

numba = pytest.importorskip("numba")
compiled = importlib.import_module("sim.engines.fast.compiled")

VERSION = "0123456789abcdef"
POSIX = pytest.mark.skipif(os.name != "posix", reason="owners and modes exist on POSIX systems only")


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give each test its own cache folder and a process that has not chosen its folder yet."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "cache"))
    monkeypatch.setattr(code_cache, "user_cache_path", lambda *_, **__: tmp_path / "cache" / "rollout")
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(code_cache, "_places", [])
    yield
    for place in code_cache._places:
        if place is not None and place.parent == tmp_path:
            code_cache._remove(place, os.getpid())


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_it_is_kept_in_the_cache_folder_for_this_user_alone(tmp_path: Path) -> None:
    """Each folder that we create is private."""
    folder = code_cache.folder_of(VERSION)
    assert folder == tmp_path / "cache" / "rollout" / "kernels" / VERSION
    if os.name == "posix":
        assert [mode(path) for path in (folder, folder.parent, folder.parent.parent)] == [0o700] * 3


def test_numba_cache_dir_overrides_where(tmp_path: Path) -> None:
    """The user's own choice wins; it also gets a folder per version."""
    folder = code_cache.folder_of(VERSION, str(tmp_path / "mine"))
    assert folder == tmp_path / "mine" / "rollout-kernels" / VERSION
    assert not (tmp_path / "cache").exists()


def test_a_home_that_cannot_be_written_gives_a_private_temporary_folder(tmp_path: Path) -> None:
    """It is used by this process and the processes that it starts, and is removed when this process ends."""
    (tmp_path / "cache").write_text("no folder")
    folder = code_cache.folder_of(VERSION)
    assert folder is not None
    assert folder.parent.parent == tmp_path
    assert folder.parent.name.startswith("rollout-kernels-")
    assert code_cache.folder_of(VERSION) == folder
    if os.name == "posix":
        assert mode(folder.parent) == 0o700


@POSIX
def test_a_missing_home_works_in_a_real_process(tmp_path: Path) -> None:
    """The folder is removed when the process ends; nothing is created in the working folder."""
    (tmp_path / "file").write_text("")
    environment = {"TMPDIR": str(tmp_path), "PATH": os.environ["PATH"], "HOME": str(tmp_path / "file")}
    code = f"from sim.engines.fast.code_cache import folder_of; print(folder_of('{VERSION}'))"
    root = Path(sim.__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment, "PYTHONPATH": str(root), "PYTHONDONTWRITEBYTECODE": "1"},
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        check=True,
    )
    assert Path(done.stdout.strip()).parent.name.startswith("rollout-kernels-"), done
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_without_any_folder_the_kernel_is_still_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a home and a temporary folder nothing is cached."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise FileNotFoundError("no usable temporary folder")

    monkeypatch.setattr(code_cache, "_in_cache", refuse)
    monkeypatch.setattr(tempfile, "mkdtemp", refuse)
    assert code_cache.folder_of(VERSION) is None


@POSIX
def test_a_folder_of_another_user_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cached code is a pickle: the owner of the folder decides what runs."""
    assert code_cache.folder_of(VERSION) is not None
    code_cache._places.clear()
    (tmp_path / "other").mkdir()
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 4321)
    with pytest.raises(OSError, match="not a folder of this user alone"):
        code_cache._in_cache()
    assert code_cache._named(tmp_path / "other") is None


@POSIX
def test_a_folder_that_others_can_write_is_not_used(tmp_path: Path) -> None:
    """Neither the folder nor its parents may be writable by others, who could replace it; a sticky parent is fine."""
    place = tmp_path / "cache" / "rollout" / "kernels"
    place.mkdir(parents=True)
    place.chmod(0o777)
    with pytest.raises(OSError, match="this user alone"):
        code_cache._in_cache()
    place.chmod(0o755)
    (tmp_path / "cache").chmod(0o777)
    with pytest.raises(OSError, match="other users may change"):
        code_cache._in_cache()
    (tmp_path / "cache").chmod(0o1777)
    assert code_cache._in_cache() == place
    assert mode(place) == 0o700


@POSIX
def test_a_planted_link_is_not_followed(tmp_path: Path) -> None:
    """In a folder such as /tmp another user may have created a link with our name."""
    (tmp_path / "theirs").mkdir()
    (tmp_path / "chosen").mkdir()
    (tmp_path / "chosen").chmod(0o1777)
    (tmp_path / "chosen" / "rollout-kernels").symlink_to(tmp_path / "theirs")
    folder = code_cache.folder_of(VERSION, str(tmp_path / "chosen"))
    assert folder == tmp_path / "cache" / "rollout" / "kernels" / VERSION


def test_old_versions_do_not_pile_up(tmp_path: Path) -> None:
    """The most recently used versions stay, and versions used today; folders with other names are not removed."""
    place = tmp_path / "cache" / "rollout" / "kernels"
    place.mkdir(parents=True, mode=0o700)
    now = time.time()
    for number in range(20):
        (place / f"{number:016x}" / "sub").mkdir(parents=True)
        (place / f"{number:016x}" / "sub" / "code.nbc").write_text("")
        os.utime(place / f"{number:016x}", (now - 86_400 * number,) * 2)
    (place / "notes").mkdir()
    os.utime(place / "notes", (0, 0))
    folder = code_cache.folder_of(VERSION)
    kept = {path.name for path in place.iterdir()}
    assert kept == {VERSION, "notes", *(f"{number:016x}" for number in range(code_cache.KEPT - 1))}
    assert folder is not None
    for number in range(20):
        os.utime(place / f"{number % 7:016x}", (now, now))
        (place / f"{number:016x}").mkdir(exist_ok=True)
    code_cache.prune(place)
    assert len(list(place.iterdir())) == 22, "in use today"


def test_a_worker_uses_the_folder_of_the_process_that_started_it(tmp_path: Path) -> None:
    """So all of them share a temporary folder."""
    code_cache.share(tmp_path / "given")
    assert code_cache.shared_place() == tmp_path / "given"
    code_cache.share(None)
    assert code_cache.folder_of(VERSION) is None


def kernel_in(folder: Path, name: str) -> ModuleType:
    """Return a module with one function, stored in a folder as an installed module is."""
    path = folder / f"{name}.py"
    path.write_text("def twice(x):\n    return 2 * x\n", encoding="utf-8")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("folder", ["usable", "gone", "none"])
def test_nothing_is_written_beside_the_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    """With a usable folder, with an unusable folder, and without any."""
    source, kept = tmp_path / "installed", tmp_path / "kept"
    source.mkdir()
    if folder == "usable":
        kept.mkdir()
    elif folder == "gone":
        kept.write_text("a file")
    monkeypatch.setattr(compiled, "_FOLDER", None if folder == "none" else kept)
    module = kernel_in(source, f"kernel_{folder}")
    assert compiled.entry(module.twice)(21) == 42
    assert not [path for path in source.rglob("*") if path.suffix in (".nbi", ".nbc")]
    assert bool(list(tmp_path.rglob("*.nbc"))) == (folder == "usable")


def test_the_kernels_of_this_process_are_kept_outside_the_installation() -> None:
    """This holds for all functions that numba caches."""
    installation = Path(sim.__file__).parent
    entries = [
        function
        for name in ("kernel", "quiet_observations", "spans")
        for function in vars(importlib.import_module(f"sim.engines.fast.{name}")).values()
        if hasattr(function, "stats") and hasattr(function, "py_func")
    ]
    places = [Path(entry.stats.cache_path) for entry in entries if entry.stats.cache_path]
    assert places or compiled._FOLDER is None
    assert not [place for place in places if installation in place.parents]
