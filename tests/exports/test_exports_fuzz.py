"""Reading a file gives a fleet or a usage error, whatever it contains."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path

from export_builders import (
    configmgr_row,
    entra_row,
    intune_row,
    read,
)
from fleet_files import CONFIGMGR_HEADER, ENTRA_HEADER, INTUNE_HEADER
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.errors import UsageError

SAMPLE = {
    "entra": (ENTRA_HEADER, [entra_row(1), entra_row(2)]),
    "intune": (INTUNE_HEADER, [intune_row(1), intune_row(2)]),
    "configmgr": (CONFIGMGR_HEADER, [configmgr_row(1), configmgr_row(2)]),
}


def _text(kind: str) -> str:
    header, rows = SAMPLE[kind]
    out = io.StringIO()
    writer = csv.DictWriter(out, header, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _only_usage_errors(content: bytes, **more: object) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fuzz.csv"
        path.write_bytes(content)
        message = _read_or_refuse(path, **more)
        assert message
        assert "\n" not in message


def _read_or_refuse(path: Path, **more: object) -> str:
    """Return how many devices were read, or why none were; any other error is raised."""
    try:
        return f"{len(read(path, **more).fleet)} devices"
    except UsageError as error:
        return error.message


@given(st.binary(max_size=400))
@settings(max_examples=300, derandomize=True, deadline=None)
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    """Any bytes give a fleet or a usage error."""
    _only_usage_errors(content)


@given(
    st.sampled_from(sorted(SAMPLE)),
    st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 40), st.binary(max_size=12)), max_size=4),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"]),
    st.booleans(),
)
@settings(max_examples=400, derandomize=True, deadline=None)
def test_damaged_exports_are_read_or_refused(
    kind: str, cuts: list[tuple[int, int, bytes]], encoding: str, allow: bool
) -> None:
    """A good export with bytes removed and inserted gives a fleet or a usage error."""
    content = _text(kind).encode(encoding)
    for at, length, put in cuts:
        at %= len(content) + 1
        content = content[:at] + put + content[at + length :]
    _only_usage_errors(content, allow_rejected=allow)


@given(
    st.sampled_from(sorted(SAMPLE)),
    st.integers(0, 60),
    st.text(max_size=30)
    | st.sampled_from(['"', '""', "'", "\0", "\ufeff", "\x85", "3/4/2026", "9" * 30, "٣", "{", "}"]),
)
@settings(max_examples=400, derandomize=True, deadline=None)
def test_any_value_in_any_cell_is_read_or_refused(kind: str, place: int, value: str) -> None:
    """A strange value in a cell of a good export gives a fleet or a usage error."""
    header, rows = SAMPLE[kind]
    out = io.StringIO()
    writer = csv.DictWriter(out, header, restval="")
    writer.writeheader()
    writer.writerows([{**rows[0], header[place % len(header)]: value}, rows[1]])
    _only_usage_errors(out.getvalue().encode("utf-8", "surrogatepass"))
