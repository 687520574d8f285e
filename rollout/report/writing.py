"""Writing a report to a folder: each file appears whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rollout.errors import UsageError
from rollout.files import make_folder, write_file
from rollout.report.facts import ReportFacts
from rollout.report.figures import json_report
from rollout.report.page.html import html_report
from rollout.report.pictures.displays import draw, pictures_of
from rollout.report.pictures.style import DARK, LIGHT
from rollout.report.tables import csv_tables
from rollout.report.text import text_report
from rollout.text import json_text

FORMATS = ("html", "png", "svg", "png-dark", "svg-dark", "json", "csv", "txt")
"""What can be written; pictures in the dark theme have names that end in ``-dark``."""

USUAL = ("html", "png", "json", "csv", "txt")


def write_report(facts: ReportFacts, out: Path, *, formats: Sequence[str] = USUAL) -> list[Path]:
    """Write the report's files into the folder `out` and return their paths, the page first.

    A file is replaced in one step, so a reader never sees half of one, and older files of the same
    names stay until the new ones are complete. Raise `UsageError` for an unknown format and for a
    folder that cannot be written.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise UsageError(f"report format: expected one of {', '.join(FORMATS)}, found {unknown[0]!r}")
    written: list[Path] = []
    try:
        make_folder(out)
        for name, data in _files(facts, formats):
            write_file(out / name, data)
            written.append(out / name)
    except OSError as error:
        where = error.filename or out
        raise UsageError(
            f"report: expected a folder that can be written, found {where}: {error.strerror or error}",
            "Choose another folder with --out.",
        ) from error
    return written


def _files(facts: ReportFacts, formats: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Return (name, content) of each file."""
    pictures = pictures_of(facts)
    if "html" in formats:
        yield "report.html", html_report(facts, pictures).encode()
    if "json" in formats:
        yield "report.json", (json_text(json_report(facts), indent=2) + "\n").encode()
    if "txt" in formats:
        yield "report.txt", text_report(facts).encode()
    if "csv" in formats:
        for name, text in csv_tables(facts).items():
            yield name, text.encode()
    for name, display in pictures.items():
        for kind in ("png", "svg"):
            if kind in formats:
                yield f"{name}.{kind}", draw(display, kind, LIGHT)
            if f"{kind}-dark" in formats:
                yield f"{name}-dark.{kind}", draw(display, kind, DARK)
