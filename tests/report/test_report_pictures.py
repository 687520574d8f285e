"""The pictures: what is drawn, not how it looks to the pixel."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from report_facts import (
    ALL,
    START,
    N,
    make_bands,
    make_facts,
    make_forecast,
    make_load,
    make_plan,
    make_simulation,
    make_tuning,
)

from rollout.report import Bands, FailureRow, GateTrack, ReportFacts
from rollout.report.pictures import style
from rollout.report.pictures.displays import KINDS, Display, draw, pictures_of
from rollout.report.pictures.failures import MOST as MOST_CODES
from rollout.report.pictures.failures import FailureCodes
from rollout.report.pictures.forecast import ForecastFan
from rollout.report.pictures.funnel import FunnelBars
from rollout.report.pictures.gates import GateTimeline
from rollout.report.pictures.load import LoadCurve
from rollout.report.pictures.phases import MOST as MOST_LINES
from rollout.report.pictures.phases import PhaseProgress, _steepest
from rollout.report.pictures.style import DARK, LIGHT, ROLES, Theme
from rollout.report.pictures.tuning import TuningFront
from rollout.report.pictures.versus import Versus
from rollout.values import HOUR_S, FailureClass, ProgressPoint


def words(ax: Axes) -> str:
    """All text of the axes in one string."""
    return "\n".join([ax.get_title(loc="left"), ax.get_ylabel(), *(t.get_text() for t in ax.texts)])


@pytest.fixture(name="facts", scope="module")
def _facts() -> ReportFacts:
    return make_facts(tuning=make_tuning())


@pytest.fixture(name="pictures", scope="module")
def _pictures(facts: ReportFacts) -> dict[str, Display]:
    return pictures_of(facts)


def test_every_kind_is_there_for_a_full_report(pictures: dict[str, Display]) -> None:
    """A rollout with everything known has all eight pictures."""
    assert list(pictures) == list(KINDS)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_displays_obey_one_contract(pictures: dict[str, Display], name: str, theme: Theme) -> None:
    """Each is a frozen dataclass whose plot gives axes with title, digest and its own colours."""
    display = pictures[name]
    assert is_dataclass(display)
    with pytest.raises(AttributeError):
        setattr(display, fields(display)[0].name, None)
    ax = display.plot(theme=theme)
    assert ax.get_title(loc="left")
    assert "digest 3fa29c1d77aa" in words(ax)
    assert display.sentence().endswith(".")
    figure: Any = ax.figure
    assert np.allclose(
        figure.get_facecolor()[:3], tuple(int(theme.paper[i : i + 2], 16) / 255 for i in (1, 3, 5))
    )


@pytest.mark.parametrize("name", KINDS)
def test_displays_draw_on_given_axes(pictures: dict[str, Display], name: str) -> None:
    """plot(ax) draws there and gives the same axes back."""
    from matplotlib.figure import Figure

    ax = Figure().subplots()
    assert pictures[name].plot(ax) is ax


@pytest.mark.parametrize("name", ["forecast", "phases", "load", "gates", "versus"])
def test_time_pictures_name_their_zone_and_unit(pictures: dict[str, Display], name: str) -> None:
    """Times carry their zone, the y axis its unit."""
    ax = pictures[name].plot()
    assert "times: Europe/Berlin" in words(ax)
    assert ax.get_ylabel()


def test_drawing_twice_gives_the_same_bytes(pictures: dict[str, Display]) -> None:
    """Neither a date nor a random id is in a file."""
    for name, kind in (("funnel", "png"), ("load", "svg")):
        assert draw(pictures[name], kind) == draw(pictures[name], kind)


def test_fan_overlays_the_actual_line(facts: ReportFacts) -> None:
    """The thick line ends at the devices enrolled by the last look."""
    fan = ForecastFan.of(facts)
    assert fan is not None
    ax = fan.plot()
    thick = max(
        ax.lines, key=lambda line: line.get_linewidth() if len(np.atleast_1d(line.get_xdata())) > 5 else 0
    )
    assert np.asarray(thick.get_ydata())[-1] == facts.final["enrolled"]
    assert "actual" in words(ax)


def test_fan_of_a_plan_has_no_actual_line() -> None:
    """Before the start there is nothing to label as actual."""
    fan = ForecastFan.of(make_facts("planned"))
    assert fan is not None
    assert "actual" not in words(fan.plot())


def test_fan_marks_the_interval_of_the_end(facts: ReportFacts) -> None:
    """The bar on top runs from p10 to p90 and is named by its days."""
    fan = ForecastFan.of(facts)
    assert fan is not None
    ax = fan.plot()
    ends = [tuple(np.asarray(line.get_xdata())) for line in ax.lines]
    assert (START + 291 * HOUR_S, START + 318 * HOUR_S) in ends
    assert "done, 8 of 10 runs: Sat 14 Nov to Sun 15 Nov" in words(ax)


def test_what_is_released_by_plan_climbs_in_steps(facts: ReportFacts) -> None:
    """Between two batches nobody is released: no slope that nobody would see in the directory."""
    fan = ForecastFan.of(facts)
    assert fan is not None
    (dotted,) = [
        line for line in fan.plot().lines if line.get_linestyle() == ":" or line.get_drawstyle() != "default"
    ]
    assert dotted.get_drawstyle() == "steps-post"


def test_a_phase_is_named_where_its_line_climbs() -> None:
    """Not beside a plateau: there the name would lie on the line."""
    at = np.arange(100, dtype=np.int64)
    values = np.where(at < 40, 25.0, np.where(at < 50, 25.0 + 3.0 * (at - 40), 55.0))
    assert 40 <= _steepest(at, values, 30.0) < 50
    assert _steepest(at, np.zeros(100), 90.0) == 99
    assert 40 <= _steepest(np.repeat(at, 2)[:100], np.repeat(values, 2)[:100], 30.0) <= 99


def test_fan_marks_the_end_that_the_headline_names(facts: ReportFacts) -> None:
    """Where it was forecast anew the bar is that interval, not the one from before the start."""
    anew = replace(facts, forecast=make_forecast())
    fan = ForecastFan.of(anew)
    assert fan is not None
    assert fan.interval == make_forecast().enrolled_90
    assert fan.span_words() == "90 % enrolled, 8 of 10 runs: Tue 10 Nov to Wed 11 Nov"


def test_fan_marks_nine_of_ten_where_the_simulation_tells(facts: ReportFacts) -> None:
    """The very end says little: it is when the last silent device is given up."""
    assert facts.simulation is not None
    fan = ForecastFan.of(
        replace(facts, simulation=replace(facts.simulation, enrolled_90_hours=(190.0, 200.0, 225.0)))
    )
    assert fan is not None
    assert fan.span_words() == "90 % enrolled, 8 of 10 runs: Tue 10 Nov to Wed 11 Nov"
    assert "Forecast, 90 % enrolled: Tue 10 Nov 2026 17:00" in fan.sentence()


def test_fan_holds_the_released_number_to_the_end(facts: ReportFacts) -> None:
    """A plan that has released everybody early stays at that height."""
    short = replace(
        facts, planned=replace(facts.planned, at=facts.planned.at[:50], count=facts.planned.count[:50])
    )
    fan = ForecastFan.of(short)
    assert fan is not None
    assert (fan.planned.at[-1], fan.planned.count[-1]) == (fan.bands.at[-1], facts.planned.count[49])


def test_funnel_writes_counts_and_shares(facts: ReportFacts) -> None:
    """The numbers of the facts stand beside the bars."""
    text = words(FunnelBars.of(facts).plot())
    assert "96,800" in text
    assert f"{facts.funnel.enrolled:,}" in text


def test_load_draws_capacity_and_native_peak(facts: ReportFacts) -> None:
    """Capacity is a line of its own, the native way has its peak in words."""
    curve = LoadCurve.of(facts)
    assert curve is not None
    ax = curve.plot()
    assert any(np.all(np.asarray(line.get_ydata()) == 4000) for line in ax.lines)
    assert f"all at once, peak {make_load().baseline_peak_p50:,.0f}" in words(ax)


def test_a_capacity_far_above_the_load_is_written_not_drawn() -> None:
    """The load fills the picture, and the capacity stands in words at its upper edge."""
    load = make_load()
    curve = LoadCurve.of(make_facts(load=replace(load, capacity=np.full(len(load.at), 90_000.0))))
    assert curve is not None
    ax = curve.plot()
    assert ax.get_ylim()[1] < 10_000
    assert "capacity: 90,000 per hour, far above this chart" in words(ax)


def test_equal_peaks_do_not_share_a_line_of_text() -> None:
    """Where both ways peak alike, their labels stand at different heights."""
    load = make_load()
    curve = LoadCurve.of(make_facts(load=replace(load, baseline=load.p90[::-1])))
    assert curve is not None
    heights = [t.xy[1] for t in curve.plot().texts if "peak" in t.get_text()]  # type: ignore[attr-defined]
    assert abs(heights[0] - heights[1]) > 0.07 * curve.top()


def test_load_with_gaps_in_the_actual_series() -> None:
    """Hours that were not seen yet are NaN and leave the scale alone."""
    load = make_load()
    seen = np.where(np.arange(len(load.at)) < 100, load.p50, np.nan)
    curve = LoadCurve.of(make_facts(load=replace(load, actual=seen)))
    assert curve is not None
    assert np.isfinite(curve.plot().get_ylim()[1])


def test_phases_show_share_of_each_phase(facts: ReportFacts) -> None:
    """Shares are percent of the phase's own devices."""
    progress = PhaseProgress.of(facts)
    assert progress is not None
    assert [line.name for line in progress.lines] == ["pilot", "all", "tail"]
    enrolled = facts.points[-1].by_phase[1][1]
    assert progress.lines[1].actual[-1] == pytest.approx(100 * enrolled / ALL)
    assert "all: 53.5 % of 94,000" in words(progress.plot())


