"""An Entra tenant as a directory: what is refused, what is sent, and what becomes of every kind of trouble."""

from __future__ import annotations

import random
import sys
import threading
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from emulators.graph import GROUP, TENANT, Grouped, Quota
from emulators.people import Prompt, guid
from emulators.web import FakeTime, Fault, Reply, TeamTime
from faults.wires import LINK
from opened import SITE_URL, Setting, Token, network_of, rows, site, tenant

from rollout.directory.configmgr.settings import AdminServiceSettings
from rollout.directory.graph import requests as ask
from rollout.directory.graph.opening import open_tenant
from rollout.directory.graph.settings import GraphSettings
from rollout.directory.graph.tenant import batch_answers
from rollout.directory.http.concurrency import THREAD_NAME
from rollout.directory.http.credentials import ALWAYS_TRUE_CLAIMS
from rollout.directory.http.pace import Pace
from rollout.directory.http.pace import Quota as OurQuota
from rollout.directory.opening import open_directory
from rollout.directory.outcomes import failure_code, is_comanaged
from rollout.directory.port import Opening
from rollout.errors import OutsideError, RefusedError, UsageError
from rollout.executor.clock import LivelyTime
from rollout.loop.undo import UndoDirectory
from rollout.values import Batch, Outcome


def error(status: int, **headers: str) -> Reply:
    return Reply(
        status,
        {"error": {"code": "x", "message": "no"}},
        {k.replace("_", "-"): v for k, v in headers.items()},
    )


def refused(it: Setting, says: str) -> None:
    """Preparing is refused with these words, and nothing was written."""
    with pytest.raises(RefusedError, match=says):
        it.directory.prepare(it.plan)
    assert not it.emulator.writes()


# Before the first look.


@pytest.mark.parametrize(
    ("extra", "says"),
    [
        ({"groupTypes": ["DynamicMembership"]}, "is dynamic"),
        ({"membershipRule": "device.model -eq 'X'"}, "is dynamic"),
        ({"onPremisesSyncEnabled": True}, "is synced"),
        ({"isAssignableToRole": True}, "is role-assignable"),
        ({"mailEnabled": True}, "no plain security group"),
        ({"securityEnabled": False}, "no plain security group"),
    ],
)
def test_a_group_that_must_not_be_written_is_refused(extra: dict[str, Any], says: str) -> None:
    """Dynamic, synced, role-assignable, mail-enabled: each with its reason."""
    it = tenant(bare=True)
    it.emulator.target.extra = extra
    refused(it, says)


def test_two_groups_of_a_name_are_refused() -> None:
    """Names need not be unique: an id decides."""
    it = tenant(bare=True, group="")
    it.emulator.groups[guid("other")] = Grouped(guid("other"), "Intune Auto Enrollment")
    refused(it, "2 groups are named 'Intune Auto Enrollment'")


def test_a_group_that_is_not_there_is_refused() -> None:
    """By id and by name."""
    refused(tenant(bare=True, group=guid("nothing")), "does not exist")
    refused(tenant(bare=True, group="Nothing"), "there is no group named")


def test_the_wrong_tenant_is_refused() -> None:
    """By the settings, and by what was recorded at the first contact."""
    refused(tenant(bare=True, tenant_id=guid("other")), "expected tenant")
    refused(tenant(bare=True, identity=guid("first")), "first contact")


def test_the_mode_needs_a_person_who_looked() -> None:
    """Graph does not show it."""
    refused(tenant(bare=True, confirmed_pilot_by=""), "does not show whether automatic enrollment is Pilot")


def test_a_group_that_copies_a_collection_is_refused() -> None:
    """With a site in the settings, its cloud sync is asked for: write only the collection."""
    it, other = tenant(bare=True), site(bare=True)
    other.emulator.cloud_sync = [
        {"CollectionSiteID": "P0100010", "AADGroupID": GROUP.upper(), "AADGroupName": "g"}
    ]

    class Both:
        def answer(self, asked: Any) -> Reply:
            return (other if "AdminService" in asked.path else it).emulator.answer(asked)

    from emulators.web import in_process

    sections = {"adminservice": AdminServiceSettings(hosts=(SITE_URL,), auth="none")}
    opening = Opening(it.plan, it.fleet, sections, clock=it.time)
    directory = open_tenant(it.directory.settings, opening, network_of(in_process(Both())))
    with pytest.raises(RefusedError, match="is a copy of collection P0100010"):
        directory.prepare(it.plan)


def test_unknown_devices_are_refused_or_left_out() -> None:
    """A device that left the tenant: refused, or rejected if so many are allowed."""
    it = tenant(bare=True)
    it.emulator.gone = {it.emulator.object_of[3]}
    refused(it, "1 of 40 planned devices are unknown to the tenant: PC-000003")
    it = tenant(bare=True, unknown_max=1)
    it.emulator.gone = {it.emulator.object_of[3]}
    it.directory.prepare(it.plan)
    applied = it.directory.apply(0, rows(2, 3, 4), it.now)
    assert applied.accepted.tolist() == [2, 4]
    assert applied.rejected.tolist() == [3]
    assert int(it.directory.observe(it.now + 60).counts[0, :, Outcome.REJECTED].sum()) == 1


