"""Which module may import which: the layout of the code holds only if this does."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GROUND = {"values", "errors", "text"}

ALLOWED: dict[str, set[str]] = {
    "rollout.errors": set(),
    "rollout.text": set(),
    "rollout.files": {"errors", "text"},
    "rollout.arguments": {"errors", "text"},
    "rollout.toml": {"errors"},
    "rollout.values": set(),
    "rollout.fields": {"values"},  # the types of scenario keys
    "rollout.pacing": {*GROUND, "fields"},  # a module of a mode, or of a rule, holds its keys too
    "rollout.gates": {*GROUND, "fields"},
    "rollout.workloads": GROUND,
    "rollout.client": GROUND,
    "rollout.policy": {*GROUND, "fields", "pacing", "workloads", "gates"},
    "rollout.preflight": {*GROUND, "files"},
    "rollout.planning": {*GROUND, "preflight", "pacing", "policy", "workloads", "gates"},
    "rollout.loop": {*GROUND, "pacing", "gates"},
    "rollout.exports": GROUND,
    "rollout.directory": {*GROUND, "files", "toml", "loop.ports"},
    "rollout.store": {*GROUND, "files", "loop.ports"},
    "rollout.report": {*GROUND, "files", "documents"},  # report.json is the document of `report --json`
    "rollout.documents": {*GROUND, "workloads"},  # the enumerations of co-management are part of documents
    "rollout.api": {
        *GROUND,
        *(
            "arguments",
            "files",
            "toml",
            "policy",
            "planning",
            "pacing",
            "gates",
            "preflight",
            "workloads",
            "client",
        ),
        *("loop", "exports", "directory", "store", "documents", "report", "sim"),
    },
    "rollout.executor": {
        *GROUND,
        *(
            "arguments",
            "files",
            "toml",
            "policy",
            "planning",
            "pacing",
            "gates",
            "preflight",
            "workloads",
            "client",
        ),
        *("loop", "exports", "directory", "store", "documents", "report", "api", "sim"),
    },
}
"""Package -> packages of `rollout`, and `sim`, that it may import besides itself. `loop.ports` is that module alone."""

SIM_GROUND = {
    *GROUND,
    *("toml", "fields", "policy", "planning", "pacing", "gates", "preflight", "workloads", "client", "loop"),
}
"""What all of `sim` may import of `rollout`: the pure packages and the loop."""

SIM_ALLOWED: dict[str, set[str]] = {
    "sim.model": set(),
    "sim.assumptions": {"model"},
    "sim.fleet": {"model"},
    "sim.scenario": {"model", "fleet"},
    "sim.clients": {"model"},
    "sim.engines": {"model", "clients"},
    "sim.workers": {"engines"},
    "sim.planning": {"model", "fleet", "scenario", "clients", "engines"},
    "sim.world": {"engines"},
    "sim.simulation": {"model", "clients", "engines", "workers", "world"},
    "sim.harms": {"model", "clients", "engines", "workers", "world", "simulation"},
    "sim.forecast": {"model", "assumptions", "clients", "engines", "workers", "world"},
    "sim.gate_trials": set(),
    "sim.tuning": {
        *("model", "assumptions", "fleet", "scenario", "clients"),
        *("workers", "world", "simulation", "gate_trials"),
    },
    "sim.capacity": {"model", "clients", "engines", "workers"},
}
"""Part of `sim` -> parts of `sim` that it may import besides itself."""

EXCEPTIONS: dict[str, set[str]] = {}
"""Module -> modules that it imports against the rules; each is to be mended, none may be added."""

VERB_EXCEPTIONS: dict[str, set[str]] = {}
"""Command -> commands that it imports; each is to be mended, by moving what is shared below, none may be added."""

NO_VERBS = {
    f"rollout.cli.{name}"
    for name in ("__main__", "app", "options", "preview", "printing", "streams", "terminal", "watching")
}
"""Modules of `cli` that are no command; commands may import them."""

LARGEST = 24
"""Modules that one folder may hold. `cli` has one per command."""
LONGEST = 4_500
"""Lines that the modules of one folder may have."""

SLOW_TO_IMPORT = {
    *("distributed", "matplotlib", "numba", "scipy", "simpy", "jinja2"),
    *("sqlmodel", "sqlalchemy", "alembic", "pydantic", "numpy"),
}
"""Packages that `rollout --help` must not wait for."""
NEEDS_DATABASE = {"sqlmodel", "sqlalchemy", "alembic", "pydantic", "numpy"}
"""Those that a command needs that reads or writes the journal."""
QUICK = ("status", "pause", "resume", "abort", "exclude", "approve")
"""Commands that people type while they wait for the answer."""


def modules() -> list[Path]:
    return sorted([*(ROOT / "rollout").rglob("*.py"), *(ROOT / "sim").rglob("*.py")])


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in modules()}


def imports_of(path: Path) -> set[str]:
    """Give the modules of ours that a file imports, in functions and for type checking too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in MODULES}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            module = node.module or ""
            names = [f"{module}.{alias.name}" for alias in node.names]
            found |= {name if name in MODULES else module for name in names}
    return found & set(MODULES)


