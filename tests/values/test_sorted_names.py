"""Exports that are sorted by name, as consoles write them: numpy's sort of strings once ended the process on them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import Cli
from fleet_files import ORDERS

from rollout.values import codes_of, put_texts, texts, texts_at

CASES = Path(__file__).parent.parent / "data" / "cases"

MISSING = "3 % missing"


def write_exports(folder: Path, count: int, order: str) -> int:
    """Write an Entra and a ConfigMgr export in this order; give the number of devices that both list."""
    made = CASES / "records" / "make_sorted_exports.py"
    subprocess.run([sys.executable, str(made), str(count)], cwd=folder, check=True)
    for name in ("entra.csv", "configmgr.csv"):
        head, *rows = (folder / name).read_text(encoding="utf-8").splitlines()
        rows = [row for at, row in enumerate(rows) if at % 33] if order == MISSING else ORDERS[order](rows)
        (folder / name).write_text("\n".join([head, *rows]) + "\n", encoding="utf-8")
    return len(rows)


def imported(folder: Path) -> subprocess.CompletedProcess[str]:
    """Import both exports in a process of its own, which a crash may end."""
    return subprocess.run(
        [sys.executable, "-m", "rollout", "inventory", "--from", "entra.csv", "configmgr.csv"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("order", [*ORDERS, MISSING])
@pytest.mark.parametrize(
    "count",
    [300, 1_000, pytest.param(20_000, marks=pytest.mark.slow), pytest.param(200_000, marks=pytest.mark.slow)],
)
def test_exports_in_any_order_are_joined(tmp_path: Path, count: int, order: str) -> None:
    """Each device of both files is one device, however the rows are sorted."""
    devices = write_exports(tmp_path, count, order)
    done = imported(tmp_path)
    assert done.returncode == 0, (done.returncode, done.stderr[-500:])
    assert f"inv-1: {devices:,} devices, 0 lines rejected" in done.stdout


@pytest.fixture
def no_sorted_strings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note each call that would have numpy sort variable-width strings."""
    seen: list[str] = []
    for name in (
        "sort",
        "argsort",
        "unique",
        "lexsort",
        "isin",
        "intersect1d",
        "union1d",
        "setdiff1d",
        "searchsorted",
    ):
        real = getattr(np, name)

        def guarded(
            *arguments: object, _real: Callable[..., object] = real, _name: str = name, **named: object
        ) -> object:
            flat = [
                item for each in arguments for item in (each if isinstance(each, tuple | list) else (each,))
            ]
            if any(
                isinstance(item, np.ndarray) and isinstance(item.dtype, np.dtypes.StringDType)
                for item in flat
            ):
                seen.append(_name)
            return _real(*arguments, **named)

        monkeypatch.setattr(np, name, guarded)
    return seen


def test_nothing_on_the_way_to_a_plan_sorts_strings(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_sorted_strings: list[str]
) -> None:
    """From the exports to a plan, numpy is never asked to sort variable-width strings."""
    write_exports(tmp_path, 100, "sorted")
    monkeypatch.chdir(tmp_path)
    assert cli("inventory", "--from", "entra.csv", "configmgr.csv").code == 0
    assert cli("preflight").code == 0
    assert cli("plan").code == 0
    assert no_sorted_strings == []


def test_texts_are_numbered_in_order_of_first_appearance() -> None:
    index: dict[str, int] = {}
    assert codes_of(["b", "a", "b"], index).tolist() == [0, 1, 0]
    assert codes_of(["c", "a"], index).tolist() == [2, 1]
    assert codes_of([]).dtype == np.int32


def test_texts_are_chosen_and_written_by_rows_of_32_bits() -> None:
    """NumPy 2.1 reads and writes nonsense where it gets such rows itself."""
    column = texts([f"{number:08x}-1111-4222-8333-444455556666" for number in range(9)])
    rows = np.array([7, 0, 7], dtype=np.int32)
    assert texts_at(column, rows).tolist() == [column[7], column[0], column[7]]
    out = texts([""] * 9)
    put_texts(out, rows[:2], column[:2])
    assert out.tolist() == [column[1], *[""] * 6, column[0], ""]