def test_devices_that_left_since_the_start_do_not_bar_a_new_session() -> None:
    """Some leave every day: noted. Many at once are refused, as they are before the rollout has started."""
    for count, is_refused in ((1, False), (10, False), (11, True)):
        it = tenant(bare=True, identity=TENANT)
        it.emulator.gone = set(it.emulator.object_of[:count])
        if is_refused:
            refused(it, "11 of 40 planned devices are unknown to the tenant")
        else:
            it.directory.prepare(it.plan)
            assert any(f"{count} planned devices have left the tenant" in note for note in it.directory.notes)


def test_a_workload_is_refused() -> None:
    """A workload moves with a ConfigMgr collection."""
    it = tenant(bare=True)
    plan = replace(it.plan, action="workload:compliance")
    it = tenant(bare=True, plan=plan)
    refused(it, "needs a ConfigMgr collection, not a group")


# Lists.


def test_lists_are_read_over_all_pages() -> None:
    """Forty devices in pages of seven."""
    it = tenant(page=7)
    it.emulator.target.members = dict.fromkeys(it.emulator.object_of)
    assert it.directory.tenant.members(GROUP) == set(it.emulator.object_of)


def test_a_page_that_lost_its_half_is_read_again_or_an_error() -> None:
    """The group's own count gives it away."""
    it = tenant()
    it.emulator.target.members = dict.fromkeys(it.emulator.object_of)

    def half(reply: Reply) -> Reply:
        return replace(reply, data=reply.data | {"value": reply.data["value"][:20]})

    it.emulator.faults.append(Fault("GET .*members$", times=1, after=half))
    assert len(it.directory.tenant.members(GROUP)) == 40
    it.emulator.faults.append(Fault("GET .*members$", times=2, after=half))
    with pytest.raises(OutsideError, match="a short list: 20 of 40"):
        it.directory.tenant.members(GROUP)


def test_devices_that_vanish_from_intune_are_asked_for_before_it_is_believed() -> None:
    """Half of Intune's page is missing: the enrolled stay enrolled; a real departure is seen."""
    it = tenant(450, chunk=450)
    it.directory.apply(0, np.arange(450, dtype=np.int32), it.now)
    it.now += 3600
    assert it.directory.observe(it.now).counts.sum(axis=(0, 1))[Outcome.ENROLLED] == 450

    def most(reply: Reply) -> Reply:
        return replace(reply, data=reply.data | {"value": reply.data["value"][:400]})

    it.emulator.faults.append(Fault("GET .*managedDevices$", times=1, after=most))
    assert it.directory.observe(it.now + 60).counts.sum(axis=(0, 1))[Outcome.ENROLLED] == 450
    it.emulator.faults.append(
        Fault("GET .*managedDevices$", times=1, after=lambda r: replace(r, data={"value": []}))
    )
    seen = it.directory.observe(it.now + 120)
    assert not seen.readable
    assert seen.blind.startswith("Intune lists 0 of the 450 devices that were enrolled at Mon 11 Jan 2027")
    assert seen.counts.sum(axis=(0, 1))[Outcome.ENROLLED] == 450


@pytest.mark.parametrize(
    ("link", "says"),
    [("http://evil.example/v1.0/devices?$skiptoken=1", "another host"), ("same", "loops")],
)
def test_a_next_page_elsewhere_or_again_is_an_error(link: str, says: str) -> None:
    """The token goes to no other host, and a loop ends."""
    it = tenant(page=7)

    def bend(reply: Reply) -> Reply:
        first = f"http://127.0.0.1:1/v1.0/groups/{GROUP}/members?$select=id&$top=999"
        return replace(reply, data=reply.data | {"@odata.nextLink": first if link == "same" else link})

    it.emulator.faults.append(Fault("GET .*members$", times=99, after=bend))
    with pytest.raises(OutsideError, match=says):
        it.directory.tenant.members(GROUP)


def test_a_member_that_comes_twice_is_an_error() -> None:
    """Duplicates mean that pages shifted."""
    it = tenant()
    it.emulator.target.members = dict.fromkeys(it.emulator.object_of)

    def twice(reply: Reply) -> Reply:
        return replace(reply, data=reply.data | {"value": [*reply.data["value"], reply.data["value"][0]]})

    it.emulator.faults.append(Fault("GET .*members$", after=twice))
    with pytest.raises(OutsideError, match="twice"):
        it.directory.tenant.members(GROUP)


# Writes.


def test_what_a_dry_run_prints_is_what_is_sent() -> None:
    """plan_requests gives byte for byte the writes that apply sends."""
    it = tenant(60, chunk=60)
    it.emulator.target.members[it.emulator.object_of[1]] = None
    planned = it.directory.plan_requests(np.arange(45, dtype=np.int32))
    assert not it.emulator.writes()
    todo = np.array([0, *range(2, 45)], dtype=np.int32)
    it.directory.apply(0, todo, it.now)
    assert [(call.method, call.url, call.body) for call in planned] == it.emulator.writes()
    assert [len(call.body["members@odata.bind"]) for call in planned if call.body] == [20, 20, 4]


