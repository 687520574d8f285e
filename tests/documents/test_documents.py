"""The documents of --json: each verb's is printed for real and held against its schema, ours and jsonschema's."""

from __future__ import annotations

import contextlib
import copy
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import stored_schemas
from documents_world import World, ask, made
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from rollout.cli import terminal
from rollout.cli.app import VERBS, command_of
from rollout.documents.base import INSTANT
from rollout.documents.table import DOCUMENTS, adapter_of

NOT_MET = {"DryRunOutside requests[].headers.*"}
"""Keys that this small world prints nowhere: the requests to a site need no header of their own."""


@pytest.fixture(scope="module", name="world")
def _world(tmp_path_factory: pytest.TempPathFactory) -> World:
    with contextlib.chdir(tmp_path_factory.mktemp("documents")):
        return made()


# Schemas as trees.


@cache
def schemas() -> dict[str, Any]:
    """Give what `rollout schema` prints."""
    code, out, _ = ask("schema")
    assert code == 0
    return json.loads(out)  # type: ignore[no-any-return]


@cache
def checker(verb: str) -> Draft202012Validator:
    """Give what checks a verb's document without any code of ours."""
    return Draft202012Validator(schemas()[verb])


def is_fine(verb: str, document: Any) -> tuple[bool, bool]:
    """Say whether a document is the verb's, by our models and by its JSON Schema."""
    try:
        adapter_of_(verb).validate_json(json.dumps(document))
    except ValidationError:
        return False, checker(verb).is_valid(document)
    return True, checker(verb).is_valid(document)


adapter_of_ = cache(adapter_of)


def resolved(root: Any, node: Any) -> Any:
    """Give a node behind its references."""
    while "$ref" in node:
        node = root["$defs"][node["$ref"].removeprefix("#/$defs/")]
    return node


def branches(root: Any, node: Any) -> list[Any]:
    """Give the forms that a node may have, without null."""
    node = resolved(root, node)
    forms = [form for item in node.get("anyOf", ()) for form in branches(root, item)]
    return forms if "anyOf" in node else [node] * (node.get("type") != "null")


