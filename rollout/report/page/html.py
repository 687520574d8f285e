"""report.html: one file, no network, readable without scripts, the charts interactive where scripts run.

Everything from outside passes through the template's escaping; only drawings and scripts of our own
are marked as safe. The policy in the page's head allows no connection and only the two scripts whose
hashes it names.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import json
import re
from importlib import resources
from typing import Any

from rollout.report.assessment import assess, last_observation
from rollout.report.facts import ExcludedRow, ReportFacts
from rollout.report.figures import json_report
from rollout.report.page.charts import charts_of
from rollout.report.pictures.displays import Display, draw, pictures_of
from rollout.report.pictures.funnel import SENTENCES, STAGES, FunnelBars
from rollout.report.pictures.style import DARK, LIGHT, ROLES, Theme
from rollout.report.text import OUTCOME_WORDS
from rollout.report.wording import count, hexcode, percent, short, when, zone_of
from rollout.text import visible
from rollout.values.progress import Tone

SIGNS = {Tone.GOOD: "✓", Tone.WATCH: "!", Tone.BAD: "✕"}
BATCHES_SHOWN = 300
JUDGEMENTS_SHOWN = 50
AUDIT_SHOWN = 300

AS_BARS = ("funnel", "failures")
"""Pictures that the page shows as lists with bars instead: they fit a phone."""

COMPACT = (6.8, 4.2)
"""Inches of a drawing in the page: half a wide screen, and its text stays readable."""

SECTIONS = (
    ("funnel", "Funnel"),
    ("forecast", "Forecast"),
    ("phases", "Phases"),
    ("load", "Load"),
    ("gates", "Gates"),
    ("failures", "Failures"),
    ("batches", "Batches"),
    ("audit", "Audit"),
)


def html_report(facts: ReportFacts, pictures: dict[str, Display] | None = None) -> str:
    """Return the page. pictures : those of `pictures_of(facts)`, if the caller has them already."""
    # `status` imports the report's facts and must not wait for a template engine.
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    pictures = pictures_of(facts) if pictures is None else pictures
    charts = charts_of(pictures)
    scripts = [_asset("uPlot.LICENSE.txt", comment=True) + _asset("uPlot.iife.min.js"), _asset("page.js")]
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=_shown, trim_blocks=True, lstrip_blocks=True
    )
    zone = zone_of(facts.zone)
    assessment, figures, excluded = assess(facts), json_report(facts), _excluded(facts)
    return environment.from_string(_asset("page.html")).render(
        facts=facts,
        assessment=assessment,
        sign=SIGNS[assessment.tone],
        figures=figures,
        tiles=_tiles(facts),
        sections=SECTIONS,
        pictures={
            name: {"svg": Markup(inline_svg(name, display))}
            for name, display in pictures.items()
            if name not in AS_BARS
        },
        charts=charts,
        funnel=_funnel(facts),
        done_hours=assessment.done_hours,
        failed_total=sum(row.count for row in facts.failures),
        excluded=excluded,
        judgements=_judgements(facts),
        failures=sorted(facts.failures, key=lambda row: (-row.count, row.code)),
        batches=_batches(facts),
        batches_total=sum(1 for row in facts.decisions if row.batch >= 0),
        audit=list(reversed(facts.audit[-AUDIT_SHOWN:])),
        found={row.rule for row in facts.findings},
        left_out={row.reason: row.count for row in excluded},
        as_of=last_observation(facts),
        when=lambda at: when(at, zone),
        count=count,
        percent=percent,
        short=short,
        hexcode=hexcode,
        css=Markup(_css()),
        scripts=[Markup(script) for script in scripts],
        script_hashes=Markup(" ".join(_hash(script) for script in scripts)),
        data=Markup(_data(facts, figures, charts)),
    )


def _shown(value: object) -> object:
    """Escape what is not plain in a text from outside; what is marked as safe is our own."""
    return visible(value) if type(value) is str else value


@functools.cache
def _asset(name: str, *, comment: bool = False) -> str:
    text = resources.files("rollout.report.page.assets").joinpath(name).read_text(encoding="utf-8")
    return f"/*!\n{text.strip()}\n*/\n" if comment else text.strip()


def _css() -> str:
    text = _asset("page.css")
    for theme in (LIGHT, DARK):
        text = text.replace(f"VARIABLES_{theme.name.upper()}", _variables(theme))
    return _asset("uPlot.min.css") + "\n" + text


def _variables(theme: Theme) -> str:
    return " ".join(f"--{role}: {getattr(theme, role)};" for role in ROLES)


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _data(facts: ReportFacts, figures: dict[str, Any], charts: dict[str, dict[str, Any]]) -> str:
    """Return the JSON for the scripts, such that no text in it can end its element."""
    document = {"zone": facts.zone, "figures": figures, "charts": charts}
    text = json.dumps(document, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def inline_svg(name: str, display: Display) -> str:
    """Return the picture as an SVG element that takes its colours from the page and its words as its name."""
    text = draw(display, "svg", size=COMPACT).decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL)
    # Within tags alone: a name may read like an id or a colour.
    text = re.sub(r"<[^>]*>", lambda tag: _tag(tag[0], name), text)
    label = html.escape(visible(display.sentence()), quote=True)
    return re.sub(
        r'<svg ([^>]*?)width="[^"]*pt" ',
        lambda svg: f'<svg {svg[1]}role="img" aria-label="{label}" ',
        text,
        count=1,
    )


def _tag(text: str, name: str) -> str:
    """Return a tag of a picture as it stands in the page: its ids with the picture's name, its colours by role."""
    text = re.sub(r'<g id="[^"]*">', "<g>", text)
    # What is referred to gets the picture's name: two pictures may otherwise share an id.
    text = re.sub(r'(id="|url\(#|xlink:href="#)', lambda m: f"{m[1]}{name}-", text)
    for role in ROLES:
        text = text.replace(getattr(LIGHT, role), f"var(--{role})")
    return text


