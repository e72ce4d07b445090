"""Who may decide what: each rule of `18_approvals.sql`, as the real roles."""

import hashlib
from uuid import uuid4

import pytest

from holdfast.domain.approving import Edit, edited_digest
from holdfast.domain.rights import Role
from holdfast.domain.verdict import Ask
from support.authority import asking, change, held_for, history, person, row_of, standing, told
from support.store_scene import SUCCEED, Member, outcomes

DAY_S = 86_400.0
WEEK_S = 7 * DAY_S
ASKS = [Ask(), *(Ask(role, count) for role in (Role.APPROVER, Role.ADMIN) for count in range(1, 6))]


def said(answer):
    return answer.outcome, answer.why


def counted(answer):
    return answer.outcome, answer.agreed, answer.needed


@pytest.fixture
def ann(scene):
    return person(scene, "user")


@pytest.fixture
def admins(scene):
    return [person(scene, "admin") for _ in range(3)]


def test_sql_reads_whom_a_policy_asks_as_python_does(scene):
    for ask in ASKS:
        row = scene.admin.execute("select holdfast.ask_roles(%s), holdfast.ask_count(%s)", [str(ask)] * 2).fetchone()
        assert (set(row[0]), row[1]) == (set(ask.roles), ask.count)


def test_only_the_person_behind_the_run_confirms(scene, ann, admins):
    held = held_for(scene, ann)
    task = asking(scene, held, "user")
    assert said(scene.decide(task, "approved", by=admins[0])) == ("refused", "not_behind")
    assert said(scene.decide(task, "rejected", by=person(scene, "approver"))) == ("refused", "not_behind")
    assert counted(scene.decide(task, "approved", by=ann)) == ("decided", 1, 1)
    assert [(one["voters"], one["ask"]) for one in told(scene, held.run)] == [([ann], "user")]


def test_on_behalf_of_a_person_that_person_confirms(scene, ann):
    service = person(scene, "service", kind="service")
    task = asking(scene, held_for(scene, ann, requested_by=service), "user")
    assert said(scene.decide(task, "approved", by=service)) == ("refused", "no_person")
    assert scene.decide(task, "approved", by=ann).outcome == "decided"


def test_of_a_services_run_who_asked_for_it_confirms(scene, ann):
    service = person(scene, "service", kind="service")
    task = asking(scene, held_for(scene, service, requested_by=ann), "user")
    assert said(scene.decide(task, "approved", by=person(scene, "approver"))) == ("refused", "not_behind")
    assert scene.decide(task, "approved", by=ann).outcome == "decided"


def test_who_began_a_run_on_the_machine_itself_confirms_there_and_authorises_nothing(scene, ann):
    held = held_for(scene, "os:root")
    confirming = asking(scene, held, "user", park=False)
    authorising = asking(scene, held, "approver")
    assert said(scene.decide(confirming, "approved", by=ann)) == ("refused", "role")
    assert said(scene.decide(confirming, "approved", by="os:ann")) == ("refused", "no_person")
    assert said(scene.decide(authorising, "approved", by="os:root")) == ("refused", "no_person")
    assert scene.decide(confirming, "approved", by="os:root").outcome == "decided"


def test_where_no_person_is_behind_a_services_run_an_approver_answers_for_it(scene, ann):
    task = asking(scene, held_for(scene, person(scene, "service", kind="service")), "user")
    assert said(scene.decide(task, "approved", by=ann)) == ("refused", "role")
    edited = scene.decide(task, "approved", by=person(scene, "approver"), content=b"other")
    assert counted(edited) == ("decided", 1, 1)


@pytest.mark.parametrize(
    ("ask", "role", "why"),
    [
        ("approver", "approver", None),
        ("approver", "admin", None),
        ("admin", "admin", None),
        ("admin", "approver", "role"),
        ("approver", "user", "role"),
        ("approver", "operator", "role"),
        ("approver", "auditor", "role"),
        ("two admins", "approver", "role"),
    ],
)
def test_it_takes_the_role_or_a_heavier_one(scene, ann, ask, role, why):
    task = asking(scene, held_for(scene, ann), ask)
    answer = scene.decide(task, "approved", by=person(scene, role))
    assert said(answer) == (("decided" if why is None else "refused"), why)


