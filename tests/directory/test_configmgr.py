"""A ConfigMgr site as a directory: what is refused, what is sent, and what becomes of every kind of trouble."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from building import MONDAY, make_plan
from emulators.adminservice import LIMIT, TARGET, Collected
from emulators.people import FIRST_RESOURCE, Prompt
from emulators.web import Fault, Reply, TeamTime
from opened import Setting, fleet_plan, rows, site

from rollout.directory.configmgr.requests import MACHINE_POLICY, delete_rule, notify
from rollout.directory.http.concurrency import THREAD_NAME
from rollout.directory.outcomes import comanagement_state, instant_of
from rollout.errors import OutsideError, RefusedError
from rollout.executor.clock import LivelyTime
from rollout.loop.undo import UndoDirectory
from rollout.values import DAY_S, Batch, Fact, Outcome

NOBODY = rows()


def error(status: int, text: str = "no") -> Reply:
    return Reply(status, {"error": {"code": str(status), "message": text}})


def refused(it: Setting, says: str) -> None:
    """Preparing is refused with these words, and nothing was written."""
    with pytest.raises(RefusedError, match=says):
        it.directory.prepare(it.plan)
    assert not it.emulator.writes()


# Before the first look.


def test_mode_all_is_refused() -> None:
    """Automatic enrollment for everybody makes a phased plan pointless."""
    it = site(bare=True)
    it.emulator.mode = "all"
    refused(it, "automatic enrollment is All")


def test_a_collection_that_is_no_target_is_refused() -> None:
    """Mode Pilot, but with another collection (or mode None)."""
    it = site(bare=True)
    it.emulator.mode = "none"
    refused(it, "is not a target of a co-management policy; deployed: 'CoMgmtSettingsProd' to SMS00001")


def test_unreadable_policies_need_a_person_who_looked() -> None:
    """Without the right to read policies, only a named person's word counts."""
    forbidden = Fault("GET .*SMS_CoManagementSettings", times=9, reply=error(403))
    it = site(bare=True)
    it.emulator.faults.append(replace(forbidden))
    refused(it, "the account may not")
    it = site(bare=True, confirmed_pilot_by="Kim")
    it.emulator.faults.append(replace(forbidden))
    it.directory.prepare(it.plan)
    assert any("confirmed by Kim" in note for note in it.directory.notes)


def test_two_collections_of_a_name_are_refused() -> None:
    """Names need not be unique: an id decides."""
    it = site(bare=True, collection="Intune Auto Enrollment")
    it.emulator.collections["P0100011"] = Collected("P0100011", "Intune Auto Enrollment")
    refused(it, "2 collections are named 'Intune Auto Enrollment': P0100010, P0100011")


def test_a_collection_is_found_by_name() -> None:
    """The plan's name is taken where the settings give none."""
    it = site(collection="")
    assert it.directory.target().id == TARGET


@pytest.mark.parametrize(
    ("collection", "says"),
    [
        ("SMS00001", "built-in"),
        ("P0109999", "does not exist"),
        ("No such name", "there is no collection named"),
    ],
)
def test_an_impossible_collection_is_refused(collection: str, says: str) -> None:
    """Built in, or not there."""
    refused(site(bare=True, collection=collection), says)


def test_a_collection_of_users_is_refused() -> None:
    """Only collections of devices."""
    it = site(bare=True)
    it.emulator.target.kind = 1
    refused(it, "collection of devices")


def test_a_collection_that_we_may_not_change_is_refused() -> None:
    """The site shows our rights with the object."""
    it = site(bare=True)
    it.emulator.target.rights = 1
    refused(it, "may not change it")


def test_another_limiting_collection_is_refused() -> None:
    """The settings name the one that they expect."""
    refused(site(bare=True, limiting_collection="P0100099"), "expected P0100099 as limiting collection")


def test_the_wrong_site_is_refused() -> None:
    """By the settings, and by what was recorded at the first contact."""
    refused(site(bare=True, site_code="X01"), "expected site X01")
    refused(site(bare=True, site_code="", identity="X02"), "expected site X02")


def test_unknown_and_reimaged_devices_are_refused_or_left_out() -> None:
    """A resource that is gone, or is another device now: refused, or rejected one by one if so many are allowed."""
    it = site(bare=True)
    it.emulator.gone = {FIRST_RESOURCE + 3}
    refused(it, "1 of 40 planned devices are unknown to the site: PC-000003")
    it = site(bare=True, unknown_max=1)
    it.emulator.gone = {FIRST_RESOURCE + 3}
    it.directory.prepare(it.plan)
    applied = it.directory.apply(0, rows(2, 3, 4), it.now)
    assert applied.accepted.tolist() == [2, 4]
    assert applied.rejected.tolist() == [3]
    assert "no such resource" in applied.reasons[0]
    it = site(bare=True)
    it.emulator.fleet = replace(it.fleet, ids=it.fleet.ids[::-1].copy())
    refused(it, "another device in Entra now")


