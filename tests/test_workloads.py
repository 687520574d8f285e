"""The seven workloads: bits, what moves with what, and the superset rule."""

from __future__ import annotations

from rollout.workloads import WORKLOADS, breaks_superset, moves_with, outside_superset, workloads_of


def test_seven_workloads_with_one_bit_each() -> None:
    """The bits are those of the client's flags, in their order."""
    assert [one.bit for one in WORKLOADS.values()] == [2, 4, 8, 16, 32, 64, 128]
    assert all(name == one.name for name, one in WORKLOADS.items())


def test_flags_are_tested_bit_by_bit() -> None:
    """Totals that were seen: on and nothing switched, everything, compliance with client apps, one bit nobody knows."""
    assert workloads_of(8193) == ()
    assert workloads_of(12543) == tuple(WORKLOADS)
    assert workloads_of(67) == ("compliance", "client-apps")
    assert workloads_of(1 << 20 | 16) == ("windows-update",)


def test_device_configuration_takes_others_along() -> None:
    """Resource access and Endpoint Protection move with it."""
    assert moves_with("device-configuration") == (
        "device-configuration",
        "resource-access",
        "endpoint-protection",
    )
    assert moves_with("office") == ("office",)


def test_a_staging_collection_lies_within_auto_enrollment() -> None:
    """Who is outside is named, and counted by workload."""
    assert outside_superset({"a", "b"}, ["b", "d", "c"]) == ("c", "d")
    assert outside_superset({"a", "b"}, ["a"]) == ()
    assert breaks_superset({"a"}, {"compliance": ["a"], "office": ["a", "b"]}) == {"office": 1}
