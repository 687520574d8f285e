"""Capacity: Microsoft's arithmetic in simple cases, and the effect of queueing in the others."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rollout.cli import main
from rollout.values import DAY_S
from sim.capacity import Case, Question, RateResult, need_of, rounded_up, rows_of, sweep
from sim.model import ClientModel, Model
from sim.workers import workers_of

START = 1_799_650_800
MODEL = Model(clients=ClientModel(window=DAY_S))


def test_the_arithmetic_is_that_of_the_domain() -> None:
    """100,000: 4 points, 5 or 3 instances at 30 % internet; 250,000: 10 points in two primaries."""
    small = need_of(100_000, DAY_S, 336.0, 0.3)
    assert (small.points, small.primaries) == (4, 1)
    assert small.instances == {"A2_v2": 5, "A4_v2": 3}
    assert small.connections == {"A2_v2": 2, "A4_v2": 2}
    assert small.window_rate == pytest.approx(4166.7, abs=0.1)
    assert small.deadline_rate == pytest.approx(297.6, abs=0.1)
    assert need_of(100_000, 3 * DAY_S, 336.0, 0.3).window_rate == pytest.approx(1388.9, abs=0.1)
    assert need_of(100_000, 5 * DAY_S, 336.0, 0.3).window_rate == pytest.approx(833.3, abs=0.1)
    large = need_of(250_000, DAY_S, 336.0, 0.3)
    assert (large.points, large.primaries) == (10, 2)
    assert large.instances == {"A2_v2": 13, "A4_v2": 8}


def test_one_gateway_ends_at_sixteen_instances() -> None:
    """All 100,000 over the internet: 17 A2_v2 are two gateways, 10 A4_v2 are one; 16 need four connections."""
    need = need_of(100_000, DAY_S, 336.0, 1.0)
    assert need.instances == {"A2_v2": 17, "A4_v2": 10}
    assert need.gateways == {"A2_v2": 2, "A4_v2": 1}
    assert need_of(96_000, DAY_S, 336.0, 1.0).connections["A2_v2"] == 4
    assert need_of(100_000, DAY_S, 336.0, 0.0).connections == {"A2_v2": 0, "A4_v2": 0}


@settings(derandomize=True, max_examples=200, deadline=None)
@given(st.integers(1, 2_000_000), st.floats(0, 1))
def test_no_part_is_asked_to_bear_more_than_its_limit(devices: int, share: float) -> None:
    """For any fleet, clients per point, primary site and instance stay within the documented limits."""
    need = need_of(devices, 0, 24.0, share)
    assert devices <= 25_000 * need.points < devices + 25_000
    assert need.points <= 15 * need.primaries
    assert devices <= 150_000 * need.primaries
    assert need.internet <= 6_000 * need.instances["A2_v2"]
    assert math.isinf(need.window_rate)
    with pytest.raises(ValueError, match="above 0"):
        need_of(devices, 0, 0.0, share)


def test_gateways_and_their_connection_points_are_named() -> None:
    """A gateway has at most 16 instances; a connection point serves four of them; there are at least two."""
    need = need_of(250_000, DAY_S, 336.0, 1.0)
    assert need.gateway_words() == (
        "42 × A2_v2 in 3 gateways with 11 connection points or 25 × A4_v2 in 2 gateways with 7 connection points"
    )
    few = need_of(5_000, DAY_S, 336.0, 1.0)
    assert few.gateway_words().startswith("1 × A2_v2 in 1 gateway with 2 connection points")


def test_queueing_asks_for_more_than_arithmetic() -> None:
    """Devices come in the same hours: the arithmetic rate misses a deadline that a higher rate keeps."""
    case = sweep(MODEL, [Question(20_000, DAY_S, 8 * 24.0, START, 1)])[0]
    assert not case.played[0].kept
    assert next(result for result in case.played if result.ratio >= 1.0).kept is False
    assert case.needed is not None
    assert case.needed.ratio > 1.0
    assert "queueing makes it" in case.sentence()
    hours = [result.hours for result in case.played]
    assert all(later <= sooner * 1.05 for sooner, later in pairwise(hours))
    assert case.played[0].throttled > case.played[-1].throttled
    assert case.offered > case.need.deadline_rate
    assert 7 <= case.peak_at <= 19


def test_a_deadline_that_no_service_keeps_is_reported() -> None:
    """A window of five days cannot be over in large."""
    case = sweep(MODEL, [Question(5_000, 5 * DAY_S, 48.0, START, 1)])[0]
    assert case.needed is None
    assert "no service rate keeps the deadline" in case.sentence()


def test_devices_that_never_enroll_are_reported() -> None:
    """If a third of the devices is blocked permanently, 90 % never enroll, and no line says "inf days"."""
    model = Model(clients=ClientModel(window=DAY_S, blocked_share=0.33, never_heals=1.0))
    case = sweep(model, [Question(1_000, DAY_S, 240.0, START, 1)])[0]
    assert "does not enroll 90 % within 45 days of the deadline" in case.sentence()
    assert "inf" not in case.sentence().split()


def test_a_sweep_is_the_same_with_one_worker_and_with_two() -> None:
    """The same seed gives the same cases, wherever they are simulated."""
    questions = [Question(3_000, window, 240.0, START, 3) for window in (0, DAY_S)]
    with workers_of(2) as two:
        assert sweep(MODEL, questions, two) == sweep(MODEL, questions)


def test_one_command_sizes_the_infrastructure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`capacity --devices --within` writes a document, a table with the rows of the sweep, and a picture."""
    monkeypatch.chdir(tmp_path)
    arguments = ["capacity", "--devices", "250000", "--within", "14d", "--workers", "1", "--json"]
    assert main(arguments) == 0
    document = json.loads(capsys.readouterr().out)
    case = document["cases"][0]
    assert case["need"]["points"] == 10
    assert case["needed_per_hour"] >= case["need"]["deadline_rate"]
    assert case["says"].startswith("250,000 devices in 14 days: 10 management points (2 primary sites)")
    with Path(document["files"]["table"]).open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(case["played"])
    assert sum(row["recommended"] == "True" for row in rows) == 1
    assert Path(document["files"]["picture"]).stat().st_size > 5_000
    assert main(["capacity", "--devices", "many"]) == 2
    assert main(["capacity", "--within", "soon"]) == 2