def test_devices_that_left_since_the_start_do_not_bar_a_new_session() -> None:
    """Some leave every day: noted. Many at once are refused, as they are before the rollout has started."""
    for count, is_refused in ((1, False), (10, False), (11, True)):
        it = site(bare=True, identity="P01")
        it.emulator.gone = {FIRST_RESOURCE + row for row in range(count)}
        if is_refused:
            refused(it, "11 of 40 planned devices are unknown to the site")
        else:
            it.directory.prepare(it.plan)
            assert any(f"{count} planned devices have left the site" in note for note in it.directory.notes)


def test_a_device_without_resource_id_is_found_by_its_entra_id() -> None:
    """Exports without ResourceID are enough."""
    it = site(bare=True)
    it.directory._fleet = replace(it.fleet, resource_ids=np.full(40, -1, dtype=np.int64))
    it.directory.prepare(it.plan)
    it.directory.apply(0, rows(5), it.now)
    assert list(it.emulator.target.rules) == [FIRST_RESOURCE + 5]


def test_a_workload_moves_only_inside_the_auto_enrollment_collection() -> None:
    """Superset rule: a staging device outside it is refused."""
    it = site(bare=True)
    it.directory._superset = "Enrolled"
    it.emulator.collections["P0100020"] = Collected(
        "P0100020", "Enrolled", members=set(sorted(it.emulator.row_of)[:39])
    )
    refused(it, "outside the auto-enrollment collection 'Enrolled'")
    it.emulator.collections["P0100020"].members = set(it.emulator.row_of)
    it.directory.prepare(it.plan)


def test_cloud_sync_is_noted_and_only_the_collection_is_written() -> None:
    """A collection that is copied into a group: said, and the group left alone."""
    it = site(bare=True)
    it.emulator.cloud_sync = [{"CollectionSiteID": TARGET, "AADGroupID": "G1", "AADGroupName": "g"}]
    it.directory.prepare(it.plan)
    assert any("only the collection is written" in note for note in it.directory.notes)


# Lists.


def test_lists_are_read_whole_although_the_server_cuts_its_pages() -> None:
    """A server that gives 7 rows at most: everything is read all the same."""
    it = site(page_max=7)
    it.emulator.target.members = set(it.emulator.row_of)
    assert it.directory.site.members(TARGET) == set(it.emulator.row_of)