def test_a_removal_always_ends_in_ref() -> None:
    """Without it the device itself would be deleted; there is one place that builds it."""
    assert ask.remove_one("https://h/v1.0", GROUP, guid("x")).url.endswith(f"/members/{guid('x')}/$ref")
    with pytest.raises(ValueError, match="object id"):
        ask.remove_one("https://h/v1.0", GROUP, "x?y=")
    with pytest.raises(ValueError, match="object id"):
        ask.remove_one("https://h/v1.0", GROUP, "")


def test_one_bad_id_among_twenty_is_rejected_alone() -> None:
    """None of the twenty is added by the first write; then each by itself, in one batch."""
    it = tenant(chunk=20)
    it.emulator.gone = {it.emulator.object_of[7]}
    applied = it.directory.apply(0, np.arange(20, dtype=np.int32), it.now)
    assert applied.rejected.tolist() == [7]
    assert applied.reasons[0].startswith("404")
    assert len(it.emulator.target.members) == 19
    assert len(it.emulator.writes()) == 2


def test_members_from_in_between_are_accepted() -> None:
    """Somebody added one of the twenty: 400, a look, the others singly."""
    it = tenant(chunk=20)
    it.emulator.target.members[it.emulator.object_of[2]] = None
    applied = it.directory.apply(0, np.arange(20, dtype=np.int32), it.now)
    assert len(applied.accepted) == 20
    assert len(it.emulator.target.members) == 20


def test_a_lost_answer_is_for_the_loop_to_look_up() -> None:
    """The write happened, its answer was lost: an error; the look finds all twenty; nothing is sent twice."""
    it = tenant(chunk=20)
    it.emulator.faults.append(Fault("PATCH", lose=True))
    everybody = np.arange(20, dtype=np.int32)
    with pytest.raises(OutsideError, match="may have taken effect") as failed:
        it.directory.apply(0, everybody, it.now)
    assert not failed.value.never_sent
    assert it.directory.members(everybody).tolist() == everybody.tolist()
    assert len(it.emulator.writes()) == 1


def test_whom_a_failed_change_never_reached_is_named() -> None:
    """The first twenty of forty are lost: the other twenty never went out."""
    it = tenant(chunk=40)
    it.emulator.faults.append(Fault("PATCH", drop=True))
    with pytest.raises(OutsideError) as failed:
        it.directory.apply(0, np.arange(40, dtype=np.int32), it.now)
    assert failed.value.never_sent == list(range(20, 40))


@pytest.mark.parametrize("happened", [True, False])
@pytest.mark.parametrize("status", [429, 503, 504, 500])
def test_a_throttled_write_is_looked_up_before_it_is_sent_again(status: int, happened: bool) -> None:
    """A 429 can come although the change was made: look, then send what is missing."""
    it = tenant(chunk=20)
    busy = error(status, Retry_After="7.5")
    fault = Fault("PATCH", after=lambda _reply: busy) if happened else Fault("PATCH", reply=busy)
    it.emulator.faults.append(fault)
    before = it.time.monotonic()
    applied = it.directory.apply(0, np.arange(20, dtype=np.int32), it.now)
    assert len(applied.accepted) == len(it.emulator.target.members) == 20
    assert len(it.emulator.writes()) == (1 if happened else 2)
    assert it.time.monotonic() - before >= (7.5 if status in (429, 503) else 0)


def test_items_of_a_batch_are_judged_one_by_one() -> None:
    """A throttled item inside a 200 is looked up and sent again; the refused one is rejected."""
    it = tenant(chunk=20)
    it.emulator.gone = {it.emulator.object_of[7]}
    it.emulator.faults.append(Fault("ITEM POST .*members", times=3, reply=error(429, Retry_After="3")))
    applied = it.directory.apply(0, np.arange(20, dtype=np.int32), it.now)
    assert applied.rejected.tolist() == [7]
    assert len(it.emulator.target.members) == 19
    assert it.time.monotonic() >= 3


def test_throttled_reads_of_a_batch_are_repeated() -> None:
    """Only the throttled items, after the longest wait."""
    it = tenant()
    it.emulator.target.members = dict.fromkeys(it.emulator.object_of[:10])
    it.emulator.faults.append(Fault("ITEM POST .*checkMember", times=2, reply=error(429, Retry_After="4")))
    assert len(it.directory.members(np.arange(20, dtype=np.int32))) == 10
    assert it.emulator.batch_items == 22
    assert it.time.monotonic() >= 4


def test_a_group_that_was_deleted_rejects_nobody() -> None:
    """404 for the group is not 404 for a device."""
    it = tenant(chunk=20)
    del it.emulator.groups[GROUP]
    with pytest.raises(OutsideError, match="is gone"):
        it.directory.apply(0, np.arange(20, dtype=np.int32), it.now)
    with pytest.raises(OutsideError):
        it.directory.tenant.members(GROUP)


