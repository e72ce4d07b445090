"""The append, as the worker's login: who is refused, what is written, and that one member never decides for another."""

from dataclasses import replace
from uuid import uuid4

import psycopg
import pytest

from support.store_scene import PARK, SUCCEED, TENANT, Member, append, approval, outcomes


def events(scene, run):
    return scene.one("select count(*) from holdfast.events where run = %s", run)


def test_a_batch_is_written_and_the_rows_say_so(scene):
    first, second = scene.hold(2)
    answers = append(
        scene.worker,
        Member(first, ["{}", "{}"], blobs=[(b"a", b"1")], increments=(1, 2, 3, 4, 5), progress=True),
        Member(second, intent=True),
    )
    assert [(a.idx, a.outcome, a.inbox_seq, a.cancelling) for a in answers] == [
        (1, "appended", 0, False),
        (2, "appended", 0, False),
    ]
    row = scene.row(first.run)
    assert (row["seq"], row["head"], row["claims"]) == (3, first.head, 0)
    assert [row[n] for n in ("steps", "model_requests", "tool_calls", "input_tokens", "output_tokens")] == [
        1,
        2,
        3,
        4,
        5,
    ]
    assert scene.row(second.run)["claims"] == 1
    assert (events(scene, first.run), events(scene, second.run)) == (3, 2)
    assert scene.one("select body from holdfast.blobs where run = %s and digest = 'a'", first.run) == b"1"


def test_answers_are_in_the_order_of_the_members_whatever_the_order_of_keys(scene):
    helds = sorted(scene.hold(5), key=lambda h: h.run, reverse=True)
    stale = replace(helds[2], epoch=99)
    answers = append(scene.worker, *(Member(stale if h is helds[2] else h) for h in helds))
    assert [(a.idx, a.outcome) for a in answers] == [(n, "fenced" if n == 3 else "appended") for n in range(1, 6)]


@pytest.mark.parametrize(
    "wrong", [{"epoch": 7}, {"seq": 9}, {"head": b"z" * 32}, {"worker": uuid4()}, {"run": uuid4()}, {"tenant": uuid4()}]
)
def test_fenced_by_each_part_of_what_the_writer_holds(scene, wrong):
    held, other = scene.hold(2)
    assert outcomes(scene.worker, Member(replace(held, **wrong)), Member(other)) == ["fenced", "appended"]
    assert events(scene, held.run) == 1


@pytest.mark.parametrize("after", [PARK, SUCCEED])
def test_fenced_once_parked_or_ended(scene, after):
    [held] = scene.hold()
    assert outcomes(scene.worker, Member(held, next=after)) == ["appended"]
    assert outcomes(scene.worker, Member(held)) == ["fenced"]


def test_the_same_batch_sent_twice_goes_in_once(scene):
    [held] = scene.hold()
    again = replace(held)
    assert outcomes(scene.worker, Member(held)) == ["appended"]
    assert outcomes(scene.worker, Member(again)) == ["fenced"]
    assert events(scene, held.run) == 2


def test_only_one_of_two_writers_gets_through(scene):
    """Both hold the same position; the first has not committed yet."""
    [held] = scene.hold()
    with scene.connect("holdfast_worker") as first, first.transaction():
        assert outcomes(first, Member(replace(held), ["1"])) == ["appended"]
        assert outcomes(scene.worker, Member(replace(held), ["2"])) == ["busy"]
    assert outcomes(scene.worker, Member(replace(held), ["2"])) == ["fenced"]


def test_cancelling_refuses_intents_but_not_facts(scene):
    [held] = scene.hold()
    scene.signal(held.run, "cancel")
    [answer] = append(scene.worker, Member(held, intent=True))
    assert (answer.outcome, answer.inbox_seq, answer.cancelling) == ("cancelled", 1, True)
    assert outcomes(scene.worker, Member(held)) == ["appended"]


def test_parking_and_ending_wait_for_signals_to_be_folded_in(scene):
    [held] = scene.hold()
    scene.signal(held.run)
    for after in (PARK, SUCCEED):
        assert outcomes(scene.worker, Member(held, next=after)) == ["signalled"]
    assert outcomes(scene.worker, Member(held)) == ["appended"]  # facts go in all the same
    assert outcomes(scene.worker, Member(held, folded=1, next=PARK)) == ["appended"]
    row = scene.row(held.run)
    assert (row["state"], row["waiting_on"], row["worker"], row["folded_seq"]) == ("parked", "signal", None, 1)