def test_services_and_strangers_authorise_nothing(scene, ann):
    task = asking(scene, held_for(scene, ann), "admin")
    for who in (person(scene, "admin", kind="service"), str(uuid4()), "os:root", "", "x" * 100):
        for verdict in ("approved", "rejected"):
            assert said(scene.decide(task, verdict, by=who)) == ("refused", "no_person")


def test_two_persons_each_once(scene, ann, admins):
    held = held_for(scene, ann)
    task = asking(scene, held, "two admins")
    assert counted(scene.decide(task, "approved", by=admins[0])) == ("voted", 1, 2)
    assert counted(scene.decide(task, "approved", by=admins[0])) == ("again", 1, 2)
    assert (row_of(scene, task, "state"), told(scene, held.run)) == ("pending", [])
    assert scene.row(held.run)["state"] == "parked", "a part of the answer wakes nobody"
    assert (standing(scene, task, admins[0]).voted, standing(scene, task, admins[1]).voted) == (True, False)
    assert counted(scene.decide(task, "approved", by=admins[1])) == ("decided", 2, 2)
    [decision] = told(scene, held.run)
    assert decision["voters"] == admins[:2]
    assert (decision["digest"], decision["ask"], decision["by"]) == ("shown", "two admins", admins[1])
    assert history(scene, task) == [("voted", admins[0]), ("approved", admins[1])]


@pytest.mark.parametrize("how", ["principal", "requested_by"])
def test_a_requester_neither_authorises_nor_rejects(scene, admins, how):
    other = person(scene, "user")
    held = held_for(scene, admins[0]) if how == "principal" else held_for(scene, other, requested_by=admins[0])
    task = asking(scene, held, "admin")
    for verdict in ("approved", "rejected"):
        assert said(scene.decide(task, verdict, by=admins[0])) == ("refused", "requester")
    assert scene.decide(task, "approved", by=admins[1]).outcome == "decided"


def test_one_rejection_settles_it_with_its_reason(scene, ann, admins):
    held = held_for(scene, ann)
    task = asking(scene, held, "three admins")
    scene.decide(task, "approved", by=admins[0])
    assert scene.decide(task, "rejected", by=admins[1], content=b"too much").outcome == "decided"
    [decision] = told(scene, held.run)
    assert (decision["verdict"], bytes(decision["content"]), decision["by"]) == ("rejected", b"too much", admins[1])


@pytest.mark.parametrize("how", ["revoke", "disable"])
def test_a_vote_whose_voter_lost_the_role_counts_no_more(scene, ann, admins, how):
    held = held_for(scene, ann)
    task = asking(scene, held, "two admins")
    scene.decide(task, "approved", by=admins[0])
    if how == "revoke":
        assert change(scene, "revoke_role", admins[0], "admin") == "changed"
    else:
        assert change(scene, "set_disabled", admins[0], True) == "changed"
    assert standing(scene, task).agreed == []
    assert counted(scene.decide(task, "approved", by=admins[1])) == ("voted", 1, 2)
    assert said(scene.decide(task, "approved", by=admins[0])) == (
        "refused",
        "role" if how == "revoke" else "disabled",
    )
    assert counted(scene.decide(task, "approved", by=admins[2])) == ("decided", 2, 2)
    assert told(scene, held.run)[0]["voters"] == admins[1:]


def test_who_has_the_role_again_is_counted_again_and_nothing_hangs(scene, ann, admins):
    task = asking(scene, held_for(scene, ann), "two admins")
    scene.decide(task, "approved", by=admins[0])
    change(scene, "set_disabled", admins[0], True)
    scene.decide(task, "approved", by=admins[1])
    change(scene, "set_disabled", admins[0], False)
    assert counted(scene.decide(task, "approved", by=admins[1])) == ("decided", 2, 2)


def test_whom_a_requester_admitted_lately_authorises_nothing(scene, admins):
    task = asking(scene, held_for(scene, admins[0]), "admin")
    friend = person(scene, "admin", by=admins[0])
    assert said(scene.decide(task, "approved", by=friend, newcomer_s=WEEK_S)) == ("refused", "beholden")
    scene.move_clock(WEEK_S + 1)
    assert scene.decide(task, "approved", by=friend, newcomer_s=WEEK_S).outcome == "decided"


def test_whom_a_requester_promoted_lately_authorises_nothing(scene, admins):
    old = person(scene, "user")
    scene.move_clock(WEEK_S + 1)
    change(scene, "grant_role", old, "approver", by=admins[0])
    task = asking(scene, held_for(scene, admins[0]), "approver")
    assert said(scene.decide(task, "approved", by=old, newcomer_s=WEEK_S)) == ("refused", "beholden")
    assert standing(scene, task, old, WEEK_S).refused == "beholden"


