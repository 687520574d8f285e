"""A generated fleet: the ``[fleet]`` section of a scenario, and the inventory that it describes.

Every share is an assumption that a scenario can change. Names, sites and models are invented.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from rollout.fields import MAX_DEVICES, MAX_LIST, Share, Weight
from rollout.values import (
    GENERATED,
    UNKNOWN,
    BoolArray,
    Factor,
    Fleet,
    IntArray,
    Inventory,
    Join,
    LongArray,
    TextArray,
)

DAY_S = 86400
FIRST_RESOURCE_ID = 16_777_220  # ConfigMgr numbers devices from 2**24 on
STREAM = 0x666C6565  # separates this stream from the draws of runs with the same seed


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError('an IANA zone such as "Europe/Berlin"') from None
    return name


def _version(text: str) -> str:
    if not re.fullmatch(r"10\.0\.[0-9]{4,6}(\.[0-9]{1,6})?", text):
        raise ValueError('a Windows version such as "10.0.22631.4460"')
    return text


Word = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[^\x00-\x1f]+$")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Site(_Section):
    """An Active Directory site. share : its weight among the sites; weights need not add up to 1."""

    name: Word
    zone: Annotated[str, AfterValidator(_zone)]
    share: Weight = 1.0


class HardwareModel(_Section):
    """A computer model. share : its weight among the models."""

    name: Word
    manufacturer: Word
    share: Weight = 1.0


class Build(_Section):
    """A Windows version such as 10.0.22631.4460. share : its weight among the builds."""

    version: Annotated[str, AfterValidator(_version)]
    share: Weight = 1.0


class PresenceShares(_Section):
    """Weights of the presence classes; `sim.model.PresenceModel` describes each class."""

    always_on: Share = 0.12
    office: Share = 0.38
    laptop: Share = 0.42
    rarely_on: Share = 0.08


class JoinShares(_Section):
    """Weights of the join types of healthy devices."""

    hybrid: Share = 0.93
    entra: Share = 0.07


class Problems(_Section):
    """The share of all devices with each problem that preflight finds; no device has two problems.

    dual_state, twins : second records of a device, with another join type or with the same.
    """

    not_client: Share = 0.006
    inactive: Share = 0.004
    obsolete: Share = 0.001
    registered: Share = 0.001
    pending: Share = 0.003
    disabled: Share = 0.002
    other_mdm: Share = 0.001
    stale: Share = 0.006
    dual_state: Share = 0.002
    twins: Share = 0.002
    server: Share = 0.001
    too_old: Share = 0.001

    @model_validator(mode="after")
    def _fit(self) -> Self:
        total = sum(self.shares())
        if total > 1:
            raise ValueError(f"shares that add up to at most 1 (these add up to {total:g})")
        return self

    def shares(self) -> tuple[float, ...]:
        """Return the shares in the order of PROBLEMS."""
        return tuple(float(getattr(self, name)) for name in PROBLEMS)


PROBLEMS = tuple(Problems.model_fields)
"""Names of the problems, in the order of the draw, which is therefore part of a fleet's identity."""

_ZONED_SITES = (
    (
        "Europe/Berlin",
        (("Berlin", 9.0), ("Hamburg", 5.0), ("Munich", 7.0), ("Cologne", 4.0), ("Leipzig", 1.5)),
    ),
    ("Europe/London", (("London", 8.0), ("Leeds", 2.5), ("Bristol", 1.5))),
    ("Europe/Madrid", (("Madrid", 4.0), ("Valencia", 1.0))),
    ("Europe/Warsaw", (("Warsaw", 4.5), ("Gdansk", 1.0))),
    ("America/New_York", (("New York", 9.0), ("Boston", 3.0), ("Atlanta", 2.5), ("Raleigh", 0.8))),
    ("America/Chicago", (("Chicago", 5.0), ("Dallas", 4.0))),
    ("America/Los_Angeles", (("San Jose", 3.0), ("Portland", 1.2))),
    ("America/Sao_Paulo", (("Sao Paulo", 3.5),)),
    ("Asia/Kolkata", (("Pune", 8.0), ("Chennai", 5.0))),
    ("Asia/Singapore", (("Singapore", 2.5),)),
    ("Australia/Sydney", (("Sydney", 1.5),)),
)
_LINES = (
    ("Alder Computers", ("Alder Book 13", "Alder Book 15", "Alder Desk Mini", "Alder Tower"), 5.0),
    ("Basalt", ("Basalt Pro 14", "Basalt Pro 16", "Basalt Cube", "Basalt Station"), 3.0),
    ("Corvid Systems", ("Corvid Air", "Corvid Flex"), 2.0),
)
_GENERATIONS = (("G1", 0.15), ("G2", 0.5), ("G3", 1.0), ("G4", 0.7))


