"""The database as a whole: the interface for all commands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from sqlalchemy import text

from rollout.store.connection.access import Access, check_file
from rollout.store.connection.server_time import ServerTime
from rollout.store.journal.membership import SqlMembershipLog
from rollout.store.journal.reader import JournalReader, first_break
from rollout.store.journal.writer import LEASE_S, SqlJournal
from rollout.store.migration import bring_up_to_date
from rollout.store.rollouts import Rollouts
from rollout.store.stored import ChainBreak, StoredPlan, StoredRollout
from rollout.store.vault import Vault
from rollout.values import Finding, GateApproval, Inventory, Plan


def open_database(url_or_path: str | Path, *, create: bool = True) -> Database:
    """Open a database; create it if it is missing, and migrate an older one after a backup.

    url_or_path : an SQLite file, or ``postgresql+psycopg://…``. Raise `DatabaseError` if it is newer, damaged,
    locked, not writable, belongs to another program, or is missing and must not be created.
    """
    access = Access(str(url_or_path))
    try:
        if access.path is not None and not str(access.path).startswith("file:"):
            check_file(access.path, create=create)
        backup = bring_up_to_date(access)
    except BaseException:
        access.close()
        raise
    return Database(access, backup)


class Database:
    """Everything that is stored: inventories, plans, simulations, rollouts and their journals.

    backup : the copy that was made before a migration, None if there was none.
    IDs are short and sequential: inv-1, plan-1, sim-1, run-1; None means the latest. An unknown ID raises
    `UsageError`, an error of the database itself `DatabaseError`.
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
        """Store a snapshot of the fleet and return its ID."""
        return self._vault.add_inventory(inventory)

    def inventory_id(self, key: str | None = None) -> str:
        """Return the ID of an inventory; by default of the latest real one, or the latest generated if none is real."""
        return self._vault.inventory_id(key)

    def is_made_up(self, inventory_id: str) -> bool:
        """Return whether a scenario generated an inventory."""
        return self._vault.is_made_up(inventory_id)

    def latest_real(self) -> str | None:
        """Return the ID of the latest inventory that was not generated, None if there is none."""
        return self._vault.latest_real()

    def inventory(self, key: str | None = None) -> Inventory:
        """Return an inventory; raise `RefusedError` if it was changed after it was stored."""
        return self._vault.inventory(key)

    def add_findings(self, inventory_id: str, findings: Sequence[Finding]) -> None:
        """Store the findings about an inventory, in place of any earlier ones."""
        self._vault.add_findings(inventory_id, findings)

    def findings(self, inventory_id: str | None = None) -> tuple[Finding, ...]:
        """Return the findings about an inventory; empty if preflight has not run."""
        return self._vault.findings(inventory_id)

    def findings_of(self, plan_key: str | None = None) -> tuple[Finding, ...]:
        """Return the findings about a plan's inventory, without opening the plan."""
        return self._vault.findings_of(plan_key)

    def add_plan(self, plan: Plan, inventory_id: str, scenario: str = "") -> str:
        """Store a plan with the scenario's text and return its ID, which is the same for the same plan."""
        return self._vault.add_plan(plan, inventory_id, scenario)

    def has_plans(self) -> bool:
        """Return whether there is a plan."""
        return self._vault.has_plans()

    def plan(self, key: str | None = None) -> StoredPlan:
        """Return a plan by ID or by at least four digits of its digest, verified against that digest.

        Raise `RefusedError` if plan, inventory or approval were changed after they were stored.
        """
        return self._vault.plan(key)

    def latest_plan(self) -> str:
        """Return the ID of the default plan: of a real inventory, if there is one.

        Raise `RefusedError` if the latest real inventory has no plan.
        """
        return self._vault.latest_plan()

    def approve(self, plan_id: str, by: str, at: int) -> None:
        """Record that `by` approved a plan at Unix second `at`."""
        self._vault.approve(plan_id, by, at)

    def add_simulation(self, plan_id: str, summary: dict[str, Any]) -> str:
        """Store the summary of a simulation and return its ID."""
        return self._vault.add_simulation(plan_id, summary)

    def simulations(self, plan_id: str | None = None) -> dict[str, Any] | None:
        """Return the latest summary of a plan's simulations, None if it was never simulated."""
        return self._vault.simulations(plan_id)

    def start_rollout(self, plan_id: str, directory: str, seed: int, speed: str, at: int) -> str:
        """Start to execute a plan in a directory, or continue: there is one rollout per plan and directory."""
        return self._rollouts.start(plan_id, directory, seed, speed, at)

    def has_rollouts(self) -> bool:
        """Return whether there is a rollout."""
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
        """Take the lease of a rollout and return its journal for writing.

        now : the clock of the lease, Unix seconds; by default the clock that all executors share.
        Raise `LeaseError`, which names the holder, if the lease is taken; `DatabaseError` or `RefusedError` if the
        journal was changed or damaged. Nothing is written then.
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
        """Return the journal of a rollout for reading, in its present state."""
        run, origin, devices = self._rollouts.origin(rollout_id)
        known = self._readers.get(origin)
        if known is None:
            known = self._readers[origin] = JournalReader(self._access, run, origin, devices)
        else:
            known.refresh()
        return known

    def membership_log(self, rollout_id: str) -> SqlMembershipLog:
        """Return the membership log of the simulated directory of a rollout."""
        return SqlMembershipLog(self._access, self._rollouts.origin(rollout_id)[0])

    def command(
        self,
        rollout_id: str,
        kind: str,
        by: str,
        reason: str,
        at: int,
        rows: Sequence[int] = (),
        answer: GateApproval | None = None,
    ) -> None:
        """Request pause, resume, abort, exclude or withdraw (of fleet `rows`), or approve-gate.

        answer : the hold that approve-gate answers. The request is appended to the journal; the executor reads it
        before its next chunk.
        """
        self._rollouts.command(rollout_id, kind, by, reason, at, rows, answer)

    def release_lease(self, rollout_id: str, by: str, at: int) -> bool:
        """Release the holder's lease so that another executor can continue; False if no lease is held."""
        return self._rollouts.release_lease(rollout_id, by, at)

    def verify_chain(self, rollout_id: str | None = None) -> ChainBreak | None:
        """Return the first row of a journal that breaks its chain, None if the chain is intact."""
        run, origin, _ = self._rollouts.origin(rollout_id)
        return first_break(self._access, run, origin)

    def check_integrity(self) -> tuple[bool, str]:
        """Check the structure of the database and its latest plan; return (passed, sentence)."""
        if self._access.is_sqlite:
            with self._access.reading() as connection:
                result = connection.execute(text("PRAGMA integrity_check(1)")).scalar()
            if result != "ok":
                return False, f"{self.where}: {result}"
        if self.has_plans():
            self.plan()
        return True, f"{self.where} is intact"

    def check_chain(self) -> tuple[bool, str]:
        """Check the chain of every journal; return (passed, sentence)."""
        rollouts = self.rollouts()
        for rollout in rollouts:
            broken = self.verify_chain(rollout.id)
            if broken:
                return False, f"journal of {rollout.id}, row {broken.number}: {broken.sentence}"
        return True, f"every row matches its seal ({len(rollouts)} rollouts)"

    def now(self) -> float:
        """Return Unix seconds by the clock of the leases: the server's, or with SQLite this machine's."""
        return self._access.now()

    def check_lease(self, now: float | None = None) -> tuple[bool, str]:
        """Name the holder of each lease; return (True, sentence): an expired lease is not a fault."""
        moment = self.now() if now is None else now
        held = [rollout for rollout in self.rollouts() if rollout.lease.holder]
        if not held:
            return True, "no lease is held"
        return True, "; ".join(
            f"{rollout.id}: {rollout.lease.holder}, "
            + ("valid" if rollout.lease.is_taken(moment) else "expired: the next executor takes it over")
            for rollout in held
        )
