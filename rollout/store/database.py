"""The database as a whole: what commands of the command line speak to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import text

from rollout.store.connection.access import Access, look_at_file
from rollout.store.connection.server_time import ServerTime
from rollout.store.journal.membership import SqlMembershipLog
from rollout.store.journal.reader import JournalReader, first_break
from rollout.store.journal.writer import LEASE_S, SqlJournal
from rollout.store.migration import bring_up_to_date
from rollout.store.rollouts import Rollouts
from rollout.store.stored import ChainBreak, StoredPlan, StoredRollout
from rollout.store.vault import Vault
from rollout.values import Finding, Inventory, Plan


def open_database(url_or_path: str, *, create: bool = True) -> Database:
    """Open a database, make it if it is missing, and migrate an older one after a backup.

    url_or_path : a file of SQLite, or ``postgresql+psycopg://…``. Raise `DatabaseError` if it is newer, of
    another program, damaged, locked, cannot be written, or is missing and may not be made.
    """
    access = Access(url_or_path)
    try:
        if access.path is not None and not str(access.path).startswith("file:"):
            look_at_file(access.path, create=create)
        backup = bring_up_to_date(access)
    except BaseException:
        access.close()
        raise
    return Database(access, backup)


class Database:
    """Everything that is kept: inventories, plans, simulations, rollouts and their journals.

    backup : the copy that was made before a migration, None if there was none.
    Ids are short and sequential: inv-1, plan-1, sim-1, run-1; None means the latest. An unknown id raises
    `UsageError`; whatever the database itself says raises `DatabaseError`.
    """

    def __init__(self, access: Access, backup: Path | None = None) -> None:
        self._access = access
        self.backup = backup
        self._vault, self._rollouts = Vault(access), Rollouts(access)
        self._readers: dict[str, JournalReader] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def where(self) -> str:
        """The file, or the URL without its password."""
        return self._access.where

    def close(self) -> None:
        """Close all connections."""
        self._access.close()

    def add_inventory(self, inventory: Inventory) -> str:
        """Keep a snapshot of the fleet; give its id."""
        return self._vault.add_inventory(inventory)

    def inventory_id(self, key: str | None = None) -> str:
        """Return the id of an inventory; by default of the latest, and never of a made-up one beside real ones."""
        return self._vault.inventory_id(key)

    def is_made_up(self, inventory_id: str) -> bool:
        """Whether a scenario generated an inventory."""
        return self._vault.is_made_up(inventory_id)

    def latest_real(self) -> str | None:
        """Return the id of the latest inventory that nobody made up, None if there is none."""
        return self._vault.latest_real()

    def inventory(self, key: str | None = None) -> Inventory:
        """Return an inventory; raise `RefusedError` if it was changed in its place."""
        return self._vault.inventory(key)

    def add_findings(self, inventory_id: str, findings: Sequence[Finding]) -> None:
        """Keep what preflight said of an inventory, in place of what it said before."""
        self._vault.add_findings(inventory_id, findings)

    def findings(self, inventory_id: str | None = None) -> tuple[Finding, ...]:
        """Return what preflight said of an inventory; nothing if it was not asked."""
        return self._vault.findings(inventory_id)

    def findings_of(self, plan_key: str | None = None) -> tuple[Finding, ...]:
        """Return what preflight said of a plan's inventory, without opening the plan."""
        return self._vault.findings_of(plan_key)

    def add_plan(self, plan: Plan, inventory_id: str, scenario: str = "") -> str:
        """Keep a plan with the scenario's text; give its id, the same for the same plan."""
        return self._vault.add_plan(plan, inventory_id, scenario)

    def has_plans(self) -> bool:
        """Whether a plan was ever made here."""
        return self._vault.has_plans()

    def plan(self, key: str | None = None) -> StoredPlan:
        """Return a plan by id or by at least four digits of its digest, verified against that digest.

        Raise `RefusedError` if plan, inventory or approval were changed in their place.
        """
        return self._vault.plan(key)

    def latest_plan(self) -> str:
        """Return the id of the plan that is meant where nobody names one: never a made-up one beside real inventories.

        Raise `RefusedError` if the latest real inventory has no plan.
        """
        return self._vault.latest_plan()

    def approve(self, plan_id: str, by: str, at: int) -> None:
        """Note that `by` approves a plan at Unix second `at`."""
        self._vault.approve(plan_id, by, at)

    def add_simulation(self, plan_id: str, summary: dict[str, Any]) -> str:
        """Keep the summary of a simulation; give its id."""
        return self._vault.add_simulation(plan_id, summary)

    def simulations(self, plan_id: str | None = None) -> dict[str, Any] | None:
        """Return the latest summary of a plan's simulations, None if it was never simulated."""
        return self._vault.simulations(plan_id)

    def start_rollout(self, plan_id: str, directory: str, seed: int, speed: str, at: int) -> str:
        """Begin to execute a plan in a directory, or go on: one rollout a plan and directory."""
        return self._rollouts.start(plan_id, directory, seed, speed, at)

    def has_rollouts(self) -> bool:
        """Whether a plan was ever executed from here."""
        return self._rollouts.has_any()

    def rollout(self, key: str | None = None) -> StoredRollout:
        """Return a rollout."""
        return self._rollouts.get(key)

    def rollout_of(self, plan_id: str | None) -> str | None:
        """Return the id of a plan's latest rollout, None if it was never executed."""
        return self._rollouts.of_plan(plan_id)

    def rollouts(self) -> Sequence[StoredRollout]:
        """Return all rollouts, the oldest first."""
        return self._rollouts.all()

    def journal(
        self, rollout_id: str, *, owner: str, lease_s: int = LEASE_S, now: Callable[[], float] | None = None
    ) -> SqlJournal:
        """Take the lease of a rollout and give its journal for writing.

        now : the clock of the lease, Unix seconds; by default the one that all executors share.
        Raise `LeaseError` naming the holder if it is taken, `DatabaseError` or `RefusedError` if the journal
        is not what was written; then nothing was changed.
        """
        run, origin, devices = self._rollouts.origin(rollout_id)
        if now is not None:
            return SqlJournal(self._access, run, origin, devices, owner=owner, now=now, lease_s=lease_s)
        clock = ServerTime(self._access.now)
        return SqlJournal(
            self._access,
            run,
            origin,
            devices,
            owner=owner,
            now=clock.now,
            carried=clock.carried,
            lease_s=lease_s,
        )

    def reader(self, rollout_id: str | None = None) -> JournalReader:
        """Return the journal of a rollout for reading, as of this moment."""
        run, origin, devices = self._rollouts.origin(rollout_id)
        known = self._readers.get(origin)
        if known is None:
            known = self._readers[origin] = JournalReader(self._access, run, origin, devices)
        else:
            known.refresh()
        return known

    def membership_log(self, rollout_id: str) -> SqlMembershipLog:
        """Return the memory of the embedded directory of a rollout."""
        return SqlMembershipLog(self._access, self._rollouts.origin(rollout_id)[0])

    def command(
        self,
        rollout_id: str,
        kind: str,
        by: str,
        reason: str,
        at: int,
        rows: Sequence[int] = (),
        phase: int = -1,
    ) -> None:
        """Ask for pause, resume, abort, exclude or withdraw (of fleet `rows`), or approve-gate.

        phase : of approve-gate, the current one by default.

        Appended to the journal; the executor reads it before its next chunk.
        """
        self._rollouts.command(rollout_id, kind, by, reason, at, rows, phase)

    def release_lease(self, rollout_id: str, by: str, at: int) -> bool:
        """Take the lease away from whoever has it, so that another executor may go on; False if nobody has it."""
        return self._rollouts.release_lease(rollout_id, by, at)

    def verify_chain(self, rollout_id: str | None = None) -> ChainBreak | None:
        """Return the first row of a journal that does not fit, None if all do."""
        run, origin, _ = self._rollouts.origin(rollout_id)
        return first_break(self._access, run, origin)

    def check_integrity(self) -> tuple[bool, str]:
        """Return whether the database's own structure is whole, and that its plans are what they were."""
        if self._access.is_sqlite:
            with self._access.reading() as connection:
                said = connection.execute(text("PRAGMA integrity_check(1)")).scalar()
            if said != "ok":
                return False, f"{self.where}: {said}"
        if self.has_plans():
            self.plan()
        return True, f"{self.where} is whole"

    def check_chain(self) -> tuple[bool, str]:
        """Return whether every row of every journal fits the rows before it."""
        rollouts = self.rollouts()
        for rollout in rollouts:
            broken = self.verify_chain(rollout.id)
            if broken:
                return False, f"journal of {rollout.id}, row {broken.number}: {broken.sentence}"
        return True, f"every row fits its seal ({len(rollouts)} rollouts)"

    def now(self) -> float:
        """Return Unix seconds by the clock by which leases end: the server's own, on SQLite this machine's."""
        return self._access.now()

    def check_lease(self, now: float | None = None) -> tuple[bool, str]:
        """Say who holds which lease; a lease that is overdue is no fault, the next executor takes it."""
        moment = self.now() if now is None else now
        taken = [rollout for rollout in self.rollouts() if rollout.lease.holder]
        if not taken:
            return True, "nobody holds a lease"
        return True, "; ".join(
            f"{item.id}: {item.lease.holder}, "
            + ("valid" if item.lease.is_taken(moment) else "overdue: the next executor takes it")
            for item in taken
        )
