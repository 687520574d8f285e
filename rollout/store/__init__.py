"""The journal's database: SQLModel tables, migrations, and the journal with its fenced lease."""

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
