"""CoManagementHandler.log: any encoding, one device's story, every code explained."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.client import Kind, Story, parse_log, read_log, read_story
from rollout.client.story import Stage
from rollout.errors import UsageError

EXAMPLE = Path(__file__).parent.parent.parent / "scenarios" / "data" / "CoManagementHandler.log"
TIMEOUT = 0x80192EE2


def line(text: str, time: str = "07:00:00.000-060", date: str = "11-18-2026") -> str:
    more = 'component="CoManagementHandler" context="" type="1" thread="1" file="a.cpp:1"'
    return f'<![LOG[{text}]LOG]!><time="{time}" date="{date}" {more}>\r\n'


def story_of(*texts: str) -> Story:
    return read_story(parse_log("".join(map(line, texts)).encode(), "test").entries)


def test_the_example_tells_one_devices_story() -> None:
    """Out of scope, no MDM address, timer, a time-out, the second try, co-managed, compliance moved."""
    log = read_log(EXAMPLE)
    story = read_story(log.entries)
    assert (log.broken, log.encoding) == (0, "utf-8")
    assert story.stage is Stage.COMANAGED
    assert story.due == "11/18/2026 07:12:40"
    assert story.tries == (2, 3)
    assert story.failure is not None
    assert (story.failure.code, story.failure.name) == (TIMEOUT, "TIMEOUT")
    assert (story.flags, story.cap) == (8195, 16383)
    assert story.enrolled_at == 1_794_983_345  # 2026-11-18 06:29:05 UTC: bias -060 is one hour east
    kinds = [event.kind for event in story.events]
    assert (
        kinds.index(Kind.NO_URL)
        < kinds.index(Kind.QUEUED)
        < kinds.index(Kind.STICKY)
        < kinds.index(Kind.FIRED)
    )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])
def test_every_encoding_gives_the_same_story(encoding: str, tmp_path: Path) -> None:
    """With and without a mark, in either byte order: the same entries."""
    text = EXAMPLE.read_bytes().decode() + line("Gerät wird verwaltet: Device is provisioned")
    path = tmp_path / "CoManagementHandler.log"
    path.write_bytes(text.encode(encoding))
    assert read_log(path).entries == parse_log(text.encode("utf-8-sig"), "x").entries


def test_a_log_cut_at_both_ends_is_read() -> None:
    """The client rolls its logs over: half a line at either end is passed over, and counted if it began."""
    data = EXAMPLE.read_bytes().decode().encode("utf-16-le")
    log = parse_log(data[101:-40], "x")
    whole = read_log(EXAMPLE)
    assert log.entries == whole.entries[1:-1]
    assert log.broken == 1


@pytest.mark.parametrize(
    ("time", "hour"),
    [("07:00:00.000-060", 6), ("07:00:00.000+300", 12), ("07:00:00.000+000", 7), ("07:00:00", 7)],
)
def test_the_bias_leads_to_utc(time: str, hour: int) -> None:
    """UTC is local time plus the bias in minutes."""
    entry = parse_log(line("Device is provisioned", time).encode(), "x").entries[0]
    assert entry.at % 86400 == hour * 3600


def test_a_text_may_run_over_lines() -> None:
    """A message with a line break is one entry."""
    entries = parse_log(line("MDM enrollment failed with\r\nerror code 0xcaa9001f").encode(), "x").entries
    assert [entry.text for entry in entries] == ["MDM enrollment failed with error code 0xcaa9001f"]


@pytest.mark.parametrize(
    "data", [b"", b"no log at all", b"PK\x03\x04", b'<![LOG[x]LOG]!><time="x">', b"\xff\xfe"]
)
def test_what_is_no_log_is_refused_in_one_sentence(data: bytes) -> None:
    """Exit 2 with what was expected, and where the log lies."""
    with pytest.raises(UsageError, match="has no CMTrace lines") as caught:
        parse_log(data, "some.log")
    assert "CoManagementHandler.log" in caught.value.hint


def test_a_missing_or_huge_file_is_refused(tmp_path: Path) -> None:
    """Neither is a traceback."""
    with pytest.raises(UsageError, match="cannot read"):
        read_log(tmp_path / "none.log")
    huge = tmp_path / "huge.log"
    with huge.open("wb") as file:
        file.truncate(65 * 2**20)
    with pytest.raises(UsageError, match="too large for a client log: 68,157,440 bytes"):
        read_log(huge)


AUTO = "Merged value for 'CoManagementSettings_AutoEnroll' is '{}'"
TRY = "Enrolling device to MDM... Try #{} out of 3"
FAIL = "MDM enrollment failed with error code {} 'text'. Will retry in 15 minutes..."


@pytest.mark.parametrize(
    ("texts", "stage"),
    [
        ((), Stage.NOTHING),
        ((AUTO.format("False"),), Stage.NOT_TARGETED),
        ((AUTO.format("True"),), Stage.TARGETED),
        ((AUTO.format("True"), "Mdm Enrollment Url has not yet been configured."), Stage.BLOCKED),
        ((AUTO.format("True"), "Queuing enrollment timer to fire at 1/2/2027 3:04:05 local time"), Stage.SCHEDULED),
        (("Queuing enrollment timer to fire at 1/2/2027", AUTO.format("False")), Stage.NOT_TARGETED),
        (("Enrollment randomization timer fired",), Stage.TRYING),
        ((TRY.format(1), "Failed to enroll with RegisterDeviceWithManagementUsingAADDeviceCredentials. "
          "Error code 0x8018002a"), Stage.TRYING),
        ((TRY.format(1), FAIL.format("0x80180005")), Stage.RETRYING),
        ((TRY.format(3), FAIL.format("0x80180018")), Stage.GIVEN_UP),
        ((TRY.format(1), FAIL.format("0x8018000a")), Stage.ENROLLED),
        (("MDM enrollment succeeded",), Stage.ENROLLED),
        (("Device is provisioned",), Stage.COMANAGED),
        (("This device is enrolled to an unexpected vendor",), Stage.FOREIGN),
        (("Device is provisioned", "Device is not MDM enrolled yet.", AUTO.format("True")), Stage.TARGETED),
        (("Device is provisioned", "Device is not provisioned"), Stage.NOT_TARGETED),
        (("Device is provisioned", AUTO.format("False")), Stage.COMANAGED),
    ],
)  # fmt: skip
def test_the_last_line_that_counts_decides(texts: tuple[str, ...], stage: Stage) -> None:
    """Each known line moves the device; an enrolled one stays so when it leaves the collection."""
    story = story_of("Processing GET for assignment (x)", *texts)
    assert story.stage is stage
    assert story.next_action


def test_a_failure_says_what_to_do() -> None:
    """The next action is that of the code, whatever the number is written like."""
    story = story_of(TRY.format(3), FAIL.format("0x80180018"))
    assert story.failure is not None
    assert story.next_action == story.failure.next_action
    assert "license" in story.next_action


def test_flags_of_two_policies_are_joined() -> None:
    """Without the merged value the two are joined bit by bit (inferred); the merged value counts more."""
    assert story_of("Merging workload flags 1 with 66").flags == 67
    told = story_of("New merged workloadflags value with co-management max capabilities '4095' is '65'")
    assert (told.flags, told.cap) == (65, 4095)


def test_the_logs_of_workloads_name_the_flags() -> None:
    """ComplRelayAgent, CIAgent and WUAHandler say which flags they go by; of enrollment they say nothing."""
    story = story_of("Verifying if workload 2 is enabled in workloadFlags 7", "Result of & operation is 2")
    assert story.flags == 7
    assert story.stage is Stage.NOTHING


@given(st.binary(max_size=300))
@settings(max_examples=300, derandomize=True, deadline=None)
def test_any_bytes_end_in_a_log_or_a_sentence(data: bytes) -> None:
    """Garbage around a good line never raises anything but a `UsageError`."""
    for whole in (
        data,
        data + line("Device is provisioned").encode(),
        data + line(repr(data)).encode("utf-16-le"),
    ):
        with contextlib.suppress(UsageError):
            read_story(parse_log(whole, "fuzz").entries)
