"""The policy: the [rollout] section of a scenario, checked and frozen.

Everything has a default: `[rollout]` with a name alone is a sensible rollout of all devices.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    BeforeValidator,
    Field,
    Strict,
    ValidationError,
    create_model,
    field_validator,
    model_validator,
)

from rollout.fields import (
    MAX_LIST,
    Count,
    Day,
    Moment,
    Part,
    Percent,
    PerHour,
    PositiveSeconds,
    Seconds,
)
from rollout.gates.rules import RULES, GateRule
from rollout.pacing.calendar import DEVICE_ZONE, Freeze
from rollout.pacing.modes import Auto, Pacing
from rollout.pacing.recurrence import EARLIEST, ever_occurs, last_day, needs_first, parse_rule
from rollout.policy.comanagement import CoManagement
from rollout.policy.mistakes import usage_error
from rollout.values import (
    DAY_S,
    HOUR_S,
    WHOLE,
    EvidenceGate,
    GatePolicy,
    PhaseEnd,
    ThresholdGate,
    Window,
    parts_of_percent,
)
from rollout.workloads import WORKLOADS

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@cache
def known_zones() -> frozenset[str]:
    """Return all IANA zones of this machine; this takes a tenth of a second."""
    return frozenset(available_timezones())


def _zone(value: object) -> object:
    if value == DEVICE_ZONE or (isinstance(value, str) and value in known_zones()):
        return value
    raise ValueError('an IANA zone such as "Europe/Berlin"')


def _fixed_zone(value: object) -> object:
    if value == DEVICE_ZONE:
        raise ValueError('an IANA zone such as "Europe/Berlin" ("device" is for windows and freezes)')
    return _zone(value)


def _minutes(value: object) -> object:
    text = value.isoformat() if isinstance(value, dt.time) else value
    if isinstance(text, str) and text == "24:00":
        return 1440
    try:
        at = dt.time.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        at = None
    if at is None or at.second or at.microsecond or at.tzinfo:
        raise ValueError('a time of day such as "22:00"')
    return at.hour * 60 + at.minute


def _days(value: object) -> object:
    """Turn "Mon-Fri", "Mon, Wed" or a list of these into numbers of weekdays."""
    words = value.replace(",", " ").split() if isinstance(value, str) else value
    if not isinstance(words, (list, tuple)) or not words:
        raise ValueError('weekdays such as "Mon-Fri" or ["Sat", "Sun"]')
    out: set[int] = set()
    for word in words:
        ends = [_weekday(name) for name in str(word).split("-")]
        if len(ends) > 2:
            raise ValueError('weekdays such as "Mon-Fri" or ["Sat", "Sun"]')
        first, last = ends[0], ends[-1]
        out.update((first + step) % 7 for step in range((last - first) % 7 + 1))
    return tuple(sorted(out))


def _weekday(word: str) -> int:
    matches = [index for index, day in enumerate(DAYS) if word.strip().lower()[:3] == day.lower()]
    if not matches:
        raise ValueError('weekdays such as "Mon-Fri" or ["Sat", "Sun"]')
    return matches[0]


def _hours(value: object) -> object:
    """Turn "12:00-14:00" into two minutes of the day; "22:00-02:00" runs past midnight."""
    ends = value.split("-") if isinstance(value, str) else ()
    try:
        minutes = [_minutes(end.strip()) for end in ends]
    except ValueError:
        minutes = []
    if len(minutes) != 2 or minutes[0] == minutes[1] or minutes[0] == 1440:
        raise ValueError('hours such as "12:00-14:00"')
    return tuple(minutes)


def _list(value: object) -> object:
    values = value if isinstance(value, (list, tuple)) else [value]
    if not all(isinstance(wanted, (str, bool)) for wanted in values):
        raise ValueError('a text in quotes, true or false, or a list of these, such as ["Berlin", "Bonn"]')
    return values


Zone = Annotated[str, BeforeValidator(_zone)]
FixedZone = Annotated[str, BeforeValidator(_fixed_zone)]
Minutes = Annotated[int, BeforeValidator(_minutes)]
Hours = Annotated[tuple[int, int], BeforeValidator(_hours)]
Wanted = Annotated[tuple[str | bool, ...], BeforeValidator(_list), Field(min_length=1, max_length=MAX_LIST)]
Words = Annotated[tuple[str, ...], Field(max_length=MAX_LIST)]


class WindowPolicy(Part):
    """When releases are allowed: on weekdays, from-to, on the clock of `zone` (default: the policy's).

    at, lasts : a wave in place of from-to: open once on each local day, from that time of day, for this long (1h).
        One batch goes in each. A time that the clock skips comes later by what is skipped, one that it shows twice
        the first time only.
    """

    days: Annotated[tuple[int, ...], BeforeValidator(_days)] = (0, 1, 2, 3, 4, 5, 6)
    from_: Minutes = Field(default=0, alias="from", lt=1440)
    to: Minutes = 1440
    at: Annotated[int, BeforeValidator(_minutes), Field(lt=1440)] | None = None
    lasts: Annotated[PositiveSeconds, Field(le=DAY_S // 2)] | None = None
    zone: Zone | None = None

    @model_validator(mode="after")
    def _one_form(self) -> WindowPolicy:
        if self.at is not None and {"from_", "to"} & self.model_fields_set:
            raise ValueError("either 'at' (a wave) or 'from' and 'to'")
        if self.lasts is not None and self.at is None:
            raise ValueError("'lasts' with 'at' only")
        return self

    def window(self, zone: str) -> Window:
        """Return the window as a value; "00:00" to "00:00" is the whole day."""
        if self.at is not None:
            return Window(self.days, self.at, self.at, self.zone or zone, self.lasts or HOUR_S)
        return Window(self.days, self.from_, self.to % 1440, self.zone or zone)


class FreezePolicy(Part):
    """Days on which nothing is released: `on` dates, `from`-`to`, or by an `rrule` that starts at `from`.

    hours : freezes only these hours of each of the days.
    """

    on: Annotated[
        tuple[Day, ...],
        BeforeValidator(lambda value: [value] if isinstance(value, dt.date) else value),
        Field(max_length=MAX_LIST),
    ] = ()
    from_: Day | None = Field(default=None, alias="from")
    to: Day | None = None
    rrule: str = ""
    days: int = Field(default=1, ge=1, le=366)
    hours: Hours | None = None
    zone: Zone | None = None
    reason: str = ""

    @model_validator(mode="after")
    def _one_kind(self) -> FreezePolicy:
        if sum((bool(self.on), bool(self.to), bool(self.rrule))) != 1 or (self.to and not self.from_):
            raise ValueError("one of 'on' (dates), 'from' and 'to' (dates), or 'rrule'")
        if self.from_ and self.on:
            raise ValueError("'from' with 'to' or 'rrule' only")
        if "days" in self.model_fields_set and not self.rrule:
            raise ValueError("'days' with 'rrule' only")
        if self.to and self.from_ and self.to < self.from_:
            raise ValueError("'to' not before 'from'")
        if self.rrule:
            self._check_rule()
        return self

    def _check_rule(self) -> None:
        parts = parse_rule(self.rrule)
        if not self.from_ and needs_first(parts):
            raise ValueError(
                "'from' (a date), since INTERVAL, COUNT and a rule without days count from its first day"
            )
        if not ever_occurs(parts, self.from_ or EARLIEST):
            raise ValueError("a rule that occurs at least once (there is no such day in any year)")
        if (
            self.from_
            and "UNTIL" in parts
            and last_day(parts["UNTIL"], "UTC") < self.from_ - dt.timedelta(days=1)
        ):
            raise ValueError("UNTIL in the rule not before 'from'")

    def freezes(self, zone: str) -> tuple[Freeze, ...]:
        """Return the freezes as values; `zone` is the default."""
        zone = self.zone or zone
        if self.rrule:
            first = self.from_ or EARLIEST
            rule = self.rrule.strip().upper().removeprefix("RRULE:")
            return (Freeze(first, first, zone, self.reason, rule, self.days, *self._minutes()),)
        spans = [(day, day) for day in self.on] if self.on else [(self.from_, self.to)]
        return tuple(
            Freeze(first, last, zone, self.reason, from_min=self._minutes()[0], to_min=self._minutes()[1])
            for first, last in spans
            if first and last
        )

    def _minutes(self) -> tuple[int, int]:
        return self.hours or (0, 1440)


class BudgetsPolicy(Part):
    """The most devices in flight, in all and per level of a column, and the most per step; 0 = no limit."""

    in_flight: Count = 0
    per_step: Count = 0
    column: str = ""
    per_level: Count = 0

    @model_validator(mode="after")
    def _both(self) -> BudgetsPolicy:
        if bool(self.column) != bool(self.per_level):
            raise ValueError("'column' and 'per_level' together")
        return self


def keys_of(rules: Iterable[GateRule]) -> Any:
    """Return a model with the keys of several gate rules."""
    return create_model("RuleKeys", __base__=tuple(dict.fromkeys(rule.keys for rule in rules)))


class GateRules(keys_of(RULES)):  # type: ignore[misc]  # its fields are the rules' own
    """The keys of all gate rules; `evidence = false` leaves only the thresholds. See `rollout.values.GatePolicy`.

    ignore_failures : no number of failures stops the phase: a gate without any rule on failures must be named so.
    """

    dry_run: bool = False
    resume: Literal["auto", "person"] = "auto"
    ignore_failures: bool = False

    @model_validator(mode="after")
    def _one_meaning(self) -> GateRules:
        rules = [name for name in ("evidence", "thresholds", "success") if self._is_written(name)]
        if self.ignore_failures and rules:
            raise ValueError(f"'ignore_failures = true' without {', '.join(map(repr, rules))}")
        return self

    def _is_written(self, rule: str) -> bool:
        """Return whether a rule on failures was written, other than to switch it off."""
        return rule in self.model_fields_set and bool(getattr(self, rule))

    def gate(self) -> GatePolicy:
        """Return the gate as a value."""
        values = self.model_dump(exclude={"evidence", "thresholds", "no_progress"})
        known = {field.name for field in dataclasses.fields(GatePolicy)}
        defaults = {name: field.default for name, field in type(self).model_fields.items()}
        # As float, whatever the key's type: it is read back as one, and the digest must be the same then.
        figures = {
            name: float(value)
            for name, value in values.items()
            if name not in known and value != defaults[name]
        }
        evidence = None if self.ignore_failures else self.evidence
        return GatePolicy(
            evidence=EvidenceGate(**evidence.model_dump()) if evidence else None,
            thresholds=tuple(ThresholdGate(**rule.model_dump()) for rule in self.thresholds),
            no_progress_s=self.no_progress,
            figures=tuple(sorted(figures.items())),
            **{name: value for name, value in values.items() if name in known},
        )


class PhasePolicy(Part):
    """One phase: the devices `where`, at most `devices` or `percent` of them, how fast, and how it ends.

    percent_of : whether `percent` is a share of all devices of the plan that match `where` ("plan"), or of those
        that no earlier phase has taken ("remaining").
    """

    name: str = Field(min_length=1)
    source: str = ""
    where: Mapping[str, Wanted] = Field(default_factory=dict)
    devices: Count | None = None
    percent: Percent | None = None
    percent_of: Literal["plan", "remaining"] = "plan"
    pacing: Pacing = Auto()
    step: PositiveSeconds | None = None
    soak: Seconds = DAY_S
    gate: GateRules | None = None
    end: Literal["gate", "never"] = "gate"

    @model_validator(mode="after")
    def _share_of_what(self) -> PhasePolicy:
        if self.percent is None and "percent_of" in self.model_fields_set:
            raise ValueError("'percent' together with 'percent_of'")
        return self

    @property
    def ends(self) -> PhaseEnd:
        """Return `end` as a value."""
        return PhaseEnd(self.end)


class StrataEarlyPolicy(Part):
    """Small strata in the first phases, so that a bad model of 1 % is met by tens of devices and not by chance.

    columns : the columns whose values are strata, the most important first; by default `stratum`, then `strata`.
    pilot, ring : devices of each in the first phase that takes only some of its devices, and in the second one; 0 =
        no such minimum. At most half of a phase is chosen so.
    """

    columns: Annotated[tuple[str, ...], Field(max_length=7)] | None = None
    pilot: Count = 3
    ring: Count = 30


def _selection(where: Mapping[str, tuple[str | bool, ...]]) -> frozenset[tuple[str, frozenset[str | bool]]]:
    """Return what a `where` selects by, regardless of order and case."""
    return frozenset(
        (column, frozenset(value.casefold() if isinstance(value, str) else value for value in wanted))
        for column, wanted in where.items()
    )


def _check_shares(phases: Sequence[PhasePolicy]) -> None:
    """Refuse phases that ask for more than 100 % of the same devices."""
    asked: dict[frozenset[tuple[str, frozenset[str | bool]]], int] = {}
    for phase in phases:
        if phase.percent is not None and phase.percent_of == "plan":
            same = _selection(phase.where)
            asked[same] = asked.get(same, 0) + parts_of_percent(phase.percent)
    most = max(asked.values(), default=0)
    if most > WHOLE:
        raise ValueError(f"phases whose 'percent' add up to at most 100 (these are {most * 100 / WHOLE:g})")


class Policy(CoManagement):
    """The [rollout] section: the action, its devices, pace, windows and gates."""

    name: str = Field(min_length=1)
    action: Literal["enroll", "workload"] = "enroll"
    workload: str = ""
    collection: str = ""
    salt: str = ""
    zone: FixedZone = "UTC"
    start: Moment | None = None
    windows: Annotated[tuple[WindowPolicy, ...], Field(max_length=100)] = ()
    freezes: Annotated[tuple[FreezePolicy, ...], Field(max_length=200)] = ()
    step: PositiveSeconds = 3600
    look_every: PositiveSeconds = 300
    chunk: Annotated[int, Strict(), Field(ge=1, le=100_000)] = 200
    mature_after: PositiveSeconds | None = None
    straggler_after: PositiveSeconds = 7 * DAY_S
    strata: tuple[str, ...] = Field(default=("site", "model"), max_length=7)
    stratum: str = "model"
    strata_early: StrataEarlyPolicy = StrataEarlyPolicy()
    budgets: BudgetsPolicy = BudgetsPolicy()
    gate: GateRules = GateRules()
    phases: Annotated[tuple[PhasePolicy, ...], Field(max_length=200)] = ()
    service_per_hour: PerHour | None = None
    exclude: Words = ()

    @field_validator("start")
    @classmethod
    def _aware(cls, start: dt.datetime | None, info: Any) -> dt.datetime | None:
        """Read a start without offset on the policy's clock."""
        if start is None or start.tzinfo is not None or "zone" not in info.data:
            return start
        return start.replace(tzinfo=ZoneInfo(info.data["zone"]))

    @model_validator(mode="after")
    def _whole(self) -> Policy:
        if (self.action == "workload") != bool(self.workload):
            raise ValueError("action = \"workload\" and 'workload' (its name) together")
        if self.workload and self.workload not in WORKLOADS:
            raise ValueError(f"'workload' one of {', '.join(WORKLOADS)}")
        if self.action == "workload" and not self.collection:
            raise ValueError("'collection' (the staging collection) for a workload")
        if self.counterparts and self.action != "workload":
            raise ValueError("'counterparts' with action = \"workload\" only")
        waves = [(window.lasts or HOUR_S) for window in self.windows if window.at is not None]
        if waves and (len(waves) < len(self.windows) or len(set(waves)) > 1):
            raise ValueError("windows that all have 'at' (waves) and the same 'lasts', or none with 'at'")
        names = [phase.name for phase in self.phases]
        if len(set(names)) < len(names):
            raise ValueError("phases of different names")
        if "tail" in names[:-1]:
            raise ValueError("the phase 'tail' to be the last")
        _check_shares(self.phases)
        return self

    @property
    def target(self) -> str:
        """The collection that grows."""
        return self.collection or self.auto_enrollment


def load_policy(document: dict[str, Any], source: str) -> Policy:
    """Check the [rollout] section of a scenario.

    document : the section as `tomllib` gives it. source : the file's name, for messages.
    Raise a `UsageError` of one line that names file, key, what was expected and found.
    """
    try:
        return Policy.model_validate(document)
    except ValidationError as error:
        raise usage_error(error, Policy, source) from error
