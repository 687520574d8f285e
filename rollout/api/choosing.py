"""Which rollout is meant, and whether another one is in the way."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rollout.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rollout.store import Database, StoredPlan, StoredRollout


def under_way(database: Database) -> Sequence[StoredRollout]:
    """Give the rollouts that have begun and are neither final nor told to end, the oldest first."""
    return [
        one
        for one in database.rollouts()
        if one.state is not None and not one.state.is_final and not database.reader(one.id).commands().aborted
    ]


def to_command(database: Database, key: str | None) -> StoredRollout:
    """Give the rollout that a command is for: the named one, else the one under way, else the latest.

    Raise `UsageError` if nobody named one of several.
    """
    if key is not None:
        return database.rollout(key)
    several = under_way(database)
    if len(several) > 1:
        names = ", ".join(f"{one.id} ({database.plan(one.plan_id).plan.name})" for one in several)
        raise UsageError(
            f"expected the rollout that is meant, found {len(several)} under way: {names}",
            f"name it, as in 'rollout pause {several[-1].id}'",
        )
    return several[0] if several else database.rollout(None)


def check_alone(database: Database, stored: StoredPlan, directory: str) -> None:
    """Raise `RefusedError` if a plan would begin while another one fills or empties the same collection.

    Two executors of two plans would add up what each paces, and neither gate would see the other's devices.
    """
    for one in under_way(database):
        if one.plan_id == stored.id:
            return
        other = database.plan(one.plan_id).plan
        if one.directory == directory and other.collection == stored.plan.collection:
            raise RefusedError(
                f"{one.id} of {one.plan_id} is under way with collection '{other.collection}': expected it finished "
                f"or aborted before {stored.id} begins; nothing was sent",
                f"go on with it: rollout run {one.plan_id}; or end it: rollout abort {one.id}",
            )
