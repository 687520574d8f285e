"""Which rollout is meant, and whether another rollout is in the way."""

from __future__ import annotations

from collections.abc import Sequence

from rollout.errors import RefusedError, UsageError
from rollout.store import Database, StoredPlan, StoredRollout


def under_way(database: Database) -> Sequence[StoredRollout]:
    """Give the rollouts that have started and are neither final nor being aborted, the oldest first."""
    return [
        known
        for known in database.rollouts()
        if known.state is not None
        and not known.state.is_final
        and not database.reader(known.id).commands().aborted
    ]


def to_command(database: Database, key: str | None) -> StoredRollout:
    """Give the rollout that a command is for: the named one, else the active one, else the latest.

    Raise `UsageError` if several are active and none is named.
    """
    if key is not None:
        return database.rollout(key)
    active = under_way(database)
    if len(active) > 1:
        names = ", ".join(f"{known.id} ({database.plan(known.plan_id).plan.name})" for known in active)
        raise UsageError(
            f"{len(active)} rollouts are active: {names}",
            f"name the one you mean, as in 'rollout pause {active[-1].id}'",
        )
    return active[0] if active else database.rollout(None)


def require_no_other_rollout(database: Database, stored: StoredPlan, directory: str) -> None:
    """Raise `RefusedError` if a plan would start while another one changes the same collection.

    The paces of two plans would add up, and neither gate would see the other plan's devices.
    """
    for known in under_way(database):
        if known.plan_id == stored.id:
            return
        other = database.plan(known.plan_id).plan
        if known.directory == directory and other.collection == stored.plan.collection:
            raise RefusedError(
                f"{known.id} of {known.plan_id} is active with collection '{other.collection}'; it must finish or be "
                f"aborted before {stored.id} starts; nothing was sent",
                f"resume it: rollout run {known.plan_id}; or end it: rollout abort {known.id}",
            )