def many_phases(n: int) -> ReportFacts:
    """Facts with n equal phases, each enrolled in turn."""
    sizes, names = (900,) * n, tuple(f"site {i:02}" for i in range(n))
    points = tuple(
        ProgressPoint(
            START + h * HOUR_S, tuple((0, max(0, min(900, 90 * (h - 10 * i))), 0, 0, 0) for i in range(n))
        )
        for h in range(11 * n)
    )
    bands = tuple(make_bands(900, 24 * i / 3, 1) for i in range(n))
    return make_facts(
        plan=make_plan(sizes, names), points=points, simulation=replace(make_simulation(), by_phase=bands)
    )


def test_many_phases_are_pooled() -> None:
    """Of thirty phases the largest are lines, the rest is one line without a band."""
    progress = PhaseProgress.of(many_phases(30))
    assert progress is not None
    assert len(progress.lines) == MOST_LINES
    assert progress.lines[-1].name == "25 other phases"
    assert len(progress.lines[-1].band_at) == 0
    assert sum(line.devices for line in progress.lines) == 27_000
    progress.plot()


def test_empty_phases_are_left_out() -> None:
    """A tail that nobody is in yet divides nothing by zero."""
    facts = make_facts(plan=make_plan((500, 94_000, 0)))
    progress = PhaseProgress.of(facts)
    assert progress is not None
    assert [line.name for line in progress.lines] == ["pilot", "all"]
    progress.plot()


