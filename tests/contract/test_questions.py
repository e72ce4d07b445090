"""Questions of calls: who may answer, once, in time; the rules of approvals but for what an authorisation takes."""

import pytest

from support.authority import asking, change, held_for, history, person, row_of, standing, told
from support.store_scene import SUCCEED, TENANT, Aside, Member, approval, outcomes

HOUR_S = 3600.0
KINDS = {
    "approval": {"approved", "rejected"},
    "question": {"answered", "declined"},
    "in_doubt": {"done", "not_done", "fail_run"},
    "escalation": {"go_on", "finish", "fail_run"},
}
EVERY = {*set().union(*KINDS.values()), "expired", "void", "pending"}


def said(answer):
    return answer.outcome, answer.why


def question(scene, held, ask="user", **more):
    return asking(scene, held, ask, kind="question", **more)


@pytest.fixture
def ann(scene):
    return person(scene, "user")


@pytest.mark.parametrize("kind", KINDS)
def test_every_verdict_on_every_kind(scene, kind):
    [held] = scene.hold()
    for verdict in sorted(EVERY):
        task = asking(scene, held, "", kind=kind, park=False)
        answer = scene.decide(task, verdict)
        assert answer.outcome == ("decided" if verdict in KINDS[kind] else "invalid"), verdict
        assert row_of(scene, task, "state") == (verdict if verdict in KINDS[kind] else "pending")


def test_only_the_person_behind_the_run_answers_what_is_asked_of_them(scene, ann):
    held = held_for(scene, ann)
    task = question(scene, held)
    for other in (person(scene, "admin"), person(scene, "approver")):
        assert said(scene.decide(task, "answered", by=other, content=b"x")) == ("refused", "not_behind")
        assert said(scene.decide(task, "declined", by=other)) == ("refused", "not_behind")
    assert said(scene.decide(task, "answered", by="os:root")) == ("refused", "no_person")
    assert scene.decide(task, "answered", by=ann, content=b"blue").outcome == "decided"
    [decision] = told(scene, held.run)
    assert (decision["kind"], decision["verdict"], decision["by"], bytes(decision["content"])) == (
        "question", "answered", ann, b"blue"
    )  # fmt: skip
    assert scene.row(held.run)["state"] == "queued"
    assert history(scene, task) == [("answered", ann)]


def test_of_a_services_run_who_asked_for_it_answers_and_else_an_approver(scene, ann):
    service = person(scene, "service", kind="service")
    asked = question(scene, held_for(scene, service, requested_by=ann))
    assert said(scene.decide(asked, "answered", by=service)) == ("refused", "no_person")
    assert scene.decide(asked, "answered", by=ann).outcome == "decided"
    alone = question(scene, held_for(scene, service))
    assert said(scene.decide(alone, "answered", by=ann)) == ("refused", "role")
    assert scene.decide(alone, "answered", by=person(scene, "approver")).outcome == "decided"


def test_a_disabled_person_answers_nothing(scene, ann):
    task = question(scene, held_for(scene, ann))
    change(scene, "set_disabled", ann, True)
    assert said(scene.decide(task, "answered", by=ann)) == ("refused", "disabled")


def test_what_is_done_outside_services_answer_too(scene, ann):
    service = person(scene, "service", kind="service")
    for who in (service, ann, "os:root"):
        assert scene.decide(question(scene, held_for(scene, ann), ""), "answered", by=who).outcome == "decided"


@pytest.mark.parametrize("ask", ["admin", "two admins", "five approvers"])
def test_whoever_is_asked_later_one_answer_is_enough_and_a_requesters_is_one(scene, ask):
    admin = person(scene, "admin")
    task = question(scene, held_for(scene, admin), ask)
    assert (standing(scene, task, admin).needed, standing(scene, task, admin).refused) == (1, None)
    assert said(scene.decide(task, "answered", by=person(scene, "user"))) == ("refused", "role")
    assert scene.decide(task, "answered", by=admin).outcome == "decided"
    assert row_of(scene, task, "voters") == [admin]


def test_whom_a_requester_admitted_lately_answers_too(scene):
    admin = person(scene, "admin")
    friend = person(scene, "admin", by=admin)
    task = question(scene, held_for(scene, admin), "admin")
    assert scene.decide(task, "answered", by=friend, newcomer_s=HOUR_S).outcome == "decided"


def test_one_who_is_asked_declines(scene, ann):
    held = held_for(scene, ann)
    task = question(scene, held)
    assert scene.decide(task, "declined", by=ann, content=b"no").outcome == "decided"
    [decision] = told(scene, held.run)
    assert (decision["verdict"], bytes(decision["content"])) == ("declined", b"no")


@pytest.mark.parametrize("how", ["own", "own link", "another's link", "another"])
def test_the_run_is_told_whether_it_is_the_word_of_the_person_behind_it(scene, ann, how):
    held, admin = held_for(scene, ann), person(scene, "admin")
    task = question(scene, held, "" if how == "another" else "user")
    via = {"own link": ann, "another's link": admin}.get(how)
    by = admin if how == "another" else ann
    assert scene.decide(task, "answered", by=by, via=via).outcome == "decided"
    assert told(scene, held.run)[0]["own_word"] is (how in {"own", "own link"})


@pytest.mark.parametrize("on_expiry", ["reject", "fail_run"])
def test_it_ends_by_itself_once_and_an_answer_comes_too_late(scene, ann, on_expiry):
    held = held_for(scene, ann)
    task = question(scene, held, expires_s=HOUR_S, on_expiry=on_expiry)
    scene.move_clock(HOUR_S + 1)
    late = scene.decide(task, "answered", by=ann)
    assert (late.outcome, late.state, late.decided_by) == ("already", "expired", "expiry")
    assert scene.tick() == {}
    [decision] = told(scene, held.run)
    assert (decision["verdict"], decision["on_expiry"]) == ("expired", on_expiry)