def fields(root: Any, node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Give (path, node) of every key below a node; `?` marks a key that may be left out."""
    for form in branches(root, node):
        for name, value in form.get("properties", {}).items():
            here = f"{path}.{name}".lstrip(".") + "?" * (name not in form.get("required", ()))
            yield here, value
            yield from fields(root, value, here)
        if isinstance(values := form.get("additionalProperties"), dict):
            yield f"{path}.*", values
            yield from fields(root, values, f"{path}.*")
        if "items" in form:
            yield from fields(root, form["items"], f"{path}[]")


def keys_of_documents() -> dict[str, set[str]]:
    """Give the paths of all keys of every document, by the name of its class."""
    keys: dict[str, set[str]] = {}
    for schema in schemas().values():
        for name in (form["$ref"].removeprefix("#/$defs/") for form in schema["anyOf"]):
            keys[name] = {path for path, _ in fields(schema, schema["$defs"][name])}
    return keys


Trail = tuple[str | int, ...]


def places(root: Any, node: Any, value: Any, path: str = "") -> Iterator[tuple[Trail, str, bool]]:
    """Give (trail, path, needed) of every key in a document: as `fields` names it, needed if it may not be left out."""
    fits = [
        branch
        for branch in branches(root, node)
        if Draft202012Validator({**root, **_bare(branch)}).is_valid(value)
    ]
    if not fits:
        return
    form = fits[0]
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in inside:
        if isinstance(value, list):
            here, sub, needed = f"{path}[]", form["items"], False
        elif name in form.get("properties", {}):
            needed = name in form.get("required", ())
            here, sub = f"{path}.{name}".lstrip(".") + "?" * (not needed), form["properties"][name]
        else:
            here, sub, needed = f"{path}.*", form["additionalProperties"], False
        if isinstance(value, dict):
            yield (name,), here, needed
        if isinstance(sub, dict):
            yield from (((name, *trail), *rest) for trail, *rest in places(root, sub, item, here))


def _bare(node: Any) -> dict[str, Any]:
    return {"anyOf": [node]}


def cut(value: Any) -> Any:
    """Give a document with at most two entries in each list: what holds for two holds for all."""
    if isinstance(value, dict):
        return {name: cut(item) for name, item in value.items()}
    return [cut(item) for item in value[:2]] if isinstance(value, list) else value


def form_of(verb: str, document: Any) -> str:
    """Name the form that a document has."""
    schema = schemas()[verb]
    names = [item["$ref"].removeprefix("#/$defs/") for item in schema["anyOf"]]
    fits = [
        name
        for name in names
        if Draft202012Validator({**schema, "anyOf": [{"$ref": f"#/$defs/{name}"}]}).is_valid(document)
    ]
    assert len(fits) == 1, f"{verb}: {fits}"
    return fits[0]


# What is held.


def offers_json() -> list[str]:
    """Give the verbs of the application that have --json."""
    return [verb for verb in VERBS if any("--json" in param.opts for param in command_of(verb).params)]


def test_every_verb_with_json_has_a_schema_and_was_asked(world: World) -> None:
    """Verbs, schemas and the cases of this file are the same ones."""
    assert len(offers_json()) > 20
    assert set(offers_json()) == set(DOCUMENTS) == {printed.verb for printed in world.printed}


def test_every_printed_document_fits_its_schema(world: World) -> None:
    """One document on stdout, whatever the exit code; by our models and by jsonschema."""
    for printed in world.printed:
        errors = sorted(checker(printed.verb).iter_errors(printed.document), key=str)
        assert not errors, f"{printed.name}: {errors[0].message[:600]}"
        adapter_of_(printed.verb).validate_json(printed.out)


def test_every_form_and_every_key_was_printed(world: World) -> None:
    """No schema speaks of what is never there."""
    seen: dict[str, set[str]] = {}
    for printed in world.printed:
        schema, name = schemas()[printed.verb], form_of(printed.verb, printed.document)
        found = places(schema, {"$ref": f"#/$defs/{name}"}, cut(printed.document))
        seen.setdefault(name, set()).update(path for _, path, _ in found)
    keys = keys_of_documents()
    assert set(seen) == set(keys)
    missing = {f"{name} {key}" for name in keys for key in keys[name] - seen[name]}
    assert missing == NOT_MET


def test_no_key_comes_or_goes_unnoticed() -> None:
    """The schemas are those of tests/data/schemas. Regenerate them: python tests/support/stored_schemas.py"""
    kept = stored_schemas.stored()
    assert set(schemas()) == set(kept)
    for verb, schema in schemas().items():
        assert schema == kept[verb], f"{verb}: if the change is meant: {stored_schemas.COMMAND}"


def test_a_regenerated_schema_is_the_stored_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command writes every schema, and removes those of commands that no longer exist."""
    kept = stored_schemas.stored()
    monkeypatch.setattr(stored_schemas, "FOLDER", tmp_path)
    (tmp_path / "gone.json").write_text("{}", encoding="utf-8")
    stored_schemas.regenerate()
    assert stored_schemas.stored() == kept


def test_every_key_says_what_it_is() -> None:
    """A description stands at every key and at every form; schemas are of the draft that they name."""
    for verb, schema in schemas().items():
        assert schema["$schema"] == Draft202012Validator.META_SCHEMA["$id"]
        Draft202012Validator.check_schema(schema)
        for name, form in schema["$defs"].items():
            assert form.get("description"), f"{verb}: {name}"
        silent = [
            path
            for path, node in fields(schema, schema)
            if not path.endswith("*") and not node.get("description")
        ]
        assert silent == [], verb


def test_a_document_with_a_key_more_is_refused(world: World) -> None:
    """In every object of every form that is no map of its own."""
    count = 0
    for verb, document in one_a_form(world):
        schema = schemas()[verb]
        inner = {trail[:-1] for trail, path, _ in places(schema, schema, document) if "body" not in path}
        for trail in inner:
            changed = copy.deepcopy(document)
            at(changed, trail)["surprise"] = [None]
            assert is_fine(verb, changed) == (False, False), f"{verb} {trail}"
            count += 1
    assert count > 100


def test_a_document_with_a_key_less_is_refused(world: World) -> None:
    """Every key that is not marked as one that may be left out."""
    count = 0
    for verb, document in one_a_form(world):
        schema = schemas()[verb]
        for trail, path, needed in places(schema, schema, document):
            changed = copy.deepcopy(document)
            del at(changed, trail[:-1])[trail[-1]]
            if needed:
                assert is_fine(verb, changed) == (False, False), f"{verb} {path}"
                count += 1
            elif path.endswith("?"):
                assert is_fine(verb, changed) == (True, True), f"{verb} {path}"
    assert count > 300


WRONG: dict[str, Callable[[dict[str, Any]], None]] = {
    "a number as a text": lambda plan: plan.update(devices=str(plan["devices"])),
    "a text as a number": lambda plan: plan.update(plan=1),
    "a truth as a number": lambda plan: plan.update(devices=True),
    "local time": lambda plan: plan.update(start=plan["start"].replace("Z", "+01:00")),
    "a negative count": lambda plan: plan.update(devices=-1),
    "an unknown word": lambda plan: plan["phases"][0].update(end="soon"),
    "null": lambda plan: plan.update(digest=None),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_document_of_another_kind_is_refused(world: World, case: str) -> None:
    """Strict: nothing is turned into something else."""
    document = copy.deepcopy(world.of("plan").document)
    assert is_fine("plan", document) == (True, True)
    WRONG[case](document)
    assert is_fine("plan", document) == (False, False)


def one_a_form(world: World) -> list[tuple[str, Any]]:
    """Give (verb, document) of the largest printed document of each form, its lists cut short."""
    largest: dict[str, tuple[str, Any]] = {}
    for printed in sorted(world.printed, key=lambda printed: len(printed.out)):
        largest[form_of(printed.verb, printed.document)] = printed.verb, cut(printed.document)
    return list(largest.values())


def at(document: Any, trail: Trail) -> Any:
    """Give what stands at a trail."""
    for name in trail:
        document = document[name]
    return document


def texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Give (path, text) of every text in a document."""
    if isinstance(value, str):
        yield path, value
    for name, item in value.items() if isinstance(value, dict) else ():
        yield from texts(item, f"{path}.{name}")
    for item in value if isinstance(value, list) else ():
        yield from texts(item, f"{path}[]")


def test_times_are_utc_and_numbers_are_numbers(world: World) -> None:
    """No text of any document is a number, but flags as they were found; whatever begins as an instant is UTC."""
    for printed in world.printed:
        for path, text in texts(printed.document):
            if not path.endswith(".found"):
                assert not re.fullmatch(r"[-+]?\d+(\.\d+)?", text), f"{printed.name} {path}: {text}"
            if re.match(r"\d{4}-\d\d-\d\d[T ]\d\d", text):
                assert re.match(INSTANT, text), f"{printed.name} {path}: {text}"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_never_printed(
    world: World, capsys: pytest.CaptureFixture[str], value: float
) -> None:
    """NaN and infinity are no JSON: neither printed nor read."""
    document = copy.deepcopy(world.of("simulation").document)
    document["halt_chance"] = value
    with pytest.raises(ValueError, match="not JSON compliant"):
        terminal.emit(document)
    assert capsys.readouterr().out == ""
    with pytest.raises(ValidationError):
        adapter_of_("simulate").validate_json(json.dumps(document))


def test_a_paused_rollout_is_told_as_of_its_last_look(world: World) -> None:
    """Nothing is decided while it is paused, and looks go on: goal and rate are of that look, not of the decision."""
    before, paused = world.of("once").document, world.of("paused").document
    assert paused["released"] == before["released"] < paused["goal"]["released"]
    assert paused["at"] > before["at"]


def test_report_json_is_the_document(world: World) -> None:
    """The file holds the same keys, but for the list of files."""
    document = world.of("report").document
    assert document.pop("written")
    assert json.loads(world.report_json) == document


@pytest.mark.parametrize("name", ["paused", "aborted", "missed target"])
def test_an_error_after_a_document_is_a_line_on_stderr(world: World, name: str) -> None:
    """A verb that has told and fails then prints no second document: exit code and stderr say why."""
    one = world.of(name)
    assert "error" not in one.document
    assert any(line.startswith("rollout: ") for line in one.err.splitlines())


def test_an_error_in_place_of_a_document_is_one(world: World) -> None:
    """With its exit code in it, and nothing on stderr."""
    for name in ("an error", "lease taken"):
        one = world.of(name)
        assert one.document["error"]["code"] == one.code
        assert "rollout: " not in one.err


# The verb.


def test_one_verb_s_schema_is_the_one_among_all() -> None:
    """`rollout schema VERB` and `rollout schema` say the same."""
    for verb in ("plan", "status"):
        code, out, _ = ask("schema", verb)
        assert code == 0
        assert json.loads(out) == schemas()[verb]
    assert set(schemas()) == set(DOCUMENTS)


@pytest.mark.parametrize(
    ("verb", "needle"),
    [("stats", "did you mean 'rollout schema status'?"), ("xyz", "commands: demo, inventory")],
)
def test_an_unknown_verb_is_one_helpful_line(verb: str, needle: str) -> None:
    """Exit 2, what was found, which there are."""
    code, out, err = ask("schema", verb)
    assert (code, out) == (2, "")
    assert f"found '{verb}'" in err.splitlines()[0]
    assert needle in err.splitlines()[1]


def test_the_overview_of_commands_waits_for_no_document() -> None:
    """Help needs no pydantic."""
    code = "import sys; from rollout.cli import main; main(['--help']); print('pydantic' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", check=True
    )
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize("name", ["plan", "simulation", "tune", "capacity", "demo"])
def test_a_document_is_printed_as_it_was_read(
    world: World, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """`emit` writes an object of a document as the verb did: by its keys, what is not set left out."""
    printed = world.of(name)
    terminal.emit(adapter_of_(printed.verb).validate_json(printed.out))
    assert capsys.readouterr().out == printed.out