def test_a_deleted_group_is_not_an_empty_one() -> None:
    """Asked one by one nobody is a member of a group that is gone: unreadable, and no write goes out."""
    it = tenant(chunk=20)
    it.directory.apply(0, np.arange(20, dtype=np.int32), it.now)
    before = len(it.emulator.writes())
    del it.emulator.groups[GROUP]
    with pytest.raises(OutsideError, match="is gone"):
        it.directory.observe(it.now + 60)
    with pytest.raises(OutsideError, match="is gone"):
        it.directory.members(rows(1, 2))
    with pytest.raises(OutsideError, match="is gone"):
        it.directory.plan_requests(rows(1, 2))
    assert len(it.emulator.writes()) == before


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        (
            'Bearer realm="", error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnt9fQ=="',
            '{"access_token":{}}',
        ),
        ('Bearer claims="eyJhY2Nlc3NfdG9rZW4iOnt9fQ"', '{"access_token":{}}'),
        ('Bearer claims="!"', ALWAYS_TRUE_CLAIMS),
        ('Bearer claims="bm8gSlNPTg=="', ALWAYS_TRUE_CLAIMS),
        ("", ALWAYS_TRUE_CLAIMS),
    ],
)
def test_a_refused_token_is_asked_for_anew_and_not_from_the_cache(header: str, claims: str) -> None:
    """With the claims that the tenant wants, or one that every token fulfills; the first was asked for without."""
    token = Token("canary-token-1", "canary-token-2")
    it = tenant(chunk=20, token=token, bare=True)
    it.emulator.tokens = set(token.tokens)
    it.emulator.faults.append(Fault("GET", reply=error(401, WWW_Authenticate=header)))
    it.directory.identity()
    assert token.claims == [None, claims]


def test_an_expired_token_is_renewed_in_the_middle() -> None:
    """401, a new token, and the write goes through once."""
    token = Token("canary-token-1", "canary-token-2")
    it = tenant(chunk=20, token=token)
    it.emulator.tokens = {"canary-token-2"}
    assert len(it.directory.apply(0, np.arange(20, dtype=np.int32), it.now).accepted) == 20
    assert token.calls == 2


def test_a_token_that_stays_refused_is_an_outside_error() -> None:
    """One renewal, then the loop waits."""
    it = tenant(chunk=20, token=Token())
    it.emulator.tokens = set()
    with pytest.raises(OutsideError, match="401"):
        it.directory.apply(0, np.arange(20, dtype=np.int32), it.now)


def test_an_undo_takes_out() -> None:
    """The way back, one removal a device; who is out already is no error."""
    it = tenant()
    it.directory.apply(0, rows(0, 1, 2), it.now)
    undo = UndoDirectory(it.plan, it.directory)
    undo.follow(Batch(0, 0, it.now, rows(2, 1), rows()))
    it.emulator.target.members.pop(it.emulator.object_of[2])
    undo.apply(0, rows(2, 1), it.now)
    assert list(it.emulator.target.members) == [it.emulator.object_of[0]]
    assert undo.observe(it.now).counts.sum(axis=(0, 1)).tolist() == [0, 2, 0, 0, 0]


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"responses": []},
        {"responses": [{"id": "1"}]},
        {"responses": [{"id": "1", "status": 200}, {"id": "1", "status": 200}]},
        {"responses": [{"id": "3", "status": 200}, {"id": "1", "status": 200}]},
        {"responses": [{"id": "x", "status": 200}]},
        [],
    ],
)
def test_a_batch_answer_must_answer_each_request_once(data: Any) -> None:
    """Missing, double, foreign or unreadable items are an error."""
    with pytest.raises(OutsideError):
        batch_answers(data, 2)


# States.


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"managementAgent": "configurationManagerClientMdm", "managementState": "managed"}, True),
        ({"managementAgent": "configurationManagerClientMdmEas"}, True),
        ({"managementAgent": "configurationManagerClient"}, False),
        ({"managementAgent": "mdm"}, False),
        ({"managementAgent": "somethingNew"}, False),
        ({"managementAgent": "configurationManagerClientMdm", "managementState": "discovered"}, False),
        ({}, False),
    ],
)
def test_only_the_comanaged_agent_is_enrolled(row: dict[str, Any], expected: bool) -> None:
    """Tenant attach is not enrollment; what we do not know says nothing."""
    assert is_comanaged(row) is expected


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"failureReason": "failed with 0x80180018."}, 0x80180018),
        ({"failureCategory": "authorization", "failureReason": "x"}, 0x80180003),
        ({"failureCategory": "enrollmentRestrictionsEnforced"}, 0x80180015),
        ({"failureCategory": "somethingNew"}, 0),
        ({"failureReason": None}, 0),
    ],
)
def test_failures_get_the_nearest_code(row: dict[str, Any], code: int) -> None:
    """The HRESULT if the event has one, else the code nearest to its category, else none."""
    assert failure_code(row) == code


NETWORK = 0x80192EE7
"""A failure that mends by itself."""


@pytest.mark.parametrize(("code", "expected"), [(NETWORK, [2, 0, 0, 0, 0]), (0x80180018, [1, 0, 1, 0, 0])])
def test_a_failure_before_the_last_enrollment_is_history(code: int, expected: list[int]) -> None:
    """Failed, enrolled, un-enrolled: pending, since the failure lies before; one that counts is never forgotten."""
    it = tenant(world=lambda plan, _f: Prompt(len(plan), code=lambda row: code if row == 1 else 0))
    it.directory.apply(0, rows(0, 1), it.now)
    it.now += 3600
    seen = it.directory.observe(it.now)
    assert seen.failed_codes == {code: 1}
    assert seen.counts.sum(axis=(0, 1)).tolist() == [0, 1, 1, 0, 0]
    events, it.emulator._events = it.emulator._events(), lambda: events
    it.emulator.world = Prompt(40)
    for row in (0, 1):
        it.emulator.world.enter(row, it.now)
    it.now += 3600
    assert it.directory.observe(it.now).counts.sum(axis=(0, 1)).tolist() == [0, 2, 0, 0, 0]
    it.emulator.world = Prompt(40)  # both are out of Intune, and the old event is still in its list
    it.now += 60
    seen = it.directory.observe(it.now)
    assert seen.counts.sum(axis=(0, 1)).tolist() == expected