def test_the_table_says_which_rate_is_recommended() -> None:
    """At most one row per case is marked."""
    cases = sweep(MODEL, [Question(3_000, DAY_S, 240.0, START, 1)])
    rows = rows_of(cases)
    assert sum(row["recommended"] for row in rows) == 1
    assert len({row["per_hour"] for row in rows}) == len(rows)


Answer = Callable[..., tuple[dict[str, Any], list[dict[str, str]]]]


@pytest.fixture
def answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Answer:
    """Return a function that runs the command and returns the case of its document and the rows of its table."""
    monkeypatch.chdir(tmp_path)

    def ask(*arguments: str) -> tuple[dict[str, Any], list[dict[str, str]]]:
        assert main(["capacity", "--workers", "1", "--json", *arguments]) == 0
        document = json.loads(capsys.readouterr().out)
        with Path(document["files"]["table"]).open(encoding="utf-8") as file:
            return document["cases"][0], list(csv.DictReader(file))

    return ask


def test_the_recommended_rate_turns_away_at_most_one_percent(answer: Answer) -> None:
    """372 per hour keep the deadline of 100,000 devices but turn away 95 %: that is not recommended."""
    case, rows = answer("--devices", "100000")
    chosen = next(row for row in rows if row["recommended"] == "True")
    assert case["turned_away"] == 0.01
    assert case["needed_per_hour"] == float(chosen["per_hour"]) > 3_000
    assert float(chosen["throttled"]) <= 0.01
    assert chosen["kept"] == "True"
    below = [row for row in rows if float(row["per_hour"]) < float(chosen["per_hour"])]
    assert all(float(row["throttled"]) > 0.01 for row in below if row["kept"] == "True")
    least = next(row for row in rows if row["kept"] == "True")
    assert float(least["per_hour"]) == pytest.approx(372, abs=1)
    assert float(least["throttled"]) > 0.9
    assert f"{float(least['per_hour']):,.0f} per hour would also keep the deadline" in case["says"]
    keys = {"per_hour", "throttled", "hours", "kept"}
    assert [{key: str(result[key]) for key in keys} for result in case["played"]] == [
        {key: row[key].replace("inf", "None") for key in keys} for row in rows
    ]


