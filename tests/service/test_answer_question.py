"""Answering what a call asks: one answer, of exactly what was shown, and nothing with it that does not belong."""

import pytest

from holdfast.domain.errors import AlreadyDecided, InvalidInput
from holdfast.service.answer_question import answer_question
from holdfast.service.decide_approval import DigestMismatch, MayNotDecide, decide_approval
from holdfast.service.decide_escalation import decide
from holdfast.service.list_tasks_to_decide import get_task_to_decide
from holdfast.service.services import LOCAL
from holdfast.service.start_run import start_run
from support.credentials import admin


@pytest.fixture
async def asked(services, holder):
    await start_run(services, LOCAL, "support", "x")
    held = await holder.claim()
    task = await held.ask_person({"text": "Which?"}, kind="question", ask="user")
    return held, await get_task_to_decide(services, LOCAL, task)


@pytest.mark.parametrize("answer", ["blue", "", {"a": [1, None]}, 0, False, None])
async def test_an_answer_is_told_to_the_run_and_shown(services, asked, answer):
    held, task = asked
    view = await decide(services, LOCAL, task.id, "answered", digest=task.digest, answer=answer)
    assert (view.state, view.decided_by, view.agreed) == ("answered", LOCAL.principal, [LOCAL.principal])
    [signal] = await held.inbox()
    assert (None if signal.content is None else held.opened(signal)) == answer
    if answer is not None:
        shown = view.history[-1].content
        assert shown is not None
        assert shown.value == answer
    with pytest.raises(AlreadyDecided, match="answered"):
        await answer_question(services, LOCAL, task.id, "declined", digest=task.digest)


async def test_what_follows_is_said_beforehand(services, asked):
    _, task = asked
    assert (task.kind, task.ask, task.needed) == ("question", "user", 1)
    assert task.if_rejected == (
        "The call has failed, without a result; the model is told that nobody answers, and the reason."
    )
    assert task.if_unanswered == "It waits for good."


@pytest.mark.parametrize(
    ("verdict", "given", "why"),
    [
        ("answered", {"answer": "x", "reason": "y"}, "A reason belongs to declining"),
        ("declined", {"answer": "x"}, "An answer belongs to answering"),
        ("answered", {"answer": "x", "args": {}}, "`args` does not belong to 'answered'"),
        ("declined", {"result": 1}, "`result` does not belong to 'declined'"),
        ("approved", {"answer": "x"}, "`answer` does not belong to 'approved'"),
        ("done", {"answer": "x"}, "`answer` does not belong to 'done'"),
        ("approved", {}, "This is a question of a tool's"),
        ("fail_run", {}, "This is a question of a tool's"),
        ("go_on", {}, "This is a question of a tool's"),
    ],
)
async def test_parts_that_do_not_belong_together_are_refused(services, asked, verdict, given, why):
    held, task = asked
    with pytest.raises(InvalidInput, match=why):
        await decide(services, LOCAL, task.id, verdict, digest=task.digest, **given)
    assert await held.inbox() == []


async def test_others_and_other_digests_answer_nothing(services, asked):
    _, task = asked
    with pytest.raises(DigestMismatch):
        await answer_question(services, LOCAL, task.id, "answered", digest="other", answer="x")
    other = admin(LOCAL.tenant, "0199d3a0-0000-7000-8000-000000000001")
    with pytest.raises(MayNotDecide):
        await answer_question(services, other, task.id, "answered", digest=task.digest, answer="x")


async def test_an_approval_is_not_answered(services, holder):
    await start_run(services, LOCAL, "support", "x")
    task = await get_task_to_decide(services, LOCAL, await (await holder.claim()).ask_person({}))
    with pytest.raises(InvalidInput, match="This is an approval"):
        await answer_question(services, LOCAL, task.id, "answered", digest=task.digest, answer="x")
    assert (await decide_approval(services, LOCAL, task.id, "approved", digest=task.digest)).state == "approved"