def test_the_end_voids_approvals_but_not_effects_in_doubt_and_moves_the_session_on(scene):
    session = uuid4()
    [held] = scene.hold(session=session)
    asked, doubted = approval(), approval(kind="in_doubt")
    assert outcomes(scene.worker, Member(held, approvals=[asked, doubted])) == ["appended"]
    assert outcomes(scene.worker, Member(held, next=SUCCEED)) == ["appended"]
    assert scene.one("select state from holdfast.approvals where id = %s", asked["id"]) == "void"
    assert scene.one("select state from holdfast.approvals where id = %s", doubted["id"]) == "pending"
    assert scene.one("select last_run from holdfast.sessions where id = %s", session) == held.run
    row = scene.row(held.run)
    assert (row["state"], row["worker"]) == ("succeeded", None)
    assert row["finished_at"] is not None


def test_a_failed_run_is_not_its_sessions_last(scene):
    session = uuid4()
    [held] = scene.hold(session=session)
    assert outcomes(scene.worker, Member(held, next={"state": "failed"})) == ["appended"]
    assert scene.one("select last_run from holdfast.sessions where id = %s", session) is None


def test_content_that_is_there_already_is_no_conflict(scene):
    [held] = scene.hold()
    for _ in range(2):
        assert outcomes(scene.worker, Member(held, blobs=[(b"a", b"1")])) == ["appended"]


@pytest.mark.parametrize("body", ['{"x":NaN}', '{"x":"\\u0000"}', '{"x":"\\ud800"}', "not json", ""])
def test_a_body_is_text_and_never_looked_into(scene, body):
    """NaN, escaped NUL and lone surrogates are what JSON operators of PostgreSQL fail on."""
    [held] = scene.hold()
    assert outcomes(scene.worker, Member(held, [body])) == ["appended"]
    assert scene.one("select body from holdfast.events where run = %s and seq = 2", held.run) == body


def test_a_member_that_raises_fails_its_batch_whole_and_alone_when_halved(scene):
    good, bad = scene.hold(2)
    rotten = Member(replace(bad), approvals=[approval(kind="no such kind")])
    with pytest.raises(psycopg.errors.CheckViolation):
        append(scene.worker, Member(replace(good)), rotten)
    assert (events(scene, good.run), events(scene, bad.run)) == (1, 1)
    assert outcomes(scene.worker, Member(good)) == ["appended"]
    with pytest.raises(psycopg.errors.CheckViolation):
        append(scene.worker, rotten)
    assert outcomes(scene.worker, Member(bad)) == ["appended"]


def test_members_of_many_tenants_share_a_batch_and_each_writes_in_its_own(scene):
    other = uuid4()
    worker = scene.register()
    [ours] = scene.hold(worker=worker)
    [theirs] = scene.hold(worker=worker, tenant=other)
    assert outcomes(scene.worker, Member(ours), Member(theirs)) == ["appended", "appended"]
    for held, tenant in ((ours, TENANT), (theirs, other)):
        rows = scene.call(scene.worker, tenant, "select distinct run from holdfast.events")
        assert [row.run for row in rows] == [held.run]


def test_claims_count_from_the_last_outcome_and_rewound_until_handled(scene):
    [held] = scene.hold()
    with scene.database.as_owner() as owner:
        owner.execute("update holdfast.timeline set timeline = timeline + 1")
    scene.tick()
    assert scene.row(held.run)["rewound"]
    assert outcomes(scene.worker, Member(held)) == ["appended"]
    assert (scene.row(held.run)["rewound"], scene.row(held.run)["claims"]) == (True, 1)
    assert outcomes(scene.worker, Member(held, progress=True, rewound_handled=True)) == ["appended"]
    assert (scene.row(held.run)["rewound"], scene.row(held.run)["claims"]) == (False, 0)


def test_a_commit_is_durable_and_read_committed_whatever_the_logins_defaults(scene):
    [held] = scene.hold()
    scene.worker.execute("set synchronous_commit = off")
    with scene.worker.transaction():
        assert outcomes(scene.worker, Member(held)) == ["appended"]
        assert scene.worker.execute("show synchronous_commit").fetchone() == ("on",)
    scene.worker.execute("set default_transaction_isolation = 'repeatable read'")
    with pytest.raises(psycopg.errors.InvalidTransactionState):
        append(scene.worker, Member(held))


def test_updates_by_append_stay_in_place(scene):
    """No index entry is written for what every append changes."""
    helds = scene.hold(4)
    for _ in range(10):
        assert set(outcomes(scene.worker, *map(Member, helds))) == {"appended"}
    scene.worker.execute("select 1")
    scene.worker.close()  # its statistics are handed in when it ends
    from support.store_scene import until

    updated, hot = until(
        lambda: (
            (
                row := scene.admin.execute(
                    "select n_tup_upd, n_tup_hot_upd from pg_stat_user_tables where relname = 'runs'"
                ).fetchone()
            )
            and row[0] >= 44
            and row
        ),
        "the statistics are in",
    )
    assert hot >= 36, (updated, hot)