def _default_sites() -> tuple[Site, ...]:
    return tuple(
        Site(name=name, zone=zone, share=share) for zone, sites in _ZONED_SITES for name, share in sites
    )


def _default_models() -> tuple[HardwareModel, ...]:
    return tuple(
        HardwareModel(name=f"{line} {generation}", manufacturer=maker, share=weight * much / (place + 1))
        for maker, lines, weight in _LINES
        for place, line in enumerate(lines)
        for generation, much in _GENERATIONS
    )


def _default_builds() -> tuple[Build, ...]:
    shares = {
        "10.0.17763.6532": 0.02,
        "10.0.19045.5247": 0.2,
        "10.0.22631.4602": 0.3,
        "10.0.26100.2605": 0.48,
    }
    return tuple(Build(version=version, share=share) for version, share in shares.items())


class FleetModel(_Section):
    """The ``[fleet]`` section of a scenario.

    comanaged : share of the devices that are enrolled already. never_signed_in : share without a sign-in time.
    """

    clients: Annotated[int, Field(ge=1, le=MAX_DEVICES)] = 100_000
    sites: Annotated[tuple[Site, ...], Field(min_length=1, max_length=MAX_LIST)] = Field(
        default_factory=_default_sites
    )
    models: Annotated[tuple[HardwareModel, ...], Field(min_length=1, max_length=MAX_LIST)] = Field(
        default_factory=_default_models
    )
    builds: Annotated[tuple[Build, ...], Field(min_length=1, max_length=MAX_LIST)] = Field(
        default_factory=_default_builds
    )
    presence: PresenceShares = PresenceShares()
    join: JoinShares = JoinShares()
    problems: Problems = Problems()
    comanaged: Share = 0.005
    never_signed_in: Share = 0.001

    @model_validator(mode="after")
    def _names_differ(self) -> Self:
        for what, names in (
            ("site", [site.name for site in self.sites]),
            ("model", [hardware.name for hardware in self.models]),
        ):
            if len(set(names)) < len(names):
                twice = next(name for name in names if names.count(name) > 1)
                raise ValueError(f"{what}s with different names ({twice!r} occurs twice)")
        for what, section in (("presence", self.presence), ("join", self.join)):
            if sum(section.model_dump().values()) <= 0:
                raise ValueError(f"at least one share above 0 in {what}")
        return self


