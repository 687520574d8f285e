"""The page and the files: whole, self-contained, safe against what comes from outside."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from report_facts import NASTY, make_facts, make_tuning, nasty_facts

from rollout.errors import UsageError
from rollout.report import ReportFacts, json_report, write_report
from rollout.report.page.charts import MOST_POINTS, charts_of, thin
from rollout.report.page.html import html_report
from rollout.report.pictures.displays import KINDS, pictures_of
from rollout.report.pictures.style import LIGHT


class Outline(HTMLParser):
    """Collect tags, headings, ids and texts of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.scripts: list[str] = []
        self._stack: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._stack:
            while self._stack.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if self._stack and self._stack[-1] == "script":
            self.scripts.append(data)
        elif not (self._stack and self._stack[-1] == "style"):
            self.text.append(data)

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """Attributes of all elements with this tag."""
        return [attributes for name, attributes in self.tags if name == tag]


def outline(page: str) -> Outline:
    """Parse a page."""
    parser = Outline()
    parser.feed(page)
    return parser


@pytest.fixture(name="facts", scope="module")
def _facts() -> ReportFacts:
    return make_facts(tuning=make_tuning())


@pytest.fixture(name="page", scope="module")
def _page(facts: ReportFacts) -> str:
    return html_report(facts)


