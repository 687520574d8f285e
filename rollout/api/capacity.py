"""Capacity: the infrastructure that a fleet and a deadline need."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from rollout.arguments import require_share, require_time
from rollout.documents import sizing as documents
from rollout.errors import UsageError, shown
from rollout.files import csv_text, make_folder, write_file
from rollout.report.pictures.style import png_of
from rollout.text import span
from rollout.values import HOUR_S
from sim.capacity import TURNED_AWAY, Case, Question, plot, rows_of, sweep
from sim.fleet import MADE_UP_AT
from sim.model import Model
from sim.workers import workers_of

MAX_CASES = 100
START = MADE_UP_AT + 7 * HOUR_S
"""Unix seconds of the first release: Monday, 07:00."""


@dataclass(frozen=True, slots=True)
class CapacityResult:
    """The cases, one per fleet size and random window, and the files that were written."""

    cases: tuple[Case, ...]
    files: documents.CapacityFiles

    @property
    def document(self) -> documents.Capacity:
        """What `rollout capacity --json` prints; what is infinite is null."""
        return documents.Capacity(cases=tuple(_case(case) for case in self.cases), files=self.files)


def size_capacity(
    model: Model,
    *,
    out: Path,
    devices: Sequence[int],
    deadline_h: float,
    windows_s: Sequence[int] = (),
    turned_away: float = TURNED_AWAY,
    internet_share: float | None = None,
    seed: int = 1,
    workers: int = 1,
    cluster: str = "",
) -> CapacityResult:
    """Size management points, gateway instances and the service rate, by arithmetic and by simulation.

    Writes capacity.csv and capacity.png into the folder `out`. devices : fleet sizes. deadline_h : hours within which
    90 % of the devices are to be enrolled. windows_s : random windows in seconds, the model's by default.
    turned_away : share of the attempts that the service may turn away. internet_share : share of the clients that
    come through the gateway, the model's by default. Raise `UsageError` for more than 100 cases and for
    values that are out of range.
    """
    require_time("deadline_h", deadline_h)
    require_share("turned_away", turned_away)
    require_share("internet_share", internet_share or 0.0)
    if not devices or min(devices) < 1:
        raise UsageError(f"devices: expected fleet sizes of at least 1, found {shown(list(devices))}")
    if internet_share is not None:
        service = model.service.model_copy(update={"internet_share": internet_share})
        model = model.model_copy(update={"service": service})
    pairs = list(product(devices, windows_s or [model.clients.window]))
    if len(pairs) > MAX_CASES:
        raise UsageError(f"expected at most {MAX_CASES} pairs of --devices and --windows, found {len(pairs)}")
    questions = [Question(count, window_s, deadline_h, START, seed, turned_away) for count, window_s in pairs]
    with workers_of(workers, cluster) as pool:
        cases = tuple(sweep(model, questions, pool))
    return CapacityResult(cases, _write(cases, out))


def _case(case: Case) -> documents.Case:
    return documents.Case.build(
        case,
        window_hours=case.window_s / HOUR_S,
        deadline_hours=case.deadline_h,
        need=documents.Need(**_finite(asdict(case.need))),
        played=tuple(documents.Played(**_finite(asdict(tried))) for tried in case.played),
        needed_per_hour=case.needed.per_hour if case.needed else None,
        says=case.sentence(),
    )


def _finite(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: None if isinstance(value, float) and math.isinf(value) else value
        for key, value in values.items()
    }


def _write(cases: Sequence[Case], out: Path) -> documents.CapacityFiles:
    make_folder(out)
    rows = rows_of(cases)
    write_file(out / "capacity.csv", csv_text(list(rows[0]), (list(row.values()) for row in rows)))
    write_file(out / "capacity.png", png_of(partial(plot, cases, span), (9, 5)))
    return documents.CapacityFiles(table=str(out / "capacity.csv"), picture=str(out / "capacity.png"))
