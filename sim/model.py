"""The model: every assumption of the simulator, with its grade.

Grades: A documented by Microsoft, B observed in a customer's log, I inferred, ? unknown (calibrate it).
The T numbers are the transitions of a client's life, described in `sim.clients.spec`. Durations are text ("90s",
"15m", "24h", "5d") or whole seconds. An unknown or missing key raises a `ValidationError` of pydantic.
"""

from __future__ import annotations

import datetime as dt
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, model_validator

from rollout.fields import MAX_DEVICES, MAX_LIST, Share
from rollout.values.durations import EXPECTED, FIRST_DAY, LAST_DAY, MAX_S, format_duration, parse_duration


def seconds_of(value: object) -> int:
    """Return the seconds of "60m", "24h", "1d12h", "immediate" (0) or a whole number of seconds.

    Raise a `ValueError` for anything else, for negative numbers and for more than ten years.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_S:
        return value
    if isinstance(value, str):
        return 0 if value.strip().lower() == "immediate" else parse_duration(value)
    raise ValueError(f"expected {EXPECTED}, at most {MAX_S // 86400} days")


Duration = Annotated[int, BeforeValidator(seconds_of), PlainSerializer(format_duration, return_type=str)]
Code = Annotated[int, Field(ge=-(2**31), lt=2**32)]
"""An HRESULT, signed or unsigned."""
PerYear = Annotated[float, Field(ge=0.0, le=1000.0, allow_inf_nan=False)]
Factor = Annotated[float, Field(ge=0.0, le=100.0, allow_inf_nan=False)]


def _holiday(value: object) -> str:
    try:
        day = value if isinstance(value, dt.date) else dt.date.fromisoformat(str(value))
    except ValueError:
        raise ValueError("a local date such as 2026-12-25") from None
    if isinstance(day, dt.datetime) or not FIRST_DAY <= day <= LAST_DAY:
        raise ValueError(f"a local date from {FIRST_DAY} to {LAST_DAY}")
    return day.isoformat()


Holiday = Annotated[str, BeforeValidator(_holiday)]


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, dict) else value


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class LogNormal(_Part):
    """A log-normal duration, given by its median and its 90th percentile."""

    median: Duration
    p90: Duration

    @model_validator(mode="after")
    def _ordered(self) -> LogNormal:
        if not 0 < self.median <= self.p90:
            raise ValueError("a median above 0 and a p90 not below it")
        return self


class FailureCode(_Part):
    """A failure and its rate; `rollout.values.failures` has the meaning and the class of the code.

    permanent : the device has this fault and fails every attempt; rate is then the share of such devices, otherwise
        the chance that a single attempt fails. Codes: A; rates: ?.
    """

    code: Code
    rate: Share
    permanent: bool = False


class LevelFailure(_Part):
    """The share of devices with a given level of a fleet column that fail permanently, in place of the usual share."""

    column: str
    level: str
    rate: Share
    code: Code = 0x80180023  # dmwappushservice is missing: a fault of the image, and so of a hardware model


_FAILURES = (
    FailureCode(code=0x80180018, rate=0.002, permanent=True),
    FailureCode(code=0x80180026, rate=0.002, permanent=True),
    FailureCode(code=0x80180023, rate=0.001, permanent=True),
    FailureCode(code=0x801C03F2, rate=0.002, permanent=True),
    FailureCode(code=0x80180014, rate=0.001, permanent=True),
    FailureCode(code=0x80180005, rate=0.01),
    FailureCode(code=0x80192EE2, rate=0.015),
    FailureCode(code=0xCAA10001, rate=0.005),
)


class ClientModel(_Part):
    """The behaviour of a client between its release and its enrollment.

    window : T7, width of the client's own random timer. No default: immediate, 24h (B, one client), 72h,
        5d (B, a support note), or any duration; Microsoft's formula is not public (?).
    late_joiner : T7, whether clients that are released when co-managed devices exist draw the timer ("random") or
        are treated as new ("immediate"): ?. Newly installed devices never draw it then (A).
    collection_evaluation : T1, grid on which membership takes effect (A, 5 min incremental).
    policy_poll : T2, period of policy requests while online, each device with its own phase (A, 60 min).
    wake_delay : T3, from start or wake-up to the first policy request (?).
    policy_evaluation : T4, the policy is evaluated at a uniform time within this span of the download (B prompt;
        span ?).
    blocked_share, heal, never_heals : T5, share of devices that are not yet joined or lack the MDM address; time until
        they heal; share of them that never do (?). Healing takes effect at the next policy evaluation.
    logon_randomization : T9, a timer that expired while the device was off fires within this time of its
        next start (B 60, unit inferred).
    device_token_share : T11, T12, share of devices whose device token works (A needs 1803+; share ?); the others
        need a signed-in user.
    attempts, retry_wait : T13, T14 (B 3; A 15 min). next_cycle : T15, least wait after the last attempt of a
        cycle before a policy evaluation starts the next cycle (?).
    enrollment : T16, duration of an enrollment (?). report_lag : T17, time until the site reports the result (?).
    unenroll_per_year : chance per year that an enrolled device un-enrolls; it enrolls again at the next policy
        evaluation while it is a member (A; rate ?).
    failures : codes with their rates. failure : shares for single levels, such as a hardware model with a fault.
    """

    window: Duration
    late_joiner: Literal["random", "immediate"] = "random"
    collection_evaluation: Duration = 300
    policy_poll: Annotated[Duration, Field(ge=60)] = 3600
    wake_delay: Duration = 120
    policy_evaluation: Duration = 300
    blocked_share: Share = 0.02
    heal: LogNormal = LogNormal(median=86400, p90=5 * 86400)
    never_heals: Share = 0.05
    logon_randomization: Duration = 3600
    device_token_share: Share = 0.97
    attempts: Annotated[int, Field(ge=1, le=100)] = 3
    retry_wait: Duration = 900
    next_cycle: Duration = 86400
    enrollment: LogNormal = LogNormal(median=90, p90=240)
    report_lag: LogNormal = LogNormal(median=900, p90=3600)
    unenroll_per_year: PerYear = 0.02
    failures: Annotated[tuple[FailureCode, ...], Field(max_length=1000)] = _FAILURES
    failure: Annotated[tuple[LevelFailure, ...], BeforeValidator(_listed), Field(max_length=1000)] = ()

    @model_validator(mode="after")
    def _rates(self) -> ClientModel:
        for permanent in (True, False):
            if sum(failure.rate for failure in self.failures if failure.permanent == permanent) > 1.0:
                raise ValueError("failure rates that add up to at most 1")
        return self


class ClassModel(_Part):
    """The behaviour of a presence class; local days run from 03:00 to 03:00.

    weekday, weekend : chance that a device is used on a working day, and on a weekend day or holiday.
    week : factors on `weekday` from Monday to Friday (mean 1).
    turned_off : share of evenings on which a device is turned off (or sleeps) when its user leaves.
    habit : how consistently a device is turned off or left on: 0 is decided every evening, 1 is always the same.
    pause : chance of a break (lunch, meeting, restart) on a used day, during which the device is off.
    """

    weekday: Share
    weekend: Share
    week: tuple[Factor, Factor, Factor, Factor, Factor] = (1.0, 1.0, 1.0, 1.0, 1.0)
    turned_off: Share
    habit: Share = 0.8
    pause: Share = 0.3


# Kastle 2023-25, US badge data: Tuesday 59.6 %, Friday 33.3 %, mean 50.5 % of a normal day; other days in between.
_BADGE_WEEK = (1.053, 1.18, 1.053, 1.053, 0.661)


class PresenceModel(_Part):
    """When devices are online (T3). Day curves: American Time Use Survey; see `sim.clients.presence`.

    always_on, office, laptop, rarely_on : the classes. Office machines are turned off on 44 % of nights
        (LBNL-46930, 2001); chances of use are the peaks of the ATUS curves (69.8 % and 14.7 %); breaks are
        fitted so that up and down times of desktops follow the Microsoft99 trace. Laptop and rarely-on: I.
    mix : share of each class among devices for which the inventory has no class (?).
    holidays : local dates such as "2026-12-25", treated like a weekend.
    spread : variation between devices: the chance of use is multiplied by a factor of up to 1 ± this.
    jitter : day-to-day variation of a device's arrival, as a share of the population's spread.
    pause_length : length of a break.
    """

    always_on: ClassModel = ClassModel(weekday=1.0, weekend=1.0, turned_off=0.01, habit=0.0, pause=0.2)
    office: ClassModel = ClassModel(
        weekday=0.698, weekend=0.147, week=_BADGE_WEEK, turned_off=0.44, pause=0.5
    )
    laptop: ClassModel = ClassModel(weekday=0.698, weekend=0.147, turned_off=0.95, habit=0.2, pause=0.35)
    rarely_on: ClassModel = ClassModel(weekday=0.08, weekend=0.04, turned_off=0.98, habit=0.0, pause=0.2)
    mix: tuple[Share, Share, Share, Share] = (0.10, 0.40, 0.45, 0.05)
    holidays: Annotated[tuple[Holiday, ...], Field(max_length=MAX_LIST)] = ()
    spread: Share = 0.25
    jitter: Share = 0.15
    pause_length: LogNormal = LogNormal(median=3600, p90=5 * 3600)

    @property
    def classes(self) -> tuple[ClassModel, ClassModel, ClassModel, ClassModel]:
        """The classes in the order of `sim.clients.draws.CLASSES`."""
        return (self.always_on, self.office, self.laptop, self.rarely_on)

    @model_validator(mode="after")
    def _shares(self) -> PresenceModel:
        if abs(sum(self.mix) - 1.0) > 1e-6:
            raise ValueError("four shares in mix that add up to 1")
        return self


class Outage(_Part):
    """A fixed outage. after : time from the start of the simulation. lasts : its length."""

    after: Duration
    lasts: Duration


class ServiceModel(_Part):
    """The enrollment service and the gateway that delivers policy to clients.

    capacity_per_minute : enrollments accepted in each clock minute, 0 for no limit (? Microsoft publishes none).
    backoff, backoff_max, backoff_jitter : a throttled client (code 0x80180033, A) waits backoff, doubled each
        time up to backoff_max, times 1 ± jitter (?). Being throttled uses up no attempt.
    outages : fixed outages. outages_per_year, outage : rate and length of random outages; the default length is from
        Azure operator incidents 2018-19 (median 4.5 h, 90th percentile 16 h). An attempt during an outage fails.
    outage_answer : time after which an attempt during an outage fails, with code 0x80180005.
    cmg_instances, cmg_clients : instances of the cloud management gateway, and concurrent clients per instance (A:
        6,000 on A2_v2, 10,000 on A4_v2, at most 16 instances). Above the limit, clients are delayed, not refused (A).
        0 instances: the gateway is not modelled. internet_share : share of devices that get policy only through the
        gateway (?).
    """

    capacity_per_minute: Annotated[int, Field(ge=0, le=MAX_DEVICES)] = 120
    backoff: Annotated[Duration, Field(ge=1)] = 300
    backoff_max: Annotated[Duration, Field(ge=1)] = 3600
    backoff_jitter: Share = 0.5
    outages: Annotated[tuple[Outage, ...], Field(max_length=1000)] = ()
    outages_per_year: PerYear = 0.0
    outage: LogNormal = LogNormal(median=16200, p90=57600)
    outage_answer: Annotated[Duration, Field(ge=1)] = 30
    cmg_instances: Annotated[int, Field(ge=0, le=16)] = 0
    cmg_clients: Annotated[int, Field(ge=1, le=MAX_DEVICES)] = 6000
    internet_share: Share = 0.3


class Model(_Part):
    """The [model] section of a scenario. horizon : time that a run is simulated at most."""

    clients: ClientModel
    presence: PresenceModel = PresenceModel()
    service: ServiceModel = ServiceModel()
    horizon: Annotated[Duration, Field(ge=3600, le=730 * 86400)] = 60 * 86400
