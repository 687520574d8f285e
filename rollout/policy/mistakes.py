"""What is wrong with a scenario, in one line: file, key, expected, found; and what was probably meant."""

from __future__ import annotations

import difflib
import typing
from typing import Any

from pydantic import BaseModel, ValidationError

from rollout.errors import UsageError, cut, shown


def usage_error(
    error: ValidationError, model: type[BaseModel], source: str, section: str = "rollout"
) -> UsageError:
    """Turn pydantic's first complaint about a section into an error for people."""
    complaints = error.errors()
    # A misspelt key explains most.
    first = min(complaints, key=lambda complaint: complaint["type"] != "extra_forbidden")
    path, owner = _walk(model, first["loc"])
    more = f" (and {len(complaints) - 1} more)" if len(complaints) > 1 else ""
    key = f"{source}, key '{'.'.join([section, *map(cut, path)]).replace('.[', '[')}'"
    if first["type"] == "extra_forbidden":
        known = _keys(owner)
        near = difflib.get_close_matches(str(first["loc"][-1]), known, n=1, cutoff=0.6)
        hint = f"Did you mean '{near[0]}'?" if near else f"Known here: {', '.join(known)}."
        return UsageError(f"{key}: expected a known key, found '{cut(str(first['loc'][-1]))}'{more}", hint)
    if first["type"] == "missing":
        return UsageError(f"{key}: expected a value, found none{more}", "Write this key.")
    return UsageError(f"{key}: expected {_expected(first)}{_found(first['input'])}{more}")


def suggestion(word: str, known: typing.Iterable[str]) -> str:
    """Return a hint that names the likeliest of `known`, or all of them."""
    names = sorted(known)
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    return f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(names)}."


def _expected(complaint: Any) -> str:
    if complaint["type"] == "value_error":
        return str(complaint["ctx"]["error"]).removeprefix("expected ").split(", found")[0]
    if complaint["type"] == "union_tag_invalid":
        return f"a mode out of {complaint['ctx']['expected_tags']}"
    if complaint["type"] in ("model_type", "dict_type"):
        return "a table"
    if complaint["type"] in ("too_short", "too_long"):
        least, most = (complaint["ctx"].get(name) for name in ("min_length", "max_length"))
        return f"at most {most:,} entries" if least is None else f"{least:,} or more entries"
    if complaint["type"] in ("less_than_equal", "less_than", "greater_than_equal", "greater_than"):
        (bound,) = complaint["ctx"].values()
        return str(complaint["msg"]).removeprefix("Input should be ").rsplit(" ", 1)[0] + f" {bound:,}"
    message = str(complaint["msg"])
    message = message.removeprefix("Input should be ").removeprefix("Value should be ")
    message = message.split(", got ")[0].split(", unable ")[0]
    return message.replace("String should have", "text of").replace("a valid tuple", "a list")


def _found(value: Any) -> str:
    """Return the end of the sentence: the value, but no table that is too long to show."""
    text = shown(value)
    is_long = isinstance(value, BaseModel) or (isinstance(value, dict) and text.endswith("..."))
    return "" if is_long else f", found {text}"


def _walk(model: type[BaseModel], loc: tuple[int | str, ...]) -> tuple[list[str], type[BaseModel] | None]:
    """Turn pydantic's location into the path as written, and return the model that holds the last key."""
    path: list[str] = []
    here: type[BaseModel] | None = model
    models: list[type[BaseModel]] = [model]
    for item in loc:
        if isinstance(item, int):
            path.append(f"[{item + 1}]")
            continue
        tagged = [candidate for candidate in models if _tag(candidate) == item]
        if tagged and len(models) > 1:  # the chosen mode of a pacing: no key of its own
            models, here = tagged, tagged[0]
            continue
        if _is_branch(item):
            continue
        path.append(item)
        here = next(
            (candidate for candidate in models if _field(candidate, item)),
            models[0] if len(models) == 1 else here,
        )
        field = _field(here, item) if here else None
        models = models_within(field) if field is not None else [here] if here else []
    return path, here


def _is_branch(item: str) -> bool:
    """Return whether a location names a branch of a union, not a key: "int", "tuple[…]", "literal[False]"."""
    return item in ("int", "str", "bool", "date", "datetime", "EvidencePolicy") or "[" in item


def _tag(model: type[BaseModel]) -> str:
    field = model.model_fields.get("mode")
    return str(typing.get_args(field.annotation)[0]) if field is not None else ""


def _field(model: type[BaseModel], key: str) -> Any:
    for name, field in model.model_fields.items():
        if key in (name, field.alias):
            return field.annotation
    return None


def _keys(model: type[BaseModel] | None) -> list[str]:
    """Return the keys of a model, its own before inherited ones."""
    if model is None:
        return []
    own = vars(model).get("__annotations__", {})
    fields = sorted(model.model_fields.items(), key=lambda item: item[0] not in own)
    return [field.alias or name for name, field in fields]


def models_within(annotation: Any) -> list[type[BaseModel]]:
    """Return all models within an annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in typing.get_args(annotation) for model in models_within(inner)]
