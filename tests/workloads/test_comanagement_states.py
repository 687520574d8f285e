"""What the site says of each client: status, funnel, authority; and its export in any dialect."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.exports.comanagement import read_comanagement
from rollout.exports.decoding import ExportError
from rollout.workloads import Authority, EnrollmentStatus, Step, count_states, read_state
from rollout.workloads.states import COLUMNS, REQUIRED

EXAMPLE = Path(__file__).parent.parent.parent / "scenarios" / "data" / "comanagement-states.txt"
ENROLLED = {
    "ResourceID": "1",
    "Name": "PC",
    "MDMEnrolled": "1",
    "ComgmtPolicyPresent": "1",
    "MDMProvisioned": "1",
}
WAITING = {**ENROLLED, "MDMEnrolled": "0", "MDMProvisioned": "0"}


@pytest.mark.parametrize(
    ("row", "status", "step", "comanaged"),
    [
        (ENROLLED, EnrollmentStatus.SUCCESS, Step.ENROLLED, 1),
        ({**ENROLLED, "MDMProvisioned": ""}, EnrollmentStatus.SUCCESS, Step.ENROLLED, 1),
        ({**ENROLLED, "MDMProvisioned": "0"}, EnrollmentStatus.ENROLLING, Step.INITIATED, 1),
        ({**ENROLLED, "ComgmtPolicyPresent": "0"}, EnrollmentStatus.ENROLLING, Step.INITIATED, 0),
        (WAITING, EnrollmentStatus.NOT_BEGUN, Step.ELIGIBLE, 0),
        ({**WAITING, "EnrollmentScheduled": "1"}, EnrollmentStatus.ENROLLING, Step.SCHEDULED, 0),
        (
            {**WAITING, "EnrollmentScheduled": "True", "EnrollmentFailed": "1"},
            EnrollmentStatus.FAILURE,
            Step.INITIATED,
            0,
        ),
        ({**WAITING, "PendingLogon": "1"}, EnrollmentStatus.PENDING, Step.INITIATED, 0),
        ({**ENROLLED, "EnrollmentFailed": "1"}, EnrollmentStatus.SUCCESS, Step.ENROLLED, 1),
        ({**ENROLLED, "MDMEnrolled": "NULL"}, EnrollmentStatus.UNKNOWN, Step.ELIGIBLE, -1),
        ({}, EnrollmentStatus.UNKNOWN, Step.ELIGIBLE, -1),
    ],
)
def test_a_row_gives_one_status(
    row: dict[str, str], status: EnrollmentStatus, step: Step, comanaged: int
) -> None:
    """Enrolled with the policy is success; then failed, pending, scheduled; what is missing is unknown."""
    state = read_state(row)
    assert (state.status, state.step, state.comanaged) == (status, step, comanaged)


def test_a_failures_code_is_explained() -> None:
    """Decimal codes of the site are the client's hexadecimal ones; nonsense has none."""
    failed = {**WAITING, "EnrollmentFailed": "1"}
    state = read_state({**failed, "EnrollmentStatusCode": "2149056536"})
    assert state.failure is not None
    assert state.failure.name == "USERLICENSE"
    for nonsense in ("", "0", "NULL", "abc", "99999999999999"):
        assert read_state({**failed, "EnrollmentStatusCode": nonsense}).failure is None


def test_the_example_counts_every_client_once() -> None:
    """Status, authority of each workload and the funnel's first step sum to the clients; the funnel only narrows."""
    standing = count_states(map(read_state, read_comanagement(EXAMPLE, REQUIRED)))
    assert sum(standing.status.values()) == standing.devices == 31
    assert all(sum(counts.values()) == 31 for counts in standing.authority.values())
    assert [standing.funnel[step] for step in Step] == [31, 28, 25, 20]
    assert standing.status[EnrollmentStatus.SUCCESS, "entra"] == 1
    assert standing.unknown_bits == {1 << 20: 1}
    # The one without co-management's flags, and the two with NULL and text.
    assert standing.authority["compliance"][Authority.UNKNOWN] == 3
    forced = count_states(map(read_state, read_comanagement(EXAMPLE, REQUIRED)), 2403)
    assert forced.authority["resource-access"][Authority.INTUNE] == 21


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_every_dialect_gives_the_same_rows(tmp_path: Path, encoding: str, separator: str) -> None:
    """As the other exports: any separator and encoding, a #TYPE line before the header."""
    text = EXAMPLE.read_text(encoding="utf-8-sig").replace(";", separator)
    path = tmp_path / "states.csv"
    path.write_bytes(("#TYPE Selected.Row\r\n" + text).encode(encoding))
    assert list(read_comanagement(path, REQUIRED)) == list(read_comanagement(EXAMPLE, REQUIRED))


@pytest.mark.parametrize(
    ("text", "needle"),
    [
        ("Name,Other\r\nPC,1\r\n", "ResourceID"),
        ("ResourceID,Name,MDMEnrolled\r\n1,PC,1\r\n", "ComgmtPolicyPresent"),
        ("ResourceID,Name,MDMEnrolled,ComgmtPolicyPresent\r\n1,PC,1\r\n", "line 2"),
        ("\r\n", "empty"),
    ],
)
def test_what_is_no_such_export_is_refused(tmp_path: Path, text: str, needle: str) -> None:
    """File, line and what was expected."""
    path = tmp_path / "states.csv"
    path.write_text(text)
    with pytest.raises(ExportError, match=needle):
        list(read_comanagement(path, REQUIRED))


@given(st.dictionaries(st.sampled_from(COLUMNS), st.text(max_size=8)))
@settings(max_examples=300, derandomize=True, deadline=None)
def test_any_row_is_read(row: dict[str, str]) -> None:
    """Whatever stands in the cells, there is one status and one authority a workload."""
    state = read_state(row)
    assert state.status in EnrollmentStatus
    assert len(state.authorities()) == 7
