"""Inventories: snapshots of the fleet, from exports or generated."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rollout.api.file_names import expand
from rollout.arguments import require_instant
from rollout.documents import planning as documents
from rollout.exports.reading import read_exports
from rollout.store import Database
from rollout.values import Inventory
from sim.fleet.population import generate
from sim.scenario import Scenario


@dataclass(frozen=True, slots=True)
class InventoryResult:
    """An inventory that was stored. id : its id, such as inv-1."""

    id: str
    inventory: Inventory

    @property
    def document(self) -> documents.Inventory:
        """What `rollout inventory --json` prints."""
        files = self.inventory.files
        return documents.Inventory(
            id=self.id,
            accepted=len(self.inventory.fleet),
            rejected=len(self.inventory.rejected),
            files=tuple(
                documents.InventoryFile(file=name, kind=kind, rows=rows) for name, kind, rows in files
            ),
        )


def read_inventory(
    names: Sequence[str | Path],
    *,
    taken: int | None = None,
    encoding: str | None = None,
    allow_rejected: bool = False,
    day_first: bool | None = None,
    progress: Callable[[int], None] | None = None,
) -> Inventory:
    """Read exports of Intune, Entra and ConfigMgr, joined on the Entra device id. All or nothing.

    names : files, or patterns such as *.csv. taken : Unix seconds at which the exports describe the fleet, now by
    default. encoding, day_first : how to read the files if that cannot be detected. allow_rejected : leave bad lines
    out instead of refusing the file. progress : called with the number of rows read.

    Raise `rollout.exports.reading.ExportError` with every rejected line, `UsageError` for a pattern without files or
    an impossible instant.
    """
    return read_exports(
        expand(names, "--from"),
        taken=int(time.time()) if taken is None else require_instant("taken", taken),
        encoding=encoding,
        allow_rejected=allow_rejected,
        day_first=day_first,
        progress=progress,
    )


def generate_inventory(scenario: Scenario, *, seed: int = 1, taken: int | None = None) -> Inventory:
    """Generate the fleet of a scenario. taken : Unix seconds of the snapshot, now by default."""
    moment = int(time.time()) if taken is None else require_instant("taken", taken)
    return generate(scenario.fleet, seed, moment)


def store_inventory(database: Database, inventory: Inventory) -> InventoryResult:
    """Store a snapshot of the fleet; the next step takes the latest one by default."""
    return InventoryResult(database.add_inventory(inventory), inventory)