# Several writes at once.


CALL_S = 0.02
"""What a call takes where time is scaled."""


def crowd(n: int = 200, **keys: Any) -> Setting:
    """A tenant to which five writes go at once; all of the plan is one chunk."""
    return tenant(n, chunk=n, clock=TeamTime(), call_s=CALL_S, **{"in_flight": 5} | keys)


def everybody(it: Setting) -> Any:
    return np.arange(len(it.plan), dtype=np.int32)


def sent_to(it: Setting) -> list[int]:
    """Give the rows of all additions that came in, in order."""
    links = [LINK.findall(str(body)) for _, _, body in it.emulator.writes()]
    return [it.emulator.objects[item] for some in links for item in some]


def test_five_writes_at_once_take_a_fifth_of_the_time() -> None:
    """Two hundred devices are ten writes: two rounds instead of ten, everybody once."""
    it = crowd()
    begun = it.time.monotonic()
    assert len(it.directory.apply(0, everybody(it), it.now).accepted) == 200
    assert it.time.monotonic() - begun == pytest.approx(2 * CALL_S)
    assert sorted(sent_to(it)) == list(range(200))


def test_trouble_ends_all_that_is_under_way_and_names_whom_it_never_reached() -> None:
    """One of five answers is lost: nothing else begins, nothing goes out later, and those who stayed here are named."""
    it = crowd()
    it.emulator.faults.append(Fault("PATCH", skip=2, lose=True))
    with pytest.raises(OutsideError, match="may have taken effect") as failed:
        it.directory.apply(0, everybody(it), it.now)
    assert not [item for item in threading.enumerate() if item.name == THREAD_NAME]
    arrived = sent_to(it)
    assert 60 <= len(arrived) <= 180
    assert sorted({*arrived, *failed.value.never_sent}) == list(range(200))
    assert set(arrived).isdisjoint(failed.value.never_sent)
    missing = np.setdiff1d(everybody(it), it.directory.members(everybody(it))).astype(np.int32)
    it.directory.apply(0, missing, it.now)
    assert sorted(sent_to(it)) == list(range(200))


def test_one_throttling_answer_holds_all_that_would_go_out() -> None:
    """A 429 with Retry-After among five: until it is over nobody sends."""
    it = crowd()
    it.emulator.faults.append(Fault("PATCH", skip=1, reply=error(429, Retry_After="30")))
    came: list[float] = []
    answer = it.emulator.answer
    it.emulator.answer = lambda asked: (came.append(it.time.monotonic()), answer(asked))[1]
    assert len(it.directory.apply(0, everybody(it), it.now).accepted) == 200
    first, later = [at for at in came if at < came[0] + 30], [at for at in came if at >= came[0] + 30]
    assert len(first) <= 10  # those that were under way, or about to be
    assert max(first) - came[0] <= CALL_S + 1e-6
    assert len(later) >= 2


def test_a_tenant_that_wants_one_write_at_a_time_gets_it() -> None:
    """Writes that arrive together get a 409: looked at, then one after the other, for good; everybody is in, once."""
    it = crowd()
    last = [-1.0]

    def meets_another() -> bool:
        before, last[0] = last[0], it.time.monotonic()
        return last[0] - before < CALL_S / 2

    it.emulator.crowd = meets_another
    assert len(it.directory.apply(0, everybody(it), it.now).accepted) == 200
    assert len(it.emulator.target.members) == 200
    before = len(it.emulator.asked)
    it.directory.withdraw(0, rows(*range(10)), it.now)
    assert [asked.method for asked in it.emulator.asked[before:]] == ["DELETE"] * 10


def test_writes_that_wait_for_the_quota_when_a_409_comes_go_one_at_a_time() -> None:
    """Five are about to go, two by the quota; one gets a 409: no other begins until the one before has ended."""
    it = crowd(writes=2, writes_window_s=10)
    it.emulator.faults.append(Fault("PATCH", reply=error(409)))
    came: list[float] = []
    answer = it.emulator.answer

    def watched(asked: Any) -> Any:
        if asked.method == "PATCH":
            came.append(it.time.monotonic())
        return answer(asked)

    it.emulator.answer = watched
    assert len(it.directory.apply(0, everybody(it), it.now).accepted) == 200
    assert len(it.emulator.target.members) == 200
    later = sorted(came)[2:]
    assert all(b - a >= CALL_S - 1e-6 for a, b in pairwise(later)), later


