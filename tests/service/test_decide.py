"""Deciding: one winner, exactly what was shown, and the run wakes."""

import asyncio
from uuid import uuid4

import pytest

from holdfast.domain.errors import AlreadyDecided, InvalidInput, NotFound
from holdfast.domain.state import RunState
from holdfast.service.approval_shapes import ApprovalView
from holdfast.service.decide_approval import DigestMismatch, decide_approval, resolve_effect
from holdfast.service.decide_escalation import decide
from holdfast.service.get_run import get_run
from holdfast.service.list_tasks_to_decide import get_task_to_decide, list_tasks_to_decide
from holdfast.service.services import LOCAL
from holdfast.service.start_run import start_run
from support.credentials import admin


@pytest.fixture
async def parked(services, holder):
    run = await start_run(services, LOCAL, "support", "x")
    held = await holder.claim()
    approval = await held.ask_person({"order": 7, "amount": "20"})
    return held, run, await get_task_to_decide(services, LOCAL, approval)


async def test_what_waits_is_listed_with_exactly_its_arguments(services, parked):
    _, run, task = parked
    page = await list_tasks_to_decide(services, LOCAL)
    assert [one.model_dump() for one in page.items] == [task.model_dump(include=set(ApprovalView.model_fields))]
    assert (task.run, task.tool, task.state, task.args.value) == (
        run.id,
        "refund",
        "pending",
        {"order": 7, "amount": "20"},
    )
    assert (await list_tasks_to_decide(services, LOCAL, run=uuid4())).items == []


async def test_lists_of_tasks_come_in_pages_oldest_first(services, holder):
    asked = []
    for _ in range(3):
        await start_run(services, LOCAL, "support", "x")
        asked.append(await (await holder.claim()).ask_person({}))
    seen, cursor = [], None
    while True:
        page = await list_tasks_to_decide(services, LOCAL, cursor=cursor, limit=2)
        seen += [task.id for task in page.items]
        if (cursor := page.next) is None:
            break
    assert seen == asked


@pytest.mark.parametrize(
    ("verdict", "given", "content"),
    [
        ("approved", {}, None),
        ("approved", {"args": {"order": 7, "amount": "5"}}, {"order": 7, "amount": "5"}),
        ("rejected", {"reason": "too much"}, "too much"),
        ("rejected", {}, None),
    ],
)
async def test_a_decision_wakes_the_run_and_carries_its_content(services, parked, verdict, given, content):
    held, run, task = parked
    decided = await decide_approval(services, LOCAL, task.id, verdict, digest=task.digest, **given)
    assert (decided.state, decided.decided_by) == (verdict, LOCAL.principal)
    assert (await get_run(services, LOCAL, run.id)).state is RunState.QUEUED
    [signal] = await held.inbox()
    assert signal.kind == "decision"
    assert (None if signal.content is None else held.opened(signal)) == content


async def test_a_wrong_digest_decides_nothing(services, parked):
    held, run, task = parked
    with pytest.raises(DigestMismatch):
        await decide_approval(services, LOCAL, task.id, "approved", digest="another")
    assert (await get_task_to_decide(services, LOCAL, task.id)).state == "pending"
    assert await held.inbox() == []
    assert (await get_run(services, LOCAL, run.id)).state is RunState.PARKED


async def test_of_many_at_once_one_decides(services, parked):
    held, _, task = parked
    said = await asyncio.gather(
        *(
            decide_approval(services, admin(LOCAL.tenant, f"p{n}"), task.id, "approved", digest=task.digest)
            for n in range(6)
        ),
        return_exceptions=True,
    )
    assert sum(isinstance(one, AlreadyDecided) for one in said) == 5
    [winner] = [one for one in said if not isinstance(one, Exception)]
    [signal] = await held.inbox()
    assert signal.by == winner.decided_by


async def test_a_late_decision_says_who_was_first(services, parked):
    _, _, task = parked
    await decide_approval(services, LOCAL, task.id, "rejected", digest=task.digest)
    with pytest.raises(AlreadyDecided, match="decided first by local: rejected"):
        await decide_approval(services, LOCAL, task.id, "approved", digest=task.digest)


@pytest.mark.parametrize(
    ("resolution", "given", "content"),
    [
        ("done", {"result": {"refund": 1}}, {"refund": 1}),
        ("done", {}, None),
        ("not_done", {}, None),
        ("fail_run", {"reason": "lost"}, "lost"),
    ],
)
async def test_an_effect_in_doubt_is_resolved(services, holder, resolution, given, content):
    await start_run(services, LOCAL, "support", "x")
    held = await holder.claim()
    doubt = await held.ask_person({"order": 7}, kind="in_doubt")
    task = await get_task_to_decide(services, LOCAL, doubt)
    resolved = await resolve_effect(services, LOCAL, doubt, resolution, digest=task.digest, **given)
    assert resolved.state == resolution
    [signal] = await held.inbox()
    assert (None if signal.content is None else held.opened(signal)) == content


@pytest.mark.parametrize(
    ("verdict", "given"),
    [
        ("done", {}),
        ("approved", {"reason": "x"}),
        ("approved", {"result": 1}),
        ("rejected", {"args": {}}),
        ("not_done", {"result": 1}),
        ("done", {"args": {}}),
        ("not_done", {"reason": "x"}),
        ("approved", {"args": {"a": "\0"}}),
    ],
)
async def test_parts_that_do_not_belong_together_are_refused(services, parked, verdict, given):
    held, _, task = parked
    with pytest.raises(InvalidInput):
        await decide(services, LOCAL, task.id, verdict, digest=task.digest, **given)
    assert await held.inbox() == []


async def test_absent_and_foreign_are_the_same(services, parked):
    _, _, task = parked
    with pytest.raises(NotFound) as absent:
        await get_task_to_decide(services, LOCAL, uuid4())
    with pytest.raises(NotFound) as foreign:
        await get_task_to_decide(services, admin(uuid4()), task.id)
    assert str(absent.value) == str(foreign.value)