def generate(model: FleetModel, seed: int, taken: int) -> Inventory:
    """Generate the fleet that `model` describes; the same arguments give the same fleet.

    taken : Unix seconds of the inventory; all times in it are earlier.
    """
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([STREAM, seed])))
    n = model.clients
    site = _pick(rng, n, [site.share for site in model.sites])
    hardware_model = _pick(rng, n, [hardware.share for hardware in model.models])
    build = _pick(rng, n, [build.share for build in model.builds])
    presence = _pick(rng, n, list(model.presence.model_dump().values()))
    join = _pick(rng, n, list(model.join.model_dump().values()))
    problem = _draw_problems(rng, model.problems, n)
    healthy = problem == 0
    comanaged = healthy & (rng.random(n) < model.comanaged)
    signed_in, active, registered = _draw_times(rng, n, taken, presence, problem)
    signed_in[healthy & (rng.random(n) < model.never_signed_in)] = UNKNOWN
    ids, numbers = _guids(rng, n), rng.permutation(n).astype(np.int64)
    partner = _partners(problem)
    is_client = ~_has(problem, "not_client", "registered", "dual_state", "twins")
    # A second record of a device has the name and serial of the first; it exists in Entra only.
    named = np.where(partner >= 0, partner, np.arange(n))
    fleet = Fleet(
        ids=ids,
        names=_names(model.sites, site[named], numbers[named]),
        resource_ids=np.where(is_client, FIRST_RESOURCE_ID + np.arange(n), UNKNOWN).astype(np.int64),
        serials=_serials(numbers[named], is_client),
        factors={
            "site": _factor([site.name for site in model.sites], site[named]),
            "zone": _factor([site.zone for site in model.sites], site[named]),
            "model": _factor([hardware.name for hardware in model.models], hardware_model[named]),
            "manufacturer": _factor(
                [hardware.manufacturer for hardware in model.models], hardware_model[named]
            ),
            "presence": _factor([name.replace("_", "-") for name in PresenceShares.model_fields], presence),
            **_os_factors(model, build, problem),
            "join": _joins(join, problem, partner),
            "mdm": _mdms(comanaged, _has(problem, "other_mdm")),
        },
        flags={
            "entra": np.ones(n, dtype=np.int8),
            "enabled": _flag(~_has(problem, "disabled")),
            "pending": _flag(_has(problem, "pending")),
            "client": _flag(is_client),
            "active": np.where(is_client, _flag(~_has(problem, "inactive")), UNKNOWN).astype(np.int8),
            "obsolete": np.where(is_client, _flag(_has(problem, "obsolete")), UNKNOWN).astype(np.int8),
            "comanaged": _flag(comanaged),
            "intune": _flag(comanaged),
        },
        times={
            "last_sign_in": signed_in,
            "last_active": np.where(is_client, active, UNKNOWN),
            "registered": np.where(_has(problem, "pending"), UNKNOWN, registered),
        },
    )
    return Inventory(fleet, taken, ((f"generated, seed {seed}", GENERATED, n),))


def _pick(rng: np.random.Generator, n: int, weights: Sequence[float]) -> IntArray:
    """Return an index for each of `n` devices, drawn by weight."""
    edges = np.cumsum(np.asarray(weights, dtype=np.float64))
    indices = np.searchsorted(edges / edges[-1], rng.random(n), side="right")
    return np.minimum(indices, len(edges) - 1).astype(np.int32)


def _draw_problems(rng: np.random.Generator, problems: Problems, n: int) -> IntArray:
    """Return for each device 0, or 1 + the index of its problem."""
    edges = np.cumsum([0.0, *problems.shares()])
    found = np.searchsorted(edges, rng.random(n), side="right")
    return np.where(found <= len(PROBLEMS), found, 0).astype(np.int32)


def _has(problem: IntArray, *names: str) -> BoolArray:
    return np.isin(problem, [1 + PROBLEMS.index(name) for name in names])


def _flag(rows: BoolArray) -> NDArray[np.int8]:
    return rows.astype(np.int8)


def _draw_times(
    rng: np.random.Generator, n: int, taken: int, presence: IntArray, problem: IntArray
) -> tuple[LongArray, LongArray, LongArray]:
    """Return drawn times of the last sign-in, the last activity and the registration.

    Entra updates its timestamp only when it is about 14 days old, so an active device shows up to 19 days.
    """
    silent_days = np.array([0.1, 0.7, 2.0, 20.0])[presence]
    silent = rng.exponential(1.0, n) * silent_days
    silent = np.minimum(silent, 55.0)  # below the default threshold: these devices are not stale
    stamp = np.minimum(silent + rng.uniform(0, 19, n), 80.0)
    gone = _has(problem, "stale", "twins")
    stamp = np.where(gone, rng.uniform(100, 700, n), stamp)
    silent = np.where(gone, stamp, silent)
    age = stamp + rng.uniform(20, 1500, n)
    return tuple((taken - days * DAY_S).astype(np.int64) for days in (stamp, silent, age))  # type: ignore[return-value]


