"""The seven workloads: bits, what moves with what, who manages them, and the superset rule."""

from __future__ import annotations

from itertools import permutations, product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.workloads import (
    AUTOPATCH,
    MARKERS,
    TRANSITIONS,
    UNENROLL_ORDER,
    USUAL_ORDER,
    WORKLOADS,
    Authority,
    Groups,
    Leave,
    Mode,
    authorities,
    authority,
    decode,
    judge_unenroll,
    missing_counterparts,
    moves_with,
    order_advice,
    outside_superset,
    transition,
    way_back,
)

INTUNE, CONFIGMGR, UNKNOWN = Authority.INTUNE, Authority.CONFIGMGR, Authority.UNKNOWN


def test_seven_workloads_with_one_bit_each() -> None:
    """The bits are those of the client's flags, in their order."""
    assert [workload.bit for workload in WORKLOADS.values()] == [2, 4, 8, 16, 32, 64, 128]
    assert all(name == workload.name for name, workload in WORKLOADS.items())


def test_each_workload_says_what_it_needs_and_leaves() -> None:
    """Nothing is empty, and each has a staging collection of its own."""
    assert all(
        workload.counterpart and workload.reverts and workload.stays for workload in WORKLOADS.values()
    )
    assert len({workload.staging for workload in WORKLOADS.values()}) == 7


def test_flags_are_tested_bit_by_bit() -> None:
    """Totals seen in practice: on with nothing moved, everything, compliance with client apps, an unknown bit."""
    for flags, moved in (
        (8193, ()),
        (12543, tuple(WORKLOADS)),
        (67, ("compliance", "client-apps")),
        (1 << 20 | 16 | 1, ("windows-update",)),
    ):
        managers = authorities(1, decode(str(flags)))
        assert tuple(name for name, manager in managers.items() if manager is INTUNE) == moved


@pytest.mark.parametrize(
    ("raw", "at_intune"),
    [
        ("8193", ()),
        ("1", ()),
        ("12543", tuple(WORKLOADS)),
        ("67", ("compliance", "client-apps")),
        ("4128", ("endpoint-protection",)),
        ("8197", ("resource-access",)),
        (8195, ("compliance",)),
        (" 67 ", ("compliance", "client-apps")),
    ],
)
def test_flags_of_the_site_are_decoded(raw: object, at_intune: tuple[str, ...]) -> None:
    """The values of domain knowledge, as text or number; no bit of them is unknown."""
    flags = decode(raw)
    assert flags.at_intune == at_intune
    assert flags.unknown_bits == ()
    assert flags.why_unknown == ""


@pytest.mark.parametrize(
    "raw", [None, "", "NULL", "n/a", "-1", "8193.0", "0x2001", True, "٣", "9" * 20, str(2**63)]
)
def test_what_is_no_number_is_unknown_never_all_or_nothing(raw: object) -> None:
    """NULL and text leave every workload of a co-managed device unknown."""
    flags = decode(raw)
    assert (flags.value, flags.effective, flags.at_intune) == (None, None, ())
    assert flags.why_unknown
    assert set(authorities(1, flags).values()) == {UNKNOWN}


def test_unknown_bits_are_shown_and_change_nothing() -> None:
    """Bits that no table lists appear individually."""
    flags = decode(str(8193 + (1 << 20) + (1 << 40)))
    assert flags.unknown_bits == (1 << 20, 1 << 40)
    assert authorities(1, flags) == authorities(1, decode("8193"))
    assert [marker.split(":")[0] for marker in decode("12289").markers] == [str(bit) for bit in MARKERS]


def test_bits_above_the_clients_cap_have_no_effect() -> None:
    """A client with "max capabilities 63" does not act on client apps (64) and above."""
    flags = decode("8387", cap=63)  # 8192 + 128 + 64 + 2 + 1
    assert flags.at_intune == ("compliance",)
    assert flags.above_cap == (64, 128, 8192)
    assert authority("client-apps", 1, flags) is CONFIGMGR
    with pytest.raises(ValueError, match="at least 0"):
        decode("1", cap=-1)


def test_authority_follows_enrollment_first() -> None:
    """Not co-managed means Configuration Manager, whatever the flags; not known means unknown."""
    everything = decode("12543")
    assert set(authorities(0, everything).values()) == {CONFIGMGR}
    assert set(authorities(-1, everything).values()) == {UNKNOWN}
    assert set(authorities(1, everything).values()) == {INTUNE}


def test_resource_access_is_at_intune_since_2403() -> None:
    """The site's version forces it, with or without its bit or any flags; older or unknown sites do not."""
    assert authority("resource-access", 1, decode("8193"), 2403) is INTUNE
    assert authority("resource-access", 1, decode(None), 2503) is INTUNE
    assert authority("resource-access", 1, decode("8193"), 2309) is CONFIGMGR
    assert authority("resource-access", 1, decode("8193")) is CONFIGMGR
    assert authority("resource-access", 0, decode("8193"), 2403) is CONFIGMGR


def test_half_of_endpoint_protection_is_unknown() -> None:
    """Disk encryption alone (4096) is not a documented state."""
    assert authority("endpoint-protection", 1, decode("4097")) is UNKNOWN
    assert authority("endpoint-protection", 1, decode("4129")) is INTUNE


