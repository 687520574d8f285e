"""Whatever its lines contain, an export is imported, checked and planned, or refused in one line."""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path
from typing import Final

import pytest
from export_builders import configmgr_row, entra_row, guid, intune_row, read
from fleet_files import CONFIGMGR_HEADER, ENTRA_HEADER, INTUNE_HEADER
from fuzzing import HOSTILE, answer_of

from sim.planning import plan_inventory
from sim.scenario import parse_scenario

ROWS: Final = 8
CREATED: Final = 1_795_820_400

SCENARIO: Final = parse_scenario(
    '[rollout]\nname = "lines"\nmature_after = "8h"\n[model.clients]\nwindow = "2h"\n', "lines.toml"
)

CELLS: Final = (
    *HOSTILE,
    *("True", "false", "1", "0", "-1", "yes", "Pending", "N/A", "NULL", "None", "unknown", "2", "1.0"),
    *(
        guid(1),
        guid(99),
        guid(1).upper(),
        guid(1)[:-1],
        "{" + guid(2) + "}",
        "0" * 8 + "-0000-0000-0000-" + "0" * 12,
    ),
    *(
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.9999999Z",
        "1601-01-01T00:00:00Z",
        "2026-11-24",
        "03/04/2026",
    ),
    *(
        "24/11/2026 07:00",
        "11/24/2026 7:00:00 AM",
        "2026-11-24T07:13:54+99:00",
        "2026-13-01T00:00:00Z",
        "1E+19",
    ),
    *("2147483648", "9223372036854775808", "-9223372036854775809", "1" * 5000, "1e308", "0x10", "16777220"),
    *(
        "ServerAd",
        "AzureAd",
        "Workplace",
        "Hybrid Azure AD joined",
        "Co-managed",
        "ConfigMgr",
        "Intune",
        "MDM",
        "11",
    ),
    *(
        "Windows",
        "Windows Server 2022",
        "iOS",
        "10.0.26100.1",
        "10.0",
        "99999999.9",
        "PC-1",
        "pc-1",
        "PC-1 ",
        "a,b",
    ),
    *(
        "PC\u200b-1",
        "PC-１",
        "e\u0301",
        "é",
        "\u2028",
        "\x85",
        "\x1f",
        "\t",
        ";",
        '"""',
        "To be filled by O.E.M.",
    ),
)

HEADERS: Final = {"entra": ENTRA_HEADER, "configmgr": CONFIGMGR_HEADER, "intune": INTUNE_HEADER}
MAKERS: Final = {"entra": entra_row, "configmgr": configmgr_row, "intune": intune_row}


def _file(kind: str, rng: random.Random, strange: int) -> bytes:
    """Return an export of some rows, sorted by name, with this many strange cells."""
    header = list(HEADERS[kind])
    rows = [MAKERS[kind](number) for number in range(1, ROWS + 1)]
    for _ in range(strange):
        rows[rng.randrange(ROWS)][rng.choice(header)] = rng.choice(CELLS)
    if rng.random() < 0.1:
        rows.append(dict(rng.choice(rows)))
    out = io.StringIO()
    separator = rng.choice(",;\t")
    writer = csv.DictWriter(out, header, restval="", delimiter=separator, quoting=rng.choice((0, 0, 1)))
    writer.writeheader()
    writer.writerows(rows)
    text = out.getvalue()
    if rng.random() < 0.1:
        lines = text.split("\n")
        at = rng.randrange(len(lines))
        lines[at] = rng.choice(
            (lines[at][: rng.randrange(len(lines[at]) + 1)], lines[at] * 2, "", rng.choice(CELLS))
        )
        text = "\n".join(lines)
    return text.encode(rng.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16", "cp1252")), "replace")


def _through(folder: Path, rng: random.Random) -> str:
    """Import one to three exports, run preflight and plan."""
    paths = []
    for kind in rng.sample(sorted(HEADERS), rng.choice((1, 2, 2, 3))):
        path = folder / f"{kind}.csv"
        path.write_bytes(_file(kind, rng, rng.choice((0, 1, 1, 2, 4))))
        paths.append(path)
    options = {"allow_rejected": rng.random() < 0.7, "day_first": rng.choice((None, True, False))}
    inventory = read(*paths, **options)
    made = plan_inventory(SCENARIO, inventory, CREATED)
    assert made.plan.planned <= len(inventory.fleet)
    return made.plan.digest


def _try(folder: Path, seed: int, count: int) -> dict[str, int]:
    counts = {"ok": 0, "refused": 0}
    for number in range(count):
        rng = random.Random(f"{seed}-{number}")
        try:
            kind, _ = answer_of(lambda rng=rng: _through(folder, rng))  # type: ignore[misc]
        except BaseException as error:
            error.add_note(f"seed {seed}, case {number}")
            raise
        counts[kind] += 1
    return counts


def test_strange_lines_are_planned_or_refused_in_a_line(tmp_path: Path) -> None:
    """A hundred sets of exports; both results occur."""
    counts = _try(tmp_path, 1, 100)
    assert counts["ok"] > 20
    assert counts["refused"] > 5


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 6))
def test_five_hundred_sets_of_strange_lines_each(tmp_path: Path, seed: int) -> None:
    """2,000 in all."""
    assert sum(_try(tmp_path, seed, 500).values()) == 500