def test_writes_that_wait_for_the_quota_when_one_is_lost_are_not_sent() -> None:
    """Two of five go, one answer is lost: those that waited for the quota never go out, and are named."""
    it = crowd(writes=2, writes_window_s=10)
    it.emulator.faults.append(Fault("PATCH", lose=True))
    with pytest.raises(OutsideError, match="may have taken effect") as failed:
        it.directory.apply(0, everybody(it), it.now)
    assert len(sent_to(it)) == 40
    assert sorted({*sent_to(it), *failed.value.never_sent}) == list(range(200))


def test_the_lease_is_kept_alive_while_all_writes_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """The quota makes the threads wait; the main thread looks after lease and signals, and may end it for all."""
    monkeypatch.setattr("rollout.directory.http.pace.SLACK_S", 0.0)
    monkeypatch.setattr("rollout.directory.http.concurrency.IDLE_S", 0.02)
    clock, looks = LivelyTime(), [0]
    it = tenant(60, chunk=60, clock=clock, in_flight=3, writes=1, writes_window_s=1.5)

    def alive() -> None:
        looks[0] += 1
        if looks[0] == 8:
            raise KeyboardInterrupt

    clock.alive = alive
    with pytest.raises(KeyboardInterrupt):
        it.directory.apply(0, everybody(it), it.now)
    sent = len(it.emulator.writes())
    for item in [item for item in threading.enumerate() if item.name == THREAD_NAME]:
        item.join(5)
    assert looks[0] == 8
    assert len(it.emulator.writes()) == sent == 1


# Looks before writes.


def asked_since(it: Setting) -> int:
    """Give how many requests came in, items of batches apart, since the last time."""
    many = sum(len(asked.body["requests"]) if "$batch" in asked.path else 1 for asked in it.emulator.asked)
    it.emulator.asked.clear()
    return many


def test_a_look_at_many_is_made_some_batches_at_once() -> None:
    """Two hundred devices are ten batches: two rounds of five, and a question whether the group is there, since nobody
    is in it; each batch costs the quota what its 20 items cost."""
    it = crowd(1000)
    it.directory._size = 20_000
    begun = it.time.monotonic()
    assert it.directory.members(everybody(it)[:200]).tolist() == []
    assert it.time.monotonic() - begun == pytest.approx(3 * CALL_S)
    assert asked_since(it) == 201
    pace = it.directory.tenant.transport.pace
    assert not pace.bears(3500 - 800)
    assert pace.bears(3500 - 820)  # what prepared it was read, too


def test_a_look_that_would_wait_for_the_quota_reads_the_group_instead() -> None:
    """Four looks at 200 devices are all that 10 s bear; the fifth needs a page and a count, and holds for everybody."""
    it = crowd(2000)
    it.directory._size = 20_000
    it.emulator.reads = Quota(3500, 10, it.time.monotonic)
    for start in range(0, 2000, 200):
        assert not len(it.directory.members(everybody(it)[start : start + 200]))
    assert asked_since(it) == 4 * 201 + 2
    assert it.time.monotonic() < 1
    assert it.emulator.throttled == 0


def test_who_was_no_member_a_moment_ago_is_not_asked_for_again() -> None:
    """A look at a batch serves for its chunks, for a minute; whom a write made a member is always asked for."""
    it = tenant(40)
    it.directory.members(rows(0, 1, 2, 3))
    assert asked_since(it) > 0
    assert it.directory.members(rows(0, 1)).tolist() == []
    assert asked_since(it) == 0
    it.directory.apply(0, rows(0, 1), it.now)
    asked_since(it)
    assert it.directory.members(rows(0, 1, 2)).tolist() == [0, 1]
    assert asked_since(it) > 0
    assert it.directory.members(rows(2, 3)).tolist() == []
    assert asked_since(it) == 0
    it.time.pass_(61)
    it.directory.members(rows(2, 3))
    assert asked_since(it) > 0


def test_after_trouble_everybody_is_asked_for() -> None:
    """The answer to a write is lost: what was known before is worth nothing."""
    it = tenant(40)
    it.directory.members(everybody(it))
    it.emulator.faults.append(Fault("PATCH", lose=True))
    with pytest.raises(OutsideError, match="may have taken effect"):
        it.directory.apply(0, rows(0, 1), it.now)
    asked_since(it)
    assert it.directory.members(rows(5)).tolist() == []
    assert asked_since(it) > 0
    assert it.directory.members(everybody(it)).tolist() == [0, 1]


def test_who_is_added_in_the_minute_after_the_look_is_found_by_the_write() -> None:
    """Somebody else was faster: the write fails for a member, those who are in are accepted, each once."""
    it = tenant(40)
    it.directory.members(rows(0, 1, 2))
    it.emulator.target.members[it.emulator.object_of[1]] = None
    assert it.directory.members(rows(0, 1, 2)).tolist() == []
    applied = it.directory.apply(0, rows(0, 1, 2), it.now)
    assert applied.accepted.tolist() == [0, 1, 2]
    assert len(it.emulator.target.members) == 3


