"""Parts of all documents: closed, strict models. Every field has a description with its unit."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue


class Document(BaseModel):
    """An object of a document: exactly these keys, exactly these types, no infinity and no NaN."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        defer_build=True,
        from_attributes=True,
        validate_by_name=True,
        validate_by_alias=True,
    )

    @classmethod
    def build(cls, source: object, **values: object) -> Self:
        """Build one from `values`, and for all other keys from the attributes of the same names of `source`.

        Raise `ValueError` (of pydantic) where a value is missing or of another type: an error of ours.
        """
        names = [name for name in cls.model_fields if name not in values]
        return cls.model_validate({**{name: getattr(source, name) for name in names}, **values})


def described(text: str, key: str | None = None) -> Any:
    """Return a field with its description. key : its key, where that is a Python keyword."""
    return Field(description=text, alias=key)


class PlainSchema(GenerateJsonSchema):
    """JSON Schema without titles that only repeat a key, and without defaults: a key that is left out has none."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Return False: titles are never set."""
        return False

    def default_schema(self, schema: Any) -> JsonSchemaValue:
        """Return the schema of the value alone."""
        return self.generate_inner(schema["schema"])


INSTANT = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$"

Instant = Annotated[str, Field(pattern=INSTANT, json_schema_extra={"format": "date-time"})]
"""UTC, ISO 8601, to the second: 2026-11-02T07:00:00Z."""
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Code = Annotated[str, Field(pattern="^0x[0-9A-F]{8}$")]
"""An unsigned HRESULT: 0x80192EE2."""
Count = Annotated[int, Field(ge=0)]
Hours = Annotated[float, Field(ge=0)]
Rate = Annotated[float, Field(ge=0)]
"""Per hour."""
Share = Annotated[float, Field(ge=0, le=1)]


class Error(Document):
    """What went wrong."""

    code: Annotated[int, Field(ge=1, le=255)] = described("The exit code.")
    message: str = described("One line: what is wrong, and where.")
    hint: str = described('Next action; "" if there is none.')


class ErrorDocument(Document):
    """Printed in place of any other document by a command that could not do what was asked."""

    error: Error = described("The error and the next action.")


class Final(Document):
    """Devices by outcome; together they are all devices of the inventory."""

    enrolled: Count = described("Devices enrolled (for a workload: moved; for an undo: removed).")
    failed: Count = described("Devices that failed.")
    rejected: Count = described("Devices that the directory refused to add.")
    timed_out: Count = described("Devices that stayed silent past their time-out.")
    pending: Count = described("Devices of the plan without an outcome yet, released or not.")
    excluded: Count = described("Devices that are not in the plan.")


class HoursInterval(Document):
    """Hours as an interval that contains 8 runs in 10; null if later than the simulated time."""

    p10: Hours | None = described("Hours that 1 run in 10 does not exceed.")
    p50: Hours | None = described("Hours that half of the runs do not exceed.")
    p90: Hours | None = described("Hours that 9 runs in 10 do not exceed.")


class InstantInterval(Document):
    """An instant as an interval that contains 8 runs in 10; null if later than the simulated time."""

    p10: Instant | None = described("UTC instant that 1 run in 10 does not exceed.")
    p50: Instant | None = described("UTC instant that half of the runs do not exceed.")
    p90: Instant | None = described("UTC instant that 9 runs in 10 do not exceed.")


class CountInterval(Document):
    """Devices as an interval that contains 8 runs in 10."""

    p10: Count = described("Devices that 1 run in 10 does not exceed.")
    p50: Count = described("Devices that half of the runs do not exceed.")
    p90: Count = described("Devices that 9 runs in 10 do not exceed.")


class HumanStep(Document):
    """A manual step in a console."""

    when: str = described("When: before, after phase NAME, or after.")
    title: str = described("The step.")
    where: str = described("The path in the console, or the cmdlet.")
    why: str = described("The reason, in a sentence.")
