"""The rows of the journal: the content of each kind, and the chain of seals that fixes their order.

decision   the loop decided: its progress, its counts, and the batch that it intends
point      counts that only charts need
facts      what an observation showed of single devices for the first time
confirm    the directory answered a chunk
withdraw   the directory answered a withdrawal of single devices
cancel     the rest of a batch is never sent
session    an event of this execution: begin, error, alert
lease      an executor took or released the lease
command    a person requested something
"""

from __future__ import annotations

import hashlib
import json
import zlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rollout.values import (
    Applied,
    Batch,
    DecisionRow,
    Fact,
    Facts,
    IntArray,
    Progress,
    ProgressPoint,
    document_of,
    value_of,
)

NO_BATCH = -1


@dataclass(frozen=True, slots=True)
class Entry:
    """A row that is not yet in the journal: it has neither number nor seal."""

    kind: str
    at: int
    body: dict[str, Any]
    batch: int = NO_BATCH
    packed: bytes = b""


@dataclass(frozen=True, slots=True)
class Kept:
    """A row of the journal."""

    number: int
    kind: str
    at: int
    epoch: int
    batch: int
    body: str
    packed: bytes
    seal: str

    @property
    def content(self) -> dict[str, Any]:
        """The body, decoded."""
        content = json.loads(self.body)
        if not isinstance(content, dict):
            raise TypeError(f"expected an object, found {type(content).__name__}")
        return content


def kept(entry: Entry, number: int, epoch: int, before: str) -> Kept:
    """Return `entry` as row `number`; before : the seal of the previous row."""
    body = json.dumps(entry.body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    row = Kept(number, entry.kind, entry.at, epoch, entry.batch, body, entry.packed, "")
    return Kept(number, entry.kind, entry.at, epoch, entry.batch, body, entry.packed, seal_of(before, row))


def seal_of(before: str, row: Kept) -> str:
    """Return the SHA-256 over the seal of the previous row and everything in this row."""
    facts = [row.number, row.kind, row.at, row.epoch, row.batch, row.body]
    packed = hashlib.sha256(row.packed).hexdigest()
    return hashlib.sha256(json.dumps([before, *facts, packed]).encode()).hexdigest()


def genesis(*facts: str | int) -> str:
    """Return the seal before the first row: it binds the journal to its rollout and plan."""
    return hashlib.sha256(json.dumps(["rollout journal", *facts]).encode()).hexdigest()


def pack(*arrays: IntArray) -> bytes:
    """Compress int32 arrays, concatenated."""
    joined = np.concatenate([np.asarray(array, dtype="<i4") for array in arrays])
    return zlib.compress(joined.tobytes(), 1)


def unpack(packed: bytes, *lengths: int) -> list[IntArray]:
    """Return the packed arrays. Raise `ValueError` if they are damaged or have other lengths."""
    joined = unpack_whole(packed)
    if len(joined) != sum(lengths):
        raise ValueError(f"expected {sum(lengths)} numbers, found {len(joined)}")
    return np.split(joined, np.cumsum(lengths)[:-1])


def unpack_whole(packed: bytes) -> IntArray:
    """Return all packed numbers as one array. Raise `ValueError` if they are damaged."""
    try:
        return np.frombuffer(zlib.decompress(packed), dtype="<i4").astype(np.int32)
    except zlib.error as error:
        raise ValueError(str(error)) from error


def decision_entry(row: DecisionRow, progress: Progress, batch: Batch | None, point: ProgressPoint) -> Entry:
    """Return a single row for a decision, its progress and the batch that it intends."""
    body = {
        "row": document_of(row),
        "progress": document_of(progress),
        "point": document_of(point),
    }
    if batch is None:
        return Entry("decision", row.at, body)
    body["batch"] = {
        "phase": batch.phase,
        "at": batch.at,
        "rows": len(batch.rows),
        "adopted": len(batch.adopted),
    }
    return Entry("decision", row.at, body, batch.number, pack(batch.rows, batch.adopted))


def decision_of(row: Kept) -> tuple[DecisionRow, Progress, ProgressPoint, Batch | None]:
    """Return the parts of a decision's row."""
    content = row.content
    batch = None
    if row.batch != NO_BATCH:
        facts = content["batch"]
        rows, adopted = unpack(row.packed, facts["rows"], facts["adopted"])
        batch = Batch(row.batch, facts["phase"], facts["at"], rows, adopted)
    return (
        value_of(DecisionRow, content["row"]),
        value_of(Progress, content["progress"]),
        value_of(ProgressPoint, content["point"]),
        batch,
    )


def facts_entry(facts: Facts) -> Entry:
    """Return the row that records what an observation showed of single devices."""
    codes = facts.codes.astype(np.uint32).view(np.int32)
    return Entry(
        "facts",
        facts.at,
        {"rows": len(facts)},
        NO_BATCH,
        pack(facts.rows, facts.facts.astype(np.int32), codes),
    )


def facts_of(row: Kept) -> Facts:
    """Return the content of a row of kind facts. Raise `ValueError` if it is damaged."""
    rows, facts, codes = unpack(row.packed, *[row.content["rows"]] * 3)
    known = {int(fact) for fact in Fact}
    if not known.issuperset(np.unique(facts).tolist()) or rows.min(initial=0) < 0:
        raise ValueError("a row or a fact is out of range")
    return Facts(row.at, rows, facts.astype(np.int8), codes.view(np.uint32).astype(np.int64))


def confirm_entry(batch: int, upto: int, applied: Applied, at: int) -> Entry:
    """Return the row that records how far the directory has answered a batch, and its answer."""
    body = {
        "upto": upto,
        "accepted": len(applied.accepted),
        "adopted": len(applied.adopted),
        "rejected": len(applied.rejected),
        "reasons": list(applied.reasons),
    }
    return Entry("confirm", at, body, batch, pack(applied.accepted, applied.adopted, applied.rejected))


def withdraw_entry(applied: Applied, at: int) -> Entry:
    """Return the row that records the directory's answer to a withdrawal of single devices."""
    return replace(confirm_entry(NO_BATCH, 0, applied, at), kind="withdraw")


def applied_of(row: Kept) -> Applied:
    """Return the directory's answer to a chunk."""
    content = row.content
    parts = unpack(row.packed, content["accepted"], content["adopted"], content["rejected"])
    return Applied(parts[0], parts[1], parts[2], tuple(content["reasons"]))


def point_of(row: Kept) -> ProgressPoint:
    """Return the counts of a row of kind point."""
    return value_of(ProgressPoint, row.content)
