"""The journal's database: SQLModel tables, migrations, the journal with its fenced lease.

Names are imported when they are asked for: SQLModel costs a second, and `rollout --help` needs none of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rollout.store.database import Database, open_database
    from rollout.store.journal import SqlJournal
    from rollout.store.membership import SqlMembershipLog
    from rollout.store.reader import JournalReader
    from rollout.store.stored import ChainBreak, LeaseInfo, StoredPlan, StoredRollout

__all__ = [
    "ChainBreak",
    "Database",
    "JournalReader",
    "LeaseInfo",
    "SqlJournal",
    "SqlMembershipLog",
    "StoredPlan",
    "StoredRollout",
    "open_database",
]

_HOME = {
    "ChainBreak": "stored",
    "Database": "database",
    "JournalReader": "reader",
    "LeaseInfo": "stored",
    "SqlJournal": "journal",
    "SqlMembershipLog": "membership",
    "StoredPlan": "stored",
    "StoredRollout": "stored",
    "open_database": "database",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
