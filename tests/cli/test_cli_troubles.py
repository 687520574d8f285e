"""What becomes of a rollout by the command line when something goes wrong on the wire of a site or a tenant.

The README's table of troubles says the same in words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from benches import CLIENTS, Bench, Benches, decisions
from emulators.adminservice import TARGET
from emulators.graph import GROUP
from emulators.web import Asked, Fault, Reply
from faults.wires import LINK

from rollout.store import open_database
from rollout.values import HOUR_S, State

pytest.importorskip("azure.identity", reason="azure-identity is not installed: pip install 'rollout[graph]'")
pytestmark = [
    pytest.mark.slow,
    # azure-identity leaves its connections to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

WRITE = "PATCH|AddMembershipRule"
UNREADABLE = "HOLD: the directory could not be read"


class Wire:
    """What goes over the wire. writes : status of each addition, or "lost". before : called one by one, before each."""

    def __init__(self, it: Bench) -> None:
        self.writes: list[int | str] = []
        self.rows: list[int] = []
        self.before: list[Callable[[list[int]], None]] = []
        self._it, self._answer = it, it.emulator.answer
        it.emulator.answer = self.answer

    def answer(self, asked: Asked) -> Reply:
        rows = self._added(asked)
        if rows and self.before:
            self.before.pop(0)(rows)
        told: int | str = "lost"
        try:
            reply: Reply = self._answer(asked)
            told = reply.status
        finally:
            if rows:
                self.writes.append(told)
                self.rows += rows if told in (201, 204, "lost") else []
        return reply

    def _added(self, asked: Asked) -> list[int]:
        emulator = self._it.emulator
        if self._it.kind == "graph":
            adds = asked.method == "PATCH" or "/members/$ref" in str(asked.body)
            return [emulator.objects[match] for match in LINK.findall(str(asked.body)) if adds]
        rule = asked.body.get("collectionRule") if asked.path.endswith("AddMembershipRule") else None
        return [emulator.row_of[rule["ResourceID"]]] if rule else []


@pytest.fixture(name="it", params=["adminservice", "graph"])
def _it(
    request: pytest.FixtureRequest, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Iterator[Bench]:
    """An approved plan for a site, and for a tenant."""
    with ExitStack() as stack:
        it = Benches(tmp_path, capsys, stack).make(request.param)
        it.call("approve", "--by", "Kim")
        yield it


@pytest.fixture(name="wire")
def _wire(it: Bench) -> Wire:
    return Wire(it)


def put_in(it: Bench, row: int) -> None:
    """Somebody else makes a device a member."""
    if it.kind == "graph":
        it.emulator.target.members[it.emulator.object_of[row]] = None
    else:
        resource = int(it.emulator.fleet.resource_ids[row])
        it.emulator.target.rules[resource] = {"ResourceID": resource, "RuleName": "theirs"}
    it.emulator.world.enter(row, it.emulator.now())


def take_away(it: Bench, row: int) -> None:
    """A device is deleted in the directory."""
    known = it.emulator.object_of if it.kind == "graph" else it.emulator.fleet.resource_ids.tolist()
    it.emulator.gone.add(known[row])


def told(kind: str) -> list[str]:
    """Give the journal's session rows of a kind: unanswered or unreadable."""
    with open_database("rollout.db") as database:
        return [text for _, item, text in database.reader("run-1").sessions() if item == kind]


def final(it: Bench) -> dict[str, int]:
    counts: dict[str, int] = json.loads(it.call("status", "--json"))["final"]
    return {name: count for name, count in counts.items() if count}


def finishes(it: Bench, **counts: int) -> None:
    """The run ends with exit code 0, with these devices in and these outcomes, and was never held."""
    assert "is finished" in it.run()
    assert final(it) == counts
    assert len(it.members()) == counts["enrolled"]
    assert {row.state for row in decisions("run-1")} == {State.RUNNING, State.FINISHED}


def test_a_lost_answer_costs_nothing(it: Bench, wire: Wire) -> None:
    """Looked up, not sent again: everybody is in, each was sent once."""
    it.emulator.faults.append(Fault(WRITE, skip=1, lose=True))
    finishes(it, enrolled=CLIENTS)
    assert wire.writes.count("lost") == 1
    assert sorted(wire.rows) == list(range(CLIENTS))
    # A site's client looks by itself; a tenant's leaves that to the loop.
    assert len(told("unanswered")) == (1 if it.kind == "graph" else 0)


