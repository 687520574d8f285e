"""Lists in pages, or of a few ids. A list that is short, loops or repeats is an error, never "the rest is done"."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

from rollout.directory.http.requests import Call
from rollout.directory.http.transport import AnswerError, Transport, origin, shown
from rollout.errors import OutsideError

Row = dict[str, Any]
PAGES_MAX: Final = 20_000
AT_ONCE: Final = 20
"""The most ids in one filter."""


def rows_of(data: Any, what: str) -> list[Row]:
    """Return the rows of a list answer. Raise `OutsideError` if it is not a list of objects."""
    rows = data.get("value") if isinstance(data, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise OutsideError(f"{what}: expected a list of objects under 'value', found something else")
    return rows


def field_of(row: Row, name: str) -> Any:
    """Return a field, whatever the case of its name: the same key is ResourceID here and ResourceId there."""
    if name in row:
        return row[name]
    low = name.lower()
    for key, value in row.items():
        if key.lower() == low:
            return value
    return None


def number_of(row: Row, name: str, what: str) -> int:
    """Return a whole number. Raise `OutsideError` for any other value."""
    value = field_of(row, name)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise OutsideError(f"{what}: expected a number as {name}, found {value!r}")


def linked(transport: Transport, first: Call) -> Iterator[Row]:
    """Return all rows of a list whose pages name the next one (`@odata.nextLink`).

    Raise `OutsideError` if a link appears twice, leads to another host or never ends.
    """
    call, seen = first, {first.url}
    for _ in range(PAGES_MAX):
        data = transport.read(call)
        yield from rows_of(data, shown(call.url))
        link = data.get("@odata.nextLink")
        if not link:
            return
        if not isinstance(link, str) or origin(link) != origin(first.url):
            raise OutsideError(f"{shown(first.url)}: the next page is on another host, refused")
        if link in seen:
            raise OutsideError(f"{shown(first.url)}: the list loops: a page appears twice")
        seen.add(link)
        call = replace(first, url=link)
    raise OutsideError(f"{shown(first.url)}: more than {PAGES_MAX} pages")


def among(
    transport: Transport,
    rows: Callable[[list[int]], Call],
    count: Callable[[list[int]], Call],
    ids: Sequence[int],
    expected: Container[int],
    id_field: str,
) -> dict[int, Row]:
    """Return the rows of some ids, read 20 at a time.

    rows, count : ask for the rows of up to 20 ids, and for how many there are.
    expected : ids that are taken as missing only if the class does not count them either. Where it does not
    count, each is read individually. As long as none is missing this costs nothing.

    Raise `OutsideError` if fewer rows come than are counted, or rows that were not requested.
    """
    found = [row for some in _chunks(ids) for row in _rows_among(transport, rows(some), some, id_field)]
    there = {number_of(row, id_field, "rows") for row in found}
    missing = [number for number in ids if number in expected and number not in there]
    for some in _chunks(missing):
        found += _confirmed(transport, rows, count(some), some, id_field)
    return {number_of(row, id_field, "rows"): row for row in found}


def _confirmed(
    transport: Transport, rows: Callable[[list[int]], Call], count: Call, some: list[int], id_field: str
) -> list[Row]:
    """Return the rows of ids that were missing in an answer; mostly there are none."""
    expected = _count(transport, count)
    if expected is None:
        return [row for number in some for row in _rows_among(transport, rows([number]), [number], id_field)]
    found = _rows_among(transport, rows(some), some, id_field) if expected else []
    if len(found) < expected:
        raise OutsideError(
            f"{shown(count.url).partition('?')[0]}: a short answer: {len(found)} rows of {expected}",
            "nothing was concluded from it; see SMS_REST_PROVIDER.log on the provider",
        )
    return found


def _rows_among(transport: Transport, call: Call, some: list[int], id_field: str) -> list[Row]:
    found = list(linked(transport, call))
    if not {number_of(row, id_field, shown(call.url)) for row in found} <= set(some):
        raise OutsideError(f"{shown(call.url)}: the answer has devices that were not requested")
    return found


def _chunks(ids: Sequence[int]) -> list[list[int]]:
    return [[int(number) for number in ids[start : start + AT_ONCE]] for start in range(0, len(ids), AT_ONCE)]


def after_id(transport: Transport, page: Callable[[int], Call], count: Call, id_field: str) -> dict[int, Row]:
    """Return all rows of a class by id, page after page in order of the id, until an empty page.

    The number of rows is read first; fewer rows, counted twice, is an error. Where the class does not
    count, the list is read twice and must agree.

    Raise `OutsideError` for ids out of order, repeated or missing.
    """
    expected = _count(transport, count)
    rows = _walk(transport, page, id_field)
    if expected is None:
        if _walk(transport, page, id_field).keys() != rows.keys():
            raise OutsideError(f"{shown(count.url)}: the list was read twice and differs")
        return rows
    if len(rows) < expected:
        # Rows may have gone in between: only a second, agreeing count makes it an error.
        again = _count(transport, count)
        rows = _walk(transport, page, id_field)
        if again is not None and len(rows) < again:
            raise OutsideError(
                f"{shown(page(0).url)}: a short list: {len(rows)} rows of {again}",
                "nothing was concluded from it; see SMS_REST_PROVIDER.log on the provider",
            )
    return rows


def _walk(transport: Transport, page: Callable[[int], Call], id_field: str) -> dict[int, Row]:
    out: dict[int, Row] = {}
    last = 0
    for _ in range(PAGES_MAX):
        call = page(last)
        data = transport.read(call)
        rows = rows_of(data, shown(call.url))
        if not rows:
            return out
        for row in rows:
            number = number_of(row, id_field, shown(call.url))
            if number <= last:
                raise OutsideError(
                    f"{shown(call.url)}: the list loops or is out of order at {id_field} {number}"
                )
            out[number] = row
            last = number
    raise OutsideError(f"{shown(page(0).url)}: more than {PAGES_MAX} pages")


def _count(transport: Transport, call: Call) -> int | None:
    try:
        data = transport.read(call)
    except AnswerError as error:
        if error.status in (400, 404, 501):
            return None
        raise
    if isinstance(data, int) and not isinstance(data, bool):
        return data
    raise OutsideError(f"{shown(call.url)}: expected a number, found {data!r}")
