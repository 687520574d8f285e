"""Who may import whom: the house stands on this."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PURE = {
    "preflight",
    "workloads",
    "planning",
    "pacing",
    "gates",
    "policy",
    "failures",
}
"""Rooms of pure functions over values."""

ALLOWED: dict[str, set[str]] = {
    "rollout.values": set(),
    "rollout.errors": set(),
    "rollout.durations": set(),
    "rollout.plain": set(),
    "rollout.files": {"errors", "plain"},
    "rollout.toml": {"errors"},
    "rollout.ports": {"values"},
    "rollout.preflight": {"files", "values", "errors"},
    "rollout.failures": {"values"},
    "rollout.workloads": {"values", "errors", "failures"},
    "rollout.client": {"values", "errors", "failures"},
    "rollout.gates": {"values", "errors"},
    "rollout.pacing": {"values", "errors", "durations"},
    "rollout.policy": {"values", "errors", "durations", "pacing", "workloads", "gates"},
    "rollout.planning": {"plain", "values", "errors", "durations", "pacing", "policy", "workloads", "gates"},
    "rollout.look": {"values", "pacing"},
    "rollout.quiet": {"values", "pacing", "gates", "look"},
    "rollout.decide": {"values", "pacing", "gates", "failures", "look", "quiet"},
    "rollout.loop": {"values", "errors", "ports", "pacing", "decide", "undo"},
    "rollout.undo": {"values", "ports"},
    "rollout.store": {"files", "values", "errors", "ports"},
    "rollout.directory": {"plain", "toml", "values", "errors", "ports", "failures"},
    "rollout.report": {"files", "plain", "values", "errors", "ports"},
    "sim": {"plain", "toml", "values", "errors", "durations", "ports", "loop", "decide", *PURE},
}
"""Room -> rooms of `rollout` that it may import, besides itself. Rooms that are not named may import all."""

HEAVY = {
    "distributed",
    "matplotlib",
    "numba",
    "optuna",
    "scipy",
    "simpy",
    "sqlmodel",
    "sqlalchemy",
    "alembic",
    "jinja2",
}
"""Packages that nothing may import just because `rollout --help` was asked for."""


def modules() -> list[Path]:
    return sorted([*(ROOT / "rollout").rglob("*.py"), *(ROOT / "sim").rglob("*.py")])


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> set[str]:
    """All modules that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def room_of(module: str) -> str:
    """The room of `rollout` that a module belongs to, "" for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


@pytest.mark.parametrize("path", modules(), ids=lambda path: name_of(path))
def test_a_module_imports_only_what_its_room_may(path: Path) -> None:
    """A room imports only the rooms that it is allowed to."""
    module = name_of(path)
    rule = next((ALLOWED[one] for one in ALLOWED if module == one or module.startswith(f"{one}.")), None)
    if rule is None:
        top = module in ("rollout", "rollout.__main__", "rollout.library") or module.startswith("rollout.cli")
        assert top, f"{module} has no rule; give it one"
        return
    own = room_of(module) if module.startswith("rollout") else ""
    for imported in imports_of(path):
        if imported.startswith("rollout."):
            room = room_of(imported)
            assert room in rule or room == own, f"{module} imports {imported}"
        if imported == "sim" or imported.startswith("sim."):
            assert module.startswith("sim"), f"{module} imports {imported}"


def top_imports(path: Path) -> set[str]:
    """The packages that importing a file imports: statements of its top level, type checking aside."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


@pytest.mark.parametrize(
    "path",
    [one for one in modules() if name_of(one).startswith("rollout.cli")],
    ids=lambda path: name_of(path),
)
def test_verbs_import_heavy_packages_only_where_they_use_them(path: Path) -> None:
    """`rollout --help` must not wait for a plotting library or a compiler."""
    assert not top_imports(path) & HEAVY


NO_TEXT = {("os", "open"), ("_OPENER", "open")}
"""Calls of this name that give a descriptor, or an answer from the network."""
WRITES_BYTES = {"rb", "wb", "ab", "xb", "rb+", "wb+"}


def unnamed_encodings(path: Path) -> list[int]:
    """Lines that open a text file, or a process's text, in whatever encoding the machine happens to have."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        keys = {key.arg: key.value for key in node.keywords}
        given = [*node.args, *keys.values()]
        modes = {one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)}
        of = getattr(getattr(node.func, "value", None), "id", "")
        opens = name in ("open", "fdopen", "NamedTemporaryFile") and not modes & WRITES_BYTES
        opens &= (of, name) not in NO_TEXT
        reads = name in ("read_text", "write_text") and "encoding" not in keys
        talks = name in ("run", "Popen", "check_output") and {"text", "universal_newlines"} & set(keys)
        if (opens and "encoding" not in keys) or reads or (talks and "encoding" not in keys):
            found.append(node.lineno)
    return found


@pytest.mark.parametrize("path", modules(), ids=lambda path: name_of(path))
def test_text_is_read_and_written_in_a_named_encoding(path: Path) -> None:
    """On Windows the machine's own is a code page that lacks most characters."""
    assert unnamed_encodings(path) == []


def test_an_unnamed_encoding_is_found(tmp_path: Path) -> None:
    """The check above can fail."""
    bad = tmp_path / "bad.py"
    bad.write_text(
        'open(x)\nx.open("w")\nx.read_text()\nx.write_text(t)\nos.fdopen(h, "w")\nrun(c, text=True)\n'
        'x.open("rb")\nopen(x, encoding="utf-8")\nos.fdopen(h, "wb")\n',
        encoding="utf-8",
    )
    assert unnamed_encodings(bad) == [1, 2, 3, 4, 5, 6]


def test_only_plotting_functions_import_matplotlib() -> None:
    """Numbers are tested without matplotlib: no module imports it at its top."""
    assert [name_of(path) for path in modules() if "matplotlib" in top_imports(path)] == []