def test_the_tick_ends_it(scene, ann):
    held = held_for(scene, ann)
    task = question(scene, held, expires_s=HOUR_S)
    scene.move_clock(HOUR_S + 1)
    assert scene.tick() == {"expired": 1}
    assert row_of(scene, task, "state", "decided_by") == ("expired", "expiry")
    assert scene.row(held.run)["state"] == "queued"


def test_it_goes_to_others_when_nobody_has_answered(scene, ann):
    held, admin = held_for(scene, ann), person(scene, "admin")
    task = question(scene, held, escalate=[[HOUR_S, "two admins"]])
    assert said(scene.decide(task, "answered", by=admin)) == ("refused", "not_behind")
    scene.move_clock(HOUR_S + 1)
    assert scene.tick() == {"escalated": 1}
    assert said(scene.decide(task, "answered", by=ann)) == ("refused", "role")
    assert scene.decide(task, "answered", by=admin).outcome == "decided"
    assert history(scene, task) == [("escalated", "clock"), ("answered", admin)]


def test_exactly_one_of_many_answers_is_kept(scene, ann):
    held = held_for(scene, ann)
    task = question(scene, held, "")

    def answer(nth):
        with scene.connect("holdfast_api") as api:
            return scene.decide(task, "answered", by=f"s{nth}", content=f"a{nth}".encode(), connection=api)

    answers = [job.result() for job in [Aside(lambda nth=nth: answer(nth)) for nth in range(6)]]
    assert sorted(one.outcome for one in answers) == [*["already"] * 5, "decided"]
    [decision] = told(scene, held.run)
    assert bytes(decision["content"]) == f"a{decision['by'][1:]}".encode()


def test_another_digest_answers_nothing(scene, ann):
    task = question(scene, held_for(scene, ann))
    assert scene.decide(task, "answered", digest="other", by=ann).outcome == "mismatch"


def test_a_run_that_is_to_stop_is_answered_nothing_and_one_that_ended_leaves_no_question(scene, ann):
    held = held_for(scene, ann)
    task = question(scene, held, park=False)
    scene.signal(held.run, "cancel")
    assert scene.decide(task, "answered", by=ann).outcome == "cancelling"
    assert outcomes(scene.worker, Member(held, next={"state": "cancelled"}, folded=1)) == ["appended"]
    late = scene.decide(task, "answered", by=ann)
    assert (late.outcome, late.state) == ("already", "void")


@pytest.mark.parametrize("kind", ["question", "escalation", "approval"])
def test_the_end_of_a_run_waits_for_no_task_that_somebody_holds(scene, kind):
    [held, other] = scene.hold(2)
    task = approval(kind=kind)
    assert outcomes(scene.worker, Member(held, approvals=[task])) == ["appended"]
    with scene.locked("approvals", "id = %s", task["id"]):
        assert outcomes(scene.worker, Member(held, next=SUCCEED), Member(other)) == ["busy", "appended"]
    assert outcomes(scene.worker, Member(held, next=SUCCEED)) == ["appended"]
    assert row_of(scene, task["id"], "state") == "void"


def test_under_a_halt_people_answer_and_nothing_goes_on(scene, ann):
    held = held_for(scene, ann)
    task = question(scene, held, park=False)
    assert scene.halt("run", str(held.run))
    assert scene.decide(task, "answered", by=ann).outcome == "decided"
    assert outcomes(scene.worker, Member(held, intent=True, folded=1)) == ["halted"]


def test_it_is_listed_for_whoever_may_answer(scene, ann):
    task = question(scene, held_for(scene, ann))
    other = person(scene, "admin")
    assert (standing(scene, task, ann).refused, standing(scene, task, other).refused) == (None, "not_behind")
    assert scene.decide(task, "answered", by=ann, tenant=TENANT).outcome == "decided"


def test_by_links_one_hand_does_not_do_what_takes_two_on_any_kind(scene, ann):
    for kind, verdict in (("in_doubt", "done"), ("escalation", "go_on")):
        admins = [person(scene, "admin") for _ in range(3)]
        task = asking(scene, held_for(scene, ann), "two admins", kind=kind)
        assert scene.decide(task, verdict, by=admins[0], via=admins[2]).outcome == "voted"
        assert said(scene.decide(task, verdict, by=admins[2])) == ("refused", "one_hand")
        assert said(scene.decide(task, verdict, by=admins[1], via=admins[2])) == ("refused", "one_hand")
        assert scene.decide(task, verdict, by=admins[1], via=admins[1]).outcome == "decided"


def test_a_requesters_link_authorises_nothing_and_may_be_for_what_takes_no_authorisation(scene):
    for kind, verdict, outcome in (
        ("in_doubt", "done", "refused"),
        ("escalation", "go_on", "decided"),
        ("question", "answered", "decided"),
    ):
        requester, other = person(scene, "admin"), person(scene, "admin")
        task = asking(scene, held_for(scene, requester), "admin", kind=kind)
        assert scene.decide(task, verdict, by=other, via=requester).outcome == outcome


def test_who_began_a_run_on_the_machine_itself_answers_in_their_own_word(scene):
    held = held_for(scene, "os:root")
    task = asking(scene, held, "user", kind="question")
    assert scene.decide(task, "answered", by="os:root", content=b"Bern").outcome == "decided"
    assert told(scene, held.run)[0]["own_word"] is True