def test_gates_show_rate_and_boundary(facts: ReportFacts) -> None:
    """The words name failures, executed devices and the number that halts."""
    timeline = GateTimeline.of(facts)
    assert timeline is not None
    text = words(timeline.plot())
    gate = facts.gates[0]
    assert f"pilot: {gate.failed[-1]} of {gate.seen[-1]}" in text
    assert f"HALT from {gate.halt_at[-1]}" in text


def test_labels_of_gates_that_end_together_do_not_meet() -> None:
    """A pilot that is still counted while the next phase runs is labelled before that begins."""
    early, late = make_facts().gates
    at = np.linspace(early.at[0], late.at[-1], len(early.at)).astype(np.int64)
    timeline = GateTimeline.of(make_facts(gates=(replace(early, at=at), late)))
    assert timeline is not None
    places = {t.get_text().split(":")[0]: t.xy[0] for t in timeline.plot().texts if ": " in t.get_text()}  # type: ignore[attr-defined]
    assert places["pilot"] == late.at[0]
    assert places["all"] == late.at[-1]


def test_gate_without_boundary_and_without_failures() -> None:
    """A gate that knows no boundary yet, of devices none of which failed, is drawn."""
    at = np.array([START, START + 60], dtype=np.int64)
    zero, none = np.zeros(2, dtype=np.int64), np.full(2, -1, dtype=np.int64)
    gate = GateTrack("pilot", at, np.array([0, 3], dtype=np.int64), zero, none)
    timeline = GateTimeline.of(make_facts(gates=(gate,)))
    assert timeline is not None
    assert "HALT" not in "".join(t.get_text() for t in timeline.plot().texts)


def test_gates_that_saw_nothing_are_left_out() -> None:
    """A gate with nobody executed is no picture."""
    at = np.array([START], dtype=np.int64)
    gate = GateTrack("tail", at, np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64), at * 0 - 1)
    assert GateTimeline.of(make_facts(gates=(gate,))) is None


