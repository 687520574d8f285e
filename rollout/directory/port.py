"""The port of a real directory: all that `run`, `doctor` and `withdraw` ask of one, and what it is opened with.

The loop itself asks only for `rollout.loop.ports.Directory`. tests/contract runs the same suite over every
implementation; README.md says how to add one.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar

from rollout.errors import RolloutError
from rollout.loop.ports import Directory
from rollout.values import Fleet, IntArray, Plan

Section = TypeVar("Section")


class Check(NamedTuple):
    """One finding of `rollout doctor`."""

    name: str
    ok: bool
    sentence: str

    @classmethod
    def ask(cls, name: str, question: Callable[[], str]) -> Check:
        """Return the check that passes with the answer to `question`, and fails with the error that it raises."""
        try:
            return cls(name, True, question())
        except RolloutError as error:
            return cls(name, False, f"{error.message}. {error.hint}".rstrip(". "))


class Request(Protocol):
    """A change that would be sent, as `run --dry-run` shows it; its text is for people."""

    def document(self) -> dict[str, object]:
        """Return the request as data that `json` can write."""
        ...


class RealDirectory(Directory, Protocol):
    """A directory outside this process: a site, a tenant, or whatever else holds memberships and outcomes."""

    @property
    def notes(self) -> Sequence[str]:
        """Sentences for people about what `prepare` found and accepted."""
        ...

    def identity(self) -> str:
        """Return what distinguishes this directory from others, such as a site code; recorded at the first contact.

        A later session opens with it (`Opening.identity`), and `prepare` must refuse any other.
        """
        ...

    def checks(self) -> list[Check]:
        """Check reachability, the target collection, rights and clocks. Reads only; never raises `RolloutError`."""
        ...

    def plan_requests(self, rows: IntArray) -> Sequence[Request]:
        """Return the changes that `apply` (`withdraw` for an undo) would send for `rows` now.

        Reads only; needs `prepare` before.
        """
        ...

    def sending_s(self, devices: int) -> float:
        """Estimate how many seconds it takes to send this many devices."""
        ...

    def server_now(self) -> float | None:
        """Return the time by the directory's own clock, Unix seconds; None if it is unknown."""
        ...

    def set_read_only(self) -> None:
        """Refuse everything that changes anything from now on."""
        ...

    def close(self) -> None:
        """Release connections and files."""
        ...


class Time(Protocol):
    """The clocks of a directory that waits; replaced in tests."""

    def monotonic(self) -> float:
        """Return seconds that never run back."""
        ...

    def wall(self) -> float:
        """Return Unix seconds."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...

    def held_s(self) -> float:
        """Return the seconds for which nobody else may send: the rest of the lease, infinite without one."""
        ...

    def barred(self, later_by: float = 0.0) -> str:
        """Explain why nothing may be sent at this moment (a closed window, a pause); "" if sending is allowed.

        later_by : seconds by which it may be later than we believe.
        """
        ...


class SystemTime:
    """The machine's own clocks (`Time`), without a lease or a change window."""

    def monotonic(self) -> float:
        """Return seconds that never run back."""
        return time.monotonic()

    def wall(self) -> float:
        """Return Unix seconds."""
        return time.time()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)

    def held_s(self) -> float:
        """Return infinity: there is no lease."""
        return math.inf

    def barred(self, later_by: float = 0.0) -> str:
        """Return "": sending is always allowed."""
        del later_by
        return ""


@dataclass(frozen=True, slots=True)
class Opening:
    """What a real directory is opened with.

    fleet : the plan's inventory, row by row. settings : section by name, as the backend's model.
    identity : recorded at the first contact, "" before it. cloud : of the policy, "" accepts any.
    workload_bit : of the workload that the plan moves, 0 while enrolling. superset : id or name of the
    auto-enrollment collection in which a workload's devices must be, "" = none.
    environ : the environment, from which secrets are read.
    """

    plan: Plan
    fleet: Fleet
    settings: Mapping[str, object]
    identity: str = ""
    cloud: str = ""
    workload_bit: int = 0
    superset: str = ""
    clock: Time = field(default_factory=SystemTime)
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def find(self, model: type[Section]) -> Section | None:
        """Return the settings of another directory by their model, None if the settings file has no such section."""
        return next((section for section in self.settings.values() if isinstance(section, model)), None)
