"""Result codes: their class and what to do next."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.values import FailureClass
from rollout.values.failures import FAILURES, explain, parse_code

DOCUMENTED = [
    0x8018002B, 0x8018002A, 0x80180018, 0x80180026, 0x8018000A, 0x80180014, 0x80180015, 0x80180013, 0x80180002,
    0x80180003, 0x80180005, 0x80180023, 0x800706D9, 0x80180033, 0x8000FFFF, 0x80070032, 0x80070490, 0x82AA0008,
    0x801901AD, 0x80192EE7, 0x80192EE2, 0xCAA70004, 0xCAA10001, 0xCAA9001F, 0xCAA90014, 0xCAA9004D, 0xCAA20003,
    0xCAA2000C, 0x801C03F2, 0x80280036, 0x80090016,
]  # fmt: skip


@pytest.mark.parametrize("code", DOCUMENTED)
def test_every_documented_code_is_known(code: int) -> None:
    """Each has a class, a meaning and a next action."""
    known = explain(code)
    assert known.code == code
    assert known.kind is not FailureClass.UNKNOWN
    assert known.meaning
    assert known.next_action


@pytest.mark.parametrize(("header", "logged"), [(0x80180030, 0x8018002A), (0x80180031, 0x8018002B)])
def test_the_headers_numbers_mean_what_the_logs_numbers_mean(header: int, logged: int) -> None:
    """The header and the logs number two codes differently; both are mapped."""
    assert explain(header).name == explain(logged).name
    assert explain(header).kind is explain(logged).kind


def test_enrolled_already_is_no_failure_to_retry() -> None:
    """Exactly one code means that the work is done."""
    assert [failure.name for failure in FAILURES.values() if failure.done] == ["DEVICE_ALREADY_ENROLLED"]


def test_throttling_is_transient() -> None:
    """429 is answered by a lower pace, not by mending devices."""
    assert explain(0x80180033).kind is FailureClass.TRANSIENT


def test_unknown_codes_say_so() -> None:
    """A code that is not in the table is unknown, with its hex."""
    known = explain(0x87654321)
    assert known.kind is FailureClass.UNKNOWN
    assert "0x87654321" in known.meaning


@pytest.mark.parametrize("text", ["0x8018002B", "0X8018002b", "2149056555", "-2145910741", " 2149056555 "])
def test_all_spellings_are_one_code(text: str) -> None:
    """Hex, unsigned and signed decimal."""
    assert parse_code(text) == 0x8018002B
    assert explain(parse_code(text)).name == "MDM_NOT_CONFIGURED"


@pytest.mark.parametrize("text", ["", "0x", "0x123456789", "4294967296", "-2147483649", "code", "٣", "1e3"])
def test_what_is_no_code_is_refused(text: str) -> None:
    """Neither words nor numbers beyond 32 bits."""
    with pytest.raises(ValueError, match="result code"):
        parse_code(text)


@given(st.integers(-(2**31), 2**32 - 1))
@settings(max_examples=300, derandomize=True, deadline=None)
def test_signed_and_unsigned_agree(code: int) -> None:
    """Any 32-bit number is explained, the same however it is signed, and comes back from its hex."""
    known = explain(code)
    assert known == explain(code & 0xFFFFFFFF)
    assert parse_code(known.hex) == known.code


@pytest.mark.parametrize("code", [2**32, -(2**31) - 1])
def test_numbers_beyond_32_bits_are_refused(code: int) -> None:
    """A programmer's mistake is not explained away."""
    with pytest.raises(ValueError, match="32-bit"):
        explain(code)