def test_the_lease_is_kept_alive_while_a_look_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches that wait for the tenant: the main thread looks after lease and signals."""
    monkeypatch.setattr("rollout.directory.http.concurrency.IDLE_S", 0.02)
    clock, looks = LivelyTime(), [0]
    it = tenant(60, clock=clock, in_flight=3)
    it.directory._size = 20_000

    def alive() -> None:
        looks[0] += 1
        if looks[0] == 8:
            raise KeyboardInterrupt

    clock.alive = alive
    it.directory.tenant.transport.pace.hold(1.0)
    with pytest.raises(KeyboardInterrupt):
        it.directory.members(everybody(it))
    for item in [item for item in threading.enumerate() if item.name == THREAD_NAME]:
        item.join(5)
    assert looks[0] == 8


def pestered(it: Setting, seed: int) -> None:
    """Let a fifth of the writes meet one trouble or another."""
    draw = random.Random(seed)
    kinds = [{"lose": True}, {"drop": True}, {"reply": error(409)}]
    kinds += [{"reply": error(item, Retry_After="2")} for item in (429, 503)]
    kinds += [{"after": lambda _reply, status=item: error(status)} for item in (429, 500, 504)]
    for _ in range(12):
        it.emulator.faults.append(Fault("PATCH|POST .*batch", skip=draw.randrange(40), **draw.choice(kinds)))
    it.emulator.gone = {it.emulator.object_of[row] for row in draw.sample(range(400), draw.randrange(4))}


@pytest.mark.parametrize("seed", range(12))
def test_whatever_goes_wrong_at_once_everybody_is_in_once(seed: int) -> None:
    """Drawn troubles with five writes under way, a caller that looks before it sends: nobody is added twice, the
    departed alone are rejected, and whom a failure claims never to have sent was never sent."""
    it = crowd(400)
    pestered(it, seed)
    gone = sorted(it.emulator.objects[gone] for gone in it.emulator.gone)
    rejected: list[int] = []
    for _ in range(60):
        inside = it.directory.members(everybody(it)).tolist()
        missing = [row for row in range(400) if row not in inside and row not in rejected]
        if not missing:
            break
        before, kept_back = len(sent_to(it)), set()
        try:
            rejected += it.directory.apply(0, rows(*missing), it.now).rejected.tolist()
        except OutsideError as trouble:
            kept_back = set(trouble.never_sent)
        assert kept_back.isdisjoint(sent_to(it)[before:])
        assert set(sent_to(it)[before:]).isdisjoint(inside)
    assert sorted(rejected) == gone
    assert len(it.emulator.target.members) == 400 - len(gone)


# The quota.


def sent_in_scaled_time(devices: int, counts_members: bool, looks: bool = False) -> tuple[Setting, float]:
    """Send `devices` in chunks of 200 against Microsoft's quotas; gives the scaled seconds that it took.

    looks : look at each chunk before, as the loop does.
    """
    keys = {"write_counts": "member" if counts_members else "request", "in_flight": 5}
    it = tenant(devices, chunk=200, clock=TeamTime(), call_s=CALL_S, **keys)
    it.emulator.quota = Quota(3000, 150, it.time.monotonic)
    it.emulator.reads = Quota(3500, 10, it.time.monotonic)
    it.emulator.counts_members = counts_members
    estimate = it.directory.sending_s(devices)
    begun = it.time.monotonic()
    for start in range(0, devices, 200):
        chunk = everybody(it)[start : start + 200]
        if looks:
            assert not len(it.directory.members(chunk))
        it.directory.apply(0, chunk, it.now)
    took = it.time.monotonic() - begun
    print(f"\n{devices} devices: {took:.1f} s, estimated {estimate:.1f} s")
    assert len(it.emulator.target.members) == devices
    assert abs(estimate - took) <= (0.1 if looks else 0.05) * took
    return it, took


def least_s(units: int) -> float:
    """Give the least time that 3,000 in any 150 s allow: as many as it bears at once, then the next."""
    return (units - 1) // 3000 * 150


@pytest.mark.slow
@pytest.mark.parametrize("looks", [False, True])
@pytest.mark.parametrize("counts_members", [False, True])
def test_a_hundred_thousand_devices_within_the_quota(counts_members: bool, looks: bool) -> None:
    """3,000 writes in 150 s: no 429 at all, and within 10 % of the least time that the quota allows.

    A write of 20 may count as one or as 20: 5,000 or 100,000 units. With the look before each chunk, too, against
    3,500 units of reads in 10 s, of which to ask for one device costs 4.
    """
    it, took = sent_in_scaled_time(100_000, counts_members, looks)
    assert it.emulator.throttled == 0
    assert took <= 1.1 * least_s(100_000 if counts_members else 5_000)


def test_the_quota_is_kept_without_any_429() -> None:
    """The same at 8,000 devices, counted by member."""
    it, took = sent_in_scaled_time(8_000, counts_members=True)
    assert it.emulator.throttled == 0
    assert took <= 1.1 * least_s(8_000)


@pytest.mark.parametrize("in_flight", [1, 5])
def test_a_stricter_quota_than_ours_makes_no_storm(in_flight: int) -> None:
    """The service counts members, we count requests: few 429s, each waited for, and everybody is in."""
    it = tenant(8_000, chunk=1000, clock=TeamTime(), call_s=CALL_S, in_flight=in_flight)
    it.emulator.quota = Quota(3000, 150, it.time.monotonic)
    it.emulator.counts_members = True
    for start in range(0, 8_000, 1000):
        it.directory.apply(0, everybody(it)[start : start + 1000], it.now)
    assert len(it.emulator.target.members) == 8_000
    print(f"\n{it.emulator.throttled} times 429 in {it.time.monotonic():.0f} s")
    assert 0 < it.emulator.throttled <= 40
    assert it.time.monotonic() <= 2 * 8_000 / 20


def test_the_estimate_follows_the_windows_of_the_quota() -> None:
    """What fits goes at once; what does not waits for what was spent to leave the window; else calls decide."""
    clock = FakeTime()
    pace = Pace(clock, in_flight=4, writes=OurQuota(100, 50))
    assert pace.eta_s(100, 100) == 0
    assert pace.eta_s(101, 101) == 52
    assert pace.eta_s(300, 300) == 2 * 52
    with pace.turn(reads=False, units=60):
        clock.sleep(4)
    assert pace.eta_s(1, 40) == 1  # a call takes 4 s of late, and four are made at once
    assert pace.eta_s(1, 41) == 48
    assert pace.eta_s(100, 100) == 100
    assert pace.eta_s(0, 0) == 0


# Opening.


def test_a_missing_extra_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without httpx2: what to install."""
    it = tenant(bare=True)
    opening = Opening(it.plan, it.fleet, {"graph": it.directory.settings})
    monkeypatch.setattr("rollout.directory.opening.find_spec", lambda _name: None)
    with pytest.raises(UsageError) as caught:
        open_directory("graph", opening)
    assert caught.value.hint == "pip install 'rollout[graph]'"