def _guids(rng: np.random.Generator, n: int) -> TextArray:
    """Return (n,) drawn ids that look like GUIDs (version 4)."""
    raw = rng.integers(0, 256, (n, 16), dtype=np.uint8)
    raw[:, 6] = (raw[:, 6] & 0x0F) | 0x40
    raw[:, 8] = (raw[:, 8] & 0x3F) | 0x80
    nibbles = np.empty((n, 32), dtype=np.uint8)
    digits = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
    nibbles[:, 0::2], nibbles[:, 1::2] = digits[raw >> 4], digits[raw & 15]
    letters = np.full((n, 36), ord("-"), dtype=np.uint8)
    letters[:, [at for at in range(36) if at not in (8, 13, 18, 23)]] = nibbles
    return _texts(letters)


def _texts(letters: NDArray[np.uint8]) -> TextArray:
    """Convert rows of letters to text."""
    n, width = letters.shape
    out: TextArray = letters.reshape(n * width).view(f"S{width}").astype(np.dtypes.StringDType())
    return out


def _names(sites: Sequence[Site], site: IntArray, numbers: LongArray) -> TextArray:
    """Return names of computers that begin with their site, such as "BER-0004711"."""
    prefixes = [f"{''.join(filter(str.isalpha, site.name))[:3].upper():X<3}-" for site in sites]
    coded = [prefix if prefix.isascii() else "PCX-" for prefix in prefixes]
    front = np.array([list(prefix.encode()) for prefix in coded], dtype=np.uint8)
    return _texts(np.hstack([front[site], _digits(numbers, 7, b"0123456789")]))


def _serials(numbers: LongArray, known: BoolArray) -> TextArray:
    letters = _digits(numbers * 7919 + 32**5, 8, b"0123456789ABCDEFGHJKLMNPQRSTVWXY")
    letters[~known] = 0
    return _texts(letters)


def _digits(numbers: LongArray, width: int, alphabet: bytes) -> NDArray[np.uint8]:
    """Return the digits of numbers in the base of the alphabet, (n, width)."""
    base = len(alphabet)
    powers = base ** np.arange(width - 1, -1, -1, dtype=np.int64)
    letters: NDArray[np.uint8] = np.frombuffer(alphabet, dtype=np.uint8)[(numbers[:, None] // powers) % base]
    return letters


def _factor(levels: Sequence[str], codes: IntArray) -> Factor:
    """Return a factor with sorted levels, restricted to the levels in use."""
    used = np.unique(codes)
    names = sorted({levels[code] for code in used.tolist()})
    index = {name: code for code, name in enumerate(names)}
    table = np.array([index.get(level, 0) for level in levels], dtype=np.int32)
    return Factor(table[codes], tuple(names))


def _os_factors(model: FleetModel, build: IntArray, problem: IntArray) -> dict[str, Factor]:
    server, old = _has(problem, "server"), _has(problem, "too_old")
    versions = [*(build.version for build in model.builds), "10.0.20348.2700", "10.0.15063.2679"]
    at = len(model.builds)
    codes = np.where(server, at, np.where(old, at + 1, build)).astype(np.int32)
    return {
        "os": _factor(["Windows", "Windows Server"], server.astype(np.int32)),
        "os_version": _factor(versions, codes),
    }


def _joins(join: IntArray, problem: IntArray, partner: IntArray) -> Factor:
    levels = [Join.HYBRID.value, Join.ENTRA.value, Join.REGISTERED.value]
    codes = np.where(_has(problem, "pending"), 0, join)
    twin = _has(problem, "twins")
    codes[twin] = codes[partner[twin]]
    codes[_has(problem, "registered", "dual_state")] = 2
    return _factor(levels, codes.astype(np.int32))


def _mdms(comanaged: BoolArray, other: BoolArray) -> Factor:
    codes = np.where(other, 2, comanaged.astype(np.int32)).astype(np.int32)
    return _factor(["", "Configuration Manager", "Fernside MDM"], codes)


def _partners(problem: IntArray) -> IntArray:
    """Return for each second record the healthy device that it belongs to, -1 for all other devices.

    If there are too few healthy devices, the remaining records belong to no device.
    """
    partner = np.full(len(problem), -1, dtype=np.int32)
    seconds = np.flatnonzero(_has(problem, "dual_state", "twins"))
    healthy = np.flatnonzero(problem == 0)
    k = min(len(seconds), len(healthy))
    partner[seconds[:k]] = healthy[:k]
    return partner