def part_of(module: str) -> str:
    """The part of `rollout` or `sim` that a module belongs to, "" for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def is_allowed(module: str, imported: str) -> bool:
    """Say whether the rules let a module import another one."""
    own, other = part_of(module), part_of(imported)
    package, imported_package = module.split(".")[0], imported.split(".")[0]
    if package == "sim":
        if imported_package == "rollout":
            return other in SIM_GROUND
        return own == other or other in SIM_ALLOWED[f"sim.{own}"]
    rule = ALLOWED[f"rollout.{own}"]
    if imported_package == "sim":
        return "sim" in rule
    return own == other or other in rule or imported.removeprefix("rollout.") in rule


def has_rule(module: str) -> bool:
    """Say whether a module is ruled: the public packages, `cli` and `__main__` stand above all others."""
    return part_of(module) not in ("", "cli", "__main__")


@pytest.mark.parametrize("module", [module for module in MODULES if has_rule(module)])
def test_a_module_imports_only_what_its_part_may(module: str) -> None:
    """Imports inside functions and for type checking count as well."""
    own = f"{module.split('.')[0]}.{part_of(module)}"
    assert own in ALLOWED or own in SIM_ALLOWED, f"{module} has no rule; give it one"
    wrong = {item for item in imports_of(MODULES[module]) if not is_allowed(module, item)}
    assert wrong == EXCEPTIONS.get(module, set())


def is_command_line(module: str) -> bool:
    """Whether a module is the package `cli` or in it; `rollout.client` is not."""
    return module == "rollout.cli" or module.startswith("rollout.cli.")


@pytest.mark.parametrize("module", [module for module in MODULES if not is_command_line(module)])
def test_nothing_imports_the_command_line(module: str) -> None:
    """Only `python -m rollout` does."""
    if module != "rollout.__main__":
        assert [item for item in imports_of(MODULES[module]) if is_command_line(item)] == []


def test_commands_do_not_import_commands() -> None:
    """What two of them need lies below them."""
    verbs = {module for module in MODULES if module.startswith("rollout.cli.")} - NO_VERBS
    assert len(verbs) > 15
    found = {verb: imports_of(MODULES[verb]) & verbs for verb in verbs}
    assert {verb: others for verb, others in found.items() if others} == VERB_EXCEPTIONS


def circles(arrows: dict[str, set[str]]) -> list[set[str]]:
    """Give the groups of modules that import each other, directly or by way of others."""
    reach: dict[str, set[str]] = {}
    for start in arrows:
        seen: set[str] = set()
        todo = [*arrows[start]]
        while todo:
            one = todo.pop()
            if one not in seen:
                seen.add(one)
                todo += arrows.get(one, ())
        reach[start] = seen
    found: list[set[str]] = []
    for start in arrows:
        group = {item for item in reach[start] if start in reach.get(item, ())}
        if group and group not in found:
            found.append(group)
    return found


def test_no_modules_import_each_other() -> None:
    """No circle, also none that is hidden in a function or behind TYPE_CHECKING."""
    assert circles({name: imports_of(path) for name, path in MODULES.items()}) == []


def test_the_rules_themselves_have_no_circle() -> None:
    """Packages stand in layers."""
    assert circles({name: {f"rollout.{item}" for item in rule} for name, rule in ALLOWED.items()}) == []
    assert circles({name: {f"sim.{item}" for item in rule} for name, rule in SIM_ALLOWED.items()}) == []


def test_a_circle_is_found() -> None:
    """The checks above can fail."""
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [{"a", "b", "c"}]


def test_no_folder_is_too_large_to_read() -> None:
    """A listing is read at one glance."""
    sizes: dict[Path, int] = {}
    for path in MODULES.values():
        if path.name != "__init__.py":
            sizes[path.parent] = sizes.get(path.parent, 0) + 1
    large = {str(folder.relative_to(ROOT)): n for folder, n in sizes.items() if n > LARGEST}
    assert set(large) <= {str(Path("rollout", "cli"))}
    lines: dict[Path, int] = {}
    for path in MODULES.values():
        count = len(path.read_text(encoding="utf-8").splitlines())
        lines[path.parent] = lines.get(path.parent, 0) + count
    assert max(lines.values()) <= LONGEST


def top_imports(path: Path) -> set[str]:
    """The packages that importing a file imports: statements of its top level, type checking aside."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").split(".")[0])
    return found


