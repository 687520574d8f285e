"""The journal's database: SQLModel tables, migrations, the journal with its fenced lease.

Names are imported when they are asked for: SQLModel costs a second, and `rollout --help` needs none of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rollout.store.database import Database, open_database
    from rollout.store.journal.membership import SqlMembershipLog
    from rollout.store.journal.reader import JournalReader
    from rollout.store.journal.writer import SqlJournal
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
    "JournalReader": "journal.reader",
    "LeaseInfo": "stored",
    "SqlJournal": "journal.writer",
    "SqlMembershipLog": "journal.membership",
    "StoredPlan": "stored",
    "StoredRollout": "stored",
    "open_database": "database",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
