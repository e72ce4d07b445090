"""A session of which retention dropped a part is not gone on with as if nothing had been said."""

from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from tests.engine.agents import agent
from tests.engine.lab import Lab

from holdfast.domain import events as ev
from holdfast.domain.errors import HistoryGone


def drop(lab: Lab, run: UUID, *tables: str) -> None:
    """What dropping its month does to a run: its row stays."""
    with psycopg.connect(lab.admin_url, autocommit=True) as connection:
        for table in tables or ("events", "blobs"):
            connection.execute(f"delete from holdfast.{table} where run = %s", [run])


async def conversation(make_lab: Any, seen: list[Any], count: int = 2) -> tuple[Lab, UUID, list[UUID]]:
    lab = await make_lab(agent("first", "second", "third", "fourth", seen=seen), stream=False)
    session, runs = uuid4(), list[UUID]()
    for number in range(count):
        runs.append(await lab.start(input=f"prompt {number}", session=session))
        assert await lab.work() == "finished"
        await lab.expect("succeeded")
    return lab, session, runs


@pytest.mark.parametrize("which", [0, 1])
async def test_a_run_whose_history_was_dropped_while_it_waited_fails_and_says_so(make_lab, which):
    seen: list[Any] = []
    lab, session, runs = await conversation(make_lab, seen)
    await lab.start(input="go on", session=session)
    drop(lab, runs[which])
    asked = len(seen)
    assert await lab.work() == "finished"
    assert lab.state == "failed"
    failure = await lab.failure()
    assert failure.startswith("HistoryGone: ")
    assert str(session) in failure
    assert str(runs[which]) in failure
    assert "Start a new session" in failure
    assert len(seen) == asked, "the model was asked with an empty history"


@pytest.mark.parametrize("which", [0, 1])
async def test_a_run_in_such_a_session_is_refused_and_nothing_is_stored(make_lab, which):
    lab, session, runs = await conversation(make_lab, [])
    drop(lab, runs[which])
    with psycopg.connect(lab.admin_url) as connection:
        count = "select (select count(*) from holdfast.runs), (select count(*) from holdfast.events)"
        before = connection.execute(count).fetchone()
        with pytest.raises(HistoryGone, match=f"Session {session} .* run {runs[which]}"):
            await lab.start(input="go on", session=session)
        assert connection.execute(count).fetchone() == before


async def test_content_lost_without_its_journal_is_an_operators_matter(make_lab):
    """That is no retention: the run is given back, for somebody to restore what is missing."""
    lab, session, runs = await conversation(make_lab, [])
    await lab.start(input="go on", session=session)
    drop(lab, runs[0], "blobs")
    with pytest.raises(Exception, match="Restore `blobs`"):
        await lab.work()
    assert not await lab.of(ev.RunFailed)


async def test_a_session_that_is_whole_goes_on(make_lab):
    seen: list[Any] = []
    lab, session, _ = await conversation(make_lab, seen, 3)
    await lab.start(input="go on", session=session)
    assert await lab.work() == "finished"
    await lab.expect("succeeded")
    assert len(seen[-1]) == 7