def test_the_share_that_may_be_turned_away_is_chosen(answer: Answer) -> None:
    """If more attempts may be turned away, a smaller service is enough; the share is used exactly as written."""
    strict, _ = answer("--devices", "20000", "--turned-away", "0.7")
    assert strict["turned_away"] == 0.007
    loose, rows = answer("--devices", "20000", "--turned-away", "30")
    assert loose["needed_per_hour"] < strict["needed_per_hour"]
    assert float(next(row["throttled"] for row in rows if row["recommended"] == "True")) <= 0.3
    fine, _ = answer("--devices", "1000", "--turned-away", "0.123456789", "--internet", "33.123456789")
    assert fine["turned_away"] == 0.00123456789
    assert fine["need"]["internet"] == 332


def test_the_trade_off_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is a line per rate, with the attempts that it turns away and when 90 % are enrolled."""
    monkeypatch.chdir(tmp_path)
    assert main(["capacity", "--devices", "100000", "--workers", "1"]) == 0
    out = capsys.readouterr().out
    assert all(head in out for head in ("service, per hour", "turned away", "90 % enrolled after"))
    (least,) = (line for line in out.splitlines() if line.split()[:1] == ["372"])
    assert "95.2 %" in least
    (chosen,) = (line for line in out.splitlines() if line.rstrip().endswith("recommended"))
    assert chosen.split()[0] == "3,571"


def result_of(per_hour: float, throttled: float) -> RateResult:
    return RateResult(per_hour / 10, per_hour, 100.0, True, 50.0, 9, throttled, 90.0)


def test_a_few_that_are_turned_away_are_not_none() -> None:
    """1 attempt in 100,000 is not 0 %; a share just above the limit stays above it."""
    assert rounded_up(1, 100_000) == 0.0001
    assert rounded_up(0, 100_000) == 0.0
    assert rounded_up(10_049, 1_000_000) == 0.0101
    assert rounded_up(7, 1_000) == 0.007
    assert rounded_up(0, 0) == 0.0
    rates = (result_of(10.0, rounded_up(10_001, 1_000_000)), result_of(20.0, rounded_up(1, 100_000)))
    case = Case(1_000, DAY_S, 240.0, need_of(1_000, DAY_S, 240.0, 0.3), rates, 40.0, 9)
    assert case.needed is rates[1]
    assert "turns away less than 0.1 % of the attempts" in case.sentence()
    assert "no attempt is turned away" not in case.sentence()


@pytest.mark.parametrize("devices", ["0", "10000001", "99999999999999999999999", "1.5"])
def test_a_fleet_that_cannot_be_is_refused(devices: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["capacity", "--devices", devices]) == 2
    (line, *_) = capsys.readouterr().err.splitlines()
    assert (
        line
        == f"rollout: --devices: expected numbers from 1 to 10,000,000 such as 100000,250000, found '{devices}'"
    )


def test_one_device_is_one_device(answer: Answer) -> None:
    case, _ = answer("--devices", "1", "--within", "36h")
    assert case["says"].startswith(
        "1 device in 36 h: 1 management point (1 primary site); for 1 internet client "
    )
