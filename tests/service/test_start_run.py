"""Starting runs: what is accepted is stored whole; what is refused stores nothing."""

import asyncio
from uuid import uuid4

import psycopg
import pytest

from holdfast.domain.errors import (
    HistoryGone,
    HoldfastError,
    IdempotencyConflict,
    InvalidInput,
    NotFound,
    TooLarge,
    UnknownTask,
)
from holdfast.domain.ids import DEFAULT_TENANT
from holdfast.domain.state import RunState
from holdfast.service.get_run import get_run
from holdfast.service.services import LOCAL
from holdfast.service.start_run import start_run
from holdfast.store.hashing import verify_chain
from support.credentials import admin

TABLES = ("runs", "events", "blobs", "signals", "idempotency_keys", "sessions")


def stored(database) -> dict[str, int]:
    with psycopg.connect(database.admin_url) as connection:
        return {table: connection.execute(f"select count(*) from holdfast.{table}").fetchone()[0] for table in TABLES}


async def test_an_accepted_run_is_there_with_its_first_event_and_sealed_input(services, holder, database):
    run = await start_run(services, LOCAL, "support", "my secret", priority=5, labels={"channel": "chat"})
    assert (run.state, run.task, run.task_version, run.priority, run.seq) == (RunState.QUEUED, "support", "3", 5, 1)
    assert (await get_run(services, LOCAL, run.id)).labels == {"channel": "chat"}
    events = await services.reader.journal(DEFAULT_TENANT, run.id)
    assert verify_chain(DEFAULT_TENANT, run.id, events) is None
    held = await holder.claim()
    await held.claimed()  # the fence accepts the hash the API wrote
    with psycopg.connect(database.admin_url) as connection:
        assert b"secret" not in b"".join(body for (body,) in connection.execute("select body from holdfast.blobs"))
        assert "secret" not in "".join(body for (body,) in connection.execute("select body from holdfast.events"))


async def test_a_typed_input_is_validated(services):
    run = await start_run(services, LOCAL, "order", {"item": "tea", "count": 2})
    assert run.task == "order"


@pytest.mark.parametrize(
    ("asked", "error", "says"),
    [
        ({"task": "suport", "input": "x"}, UnknownTask, "Registered: order, support"),
        ({"task": "order", "input": {"item": "tea"}}, InvalidInput, "count: Field required"),
        ({"task": "support", "input": {"not": "text"}}, InvalidInput, "does not fit task 'support'"),
        ({"task": "support", "input": "a\0b"}, InvalidInput, "NUL"),
        ({"task": "support", "input": "a\ud800"}, InvalidInput, "surrogate"),
        ({"task": "order", "input": {"item": "tea", "count": 2**70}}, InvalidInput, "64-bit"),
        ({"task": "order", "input": {"item": "tea", "count": float("nan")}}, InvalidInput, "not finite"),
        ({"task": "support", "input": "x" * (1 << 20)}, TooLarge, "limit"),
        ({"task": "support", "input": "x", "priority": 101}, InvalidInput, "priority"),
        ({"task": "support", "input": "x", "labels": {"": "x"}}, InvalidInput, "label"),
        ({"task": "support", "input": "x", "labels": {"a": "\0"}}, InvalidInput, "NUL"),
        ({"task": "support", "input": "x", "idempotency_key": ""}, InvalidInput, "idempotency key"),
        ({"task": "support", "input": "x", "idempotency_key": "é"}, InvalidInput, "idempotency key"),
    ],
)
async def test_bad_input_is_a_typed_error_and_stores_nothing(services, database, asked, error, says):
    before = stored(database)
    with pytest.raises(HoldfastError, match=says) as raised:
        await start_run(services, LOCAL, asked.pop("task"), asked.pop("input"), **asked)
    assert type(raised.value) is error
    assert stored(database) == before


async def test_the_same_key_and_request_answer_with_the_first_run(services, database):
    first = await start_run(services, LOCAL, "support", "x", idempotency_key="k")
    again = await start_run(services, LOCAL, "support", "x", idempotency_key="k")
    assert again.id == first.id
    assert stored(database)["runs"] == 1


@pytest.mark.parametrize(
    "other",
    [
        {"input": "y"},
        {"priority": 1},
        {"labels": {"a": "b"}},
        {"session": uuid4()},
        {"task": "order", "input": {"item": "tea", "count": 1}},
    ],
)
async def test_the_same_key_with_another_request_is_refused_and_stores_nothing(services, database, other):
    asked = {"task": "support", "input": "x"}
    await start_run(services, LOCAL, **asked, idempotency_key="k")
    before = stored(database)
    with pytest.raises(IdempotencyConflict):
        await start_run(services, LOCAL, **(asked | other), idempotency_key="k")
    assert stored(database) == before


async def test_requests_with_one_key_at_the_same_time_start_one_run(services, database):
    runs = await asyncio.gather(*(start_run(services, LOCAL, "support", "x", idempotency_key="k") for _ in range(8)))
    assert len({run.id for run in runs}) == 1
    assert stored(database) == stored(database) | {"runs": 1, "events": 1, "blobs": 1, "idempotency_keys": 1}


async def test_a_session_goes_on_from_its_last_successful_run(services, holder):
    session = uuid4()
    first = await start_run(services, LOCAL, "support", "one", session=session)
    held = await holder.claim()
    await held.claimed()
    await held.succeed()
    second = await start_run(services, LOCAL, "support", "two", session=session)
    [accepted] = await services.reader.journal(DEFAULT_TENANT, second.id)
    assert accepted.load().history_of == first.id


async def test_a_session_of_somebody_else_is_as_absent(services):
    session = uuid4()
    await start_run(services, LOCAL, "support", "one", session=session)
    with pytest.raises(NotFound):
        await start_run(services, admin(DEFAULT_TENANT, str(uuid4())), "support", "two", session=session)


@pytest.fixture
async def forgotten(services, holder, database):
    """A session whose first run was dropped by retention, with the request that started it."""
    session = uuid4()
    asked = {"session": session, "idempotency_key": "k", "labels": {"a": "b"}}
    first = await start_run(services, LOCAL, "support", "one", **asked)
    held = await holder.claim()
    await held.claimed()
    await held.succeed()
    with psycopg.connect(database.admin_url, autocommit=True) as connection:
        connection.execute("delete from holdfast.events where run = %s", [first.id])
        connection.execute("delete from holdfast.blobs where run = %s", [first.id])
    return first, asked


async def test_a_request_repeated_after_retention_answers_with_the_first_run(services, forgotten, database):
    first, asked = forgotten
    before = stored(database)
    again = await start_run(services, LOCAL, "support", "one", **asked)
    assert (again.id, again.state, again.labels) == (first.id, RunState.SUCCEEDED, {"a": "b"})
    assert stored(database) == before


async def test_after_retention_a_key_still_names_one_request(services, forgotten):
    _, asked = forgotten
    with pytest.raises(IdempotencyConflict):
        await start_run(services, LOCAL, "support", "two", **asked)


@pytest.mark.parametrize("key", [None, "new"])
async def test_what_is_new_in_such_a_session_is_refused(services, forgotten, key):
    _, asked = forgotten
    with pytest.raises(HistoryGone):
        await start_run(services, LOCAL, "support", "one", **(asked | {"idempotency_key": key}))
