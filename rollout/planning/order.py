"""Which devices go first: a salted, repeatable order in which every prefix mirrors the fleet.

Each device gets a 64-byte BLAKE2b digest of the salt and its id: eight numbers of 64 bits that nobody can choose.
The first one ranks it within its stratum; the others are jitter, one per level. A stratum's device of rank r of m
stands at (r + jitter) / m, so a stratum is spread evenly, and a stratum of one stands anywhere with equal
chance (by rank alone it would always stand at the front). With several columns this is done inside out: first
within (site, model), then within site, so that sites are mirrored best, then the models of a site.

An auditor repeats the order of a phase with these lines::

    def order(salt, column):                                  # column: {device id: (site, model)}
        place, numbers = {}, {}
        for device in column:
            digest = hashlib.blake2b(f"{salt}\\n{device}".encode()).digest()
            numbers[device] = struct.unpack(">8Q", digest)
            place[device] = numbers[device][0] / 2**64
        for depth in range(len(next(iter(column.values()), ())), 0, -1):
            groups = collections.defaultdict(list)
            for device in sorted(column, key=lambda device: (place[device], device)):
                groups[column[device][:depth]].append(device)
            for group in groups.values():
                for rank, device in enumerate(group):
                    place[device] = (rank + (numbers[device][depth] >> 11) / 2**53) / len(group)
        return sorted(column, key=lambda device: (place[device], device))

Ties are broken by id. At most seven columns. The devices of a phase are all that its `where` matches and no phase
before it has taken; if it takes only some, they are the first of this order, but for the few that
`rollout.planning.strata_early` exchanges; then the chosen ones are ordered anew by the same recipe.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rollout.values import IntArray, TextArray

MAX_COLUMNS = 7
"""A digest has eight numbers: one ranks, seven are jitter."""

Numbers = NDArray[np.uint64]


def draw_numbers(ids: TextArray, salt: str) -> Numbers:
    """Return the eight numbers of each device, shape ``(n, 8)``; see the module's recipe."""
    front = f"{salt}\n".encode()
    digest = hashlib.blake2b
    data = b"".join([digest(front + device_id.encode()).digest() for device_id in ids.tolist()])
    return np.frombuffer(data, dtype=">u8").reshape(-1, 8).astype(np.uint64)


def id_ranks(ids: TextArray) -> IntArray:
    """Return the rank of each id in the order of the alphabet, which breaks ties, shape ``(n,)``."""
    rows = np.argsort(
        np.array([device_id.encode() for device_id in ids.tolist()], dtype=np.bytes_), kind="stable"
    )
    return _inverse(rows)


def interleave(numbers: Numbers, columns: Sequence[IntArray], ranks: IntArray) -> IntArray:
    """Return the rows in order: strata interleaved from the finest to the coarsest, shape ``(n,)``.

    numbers : (n, 8) as of `draw_numbers`. columns : at most MAX_COLUMNS, each (n,). ranks : (n,) tie breaks.
    """
    if len(columns) > MAX_COLUMNS:
        raise ValueError(f"expected at most {MAX_COLUMNS} columns to interleave by, found {len(columns)}")
    place = numbers[:, 0].astype(np.float64) / 2.0**64
    joint = _joint(columns, len(numbers))
    for depth in range(len(columns), 0, -1):
        jitter = (numbers[:, depth] >> np.uint64(11)).astype(np.float64) / 2.0**53
        rank, size = _within(joint[depth - 1], place, ranks)
        place = (rank + jitter) / size
    return np.lexsort((ranks, place)).astype(np.int32)


def _joint(columns: Sequence[IntArray], n: int) -> list[IntArray]:
    """Dense codes of the first column, of the first two together, and so on."""
    out: list[IntArray] = []
    codes = np.zeros(n, dtype=np.int64)
    for column in columns:
        width = int(column.max(initial=0)) + 1
        _, dense = np.unique(codes * width + column, return_inverse=True)
        out.append(dense.astype(np.int32))
        codes = dense.astype(np.int64)
    return out


def _within(
    codes: IntArray, place: NDArray[np.float64], ranks: IntArray
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rank of each row within its stratum by place, and the stratum's size, both (n,)."""
    rows = np.lexsort((ranks, place, codes))
    sizes = np.bincount(codes) if len(codes) else np.zeros(0, dtype=np.int64)
    begins = np.cumsum(sizes) - sizes
    rank = np.empty(len(codes), dtype=np.int64)
    rank[rows] = np.arange(len(codes)) - begins[codes[rows]]
    return rank, sizes[codes] if len(codes) else rank


def _inverse(rows: NDArray[np.int64]) -> IntArray:
    out = np.empty(len(rows), dtype=np.int32)
    out[rows] = np.arange(len(rows), dtype=np.int32)
    return out