def test_a_role_that_authorises_nothing_is_no_promotion(scene, admins):
    old = person(scene, "admin")
    scene.move_clock(WEEK_S + 1)
    change(scene, "grant_role", old, "auditor", by=admins[0])
    task = asking(scene, held_for(scene, admins[0]), "admin")
    assert scene.decide(task, "approved", by=old, newcomer_s=WEEK_S).outcome == "decided"


def test_a_go_between_makes_nobody_independent(scene, admins):
    scene.move_clock(WEEK_S + 1)
    between = person(scene, "admin", by=admins[0])
    friend = person(scene, "admin", by=between)
    task = asking(scene, held_for(scene, admins[0]), "admin")
    assert said(scene.decide(task, "approved", by=friend, newcomer_s=WEEK_S)) == ("refused", "beholden")
    assert scene.decide(task, "approved", by=admins[1], newcomer_s=WEEK_S).outcome == "decided"


def test_an_edit_makes_its_editor_a_requester_and_asks_everybody_anew(scene, ann, admins):
    held = held_for(scene, ann)
    task = asking(scene, held, "two admins")
    scene.decide(task, "approved", by=admins[0])
    edited = scene.decide(task, "approved", by=admins[1], content=b"less")
    assert counted(edited) == ("edited", 0, 2)
    args = hashlib.sha256(b"less").hexdigest()
    now = edited_digest("shown", [Edit(args, admins[1])])
    assert row_of(scene, task, "digest", "state") == (now, "pending")
    assert row_of(scene, task, "requesters") == [ann, admins[1]]
    assert scene.decide(task, "approved", by=admins[0]).outcome == "mismatch", "they saw what it was before"
    assert said(scene.decide(task, "approved", by=admins[1], digest=now)) == ("refused", "requester")
    assert counted(scene.decide(task, "approved", by=admins[0], digest=now)) == ("voted", 1, 2)
    assert counted(scene.decide(task, "approved", by=admins[2], digest=now)) == ("decided", 2, 2)
    [decision] = told(scene, held.run)
    assert (decision["digest"], decision["edits"]) == (now, [{"args": args, "by": admins[1]}])
    assert bytes(decision["content"]) == b"less", "the arguments come with the vote that settles it, whoever casts it"


def test_edits_make_a_chain_that_leads_from_what_was_asked_to_what_was_agreed(scene, ann, admins):
    held = held_for(scene, ann)
    task = asking(scene, held, "admin")
    first, second = Edit(hashlib.sha256(b"1").hexdigest(), ann), Edit(hashlib.sha256(b"2").hexdigest(), admins[0])
    assert scene.decide(task, "approved", by=ann, content=b"1").outcome == "edited", "it is her run: nobody is wronged"
    assert scene.decide(task, "approved", by=admins[0], digest=edited_digest("shown", [first]), content=b"2")
    last = edited_digest("shown", [first, second])
    assert scene.decide(task, "approved", by=admins[1], digest=last).outcome == "decided"
    [decision] = told(scene, held.run)
    edits = [Edit(**edit) for edit in decision["edits"]]
    assert edits == [first, second]
    assert edited_digest("shown", edits) == decision["digest"] == last


def test_the_same_arguments_are_no_edit(scene, ann, admins):
    args = hashlib.sha256(b"same").hexdigest()
    task = asking(scene, held_for(scene, ann), "admin", args=args)
    assert scene.decide(task, "approved", by=admins[0], content=b"same").outcome == "decided"
    assert row_of(scene, task, "digest", "edited") == ("shown", None)


def test_who_may_not_decide_edits_nothing(scene, ann, admins):
    task = asking(scene, held_for(scene, ann), "admin")
    for who in (person(scene, "user"), person(scene, "approver"), person(scene, "admin", kind="service")):
        assert scene.decide(task, "approved", by=who, content=b"x").outcome == "refused"
    assert row_of(scene, task, "digest") == "shown"