def loaded_by(code: str) -> set[str]:
    """Run Python code in a process of its own; give the packages that are loaded at its end."""
    report = "import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"],
        check=True,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    return set(done.stdout.split())


def test_the_overview_of_commands_waits_for_no_large_package() -> None:
    """`rollout --help` imports no command."""
    loaded = loaded_by("import rollout.cli.app")
    assert "typer" in loaded
    assert not loaded & SLOW_TO_IMPORT


@pytest.mark.parametrize("verb", QUICK)
def test_a_quick_command_waits_for_no_plots_or_compilers(verb: str) -> None:
    """Whatever lies below it imports them where they are used."""
    loaded = loaded_by(f"from rollout.cli.app import function_of; function_of({verb!r})")
    assert "rollout" in loaded
    assert not loaded & (SLOW_TO_IMPORT - NEEDS_DATABASE)


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
        modes = {
            item.value for item in given if isinstance(item, ast.Constant) and isinstance(item.value, str)
        }
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


OPTIONAL_OR_LARGE = {
    *(
        "matplotlib",
        "numba",
        "jinja2",
        "markupsafe",
        "alembic",
        "azure",
        "distributed",
        "threadpoolctl",
        "psycopg",
    ),
    *("httpx2", "spnego", "simpy", "traceback"),
}
"""Packages that a function may import: optional ones, and large ones that few calls need."""
LATE_MODULES: dict[str, set[str]] = {
    # Ctrl-C must find `main` ready before anything slow is imported.
    "rollout.cli": {"rollout.api.file_names", "rollout.cli.app", "rollout.cli.terminal", "rollout.text"},
    # These import an optional or large package at their own top.
    "rollout.directory.configmgr.opening": {"rollout.directory.http.negotiate"},
    "sim.engines.engine": {"sim.engines.fast", "sim.engines.fast.compiled", "sim.engines.oracle"},
}
"""Module -> modules of ours that its functions import."""


def late_imports(path: Path) -> set[str]:
    """Give what the functions of a file and its blocks for type checking import."""
    late = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    ]
    found: set[str] = set()
    for node in (inner for block in late for inner in ast.walk(block)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    return found


@pytest.mark.parametrize("module", [module for module in MODULES if module not in ("rollout", "sim")])
def test_modules_import_at_their_top(module: str) -> None:
    """A listing of imports that is not whole hides circles and weight; the public packages have their table."""
    late = {name for name in late_imports(MODULES[module]) if name.split(".")[0] not in OPTIONAL_OR_LARGE}
    assert late == LATE_MODULES.get(module, set())
