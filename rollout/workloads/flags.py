"""A client's workload flags: the text field MDMWorkloads, decoded bit by bit.

Totals are never compared: a site may add bits that nobody has documented. NULL or text means unknown, neither "all"
nor "none". A client supports only certain bits ("max capabilities 4095" in older logs) and ignores bits above that
cap.
"""

from __future__ import annotations

from dataclasses import dataclass

from rollout.workloads.sliders import COMANAGED_BIT, WORKLOADS

DISK_ENCRYPTION_BIT = 4096
SPLIT_BIT = 8192
MARKERS = {
    COMANAGED_BIT: "co-management is on",
    DISK_ENCRYPTION_BIT: "disk encryption, moves with Endpoint Protection",
    SPLIT_BIT: "the client distinguishes Endpoint Protection from disk encryption",
}
"""Bits that are not workloads."""

FORCED_SINCE = 2403
"""Site version from which Intune manages resource access, whatever its slider says."""

_KNOWN = sum(MARKERS) + sum(workload.bit for workload in WORKLOADS.values())
_MAX = 2**63 - 1  # the site's own queries read the text as a 64-bit number
_NOTHING = ("", "null", "none")


@dataclass(frozen=True, slots=True)
class WorkloadFlags:
    """A client's decoded workload flags.

    raw : the text as found. value : the number in it, None if there is none. cap : the client's own, None if
    unknown. why_unknown : a sentence for people, "" if the value is known.
    """

    raw: str
    value: int | None
    cap: int | None = None
    why_unknown: str = ""

    @property
    def effective(self) -> int | None:
        """The bits that the client acts on."""
        if self.value is None or self.cap is None:
            return self.value
        return self.value & self.cap

    @property
    def at_intune(self) -> tuple[str, ...]:
        """The workloads whose bit is set and within the client's cap."""
        bits = self.effective
        return (
            ()
            if bits is None
            else tuple(workload.name for workload in WORKLOADS.values() if bits & workload.bit)
        )

    @property
    def markers(self) -> tuple[str, ...]:
        """What the set bits that are not workloads mean."""
        bits = self.value or 0
        return tuple(f"{bit}: {text}" for bit, text in MARKERS.items() if bits & bit)

    @property
    def unknown_bits(self) -> tuple[int, ...]:
        """Set bits that no table lists; they are shown and have no effect here."""
        return _bits((self.value or 0) & ~_KNOWN)

    @property
    def above_cap(self) -> tuple[int, ...]:
        """Set bits that the client cannot act on."""
        return () if self.value is None or self.cap is None else _bits(self.value & ~self.cap)


def decode(raw: object, cap: int | None = None) -> WorkloadFlags:
    """Decode MDMWorkloads, which the site stores as text: "8193", NULL, or anything.

    cap : the client's "max capabilities". Raise `ValueError` for a cap below 0.
    """
    if cap is not None and cap < 0:
        raise ValueError(f"cap: expected at least 0, found {cap}")
    text = "" if raw is None else str(raw).strip()
    if text.casefold() in _NOTHING:
        return WorkloadFlags(text, None, cap, "the site has no flags for this device (NULL)")
    if not (text.isascii() and text.isdigit()):
        return WorkloadFlags(text, None, cap, f"expected a whole number, found '{text[:40]}'")
    if len(text) > 19 or int(text) > _MAX:
        return WorkloadFlags(text, None, cap, f"expected a 64-bit number, found '{text[:40]}'")
    return WorkloadFlags(text, int(text), cap)


def _bits(value: int) -> tuple[int, ...]:
    return tuple(1 << place for place in range(value.bit_length()) if value >> place & 1)