@pytest.mark.parametrize("ask", ["user", ""])
def test_one_whose_word_is_enough_edits_and_agrees_in_one_act(scene, ann, ask):
    held = held_for(scene, ann)
    task = asking(scene, held, ask)
    assert scene.decide(task, "approved", by=ann, content=b"less").outcome == "decided"
    [decision] = told(scene, held.run)
    args = hashlib.sha256(b"less").hexdigest()
    assert (decision["voters"], bytes(decision["content"])) == ([ann], b"less")
    assert decision["digest"] == edited_digest("shown", [Edit(args, ann)])


def test_an_effect_in_doubt_needs_the_authority_that_its_approval_needed(scene, ann, admins):
    held = held_for(scene, ann)
    task = asking(scene, held, "two admins", park=False)
    for who in admins[:2]:
        scene.decide(task, "approved", by=who)
    held_member = Member(held, folded=1)
    assert outcomes(scene.worker, held_member) == ["appended"]
    doubt = uuid4()
    row = {
        "id": doubt,
        "kind": "in_doubt",
        "scope": "",
        "step": 1,
        "call": "c",
        "tool": "t",
        "args": "00",
        "digest": "d",
    }
    assert outcomes(scene.worker, Member(held, approvals=[row], folded=1)) == ["appended"]
    assert row_of(scene, doubt, "ask") == "two admins"
    assert said(scene.decide(doubt, "not_done", "d", by=ann)) == ("refused", "requester")
    assert counted(scene.decide(doubt, "done", "d", by=admins[0], content=b"r-1")) == ("voted", 1, 2)
    assert counted(scene.decide(doubt, "done", "d", by=admins[1], content=b"r-2")) == ("voted", 1, 2), "not the same"
    assert counted(scene.decide(doubt, "not_done", "d", by=admins[1])) == ("voted", 1, 2), "they think better of it"
    assert counted(scene.decide(doubt, "done", "d", by=admins[1], content=b"r-1")) == ("decided", 2, 2)
    assert bytes(told(scene, held.run)[1]["content"]) == b"r-1"


def test_a_cancelled_run_has_nothing_approved_any_more(scene, ann, admins):
    held = held_for(scene, ann)
    task = asking(scene, held, "admin")
    scene.signal(held.run, "cancel")
    assert scene.decide(task, "approved", by=admins[0]).outcome == "cancelling"
    assert told(scene, held.run) == []


def test_a_run_that_ended_leaves_nothing_to_agree_to(scene, ann, admins):
    held = held_for(scene, ann)
    task = asking(scene, held, "two admins", park=False)
    scene.decide(task, "approved", by=admins[0])
    assert outcomes(scene.worker, Member(held, next=SUCCEED)) == ["appended"]
    answer = scene.decide(task, "approved", by=admins[1])
    assert (answer.outcome, answer.state) == ("already", "void")


def test_under_a_halt_people_decide_and_nothing_goes_on(scene, ann, admins):
    held = held_for(scene, ann)
    task = asking(scene, held, "admin", park=False)
    assert scene.halt("run", str(held.run))
    assert scene.decide(task, "approved", by=admins[0]).outcome == "decided"
    assert outcomes(scene.worker, Member(held, intent=True, folded=1)) == ["halted"]


def test_by_links_one_hand_does_not_do_what_takes_two(scene, ann, admins):
    approvers = [person(scene, "approver") for _ in range(3)]
    task = asking(scene, held_for(scene, ann), "two approvers")
    assert said(scene.decide(task, "approved", by=approvers[0], via=ann)) == ("refused", "one_hand")
    assert counted(scene.decide(task, "approved", by=approvers[0], via=admins[0])) == ("voted", 1, 2)
    assert said(scene.decide(task, "approved", by=admins[0])) == ("refused", "one_hand"), "they made the first's link"
    assert said(scene.decide(task, "approved", by=approvers[1], via=admins[0])) == ("refused", "one_hand")
    assert said(scene.decide(task, "approved", by=approvers[1], via=approvers[0])) == ("refused", "one_hand")
    assert scene.decide(task, "approved", by=approvers[1], via=approvers[1]).outcome == "decided", "by one's own link"


def test_a_link_that_somebody_beholden_to_a_requester_made_is_the_requesters(scene, admins):
    approver = person(scene, "approver")
    scene.move_clock(WEEK_S + 1)
    friend = person(scene, "admin", by=admins[0])
    task = asking(scene, held_for(scene, admins[0]), "approver")
    answer = scene.decide(task, "approved", by=approver, via=friend, newcomer_s=WEEK_S)
    assert said(answer) == ("refused", "one_hand")
