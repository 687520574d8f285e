"""The settings file: how to reach real directories, apart from the scenario. Secrets come from the environment.

[directory.adminservice]
hosts = ["cm01.corp.example.com"]
site_code = "P01"
collection = "P0100123"
ca_file = "/etc/rollout/site.pem"

[directory.graph]
tenant_id = "8d7e..."
client_id = "12ab..."
cloud = "public"
group = "Intune Auto Enrollment"
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ValidationError

from rollout.directory.registry import backend_of, load
from rollout.errors import UsageError
from rollout.text import ALLOWED, not_plain
from rollout.toml import parse_toml


def load_settings(path: Path | str) -> dict[str, BaseModel]:
    """Read [directory.NAME] sections of a TOML file, one or several: by name, as the backend's model.

    With several, the directory that executes checks against the others. Raise `UsageError` with the key, what was
    expected and what was found.
    """
    document = _document(path)
    if set(document) != {"directory"}:
        raise UsageError(
            f"{path}: expected the section [directory.NAME] and nothing else, found {', '.join(document) or 'nothing'}"
        )
    for key, text in not_plain(document):
        raise UsageError(f"{path}, {key}: expected {ALLOWED}, found {text[:60]!r}")
    sections = document["directory"]
    if not isinstance(sections, dict):
        raise UsageError(f"{path}, directory: expected [directory.NAME] sections, found a value")
    return {name: _section(path, name, values) for name, values in sections.items()}


def _document(path: Path | str) -> dict[str, object]:
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UsageError(
            f"{path}: {error.strerror or error}", "name the directory's settings file with --settings"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path}: expected UTF-8 text, found another encoding at byte {error.start}"
        ) from error
    return parse_toml(text, str(path))


def _section(path: Path | str, name: str, values: object) -> BaseModel:
    model: type[BaseModel] = load(backend_of(name, f"{path}, directory").settings)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(("directory", name, *(str(part) for part in first["loc"])))
        raise UsageError(f"{path}, {where}: {first['msg']}") from None
