"""The devices and the person that a command to a rollout names."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

from rollout.errors import UsageError
from rollout.text import is_plain, visible

if TYPE_CHECKING:
    from rollout.store import Database


def find_devices(database: Database, inventory_id: str, devices: list[str]) -> tuple[int, ...]:
    """Give the fleet row of each id or name. Raise `UsageError` for an unknown or ambiguous one."""
    import numpy as np

    fleet = database.inventory(inventory_id).fleet
    rows = []
    for one in devices:
        # numpy refuses to compare with a lone surrogate, as an argument that is no UTF-8 becomes.
        asked = one if is_plain(one) else ""
        hits = np.flatnonzero((fleet.ids == asked.lower()) | (fleet.names == asked))
        hits = hits if asked else hits[:0]
        if len(hits) != 1:
            found = "none" if not len(hits) else f"{len(hits)} devices with that name"
            hint = "give the device id" if len(hits) else "ids and names stand in the inventory's exports"
            raise UsageError(f"expected one device '{one}', found {found}", hint)
        rows.append(int(hits[0]))
    return tuple(rows)


def user() -> str:
    """Give the name of whoever runs this process."""
    try:
        return visible(getpass.getuser())
    except (KeyError, OSError, ImportError):  # Windows without USERNAME has no module pwd
        return "unknown"