def test_failures_are_sorted_and_the_rest_summed() -> None:
    """The most frequent codes come first with their action, the others are one bar."""
    rows = tuple(
        FailureRow(0x80180000 + i, f"E{i}", FailureClass.CONFIG, i + 1, f"do {i}") for i in range(20)
    )
    codes = FailureCodes.of(make_facts(failures=rows))
    assert codes is not None
    assert [row.count for row in codes.rows] == list(range(20, 20 - MOST_CODES, -1))
    assert codes.others == (12, sum(range(1, 13)))
    text = words(codes.plot())
    assert "0x80180013  E19" in text
    assert "do 19" in text
    assert "12 further codes" in text


def test_versus_names_both_ways(facts: ReportFacts) -> None:
    """Both curves carry their name and peak."""
    versus = Versus.of(facts)
    assert versus is not None
    text = words(versus.plot())
    assert "this plan\npeak 1,215" in text
    assert "mode All, native random window" in text


def test_tuning_rings_the_chosen_plan(facts: ReportFacts) -> None:
    """The chosen plan's time and load stand beside its ring."""
    front = TuningFront.of(facts)
    assert front is not None
    tuning = make_tuning()
    assert f"chosen: {tuning.hours[tuning.chosen] / 24:.1f} days" in words(front.plot())


def test_nothing_known_gives_only_the_funnel() -> None:
    """Pictures without data are absent, not empty."""
    bare = make_facts("planned", simulation=None, load=None, failures=())
    assert list(pictures_of(bare)) == ["funnel"]


def test_names_from_outside_are_shown_as_they_are() -> None:
    """A dollar sign starts no formula, a foreign script warns nobody."""
    name = "$\\frac$ 日本 " + "x" * 300  # would be an error if it were read as a formula
    facts = make_facts(plan=make_plan(names=(name, "$x$", "tail")))
    progress = PhaseProgress.of(facts)
    assert progress is not None
    ax = progress.plot()
    assert draw(progress, "png")
    assert "$x$: 53.5 %" in words(ax)


def test_a_label_at_the_edge_takes_no_room_from_the_plot() -> None:
    """The layout is the same with a long label and without."""
    widths = []
    for text in ("", "x" * 80):
        ax = style.axes_for(None, LIGHT)
        style.label(ax, 1.0, 0.5, text, LIGHT.ink)
        figure: Any = ax.figure
        figure.draw_without_rendering()
        widths.append(ax.get_position().width)
    assert widths[0] == widths[1]


def test_long_names_do_not_shrink_the_plot() -> None:
    """A label lies inside the plot, however long the name is."""
    row = FailureRow(1, "x" * 300, FailureClass.CONFIG, 7, "word " * 60)
    facts = make_facts(plan=make_plan(names=("x" * 300, "y" * 300, "tail")), failures=(row,))
    for display in (PhaseProgress.of(facts), FailureCodes.of(facts)):
        assert display is not None
        figure: Any = display.plot().figure
        figure.draw_without_rendering()
        assert figure.axes[0].get_position().width > 0.8


def test_theme_colours_differ_by_role() -> None:
    """The page swaps colours by value, so no two roles may share one."""
    for theme in (LIGHT, DARK):
        assert len({getattr(theme, role) for role in ROLES}) == len(ROLES)


def luminance(colour: str) -> float:
    """WCAG relative luminance."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
def test_text_colours_have_contrast(theme: Theme) -> None:
    """Every colour that labels use has at least 4.5 : 1 on the paper (WCAG AA)."""
    paper = luminance(theme.paper)
    for role in set(ROLES) - {"paper", "rule"}:
        text = luminance(getattr(theme, role))
        ratio = (max(paper, text) + 0.05) / (min(paper, text) + 0.05)
        assert ratio >= 4.5, (role, ratio)


def test_bands_refuse_wrong_shapes() -> None:
    """Quantiles and instants must fit the values."""
    at = np.arange(3, dtype=np.int64)
    with pytest.raises(ValueError, match=r"expected \(1, 3\), found \(2, 3\)"):
        Bands(at, (0.5,), np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"expected 0\.5"):
        Bands(at, (0.1,), np.zeros((1, 3)))


def test_facts_count_all_devices() -> None:
    """The builder of these tests accounts for every device."""
    assert sum(make_facts().final.values()) == N
