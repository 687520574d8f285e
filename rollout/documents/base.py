"""What all documents are made of: closed, strict models whose every field says what it means and in which unit."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue


class Document(BaseModel):
    """An object of a document: exactly these keys, exactly these types, no infinity and no NaN."""

    model_config = ConfigDict(
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        defer_build=True,  # a verb builds the validators of its own document, not of all
        populate_by_name=True,
    )


def told(text: str, name: str | None = None) -> Any:
    """Say what a field means. name : its key, where that is a word of Python."""
    return Field(description=text, alias=name)


class Plainly(GenerateJsonSchema):
    """JSON Schema without titles that only repeat a key, and without defaults: a key that is left out has none."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never."""
        return False

    def default_schema(self, schema: Any) -> JsonSchemaValue:
        """Give the schema of the value alone."""
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
"""So many an hour."""
Share = Annotated[float, Field(ge=0, le=1)]


class Error(Document):
    """What went wrong."""

    code: Annotated[int, Field(ge=1, le=255)] = told("The exit code.")
    message: str = told("One line: what was expected, what was found, where.")
    hint: str = told('What to do; "" where nothing can be said.')


class ErrorDocument(Document):
    """Printed in place of any other document by a command that could not do what it was asked."""

    error: Error = told("What went wrong, and what to do.")


class Final(Document):
    """Devices by what became of them; together they are all devices of the inventory."""

    enrolled: Count = told("Devices enrolled (of a workload: moved; of an undo: out).")
    failed: Count = told("Devices that failed.")
    rejected: Count = told("Devices that the directory refused to add.")
    timed_out: Count = told("Devices that stayed silent past their time-out.")
    pending: Count = told("Devices of the plan without an outcome yet, released or not.")
    excluded: Count = told("Devices that are not in the plan.")


class HoursInterval(Document):
    """Hours as an interval of 8 in 10; null is later than the simulated time."""

    p10: Hours | None = told("Hours that 1 run in 10 does not pass.")
    p50: Hours | None = told("Hours that half of the runs do not pass.")
    p90: Hours | None = told("Hours that 9 runs in 10 do not pass.")


class InstantInterval(Document):
    """An instant as an interval of 8 in 10; null is later than the simulated time."""

    p10: Instant | None = told("UTC instant that 1 run in 10 does not pass.")
    p50: Instant | None = told("UTC instant that half of the runs do not pass.")
    p90: Instant | None = told("UTC instant that 9 runs in 10 do not pass.")


class CountInterval(Document):
    """Devices as an interval of 8 in 10."""

    p10: Count = told("Devices that 1 run in 10 does not pass.")
    p50: Count = told("Devices that half of the runs do not pass.")
    p90: Count = told("Devices that 9 runs in 10 do not pass.")


class HumanStep(Document):
    """What a person does in a console."""

    when: str = told("before, after phase NAME, or after.")
    title: str = told("What to do.")
    where: str = told("The path in the console, or the cmdlet.")
    why: str = told("Why, in a sentence.")
