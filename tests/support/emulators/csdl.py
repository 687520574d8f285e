"""Microsoft's metadata as a judge: does a row, or the body of a method, have only what the type declares?

Every answer of the emulators and every body they take goes through here, so that they cannot drift from it.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

CONTRACT = Path(__file__).parent.parent.parent / "data" / "contract"
EDM = "{http://docs.oasis-open.org/odata/ns/edm}"
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
CHECKS = {
    "Edm.String": lambda v: isinstance(v, str),
    "Edm.Guid": lambda v: isinstance(v, str),
    "Edm.Binary": lambda v: isinstance(v, str),
    "Edm.Boolean": lambda v: isinstance(v, bool),
    "Edm.DateTimeOffset": lambda v: isinstance(v, str) and DATE.fullmatch(v) is not None,
    "Edm.Byte": lambda v: isinstance(v, int),
    "Edm.Int32": lambda v: isinstance(v, int) and not isinstance(v, bool) and -(2**31) <= v < 2**31,
    "Edm.Int64": lambda v: isinstance(v, int) and not isinstance(v, bool),
}


class ContractError(AssertionError):
    """A row or body that the metadata does not allow."""


class Metadata:
    """The types and methods of one CSDL document."""

    def __init__(self, name: str) -> None:
        root = ET.parse(CONTRACT / name).getroot()
        self._types: dict[str, ET.Element] = {}
        self._actions: dict[str, ET.Element] = {}
        self._known: dict[str, dict[str, str]] = {}
        for item in root.iter():
            if item.tag in (f"{EDM}EntityType", f"{EDM}ComplexType", f"{EDM}EnumType"):
                self._types[item.attrib["Name"]] = item
            if item.tag == f"{EDM}Action":
                self._actions.setdefault(item.attrib["Name"], item)

    def properties(self, name: str) -> dict[str, str]:
        """Give the properties of a type and of those that it inherits from: name -> type."""
        if name in self._known:
            return self._known[name]
        one = self._types[name]
        base = one.attrib.get("BaseType", "").rpartition(".")[2]
        inherited = self.properties(base) if base else {}
        own = [*one.iter(f"{EDM}Property"), *one.iter(f"{EDM}NavigationProperty")]
        self._known[name] = inherited | {p.attrib["Name"]: p.attrib["Type"] for p in own}
        return self._known[name]

    def check(self, value: Any, kind: str, where: str = "") -> None:
        """Raise `ContractError` unless `value` is of type `kind`."""
        if value is None:
            return
        if kind.startswith("Collection("):
            if not isinstance(value, list):
                raise ContractError(f"{where}: expected a list")
            for item in value:
                self.check(item, kind[11:-1], where)
            return
        if kind in CHECKS:
            if not CHECKS[kind](value):
                raise ContractError(f"{where}: expected {kind}, found {value!r}")
            return
        name = kind.rpartition(".")[2]
        if self._types[name].tag == f"{EDM}EnumType":
            members = {m.attrib["Name"] for m in self._types[name].iter(f"{EDM}Member")}
            if value not in members:
                raise ContractError(f"{where}: {value!r} is no member of {name}")
            return
        self._object(value, name, where)

    def _object(self, value: Any, name: str, where: str) -> None:
        if not isinstance(value, dict):
            raise ContractError(f"{where}: expected an object of {name}")
        actual = str(value.get("@odata.type", f"#x.{name}")).rpartition(".")[2]
        if actual != name and not self._is_kind_of(actual, name):
            raise ContractError(f"{where}: {actual} is no {name}")
        known = self.properties(actual)
        for key, item in value.items():
            if "@odata." in key:
                continue
            if key not in known:
                raise ContractError(f"{where}: {actual} has no property {key}")
            self.check(item, known[key], f"{where}/{key}")

    def _is_kind_of(self, name: str, base: str) -> bool:
        parent = (
            self._types[name].attrib.get("BaseType", "").rpartition(".")[2] if name in self._types else ""
        )
        return parent == base or (bool(parent) and self._is_kind_of(parent, base))

    def check_body(self, action: str, body: Any) -> None:
        """Raise `ContractError` unless `body` holds the parameters of a method, and nothing else."""
        params = {
            p.attrib["Name"]: p.attrib["Type"]
            for p in self._actions[action].iter(f"{EDM}Parameter")
            if p.attrib["Name"] not in ("bindingParameter", "bindparameter", "bindingparameter")
        }
        if not isinstance(body, dict) or set(body) - set(params):
            raise ContractError(f"{action}: expected {sorted(params)}, found {body!r}")
        for name, value in body.items():
            self.check(value, params[name], f"{action}/{name}")