def test_the_optional_packages_are_not_imported_before_they_are_needed() -> None:
    """`run` on the embedded directory needs none of them."""
    import subprocess

    code = (
        "import sys, rollout.directory.opening, rollout.cli; "
        "print([m for m in sys.modules if m.split('.')[0] in ('httpx2', 'azure', 'spnego', 'msal')])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_a_missing_secret_names_its_variable() -> None:
    """Secrets come from the environment only."""
    it = tenant(bare=True)
    settings = {"graph": GraphSettings(tenant_id="t", client_id="c")}
    with pytest.raises(UsageError, match="ROLLOUT_GRAPH_CLIENT_SECRET"):
        open_directory("graph", Opening(it.plan, it.fleet, settings, environ={}))


@pytest.mark.parametrize(
    ("name", "says"),
    [("nowhere", "expected one of"), ("adminservice", r"no section \[directory.adminservice\]")],
)
def test_an_unknown_or_unconfigured_directory_is_a_usage_error(name: str, says: str) -> None:
    """The name and the section."""
    it = tenant(bare=True)
    with pytest.raises(UsageError, match=says):
        open_directory(name, Opening(it.plan, it.fleet, {"graph": it.directory.settings}))


# Doctor.


def token_with(**claims: Any) -> Token:
    import base64
    import json

    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return Token(f"head.{body}.sign")


@pytest.mark.parametrize(
    ("roles", "ok"),
    [
        (
            ["Device.ReadWrite.All", "GroupMember.ReadWrite.All", "DeviceManagementManagedDevices.Read.All"],
            True,
        ),
        (["Device.Read.All", "GroupMember.ReadWrite.All", "DeviceManagementManagedDevices.Read.All"], False),
        (["Device.ReadWrite.All"], False),
    ],
)
def test_the_doctor_reads_the_rights_that_the_token_names(roles: list[str], ok: bool) -> None:
    """Missing application permissions are named, and nothing is written."""
    token = token_with(roles=roles)
    it = tenant(bare=True, token=token)
    it.emulator.tokens = set(token.tokens)
    found = {check.name: check for check in it.directory.checks()}
    assert found["permissions"].ok is ok
    assert found["tenant"].ok
    assert not it.emulator.writes()


LIMIT = {"@odata.type": "#microsoft.graph.suggestedEnrollmentLimit", "suggestedDailyLimit": 1024}


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (LIMIT, "at most 1,024 enrollments per day"),
        ({"value": LIMIT}, "at most 1,024 enrollments per day"),
        ({"value": []}, "Intune does not say: getSuggestedEnrollmentLimit: expected suggestedDailyLimit"),
        (None, "Intune does not say"),
    ],
)
def test_the_doctor_says_what_intune_suggests_if_it_is_asked_to(answer: Any, says: str) -> None:
    """As Microsoft's client expects it and as its examples show it; no answer is a note, no failure."""
    it = tenant(bare=True, suggested_limit=True)
    it.emulator.suggested = answer
    found = {check.name: check for check in it.directory.checks()}
    assert found["suggested limit"].ok
    assert says in found["suggested limit"].sentence
    assert not it.emulator.writes()


def test_a_tenant_that_knows_no_suggestion_is_as_healthy() -> None:
    """The beta answers 404, or the app lacks the right: a note. Nobody who does not want it is asked."""
    for status in (403, 404):
        it = tenant(bare=True, suggested_limit=True)
        it.emulator.faults.append(Fault("getSuggestedEnrollmentLimit", reply=error(status)))
        found = {check.name: check for check in it.directory.checks()}
        assert found["suggested limit"].ok
        assert f"answered {status}" in found["suggested limit"].sentence
    it = tenant(bare=True)
    assert "suggested limit" not in {check.name for check in it.directory.checks()}
    assert not [asked for asked in it.emulator.asked if "beta" in asked.path]
