"""What goes wrong when: nothing, one kill or two at named places, or faults drawn from a seed."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

from rollout.values import DAY_S, HOUR_S

STATUSES = (429, 500, 502, 503, 504, 401, 403, 404)
SENDING = ("after check", "before apply", "before write")
"""Between these nobody is stopped for longer than a lease: no lock can call bytes back that are on their way."""


@dataclass(frozen=True)
class Fault:
    """What happens to one call. seconds : how long it takes first. share : of the rows that are added all the same."""

    kind: str
    status: int = 503
    seconds: int = 0
    share: float = 0.0


class Chances:
    """Nothing ever goes wrong."""

    def __init__(self) -> None:
        self.seen: Counter[str] = Counter()
        self.calm = False

    def fault(self, call: str) -> Fault | None:
        """What happens to a call of the directory: "prepare", "members", "apply" or "observe"."""
        return None

    def at(self, point: str) -> str:
        """What happens at a checkpoint: "", "kill" or "stall"."""
        return ""

    def database(self, write: str) -> str:
        """What happens to a write: "", "locked", "full", or "lost" (done, but its answer is lost)."""
        return ""

    def downtime(self) -> int:
        """Seconds until a dead executor is started again."""
        return 0


class Kills(Chances):
    """Killed at the given places, counted over all checkpoints since the kill before."""

    def __init__(self, *places: int) -> None:
        super().__init__()
        self._left = list(places)
        self._passed = 0
        self.points: list[str] = []
        self.killed_at: list[str] = []

    def at(self, point: str) -> str:
        self.points.append(point)
        if not self._left or self._passed != self._left[0]:
            self._passed += 1
            return ""
        self._left.pop(0)
        self._passed = 0
        self.killed_at.append(point)
        return "kill"


@dataclass
class Rates:
    """How often what goes wrong, drawn once a seed: some runs are calm, some are hell."""

    call: dict[str, float] = field(default_factory=dict)
    kill: float = 0.0
    stall: float = 0.0
    database: float = 0.0


class Drawn(Chances):
    """Faults drawn from a seed; after `most` of them the weather clears, so that every run can end."""

    def __init__(self, seed: int, most: int = 60) -> None:
        super().__init__()
        self._draw = random.Random(f"faults {seed}")
        self._left = most
        draw = self._draw
        worst = draw.choice((0.02, 0.1, 0.3, 0.6))
        self.rates = Rates(
            call={name: draw.uniform(0, worst) for name in ("prepare", "members", "apply", "observe")},
            kill=draw.choice((0, 0.002, 0.01, 0.03)),
            stall=draw.choice((0, 0, 0.002, 0.01)),
            database=draw.choice((0, 0, 0.003, 0.02)),
        )

    def _happens(self, chance: float) -> bool:
        if self.calm or self._left <= 0 or self._draw.random() >= chance:
            return False
        self._left -= 1
        return True

    def fault(self, call: str) -> Fault | None:
        if not self._happens(self.rates.call[call]):
            return None
        draw = self._draw
        kinds = ("refused", "lost", "partial", "drip") if call == "apply" else ("refused", "drip")
        kind = draw.choice(kinds)
        slow = kind == "drip" or draw.random() < 0.2
        seconds = draw.choice((3, 30, 200, HOUR_S)) if slow else 0
        status = draw.choice(STATUSES)
        self.seen[f"{call} {kind}"] += 1
        self.seen[f"status {status}"] += kind == "refused"
        return Fault(kind, status, seconds, draw.random())

    def at(self, point: str) -> str:
        if point not in SENDING and self._happens(self.rates.stall):
            self.seen["stall"] += 1
            return "stall"
        if self._happens(self.rates.kill):
            self.seen[f"kill {point}"] += 1
            return "kill"
        return ""

    def database(self, write: str) -> str:
        if not self._happens(self.rates.database):
            return ""
        kind = self._draw.choice(("locked", "full", "lost"))
        self.seen[f"database {kind}"] += 1
        return kind

    def downtime(self) -> int:
        return self._draw.choice((0, 1, 5, 60, 600, HOUR_S, DAY_S))
