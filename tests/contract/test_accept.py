"""Accepting: all of a run or nothing, and the same answer to a repeated request."""

from uuid import uuid4

import psycopg
import pytest
from uuid_utils.compat import uuid7

from support.store_scene import AT, TENANT, Aside

SQL = (
    "select outcome, run from holdfast.accept_run(%s, %s, 't', '1', null, 'p', 's', null, 0, %s, '{}', %s, '{}', '{}',"
    " 'p', %s, %s)"
)


def accept(scene, run, key, request, connection=None, tenant=TENANT, hash_=b"h" * 32):
    scene.stand(tenant)
    return scene.call(connection or scene.api, tenant, SQL, tenant, run, AT, hash_, key, request)[0]


def test_a_key_with_the_same_request_answers_with_the_first_run(scene):
    first, second = uuid7(), uuid7()
    assert accept(scene, first, "k", b"r") == ("accepted", first)
    assert accept(scene, second, "k", b"r") == ("repeated", first)
    assert scene.one("select count(*) from holdfast.runs") == 1


def test_a_key_with_another_request_is_a_conflict_and_stores_nothing(scene):
    first = uuid7()
    accept(scene, first, "k", b"r")
    assert accept(scene, uuid7(), "k", b"other") == ("conflict", first)
    assert scene.one("select count(*) from holdfast.events") == 1


def test_keys_belong_to_their_tenant(scene):
    run = uuid7()
    accept(scene, uuid7(), "k", b"r")
    assert accept(scene, run, "k", b"other", tenant=uuid4()) == ("accepted", run)


def test_at_once_one_is_accepted_and_all_are_told_of_it(scene):
    def ask():
        with scene.connect("holdfast_api") as api:
            return accept(scene, uuid7(), "k", b"r", api)

    answers = [job.result() for job in [Aside(ask) for _ in range(5)]]
    assert sorted(a.outcome for a in answers) == ["accepted", *["repeated"] * 4]
    assert len({a.run for a in answers}) == 1


def test_the_very_run_again_is_repeated_and_another_under_its_id_is_refused(scene):
    run = uuid7()
    assert accept(scene, run, None, None) == ("accepted", run)
    assert accept(scene, run, None, None) == ("repeated", run)
    with pytest.raises(psycopg.errors.UniqueViolation):
        accept(scene, run, None, None, hash_=b"z" * 32)


def test_the_row_the_first_event_and_the_content_are_there(scene):
    session = uuid4()
    run = scene.accept(session=session, priority=3)
    row = scene.row(run)
    assert (row["state"], row["seq"], row["head"], row["priority"], row["session"]) == (
        "queued",
        1,
        b"h" * 32,
        3,
        session,
    )
    assert scene.one("select type from holdfast.events where run = %s and seq = 1", run) == "run_accepted"
    assert scene.one("select body from holdfast.blobs where run = %s", run) == b"x"
    assert scene.one("select subject from holdfast.sessions where id = %s", session) == "s"


def test_another_tenants_argument_is_refused(scene):
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="tenant of this call"):
        scene.call(scene.api, TENANT, SQL, uuid4(), uuid7(), AT, b"h" * 32, None, None)


IN_SESSION = (
    "select outcome from holdfast.accept_run(%s, %s, 't', '1', %s, %s, %s, null, 0, %s, '{}', %s, '{}', '{}',"
    " null, null, null)"
)


def test_of_two_principals_that_begin_a_session_at_once_one_has_it(scene):
    """The other's first try fails as a whole, and its second is refused: neither hears of the other's conversation."""
    session, runs = uuid4(), {"ann": uuid7(), "ben": uuid7()}

    def ask(connection, who):
        values = [TENANT, runs[who], session, who, who, AT, b"h" * 32]
        return scene.call(connection, TENANT, IN_SESSION, *values)[0].outcome

    with scene.connect("holdfast_api") as slow, scene.connect("holdfast_api") as quick:
        slow.execute(f"begin; select set_config('holdfast.tenant', '{TENANT}', true)")
        slow.execute(IN_SESSION, [TENANT, runs["ann"], session, "ann", "ann", AT, b"h" * 32])
        waiting = Aside(lambda: ask(quick, "ben"))
        scene.until_waiting(quick)
        slow.execute("commit")
        with pytest.raises(psycopg.errors.SerializationFailure):
            waiting.result()
        quick.rollback()
        assert ask(quick, "ben") == "foreign"
    assert scene.one("select count(*) from holdfast.runs") == 1