def halved(reply: Reply) -> Reply:
    """A page that lost its second half."""
    value = reply.data["value"]
    return replace(reply, data=reply.data | {"value": value[: len(value) // 2]})


def test_a_page_that_lost_its_half_is_read_again_or_an_error() -> None:
    """Half a page is never taken for the whole list."""
    it = site()
    it.emulator.target.members = set(it.emulator.row_of)

    def holes(reply: Reply) -> Reply:
        return replace(reply, data=reply.data | {"value": reply.data["value"][1::2]})

    it.emulator.faults.append(Fault("GET .*FullCollectionMembership$", times=1, after=holes))
    assert len(it.directory.site.members(TARGET)) == 40
    it.emulator.faults.append(Fault("GET .*FullCollectionMembership$", times=99, after=holes))
    with pytest.raises(OutsideError, match="a short list: 20 rows of 40"):
        it.directory.site.members(TARGET)


def test_a_list_that_loops_is_an_error() -> None:
    """The same page again and again."""
    it = site(page_max=7)
    it.emulator.target.members = set(it.emulator.row_of)
    first: list[Any] = []

    def same(reply: Reply) -> Reply:
        first.append(reply.data)
        return replace(reply, data=first[0])

    it.emulator.faults.append(Fault("GET .*FullCollectionMembership$", times=99, after=same))
    with pytest.raises(OutsideError, match="loops or is out of order"):
        it.directory.site.members(TARGET)


def test_a_class_that_does_not_count_is_read_twice() -> None:
    """Without /$count two readings must agree."""
    it = site()
    it.emulator.target.members = set(it.emulator.row_of)
    it.emulator.faults.append(Fault("count", times=99, reply=error(404)))
    assert len(it.directory.site.members(TARGET)) == 40
    it.emulator.faults.append(Fault("GET .*FullCollectionMembership$", times=1, after=halved))
    it.emulator.faults.append(
        Fault("GET .*FullCollectionMembership$", times=1, reply=Reply(200, {"value": []}))
    )
    with pytest.raises(OutsideError, match="read twice and differs"):
        it.directory.site.members(TARGET)


def test_a_404_on_a_list_is_an_error_and_never_empty() -> None:
    """A filter that the provider does not like answers 404."""
    it = site()
    it.emulator.faults.append(Fault("GET .*FullCollectionMembership$", times=99, reply=error(404)))
    with pytest.raises(OutsideError, match="404"):
        it.directory.members(rows(1, 2))


# Writes.


def test_what_a_dry_run_prints_is_what_is_sent() -> None:
    """plan_requests gives byte for byte the writes that apply sends."""
    it = site()
    it.emulator.target.rules[FIRST_RESOURCE + 1] = {"ResourceID": FIRST_RESOURCE + 1, "RuleName": "x"}
    planned = it.directory.plan_requests(rows(0, 1, 2))
    assert not it.emulator.writes()
    it.directory.apply(0, rows(0, 2), it.now)
    assert [(call.method, call.url, call.body) for call in planned] == it.emulator.writes()
    assert len(planned) == 3


def test_one_evaluation_a_batch() -> None:
    """Three chunks, the last one not full: one RequestRefresh."""
    it = site(chunk=4)
    for chunk in (rows(0, 1, 2, 3), rows(4, 5, 6, 7), rows(8, 9)):
        it.directory.apply(0, chunk, it.now)
    it.now += 300
    it.directory.observe(it.now)
    assert it.emulator.refreshes == 1


def test_an_evaluation_that_is_owed_is_asked_for_at_the_next_look() -> None:
    """The last chunk was full: the next look asks; a failed request stays owed."""
    it = site(chunk=4)
    it.directory.apply(0, rows(0, 1, 2, 3), it.now)
    assert it.emulator.refreshes == 0
    it.emulator.faults.append(Fault("RequestRefresh", reply=error(503)))
    assert int(it.directory.observe(it.now + 60).counts.sum()) == 0
    assert int(it.directory.observe(it.now + 120).counts.sum()) == 4
    assert it.emulator.refreshes == 1


def test_only_visible_members_are_counted() -> None:
    """Accepted is not visible: nobody is counted before the site has evaluated."""
    it = site(evaluation_s=600)
    it.directory.apply(0, rows(0, 1, 2), it.now)
    assert it.directory.members(rows(0, 1, 2, 3)).tolist() == [0, 1, 2]
    it.now += 300
    assert int(it.directory.observe(it.now).counts.sum()) == 0
    it.now += 301
    assert int(it.directory.observe(it.now).counts.sum()) == 3


def test_an_evaluation_that_got_lost_is_asked_for_again() -> None:
    """Accepted for half an hour and not visible: once more."""
    it = site()
    it.emulator.faults.append(Fault("RequestRefresh", reply=Reply(201, {"ReturnValue": 0})))
    it.directory.apply(0, rows(0, 1), it.now)
    it.directory.observe(it.now)
    assert it.emulator.refreshes == 0
    it.time.pass_(1801)
    it.directory.observe(it.now)
    assert it.emulator.refreshes == 1


def test_who_only_looks_asks_for_no_evaluation() -> None:
    """Though one is due."""
    it = site()
    it.emulator.faults.append(Fault("RequestRefresh", reply=Reply(201, {"ReturnValue": 0})))
    it.directory.apply(0, rows(0, 1), it.now)
    it.time.pass_(1801)
    it.directory.set_read_only()
    before = len(it.emulator.writes())
    it.directory.observe(it.now)
    assert len(it.emulator.writes()) == before
    with pytest.raises(RefusedError, match="this session is read-only"):
        it.directory.apply(0, rows(2), it.now)


def test_a_device_outside_the_limiting_collection_is_rejected() -> None:
    """It would never become a member: rejected with this reason, nothing is sent for it."""
    it = site(bare=True)
    it.emulator.collections[LIMIT].members.discard(FIRST_RESOURCE + 2)
    it.directory.prepare(it.plan)
    it.emulator.asked.clear()
    applied = it.directory.apply(0, rows(1, 2), it.now)
    assert applied.rejected.tolist() == [2]
    assert "limiting collection" in applied.reasons[0]
    assert sum("AddMembershipRule" in url for _, url, _ in it.emulator.writes()) == 1
    counts = it.directory.observe(it.now + 60).counts
    assert int(counts[0, :, Outcome.REJECTED].sum()) == 1


def test_a_lost_answer_is_looked_up_before_anything_is_sent_again() -> None:
    """The rule was added, the answer lost: the look finds it, and it is accepted without a second write."""
    it = site()
    it.emulator.faults.append(Fault("AddMembershipRule", skip=1, lose=True))
    applied = it.directory.apply(0, rows(0, 1, 2), it.now)
    sent = [body["collectionRule"]["ResourceID"] for _, url, body in it.emulator.writes() if "Add" in url]
    assert sent == [FIRST_RESOURCE, FIRST_RESOURCE + 1, FIRST_RESOURCE + 2]
    assert applied.accepted.tolist() == [0, 1, 2]


def test_after_a_lost_answer_the_rest_of_the_chunk_waits_for_the_loop() -> None:
    """Nobody is sent after a doubt: the loop looks, then sends the missing ones; nobody twice."""
    it = site()
    it.emulator.faults.append(Fault("AddMembershipRule", skip=1, drop=True))
    with pytest.raises(OutsideError) as failed:
        it.directory.apply(0, rows(0, 1, 2, 3), it.now)
    assert failed.value.never_sent == [2, 3]
    present = it.directory.members(rows(0, 1, 2, 3))
    assert present.tolist() == [0]
    it.directory.apply(0, rows(1, 2, 3), it.now)
    assert sorted(it.emulator.target.rules) == [FIRST_RESOURCE + n for n in range(4)]


def test_a_rule_that_exists_already_is_accepted() -> None:
    """Somebody else added it in between: 400, a look, accepted."""
    it = site()
    it.directory.members(rows(0))
    it.emulator.target.rules[FIRST_RESOURCE] = {"ResourceID": FIRST_RESOURCE, "RuleName": "x"}
    applied = it.directory.apply(0, rows(0, 1), it.now)
    assert applied.accepted.tolist() == [0, 1]
    assert not len(applied.rejected)


def test_one_bad_id_among_many_is_rejected_alone() -> None:
    """A resource that is gone since: rejected with the site's words, the others are in."""
    it = site()
    it.emulator.gone = {FIRST_RESOURCE + 4}
    applied = it.directory.apply(0, np.arange(10, dtype=np.int32), it.now)
    assert applied.rejected.tolist() == [4]
    assert "no resource" in applied.reasons[0]
    assert len(applied.accepted) == 9


def test_a_site_that_refuses_everybody_rejects_nobody() -> None:
    """If most are refused, the fault is not the devices': the loop waits."""
    it = site(chunk=20)
    it.emulator.faults.append(
        Fault("AddMembershipRule", times=99, reply=error(400, "new rule of the service"))
    )
    with pytest.raises(OutsideError, match="refuses 12 of 12"):
        it.directory.apply(0, np.arange(12, dtype=np.int32), it.now)


def test_a_device_that_always_breaks_the_provider_is_rejected_the_third_time() -> None:
    """500 for one device, success for others: two tries, then it is rejected and the batch goes on."""
    it = site()
    it.emulator.faults.append(Fault("AddMembershipRule", times=3, reply=error(500, "provider failure")))
    for _ in range(2):
        with pytest.raises(OutsideError):
            it.directory.apply(0, rows(7), it.now)
    applied = it.directory.apply(0, rows(7, 8), it.now)
    assert applied.rejected.tolist() == [7]
    assert applied.accepted.tolist() == [8]


@pytest.mark.parametrize("status", [401, 403, 502, 503])
def test_no_right_or_no_service_rejects_nobody(status: int) -> None:
    """These say nothing about a device: an error, and it can go on later."""
    it = site()
    it.emulator.faults.append(Fault("AddMembershipRule", times=1, reply=error(status)))
    with pytest.raises(OutsideError):
        it.directory.apply(0, rows(0, 1), it.now)
    assert it.directory.apply(0, rows(0, 1), it.now).accepted.tolist() == [0, 1]


def test_a_collection_that_was_deleted_is_an_outside_error() -> None:
    """Deleted under way: the loop waits and says so; nobody is rejected for it."""
    it = site()
    it.directory.apply(0, rows(0), it.now)
    del it.emulator.collections[TARGET]
    with pytest.raises(OutsideError, match="does not exist"):
        it.directory.apply(0, rows(1), it.now)


@pytest.mark.parametrize("in_flight", [1, 8])
def test_a_collection_that_is_deleted_under_way_stops_the_chunk_at_its_first_404(in_flight: int) -> None:
    """Only what was under way beside it meets a 404, too; nobody is rejected, and whom it never reached is named."""
    it = site(60, chunk=60, in_flight=in_flight)
    everybody = np.arange(60, dtype=np.int32)
    kept, serve, adds, missed = it.emulator.target, it.emulator.serve, [0], [0]

    def served(asked: Any) -> Reply:
        is_add = asked.path.endswith("AddMembershipRule")
        adds[0] += is_add
        if adds[0] == 6:
            it.emulator.collections.pop(TARGET, None)
        reply: Reply = serve(asked)
        missed[0] += is_add and reply.status == 404
        return reply

    it.emulator.serve = served
    with pytest.raises(OutsideError, match=TARGET) as failed:
        it.directory.apply(0, everybody, it.now)
    assert len(kept.rules) == 5
    assert 1 <= missed[0] <= in_flight
    assert len(failed.value.never_sent) == 60 - 5 - missed[0]
    it.emulator.serve = serve
    it.emulator.collections[TARGET] = kept
    left = np.setdiff1d(everybody, it.directory.members(everybody)).astype(np.int32)
    assert it.directory.apply(0, left, it.now).accepted.tolist() == left.tolist()
    assert len(kept.rules) == 60


def test_some_bad_ids_cost_a_small_look_each_and_stop_nobody() -> None:
    """The collection is there: the devices with a 404 are rejected, the others are in; rules are read once more."""
    it = site(40, chunk=40, in_flight=8)
    it.directory.members(rows(0))
    it.emulator.asked.clear()
    it.emulator.gone = {FIRST_RESOURCE + 4, FIRST_RESOURCE + 30}
    applied = it.directory.apply(0, np.arange(40, dtype=np.int32), it.now)
    assert applied.rejected.tolist() == [4, 30]
    assert len(applied.accepted) == 38
    read = [asked for asked in it.emulator.asked if asked.method == "GET"]
    assert [asked.path.endswith("SMS_Collection") for asked in read].count(True) == 2
    assert len(read) == 3


def test_the_lease_is_kept_alive_while_all_writes_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """The threads wait; the main thread looks after lease and signals, and may end it for all."""
    monkeypatch.setattr("rollout.directory.http.concurrency.IDLE_S", 0.02)
    clock, looks = LivelyTime(), [0]
    it = site(60, chunk=60, clock=clock, in_flight=3, per_second=200)  # type: ignore[arg-type]
    it.directory.members(rows(0))

    def alive() -> None:
        looks[0] += 1
        if looks[0] == 8:
            raise KeyboardInterrupt

    clock.alive = alive
    it.directory.site.transport.pace.hold(1.0)
    with pytest.raises(KeyboardInterrupt):
        it.directory.apply(0, np.arange(60, dtype=np.int32), it.now)
    for item in [item for item in threading.enumerate() if item.name == THREAD_NAME]:
        item.join(5)
    assert looks[0] == 8
    assert not it.emulator.writes()


def test_writes_that_wait_for_their_turn_when_one_fails_are_not_sent() -> None:
    """Eight wait for the pace, the first is answered 503: the others never go out, and are named."""
    it = site(40, chunk=40, in_flight=8, clock=TeamTime())
    it.directory.members(rows(0))
    it.emulator.faults.append(Fault("AddMembershipRule", reply=Reply(503)))
    with pytest.raises(OutsideError, match="answered 503") as failed:
        it.directory.apply(0, np.arange(40, dtype=np.int32), it.now)
    assert len(it.emulator.writes()) == 1
    assert len(failed.value.never_sent) == 39


def test_writes_run_side_by_side_and_all_arrive() -> None:
    """Eight in flight over threads: each device once."""
    it = site(in_flight=8, chunk=40)
    applied = it.directory.apply(0, np.arange(40, dtype=np.int32), it.now)
    assert applied.accepted.tolist() == list(range(40))
    sent = [body["collectionRule"]["ResourceID"] for _, url, body in it.emulator.writes() if "Add" in url]
    assert sorted(sent) == [FIRST_RESOURCE + n for n in range(40)]


def test_the_pace_is_kept() -> None:
    """20 calls a second: 40 devices take about two seconds, and so it was estimated."""
    it = site(chunk=40)
    before = it.time.monotonic()
    it.directory.apply(0, np.arange(40, dtype=np.int32), it.now)
    assert 1.9 <= it.time.monotonic() - before <= 3.0
    assert it.directory.sending_s(40) == pytest.approx(2.0)


def test_only_the_machine_policy_notification_exists() -> None:
    """Type 8 is built in; there is no way to ask for another (1 to 7 are Endpoint Protection actions)."""
    assert MACHINE_POLICY == 8
    body = notify("https://h", TARGET, [1]).body
    assert body is not None
    assert body["Type"] == 8


def test_new_members_are_notified_once_if_wanted() -> None:
    """notify = true: each new member once, none by default."""
    for wanted, expected in ((True, [FIRST_RESOURCE, FIRST_RESOURCE + 1]), (False, [])):
        it = site(notify=wanted)
        it.directory.apply(0, rows(0, 1), it.now)
        it.directory.observe(it.now)
        it.directory.observe(it.now + 60)
        assert it.emulator.notified == expected


def test_a_removal_repeats_the_rule_as_the_site_gave_it() -> None:
    """All properties of the rule come back, with the type."""
    body = delete_rule(
        "https://h", TARGET, {"RuleName": "x", "ResourceID": 7, "ResourceClassName": "SMS_R_System"}
    ).body
    assert body == {
        "collectionRule": {
            "@odata.type": "#AdminService.SMS_CollectionRuleDirect",
            "RuleName": "x",
            "ResourceID": 7,
            "ResourceClassName": "SMS_R_System",
        }
    }


def test_an_undo_takes_out_and_says_when_it_is_effective() -> None:
    """The way back: done when the site shows the device no more."""
    it = site(evaluation_s=300)
    it.directory.apply(0, rows(0, 1, 2), it.now)
    it.now += 301
    it.directory.observe(it.now)
    undo = UndoDirectory(it.plan, it.directory)
    undo.follow(Batch(0, 0, it.now, rows(2, 1), NOBODY))
    undo.apply(0, rows(2, 1), it.now)
    assert sorted(it.emulator.target.rules) == [FIRST_RESOURCE]
    assert undo.observe(it.now).counts.sum(axis=(0, 1)).tolist() == [2, 0, 0, 0, 0]
    it.now += 301
    assert undo.observe(it.now).counts.sum(axis=(0, 1)).tolist() == [0, 2, 0, 0, 0]


# States.


@pytest.mark.parametrize(
    ("row", "bit", "expected"),
    [
        ({"MDMEnrolled": True, "ComgmtPolicyPresent": True}, 0, (True, False, 0)),
        ({"MDMEnrolled": 1, "ComgmtPolicyPresent": 1}, 0, (True, False, 0)),
        ({"MDMEnrolled": True, "ComgmtPolicyPresent": False}, 0, (False, False, 0)),
        ({"EnrollmentFailed": True, "EnrollmentStatusCode": 2149056536}, 0, (False, True, 0x80180018)),
        ({"EnrollmentFailed": True, "EnrollmentStatusCode": -2145910760}, 0, (False, True, 0x80180018)),
        ({"EnrollmentFailed": True}, 0, (False, True, 0)),
        ({"EnrollmentFailed": True, "MDMEnrolled": True, "ComgmtPolicyPresent": True}, 0, (True, False, 0)),
        ({"EnrollmentScheduled": True, "EnrollmentStatusCode": 107}, 0, (False, False, 0)),
        ({"MDMEnrolled": True, "ComgmtPolicyPresent": True, "MDMWorkloads": "17"}, 16, (True, False, 0)),
        ({"MDMEnrolled": True, "ComgmtPolicyPresent": True, "MDMWorkloads": "1"}, 16, (False, False, 0)),
        ({"MDMEnrolled": True, "ComgmtPolicyPresent": True, "MDMWorkloads": None}, 16, (False, False, 0)),
        ({}, 0, (False, False, 0)),
    ],
)
def test_states_are_read(row: dict[str, Any], bit: int, expected: tuple[bool, bool, int]) -> None:
    """Co-managed is enrolled with the policy; a workload is done when its bit is set; an unknown says nothing."""
    state = comanagement_state(row, bit)
    assert (state.enrolled, state.failed, state.code) == expected


def test_dates_that_mean_never_are_none() -> None:
    """1970 and 1980 are how the provider says never."""
    assert instant_of("2027-01-11T00:00:00Z") == MONDAY
    assert instant_of("2027-01-11T00:00:00.1234567Z") == MONDAY
    assert [instant_of(item) for item in ("1970-01-01T00:00:00Z", "1980-01-01T00:00:00Z", None, "soon")] == [
        -1
    ] * 4


def test_silent_devices_time_out_and_may_still_enroll() -> None:
    """Past the straggler time a silent member is TIMED_OUT; later it enrolls after all."""
    it = site(world=lambda plan, _fleet: Prompt(len(plan), latency_s=9 * DAY_S))
    it.directory.apply(0, rows(0, 1), it.now)
    it.now += 7 * DAY_S
    assert it.directory.observe(it.now).counts.sum(axis=(0, 1)).tolist() == [2, 0, 0, 0, 0]
    it.now += 1
    assert it.directory.observe(it.now).counts.sum(axis=(0, 1)).tolist() == [0, 0, 0, 0, 2]
    it.now += 3 * DAY_S
    assert it.directory.observe(it.now).counts.sum(axis=(0, 1)).tolist() == [0, 2, 0, 0, 0]


def test_failures_carry_their_code() -> None:
    """Failed devices are counted by code and named one by one."""
    it = site(world=lambda plan, _fleet: Prompt(len(plan), code=lambda row: 0x80180018 if row == 1 else 0))
    it.directory.apply(0, rows(0, 1), it.now)
    it.now += 3600
    seen = it.directory.observe(it.now)
    assert seen.failed_codes == {0x80180018: 1}
    assert it.directory.outcomes().code[[0, 1]].tolist() == [0, 0x80180018]


def test_many_devices_are_read_by_pages_and_few_by_ids() -> None:
    """Above 400 devices whole lists are read; both ways count the same."""
    it = site(450, chunk=450)
    it.directory.apply(0, np.arange(450, dtype=np.int32)[:449], it.now)
    it.now += 3600
    assert it.directory.observe(it.now).counts.sum(axis=(0, 1)).tolist() == [0, 449, 0, 0, 0]


# Short answers to a question for a few devices.

MEMBERS, STATES = "GET .*FullCollectionMembership$", "GET .*ComanagementState$"


def failing(n: int = 6) -> Setting:
    """A site with that many members, all of which failed, after a look."""
    it = site(world=lambda plan, _fleet: Prompt(len(plan), code=lambda _row: 0x80180018))
    it.directory.apply(0, np.arange(n, dtype=np.int32), it.now)
    it.now += 3600
    assert it.directory.observe(it.now).failed_codes == {0x80180018: n}
    it.emulator.asked.clear()
    return it


def read(it: Setting) -> list[str]:
    """Give what was read since, by the ends of the paths."""
    kinds = [asked.path.rpartition("wmi/")[2].removeprefix("SMS_") for asked in it.emulator.asked]
    it.emulator.asked.clear()
    return kinds


def test_a_look_at_a_few_devices_costs_nothing_more_as_long_as_all_are_there() -> None:
    """One answer for members and one for states; no counts."""
    it = failing()
    it.directory.observe(it.now)
    assert read(it) == ["FullCollectionMembership", "Client_ComanagementState"]


@pytest.mark.parametrize("which", [MEMBERS, STATES])
def test_a_short_answer_is_counted_and_asked_for_again(which: str) -> None:
    """Half of the six are missing once: a count and a second answer, and nobody's failure is hidden."""
    it = failing()
    it.emulator.faults.append(Fault(which, after=halved))
    assert it.directory.observe(it.now).failed_codes == {0x80180018: 6}
    assert len(read(it)) == 4


@pytest.mark.parametrize("which", [MEMBERS, STATES])
def test_an_answer_that_stays_short_is_unreadable(which: str) -> None:
    """As long as it is short nothing is concluded; then the look is the old one."""
    it = failing()
    it.emulator.faults.append(Fault(which, times=4, after=halved))
    for _ in range(2):
        with pytest.raises(OutsideError, match="a short answer: 1 rows of 3"):
            it.directory.observe(it.now)
    assert it.directory.observe(it.now).failed_codes == {0x80180018: 6}


@pytest.mark.parametrize("which", [MEMBERS, STATES])
def test_a_new_session_does_not_believe_a_short_answer_either(which: str) -> None:
    """It knows of nobody who was there before: at its first look everybody who is missing is counted."""
    it = failing()
    later = site(plan=it.plan)
    later.emulator.collections, later.emulator.world = it.emulator.collections, it.emulator.world
    later.now = it.now
    later.directory.restore([Batch(0, 0, it.now - 3600, np.arange(6, dtype=np.int32), NOBODY)])
    later.emulator.faults.append(Fault(which, times=2, after=halved))
    with pytest.raises(OutsideError, match="a short answer: 1 rows of 3"):
        later.directory.observe(it.now)
    assert later.directory.observe(it.now).failed_codes == {0x80180018: 6}


def test_new_members_that_are_always_left_out_are_found_in_the_end() -> None:
    """Nobody has seen them yet, so that they are missing is no surprise; each half hour it is one."""
    it = failing()
    it.emulator.faults.append(Fault(MEMBERS, times=99, after=lambda reply: without(reply, 6, 7)))
    it.directory.apply(1, rows(6, 7), it.now)
    assert it.directory.observe(it.now).failed_codes == {0x80180018: 6}
    it.time.pass_(1801)
    with pytest.raises(OutsideError, match="a short answer: 0 rows of 2"):
        it.directory.observe(it.now)


def without(reply: Reply, *numbers: int) -> Reply:
    """Leave devices out of an answer."""
    hidden = {FIRST_RESOURCE + number for number in numbers}
    value = [row for row in reply.data["value"] if row["ResourceID"] not in hidden]
    return replace(reply, data=reply.data | {"value": value})


def test_who_was_taken_out_is_believed_after_one_count() -> None:
    """A person took two devices out: counted once, why is read once; and their failures stay."""
    it = failing()
    it.emulator.remove([0, 1])
    seen = it.directory.observe(it.now)
    assert seen.failed_codes == {0x80180018: 6}
    assert seen.lost.rows.tolist() == [0, 1]
    assert set(seen.lost.facts.tolist()) == {Fact.REMOVED}
    asked = read(it)
    assert asked.count("FullCollectionMembership/$count") == 1
    assert asked.count("R_System") == 1
    assert it.directory.observe(it.now).failed_codes == {0x80180018: 6}
    assert len(read(it)) == 2


def test_a_class_that_does_not_count_is_asked_for_each_who_is_missing() -> None:
    """Without /$count three single questions take its place."""
    it = failing()
    it.emulator.faults.append(Fault("count", times=9, reply=error(404)))
    it.emulator.faults.append(Fault(MEMBERS, after=halved))
    assert it.directory.observe(it.now).failed_codes == {0x80180018: 6}
    assert read(it).count("FullCollectionMembership") == 4


def test_an_answer_in_two_pages_is_read_whole() -> None:
    """Should a provider cut even such an answer and name the next page, that is followed."""
    it = failing()
    found = it.emulator.answer

    def paged(asked: Any) -> Reply:
        if not asked.path.endswith("Membership") or "skip" in asked.options:
            reply: Reply = found(asked)
            return reply
        link = {"@odata.nextLink": f"{asked.url}&$skip=4"}
        whole = found(asked)
        return replace(whole, data=whole.data | {"value": whole.data["value"][:4]} | link)

    it.emulator.answer = paged
    assert it.directory.observe(it.now).failed_codes == {0x80180018: 6}


def test_an_undo_believes_no_short_answer() -> None:
    """A member that is only missing in an answer is not out."""
    it = failing(4)
    undo = UndoDirectory(it.plan, it.directory)
    undo.follow(Batch(0, 0, it.now, rows(0, 1), NOBODY))
    undo.apply(0, rows(0, 1), it.now)
    it.emulator.target.members |= {FIRST_RESOURCE, FIRST_RESOURCE + 1}  # its evaluation is not done
    it.emulator.faults.append(Fault(MEMBERS, after=lambda reply: without(reply, 0)))
    assert undo.observe(it.now).counts.sum(axis=(0, 1)).tolist() == [2, 0, 0, 0, 0]


# Doctor.


def test_the_doctor_reads_only_and_finds_what_is_wrong() -> None:
    """Each check is a sentence; a wrong clock, a missing right and a dead host are named."""
    it = site(bare=True)
    it.emulator.target.rights = 1
    found = {check.name: check for check in it.directory.checks()}
    assert found["site"].ok
    assert not found["collection"].ok
    assert "may not change" in found["collection"].sentence
    assert not it.emulator.writes()
    it = site(bare=True)
    it.emulator.faults.append(Fault(".", times=99, drop=True))
    found = {check.name: check for check in it.directory.checks()}
    assert not found["site"].ok


def test_nothing_of_a_device_is_logged_above_debug(caplog: pytest.LogCaptureFixture) -> None:
    """Request traces are for debugging; a normal run logs none of them."""
    caplog.set_level(logging.INFO)
    it = site()
    it.directory.apply(0, rows(0, 1), it.now)
    assert caplog.text == ""


def test_another_fleet_than_the_plans_is_refused() -> None:
    """Rows are meaningless over another inventory."""
    it = site(bare=True)
    it.directory._fleet = fleet_plan(39)[0]
    with pytest.raises(RefusedError, match="plan and the fleet differ"):
        it.directory.prepare(it.plan)
    assert make_plan().digest != it.plan.digest