def test_page_refers_to_nothing_outside(page: str) -> None:
    """No element loads anything, and the policy forbids every connection."""
    seen = outline(page)
    for tag in ("link", "script", "img", "iframe", "object", "source"):
        for attributes in seen.of(tag):
            assert not attributes.get("src")
            assert str(attributes.get("href") or "data:,").startswith("data:")
    (policy,) = [a["content"] for a in seen.of("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "unsafe-inline" not in policy.split("script-src")[1]
    assert not re.search(r"url\((?!#)", page.split("<body>")[0])


def test_page_is_small(page: str) -> None:
    """100,000 devices are far below the three megabytes of the promise."""
    assert len(page.encode()) < 1_000_000


def test_page_has_headings_alternatives_and_a_language(page: str) -> None:
    """One h1, no level skipped, every drawing named, a language, a title."""
    seen = outline(page)
    levels = [int(tag[1]) for tag, _ in seen.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert all(svg.get("aria-label") for svg in seen.of("svg"))
    assert seen.of("html")[0]["lang"] == "en"


def test_ids_are_unique_and_links_meet_them(page: str) -> None:
    """No two elements share an id, each link within the page has its target."""
    ids = [attributes["id"] for _, attributes in outline(page).tags if attributes.get("id")]
    assert len(ids) == len(set(ids))
    for link in outline(page).of("a"):
        assert str(link["href"]).removeprefix("#") in ids


def test_page_shows_the_figures_of_the_json(page: str, facts: ReportFacts) -> None:
    """The tiles carry the JSON's numbers, and the whole JSON is in the page."""
    seen = outline(page)
    figures = json_report(facts)
    tiles = {str(a["id"]).removeprefix("tile-"): a["data-value"] for a in seen.of("dd") if a.get("id")}
    assert tiles == {"devices": str(figures["devices"])} | {k: str(v) for k, v in figures["final"].items()}
    embedded = json.loads(next(s for s in seen.scripts if s.startswith("{")))
    assert embedded["figures"] == json.loads(json.dumps(figures))


def test_still_pictures_take_their_colours_from_the_page(page: str) -> None:
    """No colour of the light theme is left in a drawing: it would not follow the dark one."""
    body = page.split("<body>")[1].split('id="report-data"')[0]
    assert LIGHT.ours not in body
    assert "var(--ours)" in body


def test_hostile_names_are_text() -> None:
    """Nothing that comes from outside becomes an element or ends a script."""
    seen, clean = outline(html_report(nasty_facts())), outline(html_report(make_facts(), pictures={}))
    assert len(seen.of("script")) == len(clean.of("script")) == 3
    assert seen.of("img") == []
    assert not any(key.startswith("on") for _, attributes in seen.tags for key in attributes)
    assert NASTY in "".join(seen.text)


@pytest.mark.parametrize("state", ["planned", "running", "held", "paused", "halted", "aborted", "finished"])
def test_page_of_every_state(state: str) -> None:
    """Each state gives a page with its three answers."""
    text = " ".join(outline(html_report(make_facts(state), pictures={})).text)
    for question in ("Is it going well?", "When will it be done?", "What do I need to do?"):
        assert question in text


def test_page_of_bare_facts() -> None:
    """Where nothing is known the page says so instead of showing empty pictures."""
    bare = make_facts("planned", simulation=None, load=None, findings=())
    text = " ".join(outline(html_report(bare)).text)
    assert "The codes of the failures are not known" in text
    assert "No forecast: simulate the plan" in text
    assert "No gate has judged yet" in text
    assert "Nothing has been released yet" in text


def test_charts_hold_what_the_pictures_draw(facts: ReportFacts) -> None:
    """On the common grid the actual line ends where the facts end; lists are equally long."""
    charts = charts_of(pictures_of(facts))
    assert set(charts) == {"forecast", "phases", "load", "gates", "versus"}
    for chart in charts.values():
        assert {len(series) for series in chart["data"]} == {len(chart["data"][0])}
        assert chart["data"][0] == sorted(set(chart["data"][0]))
    actual = next(key for key in charts["forecast"]["keys"] if key["name"] == "actual")
    values = [v for v in charts["forecast"]["data"][actual["line"]] if v is not None]
    assert values[-1] == facts.final["enrolled"]


def test_long_histories_are_thinned() -> None:
    """A chart keeps at most MOST_POINTS instants, the first and the last among them."""
    at = np.arange(100_000, dtype=np.int64)
    kept = thin(at)
    assert len(kept) == MOST_POINTS
    assert (kept[0], kept[-1]) == (0, 99_999)


def test_write_report_writes_whole_files(facts: ReportFacts, tmp_path: Path) -> None:
    """All usual files are there, the page first, and no temporary file is left."""
    paths = write_report(facts, tmp_path / "deep" / "out")
    names = [path.name for path in paths]
    assert names[0] == "report.html"
    assert {f"{kind}.png" for kind in KINDS} | {"report.json", "report.txt", "batches.csv"} <= set(names)
    assert sorted(p.name for p in (tmp_path / "deep" / "out").iterdir()) == sorted(names)
    assert all(path.stat().st_size > 0 for path in paths)
    assert (tmp_path / "deep" / "out" / "load.png").read_bytes().startswith(b"\x89PNG")


def test_write_report_writes_vector_and_dark_pictures(facts: ReportFacts, tmp_path: Path) -> None:
    """SVG keeps its text, dark pictures have their own names."""
    few = replace(facts, simulation=None, load=None, gates=(), failures=(), tuning=None)
    paths = write_report(few, tmp_path, formats=("svg", "png-dark"))
    assert {path.name for path in paths} == {
        f"{k}{end}" for k in ("funnel", "phases") for end in (".svg", "-dark.png")
    }
    text = (tmp_path / "funnel.svg").read_text(encoding="utf-8")
    assert "eligible" in text


def test_writing_again_replaces_and_repeats(facts: ReportFacts, page: str, tmp_path: Path) -> None:
    """An older file is replaced, and the same facts give the same bytes."""
    (tmp_path / "report.html").write_text("old")
    (path,) = write_report(facts, tmp_path, formats=("html",))
    assert path.read_bytes() == page.encode()


def test_failed_writing_keeps_the_older_file(facts: ReportFacts, tmp_path: Path) -> None:
    """A target that cannot be replaced is an error with a hint, and leaves no half file."""
    (tmp_path / "report.json").mkdir()
    with pytest.raises(UsageError) as caught:
        write_report(facts, tmp_path, formats=("json",))
    assert "--out" in caught.value.hint
    assert [p.name for p in tmp_path.iterdir()] == ["report.json"]


def test_unknown_format_and_unusable_folder(facts: ReportFacts, tmp_path: Path) -> None:
    """Both are errors of the user's with what was expected and found."""
    with pytest.raises(UsageError, match="expected one of html"):
        write_report(facts, tmp_path, formats=("docx",))
    (tmp_path / "file").write_text("x")
    with pytest.raises(UsageError, match="folder that can be written"):
        write_report(facts, tmp_path / "file", formats=("json",))
