"""The columns of an export, read chunk by chunk and stored as numpy arrays.

Each kind of column checks its values: a value that it cannot use is a `Fault`, and the row gets a placeholder until
it is left out. No Python object of a row outlives its chunk.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rollout.exports.moments import DateError, Dates, yes_no
from rollout.text import ALLOWED, is_plain
from rollout.values import UNKNOWN, BoolArray, Factor, FlagArray, IntArray, LongArray, TextArray

IdArray = NDArray[np.bytes_]
"""Entra and Intune IDs: (n,) ``S36`` in lower case, empty if unknown."""

TEXT_MAX = 256

_GUID = re.compile(r"(?:GUID:)?\{?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\}?", re.ASCII | re.IGNORECASE)
_NO_GUID = b"00000000-0000-0000-0000-000000000000"
_DASHES = [8, 13, 18, 23]
_DIGITS = [at for at in range(36) if at not in _DASHES]


@dataclass(frozen=True, slots=True)
class Fault:
    """A value that cannot be used. at : its position in the chunk."""

    at: int
    found: str
    expected: str


class Column(Protocol):
    """What every kind of column can do."""

    def take(self, values: Sequence[str]) -> list[Fault]:
        """Add a chunk and return its faults."""
        ...

    def array(self, keep: BoolArray | None) -> Any:
        """Return the whole column, reduced to the rows to `keep` (None: all)."""
        ...


def _whole(chunks: list[NDArray[Any]], keep: BoolArray | None, dtype: Any) -> Any:
    whole = np.concatenate(chunks) if chunks else np.empty(0, dtype=dtype)
    chunks.clear()
    return whole if keep is None else whole[keep]


def text_fault(value: str) -> str:
    """Return what was expected of a text that cannot be accepted; empty if it can."""
    if len(value) > TEXT_MAX:
        return f"at most {TEXT_MAX} characters"
    return "" if is_plain(value) else ALLOWED


class Guids:
    """IDs as Entra and Intune write them."""

    def __init__(self, *, required: bool) -> None:
        self._required = required
        self._chunks: list[IdArray] = []

    def take(self, values: Sequence[str]) -> list[Fault]:
        """Add one chunk; see `Column`."""
        ids = _plain_guids(values)
        faults: list[Fault] = []
        if ids is None:
            ids, faults = self._each(values)
        elif (zero := ids == _NO_GUID).any():
            ids[zero] = b""
            if self._required:
                faults = [
                    Fault(at, values[at], "an ID that is not all zeros")
                    for at in np.flatnonzero(zero).tolist()
                ]
        self._chunks.append(ids)
        return faults

    def _each(self, values: Sequence[str]) -> tuple[IdArray, list[Fault]]:
        ids = np.zeros(len(values), dtype="S36")
        faults = []
        for at, value in enumerate(values):
            text = value.strip()
            match = _GUID.fullmatch(text)
            if match and match[1] != _NO_GUID.decode():
                ids[at] = match[1].lower().encode()
            elif self._required or (not match and text):
                faults.append(Fault(at, value, "an ID such as 1b4e28ba-2fa1-11d2-883f-b9a761bde3fb"))
        return ids, faults

    def array(self, keep: BoolArray | None) -> IdArray:
        """Return (n,) ``S36``."""
        ids: IdArray = _whole(self._chunks, keep, "S36")
        return ids


def _plain_guids(values: Sequence[str]) -> IdArray | None:
    """Check a chunk of plain 36-character IDs in one pass; None if any of them has another form."""
    if set(map(len, values)) != {36}:
        return None
    joined = "".join(values)
    if not joined.isascii():
        return None
    letters = np.frombuffer(joined.lower().encode(), dtype=np.uint8).reshape(len(values), 36)
    digits = letters[:, _DIGITS]
    hexes = ((digits >= ord("0")) & (digits <= ord("9"))) | ((digits >= ord("a")) & (digits <= ord("f")))
    if not (hexes.all() and (letters[:, _DASHES] == ord("-")).all()):
        return None
    return letters.copy().view("S36").ravel()


class Texts:
    """Names and serial numbers: nearly as many distinct values as rows."""

    def __init__(self, *, required: bool) -> None:
        self._required = required
        self._chunks: list[TextArray] = []

    def take(self, values: Sequence[str]) -> list[Fault]:
        """Add one chunk; see `Column`."""
        faults: list[Fault] = []
        joined = "".join(values)
        clean = joined.isprintable() and max(map(len, values)) <= TEXT_MAX
        if not clean or self._required:
            for at, value in enumerate(values):
                expected = "" if clean else text_fault(value)
                if self._required and not value.strip():
                    expected = "a value"
                if expected:
                    faults.append(Fault(at, value, expected))
        stripped = [value.strip() for value in values]
        for fault in faults:
            stripped[fault.at] = ""
        self._chunks.append(np.array(stripped, dtype=np.dtypes.StringDType()))
        return faults

    def array(self, keep: BoolArray | None) -> TextArray:
        """Return (n,) text."""
        column: TextArray = _whole(self._chunks, keep, np.dtypes.StringDType())
        return column


class _Codes(dict[str, int]):
    """Assigns the next code to each new text."""

    def __missing__(self, key: str) -> int:
        code = self[key] = len(self)
        return code


class Levels:
    """Text with few distinct values; each distinct value is translated once.

    translate : returns the level of a value; raises `ValueError` with what was expected.
    before : shortens each value before it is coded (to the domain of an address, for example).
    """

    def __init__(
        self,
        translate: Callable[[str], str],
        before: Callable[[str], str] | None = None,
        *,
        required: bool = False,
    ) -> None:
        self._translate = translate
        self._before = before
        self._required = required
        self._codes = _Codes()
        self._levels: list[str] = []
        self._bad: dict[int, str] = {}
        self._chunks: list[IntArray] = []

    def take(self, values: Sequence[str]) -> list[Fault]:
        """Add one chunk; see `Column`."""
        coded = map(self._before, values) if self._before else values
        codes = np.fromiter(map(self._codes.__getitem__, coded), dtype=np.int32, count=len(values))
        self._chunks.append(codes)
        if len(self._codes) > len(self._levels):
            for code, value in enumerate(list(self._codes)[len(self._levels) :], len(self._levels)):
                self._levels.append(self._level(code, value))
        if not self._bad:
            return []
        rows: list[int] = np.flatnonzero(np.isin(codes, list(self._bad))).tolist()
        return [Fault(at, values[at], self._bad[int(codes[at])]) for at in rows]

    def _level(self, code: int, value: str) -> str:
        stripped = value.strip()
        expected = text_fault(stripped) or ("a value" if self._required and not stripped else "")
        level = ""
        if not expected:
            try:
                level = self._translate(stripped)
            except ValueError as error:
                expected = str(error)
        if expected:
            self._bad[code] = expected
        return level

    def array(self, keep: BoolArray | None) -> Factor:
        """Return the factor, with sorted levels."""
        raw: IntArray = _whole(self._chunks, keep, np.int32)
        used = np.unique(raw)
        levels = tuple(sorted({self._levels[code] for code in used.tolist()}))
        index = {level: code for code, level in enumerate(levels)}
        table = np.array([index.get(level, 0) for level in self._levels], dtype=np.int32)
        return Factor(table[raw] if len(raw) else raw, levels)


class Flags:
    """Yes, no, unknown."""

    def __init__(self, *, required: bool) -> None:
        self._levels = Levels(lambda text: str(yes_no(text)), required=required)

    def take(self, values: Sequence[str]) -> list[Fault]:
        """Add one chunk; see `Column`."""
        return self._levels.take(values)

    def array(self, keep: BoolArray | None) -> FlagArray:
        """Return (n,) int8: 1, 0, -1."""
        factor = self._levels.array(keep)
        table = np.array([int(level or UNKNOWN) for level in factor.levels], dtype=np.int8)
        return table[factor.codes] if len(factor) else np.empty(0, dtype=np.int8)


class Numbers:
    """Whole numbers above 0 that fit 32 bits."""

    def __init__(self, *, required: bool) -> None:
        self._required = required
        self._chunks: list[LongArray] = []

    def take(self, values: Sequence[str]) -> list[Fault]:
        """Add one chunk; see `Column`."""
        numbers = np.full(len(values), UNKNOWN, dtype=np.int64)
        faults = []
        for at, value in enumerate(values):
            text = value.strip()
            if text.isascii() and text.isdigit() and len(text) <= 10 and 0 < int(text) < 2**32:
                numbers[at] = int(text)
            elif text or self._required:
                faults.append(Fault(at, value, "a whole number above 0"))
        self._chunks.append(numbers)
        return faults

    def array(self, keep: BoolArray | None) -> LongArray:
        """Return (n,) int64, -1 if unknown."""
        numbers: LongArray = _whole(self._chunks, keep, np.int64)
        return numbers


class Times:
    """Dates; see `Dates` for the accepted forms.

    word : a text that is accepted in place of a date; `worded` returns its rows.
    """

    def __init__(self, day_first: bool | None = None, word: str = "") -> None:
        self._dates = Dates(day_first)
        self._word = word
        self._chunks: list[LongArray] = []
        self._worded: list[BoolArray] = []

    def take(self, values: Sequence[str]) -> list[Fault]:
        """Add one chunk; see `Column`."""
        seconds = self._dates.seconds
        times = np.full(len(values), UNKNOWN, dtype=np.int64)
        worded = np.zeros(len(values), dtype=np.bool_)
        faults = []
        for at, value in enumerate(values):
            try:
                times[at] = seconds(value)
            except DateError as error:
                if self._word and value.strip().casefold() == self._word:
                    worded[at] = True
                else:
                    faults.append(Fault(at, value, error.expected))
        self._chunks.append(times)
        self._worded.append(worded)
        return faults

    def array(self, keep: BoolArray | None) -> LongArray:
        """Return (n,) int64 Unix seconds, -1 if unknown."""
        times: LongArray = _whole(self._chunks, keep, np.int64)
        return times

    def worded(self, keep: BoolArray | None) -> BoolArray:
        """Return (n,) bool: the rows that hold the word."""
        rows: BoolArray = _whole(self._worded, keep, np.bool_)
        return rows