def test_who_was_added_in_between_counts_as_added(it: Bench, wire: Wire) -> None:
    """Between look and write somebody adds one of the five: 400, a look, and the others are sent."""
    wire.before.append(lambda rows: put_in(it, rows[0]))
    finishes(it, enrolled=CLIENTS)
    assert wire.writes.count(400) == 1
    assert told("unanswered") == []


def test_one_bad_id_is_rejected_alone(it: Bench, wire: Wire) -> None:
    """A device that was deleted after the first look: rejected with what the directory said; the others are in."""
    wire.before.append(lambda rows: take_away(it, rows[0]))
    finishes(it, enrolled=CLIENTS - 1, rejected=1)
    assert wire.writes.count(404) == 1
    with open_database("rollout.db") as database:
        reasons = [why for _, _, item in database.reader("run-1").applied() for why in item.reasons]
    assert len(reasons) == 1
    assert "404" in reasons[0]


def test_a_target_that_is_deleted_under_way_holds_and_rejects_nobody(it: Bench, wire: Wire) -> None:
    """Held at the next look, no write after those of the chunk; exit 4 for who begins anew; restored, it goes on."""
    places, key = (it.emulator.groups, GROUP) if it.kind == "graph" else (it.emulator.collections, TARGET)
    kept = places[key]
    wire.before += [lambda _rows: None] * (1 if it.kind == "graph" else 5) + [lambda _rows: places.pop(key)]
    it.clock.after(5 * HOUR_S, interrupt)
    assert "interrupted" in it.run(code=130)
    assert decisions("run-1")[-1].state is State.HELD
    assert decisions("run-1")[-1].reason == UNREADABLE
    # What was under way beside it meets a 404, too: five writes of 20 members, or eight of one.
    assert 1 <= wire.writes.count(404) <= (1 if it.kind == "graph" else 8)
    assert key in told("unreadable")[-1]
    assert final(it).keys() <= {"pending", "enrolled"}
    assert key in it.run(code=4)
    places[key] = kept
    assert "is finished" in it.run()
    assert final(it) == {"enrolled": CLIENTS}
    assert sorted(wire.rows) == list(range(CLIENTS))


def interrupt() -> None:
    raise KeyboardInterrupt


def test_a_token_that_is_refused_is_renewed_and_the_write_goes_through(it: Bench, wire: Wire) -> None:
    """A tenant: at once, although the token would have lasted. A site over Kerberos: the loop looks and sends."""
    if it.kind == "graph":
        wire.before.append(lambda _rows: revoke(it))
    else:
        it.emulator.faults.append(Fault(WRITE, reply=Reply(401, {"error": {"code": "401", "message": ""}})))
    finishes(it, enrolled=CLIENTS)
    assert wire.writes.count(401) == 1
    assert sorted(wire.rows) == list(range(CLIENTS))
    assert len(told("unanswered")) == (0 if it.kind == "graph" else 1)
    assert told("unreadable") == []


def revoke(it: Bench) -> None:
    """The tenant takes only tokens that are issued from now on."""
    it.tokens.issued = "canary-token-2"
    it.emulator.tokens = {"canary-token-2"}


def test_half_of_a_page_changes_nothing_in_the_end(it: Bench, wire: Wire) -> None:
    """A list that is short of what is counted is unreadable, a tenant's and a site's: held where a decision is due.
    Nobody is sent twice, and the end is the same."""

    def half(reply: Reply) -> Reply:
        rows = reply.data["value"]
        return replace(reply, data=reply.data | {"value": rows[: len(rows) // 2]})

    it.emulator.faults.append(Fault(r"GET .*(members|Membership)$", skip=15, times=12, after=half))
    assert "is finished" in it.run()
    assert final(it) == {"enrolled": CLIENTS}
    assert it.members() == sorted(wire.rows) == list(range(CLIENTS))
    assert it.emulator.faults[0].times == 0
    short = [
        item
        for item in told("unreadable")
        if re.search(r"short (list: 30 of 60|answer: \d+ rows of \d+)", item)
    ]
    assert len(short) == len(told("unreadable")) >= 4
    assert {row.reason for row in decisions("run-1") if row.state is State.HELD} <= {UNREADABLE}
