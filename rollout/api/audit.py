"""Who decided what in a rollout, and why, from the journal's chain of seals."""

from __future__ import annotations

from rollout.api import stored_forecast
from rollout.documents.reporting import Audit, AuditRow
from rollout.errors import DatabaseError
from rollout.store import Database
from rollout.text import iso


def read_audit(database: Database, rollout: str | None = None) -> Audit:
    """Give every decision, command and change of the lease of a rollout, the latest by default.

    Decisions have the directory's time, commands and leases this machine's. Raise `DatabaseError` if the chain of
    seals is broken.
    """
    known = database.rollout(rollout)
    broken = database.verify_chain(known.id)
    if broken:
        raise DatabaseError(
            f"journal of {known.id}, row {broken.number}: {broken.sentence}", "restore a backup"
        )
    rows = [
        AuditRow(at=iso(at), who=who, what=what, why=why)
        for at, who, what, why in database.reader(known.id).audit()
        if what != stored_forecast.KIND
    ]
    return Audit(rollout=known.id, digest=known.digest, audit=rows)
