"""The same cases over the real journal, in SQLite or PostgreSQL."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from journals import Wall
from plan_builders import make_inventory

from faults.case import LEASE_S, Case, Shelf
from rollout.loop.ports import Journal
from rollout.store import Database, SqlJournal, open_database
from rollout.values import Commands, Plan


class SqlShelf(Shelf):
    """A journal in a database. Between two sessions the lease runs out, since a killed one never gives it back."""

    def __init__(self, database: Database, plan: Plan, name: str) -> None:
        self.database = database
        self.wall = Wall()
        self.told = Commands()
        key = database.add_plan(plan, "inv-1")
        self.run = database.start_rollout(key, name, 1, "max", plan.start)

    def open(self, session: int) -> Journal:
        self.wall.at += LEASE_S + 1
        return self.database.journal(self.run, owner=f"session {session}", now=self.wall, lease_s=LEASE_S)

    def close(self, journal: Journal) -> None:
        assert isinstance(journal, SqlJournal)
        journal.release()

    def reader(self) -> Journal:
        return self.database.reader(self.run)  # type: ignore[return-value]  # all that is read of a journal

    def command(self, commands: Commands) -> None:
        """Ask for what is new in `commands`."""
        before, self.told = self.told, commands
        ask = self.database.command
        if commands.aborted and not before.aborted:
            ask(self.run, "abort", commands.by, commands.reason, 0)
        elif commands.paused != before.paused:
            ask(self.run, "pause" if commands.paused else "resume", commands.by, commands.reason, 0)
        if commands.excluded != before.excluded:
            ask(self.run, "exclude", commands.by, "", 0, rows=commands.excluded)
        for answer in commands.approvals[len(before.approvals) :]:
            ask(self.run, "approve-gate", answer.by, "", 0, answer=answer)


def database_of(place: str | Path) -> tuple[Database, str]:
    """Give an empty database with an inventory, and that inventory's digest."""
    database = open_database(str(place))
    inventory = make_inventory(100)
    database.add_inventory(inventory)
    return database, inventory.fleet.digest


def shelve(case: Case, database: Database, digest: str, name: str) -> Case:
    """Put a case's journal into a database: its own name, so its own rollout."""
    plan = replace(case.plan, name=name, inventory_digest=digest)
    case.plan = case.world.plan = case.record.plan = plan
    case.shelf = SqlShelf(database, plan, name)
    case.fenced = False  # the database does that
    return case
