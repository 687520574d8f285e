"""Random draws, fixed in advance: one 64-bit key per device, and a counter-based hash that derives every draw.

A draw is identified by (seed, replication, device, slot): the key comes from (seed, replication, device), and the
slot names the purpose (the third attempt, Tuesday's arrival, …). So a draw never depends on earlier events, on the
number of devices, on the order of requests, or on the number of workers, and both engines read the same draws. The
hash is the finalizer of SplitMix64 (Steele, Lea, Flood 2014) over key + slot * golden ratio, used as a counter-based
generator in the manner of Salmon et al. 2011. It uses integers only, so numba and Python round nothing differently.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from importlib import resources
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray

from rollout.errors import UsageError
from rollout.values import BoolArray, FlagArray, Fleet, IntArray, LongArray
from sim.clients.service import draw_outages
from sim.model import Model

CLASSES: Final = ("always-on", "office", "laptop", "rarely-on")
"""Presence classes; their index is the class code."""

UNKNOWN_CODE: Final = -1

# Slots of the hash. Below 1000: one draw per device. From each base on: one draw per day or attempt.
SLOT_CLASS: Final = 1
SLOT_ZONE: Final = 2
SLOT_HABIT: Final = 3  # 16 bits each: arrival, turning off, spread
SLOT_POLL: Final = 4  # 32 bits phase of the policy poll, 32 bits extra wait at a crowded gateway
SLOT_TIMER: Final = 5  # 32 bits native timer
SLOT_BLOCK: Final = 6  # 16 bits blocked, 16 bits never heals, 16 bits time to heal
SLOT_LOGON: Final = 7  # 32 bits randomization after logon
SLOT_TOKEN: Final = 8  # 16 bits device token, 16 bits internet client
SLOT_FAULT: Final = 9  # 32 bits permanent fault, 32 bits its code
SLOT_ATTEMPT: Final = 1 << 20  # + attempt: 32 bits failure, 16 bits duration, 16 bits report lag
SLOT_CODE: Final = 2 << 20  # + attempt: 32 bits code of a transient failure
SLOT_BACKOFF: Final = 3 << 20  # + throttled answers so far: 32 bits
SLOT_UNENROLL: Final = 4 << 20  # + enrollments so far: 16 bits
SLOT_EVALUATION: Final = 5 << 20  # + evaluations so far: 32 bits
SLOT_DAY: Final = 6 << 20  # + day: 16 bits used, 16 bits arrival, 16 bits off, 16 bits pause
SLOT_PAUSE: Final = 7 << 20  # + day: 16 bits beginning, 16 bits length

GOLDEN: Final = 0x9E3779B97F4A7C15
MIX_1: Final = 0xBF58476D1CE4E5B9
MIX_2: Final = 0x94D049BB133111EB
MASK: Final = (1 << 64) - 1

KeyArray = NDArray[np.uint64]


def draw(key: int, slot: int) -> int:
    """Return the 64 random bits of a device for a slot (plain Python; the engine has the same function in numba)."""
    z = (key + slot * GOLDEN) & MASK
    z = ((z ^ (z >> 30)) * MIX_1) & MASK
    z = ((z ^ (z >> 27)) * MIX_2) & MASK
    return z ^ (z >> 31)


def draw_all(keys: KeyArray, slot: int) -> KeyArray:
    """Return the 64 random bits of each device for a slot, (n,) uint64."""
    z = keys + np.uint64((slot * GOLDEN) & MASK)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(MIX_1)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(MIX_2)
    return z ^ (z >> np.uint64(31))


@dataclass(frozen=True, eq=False)
class Traits:
    """What the simulator knows about each device before any draw; (n,) each.

    presence : int8 class code, -1 if unknown. zone : int32 index into `zones`, -1 if unknown.
    fault : float64 share of such devices that fail permanently. fault_code : int64 HRESULT, 0 for the model's mix.
    new : newly installed devices, which never draw the native timer once co-managed devices exist.
    silent : bool, devices that evaluate their policy once and are never heard of again; None if there are none.
    delay : int32 seconds by which failures are reported later than usual; None if none are.
    codes : HRESULTs in `fault_code` that the model may not have.
    """

    presence: FlagArray
    zone: IntArray
    zones: tuple[str, ...]
    fault: NDArray[np.float64]
    fault_code: LongArray
    new: BoolArray
    silent: BoolArray | None = None
    delay: IntArray | None = None
    codes: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.presence)


def traits_of(fleet: Fleet, model: Model, new: BoolArray | None = None) -> Traits:
    """Read the traits of an inventory's devices. new : (n,) bool, newly installed devices; none by default.

    Raise `UsageError` if a failure override names a column that the fleet does not have, or for an unknown class.
    """
    n = len(fleet)
    presence = np.full(len(fleet.factors["presence"].levels), UNKNOWN_CODE, dtype=np.int8)
    for index, level in enumerate(fleet.factors["presence"].levels):
        if level and level not in CLASSES:
            raise UsageError(f"column 'presence': expected {', '.join(CLASSES)} or nothing, found {level!r}")
        presence[index] = CLASSES.index(level) if level else UNKNOWN_CODE
    zones = fleet.factors["zone"]
    blank = np.array([level == "" for level in zones.levels], dtype=np.bool_)
    fault, fault_code = _faults(fleet, model)
    return Traits(
        presence[fleet.factors["presence"].codes],
        np.where(blank[zones.codes], UNKNOWN_CODE, zones.codes).astype(np.int32),
        zones.levels,
        fault,
        fault_code,
        np.zeros(n, dtype=np.bool_) if new is None else new,
    )


def _faults(fleet: Fleet, model: Model) -> tuple[NDArray[np.float64], LongArray]:
    usual = sum(failure.rate for failure in model.clients.failures if failure.permanent)
    fault = np.full(len(fleet), usual)
    code = np.zeros(len(fleet), dtype=np.int64)
    for failure in model.clients.failure:
        if failure.column not in fleet.factors:
            raise UsageError(
                f"key 'model.clients.failure': the fleet has no column {failure.column!r}",
                f"Known: {', '.join(sorted(fleet.factors))}.",
            )
        rows = fleet.factors[failure.column].where(failure.level)
        fault[rows] = failure.rate
        code[rows] = failure.code
    return fault, code


def traits_like(n: int, model: Model) -> Traits:
    """Return the traits of `n` devices about which nothing is known: their classes and zones will be drawn."""
    usual = sum(failure.rate for failure in model.clients.failures if failure.permanent)
    return Traits(
        np.full(n, UNKNOWN_CODE, dtype=np.int8),
        np.full(n, UNKNOWN_CODE, dtype=np.int32),
        (),
        np.full(n, usual),
        np.zeros(n, dtype=np.int64),
        np.zeros(n, dtype=np.bool_),
    )


@dataclass(frozen=True, eq=False)
class Draws:
    """All random draws of one run.

    keys : (n,) uint64. presence : (n,) int8 class codes. offset : (n,) int32 seconds east of UTC, fixed at
    `start` (a change to or from daylight saving time during the run is ignored).
    outages : (k, 2) int64 Unix seconds [from, to), sorted and disjoint; both fixed and drawn outages.
    start : Unix seconds. horizon_s : seconds that the run is simulated at most.
    """

    keys: KeyArray
    presence: FlagArray
    offset: IntArray
    outages: LongArray
    start: int
    horizon_s: int

    def __len__(self) -> int:
        return len(self.keys)


def make_draws(
    model: Model, traits: Traits, seed: int, replication: int, start: int, horizon_s: int | None = None
) -> Draws:
    """Fix all random draws of one run; the same arguments give the same bytes on every machine.

    The first devices of a larger fleet get the same draws. Raise `UsageError` for an unknown zone.
    """
    horizon = model.horizon if horizon_s is None else horizon_s
    devices, service = np.random.SeedSequence((seed, replication)).spawn(2)
    keys = np.asarray(np.random.SFC64(devices).random_raw(len(traits)), dtype=np.uint64)
    return Draws(
        keys,
        _classes(model, traits, keys),
        _offsets(traits, keys, start),
        draw_outages(model.service, np.random.Generator(np.random.PCG64(service)), start, horizon),
        start,
        horizon,
    )


def _classes(model: Model, traits: Traits, keys: KeyArray) -> FlagArray:
    unknown = traits.presence == UNKNOWN_CODE
    if not unknown.any():
        return traits.presence
    drawn = _lookup(model.presence.mix)[draw_all(keys, SLOT_CLASS) >> np.uint64(48)]
    return np.where(unknown, drawn, traits.presence).astype(np.int8)


def _offsets(traits: Traits, keys: KeyArray, start: int) -> IntArray:
    known = np.array([_offset_of(zone, start) for zone in traits.zones] or [0], dtype=np.int32)
    unknown = traits.zone == UNKNOWN_CODE
    offsets = known[traits.zone]
    if not unknown.any():
        return offsets
    seconds, weights = _utc_offsets()
    drawn = np.array(seconds)[_lookup(weights)[draw_all(keys, SLOT_ZONE) >> np.uint64(48)]]
    return np.where(unknown, drawn, offsets).astype(np.int32)


@lru_cache(maxsize=8)
def _lookup(weights: tuple[float, ...]) -> FlagArray:
    """Return the index that each of 65,536 equally likely draws picks, so that index k has its weight."""
    bounds = np.round(np.cumsum(weights)[:-1] / sum(weights) * 65536)
    return np.searchsorted(bounds, np.arange(65536), side="right").astype(np.int8)


@lru_cache(maxsize=4096)
def _offset_of(zone: str, start: int) -> int:
    if not zone:
        return 0
    try:
        offset = datetime.fromtimestamp(start, ZoneInfo(zone)).utcoffset()
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(
            f"column 'zone': expected an IANA zone such as Europe/Berlin, found {zone!r}"
        ) from error
    return int(offset.total_seconds()) if offset is not None else 0


@lru_cache(maxsize=1)
def _utc_offsets() -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Return UTC offsets in seconds and their weights (see data/README.md)."""
    text = (
        resources.files("sim.clients")
        .joinpath("data/developer_weight_by_utc_offset.csv")
        .read_text(encoding="utf-8")
    )
    rows = [line.split(",") for line in text.split()[1:]]
    return tuple(round(float(hours) * 3600) for hours, _ in rows), tuple(float(weight) for _, weight in rows)