@given(
    st.one_of(st.none(), st.text(max_size=12), st.integers(-5, 2**64), st.integers(0, 2**16).map(str)),
    st.sampled_from([-1, 0, 1]),
    st.sampled_from([None, 2309, 2403]),
    st.one_of(st.none(), st.integers(0, 2**15)),
)
@settings(max_examples=400, derandomize=True, deadline=None)
def test_authority_is_total(raw: object, comanaged: int, version: int | None, cap: int | None) -> None:
    """Every device and workload has one of three authorities; unknown flags never give Intune."""
    flags = decode(raw, cap)
    by_workload = authorities(comanaged, flags, version)
    assert tuple(by_workload) == tuple(WORKLOADS)
    for name, who in by_workload.items():
        assert who in Authority
        if comanaged == 1 and flags.value is None and not (name == "resource-access" and version == 2403):
            assert who is UNKNOWN


def test_device_configuration_takes_others_along() -> None:
    """Resource access and Endpoint Protection move with it."""
    assert moves_with("device-configuration") == (
        "device-configuration",
        "resource-access",
        "endpoint-protection",
    )
    assert moves_with("office") == ("office",)


def test_a_counterpart_is_needed_for_all_that_moves() -> None:
    """A single confirmation of three is not enough."""
    confirmed = {"device-configuration", "endpoint-protection"}
    assert missing_counterparts("device-configuration", confirmed) == ("resource-access",)
    assert missing_counterparts("device-configuration", {*confirmed, "resource-access"}) == ()
    assert missing_counterparts("office", ()) == ("office",)


def test_order_is_advice() -> None:
    """Compliance first, Autopatch as a set, and what moves with it; nothing once all are at Intune."""
    assert order_advice("compliance", ()) == ()
    assert any("compliance policies usually move first" in advice for advice in order_advice("office", ()))
    (autopatch,) = order_advice("windows-update", ("compliance",))
    assert "Device configuration and Office" in autopatch
    assert order_advice("office", ("compliance", "windows-update", "device-configuration")) == ()
    (along,) = order_advice("device-configuration", ("compliance", "office", "windows-update"))
    assert "Resource access policies and Endpoint Protection" in along
    assert set(USUAL_ORDER) == {name for name, workload in WORKLOADS.items() if workload.supported}
    assert set(AUTOPATCH) <= set(USUAL_ORDER)


def test_a_staging_collection_lies_within_auto_enrollment() -> None:
    """Devices outside are named."""
    assert outside_superset({"a", "b"}, ["b", "d", "c"]) == ("c", "d")
    assert outside_superset({"a", "b"}, ["a"]) == ()


def test_the_way_back_names_what_stays_for_all_that_moved() -> None:
    """Device configuration covers three workloads; a version and tattooed settings are named."""
    assert len(way_back("device-configuration")) == 3
    assert "tattooed" in way_back("device-configuration")[0]
    assert "keeps its version" in way_back("windows-update")[0]
    assert "forced to Intune" in way_back("resource-access")[0]


@pytest.mark.parametrize("steps", [permutation for n in range(4) for permutation in permutations(Leave, n)])
def test_only_one_order_takes_a_device_out_for_good(steps: tuple[Leave, ...]) -> None:
    """Leave the scope, check the policy, retire; for every other order it says what goes wrong."""
    judged = judge_unenroll(steps)
    assert judged.out_for_good is (steps == UNENROLL_ORDER)
    assert bool(judged.sentences) is not judged.out_for_good


def test_retired_first_it_enrolls_again() -> None:
    """The classic mistake."""
    judged = judge_unenroll((Leave.RETIRE, Leave.SCOPE, Leave.POLICY))
    assert any("enrolls again at its next policy evaluation" in sentence for sentence in judged.sentences)


def test_every_change_of_automatic_enrollment_is_in_the_table() -> None:
    """Nine pairs, each with a sentence and an action; None to All, the wizard's default, is refused."""
    assert set(TRANSITIONS) == set(product(Mode, Mode))
    assert all(change.sentence and change.next_action for change in TRANSITIONS.values())
    assert not transition(Mode.NONE, Mode.ALL).allowed


GROUPS = Groups(members=10, others=500, held=40, enrolled=7)


@pytest.mark.parametrize(
    ("before", "after", "begin", "stop"),
    [
        (Mode.NONE, Mode.PILOT, 10, 0),
        (Mode.NONE, Mode.ALL, 550, 0),
        (Mode.PILOT, Mode.ALL, 540, 0),
        (Mode.PILOT, Mode.NONE, 0, 10),
        (Mode.ALL, Mode.PILOT, 0, 540),
        (Mode.ALL, Mode.NONE, 0, 550),
        (Mode.PILOT, Mode.PILOT, 0, 0),
    ],
)
def test_a_change_hits_whom_it_says(before: Mode, after: Mode, begin: int, stop: int) -> None:
    """Enrolled devices never count; those that preflight holds back do, at All."""
    change = transition(before, after)
    assert (change.enrolls(GROUPS), change.stops(GROUPS)) == (begin, stop)


def test_all_fits_when_the_last_device_is_in() -> None:
    """Pilot to All is allowed only if it enrolls no device; without an inventory that is unknown."""
    change = transition(Mode.PILOT, Mode.ALL)
    assert not change.fits(GROUPS)
    assert not change.fits(None)
    assert not change.fits(Groups(held=1, enrolled=90))
    assert change.fits(Groups(enrolled=97))
    assert not transition(Mode.NONE, Mode.ALL).fits(Groups())