def _tiles(facts: ReportFacts) -> list[dict[str, Any]]:
    """Return the key figures in short: key as in the JSON, its plain value, and how it reads."""
    whole = facts.funnel.eligible
    tiles: list[dict[str, Any]] = [{"key": "devices", "name": "devices", "value": facts.devices, "note": ""}]
    for key in ("enrolled", "failed", "rejected", "timed_out", "pending", "not_released", "excluded"):
        value = int(facts.final.get(key, 0))
        note = percent(value, facts.devices if key == "excluded" else whole)
        tiles.append({"key": key, "name": OUTCOME_WORDS[key], "value": value, "note": note})
    for tile in tiles:
        tile["text"] = count(tile["value"])
    return tiles


def _excluded(facts: ReportFacts) -> list[ExcludedRow]:
    """Return the excluded devices by reason; by the plan's short reasons if there are no sentences."""
    if facts.excluded:
        return list(facts.excluded)
    counts = facts.plan.excluded_by_reason()
    return [ExcludedRow(reason, n) for reason, n in counts.items() if n]


def _funnel(facts: ReportFacts) -> list[dict[str, Any]]:
    counts = FunnelBars.of(facts).counts
    whole = max(1, counts[0])
    return [
        {"name": name, "count": n, "sentence": sentence, "width": round(100 * n / whole, 2)}
        for name, n, sentence in zip(STAGES, counts, SENTENCES, strict=True)
    ]


def _phase_name(facts: ReportFacts, index: int) -> str:
    return facts.plan.phases[index].name if 0 <= index < len(facts.plan.phases) else "all phases"


def _judgements(facts: ReportFacts) -> list[dict[str, Any]]:
    return [
        {
            "at": row.at,
            "phase": _phase_name(facts, row.phase),
            "verdict": str(row.judgement.verdict),
            "sentence": row.judgement.sentence,
        }
        for row in reversed(facts.verdicts[-JUDGEMENTS_SHOWN:])
    ]


def _batches(facts: ReportFacts) -> list[dict[str, Any]]:
    rows = [row for row in facts.decisions if row.batch >= 0][-BATCHES_SHOWN:]
    return [
        {
            "batch": row.batch + 1,  # people count from 1
            "at": row.at,
            "phase": _phase_name(facts, row.phase),
            "count": row.count,
            "released": row.released,
            "reason": row.reason,
        }
        for row in reversed(rows)
    ]
