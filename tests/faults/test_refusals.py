"""What is not what it was is refused with exit 4, whoever notices it, and nothing goes over the wire."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from emulated_site import _site, writes  # noqa: F401  # the fixture
from emulators.adminservice import AdminService
from journals import raw
from opened import Setting, tenant
from opened import site as opened_site

from rollout.cli import main
from rollout.directory.configmgr.requests import direct_rule
from rollout.errors import Exit, RefusedError
from rollout.loop.drive import drive
from rollout.store import open_database
from sim.world.journal import MemoryJournal

DATABASE = Path("rollout.db")


def flip(table: str) -> None:
    """Change one byte in the middle of a stored value."""
    with raw(DATABASE) as connection:
        body = bytearray(connection.execute(f"SELECT body FROM {table}").fetchone()[0])
        body[len(body) // 2] ^= 1
        connection.execute(f"UPDATE {table} SET body = ?", (bytes(body),))


def change(statement: str) -> Callable[[], None]:
    """Give what executes a statement behind the program's back."""

    def act() -> None:
        with raw(DATABASE) as connection:
            assert connection.execute(statement).rowcount > 0

    return act


def replace_inventory() -> None:
    """Put another inventory, whole and with its own seal, into the place of the plan's."""
    from emulators.people import make_fleet

    from rollout.values import Inventory

    with open_database(str(DATABASE)) as database:
        database.add_inventory(Inventory(make_fleet(39), 0, ()))
    columns = ("digest", "taken", "accepted", "rejected", "body", "seal")
    with raw(DATABASE) as connection:
        for one in columns:
            connection.execute(
                f"UPDATE inventory SET {one} = (SELECT {one} FROM inventory WHERE id = 2) WHERE id = 1"
            )
        connection.execute("DELETE FROM inventory WHERE id = 2")


def hurry() -> None:
    """The site takes as many calls a second as may be asked for."""
    with Path("directory.toml").open("a") as file:
        file.write("per_second = 200\n")


def rename_site() -> None:
    """Let the settings lead to another site."""
    settings = Path("directory.toml")
    settings.write_text(settings.read_text().replace('"P01"', '"P02"'))


CHANGES: dict[str, Callable[[], None]] = {
    "a byte of the plan": lambda: flip("plan"),
    "a byte of the inventory": lambda: flip("inventory"),
    "the plan's digest": change("UPDATE plan SET digest = 'x' || substr(digest, 2)"),
    "another inventory": replace_inventory,
    "the inventory's digest": change("UPDATE inventory SET digest = 'x' || substr(digest, 2)"),
}
LATER: dict[str, Callable[[], None]] = {
    "the rollout's plan": change("UPDATE rollout SET digest = 'x' || substr(digest, 2)"),
    "the directory": change("UPDATE rollout SET directory = 'elsewhere'"),
    "the seed": change("UPDATE rollout SET seed = seed + 1"),
    "the speed": change("UPDATE rollout SET speed = '7'"),
    "the start": change("UPDATE rollout SET started_at = started_at + 1"),
    "another tenant": rename_site,
}


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that must end with exit 4 and one line; give the line."""
    capsys.readouterr()
    assert main(arguments) == Exit.REFUSED
    err = capsys.readouterr().err
    assert "Traceback" not in err
    return err


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("what", [*CHANGES, *LATER])
def test_what_was_changed_is_refused_and_the_wire_is_silent(
    site: AdminService,
    capsys: pytest.CaptureFixture[str],
    what: str,
    begun: bool,
) -> None:
    """Before the first run and after one: exit 4, and no request at all; another tenant is asked who it is."""
    hurry()
    main(["approve", "--by", "Kim"])
    run = ("run", "--directory", "adminservice", "--once")
    if begun:
        assert main(run) == 0
    elif what in LATER and what != "another tenant":
        return  # there is no rollout yet that could be changed
    (CHANGES | LATER)[what]()
    asked, written = len(site.asked), writes(site)
    refused(capsys, *run)
    assert writes(site) == written
    if what != "another tenant":
        assert len(site.asked) == asked


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("what", [*CHANGES, *LATER, "--seed"])
def test_in_a_pretend_world_too(
    capsys: pytest.CaptureFixture[str],
    what: str,
) -> None:
    """The embedded directory's own memory is the wire log there: it stays as it is."""
    if what == "another tenant":
        return  # there is only one
    run = ["run", "--speed", "max", "--once"]
    assert main(run) == 0
    if what == "--seed":
        run += ["--seed", "2"]
    else:
        (CHANGES | LATER)[what]()
    before = memory()
    refused(capsys, *run)
    assert memory() == before
    assert before


def memory() -> list[tuple[object, ...]]:
    with raw(DATABASE) as connection:
        return connection.execute("SELECT * FROM membership").fetchall()


@pytest.mark.parametrize("open_one", [opened_site, tenant])
def test_another_tenant_is_met_before_anything_is_sent(open_one: Callable[..., Setting]) -> None:
    """A rollout that was begun elsewhere: `RefusedError`, exit 4, by the loop's first contact."""
    it = open_one(bare=True, identity="X99")
    with pytest.raises(RefusedError) as caught:
        next(drive(it.plan, MemoryJournal(), it.directory))
    assert caught.value.exit_code == Exit.REFUSED
    assert "X99" in caught.value.message + str(caught.value.hint) or "x99" in caught.value.message
    assert it.emulator.writes() == []


def test_who_only_adopted_has_nothing_to_undo(
    site: AdminService,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Everybody was a member before the rollout: `plan --undo` says so, exit 2, and plans nothing."""
    hurry()
    for resource in list(site.row_of)[:10]:
        site.target.rules[resource] = direct_rule(f"PC-{resource}", resource)
        site.target.members.add(resource)
    main(["approve", "--by", "Kim"])
    assert main(["run", "--directory", "adminservice", "--once"]) == 0
    assert writes(site) == []
    capsys.readouterr()
    assert main(["plan", "--undo", "run-1"]) == Exit.USAGE
    err = capsys.readouterr().err
    assert "run-1 added no devices: its 10 devices were members before it" in err
    assert "remove them in the console" in err
    with open_database(str(DATABASE)) as database:
        assert database.plan().id == "plan-1"
